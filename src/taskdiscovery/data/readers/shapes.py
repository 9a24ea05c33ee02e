"""Images drawn from known factors, so that the right answers are known.

Shape, object hue, background hue, size, position and texture are drawn independently; a shortcut
can be planted, which makes one factor predict the label.

Axes: N images, S = side in pixels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from taskdiscovery.config.specs import Spec
from taskdiscovery.errors import ConfigError, nearest
from taskdiscovery.types import Dataset, ImageArray

if TYPE_CHECKING:
    pass

#: the factors, and the names of their levels.
FACTORS: dict[str, tuple[str, ...]] = {
    "shape": ("disc", "square", "triangle", "cross"),
    "object_hue": ("red", "yellow", "cyan", "violet"),
    "background_hue": ("orange", "green", "blue", "pink"),
    "size": ("small", "large"),
    "position": ("upper-left", "upper-right", "lower-left", "lower-right"),
    "texture": ("plain", "stripes", "checks"),
}
_OBJECT_HUES = np.array([0.0, 0.15, 0.5, 0.76])
_BACKGROUND_HUES = np.array([0.07, 0.36, 0.62, 0.9])
_CHUNK = 500


def draw(
    n: int = 5000,
    *,
    seed: int = 0,
    size: int = 32,
    shortcut: str | None = None,
    strength: float = 0.95,
    name: str = "shapes",
) -> Dataset:
    """Draw images.

    Args:
        n: how many.
        seed: decides everything; the first images are the same for every n within a block of 500.
        size: side in pixels.
        shortcut: a factor that shall predict the label (its level is the label modulo its number
            of levels), or None.
        strength: probability with which it does.
        name: what to call the data set.

    Returns:
        (n, size, size, 3) images whose labels are the shapes and whose attributes the factors.
    """

    import pandas as pd

    from taskdiscovery.data.readers.arrays import from_arrays

    images, levels = [], []
    for block, start in enumerate(range(0, n, _CHUNK)):
        rng = np.random.default_rng([seed, block])
        chosen = {factor: rng.integers(0, len(names), _CHUNK) for factor, names in FACTORS.items()}
        follows = rng.random(_CHUNK) < strength
        if shortcut is not None:
            implied = chosen["shape"] % len(FACTORS[shortcut])
            chosen[shortcut] = np.where(follows, implied, chosen[shortcut])
        count = min(_CHUNK, n - start)
        images.append(_render(chosen, size, rng)[:count])
        levels.append({factor: level[:count] for factor, level in chosen.items()})
    columns = {
        factor: np.array(names)[np.concatenate([block[factor] for block in levels])]
        for factor, names in FACTORS.items()
    }
    labels = np.concatenate([block["shape"] for block in levels])
    return from_arrays(
        np.concatenate(images),
        labels,
        classes=FACTORS["shape"],
        attributes=pd.DataFrame(columns),
        name=name,
    )


def check_options(spec: Spec) -> dict[str, object]:
    """Read `shapes?n=…&seed=…&size=…&shortcut=…&strength=…`.

    Raises:
        ConfigError: for an unknown option or factor, or a value out of range.
    """
    spec.only({"n", "seed", "size", "shortcut", "strength"})
    shortcut = spec.options.get("shortcut")
    if shortcut is not None and (shortcut not in FACTORS or shortcut == "shape"):
        factors = [factor for factor in FACTORS if factor != "shape"]
        raise ConfigError(
            f"{shortcut!r} cannot be a shortcut", where=spec.text, hint=nearest(shortcut, factors)
        )
    return {
        "n": spec.integer("n", 5000, low=20, high=10_000_000),
        "seed": spec.integer("seed", 0, low=0, high=2**31 - 1),
        "size": spec.integer("size", 32, low=8, high=512),
        "shortcut": shortcut,
        "strength": spec.number("strength", 0.95, low=0.0, high=1.0),
    }


def from_spec(spec: Spec, size: int | None = None) -> Dataset:
    """Draw what a specification asks for; `size` overrules its own."""
    options = check_options(spec)
    if size is not None:
        options["size"] = size
    return draw(**options, name=spec.text)  # type: ignore[arg-type]


def _render(levels: dict[str, NDArray[np.int64]], S: int, rng: np.random.Generator) -> ImageArray:
    N = len(levels["shape"])

    def per_image(low: float, high: float) -> NDArray[np.float64]:
        return rng.uniform(low, high, N)[:, None, None]

    y, x = np.mgrid[0:S, 0:S] / (S - 1) * 2 - 1
    radius = np.where(levels["size"] == 0, 0.30, 0.52)[:, None, None] * per_image(0.92, 1.08)
    right = np.where(levels["position"] % 2 == 1, 1, -1)[:, None, None]
    below = np.where(levels["position"] // 2 == 1, 1, -1)[:, None, None]
    u = (x[None] - right * per_image(0.26, 0.36)) / radius
    v = (y[None] - below * per_image(0.26, 0.36)) / radius
    soft = 2.0 / (S * radius)  # width of the antialiased edge, in units of the radius
    inside = np.clip(0.5 - _distance(u, v, levels["shape"]) / soft, 0, 1)

    frequency = 2 * np.pi * per_image(1.1, 1.3)
    phase = per_image(0, 2 * np.pi)
    stripes = np.sin(frequency * u * 1.4 + phase)
    checks = np.sign(np.sin(frequency * u + phase) * np.sin(frequency * v + phase))
    pattern = np.where(levels["texture"][:, None, None] == 1, np.sign(stripes), checks)
    shade = np.where(levels["texture"][:, None, None] == 0, 0.0, pattern) * 0.28

    front = _rgb(
        _OBJECT_HUES[levels["object_hue"]] + rng.normal(0, 0.012, N),
        rng.uniform(0.75, 0.81, N),
        rng.uniform(0.84, 0.90, N),
    )
    back = _rgb(
        _BACKGROUND_HUES[levels["background_hue"]] + rng.normal(0, 0.012, N),
        rng.uniform(0.44, 0.48, N),
        rng.uniform(0.62, 0.67, N),
    )
    # What is not a factor (light, brightness, saturation) varies little: else a network finds it
    # first, and the answer would not be among the known ones.
    lit = 1 + per_image(-0.02, 0.02) * x[None] + per_image(-0.02, 0.02) * y[None]
    ground = back[:, None, None, :] * lit[..., None]
    object_ = front[:, None, None, :] * (1 + shade)[..., None]
    picture = ground * (1 - inside[..., None]) + object_ * inside[..., None]
    noisy = picture + rng.normal(0, 0.012, picture.shape)
    return np.round(np.clip(noisy, 0, 1) * 255).astype(np.uint8)


def _distance(
    u: NDArray[np.float64], v: NDArray[np.float64], shape: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Signed distance-like values: negative inside, all shapes of about the same area."""
    disc = np.hypot(u, v) - 0.92
    square = np.maximum(np.abs(u), np.abs(v)) - 0.81
    triangle = np.maximum(v - 0.72, np.abs(u) * 0.87 - (v + 1.15) * 0.5)
    bar = np.maximum(np.abs(u) - 1.05, np.abs(v) - 0.36)
    cross = np.minimum(bar, np.maximum(np.abs(v) - 1.05, np.abs(u) - 0.36))
    return np.choose(shape[:, None, None], [disc, square, triangle, cross])


def _rgb(
    hue: NDArray[np.float64], saturation: NDArray[np.float64], value: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Turn (N,) hue, saturation and value into (N, 3) RGB in [0, 1]."""
    sector = (hue[:, None] * 6 + np.array([5, 3, 1])) % 6
    ramp = np.clip(np.minimum(sector, 4 - sector), 0, 1)
    return value[:, None] * (1 - saturation[:, None] * ramp)
