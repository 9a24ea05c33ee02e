"""A call of the library computes the same in whatever state the caller's torch is.

A notebook may have gradients switched off, autocast on, another default type or device, products in
lower precision; threads of one process share torch's global random state.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

#: one call at a time; a callback may make another in the same thread.
_LOCK = threading.RLock()


def isolated(verb: Callable[P, R]) -> Callable[P, R]:
    """Let a function run one call at a time, in torch's usual state."""

    @functools.wraps(verb)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        with _LOCK, usual_torch():
            return verb(*args, **kwargs)

    return call


@contextmanager
def usual_torch() -> Iterator[None]:
    """Compute with gradients, without autocast, in float32 and on the CPU unless told otherwise."""
    import torch

    from taskdiscovery.runtime import arithmetic

    before, cached = torch.get_default_dtype(), torch.is_autocast_cache_enabled()
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        for device in ("cpu", "cuda"):
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
                # Weights that were rounded once are kept until the outermost block ends, which is
                # the caller's: a training would go on with those of its first step.
                torch.set_autocast_cache_enabled(False)
        if torch.get_default_device().type != "cpu":  # the context slows every operation down
            stack.enter_context(torch.device("cpu"))
        stack.enter_context(arithmetic.usual())
        torch.set_default_dtype(torch.float32)
        try:
            yield
        finally:
            torch.set_default_dtype(before)
            torch.set_autocast_cache_enabled(cached)
