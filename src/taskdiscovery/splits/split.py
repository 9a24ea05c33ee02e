"""The job of splitting, from a target and tasks to a split with its figures.

What is chosen (the task, the orientation, the grouping) is chosen on a validation part of `train`;
what is reported comes from fresh seeds, on images that neither discovery nor the choice has seen.

Axes: N images, K runs, C classes of the target. Source: Atanov et al., NeurIPS 2022, section 5;
class balance, k-way targets, the controls of equal class counts and the held-out part of the train
side are ours.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from taskdiscovery import executors, partition
from taskdiscovery.config import SplitConfig
from taskdiscovery.executors import Executor
from taskdiscovery.journal import Journal
from taskdiscovery.progress import meter
from taskdiscovery.splits import controls, duplicates
from taskdiscovery.splits.choose import choose
from taskdiscovery.splits.cuts import Cut
from taskdiscovery.splits.measure import (
    Measured,
    check_fresh,
    equal_rows,
    measure,
    roles_of,
    run_seeds,
)
from taskdiscovery.stage import Stage, resolve
from taskdiscovery.training import to_tensor
from taskdiscovery.types import TEST, TRAIN, WITHIN, BoolArray, Dataset, Split, Target

_LOG = logging.getLogger("taskdiscovery")


@dataclass(frozen=True, eq=False, kw_only=True)
class SplitResult:
    """A split and what was measured on the way.

    Attributes:
        split: the split with its accuracies.
        result: the headline numbers, as in `result.json`.
    """

    split: Split
    result: dict[str, Any]


def pieces(config: SplitConfig) -> int:
    """Count the trainings that are measured at once: each variant, so many runs."""
    return config.runs * (1 + len(config.control_names))


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
        The split, with accuracies `adversarial`, `within` (held out within the train side), and
        those of the controls (see `controls`), each of the same size and class counts.

    Raises:
        ConfigError: for options that do not go together.
        DataError: where a side is left without images of two classes.
        NumericalError: where training diverges.
    """
    config = resolve(config, dataset, pieces=pieces(config))
    journal = journal or Journal()
    images = to_tensor(dataset.images, config.device)
    with executors.opened(config, images, dataset.images, journal) as crew:
        return _split(dataset, target, cuts, config, train, crew)


def _split(
    dataset: Dataset,
    target: Target,
    cuts: list[Cut],
    config: SplitConfig,
    train: BoolArray | None,
    crew: Executor,
) -> SplitResult:
    seen = partition.draw(len(dataset), config.seed) if train is None else train
    balanced = target.k > 2 if config.class_balanced is None else config.class_balanced
    stage = Stage.prepare(dataset, config, np.flatnonzero(seen))
    choice = choose(stage, target, cuts, config, seen, balanced, crew)
    chosen = choice.candidate
    adversarial = chosen.sides(target, balanced)
    names = [name for name in controls.CONTROLS if name in config.control_names]
    passes = len(adversarial.train) * stage.learner.recipe.epochs * ("hard" in names)
    with meter("making the controls", passes) as bar:
        variants = {"adversarial": adversarial} | {
            name: controls.make(
                name,
                dataset,
                target,
                adversarial,
                stage,
                config,
                seen,
                balanced,
                crew,
                bar,
            )
            for name in names
        }
    roles = {name: roles_of(sides, seen, config.seed) for name, sides in variants.items()}
    rows = equal_rows(roles, target, seen, config)
    seeds = {seed for run in range(config.runs) for seed in run_seeds(config, run)}
    check_fresh(choice, rows, seen, seeds)
    found = measure(stage, target, rows, config, crew)
    role = roles["adversarial"]
    own = rows["adversarial"]
    made = Split(
        target=target.name,
        task=chosen.cut.name,
        classes=target.classes,
        ids=dataset.ids,
        y=target.labels,
        place=adversarial.place,
        role=role,
        accuracy=_ordered(found),
        measured={"train": len(own.fit), "test": len(own.test), "within": len(own.within)},
        images=dataset.images,
    )
    copies = duplicates.across(
        dataset.images,
        np.flatnonzero((role == TRAIN) | (role == WITHIN)),
        np.flatnonzero(role == TEST),
        config.seed,
    )
    if copies.exact or copies.near:
        _LOG.warning(
            "across the sides there are %d exact copies and %d near ones among %d test images",
            copies.exact,
            copies.near - copies.exact,
            copies.looked_at,
        )
    result = {
        "target": target.name,
        "task": chosen.cut.name,
        "orientation": chosen.orientation,
        "group": np.flatnonzero(chosen.group).tolist(),
        "class_balanced": balanced,
        "learner": config.learner,
        "preset": config.preset,
        "precision": config.precision,
        "runs": config.runs,
        "sizes": made.sizes,
        "measured": made.measured,
        "accuracy": {name: interval.to_json() for name, interval in made.accuracy.items()},
        "where_runs_agree": found.agreed,
        "transfer": {
            learner: {
                name: interval.to_json()
                for name, interval in _ordered(
                    _transfer(dataset, target, learner, rows, config, crew)
                ).items()
            }
            for learner in config.transfer_learners
        },
        "duplicates_across": copies.exact,
        "near_duplicates": {
            "count": copies.near,
            "looked_at": copies.looked_at,
            "pairs": [
                {"test": str(dataset.ids[i]), "train": str(dataset.ids[j]), "similarity": s}
                for (i, j), s in zip(copies.pairs[:20].tolist(), copies.similarity, strict=False)
            ],
        },
        "choice": choice.table,
    }
    return SplitResult(split=made, result=result)


def _transfer(
    dataset: Dataset,
    target: Target,
    learner: str,
    rows: dict[str, Any],
    config: SplitConfig,
    crew: Executor,
) -> Measured:
    """Train another learner on the same images of the split and of the random one."""
    other = replace(config, learner=learner)
    stage = Stage.prepare(dataset, other, rows["adversarial"].fit)
    compared = {str(name): rows[name] for name in ("adversarial", "random")}
    return measure(stage, target, compared, other, crew, label=f"transfer {learner}")


def _ordered(found: Measured) -> dict[str, Any]:
    order = ("adversarial", "random", "within", "untrained", "hard", "kmeans")
    return {name: found.accuracy[name] for name in order if name in found.accuracy}
