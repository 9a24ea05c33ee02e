"""Augmentations of a batch, as part of a learner's bias: flips, crops, grey.

Images are uint8 tensors (batch, H, W, channels).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def augment(images: Tensor, names: Sequence[str], random: torch.Generator) -> Tensor:
    """Apply augmentations in order; `random` is a generator on the CPU."""
    for name in names:
        images = FUNCTIONS[name](images, random)
    return images


def _flip(images: Tensor, random: torch.Generator) -> Tensor:
    chosen = (torch.rand(len(images), generator=random) < 0.5).to(images.device)
    return torch.where(chosen.view(-1, 1, 1, 1), images.flip(2), images)


def _crop(images: Tensor, random: torch.Generator) -> Tensor:
    """Shift by up to an eighth of each side; the border is repeated."""
    N, H, W, _ = images.shape
    reach_y, reach_x = max(1, H // 8), max(1, W // 8)
    padded = F.pad(
        images.permute(0, 3, 1, 2).float(), (reach_x, reach_x, reach_y, reach_y), mode="replicate"
    )
    top = torch.randint(0, 2 * reach_y + 1, (N, 1), generator=random)
    left = torch.randint(0, 2 * reach_x + 1, (N, 1), generator=random)
    rows = (top + torch.arange(H)).to(images.device)
    columns = (left + torch.arange(W)).to(images.device)
    image = torch.arange(N, device=images.device).view(-1, 1, 1)
    moved = padded.permute(0, 2, 3, 1)[image, rows[:, :, None], columns[:, None, :]]
    return moved.to(images.dtype)


def _grey(images: Tensor, random: torch.Generator) -> Tensor:
    """Take the colour from one image in five."""
    chosen = (torch.rand(len(images), generator=random) < 0.2).to(images.device)
    grey = images.float().mean(dim=3, keepdim=True).to(images.dtype).expand_as(images)
    return torch.where(chosen.view(-1, 1, 1, 1), grey, images)


FUNCTIONS: dict[str, Callable[[Tensor, torch.Generator], Tensor]] = {
    "flip": _flip,
    "crop": _crop,
    "grey": _grey,
}
