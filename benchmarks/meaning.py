"""Do tasks on frozen features line up with what people see? Attributes are fixed, and never given.

For each task the attribute with the greatest balanced accuracy (BA) on images that discovery may
see, in either direction; its BA on the others is reported. Beside `pursuit` stand the same search
on image statistics alone, k-means (a cluster against the rest), principal components and random
directions (at their medians), all on the same images.

    python -m benchmarks.meaning bar --data parquet:bar/train.parquet --seeds 0 1 2
    python -m benchmarks.meaning cifar10 --data parquet:cifar10/train.parquet --images 4500

Axes: N images, P features, D tasks.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping

import numpy as np
import pandas as pd
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.preprocessing import normalize

import taskdiscovery as td
from benchmarks.machine import own_process
from taskdiscovery.data import partition
from taskdiscovery.data.statistics import image_statistics
from taskdiscovery.types import BoolArray, Document, FloatArray

#: groups of classes, by a name, beside the classes themselves.
GROUPS: dict[str, dict[str, tuple[str, ...]]] = {
    "bar": {
        "water": ("diving", "fishing"),
        "sky": ("pole vaulting", "fishing"),
        "ball games": ("pole vaulting", "throwing"),
        "rock": ("climbing", "fishing"),
        "vehicles": ("racing", "throwing"),
    },
    "cifar10": {
        "animals": ("bird", "cat", "deer", "dog", "frog", "horse"),
        "pets": ("cat", "dog"),
        "four-legged": ("cat", "deer", "dog", "horse"),
        "birds and planes": ("bird", "airplane"),
        "water": ("ship", "frog"),
        "road": ("automobile", "truck"),
        "hoofed": ("deer", "horse"),
        "small animals": ("bird", "cat", "frog"),
    },
}


def attributes_of(data: td.Dataset, name: str) -> dict[str, BoolArray]:
    """Return (N,) for each class and each group of classes, whether an image has it."""
    labels, classes = data.labels, [c.lower() for c in data.classes]
    assert labels is not None
    found = {c: labels == i for i, c in enumerate(classes)}
    for group, members in GROUPS[name].items():
        found[group] = np.isin(labels, [classes.index(c) for c in members])
    return found


def balanced_accuracy(task: BoolArray, attribute: BoolArray) -> float:
    """Return the mean of the shares that are right on either side."""
    return float((task[attribute].mean() + (~task[~attribute]).mean()) / 2)


def judged(
    labels_ND: BoolArray, attributes: Mapping[str, BoolArray], seen_N: BoolArray
) -> Document:
    """Return the mean BA of tasks, and the attributes that one of them reaches at 0.8."""
    values, reached = [], set()
    for task_N in labels_ND.T:
        known = {
            name: balanced_accuracy(task_N[seen_N], own[seen_N]) for name, own in attributes.items()
        }
        best = max(known, key=lambda name: abs(known[name] - 0.5))
        value = balanced_accuracy(task_N[~seen_N], attributes[best][~seen_N])
        values.append(value if known[best] >= 0.5 else 1 - value)
        if values[-1] >= 0.8:
            reached.add(best)
    return {"tasks": len(values), "mean_ba": float(np.mean(values)), "reached": sorted(reached)}


def peers(features_NP: FloatArray, seen_N: BoolArray, D: int, seed: int) -> dict[str, BoolArray]:
    """Return the (N, D) labels of what else people do with features."""
    x_NP = normalize(features_NP)
    x_NP = (x_NP - x_NP[seen_N].mean(axis=0)) / np.maximum(x_NP[seen_N].std(axis=0), 1e-9)
    clusters = KMeans(D, n_init=3, random_state=seed).fit(x_NP[seen_N]).predict(x_NP)
    components = PCA(D, random_state=seed).fit(x_NP[seen_N]).transform(x_NP)
    directions = x_NP @ np.random.default_rng(seed).normal(size=(x_NP.shape[1], D))
    return {
        "k-means": clusters[:, None] == np.arange(D),
        "principal components": components > np.median(components[seen_N], axis=0),
        "random directions": directions > np.median(directions[seen_N], axis=0),
    }


def rows_of(data: td.Dataset, name: str, options: argparse.Namespace, seed: int) -> list[Document]:
    """Return a row for each way to find tasks."""
    attributes = attributes_of(data, name)
    rows: list[Document] = []
    statistics = td.load(data, features=image_statistics(data.images).to_numpy())
    for kind, own in (("pursuit", data), ("pursuit on statistics", statistics)):
        began = time.perf_counter()
        try:
            found = td.discover(
                own, method=td.Pursuit(cap=options.cap), tasks=options.tasks, seed=seed
            )
        except td.NumericalError as error:  # nothing falls in two
            rows.append({"way": kind, "seed": seed, "tasks": 0, "why": error.what})
            continue
        took = round(time.perf_counter() - began, 1)
        seen_N = found.tasks.seen_N
        assert seen_N is not None
        scores = td.score(own, found.tasks, learner="ridge").to_frame()
        agreement = float(scores.loc[scores["task"].isin(found.tasks.names), "agreement"].mean())
        labels_ND = found.tasks.labels_ND.astype(bool)
        row = judged(labels_ND, attributes, seen_N)
        rows.append({"way": kind, "seed": seed, **row, "agreement": agreement, "seconds": took})
    seen_N = partition.draw(len(data), seed)  # as `discover` draws it
    features_NP = np.asarray(data.features, dtype=np.float64)
    for kind, labels_ND in peers(features_NP, seen_N, options.tasks, seed).items():
        rows.append({"way": kind, "seed": seed, **judged(labels_ND, attributes, seen_N)})
    return rows


def main() -> None:
    """Print a row for each way and seed, and their means."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", choices=GROUPS)
    parser.add_argument("--data", required=True)
    parser.add_argument("--images", type=int, default=None, help="the first so many")
    parser.add_argument("--tasks", type=int, default=16)
    parser.add_argument("--cap", type=float, default=0.5)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--threads", type=int, default=None)
    options = parser.parse_args()
    own_process(options.threads)
    whole = td.load(options.data)
    assert whole.labels is not None
    some = slice(None, options.images)
    labels = [whole.classes[c] for c in whole.labels[some]]
    data = td.embed(td.load(whole.images[some], labels=labels), threads=options.threads)
    rows = [row for seed in options.seeds for row in rows_of(data, options.name, options, seed)]
    for row in rows:
        print(json.dumps(row))
    frame = pd.DataFrame(rows)
    frame["attributes"] = frame["reached"].map(len, na_action="ignore")
    kept = ["tasks", "mean_ba", "attributes", "agreement"]
    print(frame.groupby("way", sort=False)[kept].mean().round(3).to_string())


if __name__ == "__main__":
    main()
