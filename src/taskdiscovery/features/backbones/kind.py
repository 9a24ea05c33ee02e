"""What a kind of backbone is: a row of the table, in a file of its own.

Importable without torch: a kind imports what it needs when it is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from taskdiscovery.config.pixels import PIXEL_OPTIONS
from taskdiscovery.config.specs import Spec
from taskdiscovery.errors import ConfigError
from taskdiscovery.types import Backbone

if TYPE_CHECKING:
    from torch import Tensor


class Network(Protocol):
    """A frozen network that is loaded.

    Attributes:
        channels: of the images it takes: 3, or 1 for grey.
    """

    channels: int

    def __call__(self, images: Tensor) -> Tensor:
        """Map (n, size, size, channels) uint8 on the CPU to features, as the network gives them.

        Returns:
            (n, P) on any device; or (n, positions, P) or (n, P, H, W), which are then pooled.
        """


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of backbone.

    Attributes:
        example: how it is asked for.
        options: what it takes beside those of pixels.
        resolve: reads its config, and hashes its weights. Of what the caller has named only.
        load: loads it on a device; called with the SPEC, the backbone and the device.
        code: whether naming it imports code of the caller's.
        packaged: whether all of it is part of this package: a file that names it may be obeyed.
    """

    example: str
    options: Collection[str] = PIXEL_OPTIONS
    resolve: Callable[[Spec], Backbone]
    load: Callable[[Spec, Backbone, str], Network]
    code: bool = False
    packaged: bool = False


def required(spec: Spec, key: str, why: str) -> str:
    """Return an option that has no default.

    Raises:
        ConfigError: where it is not given.
    """
    if not spec.options.get(key):
        raise ConfigError(f"{spec.name} needs {key}=", where=spec.text, hint=why)
    return spec.options[key]


def wrong_weights(backbone: Backbone, **details: Any) -> ConfigError:
    """Say that weights have changed since they were hashed."""
    return ConfigError(
        f"the weights of {backbone} are not those that they were a moment ago",
        where=backbone.asked,
        hint="are they still being written? run it again",
        **details,
    )
