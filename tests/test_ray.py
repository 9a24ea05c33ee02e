"""Trainings on a Ray cluster of real processes: the same rows, whatever is killed meanwhile."""

import contextlib
import json
import os
import random
import signal
import textwrap
import time
import warnings
from pathlib import Path

import pandas as pd
import pytest

from started import Started
from taskdiscovery.config import ScoreConfig
from taskdiscovery.discovery import DiscoverConfig, Spectral
from taskdiscovery.errors import ConfigError
from taskdiscovery.store import Run

slow = pytest.mark.slow
DATA = "shapes?n=600&size=12"
NET = ["--learner", "convnet?width=0.1", "--threads", "1", "--batch", "32", "--quiet"]
#: in the environment of every process of this one's cluster.
OWN = f"TASKDISCOVERY_TESTS={os.getpid()}"
SCORES = tuple(f"scores/label-disc-cross/{n}" for n in ("scores.parquet", "per_image.parquet"))
SCORE = ["score", DATA, *NET, "--preset", "smoke", "--epochs", "8", "--runs", "3"]
DISCOVER = ["discover", DATA, *NET, "--tasks", "2", "--iterations", "2", "--epochs", "12"]
LONGER = [*SCORE, "--runs", "6", "--target", "label:disc,cross"]
SPLIT = ["split", DATA, *NET, "--target", "label:disc,cross", "--from", "untrained:mlp"]
SPLIT += ["--preset", "smoke", "--epochs", "8", "--controls", "random,hard", "--runs", "2"]


def start(*arguments, **environment):
    return Started("-m", "taskdiscovery", *arguments, env=environment)


def finish(process, timeout=240):
    err = process.communicate(timeout=timeout)[1].decode()
    assert "Traceback" not in err, err
    assert len(err.strip().splitlines()) <= 3, err
    return process.returncode, err


@pytest.fixture(scope="module")
def cluster():
    """A head without processors, and two nodes of one each, on this machine."""
    pytest.importorskip("ray")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112
        os.environ.update([OWN.split("=")])
        from ray.cluster_utils import Cluster

        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
        for _ in range(2):
            made.add_node(num_cpus=1)
        yield made
        made.shutdown()


@pytest.fixture(scope="module")
def serial(tmp_path_factory):
    place = tmp_path_factory.mktemp("serial") / "run"
    assert finish(start(*SCORE, "--target", "label:disc,cross", "--out", place)) == (0, "")
    return place


@pytest.fixture(scope="module")
def longer(tmp_path_factory):
    place = tmp_path_factory.mktemp("longer") / "run"
    assert finish(start(*LONGER, "--out", place)) == (0, "")
    return place


def on(cluster):
    return ["--executor", "ray", "--ray-address", cluster.address]


def same(one, other, *names):
    for name in names or SCORES:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


