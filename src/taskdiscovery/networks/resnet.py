"""ResNet-18 and ResNet-50 for small images: a 3×3 stem, no pooling before the stages."""

from __future__ import annotations

from torch import Tensor, nn

from taskdiscovery.networks.activation import activated
from taskdiscovery.networks.pooling import mean_over_pixels


class ResNet(nn.Module):
    """Four stages of residual blocks, global average pooling, linear.

    Args:
        image_shape: (H, W, channels).
        outputs: number of outputs.
        blocks: how many blocks each stage has.
        expansion: 1 for two 3×3 convolutions a block, 4 for the bottleneck (1×1, 3×3, 1×1).
        width: factor on the channels 64, 128, 256, 512.

    Source: He et al., "Deep Residual Learning", CVPR 2016; the stem as used for CIFAR-10.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        outputs: int,
        *,
        blocks: tuple[int, int, int, int],
        expansion: int,
        width: float = 1.0,
    ) -> None:
        super().__init__()
        channels = max(1, round(64 * width))
        self.stem = _normalized_conv(image_shape[2], channels, 3, 1)
        layers: list[nn.Module] = []
        for stage, count in enumerate(blocks):
            inner = max(1, round(64 * 2**stage * width))
            for i in range(count):
                stride = 2 if stage > 0 and i == 0 else 1
                layers.append(_Block(channels, inner, stride, expansion))
                channels = inner * expansion
        self.relu = nn.ReLU()
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(channels, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, channels, H, W) to (N, outputs)."""
        conv, norm = self.stem.children()
        return self.head(mean_over_pixels(self.body(activated(conv(x), norm, self.relu))))


def resnet18(image_shape: tuple[int, int, int], outputs: int, *, width: float = 1.0) -> ResNet:
    """Build ResNet-18: two basic blocks a stage."""
    return ResNet(image_shape, outputs, blocks=(2, 2, 2, 2), expansion=1, width=width)


def resnet50(image_shape: tuple[int, int, int], outputs: int, *, width: float = 1.0) -> ResNet:
    """Build ResNet-50: 3, 4, 6 and 3 bottleneck blocks."""
    return ResNet(image_shape, outputs, blocks=(3, 4, 6, 3), expansion=4, width=width)


class _Block(nn.Module):
    def __init__(self, channels: int, inner: int, stride: int, expansion: int) -> None:
        super().__init__()
        if expansion == 1:
            convolutions = [(inner, 3, stride), (inner, 3, 1)]
        else:
            convolutions = [(inner, 1, 1), (inner, 3, stride), (inner * expansion, 1, 1)]
        layers: list[nn.Module] = []
        fan_in = channels
        for fan_out, kernel, step in convolutions:
            layers += [_normalized_conv(fan_in, fan_out, kernel, step), nn.ReLU()]
            fan_in = fan_out
        self.residual = nn.Sequential(*layers[:-1])
        self.relu = nn.ReLU()
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels != fan_in:
            self.shortcut = _normalized_conv(channels, fan_in, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        y, layers = x, list(self.residual)
        for pair, relu in zip(layers[:-1:2], layers[1::2], strict=True):
            conv, norm = pair.children()
            y = activated(conv(y), norm, relu)
        conv, norm = layers[-1].children()
        return activated(conv(y), norm, self.relu, self.shortcut(x))


def _normalized_conv(fan_in: int, fan_out: int, kernel: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(fan_in, fan_out, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(fan_out),
    )
