"""From a target and tasks to a split with its figures.

What is chosen (the task, the orientation, the grouping) is chosen on a validation part of `train`;
what is reported comes from fresh seeds, on images that neither discovery nor the choice has seen.

Axes: N images, K runs, C classes of the target. Source: Atanov et al., NeurIPS 2022, section 5;
class balance, k-way targets, the controls of equal class counts and the held-out part of the train
side are ours.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from taskdiscovery.config import SplitConfig
from taskdiscovery.data import partition
from taskdiscovery.executors import looking_at
from taskdiscovery.splits import controls, duplicates
from taskdiscovery.splits.choose import Choice, choose
from taskdiscovery.splits.cuts import Sides, coordinate_of, is_lopsided
from taskdiscovery.splits.details import Beside
from taskdiscovery.splits.judging import Question
from taskdiscovery.splits.measure import (
    Measured,
    Roles,
    Rows,
    check_fresh,
    equal_rows,
    measure,
    roles_of,
    run_seeds,
)
from taskdiscovery.training import Workbench, warn_if_brief
from taskdiscovery.types import (
    TEST,
    TRAIN,
    WITHIN,
    BoolArray,
    Copies,
    Dataset,
    IdArray,
    IntArray,
    Interval,
    Labeling,
    Setup,
    Split,
)

_LOG = logging.getLogger("taskdiscovery")

#: the figures of every split, in the order in which they are told; controls follow.
_FIRST = ("adversarial", "random", "within")


def trainings(config: SplitConfig) -> int:
    """Count the trainings that are measured at once: each variant, so many runs."""
    return config.runs * (1 + len(config.controls))


def outputs(config: SplitConfig, classes: int) -> dict[str, set[int]]:
    """Say with how many outputs each learner of a split is built, by its SPEC or name.

    Args:
        config: which controls and other learners there are.
        classes: of the target.
    """
    found = {name: {classes} for name in config.transfer}
    untrained = {count for name, count in controls.UNTRAINED.items() if name in config.controls}
    found[config.learner] = {classes} | untrained
    return found


def split(
    bench: Workbench,
    target: Labeling,
    tasks: Sequence[Labeling],
    config: SplitConfig,
    seen_N: BoolArray,
) -> Split:
    """Split a data set along a task, and measure the split beside its controls.

    Args:
        bench: images, learner, executor; normalized on the images of `seen_N`.
        target: the human labeling to break.
        tasks: binary labelings to cut along; of several, the one that is worst for the target on
            the validation part is taken.
        config: resolved: preset, orientation, class balance, runs.
        seen_N: (N,) True for images that discovery may have seen: these alone are trained on, and
            the others alone are measured on.

    Returns:
        The split, with accuracies `adversarial`, `within` (held out within the train side), and
        those of the controls (see `controls`), each of the same size and class counts.

    Raises:
        ConfigError: for options that do not go together.
        DataError: where a side is left without images of two classes.
        NumericalError: where training diverges.
    """
    warn_if_brief(bench.learner, int(seen_N.sum()), config.preset)
    balanced = config.class_balanced
    if balanced is None:  # tasks that came as plain labels cannot be cut within classes
        wanted = target.k > 2 or any(is_lopsided(task) for task in tasks)
        balanced = wanted and all(coordinate_of(task) is not None for task in tasks)
    question = Question(bench=bench, target=target, config=config, seen_N=seen_N, balanced=balanced)
    choice = choose(question, tasks)
    chosen, groups = choice.candidate, bench.dataset.groups
    variants = _variants(question, choice)
    roles = {name: roles_of(own, seen_N, config.seed, groups) for name, own in variants.items()}
    rows = equal_rows(roles, target, seen_N, config)
    seeds = {seed for run in range(config.runs) for seed in run_seeds(config, run)}
    check_fresh(choice, rows, seen_N, seeds)
    task = replace(chosen.task, labels_N=variants["adversarial"].task_N)
    beside = Beside(target=target, task=task, group=chosen.group, groups=groups)
    own, role = rows["adversarial"], roles["adversarial"]
    found = measure(question, rows, beside)
    others = {name: _transfer(question, name, rows, beside) for name in config.transfer}
    details = dict(found.details)
    for learner, made in others.items():
        details |= {f"{learner}: {name}": detail for name, detail in made.details.items()}
    return Split(
        target=target,
        task=task,
        role_N=role,
        setup=_setup(question, choice),
        accuracy=_ordered(found),
        measured={"train": len(own.fit), "test": len(own.test), "within": len(own.within)},
        agreed=found.agreed,
        transfer={name: _ordered(made) for name, made in others.items()},
        details=details,
        random_there=found.random_there,
        copies=_copies(bench.dataset, role, config.seed),
        images=bench.dataset.pictures,
    )


def _setup(question: Question, choice: Choice) -> Setup:
    chosen, config = choice.candidate, question.config
    return Setup(
        orientation=chosen.orientation,
        group=tuple(np.flatnonzero(chosen.group).tolist()),
        class_balanced=question.balanced,
        learner=config.learner,
        preset=config.preset,
        precision=config.precision,
        runs=config.runs,
        choice=tuple(choice.table),
        discovered=chosen.task.seen_N is not None,
        grouped=question.bench.dataset.groups is not None,
    )


def _variants(question: Question, choice: Choice) -> dict[str, Sides]:
    """Return the sides of the adversarial split and of every control."""
    adversarial = question.sides(choice.candidate)
    names = [name for name in controls.CONTROLS if name in question.config.controls]
    epochs = question.bench.learner.recipe.epochs
    passes = len(adversarial.train) * epochs * ("hard" in names)
    with question.bench.callbacks.stage("making the controls", passes) as meter:
        template = controls.Template(question=question, sides=adversarial, meter=meter)
        made = {name: controls.make(name, template) for name in names}
    return {"adversarial": adversarial, **made}


def _copies(dataset: Dataset, role_N: Roles, seed: int) -> Copies:
    """Count what stands on both sides, and warn of it."""
    train = np.flatnonzero((role_N == TRAIN) | (role_N == WITHIN))
    copies = duplicates.across(dataset.content, train, np.flatnonzero(role_N == TEST), seed)
    if copies.exact or copies.near:
        _LOG.warning(
            "across the sides there are %d exact copies and %d near ones among %d test images",
            copies.exact,
            copies.near - copies.exact,
            copies.looked_at,
        )
    across = None
    if dataset.groups is not None:
        across = _groups_across(dataset.groups, train, np.flatnonzero(role_N == TEST))
    pairs = zip(copies.pairs[:20].tolist(), copies.similarity.tolist(), strict=False)
    return Copies(
        exact=copies.exact,
        near=copies.near,
        looked_at=copies.looked_at,
        pairs=tuple((str(dataset.ids[i]), str(dataset.ids[j]), s) for (i, j), s in pairs),
        groups=across,
    )


def _groups_across(groups: IdArray, train: IntArray, test: IntArray) -> int:
    """Count the groups with images on both sides; none where whole groups were put on one."""
    codes_N = partition.codes(groups)
    return len(np.intersect1d(codes_N[train], codes_N[test]))


def _transfer(question: Question, learner: str, rows: dict[str, Rows], beside: Beside) -> Measured:
    """Train another learner on the same images of the split and of the random one."""
    other = question.config.learner_of(learner)
    fit = rows["adversarial"].fit
    warn_if_brief(other, len(fit), question.config.preset)
    bench = looking_at(question.bench, other, question.config).measured_on(fit)
    compared = {name: rows[name] for name in ("adversarial", "random")}
    asked = replace(question, bench=bench)
    return measure(asked, compared, beside, label=f"transfer {learner}")


def _ordered(found: Measured) -> dict[str, Interval]:
    order = [name for name in _FIRST if name in found.accuracy]
    order += [name for name in found.accuracy if name not in _FIRST]
    return {name: found.accuracy[name] for name in order}
