"""Pictures of an audit: images on which a cue tells the class, those on which it does not.

Axes: N images, n chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from taskdiscovery.reporting.pictures import Row, Sheet
from taskdiscovery.reporting.thumbnails import thumbnails_of
from taskdiscovery.types import Cue, Dataset, Document, IntArray, Labeling
from taskdiscovery.types.audit import FILE

if TYPE_CHECKING:
    import pandas as pd

#: pictures of a strip, and pixels of each at most.
SHOWN, _SIDE = 8, 128


class Strips:
    """The pictures of a page, in one sprite for all cues.

    Args:
        dataset: the images.
        labelings: over all of them.
    """

    def __init__(self, dataset: Dataset, labelings: Sequence[Labeling]) -> None:
        self._sheet = Sheet(images=thumbnails_of(dataset), ids=dataset.ids, side=_SIDE)
        self._dataset = dataset
        self._labelings = {labeling.name: labeling for labeling in labelings}

    @cached_property
    def _facts(self) -> pd.DataFrame | None:
        return self._dataset.facts

    @property
    def shown(self) -> bool:
        """Whether there are pictures, and not names alone."""
        return self._sheet.images is not None

    @property
    def height(self) -> int:
        """How many rows the sprite has."""
        return self._sheet.height

    @property
    def aspect(self) -> float:
        """Width over height of each picture."""
        if self._sheet.images is None:
            return 1.0
        height, width = self._sheet.images.shape[1:3]
        return round(width / height, 4)

    def sprites(self) -> dict[str, str]:
        """Return the sprite by its name; none where nothing is shown."""
        shown = self.shown and self.height
        return {"audit": self._sheet.sprite()} if shown else {}

    def of(self, cue: Cue) -> list[Document]:
        """Return the strips of a cue: images that follow it, then those against it."""
        found = []
        for side, heading, rows_n in (
            ("aligned", "The cue and the label agree", cue.aligned_rows),
            ("conflict", "The cue says another class than the label", cue.conflict_rows),
        ):
            chosen, names = self._chosen(cue, rows_n)
            if not len(chosen):
                continue
            strip = self._add(side, heading, chosen, names) | {"count": len(rows_n)}
            if cue.kind == FILE:
                for cell, words in zip(strip["cells"], self._of_files(chosen), strict=True):
                    cell["more"] = words
            found.append(strip)
        return found

    def of_ids(self, heading: str, ids: Sequence[str]) -> list[Document]:
        """Return a strip of the images of these ids, if any of them is among the images."""
        rows = np.flatnonzero(np.isin(self._sheet.ids, np.asarray(ids[:SHOWN], dtype=np.str_)))
        return [self._add("", heading, rows, [""] * len(rows))] if len(rows) else []

    def _add(self, side: str, heading: str, chosen: IntArray, names: Sequence[str]) -> Document:
        self._sheet.add(heading, chosen, list(names))
        row: Row = self._sheet.rows[-1]
        cells = [
            {"x": cell.x, "y": cell.y, "title": cell.title, "class": name, "more": ""}
            for cell, name in zip(row.cells, names, strict=True)
        ]
        return {"side": side, "heading": heading, "count": len(chosen), "cells": cells}

    def boxes(self, cue: Cue) -> list[str]:
        """Return where the view looks, as positions in shares of a picture."""
        return [
            f"top:{100 * top:.2f}%;left:{100 * left:.2f}%;"
            f"height:{100 * (bottom - top):.2f}%;width:{100 * (right - left):.2f}%"
            for top, left, bottom, right in cue.box
        ]

    def _of_files(self, rows: IntArray) -> list[str]:
        """Return format, size and bytes of the files of some images; nothing where not known."""
        if self._facts is None:
            return [""] * len(rows)
        return [
            f"{row['format']}, {row['width']} × {row['height']}, {row['bytes']:,} bytes"
            for row in self._facts.iloc[rows].to_dict("records")
        ]

    def _chosen(self, cue: Cue, rows_n: IntArray) -> tuple[IntArray, list[str]]:
        """Choose the clearest of the class and the clearest of the others, half and half."""
        target = self._labelings.get(cue.target)
        if target is None:
            return rows_n[:SHOWN], [""] * len(rows_n[:SHOWN])
        names = np.array([*target.classes, "no class"], dtype=object)[target.labels_N[rows_n]]
        inside = np.flatnonzero(names == cue.class_name)
        outside = np.flatnonzero(names != cue.class_name)
        most = max(SHOWN // 2, SHOWN - len(outside))
        places = np.concatenate([inside[:most], outside[: SHOWN - len(inside[:most])]])
        return rows_n[places], [str(name) for name in names[places]]
