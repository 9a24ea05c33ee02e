"""Numbers of jobs in other tools, read back from what these have written, without any network."""

import json
import logging
import time

import numpy as np
import pytest

import taskdiscovery as td
from taskdiscovery.cli.main import main
from taskdiscovery.loggers import KINDS, Logger
from taskdiscovery.loggers.flat import numbers_of, plain
from taskdiscovery.loggers.tracker import Tool, Tracker
from taskdiscovery.runtime.callbacks import JobInfo

BRIEF = {"learner": "linear", "threads": 1, "batch": 64, "epochs": 1}
TWO = td.Power(iterations=2)


@pytest.fixture(scope="module")
def few(digits):
    return td.load(digits.images[:200], labels=digits.labels[:200])


@pytest.fixture
def told(few, tmp_path, monkeypatch):
    """Return what does a discovery and a split with a logger, in a place of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    def do(spec):
        kept = [td.logger(spec)]
        found = td.discover(few, tasks=2, method=TWO, **BRIEF, out="photos", callbacks=kept)
        options = {**BRIEF, "preset": "smoke", "controls": ("random",), "runs": 2}
        split = td.split(few, few.labels % 2, found.tasks, **options, callbacks=kept)
        return found, split

    return do


def lines(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_lines_tell_a_job_from_its_options_to_its_end(told, few, tmp_path):
    found, split = told("jsonl:logs/all.jsonl")
    rows = lines(tmp_path / "logs" / "all.jsonl")
    own = [row for row in rows if row["command"] == "discover"]
    assert [row["event"] for row in own] == ["start", "iteration", "iteration", "result", "end"]
    assert own[0]["config"]["learner"] == "linear"
    assert own[0]["run"].endswith("photos")
    assert [row["correlation"] for row in own[1:3]] == [
        row["correlation"] for row in found.numbers["iterations"]
    ]
    result = next(r for r in rows if r["command"] == "split" and r["event"] == "result")
    assert result["accuracy"]["adversarial"]["mean"] == split.accuracy["adversarial"].mean
    assert rows[-1]["state"] == "done"
    kept = td.logger("jsonl:evidence.jsonl")
    td.analyze(few, found, images=100, probe_images=10, threads=1, callbacks=kept)
    own = lines(tmp_path / "evidence.jsonl")
    assert [row["event"] for row in own] == ["start", "result", "end"]
    assert [task["name"] for task in own[1]["tasks"]] == list(found.tasks.names)
    options = {**BRIEF, "preset": "smoke", "callbacks": td.logger("jsonl:scores.jsonl")}
    scores = td.score(few, few.labels % 2, **options)
    own = [r for r in lines(tmp_path / "scores.jsonl") if r["event"] == "score"]
    assert [row["agreement"] for row in own] == [score.agreement for score in scores]
    assert own[0]["accuracies"] == list(scores[0].accuracies)


def test_tensorboard_reads_its_event_files(told, tmp_path):
    pytest.importorskip("tensorboard", reason="TensorBoard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found, split = told("tensorboard")
    read = EventAccumulator(str(tmp_path / "tensorboard" / "photos" / "discover")).Reload()
    rows = found.numbers["iterations"]
    events = read.Scalars("discover/correlation")
    assert [event.step for event in events] == [1, 2]
    assert [e.value for e in events] == pytest.approx([r["correlation"] for r in rows], abs=1e-6)
    read = EventAccumulator(str(tmp_path / "tensorboard" / "split-1")).Reload()
    value = read.Scalars("split/accuracy/adversarial/mean")[0].value
    assert value == pytest.approx(split.accuracy["adversarial"].mean, abs=1e-6)
    assert {"options/text_summary", "result/text_summary"} <= set(read.Tags()["tensors"])


def records_of(content):
    """Yield the records of a .wandb file: LevelDB's log, in blocks of 32 KiB, after seven bytes."""
    assert content[:4] == b":W&B"
    at, whole = 7, b""
    while at + 7 <= len(content):
        if 32768 - at % 32768 < 7:  # too little of a block is left for a record
            at += 32768 - at % 32768
            continue
        length, kind = int.from_bytes(content[at + 4 : at + 6], "little"), content[at + 6]
        whole += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or its last part
            yield whole
            whole = b""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_wandb_keeps_a_run_on_disk_where_there_is_no_network(told, tmp_path):
    pytest.importorskip("wandb", reason="wandb is not installed")
    from wandb.proto import wandb_internal_pb2

    found, split = told("wandb:photographs")
    files = sorted(tmp_path.glob("wandb/offline-run-*/run-*.wandb"))
    assert len(files) == 2
    kept = {}
    for file in files:
        records, until = [], time.monotonic() + 30
        while "exit" not in [r.WhichOneof("record_type") for r in records]:
            assert time.monotonic() < until, "wandb's own process writes the file out in the end"
            time.sleep(0.1)
            read = wandb_internal_pb2.Record.FromString
            records = [read(content) for content in records_of(file.read_bytes())]
        run = next(r.run for r in records if r.WhichOneof("record_type") == "run")
        kept[run.job_type] = run, records
    run, records = kept["discover"]
    assert (run.project, run.display_name) == ("photographs", "photos/discover")
    assert run.run_group == str(tmp_path / "photos")
    config = {u.key: json.loads(u.value_json) for u in run.config.update}
    assert config["learner"] == "linear"
    history = [
        {i.key or i.nested_key[0]: json.loads(i.value_json) for i in r.history.item}
        for r in records
        if r.WhichOneof("record_type") == "history"
    ]
    values = [row["discover/correlation"] for row in history]
    assert values == [row["correlation"] for row in found.numbers["iterations"]]
    summary = {}
    for r in kept["split"][1]:
        if r.WhichOneof("record_type") == "summary":
            summary |= {u.key or u.nested_key[0]: u.value_json for u in r.summary.update}
    accuracy = json.loads(summary["split/accuracy/adversarial/mean"])
    assert accuracy == split.accuracy["adversarial"].mean


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_mlflow_keeps_runs_in_a_file_of_sqlite(told, tmp_path):
    pytest.importorskip("mlflow", reason="MLflow is not installed")
    from mlflow.tracking import MlflowClient

    found, split = told(f"mlflow:sqlite:///{tmp_path}/own.db")
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/own.db")
    experiment = client.get_experiment_by_name("taskdiscovery")
    runs = {r.data.tags["command"]: r for r in client.search_runs([experiment.experiment_id])}
    assert set(runs) == {"discover", "split"}
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    assert runs["discover"].info.run_name == "photos/discover"
    assert runs["discover"].data.params["learner"] == "linear"
    history = client.get_metric_history(runs["discover"].info.run_id, "discover/correlation")
    rows = found.numbers["iterations"]
    assert [(m.step, m.value) for m in history] == [
        (r["iteration"], r["correlation"]) for r in rows
    ]
    metrics = runs["split"].data.metrics
    assert metrics["split/accuracy/adversarial/mean"] == split.accuracy["adversarial"].mean


