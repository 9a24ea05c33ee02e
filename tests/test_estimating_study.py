"""The study of estimates: what is kept is asked, and what is missed is counted, as it should be."""

import numpy as np
import pandas as pd
import pytest
from experiments.estimating import measured, tell
from experiments.ledger import Ledger

from taskdiscovery.data.corruptions import CORRUPTIONS

RNG = np.random.default_rng(0)


def answers(labels_n, right, classes=4, runs=3):
    """Probabilities (K, n, C) of runs that are right so often, and as sure as that."""
    wrong_Kn = (labels_n + RNG.integers(1, classes, (runs, len(labels_n)))) % classes
    hit_Kn = RNG.random((runs, len(labels_n))) < right
    predicted_Kn = np.where(hit_Kn, labels_n, wrong_Kn)
    sure_Kn = np.clip(right + RNG.normal(size=predicted_Kn.shape) * 0.1, 0.3, 0.99)
    p_KnC = np.repeat(((1 - sure_Kn) / (classes - 1))[:, :, None], classes, axis=2)
    np.put_along_axis(p_KnC, predicted_Kn[:, :, None], sure_Kn[:, :, None], axis=2)
    return p_KnC.astype(np.float16)


def test_a_ledger_goes_on_where_it_was(tmp_path):
    ledger = Ledger(place=tmp_path)
    assert ledger.known("labeling mlp 0 human 0", lambda: {"a": np.arange(3)})["a"].sum() == 3
    again = ledger.known("labeling mlp 0 human 0", lambda: pytest.fail("it is known"))
    assert again["a"].tolist() == [0, 1, 2]
    assert [key for key, _ in ledger.all("labeling")] == ["labeling mlp 0 human 0"]


def test_labelings_are_told_by_the_others_of_their_seed(tmp_path):
    ledger = Ledger(place=tmp_path)
    for seed in (0, 1):
        for i, right in enumerate(np.linspace(0.55, 0.98, 12 if seed == 0 else 7)):
            labels_n = RNG.integers(0, 2, 4000)
            hit_Kn = RNG.random((2, 4000)) < right
            own = {"predicted": np.where(hit_Kn, labels_n, 1 - labels_n), "labels": labels_n}
            ledger.known(f"labeling mlp {seed} human {i}", lambda own=own: own | {"rates": RATES})
    found = measured.labelings(ledger, "mlp")
    assert found["seeds"] == [0]  # the other is under way
    assert found["labelings"] == len(found["rows"]) == 12
    # Independent errors: agreement is p^2 + (1 - p)^2, which is neither p nor a line of it.
    missed = found["absolute miss"]
    assert missed["curve"]["mean"] < missed["agreement"]["mean"] / 2
    row = found["rows"][5]
    assert row["agreement miss"] == pytest.approx(row["score"] - row["accuracy"], abs=1e-4)


RATES = np.array([0.5, 0.5])


def test_made_shifts_of_the_kind_that_is_asked_about_are_left_out(tmp_path):
    ledger, kinds = Ledger(place=tmp_path), list(CORRUPTIONS)[:5]
    labels_N, labels_m = RNG.integers(0, 4, 500 + 5000), RNG.integers(0, 4, 400)
    own = {"labels": labels_N, "calibration labels": labels_m}
    own |= {"calibration": answers(labels_m, 0.9), "none 0": answers(labels_N, 0.9)}
    for i, kind in enumerate(kinds):
        for strength in (1, 2, 3):
            own[f"{kind} {strength}"] = answers(labels_N, 0.9 - 0.1 * strength - 0.02 * i)
    ledger.known("corruption mlp 0", lambda: own)
    found = measured.corruptions(ledger, "mlp")
    assert found["domains"] == 15
    estimators = found["estimators"]
    assert estimators["held-out"]["absolute miss"]["mean"] > 0.2
    assert estimators[measured.MADE]["absolute miss"]["mean"] < 0.05
    gain = estimators[measured.RECOMMENDED]["less than held-out by"]
    assert 0 < gain["low"] <= gain["mean"] <= gain["high"]
    text = tell.text([{"learner": "mlp", "file": "a.json", "corruptions": found}])
    assert f"| `held-out` | {estimators['held-out']['absolute miss']['mean']:.3f} [" in text


def test_intervals_of_means_draw_clusters_whole():
    values, clusters = pd.Series(np.repeat([0.0, 1.0], 50)), pd.Series(np.repeat(["a", "b"], 50))
    assert measured.mean_of(values, clusters) == {"mean": 0.5, "low": 0.0, "high": 1.0}
    alone = measured.mean_of(values, pd.Series(range(100)))
    assert 0.35 < alone["low"] < 0.45 < 0.55 < alone["high"] < 0.65
