"""Losses of meta-gradient discovery: soft labels, agreement, diversity.

Axes: n images of a batch, D coordinates, C classes, K networks.

Source: Atanov et al. 2022 (agreement, soft labels); Wang & Isola 2020 (uniformity).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import torch
import torch.nn.functional as F
from torch import Tensor


def soft_labels(own: Tensor, corners: Tensor, temperature: float) -> Tensor:
    """Return (n, C) soft labels of one task.

    Args:
        own: (n, C - 1) coordinates of the task.
        corners: (C, C - 1) directions of the classes, -1 and 1 for two.
        temperature: T, the sharpness.
    """
    return (temperature * own @ corners.T).softmax(dim=1)


def soft_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of (n, C) logits and (n, C) soft labels."""
    return -(labels * logits.float().log_softmax(dim=1)).sum(dim=1).mean()


def disagreement(logits: Sequence[Tensor]) -> Tensor:
    """Symmetric cross-entropy between the predictions of K networks, averaged over pairs."""
    logs = [x.float().log_softmax(dim=1) for x in logits]
    pairs = [-(a.exp() * b + b.exp() * a).sum(dim=1).mean() / 2 for a, b in combinations(logs, 2)]
    return torch.stack(pairs).mean()


def hard_agreement(logits: Sequence[Tensor]) -> Tensor:
    """Share of images on which K networks predict the same class, averaged over pairs: a float64.

    It stays on the device: to read it is to wait for all that was asked of the device before.
    """
    classes = [x.argmax(dim=1) for x in logits]
    pairs = [(a == b).float().mean().double() for a, b in combinations(classes, 2)]
    return sum(pairs[1:], pairs[0]) / len(pairs)


def transformed(loss: Tensor, transform: str) -> Tensor:
    """Bend an outer loss: `none`, `exp` or `softplus`."""
    if transform == "exp":
        return loss.exp()
    return F.softplus(loss) if transform == "softplus" else loss


def uniformity(coordinates: Tensor) -> Tensor:
    """Log mean over pairs of exp(-2 ‖z_i − z_j‖²), z the (n, D) coordinates at unit length."""
    z = F.normalize(coordinates, dim=1)
    n = len(z)
    squared = (2 - 2 * z @ z.T).clamp(min=0)
    # All but the diagonal, which ends each row of n + 1. A mask would be read back from a GPU.
    apart = squared.flatten()[1:].view(n - 1, n + 1)[:, :-1].flatten()
    return torch.log(torch.exp(-2 * apart).mean())


def information(labels: Sequence[Tensor]) -> Tensor:
    """Mean mutual information between tasks, and what their class rates lack of being equal.

    Args:
        labels: (n, C) soft labels of every task.

    Returns:
        Mean over pairs of I(y_i; y_j) + mean of log C − H(mean y_i), in nats; 0 is best.
    """
    rates = [y.mean(dim=0) for y in labels]
    lack = [(r * (r * len(r)).clamp(min=1e-12).log()).sum() for r in rates]
    total = torch.stack(lack).mean()
    shared = []
    for i, j in combinations(range(len(labels)), 2):
        joint = labels[i].T @ labels[j] / len(labels[i])
        apart = rates[i][:, None] * rates[j][None, :]
        shared.append((joint * (joint / apart.clamp(min=1e-12)).clamp(min=1e-12).log()).sum())
    return total + torch.stack(shared).mean() if shared else total
