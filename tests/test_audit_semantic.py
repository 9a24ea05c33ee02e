"""What an audit takes from features and from tasks: groups within classes, tasks in labels."""

import json
import shutil

import numpy as np
import pytest
from sklearn.linear_model import Ridge

import taskdiscovery as td
from taskdiscovery.auditing.groups import Class
from taskdiscovery.auditing.leaving import Leaving
from taskdiscovery.auditing.semantic import COLUMNS, groups_within, left_aside
from taskdiscovery.config.audit import AuditConfig
from taskdiscovery.jobs.audithouse import compared, tasks_present
from taskdiscovery.runtime.callbacks import Callbacks
from taskdiscovery.store import Checkpoints
from taskdiscovery.store.journal import Journal
from taskdiscovery.types import Labeling

P = 12
QUIET = {"threads": 1, "callbacks": ()}
CONFIG = AuditConfig(threads=1, executor="serial", features="data", learner="mlp", batch=128)


def heap(rng, count, **at):
    """Rows around a place, given by its coordinates other than 0."""
    table = rng.normal(size=(count, P))
    for axis, value in at.items():
        table[:, int(axis[1:])] += value
    return table


def pictures(seed=0, groups=None):
    """Four classes: `cat` has a group near the dogs; `dog` is one heap; `ship` has two groups that
    share what makes a ship; and what makes one half of the divers makes none of the other."""
    rng = np.random.default_rng(seed)
    parts = {
        "cat": [heap(rng, 200, x0=6), heap(rng, 80, x1=4.2, x2=6)],
        "dog": [heap(rng, 280, x1=6, x2=6)],
        "ship": [heap(rng, 140, x3=7, x4=4), heap(rng, 140, x3=7, x4=-4)],
        "diving": [heap(rng, 200, x5=7), heap(rng, 80, x6=7)],
    }
    table = np.concatenate([heap for own in parts.values() for heap in own])
    names = np.concatenate([np.repeat(name, sum(map(len, own))) for name, own in parts.items()])
    place = np.where((np.arange(1120) >= 200) & (np.arange(1120) < 280), "kennel", "elsewhere")
    return td.load(table, labels=names, groups=groups, attributes={"place": place})


def found(dataset, journal=None, config=CONFIG):
    target = dataset.target("label")
    return groups_within(dataset, [target], config, journal or Journal(), Callbacks())


@pytest.fixture(scope="module")
def table():
    return found(pictures())


def test_the_group_that_lies_near_another_class_is_hard(table):
    own = table[(table["class"] == "cat") & table["why"].str.contains("hard")]
    assert len(own)
    near = own.iloc[0]
    assert abs(near["images"] - 80) <= 10
    assert near["taken_for"] == "dog"
    assert near["low"] <= near["accuracy"] <= near["high"] < near["control_low"]
    assert near["looks"].startswith("place = kennel (")
    rows = np.array(near["examples"], dtype=int)  # ids are row numbers
    assert ((rows >= 200) & (rows < 280)).all()


def test_a_group_whose_like_is_not_known_without_it_is_held_by_context(table):
    own = table[(table["class"] == "diving") & (table["why"] == "context")]
    assert {round(n, -1) for n in own["images"]} & {80, 200}
    row = own.iloc[0]
    assert row["left_out_high"] < row["left_out_control_low"] <= row["left_out_control"]
    assert row["accuracy"] > 0.9  # which it is, where the learner has seen its like


def test_classes_of_one_heap_and_of_harmless_groups_are_not_at_risk(table):
    assert "dog" not in set(table["class"])
    ships = table[table["class"] == "ship"]
    assert {round(n, -1) for n in ships["images"]} == {140}
    assert not ships["at_risk"].any()
    assert set(ships["looks"]) == {""}
    assert (ships["left_out"] > 0.9).all()


def test_groups_by_chance_have_the_accuracy_of_their_class(table):
    assert tuple(table.columns) == COLUMNS
    for _, own in table[table["group"].str.startswith("1")].groupby("class"):
        assert len(own) == 2
        whole = np.average(own["accuracy"], weights=own["images"])
        assert own["control"].to_numpy() == pytest.approx(whole, abs=0.02)
        assert (own["control_low"] <= whole + 1e-9).all()
        assert (whole <= own["control_high"] + 1e-9).all()
        small = own["images"].idxmin()
        width = own["control_high"] - own["control_low"]
        assert width[small] == width.max()


