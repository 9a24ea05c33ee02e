"""One page of what was read, before anything is trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from taskdiscovery.reporting.pictures import COLUMNS, Sheet
from taskdiscovery.reporting.rendering import render
from taskdiscovery.reporting.thumbnails import thumbnails_of
from taskdiscovery.store import atomic, environment
from taskdiscovery.types import Dataset, Info, IntArray

#: rows of pictures where there are no classes, and classes shown where there are many.
_ROWS = 3
_CLASSES = 24


def write_data_page(path: Path, dataset: Dataset, info: Info) -> Path:
    """Write one HTML file that opens offline, and return its path.

    Args:
        path: of the file.
        dataset: the images.
        info: what is known of them.

    Raises:
        ResourceError: where the file cannot be written.
    """
    sheet = Sheet(images=thumbnails_of(dataset), ids=dataset.ids)
    for heading, rows in _rows(dataset):
        sheet.add(heading, rows)
    context = {
        "version": environment()["versions"]["taskdiscovery"],
        "info": info,
        "rows": sheet.rows,
        "height": sheet.height,
        "hidden": max(0, len(info.classes) - _CLASSES),
        "most": max((item.images for item in info.classes), default=1) or 1,
        "sprites": {"data": sheet.sprite()} if sheet.images is not None else {},
        "pictures": sheet.images is not None,
    }
    page = render("data.html.j2", context)
    with atomic(path) as stream:
        stream.write(page.encode("utf-8", "backslashreplace"))
    return path


def _rows(dataset: Dataset) -> list[tuple[str, IntArray]]:
    """Yield what to show: a row for each class, else images spread over the whole set."""
    if dataset.labels is None:
        chosen = np.linspace(0, len(dataset) - 1, min(len(dataset), COLUMNS * _ROWS))
        rows = np.unique(chosen.round().astype(np.int64))
        return [("", rows[i : i + COLUMNS]) for i in range(0, len(rows), COLUMNS)]
    found = []
    for c, name in list(enumerate(dataset.classes))[:_CLASSES]:
        members = np.flatnonzero(dataset.labels == c)
        spread = np.linspace(0, len(members) - 1, min(len(members), COLUMNS)).round()
        found.append((name, members[spread.astype(np.int64)]))
    return found
