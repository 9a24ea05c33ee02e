"""Searches by ridges on features: power, constraints, several classes, warm starts, resuming."""

import dataclasses
import json
import signal

import numpy as np
import pytest
from safetensors.numpy import load as tensors_of

import taskdiscovery as td
from taskdiscovery.agreement import similarity
from taskdiscovery.cli import main
from taskdiscovery.discovery import fitting, kway, untrained
from taskdiscovery.discovery.blocks import Blocks, centre, drawn
from taskdiscovery.discovery.kway_search import proposed
from taskdiscovery.discovery.modes import above, modes
from taskdiscovery.features.reduction import Reduction
from taskdiscovery.runtime import interrupts
from taskdiscovery.store.journal import Journal

N, P = 700, 20
QUICK = td.Pursuit(starts=60, rounds=6)
GIVEN = {"threads": 1, "callbacks": ()}


def planted(seed=0):
    """Features that fall in two along three directions; labels nearly repeat the first."""
    rng = np.random.default_rng(seed)
    sides = rng.random((N, 3)) < [0.5, 0.5, 0.3]
    basis = np.linalg.qr(rng.normal(size=(P, 3)))[0]
    features = rng.normal(size=(N, P)) + (6 * (sides - 0.5)) @ basis.T
    labels = (sides[:, 0] ^ (rng.random(N) < 0.1)).astype(np.int64)
    return features.astype(np.float32), sides, labels


def grouped(classes, seed=0):
    """Features of so many clusters of unequal sizes."""
    rng = np.random.default_rng(seed)
    shares = np.arange(3, 3 + classes) / np.arange(3, 3 + classes).sum()
    own = rng.choice(classes, size=N, p=shares)
    centres = 5 * np.linalg.qr(rng.normal(size=(P, classes)))[0].T
    return (centres[own] + rng.normal(size=(N, P))).astype(np.float32), own


@pytest.fixture(scope="module")
def data():
    features, _, labels = planted()
    images = td.load(f"shapes?n={N}&size=12", callbacks=()).images
    return td.load(td.load(images, labels=labels, callbacks=()), features=features)


@pytest.fixture(scope="module")
def clusters(data):
    return td.load(data, features=grouped(4)[0])


def phi(tasks, side):
    return np.abs([np.corrcoef(own, side)[0, 1] for own in tasks.labels_ND.T])


# --- power by ridges ---


def test_power_by_ridges_finds_what_is_planted_and_builds_no_network(data, monkeypatch):
    def refused(*args, **kwargs):
        raise AssertionError("a network was built")

    monkeypatch.setattr(fitting, "build_learner", refused)
    monkeypatch.setattr(untrained, "network", refused)
    found = td.discover(data, method="power", learner="ridge", tasks=3, **GIVEN)
    assert found.numbers["learner"] == "ridge"
    assert found.numbers["features"] == {"width": P, "backbone": None}
    _, sides, _ = planted()
    assert all(phi(found.tasks, side).max() > 0.6 for side in sides.T[:2])
    for row in found.numbers["tasks"]:
        assert row["crossfit_correlation"] > 0.8
        assert row["encoder_agreement"] > 0.75
        assert row["rate"] == pytest.approx(0.5, abs=0.05)
    again = found.encoder.transform(data.features)
    assert (again == found.tasks.coordinates_NP).all()
    assert isinstance(found.encoder, td.FeatureEncoder)


def test_linear_targets_settle_in_the_top_of_the_operator(data):
    more = td.Power(iterations=8, targets="linear", rotate=False, tolerance=0.0)
    steady = td.discover(data, method=more, learner="ridge", tasks=3, **GIVEN)
    assert steady.numbers["iterations"][-1]["turned_degrees"] < 8
    assert steady.numbers["iterations"][-1]["correlation"] > 0.9
    _, sides, _ = planted()
    seen = steady.tasks.seen_N
    for side in sides.T:  # the top of the operator is the span of what is planted
        x = steady.tasks.coordinates_NP[seen]
        weights = np.linalg.lstsq(x - x.mean(axis=0), side[seen] - side[seen].mean(), rcond=None)[0]
        assert np.corrcoef(x @ weights, side[seen])[0, 1] > 0.9


