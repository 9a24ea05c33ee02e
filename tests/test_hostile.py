"""Runs and inputs from a stranger: a sample of the corpus, and that its judge can find something.

`make fuzz` tries thousands more; see `benchmarks.hostile`.
"""

import json
import os
import random
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from benchmarks.hostile import cases, child, entries
from benchmarks.hostile.arena import EVIL, SECRET, Arena
from benchmarks.hostile.bases import BASES
from benchmarks.hostile.judge import findings
from safetensors.numpy import save

from started import Started

ROOT = Path(__file__).parents[1]
# Python 3.12 warns of every fork of a process that has threads; these children do little.
pytestmark = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")


@pytest.fixture
def arena(tmp_path, monkeypatch):
    made = Arena(tmp_path / "arena")
    made.build()
    made.clear()
    made.run.mkdir()
    monkeypatch.setenv("HOSTILE_TRAP", str(made.trap))
    monkeypatch.syspath_prepend(str(made.path / "site"))
    return made


def judged(action, arena):
    """What is found of an action that is tried on the run of an arena."""
    before = arena.traces()
    arena.watch()
    outcome = child.attempt(lambda: action(arena) or 0, arena)
    return findings(outcome, arena, before)


def follows_a_link(arena):
    (arena.run / "metrics.jsonl").symlink_to("../victim/file.txt")
    with (arena.run / "metrics.jsonl").open("a") as stream:
        stream.write("{}")


def empties_a_lock(arena):
    (arena.run / ".lock").symlink_to(arena.victim / ".lock")
    os.truncate(arena.run / ".lock", 0)


def deletes_a_folder(arena):
    (arena.run / "checkpoints").symlink_to("../victim/checkpoints")
    shutil.rmtree(arena.run / "checkpoints" / "000001")


def writes_through_a_hard_link(arena):
    os.link(arena.victim / "linked.txt", arena.run / "status.json")
    (arena.run / "status.json").write_text("{}")


def reads_a_link(arena):
    (arena.run / "status.json").symlink_to("../victim/document.json")
    json.loads((arena.run / "status.json").read_text())


def lists_a_folder(arena):
    descriptor = os.open(arena.victim / "splits", os.O_RDONLY)  # which no audit event tells
    os.listdir(descriptor)


def tells_a_secret(arena):
    sys.stdout.write(SECRET)


def tells_a_size(arena):
    sys.stderr.write(f"{(arena.victim / 'file.txt').stat().st_size} bytes in place of 3")


def takes_memory(arena):
    return len(b"x" * (child.MEMORY + 2**27)) % 2


def asks_for_more_than_there_is(arena):
    sys.stderr.write("error: Unable to allocate 8.00 EiB for an array\n")
    return 5


def starts_processes(arena):
    for _ in range(child.PROCESSES + 1):
        subprocess.run(["true"], check=False)


def calls_home(arena):
    socket.socket().connect_ex(("127.0.0.1", 9))


def fails(arena):
    raise TypeError("a bug")


PLANTED = {
    "outside: changed victim/file.txt": follows_a_link,
    "outside: changed victim/.lock": empties_a_lock,
    "outside: removed victim/checkpoints/000001": deletes_a_folder,
    "outside: changed victim/linked.txt": writes_through_a_hard_link,
    "read: document.json": reads_a_link,
    "opened: victim/document.json": reads_a_link,
    "read: splits": lists_a_folder,
    "opened: /etc/passwd": lambda arena: Path("/etc/passwd").read_text() and 0,
    "outside: made work/new": lambda arena: (arena.path / "work" / "new").mkdir(),
    "leak": tells_a_secret,
    "leak: the victim's content is told": tells_a_size,
    f"imported: {EVIL}": lambda arena: __import__(EVIL) and 0,
    "memory": takes_memory,
    "allocation": asks_for_more_than_there_is,
    "processes": starts_processes,
    "network": calls_home,
    "traceback: TypeError: a bug": fails,
    "exit: 1": lambda arena: 1,
    "signal: ended by 9": lambda arena: os.kill(os.getpid(), 9),
    "escape": lambda arena: print("\x1b[31mred") or 0,
    "long: 4 lines": lambda arena: print(*"abcd", sep="\n", file=sys.stderr) or 3,
}


