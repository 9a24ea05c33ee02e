"""Pursuit on features, and the closed forms under it, against plain references."""

import dataclasses
import shutil

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.preprocessing import StandardScaler, normalize

import taskdiscovery as td
from taskdiscovery.cli import main
from taskdiscovery.discovery.blocks import Blocks
from taskdiscovery.discovery.modes import distinct, gaussian, modes
from taskdiscovery.discovery.ridge import solve
from taskdiscovery.features.reduction import Reduction
from taskdiscovery.networks import lite0
from taskdiscovery.training.convex import Fit, fitted_outputs
from taskdiscovery.training.preparing import COMPONENTS, STRENGTHS

N, P = 600, 24
QUICK = td.Pursuit(starts=120, rounds=8)


def planted(seed=0):
    """Features that fall in two along two directions (half, and a fifth), Gaussian elsewhere."""
    rng = np.random.default_rng(seed)
    sides = np.stack([rng.random(N) < 0.5, rng.random(N) < 0.2], axis=1)
    features = rng.normal(size=(N, P))
    features[:, 5] *= 3  # a Gaussian of more variance than any other
    basis = np.linalg.qr(rng.normal(size=(P, 2)))[0]
    features += (6 * (sides - 0.5)) @ basis.T
    return features.astype(np.float32), sides


@pytest.fixture(scope="module")
def data():
    features, _ = planted()
    return td.load(td.load(f"shapes?n={N}&size=12", callbacks=()), features=features)


@pytest.fixture(scope="module")
def found(data):
    return td.discover(data, method=QUICK, tasks=6, threads=1, callbacks=())


# --- closed forms ---


def test_a_ridge_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    x, t = rng.normal(size=(200, 7)), rng.normal(size=(200, 3))
    ours = solve(x.T @ x, x.T @ t, 200, 0.7)
    theirs = Ridge(alpha=0.7 * 200, fit_intercept=False).fit(x, t).coef_.T
    np.testing.assert_allclose(ours, theirs, atol=1e-10)


def test_each_half_of_the_blocks_is_predicted_from_the_other():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(103, 5)).astype(np.float32)
    t = rng.normal(size=(103, 2)).astype(np.float32)
    ours = Blocks(x, 10, 0.3).held_out(t, np.random.default_rng(7))
    bounds = np.linspace(0, 103, 11).astype(int)
    block = np.repeat(np.arange(10), np.diff(bounds))
    first = np.isin(block, np.random.default_rng(7).permutation(10)[:5])
    for fitted in (first, ~first):
        model = Ridge(alpha=0.3 * fitted.sum(), fit_intercept=False).fit(x[fitted], t[fitted])
        theirs = model.predict(x[~fitted])
        np.testing.assert_allclose(ours[~fitted], theirs - theirs.mean(axis=0), atol=1e-4)
    with pytest.raises(ValueError, match="do not fill"):
        Blocks(x[:9], 10, 0.3)


def test_features_are_reduced_as_scikit_learn_does_it():
    features, _ = planted(2)
    rows = np.arange(0, N, 2)
    ours = Reduction.measure(features, rows, 6).apply(features, np.arange(N))
    unit = normalize(features.astype(np.float64))
    scaler = StandardScaler().fit(unit[rows])
    theirs = PCA(6, svd_solver="full").fit(scaler.transform(unit[rows]))
    wanted = theirs.transform(scaler.transform(unit))
    same = np.sign((ours * wanted).sum(axis=0))
    np.testing.assert_allclose(ours, wanted * same, atol=2e-4)


def test_a_constant_feature_says_nothing():
    features, _ = planted(3)
    features = normalize(features)
    with_more = np.concatenate([features, np.zeros((N, 3), np.float32)], axis=1)
    rows = np.arange(N)
    a = Reduction.measure(features, rows, P).apply(features, rows)
    b = Reduction.measure(with_more, rows, P).apply(with_more, rows)
    np.testing.assert_allclose(np.abs(a), np.abs(b), atol=1e-3)


def test_a_gaussian_has_two_thirds_of_its_variance_between_its_sides():
    rng = np.random.default_rng(0)
    z = np.stack([rng.normal(size=200_000), np.where(rng.random(200_000) < 0.3, 4.0, -1.0)], 1)
    found = modes(z.astype(np.float32))
    assert found.bimodality_S[0] == pytest.approx(0.637, abs=0.003)
    assert found.excess_S[0] == pytest.approx(0.0, abs=0.003)
    assert gaussian(np.array([0.5])) == pytest.approx(2 / np.pi)
    lower = z[:, 0] < np.quantile(z[:, 0], 0.2)
    apart = z[~lower, 0].mean() - z[lower, 0].mean()
    assert gaussian(np.array([0.2])) == pytest.approx(0.16 * apart**2 / z[:, 0].var(), abs=0.003)
    assert found.bimodality_S[1] == pytest.approx(1.0, abs=1e-6)
    assert found.threshold_S[1] == pytest.approx(1.5)


