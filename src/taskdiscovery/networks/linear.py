"""A linear classifier on pixels: the weakest learner, and one whose tasks can be read off."""

from __future__ import annotations

from torch import Tensor, nn


class Linear(nn.Module):
    """Flatten, then one linear layer.

    Args:
        image_shape: (H, W, channels).
        outputs: number of outputs.
    """

    def __init__(self, image_shape: tuple[int, int, int], outputs: int) -> None:
        super().__init__()
        height, width, channels = image_shape
        self.head = nn.Linear(height * width * channels, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, channels, H, W) to (N, outputs)."""
        return self.head(x.flatten(1))
