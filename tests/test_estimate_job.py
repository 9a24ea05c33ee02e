"""The verb `estimate`: accuracy on images whose labels nobody has looked at."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import taskdiscovery as td
from taskdiscovery.cli import main
from taskdiscovery.data.grouping import grouped
from taskdiscovery.estimation.limits import greatest_accuracy
from taskdiscovery.estimation.recommending import recommended
from taskdiscovery.jobs.calibration import _grouped_alike
from taskdiscovery.types import Backbone

N, P = 1500, 8
QUIET = {"threads": 1, "callbacks": ()}
BRIEF = {"made_shifts": 100, "preset": "smoke", "epochs": 3, "batch": 64, "learner": "linear"}
POWER = {"method": td.Power(iterations=2), "epochs": 10, "encoder_epochs": 10}
NAMES = np.array(["ant", "bee", "cow"])


def pictures(seed, n=N, labels=True, more=None):
    """Grey pictures of three brightnesses, by class, with noise."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 3, n)
    images = rng.integers(0, 130, (n, 6, 6, 1)) + 60 * kind[:, None, None, None]
    given = {"labels": NAMES[kind]} if labels else {}
    return td.load(images.astype(np.uint8), **given, **(more or {}))


def table(seed, n=N, shift=0.0):
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 3, n)
    rows = rng.normal(size=(n, P))
    rows[np.arange(n), kind] += 2 - shift
    return td.load(rows, labels=NAMES[kind])


@pytest.fixture(scope="module")
def here():
    return pictures(0)


@pytest.fixture(scope="module")
def found(here):
    return td.estimate(here, on=pictures(1, 400), **BRIEF, **QUIET)


def without_truth(found):
    return {k: v for k, v in found.numbers.items() if k not in ("truth", "config", "on")}


def test_labels_of_the_other_images_change_nothing(here, found):
    bare = td.estimate(here, on=pictures(1, 400, labels=False), **BRIEF, **QUIET)
    assert bare.truth is None
    assert without_truth(bare) == without_truth(found)
    assert found.truth["images"] == 400
    # Same source: the truth is where the held-out accuracy says, and under the bound.
    assert found.truth["accuracy"] <= found.bound
    assert abs(found.truth["accuracy"] - found.held_out) < 0.1


def test_everything_stands_beside_what_is_recommended(found):
    rows = found.to_frame().set_index("estimator")
    missed = rows["made_miss"]
    assert found.recommended == min("held-out", "made-shifts", key=missed.__getitem__)
    assert f"{missed['made-shifts']:.3f}" in found.why
    assert rows["covers"]["made-shifts"] == "made shifts"
    assert rows["recommended"].sum() == 1
    assert (rows["refused"] == "").all()
    assert ((rows["low"] <= rows["accuracy"]) & (rows["accuracy"] <= rows["high"])).all()
    assert found.bound == greatest_accuracy(rows["accuracy"]["agreement"])
    assert found.calibration == 300  # a fifth of all; smoke trains on 600 at most
    assert found.trained == 600
    assert found.per_class["images"].sum() == found.images == 400
    assert "accuracy" in found._repr_html_()
    assert f"at most {found.bound:.3f}" in repr(found)


def test_what_is_recommended_goes_by_what_there_is():
    assert recommended(0.01, 0.02)[0] == "made-shifts"
    name, why = recommended(0.02, 0.01)
    assert name == "held-out"
    assert "it missed 0.010 in the mean" in why
    assert recommended(None, None)[0] == "held-out"


