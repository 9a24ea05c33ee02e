"""A frozen network is asked in batches of one size, the next ones prepared meanwhile.

On a GPU nothing waits for a batch: threads put the next ones into pinned memory, batches are queued
on the device, and answers are copied back while it computes those of the next.

Axes: n images of a batch, P features.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from taskdiscovery.errors import ConfigError, NumericalError
from taskdiscovery.features.backbones.kind import Network
from taskdiscovery.features.backbones.prepare import seen
from taskdiscovery.runtime import devices, memory_errors
from taskdiscovery.runtime.ahead import prepared
from taskdiscovery.runtime.isolation import usual_torch
from taskdiscovery.types import Backbone, Float32, ImageArray

if TYPE_CHECKING:
    from torch import Tensor

#: images at once: kernels that depend on the size of a batch are the same for all. On a GPU as many
#: as have the pixels of 256 of 224 pixels a side, within bounds.
BATCH, BATCH_CUDA, _SIDE = 32, 256, 224
_FEWEST, _MOST = 32, 2048
#: on a GPU: batches that are prepared ahead and whose answers are waited for, and by how many
#: threads where the process may use so many.
_AHEAD, _THREADS = 4, 4


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How features are computed on a device.

    Attributes:
        device: where.
        precision: `float32` or `bf16`.
        batch: images at once.
        ahead: batches that threads prepare while the device computes, and that it is given before
            the answer to the first of them is looked at; 0 for none.
        pinned: whether they lie in memory that the device copies from by itself.
        threads: that prepare.
    """

    device: str
    precision: str
    batch: int
    ahead: int
    pinned: bool
    threads: int = 1


def plan_of(
    device: str, batch: int | None = None, *, size: int = _SIDE, exact: bool = False
) -> Plan:
    """Return how features are computed on a device.

    Args:
        device: `cpu`, `cuda`, or one GPU of several.
        batch: images at once, if not as many as suit the device.
        size: pixels of a side of an image, as the network sees it.
        exact: in float32 wherever it is, as the same image gives the same features alone.
    """
    if not devices.is_cuda(device):
        batch = batch or BATCH
        return Plan(device=device, precision="float32", batch=batch, ahead=0, pinned=False)
    import torch

    native = devices.multiplies_bf16(device)
    return Plan(
        device=device,
        precision="bf16" if native and not exact else "float32",
        batch=batch or (BATCH if exact else batch_of(size)),
        ahead=_AHEAD,
        pinned=True,
        threads=min(_THREADS, torch.get_num_threads()),
    )


def batch_of(size: int) -> int:
    """Return how many images of a size a GPU is asked for at once: a power of two."""
    fitting = BATCH_CUDA * (_SIDE / size) ** 2
    return int(2 ** np.floor(np.log2(np.clip(fitting, _FEWEST, _MOST))))


class Answer:
    """Features of a batch, which may still be on their way from a GPU.

    Args:
        features: (n, P) float32.
    """

    def __init__(self, features: Tensor) -> None:
        import torch

        self._features, self._there = features, None
        if features.device.type == "cuda":
            host = torch.empty(features.shape, dtype=features.dtype, pin_memory=True)
            self._features = host.copy_(features, non_blocking=True)
            # The thread sleeps while it waits: others prepare batches.
            self._there = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
            self._there.record(torch.cuda.current_stream(features.device))

    def arrived(self) -> Float32:
        """Return them when they are there."""
        if self._there is not None:
            self._there.synchronize()
        result: Float32 = self._features.numpy()
        return result


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
        self.width = self._finite(self._ask(self._black(), 1)).shape[1]

    def blocks(self, images: ImageArray, starts: Iterable[int]) -> Iterator[tuple[int, Float32]]:
        """Yield the features of batches: where each begins, and its (n, P).

        Raises:
            NumericalError: where they are not finite.
            ResourceError: where a batch does not fit the device.
        """
        channels = self.network.channels

        def prepare(start: int) -> tuple[int, int, Tensor]:
            block = images[start : start + self.batch]
            return start, len(block), self._filled(seen(block, self.backbone, channels))

        coming: deque[tuple[int, Answer]] = deque()
        ahead = self.plan.ahead
        for start, count, batch in prepared(prepare, starts, ahead, self.plan.threads):
            coming.append((start, self._ask(batch, count)))
            if len(coming) > ahead:
                begun, answer = coming.popleft()
                yield begun, self._finite(answer)
        for begun, answer in coming:
            yield begun, self._finite(answer)

    def _black(self) -> Tensor:
        """Return one black image."""
        import torch

        side = self.backbone.size
        return torch.zeros(1, side, side, self.network.channels, dtype=torch.uint8)

    def _filled(self, images: ImageArray) -> Tensor:
        """Return a whole batch, filled up with copies of its first image."""
        import torch

        shape = (self.batch, *images.shape[1:])
        tensor = torch.empty(shape, dtype=torch.uint8, pin_memory=self.plan.pinned)
        filled = tensor.numpy()
        filled[: len(images)] = images
        filled[len(images) :] = images[:1]
        return tensor

    def _explained(self) -> AbstractContextManager[None]:
        """Turn memory that runs out within the block into an error that says what takes less."""
        hint = f"try --batch {memory_errors.smaller(self.batch, 1)}"
        return memory_errors.explained(
            f"asking the backbone {self.backbone.asked or self.backbone}",
            where=f"{self.batch} images at once, --device {self.plan.device}",
            hint=hint + ", or use --device cpu" * devices.is_cuda(self.plan.device),
        )

    def _ask(self, batch: Tensor, count: int) -> Answer:
        """Return (count, P) features."""
        import torch

        from taskdiscovery.runtime.arithmetic import ieee

        kind = self.plan.device.partition(":")[0]
        low = self.plan.precision == "bf16"
        with (
            usual_torch(),
            torch.inference_mode(),
            torch.autocast(kind, torch.bfloat16, enabled=low),
            ieee(self.plan.device),
            self._explained(),
        ):
            given = self.network(batch)[:count]
            return Answer(pooled(given, self.backbone).float())

    def _finite(self, answer: Answer) -> Float32:
        """Return the features of an answer.

        Raises:
            NumericalError: where they are not finite.
        """
        features = answer.arrived()
        if not np.isfinite(features).all():
            raise NumericalError(
                f"features of {self.backbone} are missing or infinite",
                where=f"backbone {self.backbone.asked or self.backbone}",
                hint="check its mean, std and scale, and its weights",
            )
        return features


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
