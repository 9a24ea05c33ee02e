"""What jobs would ask of a GPU, on one that is simulated: no device mixed, no waiting in an epoch.

A step, an epoch, a batch cost the difference between a job that has some and one that has more of
them: nothing in the jobs need be hooked. Values are true, so what a job finds is compared as well.
"""

from functools import cache, partial
from unittest import mock

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import grad, jvp

import taskdiscovery as td
from simulated import simulated_gpu
from taskdiscovery.config import TrainingRecipe, learner_of
from taskdiscovery.encoders import encoder
from taskdiscovery.networks import Normalization, build_learner, prediction
from taskdiscovery.networks.placing import place
from taskdiscovery.networks.prediction import calibrate, predict
from taskdiscovery.runtime.capture import Captured, aside
from taskdiscovery.training import Examples, cross_entropy, train
from taskdiscovery.training.state import TrainingState

HERE = {"device": "cuda", "executor": "serial", "threads": 1, "callbacks": []}
QUIET = {"threads": 1, "callbacks": []}
NETWORK = "convnet?width=0.1"


@pytest.fixture(scope="module")
def shapes():
    return td.load("shapes?n=300&seed=0&size=8")


@pytest.fixture(scope="module")
def factor(shapes):
    return f"attr:{shapes.attributes.columns[0]}"


@pytest.fixture
def tasks(shapes):
    return found_in(shapes)


def found_in(shapes):
    options = {"method": "spectral", "tasks": 2, "learner": NETWORK}
    return td.discover(shapes, **options, **HERE | {"device": "cpu"})


class Cost:
    """What a job costs, and how many trainings it does."""

    def __init__(self, job, free=70e9):
        made, begin = [], TrainingState.__init__

        def counted(state, *given, **more):
            made.append(state)
            begin(state, *given, **more)

        with (
            mock.patch.object(TrainingState, "__init__", counted),
            simulated_gpu(free=free) as counts,
        ):
            job()
        self.synchronizations, self.uploads = counts.synchronizations, counts.uploads
        self.kernels, self.places, self.trainings = counts.kernels, counts.places, len(made)

    def __sub__(self, less):
        """Return what it costs more: synchronizations, uploads; and where."""
        both = {p: self.places[p] - less.places[p] for p in self.places | less.places}
        waits, uploads = self.synchronizations, self.uploads
        places = {place: n for place, n in both.items() if n}
        return waits - less.synchronizations, uploads - less.uploads, places


# ---- the simulation itself


def step_of(model, optimizer, x, y):
    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def small(device):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 2))
    x, y = torch.randn(8, 3, 8, 8), torch.arange(8) % 2
    model = model.to(device)
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    return model, step_of(model, optimizer, x.to(device), y.to(device))


@pytest.mark.parametrize("captured", [False, True])
def test_a_training_gives_what_it_gives_on_the_processor(captured):
    expected, step = small("cpu")
    losses = [step().item() for _ in range(6)]
    with simulated_gpu() as counts, aside("cuda"):
        model, step = small("cuda")
        step = Captured(step, "cuda", wanted=captured)
        found = [step().item() for _ in range(6)]
        weights = [p.detach().cpu() for p in model.state_dict().values()]
    assert found == losses
    assert all(map(torch.equal, weights, expected.state_dict().values()))
    assert counts.replays == (4 if captured else 0)
    assert (counts.launches < counts.kernels) == captured


def test_second_derivatives_are_those_of_the_processor():
    torch.manual_seed(0)
    given = [torch.randn(4, 3), torch.randn(6, 4), torch.randn(6, 3).softmax(1)]

    def loss(weight, x, y):
        return -(y * F.batch_norm(x @ weight, None, None, training=True).log_softmax(1)).mean()

    def product(weight, x, y):
        zeros = torch.zeros_like(x), torch.zeros_like(y)
        return jvp(grad(loss, argnums=(0, 2)), (weight, x, y), (torch.ones_like(weight), *zeros))[1]

    expected = product(*given)
    with simulated_gpu():
        found = [x.cpu() for x in product(*(x.to("cuda") for x in given))]
    assert all(map(torch.equal, found, expected))
    assert all(x.abs().max() > 1e-3 for x in expected)