class Broken(Tracker):
    def __init__(self, job):
        self.closed = []

    def numbers(self, values, step):
        raise OSError("the disk is full")

    def result(self, values, words):
        raise AssertionError("it is asked no more")

    def close(self, state, reason):
        raise AssertionError("it is asked no more")


def test_a_tool_that_fails_is_told_of_once_and_the_job_goes_on(few, caplog):
    logger = Logger(Tool(name="broken", open=Broken))
    with caplog.at_level(logging.WARNING, "taskdiscovery"):
        found = td.discover(few, tasks=1, method=TWO, **BRIEF, callbacks=logger)
    assert len(found.numbers["iterations"]) == 2
    own = [r.getMessage() for r in caplog.records if "broken" in r.getMessage()]
    assert own == ["broken keeps nothing more of this job: the disk is full"]


def test_steps_that_an_earlier_sitting_told_of_are_not_told_again(tmp_path):
    logger = td.logger(f"jsonl:{tmp_path}/a.jsonl")
    job = JobInfo(command="discover", known_step=2)
    logger.on_job_start(job)
    for step in (2, 3):
        logger.on_outer_step({"step": step, "agreement": np.float32(0.5), "loss": float("nan")})
    logger.on_job_end(job, KeyboardInterrupt())
    rows = lines(tmp_path / "a.jsonl")
    assert [(r["event"], r.get("step")) for r in rows] == [
        ("start", None),
        ("outer_step", 3),
        ("end", None),
    ]
    assert rows[1]["loss"] is None
    assert rows[2]["state"] == "stopped"


