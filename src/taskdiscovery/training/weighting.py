"""How the losses of a batch's images become the one number that a step lowers.

Without a weighting that is their mean. Learners that resist shortcuts weigh images: by weights that
stand still, or by groups whose weights grow with their loss. All of it is part of the step: what
changes lies in tensors that stay where they are, and nothing is read back, so that a GPU records
it with the rest.

Axes: n training images, b images of a batch, G groups.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable
from typing import Self

import numpy as np
import torch
from torch import Tensor

from taskdiscovery.errors import ConfigError, DataError
from taskdiscovery.runtime import ranks
from taskdiscovery.types import FloatArray, IntArray


class Weighting(ABC):
    """How the losses of a batch's images become one number.

    Args:
        given_n: (n,) what is known of each training row, on the learner's device.

    Attributes:
        state: what a step changes, by name; it is saved with the training.
    """

    def __init__(self, given_n: Tensor) -> None:
        self.given_n = given_n
        self.state: dict[str, Tensor] = {}

    @abstractmethod
    def __call__(self, losses_b: Tensor, chosen_b: Tensor) -> Tensor:
        """Return a scalar.

        Args:
            losses_b: (b,) float32 loss of each image.
            chosen_b: (b,) places of the images among the training rows.
        """

    @abstractmethod
    def fresh(self) -> Self:
        """Return the same on tensors of its own, as it is before the first step."""

    @property
    @abstractmethod
    def key(self) -> Hashable:
        """What another must have in common for a recorded step to go on with it."""

    def begin(self, other: Weighting) -> None:
        """Go on with what another, of the same key, is given, as it is before the first step."""
        first = other.fresh()
        self.given_n.copy_(first.given_n)
        for name, own in self.state.items():
            own.copy_(first.state[name])


class Fixed(Weighting):
    """A weighted mean. The mean weight of all training images is 1, that of a batch may differ.

    So the expected step is that of the weighted mean over the training images, in which a batch of
    light images counts less; to divide by the weights of each batch would undo that.

    Args:
        given_n: (n,) float32 weights of mean 1, on the learner's device; see `of`.
    """

    @classmethod
    def of(cls, weights_n: FloatArray, device: torch.device | str) -> Fixed:
        """Take (n,) weights of any scale.

        Raises:
            DataError: where one is negative or not finite, or none is above 0.
        """
        weights_n = np.asarray(weights_n, dtype=np.float64)
        if not (np.isfinite(weights_n).all() and (weights_n >= 0).all() and weights_n.any()):
            raise DataError(
                "weights of images must be finite, none below 0 and not all 0",
                hint="give each image the weight that it is to have in the loss",
            )
        scaled_n = (weights_n / weights_n.mean()).astype(np.float32)
        return cls(torch.from_numpy(scaled_n).to(device))

    @property
    def key(self) -> Hashable:
        """As of `Weighting`."""
        return type(self), len(self.given_n)

    def fresh(self) -> Fixed:
        """As of `Weighting`."""
        return Fixed(self.given_n.clone())

    def __call__(self, losses_b: Tensor, chosen_b: Tensor) -> Tensor:
        """As of `Weighting`."""
        return (losses_b * self.given_n.index_select(0, chosen_b)).mean()


class WorstGroup(Weighting):
    """Group DRO (Sagawa et al., 2020, algorithm 1): the groups' mean losses, weighted by q.

    Before each step the q of a group is multiplied by exp(rate · its mean loss in the batch), and q
    is scaled to sum 1. It begins uniform, and is kept as its logarithm: the q of a group that was
    easy for long must not become an exact 0, from which nothing leads back. A group without an
    image in the batch has loss 0 there, as in the authors' code. The order of images is that of
    every other training, where the paper draws groups equally often.

    Args:
        given_n: (n,) int64 number of each training image's group, on the learner's device.
        groups: G.
        rate: the paper's step size η_q.

    Raises:
        ConfigError: under torchrun, whose ranks see a part of each batch.
    """

    def __init__(self, given_n: Tensor, groups: int, rate: float) -> None:
        super().__init__(given_n)
        if ranks.size() > 1:
            raise ConfigError(
                "group DRO needs the whole batch in one process",
                where="under torchrun",
                hint="run it without torchrun",
            )
        self.groups, self.rate = groups, rate
        self.numbers_G = torch.arange(groups, device=given_n.device)
        uniform_G = torch.zeros(groups, device=given_n.device)
        self.state = {"log_q": torch.log_softmax(uniform_G, 0)}

    @classmethod
    def of(cls, groups_n: IntArray, rate: float, device: torch.device | str) -> WorstGroup:
        """Take (n,) numbers of groups, each of which has an image."""
        given_n = torch.from_numpy(np.asarray(groups_n, dtype=np.int64)).to(device)
        return cls(given_n, int(groups_n.max()) + 1, rate)

    @property
    def key(self) -> Hashable:
        """As of `Weighting`."""
        return type(self), len(self.given_n), self.groups, self.rate

    def fresh(self) -> WorstGroup:
        """As of `Weighting`."""
        return WorstGroup(self.given_n.clone(), self.groups, self.rate)

    def __call__(self, losses_b: Tensor, chosen_b: Tensor) -> Tensor:
        """As of `Weighting`; updates q."""
        groups_b = self.given_n.index_select(0, chosen_b)
        member_bG = (groups_b[:, None] == self.numbers_G).to(losses_b.dtype)
        # Sums of products, not `index_add`: on a GPU its order is not always the same.
        losses_G = (losses_b[:, None] * member_bG).sum(0) / member_bG.sum(0).clamp(min=1.0)
        log_q = self.state["log_q"]
        with torch.no_grad():
            log_q.copy_(torch.log_softmax(log_q + self.rate * losses_G, 0))
        return (log_q.exp() * losses_G).sum()
