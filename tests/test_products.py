"""Products by torch are those of NumPy, wherever the table lies."""

import numpy as np
import pytest
import torch

import taskdiscovery as td
from taskdiscovery.config import ScoreConfig
from taskdiscovery.discovery import blocks as blocks_of
from taskdiscovery.discovery import tables
from taskdiscovery.discovery.blocks import Blocks
from taskdiscovery.encoders import linear
from taskdiscovery.executors import machine
from taskdiscovery.features import products, products_torch
from taskdiscovery.features.products import CPU
from taskdiscovery.features.products_torch import OnDevice, Streamed, products_on
from taskdiscovery.features.reduction import Reduction
from taskdiscovery.runtime.ahead import prepared
from taskdiscovery.training import convex
from taskdiscovery.training.convex import Fit, fitted_outputs

N, P = 700, 20
GIVEN = {"threads": 1, "callbacks": ()}
#: the table on the device, and block by block from the host.
PLACES = {"resident": None, "streamed": 0}


@pytest.fixture(params=PLACES, scope="module")
def on_device(request):
    return OnDevice("cpu", PLACES[request.param])


@pytest.fixture(autouse=True)
def several_blocks(monkeypatch):
    for module, name in ((products, "BLOCK"), (products_torch, "_ROWS"), (linear, "_BLOCK")):
        monkeypatch.setattr(module, name, 128)
    monkeypatch.setattr(blocks_of.subspace, "_BLOCK", 37)


def planted(dtype=np.float32):
    """Features that fall in two along three directions."""
    rng = np.random.default_rng(0)
    sides = rng.random((N, 3)) < [0.5, 0.5, 0.3]
    basis = np.linalg.qr(rng.normal(size=(P, 3)))[0]
    features = rng.normal(size=(N, P)) + (6 * (sides - 0.5)) @ basis.T
    labels = (sides[:, 0] ^ (rng.random(N) < 0.1)).astype(np.int64)
    return features.astype(dtype), labels


def near(ours, theirs, tolerance=1e-5):
    assert ours.dtype == theirs.dtype
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= tolerance * np.abs(theirs).max()


@pytest.fixture(scope="module")
def data():
    features, labels = planted()
    images = td.load(f"shapes?n={N}&size=8", callbacks=()).images
    return td.load(td.load(images, labels=labels, callbacks=()), features=features)


# --- closed forms, piece by piece ---


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("kind", ["array", "mapped"])
def test_the_reduction(dtype, kind, on_device, tmp_path):
    features, labels = planted(dtype)
    rows = np.random.default_rng(1).permutation(N)[:500]
    given = features
    if kind == "mapped":
        np.save(tmp_path / "x.npy", features)
        given = np.load(tmp_path / "x.npy", mmap_mode="r")
    ours, theirs = (
        Reduction.measure(x, rows, 8, where) for x, where in ((given, on_device), (features, CPU))
    )
    near(ours.mean_P, theirs.mean_P)
    near(ours.matrix_PR, theirs.matrix_PR, 1e-4)
    near(theirs.apply(given, rows, on_device), theirs.apply(features, rows))
    excluded = labels[rows, None].astype(float)
    free = theirs.free_of(given, rows, excluded, None, on_device)
    near(free.matrix_PR, theirs.free_of(features, rows, excluded).matrix_PR, 1e-4)


