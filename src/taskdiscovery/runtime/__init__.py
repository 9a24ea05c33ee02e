"""The process that a job runs in: ranks, signals, seeds, random states, threads, callbacks."""
