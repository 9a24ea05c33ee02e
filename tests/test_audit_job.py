"""The job around an audit: its run, what it prints, its page, stopped and resumed, from strangers.

The engine is a stand-in that finds one mark, so that nothing is trained; the last tests, which take
seconds, have the real one.
"""

import csv
import importlib
import io
import json
import os
import shutil
import signal
import sys
import types
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

import audit_stand_in as stand_in
import taskdiscovery as td
from taskdiscovery.cli import main
from taskdiscovery.reporting import audit_page
from taskdiscovery.runtime import interrupts
from taskdiscovery.store import Run, manifest
from taskdiscovery.store.journal import JournalWatch

MARK = "corner-lower-right"
BRIEF = ["--quiet", "--threads", "1", "--learner", "linear"]
QUICK = {"threads": 1, "callbacks": (), "learner": "linear"}


def drawn(count=120, wrong=6, seed=0):
    """Draw grey noise of two classes; a mark goes with the second, but for some of each."""
    rng = np.random.default_rng(seed)
    images = rng.integers(60, 190, (count, 16, 16, 3), dtype=np.uint8)
    labels = np.arange(count) % 2
    has = labels.copy()
    has[: 2 * wrong] = 1 - has[: 2 * wrong]
    images[has == 1, -5:-1, -5:-1] = (250, 220, 30)
    return images, labels