def workers():
    """Process numbers of this process's workers that are at a training."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            working = (entry / "cmdline").read_bytes().startswith(b"ray::_work")
            # Another process of the tests may have a cluster of its own.
            if working and OWN.encode() in (entry / "environ").read_bytes().split(b"\0"):
                found.add(int(entry.name))
        except OSError:
            continue
    return found


def wait_for(condition, seconds=90):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
    return found


@slow
def test_the_rows_are_those_of_one_process(serial, tmp_path):
    """On a cluster of its own, which the command starts and stops."""
    pytest.importorskip("ray")
    place = tmp_path / "run"
    command = [*SCORE, "--target", "label:disc,cross", "--out", place, "--executor", "ray"]
    assert finish(start(*command)) == (0, "")
    same(serial, place)
    assert Run.open(place).config["threads"] == 1


@slow
@pytest.mark.parametrize(
    ("command", "files"),
    [
        (DISCOVER, ("tasks.parquet", "encoder.safetensors")),
        (
            SPLIT,
            tuple(f"splits/label-disc-cross/{name}" for name in ("metadata.csv", "indices.json")),
        ),
    ],
    ids=["discover", "split"],
)
def test_discover_and_split_hand_out_their_trainings(cluster, tmp_path, command, files):
    assert finish(start(*command, "--out", tmp_path / "serial")) == (0, "")
    assert finish(start(*command, "--out", tmp_path / "ray", *on(cluster))) == (0, "")
    same(tmp_path / "serial", tmp_path / "ray", *files)
    known = [json.loads((tmp_path / run / "result.json").read_text()) for run in ("serial", "ray")]
    assert known[0].get("accuracy") == known[1].get("accuracy")


@slow
def test_workers_are_killed_ten_times_and_each_row_is_there_once(cluster, longer, tmp_path):
    """Fault 17."""
    rng, killed = random.Random(0), set()
    for sitting in range(6):
        place = tmp_path / f"ray {sitting}"
        process = start(*LONGER, "--out", place, *on(cluster))
        # Four at most in each: a training that is killed five times would be set aside.
        enough = min(len(killed) + 4, 10)
        while process.poll() is None and len(killed) < enough:
            if fresh := sorted(workers() - killed):
                killed.add(victim := rng.choice(fresh))
                with contextlib.suppress(ProcessLookupError):  # its training has ended
                    os.kill(victim, signal.SIGKILL)
                time.sleep(0.5)
            time.sleep(0.05)
        assert finish(process) == (0, "")
        same(longer, place)
        if len(killed) == 10:
            break
    assert len(killed) == 10


@slow
def test_a_training_that_ends_every_worker_is_set_aside(cluster, tmp_path):
    """Fault 18: the other labelings keep their rows, and the exit code is 7."""
    (tmp_path / "poison.py").write_text(
        textwrap.dedent("""
        import os, signal, sys, torch
        def make(image_shape, outputs):
            # The driver builds networks too: only workers of Ray are to die.
            if outputs == 3 and sys.argv[0].endswith("default_worker.py"):
                os.kill(os.getpid(), signal.SIGKILL)
            h, w, c = image_shape
            return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(h * w * c, outputs))
        """)
    )
    rows = range(600)
    table = pd.DataFrame({"a": [i % 2 for i in rows], "bad": [i % 3 for i in rows]})
    table["c"] = [i // 2 % 2 for i in rows]
    table.to_csv(tmp_path / "tasks.csv", index=False)
    command = ["score", DATA, "--learner", "poison:make", "--preset", "smoke", "--quiet"]
    command += [
        "--from",
        tmp_path / "tasks.csv",
        "--references",
        "0",
        "--out",
        tmp_path / "run",
        *on(cluster),
    ]
    code, err = finish(start(*command, PYTHONPATH=str(tmp_path)))
    assert code == 7
    assert "1 of" in err
    assert "bad" in err
    kept = pd.read_parquet(tmp_path / "run" / "scores/tasks/scores.parquet")["task"].tolist()
    assert {"a", "c", "random"} <= set(kept)
    assert "bad" not in kept


@slow
def test_a_lost_node_has_its_trainings_done_elsewhere(cluster, serial, tmp_path):
    """Fault 19."""
    extra = cluster.add_node(num_cpus=1)
    place = tmp_path / "run"
    process = start(*SCORE, "--target", "label:disc,cross", "--out", place, *on(cluster))
    wait_for(lambda: len(workers()) >= 3 or process.poll() is not None)
    cluster.remove_node(extra, allow_graceful=False)
    assert finish(process) == (0, "")
    same(serial, place)


@slow
def test_a_killed_driver_goes_on_where_it_was(cluster, longer, tmp_path):
    """Fault 20: what was finished is not trained again."""
    place = tmp_path / "run"
    process = start(*LONGER, "--out", place, *on(cluster))
    wait_for(lambda: len(list(place.glob("checkpoints/*"))) > 0 or process.poll() is not None)
    process.kill()
    process.communicate()
    assert Run.open(place).state != "done"
    assert finish(start("resume", place)) == (0, "")
    same(longer, place)
    tasks = [row["task"] for row in Run.open(place).metrics() if row.get("event") == "score"]
    assert sorted(tasks) == sorted(set(tasks))


@slow
def test_nothing_hangs_where_no_node_has_room(cluster, tmp_path):
    began = time.monotonic()
    command = [*SCORE, "--target", "label:disc,cross", "--out", tmp_path / "run", *on(cluster)]
    code, err = finish(start(*command, "--cpus-per-job", "64"))
    assert code == 7
    assert "no node of the cluster offers 64 CPUs" in err
    assert time.monotonic() - began < 60  # of which 20 s of patience, the rest start-up


@slow
def test_an_interrupted_driver_stops_at_once_and_can_be_resumed(cluster, serial, tmp_path):
    place = tmp_path / "run"
    process = start(*SCORE, "--target", "label:disc,cross", "--out", place, *on(cluster))
    wait_for(lambda: workers() or process.poll() is not None)
    process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    code, _ = finish(process)
    assert code == 143
    assert time.monotonic() - began < 30
    assert finish(start("resume", place)) == (0, "")
    same(serial, place)


def test_without_ray_the_error_names_the_command_to_install_it(tmp_path):
    (tmp_path / "ray.py").write_text("raise ImportError('No module named ray')\n")
    command = [*SCORE, "--target", "label:disc,cross", "--executor", "ray"]
    code, err = finish(start(*command, PYTHONPATH=str(tmp_path)))
    assert code == 2
    assert "pip install 'taskdiscovery[ray]'" in err


def test_options_of_the_cluster_need_a_cluster():
    with pytest.raises(ConfigError, match="--ray-address"):
        ScoreConfig(ray_address="auto")
    with pytest.raises(ConfigError, match="no separate trainings"):
        DiscoverConfig(method=Spectral(), executor="ray")


def test_trainings_of_a_cluster_have_one_thread_unless_told():
    assert ScoreConfig(executor="ray").threads == 1
    assert ScoreConfig(executor="ray", threads=2).threads == 2
    assert ScoreConfig().threads is None
