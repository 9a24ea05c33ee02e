"""What does a task mean? Measured evidence, and what it amounts to."""
