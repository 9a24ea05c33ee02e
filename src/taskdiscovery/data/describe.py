"""From a data set to what there is to know of it before anything is trained."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from taskdiscovery.data.hints import hints
from taskdiscovery.data.partition import codes
from taskdiscovery.types import ClassCount, Column, Dataset, FileFact, Info

if TYPE_CHECKING:
    import pandas as pd

#: thumbnails are spread over the whole set: the first ten are often of one class.
THUMBNAILS = 10
_EXAMPLES = 5


def describe(dataset: Dataset) -> Info:
    """Gather what was read.

    Args:
        dataset: of any size; its pixels are read once.
    """
    counts = np.zeros(len(dataset.classes), dtype=np.int64)
    unlabelled = None
    if dataset.labels is not None:
        known = dataset.labels >= 0
        counts = np.bincount(dataset.labels[known], minlength=len(dataset.classes))
        unlabelled = int((~known).sum())
    shown = np.unique(np.linspace(0, len(dataset) - 1, THUMBNAILS).round().astype(np.int64))
    shown = shown if dataset.has_images else shown[:0]
    return Info(
        data=dataset.name,
        images=len(dataset),
        shape=dataset.image_shape,
        pixels=_pixels(dataset),
        ids=_ids(dataset.ids.tolist()),
        unlabelled=unlabelled,
        classes=tuple(
            ClassCount(position=c, name=name, images=int(counts[c]))
            for c, name in enumerate(dataset.classes)
        ),
        attributes=_columns(dataset.attributes),
        files=_files(dataset),
        problems=dataset.problems,
        notes=dataset.notes,
        hints=hints(dataset),
        fingerprint=dataset.fingerprint,
        thumbnails=np.ascontiguousarray(dataset.images[shown]),
        titles=tuple(_title(dataset, int(i)) for i in shown),
        features=_features(dataset),
        groups=_groups(dataset),
    )


def _title(dataset: Dataset, i: int) -> str:
    if dataset.labels is None or dataset.labels[i] < 0:
        return str(dataset.ids[i])
    return f"{dataset.ids[i]} · {dataset.classes[dataset.labels[i]]}"


def _features(dataset: Dataset) -> str:
    if dataset.features is None:
        return ""
    source = "" if dataset.backbone is None else f", of {dataset.backbone}"
    return f"{dataset.features.shape[1]:,}, {dataset.features.dtype}{source}"


def _groups(dataset: Dataset) -> str:
    if dataset.groups is None:
        return ""
    sizes = np.bincount(codes(dataset.groups))
    return f"{len(sizes):,}, of {sizes.min():,} to {sizes.max():,} images"


def _pixels(dataset: Dataset) -> str:
    if not dataset.has_images:
        return "none"
    blocks = [dataset.images[i : i + 2000] for i in range(0, len(dataset), 2000)]
    low = min(int(block.min()) for block in blocks)
    high = max(int(block.max()) for block in blocks)
    return f"{low} to {high}"


def _ids(ids: list[str]) -> str:
    """Say how ids look, so that a table beside them can be written alike."""
    numbers = all(re.fullmatch(r"[0-9]+", text) for text in ids)
    padded = numbers and any(len(text) > 1 and text[0] == "0" for text in ids)
    if padded and len({len(text) for text in ids}) == 1:
        form = f"numbers of {len(ids[0])} digits"
    elif numbers:
        form = "numbers"
    elif all("/" in text for text in ids):
        form = "paths"
    elif all(re.search(r"\.[A-Za-z0-9]{2,5}$", text) for text in ids):
        form = "file names"
    else:
        form = "text"
    return f"{form}: {ids[0]} … {ids[-1]}" if len(ids) > 1 else f"{form}: {ids[0]}"


def _columns(attributes: pd.DataFrame | None) -> tuple[Column, ...]:
    if attributes is None:
        return ()
    return tuple(_column(str(name), attributes[name]) for name in attributes.columns)


def _column(name: str, values: pd.Series) -> Column:
    from pandas.api import types

    known = values.dropna()
    if known.empty:
        kind = "empty"
    elif types.is_bool_dtype(known.infer_objects()):
        kind = "yes or no"
    elif types.is_integer_dtype(known.infer_objects()):
        kind = "whole numbers"
    elif types.is_numeric_dtype(known.infer_objects()):
        kind = "whole numbers" if (known == known.round()).all() else "numbers"
    elif types.is_datetime64_any_dtype(known):
        kind = "dates"
    else:
        kind = "text" if len({type(value) for value in known}) == 1 else "mixed"
    texts = known.astype(str)
    counts = texts.value_counts(sort=False)
    if kind in ("numbers", "whole numbers", "dates") and len(counts) > _EXAMPLES:
        examples = f"{known.min()} to {known.max()}"
    else:
        counts = counts.sort_values(ascending=False, kind="stable")
        examples = ", ".join(f"{value} ({n})" for value, n in counts[:_EXAMPLES].items())
        examples += ", …" if len(counts) > _EXAMPLES else ""
    missing = len(values) - len(known)
    return Column(name=name, type=kind, values=len(counts), missing=missing, examples=examples)


def _files(dataset: Dataset) -> tuple[FileFact, ...]:
    """Count what the files have in common, before anything was decoded; most frequent first."""
    import pandas as pd

    facts = dataset.facts
    if facts is None or facts.empty:
        return ()
    size = facts["width"].astype(str) + " x " + facts["height"].astype(str)
    turned = facts["orientation"].where(facts["orientation"] > 1)
    taken = facts["time"].dropna().to_numpy().astype("datetime64[s]")
    columns = {
        "format": facts["format"],
        "mode": facts["mode"],
        "bits": facts["bits"],
        "size": size,
        "stored turned": turned.dropna().astype(int).map("orientation {}".format),
        "colour profile": facts["icc"][facts["icc"]].map({True: "embedded"}),
        "EXIF": facts["exif"][facts["exif"]].map({True: "present"}),
        "JPEG quality": facts["quality"].dropna().astype(int),
        "camera": facts["camera"][facts["camera"] != ""],
        "year": pd.Series(taken.astype("datetime64[Y]").astype(np.str_)),
    }
    found = []
    for fact, values in columns.items():
        counts = values.value_counts()
        shown = counts if len(counts) <= _EXAMPLES else counts[: _EXAMPLES - 1]
        found += [FileFact(fact=fact, value=str(v), images=int(n)) for v, n in shown.items()]
        if len(shown) < len(counts):
            rest = f"{len(counts) - len(shown)} others"
            left = int(counts[len(shown) :].sum())
            found.append(FileFact(fact=fact, value=rest, images=left))
    return tuple(found)
