"""Places: containers, homes, locks, other systems. What cannot be run here is taken away here."""

import errno
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from taskdiscovery.config import Load, ScoreConfig
from taskdiscovery.errors import ConfigError
from taskdiscovery.executors import machine
from taskdiscovery.runtime import disk, hardware

slow = pytest.mark.slow
V2, V1 = "cpu.max", ("cpu/{}cpu.cfs_quota_us", "cpu/{}cpu.cfs_period_us")


def version_1(quota, period, group=""):
    return dict(zip([name.format(group) for name in V1], (quota, period), strict=True))


@pytest.fixture
def groups(tmp_path, monkeypatch):
    """Write the files of control groups, on a machine of 64 cores."""

    def write(files, own="0::/\n"):
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(f"{text}\n")
        (tmp_path / "own").write_text(own)

    monkeypatch.setattr(hardware, "CGROUPS", tmp_path)
    monkeypatch.setattr(hardware, "OWN_GROUPS", tmp_path / "own")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    return write


@pytest.mark.parametrize(
    ("files", "own", "cores"),
    [
        ({}, "0::/", 64),
        ({V2: "200000 100000"}, "0::/", 2),
        ({V2: "350000 100000"}, "0::/", 4),
        ({V2: "20000 100000"}, "0::/", 1),
        ({V2: "9900000 100000"}, "0::/", 64),
        ({V2: "max 100000"}, "0::/", 64),
        ({V2: "0 0"}, "0::/", 64),
        ({V2: "garbage"}, "0::/", 64),
        (version_1("-1", "100000"), "3:cpu,cpuacct:/", 64),
        (version_1("150000", "50000"), "3:cpu,cpuacct:/", 3),
        ({"a.slice/b.service/cpu.max": "500000 100000"}, "0::/a.slice/b.service", 5),
        ({"a.slice/cpu.max": "700000 100000"}, "0::/a.slice/b.service", 7),
        ({"other/cpu.max": "100000 100000"}, "0::/a.slice", 64),
        (version_1("600000", "100000", "docker/x/"), "1:cpu:/docker/x", 6),
        ({V2: "800000 100000", "a/cpu.max": "300000 100000"}, "0::/a", 3),
        ({V2: "100000 100000"}, "0::/../..", 1),
    ],
)
def test_a_containers_quota_decides_the_cores(groups, files, own, cores):
    groups(files, own + "\n")
    assert hardware.cpu_cores() == cores


def test_ranks_share_out_what_the_quota_leaves(groups, monkeypatch):
    groups({V2: "600000 100000"})
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert hardware.cpu_cores() == 3
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "20")
    assert hardware.cpu_cores() == 1


def test_a_job_takes_no_more_threads_than_the_quota(groups):
    groups({V2: "300000 100000"})
    config = ScoreConfig(executor="serial", learner="linear", precision="float32", device="cpu")
    decided = machine.resolve_work(config, config.learner_of(), (4, 4, 1), Load(trainings=8))
    assert (decided.threads, decided.jobs) == (3, None)


