"""From what runs predict to what is said of it: by class, by level, by image.

Axes: n images, K runs, C classes, G groups.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from taskdiscovery.agreement import mean_over_runs
from taskdiscovery.data.partition import draws
from taskdiscovery.types import (
    BoolArray,
    Dataset,
    Document,
    Evaluation,
    FloatArray,
    IntArray,
    Labeling,
)

#: values of an attribute above which it is no grouping of images.
LEVELS = 20
#: images of a level below which nothing is said of it.
_LEAST = 5
#: what the levels of `Dataset.groups` are called.
GROUP = "group"


def evaluated(
    shares_KnC: FloatArray, dataset: Dataset, labeling: Labeling, rows: IntArray, **known: Any
) -> Evaluation:
    """Say how a learner fares on some images.

    Args:
        shares_KnC: probabilities that each run gives.
        dataset: whose images they are.
        labeling: of the images, in the learner's classes; -1 where its class is unknown.
        rows: (n,) those that are measured, each with a class.
        known: `learner`, and `seen` and `unknown`: how many were left out for what.
    """
    predicted_Kn = shares_KnC.argmax(axis=2)
    truth_n = labeling.labels_N[rows]
    right_Kn = predicted_Kn == truth_n
    groups_n = draws(dataset.groups, rows)
    counts_C = np.bincount(truth_n)
    mean_nC = shares_KnC.mean(axis=0)
    together_n = mean_nC.argmax(axis=1)
    per_class = _per_class(labeling.classes, right_Kn, truth_n, predicted_Kn, groups_n)
    names = np.array(labeling.classes, dtype=object)
    return Evaluation(
        data=dataset.name,
        target=labeling.name,
        images=len(rows),
        runs=tuple(float(run.mean()) for run in right_Kn),
        accuracy=mean_over_runs(right_Kn, groups_n),
        balanced=float(per_class["accuracy"].mean()),
        majority=float(counts_C.max() / len(rows)),
        together=float((together_n == truth_n).mean()),
        per_class=per_class,
        per_level=_per_level(dataset, rows, right_Kn, groups_n),
        confusion=confusion(labeling.classes, truth_n, predicted_Kn),
        results=pd.DataFrame(
            {
                "image_id": dataset.ids[rows],
                "true": names[truth_n],
                "predicted": names[together_n],
                "confidence": mean_nC.max(axis=1),
                "right": right_Kn.mean(axis=0),
            }
        ),
        grouped=groups_n is not None,
        **known,
    )


def confusion(classes: tuple[str, ...], truth_n: IntArray, predicted_Kn: IntArray) -> pd.DataFrame:
    """Return a row per true class and a column per predicted one: images, averaged over runs."""
    counts_CC = np.zeros((len(classes), len(classes)))
    for predicted_n in predicted_Kn:
        np.add.at(counts_CC, (truth_n, predicted_n), 1 / len(predicted_Kn))
    counts_CC = np.round(counts_CC, 10)
    return pd.DataFrame(
        counts_CC, index=pd.Index(classes, name="true"), columns=pd.Index(classes, name="predicted")
    )


def _figures(right_Kn: BoolArray, own_n: BoolArray, groups_n: IntArray | None) -> Document:
    """Return how many images there are, and accuracy with its interval."""
    groups = None
    if groups_n is not None:
        groups = np.unique(groups_n[own_n], return_inverse=True)[1].astype(np.int64)
    found = mean_over_runs(right_Kn[:, own_n], groups)
    return {
        "images": int(own_n.sum()),
        "accuracy": found.mean,
        "low": found.low,
        "high": found.high,
        "covers": found.covers,
    }


def _per_class(
    classes: tuple[str, ...],
    right_Kn: BoolArray,
    truth_n: IntArray,
    predicted_Kn: IntArray,
    groups_n: IntArray | None,
) -> pd.DataFrame:
    rows = []
    for c, name in enumerate(classes):
        own_n = truth_n == c
        if own_n.any():
            answered = float((predicted_Kn == c).sum() / len(predicted_Kn))
            figures = _figures(right_Kn, own_n, groups_n)
            rows.append({"class": name, **figures, "predicted": answered})
    return pd.DataFrame(rows)


def _per_level(
    dataset: Dataset, rows: IntArray, right_Kn: BoolArray, groups_n: IntArray | None
) -> pd.DataFrame:
    found = [
        {"factor": factor, "level": level, **_figures(right_Kn, own_n, groups_n)}
        for factor, level, own_n in _levels(dataset, rows)
    ]
    return pd.DataFrame(found)


def _levels(dataset: Dataset, rows: IntArray) -> Iterator[tuple[str, str, BoolArray]]:
    """Yield every level of attributes with few, and every group with enough images."""
    attributes = pd.DataFrame() if dataset.attributes is None else dataset.attributes
    for column in attributes.columns:
        values = attributes[column].iloc[rows]
        try:
            levels = values.dropna().unique()
        except TypeError:  # of lists
            continue
        if 1 < len(levels) <= LEVELS:
            for level in sorted(levels, key=str):
                own_n = (values == level).to_numpy(dtype=np.bool_)
                if own_n.sum() >= _LEAST:
                    yield str(column), str(level), own_n
    if dataset.groups is not None:
        own_groups = dataset.groups[rows]
        for name in np.unique(own_groups[own_groups != ""]):
            own_n = own_groups == name
            if own_n.sum() >= _LEAST:
                yield GROUP, str(name), own_n
