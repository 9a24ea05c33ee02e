"""Trials of better tasks: each ends in tasks that are apart, and the best is chosen fairly."""

import numpy as np
import pytest
from experiments.laboratory import Laboratory
from experiments.studies import better
from experiments.trials import parts
from experiments.trials.method import WAYS, Trial

import taskdiscovery as td


@pytest.mark.parametrize("way", WAYS)
def test_every_way_ends_in_tasks_that_are_apart(way, digits):
    found = td.discover(
        digits,
        tasks=3,
        learner="linear",
        method=Trial(way=way, start="pixels"),
        train_images=300,
        epochs=2,
        threads=1,
        callbacks=(),
    )
    assert len(found.tasks) == 3
    assert found.numbers["way"] == way
    assert found.numbers["similarity"]["max"] < 0.9
    seen_N = found.tasks.seen_N
    rate_D = found.tasks.labels_ND[seen_N].mean(axis=0)
    assert np.abs(rate_D - 0.5).max() < 0.15


def test_reliable_coordinates_leave_out_what_only_one_run_has():
    rng = np.random.default_rng(0)
    signal_NS = rng.normal(size=(4000, 2)).astype(np.float32)
    mix = rng.normal(size=(6, 6)).astype(np.float32)

    def run():
        noise_NP = 3 * rng.normal(size=(4000, 4)).astype(np.float32)
        return np.concatenate([signal_NS, noise_NP], axis=1) @ mix

    kept_ND = parts.reliable([run(), run()], 2)
    fitted = np.linalg.lstsq(signal_NS, kept_ND, rcond=None)[0]
    assert np.square(kept_ND - signal_NS @ fitted).mean() < 0.1


def test_candidates_are_chosen_by_agreement_within_a_similarity():
    rng = np.random.default_rng(0)
    own_N3 = rng.normal(size=(2000, 3)).astype(np.float32)
    pool = np.concatenate([own_N3, own_N3[:, :1]], axis=1)  # the last is a copy of the first
    agreed = np.array([0.99, 0.7, 0.8, 0.98])
    assert sorted(parts.best_apart(pool, agreed, 3, 0.6)) == [0, 1, 2]
    assert sorted(parts.best_apart(pool, agreed, 3, 1.0)) == [0, 2, 3]


def test_targets_with_margins_are_zero_where_runs_part():
    first = np.array([[1.0], [-1.0], [2.0], [-2.0]], dtype=np.float32)
    second = np.array([[1.0], [-1.0], [-2.1], [2.1]], dtype=np.float32)
    targets = parts.surest([first, second])
    assert (targets[2:] == 0).all()
    assert targets[0] > 0 > targets[1]


def _row(way, value, alike=0.51):
    return {
        "way": way,
        "seed": 0,
        "agreement": {"tasks": 2, "mean": value, "min": value, "max": value},
        "kappa": 0.9,
        "similarity": {"mean": alike, "max": 0.6},
        "seconds": 1.0,
    }


def test_the_best_way_is_one_that_searches_and_is_not_too_alike(tmp_path):
    rows = [_row("power", 0.9), _row("components", 0.99), _row("longer", 0.93)]
    rows.append(_row("krylov", 0.97, alike=0.53))
    assert better._best(rows) == "longer"
    again = [_row(way, v) for way, v in (("power", 0.91), ("power", 0.92))]
    again += [_row("longer", 0.94), _row("longer", 0.95)]
    result = {"learner": "convnet", "best": "longer", "rows": rows, "again": again}
    text = better.tell([result], tmp_path)
    assert "*longer* 0.945" in text
    assert "(longer +0.030)" in text
    words = [verdict.word for verdict in better.judge([result])]
    assert words == ["does not"] * 4
    again[-2:] = [_row("longer", 0.95), _row("longer", 0.96)]
    assert better.judge([result])[1].word == "holds"


def test_what_was_tried_is_not_tried_again(digits, tmp_path, monkeypatch):
    monkeypatch.setattr(better, "TASKS", 2)
    monkeypatch.setattr(better, "SCORED", 1)
    monkeypatch.setattr(better, "IMAGES", 300)
    lab = Laboratory(dataset=digits, work=tmp_path, threads=1)
    first = better._tried(lab, "linear", "components", 0)
    monkeypatch.setattr(td, "discover", None)
    assert better._tried(lab, "linear", "components", 0) == first
