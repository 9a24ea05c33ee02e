"""Are verdicts right? On labelings of known cause, and on discovered tasks against a rival.

*Made*: labelings of `planted`, a verdict each, by the rules of right that stand there.
*Rival*: tasks discovered on part of a data set, with a verdict from images of that part; on the
other part, which neither discovery nor verdict has used, a random forest is cross-validated on the
same properties. It *finds one* where the interval of its AUC lies above 0.6. Counted is how often
the verdict says "no measured property" of those tasks.

Thresholds were chosen on `--tune`: `shapes` of seed 0 and the first rows of CIFAR-10. What is
reported comes from other data: `shapes` of other seeds, other rows of CIFAR-10, BAR, Tiny-ImageNet.

    python -m benchmarks.verdicts --data ../shared/data --json

With `--features FOLDER` (NAME.npz with `features` of `td.embed(data, backbone="lite0")` and `rows`)
the rival is asked of tasks of pursuit on features, too, whose labels and attributes are not given:
what they follow is seldom a single statistic. That 0.6 within a wide interval is called too few
images, and not no property, was learnt on another cut of BAR; reported are other rows of the rest.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import StratifiedKFold, cross_val_predict

import taskdiscovery as td
from benchmarks.machine import own_process
from benchmarks.planted import Planted, attributes_of, in_domains, planted, right, unseen
from benchmarks.provenance import about, add_output, deliver, told
from taskdiscovery.analysis import evidence, measures
from taskdiscovery.analysis.properties import Factor, factor_table
from taskdiscovery.analysis.verdict import main_property
from taskdiscovery.config import AnalyzeConfig
from taskdiscovery.data.readers import shapes
from taskdiscovery.encoders.linear import FeatureEncoder
from taskdiscovery.runtime.callbacks import Callbacks
from taskdiscovery.types import Dataset, Tasks

TUNE, REPORT = 0, 1
AT_ONCE = 20  # labelings whose false discoveries are controlled together
FINDS = 0.6


def data_sets(where: Path, seed: int) -> Iterator[tuple[Dataset, int]]:
    """Yield data sets, and how many labelings to make of each."""
    if seed == TUNE:
        yield shapes.draw(4000, seed=TUNE, name="shapes?seed=0"), 36
        yield _some(where / "cifar10" / "train.parquet", slice(0, 5000)), 80
        return
    yield shapes.draw(4000, seed=11, name="shapes?seed=11"), 30
    yield in_domains(_some(where / "cifar10" / "train.parquet", slice(40_000, 44_000)), seed), 30
    yield _some(where / "cifar10" / "train.parquet", slice(30_000, 34_000)), 48
    yield _some(where / "bar" / "train.parquet", slice(None), 64), 48
    yield _some(where / "tiny-imagenet" / "train.parquet", slice(0, 4000)), 48


def _some(path: Path, rows: slice, size: int | None = None) -> Dataset:
    dataset = td.load(path, size=size, callbacks=()) if size else td.load(path, callbacks=())
    kept = np.arange(len(dataset))[rows]
    name = f"{path.parent.name}, rows {kept[0]} to {kept[-1]}"
    return _part(replace(dataset, name=name), kept)


def _part(dataset: Dataset, rows: Any) -> Dataset:
    return replace(
        dataset,
        images=dataset.images[rows],
        ids=dataset.ids[rows],
        labels=None if dataset.labels is None else dataset.labels[rows],
        attributes=None
        if dataset.attributes is None
        else dataset.attributes.iloc[rows].reset_index(drop=True),
        features=None if dataset.features is None else dataset.features[rows],
        facts_parquet=None,
    )


def made_rows(where: Path, seed: int) -> Iterator[dict[str, Any]]:
    """Yield a row for each labeling that was made."""
    for dataset, count in data_sets(where, seed):
        everywhere = np.arange(len(dataset))
        if dataset.attributes is None:
            bright_N = factor_table(dataset, everywhere)["brightness"].values
            dataset = replace(dataset, attributes=attributes_of(dataset, bright_N, seed))
        factors = factor_table(dataset, everywhere)
        every = list(planted(dataset, factors, count, seed))
        for start in range(0, count, AT_ONCE):
            yield from _judged(dataset, every[start : start + AT_ONCE], seed)


def _judged(dataset: Dataset, every: list[Planted], seed: int) -> Iterator[dict[str, Any]]:
    tasks = Tasks(
        labels_ND=np.stack([made.labels_N for made in every], axis=1),
        names=tuple(f"made {i}" for i in range(len(every))),
        ids_N=dataset.ids,
        k=(2,) * len(every),
        seen_N=~unseen(len(dataset), 0.4, seed),
    )
    began = time.perf_counter()
    config = AnalyzeConfig(seed=seed, threads=1)
    found = evidence.analyze(dataset, tasks, None, config, Callbacks())
    seconds = (time.perf_counter() - began) / len(every)
    for name, made in zip(tasks.names, every, strict=True):
        own = found.associations[found.associations["task"] == name]
        yield {
            "part": "made",
            "data": dataset.name,
            "kind": made.kind,
            "noise": made.noise,
            "planted": " or ".join(made.factors),
            "level": made.level,
            "right": bool(right(made, main_property(own), found.verdicts[name])),
            "verdict": found.verdicts[name],
            "seconds": round(seconds, 2),
        }


def searches(seed: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield ways to discover tasks, each cheap."""
    cheap = {"threads": 1, "callbacks": (), "seed": seed, "epochs": 1, "encoder_epochs": 2}
    yield "untrained convnet", {"method": "spectral", "learner": "convnet", "tasks": 6, **cheap}
    yield "untrained mlp", {"method": "spectral", "learner": "mlp", "tasks": 4, **cheap}
    two, small = td.Power(iterations=2), "convnet?width=0.25"
    yield "power", {"method": two, "learner": small, "tasks": 5, **cheap}
    without = ["label", "brightness", "colour", "contrast", "saturation"]
    yield (
        "power without label and statistics",
        {"method": two, "learner": small, "tasks": 5, "exclude": without, **cheap},
    )


