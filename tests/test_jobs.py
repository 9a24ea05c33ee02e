"""Whole jobs: scores, splits, run directories, and the command line as a user meets it."""

import json
import logging
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

import taskdiscovery as td
from taskdiscovery import data, scoring
from taskdiscovery.cli import main
from taskdiscovery.config import ScoreConfig, SplitConfig, from_mapping
from taskdiscovery.data import partition
from taskdiscovery.data.readers import shapes
from taskdiscovery.discovery import DiscoverConfig
from taskdiscovery.errors import ConfigError, DataError, ResourceError, RunDirError
from taskdiscovery.executors import resolve_training, workbench
from taskdiscovery.jobs.inputs import tasks_of_run
from taskdiscovery.jobs.sink import next_run
from taskdiscovery.runtime.callbacks import Callbacks
from taskdiscovery.scoring import random_like
from taskdiscovery.splits import splitting
from taskdiscovery.store import Run
from taskdiscovery.store.journal import Journal
from taskdiscovery.types import TEST, TRAIN, WITHIN, Labeling

SPLIT_NAME = "label-0-1-2-3-4"
SPLIT_PLACE = f"splits/{SPLIT_NAME}"
FAST = ["--learner", "convnet?width=0.25", "--threads", "1", "--batch", "64"]
DISCOVER = [*FAST, "--tasks", "3", "--iterations", "2", "--epochs", "6", "--encoder-epochs", "6"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run on digits, with scores and a split."""
    place = tmp_path_factory.mktemp("runs") / "one"
    assert main(["discover", "digits", "--out", str(place), *DISCOVER]) == 0
    source = ["--from", str(place), "--preset", "smoke", *FAST]
    assert main(["score", "digits", "--runs", "3", *source]) == 0
    assert main(["split", "digits", "--target", "label:0,1,2,3,4", "--runs", "2", *source]) == 0
    return place


def test_a_run_directory_holds_what_is_promised(run):
    names = {p.name for p in run.iterdir()}
    assert names >= {
        "config.yaml",
        "environment.json",
        "metrics.jsonl",
        "status.json",
        "result.json",
        "encoder.safetensors",
        "tasks.parquet",
        "coordinates.parquet",
        "scores",
        "splits",
    }
    assert not [n for n in names if n.endswith(".tmp")]
    tasks = pd.read_parquet(run / "tasks.parquet")
    assert tasks.columns.tolist() == ["image_id", "partition", "task_000", "task_001", "task_002"]
    assert tasks["task_000"].dtype == np.uint8
    assert set(tasks["partition"]) == {"train", "test"}
    assert json.loads((run / "status.json").read_text())["state"] == "done"
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["precision"] in ("bf16", "float32")  # decided, no longer auto
    assert config["threads"] == 1
    result = json.loads((run / "result.json").read_text())
    assert set(result) >= {
        "method",
        "learner",
        "tasks",
        "similarity",
        "seconds",
        "scores",
        "splits",
    }
    assert set(result["tasks"][0]) >= {"name", "crossfit_correlation", "rate"}
    assert set(result["similarity"]) == {"mean", "max"}


def test_scores_have_their_references_and_intervals(run):
    scores = pd.read_parquet(run / "scores" / "tasks" / "scores.parquet").set_index("task")
    assert scores.index.tolist() == [
        "task_000",
        "task_001",
        "task_002",
        "label:0,1,2,3,4",
        "random",
    ]
    assert (scores["low"] <= scores["agreement"]).all()
    assert (scores["agreement"] <= scores["high"]).all()
    assert scores.loc["task_000", "agreement"] > scores.loc["random", "agreement"] + 0.1
    assert scores.loc["random", "accuracy"] == pytest.approx(0.5, abs=0.12)
    per_image = pd.read_parquet(run / "scores" / "tasks" / "per_image.parquet")
    tested = per_image["task_000"].notna().to_numpy()
    tasks = pd.read_parquet(run / "tasks.parquet")
    assert (tasks["partition"][tested] == "test").all()
    assert per_image["task_000"][tested].mean() == pytest.approx(
        scores.loc["task_000", "agreement"]
    )


def test_a_split_is_a_partition_and_is_measured_on_what_nothing_has_seen(run):
    meta = pd.read_csv(run / SPLIT_PLACE / "metadata.csv")
    assert meta.columns.tolist() == ["img_filename", "y", "split", "place"]
    indices = json.loads((run / SPLIT_PLACE / "indices.json").read_text())
    together = sorted(i for rows in indices.values() for i in rows)
    assert together == list(range(1797))
    [(trained, tested)] = td.open_run(run).split.cv()
    assert (trained.tolist(), tested.tolist()) == (indices["train"], indices["test"])
    train, test = meta[meta["split"] != TEST], meta[meta["split"] == TEST]
    orientation = json.loads((run / "result.json").read_text())["splits"][SPLIT_NAME]["orientation"]
    same = (train["y"] == train["place"]).all() and (test["y"] != test["place"]).all()
    opposite = (train["y"] != train["place"]).all() and (test["y"] == test["place"]).all()
    assert same if orientation == "same" else opposite
    accuracy = json.loads((run / "result.json").read_text())["splits"][SPLIT_NAME]["accuracy"]
    assert set(accuracy) == {"adversarial", "random", "within", "untrained", "hard", "kmeans"}
    assert accuracy["adversarial"]["mean"] < accuracy["random"]["mean"]


def test_label_gives_other_images_the_same_labels(run, digits, tmp_path, capsys):
    out = tmp_path / "labels.csv"
    assert main(["label", str(run), "digits", "--out", str(out)]) == 0
    again = pd.read_csv(out, dtype={"image_id": str})
    tasks = pd.read_parquet(run / "tasks.parquet")
    assert (again["task_001"].to_numpy() == tasks["task_001"].to_numpy()).all()
    few = data.from_arrays(digits.images[5:8], ids=["a", "b", "c"])
    assert (td.label(run, few).labels_ND == tasks.iloc[5:8, 2:].to_numpy()).all()
    with pytest.raises(DataError, match="takes images of shape"):
        td.label(run, data.from_arrays(np.random.default_rng(0).random((3, 9, 9))))


def test_what_discovery_saw_is_never_scored_wherever_it_turns_up(run, digits):
    """Other data with other ids that holds half of the images that discovery saw."""
    tasks = pd.read_parquet(run / "tasks.parquet")
    seen = np.flatnonzero((tasks["partition"] == "train").to_numpy())[:300]
    noise = np.random.default_rng(0).integers(0, 256, (200, 8, 8, 1), dtype=np.uint8)
    mixed = data.from_arrays(np.concatenate([noise, digits.images[seen]]))
    found = tasks_of_run(Run.open(run), mixed, {})
    assert found.seen_N[200:].all()
    assert not found.seen_N[:200].all()


def test_python_and_command_line_are_twins(run, digits, tmp_path):
    options = {"learner": "convnet?width=0.25", "threads": 1, "batch": 64, "tasks": 3}
    options |= {"method": td.Power(iterations=2), "epochs": 6, "encoder_epochs": 6}
    found = td.discover(digits, out=tmp_path / "two", **options)
    for name in ("tasks.parquet", "coordinates.parquet", "encoder.safetensors"):
        assert (tmp_path / "two" / name).read_bytes() == (run / name).read_bytes()
    assert found.tasks.names == ("task_000", "task_001", "task_002")
    with pytest.raises(ConfigError, match="unknown key 'taks'"):
        from_mapping(DiscoverConfig, {"taks": 3}, "discover")
    with pytest.raises(TypeError, match="'taks'"):
        td.discover(digits, taks=3)


CHEAP = ScoreConfig(preset="smoke", learner="linear", threads=1, epochs=1)


def scored(dataset, labelings, config):
    """Score these labelings and no others."""
    config = resolve_training(config, dataset, config.runs * len(labelings))
    view, learner = scoring.view_of(dataset, config, None), config.learner_of()
    with workbench(dataset, config, learner, view.fit, Journal(), Callbacks()) as bench:
        return list(scoring.score(bench, labelings, config, view))


def split(dataset, target, tasks, config):
    """Split along one of these tasks, in which nothing was discovered."""
    config = resolve_training(config, dataset, splitting.trainings(config))
    seen_N, learner = partition.draw(len(dataset), config.seed), config.learner_of()
    rows = np.flatnonzero(seen_N)
    with workbench(dataset, config, learner, rows, Journal(), Callbacks()) as bench:
        return splitting.split(bench, target, tasks, config, seen_N)


def test_a_score_trains_on_train_and_measures_on_test_only(digits):
    """Spoilt test labels change nothing but the accuracy; spoilt test images change the score."""
    target = digits.target("label:0,1,2,3,4")
    train = partition.draw(len(digits), 0)
    (a,) = scored(digits, [target], CHEAP)
    assert not train[a.rows_n].any()
    flipped = np.where(train, target.labels_N, 1 - target.labels_N)
    (b,) = scored(digits, [replace(target, labels_N=flipped)], CHEAP)
    assert b.agreement == a.agreement
    assert b.accuracy == pytest.approx(1 - a.accuracy)


def test_what_varies_between_runs(digits):
    target = digits.target("label:0,1,2,3,4")
    scores = {
        vary: scored(digits, [target], replace(CHEAP, vary=vary, batch=64))[0].agreement
        for vary in ("init", "order", "init,order", "data")
    }
    (shared,) = scored(digits, [target], replace(CHEAP, vary="order", shared_order=True))
    assert shared.agreement == 1.0  # nothing differs
    assert all(value < 1.0 for value in scores.values())
    with pytest.raises(ConfigError, match="seeds"):
        replace(CHEAP, vary="seeds")


def test_random_labels_keep_the_rates(digits):
    target = digits.target("label")
    other = random_like(target, 0)
    assert np.bincount(other.labels_N).tolist() == np.bincount(target.labels_N).tolist()
    assert (other.labels_N != target.labels_N).mean() > 0.8


def test_a_target_from_a_file_has_random_labels_alone_beside_it(digits, tmp_path, capfd):
    table = pd.DataFrame({"image_id": digits.ids, "low": digits.labels < 5})
    table.to_csv(tmp_path / "t.csv", index=False)
    file = f"{tmp_path / 't.csv'}:low"
    rows = {}
    for how in ("--target", "--from"):
        score = ["score", "digits", how, file, "--preset", "smoke", "--learner", "linear"]
        assert main([*score, "--threads", "1", "--epochs", "1", "--format", "json"]) == 0
        rows[how] = [row["task"] for row in json.loads(capfd.readouterr().out)]
    assert rows == {"--target": ["low", "random"], "--from": ["low", "label:0,1,2,3,4", "random"]}


def test_images_without_a_class_take_no_part(digits):
    target = digits.target("label:0,1")
    labels = target.labels_N.copy()
    labels[::3] = -1
    (found,) = scored(digits, [replace(target, labels_N=labels)], CHEAP)
    assert (labels[found.rows_n] >= 0).all()


def test_fault_33_extreme_imbalance_is_a_warning(digits, caplog):
    labels = np.zeros(1797, dtype=np.int64)
    labels[::40] = 1
    target = Labeling(name="rare", classes=("a", "b"), labels_N=labels, ids_N=digits.ids)
    (found,) = scored(digits, [target], replace(CHEAP, epochs=20, batch=64))
    assert "look at kappa" in caplog.text
    assert found.agreement > 0.9
    assert found.kappa is None or found.kappa < 0.6


def planted():
    """Shapes whose background nearly gives the class away."""
    return shapes.draw(1200, size=12, shortcut="background_hue", strength=0.5)


def binary(name, labels, dataset, coordinate=None):
    coordinates = None if coordinate is None else coordinate[:, None]
    return Labeling(
        name=name,
        classes=("0", "1"),
        labels_N=labels,
        ids_N=dataset.ids,
        coordinates_NC=coordinates,
    )


def hue_cut(dataset):
    hue = dataset.attributes["background_hue"].isin(["orange", "green"]).to_numpy()
    return binary("warm", hue.astype(np.int64), dataset)


SPLIT = SplitConfig(preset="smoke", learner="mlp?width=0.2", threads=1, epochs=8, batch=64, runs=2)


def test_a_split_along_a_colour_breaks_a_network_that_sees_colour_first():
    dataset = planted()
    target = dataset.target("label:disc,square")
    result = split(dataset, target, [hue_cut(dataset)], replace(SPLIT, orientation="same"))
    accuracy = result.accuracy
    assert accuracy["adversarial"].high < accuracy["random"].low
    assert accuracy["adversarial"].mean < 0.3
    assert accuracy["within"].mean > 0.8


@pytest.mark.parametrize("spec", ["label", "label:disc,square"])
def test_a_class_balanced_split_halves_every_class(spec):
    dataset = planted()
    target = dataset.target(spec)
    coordinate = dataset.images[:, 0, 0, 0].astype(float) + np.linspace(0, 0.5, 1200)
    cut = binary("red", (coordinate > 120).astype(np.int64), dataset, coordinate)
    config = replace(SPLIT, orientation="same", class_balanced=True, epochs=1)
    result = split(dataset, target, [cut], config)
    for c in range(target.k):
        share = (result.role_N[target.labels_N == c] == TEST).mean()
        assert share == pytest.approx(0.5, abs=0.01)


def test_controls_have_the_size_and_the_class_counts_of_the_split(monkeypatch):
    from taskdiscovery.training import Training

    dataset, seen = planted(), []
    target = dataset.target("label")

    def spy(self, images, **_):
        fit, measured = self.rows, self.measured
        answers = torch.eye(4)[torch.from_numpy(target.labels_N[measured])]
        if self.learner.recipe.epochs != SPLIT.epochs or train[measured].any():
            return answers  # a short training that chooses, or one that asks images their loss
        seen.append((np.bincount(self.targets, minlength=4), target.labels_N[measured]))
        assert train[fit].all()
        assert not train[measured].any()
        return answers

    monkeypatch.setattr(Training, "run", spy)
    train = partition.draw(len(dataset), 0)
    config = replace(SPLIT, orientation="same", class_balanced=False)
    result = split(dataset, target, [hue_cut(dataset)], config)
    assert len(seen) == 5 * 2
    # Test images come last: before them `within`, and of the random split those of the split.
    tested = min(len(measured) for _, measured in seen)
    for fit, measured in seen:
        assert (fit == seen[0][0]).all()
        assert sorted(measured[-tested:]) == sorted(seen[0][1][-tested:])
    role = result.role_N
    side = ((role == TRAIN) | (role == WITHIN)).sum()
    assert (role == WITHIN).sum() == pytest.approx(0.2 * side, abs=2)


def test_fault_34_copies_across_the_sides_are_counted(caplog):
    dataset = planted()
    twice = replace(dataset, images=np.concatenate([dataset.images[:600]] * 2))
    hue = np.repeat([0, 1], 600)
    config = replace(SPLIT, orientation="same", epochs=1)
    target = dataset.target("label:disc,square")
    result = split(twice, target, [binary("half", hue, twice)], config)
    assert result.numbers["duplicates_across"] > 50
    assert "exact copies" in caplog.text


def test_fault_55_options_that_do_not_go_together():
    dataset = planted()
    config = replace(SPLIT, class_balanced=True)
    with pytest.raises(ConfigError, match="no coordinate to cut within classes"):
        split(dataset, dataset.target("label"), [hue_cut(dataset)], config)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["scroe"], 2, "'score'"),
        (["score", "digits"], 2, "--target"),
        (["score", "digits", "--target", "label:99"], 2, "no class '99'"),
        (["score", "digits", "--target", "label", "--learner", "convnett"], 2, "'convnet'"),
        (["score", "digits", "--target", "label", "--presett", "quick"], 2, "--preset"),
        (["score", "digits", "--target", "label", "--runs", "1"], 2, "give a value from 2"),
        (["score", "digits", "--target", "label", "--from", "x"], 2, "one of the two"),
        (["discover", "digits", "--method", "pover"], 2, "'power'"),
        (["discover", "digits", "--exclude", "colur"], 2, "'colour'"),
        (["discover", "digits", "--tasks", "1000"], 3, "too few"),
        (["discover", "folder:/no/such"], 3, "no such folder"),
        (["discover", "parquet:/no/such"], 3, "no such file"),
        (["discover", "digits", "--config", "/no/such.yaml"], 2, "cannot be read"),
        (["discover"], 2, "no DATA"),
        (["split", "digits", "--target", "label"], 2, "--from"),
        (["split", "digits", "--target", "label", "--from", "."], 4, "not a run directory"),
        (["report", "/no/such"], 4, "not a run directory"),
        (["label", "/no/such", "digits"], 4, "not a run directory"),
    ],
)
def test_mistakes_get_three_lines_and_their_exit_code(
    arguments, code, words, capfd, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == code
    captured = capfd.readouterr()
    assert words in captured.err
    assert len(captured.err.strip().splitlines()) <= 3
    assert "Traceback" not in captured.err
    assert captured.out == ""
    assert not list(tmp_path.rglob("*")), "something was left behind"


def test_fault_53_and_54_config_files(tmp_path, capfd):
    file = tmp_path / "c.yaml"
    for text, words in (
        ("taks: 3", "unknown key 'taks'"),
        ("tasks: three", "tasks must be a whole number"),
        ("tasks: true", "tasks must be a whole number"),
        ("objects: 3", "unknown key 'objects'"),
        ("method: []", "method cannot be []"),
        ("- a", "no mapping"),
        ("!!python/object/apply:os.system ['true']", "cannot be read"),
    ):
        file.write_text(text)
        assert main(["discover", "digits", "--config", str(file)]) == 2
        assert words in capfd.readouterr().err


def test_options_of_another_method_are_named(tmp_path, capfd, caplog):
    small = ["--tasks", "2", "--train-images", "200", "--learner", "linear", "--device", "cpu"]
    small = ["discover", "digits", "--method", "spectral", *small, "--out"]
    assert main([*small, str(tmp_path / "a"), "--start", "pixels"]) == 0
    assert "without effect" not in capfd.readouterr().err
    others = ["--average", "2", "--inner-steps", "5"]
    assert main([*small, str(tmp_path / "b"), *others]) == 0
    told = "--average, --inner-steps: without effect with --method spectral"
    assert capfd.readouterr().err.count(told) == 1
    logging.getLogger("taskdiscovery").propagate = True
    values = {"method": "spectral", "inner_steps": 5, "average": 2}
    from_mapping(DiscoverConfig, values, "discover")
    assert "--inner-steps, --average: without effect with --method spectral" in caplog.text


def test_config_files_and_options_merge(tmp_path, capfd):
    file = tmp_path / "c.yaml"
    file.write_text("data: digits\ntasks: 5\n")
    assert main(["discover", "--config", str(file), "--seed", "7", "--print-config"]) == 0
    printed = yaml.safe_load(capfd.readouterr().out)
    assert (printed["data"], printed["tasks"], printed["seed"]) == ("digits", 5, 7)


def test_an_output_directory_that_is_taken_is_refused(tmp_path, capfd):
    (tmp_path / "x").write_text("mine")
    assert main(["discover", "digits", "--out", str(tmp_path)]) == 4
    assert "not empty" in capfd.readouterr().err
    with pytest.raises(RunDirError):
        td.discover("digits", out=tmp_path / "x")


def test_fault_13_and_14_a_second_process_is_refused_and_a_dead_one_leaves_no_lock(run):
    hold = (
        "import sys, time; from pathlib import Path\n"
        "from taskdiscovery.store import Run\n"
        "run = Run.open(Path(sys.argv[1]), write=True)\n"
        "print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", hold, str(run)], stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(RunDirError, match=f"process {other.pid}"):
            Run.open(run, write=True)
        other.kill()
        other.wait()
        with Run.open(run, write=True):
            pass


def test_fault_57_a_newer_format_is_left_alone(tmp_path):
    (tmp_path / "config.yaml").write_text("format: 99\ncommand: discover\n")
    with pytest.raises(RunDirError, match="newer"):
        td.label(tmp_path, "digits")


def test_fault_12_output_that_cannot_be_written(run):
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    command = [sys.executable, "-m", "taskdiscovery", "info", "digits", "--format", "json"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 5
    assert b"Traceback" not in done.stderr
    piped = subprocess.run(
        f"{sys.executable} -m taskdiscovery label {run} digits | head -1",
        shell=True,
        capture_output=True,
    )
    assert piped.stderr == b""
    assert piped.stdout.startswith(b"image_id,")


def test_writing_is_whole_or_not_at_all(tmp_path):
    from taskdiscovery.store import atomic

    place = tmp_path / "file"
    place.write_text("old")
    with pytest.raises(ZeroDivisionError), atomic(place) as stream:  # noqa: PT012
        stream.write(b"half")
        raise ZeroDivisionError
    assert place.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]
    with pytest.raises(ResourceError), atomic(tmp_path / "no" / "such"):
        pass


def test_jobs_name_the_next_free_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert next_run("discover", "convnet?width=1") == Path("runs/discover-convnet-width-1-1")
    Path("runs/discover-convnet-1").mkdir(parents=True)
    assert next_run("discover", "convnet") == Path("runs/discover-convnet-2")


def test_score_prints_json_with_the_promised_keys(capfd):
    arguments = ["score", "digits", "--target", "label", "--preset", "smoke", "--format", "json"]
    assert main([*arguments, *FAST]) == 0
    rows = json.loads(capfd.readouterr().out)
    assert [row["task"] for row in rows] == ["label", "random"]
    keys = [
        "task",
        "learner",
        "preset",
        "runs",
        "agreement",
        "low",
        "high",
        "kappa",
        "rate",
        "accuracy",
    ]
    assert set(keys) <= set(rows[0])
    assert rows[0]["accuracy"] > rows[1]["accuracy"]
