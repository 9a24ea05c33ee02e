"""A frozen network is asked in batches of one size, the next ones prepared meanwhile.

Axes: n images of a batch, P features.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from taskdiscovery.errors import ConfigError, NumericalError
from taskdiscovery.features.backbones.kind import Network
from taskdiscovery.features.backbones.prepare import seen
from taskdiscovery.runtime import devices, memory_errors
from taskdiscovery.runtime.isolation import usual_torch
from taskdiscovery.types import Backbone, Float32, ImageArray

if TYPE_CHECKING:
    from torch import Tensor

#: images at once: kernels that depend on the size of a batch are the same for all.
BATCH, BATCH_CUDA = 32, 256


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How features are computed on a device.

    Attributes:
        device: where.
        precision: `float32` or `bf16`.
        batch: images at once.
        ahead: batches that a thread prepares while the device computes; 0 for none.
        pinned: whether they lie in memory that the device copies from by itself.
        exact: whether the same image gives the same features alone, for which the batch is fixed.
    """

    device: str
    precision: str
    batch: int
    ahead: int
    pinned: bool
    exact: bool = False


def plan_of(device: str, batch: int | None = None, *, exact: bool = False) -> Plan:
    """Return how features are computed on a device.

    Args:
        device: `cpu`, `cuda` or `cuda:N`.
        batch: images at once, if not as many as suit the device.
        exact: in float32 wherever it is, as the same image gives the same features alone.
    """
    cuda = devices.is_cuda(device)
    return Plan(
        device=device,
        precision="bf16" if cuda and not exact else "float32",
        batch=batch or (BATCH_CUDA if cuda and not exact else BATCH),
        ahead=2 if cuda else 0,
        pinned=cuda,
        exact=exact,
    )


class Asked:
    """A network that is loaded, and asked in batches.

    Args:
        load: loads it on a device.
        backbone: which.
        plan: how it is asked.
    """

    def __init__(
        self, load: Callable[[Backbone, str], Network], backbone: Backbone, plan: Plan
    ) -> None:
        self.backbone, self.plan, self.batch = backbone, plan, plan.batch
        with usual_torch():
            self.network = load(backbone, plan.device)
        self.width = self._ask(self._black(), 1).shape[1]

    def blocks(self, images: ImageArray, starts: Iterable[int]) -> Iterator[tuple[int, Float32]]:
        """Yield the features of batches: where each begins, and its (n, P)."""
        for start, count, batch in self._prepared(images, starts):
            yield start, self._ask(batch, count)

    def _prepared(
        self, images: ImageArray, starts: Iterable[int]
    ) -> Iterator[tuple[int, int, Tensor]]:
        """Yield where a batch begins, how many images it has, and these as the network sees them;
        some ahead of time where the plan says so.
        """

        def prepare(start: int) -> tuple[int, int, Tensor]:
            block = images[start : start + self.batch]
            return start, len(block), self._filled(seen(block, self.backbone, channels))

        channels = self.network.channels
        if not self.plan.ahead:
            yield from map(prepare, starts)
            return
        pool = ThreadPoolExecutor(1)
        waiting: deque[Future[tuple[int, int, Tensor]]] = deque()
        try:
            for start in starts:
                waiting.append(pool.submit(prepare, start))
                if len(waiting) > self.plan.ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _black(self) -> Tensor:
        """Return one black image."""
        import torch

        side = self.backbone.size
        return torch.zeros(1, side, side, self.network.channels, dtype=torch.uint8)

    def _filled(self, images: ImageArray) -> Tensor:
        """Return a whole batch, filled up with copies of its first image."""
        import torch

        filled = np.repeat(images[:1], self.batch, axis=0)
        filled[: len(images)] = images
        tensor = torch.from_numpy(filled)
        return tensor.pin_memory() if self.plan.pinned else tensor

    def _explained(self) -> AbstractContextManager[None]:
        """Turn memory that runs out within the block into an error that says what takes less."""
        hints = ["use --device cpu"] if devices.is_cuda(self.plan.device) else []
        if not self.plan.exact:
            hints.insert(0, f"try --batch {memory_errors.smaller(self.batch, 1)}")
        return memory_errors.explained(
            f"asking the backbone {self.backbone.asked or self.backbone}",
            where=f"{self.batch} images at once, --device {self.plan.device}",
            hint=", or ".join(hints) or "give smaller images with --size",
        )

    def _ask(self, batch: Tensor, count: int) -> Float32:
        """Return (count, P) features."""
        import torch

        kind = self.plan.device.partition(":")[0]
        low = self.plan.precision == "bf16"
        with (
            usual_torch(),
            torch.no_grad(),
            torch.autocast(kind, torch.bfloat16, enabled=low),
            self._explained(),
        ):
            given = self.network(batch)[:count]
        features = pooled(given, self.backbone).float()
        if not bool(torch.isfinite(features).all()):
            raise NumericalError(
                f"features of {self.backbone} are missing or infinite",
                where=f"backbone {self.backbone.asked or self.backbone}",
                hint="check its mean, std and scale, and its weights",
            )
        result: Float32 = features.cpu().numpy()
        return result


def pooled(given: Tensor, backbone: Backbone) -> Tensor:
    """Return (n, P) of what a network gives.

    Args:
        given: (n, P), (n, positions, P) or (n, P, H, W).
        backbone: says how positions are pooled.

    Raises:
        ConfigError: where it does not, or the network gives something else.
    """
    shape = tuple(given.shape)
    if given.ndim == 4:
        if backbone.pool == "mean" or shape[2:] == (1, 1):
            return given.float().mean(dim=(2, 3))
    elif given.ndim == 3:
        if backbone.pool:
            return given[:, 0] if backbone.pool == "first" else given.float().mean(dim=1)
    elif given.ndim == 2:
        return given
    several = given.ndim in (3, 4)
    raise ConfigError(
        f"the network gives {shape} for {shape[0] if shape else 0} images, not a row of features "
        "for each",
        where=f"backbone {backbone.asked or backbone}",
        hint=("add pool=mean" + (", or pool=first for a class token" if given.ndim == 3 else ""))
        if several
        else "name another output, or a network that gives (N, P)",
    )
