"""Counterfactual probes: change an image in one way, label it again, and see whether it flips.

A probe that destroys what the task is about gives a constant label, or a random one; for a balanced
task that flips half of the images. So each rate stands beside what a constant label would give.

Axes: N images, D tasks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from scipy import ndimage, stats

from taskdiscovery.types import ImageArray, IntArray

Transform = Callable[[ImageArray], ImageArray]


def _grey(x: ImageArray) -> ImageArray:
    return _bytes(np.repeat(_mean(x), x.shape[3], axis=3))


def _hue_shift(x: ImageArray) -> ImageArray:
    """Turn every hue by half a circle, keeping the mean of the channels."""
    return _bytes(2 * _mean(x) - x)


def _blur(x: ImageArray) -> ImageArray:
    return _bytes(_smooth(x, max(1.0, x.shape[1] / 16)))


def _high_pass(x: ImageArray) -> ImageArray:
    return _bytes(x - _smooth(x, max(1.0, x.shape[1] / 16)) + 128)


def _patch_shuffle(x: ImageArray) -> ImageArray:
    """Move the cells of a 4×4 grid about, another way for each image."""
    N, H, W, C = x.shape
    h, w = H // 4, W // 4
    if h == 0 or w == 0:
        return x
    cells = x[:, : 4 * h, : 4 * w].reshape(N, 4, h, 4, w, C).transpose(0, 1, 3, 2, 4, 5)
    cells = cells.reshape(N, 16, h, w, C)
    rng = np.random.default_rng(0)
    order = np.argsort(rng.random((N, 16)), axis=1)
    cells = np.take_along_axis(cells, order[:, :, None, None, None], axis=1)
    out = x.copy()
    grid = cells.reshape(N, 4, 4, h, w, C).transpose(0, 1, 3, 2, 4, 5)
    out[:, : 4 * h, : 4 * w] = grid.reshape(N, 4 * h, 4 * w, C)
    return out


def _centre_only(x: ImageArray) -> ImageArray:
    """Paint the border in the image's mean colour; half of the area stays."""
    out = np.broadcast_to(x.mean(axis=(1, 2), keepdims=True), x.shape).copy()
    rows, columns = _centre(x)
    out[:, rows, columns] = x[:, rows, columns]
    return _bytes(out)


def _border_only(x: ImageArray) -> ImageArray:
    out = x.astype(np.float64)
    rows, columns = _centre(x)
    out[:, rows, columns] = x.mean(axis=(1, 2), keepdims=True)
    return _bytes(out)


def _darker(x: ImageArray) -> ImageArray:
    return _bytes(0.7 * x.astype(np.float64))


def _brighter(x: ImageArray) -> ImageArray:
    return _bytes(1.3 * x.astype(np.float64))


#: name of each probe, what it does to (N, H, W, channels) uint8 images, and its word in a verdict.
PROBES: dict[str, tuple[Transform, str]] = {
    "grey": (_grey, "grey"),
    "hue_shift": (_hue_shift, "a turn of all hues"),
    "blur": (_blur, "blur"),
    "high_pass": (_high_pass, "a high-pass filter"),
    "patch_shuffle": (_patch_shuffle, "shuffled patches"),
    "centre_only": (_centre_only, "removal of the border"),
    "border_only": (_border_only, "removal of the centre"),
    "darker": (_darker, "darkening"),
    "brighter": (_brighter, "brightening"),
}
COLOUR = ("grey", "hue_shift")


@dataclass(frozen=True, kw_only=True)
class Flip:
    """How often a task's label changes under a probe.

    Attributes:
        task, probe: which.
        flips, low, high: share of images, with Wilson's 95 % interval.
        constant: what labels after the probe would give that have their rates but know nothing of
            the labels before.
        images: how many were tried.
    """

    task: str
    probe: str
    flips: float
    low: float
    high: float
    constant: float
    images: int


def flips(
    images: ImageArray, names: tuple[str, ...], label: Callable[[ImageArray], IntArray]
) -> pd.DataFrame:
    """Count how often every probe changes every task's label.

    Args:
        images: (N, H, W, channels) uint8.
        names: D task names.
        label: maps images to (N, D) classes.

    Returns:
        One row per task and probe, as `Flip`; probes of colour are left out for grey images.
    """
    before_ND = label(images)
    rows = []
    for probe, (transform, _) in PROBES.items():
        if probe in COLOUR and images.shape[3] < 3:
            continue
        after_ND = label(transform(images))
        changed_ND = after_ND != before_ND
        for d, name in enumerate(names):
            count = int(changed_ND[:, d].sum())
            interval = stats.binomtest(count, len(images)).proportion_ci(method="wilson")
            rows.append(
                Flip(
                    task=name,
                    probe=probe,
                    flips=count / len(images),
                    low=float(interval.low),
                    high=float(interval.high),
                    constant=_independent(before_ND[:, d], after_ND[:, d]),
                    images=len(images),
                )
            )
    order = {name: i for i, name in enumerate(names)}
    frame = pd.DataFrame([asdict(row) for row in rows])
    return frame.sort_values("task", key=lambda c: c.map(order), kind="stable").reset_index(
        drop=True
    )


def _independent(before: IntArray, after: IntArray) -> float:
    """Share that would flip if the new labels had their rates but knew nothing of the old."""
    k = int(max(before.max(), after.max())) + 1
    p = np.bincount(before, minlength=k) / len(before)
    q = np.bincount(after, minlength=k) / len(after)
    return float(1 - (p * q).sum())


def _mean(x: ImageArray) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return x.mean(axis=3, keepdims=True, dtype=np.float64)


def _smooth(x: ImageArray, sigma: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.asarray(
        ndimage.gaussian_filter(x.astype(np.float64), (0, sigma, sigma, 0), mode="nearest")
    )


def _centre(x: ImageArray) -> tuple[slice, slice]:
    margin_y, margin_x = round(x.shape[1] * 0.146), round(x.shape[2] * 0.146)
    return slice(margin_y, x.shape[1] - margin_y), slice(margin_x, x.shape[2] - margin_x)


def _bytes(x: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> ImageArray:
    return np.round(np.clip(x, 0, 255)).astype(np.uint8)
