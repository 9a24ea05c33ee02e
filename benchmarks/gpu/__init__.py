"""Checks and timings on one GPU: what works, what agrees with the CPU, what it costs."""
