"""All evidence about tasks, measured on images that discovery has not seen.

Axes: N images, D tasks.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import adjusted_mutual_info_score

from taskdiscovery.agreement import similarity_matrix
from taskdiscovery.analysis import naming
from taskdiscovery.analysis.associations import associate
from taskdiscovery.analysis.coverage import linear_probe
from taskdiscovery.analysis.flips import flips
from taskdiscovery.analysis.joint import Images, joint_models
from taskdiscovery.analysis.probes import PROBES
from taskdiscovery.analysis.properties import factor_table
from taskdiscovery.analysis.rules import FEW_GROUPS
from taskdiscovery.analysis.verdict import verdict
from taskdiscovery.config import AnalyzeConfig
from taskdiscovery.data import partition
from taskdiscovery.encoders.encoder import Encoder
from taskdiscovery.encoders.linear import FeatureEncoder
from taskdiscovery.errors import DataError
from taskdiscovery.runtime.callbacks import Callbacks
from taskdiscovery.types import (
    Dataset,
    Document,
    Evidence,
    FloatArray,
    ImageArray,
    IntArray,
    Tasks,
)


def analyze(
    dataset: Dataset,
    tasks: Tasks,
    encoder: Encoder | FeatureEncoder | None,
    config: AnalyzeConfig,
    callbacks: Callbacks,
) -> Evidence:
    """Measure tasks on a data set.

    Args:
        dataset: the images.
        tasks: their tasks, with coordinates and partition where there are some.
        encoder: labels the transformed images; without it no probes are run.
        config: how many images, which text model, what names tasks, and where networks compute
            (resolved); its seed decides which images, and the folds.
        callbacks: told of progress.

    Raises:
        DataError: where no image is left that discovery has not seen.
        ConfigError: for a text model, or a model that names, that cannot be read.
        ResourceError: where the weights of the latter are not installed.
    """
    words = _words(config)  # a wrong path is found before anything is measured
    everywhere = np.arange(len(dataset))
    unseen = np.flatnonzero(~tasks.seen_N) if tasks.seen_N is not None else everywhere
    rows = partition.sample(unseen, config.images, config.seed, "evidence")
    if len(rows) < 20:
        raise DataError(
            f"{len(rows)} images are left that discovery has not seen",
            where=dataset.name,
            hint="at least 20 are needed to measure anything",
        )
    # First of all: a model that cannot name these images is refused before minutes are spent.
    namer, names = naming.names_for(dataset, tasks, config, callbacks)
    labels_ND = tasks.labels_ND[rows]
    associations, joint = _properties(dataset, tasks, rows, config, callbacks)
    few = rows[: config.probe_images]
    probes = pd.DataFrame()
    if encoder is not None:
        probes = _probes(dataset, few, tasks.names, encoder, config.device, callbacks)
    verdicts = {
        name: verdict(_of(associations, name), _of(probes, name), joint[name])
        for name in tasks.names
    }
    information_DD = _information(labels_ND)
    return Evidence(
        associations=associations,
        probes=probes,
        coverage=_coverage(dataset, tasks, rows, config.seed),
        similarity=similarity_matrix(labels_ND, max(tasks.k)),
        information=information_DD,
        redundancy=_redundancy(information_DD),
        verdicts=verdicts,
        joint=joint,
        images=len(rows),
        notes=_notes(dataset, rows),
        words=words(dataset.images[few], tasks, few),
        namer=namer,
        names=names,
    )


def _of(table: pd.DataFrame, task: str) -> pd.DataFrame:
    return table[table["task"] == task] if len(table) else table


def _properties(
    dataset: Dataset,
    tasks: Tasks,
    rows: IntArray,
    config: AnalyzeConfig,
    callbacks: Callbacks,
) -> tuple[pd.DataFrame, dict[str, list[Document]]]:
    """Measure every labeling against every property, and against properties together."""
    spare = rows[:0]
    if tasks.seen_N is not None:
        seen = np.flatnonzero(tasks.seen_N)
        spare = partition.sample(seen, config.images, config.seed, "joint")
        if dataset.groups is not None:  # a group that is measured is not fitted on
            spare = spare[~np.isin(dataset.groups[spare], np.unique(dataset.groups[rows]))]
    used = np.concatenate([rows, spare])
    measured = np.arange(len(rows))
    labelings: dict[str, IntArray] = {
        n: tasks.labels_ND[used, d] for d, n in enumerate(tasks.names)
    }
    classes = dict(zip(tasks.names, tasks.class_names, strict=True))
    if dataset.labels is not None:
        labelings["label"] = dataset.labels[used]
        classes["label"] = tuple(map(str, dataset.classes))
    with callbacks.stage("measuring associations", 1 + len(labelings)) as meter:
        factors = factor_table(dataset, used)
        images = Images(
            factors=factors,
            measured=measured,
            spare=np.arange(len(rows), len(used)),
            groups=None if dataset.groups is None else dataset.groups[used],
            seed=config.seed,
        )
        joint = {}
        for name, labels_N in labelings.items():
            joint[name] = joint_models(name, labels_N, images)
            meter.advance()
        associations = associate(
            {name: labels_N[measured] for name, labels_N in labelings.items()},
            {name: factor.at(measured) for name, factor in factors.items()},
            seed=config.seed,
            groups=None if dataset.groups is None else dataset.groups[rows],
            classes=classes,
        )
        meter.advance()
    return associations, joint


def _notes(dataset: Dataset, rows: IntArray) -> tuple[str, ...]:
    """Warn of what makes the intervals rough."""
    if dataset.groups is None:
        return ()
    groups = len(np.unique(partition.codes(dataset.groups[rows])))
    if groups >= FEW_GROUPS:
        return ()
    return (f"{len(rows):,} images of {groups} groups alone: intervals are rough",)


def _probes(
    dataset: Dataset,
    rows: IntArray,
    names: tuple[str, ...],
    encoder: Encoder | FeatureEncoder,
    device: str,
    callbacks: Callbacks,
) -> pd.DataFrame:
    with callbacks.stage("running counterfactual probes", 1 + 2 * len(PROBES)) as meter:

        def label(changed: ImageArray) -> IntArray:
            meter.advance()
            return encoder.predict(changed, device)

        groups = None if dataset.groups is None else dataset.groups[rows]
        return flips(dataset.images[rows], names, label, groups)


def _words(config: AnalyzeConfig) -> Any:
    if not config.text_model:
        return lambda images, tasks, rows: {}
    from taskdiscovery.analysis import text

    model = text.TextModel(Path(config.text_model), device=config.device)

    def find(images: Any, tasks: Tasks, rows: IntArray) -> Document:
        if set(tasks.k) != {2}:
            return {}
        embedded = model.images(images)
        found = text.words_for(tasks.labels_ND[rows], embedded, model.texts(text.WORDS), text.WORDS)
        return dict(zip(tasks.names, found, strict=True))

    return find


def _coverage(dataset: Dataset, tasks: Tasks, rows: IntArray, seed: int) -> Document | None:
    """A linear probe from the coordinates to the human label: fitted on train, measured on test."""
    if dataset.labels is None or tasks.coordinates_NP is None or tasks.seen_N is None:
        return None
    known = np.flatnonzero(tasks.seen_N & (dataset.labels >= 0))
    fit = partition.sample(known, 5000, seed, "coverage")
    found = linear_probe(tasks.coordinates_NP, dataset.labels, fit, rows)
    return None if found is None else {"target": "label", **found}


def _information(labels_ND: IntArray) -> FloatArray:
    D = labels_ND.shape[1]
    matrix_DD = np.eye(D)
    for i in range(D):
        for j in range(i):
            both_N = (labels_ND[:, i] >= 0) & (labels_ND[:, j] >= 0)
            value = adjusted_mutual_info_score(labels_ND[both_N, i], labels_ND[both_N, j])
            matrix_DD[i, j] = matrix_DD[j, i] = value
    return matrix_DD


def _redundancy(information_DD: FloatArray) -> dict[str, float | None]:
    pairs = information_DD[np.triu_indices(len(information_DD), 1)]
    if not len(pairs):
        return {"mean": None, "max": None}
    return {"mean": float(pairs.mean()), "max": float(pairs.max())}
