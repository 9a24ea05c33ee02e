"""Networks of the user's: made to fit where that leaves no doubt, else refused by what they gave.

A network maps normalized float32 images (N, channels, H, W), laid out channels-last, to
(N, outputs). Many give that in a tuple, a dict or an object, build their layers when they see a
first image, look at pixels by `x.view`, or own layers that they never ask. What a network needs is
found by a pass over two images when it is built. It stays the user's object: what is put around it
are hooks, so that its weights keep their names.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from taskdiscovery.errors import ConfigError, TaskDiscoveryError, first_line
from taskdiscovery.networks.answers import Plain
from taskdiscovery.runtime import random_states


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What was asked of a network of the user's.

    Attributes:
        name: what errors call it.
        image_shape: (H, W, channels).
        outputs: how many.
    """

    name: str
    image_shape: tuple[int, int, int]
    outputs: int

    def pixels(self, network: nn.Module) -> Tensor:
        """Return two images as networks get them: (2, channels, H, W), laid out channels-last.

        Args:
            network: on whose device they are wanted.
        """
        numbers = torch.randn(2, *self.image_shape, generator=torch.Generator().manual_seed(0))
        weights = next((p for p in network.parameters() if not is_lazy(p)), numbers)
        return numbers.to(weights.device).permute(0, 3, 1, 2)


@dataclass(frozen=True, kw_only=True)
class Adopted:
    """What is known of a network of the user's that has been adopted.

    Attributes:
        asked: what was asked of it.
        last: name of the linear layer that it asks last; None where it asks none.
        ends: whether that layer gives the network's answer, and nothing else uses its weights.
    """

    asked: Asked
    last: str | None
    ends: bool


def complete(network: nn.Module, asked: Asked) -> None:
    """Let lazy layers find their sizes; their weights are drawn here.

    Raises:
        ConfigError: where the network fails on such images, or never asks one of them.
    """
    for training in (False, True):  # some layers are asked in training alone
        if not _lazy(network):
            return
        with explained(asked), unchanged(network), torch.no_grad():
            network.train(training)(asked.pixels(network).contiguous())
    if _lazy(network):
        raise ConfigError(
            f"{asked.name} never uses its lazy layer of {_lazy(network)[0]!r}, whose size is then "
            "not known",
            where="--learner",
            hint="take the layer out, or give it its size",
        )


def adopt(network: nn.Module, asked: Asked) -> Adopted:
    """Have a network give plain outputs, and lay it out so that it takes our pixels.

    Args:
        network: without lazy layers; changed in place.
        asked: what errors name.

    Raises:
        ConfigError: where it fails on such images, or gives something else.
    """
    network.register_forward_hook(Plain(asked.name, asked.outputs))
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    try:
        return _tried(network, asked)
    except Exception:  # `x.view`, and whatever else looks at the memory of images
        network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        network.register_forward_pre_hook(_contiguous)
        with explained(asked):
            return _tried(network, asked)


@contextmanager
def explained(asked: Asked, doing: str = "fails") -> Iterator[None]:
    """Turn what a network of the user's raises into an error that names it and the images.

    Errors of this package and an exhausted memory pass as they are.

    Raises:
        ConfigError: with `on_images` among its details.
    """
    try:
        yield
    except (TaskDiscoveryError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # a network may raise anything
        words = str(error).lower()
        if "memory" in words and ("allocat" in words or "out of" in words):
            raise
        height, width, channels = asked.image_shape
        raise ConfigError(
            f"{asked.name} {doing} on images of shape {asked.image_shape}: "
            f"{type(error).__name__}: {first_line(error)[:200]}",
            where="--learner",
            hint=f"its forward is given float32 (N, {channels}, {height}, {width}), and gives "
            f"(N, {asked.outputs})",
            on_images=True,
        ) from error


@contextmanager
def unchanged(network: nn.Module) -> Iterator[None]:
    """Leave a network's buffers, and which of its parts train, as they were before the block."""
    modes = [(module, module.training) for module in network.modules()]
    buffers = [
        (module, name, buffer, buffer.clone())
        for module in network.modules()
        for name, buffer in module._buffers.items()
        if buffer is not None and not is_lazy(buffer)
    ]
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
        with torch.no_grad():
            for module, name, buffer, before in buffers:
                buffer.copy_(before)
                module._buffers[name] = buffer


def _lazy(network: nn.Module) -> list[str]:
    """Return the names of what has no size yet."""
    own = [*network.named_parameters(), *network.named_buffers()]
    return [name for name, tensor in own if is_lazy(tensor)]


def _contiguous(_: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    return (inputs[0].contiguous(), *inputs[1:])


def _tried(network: nn.Module, asked: Asked) -> Adopted:
    """Ask it as trainings and predictions do; see which linear layer it asks last."""
    layers = {m: n for n, m in network.named_modules() if isinstance(m, nn.Linear)}
    seen: list[tuple[nn.Linear, Tensor, int]] = []

    def note(layer: nn.Module, _: Any, output: Tensor) -> None:
        assert isinstance(layer, nn.Linear)
        seen.append((layer, output, output._version))

    with random_states.private(0), unchanged(network):
        with torch.enable_grad():
            network.train()(asked.pixels(network))
        hooks = [layer.register_forward_hook(note) for layer in layers]
        try:
            with torch.no_grad():
                answer = network.eval()(asked.pixels(network))
        finally:
            for hook in hooks:
                hook.remove()
    if not seen:
        return Adopted(asked=asked, last=None, ends=False)
    layer, output, version = seen[-1]
    ends = _alone(network, layer) and [module for module, *_ in seen].count(layer) == 1
    same = output.data_ptr() == answer.data_ptr() and output.numel() == answer.numel()
    ends = ends and same and output._version == version and output.shape[-1] == asked.outputs
    return Adopted(asked=asked, last=layers[layer], ends=ends)


def _alone(network: nn.Module, layer: nn.Module) -> bool:
    """Say whether the weights of a layer are parameters of its own, that no other part uses."""
    weight = layer._parameters.get("weight")
    users = [p for module in network.modules() for p in module._parameters.values()]
    return weight is not None and sum(p is weight for p in users) == 1
