"""From what runs answer to an `Estimate`: every estimator, the classes, the range, then the truth.

Axes: K runs, m calibration images, n images of DATA2, C classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from taskdiscovery.config import EstimateConfig
from taskdiscovery.data import partition, target_of
from taskdiscovery.data.grouping import ATTRIBUTE
from taskdiscovery.data.labels.targets import is_target_spec
from taskdiscovery.errors import TaskDiscoveryError
from taskdiscovery.jobs import shifting
from taskdiscovery.jobs.calibration import Answers, Parts
from taskdiscovery.jobs.session import Job
from taskdiscovery.types import Document, Estimate, IntArray

if TYPE_CHECKING:
    from taskdiscovery.estimation.case import Case
    from taskdiscovery.estimation.intervals import Estimate as Told

#: stated coverage of estimates, and of the range, whose intervals hold all at once.
LEVEL, RANGE_LEVEL = 0.9, 0.95


def estimate_of(parts: Parts, answers: Answers, config: EstimateConfig, job: Job) -> Estimate:
    """Ask every estimator, the bound and the range; then, after all, look at labels of DATA2.

    Args:
        parts: who was trained on, who calibrates, who was asked.
        answers: of the runs.
        config: resolved.
        job: told of progress.
    """
    from taskdiscovery.estimation.case import Case
    from taskdiscovery.estimation.estimators import held_out
    from taskdiscovery.estimation.limits import bound
    from taskdiscovery.estimation.recommending import AS_IT_IS, OF_CLASSES, SHIFTS, recommended

    labels_m = parts.labeling.labels_N[parts.held]
    case = Case.of(answers.calibration_KmC, labels_m, answers.unlabelled_KnC)
    groups = _groups(parts)
    with job.callbacks.stage("estimating", 3) as meter:
        estimators = _estimators(case, groups, config.seed)
        meter.advance()
        estimators += _by_made_shifts(case, estimators, answers, parts, config)
        meter.advance()
        per_class = _per_class(case, OF_CLASSES, parts.labeling.classes, groups, config.seed)
        meter.advance()
    missed = {row["estimator"]: row["made_miss"] for row in estimators}
    name, why = recommended(missed[SHIFTS], missed[AS_IT_IS])
    for row in estimators:
        row["recommended"] = row["estimator"] == name
    import pandas as pd

    return Estimate(
        data=parts.here.name,
        on=parts.there.name,
        target=parts.labeling.name,
        learner=config.learner,
        runs=case.K,
        images=len(parts.rows),
        calibration=len(parts.held),
        trained=len(parts.fit),
        seen=len(parts.there) - len(parts.rows),
        grouped=groups is not None,
        held_out=held_out(case),
        recommended=name,
        why=why,
        bound=bound(case) if case.K > 1 else None,
        estimators=pd.DataFrame(estimators),
        per_class=pd.DataFrame(per_class),
        range=_range(case, parts),
        truth=_truth(parts, config, case),
        config=job.document,
    )


Groups = tuple[IntArray, IntArray] | None


def _groups(parts: Parts) -> Groups:
    """Return what is drawn as one in the intervals, here and there; None where all are alone."""
    codes = [
        partition.draws(dataset.groups, rows)
        for dataset, rows in ((parts.here, parts.held), (parts.there, parts.rows))
    ]
    if codes[0] is None and codes[1] is None:
        return None
    here, there = (
        np.arange(len(rows)) if own is None else own
        for own, rows in zip(codes, (parts.held, parts.rows), strict=True)
    )
    return here, there


def _estimators(case: Case, groups: Groups, seed: int) -> list[Document]:
    """Return a row for each estimator; one that needs more runs is refused."""
    from taskdiscovery.estimation.estimators import ESTIMATORS
    from taskdiscovery.estimation.intervals import bootstrap

    found = bootstrap(case, ESTIMATORS, LEVEL, seed=seed, groups=groups)
    rows = []
    for key, own in ESTIMATORS.items():
        told = found.get(key)
        refused = "" if told is not None else f"needs {own.runs} runs"
        rows.append(_row(key, told, refused, (own.words, own.source)))
    return rows


def _row(name: str, told: Told | None, refused: str, about: tuple[str, str]) -> Document:
    """Return the row of an estimator.

    Args:
        name: of it.
        told: what it says, or None.
        refused: why it says nothing.
        about: what it does, and where it comes from.
    """
    return {
        "estimator": name,
        "accuracy": None if told is None else told.value,
        "low": None if told is None else told.low,
        "high": None if told is None else told.high,
        "level": LEVEL,
        "covers": "" if told is None else told.covers,
        "made_miss": None,
        "recommended": False,
        "refused": refused,
        "words": about[0],
        "source": about[1],
    }


def _by_made_shifts(
    case: Case, rows: list[Document], answers: Answers, parts: Parts, config: EstimateConfig
) -> list[Document]:
    """Return the row of the estimate by made shifts; note in the others what they missed there."""
    from taskdiscovery.estimation.estimators import ESTIMATORS, held_out
    from taskdiscovery.estimation.recommending import SHIFTS
    from taskdiscovery.estimation.shifts import SOURCE, WORDS, Shifts, figures

    if not len(answers.made_rows):
        refused = shifting.refused(config, parts.here, len(parts.held))
        return [_row(SHIFTS, None, refused, (WORDS, SOURCE))]
    labels_r = parts.labeling.labels_N[answers.made_rows]
    made = [
        case.asking(shifting.sums_to_one(p_KrC)) for p_KrC in np.moveaxis(answers.made_KDrC, 1, 0)
    ]
    truth_D = np.array([float((own.unlabelled.predicted_KN == labels_r).mean()) for own in made])
    # how easy those few images are, that were corrupted, is no miss of anybody's
    level_D = truth_D - truth_D[0] + held_out(case)
    for other in rows:
        if not other["refused"]:
            said_D = [ESTIMATORS[other["estimator"]].function(own) for own in made]
            other["made_miss"] = float(np.abs(np.array(said_D) - level_D)[1:].mean())
    figures_DF = np.array([figures(own) for own in made])
    shifts = Shifts.fit(figures_DF, truth_D, [kind for kind, _ in shifting.domains()])
    told = shifts.estimate(shifts(case), (len(parts.held), len(parts.rows)), LEVEL)
    missed = float(np.abs(shifts.misses_L).mean())
    return [_row(SHIFTS, told, "", (WORDS, SOURCE)) | {"made_miss": missed}]


def _per_class(
    case: Case, name: str, classes: tuple[str, ...], groups: Groups, seed: int
) -> list[Document]:
    """Return a row for each class of the images that the runs together take for it.

    A class that too few calibration images are taken for is refused.
    """
    from taskdiscovery.estimation.byclass import group
    from taskdiscovery.estimation.estimators import ESTIMATORS
    from taskdiscovery.estimation.intervals import HALF_WIDTH_OF_CLASS, bootstrap, least_images
    from taskdiscovery.estimation.limits import bound

    least, rows = least_images(HALF_WIDTH_OF_CLASS, LEVEL), []
    for c, label in enumerate(classes):
        mine_m, mine_n = case.calibration.together_N == c, case.unlabelled.together_N == c
        m, n = int(mine_m.sum()), int(mine_n.sum())
        own: Document = {"class": label, "images": n, "calibration": m}
        own |= dict.fromkeys(("accuracy", "low", "high"), None)
        own |= {"level": LEVEL, "covers": "", "bound": None, "refused": ""}
        if not n:
            own["refused"] = "no image is taken for it"
        elif m < least:
            own["refused"] = f"{m} held-out images are taken for it, {least} are needed"
        else:
            part = group(case, c)
            codes = None if groups is None else (groups[0][mine_m], groups[1][mine_n])
            told = bootstrap(part, {name: ESTIMATORS[name]}, LEVEL, seed=seed, groups=codes)[name]
            own |= {"accuracy": told.value, "low": told.low, "high": told.high}
            own |= {"covers": told.covers, "bound": bound(part) if case.K > 1 else None}
        rows.append(own)
    return rows


def _range(case: Case, parts: Parts) -> Document | None:
    """Return the range over the tasks, or None where there are none, or none goes with labels."""
    if parts.tasks is None:
        return None
    from taskdiscovery.estimation.range import Sides, accuracy_range

    here, there, names = parts.tasks
    sides = [
        Sides(
            name=name,
            calibration_m=here[name].labels_N[parts.held],
            unlabelled_n=there[name].labels_N[parts.rows],
        )
        for name in names
    ]
    found = accuracy_range(case, sides, RANGE_LEVEL)
    if found is None:
        return None
    return {**vars(found), "level": RANGE_LEVEL, "tasks": [dict(vars(row)) for row in found.tasks]}


def _truth(parts: Parts, config: EstimateConfig, case: Case) -> Document | None:
    """Return the accuracy by labels that DATA2 has; classes are matched by name.

    None where it has none, or where the target is no SPEC: rows of a table are not matched twice.
    """
    labels_n = _labels_there(parts, config.target)
    if labels_n is None:
        return None
    known_n = labels_n >= 0
    if not known_n.any():
        return None
    right_Kn = case.unlabelled.predicted_KN[:, known_n] == labels_n[known_n]
    return {
        "accuracy": float(right_Kn.mean()),
        "images": int(known_n.sum()),
        "unknown": int((~known_n).sum()),
    }


def _labels_there(parts: Parts, target: str) -> IntArray | None:
    """Return (n,) classes of DATA's labeling that the labels of DATA2 name; -1 for none of them.

    `label:cat,dog` asks for names that DATA2 may have in another order, or not all of: each of its
    labels counts as the images of DATA that have the label.
    """
    here, there = parts.here, parts.there
    if not target or not is_target_spec(target):
        return None
    if not target.startswith(ATTRIBUTE):
        if here.labels is None or there.labels is None:
            return None
        names, labels_N = there.classes, there.labels
        present, first = np.unique(here.labels, return_index=True)
        own = zip(present.tolist(), parts.labeling.labels_N[first].tolist(), strict=True)
        places = {here.classes[label]: c for label, c in own if label >= 0}
    else:
        try:
            given = target_of(there, target)
        except TaskDiscoveryError:  # it has no such column: nothing is said
            return None
        names, labels_N = given.classes, given.labels_N
        places = {name: c for c, name in enumerate(parts.labeling.classes)}
    number = np.array([*(places.get(name, -1) for name in names), -1], dtype=np.int64)
    return number[labels_N[parts.rows]]
