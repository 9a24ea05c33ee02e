"""Labelings whose cause is known, on drawn and on real images, and what a verdict must say of each.

What counts as right was fixed before anything was measured:

- *level*: the verdict's property is that level of that factor (or the other level of two). Where
  two columns part the images alike (`label` and `shape` of `shapes`) either will do.
- *grouping*: the property is the factor; with two of its levels on one side and one level that
  explains nine tenths as much, that level.
- *statistic*: the property is that statistic, or one whose rank correlation with it is 0.9 or more.
- *hue* (of the mean colour; no statistic measures it): one of the statistics of colour, or the
  image statistics together.
- *band* (the middle of a statistic against both ends): that statistic in bands, or one as above, or
  the image statistics together.
- *held*: a rare level lies on one side of a labeling that is random otherwise; the level is named.
- *none*: random labels, an attribute that is not given, a hash of the pixels: "follows no measured
  property".

Axes: N images.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import stats

from taskdiscovery.analysis.properties import Factor
from taskdiscovery.types import BoolArray, Dataset, FloatArray, IntArray

NOISE = (0.0, 0.1, 0.2)
COLOURS = ("red", "green", "blue", "warmth", "greenness", "saturation", "brightness")


@dataclass(frozen=True, eq=False, kw_only=True)
class Planted:
    """A labeling that was made.

    Attributes:
        kind: as above.
        labels_N: (N,) 0 and 1.
        factors: any of which is right.
        level: that must be named, or "".
        noise: share of labels that were turned.
    """

    kind: str
    labels_N: IntArray
    factors: tuple[str, ...] = ()
    level: str = ""
    noise: float = 0.0


def attributes_of(dataset: Dataset, brightness_N: FloatArray, seed: int) -> pd.DataFrame:
    """Make attributes of real images that have none: people's, cameras', and twenty of chance."""
    rng, N = np.random.default_rng([seed, 5]), len(dataset)
    quarter_N = np.digitize(brightness_N, np.quantile(brightness_N, [0.25, 0.5, 0.75]))
    male_N = rng.random(N) < 0.45
    camera_N = np.where(rng.random(N) < 0.6, quarter_N, rng.integers(0, 4, N))
    table = {
        "male": male_N.astype(int),
        "lipstick": (rng.random(N) < np.where(male_N, 0.02, 0.8)).astype(int),
        "hat": (rng.random(N) < 0.1).astype(int),
        "glasses": (rng.random(N) < 0.05).astype(int),
        "camera": np.array(["Canon", "Leica", "Nikon", "Sony"])[camera_N],
        "site": np.array([f"site {i}" for i in range(8)])[rng.integers(0, 8, N)],
    }
    for i in range(20):
        table[f"chance {i}"] = (rng.random(N) < rng.uniform(0.03, 0.5)).astype(int)
    return pd.DataFrame(table)


def in_domains(dataset: Dataset, seed: int) -> Dataset:
    """Turn images into photos, sketches, paintings and pictures of the night, a quarter each."""
    rng = np.random.default_rng([seed, 9])
    domain_N = rng.integers(0, 4, len(dataset))
    images = dataset.images.copy()
    grey = images.mean(axis=3, keepdims=True)
    edges = abs(np.diff(grey, axis=1, append=grey[:, -1:]))
    edges += abs(np.diff(grey, axis=2, append=grey[:, :, -1:]))
    changed = {
        1: np.repeat(255 - 3 * edges, 3, axis=3),
        2: (images // 64) * 64.0 + 32 + 0.5 * (images - grey),
        3: 0.4 * images,
    }
    for code, pixels in changed.items():
        own_N = domain_N == code
        images[own_N] = np.clip(pixels[own_N], 0, 255).astype(np.uint8)
    table = pd.DataFrame({"domain": np.array(["photo", "sketch", "painting", "night"])[domain_N]})
    for i in range(10):
        table[f"chance {i}"] = (rng.random(len(dataset)) < rng.uniform(0.03, 0.5)).astype(int)
    return replace(dataset, images=images, attributes=table, name=f"{dataset.name}, four domains")


def planted(
    dataset: Dataset, factors: dict[str, Factor], count: int, seed: int
) -> Iterator[Planted]:
    """Make so many labelings of a data set, all kinds in turn."""
    rng = np.random.default_rng([seed, 6])
    kinds = ["level", "grouping", "none", "level", "held", "none"]
    drawn = "domain" in factors or dataset.name.startswith("shapes")
    if not drawn:  # where factors decide the statistics, none of these is a cause of its own
        kinds = ["level", "statistic", "none", "grouping", "hue", "statistic", "held", "band"]
    for i in range(count):
        kind = kinds[i % len(kinds)]
        noise = float(rng.choice(NOISE))
        made = MAKERS[kind](dataset, factors, rng)
        if kind in ("held", "none"):
            yield made
            continue
        turned_N = rng.random(len(dataset)) < noise
        labels_N = np.where(turned_N, 1 - made.labels_N, made.labels_N)
        yield Planted(
            kind=kind, labels_N=labels_N, factors=made.factors, level=made.level, noise=noise
        )


def _level(dataset: Dataset, factors: dict[str, Factor], rng: np.random.Generator) -> Planted:
    name = str(rng.choice([n for n, f in factors.items() if f.levels and "chance" not in n]))
    factor = factors[name]
    code = int(rng.integers(len(factor.levels)))
    level_N = factor.values == code
    level = factor.levels[code] if len(factor.levels) > 2 else ""
    return Planted(
        kind="level", labels_N=level_N.astype(np.int64), factors=alike(factors, name), level=level
    )


def _grouping(dataset: Dataset, factors: dict[str, Factor], rng: np.random.Generator) -> Planted:
    names = [n for n, f in factors.items() if len(f.levels) > 3]
    name = str(rng.choice(names))
    L = len(factors[name].levels)
    inside = rng.permutation(L)[: L // 2]
    labels_N = np.isin(factors[name].values, inside).astype(np.int64)
    return Planted(kind="grouping", labels_N=labels_N, factors=alike(factors, name))


def _statistic(dataset: Dataset, factors: dict[str, Factor], rng: np.random.Generator) -> Planted:
    name = str(rng.choice([n for n, f in factors.items() if f.source == "statistic"]))
    values_N = factors[name].values
    labels_N = (values_N > np.quantile(values_N, rng.uniform(0.25, 0.75))).astype(np.int64)
    return Planted(kind="statistic", labels_N=labels_N, factors=alike(factors, name))


def _band(dataset: Dataset, factors: dict[str, Factor], rng: np.random.Generator) -> Planted:
    name = str(rng.choice([n for n, f in factors.items() if f.source == "statistic"]))
    values_N = factors[name].values
    low, high = np.quantile(values_N, [0.25, 0.75])
    labels_N = ((values_N > low) & (values_N < high)).astype(np.int64)
    return Planted(kind="band", labels_N=labels_N, factors=(*alike(factors, name), "together"))


def _hue(dataset: Dataset, factors: dict[str, Factor], rng: np.random.Generator) -> Planted:
    red, green, blue = (factors[c].values for c in ("red", "green", "blue"))
    hue_N = np.arctan2(np.sqrt(3) * (green - blue), 2 * red - green - blue)
    turned_N = (hue_N + rng.uniform(0, 2 * np.pi)) % (2 * np.pi)
    labels_N = (turned_N > np.median(turned_N)).astype(np.int64)
    return Planted(kind="hue", labels_N=labels_N, factors=(*COLOURS, "together"))


def _held(dataset: Dataset, factors: dict[str, Factor], rng: np.random.Generator) -> Planted:
    names = [n for n, f in factors.items() if f.levels and "chance" not in n]
    name = str(rng.choice(names))
    code = int(rng.integers(len(factors[name].levels)))
    if len(factors[name].levels) == 2:
        code = int(np.argmin([(factors[name].values == c).sum() for c in (0, 1)]))
    labels_N = rng.integers(0, 2, len(dataset))
    labels_N[factors[name].values == code] = 1
    level = factors[name].levels[code] if len(factors[name].levels) > 2 else ""
    return Planted(kind="held", labels_N=labels_N, factors=alike(factors, name), level=level)


def _none(dataset: Dataset, factors: dict[str, Factor], rng: np.random.Generator) -> Planted:
    N, which = len(dataset), int(rng.integers(3))
    if which == 0:
        labels_N = (rng.random(N) < rng.choice([0.05, 0.2, 0.5])).astype(np.int64)
    elif which == 1:  # an attribute of eight levels that nobody wrote down
        labels_N = np.isin(rng.integers(0, 8, N), [1, 4, 6]).astype(np.int64)
    else:  # content alone decides, and nothing that one could name
        weights = rng.integers(1, 2**31, dataset.images[0].size)
        sums_N = dataset.images.reshape(N, -1).astype(np.int64) @ weights
        labels_N = (sums_N >> 7) % 2
    return Planted(kind="none", labels_N=labels_N)


MAKERS = {
    "level": _level,
    "grouping": _grouping,
    "statistic": _statistic,
    "band": _band,
    "hue": _hue,
    "held": _held,
    "none": _none,
}


def alike(factors: dict[str, Factor], name: str) -> tuple[str, ...]:
    """Return the factor, and those that part the images alike."""
    own = factors[name]
    found = [name]
    for other, factor in factors.items():
        if other == name or bool(factor.levels) != bool(own.levels):
            continue
        if own.levels:
            pairs = len(set(zip(own.values.tolist(), factor.values.tolist(), strict=True)))
            if pairs == len(own.levels) == len(factor.levels):
                found.append(other)
        elif abs(stats.spearmanr(own.values, factor.values).statistic) >= 0.9:
            found.append(other)
    return tuple(found)


def right(made: Planted, main: pd.Series | None, line: str) -> bool:
    """Say whether a verdict is right.

    Args:
        made: the labeling.
        main: the row that the verdict names, or None.
        line: the verdict.
    """
    if made.kind == "none":
        return line.startswith("follows no measured property")
    if made.kind == "held":
        return any(f" of {_called(f, made.level)}" in line for f in made.factors) or (
            main is not None and main["factor"] in made.factors and _named(main, made)
        )
    if main is None:
        return "together" in made.factors and "image statistics together predict it" in line
    return main["factor"] in made.factors and _named(main, made)


def _named(main: pd.Series, made: Planted) -> bool:
    return not made.level or main["level"] == made.level


def _called(factor: str, level: str) -> str:
    return f"{factor} = {level}" if level else f"{factor} = "


def unseen(count: int, share: float, seed: int) -> BoolArray:
    """Return (count,) True for images that the evidence is measured on."""
    order = np.random.default_rng([seed, 7]).permutation(count)
    chosen: BoolArray = np.zeros(count, dtype=np.bool_)
    chosen[order[: round(share * count)]] = True
    return chosen
