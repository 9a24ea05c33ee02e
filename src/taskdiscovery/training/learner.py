"""A learner: an architecture, the recipe that trains it, and how pixels are normalized."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from taskdiscovery import networks
from taskdiscovery.config import Recipe
from taskdiscovery.learners import check_learner
from taskdiscovery.networks import Model
from taskdiscovery.specs import Spec
from taskdiscovery.types import ImageArray, IntArray


@dataclass(frozen=True, kw_only=True)
class Learner:
    """An architecture and the recipe that trains it.

    Attributes:
        spec: the architecture, e.g. `convnet?width=0.5`; `augment=flip,crop` is part of it.
        recipe: optimizer, epochs, batch size.
        device: `cpu` or `cuda`.
        precision: `float32` or `bf16`.
    """

    spec: Spec
    recipe: Recipe
    device: str = "cpu"
    precision: str = "float32"

    @classmethod
    def of(cls, text: str, recipe: Recipe, *, device: str, precision: str) -> Learner:
        """Read a learner SPEC.

        Raises:
            ConfigError: for an unknown network, option or augmentation.
        """
        spec, chosen = check_learner(text)
        recipe = replace(recipe, augment=chosen or recipe.augment)
        return cls(spec=spec, recipe=recipe, device=device, precision=precision)

    def build(self, shape: tuple[int, int, int], outputs: int, pixels: Pixels, seed: int) -> Model:
        """Build the network with fresh weights on the learner's device."""
        return networks.build(
            self.spec.without("augment"),
            shape,
            outputs,
            seed=seed,
            mean=torch.tensor(pixels.mean),
            std=torch.tensor(pixels.std),
        ).to(self.device)


@dataclass(frozen=True)
class Pixels:
    """Per-channel mean and standard deviation of pixel values, in 0 to 255."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def measure(cls, images: ImageArray, rows: IntArray, at_most: int = 10_000) -> Pixels:
        """Measure them on evenly chosen rows; a constant channel gets a deviation of 1."""
        chosen = rows[np.linspace(0, len(rows) - 1, min(len(rows), at_most)).astype(np.int64)]
        sums, squares, count = 0.0, 0.0, 0
        for start in range(0, len(chosen), 1000):
            block = images[chosen[start : start + 1000]].astype(np.float64)
            sums = sums + block.sum(axis=(0, 1, 2))
            squares = squares + (block**2).sum(axis=(0, 1, 2))
            count += block.shape[0] * block.shape[1] * block.shape[2]
        mean = np.asarray(sums) / count
        std = np.sqrt(np.maximum(np.asarray(squares) / count - mean**2, 0))
        return cls(tuple(mean.tolist()), tuple(np.where(std > 1e-6, std, 1.0).tolist()))
