"""The range of accuracies that cannot be excluded, if labels part from a task that goes with them.

Let t be a discovered task, known on every image, and g the map from classes to sides of t by which
the label tells the side best (in balanced accuracy, on the calibration images). Label y and task
*part* on an image where t is not g(y). In DATA they part seldom, and a learner may have followed
either. On DATA2 nobody knows how often they part.

The assumption: between DATA and DATA2 only *how often* they part may change, from anything to
anything. How runs answer where they part, and where they do not, stays as it is in DATA:
    p = P(prediction is on the task's side | part),      c = P(right | part, other side),
    a = P(prediction is on the task's side | not part),  d = P(right | not part, task's side).
An answer on the task's side is wrong where they part, one on another side is wrong where they do
not. With q the share of images of DATA2 on which they part, which is unknown, two identities hold:
    s   = q p + (1 - q) a        share of answers on the task's side, which is seen on DATA2,
    acc = q (1 - p) c + (1 - q) a d.
The range is that of acc over every q in [0, 1] and every p, a, c, d in their intervals from the
calibration images with s in its interval from DATA2. Where label and task often part in DATA, p is
known and s tells q: the range is narrow. Where they never do, as in the train side of an
adversarial split, p may be 1, then s tells nothing, and the range begins near 0. That cannot be
excluded without labels.

For given q, c and d put u = q p and v = (1 - q) a. Then acc = q c - c u + d v has to be made least
and greatest over a box for (u, v), cut by the strip s_low <= u + v <= s_high. It is least at the
greatest u and the least v; where their sum lies above the strip u gives way, where it lies below v
does, and where that is not enough no (u, v) fits: such a q is excluded. Least uses the lower ends
of c and d, greatest the upper (acc rises with both). Both ends are linear in q between the values
at which an end of the box meets one of the strip, so those values of q are all that is looked at.

A task may leave images open (-1): those near its border, which part by chance and are no model of
images that part clearly. They count by themselves, w of DATA2's images, with the accuracy e of such
images in calibration: acc = (1 - w) (the above, of the others) + w e.

Where no q fits, the assumption is refuted (answers follow the task more, or less, than any mixture
would): then p and a are unknown too. All ends are cut at what any labels could give (`extremes`).

Intervals are Clopper and Pearson's, the allowed error shared among them. Still imperfect: they
count images as independent, and the sampling of DATA2's own images beyond s is left out.

Axes: K runs, m calibration images, n unlabelled images, C classes, Q values of q.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy import special

from taskdiscovery.estimation.case import Case
from taskdiscovery.estimation.limits import extremes
from taskdiscovery.types import BoolArray, FloatArray, IntArray

#: how well the label must tell a task's side for the task to go with it.
GOES_WITH = 0.3


@dataclass(frozen=True, eq=False, kw_only=True)
class Sides:
    """A discovered task on the images of a case.

    Attributes:
        name: of the task.
        calibration_m, unlabelled_n: its class on each image, from 0; -1 where it is left open.
    """

    name: str
    calibration_m: IntArray
    unlabelled_n: IntArray


@dataclass(frozen=True, kw_only=True)
class TaskRange:
    """What accuracy would be if labels parted from one task as often as predictions allow.

    Attributes:
        task: its name.
        association: how well the label tells its side, 0 for not at all and 1 for always; of two
            balanced sides it is phi.
        parted: share of the calibration images on which label and task part.
        accuracy_parted, accuracy_together: accuracy on the calibration images on which they part,
            and do not; None where there are none. Images that the task leaves open are in neither.
        low, high: of the accuracy on the unlabelled images.
        explained: whether predictions there are a mixture of those seen in calibration.
    """

    task: str
    association: float
    parted: float
    accuracy_parted: float | None
    accuracy_together: float | None
    low: float
    high: float
    explained: bool


@dataclass(frozen=True, kw_only=True)
class Range:
    """The range over all tasks that go with the label.

    Attributes:
        low, high: of the accuracy on the unlabelled images.
        low_task, high_task: the tasks that give the ends.
        tasks: the range of each, the lowest first.
    """

    low: float
    high: float
    low_task: str
    high_task: str
    tasks: tuple[TaskRange, ...]


def accuracy_range(
    case: Case, tasks: Iterable[Sides], level: float = 0.95, goes_with: float = GOES_WITH
) -> Range | None:
    """Return the range of accuracies that the tasks which go with the label leave open.

    Args:
        case: what runs say.
        tasks: discovered tasks on the same images.
        level: that all intervals of one task hold at once, at least.
        goes_with: least association of a task with the label.

    Returns:
        The range, or None where no task goes with the label: then this says nothing.
    """
    found = []
    for task in tasks:
        clear_m, clear_n = task.calibration_m >= 0, task.unlabelled_n >= 0
        if not (clear_m.any() and clear_n.any()):
            continue
        labels_m, side_m = case.labels_m[clear_m], task.calibration_m[clear_m]
        side_C = sides_of_classes(side_m, labels_m, case.classes)
        association = how_well_told(side_m, side_C[labels_m])
        if association >= goes_with:
            found.append(_task_range(case, task, side_C, association, level))
    if not found:
        return None
    found.sort(key=lambda row: (row.low, row.task))
    top = max(found, key=lambda row: row.high)
    return Range(
        low=found[0].low,
        high=top.high,
        low_task=found[0].task,
        high_task=top.task,
        tasks=tuple(found),
    )


def sides_of_classes(side_m: IntArray, labels_m: IntArray, classes: int) -> IntArray:
    """Return (C,) the side of the task that each class tells, for the best balanced accuracy.

    That is the side of which the class is the greatest share: most of the class may lie on another
    that is larger. A class without images tells the first.
    """
    count_CD = np.zeros((classes, int(side_m.max()) + 1))
    np.add.at(count_CD, (labels_m, side_m), 1)
    return (count_CD / np.maximum(count_CD.sum(axis=0), 1)).argmax(axis=1)


def how_well_told(side_m: IntArray, told_m: IntArray) -> float:
    """Return the balanced accuracy with which a label tells the side, 0 for chance and 1 at best.

    For two sides that is Youden's index, and for two balanced ones phi.
    """
    sides = np.unique(side_m)
    if len(sides) < 2:
        return 0.0
    balanced = float(np.mean([(told_m[side_m == d] == d).mean() for d in sides]))
    return (len(sides) * balanced - 1) / (len(sides) - 1)


def _task_range(
    case: Case, task: Sides, side_C: IntArray, association: float, level: float
) -> TaskRange:
    clear_m, clear_n = task.calibration_m >= 0, task.unlabelled_n >= 0
    clear, side_m = case.images(clear_m, clear_n), task.calibration_m[clear_m]
    parts_m = side_C[clear.labels_m] != side_m
    error = (1 - level) / (5 if clear_n.all() else 6)
    low, high, explained = _where_clear(clear, parts_m, (side_C, side_m, task), error)
    if not clear_n.all():
        e, w = _share(case.correct_Km[:, ~clear_m], None, error), float(1 - clear_n.mean())
        low, high = (1 - w) * low + w * e[0], (1 - w) * high + w * e[1]
    least, greatest = extremes(case.unlabelled.predicted_KN, case.classes)
    correct_Km = clear.correct_Km
    return TaskRange(
        task=task.name,
        association=association,
        parted=float(parts_m.sum() / len(clear_m)),
        accuracy_parted=float(correct_Km[:, parts_m].mean()) if parts_m.any() else None,
        accuracy_together=float(correct_Km[:, ~parts_m].mean()) if not parts_m.all() else None,
        low=min(max(low, least), greatest),
        high=min(max(high, least), greatest),
        explained=explained,
    )


def _where_clear(
    case: Case, parts_m: BoolArray, sides: tuple[IntArray, IntArray, Sides], error: float
) -> tuple[float, float, bool]:
    """Return the range on the images that the task does not leave open, and if a mixture fits.

    Args:
        case: of those images.
        parts_m: where label and task part.
        sides: those of classes, those of the calibration images, and the task.
        error: that each interval may have.
    """
    side_C, side_m, task = sides
    side_n = task.unlabelled_n[task.unlabelled_n >= 0]
    follows_Km = side_C[case.calibration.predicted_KN] == side_m
    follows_n = (side_C[case.unlabelled.predicted_KN] == side_n).mean(axis=0)
    p = _share(follows_Km[:, parts_m], None, error)
    a = _share(follows_Km[:, ~parts_m], None, error)
    c = _share(case.correct_Km[:, parts_m], ~follows_Km[:, parts_m], error)
    d = _share(case.correct_Km[:, ~parts_m], follows_Km[:, ~parts_m], error)
    s = clopper_pearson(float(follows_n.mean()), len(follows_n), error)
    ends = mixture_range(p, a, (c, d), s)
    low, high = ends or mixture_range((0.0, 1.0), (0.0, 1.0), (c, d), s) or (0.0, 1.0)
    return low, high, ends is not None


Ends = tuple[float, float]


def mixture_range(p: Ends, a: Ends, right: tuple[Ends, Ends], s: Ends) -> Ends | None:
    """Return the least and greatest accuracy, or None where no share of parted images fits.

    Args:
        p, a: intervals of the share of answers on the task's side, where label and task part and
            where they do not.
        right: intervals c and d of the share of right answers among those that can be right.
        s: interval of the share of answers on the task's side on the unlabelled images.
    """
    (c, d), q_Q = right, np.array([0.0, 1.0, *_meetings(p, a, s)])
    u, v = (q_Q * p[0], q_Q * p[1]), ((1 - q_Q) * a[0], (1 - q_Q) * a[1])
    fits_Q = (u[0] + v[0] <= s[1] + 1e-9) & (u[1] + v[1] >= s[0] - 1e-9)
    if not fits_Q.any():
        return None
    over_Q = np.maximum(u[1] + v[0] - s[1], 0)
    under_Q = np.maximum(s[0] - u[1] - v[0], 0)
    least_Q = q_Q * c[0] - c[0] * (u[1] - over_Q) + d[0] * (v[0] + under_Q)
    over_Q = np.maximum(u[0] + v[1] - s[1], 0)
    under_Q = np.maximum(s[0] - u[0] - v[1], 0)
    most_Q = q_Q * c[1] - c[1] * (u[0] + under_Q) + d[1] * (v[1] - over_Q)
    low, high = float(least_Q[fits_Q].min()), float(most_Q[fits_Q].max())
    return max(0.0, low), min(1.0, max(low, high))


def _meetings(p: Ends, a: Ends, s: Ends) -> list[float]:
    """Return each q within [0, 1] at which an end of p and one of a mix to an end of s."""
    found = [
        (to - without) / (parted - without)
        for parted, without, to in product(p, a, s)
        if abs(parted - without) > 1e-12
    ]
    return [q for q in found if 0 < q < 1]


def clopper_pearson(share: float, images: float, error: float) -> Ends:
    """Return the exact interval of a share of images; everything where there are none."""
    hits = share * images
    low = float(special.betaincinv(hits, images - hits + 1, error / 2)) if hits > 0 else 0.0
    if hits >= images:
        return low, 1.0
    return low, float(special.betaincinv(hits + 1, images - hits, 1 - error / 2))


def _share(hits_Km: BoolArray, among_Km: BoolArray | None, error: float) -> Ends:
    """Return the interval of the share of hits among some answers of K runs.

    Answers of several runs on one image are no independent draws, so images are counted.
    """
    among: FloatArray = np.ones(hits_Km.shape) if among_Km is None else among_Km.astype(np.float64)
    answers = float(among.sum())
    if answers == 0:
        return 0.0, 1.0
    return clopper_pearson(float((hits_Km * among).sum()) / answers, answers / len(among), error)