@pytest.mark.parametrize("change", [{"folds": 4}, {"runs": 3}, {"average": 2}, {"ridge": 5.0}])
def test_options_of_power_mean_something_with_ridges(data, change):
    base = td.Power(iterations=2, tolerance=0.0)
    other = dataclasses.replace(base, **change)
    a, b = (
        td.discover(data, method=method, learner="ridge", tasks=2, **GIVEN)
        for method in (base, other)
    )
    assert (a.tasks.coordinates_NP != b.tasks.coordinates_NP).any()
    assert all(phi(b.tasks, own).max() > 0.9 for own in a.tasks.labels_ND.T)


def test_an_idle_start_is_said(data, caplog):
    td.discover(data, method=td.Power(start="pixels"), learner="ridge", tasks=1, **GIVEN)
    assert "--start pixels: without effect on features" in caplog.text


def test_noise_has_no_directions(data):
    noise = np.random.default_rng(3).normal(size=(N, P)).astype(np.float32)
    plain = td.load(data, features=noise)
    found = td.discover(plain, method="power", learner="ridge", tasks=4, **GIVEN)
    # Directions of noise are predicted by what the halves share: the subspace, and nothing beyond.
    assert all(row["crossfit_correlation"] < 0.95 for row in found.numbers["tasks"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "spectral", "learner": "ridge"}, "trains networks"),
        ({"method": "meta", "learner": "ridge"}, "trains networks"),
        ({"method": "power", "learner": "ridge"}, "--learner ridge looks at features"),
        ({"method": "power", "learner": "ridge", "executor": "ray"}, "no separate trainings"),
    ],
)
def test_where_a_ridge_cannot_search_is_said(options, message):
    with pytest.raises(td.ConfigError, match=message) as caught:
        td.discover("shapes?n=200&size=12", callbacks=(), **options)
    assert caught.value.hint


# --- tables ---


def test_a_large_table_lies_in_a_file_and_gives_the_same(data, monkeypatch):
    small = td.discover(data, method="power", learner="ridge", tasks=2, **GIVEN)
    monkeypatch.setattr(untrained, "LARGE", 1)
    assert isinstance(untrained.table((3, 2)), np.memmap)
    large = td.discover(data, method="power", learner="ridge", tasks=2, **GIVEN)
    assert (small.tasks.coordinates_NP == large.tasks.coordinates_NP).all()


def test_blocks_are_random_and_each_rises():
    blocks = drawn(103, 10, np.random.default_rng(0))
    assert sorted(np.concatenate(blocks)) == list(range(103))
    bounds = np.linspace(0, 103, 11).astype(int)
    assert [len(own) for own in blocks] == np.diff(bounds).tolist()
    assert all((np.diff(own) > 0).all() for own in blocks)
    assert all(own[0] < 50 < own[-1] for own in blocks)


def test_parts_of_blocks_are_those_of_their_rows():
    rng = np.random.default_rng(2)
    x, t = rng.normal(size=(95, 6)).astype(np.float32), rng.normal(size=(95, 2)).astype(np.float32)
    blocks = Blocks(x, 10, 0.5)
    for chosen in ([0, 1, 2], [1, 4, 9]):
        part = blocks.part(np.array(chosen))
        rows = np.concatenate([np.arange(95)[blocks.places[b]] for b in chosen])
        fresh = Blocks(x[rows], 1, 0.5)
        np.testing.assert_allclose(part.fit(t[rows]), fresh.fit(t[rows]), atol=1e-6)
        assert part.places[-1].stop == len(rows)
    first, second = blocks.halves()
    assert np.shares_memory(first.table_NR, x)
    assert len(first.table_NR) + len(second.table_NR) == 95


def test_means_are_taken_away_within_groups():
    rng = np.random.default_rng(0)
    x, groups = rng.normal(3, 1, size=(60, 4)).astype(np.float32), rng.integers(0, 3, 60)
    whole, inside = x.copy(), x.copy()
    np.testing.assert_allclose(centre(whole)[0], x.mean(axis=0), atol=1e-5)
    centre(inside, groups)
    np.testing.assert_allclose(whole.mean(axis=0), 0, atol=1e-6)
    for g in range(3):
        np.testing.assert_allclose(inside[groups == g].mean(axis=0), 0, atol=1e-6)


