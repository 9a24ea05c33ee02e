"""Every command with its standard streams in every state; names that a terminal would obey."""

import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import taskdiscovery as td
from streamed import Server
from taskdiscovery.cli import main
from taskdiscovery.errors import ResourceError, printable
from taskdiscovery.runtime import disk
from taskdiscovery.runtime.progress_bar import ProgressBar
from taskdiscovery.store import Run, verify

#: a title for the window, a line of our own form, a C1 control, letters from right to left.
NAMES = ("kätze", "a\x1b]0;x\x07b", "\u202eevil\nerror: forged\x9b2J")
FAST = ["--learner", "linear", "--threads", "1"]
COMMANDS = {
    "help": ["--help"],
    "version": ["--version"],
    "nothing": [],
    "info": ["info", "DATA"],
    "info json": ["info", "DATA", "--format", "json"],
    "info csv": ["info", "DATA", "--format", "csv"],
    "verify": ["verify", "läuf"],
    "doctor": ["doctor"],
    "completion": ["completion", "zsh"],
    "label": ["label", "läuf", "DATA"],
    "resume": ["resume", "läuf"],
    "show": ["show", "läuf"],
    "show json": ["show", "läuf", "--format", "json"],
    "discard": ["discard", "läuf"],
    "report": ["report", "läuf"],
    "discover": ["discover", "DATA", "--method", "spectral", "--tasks", "2", *FAST, "--out", "neu"],
    "refused": ["verify", "nirgends"],
}
SLOWER = {
    "score": ["score", "DATA", "--from", "läuf", "--preset", "smoke", *FAST],
    "split": ["split", "DATA", "--from", "läuf", "--target", "label:0", "--preset", "smoke", *FAST],
    "analyze": ["analyze", "läuf"],
}
SLOWER["split"] += ["--controls", "random", "--runs", "2"]
WRITING = ("discover", "score", "split", "analyze", "report")
STATES = {
    "stdin closed": {"closed": (0,)},
    "stdout closed": {"closed": (1,)},
    "stderr closed": {"closed": (2,)},
    "all closed": {"closed": (0, 1, 2)},
    "ASCII": {"encoding": "ascii"},
    "stdout full": {"out": "full"},
    "stderr full": {"err": "full"},
    "stdout unread": {"out": "left"},
    "stderr unread": {"err": "left"},
    "stdout slow": {"out": "slow"},
    "stdout hasty": {"out": "hasty"},
}


