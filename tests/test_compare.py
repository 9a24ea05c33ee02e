"""Tasks here and elsewhere: rates by class, classes at risk, and what is said without labels."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import taskdiscovery as td
from taskdiscovery.analysis.comparing import Side, difference, rates
from taskdiscovery.cli import main

N, P = 1200, 8
QUIET = {"threads": 1, "callbacks": ()}


def photos(seed, place, labels=True):
    """Features of three classes, and of a place that goes with the first two by given rates."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 3, N)
    outdoors = rng.random(N) < np.array(place)[kind]
    table = rng.normal(size=(N, P))
    table[:, 0] += 5 * (2 * outdoors - 1)
    table[np.arange(N), 1 + kind] += 1.5
    names = np.array(["climbing", "diving", "resting"])[kind] if labels else None
    return td.load(table, labels=names, attributes={"camera": ["a", "b"] * (N // 2)})


HERE = photos(0, (0.95, 0.1, 0.5))
THERE = photos(1, (0.3, 0.1, 0.5))


@pytest.fixture(scope="module")
def found():
    return td.discover(HERE, method=td.Pursuit(starts=60, rounds=6), tasks=3, **QUIET)


def test_the_class_whose_place_has_changed_is_at_risk(found):
    compared = td.compare(found, THERE, data=HERE, **QUIET)
    assert compared.classes_at_risk[0] == "climbing"
    assert compared.by == "labels"
    row = compared.classes.iloc[0]
    assert abs(row["difference"]) > 0.4
    assert row["low"] < row["difference"] < row["high"]
    assert row["q"] < 0.01
    assert next(iter(compared.numbers)) == "classes_at_risk"
    json.dumps(compared.numbers)
    assert "climbing" in repr(compared)
    assert "<table>" in compared._repr_html_()


def test_nothing_is_at_risk_where_nothing_has_moved(found):
    risky = [
        td.compare(found, photos(seed, (0.95, 0.1, 0.5)), data=HERE, **QUIET).classes_at_risk
        for seed in range(2, 12)
    ]
    assert sum(map(len, risky)) <= 1


def test_labels_elsewhere_are_not_needed(found):
    other = photos(1, (0.3, 0.1, 0.5), labels=False)
    compared = td.compare(found, other, data=HERE, **QUIET)
    assert compared.by == "tasks"
    assert compared.classes_at_risk[0] in ("climbing", "diving")  # those that lean on the place
    assert set(compared.rates["factor"]) == {"all", "camera"}


def test_rates_are_those_of_images_that_discovery_has_not_seen(found):
    compared = td.compare(found, THERE, data=HERE, **QUIET)
    assert compared.images_here == (~found.tasks.seen_N).sum()
    row = compared.rates[(compared.rates["level"] == "climbing")].iloc[0]
    own = ~found.tasks.seen_N & (HERE.labels == HERE.classes.index("climbing"))
    assert row["here"] == pytest.approx(found.tasks[row["task"]].labels_N[own].mean())
    assert row["images_here"] == own.sum()


def test_images_elsewhere_that_discovery_has_seen_are_left_out(found):
    mixed = td.load(
        np.concatenate([HERE.features[:600], THERE.features[:600]]),
        labels=[data.classes[c] for data in (HERE, THERE) for c in data.labels[:600]],
    )
    compared = td.compare(found, mixed, data=HERE, **QUIET)
    assert compared.seen_there == found.tasks.seen_N[:600].sum()
    assert compared.images_there == 1200 - compared.seen_there
    with pytest.raises(td.DataError, match="too few to compare"):
        td.compare(found, HERE.features[found.tasks.seen_N], data=HERE, **QUIET)


def test_a_learner_fails_on_the_class_that_was_said(found):
    compared = td.compare(
        found, THERE, data=HERE, accuracy=True, learner="ridge", features="data",
        other_features="data", **QUIET,
    )  # fmt: skip
    assert compared.learner == "ridge"
    table = compared.classes.set_index("class")
    assert (table["accuracy_here"] > 0.7).all()
    lost = table["accuracy_here"] - table["accuracy_there"]
    assert lost.idxmax() == "climbing"


def test_the_interval_is_that_of_two_wilson_intervals():
    low, high = difference(56, 70, 48, 80)  # Newcombe (1998), table II, example (a), turned
    assert (low, high) == pytest.approx((-0.3339, -0.0524), abs=1e-4)
    assert difference(0, 10, 0, 10)[1] > 0.2


def test_chance_is_covered_and_tested():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(300):
        a, b = rng.binomial(60, 0.8), rng.binomial(90, 0.5)
        low, high = difference(a, 60, b, 90)
        covered += low <= -0.3 <= high
    assert 0.92 <= covered / 300 <= 0.985
    tasks = td.discover(HERE, method=td.Pursuit(starts=60, rounds=4), tasks=1, **QUIET).tasks
    side = Side(dataset=HERE, tasks=tasks, rows=np.arange(N))
    table = rates(side, side)
    assert (table["difference"] == 0).all()
    assert (table["p"] > 0.99).all()
    assert (table["q"] >= table["p"] - 1e-12).all()
    own = tasks.labels_ND[HERE.labels == 0, 0]
    row = table[table["level"] == HERE.classes[0]].iloc[0]
    both = [[own.sum(), (1 - own).sum()]] * 2
    assert row["p"] == pytest.approx(stats.fisher_exact(both).pvalue)


def test_the_command_says_the_classes_first(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name, data in (("here", HERE), ("there", THERE)):
        frame = pd.DataFrame({"vector": list(data.features)})
        frame["label"] = np.array(data.classes)[data.labels]
        frame.to_parquet(f"{name}.parquet")
    brief = ["--starts", "60", "--rounds", "6", "--tasks", "3", "--threads", "1", "--quiet"]
    assert main(["discover", "features:here.parquet", *brief, "--out", "run"]) == 0
    capsys.readouterr()
    assert main(["compare", "run", "features:there.parquet", "--format", "json", "--quiet"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert next(iter(told)) == "classes_at_risk"
    assert told["classes_at_risk"][0] == "climbing"
    assert main(["compare", "run", "features:there.parquet", "--quiet"]) == 0
    assert "classes at risk: climbing" in capsys.readouterr().out
    assert main(["compare", "run", "features:there.parquet", "--format", "csv", "--quiet"]) == 0
    assert capsys.readouterr().out.startswith("task,side,factor,level,here,there")
    assert main(["compare", "run", "features:none.npy", "--quiet"]) == 3
    assert main(["compare", "nowhere", "digits", "--quiet"]) == 4


def test_what_is_missing_is_said(found):
    with pytest.raises(td.ConfigError, match="data of the discovery"):
        td.compare(found, THERE, callbacks=())
