"""Measurements on real data; each module is a command, `python -m benchmarks.NAME`."""
