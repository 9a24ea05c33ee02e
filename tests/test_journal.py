"""Checkpoints, journal and signals: what is promised of a job that is stopped."""

import contextlib
import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from taskdiscovery import training
from taskdiscovery.config import ResolvedLearner, TrainingRecipe, learner_of
from taskdiscovery.errors import NumericalError, ResourceError, RunDirError
from taskdiscovery.networks import Normalization, build_learner
from taskdiscovery.runtime import interrupts, ranks
from taskdiscovery.store import Checkpoints, journal, manifest
from taskdiscovery.store.journal import Journal, JournalWatch
from taskdiscovery.store.place import Place
from taskdiscovery.training import Examples, Hooks, cross_entropy, train
from taskdiscovery.types import Record

STATE = {"note": "ünï", "number": 0.1 + 0.2, "none": None}
ARRAYS = {"a": np.arange(6.0).reshape(2, 3), "empty": np.zeros((0, 2), dtype=np.uint8)}


def saved(tmp_path, count=1):
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    for i in range(count):
        checkpoints.save({**STATE, "i": i}, {**ARRAYS, "i": np.array(i)})
    return checkpoints


def test_what_is_saved_is_loaded(tmp_path):
    state, arrays = saved(tmp_path).load()
    assert state == {**STATE, "i": 0}
    assert (arrays["a"] == ARRAYS["a"]).all()
    assert arrays["empty"].shape == (0, 2)


def test_two_checkpoints_are_kept(tmp_path):
    checkpoints = saved(tmp_path, 5)
    assert checkpoints.numbers() == [4, 5]
    assert sorted(os.listdir(checkpoints.folder)) == ["000004", "000005"]


def damage(path, how):
    if how == "flipped":
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(bytes(content))
    elif how == "truncated":
        path.write_bytes(path.read_bytes()[:-1])
    elif how == "missing":
        path.unlink()


@pytest.mark.parametrize("file", ["state.json", "arrays.safetensors", "manifest.json"])
@pytest.mark.parametrize("how", ["flipped", "truncated", "missing"])
def test_fault_16_a_damaged_checkpoint_is_found_and_the_one_before_is_used(
    tmp_path, caplog, file, how
):
    checkpoints = saved(tmp_path, 2)
    damage(checkpoints.folder / "000002" / file, how)
    if file == "manifest.json" and how in ("flipped", "truncated"):
        # A flipped bit in white space of the manifest is no damage; make it one.
        (checkpoints.folder / "000002" / file).write_text("{")
    state, arrays = checkpoints.load()
    assert state["i"] == arrays["i"] == 0
    assert "000002 is damaged" in caplog.text
    damage(checkpoints.folder / "000001" / "state.json", "missing")
    with pytest.raises(RunDirError, match="all 2 checkpoints are damaged"):
        checkpoints.load()


def test_fault_44_a_hostile_checkpoint_with_a_manifest_that_fits(tmp_path):
    checkpoints = saved(tmp_path, 2)
    place = checkpoints.folder / "000002"
    (place / "arrays.safetensors").write_bytes(b"\xff" * 64)
    manifest.write(Place(place), ["arrays.safetensors"])
    assert checkpoints.load()[0]["i"] == 0
    for number, content in ((1, "[]"), (2, '{"header": 3}')):
        (checkpoints.folder / f"00000{number}" / "state.json").write_text(content)
        manifest.write(Place(checkpoints.folder / f"00000{number}"), ["state.json"])
    with pytest.raises(RunDirError):
        Journal(checkpoints).load()


