"""The system calls of one commit: their order, and a kill at each of them. `make test-slow`."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from taskdiscovery.store import Checkpoints

pytestmark = pytest.mark.slow

COMMIT = """
import sys
from pathlib import Path
import numpy as np
from taskdiscovery.store import Checkpoints
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
        kinds = ("write", "fsync", "rename")
        steps = [n[:6] for n, t in own if file in t and n.startswith(kinds)]
        assert [step.removesuffix("a") for step in steps] == list(kinds), file
        renamed = next(i for i, (n, t) in enumerate(own) if n.startswith("rename") and file in t)
        name, text = own[renamed + 1]  # of the directory, which is open
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
