"""Images on a device: one copy of what is used, the rest streamed; the same numbers either way."""

import threading
from dataclasses import replace

import numpy as np
import pytest
import torch

from taskdiscovery.config import ResolvedLearner, TrainingRecipe
from taskdiscovery.networks import Normalization, build_learner, placing, streaming
from taskdiscovery.networks.placing import Placed, on_host, place
from taskdiscovery.networks.prediction import predict
from taskdiscovery.runtime.progress import Silent
from taskdiscovery.training import Seeds, Training, forget_steps, steps
from taskdiscovery.training.together import MOST, alike, room, run_together

CPU = torch.device("cpu")


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (200, 8, 8, 3), dtype=np.uint8)


@pytest.fixture(autouse=True)
def _nothing_recorded():
    yield
    forget_steps()


def training(seed=0, **recipe):
    rows = np.random.default_rng(seed).permutation(200)[:150]
    given = {"epochs": 2, "batch": 32, "augment": ("flip", "crop"), **recipe}
    return Training(
        learner=ResolvedLearner("convnet?width=0.25", TrainingRecipe(**given)),
        shape=(8, 8, 3),
        normalization=Normalization((127.0,) * 3, (64.0,) * 3),
        outputs=2,
        rows=rows,
        targets=np.random.default_rng(seed).integers(0, 2, 150),
        measured=np.setdiff1d(np.arange(200), rows),
        seeds=Seeds(seed, seed + 1),
    )


@pytest.mark.parametrize("schedule", ["constant", "onecycle"])
@pytest.mark.parametrize("limit", [10**9, 0], ids=["resident", "streamed"])
def test_trainings_are_the_same_wherever_images_lie(images, schedule, limit):
    placed = Placed(images, "cpu", limit=limit)
    for seed in (0, 1):  # the second goes on with the steps of the first
        own = training(seed, schedule=schedule)
        expected = own.run(torch.from_numpy(images))
        assert torch.equal(own.run(placed), expected)
    assert len(steps._RECORDED) == 1


def test_what_another_training_left_is_not_seen(images):
    """Weights, momenta and statistics of the training before must not reach the next."""
    placed = Placed(images, "cpu")
    for optimizer in ("adam", "sgd"):
        first = training(3, optimizer=optimizer).run(placed)
        training(4, optimizer=optimizer).run(placed)
        assert torch.equal(training(3, optimizer=optimizer).run(placed), first)


def test_predictions_are_the_same_wherever_images_lie(images):
    learner = ResolvedLearner("mlp?width=0.1", TrainingRecipe())
    model = build_learner(learner, (8, 8, 3), 3, Normalization((127.0,) * 3, (64.0,) * 3), seed=0)
    rows = np.random.default_rng(1).permutation(200)[:130]
    expected = predict(model, torch.from_numpy(images), rows, "float32", batch=32)
    for limit in (0, 10**9):
        placed = Placed(images, "cpu", limit=limit)
        placed.hold(rows[:40])  # some of them, maybe
        assert torch.equal(predict(model, placed, rows, "float32", batch=32), expected)


def test_only_rows_that_are_used_lie_on_the_device(images):
    placed = Placed(images, "cpu", limit=100 * images[0].nbytes)
    assert placed.hold(np.array([5, 3, 3, 8]))
    assert len(placed._store.rows) == 3
    assert placed.hold(np.array([8, 9]))
    assert len(placed._store.rows) == 4
    assert torch.equal(placed.take(torch.tensor([9, 3])), torch.from_numpy(images[[9, 3]]))
    before = placed.identity
    assert not placed.hold(np.arange(150))
    assert placed.identity == before
    assert placed.hold(np.array([3, 9]))


def test_jobs_that_follow_find_what_lies_there(images):
    first = Placed(images, "cpu")
    first.hold(np.arange(50))
    kept = first._store.rows
    del first
    second = Placed(images, "cpu")
    assert second.hold(np.arange(50))
    assert second._store.rows is kept


