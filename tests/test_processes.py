"""Faults that need real processes: kills, signals, full disks, read-only places.

Run by `make test-slow`.
"""

import contextlib
import hashlib
import json
import os
import pty
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
JOBS = {"discover": DISCOVER, "score": SCORE, "split": SPLIT}
FILES = ("tasks.parquet", "coordinates.parquet", "encoder.safetensors")
FILES += ("scores/tasks/scores.parquet",)
FILES += tuple(f"splits/label-disc-cross/{name}" for name in ("metadata.csv", "indices.json"))


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
    for name, arguments in JOBS.items():
        where = ["--out", place] if name == "discover" else ["--from", place]
        assert finish(start_anew(*arguments, *where)) == (0, "")
        states[name] = shutil.copytree(place, place.with_name(name))
    return states


def wait_for_pieces(run, process, more=2):
    """Wait until the job has committed so many checkpoints."""
    first = (Checkpoints(run / "checkpoints").numbers() or [0])[-1]
    patience = time.monotonic() + 60
    while (Checkpoints(run / "checkpoints").numbers() or [0])[-1] < first + more:
        if (process and process.poll() is not None) or time.monotonic() > patience:
            return
        time.sleep(0.002)


@pytest.mark.parametrize("name", ["discover", "score", "split"])
def test_faults_1_to_4_killed_again_and_again(name, finished, tmp_path):
    run = tmp_path / "run"
    process = begun(name, finished, run, "--checkpoint-every", "0.1")
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


STOPPING = [(name, number) for name in JOBS for number in (signal.SIGINT, signal.SIGTERM)]
STOPPING += [("discover", getattr(signal, name)) for name in ("SIGHUP", "SIGUSR1", "SIGUSR2")]


def by_name(value):
    return getattr(value, "name", value)


def begun(name, finished, run, *more, start=start):
    """Start a job, and wait until a piece of it is done: then the next one is under way."""
    where = ["--out", run]
    if name != "discover":
        shutil.copytree(finished["discover" if name == "score" else "score"], run)
        where = ["--from", run]
    process = start(*JOBS[name], *where, *more)
    wait_for_pieces(run, process, 1)
    return process


def wait_for_nobody(group):
    """Wait until the last process of a group has ended."""
    patience = time.monotonic() + 10
    with contextlib.suppress(ProcessLookupError):
        while time.monotonic() < patience:
            os.killpg(group, 0)
            time.sleep(0.05)
        pytest.fail("processes are left")


def check_stopped(run, process, number):
    """Hold against what is due how a job was stopped by a signal."""
    returned, err = finish(process)
    assert returned == 128 + number
    assert err.startswith(f"stopped by {number.name} (")
    assert "go on with: taskdiscovery resume" in err
    status = json.loads((run / "status.json").read_text())
    assert status["state"] == "stopped"
    assert f": stopped by {number.name} (" in status["reason"]
    return status


@pytest.mark.parametrize(("name", "number"), STOPPING, ids=by_name)
def test_faults_5_6_and_68_signals_save_and_leave(name, number, finished, tmp_path):
    run = tmp_path / "run"
    process = begun(name, finished, run)
    time.sleep(0.05)
    process.send_signal(number)
    assert check_stopped(run, process, number)["job"]["command"] == name
    assert finish(start("resume", run))[0] == 0
    assert digests(run) == digests(finished[name])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP, signal.SIGUSR1], ids=by_name)
def test_fault_68_a_signal_to_all_processes_of_a_job(number, finished, tmp_path):
    """Ctrl-C and a lost connection reach the workers, too, and what tidies up after them."""
    run = tmp_path / "run"
    workers = ("--executor", "processes", "--jobs", "2")

    def leading(*arguments):
        return start_anew(*arguments, start_new_session=True)

    process = begun("score", finished, run, *workers, start=leading)
    before = Checkpoints(run / "checkpoints").numbers()[-1]
    os.killpg(process.pid, number)
    check_stopped(run, process, number)
    assert Checkpoints(run / "checkpoints").numbers()[-1] >= before
    wait_for_nobody(process.pid)
    assert finish(start("resume", run))[0] == 0
    assert digests(run) == digests(finished["score"])


def test_fault_68_a_terminal_that_goes_away(finished, tmp_path):
    """The system sends SIGHUP, and what is said then can be written nowhere."""
    run = tmp_path / "run"
    shown = [word for word in DISCOVER if word != "--quiet"]  # a bar is being drawn
    command = [sys.executable, "-m", "taskdiscovery", *shown, "--out", str(run)]
    child, terminal = pty.fork()
    if child == 0:
        os.execv(command[0], command)
    wait_for_pieces(run, None, 1)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 129
    assert "SIGHUP (the terminal went away)" in (run / "status.json").read_text()
    assert finish(start("resume", run))[0] == 0
    assert digests(run) == digests(finished["discover"])


def test_fault_68_a_signal_that_is_ignored_stays_ignored(finished, tmp_path):
    """As under `nohup`."""

    def deaf(*arguments):
        return start_anew(
            *arguments, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)
        )

    run = tmp_path / "run"
    process = begun("discover", finished, run, start=deaf)
    process.send_signal(signal.SIGHUP)
    assert finish(process) == (0, "")
    assert digests(run) == digests(finished["discover"])


def waiting():
    """Start a process that has been told to stop by SIGHUP, and does not come to it."""
    code = (
        "import os, signal, time\n"
        "from taskdiscovery.runtime import interrupts\n"
        "with interrupts.handled(), interrupts.deferred():\n"
        "    os.kill(os.getpid(), signal.SIGHUP)\n"
        "    while not interrupts.requested():\n"
        "        time.sleep(0.01)\n"
        # Two signals before Python has looked at the first are one signal to it.
        "    print('waits', flush=True)\n"
        "    time.sleep(1)\n"
        "    print('still', flush=True)\n"
        "    time.sleep(600)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"waits\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=by_name)
def test_fault_5_a_second_signal_ends_at_once(number):
    process = waiting()
    process.send_signal(number)
    assert process.wait(timeout=60) == -number
    process.stdout.close()


def test_fault_68_what_is_sent_twice_by_machines_does_not(tmp_path):
    """A lost connection sends SIGHUP twice: the shell does, and the terminal."""
    process = waiting()
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        process.send_signal(number)
    assert process.stdout.readline() == b"still\n"
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_killed_resource_tracker_is_not_missed(finished, tmp_path):
    """It tidies up after loky when all else has died."""
    run = tmp_path / "run"
    process = begun("score", finished, run, "--executor", "processes", start=start_anew)
    listed = subprocess.run(
        ["pgrep", "-P", str(process.pid), "-f", "resource_tracker"], capture_output=True, text=True
    )
    for child in listed.stdout.split():
        os.kill(int(child), signal.SIGKILL)
    assert listed.stdout
    assert finish(process) == (0, "")
    assert digests(run) == digests(finished["score"])


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
