"""What only a GPU can show: the same bits again, the caller's generator untouched, each verb.

`make test-gpu` runs these; TASKDISCOVERY_TEST_DEVICE=cpu has them done on the CPU instead, where
most of what they say holds, too.
"""

import copy
import gc
import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import taskdiscovery as td
from taskdiscovery.config import TrainingRecipe, learner_of
from taskdiscovery.discovery.blocks import Blocks
from taskdiscovery.discovery.meta.inner import Inner
from taskdiscovery.features import backbone_of, features_of
from taskdiscovery.features.products import CPU
from taskdiscovery.features.products_torch import OnDevice
from taskdiscovery.features.reduction import Reduction
from taskdiscovery.networks import Normalization, activation, build_learner
from taskdiscovery.networks.images import to_tensor
from taskdiscovery.networks.placing import Placed, place
from taskdiscovery.networks.prediction import predict
from taskdiscovery.runtime import arithmetic, capture, devices, random_states
from taskdiscovery.store import Checkpoints
from taskdiscovery.store.journal import Journal, JournalWatch
from taskdiscovery.training import Hooks, Seeds, Training, forget_steps, weights
from taskdiscovery.training.robust.weighed import trained as weighed_training
from taskdiscovery.training.weighting import Fixed, WorstGroup

DEVICE = os.environ.get("TASKDISCOVERY_TEST_DEVICE", "cuda")
ON_CARD = devices.is_cuda(DEVICE)
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(ON_CARD and not torch.cuda.is_available(), reason="there is no GPU here"),
]
needs_card = pytest.mark.skipif(not ON_CARD, reason="says something of GPUs alone")

N, SIDE = 240, 16
NETWORKS = ["convnet?width=0.5&augment=flip,crop", "resnet18?width=0.25"]
PRECISIONS = ["float32", "bf16"]
DATA = "shapes?n=900&size=16"
SMALL = {"learner": "convnet?width=0.25", "batch": 64, "device": DEVICE, "threads": 1}


@pytest.fixture(autouse=True)
def _nothing_is_left():
    """Recorded steps and what lies on the card end with each test."""
    yield
    forget_steps()
    gc.collect()
    if ON_CARD:
        torch.cuda.empty_cache()


@pytest.fixture(scope="module")
def data():
    return td.load(DATA)


def images():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (N, SIDE, SIDE, 3), dtype=np.uint8)


def training(spec, precision, device=DEVICE, schedule="constant", seed=0):
    recipe = TrainingRecipe(epochs=3, batch=50, schedule=schedule, recalibrate=True)
    rng = np.random.default_rng(seed)
    return Training(
        learner=learner_of(spec, recipe, device=device, precision=precision),
        shape=(SIDE, SIDE, 3),
        normalization=Normalization((127.0,) * 3, (64.0,) * 3),
        outputs=3,
        rows=np.arange(200),  # four batches of 50
        targets=rng.integers(0, 3, 200),
        measured=np.arange(200, N),
        seeds=Seeds(seed, seed + 1),
    )


def trained(own, watch=None, pictures=None):
    """Return the weights that a training ends in, as arrays by name."""
    pictures = place(images(), DEVICE) if pictures is None else pictures
    hooks = Hooks() if watch is None else Hooks(watch=watch)
    return weights(own.trained(pictures, hooks))


def same(one, other):
    assert one.keys() == other.keys()
    for name in one:
        assert np.array_equal(one[name], other[name]), f"{name} differs"


# --- the same bits -----------------------------------------------------------------------------


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("spec", NETWORKS)
@pytest.mark.parametrize("schedule", ["constant", "onecycle"])
def test_a_training_gives_the_same_bits_again(spec, precision, schedule):
    """From nothing, from the steps that an earlier one left, and after others."""
    own, pictures = training(spec, precision, schedule=schedule), place(images(), DEVICE)
    first = trained(own, pictures=pictures)
    trained(training(spec, precision, schedule=schedule, seed=5), pictures=pictures)
    same(trained(own, pictures=pictures), first)
    forget_steps()
    same(trained(own), first)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("spec", NETWORKS)
