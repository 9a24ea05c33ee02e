"""The multilayer perceptron of the paper."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn


class MLP(nn.Module):
    """Hidden layers 1024, 512, 256, 64; batch norm after the ReLU of the first three.

    Args:
        image_shape: (H, W, channels).
        outputs: number of outputs.
        width: factor on the hidden layers.

    Source: Atanov et al. 2022, appendix; layer sizes as in the released code.
    """

    def __init__(
        self, image_shape: tuple[int, int, int], outputs: int, *, width: float = 1.0
    ) -> None:
        super().__init__()
        height, columns, channels = image_shape
        sizes = [height * columns * channels, *(max(1, round(n * width)) for n in _HIDDEN)]
        layers: list[nn.Module] = []
        for i, (fan_in, fan_out) in enumerate(pairwise(sizes)):
            layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
            if i < 3:
                layers.append(nn.BatchNorm1d(fan_out))
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(sizes[-1], outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, channels, H, W) to (N, outputs)."""
        return self.head(self.body(x.flatten(1)))


_HIDDEN = (1024, 512, 256, 64)
