"""taskdiscovery."""
