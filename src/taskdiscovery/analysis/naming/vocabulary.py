"""The words that names are chosen from: ImageNet's 1,000 classes, and groups of them.

Groups are nouns of WordNet 3.0 that stand above 2 to 700 of the classes. The table is made by
`benchmarks/imagenet_names.py`; `WORDNET-LICENSE.txt` beside it is WordNet's licence.

Axes: W words, C classes of ImageNet.
"""

from __future__ import annotations

import csv
import functools
from dataclasses import dataclass
from importlib import resources

import numpy as np

from taskdiscovery.types import BoolArray

CLASSES = 1000


@dataclass(frozen=True, eq=False, kw_only=True)
class Vocabulary:
    """Words, and the classes that each covers.

    Attributes:
        words: W words.
        covers_WC: (W, C) True for the classes that a word covers: one, or those of a group.
    """

    words: tuple[str, ...]
    covers_WC: BoolArray

    @property
    def sizes_W(self) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """(W,) how many classes each word covers."""
        return self.covers_WC.sum(axis=1)

    def alike(self, word: int) -> BoolArray:
        """Return (W,) True for words that say the same as one: the word itself, those that it is a
        part of or that are a part of it, those that share over half of the smaller one's classes.
        """
        shared_W = self.covers_WC @ self.covers_WC[word].astype(np.int64)
        return 2 * shared_W > np.minimum(self.sizes_W, self.sizes_W[word])


@functools.cache
def imagenet() -> Vocabulary:
    """Return ImageNet's classes, in their order, and their groups."""
    table = resources.files(__package__).joinpath("imagenet.csv").read_text("utf-8")
    rows = list(csv.DictReader(table.splitlines()))
    covers_WC = np.zeros((len(rows), CLASSES), dtype=np.bool_)
    for covers_C, row in zip(covers_WC, rows, strict=True):
        for run in row["classes"].split():
            first, _, last = run.partition("-")
            covers_C[int(first) : int(last or first) + 1] = True
    return Vocabulary(words=tuple(row["name"] for row in rows), covers_WC=covers_WC)