@given(st.integers(0, 1000))
def test_the_threshold_is_the_best_of_all(seed):
    rng = np.random.default_rng(seed)
    z = np.concatenate([rng.normal(size=30), rng.normal(3, 0.5, size=21)]).astype(np.float32)
    found = modes(z[:, None])
    s = np.sort(z.astype(np.float64))
    n = len(s)
    candidates = range(max(1, int(0.1 * n)), int(np.ceil(0.9 * n)) + 1)
    scores = {
        k: k / n * (1 - k / n) * (s[k:].mean() - s[:k].mean()) ** 2 / s.var() for k in candidates
    }
    best = max(scores, key=scores.get)
    assert found.bimodality_S[0] == pytest.approx(scores[best])
    assert found.threshold_S[0] == pytest.approx((s[best - 1] + s[best]) / 2)


@given(st.integers(0, 1000), st.floats(0.1, 0.9))
def test_what_is_chosen_keeps_to_the_cap_and_falls(seed, cap):
    rng = np.random.default_rng(seed)
    base = rng.random((80, 4)) < 0.4
    sides = np.concatenate([base, base ^ (rng.random((80, 4)) < 0.1), ~base], axis=1)
    quality = rng.random(12)
    chosen = distinct(sides, quality, cap, 0.3, 5)
    assert len(chosen) <= 5
    assert (quality[chosen] >= 0.3).all()
    assert (np.diff(quality[chosen]) <= 0).all()
    if len(chosen) > 1:
        phi = np.abs(np.corrcoef(sides[:, chosen].T.astype(float)))
        assert (phi[np.triu_indices(len(chosen), 1)] <= cap + 1e-5).all()


# --- the search ---


def test_planted_modes_are_found_and_a_gaussian_is_not(data, found):
    _, sides = planted()
    unseen = ~found.tasks.seen_N
    for side in sides.T:
        hits = (found.tasks.labels_ND == side[:, None])[unseen].mean(axis=0)
        assert np.maximum(hits, 1 - hits).max() > 0.95
    rows = found.numbers["tasks"]
    assert {round(min(row["rate"], 1 - row["rate"]), 1) for row in rows[:2]} == {0.5, 0.2}
    assert len(rows) < 5, "fewer is an answer"
    assert 0.03 < found.numbers["pursuit"]["least_excess"] < 0.15
    assert all(row["bimodality"] > 0.75 and row["crossfit_correlation"] > 0.8 for row in rows[:2])
    assert found.numbers["learner"] == "ridge"
    assert found.numbers["features"] == {"width": P, "backbone": None}
    noise = np.random.default_rng(5).normal(size=(N, P)).astype(np.float32)
    with pytest.raises(td.NumericalError, match="no labeling falls in two") as caught:
        td.discover(td.load(data, features=noise), method=QUICK, threads=1, callbacks=())
    assert "--bimodality" in caught.value.hint


def test_the_same_seed_gives_the_same_tasks_and_another_one_others(data, found):
    given = {"method": QUICK, "tasks": 6, "threads": 1, "callbacks": ()}
    again = td.discover(data, **given)
    assert (again.tasks.coordinates_NP == found.tasks.coordinates_NP).all()
    other = td.discover(data, seed=1, **given)
    assert (other.tasks.seen_N != found.tasks.seen_N).any()


def test_nothing_is_looked_at_but_train(data, found):
    spoilt = np.where(found.tasks.seen_N[:, None], data.features, 100.0).astype(np.float32)
    other = dataclasses.replace(data, features=spoilt, labels=None, attributes=None)
    again = td.discover(other, method=QUICK, tasks=6, threads=1, callbacks=())
    seen = found.tasks.seen_N
    assert (again.tasks.coordinates_NP[seen] == found.tasks.coordinates_NP[seen]).all()


def test_a_row_alone_has_the_label_that_it_has_in_a_batch(data, found):
    order = np.random.default_rng(0).permutation(N)
    encoder = found.encoder
    assert (encoder.predict(data.features[order]) == found.tasks.labels_ND[order]).all()
    for i in range(20):
        assert (encoder.predict(data.features[i : i + 1])[0] == found.tasks.labels_ND[i]).all()
    # Half precision, as tables of millions have it, is the same but for what is next to a border.
    half = encoder.predict(data.features.astype(np.float16))
    assert (half == found.tasks.labels_ND).mean() > 0.995