def test_a_system_without_affinity_counts_its_processors(groups, monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert hardware.cpu_cores() == 6
    groups({V2: "400000 100000"})
    assert hardware.cpu_cores() == 4
    groups({V2: "max 100000"})
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert hardware.cpu_cores() == 1


def byte_locks(taken):
    """Windows' locks: ranges of a file, from where its descriptor stands."""

    def locking(descriptor, mode, count):
        key = (os.fstat(descriptor).st_ino, os.lseek(descriptor, 0, os.SEEK_CUR), count)
        assert mode == "no waiting"
        if key in taken:
            raise OSError(errno.EACCES, "Permission denied")
        taken.add(key)

    return SimpleNamespace(locking=locking, LK_NBLCK="no waiting")


@pytest.mark.parametrize("system", ["posix", "windows"])
def test_a_lock_is_had_once_and_leaves_the_file_as_it_is(system, tmp_path, monkeypatch):
    taken = set()
    if system == "windows":
        monkeypatch.setattr(disk, "_posix", None)
        monkeypatch.setattr(disk, "_windows", byte_locks(taken))
    file = tmp_path / ".lock"
    file.write_text("owner")
    with file.open("r+") as first, file.open("r+") as second:
        assert first.read(3) == "own"
        disk.lock(first)
        assert first.read() == "er"
        with pytest.raises(OSError):  # noqa: PT011
            disk.lock(second)
        assert second.read() == "owner"
        if system == "windows":
            assert [key[1:] for key in taken] == [(disk.BEHIND, 1)]
    assert file.read_text() == "owner"
    taken.clear()
    with file.open("r+") as third:
        disk.lock(third, wait=True)


def test_a_lock_waits_where_it_is_told_to(tmp_path, monkeypatch):
    taken, waits = set(), []
    monkeypatch.setattr(disk, "_posix", None)
    monkeypatch.setattr(disk, "_windows", byte_locks(taken))
    monkeypatch.setattr(disk.time, "sleep", lambda s: (waits.append(s), taken.clear()))
    with (tmp_path / "a").open("w") as first, (tmp_path / "a").open("w") as second:
        disk.lock(first)
        disk.lock(second, wait=True)
    assert len(waits) == 1


def test_a_system_without_locks_goes_without(tmp_path, monkeypatch):
    monkeypatch.setattr(disk, "_posix", None)
    with (tmp_path / "a").open("w") as first, (tmp_path / "a").open("w") as second:
        disk.lock(first)
        disk.lock(second, wait=True)


@pytest.mark.parametrize("call", ["open", "fsync"])
def test_a_directory_that_cannot_be_synced_is_passed_over_but_a_broken_disk_is_not(
    call, tmp_path, monkeypatch
):
    real, found = getattr(os, call), {}

    def fails(target, *rest):
        path = Path(f"/proc/self/fd/{target}") if isinstance(target, int) else Path(target)
        if path.is_dir():
            raise OSError(found["error"], os.strerror(found["error"]))
        return real(target, *rest)

    monkeypatch.setattr(os, call, fails)
    for error in (errno.EACCES, errno.EINVAL, errno.EBADF):  # Windows, and file systems of others
        found["error"] = error
        disk.sync_directory(tmp_path)
    for error in (errno.EIO, errno.ENOSPC):
        found["error"] = error
        with pytest.raises(OSError, match=os.strerror(error)):
            disk.sync_directory(tmp_path)
    (tmp_path / "a").write_text("x")
    disk.sync_file(tmp_path / "a")
    assert (tmp_path / "a").read_text() == "x"


def test_without_semaphores_there_are_no_processes(monkeypatch):
    assert hardware.semaphores()
    monkeypatch.setattr(machine, "cpu_cores", lambda: 8)
    monkeypatch.setattr(machine, "free_memory", lambda _: 2**40)
    config = ScoreConfig(learner="linear", precision="float32", device="cpu", jobs=2, ranks=1)
    much = Load(trainings=8, passes=10**6)
    decided = machine.resolve_work(config, config.learner_of(), (4, 4, 1), much)
    assert (decided.executor, decided.jobs) == ("processes", 2)

    def none(*_):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(multiprocessing.synchronize._multiprocessing, "SemLock", none)
    assert not hardware.semaphores()
    decided = machine.resolve_work(config, config.learner_of(), (4, 4, 1), much)
    assert (decided.executor, decided.jobs) == ("serial", None)
    asked = ScoreConfig(learner="linear", executor="processes", precision="float32", device="cpu")
    with pytest.raises(ConfigError, match="/dev/shm"):
        machine.resolve_work(asked, asked.learner_of(), (4, 4, 1), much)


#: what other systems lack, taken away before anything else is imported.
TAKEN_AWAY = {
    "here": "",
    "no affinity": "import os; del os.sched_getaffinity, os.sched_setaffinity",
    "no locks": "import sys; sys.modules['fcntl'] = None",
    "byte locks": """
import fcntl, os, subprocess, sys, types  # subprocess knows Windows by its msvcrt
sys.modules['fcntl'] = None
def locking(descriptor, mode, count):
    fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, count, os.lseek(descriptor, 0, 1))
sys.modules['msvcrt'] = types.SimpleNamespace(locking=locking, LK_NBLCK=2)
""",
    "directories cannot be opened": """
import os
real = os.open
def checked(path, flags, *more, **named):
    if flags == os.O_RDONLY and isinstance(path, (str, os.PathLike)) and os.path.isdir(path):
        raise PermissionError(13, 'Permission denied', path)
    return real(path, flags, *more, **named)
os.open = checked
""",
    "no user": """
import os, pwd, getpass
def unknown(*_): raise KeyError('uid not found')
pwd.getpwuid = pwd.getpwnam = getpass.getuser = os.getlogin = unknown
""",
}
PROGRAM = """
import json, sys, warnings
import taskdiscovery as td
from taskdiscovery.data.images.decode import cache_dir
folder, out = sys.argv[1:]
data = td.load(f"folder:{folder}")
own = {"threads": 1, "callbacks": (), "precision": "float32"}
found = td.discover(data, tasks=2, method="spectral", learner="linear", out=out, **own)
scores = td.score(data, found.tasks, learner="linear", preset="smoke", epochs=2, batch=16,
                  executor="serial", out=out, **own)
again = td.open_run(out)
print(json.dumps({
    "pixels": int(data.images.sum()),
    "labels": found.tasks.labels_ND.tolist(),
    "same": bool((again.tasks.labels_ND == found.tasks.labels_ND).all()),
    "agreement": [s.agreement for s in again.scores],
    "cache": str(cache_dir()),
}))
"""
LOCKING = """
import sys
from pathlib import Path
from taskdiscovery.errors import RunDirError
from taskdiscovery.store import Run
if len(sys.argv) > 2:
    with Run.open(Path(sys.argv[1]), write=True):
        print("held", flush=True)
        sys.stdin.readline()
else:
    try:
        with Run.open(Path(sys.argv[1]), write=True):
            print("free")
    except RunDirError as error:
        print(error.what)
"""


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    place = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for i in range(60):
        path = place / "ab"[i % 2] / f"{i}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)).save(path)
    return place


def environment(place, taken_away="", **changed):
    """Return the environment of a process in which something is taken away."""
    (place / "site").mkdir(exist_ok=True)
    (place / "site" / "sitecustomize.py").write_text(taken_away)
    sources = [str(place / "site"), str(Path(__file__).parents[1] / "src")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sources), "OMP_NUM_THREADS": "1"}
    env |= {"TASKDISCOVERY_CACHE": str(place / "cache"), **changed}
    return {name: value for name, value in env.items() if value is not None}