def test_fault_2_and_3_a_write_that_stops_anywhere_leaves_the_earlier_ones(tmp_path, monkeypatch):
    """Stop the save at each of its calls to the system in turn, as an exception."""
    calls = ("fsync", "replace", "rename", "mkdir", "open")
    stopped = 0
    for stop_at in range(60):
        folder = tmp_path / str(stop_at)
        folder.mkdir()
        checkpoints = saved(folder, 3)
        left = stop_at

        def guarded(real):
            def call(*arguments, **options):
                nonlocal left
                left -= 1
                if left == -1:
                    raise OSError(28, "No space left on device")
                return real(*arguments, **options)

            return call

        with monkeypatch.context() as patch:
            for name in calls:
                patch.setattr(os, name, guarded(getattr(os, name)))
            with contextlib.suppress(ResourceError):
                checkpoints.save({"i": 3}, {"i": np.array(3)})
        stopped += left < 0 and 4 not in checkpoints.numbers()
        assert not list(checkpoints.folder.glob(".building-0*"))
        whole = [n for n in checkpoints.numbers() if checkpoints.problem(n) is None]
        assert len(whole) >= 2
        assert whole == checkpoints.numbers()
        if left >= 0:
            break
    assert stopped >= 8
    assert checkpoints.load()[0]["i"] == 3