def test_what_cuda_refuses_is_refused():
    with simulated_gpu():
        x = torch.ones(3, device="cuda")
        assert x.device == torch.device("cuda:0")
        assert (x + torch.tensor(1.0)).tolist() == [2] * 3
        assert torch.arange(4, device="cuda")[[3, 1]].tolist() == [3, 1]
        with pytest.raises(RuntimeError, match="on the same device"):
            x + torch.ones(3)
        with pytest.raises(RuntimeError, match="on the same device"):
            x[[0, 1]] = torch.ones(2)
        with pytest.raises(TypeError, match="convert cuda:0"):
            x.numpy()
        for _ in range(8):  # where one of the device was freed, its address must not be taken over
            torch.Generator(device="cuda")
            with pytest.raises(RuntimeError, match="type for generator"):
                torch.rand(3, device="cuda", generator=torch.Generator())
        with (
            pytest.raises(RuntimeError, match="non-default"),
            torch.cuda.graph(torch.cuda.CUDAGraph(), stream=torch.cuda.current_stream()),
        ):
            pass
        stream = torch.cuda.Stream()
        for refused in (lambda: x.sum().item(), lambda: torch.ones(3).to("cuda")):
            with (
                torch.cuda.stream(stream),
                pytest.raises(RuntimeError, match="capturing"),
                torch.cuda.graph(torch.cuda.CUDAGraph(), stream=stream),
            ):
                refused()


def test_what_waits_is_counted():
    with simulated_gpu() as counts:
        x = torch.arange(4, device="cuda")
        assert (counts.synchronizations, counts.uploads, counts.kernels) == (0, 0, 1)
        waits = [
            lambda: x[0].item(),
            lambda: bool((x > 2).all()),
            lambda: x[x > 2],
            lambda: x.nonzero(),
            lambda: x.cpu(),
            lambda: torch.empty(4, dtype=torch.int64).copy_(x),
            lambda: torch.equal(x, x),
            torch.cuda.synchronize,
            torch.cuda.Event().synchronize,
        ]
        for number, wait in enumerate(waits, 1):
            wait()
            assert counts.synchronizations == number
        assert counts.uploads == 0
        for number, upload in enumerate(
            (lambda: torch.ones(2).to("cuda"), lambda: x.copy_(torch.ones(4)), lambda: x[[1, 2]]), 1
        ):
            upload()
            assert counts.uploads == number
        torch.ones(2).pin_memory().to("cuda", non_blocking=True)
        assert x[x.flip(0)].shape == (4,)
        assert (counts.synchronizations, counts.uploads) == (len(waits), 3)


def test_nothing_is_left_behind():
    before = torch.get_rng_state()
    with simulated_gpu():
        torch.rand(3, device="cuda")
        F.dropout(torch.ones(9, device="cuda"))
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.cuda.is_available() or torch.version.cuda
    assert type(torch.ones(2).to("cpu")) is torch.Tensor


# ---- training and prediction


def trained(images, epochs=2, batch=64, **recipe):
    recipe = TrainingRecipe(epochs=epochs, batch=batch, **recipe)
    learner = learner_of(NETWORK, recipe, device="cuda", precision="bf16")
    model = build_learner(learner, images.shape[1:], 2, Normalization.none(3), 0)
    targets, rows = torch.arange(len(images), device="cuda") % 2, np.arange(len(images))
    return train(learner, model, Examples(place(images, "cuda"), rows, targets, cross_entropy), 0)


AUGMENTED = {"augment": ("flip", "crop", "grey")}


