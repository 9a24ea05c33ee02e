"""Studies of the task space: published tasks, how many there are, what they contain, where."""

import json
import time
from dataclasses import replace

import numpy as np
import pytest
from experiments import points, records, searches
from experiments.judging import word
from experiments.laboratory import Laboratory
from experiments.studies import STUDIES, count, coverage, published, space
from sklearn.linear_model import LogisticRegression

import taskdiscovery as td
from taskdiscovery.analysis.coverage import linear_probe

SEEDS = (0, 1)


@pytest.fixture
def lab(digits, tmp_path, monkeypatch):
    """Digits, on which pursuit looks at the pixels instead of at features of a backbone."""
    monkeypatch.setattr(records, "RESULTS", tmp_path / "results")
    pixels_NP = digits.images.reshape(len(digits), -1).astype(np.float32)
    pixels_NP += np.random.default_rng(0).normal(size=pixels_NP.shape).astype(np.float32)
    given = td.load(digits, features=pixels_NP)
    monkeypatch.setattr(searches, "features_of", lambda lab: given)
    for study in (published, count, coverage):
        monkeypatch.setattr(study, "SEEDS", SEEDS)
    return Laboratory(
        dataset=digits, work=tmp_path / "work", threads=1, published=tmp_path / "published"
    )


def write_table(lab, labels_NL):
    lab.published.mkdir(parents=True, exist_ok=True)
    lines = [",a,b", *(f"{i},{a},{b}" for i, (a, b) in enumerate(labels_NL))]
    (lab.published / published.FILE).write_text("\n".join(lines) + "\n", "utf-8")


def recorded(name, document):
    """Write a result as the command does, and read it."""
    place = records.record(name, document, time.perf_counter())
    return {**json.loads(place.read_text("utf-8")), "file": place.name}


@pytest.mark.parametrize(
    ("held", "said"),
    [([True, True], "holds"), ([False, True], "differs"), ([False, False], "does not")],
)
def test_a_verdict_is_the_word_for_what_held(held, said):
    assert word(held) == said


def test_the_order_of_a_table_shows_in_its_association(lab):
    classes_N = lab.dataset.labels
    assert classes_N is not None
    labels_NL = np.stack([classes_N < 5, classes_N % 2], axis=1).astype(np.int64)
    write_table(lab, labels_NL)
    own = published.order(lab, published.read(lab))
    assert [row["as it stands"] for row in own] == [1, 1]
    assert all(row["least of ten parts"] == 1 for row in own)
    shuffled = np.random.default_rng(0).permutation(labels_NL)
    assert all(row["as it stands"] < 0.2 for row in published.order(lab, shuffled))


def test_a_table_of_other_rows_is_refused(lab):
    write_table(lab, np.zeros((3, 2), np.int64))
    with pytest.raises(ValueError, match="3 rows for 1797 images"):
        published.read(lab)
    with pytest.raises(ValueError, match="--published"):
        published.read(replace(lab, published=None))


def test_cramers_v_is_that_of_the_chi_square():
    from scipy.stats.contingency import association

    rng = np.random.default_rng(0)
    labels_N, classes_N = rng.integers(2, size=200), rng.integers(5, size=200)
    table = np.zeros((2, 5), np.int64)
    np.add.at(table, (labels_N, classes_N), 1)
    assert published.cramer(labels_N, classes_N) == pytest.approx(association(table))


@pytest.mark.slow
def test_published_tasks_are_scored_beside_ours(lab, tmp_path, monkeypatch):
    monkeypatch.setattr(published, "TASKS", 4)
    monkeypatch.setitem(
        published.SHARES, "linear", published.Share(power=2, pursuit=1, human=1, random=1)
    )
    classes_N = lab.dataset.labels
    assert classes_N is not None
    write_table(lab, np.stack([classes_N < 5, classes_N % 2], axis=1).astype(np.int64))
    result = recorded("published", published.run(lab, "linear"))
    assert len(result["rows"]) == len(SEEDS) * (2 + 2 + 1 + 1 + 1)
    # A published task is nearest to the human cut that it is.
    own = [row for row in result["alike"] if row["way"] == "human"]
    assert [row["phi"] for row in own] == [1.0] * 4
    text = published.tell([result], tmp_path)
    assert "in every tenth of the rows" in text
    assert len(published.judge([result])) == len(published.CLAIMS)


