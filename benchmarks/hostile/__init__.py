"""Run directories and inputs from a stranger: mutated file by file, every command tried on each.

Whatever a run or an input holds, a command ends in a result or in one of the package's own errors:
within seconds and a gigabyte, and without having read, written, imported or fetched anything that
the caller did not name. What does not is a *finding*.

- `arena`: the folder of one case: the run, a victim beside it, traps that tell of being imported.
- `bases`: runs as jobs leave them, finished and stopped, which the cases begin with.
- `values`, `documents`, `tensors`, `tables`, `entries`, `inputs`: what is done to files.
- `cases`: which of it, drawn from a seed and a number.
- `commands`: what is tried on it.
- `child`: trying it in a forked process, with limits; `judge`: what of its outcome is a finding.
- `harness`: all of it together.

    python -m benchmarks.hostile --seed 0 --count 20000 --out benchmarks/results/DATE-hostile.json
    python -m benchmarks.hostile --seed 0 --only 137          # one case again, with all it says
"""
