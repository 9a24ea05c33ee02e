"""`stress`: a benchmark of anyone's data by one call, and how learners fare on it."""

import hashlib
import shutil

import numpy as np
import pandas as pd
import pytest
import yaml

import taskdiscovery as td
from taskdiscovery.cli.main import main
from taskdiscovery.config import StressConfig
from taskdiscovery.config.stress import BASELINES
from taskdiscovery.runtime.callbacks import Callback
from taskdiscovery.splits import benchmark as bench
from taskdiscovery.splits.benchmark.baselines import _called
from taskdiscovery.store import Run
from taskdiscovery.training.robust import GRIDS, ROBUST

TARGET, TASK = "label:disc,square", "attr:size"
BRIEF = {"learner": "mlp?width=0.1", "epochs": 4, "batch": 64, "runs": 1, "device": "cpu"}
BRIEF |= {"precision": "float32", "threads": 1, "callbacks": ()}
WORDS = ("--target", TARGET, "--from", TASK, "--quiet")


@pytest.fixture(scope="module")
def shapes():
    return td.load("shapes?n=1200&size=8", callbacks=())


@pytest.fixture(scope="module")
def made(shapes, tmp_path_factory):
    """A benchmark with all baselines at two strengths, and its folder."""
    folder = tmp_path_factory.mktemp("stress") / "made"
    options = {**BRIEF, "strengths": (0.5, 1.0), "baselines": "all", "tune": False}
    return td.stress(shapes, TARGET, TASK, **options, out=folder), folder