def test_an_array_that_was_written_to_is_other_data(images):
    first = Placed(images, "cpu")
    first.hold(np.arange(200))
    del first
    images[:] = 255 - images
    second = Placed(images, "cpu")
    assert second.hold(np.arange(50))
    assert torch.equal(second.take(torch.arange(50)), torch.from_numpy(images[:50]))


def test_what_nobody_looks_at_makes_room_and_ends_with_its_array(images, monkeypatch):
    other = images.copy()
    Placed(other, "cpu").hold(np.arange(200))
    held = placing._STORES[other]["cpu"]
    free = iter([images.nbytes, 4 * images.nbytes])
    monkeypatch.setattr(placing, "available_memory", lambda _: next(free))
    assert Placed(images, "cpu").hold(np.arange(200))
    assert held.rows is None
    count = len(placing._STORES)
    del other
    assert len(placing._STORES) == count - 1


def test_a_view_is_known_by_its_owner(images):
    table = np.random.default_rng(0).normal(size=(50, 7)).astype(np.float32)
    first = Placed(table[:, None, None, :], "cpu", owner=table)
    first.hold(np.arange(50))
    again = Placed(table[:, None, None, :], "cpu", owner=table)
    assert again._store is first._store
    assert again.dtype == torch.float32
    assert tuple(again.shape) == (50, 1, 1, 7)


def test_the_cpu_shares_images_without_a_copy(images):
    shared = place(images, "cpu")
    assert on_host(shared).data_ptr() == images.ctypes.data


def test_batches_come_ahead_and_in_order(images, tmp_path):
    np.save(tmp_path / "images.npy", images)
    mapped = torch.from_numpy(np.load(tmp_path / "images.npy", mmap_mode="c"))
    rows = [np.arange(i, i + 7) for i in range(0, 140, 7)]
    for chosen, block in zip(rows, streaming.prefetched(mapped, rows, CPU), strict=True):
        assert np.array_equal(block.numpy(), images[chosen])
    assert list(streaming.prefetched(mapped, [], CPU)) == []


def test_a_reader_that_stops_ends_the_thread(images):
    ahead = streaming.prefetched(torch.from_numpy(images), [np.arange(3)] * 20, CPU)
    next(ahead)
    ahead.close()
    assert "images ahead" not in [thread.name for thread in threading.enumerate()]


def test_what_goes_wrong_ahead_is_raised_where_it_is_read(images):
    rows = [np.arange(3), np.array([1000])]
    ahead = streaming.prefetched(torch.from_numpy(images), rows, CPU)
    next(ahead)
    with pytest.raises(IndexError):
        next(ahead)


@pytest.mark.parametrize("schedule", ["constant", "onecycle"])
def test_trainings_in_step_with_each_other_do_what_they_do_alone(images, schedule):
    several = [training(seed, schedule=schedule, recalibrate=True) for seed in range(3)]
    assert all(alike(several[0], other) for other in several)
    found = run_together(several, torch.from_numpy(images), Silent())
    for own, outputs in zip(several, found, strict=True):
        assert torch.equal(outputs, own.run(torch.from_numpy(images)))


def test_one_that_diverges_is_left_to_be_done_alone(images):
    several = [training(0, optimizer="sgd", learning_rate=rate) for rate in (1e-2, 1e30)]
    assert not alike(*several)
    diverging = [training(seed, optimizer="sgd", learning_rate=1e30) for seed in (0, 1)]
    assert run_together(diverging, torch.from_numpy(images), Silent()) is None


def test_small_trainings_are_done_at_once_and_large_ones_alone():
    small = training(batch=512)
    assert room(small) == MOST
    large = replace(small, learner=replace(small.learner, network="resnet18"), shape=(32, 32, 3))
    assert room(large) == 1
    assert room(replace(small, monitored=np.arange(5))) == 1


def test_networks_that_draw_from_the_common_generator_are_trained_alone(monkeypatch):
    build = Training.build

    def with_dropout(self):
        model = build(self)
        model.network.add_module("dropout", torch.nn.Dropout(0.1))
        return model

    monkeypatch.setattr(Training, "build", with_dropout)
    assert room(training(batch=512)) == 1
