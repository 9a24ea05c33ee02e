"""What is written: bytes, strict JSON, tables; and what is said where it cannot be written."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from taskdiscovery.errors import ResourceError
from taskdiscovery.store.place import TEMPORARY, Place

if TYPE_CHECKING:
    import pandas as pd

#: what `Place.atomic` calls a file that is not whole yet.
_LEFT_OVER = re.compile(rf"\..+\.[0-9a-f]{{8}}{re.escape(TEMPORARY)}")


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that the caller has named, and that is replaced when the block has ended.

    Raises:
        ResourceError: where the disk is full or the place is not writable.
    """
    with resources(path), Place(path.parent).atomic(path.name) as stream:
        yield stream


def write_parquet(
    path: Path, frame: pd.DataFrame, *, about: Mapping[str, str] | None = None
) -> None:
    """Write a table to a file that the caller has named; `about` stands in its metadata."""
    with atomic(path) as stream:
        stream.write(parquet_bytes(frame, about=about))


def parquet_bytes(frame: pd.DataFrame, *, about: Mapping[str, str] | None = None) -> bytes:
    """Return a table as a Parquet file; the same values give the same bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(frame, preserve_index=False)
    table = table.replace_schema_metadata(dict(about) if about else None)
    stream = io.BytesIO()
    pq.write_table(table, stream, compression="zstd")
    return stream.getvalue()


def json_bytes(value: Any) -> bytes:
    """Return strict JSON in UTF-8, with a line end; numbers that are not finite become null."""
    text = json.dumps(finite(value), indent=1, ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "backslashreplace") + b"\n"


def is_left_over(name: str) -> bool:
    """Say whether a name is that of a file whose process died while it wrote."""
    return _LEFT_OVER.fullmatch(name) is not None


def remove_leftovers(place: Place) -> None:
    """Remove what a process left that died while writing; the lock of the run must be held."""
    for name in filter(is_left_over, place.names()):
        with contextlib.suppress(OSError):
            place.remove(name)


def write_bytes(place: Place, name: str, content: bytes) -> None:
    """Write a file of a run, whole or not at all.

    Raises:
        RunDirError: where a folder on the way is a link.
        ResourceError: where it cannot be written.
    """
    with resources(place.path / name), place.atomic(name) as stream:
        stream.write(content)


def write_json(place: Place, name: str, value: Any) -> None:
    """Write strict JSON, as `write_bytes`."""
    write_bytes(place, name, json_bytes(value))


@contextlib.contextmanager
def resources(path: Path) -> Iterator[None]:
    """Turn an error of the system's into one that says what to do.

    Raises:
        ResourceError: for any `OSError` of the block.
    """
    try:
        yield
    except OSError as error:
        raise resource_error(error, path) from error


def resource_error(error: OSError, path: Path) -> ResourceError:
    """Say what to do about a write that failed."""
    hints = {
        errno.ENOSPC: "free some space, or give another --out",
        errno.EDQUOT: "free some of your quota, or give another --out",
        errno.EFBIG: "raise the limit on file size (ulimit -f)",
    }
    hint = hints.get(error.errno or 0, "give another --out that can be written")
    return ResourceError(f"cannot write: {error.strerror or error}", where=str(path), hint=hint)


def finite(value: Any) -> Any:
    """Replace numbers that JSON has no word for, and NumPy's scalars."""
    if isinstance(value, Mapping):
        return {str(k): finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [finite(v) for v in value]
    if hasattr(value, "item") and not isinstance(value, str | bytes):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