def test_the_order_of_one_commit(tmp_path, monkeypatch):
    """Each file: written, synced, renamed, its directory synced; the manifest last of all."""
    seen = []
    real = {name: getattr(os, name) for name in ("fsync", "replace", "rename")}

    def fsync(descriptor):
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        size = path.stat().st_size
        seen.append(("sync directory" if path.is_dir() else "sync", size > 0))
        real["fsync"](descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    for name in ("replace", "rename"):
        monkeypatch.setattr(
            os,
            name,
            lambda a, b, name=name, **within: (
                seen.append(("rename", Path(b).name)),
                real[name](a, b, **within),
            )[1],
        )
    checkpoints = saved(tmp_path)
    assert checkpoints.load() is not None
    names = [what for what, _ in seen]
    one_file = ["sync", "rename", "sync directory"]
    made = ["sync directory"]  # the parent, once the directory of checkpoints is there
    assert names == made + one_file * 3 + ["rename", "sync directory"]
    renamed = [name for what, name in seen if what == "rename"]
    assert renamed == ["state.json", "arrays.safetensors", "manifest.json", "000001"]
    assert all(written for what, written in seen if what == "sync")


# --- the journal -----------------------------------------------------------------------------


def test_finished_work_is_not_done_again(tmp_path):
    done = []

    def job(book):
        total = 0
        for i in range(4):

            def work(watch, i=i):
                if i == 2 and not done.count(2):
                    done.append(2)
                    raise KeyboardInterrupt
                done.append(i)
                return Record(values={"i": i}, arrays={"square": np.array(i * i)})

            total += int(book.do(f"work {i}", work).arrays["square"])
        return total

    checkpoints = Checkpoints(tmp_path / "c")
    with pytest.raises(KeyboardInterrupt):
        job(Journal(checkpoints))
    book = Journal(checkpoints)
    book.load()
    assert job(book) == 14
    assert done == [0, 1, 2, 2, 3]


def piece(i, size=64):
    return Record(values={"i": i}, arrays={"classes": np.full(size, i, dtype=np.int64)})


def loaded(checkpoints):
    book = Journal(checkpoints)
    book.load()
    return book


def test_finished_work_is_written_a_few_times_and_not_with_every_piece(tmp_path, monkeypatch):
    """All of it anew with each piece would be two hundred times as much, and growing."""
    written, pieces = [0], 400
    real = Place.atomic

    @contextlib.contextmanager
    def atomic(self, name):
        with real(self, name) as stream:
            yield stream
            written[0] += stream.tell()

    monkeypatch.setattr(Place, "atomic", atomic)
    checkpoints = Checkpoints(tmp_path / "c")
    book = Journal(checkpoints)
    for i in range(pieces):
        book.put(f"piece {i}", piece(i, 1000))
    once = pieces * 8000
    assert written[0] < 6 * once
    files = list((tmp_path / "c").glob("finished-*"))
    assert len(files) < 4 * 8
    assert sum(file.stat().st_size for file in files) < 2.5 * once
    book = loaded(checkpoints)
    for i in range(pieces):
        record = book.get(f"piece {i}")
        assert record.values == {"i": i}
        assert (record.arrays["classes"] == i).all()
        assert len(record.arrays["classes"]) == 1000


def test_what_is_forgotten_stays_so_and_leaves_no_files(tmp_path):
    checkpoints = Checkpoints(tmp_path / "c")
    book = Journal(checkpoints)
    for round in range(30):
        for i in range(3):
            book.put(f"round {round} fold {i}", piece(i))
        book.put(f"kept {round}", piece(round), forget=f"round {round} ")
        found = loaded(checkpoints)
        assert all(found.has(f"kept {k}") for k in range(round + 1))
        assert not any(found.has(f"round {k} fold {i}") for k in range(round + 1) for i in range(3))
    size = sum(file.stat().st_size for file in (tmp_path / "c").glob("finished-*"))
    assert size < 3 * 30 * 1024


def test_a_segment_that_is_damaged_costs_its_work_alone(tmp_path, caplog):
    checkpoints = Checkpoints(tmp_path / "c")
    book = Journal(checkpoints)
    for i in range(10):
        book.put(f"piece {i}", piece(i))
    merged = min((tmp_path / "c").glob("finished-*"), key=lambda file: -file.stat().st_size)
    content = bytearray(merged.read_bytes())
    content[-1] ^= 1
    merged.write_bytes(bytes(content))
    book = loaded(checkpoints)
    assert f"{merged.name} is damaged" in caplog.text
    assert [i for i in range(10) if book.has(f"piece {i}")] == [8, 9]
    for i in range(8):
        book.put(f"piece {i}", piece(i))
    assert all(loaded(checkpoints).has(f"piece {i}") for i in range(10))


@pytest.mark.parametrize("content", [b"", b"\xff" * 100, b"\2" + b"\0" * 7 + b"{}"])
def test_a_hostile_segment_is_left_out(tmp_path, content):
    checkpoints = Checkpoints(tmp_path / "c")
    book = Journal(checkpoints)
    book.put("a", piece(1))
    file = next((tmp_path / "c").glob("finished-*"))
    file.write_bytes(content)
    state, _ = checkpoints.load()
    size, digest = manifest.measured(content)
    state["segments"][0] |= {"bytes": size, "sha256": digest}
    checkpoints.save(state, {})
    assert not loaded(checkpoints).has("a")
    for entry in ({"name": "../x"}, {"name": 3}, {"more": 1}):
        checkpoints.save({**state, "segments": [{**state["segments"][0], **entry}]}, {})
        with contextlib.suppress(RunDirError):
            assert not loaded(checkpoints).has("a")


def test_a_job_that_dies_between_a_segment_and_its_checkpoint_loses_nothing(tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path / "c")
    book = Journal(checkpoints)
    for i in range(7):
        book.put(f"piece {i}", piece(i))
    with monkeypatch.context() as patch:  # the eighth is merged with the seven before
        patch.setattr(Checkpoints, "save", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            book.put("piece 7", piece(7))
    book = loaded(checkpoints)
    assert [i for i in range(8) if book.has(f"piece {i}")] == list(range(7))
    for i in range(7, 12):
        book.put(f"piece {i}", piece(i))
    assert all(loaded(checkpoints).has(f"piece {i}") for i in range(12))
    needed = {entry["name"] for entry in checkpoints.load()[0]["segments"]}
    there = {file.name for file in (tmp_path / "c").glob("finished-*")}
    assert needed <= there
    assert len(there) <= len(needed) + 8
    checkpoints.remove_all()
    assert not (tmp_path / "c").exists()


def test_a_journal_without_a_place_remembers_nothing():
    book = Journal()
    book.load()
    for expected in (1, 2):
        assert book.do("u", lambda watch, n=expected: Record(values={"n": n})).values["n"] == (
            expected
        )
    assert not book.has("u")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"data": "other"}, "data has changed"),
        ({"config": {"seed": 1}}, "seed: 0 to 1"),
        ({"command": "score"}, "other options"),
    ],
)
def test_fault_47_and_56_another_job_is_refused(tmp_path, change, words):
    header = {"command": "discover", "config": {"seed": 0}, "data": "abc"}
    checkpoints = Checkpoints(tmp_path / "c")
    Journal(checkpoints, header=header).put("u", Record())
    Journal(checkpoints, header=header).load()
    with pytest.raises(RunDirError, match=words):
        Journal(checkpoints, header={**header, **change}).load()


# --- training --------------------------------------------------------------------------------


