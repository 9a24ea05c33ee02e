"""How often do labels flip under a probe, and how often under noise of equal strength?

Any change that leaves the distribution of the images flips some labels. So beside each rate stands
what noise of equal strength flips, and what labels by chance would give, with the rates of those
after the probe.

Axes: N images, D tasks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from scipy import stats

from taskdiscovery.analysis.measures import wilson
from taskdiscovery.analysis.probes import COLOUR, PROBES, equal_noise
from taskdiscovery.analysis.rules import EVERY_TASK, NEAR_CHANCE
from taskdiscovery.data import partition
from taskdiscovery.types import BoolArray, FloatArray, IdArray, ImageArray, IntArray


@dataclass(frozen=True, kw_only=True)
class Flip:
    """How often a task's label changes under a probe.

    Attributes:
        task, probe: which.
        flips, low, high: share of images, with a 95 % interval (Wilson's; over groups, at their
            effective number).
        reference: the share that noise of equal strength flips.
        difference, difference_low, difference_high: flips less reference, over the same images,
            with a 95 % interval.
        p, q: of no difference; the same, controlled over all tasks and probes.
        by_chance: what labels after the probe would give that have their rates but know nothing of
            the labels before.
        strength: distance of the changed images, root mean square over pixels, of 255.
        tells: False where the probe flips nearly every task of three or more as often as chance.
        images: how many were tried.
    """

    task: str
    probe: str
    flips: float
    low: float
    high: float
    reference: float
    difference: float
    difference_low: float
    difference_high: float
    p: float
    q: float
    by_chance: float
    strength: float
    tells: bool
    images: int


def flips(
    images: ImageArray,
    names: tuple[str, ...],
    label: Callable[[ImageArray], IntArray],
    groups: IdArray | None = None,
) -> pd.DataFrame:
    """Count how often every probe, and noise of equal strength, changes every task's label.

    Args:
        images: (N, H, W, channels) uint8.
        names: D task names.
        label: maps images to (N, D) classes.
        groups: (N,) what belongs together, or None.

    Returns:
        One row per task and probe, as `Flip`; probes of colour are left out for grey images.
    """
    before_ND = label(images)
    groups_N = None if groups is None else partition.codes(groups)
    rows: list[Flip] = []
    for probe, (transform, _) in PROBES.items():
        if probe in COLOUR and images.shape[3] < 3:
            continue
        changed = transform(images)
        noisy, distance_N = equal_noise(images, changed, seed=len(rows))
        after_ND, reference_ND = label(changed), label(noisy)
        for d, name in enumerate(names):
            flipped_N, noise_N = (x[:, d] != before_ND[:, d] for x in (after_ND, reference_ND))
            rows.append(
                Flip(
                    task=name,
                    probe=probe,
                    **_rate(flipped_N, groups_N),
                    reference=float(noise_N.mean()),
                    **_difference(flipped_N, noise_N, groups_N),
                    by_chance=_independent(before_ND[:, d], after_ND[:, d]),
                    strength=float(distance_N.mean()),
                    tells=True,
                    images=len(images),
                )
            )
    frame = pd.DataFrame([asdict(row) for row in rows])
    if len(frame):
        frame["q"] = stats.false_discovery_control(frame["p"].to_numpy(np.float64))
        frame["tells"] = ~frame["probe"].isin(_of_every_task(frame))
    order = {name: i for i, name in enumerate(names)}
    return frame.sort_values("task", key=lambda c: c.map(order), kind="stable").reset_index(
        drop=True
    )


def _rate(flipped_N: BoolArray, groups_N: IntArray | None) -> dict[str, float]:
    rate = float(flipped_N.mean())
    error = _error(flipped_N.astype(np.float64) - rate, groups_N)
    grouped = groups_N is not None and error > 0
    size = rate * (1 - rate) / error**2 if grouped else _independents(len(flipped_N), groups_N)
    low, high = wilson(rate, size)
    return {"flips": rate, "low": low, "high": high}


def _independents(images: int, groups_N: IntArray | None) -> int:
    return images if groups_N is None else len(np.unique(groups_N))


def _difference(
    flipped_N: BoolArray, noise_N: BoolArray, groups_N: IntArray | None
) -> dict[str, float]:
    each_N = flipped_N.astype(np.float64) - noise_N
    value, error = float(each_N.mean()), _error(each_N - each_N.mean(), groups_N)
    # As if one more image had flipped either way: no interval of no width.
    size = _independents(len(each_N), groups_N)
    error = float(np.sqrt(error**2 + 2 / (size + 2) ** 2))
    half = 1.959964 * error
    return {
        "difference": value,
        "difference_low": max(-1.0, value - half),
        "difference_high": min(1.0, value + half),
        "p": (p := float(2 * stats.norm.sf(abs(value) / error))),
        "q": p,
    }


def _error(centred_N: FloatArray, groups_N: IntArray | None) -> float:
    """Return the standard error of a mean, over images or over groups."""
    if groups_N is not None:
        centred_N = np.bincount(groups_N, weights=centred_N).astype(np.float64)
    parts = len(centred_N)
    total = float((centred_N**2).sum()) * parts / max(1, parts - 1)
    images = parts if groups_N is None else len(groups_N)
    return float(np.sqrt(total)) / images


def _of_every_task(frame: pd.DataFrame) -> list[str]:
    """Return probes that flip nearly every task of three or more about as often as chance."""
    found = []
    for probe, own in frame.groupby("probe"):
        # More than chance is no chance: a turn of all hues may turn every label.
        near = (own["flips"] - own["by_chance"]).abs() <= NEAR_CHANCE * own["by_chance"]
        if len(own) >= 3 and float(near.mean()) >= EVERY_TASK:
            found.append(str(probe))
    return found


def _independent(before: IntArray, after: IntArray) -> float:
    """Share that would flip if the new labels had their rates but knew nothing of the old."""
    k = int(max(before.max(), after.max())) + 1
    p = np.bincount(before, minlength=k) / len(before)
    q = np.bincount(after, minlength=k) / len(after)
    return float(1 - (p * q).sum())
