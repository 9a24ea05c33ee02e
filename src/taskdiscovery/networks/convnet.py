"""The reference learner: small, fast, and fixed, so that its numbers mean the same everywhere."""

from __future__ import annotations

from torch import Tensor, nn

from taskdiscovery.networks.activation import activated
from taskdiscovery.networks.pooling import mean_over_pixels


class ConvNet(nn.Module):
    """3×3 convolutions 32 (stride 2), 64 (1), 128 (2), 128 (2), each with batch norm and ReLU.

    Global average pooling and a linear layer follow.

    Args:
        image_shape: (H, W, channels).
        outputs: number of outputs.
        width: factor on the channels.
    """

    def __init__(
        self, image_shape: tuple[int, int, int], outputs: int, *, width: float = 1.0
    ) -> None:
        super().__init__()
        channels = [image_shape[2], *(max(1, round(n * width)) for n, _ in _LAYERS)]
        layers: list[nn.Module] = []
        for i, (_, stride) in enumerate(_LAYERS):
            layers += [
                nn.Conv2d(channels[i], channels[i + 1], 3, stride, padding=1, bias=False),
                nn.BatchNorm2d(channels[i + 1]),
                nn.ReLU(),
            ]
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(channels[-1], outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, channels, H, W) to (N, outputs)."""
        layers = iter(self.body)
        for conv, norm, relu in zip(layers, layers, layers, strict=True):
            x = activated(conv(x), norm, relu)
        return self.head(mean_over_pixels(x))


_LAYERS = ((32, 2), (64, 1), (128, 2), (128, 2))