@pytest.mark.parametrize("schedule", ["constant", "onecycle"])
def test_recorded_equals_not_recorded(spec, precision, schedule, monkeypatch):
    own, recorded, record = training(spec, precision, schedule=schedule), [], capture.record

    def noted(work, pool=None):
        recorded.append(record(work, pool))
        return recorded[-1]

    monkeypatch.setattr(capture, "record", noted)
    first = trained(own)
    assert bool(recorded) == ON_CARD
    recorded.clear()
    forget_steps()

    def refused(work, pool=None):
        raise RuntimeError("not today")

    monkeypatch.setattr(capture, "record", refused)
    same(trained(own), first)
    assert not recorded


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("spec", NETWORKS)
def test_weighed_steps_are_recorded_and_equal_weights_are_none(spec, precision, monkeypatch):
    own, pictures = training(spec, precision), place(images(), DEVICE)
    ones, one_group = np.ones(200), np.zeros(200, dtype=np.int64)
    groups, record, recorded = np.arange(200) % 3, capture.record, []

    def weighed(weighting):
        return weights(weighed_training(own, pictures, Hooks(), weighting))

    def noted(work, pool=None):
        recorded.append(record(work, pool))
        return recorded[-1]

    plain = trained(own, pictures=pictures)
    same(weighed(Fixed.of(ones, DEVICE)), plain)
    same(weighed(WorstGroup.of(one_group, 0.5, DEVICE)), plain)
    monkeypatch.setattr(capture, "record", noted)
    first = weighed(WorstGroup.of(groups, 0.5, DEVICE))
    assert len(recorded) == ON_CARD
    same(weighed(WorstGroup.of(groups, 0.5, DEVICE)), first)
    assert len(recorded) == ON_CARD  # the same graph, from uniform weights again
    forget_steps()

    def refused(work, pool=None):
        raise RuntimeError("not today")

    monkeypatch.setattr(capture, "record", refused)
    same(weighed(WorstGroup.of(groups, 0.5, DEVICE)), first)


@pytest.mark.parametrize("spec", NETWORKS)
def test_streamed_equals_resident(spec):
    own = training(spec, "float32")
    first = trained(own, pictures=Placed(images(), DEVICE))
    forget_steps()
    same(trained(own, pictures=Placed(images(), DEVICE, limit=0)), first)


class StopsAfter(JournalWatch):
    """Saves and stops after so many steps, once."""

    def __init__(self, book, steps):
        super().__init__(book, "u")
        self.steps = steps

    def boundary(self, state):
        self.steps -= 1
        if self.steps == 0:
            self._journal._under_way = ("u", state())
            self._journal._commit()
            raise KeyboardInterrupt


class Noisy(torch.nn.Module):
    """Draws from torch's generator where it computes."""

    def __init__(self, image_shape, outputs):
        super().__init__()
        self.conv = torch.nn.Conv2d(image_shape[2], 8, 3)
        self.drop, self.last = torch.nn.Dropout(0.3), torch.nn.Linear(8, outputs)

    def forward(self, x):
        return self.last(self.drop(torch.relu(self.conv(x))).mean(dim=(2, 3)))


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(
    ("spec", "schedule"),
    [(NETWORKS[0], "onecycle"), (NETWORKS[1], "constant"), ("noisy", "constant")],
)
def test_stopped_and_resumed_equals_never_stopped(spec, schedule, precision, tmp_path):
    own = training("linear" if spec == "noisy" else spec, precision, schedule=schedule)
    if spec == "noisy":
        object.__setattr__(own.learner, "network", Noisy)
    expected = trained(own)
    for stop in (1, 4, 6, 11):
        checkpoints = Checkpoints(tmp_path / str(stop))
        with pytest.raises(KeyboardInterrupt):
            trained(own, StopsAfter(Journal(checkpoints), stop))
        if ON_CARD:
            torch.cuda.manual_seed(stop)  # what the surroundings drew must not matter
        forget_steps()
        book = Journal(checkpoints)
        book.load()
        same(trained(own, JournalWatch(book, "u")), expected)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_runs_of_a_score_are_the_same_together_and_alone(data, precision, monkeypatch):
    """Several small trainings at once: what each predicts is what it would predict alone."""
    options = {**SMALL, "preset": "smoke", "precision": precision, "executor": "serial"}
    one = td.score(data, "label:disc,cross", **options)
    monkeypatch.setattr("taskdiscovery.executors.serial.room", lambda training: 1)
    other = td.score(data, "label:disc,cross", **options)
    for a, b in zip(one, other, strict=True):
        assert np.array_equal(a.agreement_n, b.agreement_n, equal_nan=True)