def test_what_is_found_on_a_sample_is_fitted_to_all(data):
    small = dataclasses.replace(QUICK, sample=200)
    found = td.discover(data, method=small, tasks=2, threads=1, callbacks=())
    assert found.numbers["pursuit"]["sample"] == 200
    assert found.numbers["train_images"] == 540
    hits = (found.tasks.labels_ND[:, :, None] == planted()[1][:, None]).mean(axis=0)
    assert (np.maximum(hits, 1 - hits).max(axis=0) > 0.95).all()


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        ({"method": "pursuit"}, "the data has none", "lite0"),
        ({"method": "meta", "exclude": ["label"]}, "--exclude works with", "leave it out"),
        (
            {"method": "power", "features": "lite0", "learner": "convnet"},
            "looks at pixels",
            "pursuit",
        ),
        ({"method": "pursuit", "executor": "ray"}, "no separate trainings", "power"),
    ],
)
def test_what_cannot_be_asked_for_is_said(options, message, hint):
    with pytest.raises(td.ConfigError, match=message) as caught:
        td.discover("shapes?n=200&size=12", callbacks=(), **options)
    assert hint in caught.value.hint


# --- the encoder ---


def test_an_encoder_is_read_as_it_was_written(data, found, tmp_path):
    found.encoder.save(tmp_path / "e.safetensors")
    read = td.FeatureEncoder.load(tmp_path / "e.safetensors")
    assert (read.transform(data.features) == found.tasks.coordinates_NP).all()
    assert read.names == found.tasks.names
    few = read.keep([1])
    assert few.names == ("task_000",)
    assert (few.predict(data.features)[:, 0] == found.tasks.labels_ND[:, 1]).all()
    assert not read.takes_images
    with pytest.raises(td.RunDirError, match="cannot be read"):
        td.Encoder.load(tmp_path / "e.safetensors")
    content = (tmp_path / "e.safetensors").read_bytes()
    for damage in (content[:-9], b"", content.replace(b"task_000", b"task_\xff00"), content[8:]):
        (tmp_path / "d").write_bytes(damage)
        with pytest.raises(td.RunDirError):
            td.FeatureEncoder.load(tmp_path / "d")


def test_an_encoder_refuses_what_it_was_not_made_for(data, found):
    with pytest.raises(td.DataError, match=f"rows of {P} features") as caught:
        found.encoder.predict(data.features[:, 1:])
    assert caught.value.hint
    with pytest.raises(td.DataError, match="not known which network"):
        found.encoder.predict(data.images)
    holes = data.features.copy()
    holes[3, 3] = np.nan
    with pytest.raises(td.DataError, match="missing or infinite"):
        found.encoder.predict(holes)
    with pytest.raises(td.DataError, match="not known which network"):
        td.label(found, "shapes?n=20&size=12", callbacks=())