def told(program, *arguments, env, before=()):
    """Run a program; return what it printed last and its warnings."""
    command = [*before, sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip().splitlines()[-1], done.stderr


@slow
@pytest.mark.parametrize("system", [name for name in TAKEN_AWAY if name != "here"])
def test_a_job_gives_the_same_where_something_is_missing(system, photos, tmp_path):
    results = []
    for name in ("here", system):
        (tmp_path / name).mkdir()
        env = environment(tmp_path / name, TAKEN_AWAY[name])
        printed, _ = told(PROGRAM, photos, tmp_path / name / "run", env=env)
        found = json.loads(printed)
        assert Path(found.pop("cache")) == tmp_path / name / "cache"
        assert list((tmp_path / name / "cache").glob("*/images.npy"))
        results.append(found)
    assert results[0]["same"]
    assert len(results[0]["agreement"]) == 4
    assert results[0] == results[1]


@slow
@pytest.mark.parametrize("system", ["here", "byte locks"])
def test_one_process_at_a_time_under_either_kind_of_lock(system, photos, tmp_path):
    env = environment(tmp_path, TAKEN_AWAY[system])
    run = tmp_path / "run"
    told(PROGRAM, photos, run, env=env)
    holds = [sys.executable, "-c", LOCKING, str(run), "hold"]
    with subprocess.Popen(
        holds, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        said, _ = told(LOCKING, run, env=env)
        assert f"another process is using this run directory (process {holder.pid} on" in said
        holder.kill()
        holder.wait()
        assert told(LOCKING, run, env=env)[0] == "free"


@slow
def test_without_a_home_the_cache_is_a_temporary_folder(photos, tmp_path):
    (tmp_path / "tmp").mkdir()
    changed = {"HOME": None, "TASKDISCOVERY_CACHE": None, "TMPDIR": str(tmp_path / "tmp")}
    env = environment(tmp_path, TAKEN_AWAY["no user"], **changed)
    for turn in range(2):
        printed, warned = told(PROGRAM, photos, tmp_path / f"run{turn}", env=env)
        cache = Path(json.loads(printed)["cache"])
        assert cache.parent == tmp_path / "tmp"
        assert warned.count("there is no home directory") == 1
        assert len(list(cache.glob("*/images.npy"))) == 1, "the cache is used again"
        assert cache.stat().st_mode & 0o077 == 0, "others may not write into it"


@slow
def test_a_cache_that_cannot_be_written_is_passed_over(photos, tmp_path):
    (tmp_path / "tmp").mkdir()
    changed = {"TASKDISCOVERY_CACHE": "/proc/nobody", "TMPDIR": str(tmp_path / "tmp")}
    printed, warned = told(PROGRAM, photos, tmp_path / "run", env=environment(tmp_path, **changed))
    assert json.loads(printed)["same"]
    assert "the cache cannot be written" in warned


SCRIPT = """
import multiprocessing, sys
import numpy as np
from torch import nn
import taskdiscovery as td
if "spawn" in sys.argv:
    multiprocessing.set_start_method("spawn")
class Net(nn.Module):  # no guard by __name__: notebooks have none
    def __init__(self, outputs, image_shape):
        super().__init__()
        height, width, channels = image_shape
        self.layer = nn.Linear(height * width * channels, outputs)
    def forward(self, x):
        return self.layer(x.flatten(1))
rng = np.random.default_rng(0)
images, y = rng.integers(0, 256, (80, 4, 4, 3), dtype=np.uint8), np.arange(80) % 2
own = {"preset": "smoke", "epochs": 1, "batch": 16, "threads": 1, "callbacks": ()}
found = [td.score(images, y, learner=Net, executor=executor, jobs=jobs, **own).to_frame()
         for executor, jobs in (("serial", None), ("processes", 2))]
columns = ["task", "agreement", "accuracy", "kappa"]
assert found[0][columns].equals(found[1][columns]), found
print(len(found[0]))
"""


@slow
@pytest.mark.parametrize("method", ["default", "spawn"])
def test_processes_start_however_python_starts_them(method, tmp_path):
    assert told(SCRIPT, method, env=environment(tmp_path))[0] == "2"


@slow
@pytest.mark.parametrize(
    ("room", "code", "words"),
    [("64k", 0, ""), ("4k", 5, "/dev/shm"), ("4k,nr_inodes=1", 2, "/dev/shm")],
)
def test_processes_need_little_room_in_dev_shm(room, code, words, tmp_path):
    small = f'mount -t tmpfs -o size={room} tmpfs /dev/shm && exec "$0" "$@"'
    before = ["unshare", "--mount", "sh", "-c", small]
    able = shutil.which("unshare") and subprocess.run([*before, "true"], capture_output=True)
    if not able or able.returncode:
        pytest.skip("file systems cannot be mounted here")
    command = ["-m", "taskdiscovery", "score", "digits", "--target", "label", "--epochs", "1"]
    command += ["--learner", "linear", "--preset", "smoke", "--executor", "processes"]
    command = [*before, sys.executable, *command, "--jobs", "2", "--threads", "1"]
    env = environment(tmp_path, PYTHONWARNINGS="ignore")  # joblib's
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == code, done.stderr[-2000:]
    assert words in done.stderr
    assert len(done.stderr.splitlines()) <= (3 if code else 0)
