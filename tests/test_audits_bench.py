"""The benchmark of the audit: what counts as right, which labelings are natural, what is summed."""

import json

import numpy as np
import pytest
from benchmarks.auditing import groups, ledger
from benchmarks.auditing.answers import MORE, RIGHT, TEN, judged, outcome
from benchmarks.auditing.ledger import Cell
from benchmarks.auditing.sets import GROUPINGS, labeling, sided
from benchmarks.auditing.summary import summary

import taskdiscovery as td
from taskdiscovery.auditing.views.table import VIEWS
from taskdiscovery.data.planting import CUES


def test_every_cue_has_an_answer_and_a_reason():
    assert set(RIGHT) == set(CUES) == {*TEN, *MORE}
    assert len(TEN) == len(set(TEN)) == 10
    assert all(answer.views and answer.why for answer in RIGHT.values())
    assert {view for answer in RIGHT.values() for view in answer.views} < {v.name for v in VIEWS}


def test_groups_are_large_enough_and_no_class_stands_in_two():
    every = [c for own in groups.TINY.values() for c in own]
    assert len(every) == len(set(every))
    assert min(every) >= 0
    assert max(every) < 200
    assert min(map(len, groups.TINY.values())) >= 5
    families = [groups.CIFAR, groups.tiny_natural(), groups.halves(10, 3), groups.singles()]
    families += [groups.pairs(), groups.tiny_chance(5, 0)]
    families += [
        {
            name: own.sides
            for name, own in GROUPINGS.items()
            if name not in ("bar-native", "tiny-32")
        }
    ]
    for family in families:
        assert len(set(family.values())) == len(family)
        for one, other in family.values():
            assert one
            assert other
            assert not set(one) & set(other)


def test_rows_that_thresholds_were_tuned_on_are_not_measured_on():
    for grouping in GROUPINGS.values():
        assert grouping.data != "cifar10/train" or grouping.rows[0] >= 10_000


def test_a_labeling_of_two_groups_leaves_the_others_out():
    images = np.zeros((5, 8, 8, 3), dtype=np.uint8)
    images[:, 0, 0, 0] = range(5)
    dataset = td.from_arrays(images, np.arange(5), classes=tuple("abcde"), name="five")
    assert labeling(dataset, ((0, 3), (4,)), "x").labels_N.tolist() == [0, -1, -1, 0, 1]
    assert sided(np.array([2, 1]), ((1,), (2,))).tolist() == [1, 0]


def said(view, kind="artefact", u=0.1, present=True, **more):
    spread = [u, u - 0.01, u + 0.01]
    return {
        "view": view,
        "kind": kind,
        "present": present,
        "u": spread,
        "reasons": ["unique"],
        **more,
    }


def planted(cue, figures, name="a", strength=0.95, seed=0):
    return {
        "mode": "planted",
        "cell": f"{name}|{cue}|{strength}|{seed}",
        "set": name,
        "cue": cue,
        "strength": strength,
        "seed": seed,
        "figures": figures,
    }


def test_found_and_named_have_both_outcomes():
    right, other = RIGHT["noise"].views[0], "colour"
    none = {"figures": [said(right, present=False), said(other, "context", present=False)]}
    strong = {"figures": [said(right, u=0.1)]}
    weak = {"figures": [said(right, u=0.02)]}

    def asked(figures, clean):
        found = judged(planted("noise", figures), clean)
        return found["found"], found["named"], found["named_new"]

    assert asked([said(right)], none) == (True, True, True)
    assert asked([said(other, "context"), said(right)], none) == (True, False, False)
    assert asked([said(other, "context"), said(right)], {"figures": [said(other)]}) == (
        True,
        False,
        True,
    )
    assert asked([said(right, present=False)], none) == (False, False, False)
    assert asked([said(right)], strong) == (False, True, False)  # it was there without the plant
    assert asked([said(right)], weak) == (True, True, True)
    assert asked([], none) == (False, False, False)


def test_an_outcome_is_the_worst_kind_that_is_present():
    assert outcome([said("x", "context"), said("y", "file")]) == "artefact"
    assert outcome([said("x", "context"), said("y", present=False)]) == "context"
    assert outcome([said("y", present=False)]) == "none"