def test_made_shifts_see_what_held_out_accuracy_does_not(here, found):
    """On pictures of half the brightness."""
    other, given = pictures(1, 400), {**BRIEF, "learner": "mlp?width=0.25", "epochs": 8}
    shifted = td.load(other.images // 2, labels=NAMES[other.labels])
    asked = td.estimate(here, on=shifted, **given, **QUIET)
    truth, rows = asked.truth["accuracy"], asked.to_frame().set_index("estimator")
    assert truth < asked.held_out - 0.05
    assert abs(rows["accuracy"]["made-shifts"] - truth) < abs(asked.held_out - truth) / 2


def test_made_shifts_only_look(here, found):
    other = pictures(1, 400)
    off = td.estimate(here, on=other, **{**BRIEF, "made_shifts": 0}, **QUIET)
    assert off.recommended == "held-out"
    assert "--made-shifts 0" in off.to_frame().set_index("estimator")["refused"]["made-shifts"]
    few = td.estimate(here, on=other, **{**BRIEF, "made_shifts": 50}, **QUIET).to_frame()
    both = few.merge(found.to_frame(), on="estimator")
    same = both[both["estimator"] != "made-shifts"]
    assert same["accuracy_x"].equals(same["accuracy_y"])
    assert off.to_frame()["made_miss"].isna().all()


def test_a_convex_learner_has_one_run_and_no_bound():
    found = td.estimate(table(0), on=table(1, shift=1.0), learner="ridge", **QUIET)
    assert found.runs == 1
    assert found.bound is None
    rows = found.to_frame().set_index("estimator")
    assert rows["refused"]["agreement"] == "needs 2 runs"
    assert rows["refused"]["made-shifts"] == "needs a learner on pixels"
    assert found.recommended == "held-out"
    assert np.isnan(rows["accuracy"]["agreement-line"])
    assert found.numbers["estimators"][-1]["accuracy"] is None
    assert found.truth["accuracy"] < found.held_out - 0.1  # and nothing recommended sees it


def test_too_few_calibration_images_are_refused():
    with pytest.raises(td.DataError, match="271 are needed"):
        td.estimate(pictures(0, 400), on=pictures(1, 50), **BRIEF, **QUIET)
    rows, names = np.random.default_rng(0).normal(size=(N, P)), np.array(["a"] * N)
    names[:100] = "b"
    rows[:100] += 9
    data, other = td.load(rows, labels=names), rows[80:140] + 0.01
    found = td.estimate(data, on=other, learner="logistic", **QUIET)
    few = found.per_class.set_index("class").loc["b"]
    assert "31 are needed" in few["refused"]
    assert np.isnan(few["accuracy"])
    assert found.images == 60


def test_images_that_were_used_are_left_out(here):
    mixed = np.concatenate([here.images[:100], pictures(1, 50).images])
    found = td.estimate(here, on=mixed, **BRIEF, **QUIET, train_images=1200)
    assert (found.seen, found.images) == (100, 50)
    with pytest.raises(td.DataError, match="trained on or calibrate"):
        td.estimate(here, on=here.images, **BRIEF, **QUIET, train_images=1200)


def test_groups_are_held_out_whole_and_drawn_as_one():
    patient = np.arange(N) // 5
    data = pictures(0, more={"attributes": {"p": patient}, "groups": "p"})
    found = td.estimate(data, on=pictures(1, 100), **BRIEF, **QUIET)
    assert found.grouped
    assert found.value["covers"].startswith("groups")


def test_what_cannot_be_asked_is_refused(here):
    with pytest.raises(td.DataError, match="--size"):
        td.estimate(here, on=pictures(1, 9).images[:, :5, :5], **BRIEF, **QUIET)
    with pytest.raises(td.ConfigError, match="no run is called"):
        td.estimate(here, on=pictures(1, 50), tasks="nowhere", **BRIEF, **QUIET)
    with pytest.raises(td.ConfigError, match="no images are given"):
        td.estimate(here, on=None, **BRIEF, **QUIET)
    with pytest.raises(td.DataError, match="features here"):
        td.estimate(table(0), on=np.eye(9, 3), learner="ridge", **QUIET)


def test_library_and_command_line_give_the_same(tmp_path, capsys):
    words = ["estimate", "shapes?n=1500", "--on", "shapes?n=200&seed=1", "--learner", "linear"]
    words += ["--preset", "smoke", "--threads", "1", "--quiet", "--made-shifts", "100"]
    run = tmp_path / "run"
    assert main([*words, "--out", str(run), "--format", "json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    given = {"learner": "linear", "preset": "smoke", "made_shifts": 100, **QUIET}
    found = td.estimate("shapes?n=1500", on="shapes?n=200&seed=1", **given)
    assert printed == json.loads(json.dumps(found.numbers))
    kept = td.open_run(run).estimate
    assert kept.numbers == found.numbers
    pd.testing.assert_frame_equal(kept.to_frame(), found.to_frame())
    assert main(["show", str(run)]) == 0
    shown = capsys.readouterr().out
    assert f"by {found.recommended}" in shown
    assert "taskdiscovery estimate" in shown
    assert main(["verify", str(run)]) == 0
    assert main(["resume", str(run)]) == 0  # done: there is nothing to do
    (run / "estimate.json").write_text("{}")
    with pytest.raises(td.RunDirError, match="is damaged"):
        _ = td.open_run(run).estimate


class _Stop(td.Callback):
    def on_checkpoint(self, number):
        if number == 2:
            raise KeyboardInterrupt


def test_a_stopped_job_goes_on_with_the_same_result(here, found, tmp_path):
    run, other = tmp_path / "run", pictures(1, 400)
    given = {**BRIEF, **QUIET, "callbacks": [_Stop()]}
    with pytest.raises(KeyboardInterrupt):
        td.estimate(here, on=other, out=run, **given)
    with pytest.raises(td.ConfigError, match="other="):
        td.resume(run, data=here, callbacks=())
    with pytest.raises(td.RunDirError, match="have changed"):
        td.resume(run, data=here, other=pictures(2, 400), callbacks=())
    again = td.resume(run, data=here, other=other, callbacks=())
    assert without_truth(again) == without_truth(found)
    assert td.open_run(run).state == "done"


def test_a_range_names_the_tasks_at_its_ends(here, tmp_path, capsys):
    run = tmp_path / "run"
    tasks = td.discover(
        here, tasks=2, learner="linear", train_images=600, out=run, **POWER, **QUIET
    )
    other = pictures(1, 200)
    found = td.estimate(here, on=other, tasks=run, **BRIEF, **QUIET)
    names = set(tasks.tasks.names)
    assert {row["task"] for row in found.range["tasks"]} <= names
    assert {found.range["low_task"], found.range["high_task"]} <= names
    assert 0 <= found.range["low"] <= found.range["high"] <= found.bound
    one = found.range["low_task"]
    alone = td.estimate(here, on=other, tasks=f"{run}:{one}", **BRIEF, **QUIET)
    assert [row["task"] for row in alone.range["tasks"]] == [one]
    assert alone.range["low"] == found.range["low"]
    same = td.estimate(here, on=other, tasks=tasks, **BRIEF, **QUIET)
    assert same.range == found.range
    with pytest.raises(td.ConfigError):
        td.estimate(here, on=other, tasks=f"{run}:task_999", **BRIEF, **QUIET)


def test_the_range_stands_beside_one_run_on_features():
    here, shifted = table(0), table(1, shift=1.0)
    tasks = td.discover(here, tasks=2, **QUIET)
    found = td.estimate(here, on=shifted, tasks=tasks, **QUIET)
    assert (found.learner, found.runs) == ("ridge", 1)
    # What a task goes with fades: no estimate needs to see it, and the range allows for it.
    assert found.range["low"] <= found.truth["accuracy"] <= found.range["high"]
    row = found.range["tasks"][0]
    assert row["accuracy_parted"] < row["accuracy_together"]


def test_targets_and_published_partitions(here):
    other = pictures(1, 200)
    two = td.estimate(here, "label:ant,bee", on=other, **BRIEF, **QUIET)
    assert len(two.per_class) == 2
    assert two.truth["accuracy"] > 0.6
    values = td.estimate(here, here.labels % 2, on=other, **BRIEF, **QUIET)
    assert values.truth is None  # nobody says what these are there
    given = {"labels": NAMES[here.labels], "test": pictures(5, 350)}
    parted = td.load(here.images, **given)
    found = td.estimate(parted, on=other, **BRIEF, **QUIET, test_images=320)
    assert found.calibration == 320


def test_score_prints_the_bound_beside_agreement(capsys):
    words = ["score", "digits", "--target", "label", "--learner", "linear", "--preset", "smoke"]
    words += ["--epochs", "1", "--threads", "1", "--quiet", "--format", "json"]
    assert main([*words, "--estimate-accuracy"]) == 0
    rows = json.loads(capsys.readouterr().out)
    for row in rows:
        assert row["accuracy_at_most"] == (1 + row["agreement"]) / 2
        assert row["estimate"] is None
        assert "needs 4 labelings or more, got 1" in row["estimate_refused"]


def frame_of(seed, n, patients, **more):
    """Features of three classes as a table, with a column of what belongs together."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 3, n)
    rows = rng.normal(size=(n, P))
    rows[np.arange(n), kind] += 2
    frame = pd.DataFrame(rows, columns=[f"f{i}" for i in range(P)])
    patient = [f"p{i}" for i in rng.integers(0, patients, n)]
    return frame.assign(label=NAMES[kind], patient=patient, **more)


def test_other_images_have_groups_where_they_have_the_column(tmp_path, caplog):
    frame_of(0, N, 100).to_csv(tmp_path / "here.csv", index=False)
    here, given = f"features:{tmp_path / 'here.csv'}", {"learner": "ridge", **QUIET}

    def asked(frame):
        frame.to_csv(tmp_path / "there.csv", index=False)
        caplog.clear()
        on = f"features:{tmp_path / 'there.csv'}"
        return td.estimate(here, on=on, groups="patient", **given).numbers

    def width(found):
        row = found["estimators"][1]  # mean confidence: it looks at the other images alone
        return row["high"] - row["low"]

    there = frame_of(1, 300, 4)
    own = asked(there)
    assert not [line for line in caplog.messages if "no groups" in line]
    bare = asked(there.drop(columns="patient"))
    assert any("no groups" in line for line in caplog.messages)
    assert own["estimators"][1]["accuracy"] == bare["estimators"][1]["accuracy"]
    assert width(own) > width(bare)  # four patients tell less than 300 images
    alone = asked(there.assign(patient="p1"))
    assert width(alone) == width(bare)


@pytest.mark.parametrize(("groups", "target"), [("label", "attr:p"), ("attr:p", "attr:p")])
def test_a_column_of_labels_makes_no_groups_of_the_other_images(groups, target):
    both = [pictures(i, 60, more={"attributes": {"p": np.arange(60) // 6}}) for i in (0, 1)]
    here, there = grouped(both[0], groups), both[1]
    assert _grouped_alike(there, here, target).groups is None
    assert _grouped_alike(there, grouped(there, "p"), "label").groups is not None


def test_truth_goes_by_names_in_whatever_order(here):
    other = pictures(1, 200)
    found = td.estimate(here, "label:ant,bee", on=other, **BRIEF, **QUIET)
    order = np.array([1, 0, 2])
    turned = replace(other, labels=order[other.labels], classes=("bee", "ant", "cow"))
    again = td.estimate(here, "label:ant,bee", on=turned, **BRIEF, **QUIET)
    assert again.truth == found.truth
    assert found.truth["unknown"] == 0
    few = np.flatnonzero(other.labels != 0)
    some = td.load(other.images[few], labels=NAMES[other.labels[few]])
    part = td.estimate(here, "label:ant,bee", on=some, **BRIEF, **QUIET)
    assert (part.truth["images"], part.truth["unknown"]) == (len(few), 0)
    strangers = np.where(NAMES[other.labels] == "cow", "emu", NAMES[other.labels])
    odd = td.estimate(here, on=td.load(other.images, labels=strangers), **BRIEF, **QUIET)
    assert odd.truth["unknown"] == (other.labels == 2).sum()


def test_features_of_two_networks_are_refused_before_anything_is_trained():
    one, two = table(0), table(1)
    mine, theirs = (
        replace(data, backbone=Backbone(name=name, sha256=name, size=8))
        for data, name in ((one, "a"), (two, "b"))
    )
    with pytest.raises(td.DataError, match="features here are of"):
        td.estimate(mine, on=theirs, learner="ridge", **QUIET)


def test_other_images_need_no_partition(here):
    """Nothing is trained on them: one group may have nearly all, and discovery have seen some."""
    tasks = td.discover(here, tasks=2, learner="linear", train_images=600, **POWER, **QUIET)
    seen = here.images[np.flatnonzero(tasks.tasks.seen_N)[:1]]
    images = np.concatenate([seen, pictures(1, 69).images])
    other = td.load(images, attributes={"p": np.arange(70) // 35}, groups="p")
    found = td.estimate(here, on=other, tasks=tasks, **BRIEF, **QUIET)
    assert found.images in (35, 70)  # the first may be among those that are trained on
    known = np.concatenate([here.images, images[1:]])
    two = td.load(known, groups=np.arange(len(known)) % 2)
    with pytest.raises(td.DataError, match="or of a group with one"):
        td.estimate(here, on=two, **BRIEF, **QUIET)


def test_what_cannot_label_is_refused(here):
    with pytest.raises(td.DataError, match="Labeling cannot label other images"):
        td.estimate(here, on=pictures(1, 50), tasks=here.target("label"), **BRIEF, **QUIET)
