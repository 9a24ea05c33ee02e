"""ResNet-18 and ResNet-50, with a stem for small images and the one for ImageNet."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from taskdiscovery.networks.activation import activated
from taskdiscovery.networks.pooling import mean_over_pixels

#: pixels of the shorter side from which `auto` takes the stem for ImageNet. Its last maps are a
#: 32nd of the image: 3 × 3 here, and 2 × 2 of the 64 pixels of Tiny-ImageNet, for which the small
#: stem is usual. Without it an image of this side costs nine times one of 32 pixels.
LARGE_IMAGES = 96
#: as SPECs name them; and the weight of a file's tensors that tells its stem.
RESNETS, STEM_WEIGHT = ("resnet18", "resnet50"), "network.stem.0.weight"


def stem_of(stem: str, image_shape: tuple[int, int, int]) -> str:
    """Decide the stem: `auto` is `imagenet` for images whose shorter side is 96 pixels or more."""
    if stem != "auto":
        return stem
    return "imagenet" if min(image_shape[:2]) >= LARGE_IMAGES else "small"


def stem_of_weights(tensors: Mapping[str, Tensor]) -> str:
    """Say which stem the weights of a file are of."""
    return "imagenet" if tensors[STEM_WEIGHT].shape[-1] == 7 else "small"


class ResNet(nn.Module):
    """Four stages of residual blocks, global average pooling, linear.

    Args:
        image_shape: (H, W, channels).
        outputs: number of outputs.
        blocks: how many blocks each stage has.
        expansion: 1 for two 3×3 convolutions a block, 4 for the bottleneck (1×1, 3×3, 1×1).
        width: factor on the channels 64, 128, 256, 512.
        stem: `small`, a 3×3 convolution at full resolution, as used for CIFAR-10; `imagenet`, 7×7
            with stride 2 and 3×3 max pooling with stride 2, a sixteenth of the pixels; or `auto`.

    Source: He et al., "Deep Residual Learning", CVPR 2016.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        outputs: int,
        *,
        blocks: tuple[int, int, int, int],
        expansion: int,
        width: float = 1.0,
        stem: str = "auto",
    ) -> None:
        super().__init__()
        channels = max(1, round(64 * width))
        large = stem_of(stem, image_shape) == "imagenet"
        self.stem = _normalized_conv(image_shape[2], channels, *((7, 2) if large else (3, 1)))
        self.pool = nn.MaxPool2d(3, 2, padding=1) if large else nn.Identity()
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
        x = self.pool(activated(conv(x), norm, self.relu))
        return self.head(mean_over_pixels(self.body(x)))


def resnet18(
    image_shape: tuple[int, int, int], outputs: int, *, width: float = 1.0, stem: str = "auto"
) -> ResNet:
    """Build ResNet-18: two basic blocks a stage."""
    return ResNet(image_shape, outputs, blocks=(2, 2, 2, 2), expansion=1, width=width, stem=stem)


def resnet50(
    image_shape: tuple[int, int, int], outputs: int, *, width: float = 1.0, stem: str = "auto"
) -> ResNet:
    """Build ResNet-50: 3, 4, 6 and 3 bottleneck blocks."""
    return ResNet(image_shape, outputs, blocks=(3, 4, 6, 3), expansion=4, width=width, stem=stem)


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
