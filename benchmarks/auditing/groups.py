"""Natural groups of classes, and labelings that are made of them."""

from __future__ import annotations

from itertools import combinations

import numpy as np

#: of Tiny-ImageNet, by WordNet's meaning of the names; at least five classes each, none in two.
TINY: dict[str, tuple[int, ...]] = {
    "reptiles, amphibians, fish": (0, 1, 2, 3, 4, 5),
    "arachnids and kin": (6, 7, 8, 9, 10),
    "sea animals": (13, 14, 17, 18, 19, 46),
    "dogs": (24, 25, 26, 27, 28, 29),
    "cats": (30, 31, 32, 33, 34),
    "insects": (36, 37, 38, 39, 40, 41, 42, 43, 44, 45),
    "hoofed mammals": (48, 49, 50, 51, 52, 53),
    "other mammals": (12, 23, 35, 47, 54, 55, 56, 57, 58),
    "road vehicles": (70, 94, 107, 116, 121, 133, 145, 153, 164, 166),
    "structures": (66, 71, 91, 96, 102, 124, 154, 157, 162, 165, 170, 173),
    "street": (101, 118, 127, 129, 132, 167),
    "clothing": (60, 62, 74, 77, 85, 105, 112, 119, 120, 134, 144, 149, 150, 158, 169),
    "furniture": (64, 69, 89, 97, 98, 113, 140, 142),
    "electronics": (86, 87, 92, 110, 128, 141),
    "vessels": (67, 72, 73, 80, 104, 130, 135, 160, 172, 174, 175),
    "sport": (68, 100, 138, 143, 171),
    "tools": (59, 75, 79, 109, 117, 122, 131, 139, 147, 155, 159, 163),
    "interiors": (61, 65, 82, 93, 126),
    "dishes": (178, 179, 180, 181, 182, 190, 191, 192, 193),
    "produce": (183, 184, 185, 186, 187, 188, 189, 199),
    "landscapes": (194, 195, 196, 197, 198),
}
#: of CIFAR-10: airplane, automobile, bird, cat, deer, dog, frog, horse, ship, truck.
CIFAR: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "vehicles against animals": ((0, 1, 8, 9), (2, 3, 4, 5, 6, 7)),
    "on roads against in air and water": ((1, 9), (0, 8)),
    "pets against hoofed": ((3, 5), (4, 7)),
    "mammals against other animals": ((3, 4, 5, 7), (2, 6)),
    "what flies against the rest": ((0, 2), (1, 3, 4, 5, 6, 7, 8, 9)),
}
Sides = tuple[tuple[int, ...], tuple[int, ...]]


def tiny_natural() -> dict[str, Sides]:
    """Return each group against the rest, and each against each."""
    everything = set(range(200))
    found: dict[str, Sides] = {
        f"{name} against the rest": (own, tuple(sorted(everything - set(own))))
        for name, own in TINY.items()
    }
    pairs = combinations(TINY, 2)
    return found | {f"{a} against {b}": (TINY[a], TINY[b]) for a, b in pairs}


def tiny_chance(count: int, seed: int) -> dict[str, Sides]:
    """Return groups of ten classes drawn by chance against ten others."""
    rng = np.random.default_rng([seed, 24])
    found: dict[str, Sides] = {}
    for i in range(count):
        order = rng.permutation(200)
        sides = tuple(sorted(order[:10].tolist())), tuple(sorted(order[10:20].tolist()))
        found[f"drawn {seed}.{i}"] = sides
    return found


def halves(count: int, seed: int, classes: int = 10) -> dict[str, Sides]:
    """Return some of the ways to cut the classes into halves; class 0 stands on the first side."""
    every = [side for side in combinations(range(classes), classes // 2) if 0 in side]
    chosen = np.random.default_rng([seed, 25]).permutation(len(every))[:count]
    return {
        "half " + "".join(map(str, every[i])): (
            every[i],
            tuple(c for c in range(classes) if c not in every[i]),
        )
        for i in chosen
    }


def singles(classes: int = 10) -> dict[str, Sides]:
    """Return each class against the rest."""
    return {
        f"class {c}": ((c,), tuple(o for o in range(classes) if o != c)) for c in range(classes)
    }


def pairs(classes: int = 10) -> dict[str, Sides]:
    """Return each class against each."""
    return {f"{a} against {b}": ((a,), (b,)) for a, b in combinations(range(classes), 2)}
