"""Last-layer retraining (DFR; Kirichenko et al., 2023): other weights for the features it has.

A network is trained plainly. Its last layer is then fitted anew to held-out images, drawn so that
every group has equally many, by logistic regression on its standardized features. Its strength is
chosen on a half of the held-out images by the worst group; the fit itself is an average over
several draws from all of them. The paper penalizes absolute values (l1), here squares are (l2),
which every version of scikit-learn fits alike and without drawing.

Axes: m held-out images, F features, C classes, K classes that are held out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from taskdiscovery.errors import ConfigError, DataError
from taskdiscovery.networks import Model, features, output_layer
from taskdiscovery.networks.placing import Images
from taskdiscovery.networks.prediction import asked, autocast, exact, prediction_batch
from taskdiscovery.runtime.seeds import generator
from taskdiscovery.training.loop import Hooks
from taskdiscovery.training.robust.problem import Held, Problem, by_group
from taskdiscovery.training.robust.weighed import erm
from taskdiscovery.types import FloatArray, IntArray

#: inverse strengths that are tried, as in the authors' code.
INVERSE_STRENGTHS = (1.0, 0.7, 0.3, 0.1, 0.07, 0.03, 0.01)


def last_layer(problem: Problem, images: Images, hooks: Hooks) -> Model:
    """Train plainly, and fit the last layer anew to the held-out images.

    Args:
        problem: with held-out images: two of each of its groups at least, of two classes.
        images: as of `Training.run`.
        hooks: progress and saving, of the training.

    Raises:
        DataError: where there are too few held-out images.
        ConfigError: where the network does not end in a linear layer with a bias.
        NumericalError: where training diverges.
    """
    held = _checked(problem.held)
    seed, learner = problem.training.seeds.order, problem.training.learner
    layer = output_layer(problem.training.build())
    if layer is None or layer.bias is None:  # said before it is trained
        raise ConfigError(
            "last-layer retraining needs a network that ends in a linear layer with a bias",
            where=f"--learner {learner.name}",
            hint="choose another learner, or another way to resist shortcuts",
        )
    model = erm(problem, images, hooks)
    layer = output_layer(model)
    assert layer is not None
    table_mF = _features(model, images, held.rows, learner.precision)
    inverse = _strength(table_mF, held, seed)
    rng = generator(seed, "last layer")
    fits = [
        _fitted(table_mF, held, _equal(held, rng), inverse) for _ in range(problem.settings.subsets)
    ]
    mean = _Affine(
        np.mean([fit.weights_KF for fit in fits], axis=0),
        np.mean([fit.offset_K for fit in fits], axis=0),
    )
    _set(layer, mean, np.unique(held.targets))
    return model


@dataclass(frozen=True, eq=False)
class _Affine:
    """Logits that are linear in features: (K, F) weights and (K,) offsets."""

    weights_KF: FloatArray
    offset_K: FloatArray


def _checked(held: Held | None) -> Held:
    """Return the held-out images.

    Raises:
        DataError: where there are none, or too few.
    """
    if held is None:
        raise DataError(
            "last-layer retraining needs held-out images with their groups",
            hint="give some of each group that nothing is trained on",
        )
    counts_G = np.bincount(held.groups)
    if counts_G[counts_G > 0].min() < 2 or len(np.unique(held.targets)) < 2:
        raise DataError(
            "last-layer retraining needs two classes, and two held-out images of each group",
            hint="hold out more images",
        )
    return held


def _features(model: Model, images: Images, rows: IntArray, precision: str) -> FloatArray:
    """Return (m, F) what enters the last layer."""
    model.eval()

    def ask(block: Tensor) -> Tensor:
        with autocast(images.device.type, precision):
            return features(model, block).float()

    with torch.no_grad(), exact(images.device, precision):
        size = prediction_batch(images)
        return torch.cat(list(asked(ask, images, rows, size, filled=True))).double().numpy()


def _strength(table_mF: FloatArray, held: Held, seed: int) -> float:
    """Choose the inverse strength by the worst group of the half that is not fitted to."""
    fit, other = _halves(held, generator(seed, "last layer", "strength"))
    equal = fit[_equal(held.taken(fit), generator(seed, "last layer", "equal"))]
    classes_K = np.unique(held.targets)
    best, most = INVERSE_STRENGTHS[0], -1.0
    for inverse in INVERSE_STRENGTHS:
        found = _fitted(table_mF, held, equal, inverse)
        logits = table_mF[other] @ found.weights_KF.T + found.offset_K
        predicted = classes_K[logits.argmax(axis=1)]
        worst = by_group(predicted, held.targets[other], held.groups[other]).worst
        if worst > most:
            best, most = inverse, worst
    return best


def _halves(held: Held, rng: np.random.Generator) -> tuple[IntArray, IntArray]:
    """Cut every group in two, the first not larger than the second but for no image."""
    parts = [rng.permutation(np.flatnonzero(held.groups == g)) for g in np.unique(held.groups)]
    fit = np.concatenate([part[: len(part) // 2] for part in parts])
    other = np.concatenate([part[len(part) // 2 :] for part in parts])
    return np.sort(fit), np.sort(other)


def _equal(held: Held, rng: np.random.Generator) -> IntArray:
    """Draw as many images of each group as the smallest one has; return their places."""
    parts = [np.flatnonzero(held.groups == g) for g in np.unique(held.groups)]
    least = min(map(len, parts))
    return np.sort(np.concatenate([rng.permutation(part)[:least] for part in parts]))


def _fitted(table_mF: FloatArray, held: Held, places: IntArray, inverse: float) -> _Affine:
    """Fit logits of the features as they are to some of the held-out images."""
    from sklearn.linear_model import LogisticRegression

    mean_F = table_mF[places].mean(axis=0)
    std_F = table_mF[places].std(axis=0)
    # A unit that is the same for all images says nothing.
    scale_F = np.where(std_F > 1e-9, 1.0 / np.maximum(std_F, 1e-9), 0.0)
    model = LogisticRegression(C=inverse, max_iter=500)
    model.fit((table_mF[places] - mean_F) * scale_F, held.targets[places])
    weights, offset = model.coef_, model.intercept_
    if len(weights) == 1:  # of two classes: the logit of the second
        weights, offset = np.stack([-weights[0], weights[0]]) / 2, np.array([-1, 1]) * offset / 2
    weights_KF = weights * scale_F
    return _Affine(weights_KF, offset - weights_KF @ mean_F)


@torch.no_grad()
def _set(layer: torch.nn.Linear, affine: _Affine, classes_K: IntArray) -> None:
    """Give a layer these weights; a class that was not held out is never its answer."""
    weights_CF = torch.zeros_like(layer.weight)
    offset_C = torch.full((layer.out_features,), -1e4).to(layer.weight)
    chosen = torch.from_numpy(classes_K.astype(np.int64)).to(layer.weight.device)
    weights_CF[chosen] = torch.from_numpy(affine.weights_KF).to(layer.weight)
    offset_C[chosen] = torch.from_numpy(affine.offset_K).to(layer.weight)
    layer.weight.copy_(weights_CF)
    layer.bias.copy_(offset_C)
