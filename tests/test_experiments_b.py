"""The studies of splits that resist: what is drawn, what is chosen, what is told."""

import numpy as np
import pytest
from experiments import resisting
from experiments.laboratory import Laboratory
from experiments.studies import remedies, resist

SMALL = resisting.Sizes(fit=200, chosen=60, held=40, features=400)


@pytest.fixture
def lab(digits, tmp_path):
    return Laboratory(dataset=digits, work=tmp_path / "work", threads=1)


@pytest.fixture
def few(monkeypatch):
    """Two targets, two tasks, two seeds, few images."""
    monkeypatch.setattr(resist, "SIZES", SMALL)
    monkeypatch.setattr(remedies, "SIZES", SMALL)
    monkeypatch.setattr(remedies, "SEEDS", (0, 1))
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


def _target(lab):
    cells, _ = resist.cells_of(lab, "linear")
    spec = next(iter(cells.targets))
    return remedies.Target(
        spec=spec, target=cells.targets[spec], task=cells.tasks[0], seen_N=cells.seen_N
    )


def test_training_sets_of_remedies_are_what_they_are_called(lab, few):
    own = _target(lab)
    pure, mixed, usual = (own.fit(kind, 0) for kind in ("pure", "mixed", "random"))
    assert len(pure) == len(mixed) == len(usual) == SMALL.fit
    assert own.aligned_N[pure].all()
    assert (~own.aligned_N[mixed]).sum() == SMALL.conflicting * SMALL.fit
    assert np.isin(mixed[own.aligned_N[mixed]], pure).all()
    counts = [np.bincount(own.target.labels_N[rows], minlength=2) for rows in (pure, usual)]
    assert np.array_equal(*counts)
    for rows in (pure, mixed, usual, own.measured):
        assert not np.isin(own.held, rows).any()
    assert not own.seen_N[own.measured].any()
    assert np.bincount(own.group_N[own.held]).tolist() == [SMALL.held // 4] * 4
    assert not own.aligned_N[own.tests["conflict"]].any()
    # Learners of a seed share weights; settings are chosen by others.
    seeds = [own.case("pure", name, 0).seeds for name in ("erm", "jtt")]
    assert seeds[0] == seeds[1]
    assert own.case("mixed", "jtt", "settings").seeds != seeds[0]


def test_every_learner_is_tried_and_told(lab, few, tmp_path, monkeypatch):
    def embed(images, **_):
        return remedies.td.load(images, features=images.reshape(len(images), -1).astype("float32"))

    monkeypatch.setattr(remedies.td, "embed", embed)
    result = remedies.run(lab, "linear")
    names = [f"{kind}: {name}" for kind, own in remedies.TRIED.items() for name in own]
    for row in result["rows"]:
        assert list(row["remedies"]) == names
        assert all(len(own["conflict"]) == 2 for own in row["remedies"].values())
        assert set(row["remedies"]["mixed: jtt"]["settings"]) == {"rate", "first", "up"}
    usual = np.mean(remedies.by_target(result, "random: erm"))
    assert np.mean(remedies.by_target(result, "pure: erm")) < usual
    assert remedies.share(result, "mixed: erm") == 0
    text = remedies.tell([result], tmp_path)
    assert f"{usual:.3f}" in text
    assert "No frozen features" not in text
    assert len(remedies.judge([result])) == len(remedies.CLAIMS)


def test_without_a_backbone_its_claim_is_left_open():
    values = {"pure: erm": 0.2, "random: erm": 0.7, "mixed: erm": 0.3, "pure: last layer": 0.5}
    values |= {"pure: class reweighting": 0.2, "pure: jtt": 0.21, "mixed: group dro": 0.6}
    values |= {"pure: crop, flip, grey": 0.2, "random: crop, flip, grey": 0.7}
    rows = [
        {
            "target": f"t{i}",
            "remedies": {
                n: {"conflict": [v + i / 100], "aligned": [v + i / 100]} for n, v in values.items()
            },
        }
        for i in range(3)
    ]
    result = {"learner": "mlp", "features": {"backbone": "lite0", "why": "none"}, "rows": rows}
    # DRO makes up 0.3 of 0.4, more than was claimed.
    words = [verdict.word for verdict in remedies.judge([result])]
    assert words == ["holds", "holds", "does not", "differs"]
