"""Tables with thumbnails for notebooks, as HTML in which every text is escaped."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskdiscovery.types.aliases import Document
from taskdiscovery.types.showing import NONE, as_shown, mode

SHOWN = 8
_SIDE = 32


class Pictures:
    """A cell of thumbnails.

    Args:
        images: (n, H, W, channels) uint8; the first few are shown.
        titles: said on hover.
    """

    def __init__(self, images: NDArray[np.uint8], titles: Sequence[object] = ()) -> None:
        self.images = np.asarray(images[:SHOWN])
        self.titles = [str(title) for title in titles][:SHOWN]

    def html(self) -> str:
        """Return one image that holds all of them side by side."""
        from PIL import Image

        if not len(self.images) or mode() == NONE:
            return ""
        row = np.concatenate(list(as_shown(self.images)), axis=1)
        picture = Image.fromarray(row[..., 0] if row.shape[2] != 3 else row)
        width = _SIDE * len(self.images)
        picture = picture.resize((width, _SIDE), Image.Resampling.NEAREST)
        stream = io.BytesIO()
        picture.save(stream, "PNG")
        address = base64.b64encode(stream.getvalue()).decode()
        title = escape(", ".join(self.titles), quote=True)
        return f'<img src="data:image/png;base64,{address}" alt="{title}" title="{title}">'


def table(caption: str, rows: Sequence[Document]) -> str:
    """Return a table with a caption.

    Args:
        caption: what it shows.
        rows: values by column; `Pictures` become thumbnails, numbers get three digits.
    """
    columns = list(dict.fromkeys(name for row in rows for name in row))
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{_cell(row.get(name))}</td>" for name in columns) + "</tr>"
        for row in rows
    )
    return (
        f"<table><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table>"
    )


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, Pictures):
        return value.html()
    if isinstance(value, float):
        return f"{value:.3f}"
    return escape(str(value))