@pytest.fixture(autouse=True)
def _engine(monkeypatch):
    stand_in.install(monkeypatch)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A file of images with the mark, and one without."""
    place = tmp_path_factory.mktemp("data")
    images, labels = drawn()
    names = np.array(["<script>alert(1)</script>", "dog"])
    np.savez(place / "marked.npz", images=images, labels=names[labels])
    plain, _ = drawn(wrong=30, seed=1)
    np.savez(place / "plain.npz", images=plain, labels=labels)
    return place


@pytest.fixture(scope="module")
def finished(place):
    """A finished run, which no test changes."""
    path = place / "finished"
    with pytest.MonkeyPatch.context() as patch:
        stand_in.install(patch)
        assert main(["audit", f"npz:{place / 'marked.npz'}", *BRIEF, "--out", str(path)]) == 0
    return path


@pytest.fixture
def run(finished, tmp_path):
    """A copy of it."""
    return shutil.copytree(finished, tmp_path / "run")


def rows_of(path):
    return list(csv.DictReader(io.StringIO(path.read_text("utf-8"))))


def test_a_run_holds_all_of_it_and_gives_it_back(run, capfd):
    assert {
        p.name for p in run.iterdir() if p.suffix in (".json", ".csv", ".html", ".parquet")
    } == {
        *("audit.json", "audit.html", "cues.csv", "targets.parquet"),
        *("environment.json", "manifest.json", "result.json", "status.json"),
    }
    names = {f"aligned-{MARK}.csv", f"conflict-{MARK}.csv", "split.csv"}
    assert {p.name for p in (run / "images").iterdir()} == names
    assert main(["verify", str(run)]) == 0
    assert len(Run.open(run).committed()) == 8
    found = td.open_run(run).audit
    assert (found.verdict, found.images, found.verdicts) == ("FAIL", 120, {"label": "FAIL"})
    cue = found.cues[0]
    assert cue.conflict_rows.tolist() == list(range(12))
    assert cue.aligned_rows.tolist() == list(range(119, 11, -1))  # the clearest first
    assert cue.follows.high == pytest.approx(0.66)
    assert cue.box == ((0.75, 0.75, 1.0, 1.0),)
    images, labels = drawn()
    data = td.load(images, labels=labels)
    again = td.audit(data, **QUICK)
    kept = [{**c.numbers, "class_name": "", "classes": ""} for c in found.cues]
    assert kept == [{**c.numbers, "class_name": "", "classes": ""} for c in again.cues]
    listed = rows_of(run / f"images/conflict-{MARK}.csv")
    assert listed[3] == {"image_id": "3", "row": "3"}
    cut = pd.read_csv(run / "images/split.csv", dtype=str)
    assert cut["split"].value_counts().to_dict() == {"train": 108, "test": 12}
    table = rows_of(run / "cues.csv")
    assert [row["view"] for row in table] == [stand_in.MARK, "colour"]
    assert table[0]["follows_low"] == "0.6"
    numbers = json.loads((run / "result.json").read_text())["audit"]
    assert numbers["verdict"] == "FAIL"
    assert numbers["cues"][0]["used"] is True


def test_what_is_printed(place, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    data = f"npz:{place / 'marked.npz'}"
    assert main(["audit", data, *BRIEF]) == 0
    text = capfd.readouterr().out
    assert text.startswith("FAIL: networks tell label by")
    assert "0.412 (0.382 to 0.442)" in text
    assert "not looked at: the files" in text
    assert "page: runs/audit-linear-1/audit.html" in text
    assert "--from runs/audit-linear-1/images/split.csv:label --learner linear\n" in text
    assert main(["audit", data, *BRIEF, "--format", "json"]) == 0
    document = json.loads(capfd.readouterr().out)
    assert document["run"] == "runs/audit-linear-2"
    assert document["cues"][0]["conflict_images"] == 12
    assert main(["audit", data, *BRIEF, "--format", "csv"]) == 0
    assert rows_of_text(capfd.readouterr().out)[0]["view"] == stand_in.MARK
    assert main(["show", "runs/audit-linear-1"]) == 0
    text = capfd.readouterr().out
    assert "FAIL: networks tell label" in text
    assert "cues (1)" in text
    assert "taskdiscovery audit npz:" in text


def rows_of_text(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_strict_ends_in_eight_where_it_fails_and_in_no_other_case(place, tmp_path, capfd):
    marked, plain = f"npz:{place / 'marked.npz'}", f"npz:{place / 'plain.npz'}"
    assert main(["audit", marked, *BRIEF, "--strict", "--out", str(tmp_path / "a")]) == 8
    said = capfd.readouterr()
    assert said.out.startswith("FAIL")
    assert said.err.count("\n") <= 3
    assert "--strict" in said.err
    assert Run.open(tmp_path / "a").state == "done"
    assert main(["audit", plain, *BRIEF, "--strict", "--out", str(tmp_path / "b")]) == 0
    assert "PASS: none of these 2 cues" in capfd.readouterr().out
    allowed = ["--strict", "--allow", stand_in.MARK, "--out", str(tmp_path / "c")]
    assert main(["audit", marked, *BRIEF, *allowed]) == 0
    assert "(allowed)" in capfd.readouterr().out
    assert not (tmp_path / "c/images/split.csv").exists()


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--target", ""], 2, "needs a target"),
        (["--other", "digits"], 2, "add --from RUN"),
        (["--learner", "ridge"], 2, "looks at features"),
        (["--allow", "colr"], 2, "did you mean 'colour'?"),
        (["--layout", "loose"], 2, "layout cannot be"),
        (["--target", "label:cat"], 2, "no class 'cat'"),
        (["--target", "attr:site"], 2, "no attribute"),
        (["--runs", "1"], 2, "from 2"),
        (["--from", "nowhere"], 2, "no run is called 'nowhere'"),
        (["--from", "."], 4, "not a run directory"),
    ],
)
def test_what_cannot_be_audited_is_refused_and_leaves_nothing(
    options, code, words, place, tmp_path, capfd
):
    path = tmp_path / "run"
    own = [word for word in BRIEF if word not in ("--learner", "linear")]
    data = f"npz:{place / 'marked.npz'}"
    assert main(["audit", data, *own, *options, "--out", str(path)]) == code
    said = capfd.readouterr().err
    assert words in said
    assert said.count("\n") <= 3
    assert not path.exists()


def test_a_run_of_its_own_and_images_are_needed(run, place, capfd):
    assert main(["audit", f"npz:{place / 'marked.npz'}", *BRIEF, "--out", str(run)]) == 4
    assert "is not empty" in capfd.readouterr().err
    small = drawn()[0][:, :8, :8]
    with pytest.raises(td.DataError, match="too small to audit"):
        td.audit(small, drawn()[1], **QUICK)
    with pytest.raises(td.ConfigError, match="audit looks at pixels"):
        td.audit(np.random.default_rng(0).normal(size=(60, 5)), [0, 1] * 30, **QUICK)


def test_the_page_shows_the_cue_and_escapes_what_strangers_have_named(run):
    page = (run / "audit.html").read_text("utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert page.count("<figure>") == 2 * 16  # the first screen, and the cue itself
    assert page.index("The cue and the label agree") < page.index("Cues that go with the labels")
    assert "top:75.00%;left:75.00%;height:25.00%;width:25.00%" in page
    assert 'class="word">FAIL' in page
    assert f'href="images/conflict-{MARK}.csv"' in page
    assert "crop the corner away" in page
    assert "What was not looked at" in page
    assert "http" not in page.replace("http-equiv", "")  # it opens offline
    assert "image/jpeg;base64" in page or "image/png;base64" in page


def test_pictures_stay_in_the_house_where_that_is_asked_for(place, tmp_path):
    data = f"npz:{place / 'marked.npz'}"
    assert main(["audit", data, *BRIEF, "--no-images", "--out", str(tmp_path / "a")]) == 0
    page = (tmp_path / "a/audit.html").read_text("utf-8")
    assert "base64" not in page
    assert "<code>119" in page
    assert main(["report", str(tmp_path / "a"), "--quiet"]) == 0
    shown = (tmp_path / "a/audit.html").read_text("utf-8")
    assert "base64" in shown
    assert main(["report", str(tmp_path / "a"), "--quiet", "--blur"]) == 0
    assert (tmp_path / "a/audit.html").read_text("utf-8") != shown


def test_a_pass_never_says_that_there_is_no_shortcut(place, tmp_path):
    path = tmp_path / "run"
    td.audit(f"npz:{place / 'plain.npz'}", out=path, **QUICK)
    page = (path / "audit.html").read_text("utf-8")
    assert 'class="word">PASS' in page
    assert "None of these 2 cues" in page
    assert "does not\n  say" in page or "does not say" in page
    assert not (path / "images").exists()
    assert td.open_run(path).audit.present == ()


def test_a_report_of_an_audit_is_its_page(run, place, capfd):
    assert main(["report", str(run), "--quiet"]) == 0  # it names this copy of the run
    before = (run / "audit.html").read_bytes()
    (run / "audit.html").unlink()
    assert main(["verify", str(run)]) == 4
    assert main(["report", str(run), "--quiet"]) == 0
    assert capfd.readouterr().out.strip().endswith(f"{run}/audit.html")
    assert (run / "audit.html").read_bytes() == before
    assert not (run / "report.html").exists()
    assert main(["verify", str(run)]) == 0
    assert main(["report", str(run), "--quiet", "--data", f"npz:{place / 'plain.npz'}"]) == 3


def test_several_targets_have_files_of_their_own(place, tmp_path):
    images, labels = drawn()
    sites = pd.DataFrame({"site": np.where(labels == 1, "north", "east"), "odd": labels[::-1]})
    data = td.load(images, labels=labels, attributes=sites)
    path = tmp_path / "run"
    found = td.audit(data, ["label", "attr:site", "attr:odd"], out=path, **QUICK)
    assert found.verdicts == {"label": "FAIL", "attr:site": "FAIL", "attr:odd": "PASS"}
    names = sorted(p.name for p in (path / "images").glob("conflict-*"))
    assert names == [f"conflict-attr-site-{MARK}.csv", f"conflict-label-{MARK}.csv"]
    again = td.open_run(path)
    assert [one.name for one in again.audited] == ["label", "attr:site", "attr:odd"]
    assert again.audit.verdicts == found.verdicts
    assert (again.audited[1].labels_N == labels).all()
    assert "Each target" in (path / "audit.html").read_text("utf-8")


def test_the_split_of_a_cue_trains_on_one_part_and_is_measured_on_the_other(finished, place, capfd):
    run = finished
    page = (run / "audit.html").read_text("utf-8")
    command = f"taskdiscovery score npz:{place / 'marked.npz'} --from {run}/images/split.csv:label"
    assert f"{command} --learner linear" in page
    brief = ["--preset", "smoke", "--epochs", "1", "--quiet", "--threads", "1"]
    assert main([*command.split()[1:], "--learner", "linear", *brief, "--format", "json"]) == 0
    scores = json.loads(capfd.readouterr().out)
    assert scores[0]["task"] == "label"
    data = td.load(f"npz:{place / 'marked.npz'}")
    cut = pd.read_csv(run / "images/split.csv", dtype={"image_id": str, "label": str})
    quick = {"preset": "smoke", "epochs": 1, **QUICK}
    scores = td.score(data, cut[["image_id", "label", "partition"]], **quick)
    assert set(scores[0].ids_n) == set(cut.image_id[cut.split == "test"])


def test_a_fact_of_files_is_shown_as_one(tmp_path):
    images, labels = drawn(60, wrong=0)
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        file = tmp_path / "photos" / "ab"[label] / f"{i:02d}.{('png', 'bmp')[label]}"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(file)
    data = td.load(tmp_path / "photos")
    found = td.audit(data, **QUICK)
    cue = replace(found.cues[0], kind="file", view="file", box=(), used=None, follows=None)
    page = audit_page(replace(found, cues=(cue,)), [data.target("label")], data)
    assert "seen in the files, not in the pictures" in page
    assert "networks see pixels only" in page
    assert "BMP, 16 × 16, 822 bytes" in page
    assert "No image is against it." in page
    assert "F and R speak alone" not in page


def test_a_split_needs_images_enough(tmp_path):
    images, labels = drawn(wrong=4)  # eight images are against the mark
    path = tmp_path / "run"
    td.audit(td.load(images, labels=labels), out=path, **QUICK)
    assert len(rows_of(path / f"images/conflict-{MARK}.csv")) == 8
    assert not (path / "images/split.csv").exists()
    assert "split.csv" not in (path / "audit.html").read_text("utf-8")


# --- stopped, and resumed ------------------------------------------------------------------------

BOUNDARY = JournalWatch.boundary


@pytest.fixture
def stopping(monkeypatch):
    """Stop each audit at its first piece of work."""

    def boundary(self, state):
        interrupts.request(signal.SIGINT)
        BOUNDARY(self, state)

    monkeypatch.setattr(JournalWatch, "boundary", boundary)
    return lambda: monkeypatch.setattr(JournalWatch, "boundary", BOUNDARY)


def test_stopped_and_resumed_equals_never_stopped(run, place, tmp_path, stopping, capfd):
    path = tmp_path / "stopped"
    data = f"npz:{place / 'marked.npz'}"
    assert main(["audit", data, *BRIEF, "--out", str(path)]) == 130
    assert f"taskdiscovery resume {path}" in capfd.readouterr().err
    assert td.open_run(path).audit is None
    stopping()
    assert main(["resume", str(path), "--quiet"]) == 0
    for name in ("cues.csv", "targets.parquet", "images/split.csv", f"images/aligned-{MARK}.csv"):
        assert (path / name).read_bytes() == (run / name).read_bytes(), name
    assert (path / "audit.html").exists()
    assert main(["verify", str(path)]) == 0
    assert td.resume(path).verdict == "FAIL"  # done: what the run holds


def test_objects_are_given_again(tmp_path, stopping):
    images, labels = drawn()
    data, path = td.load(images), tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        td.audit(data, labels, out=path, **QUICK)
    stopping()
    with pytest.raises(td.RunDirError, match="its target as objects"):
        td.resume(path, data=data, callbacks=())
    with pytest.raises(td.RunDirError, match="these labelings are not those"):
        td.resume(path, data=data, target=labels[::-1].copy(), callbacks=())
    assert td.resume(path, data=data, target=labels, callbacks=()).verdict == "FAIL"
    assert "<figure>" in (path / "audit.html").read_text("utf-8")


def test_an_audit_that_never_ended_is_discarded(place, tmp_path, stopping, capfd):
    path = tmp_path / "run"
    assert main(["audit", f"npz:{place / 'marked.npz'}", *BRIEF, "--out", str(path)]) == 130
    (path / "images").mkdir()
    (path / "images" / f"aligned-{MARK}.csv").write_text("image_id,row\n")
    assert main(["discard", str(path)]) == 4
    assert main(["discard", str(path), "--all"]) == 0
    assert not path.exists()


# --- from strangers ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "wish"),
    [
        ("from", "{}/other-run"),
        ("target", ["{}/labels.csv:a"]),
        ("other", "evil:load"),
        ("other", "{}/photos"),
        ("other", "npz:{}/marked.npz"),
        ("learner", "evil:load"),
        ("features", "{}/features.npy"),
    ],
)
def test_what_a_run_from_elsewhere_names_is_asked_for(
    key, wish, place, tmp_path, monkeypatch, stopping, capfd
):
    path = tmp_path / "run"
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "theirs"))
    data = f"npz:{place / 'marked.npz'}"
    assert main(["audit", data, *BRIEF, "--out", str(path)]) == 130
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "mine"))
    document = yaml.safe_load((path / "config.yaml").read_text())
    mine = [w.format(place) for w in wish] if isinstance(wish, list) else wish.format(place)
    (path / "config.yaml").write_text(yaml.safe_dump({**document, key: mine}))
    capfd.readouterr()
    assert main(["resume", str(path), "--quiet", "--data", data]) == 4
    assert f"--{key} is" in capfd.readouterr().err


def test_a_second_data_set_that_was_an_object_is_never_looked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "array").mkdir()
    images, labels = drawn()
    data = td.load(images, labels=labels)
    config = td.api.AuditConfig(other="array", tasks="run", learner="linear")
    from taskdiscovery.jobs import audit
    from taskdiscovery.jobs.sink import Sink
    from taskdiscovery.runtime.callbacks import Callbacks

    with pytest.raises(td.ConfigError, match="held in memory"):
        audit.run(data, audit.Given(), config, Sink.of("audit", None), Callbacks())


def _set(*path, value):
    def change(document):
        for step in path[:-1]:
            document = document[step]
        document[path[-1]] = value

    return change


HOSTILE = {
    "verdict": _set("verdict", value="<b>FINE</b>"),
    "verdicts": _set("verdicts", value=[1]),
    "cues": _set("cues", value={"a": 1}),
    "no view": lambda document: document["cues"][0].pop("view"),
    "kind": _set("cues", 0, "kind", value="evil"),
    "view": _set("cues", 0, "view", value=["../../etc/passwd"]),
    "another view": _set("cues", 0, "view", value="../../etc/passwd"),
    "interval": _set("cues", 0, "unique", value={"mean": "1", "low": 0, "high": 1}),
    "no interval": _set("cues", 0, "unique", value=None),
    "z": _set("cues", 0, "unique_z", value="url(evil)"),
    "box": _set("cues", 0, "box", value=[[0, 0, 7, 1]]),
    "text in a box": _set("cues", 0, "box", value=[["0;background:url(x)", 0, 1, 1]]),
    "present": _set("cues", 1, "present", value="yes"),
    "used": _set("cues", 0, "used", value=3),
    "targets": _set("targets", value=[]),
    "classes": _set("targets", 0, "classes", value=["one"]),
    "images": _set("images", value="many"),
    "semantic": _set("semantic", value=3),
    "comparison": _set("comparison", value=3),
    "seconds": _set("seconds", value={}),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_document_that_is_no_audit_is_an_error_of_the_run(name, run, capfd):
    document = json.loads((run / "audit.json").read_text())
    HOSTILE[name](document)
    _write(run, "audit.json", json.dumps(document))
    with pytest.raises(td.RunDirError):
        _ = td.open_run(run).audit
    assert main(["report", str(run), "--quiet"]) == 4
    assert main(["show", str(run)]) == 0  # which reads the headline alone


def _write(run, name, text):
    (run / name).write_text(text)
    opened = Run.open(run, write=True)
    with opened:
        manifest.write(opened.place, [name])


@pytest.mark.parametrize("row", ["120", "-1", "x", "1" * 30])
def test_rows_of_other_images_are_refused(row, run):
    _write(run, f"images/conflict-{MARK}.csv", f"image_id,row\n0,{row}\n")
    with pytest.raises(td.RunDirError):
        _ = td.open_run(run).audit


def test_changed_files_are_refused(run, capfd):
    (run / "audit.json").write_text("{}")
    with pytest.raises(td.RunDirError, match=r"audit\.json is damaged"):
        _ = td.open_run(run).audit
    assert main(["verify", str(run)]) == 4
    assert "audit again" in capfd.readouterr().out


def test_a_link_in_place_of_a_list_is_not_followed(run, tmp_path):
    victim = tmp_path / "victim.csv"
    victim.write_text("image_id,row\n0,0\n")
    (run / f"images/conflict-{MARK}.csv").unlink()
    (run / f"images/conflict-{MARK}.csv").symlink_to(victim)
    with pytest.raises(td.RunDirError):
        _ = td.open_run(run).audit


def test_a_page_needs_no_run(place, tmp_path):
    data = td.load(f"npz:{place / 'marked.npz'}")
    found = td.audit(data, **QUICK)
    page = audit_page(found, [data.target("label")], data)
    assert "href=" not in page
    assert page.count("<figure>") == 32
    again = td.report(tmp_path / "page.html", data, found)
    assert again.read_text("utf-8") == page
    with pytest.raises(td.DataError, match="a page of its own"):
        td.report(tmp_path / "page.html", data, found, td.Scores())
    with pytest.raises(td.DataError, match="not the images that were audited"):
        td.report(tmp_path / "page.html", td.load(drawn(60)[0]), found)


# --- the rest of the house -----------------------------------------------------------------------


@pytest.fixture
def house(monkeypatch):
    """Stand-ins for groups, tasks and a second data set, and what they are told."""
    told = {}

    def groups_within(dataset, labelings, config, journal, callbacks):
        told["groups"] = (len(dataset), [one.name for one in labelings], config.features)
        own = {"target": "label", "class": "<b>", "group": 0, "accuracy": 0.5, "at_risk": True}
        return pd.DataFrame([{**own, "examples": ["3", "8"], "looks": None}])

    def tasks_present(dataset, labelings, tasks, config, journal, callbacks):
        told["tasks"] = tasks
        return pd.DataFrame({"target": ["label"], "task": ["task_000"], "split_accuracy": [0.2]})

    def compared(tasks, other, data, config, callbacks):
        told["compared"] = (tasks, other, len(data))
        dog = {"class": "dog", "here": 0.1, "at_risk": True}
        return {"classes_at_risk": ["dog"], "classes": [dog]}

    _put(monkeypatch, "taskdiscovery.auditing.semantic", groups_within=groups_within)
    put = {"tasks_present": tasks_present, "compared": compared}
    _put(monkeypatch, "taskdiscovery.jobs.audithouse", **put)
    return told


def _put(monkeypatch, name, **functions):
    try:
        module = importlib.import_module(name)
    except ImportError:
        module = types.ModuleType(name)
        monkeypatch.setitem(sys.modules, name, module)
    for own, function in functions.items():
        monkeypatch.setattr(module, own, function, raising=False)


def test_the_rest_of_the_house_is_asked_where_it_can_say_something(house, tmp_path, capfd):
    images, labels = drawn()
    features = np.random.default_rng(0).normal(size=(len(images), 4))
    data = td.load(images, labels=labels, features=features)
    tasks = td.Tasks.of(
        [td.Labeling(name="t", classes=("0", "1"), labels_N=labels, ids_N=data.ids)]
    )
    other = td.load(images[:60], labels=labels[:60])
    path = tmp_path / "run"
    found = td.audit(data, "label", tasks, other=other, out=path, **QUICK, features="data")
    assert house["groups"] == (120, ["label"], "data")
    assert house["tasks"] is tasks
    assert house["compared"] == (tasks, other, 120)
    assert found.comparison["classes_at_risk"] == ["dog"]
    again = td.open_run(path).audit
    assert again.semantic.to_dict("records") == found.semantic.to_dict("records")
    assert again.tasks["split_accuracy"].tolist() == [0.2]
    assert again.comparison == found.comparison
    page = (path / "audit.html").read_text("utf-8")
    assert '<tr class="risk"><th scope="row">&lt;b&gt;</th>' in page
    assert "at risk are dog." in page
    assert page.count("<figure>") == 2 * 16 + 2
    assert '<span class="num">0.200 (0.200 to 0.200)</span>' in page
    document = yaml.safe_load((path / "config.yaml").read_text())
    assert document["other"] == "array"
    house.clear()
    td.audit(data, **QUICK)
    assert house["groups"][2] == "data"  # the data has some, and the learner looks at pixels


def test_nobody_is_asked_who_was_not_given_anything(house, place):
    found = td.audit(f"npz:{place / 'marked.npz'}", **QUICK)
    assert house == {}
    assert (found.semantic, found.tasks, found.comparison) == (None, None, None)


def test_the_engine_is_told_the_same_whoever_trains(place, monkeypatch):
    told = []

    def engine(dataset, targets, config, journal, callbacks):
        told.append((config.executor, config.jobs, config.threads))
        return stand_in.audit(dataset, targets, config, journal, callbacks)

    monkeypatch.setattr("taskdiscovery.auditing.auditing.audit", engine)
    for own in ({"executor": "serial"}, {"executor": "processes", "jobs": 2}):
        td.audit(f"npz:{place / 'marked.npz'}", **QUICK, **own)
    assert told == [("serial", None, 1)] * 2


def test_a_second_data_set_needs_tasks(place):
    with pytest.raises(td.ConfigError, match="by the tasks of a run"):
        td.audit(f"npz:{place / 'marked.npz'}", other="digits", **QUICK)


# --- files that are something else ---------------------------------------------------------------


def _link(file, victim):
    file.symlink_to(victim)


def _fifo(file, victim):
    os.mkfifo(file)


def _folder(file, victim):
    file.mkdir()


def _hollow(file, victim):
    with file.open("wb") as stream:
        stream.truncate(2**42)


@pytest.mark.slow
@pytest.mark.parametrize("instead", [_link, _fifo, _folder, _hollow])
@pytest.mark.parametrize(
    "name",
    [
        *("audit.json", "targets.parquet", "cues.csv", "audit.html", "images"),
        *(f"images/aligned-{MARK}.csv", "images/split.csv"),
    ],
)
def test_no_command_reaches_through_the_files_of_an_audit(instead, name, run, tmp_path):
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "mine").write_text("mine")
    before = (victim / "mine").stat().st_mtime_ns
    file = run / name
    shutil.rmtree(file) if file.is_dir() else file.unlink()
    instead(file, victim if name == "images" else victim / "mine")
    signal.alarm(20)
    try:
        for command in ("show", "verify", "report"):
            assert main([command, str(run), *(["--quiet"] if command == "report" else [])]) in (
                0,
                4,
                5,
            )
    finally:
        signal.alarm(0)
    assert list(victim.iterdir()) == [victim / "mine"]
    assert (victim / "mine").read_text() == "mine"
    assert (victim / "mine").stat().st_mtime_ns == before


def test_a_page_of_many_cues_and_of_pictures_that_are_no_squares(tmp_path, monkeypatch):
    monkeypatch.setattr("taskdiscovery.reporting.auditpage._MOST_CUES", 3)
    images, labels = drawn()
    wide = np.concatenate([images[:, :, :8], images], axis=2)
    targets = pd.DataFrame({f"site {i}": labels for i in range(5)})
    data = td.load(wide, labels=labels, attributes=targets)
    path = tmp_path / "run"
    found = td.audit(data, [f"attr:site {i}" for i in range(5)], out=path, **QUICK)
    assert len(found.present) == 5
    page = (path / "audit.html").read_text("utf-8")
    assert page.count('<article class="cue') == 3
    assert "2 more, weaker ones" in page
    assert "aspect-ratio:1.5;" in page
    assert len(list((path / "images").glob("aligned-*"))) == 5
    assert len(td.open_run(path).audit.present) == 5


def test_what_is_allowed_is_told_and_is_no_reason(place, tmp_path):
    path = tmp_path / "run"
    found = td.audit(f"npz:{place / 'marked.npz'}", allow=[stand_in.MARK], out=path, **QUICK)
    assert (found.verdict, found.present) == ("PASS", ())
    page = (path / "audit.html").read_text("utf-8")
    assert "But for what was allowed, none of these 2 cues" in page
    assert "allowed: no reason for a verdict" in page


def test_a_second_data_set_and_tasks_that_were_objects_are_given_again(house, tmp_path, stopping):
    images, labels = drawn()
    data, path = td.load(images, labels=labels), tmp_path / "run"
    one = td.Labeling(name="t", classes=("0", "1"), labels_N=labels, ids_N=data.ids)
    tasks, other = td.Tasks.of([one]), td.load(images[:60], labels=labels[:60])
    with pytest.raises(KeyboardInterrupt):
        td.audit(data, "label", tasks, other=other, out=path, **QUICK)
    stopping()
    with pytest.raises(td.ConfigError, match="by the tasks of a run, and none is given"):
        td.resume(path, data=data, callbacks=())
    with pytest.raises(td.ConfigError, match="held in memory"):
        td.resume(path, data=data, tasks=tasks, callbacks=())
    found = td.resume(path, data=data, tasks=tasks, other=other, callbacks=())
    assert house["compared"] == (tasks, other, 120)
    assert found.comparison["classes_at_risk"] == ["dog"]