@pytest.mark.slow
def test_the_curve_of_the_task_space_is_told(lab, tmp_path, monkeypatch):
    monkeypatch.setattr(count, "COUNTS", (4, 8, 32))
    first = count.Plan(
        power=2, components=(0, 7), independent=(4,), directions=(4, 8), each=2, human=1
    )
    monkeypatch.setattr(count, "FIRST", first)
    monkeypatch.setattr(count, "LATER", count.Plan(power=1, components=(0, 7), human=1))
    result = recorded("count", count.run(lab, "linear"))
    kinds = {row["kind"] for row in result["rows"]}
    assert kinds == {"power-4", "power-8", "power-32", "pixels", "ica-4"} | {
        "random-4",
        "random-8",
        "human",
    }
    found = [row for row in result["found"] if row["d"] == 8]
    assert all(len(row["correlations"]) == row["tasks"] for row in found)
    alike = {row["way"]: row["mean"] for row in result["alike"]}
    assert alike["random-4"] > alike["random-8"]  # fewer coordinates, more alike
    assert count.of_first(result, 1) == pytest.approx(
        np.mean([r["agreement"] for r in result["rows"] if r["task"] == "pixels 0"])
    )
    assert "random directions" in count.tell([result], tmp_path)
    assert (tmp_path / "count.svg").exists()


@pytest.mark.parametrize(("many", "said"), [(0.88, "holds"), (0.96, "does not")])
def test_a_fall_that_is_not_one_is_said(many, said):
    means = {"power-8": 0.95, "power-32": many, "power-4": 0.96, "power-128": many}
    means |= {"human": 0.75, "random-4": 0.95, "random-128": 0.9, "pixels": 0.8}
    rows = [
        {"task": f"{kind} 0", "kind": kind, "seed": seed, "agreement": value + 0.001 * seed * odd}
        for odd, (kind, value) in enumerate(means.items())
        for seed in (0, 1, 2)
    ]
    found = [{"d": 128, "similarity": {"mean": 0.51, "max": 0.6}}]
    result = {"learner": "convnet", "seeds": [0, 1, 2], "counts": [4, 8, 32, 128], "rows": rows}
    alike = [{"way": "random-4"}, {"way": "random-128"}]
    verdicts = count.judge([{**result, "found": found, "alike": alike}])
    assert verdicts[0].word == said
    assert verdicts[2].word == "holds"  # above pixels everywhere


def test_a_probe_is_fitted_on_some_images_and_measured_on_others():
    rng = np.random.default_rng(0)
    labels_N = rng.integers(2, size=400)
    coordinates_NP = rng.normal(size=(400, 3)) + 2.0 * labels_N[:, None]
    fit, measured = np.arange(200), np.arange(200, 400)
    found = linear_probe(coordinates_NP, labels_N, fit, measured)
    assert found is not None
    plain = LogisticRegression().fit(coordinates_NP[fit], labels_N[fit])
    expected = plain.score(coordinates_NP[measured], labels_N[measured])
    assert found["accuracy"] == pytest.approx(expected, abs=0.01)
    assert found["low"] < found["accuracy"] < found["high"]
    assert linear_probe(coordinates_NP, np.zeros(400, np.int64), fit, measured) is None


@pytest.mark.slow
def test_embeddings_are_probed_for_all_human_tasks(lab, tmp_path, monkeypatch):
    monkeypatch.setattr(coverage, "TASKS", 4)
    options = {key: {**own} for key, own in coverage.METHODS.items()}
    for own in options.values():
        if own.get("outer_steps"):
            own["outer_steps"] = 2
    monkeypatch.setattr(coverage, "METHODS", options)
    monkeypatch.setattr(coverage, "SCORED", dict.fromkeys(coverage.SCORED, 1))
    result = recorded("coverage", coverage.run(lab, "linear"))
    assert all(len(row["probed"]) == 126 for row in result["embeddings"])
    text = coverage.tell([result], tmp_path)
    assert "uniformity alone" in text
    assert len(coverage.judge([result])) == len(coverage.CLAIMS)
    assert (tmp_path / "coverage.svg").exists()


