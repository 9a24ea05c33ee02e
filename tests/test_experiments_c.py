"""The studies of input and noise, of variants of the meta-gradient, and of Tiny-ImageNet."""

import numpy as np
import pytest
from experiments import records, repeated
from experiments.laboratory import Laboratory
from experiments.studies import noise


@pytest.fixture
def lab(digits, tmp_path, monkeypatch):
    monkeypatch.setattr(records, "RESULTS", tmp_path / "results")
    return Laboratory(dataset=digits, work=tmp_path / "work", threads=1)


def _scored(condition, kind, task, agreement, accuracy=0.7):
    means = {"agreement": agreement, "kappa": 0.5, "accuracy": accuracy}
    return {"condition": condition, "kind": kind, "task": f"{kind} {task}", **means}


def _noise(**moved):
    """A result of two labelings a kind, that conditions move by so much."""
    rows = []
    for name in noise.CONDITIONS:
        for kind, base in (("human", 0.8), ("random", 0.6), ("power", 0.9)):
            by = moved.get(f"{name}_{kind}", moved.get(name, 0.0))
            rows += [_scored(name, kind, i, base + by + 0.01 * i) for i in range(2)]
    return {"learner": "mlp", "rows": rows}


def test_lightness_has_no_colour_and_other_scores(lab):
    colour = np.random.default_rng(0).integers(0, 256, (4, 2, 2, 3), dtype=np.uint8)
    grey = noise._luma(colour)
    assert grey.shape == colour.shape
    assert (grey == grey[..., :1]).all()
    assert grey[0, 0, 0, 0] == round(float(colour[0, 0, 0] @ np.array([0.299, 0.587, 0.114])))
    other = noise.lightness(lab.dataset)
    assert other.fingerprint != lab.dataset.fingerprint
    assert (other.ids == lab.dataset.ids).all()


def test_noise_scores_every_labeling_under_every_condition(lab, monkeypatch, tmp_path):
    small = {"SEEDS": (0, 1), "HUMAN": 1, "RANDOM": 1, "POWER": 1, "TASKS": 2, "IMAGES": 100}
    for name, value in small.items():
        monkeypatch.setattr(noise, name, value)
    kept = {k: noise.CONDITIONS[k] for k in ("base", "data", "flip")}
    monkeypatch.setattr(noise, "CONDITIONS", kept)
    result = noise.run(lab, "linear")
    assert len(result["rows"]) == 3 * 3
    assert all(len(row["by_seed"]) == 2 for row in result["rows"])
    base = [row["agreement"] for row in result["rows"] if row["condition"] == "base"]
    flip = [row["agreement"] for row in result["rows"] if row["condition"] == "flip"]
    assert base != flip


def test_noise_tells_what_was_claimed_and_what_came_out(tmp_path):
    as_claimed = _noise(lightness_power=-0.05, order=0.03, data=-0.05, crop_human=0.02)
    words = [verdict.word for verdict in noise.judge([as_claimed])]
    assert words == ["holds"] * len(noise.CLAIMS)
    other = _noise(lightness_human=-0.05, data_random=0.3)
    assert [v.word for v in noise.judge([other])] == ["does not"] * len(noise.CLAIMS)
    assert {v.word for v in noise.judge([as_claimed, other])} == {"differs"}
    text = noise.tell([as_claimed], tmp_path)
    assert "| lightness alone | 0.805 / 0.700 |" in text
    assert "-0.050 [-0.050, -0.050]" in text
    assert (tmp_path / "noise.svg").exists()


def test_a_labeling_has_one_row_for_all_its_seeds():
    def score(agreement):
        own = {"task": "human 0", "kind": "human", "kappa": 0.5, "accuracy": 0.7}
        return [{**own, "agreement": agreement, "precision": "float32", "seconds": 1.0}]

    (row,) = repeated.over_seeds([score(0.7), score(0.8), score(0.9)])
    assert (row["agreement"], row["by_seed"], row["seconds"]) == (0.8, [0.7, 0.8, 0.9], 3.0)


def test_kinds_are_compared_seed_by_seed():
    rows = [
        {"kind": "power", "by_seed": [0.9, 0.8]},
        {"kind": "power", "by_seed": [0.8, 0.9]},
        {"kind": "human", "by_seed": [0.6, 0.7]},
    ]
    own = repeated.over_kinds(rows, "power", "human")
    assert own["mean"] == pytest.approx(0.2)
    assert own["units"] == 2
