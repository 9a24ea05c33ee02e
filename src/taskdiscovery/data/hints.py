"""What suggests that images belong together: columns, ids, near copies. `info` names the option.

Rules are for telling, not for deciding: nothing is grouped unless it is asked for. They were set so
that none speaks of CIFAR-10, Tiny-ImageNet, BAR, Imagenette, digits and `shapes`.

Axes: N images, Q of them that are looked at, T values of a thumbnail.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from taskdiscovery.data.grouping import IDS, stem_of, stems
from taskdiscovery.data.images.thumbnails import ALIKE, BRIGHTNESS, CLUMPED, SIMILAR, thumbnails
from taskdiscovery.types import Dataset, ImageArray, IntArray
from taskdiscovery.types.classes import class_codes

if TYPE_CHECKING:
    import pandas as pd

#: words in the names of columns that tell what images are of.
_WORDS = {
    *("patient", "subject", "participant", "person", "people", "identity", "individual", "donor"),
    *("animal", "user", "speaker", "video", "clip", "sequence", "seq", "scene", "burst", "shot"),
    *("take", "track", "session", "visit", "study", "series", "exam", "case", "slide", "site"),
    *("hospital", "center", "centre", "camera", "location", "loc", "place", "household", "family"),
    "group",
}
#: words of columns that name images, classes or parts, whatever else they say.
_NOT = {
    *("image", "img", "file", "filename", "path", "label", "labels", "class", "category", "target"),
    *("split", "partition", "fold", "part", "type", "size", "count", "number", "width", "height"),
}
#: ids of which most share their stem with others; stems are few beside images, and no classes.
_SHARED, _FEWEST = 0.8, 5
#: images whose near copies are looked for, among so many at most.
_LOOKED_AT, _AMONG = 1000, 20_000
#: share of images with a near copy that is told.
_MANY = 0.05


def hints(dataset: Dataset) -> tuple[str, ...]:
    """Return a line for each sign that images belong together; none where groups are known."""
    if dataset.groups is not None or len(dataset) < 2 * _FEWEST:
        return ()
    found = [*_columns(dataset), *_ids(dataset)]
    if dataset.has_images:
        found += _near_copies(dataset.images, found)
    return tuple(found)


def _columns(dataset: Dataset) -> Iterator[str]:
    if dataset.attributes is None:
        return
    for column in dataset.attributes.columns:
        if _may_group(str(column)):
            codes_N = _codes(str(column), dataset.attributes[column])
            if codes_N is None or not _are_groups(codes_N, dataset):
                continue
            yield (
                f"attribute {column} has {int(codes_N.max()) + 1} values that may say what belongs "
                f"together: --groups {column} keeps it in one part"
            )


def _may_group(name: str) -> bool:
    """Say whether a column's name is one of a patient, a video, a site, …"""
    split = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", name)
    words = [word for word in re.split(r"[^a-z]+", split.lower()) if word]
    if _NOT & set(words):
        return False
    alike = {word.rstrip("s") for word in words} | set(words)
    return bool(_WORDS & alike) or (len(words) > 1 and words[-1] == "id")


def _codes(name: str, values: pd.Series) -> IntArray | None:
    try:
        return class_codes(name, values)[0]
    except Exception:  # of lists, of anything: it is no hint
        return None


def _are_groups(codes_N: IntArray, dataset: Dataset) -> bool:
    """Say whether numbers may be those of groups: two to half as many as images, no classes."""
    known_N = codes_N >= 0
    count = len(np.unique(codes_N[known_N]))
    if not 2 <= count <= known_N.sum() / 2:
        return False
    return not _is_label(codes_N, dataset)


def _is_label(codes_N: IntArray, dataset: Dataset) -> bool:
    """Say whether the label says the same, one to one."""
    if dataset.labels is None:
        return False
    both = np.unique(np.stack([codes_N, dataset.labels]), axis=1).shape[1]
    return both == len(np.unique(codes_N)) == len(np.unique(dataset.labels))


def _ids(dataset: Dataset) -> Iterator[str]:
    stems_N = stems(dataset.ids)
    names, codes_N, counts = np.unique(stems_N, return_inverse=True, return_counts=True)
    N = len(dataset)
    shared = counts[codes_N][stems_N != ""] > 1
    if shared.sum() < _SHARED * N or not _FEWEST <= len(names) <= N / 2:
        return
    if dataset.labels is not None:
        classes = max(1, len(np.unique(dataset.labels)))
        if len(names) < 2 * classes:  # classes in the names of files
            return
    if not _count_on(dataset.ids.tolist(), codes_N):
        return
    largest = int(counts.argmax())
    yield (
        f"ids look like {len(names)} videos, bursts or subjects of {counts.mean():.0f} images each "
        f"(e.g. {str(names[largest])!r}, {counts[largest]} images): --groups {IDS} keeps each in "
        "one part"
    )


def _count_on(ids: list[str], codes_N: IntArray) -> bool:
    """Say whether numbers count on within a stem, as frames and bursts do.

    Numbers drawn from a large archive (`n02979186_10303`) leave gaps of all sizes; every tenth
    frame leaves equal ones.
    """
    numbers_N = np.array([float(stem_of(name)[1]) for name in ids])
    order = np.lexsort((numbers_N, codes_N))
    gaps = np.diff(numbers_N[order])[np.diff(codes_N[order]) == 0]
    if not len(gaps):
        return False
    usual = float(np.median(gaps))
    return usual <= 2 or float((np.abs(gaps - usual) <= 0.1 * usual).mean()) > 0.5


def _near_copies(images: ImageArray, said: list[str]) -> Iterator[str]:
    N = len(images)
    among = np.unique(np.linspace(0, N - 1, min(N, _AMONG)).astype(np.int64))
    thumbnails_NT, brightness_N = thumbnails(images, among)
    asked = np.unique(np.linspace(0, len(among) - 1, _LOOKED_AT).astype(np.int64))
    alike_QN = thumbnails_NT[asked] @ thumbnails_NT.T
    alike_QN[np.arange(len(asked)), asked] = -1.0
    alike_QN[np.abs(brightness_N[asked][:, None] - brightness_N) > BRIGHTNESS] = -1.0
    near, similar = int((alike_QN > ALIKE).sum()), int((alike_QN > SIMILAR).sum())
    share = float((alike_QN.max(axis=1) > ALIKE).mean())
    if share < _MANY or near < CLUMPED * similar:
        return
    how = "" if said else ": name their column with --groups, or they are on both sides of parts"
    yield (
        f"{share:.0%} of {len(asked)} images have a near copy, as frames of a video or bursts "
        f"do{how}"
    )
