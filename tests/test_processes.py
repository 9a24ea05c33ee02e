"""Faults that need real processes: kills, signals, full disks, read-only places.

Run by `make test-slow`.
"""

import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time

import pytest

from started import Started
from taskdiscovery.store import Checkpoints, Run, verify

pytestmark = pytest.mark.slow

NET = ["--learner", "convnet?width=0.1", "--threads", "1", "--batch", "32", "--quiet"]
DATA = "shapes?n=600&size=12"
DISCOVER = ["discover", DATA, *NET, "--tasks", "2", "--iterations", "2", "--epochs", "8"]
DISCOVER += ["--encoder-epochs", "16"]
SCORE = ["score", DATA, *NET, "--preset", "smoke", "--epochs", "5", "--runs", "2"]
SPLIT = ["split", DATA, *NET, "--target", "label:disc,cross", "--preset", "smoke"]
SPLIT += ["--epochs", "5", "--controls", "random", "--runs", "2"]
FILES = ("tasks.parquet", "coordinates.parquet", "encoder.safetensors", "scores.parquet")
FILES += ("split/metadata.csv", "split/indices.json")


def start(*arguments):
    return Started("-m", "taskdiscovery", *arguments)


def start_anew(*arguments, **options):
    """Start it from nothing: what is measured or changed begins before Python does."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **options.pop("env", {})}
    return subprocess.Popen(
        [sys.executable, "-m", "taskdiscovery", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        **options,
    )


def finish(process, timeout=120):
    err = process.communicate(timeout=timeout)[1].decode()
    assert "Traceback" not in err
    assert len(err.strip().splitlines()) <= 3
    return process.returncode, err


def promptly(seconds, *arguments):
    """Start it until it ends within so many seconds: a busy machine delays it once, not always."""
    took = []
    while not took or (took[-1] >= seconds and len(took) < 5):
        began = time.monotonic()
        ended = finish(start_anew(*arguments))
        took.append(time.monotonic() - began)
    assert took[-1] < seconds, took
    return ended


def digests(run):
    return {
        name: hashlib.sha256((run / name).read_bytes()).hexdigest()
        for name in FILES
        if (run / name).exists()
    }


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Runs after each job, never stopped."""
    place, states = tmp_path_factory.mktemp("never") / "run", {}
    for name, arguments in (("discover", DISCOVER), ("score", SCORE), ("split", SPLIT)):
        where = ["--out", place] if name == "discover" else ["--from", place]
        assert finish(start_anew(*arguments, *where)) == (0, "")
        states[name] = shutil.copytree(place, place.with_name(name))
    return states


def wait_for_pieces(run, process, more=2):
    """Wait until the job has committed so many checkpoints."""
    first = (Checkpoints(run / "checkpoints").numbers() or [0])[-1]
    patience = time.monotonic() + 60
    while (Checkpoints(run / "checkpoints").numbers() or [0])[-1] < first + more:
        if process.poll() is not None or time.monotonic() > patience:
            return
        time.sleep(0.002)


@pytest.mark.parametrize("name", ["discover", "score", "split"])
def test_faults_1_to_4_killed_again_and_again(name, finished, tmp_path):
    run = tmp_path / "run"
    arguments = {"discover": DISCOVER, "score": SCORE, "split": SPLIT}[name]
    where = ["--out", run]
    if name != "discover":
        shutil.copytree(finished["discover" if name == "score" else "score"], run)
        where = ["--from", run]
    process = start(*arguments, *where, "--checkpoint-every", "0.1")
    kills = 0
    for more in (1, 2, 4, 6):
        wait_for_pieces(run, process, more)
        process.kill()
        process.communicate()
        if Run.open(run).state == "done":
            break
        kills += 1
        checkpoints = Checkpoints(run / "checkpoints")
        assert all(checkpoints.problem(n) is None for n in checkpoints.numbers())
        assert len(checkpoints.numbers()) >= 1
        process = start("resume", run)
    assert kills >= 2
    assert finish(process)[0] == 0
    assert digests(run) == digests(finished[name])
    assert not [f for f in verify(run) if f.problem]
    assert not [p for p in run.rglob(".*") if p.name != ".lock"]


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"]
)
@pytest.mark.parametrize("name", ["discover", "score", "split"])
def test_faults_5_and_6_signals_save_and_leave(name, number, code, finished, tmp_path):
    run = tmp_path / "run"
    arguments = {"discover": DISCOVER, "score": SCORE, "split": SPLIT}[name]
    where = ["--out", run]
    if name != "discover":
        shutil.copytree(finished["discover" if name == "score" else "score"], run)
        where = ["--from", run]
    process = start(*arguments, *where)
    wait_for_pieces(run, process, 1)  # a piece of work is done: the next one is under way
    time.sleep(0.05)
    process.send_signal(number)
    returned, err = finish(process)
    assert returned == code
    assert "taskdiscovery resume" in err
    status = json.loads((run / "status.json").read_text())
    assert status["state"] == "stopped"
    assert status["job"]["command"] == name
    assert finish(start("resume", run))[0] == 0
    assert digests(run) == digests(finished[name])


