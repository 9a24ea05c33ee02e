"""The one step, its loop, and prediction that does not depend on the batch."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from taskdiscovery import training
from taskdiscovery.augment import augment
from taskdiscovery.config import Recipe
from taskdiscovery.errors import ConfigError, NumericalError
from taskdiscovery.training import Learner, Pixels, cross_entropy, predict, train

RECIPE = Recipe(epochs=3, batch=64, recalibrate=True)


def learner(spec="convnet?width=0.25", recipe=RECIPE, precision="float32"):
    return Learner.of(spec, recipe, device="cpu", precision=precision)


def fit(digits, made, seed=0, labels=None, rows=None):
    rows = np.arange(600) if rows is None else rows
    labels = digits.labels if labels is None else labels
    pixels = Pixels.measure(digits.images, rows)
    model = made.build(digits.image_shape, 10, pixels, seed)
    images = training.to_tensor(digits.images, "cpu")
    targets = torch.from_numpy(labels[rows])
    return train(made, model, images, rows, targets, cross_entropy, seed=seed), images


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_training_learns(digits, precision):
    recipe = replace(RECIPE, epochs=8, learning_rate=5e-3)
    model, images = fit(digits, learner(recipe=recipe, precision=precision))
    rows = np.arange(600, 1797)
    accuracy = (
        predict(model, images, rows, precision).argmax(1).numpy() == digits.labels[rows]
    ).mean()
    assert accuracy > 0.8


def test_the_same_seed_gives_the_same_weights(digits):
    a, _ = fit(digits, learner(precision="bf16"))
    b, _ = fit(digits, learner(precision="bf16"))
    assert all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))
    c, _ = fit(digits, learner(precision="bf16"), seed=1)
    assert not all(torch.equal(x, y) for x, y in zip(a.parameters(), c.parameters(), strict=True))


def test_only_the_given_rows_are_looked_at(digits):
    rows = np.arange(200, 500)
    a, _ = fit(digits, learner(), rows=rows)
    spoilt = replace(digits, images=digits.images.copy(), labels=digits.labels.copy())
    spoilt.images[:200], spoilt.images[500:] = 7, 9
    b, _ = fit(spoilt, learner(), rows=rows)
    assert all(
        torch.equal(x, y)
        for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    )


def test_fault_48_divergence_is_an_error(digits):
    with pytest.raises(NumericalError, match=r"diverged|not finite"):
        fit(digits, learner(recipe=Recipe(epochs=2, batch=64, learning_rate=1e30, optimizer="sgd")))


def test_augmentations_keep_shape_and_change_images():
    images = torch.randint(
        0, 256, (16, 12, 12, 3), dtype=torch.uint8, generator=torch.manual_seed(0)
    )
    random = torch.Generator().manual_seed(0)
    for name in ("flip", "crop", "grey"):
        changed = augment(images, [name], random)
        assert changed.shape == images.shape
        assert changed.dtype == torch.uint8
        assert not torch.equal(changed, images)
    assert torch.equal(
        augment(images, ["flip"], random).sort(dim=2).values, images.sort(dim=2).values
    )
    with pytest.raises(ConfigError, match="flipp"):
        learner("convnet?augment=flipp")


def test_pixels_of_a_constant_channel():
    images = np.zeros((50, 4, 4, 2), dtype=np.uint8)
    images[..., 0] = np.arange(50)[:, None, None]
    pixels = Pixels.measure(images, np.arange(50))
    assert pixels.mean == pytest.approx((24.5, 0))
    assert pixels.std == pytest.approx((np.arange(50).std(), 1))
