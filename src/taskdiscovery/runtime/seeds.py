"""Seeds come from the job: the same job draws the same numbers on any worker, in any order."""

from __future__ import annotations

import hashlib

import numpy as np


def derive(seed: int, *job: str | int) -> int:
    """Return a seed in [0, 2^63) for a named part of a job, e.g. `derive(0, "score", task, 1)`."""
    text = "\x1f".join([str(seed), *map(str, job)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def generator(seed: int, *job: str | int) -> np.random.Generator:
    """Return NumPy's generator for a named part of a job."""
    return np.random.default_rng(derive(seed, *job))