def rival_rows(where: Path, seed: int) -> Iterator[dict[str, Any]]:
    """Yield a row for each discovered task."""
    for dataset, _ in data_sets(where, seed):
        order = np.random.default_rng([seed, 8]).permutation(len(dataset))
        cut = round(0.6 * len(dataset))
        first, other = (_part(dataset, np.sort(rows)) for rows in (order[:cut], order[cut:]))
        factors = factor_table(other, np.arange(len(other)))
        if dataset.attributes is None:  # as much is known as of the labelings that are made
            bright_N = factors["brightness"].values
            other = replace(other, attributes=attributes_of(other, bright_N, seed))
            factors = factor_table(other, np.arange(len(other)))
            bright_N = factor_table(first, np.arange(len(first)))["brightness"].values
            first = replace(first, attributes=attributes_of(first, bright_N, seed))
        for how, options in searches(seed):
            found = td.discover(first, **options)
            said = td.analyze(
                first, found.tasks, threads=1, callbacks=(), probe_images=10, seed=seed
            )
            labels_ND = found.encoder.predict(other.images)
            for d, name in enumerate(found.tasks.names):
                own = labels_ND[:, d], said.verdicts[name]
                yield _rivalled(dataset.name, how, name, own, factors, seed)


def feature_rows(where: Path, features: Path, seed: int) -> Iterator[dict[str, Any]]:
    """Yield a row for each task of pursuit on features, of images alone."""
    for name, size in (("bar", 64), ("cifar10", None), ("tiny-imagenet", None)):
        kept = np.load(features / f"{name.split('-')[0]}.npz")
        half = slice(0, 6000) if seed == TUNE or name == "bar" else slice(6000, None)
        whole = _some(where / name / "train.parquet", slice(None), size)
        dataset = replace(_part(whole, kept["rows"][half]), labels=None, classes=())
        dataset = replace(dataset, features=kept["features"][half], name=f"{name}, lite0")
        order = np.random.default_rng([seed, 8]).permutation(len(dataset))
        cut = round(0.6 * len(dataset))
        first, other = (_part(dataset, np.sort(rows)) for rows in (order[:cut], order[cut:]))
        found = td.discover(first, method="pursuit", tasks=10, threads=1, callbacks=(), seed=seed)
        said = td.analyze(first, found.tasks, threads=1, callbacks=(), seed=seed)
        assert other.features is not None
        assert isinstance(found.encoder, FeatureEncoder)
        labels_ND = found.encoder.predict(other.features)
        factors = factor_table(other, np.arange(len(other)))
        for d, task in enumerate(found.tasks.names):
            own = labels_ND[:, d], said.verdicts[task]
            yield _rivalled(dataset.name, "pursuit", task, own, factors, seed)


