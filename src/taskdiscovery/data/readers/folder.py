"""Image folders: `class/file`, `class/images/file` as in Tiny-ImageNet, or files alone.

Above the classes there may be `train`, `val` and `test`. The order is that of torchvision's
ImageFolder: classes by name, then folders, then files.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from taskdiscovery.config.specs import Spec
from taskdiscovery.data.listing import Listing, Reading, distinct, hash_text, printable, stamps
from taskdiscovery.data.readers.shards import PARTS, chosen_part, put_together
from taskdiscovery.data.readers.tree import ENDINGS, Tree
from taskdiscovery.errors import DataError
from taskdiscovery.types import IntArray

if TYPE_CHECKING:
    import pandas as pd

#: the folder that Tiny-ImageNet puts the images of a class in.
_IMAGES = "images"


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where an image file lies.

    Attributes:
        file: relative to the root.
        part: its `train`, `val` or `test`, or empty.
        label: its class, or None.
    """

    file: str
    part: str
    label: str | None


def check(root: Path, spec: Spec) -> None:
    """Refuse a folder that is missing or holds no image, without listing all of it.

    Raises:
        DataError: saying where it looked.
    """
    if not root.is_dir():
        raise DataError("there is no such folder", where=str(root), hint="check the path")
    if next(Tree(root).files(), None) is None:
        raise DataError(
            "the folder holds no images",
            where=str(root),
            hint=f"images end in {' '.join(ENDINGS)}",
        )


def read(root: Path, spec: Spec, how: Reading) -> Listing:
    """List a folder of images; the first level of folders below `train` and `test` is the classes.

    Raises:
        DataError: for an empty folder, a link out of it, or images both beside and inside class
            folders.
        ConfigError: for a split that there is not.
    """
    check(root, spec)
    tree = Tree(root)
    files = list(tree.files())
    parts = _parts(files)
    places = [_place(file, parts) for file in files]
    problems = tree.problems
    counts = Counter(place.part for place in places if place.part)
    if "split" in spec.options:
        wanted = chosen_part(spec, sorted(counts))
        places = [place for place in places if place.part == wanted]
    elif counts:
        problems = (*put_together(spec, dict(sorted(counts.items()))), *problems)
    _check_loose(places, root)
    places.sort(key=_order)
    labels, classes = _labels(places)
    paths = [root / place.file for place in places]

    def stream() -> Iterator[Path]:
        return iter(paths)

    return Listing(
        name=spec.text,
        key=hash_text(stamps([place.file for place in places], paths)),
        ids=distinct([printable(place.file) for place in places]),
        stream=stream,
        labels=labels,
        classes=classes,
        attributes=_split_column(places) if counts else None,
        problems=problems,
    )


def _parts(files: Sequence[str]) -> dict[str, bool]:
    """Return the top folders that are parts of the data set rather than classes.

    They are where every image lies in a folder with the name of a part, two or more of them, and
    classes are inside one.

    Returns:
        For each whether classes are inside; Tiny-ImageNet's test has its images in `images`.
    """
    tops: dict[str, bool] = {}
    for file in files:
        top, _, rest = file.partition(os.sep)
        if not rest or top.lower() not in PARTS:
            return {}
        inside = rest.split(os.sep)[:-1]
        tops[top] = tops.get(top, False) or bool(inside and inside[0] != _IMAGES)
    return tops if len(tops) > 1 and any(tops.values()) else {}


def _place(file: str, parts: Mapping[str, bool]) -> Place:
    above = file.split(os.sep)[:-1]
    part = above.pop(0) if parts else ""
    return Place(file=file, part=part, label=above[0] if above and parts.get(part, True) else None)


def _check_loose(places: Sequence[Place], root: Path) -> None:
    """Refuse images beside class folders.

    Raises:
        DataError: counting them.
    """
    for part in {place.part for place in places}:
        own = [place for place in places if place.part == part]
        loose = sum(place.label is None for place in own)
        if 0 < loose < len(own):
            raise DataError(
                f"{loose} images lie beside the class folders",
                where=str(root / part),
                hint="move them into a class folder, or list the images in a csv: table",
            )


def _order(place: Place) -> tuple[str, str, str, str]:
    folder, _, name = place.file.rpartition(os.sep)
    return place.part, place.label or "", folder, name


def _labels(places: Sequence[Place]) -> tuple[IntArray | None, tuple[str, ...]]:
    classes = sorted({place.label for place in places if place.label is not None})
    if not classes:
        return None, ()
    index: dict[str | None, int] = {name: c for c, name in enumerate(classes)}
    labels = np.array([index.get(place.label, -1) for place in places], dtype=np.int64)
    return labels, tuple(printable(name) for name in classes)


def _split_column(places: Sequence[Place]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame({"split": [printable(place.part) for place in places]})