class Noisy(nn.Module):
    """Draws from every global random state there is."""

    def __init__(self, image_shape, outputs):
        super().__init__()
        channels = image_shape[2]
        self.conv = nn.Conv2d(channels, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.3)
        self.last = nn.Linear(4, outputs)

    def forward(self, x):
        import random

        if self.training:
            x = x + 0.1 * random.random() + 0.1 * float(np.random.normal())
        x = self.drop(torch.relu(self.norm(self.conv(x)))).mean(dim=(2, 3))
        return self.last(x)


RECIPES = {
    "adam": TrainingRecipe(epochs=3, batch=16),
    "onecycle": TrainingRecipe(epochs=3, batch=16, optimizer="adamw", schedule="onecycle"),
    "momentum": TrainingRecipe(epochs=3, batch=16, optimizer="sgd", learning_rate=0.05),
    "recalibrated": TrainingRecipe(epochs=2, batch=16, recalibrate=True),
}


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


@pytest.mark.parametrize(
    ("spec", "recipe"),
    [
        ("convnet?width=0.1&augment=flip,crop,grey", "adam"),
        ("convnet?width=0.1&augment=crop", "onecycle"),
        ("mlp?width=0.05", "momentum"),
        ("resnet18?width=0.05", "recalibrated"),
        ("vit?width=0.05&depth=1&patch=4", "onecycle"),
        ("test_journal:Noisy", "adam"),
    ],
)
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_stopped_and_resumed_equals_never_stopped(tmp_path, monkeypatch, spec, recipe, precision):
    """Stopped at every third step; the weights are compared bit for bit."""
    monkeypatch.syspath_prepend(Path(__file__).parent)
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.integers(0, 256, (50, 8, 8, 3), dtype=np.uint8))
    targets = torch.from_numpy(rng.integers(0, 3, 50))
    learner = learner_of(spec, RECIPES[recipe], device="cpu", precision=precision)
    normalization = Normalization((120.0,) * 3, (60.0,) * 3)

    def run(watch):
        model = build_learner(learner, (8, 8, 3), 3, normalization, seed=1)
        torch.manual_seed(int(rng.integers(1000)))  # what the surroundings drew must not matter
        examples = Examples(images, np.arange(50), targets, cross_entropy)
        return train(learner, model, examples, 5, Hooks(watch=watch))

    expected = training.weights(run(training.Unwatched()))
    steps = learner.recipe.epochs * 3
    for stop in range(1, steps + 1, 3):
        checkpoints = Checkpoints(tmp_path / str(stop))
        with pytest.raises(KeyboardInterrupt):
            run(StopsAfter(Journal(checkpoints), stop))
        book = Journal(checkpoints)
        book.load()
        found = training.weights(run(JournalWatch(book, "u")))
        for name, array in expected.items():
            assert (found[name] == array).all(), f"{name} differs after a stop at step {stop}"


def test_a_training_leaves_the_global_random_states_alone():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    learner = ResolvedLearner("linear", TrainingRecipe(epochs=1))
    images = torch.zeros(8, 2, 2, 1, dtype=torch.uint8)
    model = build_learner(learner, (2, 2, 1), 2, Normalization((0.0,), (1.0,)), seed=0)
    targets = torch.zeros(8, dtype=int)
    train(learner, model, Examples(images, np.arange(8), targets, cross_entropy), 0)
    assert (torch.get_rng_state() == before).all()