@pytest.mark.parametrize(
    "recipe", [{}, {"optimizer": "adamw", "schedule": "onecycle"}, {"optimizer": "sgd"}, AUGMENTED]
)
def test_no_step_waits(shapes, recipe):
    few, many = (Cost(lambda b=b: trained(shapes.images, batch=b, **recipe)) for b in (100, 30))
    assert many - few == (0, 0, {})
    assert many.kernels > few.kernels


def test_streamed_images_are_not_waited_for_either(shapes):
    """Where memory lacks, images come batch by batch, and the weights are the same."""
    few, many = (Cost(lambda b=b: trained(shapes.images, batch=b), free=1e4) for b in (100, 30))
    assert many - few == (0, 0, {})
    weights = []
    for free in (70e9, 1e4):
        with simulated_gpu(free=free):
            weights.append([p.detach().cpu() for p in trained(shapes.images).parameters()])
    assert all(map(torch.equal, *weights))


def test_an_epoch_waits_once(shapes):
    few, many = (Cost(lambda e=e: trained(shapes.images, epochs=e)) for e in (2, 5))
    synchronizations, uploads, places = many - few
    assert synchronizations == 3, places
    assert uploads <= 3, places  # the order of the images


def test_the_end_of_a_training_waits_once(shapes):
    weights = len(list(trained_on_the_cpu(shapes).parameters()))
    cost = Cost(lambda: trained(shapes.images, epochs=1))
    assert weights > 10
    assert cost.synchronizations <= 2, cost.places


def trained_on_the_cpu(shapes):
    learner = learner_of(NETWORK, TrainingRecipe(epochs=1), device="cpu", precision="float32")
    return build_learner(learner, shapes.images.shape[1:], 2, Normalization.none(3), 0)


@pytest.mark.parametrize(
    "asked",
    [
        "predict",
        "calibrate",
    ],
)
def test_a_batch_of_predictions_does_not_wait(asked):
    """Asked in several batches, the answers come back in one copy."""
    images = np.zeros((6000, 4, 4, 3), np.uint8)
    learner = learner_of(NETWORK, TrainingRecipe(), device="cuda", precision="float32")

    def ask(count):
        model = build_learner(learner, (4, 4, 3), 2, Normalization.none(3), 0)
        there, rows = place(images, "cuda"), np.arange(count)
        if asked == "predict":
            assert predict(model, there, rows, "float32", batch=64).shape == (count, 2)
        else:
            calibrate(model.train(), there, rows)

    sizes = (64, 1024) if asked == "predict" else (600, 2600)
    few, many = (Cost(lambda n=n: ask(n)) for n in sizes)
    assert many - few == (0, 0, {})


# ---- jobs


def score(data, target, epochs, batch):
    options = {"preset": "smoke", "train_images": 200, "test_images": 80, "learner": NETWORK}
    return td.score(data, target, epochs=epochs, batch=batch, **options, **HERE)


def power(data, target, epochs, batch):
    options = {"tasks": 2, "learner": NETWORK, "method": td.Power(iterations=1)}
    return td.discover(data, epochs=epochs, batch=batch, **options, **HERE)


def split(data, target, epochs, batch, tasks):
    options = {"preset": "smoke", "runs": 2, "learner": NETWORK, "epochs": epochs, "batch": batch}
    return td.split(data, target, tasks, **options, **HERE)


JOBS = ("score", "power", "split")


@pytest.fixture(scope="module")
def done(shapes, factor):
    """Return what does a job of so many epochs and images a batch, each once."""
    jobs = {"score": score, "power": power, "split": partial(split, tasks=found_in(shapes))}

    @cache
    def once(job, epochs, batch):
        return Cost(lambda: jobs[job](shapes, factor, epochs, batch))

    return once


@pytest.mark.parametrize("job", JOBS)
def test_no_step_of_a_job_waits(job, done):
    few, many = (done(job, 1, b) for b in (64, 24))
    *_, places = many - few
    # Other weights find other images that must be predicted once more, alone.
    assert not [place for place in places if "networks/prediction.py" not in place], places
    assert many.trainings == few.trainings > 2
    assert many.kernels > few.kernels


