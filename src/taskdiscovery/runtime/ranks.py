"""The processes that `torchrun` started, as one job.

All ranks do the same steps in the same order; what they share out (batches, tasks) is summed before
anything depends on it, so all of them hold the same numbers. The first rank alone writes and
prints. A rank that is lost ends the others: they notice at the next sum.
"""

from __future__ import annotations

import atexit
import datetime
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from taskdiscovery.errors import ConfigError, WorkerError, first_line
from taskdiscovery.runtime import devices, interrupts

if TYPE_CHECKING:
    from torch import Tensor

#: minutes that a rank may take longer than the others; a dead one is noticed at once.
PATIENCE = 30
#: how long a rank that has ended waits for the others.
FAREWELL = datetime.timedelta(seconds=5)
#: why other ranks were lost.
_lost: list[str] = []


def size() -> int:
    """Return how many ranks there are; 1 where torchrun has started nothing."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def here() -> int:
    """Return the number of this rank, from 0."""
    return int(os.environ.get("RANK", "0"))


def first() -> bool:
    """Say whether this is the rank that writes."""
    return here() == 0


def own(count: int) -> range:
    """Return which of so many things are this rank's."""
    return range(here(), count, size())


def join() -> None:
    """Connect to the other ranks, if there are any and it is not done.

    Raises:
        WorkerError: where they do not answer.
    """
    if size() == 1:
        return
    import torch
    import torch.distributed as dist
    from torch.distributed.rendezvous import rendezvous

    if dist.is_initialized():
        return
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    with _together():
        store, rank, count = next(rendezvous("env://"))
        dist.init_process_group(
            backend,
            store=store,
            rank=rank,
            world_size=count,
            timeout=datetime.timedelta(minutes=PATIENCE),
        )
    atexit.register(_leave, store)


def take_card(device: str) -> None:
    """Let `cuda` be a card of this rank's own, from here on.

    Args:
        device: resolved: `cuda`.

    Raises:
        ConfigError: for `cuda:1`, which all ranks would share, or more ranks than cards.
    """
    import torch

    if devices.number_of(device) is not None:
        raise ConfigError(
            "each rank takes a card of its own",
            where=f"--device {device}, under torchrun",
            hint="use --device cuda",
        )
    torch.cuda.set_device(
        devices.card_of_rank(
            int(os.environ.get("LOCAL_RANK", "0")),
            int(os.environ.get("LOCAL_WORLD_SIZE", "1")),
            devices.cards(),
            narrowed=bool(os.environ.get("CUDA_VISIBLE_DEVICES")),
        )
    )


def _leave(store: Any) -> None:
    """Close the connections, once the other ranks have what was sent last, too.

    A rank whose neighbour closes while it still receives takes that one for lost. And left to the
    end of the interpreter, gloo's threads may outlive what they use, and abort it.
    """
    import torch.distributed as dist

    if not _lost:
        with suppress(RuntimeError):  # the others have failed, or are gone
            store.set(f"left {here()}", "1")
            store.wait([f"left {rank}" for rank in range(size())], FAREWELL)
    dist.destroy_process_group()


def add(tensors: Sequence[Tensor]) -> None:
    """Replace each tensor by its sum over the ranks.

    Raises:
        WorkerError: where a rank is lost.
    """
    if size() == 1 or not tensors:
        return
    import torch
    import torch.distributed as dist

    join()
    kinds = {(x.dtype, x.device) for x in tensors}
    for dtype, device in sorted(kinds, key=str):
        mine = [x for x in tensors if (x.dtype, x.device) == (dtype, device)]
        flat = torch.cat([x.detach().reshape(-1) for x in mine])  # one message for all
        with _together():
            dist.all_reduce(flat)
        parts = torch.split(flat, [x.numel() for x in mine])
        for x, total in zip(mine, parts, strict=True):
            x.detach().copy_(total.view(x.shape))


def share(value: Any) -> Any:
    """Return the first rank's value, on all ranks.

    Raises:
        WorkerError: where a rank is lost.
    """
    if size() == 1:
        return value
    import torch.distributed as dist

    join()
    box = [value if first() else None]
    with _together():
        dist.broadcast_object_list(box, src=0)
    return box[0]


def signal_of_any(number: int) -> int:
    """Return the signal that waits on any rank, the same on all; 0 for none.

    Args:
        number: of the one that waits here; 0 for none.

    Raises:
        WorkerError: where a rank is lost.
    """
    if size() == 1:
        return number
    import torch

    counts = torch.zeros(len(interrupts.SIGNALS), dtype=torch.int64)
    if number:
        counts[interrupts.SIGNALS.index(number)] = 1
    add([counts])
    waiting = [n for n, count in zip(interrupts.SIGNALS, counts.tolist(), strict=True) if count]
    return waiting[0] if waiting else 0


def boundary(save: Callable[[bool], None] = lambda stop: None) -> None:
    """Between two steps: let a signal that waits through, on all ranks at the same step.

    Args:
        save: called before that, told whether the job is about to stop.

    Raises:
        Stopped: where a signal waits, here or on another rank.
        WorkerError: where a rank is lost.
    """
    number = signal_of_any(interrupts.requested())
    save(bool(number))
    if number:
        interrupts.request(number)
    # A signal that came since the ranks asked each other waits until they ask again: a rank that
    # left now would be lost to the others.
    if number or size() == 1:
        interrupts.check()


@contextmanager
def _together() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # what torch raises for all that can happen to a connection
        _lost.append(first_line(error))
        raise WorkerError(
            "another rank was lost",
            where=f"rank {here()} of {size()}: {first_line(error)[:120]}",
            hint="see what that rank says; then go on with taskdiscovery resume, under torchrun "
            f"--nproc-per-node {size()}",
        ) from error
