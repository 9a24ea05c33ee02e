"""The one step, its loop, and prediction that does not depend on the batch."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

import taskdiscovery as td
from taskdiscovery import training
from taskdiscovery.config import TrainingRecipe, learner_of
from taskdiscovery.errors import ConfigError, NumericalError
from taskdiscovery.executors import machine
from taskdiscovery.networks import Normalization, build_learner
from taskdiscovery.networks.images import take, to_tensor
from taskdiscovery.networks.prediction import predict
from taskdiscovery.store import Checkpoints
from taskdiscovery.store.journal import Journal, JournalWatch
from taskdiscovery.training import Examples, Hooks, Training, Unwatched, cross_entropy, train
from taskdiscovery.training.augment import augment, draw
from taskdiscovery.training.early import Settling

RECIPE = TrainingRecipe(epochs=3, batch=64, recalibrate=True)


def learner(spec="convnet?width=0.25", recipe=RECIPE, precision="float32"):
    return learner_of(spec, recipe, device="cpu", precision=precision)


def fit(digits, made, seed=0, labels=None, rows=None):
    rows = np.arange(600) if rows is None else rows
    labels = digits.labels if labels is None else labels
    normalization = Normalization.measure(digits.images, rows)
    model = build_learner(made, digits.image_shape, 10, normalization, seed)
    images = to_tensor(digits.images, "cpu")
    targets = torch.from_numpy(labels[rows])
    return train(made, model, Examples(images, rows, targets, cross_entropy), seed), images


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
        fit(
            digits,
            learner(recipe=TrainingRecipe(epochs=2, batch=64, learning_rate=1e30, optimizer="sgd")),
        )


def test_augmentations_keep_shape_and_change_images():
    images = torch.randint(
        0, 256, (16, 12, 12, 3), dtype=torch.uint8, generator=torch.manual_seed(0)
    )
    random = torch.Generator().manual_seed(0)
    for name in ("flip", "crop", "grey"):
        changed = augment(images, [name], draw([name], 16, images.shape[1:], random))
        assert changed.shape == images.shape
        assert changed.dtype == torch.uint8
        assert not torch.equal(changed, images)
    flipped = augment(images, ["flip"], draw(["flip"], 16, images.shape[1:], random))
    assert torch.equal(flipped.sort(dim=2).values, images.sort(dim=2).values)
    with pytest.raises(ConfigError, match="flipp"):
        learner("convnet?augment=flipp")


def test_pixels_of_a_constant_channel():
    images = np.zeros((50, 4, 4, 2), dtype=np.uint8)
    images[..., 0] = np.arange(50)[:, None, None]
    normalization = Normalization.measure(images, np.arange(50))
    assert normalization.mean == pytest.approx((24.5, 0))
    assert normalization.std == pytest.approx((np.arange(50).std(), 1))


# --- ending early ------------------------------------------------------------------------------


class Counted:
    """A meter; and a watch's worth of steps."""

    def __init__(self):
        self.passed = 0.0

    def advance(self, amount=1, note=""):
        self.passed += amount


def early(digits, epochs=24, labels=None, watch=None, rate=5e-3):
    """Train on 600 digits, monitor 300 others; return the model and how many updates it took."""
    made = learner("mlp", replace(RECIPE, epochs=epochs, learning_rate=rate))
    labels = digits.labels if labels is None else labels
    rows, monitored = np.arange(600), np.arange(600, 900)
    normalization = Normalization.measure(digits.images, rows)
    model = build_learner(made, digits.image_shape, 10, normalization, 0)
    images = to_tensor(digits.images, "cpu")
    steps, counted = [], Counted()

    def loss(outputs, targets):
        steps.append(1)
        return cross_entropy(outputs, targets)

    settling = Settling(images, rows, monitored, "float32")
    targets = torch.from_numpy(labels[rows])
    hooks = Hooks(meter=counted, watch=watch or Unwatched(), settling=settling)
    train(made, model, Examples(images, rows, targets, loss), 0, hooks)
    return model, len(steps), counted.passed


def test_a_run_ends_when_its_answers_have_settled(digits):
    model, steps, passed = early(digits)
    assert 3 / 12 <= steps / (24 * 9) < 1
    assert passed == 24 * 600  # what need not be done counts as done
    accuracy = predict(model, to_tensor(digits.images, "cpu"), np.arange(900, 1797), "float32")
    assert (accuracy.argmax(1).numpy() == digits.labels[900:]).mean() > 0.85