@pytest.mark.parametrize("job", JOBS)
def test_an_epoch_of_a_job_waits_once(job, done):
    few, many = (done(job, e, 64) for e in (1, 2))
    *_, places = many - few
    own = {place: n for place, n in places.items() if "networks/prediction.py" not in place}
    # Small trainings wait together.
    waits = sum(n for place, n in own.items() if "sync" in place)
    assert 1 <= waits <= few.trainings, places
    assert sum(n for place, n in own.items() if "upload" in place) <= few.trainings, places


def test_a_score_is_that_of_the_processor(shapes, factor):
    options = {"preset": "smoke", "precision": "float32", "learner": NETWORK, "epochs": 2}
    options |= {"batch": 64}
    expected = td.score(shapes, factor, **options, **HERE | {"device": "cpu"})
    with simulated_gpu():
        found = td.score(shapes, factor, **options, **HERE)
    assert [s.agreement for s in found] == pytest.approx([s.agreement for s in expected], abs=0.02)


@pytest.fixture(scope="module")
def meta(shapes):
    """Return what does a search of so many inner and outer steps, each once."""

    @cache
    def once(inner, outer):
        method = td.Meta(outer_steps=outer, inner_steps=inner, inner_batch=16, memory="store")
        options = {"tasks": 2, "learner": "mlp?width=0.1", "method": method}
        return Cost(lambda: td.discover(shapes, **options, **HERE))

    return once


def test_no_inner_step_of_a_meta_gradient_waits(meta):
    few, many = meta(2, 1), meta(5, 1)
    synchronizations, uploads, places = many - few
    assert synchronizations == 0, places
    assert uploads == 0, places
    assert many.kernels > few.kernels


def test_an_outer_step_of_a_meta_gradient_waits_a_few_times(meta):
    """Its images and networks are uploaded; it reads its value and whether it was finite."""
    few, many = meta(2, 1), meta(2, 4)
    synchronizations, _, places = many - few
    assert synchronizations <= 3 * 2, places


@pytest.fixture
def several_batches(monkeypatch):
    """A few images are several batches, and none is asked about again alone."""
    monkeypatch.setattr(prediction, "_MOST", 32)
    monkeypatch.setattr(encoder, "CLOSE", 0.0)


def spectral(n):
    data = td.load(f"shapes?n={n}&seed=0&size=8")
    options = {"method": "spectral", "tasks": 2, "learner": NETWORK}
    return Cost(lambda: td.discover(data, **options, **HERE))


@pytest.mark.usefixtures("several_batches")
def test_a_batch_of_spectral_does_not_wait():
    assert spectral(900) - spectral(300) == (0, 0, {})


@pytest.mark.usefixtures("several_batches")
def test_a_batch_of_analyze_does_not_wait():
    data = td.load("shapes?n=1000&seed=0&size=8")  # of which a hundred are probed at most
    tasks = found_in(data)

    def analyzed(n):
        found = td.analyze(data, tasks, probe_images=n, device="cuda", **QUIET)
        tasks.encoder.model.to("cpu")
        return found

    few, many = (Cost(lambda n=n: analyzed(n)) for n in (30, 100))
    assert many - few == (0, 0, {})
    assert many.kernels > few.kernels > 0


@pytest.mark.usefixtures("several_batches")
def test_a_batch_of_label_does_not_wait(tasks):
    def labelled(n):
        found = td.label(tasks, td.load(f"shapes?n={n}&seed=0&size=8"), device="cuda")
        tasks.encoder.model.to("cpu")
        return found

    few, many = (Cost(lambda n=n: labelled(n)) for n in (300, 900))
    assert many - few == (0, 0, {})
    assert many.kernels > few.kernels > 0
