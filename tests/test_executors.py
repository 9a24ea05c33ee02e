"""Trainings in several processes: the same rows, whoever does them and whatever is killed."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

import taskdiscovery as td
from taskdiscovery.config import Load, ScoreConfig, TrainingRecipe, learner_of
from taskdiscovery.errors import ConfigError
from taskdiscovery.executors import machine, resolve_work
from taskdiscovery.executors.processes import Mapped
from taskdiscovery.networks import Normalization, build_learner, flops

DATA = "shapes?n=600&size=12"
NET = ["--learner", "convnet?width=0.1", "--threads", "1", "--batch", "32", "--quiet"]
SCORE = ["score", DATA, *NET, "--preset", "smoke", "--epochs", "6", "--target", "label:disc,cross"]
TWO = ["--executor", "processes", "--jobs", "2"]


def start(*arguments, cwd=None):
    return subprocess.Popen(
        [sys.executable, "-m", "taskdiscovery", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=cwd,
    )


def children(process):
    own = f"/proc/{process.pid}/task"
    found = []
    for task in os.listdir(own):
        with open(f"{own}/{task}/children") as file:
            found += [int(n) for n in file.read().split()]
    workers = []
    for number in found:
        try:
            with open(f"/proc/{number}/cmdline") as file:
                if "popen_loky" in file.read():
                    workers.append(number)
        except FileNotFoundError:
            pass
    return workers


@pytest.fixture(scope="module")
def serial(tmp_path_factory):
    place = tmp_path_factory.mktemp("serial") / "run"
    process = start(*SCORE, "--out", place)
    _, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, b"")
    return place


def same(one, other):
    for file in ("scores.parquet", "per_image.parquet"):
        name = f"scores/label-disc-cross/{file}"
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


def test_rows_of_two_processes_are_those_of_one(serial, tmp_path):
    process = start(*SCORE, *TWO, "--out", tmp_path / "run")
    _, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, b"")
    same(serial, tmp_path / "run")


@pytest.mark.slow
def test_a_killed_process_and_a_killed_driver_lose_nothing(serial, tmp_path):
    place = tmp_path / "run"
    process = start(*SCORE, *TWO, "--out", place)
    deadline = time.monotonic() + 60
    while not (found := children(process)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(found[0], signal.SIGKILL)  # one of two: both trainings are started again, one by one
    metrics = place / "metrics.jsonl"
    while process.poll() is None and not (metrics.exists() and "score" in metrics.read_text()):
        time.sleep(0.05)
    workers = children(process)
    process.kill()
    process.communicate(timeout=30)
    deadline = time.monotonic() + 30
    while any(alive(n) for n in workers):  # they end when they see that nobody waits
        assert time.monotonic() < deadline
        time.sleep(0.1)
    done = start("resume", place, "--quiet")
    _, err = done.communicate(timeout=120)
    assert (done.returncode, err) == (0, b"")
    same(serial, place)


def alive(number):
    try:
        with open(f"/proc/{number}/stat") as file:
            return file.read().split(")")[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.slow
def test_a_training_that_ends_its_process_is_set_aside(tmp_path):
    (tmp_path / "poison.py").write_text(
        textwrap.dedent(
            """
            import os, torch
            def net(image_shape, outputs):
                if str(os.getpid()) != os.environ["DRIVER"]:
                    os._exit(9)
                h, w, c = image_shape
                return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(h * w * c, outputs))
            """
        )
    )
    arguments = ["score", DATA, "--learner", "poison:net", "--preset", "smoke", "--quiet", *TWO]
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments, "--target", "label:disc", "--out", "run"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
    )
    _, err = process.communicate(timeout=120)
    assert process.returncode == 7, err.decode()
    assert b"ended 2 workers" in err
    assert b"--jobs" in err
    assert len(err.decode().strip().splitlines()) == 3


#: the driver builds networks too: only its workers are to die.
PROGRAM = """
import os, sys
sys.path.insert(0, "")
os.environ["DRIVER"] = str(os.getpid())
from taskdiscovery.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_the_processes_too(tmp_path, number):
    process = start(*SCORE, *TWO, "--epochs", "4000", "--out", tmp_path / "run")
    deadline = time.monotonic() + 60
    while len(found := children(process)) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(1.0)
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert b"Traceback" not in err
    assert not any(alive(n) for n in found)
    status = json.loads((tmp_path / "run" / "status.json").read_text())
    assert status["state"] == "stopped"


