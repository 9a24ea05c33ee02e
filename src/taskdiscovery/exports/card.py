"""README.md of an export: what it holds, how its tool opens it, what its columns are."""

from __future__ import annotations

from taskdiscovery.errors import as_markdown, printable
from taskdiscovery.exports.folder import Folder
from taskdiscovery.exports.table import Table


def card(folder: Folder, table: Table, opening: str) -> str:
    """Return the text of `README.md`.

    Args:
        folder: what is written.
        table: its columns.
        opening: how the tool that it is for opens it.
    """
    rows = "\n".join(
        f"| `{printable(name).replace('|', ' ').replace('`', ' ')}` | {table[name].kind} "
        f"| {as_markdown(words)} |"
        for name, words in table.about.items()
    )
    count = len(folder.material.dataset)
    there = "" if folder.pictures is not None else " Pictures were left out."
    return f"""# {as_markdown(folder.title)}: tasks, splits and agreement by image

{count:,} images.{there} Written by taskdiscovery; the terms that the images came under hold here.

## Opening it

{opening.strip()}

## Columns

| column | kind | |
|---|---|---|
{rows}

Agreement is the share of pairs of independent trainings that predict the same class; it says
nothing of being right. Pictures are as networks saw them, not the original files.
"""
