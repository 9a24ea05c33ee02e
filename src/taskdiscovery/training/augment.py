"""Augmentations of a batch, as part of a learner's bias: flips, crops, grey.

What is random is drawn on the CPU, so that it is the same wherever the learner trains; what is done
with it needs no word from there, and a GPU does it without waiting.

Images are uint8 tensors (batch, H, W, channels).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


def draw(
    names: Sequence[str], count: int, shape: Sequence[int], random: torch.Generator
) -> list[Tensor]:
    """Draw what the augmentations of a batch need, on the CPU.

    Args:
        names: of `AUGMENTATIONS`, in the order in which they are done.
        count: images of the batch.
        shape: (H, W, channels) of an image.
        random: a generator on the CPU.

    Returns:
        One tensor for each name.
    """
    return [AUGMENTATIONS[name].draw(count, shape, random) for name in names]


def augment(images: Tensor, names: Sequence[str], drawn: Sequence[Tensor]) -> Tensor:
    """Apply augmentations in order.

    Args:
        images: (batch, H, W, channels) uint8.
        names: as of `draw`.
        drawn: what it returned, on the device of the images.
    """
    for name, own in zip(names, drawn, strict=True):
        images = AUGMENTATIONS[name].apply(images, own)
    return images


def _draw_flip(count: int, shape: Sequence[int], random: torch.Generator) -> Tensor:
    return torch.rand(count, generator=random) < 0.5


def _flip(images: Tensor, chosen: Tensor) -> Tensor:
    return torch.where(chosen.view(-1, 1, 1, 1), images.flip(2), images)


def _reach(shape: Sequence[int]) -> tuple[int, int]:
    """Return by how much a crop shifts at most: an eighth of each side."""
    return max(1, shape[0] // 8), max(1, shape[1] // 8)


def _draw_crop(count: int, shape: Sequence[int], random: torch.Generator) -> Tensor:
    """Return (count, 2): by how much each image is shifted, down and to the right."""
    reach_y, reach_x = _reach(shape)
    top = torch.randint(0, 2 * reach_y + 1, (count, 1), generator=random)
    left = torch.randint(0, 2 * reach_x + 1, (count, 1), generator=random)
    return torch.cat([top, left], dim=1)


def _crop(images: Tensor, shifts: Tensor) -> Tensor:
    """Shift; the border is repeated."""
    N, H, W, _ = images.shape
    reach_y, reach_x = _reach(images.shape[1:])
    padded = F.pad(
        images.permute(0, 3, 1, 2).float(), (reach_x, reach_x, reach_y, reach_y), mode="replicate"
    )
    device = images.device
    rows = shifts[:, :1] + torch.arange(H, device=device)
    columns = shifts[:, 1:] + torch.arange(W, device=device)
    image = torch.arange(N, device=device).view(-1, 1, 1)
    moved = padded.permute(0, 2, 3, 1)[image, rows[:, :, None], columns[:, None, :]]
    return moved.to(images.dtype)


def _draw_grey(count: int, shape: Sequence[int], random: torch.Generator) -> Tensor:
    return torch.rand(count, generator=random) < 0.2


def _grey(images: Tensor, chosen: Tensor) -> Tensor:
    """Take the colour from one image in five."""
    grey = images.float().mean(dim=3, keepdim=True).to(images.dtype).expand_as(images)
    return torch.where(chosen.view(-1, 1, 1, 1), grey, images)


class Augmentation(NamedTuple):
    """What is drawn for a batch, and what is done with it.

    Attributes:
        draw: from the number of images, their (H, W, channels) and a generator.
        apply: of the images and what was drawn.
    """

    draw: Callable[[int, Sequence[int], torch.Generator], Tensor]
    apply: Callable[[Tensor, Tensor], Tensor]


AUGMENTATIONS: dict[str, Augmentation] = {
    "flip": Augmentation(_draw_flip, _flip),
    "crop": Augmentation(_draw_crop, _crop),
    "grey": Augmentation(_draw_grey, _grey),
}