# --- who trains --------------------------------------------------------------------------------


def chosen(monkeypatch, cores=8, trainings=16, passes=10**7, size=32, **options):
    monkeypatch.setattr(machine, "cpu_cores", lambda: cores)
    monkeypatch.setattr(machine, "free_memory", lambda otherwise: 64 * machine.NEEDED)
    config = ScoreConfig(device="cpu", precision="float32", ranks=1, **options)
    learner = learner_of("convnet", TrainingRecipe(), device="cpu", precision="float32")
    load = Load(trainings=trainings, passes=passes)
    found = resolve_work(config, learner, (size, size, 3), load)
    return found.executor, found.jobs, found.threads


def test_many_short_trainings_go_to_processes(monkeypatch):
    assert chosen(monkeypatch, passes=90_000) == ("processes", 8, 1)
    assert chosen(monkeypatch, passes=90_000, trainings=3) == ("processes", 3, 2)
    assert chosen(monkeypatch, passes=90_000, threads=2) == ("processes", 4, 2)


def test_short_jobs_and_long_trainings_stay_here(monkeypatch):
    assert chosen(monkeypatch, passes=1000) == ("serial", None, 8)
    assert chosen(monkeypatch, passes=10**7) == ("serial", None, 8)
    assert chosen(monkeypatch, passes=90_000, cores=1) == ("serial", None, 1)
    assert chosen(monkeypatch, passes=90_000, executor="serial") == ("serial", None, 8)
    assert chosen(monkeypatch, passes=90_000, threads=8) == ("serial", None, 8)


def test_what_is_chosen_stays_chosen(monkeypatch):
    first = chosen(monkeypatch, passes=90_000)
    again = chosen(
        monkeypatch, passes=90_000, executor=first[0], jobs=first[1], threads=first[2], trainings=2
    )
    assert again == first
    here = chosen(monkeypatch, passes=90_000, executor="serial", jobs=first[1], threads=first[2])
    assert here[1:] == first[1:]  # so that what this process does itself rounds as before


def test_processes_are_for_processors():
    learner = learner_of("linear", TrainingRecipe(), device="cpu", precision="float32")
    config = replace(ScoreConfig(executor="processes", ranks=1, precision="float32"), device="cuda")
    with pytest.raises(ConfigError, match="share a GPU"):
        resolve_work(config, learner, (8, 8, 1), Load(trainings=2, passes=10))


def test_operations_are_counted():
    learner = learner_of("linear", TrainingRecipe(), device="cpu", precision="float32")
    model = build_learner(learner, (4, 5, 3), 7, Normalization.none(3), seed=0)
    assert flops(model, (4, 5, 3)) == 2 * 4 * 5 * 3 * 7


# --- where the images lie ----------------------------------------------------------------------


def test_mapped_images_are_not_copied(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (20, 3, 3, 1), dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="c")
    place = Mapped.of(mapped, tmp_path / "absent")
    assert place.path == str(tmp_path / "images.npy")
    assert (place.open() == images).all()


@pytest.mark.parametrize("part", [slice(5, 15), slice(None, None, 2)])
def test_parts_and_arrays_are_written_once(tmp_path, part):
    images = np.random.default_rng(0).integers(0, 256, (20, 3, 3, 1), dtype=np.uint8)
    np.save(tmp_path / "whole.npy", images)
    mapped = np.load(tmp_path / "whole.npy", mmap_mode="r")
    for given in (images[part], mapped[part]):
        (folder := tmp_path / f"{type(given).__name__}").mkdir()
        place = Mapped.of(given, folder)
        assert place.path == str(folder / "images.npy")
        assert (place.open() == images[part]).all()


class Threads(td.Callback):
    """Notes with how many threads the driver computes while it trains."""

    def __init__(self):
        self.seen = set()

    def on_progress(self, stage, amount, note):
        self.seen.add(torch.get_num_threads())


def test_threads_of_the_driver_come_back_after_each_training():
    dataset = td.load(DATA)
    torch.set_num_threads(2)
    threads = Threads()
    options = {"learner": "linear", "preset": "smoke", "executor": "serial", "threads": 1}
    found = td.score(dataset, "label:disc", **options, callbacks=[threads])
    assert len(found) == 2
    assert threads.seen == {1}  # as the job was told
    assert torch.get_num_threads() == 2  # as the process had them
