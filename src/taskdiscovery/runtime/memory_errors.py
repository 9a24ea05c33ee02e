"""Memory that ran out, of the processor or of a card: an error that says what can help."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from taskdiscovery.errors import ResourceError

#: what libraries say in errors that have no type of their own.
_WORDS = (
    "out of memory",
    "not enough memory",
    "cublas_status_alloc_failed",
    "cudnn_status_alloc_failed",
)


def is_of_memory(error: BaseException) -> bool:
    """Say whether an error means that memory ran out, in whatever way that is told.

    That is a `MemoryError`, or a `RuntimeError` of torch's allocators, of cuBLAS or of cuDNN.
    """
    if isinstance(error, MemoryError):
        return True
    if not isinstance(error, RuntimeError):
        return False
    words = str(error).lower()
    return any(word in words for word in _WORDS) or ("memory" in words and "allocat" in words)


@contextmanager
def explained(doing: str, *, where: str = "", hint: str) -> Iterator[None]:
    """Turn every way in which memory runs out within the block into an error with a remedy.

    Args:
        doing: what went on, e.g. `training`, as it follows "memory ran out while".
        where: the option that decides how much is needed, with its value.
        hint: what to try; of a batch, say `smaller(batch)`.

    Raises:
        ResourceError: where memory ran out. What a block within this one has explained stays so.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_of_memory(error):
            raise
        raise ResourceError(f"memory ran out while {doing}", where=where, hint=hint) from error


def smaller(batch: int, least: int = 2) -> int:
    """Return the batch to try where one was too large: half of it."""
    return max(least, batch // 2)
