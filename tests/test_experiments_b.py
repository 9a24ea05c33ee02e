"""The studies of splits that resist: what is drawn, what is chosen, what is told."""

import numpy as np
import pytest
from experiments import resisting
from experiments.laboratory import Laboratory
from experiments.studies import resist

SMALL = resisting.Sizes(fit=200, chosen=60, held=40, features=400)


@pytest.fixture
def lab(digits, tmp_path):
    return Laboratory(dataset=digits, work=tmp_path / "work", threads=1)


@pytest.fixture
def few(monkeypatch):
    """Two targets, two tasks, two seeds, few images."""
    monkeypatch.setattr(resist, "SIZES", SMALL)
    monkeypatch.setattr(resist, "TASKS", 2)
    monkeypatch.setattr(resist, "SEARCHED", 2)
    monkeypatch.setattr(resist, "SEEDS", (0, 1))
    monkeypatch.setattr(resist.human, "CORE", (0, 11))


def test_splits_are_disjoint_even_and_of_one_size(lab, few):
    cells, cost = resist.cells_of(lab, "linear")
    assert cost["processor_seconds"] > 0
    assert "processor_seconds" not in resist.cells_of(lab, "linear")[1]
    for spec, target in cells.targets.items():
        for task in cells.tasks:
            case, test = cells.case(spec, task, 0), cells.test(spec, task)
            assert (task.labels_N[case.fit] == target.labels_N[case.fit]).all()
            assert (task.labels_N[test] != target.labels_N[test]).all()
            assert cells.seen_N[case.fit].all()
            assert not cells.seen_N[test].any()
            chosen = cells.chosen(spec, task)
            assert not np.isin(chosen, np.union1d(case.fit, test)).any()
            assert np.isin(np.union1d(test, chosen), case.measured).all()
            for rows in (case.fit, test, chosen):
                assert np.ptp(np.bincount(target.labels_N[rows], minlength=2)) == 0
            again = cells.case(spec, task, 1)
            assert len(again.fit) == len(case.fit) == len(cells.case(spec, None, 0).fit)
            assert not np.array_equal(again.fit, case.fit)


def test_the_table_of_splits_is_resumed_and_told(lab, few, tmp_path, monkeypatch):
    first = resist.run(lab, "linear")
    monkeypatch.setattr(resisting.Training, "run", lambda *a, **k: pytest.fail("trained again"))
    again = resist.run(lab, "linear")
    assert again["rows"] == first["rows"]
    own = resist.means(first)
    assert np.mean(own["all"]) < np.mean(own["random"])
    text = resist.tell([first], tmp_path)
    assert f"{np.mean(own['worst']):.3f}" in text
    assert (tmp_path / "resist.svg").exists()
    words = [verdict.word for verdict in resist.judge([first])]
    assert len(words) == len(resist.CLAIMS)


def test_claims_of_the_table_can_fail(lab):
    def result(adversarial):
        splits = [{"task": "a", "accuracy": [adversarial], "chosen_by": 0.1}]
        rows = [{"target": f"t{i}", "random": [0.7], "worst": "a", "splits": splits} for i in "ab"]
        return {"learner": "mlp", "rows": rows}

    assert [v.word for v in resist.judge([result(0.1)])] == ["holds"] * 3
    assert [v.word for v in resist.judge([result(0.71)])] == ["does not"] * 3
    # They are of every learner.
    assert [v.word for v in resist.judge([result(0.1), result(0.3)])][2] == "does not"


def test_what_is_drawn_follows_from_its_job(digits):
    from taskdiscovery.data import target_of

    target = target_of(digits, "label:0,1,2,3,4")
    mask_N = np.ones(len(digits), dtype=bool)
    first = resisting.drawn(mask_N, target, [5, 7], "a", 0)
    assert np.array_equal(first, resisting.drawn(mask_N, target, [5, 7], "a", 0))
    assert not np.array_equal(first, resisting.drawn(mask_N, target, [5, 7], "a", 1))
    assert np.bincount(target.labels_N[first]).tolist() == [5, 7]
