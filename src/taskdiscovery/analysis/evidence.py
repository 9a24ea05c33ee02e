"""The job of analysis: all evidence about the tasks of a run, measured on images that discovery
has not seen.

Axes: N images, D tasks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import adjusted_mutual_info_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from taskdiscovery import partition
from taskdiscovery.agreement import similarity_matrix
from taskdiscovery.analysis.associations import associate, factor_table
from taskdiscovery.analysis.probes import flips
from taskdiscovery.analysis.verdict import verdict
from taskdiscovery.config import AnalyzeConfig
from taskdiscovery.discovery import Encoder
from taskdiscovery.errors import DataError
from taskdiscovery.progress import meter
from taskdiscovery.types import Dataset, FloatArray, IntArray, Tasks


@dataclass(frozen=True, eq=False, kw_only=True)
class Evidence:
    """What was measured.

    Attributes:
        associations: one row per labeling (tasks, and the human label) and factor.
        probes: one row per task and probe.
        coverage: how well the coordinates tell the human label.
        similarity, information: (D, D) similarity and adjusted mutual information of the tasks.
        verdicts: one line per task.
        words: words of a text model per task, where one was given.
        images: how many images were measured.
    """

    associations: pd.DataFrame
    probes: pd.DataFrame
    coverage: dict[str, Any] | None
    similarity: FloatArray
    information: FloatArray
    verdicts: dict[str, str]
    images: int
    words: dict[str, Any] = field(default_factory=dict)

    @property
    def result(self) -> dict[str, Any]:
        """The headline numbers, as in `result.json`."""
        tasks = []
        for name, line in self.verdicts.items():
            own = self.associations
            top = own[own["task"] == name].head(3) if len(own) else own
            asked = self.probes[self.probes["task"] == name] if len(self.probes) else self.probes
            tasks.append(
                {
                    "name": name,
                    "verdict": line,
                    "associations": top.drop(columns="task").to_dict("records"),
                    "probes": {r["probe"]: r["flips"] for r in asked.to_dict("records")},
                    **({"words": self.words[name]} if name in self.words else {}),
                }
            )
        upper = np.triu_indices(len(self.verdicts), 1)
        pairs = self.information[upper]
        label = self.associations[self.associations["task"] == "label"]
        return {
            "images": self.images,
            "tasks": tasks,
            "label": label.drop(columns="task").head(5).to_dict("records"),
            "coverage": self.coverage,
            "adjusted_mutual_information": {
                "mean": float(pairs.mean()) if len(pairs) else None,
                "max": float(pairs.max()) if len(pairs) else None,
            },
        }


def analyze(
    dataset: Dataset, tasks: Tasks, encoder: Encoder, config: AnalyzeConfig, *, seed: int = 0
) -> Evidence:
    """Measure the tasks of an encoder on a data set.

    Args:
        dataset: the images.
        tasks: their tasks, with coordinates and partition.
        encoder: labels the transformed images.
        config: how many images, which text model.
        seed: decides which images, and the bootstrap.

    Raises:
        DataError: where no image is left that discovery has not seen.
        ConfigError: for a text model that cannot be read.
    """
    words = _words(config)  # a wrong path is found before anything is measured
    unseen = np.flatnonzero(~tasks.train) if tasks.train is not None else np.arange(len(dataset))
    rows = partition.sample(unseen, config.images, seed, "evidence")
    if len(rows) < 20:
        raise DataError(
            f"{len(rows)} images are left that discovery has not seen",
            where=dataset.name,
            mend="at least 20 are needed to measure anything",
        )
    labels_ND = tasks.labels[rows]
    labelings: dict[str, IntArray] = {n: labels_ND[:, d] for d, n in enumerate(tasks.names)}
    if dataset.labels is not None:
        labelings["label"] = dataset.labels[rows]
    with meter("measuring associations", 1) as bar:
        associations = associate(labelings, factor_table(dataset, rows), seed=seed)
        bar.advance()
    few = rows[: config.probe_images]

    def label(images: Any) -> IntArray:
        bar.advance()
        return encoder.labels(encoder.coordinates(images))

    with meter("asking counterfactual probes", 10) as bar:
        probes = flips(dataset.images[few], tasks.names, label)
    verdicts = {
        name: verdict(associations[associations["task"] == name], probes[probes["task"] == name])
        for name in tasks.names
    }
    return Evidence(
        associations=associations,
        probes=probes,
        coverage=_coverage(dataset, tasks, rows, seed),
        similarity=_similarity(tasks, labels_ND),
        information=_information(labels_ND),
        verdicts=verdicts,
        images=len(rows),
        words=words(dataset.images[few], tasks, few),
    )


def _words(config: AnalyzeConfig) -> Any:
    if not config.text_model:
        return lambda images, tasks, rows: {}
    from taskdiscovery.analysis import text

    model = text.TextModel(Path(config.text_model))

    def find(images: Any, tasks: Tasks, rows: IntArray) -> dict[str, Any]:
        if set(tasks.k) != {2}:
            return {}
        embedded = model.images(images)
        found = text.words_for(tasks.labels[rows], embedded, model.texts(text.WORDS), text.WORDS)
        return dict(zip(tasks.names, found, strict=True))

    return find


def _coverage(dataset: Dataset, tasks: Tasks, rows: IntArray, seed: int) -> dict[str, Any] | None:
    """A linear probe from the coordinates to the human label: fitted on train, measured on test."""
    if dataset.labels is None or tasks.coordinates is None or tasks.train is None:
        return None
    known = dataset.labels >= 0
    fit = partition.sample(np.flatnonzero(tasks.train & known), 5000, seed, "coverage")
    rows = rows[known[rows]]
    if len(np.unique(dataset.labels[fit])) < 2 or not len(rows):
        return None
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    probe.fit(tasks.coordinates[fit], dataset.labels[fit])
    right = int((probe.predict(tasks.coordinates[rows]) == dataset.labels[rows]).sum())
    interval = stats.binomtest(right, len(rows)).proportion_ci(method="wilson")
    commonest = np.bincount(dataset.labels[fit]).argmax()
    return {
        "target": "label",
        "accuracy": right / len(rows),
        "low": float(interval.low),
        "high": float(interval.high),
        "commonest_class": float((dataset.labels[rows] == commonest).mean()),
        "coordinates": int(tasks.coordinates.shape[1]),
    }


def _similarity(tasks: Tasks, labels_ND: IntArray) -> FloatArray:
    return similarity_matrix(labels_ND, max(tasks.k))


def _information(labels_ND: IntArray) -> FloatArray:
    D = labels_ND.shape[1]
    matrix_DD = np.eye(D)
    for i in range(D):
        for j in range(i):
            value = adjusted_mutual_info_score(labels_ND[:, i], labels_ND[:, j])
            matrix_DD[i, j] = matrix_DD[j, i] = value
    return matrix_DD
