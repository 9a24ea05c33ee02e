"""Audits as a shell starts them, with the real engine: exit codes, killed, stopped and resumed."""

import json
import signal
import time

import pytest

from started import Started

pytestmark = pytest.mark.slow

DATA = "shapes?n=700&size=24"
BRIEF = ["--quiet", "--threads", "1", "--learner", "convnet?width=0.2", "--preset", "smoke"]
BRIEF += ["--epochs", "12", "--batch", "64", "--executor", "serial"]


def finish(process, timeout=300):
    out, err = process.communicate(timeout=timeout)
    assert b"Traceback" not in err
    assert len(err.decode().strip().splitlines()) <= 3
    return process.returncode, out.decode(), err.decode()


def start(*arguments):
    return Started("-m", "taskdiscovery", *arguments)


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """Images with a logo that goes with the label, as files."""
    place = tmp_path_factory.mktemp("planted") / "logo"
    own = ["--target", "label:disc,cross", "--strength", "0.95", "--out", place, "--quiet"]
    assert finish(start("plant", DATA, *own))[0] == 0
    return f"folder:{place / 'images'}"


@pytest.fixture(scope="module")
def finished(planted, tmp_path_factory):
    """An audit of them that was never stopped."""
    path = tmp_path_factory.mktemp("never") / "run"
    words = ["--format", "json", "--strict", "--out", path]
    code, out, err = finish(start("audit", planted, *BRIEF, *words))
    return path, code, json.loads(out), err


def test_a_planted_logo_is_found_and_strict_says_so(finished):
    path, code, document, err = finished
    first = document["cues"][0]
    assert (first["view"], first["present"]) == ("corner lower right", True)
    assert (code == 8) == (document["verdict"] == "FAIL")
    assert ("--strict" in err) == (code == 8)
    assert (path / "audit.html").read_text("utf-8").count("<figure>") >= 16
    assert finish(start("verify", path))[0] == 0
    code, out, _ = finish(start("show", path))
    assert code == 0
    assert document["sentence"][:40] in out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_stopped_anywhere_and_resumed_it_is_the_same(number, finished, planted, tmp_path):
    path, before = tmp_path / "run", finished[0]
    process = start("audit", planted, *BRIEF, "--checkpoint-every", "0", "--out", path)
    until = time.monotonic() + 200
    while not list(path.glob("checkpoints/0*")) and process.poll() is None:
        assert time.monotonic() < until, "it saves nothing"
        time.sleep(0.02)
    process.send_signal(number)
    code, _, _ = finish(process)
    assert code in (128 + number, -number, 0)  # it may have been at its end
    assert finish(start("resume", path, "--quiet"))[0] == 0
    names = ["cues.csv", "targets.parquet", "images/split.csv"]
    names += [str(p.relative_to(before)) for p in before.glob("images/*.csv")]
    for name in names:
        assert (path / name).read_bytes() == (before / name).read_bytes(), name
    assert (path / "audit.html").exists()
    assert not (path / "checkpoints").exists()


def test_who_trains_changes_no_figure(finished, planted, tmp_path):
    path = tmp_path / "run"
    own = [w for w in BRIEF if w not in ("--executor", "serial")]
    own += ["--executor", "processes", "--jobs", "2"]
    assert finish(start("audit", planted, *own, "--out", path))[0] == 0
    assert (path / "cues.csv").read_bytes() == (finished[0] / "cues.csv").read_bytes()


def test_a_second_process_is_refused(planted, tmp_path):
    path = tmp_path / "run"
    process = start("audit", planted, *BRIEF, "--checkpoint-every", "0", "--out", path)
    until = time.monotonic() + 200
    while not (path / "status.json").exists() and process.poll() is None:
        assert time.monotonic() < until
        time.sleep(0.02)
    code, _, err = finish(start("audit", planted, *BRIEF, "--out", path))
    assert code == 4
    assert "is not empty" in err
    process.send_signal(signal.SIGINT)
    assert finish(process)[0] in (130, 0)
