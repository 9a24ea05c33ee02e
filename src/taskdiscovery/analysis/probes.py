"""Counterfactual probes: change an image in one way, label it again, and see whether it flips.

Any change that leaves the distribution of the images flips some labels. So beside each rate stands
what noise of equal strength flips: every image gets noise with the colours and the spectrum of the
images themselves, scaled until it is as far from the original as the probe's image is (root mean
square over pixels, after clipping). And beside both stands what labels by chance would give, with
the rates of those after the probe.

Axes: N images, D tasks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import ndimage, stats

from taskdiscovery.analysis.measures import wilson
from taskdiscovery.analysis.rules import EVERY_TASK, NEAR_CHANCE
from taskdiscovery.data import partition
from taskdiscovery.types import BoolArray, FloatArray, IdArray, ImageArray, IntArray

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
BLOCK = 100  # images that noise is added to at once


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
    tells: bool = True
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
    rows = []
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


def equal_noise(
    images: ImageArray, changed: ImageArray, *, seed: int = 0
) -> tuple[ImageArray, FloatArray]:
    """Add noise to images until each is as far from the original as its changed form.

    The noise is the difference of two other images with random phases: it has their spectrum and
    their colours, and shows nothing. Its mean is that of the difference, of either sign.

    Args:
        images, changed: (N, H, W, channels) uint8.
        seed: of the noise.

    Returns:
        The noisy images, and (N,) the distances that they were scaled to (root mean square).
    """
    out, distance_N = np.empty_like(images), np.empty(len(images))
    rng = np.random.default_rng([23, seed])
    one_N, other_N = rng.permutation(len(images)), rng.permutation(len(images))
    for start in range(0, len(images), BLOCK):
        rows = slice(start, start + BLOCK)
        x = images[rows].astype(np.float32)
        noise = images[one_N[rows]].astype(np.float32) - images[other_N[rows]]
        noise += rng.normal(size=noise.shape).astype(np.float32)  # where both are one image
        noise = _scrambled(noise, rng)
        aim = np.sqrt(((changed[rows] - x) ** 2).mean(axis=(1, 2, 3), keepdims=True))
        scale = aim / np.maximum(np.sqrt((noise**2).mean(axis=(1, 2, 3), keepdims=True)), 1e-6)
        for _ in range(8):  # clipping takes some of it away
            now = _bytes(x + scale * noise)
            got = np.sqrt(((now - x) ** 2).mean(axis=(1, 2, 3), keepdims=True))
            scale = scale * np.clip(aim / np.maximum(got, 1e-6), 0.2, 5)
        out[rows] = np.where(aim > 0, _bytes(x + scale * noise), images[rows])
        distance_N[rows] = aim[:, 0, 0, 0]
    return out, distance_N


def _scrambled(
    noise: np.ndarray[tuple[int, ...], np.dtype[np.float32]], rng: np.random.Generator
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Turn all phases at random, the same way in every channel, so that colours stay."""
    H, W = noise.shape[1:3]
    drawn = rng.normal(size=noise.shape[:3]).astype(np.float32)
    phases = np.angle(np.fft.rfft2(drawn, axes=(1, 2)))
    phases[:, 0, 0] = 0  # the mean keeps its sign, which is random as it is
    turned = np.fft.rfft2(noise, axes=(1, 2)) * np.exp(1j * phases)[..., None]
    return np.fft.irfft2(turned, s=(H, W), axes=(1, 2)).astype(np.float32)


def _rate(flipped_N: BoolArray, groups_N: IntArray | None) -> dict[str, float]:
    rate = float(flipped_N.mean())
    error = _error(flipped_N - rate, groups_N)
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
        centred_N = np.bincount(groups_N, weights=centred_N)
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


def _mean(x: ImageArray) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return x.mean(axis=3, keepdims=True, dtype=np.float64)


def _smooth(x: ImageArray, sigma: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.asarray(
        ndimage.gaussian_filter(x.astype(np.float64), (0, sigma, sigma, 0), mode="nearest")
    )


def _centre(x: ImageArray) -> tuple[slice, slice]:
    margin_y, margin_x = round(x.shape[1] * 0.146), round(x.shape[2] * 0.146)
    return slice(margin_y, x.shape[1] - margin_y), slice(margin_x, x.shape[2] - margin_x)


def _bytes(x: np.ndarray[tuple[int, ...], np.dtype[np.floating[Any]]]) -> ImageArray:
    return np.round(np.clip(x, 0, 255)).astype(np.uint8)
