"""Whole jobs, stopped anywhere and resumed: every file equals that of a job never stopped."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import taskdiscovery as td
from taskdiscovery.cli import main
from taskdiscovery.data.readers import shapes
from taskdiscovery.errors import DataError, RunDirError
from taskdiscovery.runtime import interrupts
from taskdiscovery.store import Checkpoints, Run
from taskdiscovery.store.journal import JournalWatch

NET = ["--learner", "convnet?width=0.1&augment=flip", "--threads", "1", "--batch", "128"]
DATA = "shapes?n=400&size=12"
JOBS = {
    "discover": ["discover", DATA, *NET, "--tasks", "2", "--iterations", "2", "--epochs", "3"],
    "score": ["score", DATA, *NET, "--preset", "smoke", "--runs", "3"],
    "split": ["split", DATA, *NET, "--target", "label:disc,cross", "--preset", "smoke"],
}
JOBS["discover"] += ["--encoder-epochs", "4"]
#: what may differ: times, the process, when it was resumed.
VOLATILE = {"status.json", "metrics.jsonl", "environment.json", ".lock", "manifest.json"}


def digests(run):
    """SHA-256 of every file that is compared, and the result without its times."""
    found = {
        str(p.relative_to(run)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in run.rglob("*")
        if p.is_file() and p.name not in VOLATILE | {"result.json"}
    }
    result = json.loads((run / "result.json").read_text())
    result.pop("seconds", None)
    return found | {"result.json": result}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Runs after each of the three jobs, never stopped."""
    place, states = tmp_path_factory.mktemp("never") / "run", {}
    for name, arguments in JOBS.items():
        where = ["--out", str(place)] if name == "discover" else ["--from", str(place)]
        assert main([*arguments, *where, "--quiet"]) == 0
        states[name] = shutil.copytree(place, place.with_name(name))
    return states


def stop_every(monkeypatch, steps, stops):
    """Let every process reach so many steps, then a signal comes; count how often."""
    real, left = JournalWatch.boundary, [steps]

    def boundary(self, state):
        left[0] -= 1
        if left[0] <= 0:
            left[0] = steps
            stops.append(self._key)
            interrupts.request(signal.SIGINT)
        real(self, state)

    monkeypatch.setattr(JournalWatch, "boundary", boundary)


@pytest.mark.parametrize("name", JOBS)
@pytest.mark.parametrize("steps", [1, 4, 7])
def test_stopped_and_resumed_equals_never_stopped(name, steps, finished, tmp_path, monkeypatch):
    place, stops = tmp_path / "run", []
    before = {"score": "discover", "split": "score"}.get(name)
    where = ["--out", str(place)]
    if before:
        shutil.copytree(finished[before], place)
        where = ["--from", str(place)]
    stop_every(monkeypatch, steps, stops)
    code = main([*JOBS[name], *where, "--quiet"])
    while code == 130:
        status = json.loads((place / "status.json").read_text())
        assert (status["state"], status["job"]["command"]) == ("stopped", name)
        if steps == 1 and len(stops) > 6:  # enough of it
            monkeypatch.undo()
        code = main(["resume", str(place), "--quiet"])
    assert code == 0
    assert len(stops) >= 2
    assert digests(place) == digests(finished[name])
    assert not (place / "checkpoints").exists()
    assert main(["verify", str(place)]) == 0
    events = [json.loads(line) for line in (place / "metrics.jsonl").read_text().splitlines()]
    keys = [(e.get("iteration"), e.get("task")) for e in events]
    assert len(set(keys)) == len(keys), "something was logged twice"


def stopped(place, monkeypatch, steps=5):
    with monkeypatch.context() as patch:
        stop_every(patch, steps, [])
        assert main([*JOBS["discover"], "--out", str(place), "--quiet"]) == 130


def test_a_stopped_job_says_how_to_go_on(tmp_path, monkeypatch, capfd):
    stopped(tmp_path / "run", monkeypatch)
    err = capfd.readouterr().err
    assert f"taskdiscovery resume {tmp_path / 'run'}" in err
    assert len(err.strip().splitlines()) <= 3
    assert main([*JOBS["discover"], "--out", str(tmp_path / "run")]) == 4
    assert "taskdiscovery resume" in capfd.readouterr().err