# --- the caller's process ----------------------------------------------------------------------


def generators():
    cards = range(torch.cuda.device_count()) if ON_CARD else ()
    return [torch.get_rng_state(), *(torch.cuda.get_rng_state(i) for i in cards)]


def test_the_callers_generators_are_neither_reseeded_nor_advanced(data):
    torch.manual_seed(3)
    torch.rand(5, device=DEVICE)
    before = generators()
    td.score(data, "label:disc,cross", preset="smoke", **SMALL)
    found = td.discover(data, tasks=2, method=td.Power(iterations=1), epochs=2, **SMALL)
    td.label(found, data, device=DEVICE)
    after = generators()
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_the_card_draws_from_the_seed_of_its_block():
    with random_states.private(4, DEVICE):
        first = torch.rand(5, device=DEVICE)
        saved = random_states.capture(DEVICE)
        second = torch.rand(5, device=DEVICE)
        random_states.restore(saved)
        assert torch.equal(torch.rand(5, device=DEVICE), second)
    with random_states.private(4, DEVICE):
        assert torch.equal(torch.rand(5, device=DEVICE), first)


def test_a_job_on_the_cpu_begins_to_use_no_card():
    program = (
        "import torch, taskdiscovery as td\n"
        "td.score('shapes?n=200&size=8', 'label:disc', preset='smoke', learner='convnet?width=0.1',"
        " device='cpu', executor='serial', threads=1, callbacks=())\n"
        "assert not torch.cuda.is_initialized()\n"
        "torch.manual_seed(1)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("spec", [*NETWORKS, "mlp?width=0.1", "vit?width=0.25&depth=2&patch=4"])
def test_initial_weights_are_those_of_the_cpu(spec):
    own, cpu = (
        build_learner(
            learner_of(spec, TrainingRecipe(), device=device, precision="float32"),
            (SIDE, SIDE, 3),
            3,
            Normalization((127.0,) * 3, (64.0,) * 3),
            seed=9,
        )
        for device in (DEVICE, "cpu")
    )
    assert next(own.parameters()).device.type == torch.device(DEVICE).type
    same(weights(own), weights(cpu))


# --- what is said holds ------------------------------------------------------------------------


def test_float32_means_float32_in_predictions():
    """As near to the CPU as sums in another order: TF32 would be ten times as far."""
    model = build_learner(
        learner_of(NETWORKS[1], TrainingRecipe(), device="cpu", precision="float32"),
        (SIDE, SIDE, 3),
        3,
        Normalization((127.0,) * 3, (64.0,) * 3),
        seed=1,
    ).eval()
    rows = np.arange(N)
    cpu = predict(model, place(images(), "cpu"), rows, "float32")
    found = predict(model.to(DEVICE), place(images(), DEVICE), rows, "float32")
    assert float((found - cpu).abs().max()) < 1e-4 * float(cpu.abs().max())


class Spy(torch.nn.Module):
    """Notes how the process multiplies while it trains."""

    seen = None

    def __init__(self, image_shape, outputs):
        super().__init__()
        self.last = torch.nn.Linear(image_shape[2], outputs)

    def forward(self, x):
        if self.training and torch.is_grad_enabled():
            Spy.seen = {
                "tf32_convolutions": bool(torch.backends.cudnn.allow_tf32),
                "tf32_products": bool(torch.backends.cuda.matmul.allow_tf32),
                "cudnn_deterministic": bool(torch.backends.cudnn.deterministic),
            }
        return self.last(x.mean(dim=(2, 3)))


def test_a_run_names_its_card_and_how_that_multiplied(data, tmp_path):
    options = {**SMALL, "learner": Spy, "preset": "smoke", "out": tmp_path / "run"}
    torch.backends.cuda.matmul.allow_tf32 = True  # of the caller's, and not for us
    try:
        td.score(data, "label:disc,cross", **options)
        assert torch.backends.cuda.matmul.allow_tf32
    finally:
        torch.backends.cuda.matmul.allow_tf32 = False
    numbers = json.loads((tmp_path / "run" / "result.json").read_text())
    known = json.loads((tmp_path / "run" / "environment.json").read_text())
    if not ON_CARD:
        assert "hardware" not in numbers
        return
    said = numbers["hardware"]["score"]
    assert said["cards"][0]["name"] == torch.cuda.get_device_name()
    assert said["cuda"] == torch.version.cuda
    assert said["driver"]
    assert known["gpu"] == said
    assert Spy.seen == {key: said[key] for key in Spy.seen}
    assert not said["tf32_products"]


def test_doctor(capsys):
    from taskdiscovery.cli import main

    assert main(["doctor"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    if ON_CARD:
        assert torch.cuda.get_device_name().split()[-1] in printed
        assert torch.version.cuda in printed


@needs_card
def test_a_card_without_room_says_what_to_try(data):
    """Room for the network, and not for training it."""
    gc.collect()
    torch.cuda.empty_cache()
    room = torch.cuda.memory_reserved() + 150 * 10**6
    torch.cuda.set_per_process_memory_fraction(room / torch.cuda.mem_get_info()[1])
    options = {**SMALL, "learner": "resnet18", "batch": 512, "precision": "float32"}
    try:
        with pytest.raises(td.ResourceError) as caught:
            td.score(data, "label:disc,cross", preset="smoke", **options)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert "--batch 256" in caught.value.hint
    assert caught.value.exit_code == 5


@needs_card
def test_cards_that_are_not_there(data):
    there = torch.cuda.device_count()
    with pytest.raises(td.ConfigError, match=f"no card {there}"):
        td.score(data, "label", preset="smoke", **{**SMALL, "device": f"cuda:{there}"})


@needs_card
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="there are no two GPUs here")
def test_two_cards_give_what_one_gives(data):
    pytest.importorskip("loky")
    options = {**SMALL, "preset": "smoke", "precision": "float32"}
    one = td.score(data, "label:disc,cross", executor="serial", **options)
    two = td.score(data, "label:disc,cross", executor="processes", **options)
    other = td.score(data, "label:disc,cross", **{**options, "device": "cuda:1"})
    for found in (two, other):
        for a, b in zip(one, found, strict=True):
            assert np.array_equal(a.agreement_n, b.agreement_n, equal_nan=True)


# --- every verb --------------------------------------------------------------------------------

METHODS = {
    "power": td.Power(iterations=2),
    "spectral": td.Spectral(),
    "meta": td.Meta(outer_steps=2, inner_steps=3, inner_batch=64),
}


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("method", METHODS)
def test_tasks_are_found_and_drawn_alike_everywhere(data, method, precision):
    options = {**SMALL, "precision": precision, "epochs": 2, "encoder_epochs": 4}
    found = td.discover(data, tasks=2, method=METHODS[method], **options)
    assert found.tasks.labels_ND.shape == (len(data), len(found.tasks))
    here, cpu = (td.label(found, data, device=device) for device in (DEVICE, "cpu"))
    assert (here.device, cpu.device) == (DEVICE, "cpu")
    assert np.array_equal(here.labels_ND, td.label(found, data, device=DEVICE).labels_ND)
    assert (here.labels_ND == cpu.labels_ND).mean() > 0.999
    alone = td.label(found, data.images[:3], device=DEVICE)
    assert np.array_equal(alone.labels_ND, here.labels_ND[:3])


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_other_verbs(data, precision, tmp_path):
    options = {**SMALL, "precision": precision}
    found = td.discover(
        data, tasks=2, method=td.Spectral(), encoder_epochs=2, out=tmp_path / "run", **options
    )
    scores = td.score(data, found, preset="smoke", out=tmp_path / "run", **options)
    assert all(0 <= score.agreement <= 1 for score in scores)
    split = td.split(
        data, "label:disc,cross", found, preset="smoke", controls=("random",), runs=2, **options
    )
    assert split.accuracy
    evidence = td.analyze(data, found, device=DEVICE, threads=1)
    assert len(evidence.probes)
    fitted = td.fit(data, "label:disc,cross", preset="smoke", runs=2, **options)
    assert fitted.predict_proba(data).shape == (len(data), 2)


def test_arithmetic_of_blocks():
    with arithmetic.ieee(DEVICE):
        assert not (ON_CARD and torch.backends.cudnn.allow_tf32)
    with arithmetic.repeatable(DEVICE):
        assert torch.backends.cudnn.deterministic == ON_CARD


@pytest.mark.parametrize("room", [None, 0], ids=["resident", "streamed"])
def test_closed_forms_are_those_of_the_cpu(room):
    rng = np.random.default_rng(0)
    features = rng.normal(size=(20_000, 96)).astype(np.float16)
    targets, rows = rng.normal(size=(20_000, 5)).astype(np.float32), rng.permutation(20_000)
    reduction, found = Reduction.measure(features, rows, 48), []
    for products in (OnDevice(DEVICE, room), CPU):
        mean_P = Reduction.measure(features, rows, 48, products).mean_P
        table = reduction.apply(features, rows, products)
        blocks = Blocks(table, 10, 0.5, products)
        weights = blocks.fit(targets)
        held_out = blocks.held_out(targets, np.random.default_rng(1))
        found.append([mean_P, table, *blocks.grams, weights, held_out, blocks.predict(weights)])
    for ours, theirs in zip(*found, strict=True):
        assert np.abs(ours - theirs).max() <= 1e-5 * np.abs(theirs).max()


@pytest.mark.parametrize("precision", PRECISIONS)
def test_max_pooling_gives_the_same_bits_again(precision):
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    x = torch.randn(64, 32, 48, 48, device=DEVICE).to(kind)
    x = x.relu().contiguous(memory_format=torch.channels_last).requires_grad_()
    upstream = torch.randn(64, 32, 24, 24, device=DEVICE).to(kind)
    first, *others = (
        torch.autograd.grad(torch.nn.functional.max_pool2d(x, 3, 2, 1), x, upstream)[0]
        for _ in range(4)
    )
    assert all(torch.equal(first, other) for other in others)


def test_features_of_a_backbone_are_those_of_the_cpu(tmp_path, monkeypatch):
    (tmp_path / "own_backbone.py").write_text(
        "from torch import nn\n"
        "def make():\n"
        "    layers = nn.Conv2d(3, 24, 5, 2), nn.BatchNorm2d(24), nn.ReLU(), nn.Conv2d(24, 8, 3)\n"
        "    return nn.Sequential(*layers)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("TASKDISCOVERY_CACHE", str(tmp_path / "cache"))
    import own_backbone

    torch.manual_seed(0)
    save_file(own_backbone.make().state_dict(), tmp_path / "w.safetensors")
    spec = f"own_backbone:make?weights={tmp_path / 'w.safetensors'}&size={SIDE}"
    spec += "&mean=0.5&std=0.25&pool=mean"
    pictures = np.tile(images(), (12, 1, 1, 1))[:2500]  # no whole number of batches
    plain = features_of(pictures, backbone_of(spec), "cpu")
    exact = features_of(pictures, backbone_of(spec), DEVICE)
    assert np.abs(exact - plain).max() < 1e-5 * np.abs(plain).max()
    low = td.embed(pictures, backbone=spec, device=DEVICE, callbacks=()).features
    assert np.abs(low - plain).max() < 0.03 * np.abs(plain).max()


@needs_card
@pytest.mark.parametrize("added", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(4, 8, 5, 5), (2, 100, 6, 7), (64, 64, 32, 32), (64, 512, 4, 4)])
def test_fused_norms_do_what_the_modules_do(shape, dtype, added):
    """Outputs, derivatives and running statistics, against the modules in float64."""
    torch.manual_seed(0)
    norm = torch.nn.BatchNorm2d(shape[1]).to(DEVICE)
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    exact = copy.deepcopy(norm).double()

    def drawn():
        own = torch.randn(shape, device=DEVICE).to(dtype)
        return own.contiguous(memory_format=torch.channels_last).requires_grad_()

    x, other, upstream = drawn(), drawn() if added else None, drawn().detach()
    assert activation._fusable(x, norm, torch.nn.ReLU(), other)
    with activation.fused_norms(DEVICE):
        found = activation.activated(x, norm, torch.nn.ReLU(), other)
    found.backward(upstream)
    there = [None if one is None else one.detach().double().requires_grad_() for one in (x, other)]
    expected = activation.activated(there[0], exact, torch.nn.ReLU(), there[1])
    expected.backward(upstream.double())
    close = 1e-5 if dtype == torch.float32 else 1e-2

    def far(a, b):
        return float((a.double() - b).norm() / b.norm())

    pairs = [(found, expected), (x.grad, there[0].grad)]
    pairs += [(other.grad, there[1].grad)] if added else []
    pairs += [(norm.weight.grad, exact.weight.grad), (norm.bias.grad, exact.bias.grad)]
    assert max(far(a, b) for a, b in pairs) < close
    assert far(norm.running_mean, exact.running_mean) < 1e-5
    assert far(norm.running_var, exact.running_var) < 1e-5
    assert int(norm.num_batches_tracked) == 1


@pytest.mark.parametrize("memory", ["store", "recompute"])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_recorded_inner_steps_give_the_gradient_of_plain_ones(data, precision, memory):
    learner = learner_of("resnet18?width=0.125", TrainingRecipe(), device=DEVICE, precision="auto")
    learner = replace(learner, precision=precision)
    batches = [torch.arange(64 * i, 64 * (i + 1) - i % 2) for i in range(4)]  # 32 or 31 a network
    draws = torch.Generator().manual_seed(0)
    soft = [torch.rand(len(rows), 2, generator=draws).softmax(1) for rows in batches]

    def gradients(*, recorded):
        inner = Inner(
            learner=learner,
            shape=data.image_shape,
            normalization=Normalization((127.0,) * 3, (64.0,) * 3),
            images=to_tensor(data.images, DEVICE),
            options=td.Meta(memory=memory, inner_optimizer="sgd"),
            classes=2,
            seed=0,
            recorded=recorded,
        )
        for _ in range(3):
            labels = [y.to(DEVICE).requires_grad_() for y in soft]
            _, found, agreement = inner.gradient(
                inner.start(0), batches, labels, np.arange(500, 564), 4
            )
        assert 0 <= float(agreement) <= 1
        return inner, torch.cat(found)

    with arithmetic.ieee(DEVICE), arithmetic.repeatable(DEVICE):
        inner, ours = gradients(recorded=True)
        _, plain = gradients(recorded=False)
    step = inner.step.steps[0]
    works = [own.work for f in (step._gradient, step._product) for own in f._recorded.values()]
    assert len(works) == 5  # gradient and product for two sizes of batch, the first step for one
    assert all((work.graph is not None) == ON_CARD for work in works)
    torch.testing.assert_close(ours, plain, rtol=0, atol=0.02 * float(plain.abs().max()))