# --- constraints ---


@pytest.mark.parametrize("method", [QUICK, td.Power(iterations=2)])
def test_what_is_excluded_is_uncorrelated_on_training_images(data, method):
    given = {"learner": "ridge", "tasks": 3, **GIVEN}
    plain = td.discover(data, method=method, **given)
    free = td.discover(data, method=method, exclude=["label"], **given)
    _, sides, labels = planted()
    seen = free.tasks.seen_N

    def largest(found):
        return max(
            abs(np.corrcoef(own[seen], labels[seen])[0, 1]) for own in found.tasks.coordinates_NP.T
        )

    assert largest(plain) > 0.5
    assert largest(free) < 1e-6
    assert free.numbers["excluded"]["explained_on_test"]["max"] < 0.1
    assert phi(free.tasks, sides[:, 1]).max() > 0.6, "another direction is still found"


def test_excluding_everything_is_refused(data):
    many = np.random.default_rng(0).normal(size=(N, P + 5))
    frame = {f"c{i}": many[:, i] for i in range(P + 5)}
    import pandas as pd

    full = dataclasses.replace(data, attributes=pd.DataFrame(frame))
    with pytest.raises(td.ConfigError, match="leaves none of 20 components") as caught:
        td.discover(full, method=QUICK, exclude=["attributes"], **GIVEN)
    assert "exclude less" in caught.value.hint


def test_nothing_excluded_correlates_inside_groups_either():
    rng = np.random.default_rng(1)
    features, groups = rng.normal(size=(300, 12)).astype(np.float32), rng.integers(0, 3, 300)
    excluded = features[:, :1] + groups[:, None] + rng.normal(size=(300, 1))
    rows = np.arange(300)
    reduction = Reduction.measure(features, rows, 12)
    free = reduction.free_of(features, rows, excluded, groups).apply(features, rows)
    assert free.shape == (300, 10)
    assert np.abs(np.corrcoef(free.T, excluded[:, 0])[-1, :-1]).max() < 1e-5
    centred = excluded[:, 0].copy()
    for g in range(3):
        free[groups == g] -= free[groups == g].mean(axis=0)
        centred[groups == g] -= centred[groups == g].mean()
    assert np.abs(np.corrcoef(free.T, centred)[-1, :-1]).max() < 1e-5


def test_thresholds_are_those_of_each_group():
    rng = np.random.default_rng(0)
    groups = np.repeat([0, 1], 300)
    side = rng.random(600) < np.where(groups == 0, 0.3, 0.6)
    z = (4.0 * side + 10 * groups + rng.normal(size=600) * 0.3).astype(np.float32)[:, None]
    apart, found = above(z, groups)
    assert ((apart[:, 0] > 0) == side).all()
    assert found.bimodality_S[0] > 0.9
    whole = modes(z).threshold_S[0]
    assert ((z[:, 0] > whole) == (groups == 1)).mean() > 0.95, "which is another cut"


def test_within_finds_what_differs_inside_of_classes(data):
    features, sides, _ = planted()
    shift = np.zeros((N, P), np.float32)
    shift[:, 0] = 12 * sides[:, 0]  # what tells the classes apart is larger than all else
    strong = dataclasses.replace(data, labels=sides[:, 0].astype(np.int64))
    strong = td.load(strong, features=features + shift)
    found = td.discover(strong, method=QUICK, within="label", tasks=3, **GIVEN)
    assert phi(found.tasks, sides[:, 1]).max() > 0.9
    for own in found.tasks.labels_ND.T:
        rates = [own[strong.labels == c].mean() for c in (0, 1)]
        assert abs(rates[0] - rates[1]) < 0.25


# --- what is said of tasks ---