def test_a_run_on_features_goes_the_whole_way(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.save("f.npy", planted()[0])
    spec, words = f"shapes?n={N}&size=12", ["--features", "f.npy", "--threads", "1"]
    brief = ["--method", "pursuit", "--starts", "60", "--rounds", "5", "--tasks", "2"]
    assert main(["discover", spec, *brief, *words, "--out", "run", "--quiet"]) == 0
    tasks = td.open_run("run").tasks
    assert main(["label", "run", spec, "--features", "f.npy", "--out", "l.csv", "--quiet"]) == 0
    read = td.load(spec, callbacks=())
    labelled = td.label("run", td.load(read, features="f.npy"), callbacks=())
    assert (labelled.labels_ND == tasks.labels_ND).all()
    assert main(["label", "run", spec, "--quiet"]) == 3
    on_pixels = ["--learner", "convnet", "--preset", "smoke"]
    assert main(["score", spec, "--from", "run", *on_pixels, "--quiet"]) == 0
    # By the learner that finds tasks on features, on the features that these were found on.
    assert main(["score", spec, "--from", "run", "--quiet"]) == 0
    assert set(td.open_run("run").scores.to_frame()["learner"]) == {"convnet", "ridge"}
    assert main(["analyze", "run", "--quiet"]) == 0
    assert main(["report", "run", "--quiet"]) == 0
    assert main(["verify", "run", "--quiet"]) == 0
    page = (tmp_path / "run/report.html").read_text("utf-8")
    assert "What ridge finds easy" in page
    shutil.copytree("run", "other")
    meta = ["--method", "meta", "--warm-start", "other", "--tasks", "1", "--out", "m"]
    assert main(["discover", spec, *meta, "--quiet"]) == 2
    assert "found on features" in capsys.readouterr().err


@pytest.fixture
def untrained(monkeypatch):
    """The backbone with weights of chance, which no wheel is needed for."""
    torch.manual_seed(0)
    model = lite0.Lite0().eval()
    monkeypatch.setattr(lite0, "load", lambda sha256: model)


def test_tasks_of_a_backbone_label_images(untrained, tmp_path):
    data = td.load("shapes?n=200&size=32", features="lite0?size=32", callbacks=())
    method = td.Pursuit(starts=60, rounds=5, bimodality=0.0, cap=0.9)
    found = td.discover(data, method=method, tasks=3, threads=1, out=tmp_path / "r", callbacks=())
    encoder = td.open_run(tmp_path / "r").encoder
    assert encoder.backbone == data.backbone
    assert encoder.takes_images
    few = data.images[40:60]
    assert (encoder.predict(few) == found.tasks.labels_ND[40:60]).all()
    assert (encoder.predict(few[3:4])[0] == found.tasks.labels_ND[43]).all()
    fresh = td.load("shapes?n=200&size=32", callbacks=())
    assert (td.label(found, fresh, callbacks=()).labels_ND == found.tasks.labels_ND).all()
    other = td.load(fresh, features="lite0?size=64", callbacks=())
    with pytest.raises(td.DataError, match=r"lite0\?size=32, these are of lite0\?size=64"):
        td.label(tmp_path / "r", other, callbacks=())
    unknown = dataclasses.replace(
        encoder, backbone=dataclasses.replace(encoder.backbone, sha256="0" * 64)
    )
    with pytest.raises(td.DataError, match="not known here"):
        unknown.predict(few)


# --- scores ---


@pytest.mark.parametrize("classes", [2, 4])
def test_a_classifier_is_the_ridge_that_leaving_one_out_prefers(classes):
    rng = np.random.default_rng(classes)
    x = rng.normal(size=(90, 12)).astype(np.float32) + 3
    labels = (x @ rng.normal(size=(12, classes)) + 2 * rng.normal(size=(90, classes))).argmax(1)
    table, fit, held = torch.from_numpy(x), np.arange(60), np.arange(60, 90)
    own = fitted_outputs("ridge", table, Fit(fit, labels[:60], classes), held)
    reduced = Reduction.measure(x, fit, COMPONENTS).apply(x, np.arange(90))
    alphas = np.array(STRENGTHS) * 60
    theirs = RidgeCV(alphas=alphas).fit(reduced[:60], np.eye(classes)[labels[:60]])
    np.testing.assert_allclose(own, theirs.predict(reduced[60:]), atol=1e-4)


def test_scores_by_ridge_are_of_disjoint_parts_and_of_images_nobody_saw(data, found):
    given = {"learner": "ridge", "threads": 1, "callbacks": ()}
    scores = td.score(data, found, **given)
    planted_two = [scores[name] for name in ("task_000", "task_001")]
    assert all(s.agreement > 0.9 and s.accuracy > 0.9 for s in planted_two)
    assert {s.learner for s in scores} == {"ridge"}
    assert not found.tasks.seen_N[scores["task_000"].rows_n].any()
    again = td.score(data, found, **given)
    assert again.to_frame().equals(scores.to_frame())
    # Every run has its own images, so that labels of chance are not repeated.
    chance = np.random.default_rng(3).integers(0, 2, N)
    random = td.score(data, [chance], runs=4, **given)[0]
    assert abs(random.kappa or 0.0) < 0.35
    assert random.runs == 4
    some = np.where(np.arange(N) % 3 == 0, None, planted()[1][:, 0].astype(int).astype(object))
    assert td.score(data, [some], **given)[0].agreement > 0.9


@pytest.mark.parametrize(
    ("verb", "options", "message"),
    [
        ("score", {"learner": "ridge"}, "looks at features, and none"),
        ("score", {"features": "lite0", "learner": "convnet"}, "looks at pixels"),
        ("split", {"learner": "ridge"}, "looks at features, and none"),
    ],
)
def test_where_a_ridge_cannot_be_used_is_said(verb, options, message):
    labels = ["label:0"] * (2 if verb == "split" else 1)
    with pytest.raises(td.ConfigError, match=message) as caught:
        getattr(td, verb)("shapes?n=200&size=12", *labels, callbacks=(), **options)
    assert caught.value.hint