def test_fault_52_weights_that_are_not_finite_are_never_saved(tmp_path):
    recipe = TrainingRecipe(epochs=2, batch=4, learning_rate=1e38, optimizer="sgd")
    learner = ResolvedLearner("linear", recipe)
    images = torch.randint(0, 255, (8, 2, 2, 1), dtype=torch.uint8)
    model = build_learner(learner, (2, 2, 1), 2, Normalization((0.0,), (1e-3,)), seed=0)
    checkpoints = Checkpoints(tmp_path / "c")
    watch = JournalWatch(Journal(checkpoints, every=0), "u")
    targets = torch.tensor([0, 1] * 4)
    examples = Examples(images, np.arange(8), targets, cross_entropy)
    with pytest.raises(NumericalError, match="diverged"):
        train(learner, model, examples, 0, Hooks(watch=watch))
    for number in checkpoints.numbers():
        _, arrays = checkpoints.read(number)
        assert all(np.isfinite(a).all() for n, a in arrays.items() if n.startswith("\x1fmodel"))


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_fault_7_and_8_out_of_memory_names_a_batch_to_try(monkeypatch, error):
    def fails(*_, **__):
        raise error

    monkeypatch.setattr(training.steps, "find_gradients", fails)
    learner = ResolvedLearner("linear", TrainingRecipe(batch=512))
    model = build_learner(learner, (2, 2, 1), 2, Normalization((0.0,), (1.0,)), seed=0)
    images = torch.zeros(8, 2, 2, 1, dtype=torch.uint8)
    with pytest.raises(ResourceError, match="memory ran out") as caught:
        train(learner, model, Examples(images, np.arange(8), images, cross_entropy), 0)
    assert "--batch 256" in caught.value.hint


# --- signals ---------------------------------------------------------------------------------


@pytest.mark.parametrize("number", interrupts.SIGNALS, ids=lambda n: n.name)
def test_fault_5_6_and_68_a_signal_waits_until_the_step_is_done_and_saved(tmp_path, number):
    if signal.getsignal(number) == signal.SIG_IGN:
        pytest.skip(f"{number.name} is ignored here, as under nohup")
    checkpoints = Checkpoints(tmp_path / "c")
    watch = JournalWatch(Journal(checkpoints, every=1e9), "u")
    steps = []
    with (  # noqa: PT012
        pytest.raises(interrupts.Stopped) as caught,
        interrupts.handled(),
        interrupts.deferred(),
    ):
        for i in range(5):
            if i == 2:
                os.kill(os.getpid(), number)
            steps.append(i)
            watch.boundary(lambda i=i: Record(values={"i": i}))
    assert caught.value.number == number
    assert interrupts.exit_code(caught.value) == 128 + number
    assert number.name in interrupts.reason(caught.value)
    assert steps == [0, 1, 2]
    state, _ = checkpoints.load()
    assert state["under_way"] == ["u", {"i": 2}]
    assert json.dumps(state)


def test_a_signal_outside_of_a_training_comes_at_once():
    with pytest.raises(KeyboardInterrupt), interrupts.handled():  # noqa: PT012
        os.kill(os.getpid(), signal.SIGINT)
        pytest.fail("it went on")


def test_the_clock_plays_no_part(tmp_path, monkeypatch):
    """Fault 15: ten years forward or back change nothing."""
    checkpoints = saved(tmp_path, 2)
    for path in checkpoints.folder.rglob("*"):
        os.utime(path, (0, 0))
    monkeypatch.setattr("time.time", lambda: 4e9)
    assert checkpoints.load()[0]["i"] == 1
    book = Journal(checkpoints, every=1e9, header={})
    assert replace(Record(), values={"a": 1}).values["a"] == 1
    watch = JournalWatch(book, "u")
    watch.boundary(lambda: pytest.fail("saved too early"))
    assert journal.time.time() == 4e9


def test_a_signal_that_one_rank_alone_has_seen_waits_for_the_next_boundary(tmp_path, monkeypatch):
    """A rank that left between two questions would be lost to the others (exit code 7)."""
    book = Journal(Checkpoints(tmp_path), every=0.0)
    watch, asked = JournalWatch(book, "u"), []

    def signal_of_any(number):
        asked.append(number)
        if len(asked) == 1:  # it comes just after the ranks have asked each other
            os.kill(os.getpid(), signal.SIGTERM)
        return number

    monkeypatch.setattr(ranks, "size", lambda: 2)
    monkeypatch.setattr(ranks, "signal_of_any", signal_of_any)
    with pytest.raises(interrupts.Stopped), interrupts.handled(), interrupts.deferred():  # noqa: PT012
        watch.boundary(lambda: Record(values={"step": 1}))
        assert asked == [0]
        watch.boundary(lambda: Record(values={"step": 2}))
    assert asked == [0, signal.SIGTERM]
    assert len(Checkpoints(tmp_path).numbers()) == 2