def test_each_task_says_how_far_halves_repeat_it_and_what_is_trivial(data):
    bright = np.array(data.images, dtype=np.float32).mean(axis=(1, 2, 3))
    rng = np.random.default_rng(7)
    direction = rng.normal(size=P) / np.sqrt(P)
    features = planted()[0] + 6 * np.outer(bright > np.median(bright), direction)
    found = td.discover(td.load(data, features=features), method=QUICK, tasks=4, **GIVEN)
    rows = found.numbers["tasks"]
    assert all(0.8 < row["reproducibility"] <= 1 for row in rows)
    trivial = phi(found.tasks, bright > np.median(bright))
    assert trivial.max() > 0.9
    assert rows[int(trivial.argmax())]["explained_by_statistics"] > 0.4
    explained = np.array([row["explained_by_statistics"] for row in rows])
    others = explained[trivial < 0.2].tolist()
    assert others
    assert max(others) < 0.1


# --- warm starts ---


def test_pursuit_begins_with_the_tasks_of_another_run(data, tmp_path):
    first = td.discover(data, method=QUICK, tasks=2, out=tmp_path / "a", **GIVEN)
    warm = dataclasses.replace(QUICK, warm_start=str(tmp_path / "a"))
    found = td.discover(data, method=warm, tasks=3, out=tmp_path / "b", **GIVEN)
    assert all(phi(found.tasks, own).max() > 0.95 for own in first.tasks.labels_ND.T)
    other = td.load(data, features=planted()[0][:, :7])
    with pytest.raises(td.ConfigError, match="of 20 features") as caught:
        td.discover(other, method=warm, tasks=2, **GIVEN)
    assert "--method pursuit" in caught.value.hint
    pixels = {"method": "spectral", "learner": "mlp", "tasks": 1, "out": tmp_path / "c"}
    td.discover(data, **pixels, **GIVEN)
    with pytest.raises(td.ConfigError, match="found on pixels"):
        td.discover(
            data, method=dataclasses.replace(QUICK, warm_start=str(tmp_path / "c")), **GIVEN
        )


# --- several classes ---


def test_clusters_are_found_as_classes(clusters):
    _, own = grouped(4)
    found = td.discover(clusters, method=QUICK, classes=4, tasks=2, **GIVEN)
    unseen = ~found.tasks.seen_N
    assert similarity(found.tasks.labels_ND[unseen, 0], own[unseen], 4) > 0.95
    rows = found.numbers["tasks"]
    assert rows[0]["stability"] > 0.9
    assert rows[0]["repeated"] > 0.9
    assert [row["stability"] for row in rows] == sorted(
        (row["stability"] for row in rows), reverse=True
    )
    assert found.encoder.classes == 4
    assert found.tasks.coordinates_NP.shape == (N, 3 * len(rows))


def test_labels_of_several_classes_are_independent_of_the_batch(clusters, tmp_path):
    found = td.discover(clusters, method=QUICK, classes=3, tasks=2, **GIVEN)
    encoder, order = found.encoder, np.random.default_rng(0).permutation(N)
    features = clusters.features
    assert (encoder.predict(features[order]) == found.tasks.labels_ND[order]).all()
    for i in range(15):
        assert (encoder.predict(features[i : i + 1])[0] == found.tasks.labels_ND[i]).all()
    encoder.save(tmp_path / "e.safetensors")
    read = td.FeatureEncoder.load(tmp_path / "e.safetensors")
    assert (read.predict(features) == found.tasks.labels_ND).all()
    assert (read.keep([0]).predict(features)[:, 0] == found.tasks.labels_ND[:, 0]).all()
    assert tensors_of(encoder.to_bytes())["class_offsets"].shape == (len(encoder.names), 3)
    content = encoder.to_bytes()
    for old, new in (
        (b'\\"classes\\": 3', b'\\"classes\\": 4'),
        (b"class_offsets", b"class_offsetz"),
    ):
        assert old in content
        (tmp_path / "d").write_bytes(content.replace(old, new))
        with pytest.raises(td.RunDirError, match="cannot be read"):
            td.FeatureEncoder.load(tmp_path / "d")


def test_files_of_two_classes_are_as_they_were(data):
    found = td.discover(data, method=QUICK, tasks=2, **GIVEN)
    content = found.encoder.to_bytes()
    assert b'\\"format\\": 1' in content
    assert set(tensors_of(content)) == {"weights", "offset"}
    older = content.replace(b'\\"classes\\": 2, ', b"")
    head = int.from_bytes(content[:8], "little") - (len(content) - len(older))
    older = head.to_bytes(8, "little") + older[8:]
    read = td.FeatureEncoder.from_bytes(older, "here")
    assert (read.predict(data.features) == found.tasks.labels_ND).all()