@pytest.mark.parametrize("kind", PLANTED)
def test_a_planted_fault_is_found(kind, arena):
    found = judged(PLANTED[kind], arena)
    assert any(text.startswith(kind) for text in found), found


def test_what_hangs_is_found(arena, monkeypatch):
    monkeypatch.setattr(child, "SECONDS", 0.3)
    os.mkfifo(arena.run / "pipe")
    assert judged(lambda arena: (arena.run / "pipe").read_text(), arena)[0].startswith("hang")


@pytest.mark.parametrize("code", [0, 2, 3, 4, 5, 6, 7])
def test_what_is_as_it_should_be_is_no_finding(code, arena):
    def behave(arena):
        (arena.run / "report.html").write_text("<p>nothing</p>")
        (arena.path / "scratch" / "x").write_text("x")
        print("error: it cannot be used\n  where: here\n  hint: none", file=sys.stderr)
        return code

    assert judged(behave, arena) == []


def test_the_corpus_has_links_that_would_be_followed(arena):
    """The whole chain: an entry that was drawn, and a command that is careless."""

    def careless(arena):
        (arena.run / "metrics.jsonl").open("a").write("{}")

    found = []
    for seed in range(20):
        arena.clear()
        arena.run.mkdir()
        done = entries.change(arena.run, "metrics.jsonl", random.Random(seed), arena.victim)
        if "victim" in done:
            found += judged(careless, arena)
    assert any(text.startswith("outside: ") for text in found), found


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    """Files of all kinds in a folder for each base, as far as mutating them needs."""
    folder = tmp_path_factory.mktemp("bases")
    for name in BASES:
        run = folder / name
        (run / "checkpoints" / "000001").mkdir(parents=True)
        (run / "config.yaml").write_text(yaml.safe_dump({"format": 3, "data": "digits"}))
        (run / "status.json").write_text(json.dumps({"state": "done", "job": {"config": {}}}))
        frame = pd.DataFrame({"image_id": ["a", "b"], "task_000": [0, 1]})
        frame.to_parquet(run / "tasks.parquet")
        content = save({"a": np.zeros(3)}, metadata={"taskdiscovery": '{"classes": 2}'})
        (run / "encoder.safetensors").write_bytes(content)
        (run / "manifest.json").write_text(json.dumps({"files": {"tasks.parquet": {"bytes": 1}}}))
    return folder


def snapshot(arena):
    return {
        str(place.relative_to(arena.run)): os.readlink(place)
        if place.is_symlink()
        else place.stat().st_size
        for place in arena.run.rglob("*")
    }


def test_a_case_follows_from_its_seed_and_number(arena, bases):
    for number in range(40):
        made = []
        for _ in range(2):
            arena.clear()
            made.append((cases.make(7, number, arena, bases), snapshot(arena)))
        assert made[0] == made[1]


@pytest.mark.slow
def test_a_sample_of_the_corpus():
    """Needs half a second of processor time for every ten of them, and ten to make the runs."""
    process = Started(
        *("-m", "benchmarks.hostile", "--seed", "1", "--count", "100"),
        env={"PYTHONPATH": str(ROOT)},
    )
    out, err = process.communicate(timeout=900)
    assert process.poll() == 0, out.decode()[-4000:] + err.decode()[-2000:]
    assert json.loads(out.decode()[out.decode().index("{\n") :])["cases"] == 100


def test_time_is_measured_without_waiting_for_a_processor():
    began, spent = time.monotonic(), child.queued(os.getpid())
    assert 0 <= spent <= time.monotonic() - began + 3600
    assert child.queued(2**22 - 1) == 0.0