@pytest.mark.parametrize(("others", "said"), [(0.70, "holds"), (0.60, "does not")])
def test_whether_containing_some_opens_the_others_is_said(others, said):
    def embedding(method, seed, contained, rest):
        probed = [contained if n in coverage.human.CORE else rest for n in range(126)]
        return {"method": method, "seed": seed, "probed": [p + 0.001 * seed for p in probed]}

    names = [*coverage.METHODS, coverage.PIXELS, coverage.PURSUIT]
    rows = [embedding(name, seed, 0.6, 0.6) for name in names for seed in (0, 1)]
    rows = [row for row in rows if row["method"] != "meta --contain"]
    rows += [embedding("meta --contain", seed, 0.8, others) for seed in (0, 1)]
    scores = [
        {"method": name, "seed": seed, "agreement": 0.9 + 0.001 * seed * at}
        for at, name in enumerate(("meta", "meta --contain"))
        for seed in (0, 1)
    ]
    result = {
        "learner": "mlp",
        "human": [[0]] * 126,
        "contained": list(coverage.human.CORE),
        "embeddings": rows,
        "rows": scores,
    }
    assert coverage.judge([result])[2].word == said


def test_points_are_taken_from_everything_recorded():
    human = {"task": "human 0", "kind": "human", "agreement": 0.8, "accuracy": 0.7, "high": 0.82}
    document = {
        "experiment": "methods",
        "learner": "mlp",
        "rows": [{"method": "x", "agreement": {"mean": 0.9}, "rows": [human, dict(human)]}],
        "searched": [{"kind": "exact", "agreement": 0.9, "accuracy": 0.8}],
        "unlabelled": [{"agreement": 0.9, "accuracy": float("nan")}],
    }
    estimates = {
        "experiment": "estimates",
        "learner": "convnet",
        "labelings": {"rows": [{"kind": "flipped", "score": 0.7, "accuracy": 0.6}]},
        "corruptions": {"rows": [{"kind": "fog", "agreement": 0.6, "accuracy": 0.3}]},
        "splits": {
            "strengths": {
                "1": {"conflicting": {"agreement": {"mean": 0.9}, "accuracy": {"mean": 0.1}}}
            }
        },
        "natural": {"rows": [{"bound": 0.85, "accuracy": 0.2}]},
    }
    found = points.gathered([document, estimates])
    assert [(p.family, p.agreement, p.accuracy) for p in found] == [
        ("human", 0.8, 0.7),
        ("discovered", 0.9, 0.8),
        ("flipped labels", 0.7, 0.6),
        ("other images", 0.6, 0.3),
        ("adversarial split", 0.9, 0.1),
        ("other images", 0.7, 0.2),
    ]
    assert found[0].room == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("accuracy", "over", "beyond", "said"), [(0.85, 0, 0, "holds"), (0.92, 1, 0, "does not")]
)
def test_a_point_above_the_bound_is_said(accuracy, over, beyond, said, lab, tmp_path):
    row = {"task": "human 0", "kind": "human", "agreement": 0.8, "high": 0.85}
    recorded("methods", {"learner": "mlp", "rows": [{**row, "accuracy": accuracy}]})
    result = recorded("space", space.run(lab, "all"))
    assert space.above(space.points_of(result)) == (over, beyond)
    assert space.judge([result])[0].word == said
    assert f"{over} lie above it" in space.tell([result], tmp_path)
    assert (tmp_path / "space.svg").exists()


def test_every_claim_is_judged():
    for name in ("published", "count", "coverage", "space"):
        study = STUDIES[name]
        assert study.claims
        assert study.judge is not None
        assert all(any(letter.isdigit() for letter in claim.text) for claim in study.claims[:1])