def test_what_is_not_a_number_of_groups_falls_in_one():
    rng = np.random.default_rng(0)
    for seed in range(4):
        heap_nR = (rng.normal(size=(150, 20)) * np.geomspace(5, 1, 20)).astype(np.float32)
        assert Class.of(heap_nR, None, seed).cuts().shape == (150, 0)


def test_labels_by_chance_put_no_group_at_risk():
    dataset = pictures()
    shuffled = np.random.default_rng(1).permutation(np.array(dataset.classes)[dataset.labels])
    table = found(td.load(dataset.features, labels=shuffled))
    assert len(table)  # the groups are there
    assert not table["at_risk"].any()
    assert set(table["why"]) == {"not learnt"}


def test_the_same_seed_gives_the_same_and_a_resumed_job_repeats_nothing(table, tmp_path):
    journal = Journal(Checkpoints(tmp_path / "c"))
    again = found(pictures(), journal)
    assert again.equals(table)
    other = Journal(Checkpoints(tmp_path / "c"))
    other.load()
    other.put = None  # nothing is to be entered
    assert found(pictures(), other).equals(table)
    json.dumps(json.loads(table.to_json(orient="records")))


def test_what_belongs_together_stays_together():
    groups = (np.arange(1120) // 20).astype(str)
    table = found(pictures(groups=groups))
    assert set(table[table["why"].str.contains("hard")]["class"]) == {"cat"}
    assert {round(n, -1) for n in table[table["class"] == "ship"]["images"]} == {140}
    heap_nR = np.random.default_rng(0).normal(size=(200, 5)).astype(np.float32)
    for drawn in Class.of(heap_nR, groups[:200], 0).by_chance(60, 5):
        assert sorted(np.unique(groups[drawn], return_counts=True)[1]) == [20, 20, 20]
    few = Class.of(heap_nR, (np.arange(200) // 50).astype(str), 0)
    assert few.cuts().shape == (200, 0)  # four groups are too few to draw halves of


def test_small_classes_and_data_without_features_are_told():
    few = pictures()
    keep = np.concatenate([np.arange(59), np.arange(280, 339)])
    small = td.load(few.features[keep], labels=np.array(few.classes)[few.labels[keep]])
    table = found(small)
    assert tuple(table.columns) == COLUMNS
    assert not len(table)
    (line,) = left_aside(small, [small.target("label")], CONFIG)
    assert "2 of the classes of label with under 60 images (cat, dog)" in line
    with pytest.raises(td.ConfigError, match="features"):
        groups_within(td.load("shapes?n=20"), [], CONFIG, Journal(), Callbacks())


@pytest.mark.parametrize("width", [1, 3])
def test_copies_and_few_features_are_no_reason_to_fail(width):
    rng = np.random.default_rng(0)
    table = np.concatenate([np.zeros((70, width)), rng.normal(2, 1, size=(70, width))])
    table = found(td.load(table, labels=["copies"] * 70 + ["others"] * 70))
    assert not table["at_risk"].any()
    assert "copies" not in set(table["class"])


@pytest.mark.parametrize("grouped", [False, True])
def test_what_is_left_out_is_as_if_it_had_never_been_there(grouped):
    """Against a ridge of scikit-learn that is fitted anew, with weights."""
    rng = np.random.default_rng(0)
    x_NR, labels_N = rng.normal(size=(90, 5)).astype(np.float32), np.arange(90) % 3
    x_NR[np.arange(90), labels_N] += 1.0
    groups_N = np.arange(90) // 2 if grouped else None
    folds_N = np.arange(90) // 30
    own = Leaving.chosen(x_NR, labels_N, folds_N, groups_N, (0.1,))
    rows = np.flatnonzero(labels_N == 1)[:12]
    out_N = np.isin(np.arange(90), rows)
    if grouped:
        out_N = np.isin(groups_N, groups_N[rows])
    weight_N = np.where(labels_N == 1, 30 / (~out_N & (labels_N == 1)).sum(), 1.0)[~out_N]
    model = Ridge(alpha=0.1 * weight_N.sum())
    model.fit(x_NR[~out_N], np.eye(3)[labels_N[~out_N]], sample_weight=weight_N)
    assert (own.without(rows) == model.predict(x_NR[rows]).argmax(axis=1)).all()
    fold = Ridge(alpha=0.1 * 60).fit(x_NR[30:], np.eye(3)[labels_N[30:]])
    assert (own.said_N[:30] == fold.predict(x_NR[:30]).argmax(axis=1)).all()
    assert own.without(np.flatnonzero(labels_N == 1)[:25]) is None  # too few are left


# --- tasks of a run --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shapes():
    """Features of drawn shapes: colours of a coarse grid."""
    images = td.load("shapes?n=1600").images[..., :3]
    coarse = images.reshape(-1, 4, 8, 4, 8, 3).mean(axis=(2, 4)).reshape(-1, 48)
    return td.load(images, features=coarse.astype(np.float32))


@pytest.fixture(scope="module")
def run(shapes, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "shapes"
    td.discover(
        shapes, features="data", method=td.Pursuit(starts=60, rounds=5), tasks=2, out=out, **QUIET
    )
    return td.open_run(out)


def labels_of(shapes, run, wrong):
    """Labels that go with the first task but for a share of the images; and labels by chance."""
    rng = np.random.default_rng(0)
    task, N = run.tasks[0].labels_N, len(shapes)
    planted = np.where(rng.random(N) < wrong, 1 - task, task)
    return [
        Labeling(name=name, classes=("left", "right"), labels_N=labels_N, ids_N=shapes.ids)
        for name, labels_N in (("planted", planted), ("chance", rng.integers(0, 2, N)))
    ]


def test_a_task_that_is_in_the_labels_is_present_and_its_split_breaks_them(shapes, run, tmp_path):
    targets, journal = labels_of(shapes, run, 0.25), Journal(Checkpoints(tmp_path / "c"))
    table = tasks_present(shapes, targets, run, CONFIG, journal, Callbacks())
    assert len(table) == 2 * len(run.tasks)
    first = table.iloc[0]
    assert (first["target"], first["task"]) == ("planted", run.tasks[0].name)
    assert first["present"]
    assert 0.5 <= first["low"] <= first["auc"] <= first["high"]
    assert first["cut"] == "sign"
    assert first["split_high"] < first["random_low"]
    assert not table[table["target"] == "chance"]["present"].any()
    assert table[~table["present"]]["split_accuracy"].isna().all()
    resumed = Journal(Checkpoints(tmp_path / "c"))
    resumed.load()
    resumed.put = None  # nothing is to be trained again
    assert tasks_present(shapes, targets, run, CONFIG, resumed, Callbacks()).equals(table)


def test_what_the_evidence_says_of_a_task_stands_beside_it(shapes, run, tmp_path):
    targets = labels_of(shapes, run, 0.25)[1:]
    before = tasks_present(shapes, targets, run, CONFIG, Journal(), Callbacks())
    assert set(before["about"]) == {""}
    told = tmp_path / "told"
    shutil.copytree(run.path, told)
    column = np.where(run.tasks[0].labels_N, "warm", "cold")
    lit = td.load(shapes.images, features=shapes.features, attributes={"light": column})
    td.analyze(lit, told, out=told, **QUIET)
    after = tasks_present(shapes, targets, str(told), CONFIG, Journal(), Callbacks())
    about = after.set_index("task")["about"][run.tasks[0].name]
    assert "light = warm" in about or "light = cold" in about


def test_labels_that_are_nearly_the_task_are_cut_within_classes(shapes, run):
    targets = labels_of(shapes, run, 0.05)[:1]
    first = tasks_present(shapes, targets, run, CONFIG, Journal(), Callbacks()).iloc[0]
    assert first["auc"] > 0.9
    assert first["cut"] == "within classes"
    same = labels_of(shapes, run, 0.0)[:1]
    first = tasks_present(shapes, same, run, CONFIG, Journal(), Callbacks()).iloc[0]
    assert first["present"]
    assert np.isnan(first["split_accuracy"])  # the task is the label: there is nothing to cut


def test_classes_at_risk_on_a_second_data_set_are_those_of_compare(shapes, run):
    task = run.tasks[0].labels_N
    rng = np.random.default_rng(1)
    names = np.where(rng.random(len(task)) < 0.5, "a", np.where(task == 1, "b", "c"))
    here = td.load(shapes.features, labels=names)
    there = td.load(shapes.features[::-1] + 0.01, labels=rng.permutation(names))
    document = compared(run, there, here, CONFIG, Callbacks())
    expected = td.compare(run, there, data=here, **QUIET)
    assert document["classes_at_risk"] == list(expected.classes_at_risk)
    assert set(document["classes_at_risk"]) >= {"b", "c"}
    assert document["by"] == "labels"
    assert [row["class"] for row in document["rows"]] == expected.classes["class"].tolist()
    assert {"here", "there", "at_risk", "low", "high"} <= set(document["rows"][0])
    json.dumps(document)
