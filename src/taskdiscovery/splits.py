"""The job of splitting: cut a labelled data set along a task so that a learner fails, and show
by controls that it is the cut that does it.

Train = images where target and task agree, test = images where they differ. For targets of more
than two classes the classes are put into two groups, and the group takes the target's place.

What is chosen (the task, the orientation) is chosen on a validation part of `train`; what is
reported comes from fresh seeds, on images that neither discovery nor the choice has seen.

Axes: N images, K runs, C classes of the target. Source: Atanov et al., NeurIPS 2022, section 5;
class balance, k-way targets, equal class counts and the held-out part of the train side are ours.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from taskdiscovery import partition
from taskdiscovery.agreement import mean_over_runs
from taskdiscovery.config import SplitConfig
from taskdiscovery.data.arrays import digests
from taskdiscovery.discovery import spectral
from taskdiscovery.errors import ConfigError, DataError, NumericalError
from taskdiscovery.journal import Journal, Unit, Watch
from taskdiscovery.progress import Meter, meter
from taskdiscovery.seeds import derive, generator
from taskdiscovery.stage import Stage
from taskdiscovery.training import (
    Learner,
    predict,
    resolve_device,
    resolve_precision,
    set_threads,
)
from taskdiscovery.types import (
    TEST,
    TRAIN,
    WITHIN,
    BoolArray,
    Dataset,
    FloatArray,
    IntArray,
    Interval,
    Split,
    Target,
)

_LOG = logging.getLogger("taskdiscovery")

HELD_OUT = 0.2  # share of the train side that is held out for `within`
CHOICE_IMAGES, CHOICE_EPOCHS = 4000, 4


@dataclass(frozen=True, eq=False, kw_only=True)
class Cut:
    """A task that can cut a data set.

    Attributes:
        name: of the task.
        place: (N,) its class, 0 or 1.
        coordinate: (N,) continuous, the task being its sign; None for a task from a table.
    """

    name: str
    place: IntArray
    coordinate: FloatArray | None = None

    def sides(self, target: Target, orientation: str, class_balanced: bool) -> Sides:
        """Say for each image on which side of the split it falls.

        Args:
            target: the human labeling.
            orientation: `same` puts images on the train side where (the group of) the target's
                class equals the task's; `opposite` where it differs.
            class_balanced: cut the coordinate at its median within each class, so that every
                class gives half of its images to each side.
        """
        place = self.place
        if class_balanced:
            if self.coordinate is None:
                raise ConfigError(
                    f"{self.name} has no coordinate to cut within classes",
                    where="--class-balanced",
                    mend="take the task from a run or from untrained:NETWORK, or leave it out",
                )
            place = np.zeros_like(self.place)
            for c in range(target.k):
                own = np.flatnonzero(target.labels == c)
                if len(own):
                    place[own] = self.coordinate[own] > np.median(self.coordinate[own])
        group_C = self._groups(target)
        train = group_C[np.maximum(target.labels, 0)] == place
        if orientation == "opposite":
            train = ~train
        return Sides(train=train, place=place, known=target.known)

    def _groups(self, target: Target) -> IntArray:
        """Put the classes in two groups; more than two classes by how they lean on the task."""
        if target.k == 2:
            return np.array([0, 1])
        lean = self.place if self.coordinate is None else self.coordinate
        lean_C = np.array(
            [
                lean[target.labels == c].mean() if (target.labels == c).any() else 0.0
                for c in range(target.k)
            ]
        )
        upper = np.argsort(lean_C, kind="stable")[target.k // 2 :]
        return np.isin(np.arange(target.k), upper).astype(np.int64)


@dataclass(frozen=True, eq=False, kw_only=True)
class Sides:
    """One way to split.

    Attributes:
        train: (N,) True on the train side.
        place: (N,) the class of the cutting task.
        known: (N,) False where the target has no class; such images take no part.
    """

    train: BoolArray
    place: IntArray
    known: BoolArray


@dataclass(frozen=True, eq=False, kw_only=True)
class SplitResult:
    """A split and what was measured on the way.

    Attributes:
        split: the split with its accuracies.
        result: the headline numbers, as in `result.json`.
    """

    split: Split
    result: dict[str, Any]


def resolve(config: SplitConfig) -> SplitConfig:
    """Fill in the preset, and take the decisions that depend on the machine, once."""
    device = resolve_device(config.device)
    return replace(
        config.resolved(),
        device=device,
        precision=resolve_precision(config.precision, device),
        threads=set_threads(config.threads),
    )


def split(
    dataset: Dataset,
    target: Target,
    cuts: list[Cut],
    config: SplitConfig,
    *,
    train: BoolArray | None = None,
    journal: Journal | None = None,
) -> SplitResult:
    """Split a data set along a task, and measure the split beside its controls.

    Args:
        dataset: the images.
        target: the human labeling to break.
        cuts: the task to cut along; of several, the one that is worst for the target on the
            validation part is taken.
        config: learner, preset, orientation, class balance, runs.
        train: (N,) True for images that discovery may have seen: these alone are trained on, and
            the others alone are measured on. By default (a task from a table or of an untrained
            network) the partition of the seed.
        journal: remembers what is finished, so that a job that was stopped can go on.

    Returns:
        The split, with accuracies `adversarial`, `random` (same size and class counts), `within`
        (held out within the train side) and `untrained` (cut along an untrained network).

    Raises:
        ConfigError: for options that do not go together.
        DataError: where a side is left without images of two classes.
        NumericalError: where training diverges.
    """
    config, journal = resolve(config), journal or Journal()
    seen = partition.draw(len(dataset), config.seed) if train is None else train
    balanced = target.k > 2 if config.class_balanced is None else config.class_balanced
    stage = Stage.prepare(dataset, config, np.flatnonzero(seen))
    candidates = _candidates(cuts, config.orientation)
    choice: list[dict[str, object]] = []
    if len(candidates) > 1:
        choice = _choose(stage, target, cuts, config, seen, balanced, journal)
        best = min(choice, key=lambda row: float(str(row["accuracy"])))
        cut = next(c for c in cuts if c.name == best["task"])
        orientation = str(best["orientation"])
    else:
        cut, orientation = candidates[0]

    adversarial = cut.sides(target, orientation, balanced)
    untrained = untrained_cut(dataset, config.learner, stage, config, seen)
    variants = {
        "adversarial": adversarial,
        "random": _shuffled(adversarial, target, seen, config.seed),
        "untrained": untrained.sides(target, "same", balanced),
    }
    roles = {name: _roles(sides, seen, config.seed) for name, sides in variants.items()}
    rows = _equal_rows(roles, target, seen, config)
    accuracy = _measure(stage, target, rows, config, journal)
    role = roles["adversarial"]
    found = Split(
        target=target.name,
        task=cut.name,
        ids=dataset.ids,
        y=target.labels,
        place=adversarial.place,
        role=role,
        accuracy=accuracy,
        measured={
            "train": len(rows["adversarial"][0]),
            "test": len(rows["adversarial"][2]),
            "within": len(rows["adversarial"][1]),
        },
    )
    duplicates = _duplicates_across(dataset, role)
    if duplicates:
        _LOG.warning("%d test images are exact copies of training images", duplicates)
    result = {
        "target": target.name,
        "task": cut.name,
        "orientation": orientation,
        "class_balanced": balanced,
        "learner": config.learner,
        "preset": config.preset,
        "precision": config.precision,
        "runs": config.runs,
        "sizes": found.sizes,
        "measured": found.measured,
        "accuracy": {name: interval.to_json() for name, interval in accuracy.items()},
        "duplicates_across": duplicates,
        "choice": choice,
    }
    return SplitResult(split=found, result=result)


def untrained_cut(
    dataset: Dataset, learner: str, stage: Stage, config: SplitConfig, seen: BoolArray
) -> Cut:
    """The task of an untrained network: the sign of one random output, cut at its median.

    Args:
        dataset: the images.
        learner: SPEC of the network; `seed` among its options decides its weights.
        stage: device, normalization.
        config: precision and seed.
        seen: images that batch norm and the median are taken from.
    """
    made = Learner.of(
        learner, stage.learner.recipe, device=config.device, precision=config.precision
    )
    model = spectral.untrained(
        made,
        dataset.image_shape,
        1,
        stage.pixels,
        stage.images,
        np.flatnonzero(seen),
        derive(config.seed, "untrained"),
    )
    outputs = predict(model, stage.images, np.arange(len(dataset)), "float32")[:, 0].numpy()
    coordinate = outputs - np.median(outputs[seen])
    return Cut(
        name=f"untrained:{learner}",
        place=(coordinate > 0).astype(np.int64),
        coordinate=coordinate.astype(np.float64),
    )


def _candidates(cuts: list[Cut], orientation: str) -> list[tuple[Cut, str]]:
    orientations = ("same", "opposite") if orientation == "auto" else (orientation,)
    return [(cut, way) for cut in cuts for way in orientations]


def _choose(
    stage: Stage,
    target: Target,
    cuts: list[Cut],
    config: SplitConfig,
    seen: BoolArray,
    balanced: bool,
    journal: Journal,
) -> list[dict[str, object]]:
    """Train briefly on each candidate; return its accuracy on the validation part of `train`.

    All tasks are tried in one orientation, the worst two of them in the other as well.
    """
    rows = generator(config.seed, "choose").permutation(np.flatnonzero(seen & target.known))
    validation, fit = np.split(rows, [len(rows) // 5])
    brief = replace(
        stage,
        learner=replace(
            stage.learner,
            recipe=replace(
                stage.learner.recipe, epochs=min(CHOICE_EPOCHS, stage.learner.recipe.epochs)
            ),
        ),
    )
    first = "same" if config.orientation == "auto" else config.orientation
    table: list[dict[str, object]] = []
    epochs = brief.learner.recipe.epochs
    total = (len(cuts) + 2) * min(CHOICE_IMAGES, len(fit) // 2) * epochs

    def try_out(cut: Cut, orientation: str, bar: Meter) -> None:
        sides = cut.sides(target, orientation, balanced)
        train_rows = np.sort(fit[sides.train[fit]][:CHOICE_IMAGES])
        test_rows = validation[~sides.train[validation]]
        if len(np.unique(target.labels[train_rows])) < 2 or len(test_rows) == 0:
            return

        def work(watch: Watch) -> Unit:
            predicted = brief.run(
                target.labels,
                target.k,
                train_rows,
                test_rows,
                init_seed=derive(config.seed, "choose", "init"),
                order_seed=derive(config.seed, "choose", "order"),
                meter=bar,
                watch=watch,
            )
            return Unit(values={"accuracy": float((predicted == target.labels[test_rows]).mean())})

        key = f"choose {orientation} {cut.name}"
        accuracy = float(journal.unit(key, work).values["accuracy"])
        table.append({"task": cut.name, "orientation": orientation, "accuracy": accuracy})
        bar.advance(0, f"{cut.name}: {accuracy:.3f}")

    with meter("choosing the split", total) as bar:
        for cut in cuts:
            try_out(cut, first, bar)
        if config.orientation == "auto":
            worst = sorted(table, key=lambda row: float(str(row["accuracy"])))[:2]
            for row in worst:
                try_out(next(c for c in cuts if c.name == row["task"]), "opposite", bar)
    if not table:
        raise DataError(
            "no task leaves two classes on its train side",
            where=f"--target {target.name}",
            mend="use --class-balanced, or another target",
        )
    return table


def _shuffled(sides: Sides, target: Target, seen: BoolArray, seed: int) -> Sides:
    """A random split of exactly the same size and class counts, within each part."""
    train = sides.train.copy()
    rng = generator(seed, "random split")
    for c in range(target.k):
        for part in (seen, ~seen):
            rows = np.flatnonzero((target.labels == c) & part)
            train[rows] = rng.permutation(train[rows])
    return replace(sides, train=train)


def _roles(sides: Sides, seen: BoolArray, seed: int) -> np.ndarray[tuple[int], np.dtype[np.int8]]:
    """Give each image its role.

    A fifth of the train side is held out for `within`: first the images that discovery has not
    seen (on which it is measured), then others drawn from the seed.
    """
    role = np.full(len(seen), TEST, dtype=np.int8)
    role[sides.train] = TRAIN
    side = generator(seed, "within").permutation(np.flatnonzero(sides.train & sides.known))
    side = side[np.argsort(seen[side], kind="stable")]
    role[side[: round(HELD_OUT * len(side))]] = WITHIN
    role[sides.train & ~seen & (role == TRAIN)] = WITHIN
    role[~sides.known] = -1
    return role


Rows = tuple[IntArray, IntArray, IntArray]


def _equal_rows(
    roles: dict[str, np.ndarray[tuple[int], np.dtype[np.int8]]],
    target: Target,
    seen: BoolArray,
    config: SplitConfig,
) -> dict[str, Rows]:
    """Choose the images of every comparison: equal numbers of each class in all variants.

    Returns:
        For each variant the rows to train on, those held out within its train side, and those of
        its test side; trained on are images that discovery may have seen, measured on the others.
    """
    pools: dict[str, list[list[IntArray]]] = {}
    for name, role in roles.items():
        rng = generator(config.seed, "rows", name)
        pools[name] = [
            [
                rng.permutation(np.flatnonzero((role == r) & part & (target.labels == c)))
                for c in range(target.k)
            ]
            for r, part in ((TRAIN, seen), (WITHIN, ~seen), (TEST, ~seen))
        ]
    counts = np.array([[[len(p) for p in ps] for ps in pool] for pool in pools.values()])
    least_RC = counts.min(axis=0)
    limits = (config.train_images, config.test_images, config.test_images)
    for r, limit in enumerate(limits):
        total = least_RC[r].sum()
        if limit is not None and total > limit:
            least_RC[r] = least_RC[r] * limit // total
    if (least_RC[0] > 0).sum() < 2 or least_RC[1].sum() == 0 or least_RC[2].sum() == 0:
        raise DataError(
            "a side of the split is left without images of two classes",
            where=f"--target {target.name}",
            mend="use --class-balanced, another task, or more images",
        )
    return {
        name: tuple(
            np.sort(np.concatenate([p[:n] for p, n in zip(ps, least_RC[r], strict=True)]))
            for r, ps in enumerate(pool)
        )  # type: ignore[misc]
        for name, pool in pools.items()
    }


def _measure(
    stage: Stage, target: Target, rows: dict[str, Rows], config: SplitConfig, journal: Journal
) -> dict[str, Interval]:
    """Train `config.runs` runs on every variant, from seeds that chose nothing."""
    correct: dict[str, list[BoolArray]] = {}
    epochs = stage.learner.recipe.epochs
    total = sum(len(fit) for fit, _, _ in rows.values()) * config.runs * epochs
    with meter("measuring the split", total) as bar:
        for name, (fit, within, test) in rows.items():
            measured = np.concatenate([within, test])
            for run in range(config.runs):

                def work(
                    watch: Watch, fit: IntArray = fit, measured: IntArray = measured, run: int = run
                ) -> Unit:
                    predicted = stage.run(
                        target.labels,
                        target.k,
                        fit,
                        measured,
                        init_seed=derive(config.seed, "report", run, "init"),
                        order_seed=derive(config.seed, "report", run, "order"),
                        meter=bar,
                        watch=watch,
                    )
                    return Unit(arrays={"predicted": predicted})

                try:
                    done = journal.unit(f"measure {name}/run {run}", work)
                except NumericalError as error:
                    _LOG.warning("%s, run %d: %s, counted as failed", name, run, error.what)
                    continue
                right = done.arrays["predicted"] == target.labels[measured]
                if name == "adversarial":
                    correct.setdefault("within", []).append(right[: len(within)])
                correct.setdefault(name, []).append(right[len(within) :])
                bar.advance(0, f"{name}: {right[len(within) :].mean():.3f}")
    missing = [name for name in rows if name not in correct]
    if missing:
        raise NumericalError(
            f"all runs diverged on: {', '.join(missing)}",
            where=f"--learner {config.learner}",
            mend="lower --learning-rate, or use --precision float32",
        )
    order: Iterable[str] = ("adversarial", "random", "within", "untrained")
    return {name: mean_over_runs(np.stack(correct[name])) for name in order}


def _duplicates_across(dataset: Dataset, role: np.ndarray[tuple[int], np.dtype[np.int8]]) -> int:
    """Count test images that are exact copies of an image on the train side."""
    hashes = digests(dataset.images)
    train = hashes[(role == TRAIN) | (role == WITHIN)]
    return int(np.isin(hashes[role == TEST], train).sum())
