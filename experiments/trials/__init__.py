"""Ways to better tasks that were tried, each a search of its own: `method.Trial`."""
