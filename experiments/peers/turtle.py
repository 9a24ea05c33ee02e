"""TURTLE: labelings whose classes linear heads separate, by first-order bilevel optimization.

After Gadetsky, Jiang, Brbić, Let Go of Your Labels with Unsupervised Transfer (ICML 2024), written
anew from the paper. A task encoder, linear with a softmax, gives soft labels. Heads are fitted to
these by steps of gradient descent, going on from where they were. The encoder then follows the
gradient of the heads' cross-entropy, the heads held fixed, less 10 times the entropy of the mean
label, without which all images would fall into one class.

What differs from the paper, for one core: one representation in place of several; features of
length 1 are centred, reduced to 256 principal components, and turned at random (Adam depends on the
axes: along principal ones it ends in poor optima); batches of 1,000 images in place of 10,000; a
rate of 2e-3, at which logits of so reduced features grow as those of 1,280 do at the paper's 1e-3;
it ends where labels stay, at 6,000 outer steps at the latest. Of the rates 2e-3 was chosen beside
3e-3, 1e-2 and 3e-2 by the accuracy on the training parts of BAR and CIFAR-10.

Axes: N images, P features, S seeds side by side, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from sklearn.decomposition import PCA
from torch import Tensor

from taskdiscovery.features.products import unit_rows
from taskdiscovery.types import BoolArray, Float32, IntArray, Matrix

#: components that features are reduced to.
REDUCED = 256


@dataclass(frozen=True, kw_only=True)
class Turtle:
    """How it is done; the paper's numbers, but for rate, batch and patience.

    Attributes:
        outer, inner: steps of the encoder at most, and of the heads before each of them.
        rate: of Adam, for both.
        entropy: weight γ.
        batch: images a step looks at.
        look: outer steps between two looks at the labels of all images.
        stay: it ends where a smaller share of them than this has changed, twice in turn.
    """

    outer: int = 6000
    inner: int = 10
    rate: float = 2e-3
    entropy: float = 10.0
    batch: int = 1000
    look: int = 250
    stay: float = 0.005


@dataclass(frozen=True, eq=False, kw_only=True)
class Found:
    """What it ends with.

    Attributes:
        encoder: the task encoders.
        steps: outer steps that were done.
        changed: share of labels that changed between the last two looks.
    """

    encoder: Linear
    steps: int
    changed: float

    def predict(self, x_NP: Float32) -> IntArray:
        """Return the (N, S) classes of images."""
        return self.encoder.logits(torch.as_tensor(x_NP)).argmax(dim=2).numpy()


def prepared(features_NP: Matrix, seen_N: BoolArray) -> Float32:
    """Return the (N, at most 256) features that it looks at, measured on images that are seen."""
    unit_NP = unit_rows(features_NP)
    R = min(REDUCED, unit_NP.shape[1], int(seen_N.sum()))
    pca = PCA(R, svd_solver="covariance_eigh").fit(unit_NP[seen_N])
    turn_RR = np.linalg.qr(np.random.default_rng(0).normal(size=(R, R)))[0]
    x_NR = pca.transform(unit_NP) @ turn_RR
    result_NR: Float32 = (x_NR / np.linalg.norm(x_NR[seen_N], axis=1).mean()).astype(np.float32)
    return result_NR


class Linear:
    """Linear maps from features to classes, one a seed, and their optimizer.

    Args:
        features: P.
        classes: K.
        seeds: of the initial weights.
        rate: of Adam.
    """

    def __init__(self, features: int, classes: int, seeds: list[int], rate: float) -> None:
        drawn = [torch.Generator().manual_seed(seed) for seed in seeds]
        bound = features**-0.5
        parts = [
            torch.empty(features, classes).uniform_(-bound, bound, generator=own) for own in drawn
        ]
        self.weights_PC, self.offset_C = torch.cat(parts, dim=1), torch.zeros(classes * len(seeds))
        self.shape = (-1, len(seeds), classes)
        self.optimizer = torch.optim.Adam([self.weights_PC, self.offset_C], lr=rate)

    def logits(self, x_nP: Tensor) -> Tensor:
        """Return (n, S, K)."""
        return torch.addmm(self.offset_C, x_nP, self.weights_PC).view(self.shape)

    def step(self, x_nP: Tensor, gradient_nSK: Tensor) -> None:
        """Follow the gradient of a loss by the logits."""
        gradient_nC = gradient_nSK.reshape(len(x_nP), -1)
        self.weights_PC.grad = x_nP.T @ gradient_nC
        self.offset_C.grad = gradient_nC.sum(dim=0)
        self.optimizer.step()


@torch.no_grad()
def fit(x_NP: Float32, classes: int, seeds: list[int], options: Turtle = Turtle()) -> Found:
    """Search for one labeling from each seed.

    Args:
        x_NP: features, as `prepared` makes them.
        classes: K.
        seeds: of initial weights; batches are those of the first.
        options: how it is done.
    """
    x = torch.as_tensor(x_NP)
    encoder = Linear(x.shape[1], classes, seeds, options.rate)
    heads = Linear(x.shape[1], classes, [seed + 10_000 for seed in seeds], options.rate)
    batches = torch.Generator().manual_seed(seeds[0])
    before, quiet, changed, step = encoder.logits(x).argmax(dim=2), 0, 1.0, 0
    for step in range(1, options.outer + 1):
        own = x[torch.randint(len(x), (min(options.batch, len(x)),), generator=batches)]
        labels = encoder.logits(own).softmax(dim=2)
        for _ in range(options.inner):
            heads.step(own, (heads.logits(own).softmax(dim=2) - labels) / len(own))
        fixed = heads.logits(own).log_softmax(dim=2)
        encoder.step(own, gradient(labels, fixed, options.entropy))
        if step % options.look == 0:
            now = encoder.logits(x).argmax(dim=2)
            changed = float((now != before).float().mean())
            quiet = quiet + 1 if changed < options.stay else 0
            before = now
            if quiet == 2:
                break
    return Found(encoder=encoder, steps=step, changed=changed)


def gradient(labels_nSK: Tensor, fixed_nSK: Tensor, entropy: float) -> Tensor:
    """Return the gradient of the outer loss by the encoder's logits, the heads held fixed.

    The loss is the mean cross-entropy of the heads under the soft labels, less the entropy of the
    mean soft label times γ; the softmax's own derivative turns it to the logits.

    Args:
        labels_nSK: the encoder's soft labels.
        fixed_nSK: logarithms of what the heads predict.
        entropy: γ.
    """
    mean_SK = labels_nSK.mean(dim=0)
    by_labels = (entropy * (1 + mean_SK.clamp_min(1e-12).log()) - fixed_nSK) / len(labels_nSK)
    return labels_nSK * (by_labels - (labels_nSK * by_labels).sum(dim=2, keepdim=True))
