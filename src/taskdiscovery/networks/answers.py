"""What networks give: the tensor (N, outputs) in it, where there is no doubt which that is.

Axes: N images.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from taskdiscovery.errors import ConfigError

#: where dicts keep their answer, beside which auxiliary ones may lie.
KEYS = ("logits", "out")


class Plain:
    """A hook that replaces what a network gives by the tensor in it.

    A class, so that networks can be copied.

    Args:
        name: what errors call the network.
        outputs: how many.
    """

    def __init__(self, name: str, outputs: int) -> None:
        self.name, self.outputs = name, outputs

    def __call__(self, _: nn.Module, inputs: tuple[Any, ...], given: object) -> Tensor:
        """Return the (N, outputs) tensor.

        Raises:
            ConfigError: naming what came instead.
        """
        N, K = len(inputs[0]), self.outputs
        found = _answer(given, N, K)
        if found is not None:
            return found
        hint = f"build it for as many outputs as the factory is called with, here outputs={K}"
        if not isinstance(given, Tensor):
            hint = (
                "give a tensor (N, outputs); or a tuple that begins with it, a dict with it as "
                "'logits', an object with it as .logits"
            )
        raise ConfigError(
            f"{self.name} gives {described(given)} for {N} images, not ({N}, {K})",
            where="--learner",
            hint=hint,
        )


def described(given: object) -> str:
    """Say what a network gave, by its kinds and shapes."""
    if isinstance(given, Tensor):
        return f"{tuple(given.shape)} of {str(given.dtype).removeprefix('torch.')}"
    kind = type(given).__name__
    if isinstance(given, Mapping):
        parts = [f"{key}: {described(value)}" for key, value in given.items()]
    elif isinstance(given, tuple | list):
        parts = [described(value) for value in given]
    else:
        return f"an object {kind}"
    return f"a {kind} of {'; '.join(parts[:4]) or 'nothing'}"


def _answer(given: object, N: int, K: int) -> Tensor | None:
    if isinstance(given, Tensor):
        return _shaped(given, N, K)
    logits = getattr(given, "logits", None)
    if isinstance(logits, Tensor):
        return _shaped(logits, N, K)
    if isinstance(given, Mapping):
        named = [given[key] for key in KEYS if isinstance(given.get(key), Tensor)]
        fitting = [value for value in given.values() if _shaped(value, N, K) is not None]
        if named:
            return _shaped(named[0], N, K)
        return _shaped(fitting[0], N, K) if len(fitting) == 1 else None
    if isinstance(given, tuple | list) and given:
        return _shaped(given[0], N, K)
    return None


def _shaped(found: object, N: int, K: int) -> Tensor | None:
    """Return a tensor as (N, K), where it differs from that by axes of length one alone."""
    if not isinstance(found, Tensor) or not found.is_floating_point():
        return None
    if [n for n in found.shape if n != 1] != [n for n in (N, K) if n != 1]:
        return None
    return found if found.shape == (N, K) else found.reshape(N, K)
