"""Which words name the sides of a task: chosen on train images, measured on held-out ones.

A word is a candidate for a side where it has an AUC of 0.75 on train, and the model gives it a
hundredth there on average: the order alone would call whatever is no car "king penguin", at a
likelihood of 0.0004 on the one side and less on the other.

However many words are tried, what is reported was measured on images that the choice has not seen:
the AUC of a chosen word needs no correction for those that were not chosen. Of two words that say
the same the better on train stays. Where they are equally good, a group stays rather than a class
(which would say more than was measured: no gazelle is in CIFAR-10), and the smaller group of two.

Axes: N images, D tasks, W words.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from taskdiscovery.analysis.naming.auc import aucs, interval, ranks
from taskdiscovery.analysis.naming.vocabulary import Vocabulary
from taskdiscovery.types import FloatArray, IntArray, Name, Tasks

LEAST = 0.75  # AUC of a name, on train and on held-out images
LIKELY = 0.01  # mean likelihood on a side of train
MOST = 3  # names of a side
TIE = 0.01  # of AUC: words that are so near on train are equally good
FEWEST = (10, 3)  # images on either side of a task: of train, where one of many is chosen; held-out


def name_tasks(
    tasks: Tasks,
    rows: tuple[IntArray, IntArray],
    scores: tuple[FloatArray, FloatArray],
    vocabulary: Vocabulary,
) -> tuple[Name, ...]:
    """Choose names for each side of each task.

    Args:
        tasks: with classes of any number, each of which is compared with the others together.
        rows: images that words are chosen on, and images that they are measured on.
        scores: (N, W) of either: the logarithm of how likely each word is for each image.
        vocabulary: the W words.

    Returns:
        At most three names a side, best first.
    """
    whole = [ranks(scores_NW) for scores_NW in scores]
    found: list[Name] = []
    for d, task in enumerate(tasks.names):
        labels, ranked = [], []
        for own, scores_NW, ranks_NW in zip(rows, scores, whole, strict=True):
            labels_N = tasks.labels_ND[own, d]
            has_N = labels_N >= 0
            labels.append(labels_N[has_N])
            ranked.append(ranks_NW if has_N.all() else ranks(scores_NW[has_N]))
        for c, side in enumerate(tasks.class_names[d]):
            sides = [labels_N == c for labels_N in labels]
            counts = [(int(side_N.sum()), int((~side_N).sum())) for side_N in sides]
            if any(min(pair) < least for pair, least in zip(counts, FEWEST, strict=True)):
                continue
            train_W, held_W = (aucs(r, s) for r, s in zip(ranked, sides, strict=True))
            inside_N = tasks.labels_ND[rows[0], d] == c
            likely_W = np.exp(scores[0][inside_N]).mean(axis=0) >= LIKELY
            for w in chosen(np.where(likely_W, train_W, 0.0), vocabulary):
                low, high = interval(float(held_W[w]), *counts[1])
                if held_W[w] >= LEAST and low > 0.5:
                    found.append(
                        Name(
                            task=task,
                            side=side,
                            word=vocabulary.words[w],
                            auc=float(held_W[w]),
                            low=low,
                            high=high,
                            train=float(train_W[w]),
                            images=sum(counts[1]),
                        )
                    )
    return tuple(found)


def chosen(train_W: FloatArray, vocabulary: Vocabulary) -> Iterator[int]:
    """Yield at most three words, best first, no two of which say the same.

    Args:
        train_W: (W,) AUC on train, 0 for what is no candidate.
        vocabulary: the words.
    """
    left_W = train_W >= LEAST
    for _ in range(MOST):
        if not left_W.any():
            return
        best = int(np.where(left_W, train_W, -1.0).argmax())
        word = _of_equals(best, left_W, train_W, vocabulary)
        yield word
        left_W = left_W & ~vocabulary.alike(word) & ~vocabulary.alike(best)


def _of_equals(best: int, left_W: np.ndarray, train_W: FloatArray, vocabulary: Vocabulary) -> int:
    """Return the smallest group that says the same and is as good; else the best word."""
    groups_W = vocabulary.sizes_W > 1
    equal_W = left_W & vocabulary.alike(best) & (train_W >= train_W[best] - TIE) & groups_W
    if not equal_W.any():
        return best
    order = np.lexsort((-train_W, vocabulary.sizes_W))
    return int(next(w for w in order if equal_W[w]))
