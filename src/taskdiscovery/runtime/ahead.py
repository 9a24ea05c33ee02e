"""Work that threads prepare while what they prepared before is used."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def prepared(
    prepare: Callable[[T], R], items: Iterable[T], ahead: int, threads: int = 1
) -> Iterator[R]:
    """Yield `prepare(item)` of each item, in order.

    Args:
        prepare: called in threads; its errors are raised here, at the item's turn.
        items: walked through in this thread.
        ahead: results that wait at most; 0 to prepare each here, when it is asked for.
        threads: that prepare side by side.
    """
    if not ahead:
        yield from map(prepare, items)
        return
    pool = ThreadPoolExecutor(threads)
    waiting: deque[Future[R]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(prepare, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
