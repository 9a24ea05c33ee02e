"""Writing a file so that it is whole or not there.

One path for everything: a temporary file in the same directory, flush, fsync, rename, fsync of the
directory.
"""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from taskdiscovery.errors import ResourceError
from taskdiscovery.runtime.disk import sync_directory

if TYPE_CHECKING:
    import pandas as pd

TEMPORARY = ".tmp"


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for writing that replaces `path` only when the block ends without an error.

    Raises:
        ResourceError: where the disk is full or the place is not writable.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{TEMPORARY}")
    try:
        with temporary.open("xb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
        sync_directory(path.parent)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise resource_error(error, path) from error
        raise


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all."""
    with atomic(path) as stream:
        stream.write(content)


def write_json(path: Path, value: Any) -> None:
    """Write strict JSON; numbers that are not finite become null."""
    write_bytes(path, json_bytes(value))


def json_bytes(value: Any) -> bytes:
    """Return strict JSON in UTF-8, with a line end."""
    text = json.dumps(finite(value), indent=1, ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "backslashreplace") + b"\n"


def write_parquet(path: Path, frame: pd.DataFrame) -> None:
    """Write a table; the same values give the same bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    with atomic(path) as stream:
        pq.write_table(table, stream, compression="zstd")


def remove_leftovers(folder: Path) -> None:
    """Remove temporary files of a process that died while writing; its lock must be held."""
    for leftover in folder.glob(f".*{TEMPORARY}"):
        with contextlib.suppress(OSError):
            leftover.unlink()


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