def test_a_run_that_still_learns_goes_on(digits):
    _, settled, _ = early(digits)
    _, steps, _ = early(digits, rate=2e-5)
    assert steps > settled


def test_being_asked_changes_nothing(digits, monkeypatch):
    monkeypatch.setattr(training.early, "GROWTH", -2.0)  # never settled
    asked, steps, _ = early(digits, epochs=2)
    assert steps == 2 * 9
    monkeypatch.setattr(Settling, "done", lambda *_: False)
    left_alone, _, _ = early(digits, epochs=2)
    for a, b in zip(asked.state_dict().values(), left_alone.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_a_run_that_was_stopped_ends_at_the_same_step(digits, tmp_path):
    whole, steps, _ = early(digits)

    class Stop(JournalWatch):
        taken = 0

        def boundary(self, state):
            Stop.taken += 1
            if Stop.taken == steps - 5:
                self.save(state)
                raise KeyboardInterrupt

    checkpoints = Checkpoints(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        early(digits, watch=Stop(Journal(checkpoints), "run"))
    journal = Journal(checkpoints)
    journal.load()
    model, rest, _ = early(digits, watch=JournalWatch(journal, "run"))
    assert rest == 5
    for a, b in zip(model.state_dict().values(), whole.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_monitored_images_are_neither_trained_on_nor_measured(digits, monkeypatch):
    seen = []
    real = Training.run

    def spy(self, *arguments, **more):
        seen.append(self)
        return real(self, *arguments, **more)

    monkeypatch.setattr(Training, "run", spy)
    for images in (400, None):  # all others can be monitored; a twentieth is set apart
        options = {"learner": "linear", "preset": "smoke", "threads": 1}
        td.score(digits, "label", early=True, train_images=images, **options)
    for run in seen:
        assert run.monitored is not None
        assert not np.intersect1d(run.monitored, run.rows).size
        assert not np.intersect1d(run.monitored, run.measured).size


OPTIMIZERS = [
    (torch.optim.SGD, {"momentum": 0.9, "weight_decay": 0.1}),
    (torch.optim.AdamW, {"weight_decay": 0.1, "fused": True}),
    (torch.optim.Adam, {"fused": True}),
    (torch.optim.Adam, {}),
]


@pytest.mark.parametrize(("kind", "options"), OPTIMIZERS)
def test_an_eager_optimizer_is_that_of_torch(kind, options):
    ends = []
    for made in (kind, training.eager(kind)):
        rng = torch.Generator().manual_seed(0)
        weight = torch.randn(5, generator=rng).requires_grad_()
        optimizer = made([weight], 0.01, **options)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=9)
        for i in range(9):
            if i == 4:
                state = optimizer.state_dict()
                optimizer = made([weight], 0.01, **options)
                optimizer.load_state_dict(state)
                schedule.optimizer = optimizer
            optimizer.zero_grad(set_to_none=True)
            (weight * torch.randn(5, generator=rng)).sum().square().backward()
            optimizer.step()
            schedule.step()
        ends.append(weight.detach())
    assert torch.equal(*ends)


def test_training_does_not_load_the_compiler():
    """It is most of a second and a half at the beginning of every process."""
    code = (
        "import sys, taskdiscovery as td\n"
        "options = dict(learner='convnet?width=0.1', preset='smoke', executor='serial')\n"
        "assert len(td.score('shapes?n=200&size=12', 'label:disc,cross', **options)) == 2\n"
        "sys.exit('torch._dynamo' in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("shape", [(32, 32, 3), (5, 5, 1), (4, 4, 1)])
def test_images_are_gathered_as_torch_does(shape):
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.integers(0, 256, (40, *shape), dtype=np.uint8))
    rows = torch.from_numpy(rng.integers(0, 30, 17))
    for given in (images, images[3:], images.transpose(1, 2), images[:, :, :, :1]):
        assert torch.equal(take(given, rows), given.index_select(0, rows))


def test_bf16_that_is_emulated_is_warned_of(monkeypatch, caplog):
    monkeypatch.setattr(machine, "bf16_units", lambda: (False, False))
    assert machine.resolve_precision("auto", "cpu") == "float32"
    assert not caplog.records
    assert machine.resolve_precision("bf16", "cpu") == "bf16"
    assert "--precision float32" in caplog.text
    monkeypatch.setattr(machine, "bf16_units", lambda: (True, False))
    assert machine.resolve_precision("auto", "cpu") == "bf16"
    assert len(caplog.records) == 1