def test_ridges_on_blocks(on_device):
    rng = np.random.default_rng(2)
    x = rng.normal(size=(413, 12)).astype(np.float32)
    t = rng.normal(size=(413, 3)).astype(np.float32)
    ours, theirs = Blocks(x, 10, 0.3, on_device), Blocks(x, 10, 0.3)
    assert isinstance(ours._held, Streamed) == (on_device._room == 0)
    for pair in [
        (ours, theirs),
        (ours.halves()[1], theirs.halves()[1]),
        (ours.part([0, 4, 7]), theirs.part([0, 4, 7])),
    ]:
        own = t[: len(pair[0].table_NR)]
        for a, b in zip(pair[0].grams, pair[1].grams, strict=True):
            near(a, b)
        near(*(blocks.held_out(own, np.random.default_rng(5), 3) for blocks in pair))
        near(*(blocks.fit(own) for blocks in pair))
        near(*(blocks.predict(blocks.fit(own)) for blocks in pair))


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("learner", ["ridge", "logistic"])
def test_learners(learner, grouped, on_device, monkeypatch):
    features, labels = planted()
    rows, held = np.arange(0, N, 2), np.arange(1, N, 2)
    groups = np.arange(len(rows)) // 7 if grouped else None
    outputs = []
    for where in (on_device, CPU):
        table = torch.from_numpy(features.reshape(N, 1, 1, P))
        monkeypatch.setattr(convex, "products_on", lambda device, where=where: where)
        fit = Fit(rows, labels[rows], 2, groups)
        outputs.append(fitted_outputs(learner, table, fit, held, "cuda").numpy())
    near(*outputs, tolerance=1e-3 if learner == "logistic" else 1e-5)
    assert (outputs[0].argmax(axis=1) == outputs[1].argmax(axis=1)).all()


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_an_encoder_labels_the_same(dtype, monkeypatch):
    features, _ = planted(dtype)
    rng = np.random.default_rng(3)
    encoder = td.FeatureEncoder(
        names=("a", "b"), weights_PD=rng.normal(size=(P, 2)), offset_D=np.zeros(2)
    )
    features[5] = 0  # on the border of both
    alone = encoder.transform(features)
    monkeypatch.setattr(products_torch.torch, "device", lambda name: torch.empty(0).device)
    there = encoder.transform(features, "cuda")
    near(there, alone, 1e-7)
    assert (encoder.classify(there) == encoder.classify(alone)).all()
    features[9, 3] = np.inf
    with pytest.raises(td.DataError, match="missing or infinite"):
        encoder.transform(features, "cuda")


# --- searches ---


@pytest.mark.parametrize(
    "options",
    [
        {"method": "power", "learner": "ridge"},
        {"method": "power", "learner": "ridge", "exclude": "label"},
        {"method": td.Pursuit(starts=60, rounds=6, sample=400)},
        {"method": td.Pursuit(starts=60, rounds=4, sample=400), "classes": 3},
    ],
    ids=["power", "excluding", "pursuit", "three classes"],
)
def test_searches_find_the_same_tasks(data, options, on_device, monkeypatch):
    theirs = td.discover(data, tasks=2, **options, **GIVEN)
    monkeypatch.setattr(tables, "products_on", lambda device: on_device)
    ours = td.discover(data, tasks=2, **options, **GIVEN)
    assert (ours.tasks.labels_ND == theirs.tasks.labels_ND).mean() > 0.999
    near(ours.tasks.coordinates_NP, theirs.tasks.coordinates_NP, 1e-3)


# --- where ---


@pytest.mark.parametrize(
    ("asked", "there", "large", "device"),
    [
        ("auto", True, N * P, "cuda"),
        ("auto", True, N * P + 1, "cpu"),
        ("auto", False, N * P, "cpu"),
        ("cuda", True, N * P + 1, "cuda"),
        ("cpu", True, N * P, "cpu"),
    ],
)
def test_a_table_goes_to_a_gpu_where_it_is_large_or_one_is_asked_for(
    data, asked, there, large, device, monkeypatch
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    monkeypatch.setattr(machine, "LARGE_TABLE", large)
    config = ScoreConfig(learner="ridge", features="data", device=asked, executor="processes")
    found = machine.resolve_hardware(config, data)
    assert (found.device, found.precision, found.executor) == (device, "float32", "serial")


def test_products_are_numpys_on_the_cpu_and_torchs_elsewhere():
    assert products_on("cpu") is CPU
    assert products_on("cuda:1").device == torch.device("cuda:1")


def test_a_table_lies_on_the_device_where_it_fits(monkeypatch):
    table = np.ones((50, 4), dtype=np.float32)
    for free, held in ((1600, torch.Tensor), (1599, Streamed)):
        monkeypatch.setattr(products_torch, "available_memory", lambda device, free=free: free)
        assert isinstance(OnDevice("cpu").hold(table), held)


def test_errors_ahead_come_at_their_turn_and_nothing_runs_on():
    asked = []

    def prepare(item):
        asked.append(item)
        if item == 3:
            raise ValueError("three")
        return 10 * item

    for ahead in (0, 2):
        found = prepared(prepare, range(100), ahead)
        assert [next(found) for _ in range(3)] == [0, 10, 20]
        with pytest.raises(ValueError, match="three"):
            next(found)
    assert max(asked) <= 3 + 2 + 1