def test_documents_become_numbers_under_names():
    document = {
        "rate": 0.5,
        "exact": True,
        "missing": None,
        "bad": float("inf"),
        "words": "x",
        "series": [1, 2, 3],
        "tasks": [{"name": "task_000", "rate": 0.4, "more": {"low": 1}}],
    }
    assert numbers_of(document, "discover") == {
        "discover/rate": 0.5,
        "discover/tasks/task_000/rate": 0.4,
        "discover/tasks/task_000/more/low": 1.0,
    }
    assert plain({"a": (np.float64("nan"), np.int64(3), np.arange(2))})["a"][:2] == [None, 3]


def test_results_become_numbers(found_audit):
    from taskdiscovery.loggers.flat import of_result
    from taskdiscovery.splits.benchmark import Baseline, Stressed

    numbers = numbers_of(of_result(found_audit), "audit")
    assert numbers["audit/verdict"] == 2
    assert numbers["audit/cues/label/codec/unique/low"] == 0.05
    row = Baseline(
        strength=0.9,
        learner="erm",
        runs=3,
        accuracy={"conflicting": td.Interval(mean=0.4, low=0.3, high=0.5)},
    )
    stressed = Stressed(benchmark=None, baselines=(row,))
    assert numbers_of(of_result(stressed), "stress") == {
        "stress/baselines/erm/0.90/runs": 3,
        "stress/baselines/erm/0.90/conflicting": 0.4,
    }


@pytest.fixture
def found_audit():
    cue = td.Cue(
        view="codec",
        kind="artefact",
        words="traces",
        target="label",
        class_name="0",
        present=True,
        unique=td.Interval(mean=0.1, low=0.05, high=0.2),
        unique_z=5.0,
        strength=2.0,
        ratio=1.0,
        skill=0.4,
        accuracy=0.9,
    )
    return td.Audit(
        verdict="FAIL",
        sentence="a cue",
        cues=(cue,),
        verdicts={"label": "FAIL"},
        classes={},
        looked_at=(),
        images=3,
        data="array",
        ids=np.arange(3).astype(str),
    )


def test_mistakes_are_said_before_anything_begins(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for words, found in (
        (["--log", "tensorbord"], "did you mean 'tensorboard'?"),
        (["--log", "jsonl:/proc/none/here.jsonl"], "/proc/none"),
    ):
        assert main(["score", "digits", "--target", "label", *words]) in (2, 5)
        assert found in capsys.readouterr().err
    monkeypatch.setattr("taskdiscovery.loggers.libraries.find_spec", lambda name: None)
    for kind in set(KINDS) - {"jsonl"}:
        with pytest.raises(td.ConfigError, match=rf"taskdiscovery\[{kind}\]"):
            td.logger(kind)
    assert list(tmp_path.iterdir()) == []


def test_the_command_line_keeps_a_job_too(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = "score shapes?n=120&size=8 --target label:0 --learner linear --preset smoke --quiet"
    assert main([*words.split(), "--threads", "1", "--log", "jsonl", "--log", "jsonl:b"]) == 0
    one, other = (lines(tmp_path / name) for name in ("taskdiscovery.jsonl", "b"))
    assert [row["event"] for row in one] == ["start", "score", "score", "end"]
    assert [row["event"] for row in other] == [row["event"] for row in one]
