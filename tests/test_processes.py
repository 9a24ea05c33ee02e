"""Faults that need real processes: kills, signals, full disks, read-only places. `make test-slow`.

Also faults planted into a copy of the package, to see that the suite finds them.
"""

import hashlib
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from taskdiscovery.rundir import Checkpoints, RunDir, verify

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
NET = ["--learner", "convnet?width=0.1", "--threads", "1", "--batch", "32", "--quiet"]
DATA = "shapes?n=600&size=12"
DISCOVER = ["discover", DATA, *NET, "--tasks", "2", "--iterations", "2", "--epochs", "12"]
DISCOVER += ["--encoder-epochs", "24"]
SCORE = ["score", DATA, *NET, "--preset", "smoke", "--epochs", "8", "--runs", "2"]
SPLIT = ["split", DATA, *NET, "--target", "label:disc,cross", "--preset", "smoke"]
SPLIT += ["--epochs", "8", "--controls", "random", "--runs", "2"]
FILES = ("tasks.parquet", "coordinates.parquet", "encoder.safetensors", "scores.parquet")
FILES += ("split/metadata.csv", "split/indices.json", "split/test_fold.npy")


def start(*arguments, **options):
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
        assert finish(start(*arguments, *where)) == (0, "")
        states[name] = shutil.copytree(place, place.with_name(name))
    return states


def begun(run, process, more=2):
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
        begun(run, process, more)
        process.kill()
        process.communicate()
        if RunDir.open(run).state() == "done":
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
    begun(run, process, 1)  # a unit is done: the next one is under way
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
        "import os, signal, sys, time\n"
        "from taskdiscovery import interrupts\n"
        "with interrupts.handled(), interrupts.deferred():\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert process.poll() is None  # it waits
    process.send_signal(signal.SIGINT)
    process.wait(timeout=2)
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
    code, err = finish(start(*DISCOVER, "--out", run, preexec_fn=limit))
    assert code == 5
    assert "ulimit -f" in err
    assert not list(run.rglob("*.tmp"))


def test_fault_11_a_read_only_place_is_refused_before_computing(disk):
    small_disk(disk, "1m")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    began = time.monotonic()
    code, err = finish(start(*DISCOVER, "--out", disk / "run"))
    assert code == 5
    assert "cannot be written" in err
    assert time.monotonic() - began < 5


def test_fault_11_as_another_user(tmp_path):
    if os.getuid() != 0:
        pytest.skip("only root can become another user")
    code = (
        "import os, sys; from pathlib import Path\n"
        "from taskdiscovery.rundir import check_new\n"
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
    begun(run, first, 1)
    began = time.monotonic()
    code, err = finish(start("resume", run))
    assert code == 4
    assert f"process {first.pid}" in err
    assert time.monotonic() - began < 2 + 1  # two seconds, and one for a loaded machine
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
    begun(run, process, 1)
    process.send_signal(signal.SIGTERM)
    finish(process)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    assert finish(start("resume", run, env={"PYTHONPATH": path}))[0] == 0
    assert digests(run) == digests(finished["discover"])


# --- system calls ------------------------------------------------------------------------------

COMMIT = """
import sys
from pathlib import Path
import numpy as np
from taskdiscovery.rundir import Checkpoints
import safetensors.numpy
checkpoints = Checkpoints(Path(sys.argv[1]))
for i in range(3):
    checkpoints.save({"i": i}, {"i": np.arange(1000) + i})
sys.stdout.write("MARK")
sys.stdout.flush()
checkpoints.save({"i": 3}, {"i": np.arange(1000) + 3})
"""
CALLS = "write,fsync,rename,renameat,renameat2,mkdir,mkdirat,openat,unlink,unlinkat,rmdir,close"


def strace(folder, *more, check=True):
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    log = folder.with_suffix(".log")
    command = ["strace", "-f", "-y", "-o", str(log), "-e", f"trace={CALLS}", *more]
    environment = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [*command, sys.executable, "-c", COMMIT, str(folder)], capture_output=True, env=environment
    )
    if b"PTRACE" in done.stderr or b"ptrace" in done.stderr:
        pytest.skip("strace is not allowed here")
    if check:
        assert done.returncode == 0, done.stderr.decode()
    return [
        found.groups()
        for line in log.read_text().splitlines()
        if (found := re.match(r"\d+ +(\w+)\((.*)", line))
    ]


def test_the_system_calls_of_one_commit(tmp_path):
    calls = strace(tmp_path / "c")
    mark = next(i for i, (name, text) in enumerate(calls) if name == "write" and "MARK" in text)
    own = [(n, t) for n, t in calls[mark + 1 :] if str(tmp_path) in t]
    for file in ("state.json", "arrays.safetensors", "manifest.json"):
        steps = [n for n, t in own if file in t and n in ("write", "fsync", "rename")]
        assert steps == ["write", "fsync", "rename"], file
        renamed = next(i for i, (n, t) in enumerate(own) if n == "rename" and file in t)
        name, text = own[renamed + 2]  # after the directory is opened
        assert name == "fsync", f"the directory is not synced after {file}"
        assert ".building-000004>" in text
    renames = [t for n, t in own if n.startswith("rename")]
    assert "manifest.json" in renames[2]
    assert "000004" in renames[3]
    last = next(i for i, (n, t) in enumerate(own) if n.startswith("rename") and '000004"' in t)
    assert [n for n, t in own[last + 1 :] if n == "fsync"]