def sums(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_options_name_the_learners_there_are():
    """All but the one that is ERM where classes are equally large."""
    assert {_called(name) for name in BASELINES} == set(ROBUST) - {"class reweighting"}


def test_the_folder_is_whole_and_has_the_table(made):
    found, folder = made
    numbers = bench.check(folder)
    assert numbers["strengths"] == [0.5, 1.0]
    assert (numbers["target"], numbers["task"]) == (found.target, found.task)
    table = pd.read_csv(folder / "baselines.csv", keep_default_na=False)
    assert list(zip(table["strength"], table["learner"], strict=True)) == [
        (strength, name) for strength in (0.5, 1.0) for name in BASELINES
    ]
    pd.testing.assert_frame_equal(
        table, found.to_frame(), check_dtype=False, check_exact=False, rtol=1e-12
    )
    for own in table.itertuples():
        assert own.agreeing_low <= own.agreeing <= own.agreeing_high
        mixed = own.strength * own.agreeing + (1 - own.strength) * own.conflicting
        assert own.mixed == pytest.approx(mixed)
        assert own.worst <= min(own.agreeing, own.conflicting) + 1e-12
        assert own.worst == min(own.worst_agreeing, own.worst_conflicting)
    card = (folder / "README.md").read_text()
    head = yaml.safe_load(card.split("---\n")[1])
    assert [own["config_name"] for own in head["configs"]] == ["strength-0.50", "strength-1.00"]
    for own in found.rows():
        assert f"| {own['strength']} | {own['learner']} | {own['agreeing']} |" in card
    assert "Learner `mlp?width=0.1`, 1 runs" in card


def test_what_goes_with_the_task_is_learnt_in_place_of_the_target(made):
    table = made[0].to_frame().set_index(["learner", "strength"])
    own = table.loc["erm"]
    assert own.loc[1.0, "conflicting"] < own.loc[0.5, "conflicting"] - 0.2
    assert own.loc[1.0, "agreeing"] > own.loc[0.5, "agreeing"] + 0.1
    assert own.loc[1.0, "worst"] < 0.5
    # Both groups of strength 1 are classes: weighing them alike is no other training.
    assert table.loc[("group-reweighting", 1.0), "conflicting"] == own.loc[1.0, "conflicting"]


def test_figures_are_those_of_a_plain_reference(made):
    """Accuracies by group, image by image, from predictions that are made up."""
    from taskdiscovery.splits.benchmark.baselines import _Work

    found = made[0].benchmark
    config = StressConfig(strengths=(0.5, 1.0), test_images=60)
    work = _Work(bench=None, benchmark=found, config=config, strength=0.5)
    rows = np.concatenate(list(work.tests.values()))
    assert len(rows) == 60
    predicted = np.random.default_rng(0).integers(0, 2, (3, 60))
    figures, worst = work._figures(predicted)
    right = {}
    for run in predicted:
        for row, answer in zip(rows.tolist(), run.tolist(), strict=True):
            label, task = int(found.target.labels_N[row]), int(found.task.labels_N[row])
            right.setdefault((label, task), []).append(answer == label)
    by_group = {
        f"{found.target.classes[a]} | {found.task.classes[b]}": np.mean(own)
        for (a, b), own in right.items()
    }
    assert worst == min(by_group, key=by_group.get)
    assert figures["worst"].mean == pytest.approx(by_group[worst])
    for agrees, name in ((True, "worst_agreeing"), (False, "worst_conflicting")):
        own = [np.mean(v) for (a, b), v in right.items() if (found.side_C[a] == b) == agrees]
        assert figures[name].mean == pytest.approx(min(own))
    agreeing = [own for (a, b), own in right.items() if found.side_C[a] == b]
    assert figures["agreeing"].mean == pytest.approx(np.mean(np.concatenate(agreeing)))


def test_the_same_seeds_give_the_same_bytes_and_the_command_does_as_the_verb(tmp_path):
    spec = "shapes?n=400&size=8"
    options = {**BRIEF, "epochs": 1, "strengths": (0.9,), "baselines": ("erm", "last-layer")}
    td.stress(spec, TARGET, TASK, **options, out=tmp_path / "a")
    words = ["--strengths", "0.9", "--baselines", "erm,last-layer", "--learner", "mlp?width=0.1"]
    words += ["--epochs", "1", "--batch", "64", "--runs", "1", "--precision", "float32"]
    words += ["--device", "cpu", "--threads", "1"]
    assert main(["stress", spec, *WORDS, *words, "--out", str(tmp_path / "b")]) == 0
    assert sums(tmp_path / "a") == sums(tmp_path / "b")
    assert "baselines.csv" in sums(tmp_path / "a")
    td.stress(spec, TARGET, TASK, **options, seed=1, out=tmp_path / "c")
    assert sums(tmp_path / "c")["baselines.csv"] != sums(tmp_path / "a")["baselines.csv"]


def test_baselines_are_added_to_the_same_benchmark_and_no_other(tmp_path, monkeypatch):
    spec, folder = "shapes?n=400&size=8", tmp_path / "later"
    options = {**BRIEF, "epochs": 1, "strengths": (0.9,)}
    tried = {**options, "baselines": ("erm",)}
    td.stress(spec, TARGET, TASK, **options, out=folder)
    before = sums(folder)
    with pytest.raises(td.DataError, match="other data, options or seed"):
        td.stress(spec, TARGET, TASK, **tried, seed=1, out=folder)
    assert sums(folder) == before
    td.stress(spec, TARGET, TASK, **tried, out=folder)
    td.stress(spec, TARGET, TASK, **tried, out=tmp_path / "once")
    assert sums(folder) == sums(tmp_path / "once")
    with pytest.raises(td.RunDirError, match="not empty"):
        td.stress(spec, TARGET, TASK, **tried, out=folder)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(td.ConfigError, match="one process"):
        td.stress(spec, TARGET, TASK, **options, out=tmp_path / "ranks")


class Stops(Callback):
    """Ends the job after so many checkpoints, as a full disk or a signal would."""

    def __init__(self, after):
        self.left = after

    def on_checkpoint(self, number):
        self.left -= 1
        if self.left < 0:
            raise RuntimeError("stopped")


def test_what_was_stopped_goes_on_to_the_same_bytes(tmp_path, monkeypatch):
    """By the same command or by `resume`, stopped between trainings or within one."""
    monkeypatch.setitem(GRIDS, "jtt", {"up": (100.0, 5.0)})
    spec = "shapes?n=400&size=8"
    options = {**BRIEF, "epochs": 2, "strengths": (0.9,), "runs": 1}
    options |= {"baselines": ("jtt", "erm", "last-layer"), "batch": 100, "validation": 0.3}
    td.stress(spec, TARGET, TASK, **options, out=tmp_path / "whole")
    stopped = tmp_path / "stopped"
    whole = sums(tmp_path / "whole")
    again = {**options, "checkpoint_every": 0.0}  # every step
    for after in (2, 7):
        again["callbacks"] = [Stops(after)]
        with pytest.raises(RuntimeError, match="stopped"):
            td.stress(spec, TARGET, TASK, **again, out=stopped)
        assert not (stopped / "baselines.csv").exists()
        bench.check(stopped)
    with pytest.raises(td.RunDirError, match=r"other options \(runs: 1 to 3\)"):
        td.stress(spec, TARGET, TASK, **{**again, "runs": 3}, out=stopped)
    with pytest.raises(RuntimeError, match="stopped"):
        td.stress(spec, TARGET, TASK, **{**again, "callbacks": [Stops(4)]}, out=stopped)
    copy = tmp_path / "copy"
    shutil.copytree(stopped, copy)
    (copy / "baselines.csv").write_text("a process that died while it")
    with (copy / "README.md").open("a") as card:
        card.write("\n## Baselines\n\nwrote its table")
    found = td.resume(stopped, callbacks=())
    assert [own.learner for own in found.baselines] == ["erm", "jtt", "last-layer"]
    assert sums(stopped) == whole
    td.stress(spec, TARGET, TASK, **{**options, "checkpoint_every": 0.0}, out=copy)
    assert sums(copy) == whole
    assert all(own.accuracy for own in found.baselines)


def test_finished_trainings_are_not_done_again(tmp_path, monkeypatch):
    from taskdiscovery.splits.benchmark import baselines as module

    spec, asked = "shapes?n=400&size=8", []
    options = {**BRIEF, "epochs": 1, "strengths": (0.9,), "runs": 2, "baselines": ("erm",)}
    with pytest.raises(RuntimeError, match="stopped"):
        td.stress(spec, TARGET, TASK, **{**options, "callbacks": [Stops(1)]}, out=tmp_path / "a")
    real = module.learner_named
    monkeypatch.setattr(module, "learner_named", lambda name: asked.append(name) or real(name))
    td.stress(spec, TARGET, TASK, **options, out=tmp_path / "a")
    assert asked == []  # both were done: the second checkpoint was the last
    td.stress(spec, TARGET, TASK, **options, out=tmp_path / "b")
    assert asked == ["erm", "erm"]
    assert sums(tmp_path / "a") == sums(tmp_path / "b")


def test_what_was_given_as_objects_is_given_again(shapes, tmp_path):
    target, task = shapes.target(TARGET), shapes.target(TASK)
    options = {**BRIEF, "epochs": 1, "strengths": (0.9,), "baselines": ("erm",)}
    td.stress(shapes, target, task, **options, out=tmp_path / "a")
    with pytest.raises(RuntimeError, match="stopped"):
        td.stress(shapes, target, task, **{**options, "callbacks": [Stops(0)]}, out=tmp_path / "b")
    with pytest.raises(td.RunDirError, match="given its tasks and target as objects"):
        td.resume(tmp_path / "b", data=shapes, callbacks=())
    other = shapes.target("label:disc,cross")
    with pytest.raises(td.DataError, match="other data, options or seed"):
        td.resume(tmp_path / "b", data=shapes, target=other, tasks=task, callbacks=())
    td.resume(tmp_path / "b", data=shapes, target=target, tasks=task, callbacks=())
    assert sums(tmp_path / "a") == sums(tmp_path / "b")


def test_a_link_in_a_benchmark_from_elsewhere_is_not_followed(tmp_path):
    spec, folder = "shapes?n=400&size=8", tmp_path / "made"
    options = {**BRIEF, "epochs": 1, "strengths": (0.9,)}
    td.stress(spec, TARGET, TASK, **options, out=folder)
    (tmp_path / "outside").mkdir()
    (folder / ".baselines").symlink_to(tmp_path / "outside")
    with pytest.raises(td.RunDirError, match="this is a link"):
        td.stress(spec, TARGET, TASK, **options, baselines=("erm",), out=folder)
    with pytest.raises(td.RunDirError, match="not a run directory"):
        td.resume(folder, callbacks=())
    assert not list((tmp_path / "outside").iterdir())


def test_commands_of_a_benchmark_whose_baselines_were_stopped(tmp_path, capsys):
    spec, folder = "shapes?n=400&size=8", tmp_path / "made"
    options = {**BRIEF, "epochs": 1, "strengths": (0.9,), "runs": 2, "baselines": ("erm",)}
    options["callbacks"] = [Stops(0)]
    for _ in range(2):
        with pytest.raises(RuntimeError, match="stopped"):
            td.stress(spec, TARGET, TASK, **options, out=folder)
        assert main(["verify", str(folder), "--quiet"]) == 0
        assert main(["discard", str(folder), "--all"]) == 0
        assert not (folder / ".baselines").exists()
    with pytest.raises(RuntimeError, match="stopped"):
        td.stress(spec, TARGET, TASK, **options, out=folder)
    with Run.open(folder / ".baselines", write=True):
        assert main(["resume", str(folder), "--quiet"]) == 4
    assert "another process" in capsys.readouterr().err
    assert main(["resume", str(folder), "--quiet"]) == 0
    assert f"stress is done, in {folder}" in capsys.readouterr().out
    assert main(["verify", str(folder), "--format", "json"]) == 0
    (folder / "baselines.csv").write_text("better")
    capsys.readouterr()
    assert main(["verify", str(folder)]) == 4
    told = capsys.readouterr()
    assert "baselines.csv: write the benchmark anew" in told.err
    assert "changed" in told.out


def test_neither_threads_nor_the_order_of_baselines_changes_a_byte(tmp_path):
    spec = "shapes?n=400&size=8"
    options = {**BRIEF, "epochs": 1, "strengths": (0.5, 0.9), "tune": False}
    first = {**options, "baselines": ("erm", "group-dro"), "threads": 1}
    other = {**options, "baselines": ("group-dro", "erm", "erm"), "threads": 1}
    made = [
        td.stress(spec, TARGET, TASK, **own, out=tmp_path / name)
        for name, own in (("a", first), ("b", other), ("c", {**options, "threads": 2}))
    ]
    assert sums(tmp_path / "a") == sums(tmp_path / "b")
    checksums = {own.numbers["checksum"] for own in made}
    assert checksums == {bench.check(tmp_path / "c")["checksum"]}
    parquet = {name: own for name, own in sums(tmp_path / "a").items() if "/" in name}
    assert parquet == {name: own for name, own in sums(tmp_path / "c").items() if "/" in name}


def test_without_baselines_nothing_is_trained(tmp_path, shapes, capsys):
    found = td.stress(shapes, TARGET, TASK, train_images=100, callbacks=())
    assert found.baselines == ()
    assert len(found.benchmark.train[1.0]) == 100
    folder = tmp_path / "made"
    words = ["stress", "shapes?n=400&size=8", *WORDS, "--strengths", "0.5,1", "--out", str(folder)]
    assert main(words) == 0
    told = capsys.readouterr().out
    assert str(folder) in told
    assert not (folder / "baselines.csv").exists()
    assert bench.check(folder)["strengths"] == [0.5, 1.0]
    assert main(words) != 0, "nothing is written over"


def test_settings_are_chosen_on_the_validation_part_alone(shapes, monkeypatch):
    from taskdiscovery.splits.benchmark import baselines as module

    asked = []

    def choose(name, problem, *more):
        asked.append((name, problem))
        return real(name, problem, *more)

    real = module.choose
    monkeypatch.setattr(module, "choose", choose)
    options = {**BRIEF, "epochs": 1, "strengths": (0.8,)}
    found = td.stress(shapes, TARGET, TASK, **options, baselines=("erm", "group-dro"))
    assert [name for name, _ in asked] == ["group dro"]
    held, measured = asked[0][1].held, asked[0][1].training.measured
    assert set(held.rows) <= set(found.benchmark.validation[0.8])
    assert not set(held.rows) & set(measured)
    erm, dro = found.baselines
    assert dro.settings.startswith("rate=")
    assert dro.chosen == "by the worst group of validation"
    assert dro.groups == "train, validation"
    assert (erm.settings, erm.chosen, erm.groups) == ("", "", "")
    plain = {**options, "tune": False, "baselines": ("group-dro", "jtt")}
    dro, jtt = td.stress(shapes, TARGET, TASK, **plain).baselines
    assert len(asked) == 1
    assert (dro.settings, dro.chosen, dro.groups) == ("rate=0.01", "published", "train")
    assert (jtt.settings, jtt.chosen, jtt.groups) == ("first=0.2 up=100", "published", "")


def test_what_cannot_be_tuned_is_trained_as_published(shapes, caplog):
    options = {**BRIEF, "epochs": 1, "strengths": (0.95,), "validation": 0.02}
    (own,) = td.stress(shapes, TARGET, TASK, **options, baselines=("group-dro",)).baselines
    assert own.accuracy
    assert (own.chosen, own.groups) == ("published", "train")
    assert "published settings: there are no validation images of" in caplog.text


@pytest.mark.parametrize(
    ("validation", "why"), [(0.02, "no validation images of "), (0.06, "two held-out images")]
)
def test_a_learner_that_cannot_be_trained_has_a_row_that_says_so(shapes, validation, why):
    """Of a group none, or one: too few for last layers; the others have their figures."""
    options = {**BRIEF, "epochs": 1, "strengths": (0.95,), "validation": validation}
    found = td.stress(shapes, TARGET, TASK, **options, baselines=("erm", "last-layer"))
    erm, last = found.baselines
    assert erm.accuracy
    assert not erm.failed
    assert (last.accuracy, last.runs) == ({}, 0)
    assert why in last.failed
    assert "failed" in found.rows()[0]


def test_of_several_tasks_the_first_is_taken_and_said(shapes, caplog):
    tasks = {"small": shapes.target("attr:size"), "other": shapes.target("label:disc,cross")}
    found = td.stress(shapes, TARGET, tasks, callbacks=())
    assert found.task == "small"
    assert "the first, small, is taken" in caplog.text


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"strengths": (0.4, 1.0)}, "strengths are 0.4, 1"),
        ({"strengths": ()}, "strengths are none"),
        ({"strengths": ("much",)}, "--strengths must be numbers"),
        ({"strengths": (float("nan"),)}, "--strengths must be numbers"),
        ({"strengths": 0.5}, "--strengths must be numbers"),
        ({"baselines": ("erm", "drro")}, "baselines cannot be 'drro'"),
        ({"learner": "ridge", "features": "lite0"}, "networks, which look at pixels"),
        ({"executor": "processes"}, "in this process"),
        ({"validation": 0.0}, "validation is 0.0"),
        ({"runs": 0}, "runs is 0"),
    ],
)
def test_what_cannot_be_is_refused(shapes, options, match):
    with pytest.raises(td.ConfigError, match=match):
        td.stress(shapes, TARGET, TASK, **options, callbacks=())


def test_what_is_missing_is_said(shapes, tmp_path, capsys):
    for target, tasks in (("", TASK), (TARGET, "")):
        with pytest.raises(td.ConfigError, match="needs a target and a task"):
            td.stress(shapes, target, tasks, callbacks=())
    with pytest.raises(td.ConfigError, match="untrained"):
        td.stress(shapes, TARGET, "untrained:convnet", callbacks=())
    with pytest.raises(td.ConfigError, match="4 classes"):
        td.stress(shapes, TARGET, "attr:position", callbacks=())
    assert main(["stress", "shapes?n=50&size=8", *WORDS]) != 0
    assert main(["stress", "--target", TARGET, "--out", str(tmp_path / "x"), "--quiet"]) != 0
    assert "no DATA is given" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