def test_fault_56_options_changed_meanwhile_are_refused_unless_free(tmp_path, monkeypatch, capfd):
    run = tmp_path / "run"
    stopped(run, monkeypatch)
    config = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(config.replace("seed: 0", "seed: 1"))
    assert main(["resume", str(run)]) == 4
    assert "seed: 0 to 1" in capfd.readouterr().err
    (run / "config.yaml").write_text(
        config.replace("checkpoint_every: 60.0", "checkpoint_every: 0")
    )
    assert main(["resume", str(run), "--quiet"]) == 0


def test_fault_47_data_changed_meanwhile_is_refused(tmp_path, monkeypatch, capfd):
    run = tmp_path / "run"
    stopped(run, monkeypatch)
    assert main(["resume", str(run), "--data", "shapes?n=400&size=12&seed=1"]) == 4
    assert "data has changed" in capfd.readouterr().err
    assert main(["resume", str(run), "--data", DATA, "--quiet"]) == 0


def test_fault_16_damaged_checkpoints(tmp_path, monkeypatch, capfd, finished):
    run = tmp_path / "run"
    stopped(run, monkeypatch, steps=9)
    places = sorted((run / "checkpoints").glob("0*"))
    assert len(places) == 2
    content = bytearray((places[1] / "arrays.safetensors").read_bytes())
    content[-1] ^= 1
    (places[1] / "arrays.safetensors").write_bytes(bytes(content))
    assert main(["verify", str(run)]) == 4
    assert f"resume uses {places[0].name}" in capfd.readouterr().out.replace("\n", " ")
    again = shutil.copytree(run, tmp_path / "again")
    assert main(["resume", str(run)]) == 0
    assert f"{places[1].name} is damaged" in capfd.readouterr().err
    assert digests(run) == digests(finished["discover"])
    (again / "checkpoints" / places[0].name / "state.json").write_text("{}")
    assert main(["resume", str(again)]) == 4
    assert "all 2 checkpoints are damaged" in capfd.readouterr().err


def test_fault_16_finished_work_that_is_damaged_is_done_again(
    tmp_path, monkeypatch, capfd, finished
):
    run = tmp_path / "run"
    stopped(run, monkeypatch, steps=9)
    segment = min((run / "checkpoints").glob("finished-*"))
    segment.write_bytes(segment.read_bytes()[:-1])
    assert main(["verify", str(run)]) == 4
    assert "resume does its work again" in capfd.readouterr().out.replace("\n", " ")
    assert main(["resume", str(run)]) == 0
    assert f"{segment.name} is damaged" in capfd.readouterr().err
    assert digests(run) == digests(finished["discover"])


def test_another_job_does_not_push_an_unfinished_one_aside(finished, tmp_path, monkeypatch, capfd):
    run = shutil.copytree(finished["discover"], tmp_path / "run")
    with monkeypatch.context() as patch:
        stop_every(patch, 9, [])
        assert main([*JOBS["score"], "--from", str(run), "--quiet"]) == 130
    capfd.readouterr()
    assert main([*JOBS["split"], "--from", str(run)]) == 4
    assert "an unfinished score" in capfd.readouterr().err
    assert main(["resume", str(run), "--quiet"]) == 0
    assert main([*JOBS["split"], "--from", str(run), "--quiet"]) == 0


@pytest.mark.parametrize("command", ["resume", "score", "split", "analyze", "report"])
def test_fault_13_a_busy_run_is_refused_before_torch_is_imported(command, finished, tmp_path):
    run = shutil.copytree(finished["discover"], tmp_path / "run")
    arguments = [*JOBS.get(command, [command]), *["--from"] * (command in JOBS), str(run)]
    program = (
        "import sys; from taskdiscovery.cli import main\n"
        "code = main(sys.argv[1:])\n"
        "sys.exit(f'{code} ' + '+'.join({'torch', 'pandas'} & set(sys.modules)))"
    )
    with Run.open(run, write=True) as busy:
        busy.status("running")
        before = digests(run)
        done = subprocess.run(
            [sys.executable, "-c", program, *arguments], capture_output=True, text=True
        )
    *complaint, last = done.stderr.strip().splitlines()
    assert f"process {os.getpid()}" in complaint[0]
    assert last.split() == ["4"]
    assert digests(run) == before


