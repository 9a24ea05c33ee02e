"""Networks that begin with weights from elsewhere, and a last layer of their own.

Only the last layer is drawn from the seed. What is frozen stays as it was: its weights have no
gradient, so that none is computed through it, and its modules are in evaluation mode, so that batch
norms keep their statistics and nothing is dropped. Raw pixels go in, of any size, grey or RGB: they
are scaled to the size that the network is to see, and normalized as it was trained.

Axes: N images, K outputs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from taskdiscovery.errors import ConfigError, DataError, first_line
from taskdiscovery.types.backbone import Pixels

_BLOCK = 2**22
_CONVERT = (
    "convert it once: python -c \"import torch, safetensors.torch as s; s.save_file(torch.load('F',"
    " weights_only=True), 'F.safetensors')\""
)


@dataclass(frozen=True)
class Source:
    """Where pretrained weights come from.

    Attributes:
        where: what errors call it.
        read: gives the weights by the names of the network that they are for.
    """

    where: str
    read: Callable[[], Mapping[str, Tensor]]


class Pretrained(nn.Module):
    """A pretrained network under a fresh last layer.

    Args:
        body: maps normalized float images (N, 3, H, W) to (N, K).
        pixels: what it is shown.
        head: name of its last layer.
        train: `head`, `last` or `all`.
        last: names of what is trained beside the head for `last`.
        source: of the weights of the body; those of the head are left out.
    """

    def __init__(
        self,
        body: nn.Module,
        pixels: Pixels,
        *,
        head: str,
        train: str,
        last: Sequence[str],
        source: Source,
    ) -> None:
        super().__init__()
        self.body, self.head = body, head
        self.size, self.scale = pixels.size, pixels.scale / 255
        self._source = source
        self._trained = ("",) if train == "all" else (head, *(last if train == "last" else ()))
        for name, parameter in body.named_parameters():
            parameter.requires_grad_(self._trains(name))
        for key, values in (("pixel_mean", pixels.mean), ("pixel_std", pixels.std)):
            wide = torch.tensor(values, dtype=torch.float32).view(1, -1, 1, 1)
            self.register_buffer(key, wide)

    pixel_mean: Tensor
    pixel_std: Tensor

    def take_weights(self) -> None:
        """Take the pretrained weights; the last layer stays as it was drawn.

        Raises:
            TaskDiscoveryError: where they are missing, or of another network.
        """
        fill(self.body, self._source.read(), self._source.where, fresh=(self.head,))

    def train(self, mode: bool = True) -> Pretrained:
        """Put what is trained into training mode, and the rest into evaluation mode."""
        super().train(mode)
        for name, module in self.body.named_modules():
            if mode and not self._trains(name):
                module.training = False
        return self

    def forward(self, pixels: Tensor) -> Tensor:
        """Map (N, 1 or 3, H, W) pixels of 0 to 255 to (N, K)."""
        x = shown(pixels, self.size)
        x = (x * self.scale if self.scale != 1.0 else x).sub(self.pixel_mean).div(self.pixel_std)
        outputs: Tensor = self.body(x.to(pixels.dtype).contiguous(memory_format=_LAST))
        return outputs

    def _trains(self, name: str) -> bool:
        return any(not part or f"{name}.".startswith(f"{part}.") for part in self._trained)


_LAST = torch.channels_last


def shown(pixels: Tensor, size: int) -> Tensor:
    """Return (N, 3, size, size) float32 of (N, 1 or 3, H, W): bilinear, and smoothed where smaller.

    Images of that size are not touched.
    """
    x = pixels.float()
    if x.shape[2:] != (size, size):
        x = F.interpolate(x, (size, size), mode="bilinear", antialias=True)
    return x.expand(-1, 3, -1, -1) if x.shape[1] == 1 else x


def fill(
    network: nn.Module, given: Mapping[str, Tensor], where: str, fresh: Sequence[str] = ()
) -> None:
    """Copy weights into a network.

    Args:
        network: changed in place.
        given: by the network's own names.
        where: they are from.
        fresh: names of modules that keep their weights, whatever is given for them.

    Raises:
        DataError: where weights are missing, left over, or of other shapes.
    """

    def is_fresh(name: str) -> bool:
        return any(name.startswith(f"{part}.") for part in fresh)

    own = {name: value for name, value in network.state_dict().items() if not is_fresh(name)}
    kept = {name: value for name, value in given.items() if not is_fresh(name)}
    # Files of some libraries leave out how many batches a batch norm has seen.
    counted = {name for name in own if name.endswith("num_batches_tracked")}
    lacking = sorted(own.keys() - kept.keys() - counted)
    spare = sorted(kept.keys() - own.keys() - {n for n in kept if n.endswith("batches_tracked")})
    wrong = sorted(n for n in own.keys() & kept.keys() if own[n].shape != kept[n].shape)
    for names, what in (
        (lacking, "lacks {0} of its weights, e.g. {1}"),
        (wrong, "has {0} weights of another shape, e.g. {1}"),
        (spare, "has {0} weights that the network has not, e.g. {1}"),
    ):
        if names:
            raise DataError(
                f"the file {what.format(len(names), names[0])}",
                where=where,
                hint="give the weights of this very architecture",
            )
    with torch.no_grad():
        for name in own.keys() & kept.keys():
            own[name].copy_(kept[name])


def read_weights(path: Path | str) -> dict[str, Tensor]:
    """Read a file of weights.

    Raises:
        ConfigError: where it is no safetensors file: others may run code when they are read.
        DataError: where it is missing or damaged.
    """
    from safetensors.torch import load_file

    check_weights(path)
    try:
        return load_file(str(path))
    except Exception as error:  # damaged files raise errors of every kind
        raise DataError(
            f"the weights cannot be read: {first_line(error)}",
            where=str(path),
            hint="write them again with safetensors.torch.save_file",
        ) from error


def check_weights(path: Path | str) -> None:
    """Refuse a file by its name, or because there is none; errors as of `read_weights`."""
    path = Path(path)
    if path.suffix != ".safetensors":
        raise ConfigError(
            f"weights are read from .safetensors alone, not from {path.suffix or 'such files'}: a "
            "pickle runs code when it is read",
            where=str(path),
            hint=_CONVERT.replace("F", path.stem or "F", 2),
        )
    if not path.is_file():
        raise DataError("there is no such file", where=str(path), hint="check the path")


def sha256_of(path: Path | str) -> str:
    """Return the SHA-256 of a file.

    Raises:
        DataError: where it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with Path(path).open("rb") as stream:
            while block := stream.read(_BLOCK):
                digest.update(block)
    except OSError as error:
        raise DataError(
            f"the file cannot be read: {error.strerror}", where=str(path), hint="check the path"
        ) from error
    return digest.hexdigest()