def test_a_summary_counts_what_a_ledger_holds(tmp_path):
    right = RIGHT["logo"].views[0]
    rows = [planted("none", [], strength=0.5)]
    rows += [planted("logo", [said(right)]), planted("logo", [], strength=0.8)]
    rows += [planted("text", [said(right)])]
    rows += [planted("logo", [said(right)], name="b")]  # not audited without the plant
    rows += [
        {
            "mode": "clean",
            "cell": "clean|x|0",
            "set": "x",
            "sort": "natural",
            "family": "f",
            "labeling": str(i),
            "figures": [said("noise")] if found == "artefact" else [],
            "outcome": found,
            "verdict": verdict,
        }
        for i, (found, verdict) in enumerate(
            [("artefact", "FAIL"), ("artefact", "WARN"), ("artefact", "PASS"), ("context", "WARN")]
            + [("none", "PASS")] * 5
            + [("artefact", "NONE")]
        )
    ]
    rows += [
        {
            "mode": "used",
            "cell": f"used|{i}",
            "set": "x",
            "cue": cue,
            "strength": 1.0,
            "gap": gap,
            "held_out": 900,
            "verdict": "WARN",
            "own": own,
        }
        for i, (cue, gap, own) in enumerate(
            [
                ("logo", 0.8, said("x", used=True, f=[0.6, 0.5, 0.7])),
                ("logo", 0.1, said("x", used=True, f=[0.2, 0.1, 0.3])),
                ("jpeg", 0.0, said("x", used=False, f=[0.01, 0.0, 0.02])),
                ("jpeg", 0.5, None),
            ]
        )
    ]
    rows += [{"mode": "clean", "cell": "clean|x|0", "finished": True, "seconds": 9.0, "cpu": 7200}]
    rows += [{"mode": "clean", "cell": "clean|x|9", "error": "ValueError: no"}]
    place = tmp_path / "rows.jsonl"
    place.write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"cut of')
    told = summary(ledger.read(place)).splitlines()
    line = {row.split("|")[1].strip(): row for row in reversed(told) if row.startswith("|")}
    assert (
        "| 1 of 2 (50.0 %, 9.5 to 90.5) | 0 of 1 (0.0 %, 0.0 to 79.3) |" in line["all of 10 kinds"]
    )
    assert line["natural"].count("of 9") == 4
    assert "| 1 of 9" in line["natural"]  # FAIL
    assert "| 2 of 9" in line["natural"]  # WARN by an artefact, with the one that was not confirmed
    assert line["natural"].endswith("| 1 |")
    assert "| 2 of 4 (50.0 %" in line["all"]
    assert "| 2 of 3 (66.7 %" in line["all"]
    assert "| 1 of 2 (50.0 %" in line["all but jpeg"]
    assert "1 cells, 2.00 core-hours." in told
    assert "- clean|x|9: ValueError: no" in told
    assert "Each gap is measured on 900 or more conflict images." in told


def counted_work(times, start):
    times.append(start)
    if start < 0:
        raise ValueError("less than nothing")
    return [{"start": start}]


def test_a_ledger_is_filled_once_and_a_failure_is_tried_again(tmp_path):
    times = []
    good, bad = (
        Cell(("power", f"at {start}"), counted_work, {"times": times, "start": start})
        for start in (1, -1)
    )
    rows = [*ledger.done(good), *ledger.done(bad)]
    assert [row.get("start") for row in rows] == [1, None, None]
    assert rows[-1]["error"] == "ValueError: less than nothing"
    assert ledger.finished(rows) == {"power|at 1"}
    assert times == [1, -1]


@pytest.mark.parametrize(
    ("only", "left"),
    [
        ([], 3),
        (["cifar10"], 2),
        (["cifar10-hard"], 1),
        (["cifar10,bar", "logo"], 2),
        (["digits"], 0),
    ],
)
def test_cells_are_chosen_by_the_words_of_their_keys(only, left):
    keys = [("cifar10-hard", "logo"), ("cifar10-natural", "text"), ("bar", "logo")]
    cells = [Cell(key, counted_work, {}) for key in keys]
    assert len(ledger.chosen(cells, only)) == left
