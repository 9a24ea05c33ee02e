"""What was read, in a terminal: tables, and pictures where it has the colours for them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
from rich.console import Console
from rich.style import Style
from rich.text import Text

from taskdiscovery.cli import show, streams
from taskdiscovery.types import ImageArray, Info

#: classes that are listed; a list of a thousand hides the rest.
_LISTED = 25
#: how many characters wide and how many lines high a thumbnail is; a character is two pixels.
_WIDTH, _LINES = 14, 7
_PER_ROW = 5
#: its upper half is of one colour, its lower half of another.
_BLOCK = "▀"


def show_info(info: Info, style: str) -> None:
    """Print what was read.

    Args:
        info: what it was.
        style: `table`, `json` or `csv`; the last as rows of `what`, `name`, `value`.
    """
    if style == "json":
        show.mapping(info.to_dict(), "json")
        return
    if style == "csv":
        show.rows(_rows(info), "csv")
        return
    show.rows([{"": name, "value": text} for name, text in info.summary().items()], "table")
    console = Console()
    blocks = streams.held(_BLOCK, console.file) == _BLOCK
    if console.is_terminal and console.color_system in ("truecolor", "256") and blocks:
        for line in thumbnails(info.thumbnails):
            console.print(line)
        console.print()
    for title, items in (
        ("classes", info.classes[:_LISTED]),
        ("attributes", info.attributes),
        ("files", info.files),
    ):
        if items:
            show.rows([asdict(item) for item in items], "table", title=title)
    if len(info.classes) > _LISTED:
        show.line(f"  … and {len(info.classes) - _LISTED} classes more (--format json has all)")
        show.line("")
    for problem in info.problems:
        show.line(f"problem: {problem}")
    for hint in info.hints:
        show.line(f"groups? {hint}")
    for note in info.notes:
        show.line(f"note: {note}")


def _rows(info: Info) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]]
    rows = [{"what": "data", "name": name, "value": text} for name, text in info.summary().items()]
    rows += [{"what": "class", "name": c.name, "value": c.images} for c in info.classes]
    for column in info.attributes:
        value = f"{column.type}; {column.values} values; {column.missing} missing"
        rows.append({"what": "attribute", "name": column.name, "value": value})
    rows += [{"what": f"file {f.fact}", "name": f.value, "value": f.images} for f in info.files]
    rows += [{"what": "problem", "name": "", "value": line} for line in info.problems]
    rows += [{"what": "hint", "name": "", "value": line} for line in info.hints]
    rows += [{"what": "note", "name": "", "value": line} for line in info.notes]
    return rows


def thumbnails(images: ImageArray) -> list[Text]:
    """Draw images with half blocks: the upper pixel in the foreground, the lower one behind it.

    Args:
        images: (n, H, W, channels) uint8.

    Returns:
        Lines of text, five images side by side.
    """
    lines = []
    for start in range(0, len(images), _PER_ROW):
        row = [_small(image) for image in images[start : start + _PER_ROW]]
        for y in range(_LINES):
            line = Text("  ")
            for picture in row:
                for x in range(_WIDTH):
                    upper, lower = (_colour(picture[2 * y + half, x]) for half in (0, 1))
                    line.append(_BLOCK, Style(color=upper, bgcolor=lower))
                line.append(" ")
            lines.append(line)
        lines.append(Text(""))
    return lines


def _small(image: np.ndarray[Any, np.dtype[np.uint8]]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return (2 * lines, width, 3) pixels of one image; of many channels the first, as grey."""
    from PIL import Image

    colour = image if image.shape[2] == 3 else np.repeat(image[..., :1], 3, axis=2)
    picture = Image.fromarray(np.ascontiguousarray(colour))
    return np.asarray(picture.resize((_WIDTH, 2 * _LINES), Image.Resampling.BOX))


def _colour(pixel: np.ndarray[Any, np.dtype[np.uint8]]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*pixel)