@pytest.fixture(scope="module")
def server():
    started = Server()
    yield started
    started.end()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Pictures of classes whose names a terminal would obey."""
    rng = np.random.default_rng(0)
    root = tmp_path_factory.mktemp("data") / "bïlder"
    for i in range(240):
        place = root / NAMES[i % len(NAMES)]
        place.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
        image.save(place / f"{i}ü.png")
    return root


@pytest.fixture(scope="module")
def finished(server, data, tmp_path_factory):
    """A run of `discover`."""
    place = tmp_path_factory.mktemp("run")
    assert server.run(*words(COMMANDS["discover"], data), cwd=place).code == 0
    return place / "neu"


def words(command, data):
    return [f"folder:{data}" if word == "DATA" else word for word in command]


def ended(server, command, data, finished, place, **state):
    """Run a command beside a copy of the finished run; check what holds whatever the streams."""
    place.mkdir()
    shutil.copytree(finished, place / "läuf")
    found = server.run(*words(command, data), cwd=place, **state)
    said = found.err.decode()
    assert "Traceback" not in said
    assert "bug: " not in said
    assert len([line for line in said.splitlines() if not line.startswith("warning: ")]) <= 3
    run = place / ("neu" if "neu" in command else "läuf")
    if command[:1] and command[0] in WRITING:
        assert Run.open(run).state == "done"
        assert not [finding for finding in verify(run) if finding.problem]
    return found


def check(name, commands, server, data, finished, tmp_path):
    """Compare a command in all states with the same command in the usual one."""
    usual = ended(server, commands[name], data, finished, tmp_path / "usual")
    assert usual.code == (4 if name == "refused" else 0), usual.err
    prints = bool(usual.out)
    for state, streams in STATES.items():
        found = ended(server, commands[name], data, finished, tmp_path / state, **streams)
        if state == "stdout full" and prints:
            assert found.code == 5, (state, found)
            assert b"the output cannot be written: No space left" in found.err
        else:
            assert found.code == usual.code, (state, found)
        if state in ("stdout closed", "all closed", "stdout full", "stdout unread"):
            assert found.out == b"", state
        elif state == "ASCII":
            assert found.out.isascii()
            if "json" in name:
                assert json.loads(found.out) == json.loads(usual.out)
        else:
            assert without_seconds(found.out) == without_seconds(usual.out), state
        if "stderr" not in state and state not in ("all closed", "stdout full", "ASCII"):
            assert found.err == usual.err, state


def without_seconds(out):
    return re.sub(rb"seconds: +\d+", b"", out)


@pytest.mark.parametrize("name", COMMANDS)
def test_fault_12_and_67_streams_in_any_state(name, server, data, finished, tmp_path):
    check(name, COMMANDS, server, data, finished, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOWER)
def test_fault_12_and_67_streams_of_long_commands(name, server, data, finished, tmp_path):
    check(name, SLOWER, server, data, finished, tmp_path)


def test_fault_67_a_job_of_a_daemon_is_done(server, data, finished, tmp_path):
    """One of the longer commands in the state that has it all."""
    found = ended(
        server, SLOWER["score"], data, finished, tmp_path / "w", closed=(0, 1, 2), encoding="ascii"
    )
    assert found.code == 0
    assert (tmp_path / "w" / "läuf" / "scores/tasks/scores.parquet").exists()


@pytest.mark.parametrize(("end", "code"), [("full", 5), ("left", 0)])
def test_fault_12_a_network_that_prints_is_trained_all_the_same(end, code, server, tmp_path):
    (tmp_path / "chatty.py").write_text(
        "import torch\n"
        "class Chatty(torch.nn.Module):\n"
        "    def __init__(self, image_shape, outputs):\n"
        "        super().__init__()\n"
        "        height, width, channels = image_shape\n"
        "        self.last = torch.nn.Linear(height * width * channels, outputs)\n"
        "    def forward(self, x):\n"
        "        print('forward ' * 2000, flush=True)\n"
        "        return self.last(x.flatten(1))\n"
    )
    words = ["score", "shapes?n=200&size=8", "--target", "label:disc", "--preset", "smoke"]
    words += ["--learner", "chatty:Chatty", "--threads", "1", "--executor", "serial"]
    found = server.run(*words, "--out", "run", cwd=tmp_path, out=end)
    assert found.code == code, found
    assert Run.open(tmp_path / "run").state == "done"


@pytest.mark.slow
def test_fault_67_the_demonstration_of_a_daemon(tmp_path):
    server = Server(PASSES="300")
    found = server.run("demo", "shapes?n=200&size=8", cwd=tmp_path, closed=(0, 1, 2))
    server.end()
    assert found.code == 0, found
    assert (tmp_path / "runs" / "demo-shapes-1" / "report.html").exists()


def test_fault_67_a_locale_that_knows_ascii_alone(data, finished, tmp_path):
    """File names are then no text, and nothing may take them for damaged files."""
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    server = Server(**ascii_only)
    for name, command in {**COMMANDS, "score": SLOWER["score"]}.items():
        if name == "report":  # the run names its data as text, which no path is here
            command = [*command, "--data", "DATA"]
        found = ended(server, command, data, finished, tmp_path / name, encoding="")
        assert found.code == (4 if name == "refused" else 0), (name, found)
        assert found.out.isascii(), name
        if "json" in name:
            json.loads(found.out)
    server.end()


@pytest.mark.parametrize(
    ("command", "redirected", "code"),
    [
        ("--help", "<&- >&- 2>&-", 0),
        ("--help", ">/dev/full", 5),
        ("verify RUN", "<&- >&- 2>&-", 0),
        ("verify RUN --format json", ">/dev/full", 5),
        ("verify RUN", "2>/dev/full", 0),
        ("verify RUN", "| true", 0),
    ],
)
def test_fault_12_and_67_as_a_shell_starts_it(command, redirected, code, finished):
    """What the forked processes pretend is what Python really does, at its end too."""
    whole = f"{sys.executable} -m taskdiscovery {command} {redirected}; echo ${{PIPESTATUS[0]}} >&9"
    done = subprocess.run(
        ["bash", "-c", f"exec 9>&1; {whole.replace('RUN', str(finished))}"],
        capture_output=True,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
    )
    assert done.stdout.endswith(f"{code}\n".encode()), (done.stdout, done.stderr)
    assert b"Traceback" not in done.stderr
    assert b"Exception ignored" not in done.stderr


def test_a_file_that_is_opened_never_becomes_the_output(server, data, finished, tmp_path):
    """With stdout closed, the page would be descriptor 1, and the table printed into it."""
    page = tmp_path / "page.html"
    found = server.run("info", f"folder:{data}", "--report", page, closed=(0, 1, 2))
    assert found.code == 0
    assert page.read_text().startswith("<!doctype html>")
    found = server.run("info", f"folder:{data}", "--report", tmp_path / "again.html")
    assert page.read_text() == (tmp_path / "again.html").read_text()


# --- what a terminal would obey --------------------------------------------------------------

OBEYED = re.compile("\x1b\\]|\x07|[\x80-\x9f]|[\u202a-\u202e\u2066-\u2069]")


def test_fault_69_escapes_in_names_are_shown_on_a_terminal(server, data, finished, tmp_path):
    for name in ("info", "info json", "info csv", "label", "discover"):
        found = ended(
            server, COMMANDS[name], data, finished, tmp_path / name, out="terminal", err="terminal"
        )
        assert found.code == 0, found
        text = found.out.decode()
        assert not OBEYED.search(text), name
        assert "\nerror: forged" not in text
        assert "evil" in text or name == "discover"


def test_fault_69_what_programs_read_has_the_very_names(server, data, finished, tmp_path):
    found = ended(server, COMMANDS["info json"], data, finished, tmp_path / "j")
    assert {c["name"] for c in json.loads(found.out)["classes"]} == set(NAMES)
    assert not OBEYED.search(found.out.decode())
    found = ended(server, COMMANDS["info csv"], data, finished, tmp_path / "c")
    rows = csv.DictReader(io.StringIO(found.out.decode(), newline=""))
    assert {row["name"] for row in rows if row["what"] == "class"} == set(NAMES)
    found = ended(server, COMMANDS["label"], data, finished, tmp_path / "l")
    rows = csv.DictReader(io.StringIO(found.out.decode(), newline=""))
    assert {row["image_id"].rsplit("/", 1)[0] for row in rows} == set(NAMES)


def test_fault_69_warnings_and_errors(server, data, finished, tmp_path):
    hostile = shutil.copytree(data, tmp_path / "d")
    (hostile / NAMES[1] / "\x1b]0;y\x07.png").write_bytes(b"no picture")
    for more in ([], ["--skip-bad"]):
        found = server.run("label", finished, f"folder:{hostile}", *more)
        assert found.code == (0 if more else 3)
        assert b"]0;y" in found.err
        assert not OBEYED.search(found.err.decode())
    found = server.run(
        "label", finished, f"folder:{data}", "--out", "/no\x1b]0;x\x07\nerror: f/a.csv"
    )
    assert found.code == 5
    assert not OBEYED.search(found.err.decode())
    assert len(found.err.splitlines()) == 3
    found = server.run("verify", f"{tmp_path}/[red]\x1b]0;x\x07")
    assert b"[red]" in found.err


def test_fault_69_progress_bars(monkeypatch):
    from rich.console import Console

    from taskdiscovery.runtime import progress_bar

    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=120)
    monkeypatch.setattr("rich.console.Console", lambda **_: console)
    assert progress_bar._progress().console is console
    bar = ProgressBar()
    bar.on_stage_start(f"scoring {NAMES[1]} [red]", 2)
    bar.on_progress(f"scoring {NAMES[1]} [red]", 1, f"[bold]{NAMES[2]}")
    bar.on_stage_end(f"scoring {NAMES[1]} [red]")
    assert "[red]" in stream.getvalue()
    assert not OBEYED.search(stream.getvalue())


def test_fault_69_printable_text_is_as_it_is():
    assert printable("kätze 猫 👍") == "kätze 猫 👍"
    assert printable("a\x1b[2Jb\nc\u202e\x9b") == "a\\x1b[2Jb\\nc\\u202e\\x9b"


# --- places ----------------------------------------------------------------------------------


@pytest.fixture
def unreadable(tmp_path):
    """Data that are refused once they are read: what is refused with them was not computed."""
    for name in ("cat", "dog"):
        (tmp_path / "bad" / name).mkdir(parents=True)
        (tmp_path / "bad" / name / "a.png").write_bytes(b"no picture")
    return f"folder:{tmp_path / 'bad'}"


@pytest.mark.parametrize("place", ["nowhere/a.{}", "/proc/a.{}", "folder.{}"])
def test_fault_11_a_file_that_cannot_be_written_is_refused_before_computing(
    place, unreadable, finished, tmp_path, monkeypatch, capfd
):
    monkeypatch.chdir(tmp_path)
    for ending in ("csv", "html"):
        (tmp_path / f"folder.{ending}").mkdir()
    for command, ending in (
        (["label", str(finished), unreadable, "--out"], "csv"),
        (["info", unreadable, "--report"], "html"),
    ):
        assert main([*command, place.format(ending)]) == 5
        err = capfd.readouterr().err
        assert len(err.splitlines()) == 3
        assert "hint: " in err
    page = place.format("html")
    with pytest.raises(ResourceError):
        td.info(unreadable, report=page)
    with pytest.raises(ResourceError):
        td.report(page, unreadable)


def test_a_place_that_takes_a_file_is_left_as_it_was(tmp_path):
    disk.check_writable(tmp_path / "a.csv")
    assert not list(tmp_path.iterdir())


def test_a_working_directory_that_is_gone(server, data, finished, tmp_path):
    def run(*arguments):
        (tmp_path / "gone").mkdir()
        return server.run(*arguments, cwd=tmp_path / "gone", gone=True)

    score = words(SLOWER["score"], data)
    score[score.index("läuf")] = finished
    for command in (
        ["--help"],
        ["info", f"folder:{data}"],
        ["verify", finished],
        ["label", finished, f"folder:{data}"],
        [*score, "--out", tmp_path / "scores"],
    ):
        found = run(*command)
        assert found.code == 0, found
    for command, code in (
        (["verify", "run"], 5),
        (["info", "folder:photos"], 3),
        (["discover", f"folder:{data}", *FAST], 5),
        (["label", finished, f"folder:{data}", "--out", "a.csv"], 5),
    ):
        found = run(*command)
        assert found.code == code, found
        assert len(found.err.splitlines()) == 3


@pytest.mark.slow
def test_a_working_directory_that_is_gone_before_torch_is_imported(tmp_path):
    """MKL ends a process that has none."""
    (tmp_path / "gone").mkdir()
    program = f"cd '{tmp_path}/gone'; rmdir ../gone; {sys.executable} -m taskdiscovery doctor"
    done = subprocess.run(program, shell=True, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