def test_fault_13_a_busy_run_is_refused_before_the_data_are_read(finished, tmp_path):
    """A specification that cannot be read would be exit 3."""
    run = shutil.copytree(finished["discover"], tmp_path / "run")
    with Run.open(run, write=True):
        for job in (
            lambda: td.score("npz:/none", str(run), out=run),
            lambda: td.split("npz:/none", "label", str(run), out=run),
            lambda: td.analyze("npz:/none", run, out=run),
        ):
            with pytest.raises(RunDirError, match="another process"):
                job()
    with pytest.raises(DataError):
        td.score("npz:/none", str(run), out=run)


def test_from_python_with_data_and_labelings_that_have_no_specification(tmp_path, monkeypatch):
    dataset = shapes.draw(300, size=12, name="mine")
    target = dataset.target("attr:background_hue")
    options = {"preset": "smoke", "learner": "linear", "threads": 1, "batch": 64}
    expected = td.score(dataset, target, out=tmp_path / "a", **options)
    with monkeypatch.context() as patch:
        stop_every(patch, 5, [])
        with pytest.raises(KeyboardInterrupt):
            td.score(dataset, target, out=tmp_path / "b", **options)
    interrupts.check()
    found = td.resume(tmp_path / "b", data=dataset, tasks=target)
    assert [s.agreement for s in found] == [s.agreement for s in expected]
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
    assert [s.agreement for s in td.resume(tmp_path / "b")] == [s.agreement for s in expected]
    with pytest.raises(RunDirError, match="not a run directory"):
        td.resume(tmp_path)


def test_a_signal_after_the_last_commit_leaves_the_run_done(tmp_path, monkeypatch, capfd):
    def stops(self):
        raise interrupts.Stopped(signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "remove_all", stops)
        command = ["discover", DATA, "--method", "spectral", "--learner", "linear", "--tasks", "2"]
        assert main([*command, "--out", str(tmp_path / "run"), "--quiet"]) == 143
    assert capfd.readouterr().err == "stopped by SIGTERM (it was asked to end)\n"
    assert Run.open(tmp_path / "run").state == "done"
    assert main(["resume", str(tmp_path / "run")]) == 0
    assert "nothing to resume" in capfd.readouterr().out


def test_what_failed_before_it_began_leaves_the_run_as_it_was(finished, tmp_path):
    run = shutil.copytree(finished["discover"], tmp_path / "run")
    table = pd.DataFrame({"t": np.zeros(400, dtype=int)})
    table.to_csv(tmp_path / "t.csv", index=False)
    before = (run / "status.json").read_bytes()
    bad = ["--from", str(run), "--class-balanced", "--target", f"{tmp_path / 't.csv'}:t"]
    assert main([*JOBS["split"][:8], "--preset", "smoke", *bad, "--quiet"]) == 3
    assert (run / "status.json").read_bytes() == before


@pytest.mark.parametrize("name", ["score", "split"])
@pytest.mark.parametrize("started_by", ["discover", "itself"])
def test_what_is_added_to_a_run_need_not_come_from_it(
    name, started_by, finished, tmp_path, monkeypatch
):
    """Tasks of a table, added to a run that has its own, or to one of an earlier such job."""
    table = pd.DataFrame({"t": np.arange(400) % 2})
    table.to_csv(tmp_path / "t.csv", index=False)
    job = [*JOBS[name], "--from", f"{tmp_path / 't.csv'}:t", "--quiet"]
    whole, part = tmp_path / "whole", tmp_path / "part"
    if started_by == "discover":
        shutil.copytree(finished["discover"], whole)
    else:
        assert main([*job, "--out", str(whole)]) == 0
    shutil.copytree(whole, part)
    job += ["--seed", "1", "--out"]
    assert main([*job, str(whole)]) == 0
    with monkeypatch.context() as patch:
        stop_every(patch, 5, [])
        assert main([*job, str(part)]) == 130
    moved = part.rename(tmp_path / "moved")
    assert main(["resume", str(moved), "--quiet"]) == 0
    assert digests(moved) == digests(whole)