def test_soft_labels_have_the_rates_that_are_wanted():
    rng = np.random.default_rng(0)
    scores = rng.normal([0.0, 1.0, 2.0], 1, size=(400, 3))
    rates = np.array([0.5, 0.3, 0.2])
    soft = kway.balanced(scores.astype(np.float32), rates)
    np.testing.assert_allclose(soft.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(soft.mean(axis=0), rates, atol=1e-3)
    offsets = kway.offsets(scores.astype(np.float32), rates)
    hard = np.bincount((scores + offsets).argmax(axis=1), minlength=3) / 400
    np.testing.assert_allclose(hard, rates, atol=0.01)


def test_agreement_after_renaming_is_corrected_for_chance():
    rng = np.random.default_rng(0)
    own = rng.integers(0, 5, 3000)
    assert kway.renamed_agreement(own, (own + 2) % 5, 5) == pytest.approx(1.0)
    assert abs(kway.renamed_agreement(own, rng.integers(0, 5, 3000), 5)) < 0.03


def test_stability_proposes_how_many_classes_there_are(clusters, caplog):
    method = dataclasses.replace(QUICK, curve=(2, 6))
    found = td.discover(clusters, method=method, classes=4, tasks=1, **GIVEN)
    curve = found.numbers["curve"]
    assert [row["classes"] for row in curve["stability"]] == [2, 3, 4, 5, 6]
    assert curve["classes"] == 4
    assert curve["stability"][2]["mean"] > 0.95
    assert curve["stability"][4]["mean"] < 0.9
    assert "--classes 4" in caplog.text
    rows = [{"classes": k, "mean": m, "standard_error": 0.02} for k, m in ((2, 0.9), (3, 0.89))]
    assert proposed(rows) == 3
    assert proposed([{**rows[0], "mean": 0.99}, rows[1]]) == 2
    assert proposed([{**row, "mean": 0.6} for row in rows]) is None
    for wrong in ("1,4", "2.5,4", "2,400"):
        with pytest.raises(td.ConfigError, match="--curve"):
            dataclasses.replace(QUICK, curve=wrong)


def test_more_classes_than_labelings_keep_is_said(data):
    with pytest.raises(td.NumericalError, match="keeps 90 classes") as caught:
        td.discover(data, method=QUICK, classes=90, tasks=1, **GIVEN)
    assert "--curve" in caught.value.hint


# --- stopped and resumed ---


SHORT = ["--starts", "120", "--rounds", "5", "--tasks", "2"]


@pytest.mark.parametrize(
    "words",
    [
        ["--method", "pursuit", *SHORT],
        ["--method", "pursuit", *SHORT, "--classes", "3", "--curve", "2,3"],
        [
            "--method",
            "power",
            "--learner",
            "ridge",
            "--tasks",
            "2",
            "--iterations",
            "3",
            "--tolerance",
            "0",
        ],
    ],
)
def test_a_search_that_is_stopped_goes_on_and_ends_the_same(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("f.npy", grouped(3)[0])
    job = ["discover", f"shapes?n={N}&size=12", "--features", "f.npy", "--threads", "1", *words]
    assert main([*job, "--out", "whole", "--quiet"]) == 0
    real, keys = Journal.put, []

    def put(self, key, result, *, forget=""):
        real(self, key, result, forget=forget)
        keys.append(key)
        raise interrupts.Stopped(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "put", put)
        code = main([*job, "--out", "parts", "--quiet"])
        while code == 130:
            code = main(["resume", "parts", "--quiet"])
    assert code == 0
    assert len(keys) >= 3
    assert len(keys) == len(set(keys)) or words[1] == "power", "nothing is done twice"
    whole, parts = td.open_run("whole"), td.open_run("parts")
    assert (whole.tasks.coordinates_NP == parts.tasks.coordinates_NP).all()
    numbers = [json.loads((tmp_path / n / "result.json").read_text()) for n in ("whole", "parts")]
    assert numbers[0]["tasks"] == numbers[1]["tasks"]
