"""A torch module as a frozen network: pixels prepared as it was trained on them, no gradients."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from taskdiscovery.types import Backbone


class TorchNetwork:
    """A torch module that is asked for features.

    Args:
        module: maps normalized float images (n, 3, size, size), or bytes (n, size, size, channels)
            where the backbone has no mean.
        backbone: what it is shown.
        device: where it computes.
        channels: of the images it takes.
    """

    def __init__(
        self, module: nn.Module, backbone: Backbone, device: str, channels: int = 3
    ) -> None:
        module.eval().requires_grad_(False)
        layout = {"memory_format": torch.channels_last} if device != "cpu" else {}
        self.module = module.to(device, **layout)  # type: ignore[call-overload]
        self.device, self.channels, self.scale = device, channels, backbone.scale / 255
        wide = (1, -1, 1, 1)
        self.mean = torch.tensor(backbone.mean, dtype=torch.float32, device=device).view(wide)
        self.std = torch.tensor(backbone.std, dtype=torch.float32, device=device).view(wide)

    def __call__(self, images: Tensor) -> Tensor:
        """Map (n, size, size, channels) uint8 to what the module gives."""
        given = images.to(self.device, non_blocking=images.is_pinned())
        if self.mean.numel():
            x = given.permute(0, 3, 1, 2).float()
            # Permuted bytes become floats that lie channels last, as the module wants them.
            given = x.mul_(self.scale).sub_(self.mean).div_(self.std)
        result: Tensor = self.module(given)
        return result
