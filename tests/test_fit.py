"""A learner that is kept: predict, evaluate by class, level, group and image, save and load."""

import json

import numpy as np
import pandas as pd
import pytest
from torch import nn

import taskdiscovery as td
from taskdiscovery.cli import main

N, P = 900, 12
QUIET = {"threads": 1, "callbacks": ()}
BRIEF = {"preset": "smoke", "epochs": 4, "batch": 64}
NAMES = np.array(["ant", "bee", "cow"])


def rows(seed, shift=0.0, n=N):
    """Features of three classes; a shift hides the last one among the second."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 3, n)
    table = rng.normal(size=(n, P))
    table[np.arange(n), kind] += 4
    hidden = kind == 2
    table[hidden, 2] -= shift
    table[hidden, 1] += shift
    light = np.where(rng.random(n) < 0.5, "day", "night")
    return td.load(table, labels=NAMES[kind], attributes={"light": light})


def pictures(seed=0, n=400):
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 2, n)
    images = rng.integers(0, 120, (n, 8, 8, 3)) + 90 * kind[:, None, None, None]
    return td.load(images.astype(np.uint8), labels=np.array(["dark", "light"])[kind])


@pytest.fixture(scope="module")
def ridge():
    return td.fit(rows(0), learner="ridge", **QUIET)


def test_it_predicts_names_and_probabilities_of_any_data(ridge):
    other = rows(1)
    names, shares = ridge.predict(other), ridge.predict_proba(other)
    assert (names == NAMES[other.labels]).mean() > 0.95
    assert shares.shape == (N, 3)
    assert shares.sum(axis=1) == pytest.approx(1)
    assert (shares >= 0).all()
    assert (np.array(ridge.classes)[shares.argmax(axis=1)] == names).all()
    assert (ridge.predict(other.features) == names).all()  # an array
    assert ridge.predict(other.features[:1]).shape == (1,)


def test_what_it_is_trained_on_is_never_measured(ridge):
    held = ridge.evaluation
    assert held.images == 90
    assert len(ridge.trained_on) == 810
    again = ridge.evaluate(rows(0))
    assert again.images == 90
    assert again.seen == 810
    assert set(again.results["image_id"]) == set(held.results["image_id"])
    assert again.accuracy.to_json() == held.accuracy.to_json()


def test_figures_are_those_of_plain_counting(ridge):
    other = rows(2, shift=3.0)
    found = ridge.evaluate(other)
    truth, names = NAMES[other.labels], ridge.predict(other)
    assert found.images == N
    assert found.accuracy.mean == pytest.approx((truth == names).mean())
    assert found.accuracy.low < found.accuracy.mean < found.accuracy.high
    recall = [(names[truth == name] == name).mean() for name in NAMES]
    assert found.per_class["accuracy"].tolist() == pytest.approx(recall)
    assert found.balanced == pytest.approx(np.mean(recall))
    assert recall[2] < 0.6 < min(recall[:2])  # the hidden class, and it alone
    assert found.majority == pytest.approx(np.bincount(other.labels).max() / N)
    table = pd.crosstab(truth, names)
    for true in NAMES:
        for predicted in NAMES:
            assert found.confusion.loc[true, predicted] == table.loc[true, predicted]
    levels = found.per_level.set_index("level")
    day = (other.attributes["light"] == "day").to_numpy()
    assert levels.loc["day", "accuracy"] == pytest.approx((truth == names)[day].mean())
    assert found.worst["level"] == levels["accuracy"].idxmin()
    per_image = found.to_frame()
    assert per_image["true"].tolist() == truth.tolist()
    assert per_image["predicted"].tolist() == names.tolist()
    assert ((per_image["right"] == 1) == (truth == names)).all()
    json.dumps(found.numbers)
    assert "balanced" in repr(found)
    assert "<table>" in found._repr_html_()


def test_groups_are_one_draw_each_and_a_row_each(ridge):
    other = rows(3, shift=3.0)
    many = td.load(other.features.repeat(10, axis=0), labels=NAMES[other.labels].repeat(10))
    plain = ridge.evaluate(many)
    assert not plain.grouped
    together = ridge.evaluate(many, groups=np.arange(N).repeat(10))
    assert together.accuracy.mean == plain.accuracy.mean
    width = {e: e.accuracy.high - e.accuracy.low for e in (plain, together)}
    assert width[together] > 2.5 * width[plain]
    assert together.grouped
    assert together.accuracy.covers == "groups"
    groups = together.per_level[together.per_level["factor"] == "group"]
    assert len(groups) == N
    assert (groups["images"] == 10).all()


def test_another_target_is_matched_by_the_names_of_its_classes(ridge):
    other = rows(4)
    names = NAMES[other.labels].astype(object)
    names[:100] = "dog"
    found = ridge.evaluate(other, names)
    assert found.images == N - 100
    assert found.unknown == 100
    assert found.accuracy.mean > 0.9
    with pytest.raises(td.DataError, match="no image has a class"):
        ridge.evaluate(other, ["dog", "cat"] * (N // 2))


def test_a_target_of_ones_own_values_is_given_again():
    data, other = rows(0), rows(7)
    fitted = td.fit(data, NAMES[data.labels], learner="ridge", **QUIET)
    assert fitted.classes == tuple(NAMES)
    with pytest.raises(td.ConfigError, match="trained on values") as caught:
        fitted.evaluate(other)
    assert "target=" in caught.value.hint
    assert fitted.evaluate(other, NAMES[other.labels]).accuracy.mean > 0.9
    lit = td.fit(data, "attr:light", learner="ridge", **QUIET)
    assert lit.evaluate(other).target == "attr:light"
    assert abs(lit.evaluate(other).accuracy.mean - 0.5) < 0.1


def test_several_runs_are_kept_and_asked_together():
    data = pictures()
    fitted = td.fit(data, "label", learner="linear", runs=3, **BRIEF, **QUIET)
    other = pictures(1)
    found = fitted.evaluate(other)
    assert len(fitted.members) == len(found.runs) == 3
    assert found.accuracy.mean == pytest.approx(np.mean(found.runs))
    assert found.accuracy.covers == "images and runs"
    assert found.runs[0] > 0.9
    each = fitted.probabilities(other, np.arange(len(other)))
    assert fitted.predict_proba(other) == pytest.approx(each.mean(axis=0))
    assert not np.allclose(each[0], each[1])
    with pytest.raises(td.DataError, match="takes images of 8 x 8 x 3"):
        fitted.predict(np.random.default_rng(0).integers(0, 255, (2, 9, 9, 3), dtype=np.uint8))


def test_one_run_of_what_has_one_optimum(ridge):
    assert len(ridge.members) == 1
    assert ridge.evaluation.accuracy.covers == "images"


def test_it_trains_on_one_part_and_measures_on_the_published_one():
    train, test = rows(0), rows(5, shift=3.0)
    fitted = td.fit(td.load(train, test=test), learner="ridge", **QUIET)
    assert fitted.evaluation.images == N
    assert len(fitted.trained_on) == N
    assert fitted.evaluation.per_class["accuracy"].iloc[2] < 0.6
    unlabelled = td.load(test.features)
    assert td.fit(td.load(train, test=unlabelled), learner="ridge", **QUIET).evaluation is None


def test_a_group_is_on_one_side():
    patient = np.arange(N) // 10
    data = td.load(rows(0), groups=patient)
    fitted = td.fit(data, learner="ridge", **QUIET)
    held = fitted.evaluation.results["image_id"].astype(int).to_numpy()
    assert not set(patient[held]) & set(np.delete(patient, held))


class Own(nn.Module):
    def __init__(self, outputs, image_shape):
        super().__init__()
        height, width, channels = image_shape
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(height * width * channels, outputs))

    def forward(self, x):
        return self.layers(x)


@pytest.mark.parametrize("learner", ["ridge", "logistic", "mlp"])
def test_what_is_saved_predicts_the_same(learner, tmp_path):
    fitted = td.fit(rows(0), learner=learner, **BRIEF, **QUIET)
    path = fitted.save(tmp_path / "learner.safetensors")
    again = td.load_fitted(path)
    other = rows(6)
    assert again.classes == fitted.classes
    assert again.predict_proba(other) == pytest.approx(fitted.predict_proba(other), abs=1e-6)
    assert again.evaluate(rows(0)).seen == 600
    assert b"pickle" not in path.read_bytes()


def test_a_network_of_ones_own_is_saved_and_named_again(tmp_path):
    fitted = td.fit(pictures(), learner=Own, **BRIEF, **QUIET)
    path = fitted.save(tmp_path / "own.safetensors")
    with pytest.raises(td.RunDirError, match="code of its own"):
        td.load_fitted(path)
    again = td.load_fitted(path, learner=Own)
    other = pictures(2)
    assert again.predict_proba(other) == pytest.approx(fitted.predict_proba(other), abs=1e-6)


def test_files_that_are_none_are_refused(ridge, tmp_path):
    path = ridge.save(tmp_path / "learner.safetensors")
    with pytest.raises(td.ConfigError, match=r"goes into \.safetensors"):
        ridge.save(tmp_path / "learner.pt")
    with pytest.raises(td.RunDirError, match="cannot be read"):
        td.load_fitted(tmp_path / "none.safetensors")
    content = path.read_bytes()
    for damaged in (
        content[:-8],
        content[:40],
        b"",
        content.replace(b'\\"shape\\": [1, 1, 12]', b'\\"shape\\": [1, 1, 13]'),
    ):
        other = tmp_path / "damaged.safetensors"
        other.write_bytes(damaged)
        with pytest.raises(td.RunDirError):
            td.load_fitted(other)


def test_what_cannot_be_learnt_is_refused_in_words(ridge):
    with pytest.raises(td.ConfigError, match="looks at features"):
        td.fit(pictures(), learner="ridge", **QUIET)
    with pytest.raises(td.ConfigError, match="trained in this process"):
        td.fit(pictures(), learner="linear", executor="processes", **QUIET)
    with pytest.raises(td.DataError, match="takes 12 features, the data has 5"):
        ridge.predict(np.random.default_rng(0).normal(size=(30, 5)))


def test_the_command_line_prints_classes_and_keeps_the_learner(tmp_path, capsys):
    path = tmp_path / "digits.safetensors"
    words = ["fit", "digits", "--learner", "linear", "--preset", "smoke", "--epochs", "3"]
    words += ["--batch", "64", "--threads", "1", "--runs", "2", "--quiet"]
    assert main([*words, "--out", str(path)]) == 0
    text = capsys.readouterr().out
    assert "balanced accuracy" in text
    assert "always the commonest class" in text
    assert "true \\ predicted" in text
    assert td.load_fitted(path).classes == tuple("0123456789")
    assert main([*words, "--format", "json"]) == 0
    numbers = json.loads(capsys.readouterr().out)
    assert [row["class"] for row in numbers["per_class"]] == list("0123456789")
    assert len(numbers["runs"]) == 2
    assert main([*words, "--format", "csv"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 181
    assert main([*words, "--out", str(tmp_path / "digits.pt")]) == 2