def test_fault_5_a_second_signal_ends_at_once(tmp_path):
    code = (
        "import time\n"
        "from taskdiscovery.runtime import interrupts\n"
        "with interrupts.handled(), interrupts.deferred():\n"
        "    print('ready', flush=True)\n"
        "    while not interrupts.requested():\n"
        "        time.sleep(0.01)\n"
        "    print('waits', flush=True)\n"
        "    time.sleep(600)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGINT)
    # Two signals before Python has looked at the first are one signal to it.
    assert process.stdout.readline() == b"waits\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == -signal.SIGINT
    process.stdout.close()


def small_disk(path, size):
    """Mount a small file system; skip where that is not allowed."""
    path.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)], capture_output=True
    )
    if done.returncode:
        pytest.skip("file systems cannot be mounted here")


@pytest.fixture
def disk(tmp_path):
    path = tmp_path / "disk"
    yield path
    subprocess.run(["umount", "-l", str(path)], capture_output=True)


@pytest.mark.parametrize("size", ["40k", "120k", "180k"])
def test_fault_9_disk_full(disk, size, finished):
    small_disk(disk, size)
    process = start(*DISCOVER, "--out", disk / "run", "--checkpoint-every", "0")
    code, err = finish(process)
    assert code == 5
    assert "No space left" in err or "cannot be written" in err
    assert not list(disk.rglob("*.tmp"))
    assert not list(disk.rglob(".building-*"))
    checkpoints = Checkpoints(disk / "run" / "checkpoints")
    assert all(checkpoints.problem(n) is None for n in checkpoints.numbers())
    if checkpoints.numbers():
        subprocess.run(["mount", "-o", "remount,size=20m", str(disk)], check=True)
        assert finish(start("resume", disk / "run"))[0] == 0
        assert digests(disk / "run") == digests(finished["discover"])


def test_fault_10_limit_on_file_size(tmp_path):
    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    run = tmp_path / "run"
    code, err = finish(start_anew(*DISCOVER, "--out", run, preexec_fn=limit))
    assert code == 5
    assert "ulimit -f" in err
    assert not list(run.rglob("*.tmp"))


def test_fault_11_a_read_only_place_is_refused_before_computing(disk):
    small_disk(disk, "1m")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    code, err = promptly(5, *DISCOVER, "--out", disk / "run")
    assert code == 5
    assert "cannot be written" in err


def test_fault_11_as_another_user(tmp_path):
    if os.getuid() != 0:
        pytest.skip("only root can become another user")
    code = (
        "import os, sys; from pathlib import Path\n"
        "from taskdiscovery.store import check_new\n"
        "from taskdiscovery.errors import ResourceError\n"
        "os.setuid(65534)\n"
        "try: check_new(Path(sys.argv[1]))\n"
        "except ResourceError as error: print(error.exit_code)\n"
    )
    place = tmp_path / "theirs"
    place.mkdir(mode=0o755)
    done = subprocess.run(
        [sys.executable, "-c", code, str(place / "run")], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip("the package cannot be imported as another user here")
    assert done.stdout.strip() in ("5", "5\n")


def test_faults_13_and_14_one_process_at_a_time(tmp_path):
    run = tmp_path / "run"
    first = start(*DISCOVER, "--out", run)
    wait_for_pieces(run, first, 1)
    first.send_signal(signal.SIGSTOP)  # so that it cannot end meanwhile
    code, err = promptly(2, "resume", run)
    assert code == 4
    assert f"process {first.pid}" in err
    first.kill()
    first.communicate()
    os.utime(run / ".lock", (time.time() + 1e9,) * 2)  # the lock's age plays no part
    assert finish(start("resume", run))[0] == 0


@pytest.mark.parametrize("years", [-10, 10])
def test_fault_15_a_clock_that_is_wrong(years, tmp_path, finished):
    """A `sitecustomize` sets the clock of the process that resumes."""
    (tmp_path / "sitecustomize.py").write_text(
        f"import time\nreal = time.time\ntime.time = lambda: real() + {years} * 365.25 * 86400\n"
    )
    run = tmp_path / "run"
    process = start(*DISCOVER, "--out", run)
    wait_for_pieces(run, process, 1)
    process.send_signal(signal.SIGTERM)
    finish(process)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    assert finish(start_anew("resume", run, env={"PYTHONPATH": path}))[0] == 0
    assert digests(run) == digests(finished["discover"])