def _rivalled(
    data: str, how: str, task: str, own: tuple[Any, str], factors: dict[str, Factor], seed: int
) -> dict[str, Any]:
    auc, low = rival(own[0], factors, seed)
    return {
        "part": "rival",
        "data": data,
        "kind": how,
        "task": task,
        "rival_auc": round(auc, 3),
        "rival_low": round(low, 3),
        "finds": low > FINDS,
        "none": own[1].startswith("follows no measured property"),
        "verdict": own[1],
    }


def rival(labels_N: Any, factors: dict[str, Factor], seed: int) -> tuple[float, float]:
    """Return the AUC of a random forest on all properties, cross-validated, and its lower end."""
    if min(np.bincount(labels_N, minlength=2)[:2]) < 10:
        return 0.5, 0.0
    columns = [f.values for f in factors.values() if not f.levels]
    columns += [f.values == c for f in factors.values() for c in range(len(f.levels))]
    forest = RandomForestClassifier(200, min_samples_leaf=3, random_state=seed, n_jobs=1)
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    x_NP = np.stack(columns, axis=1).astype(np.float32)
    chance_N = cross_val_predict(forest, x_NP, labels_N, cv=folds, method="predict_proba")[:, 1]
    found = measures.auc(chance_N, labels_N == 1)
    return found.value, found.low


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Count, in all and by kind, data and noise."""
    made = [row for row in rows if row["part"] == "made"]
    found = [row for row in rows if row["part"] == "rival" and row["finds"]]
    tables = {
        key: {
            str(value): f"{sum(r['right'] for r in own)}/{len(own)}"
            for value in sorted({r[key] for r in made}, key=str)
            for own in [[r for r in made if r[key] == value]]
        }
        for key in ("kind", "data", "noise")
    }
    return {
        "labelings": len(made),
        "right": sum(row["right"] for row in made),
        "right_share": round(float(np.mean([row["right"] for row in made])), 4) if made else None,
        **tables,
        "tasks": sum(row["part"] == "rival" for row in rows),
        "rival_finds": len(found),
        "none_said_of_those": sum(row["none"] for row in found),
        "none_said_in_all": sum(row["part"] == "rival" and row["none"] for row in rows),
    }


def main() -> None:
    """Measure, print each row as it is there, then the document."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.verdicts", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder of real images")
    parser.add_argument("--features", type=Path, default=None, help="a folder of their features")
    parser.add_argument("--tune", action="store_true", help="the data that thresholds come from")
    parser.add_argument("--only", choices=("made", "rival", "features"), default=None)
    add_output(parser)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    own_process(1)
    seed = TUNE if options.tune else REPORT
    began = time.perf_counter()
    rows: list[dict[str, Any]] = []
    if options.only in (None, "made"):
        rows += told(made_rows(options.data, seed))
    if options.only in (None, "rival"):
        rows += told(rival_rows(options.data, seed))
    if options.only in (None, "features") and options.features is not None:
        rows += told(feature_rows(options.data, options.features, seed))
    document = {
        "summary": summary(rows),
        "tuned": options.tune,
        "seconds": round(time.perf_counter() - began, 1),
        "rows": rows,
        "environment": about(),
    }
    deliver(document, options)


if __name__ == "__main__":
    main()
