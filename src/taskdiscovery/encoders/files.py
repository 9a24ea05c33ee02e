"""What the files of encoders say of themselves, and what is said where they cannot be read."""

from __future__ import annotations

import json
from collections.abc import Mapping

from taskdiscovery.errors import RunDirError, first_line
from taskdiscovery.types import Document


def metadata_of(content: bytes, key: str) -> Document:
    """Return a document that stands, as JSON, in the metadata of a safetensors file.

    Args:
        content: of the file.
        key: of the document.

    Raises:
        Exception: of many kinds, where there is none.
    """
    length = int.from_bytes(content[:8], "little")
    found = json.loads(json.loads(content[8 : 8 + length])["__metadata__"][key])
    if not isinstance(found, Mapping):
        raise ValueError("its header is no mapping")
    return dict(found)


def header_of(content: bytes) -> Document:
    """Return what the file of any encoder says of itself; errors as of `metadata_of`."""
    return metadata_of(content, "taskdiscovery")


def unreadable(error: Exception, where: str) -> RunDirError:
    """Say that an encoder cannot be read, and why."""
    return RunDirError(
        f"the encoder cannot be read: {first_line(error)}", where=where, hint="discover again"
    )
