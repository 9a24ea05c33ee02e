"""Cells of tables that hold an encoded image: a path, bytes, or both as Hugging Face keeps them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from taskdiscovery.data.listing import Source, hash_text, stamp


def is_cell(value: Any) -> bool:
    """Say whether a value is an encoded image, or names one."""
    if isinstance(value, Mapping):
        return "bytes" in value or "path" in value
    return isinstance(value, str | Path | bytes)


def source_of(cell: Any) -> Source:
    """Return the image of a cell: its bytes where it has some, else the file; None where empty."""
    if isinstance(cell, Mapping):
        content = cell.get("bytes")
        return bytes(content) if content is not None else source_of(cell.get("path"))
    if isinstance(cell, bytes | bytearray | memoryview):
        return bytes(cell)
    return Path(cell).expanduser() if isinstance(cell, str | Path) and str(cell) else None


def key_of(sources: Iterable[Source]) -> str:
    """Hash what images hold: bytes by their content, files by what tells their states apart."""

    folders: dict[Path, str] = {}

    def parts() -> Iterator[str]:
        for source in sources:
            if isinstance(source, bytes):
                yield hashlib.sha256(source).hexdigest()
            elif source is None or not source.is_file():
                yield f"none {source}"
            else:
                yield stamp(source, folders)

    return hash_text(parts())
