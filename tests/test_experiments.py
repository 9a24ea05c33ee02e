"""The experiments: resumable, dated, and a page of nothing but them."""

import json
import shutil
import time
from dataclasses import replace

import pytest
from benchmarks.human import CORE
from experiments import page, records
from experiments.laboratory import Laboratory, as_labelings, flipped
from experiments.studies import STUDIES, accuracy, methods, paper, separates, splits
from experiments.study import SIZES, Size, found

from taskdiscovery.training import Training

SMALL = Size(human=4, random=1, tasks=2, scored=2)


@pytest.fixture
def lab(digits, tmp_path, monkeypatch):
    monkeypatch.setitem(SIZES, "linear", SMALL)
    monkeypatch.setattr(records, "RESULTS", tmp_path / "results")
    return Laboratory(dataset=digits, work=tmp_path / "work", threads=1)


@pytest.fixture(scope="module")
def separated(digits, tmp_path_factory):
    """The work that `separates` has left, and what it returned."""
    place = tmp_path_factory.mktemp("separates")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SIZES, "linear", SMALL)
        patch.setattr(records, "RESULTS", place / "results")
        lab = Laboratory(dataset=digits, work=place / "work", threads=1)
        return lab.work, separates.run(lab, "linear")


@pytest.fixture
def after(lab, separated):
    """A laboratory in which `separates` has been done, and what it returned."""
    work, result = separated
    shutil.copytree(work, lab.work)
    return lab, result


@pytest.fixture
def trained(monkeypatch):
    """Grows by one with every training."""
    found, run = [], Training.run
    monkeypatch.setattr(Training, "run", lambda *a, **k: found.append(1) or run(*a, **k))
    return found


def test_human_tasks_begin_with_the_core_ones(lab):
    found = lab.human(20)
    assert [t.name for t in found[:7]] == [f"human {n}" for n in CORE]
    assert len({t.name for t in found}) == 20
    assert lab.human(20)[19].name == found[19].name
    noisy = flipped(found[0], 0.2)
    assert (noisy.labels_N != found[0].labels_N).mean() == pytest.approx(0.2, abs=0.03)


def test_what_was_done_is_not_done_again(after, trained):
    lab, first = after
    again = separates.run(lab, "linear")
    assert not trained
    assert [r["agreement"] for r in again["rows"]] == [r["agreement"] for r in first["rows"]]
    assert {r["kind"] for r in first["rows"]} == {"human", "random", "power"}


def test_labelings_that_are_added_are_all_that_is_trained(after, trained, monkeypatch):
    lab, first = after
    monkeypatch.setitem(SIZES, "linear", replace(SMALL, human=SMALL.human + 1))
    again = separates.run(lab, "linear")
    assert len(again["rows"]) == len(first["rows"]) + 1
    assert len(trained) == 2  # two runs of one labeling


def test_accuracy_takes_the_human_labelings_of_separates(after, trained):
    lab, _ = after
    rows = STUDIES["accuracy"].run(lab, "linear")["rows"]
    noisy = sum("flipped" in row["task"] for row in rows)
    assert len(rows) == SMALL.human + noisy
    assert len(trained) == 2 * noisy  # two runs of a labeling


@pytest.mark.parametrize(("adversarial", "said"), [(0.1, "0.200 (reached)"), (0.11, "not reached")])
def test_what_was_asked_of_a_split_is_compared_with_what_came_out(adversarial, said):
    def row(target, **means):
        return {"target": target, "accuracy": {k: {"mean": v} for k, v in means.items()}}

    binary = {"adversarial": 0.05, "random": 0.7}
    document = {
        "learner": "convnet",
        "rows": [row("label:0,1", **binary), row("label", adversarial=adversarial, random=0.5)],
        "with": {},
        "mean_of_core_tasks": binary,
    }
    assert said in splits.core_targets(document)


def test_the_page_says_what_the_files_say(after, tmp_path, monkeypatch):
    lab, _ = after
    monkeypatch.setattr(page, "DOCS", tmp_path / "docs")
    (tmp_path / "docs").mkdir()
    monkeypatch.setattr(accuracy, "SHARES", (0.2,))
    for name in ("separates", "accuracy"):
        document = STUDIES[name].run(lab, "linear")
        place = records.record(name, document, time.perf_counter())
    written = page.write().read_text("utf-8")
    known = json.loads(place.read_text("utf-8"))
    assert f"{known['spearman']:.3f}" in written
    assert place.name in written
    assert known["environment"]["commit"] in written
    assert (tmp_path / "docs" / "figures" / "separates.svg").read_text("utf-8").count("<path") > 5


@pytest.mark.parametrize(("agreements", "said"), [((0.97, 0.95), "above"), ((0.95, 0.91), "fails")])
def test_a_published_mean_that_is_not_reached_is_said(agreements, said, tmp_path):
    more = {"low": 0.9, "high": 1.0, "kappa": 0.9, "accuracy": 0.9, "seconds": 60.0}
    rows = [{"task": f"power {i}", "agreement": a, **more} for i, a in enumerate(agreements)]
    mean = sum(agreements) / 2
    result = {
        "learner": "mlp",
        "kinds": {"power": {"tasks": 2, "mean": mean}},
        "similarity": {"mean": 0.5, "max": 0.6},
        "rows": rows,
    }
    text = paper.tell([result], tmp_path)
    assert f"In the mean {mean:.3f}" in text
    assert (": above it" in text, "fails" in text) == (said == "above", said == "fails")


@pytest.mark.parametrize(("from_pixels", "said"), [(0.93, True), (0.89, False)])
def test_that_pixels_help_power_is_said_where_they_do(from_pixels, said, tmp_path):
    def row(method, mean):
        return {
            "method": method,
            "tasks": 8,
            "agreement": {"tasks": 4, "mean": mean, "min": mean, "max": mean},
            "kappa": 0.8,
            "similarity": {"mean": 0.5, "max": 0.6},
            "cost": {"images_trained_on": 1, "seconds": 1.0},
        }

    rows = [row("power", 0.9), row("power --start pixels", from_pixels)]
    text = methods.tell([{"learner": "mlp", "rows": rows}], tmp_path)
    assert ("Begun from pixels it ends with better tasks (+0.030" in text) == said


def test_the_standard_error_of_a_difference_is_that_of_both_means():
    values = {"human": [0.7, 0.8, 0.9], "power": [0.90, 0.94]}
    rows = [{"kind": k, "agreement": a} for k, column in values.items() for a in column]
    expected = (0.01 / 3 + 0.0008 / 2) ** 0.5  # variances over counts
    assert separates.error_of_difference({"rows": rows}) == pytest.approx(expected)


def test_a_budget_that_is_not_kept_is_said():
    assert "beyond" in page.budget(page.BUDGET + 1, 0)
    assert "within" in page.budget(page.BUDGET - 1, 0)


def test_tasks_are_spread_over_their_order(after):
    lab, _ = after
    tasks, _ = found(lab, "linear")
    assert [t.name for t in as_labelings(tasks, "power", 2)] == ["power 0", "power 1"]