def last_asked(network: nn.Module, size: int, where: str) -> str:
    """Return the name of the linear layer that gives a network's answer.

    Args:
        network: of (N, 3, size, size) normalized images; left as it was.
        size: of the images it is asked of.
        where: what errors call it.

    Raises:
        ConfigError: where it ends in no linear layer.
    """
    asked: list[str] = []
    hooks = [
        module.register_forward_hook(lambda *_, name=name: asked.append(name))
        for name, module in network.named_modules()
        if not any(module.children())
    ]
    before = network.training
    try:
        with torch.no_grad():
            network.eval()(torch.zeros(1, 3, size, size))
    finally:
        network.train(before)
        for hook in hooks:
            hook.remove()
    last = asked[-1] if asked else ""
    if not last or not isinstance(network.get_submodule(last), nn.Linear):
        raise ConfigError(
            f"{type(network).__name__} does not end in a linear layer",
            where=where,
            hint="write a factory package.module:factory that gives the features or outputs",
        )
    return last


def last_block(network: nn.Module, head: str) -> tuple[str, ...]:
    """Return the names of what comes last before the head: a block, and what stands after it.

    That is the last element with parts of its own of the last sequence of modules that is not
    within another, and does not hold the head: a residual block, a transformer block, a stage. What
    has weights and was defined after it, as a last norm, belongs to it.
    """
    sequences: list[str] = []
    for name, module in network.named_modules():
        inside = any(f"{name}.".startswith(f"{outer}.") for outer in sequences)
        holds = f"{head}.".startswith(f"{name}.") or not name
        listed = isinstance(module, nn.Sequential | nn.ModuleList)
        if listed and not inside and not holds and len(_weighted(name, module)) > 1:
            sequences.append(name)
    if not sequences:
        return ()
    elements = _weighted(sequences[-1], network.get_submodule(sequences[-1]))
    blocks = [name for name in elements if _weighted(name, network.get_submodule(name))] or elements
    # A module may have weights beside its children, as batch norms of timm have.
    order = [
        name
        for name, module in network.named_modules()
        if not any(module.children()) or any(p is not None for p in module._parameters.values())
    ]
    end = max(n for n, name in enumerate(order) if f"{name}.".startswith(f"{blocks[-1]}."))
    return (blocks[-1], *(name for name in order[end + 1 :] if name != head))


def _weighted(name: str, module: nn.Module) -> list[str]:
    children = module.named_children()
    return [
        f"{name}.{key}" for key, child in children if next(child.parameters(), None) is not None
    ]
