"""The experiments behind docs/results.md; each is a command, `python -m experiments NAME`."""