def test_a_kill_at_each_system_call_of_one_commit(tmp_path):
    calls = strace(tmp_path / "all")
    mark = next(i for i, (name, text) in enumerate(calls) if name == "write" and "MARK" in text)
    counts, points = {}, []
    for i, (name, text) in enumerate(calls):
        counts[name] = counts.get(name, 0) + 1
        if i > mark and str(tmp_path) in text:
            points.append((name, counts[name]))
    assert len(points) > 30
    outcomes = set()
    for index, (name, when) in enumerate(points):
        folder = tmp_path / f"k{index}"
        strace(folder, "-e", f"inject={name}:signal=SIGKILL:when={when}", check=False)
        checkpoints = Checkpoints(folder)
        checkpoints.remove_leftovers()
        numbers = checkpoints.numbers()
        assert all(checkpoints.problem(n) is None for n in numbers), (name, when)
        assert len(numbers) >= 2
        state, arrays = checkpoints.load()
        assert state["i"] in (2, 3)
        assert arrays["i"][0] == state["i"]
        outcomes.add(state["i"])
        assert all(p.name.isdigit() for p in folder.iterdir())
    assert outcomes == {2, 3}


# --- planted faults ----------------------------------------------------------------------------

LOCKS = "test_fault_13_and_14_a_second_process_is_refused_and_a_dead_one_leaves_no_lock"
PLANTED = {
    "writes in place": (
        "rundir/writing.py",
        'temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{TEMPORARY}")',
        "temporary = path; path.unlink(missing_ok=True)",
        "tests/test_jobs.py::test_writing_is_whole_or_not_at_all",
    ),
    "does not sync": (
        "rundir/writing.py",
        "            os.fsync(stream.fileno())\n",
        "",
        "tests/test_journal.py::test_the_order_of_one_commit",
    ),
    "locks by age": (
        "rundir/run.py",
        "fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)",
        "import time\n"
        "            stream.seek(0)\n"
        "            young = time.time() - os.stat(stream.name).st_mtime < 3600\n"
        "            if stream.read(1) and young: raise OSError",
        f"tests/test_jobs.py::{LOCKS}",
    ),
    "forgets a random state": (
        "training/state.py",
        '        self.order.set_state(torch.from_numpy(arrays["order"].copy()))\n',
        "",
        "tests/test_journal.py::test_stopped_and_resumed_equals_never_stopped",
    ),
    "forgets the global random states": (
        "randomness.py",
        '    torch.set_rng_state(torch.from_numpy(states["torch"].copy()))\n',
        "",
        "tests/test_journal.py::test_stopped_and_resumed_equals_never_stopped",
    ),
    "does not escape": (
        "report/write.py",
        "autoescape=True",
        "autoescape=False",
        "tests/test_report.py::test_faults_58_to_60_names_are_inert_and_nothing_is_fetched",
    ),
    "unpickles": (
        "data/arrays.py",
        "allow_pickle=False",
        "allow_pickle=True",
        "tests/test_data.py::test_fault_41_pickles_are_never_executed",
    ),
}


def outcome(sources, *tests):
    """Run tests of the suite on a copy of the package."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-q", *(str(ROOT / test) for test in tests)],
        env={**os.environ, "PYTHONPATH": str(sources), "OMP_NUM_THREADS": "1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


def test_a_copy_without_a_planted_fault_passes(tmp_path):
    """All tests that are to find the faults, in one go: so what fails below fails for its fault."""
    shutil.copytree(ROOT / "src", tmp_path / "src")
    sound = outcome(tmp_path / "src", *dict.fromkeys(own[-1] for own in PLANTED.values()))
    assert sound.returncode == 0, sound.stdout[-2000:]
    assert " skipped" not in sound.stdout


@pytest.mark.parametrize("name", PLANTED)
def test_the_suite_finds_a_planted_fault(name, tmp_path):
    file, old, new, tests = PLANTED[name]
    shutil.copytree(ROOT / "src", tmp_path / "src")
    patched = tmp_path / "src" / "taskdiscovery" / file
    source = patched.read_text("utf-8")
    assert source.count(old) == 1, "the fault can no longer be planted where it was"
    patched.write_text(source.replace(old, new), "utf-8")
    spoilt = outcome(tmp_path / "src", tests)
    assert spoilt.returncode == 1, spoilt.stdout[-2000:]
    assert "FAILED" in spoilt.stdout or "ERROR" in spoilt.stdout
