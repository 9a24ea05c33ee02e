"""Groups stay together, partitions that came with the data are kept, and both are worth it."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import taskdiscovery as td
from taskdiscovery.agreement import agreement, mean_over_runs
from taskdiscovery.analysis.comparing import Side, rates
from taskdiscovery.cli import main
from taskdiscovery.data import partition
from taskdiscovery.data.grouping import stems
from taskdiscovery.data.hints import hints
from taskdiscovery.data.joining import joined
from taskdiscovery.discovery.blocks import Blocks, drawn
from taskdiscovery.jobs.trust import Reach, reach_of
from taskdiscovery.runtime.seeds import generator
from taskdiscovery.training import convex
from taskdiscovery.training.convex import Fit, _strength_by_groups, fitted
from taskdiscovery.training.preparing import STRENGTHS, Prepared

N, P, PATIENTS = 800, 80, 80
QUIET = {"threads": 1, "callbacks": ()}


def leaky(seed=0, size=10, noise=0.05):
    """Features of patients, nearly the same within each, and a label drawn for each patient."""
    rng = np.random.default_rng(seed)
    patient = np.repeat(np.arange(N // size), size)
    table = rng.normal(size=(N // size, P))[patient] + noise * rng.normal(size=(N, P))
    label = rng.integers(0, 2, N // size)[patient]
    order = rng.permutation(N)
    return table[order], label[order], patient[order]


def frame(patient):
    return {"patient": [f"p{i:02d}" for i in patient]}


# --- the primitives


def test_each_group_is_on_one_side_and_about_a_tenth_is_test():
    _, _, patient = leaky()
    for seed in range(20):
        train_N = partition.draw(N, seed, patient.astype(str))
        shares = pd.Series(train_N).groupby(patient).nunique()
        assert (shares == 1).all()
        assert 0.08 <= (~train_N).mean() <= 0.2
    first, second = (partition.draw(N, seed, patient.astype(str)) for seed in (0, 1))
    assert (first != second).any()


def test_without_groups_partition_and_cuts_are_what_they_were():
    order = generator(3, "partition").permutation(500)
    assert np.flatnonzero(~partition.draw(500, 3)).tolist() == sorted(order[:50].tolist())
    rng = np.random.default_rng
    cut = partition.cut(np.arange(101), 4, rng(5))
    assert [c.tolist() for c in cut] == [
        c.tolist() for c in np.array_split(rng(5).permutation(101), 4)
    ]
    blocks = drawn(103, 10, rng(0))
    bounds = np.linspace(0, 103, 11).astype(int)
    permuted = rng(0).permutation(103)
    for block, a, b in zip(blocks, bounds, bounds[1:], strict=False):
        assert block.tolist() == sorted(permuted[a:b].tolist())


def test_an_image_without_a_value_is_one_by_itself():
    groups = np.array(["a", "", "a", "", "b"] * 20)
    codes = partition.codes(groups)
    assert len(np.unique(codes)) == 2 + 40
    assert len(np.unique(codes[groups == ""])) == 40
    data = td.load(np.random.default_rng(0).normal(size=(100, 4)), groups=[*"abc", None] * 25)
    assert (data.groups == "").sum() == 25


@pytest.mark.parametrize("parts", [2, 5, 9])
def test_cuts_and_blocks_keep_groups_whole_and_parts_alike(parts):
    _, _, patient = leaky()
    groups = patient.astype(str)
    rows = np.random.default_rng(1).permutation(N)[:600]
    cut = partition.cut(rows, parts, np.random.default_rng(2), groups)
    assert sorted(np.concatenate(cut)) == sorted(rows)
    held = [set(groups[part]) for part in cut]
    assert not any(a & b for i, a in enumerate(held) for b in held[:i])
    assert max(map(len, cut)) <= min(map(len, cut)) + 20
    blocks = drawn(N, parts, np.random.default_rng(2), groups)
    own = [set(groups[block]) for block in blocks]
    assert not any(a & b for i, a in enumerate(own) for b in own[:i])
    assert all((np.diff(block) > 0).all() for block in blocks)


def test_too_few_or_too_large_groups_are_refused_in_words():
    with pytest.raises(td.DataError, match="2 groups cannot be kept together in 3 parts"):
        partition.cut(np.arange(60), 3, np.random.default_rng(0), np.repeat(["a", "b"], 30))
    with pytest.raises(td.DataError, match="too large to hold out") as caught:
        partition.draw(90, 0, np.repeat(["a", "b", "c"], 30))
    assert "--test" in caught.value.hint


def test_groups_of_which_any_is_chosen_are_chosen_whole():
    groups = np.array(["a", "a", "", "", "b", "b"])
    chosen = np.array([False, True, True, False, False, False])
    assert partition.whole(chosen, groups).tolist() == [True, True, True, False, False, False]
    assert partition.whole(chosen, None) is chosen


def test_intervals_with_groups_cover_what_they_say():
    """Accuracy of groups whose images are right or wrong together: 95 % intervals, simulated."""
    rng = np.random.default_rng(0)
    covered, naive = 0, 0
    for _ in range(300):
        groups = np.repeat(np.arange(60), 8)
        right = (rng.random((1, 60)) < 0.7)[:, groups]
        with_groups, without = mean_over_runs(right, groups), mean_over_runs(right)
        covered += with_groups.low <= 0.7 <= with_groups.high
        naive += without.low <= 0.7 <= without.high
    assert 0.91 <= covered / 300 <= 0.985
    assert naive / 300 < 0.7


def test_images_by_themselves_have_the_interval_of_no_groups_nearly():
    rng = np.random.default_rng(1)
    predictions = rng.integers(0, 2, (4, 500))
    alone = agreement(predictions, 2, np.arange(500)).interval
    plain = agreement(predictions, 2).interval
    assert alone.mean == plain.mean
    assert alone.low == pytest.approx(plain.low, abs=2e-3)


# --- the option


def test_a_random_label_by_patient_is_learnt_by_leakage_alone():
    table, label, patient = leaky()
    found = {}
    for groups in (None, "patient"):
        data = td.load(table, labels=label, attributes=frame(patient), groups=groups)
        scores = [
            td.score(data, "label", learner="ridge", seed=seed, **QUIET)[0] for seed in range(4)
        ]
        found[groups] = float(np.mean([score.accuracy for score in scores]))
        widths = [score.high - score.low for score in scores]
        found[groups, "width"] = float(np.mean(widths))
    assert found[None] > 0.9
    assert abs(found["patient"] - 0.5) < 0.15
    assert found["patient", "width"] > found[None, "width"]


@pytest.mark.slow
def test_a_small_network_is_not_fooled_either():
    table, label, patient = leaky(size=20, noise=0.02)
    accuracy = {}
    for groups in (None, patient):
        data = td.load(table, labels=label, groups=groups)
        how = {"learner": "mlp", "preset": "smoke", "epochs": 12, "batch": 64, "runs": 2}
        runs = [td.score(data, "label", seed=s, **how, **QUIET)[0].accuracy for s in range(3)]
        accuracy[groups is None] = float(np.mean(runs))
    assert accuracy[True] > 0.9
    assert accuracy[False] < 0.72


def test_a_strength_is_chosen_on_groups_that_it_is_not_fitted_to(monkeypatch):
    """Where images of a patient are copies, leaving one out says to fit them exactly."""
    import torch

    table, label, patient = leaky(noise=0.01)
    rows = np.arange(N)
    tensor = torch.from_numpy(table.astype(np.float32))[:, None, None, :]
    norms = []
    for groups in (None, patient):
        _, linear = fitted("ridge", tensor, Fit(rows, label, 2, groups))
        norms.append(float(np.linalg.norm(linear.weights_RK)))
    assert norms[1] < 0.5 * norms[0]
    drawn_apart = []

    def spy(*given):
        drawn_apart.append(partition.apart(*given))
        return drawn_apart[-1]

    monkeypatch.setattr(convex, "apart", spy)
    fitted("logistic", tensor, Fit(rows, label, 2, patient))
    (held,) = drawn_apart
    assert not set(patient[held]) & set(patient[np.setdiff1d(rows, held)])
    assert 0.15 < len(held) / N < 0.25


def test_the_strength_by_groups_is_that_of_a_plain_cross_validation():
    rng = np.random.default_rng(4)
    groups = np.repeat(np.arange(30), 5)
    x = rng.normal(size=(150, 12)).astype(np.float32)
    t = (x[:, :2] + 0.5 * rng.normal(size=(150, 2))).astype(np.float64)
    own, errors = Prepared.of(x, np.arange(150)), np.zeros(len(STRENGTHS))
    for held in partition.cut(np.arange(150), 5, np.random.default_rng(150), groups.astype(str)):
        fit = np.setdiff1d(np.arange(150), held)
        a, b = own.table_nR[fit].astype(np.float64), t[fit]
        for i, strength in enumerate(STRENGTHS):
            centred = a - a.mean(axis=0)
            gram = centred.T @ centred + strength * len(fit) * np.eye(12)
            weights = np.linalg.solve(gram, centred.T @ (b - b.mean(axis=0)))
            predicted = (own.table_nR[held] - a.mean(axis=0)) @ weights + b.mean(axis=0)
            errors[i] += ((t[held] - predicted) ** 2).sum()
    assert _strength_by_groups(own, t, groups) == STRENGTHS[int(errors.argmin())]


@pytest.mark.parametrize("vary", [("data",), ("init", "order")])
def test_runs_have_whole_groups_and_early_ones_watch_others(vary):
    from taskdiscovery import scoring
    from taskdiscovery.config import ScoreConfig

    table, label, patient = leaky()
    data = td.load(table, labels=label, groups=patient)
    config = ScoreConfig(learner="mlp", vary=vary, runs=3, early=vary != ("data",), features="data")
    view = scoring.view_of(data, config, None)
    groups = {
        name: set(data.groups[rows])
        for name, rows in (("fit", view.fit), ("held", view.held), ("watched", view.monitored))
        if rows is not None
    }
    assert not any(groups[a] & groups[b] for a in groups for b in groups if a < b)
    if vary == ("data",):
        parts = scoring._disjoint(config, view.fit, data.groups)
        own = [set(data.groups[part]) for part in parts]
        assert not any(a & b for i, a in enumerate(own) for b in own[:i])


@pytest.mark.parametrize(
    ("method", "more"),
    [
        (td.Pursuit(starts=60, rounds=4), {}),
        (td.Power(iterations=2), {"learner": "ridge"}),
    ],
)
def test_every_search_on_features_runs_with_groups_and_sees_whole_ones(method, more):
    table, _, patient = leaky()
    data = td.load(table, groups=patient)
    found = td.discover(data, method=method, tasks=2, **more, **QUIET)
    seen = found.tasks.seen_N
    assert not set(data.groups[seen]) & set(data.groups[~seen])
    assert len(found.tasks) >= 1


def test_few_sites_are_blocks_of_their_own():
    table, _, patient = leaky()
    sites = np.where(patient < 8, "s0", np.char.add("s", (patient % 7 + 1).astype(str)))
    data = td.load(table, groups=sites)
    found = td.discover(data, method=td.Pursuit(starts=60, rounds=4), tasks=1, **QUIET)
    seen = found.tasks.seen_N
    assert not set(sites[seen]) & set(sites[~seen])
    few = td.load(table, groups=np.where(patient < 8, "a", np.where(patient < 44, "b", "c")))
    with pytest.raises(td.DataError, match="2 groups cannot be kept together in 5 parts"):
        td.discover(few, method=td.Pursuit(starts=60, rounds=4), tasks=1, **QUIET)


def test_folds_of_power_iteration_hold_whole_groups(monkeypatch):
    from taskdiscovery.discovery import iteration

    _, _, patient = leaky()
    images = np.random.default_rng(0).integers(0, 255, (N, 8, 8, 1), dtype=np.uint8)
    data = td.load(images, groups=patient)
    asked = []
    original = iteration.Training

    def spy(**known):
        asked.append((known["rows"], known["measured"]))
        return original(**known)

    monkeypatch.setattr(iteration, "Training", spy)
    how = {"learner": "linear", "epochs": 1, "encoder_epochs": 1, "tasks": 2}
    td.discover(data, method=td.Power(iterations=1), **how, **QUIET)
    assert asked
    for fit, held in asked:
        assert not set(data.groups[fit]) & set(data.groups[held])


def test_batches_of_the_outer_loss_share_no_group_with_inner_ones():
    from taskdiscovery.discovery.meta.search import MetaSearch

    rows = np.arange(N)
    _, _, patient = leaky()
    stub = SimpleNamespace(
        options=SimpleNamespace(inner_batch=64, inner_steps=5),
        problem=SimpleNamespace(seed=0),
        rows=rows,
        groups_N=partition.codes(patient.astype(str)),
        device="cpu",
    )
    batches, unseen, _ = MetaSearch.deal(stub, 0)
    assert len(unseen) == 64
    for batch in batches:
        assert len(batch) == 64
        assert not set(patient[batch.numpy()]) & set(patient[unseen])


def test_blocks_of_a_sample_hold_the_groups_of_the_blocks():
    _, _, patient = leaky()
    groups = patient.astype(str)
    parts = drawn(N, 10, np.random.default_rng(0), groups)
    x = np.random.default_rng(1).normal(size=(N, 6)).astype(np.float32)
    order = np.concatenate(parts)
    blocks = Blocks(x[order], [len(p) for p in parts], 0.1)
    assert blocks.sizes == [len(p) for p in parts]
    targets = x[order, :2] - x[order, :2].mean(axis=0)
    whole = blocks.held_out(targets, np.random.default_rng(3))
    assert np.corrcoef(whole[:, 0], targets[:, 0])[0, 1] > 0.95


def test_comparing_takes_groups_for_one_draw():
    """Twenty copies of every image say no more than one of each."""
    rng = np.random.default_rng(0)
    few = rng.normal(size=(60, 6))
    many = few.repeat(20, axis=0)
    together, found = np.repeat(np.arange(60), 20), {}
    for name, table, groups in (
        ("few", few, None),
        ("many", many, together),
        ("naive", many, None),
    ):
        data = td.load(table, groups=groups)
        labels = (data.features[:, :1] > 0).astype(np.int64)
        tasks = td.Tasks(labels_ND=labels, names=("sign",), ids_N=data.ids, k=(2,))
        side = Side(dataset=data, tasks=tasks, rows=np.arange(len(data)))
        row = rates(side, side).iloc[0]
        found[name] = row["high"] - row["low"]
    assert found["many"] == pytest.approx(found["few"], rel=0.1)
    assert found["naive"] < 0.5 * found["many"]


@pytest.fixture
def table(tmp_path):
    """A CSV of images by patients, with a published partition in several forms."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(240):
        patient = i // 6
        name = f"patient{patient:02d}_{i % 6:03d}.png"
        pixels = rng.integers(0, 90, (8, 8, 3)) + 100 * (patient % 2)
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / name)
        part = ("train", "val", "test")[(patient % 10 >= 7) + (patient % 10 >= 9)]
        rows.append(
            {
                "filename": name,
                "label": ["even", "odd"][patient % 2],
                "patient": f"p{patient}",
                "split": part,
                "wilds": {"train": 0, "val": 1, "test": 2}[part],
                "is_test": part == "test",
                "fold": patient % 4,
            }
        )
    path = tmp_path / "table.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def run_json(capsys, *words):
    assert main([*map(str, words), "--quiet", "--format", "json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_command_line_keeps_groups_and_follow_ups_take_them_over(table, tmp_path, capsys):
    run, data = tmp_path / "run", f"csv:{table}"
    words = ["--tasks", "2", "--epochs", "1", "--encoder-epochs", "1", "--threads", "1"]
    words += ["--method", "spectral", "--learner", "linear", "--out", str(run)]
    assert main(["discover", data, "--groups", "patient", *words, "--quiet"]) == 0
    capsys.readouterr()
    opened = td.open_run(run)
    assert opened.config["groups"] == "patient"
    assert opened.numbers["data"]["groups"] == {
        "column": "patient",
        "groups": 40,
        "images_without": 0,
    }
    dataset = td.load(data, groups="patient", callbacks=())
    seen = opened.tasks.seen_N
    assert not set(dataset.groups[seen]) & set(dataset.groups[~seen])
    out = tmp_path / "scores"
    smoke = ["--preset", "smoke", "--epochs", "1", "--threads", "1", "--learner", "linear"]
    run_json(capsys, "score", data, "--from", run, *smoke, "--out", out)
    assert td.open_run(out).config["groups"] == "patient"
    assert main(["analyze", str(run), "--threads", "1", "--quiet"]) == 0
    assert main(["report", str(run), "--quiet"]) == 0


def test_a_column_that_there_is_not_names_the_nearest(table):
    with pytest.raises(td.ConfigError, match="no attribute 'patien'") as caught:
        td.load(f"csv:{table}", groups="patien", callbacks=())
    assert "patient" in caught.value.hint
    with pytest.raises(td.ConfigError, match="no attribute 'spli'"):
        td.load(f"csv:{table}", test="spli", callbacks=())


def test_groups_from_ids_and_from_values_by_id(table):
    data = td.load(f"csv:{table}", callbacks=())
    by_ids = td.load(data, groups="ids")
    assert by_ids.groups[7] == "patient01"
    by_column = td.load(data, groups="patient")
    assert (partition.codes(by_ids.groups)[:, None] == partition.codes(by_ids.groups)).tolist() == (
        partition.codes(by_column.groups)[:, None] == partition.codes(by_column.groups)
    ).tolist()
    series = pd.Series([f"g{i % 7}" for i in range(240)], index=data.ids).sample(frac=1.0)
    by_series = td.load(data, groups=series)
    assert by_series.groups.tolist() == [f"g{i % 7}" for i in range(240)]
    assert by_series.grouped_by == ""
    with pytest.raises(td.DataError, match="239"):
        td.load(data, groups=["a"] * 120 + ["b"] * 119)
    assert stems(np.array(["IMG_12.jpg", "7", "v1/frame_003.jpg", "walk.03"])).tolist() == [
        "",
        "",
        "v1/",
        "walk",
    ]


# --- the partition


@pytest.mark.parametrize("column", ["split", "wilds", "is_test", "attr:split"])
def test_every_form_of_a_column_gives_the_same_partition(table, column):
    data = td.load(f"csv:{table}", test=column, callbacks=())
    names = data.attributes["split"].tolist()
    assert data.train_N.tolist() == [name != "test" for name in names]  # validation may be seen
    assert (partition.of(data, 5) == data.train_N).all()
    assert data.test == column


def test_columns_that_do_not_say_who_is_measured_are_refused(table):
    with pytest.raises(td.DataError, match="do not say what is train") as caught:
        td.load(f"csv:{table}", test="fold", callbacks=())
    assert "0 train, 1 validation, 2 test" in caught.value.hint
    data = td.load(
        np.zeros((40, 3)) + np.arange(40)[:, None],
        attributes={
            "split": ["train"] * 20 + ["val"] * 20,
            "half": ["train", None] * 20,
            "only": ["test"] * 40,
            "which": [0, 1] * 20,
        },
    )
    assert td.load(data, test="split").train_N.sum() == 20  # as in ImageNet
    for column, words in (("half", "no value"), ("only", "one part"), ("which", "do not say")):
        with pytest.raises(td.DataError, match=words):
            td.load(data, test=column)


def shard(seed, classes, n=60, **columns):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 255, (n, 8, 8, 3), dtype=np.uint8)
    labels = np.array(classes)[np.arange(n) % len(classes)] if classes else None
    return td.load(images, labels=labels, attributes=columns or None)


def test_two_data_sets_are_one_whose_classes_are_matched_by_name():
    train = shard(0, ["cat", "dog"], light=["day"] * 60)
    test = shard(1, ["dog", "cat", "fox"], light=["night"] * 60, camera=[1] * 60)
    both = joined(train, test)
    assert both.classes == ("cat", "dog", "fox")
    names = np.array(both.classes)[both.labels]
    assert names[:2].tolist() == ["cat", "dog"]
    assert names[60:63].tolist() == ["dog", "cat", "fox"]
    assert both.ids[0] == "train/0"
    assert both.ids[60] == "test/0"
    assert len(np.unique(both.ids)) == 120
    assert both.attributes["light"].tolist() == ["day"] * 60 + ["night"] * 60
    assert both.attributes["camera"].isna().sum() == 60
    assert (both.images[60:] == test.images).all()
    assert both.train_N.tolist() == [True] * 60 + [False] * 60
    assert both.fingerprint not in (train.fingerprint, test.fingerprint)
    assert any("fox" in line for line in both.problems)
    assert both.name == "array"
    again = td.load(train, test=test)
    assert again.fingerprint == both.fingerprint


def test_copies_across_are_counted_and_shapes_must_agree():
    train, test = shard(0, ["a", "b"]), shard(0, ["a", "b"])
    both = td.load(train, test=test)
    assert "60 of 60 test images are exact copies of others" in both.problems
    large = td.load(np.random.default_rng(0).integers(0, 255, (30, 9, 9, 3), dtype=np.uint8))
    with pytest.raises(td.DataError, match="images to train on are 8 x 8") as caught:
        td.load(train, test=large)
    assert "--size" in caught.value.hint
    with pytest.raises(td.DataError, match="no class of the test images"):
        td.load(train, test=shard(1, ["0", "1"]))
    with pytest.raises(td.DataError, match="have 4 features"):
        joined(td.load(np.random.rand(40, 4)), td.load(np.random.rand(40, 5)))


def test_measured_is_on_the_published_images_alone(table, tmp_path, capsys):
    run = tmp_path / "scores"
    smoke = ["--preset", "smoke", "--epochs", "1", "--threads", "1", "--learner", "linear"]
    run_json(
        capsys,
        "score",
        f"csv:{table}",
        "--target",
        "label",
        "--test",
        "split",
        *smoke,
        "--out",
        run,
    )
    opened = td.open_run(run)
    measured = set(opened.scores[0].per_image.index)
    data = td.load(f"csv:{table}", callbacks=())
    assert measured == set(data.ids[data.attributes["split"] == "test"])
    assert opened.numbers["data"]["partition"] == {"from": "split", "train": 216, "test": 24}
    assert (
        main(["score", f"csv:{table}", "--target", "label", "--test", "split", *smoke, "--quiet"])
        == 0
    )
    assert "measured on the test images of split" in capsys.readouterr().out


def test_a_run_with_published_images_is_resumed_and_reported_from_its_own_files(tmp_path, capsys):
    for name, seed in (("train", 0), ("test", 1)):
        for i in range(60):
            folder = tmp_path / name / "ab"[i % 2]
            folder.mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng(100 * seed + i).integers(0, 255, (8, 8, 3))
            Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{i:03d}.png")
    data, test = f"folder:{tmp_path}/train", f"folder:{tmp_path}/test"
    run = tmp_path / "run"
    words = ["--tasks", "1", "--epochs", "1", "--encoder-epochs", "1", "--threads", "1"]
    words += ["--method", "spectral", "--learner", "linear", "--out", str(run)]
    assert main(["discover", data, "--test", test, *words, "--quiet"]) == 0
    opened = td.open_run(run)
    assert opened.config["test"] == test
    assert opened.tasks.seen_N.tolist() == [True] * 60 + [False] * 60
    smoke = ["--preset", "smoke", "--epochs", "1", "--threads", "1", "--learner", "linear"]
    capsys.readouterr()
    assert main(["score", data, "--from", str(run), *smoke, "--quiet"]) == 0
    assert f"measured on the test images of {test}" in capsys.readouterr().out
    assert td.open_run(run).scores[0].per_image.size == 60
    assert main(["report", str(run), "--quiet"]) == 0
    assert main(["analyze", str(run), "--threads", "1", "--quiet"]) == 0
    capsys.readouterr()


def test_parts_of_one_folder_are_named_by_it_or_by_their_column(tmp_path):
    for part, seed in (("train", 0), ("val", 1)):
        for i in range(30):
            folder = tmp_path / "photos" / part / "ab"[i % 2]
            folder.mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng(100 * seed + i).integers(0, 255, (8, 8, 3))
            Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{i:03d}.png")
    spec = f"folder:{tmp_path}/photos"
    by_column = td.load(spec, test="split", callbacks=())
    by_part = td.load(f"{spec}?split=train", test=f"{spec}?split=val", callbacks=())
    for data in (by_column, by_part):
        assert data.train_N.sum() == (~data.train_N).sum() == 30
        assert all(name.startswith("train/") for name in data.ids[data.train_N])
        assert data.classes == ("a", "b")
    assert by_part.test == f"{spec}?split=val"
    assert any("--test split" in line for line in by_column.problems)


def test_features_stand_beside_both_or_neither(tmp_path):
    train, test = shard(0, ["a", "b"]), shard(1, ["a", "b"])
    table = np.random.default_rng(0).normal(size=(120, 7))
    both = td.load(train, test=test, features=table)
    assert np.allclose(both.features[60:], table[60:])
    alone = [tmp_path / f"{name}.npz" for name in ("train", "test")]
    for path, rows in zip(alone, (table[:60], table[60:]), strict=True):
        np.savez(path, features=rows, labels=np.arange(60) % 2)
    data = td.load(f"features:{alone[0]}", test=f"features:{alone[1]}", callbacks=())
    assert np.allclose(data.features, table)
    score = td.score(data, "label", learner="ridge", **QUIET)[0]
    assert len(score.rows_n) == 60
    with pytest.raises(td.DataError, match="no features"):
        td.load(td.load(train, features=table[:60]), test=test)


def test_features_of_a_backbone_are_kept_for_each_side(tmp_path, monkeypatch):
    from taskdiscovery.features import attaching

    sizes = []

    def embedded(images, backbone, **how):
        sizes.append(len(images))
        return images.reshape(len(images), -1)[:, :5].astype(np.float32)

    for name, seed in (("train", 0), ("test", 1)):
        images = np.random.default_rng(seed).integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)
        np.savez(tmp_path / f"{name}.npz", images=images, labels=np.arange(40) % 2)
    monkeypatch.setattr(attaching, "embed_images", embedded)
    monkeypatch.setattr(attaching, "backbone_of", lambda name: None)
    spec = f"npz:{tmp_path}"
    data = td.load(f"{spec}/train.npz", test=f"{spec}/test.npz", features="lite0", callbacks=())
    assert sizes == [40, 40]
    assert (data.features == data.images.reshape(80, -1)[:, :5]).all()
    td.load(f"{spec}/train.npz", features="lite0", callbacks=())
    td.load(shard(0, ["a", "b"]), test=shard(1, ["a", "b"]), features="lite0", callbacks=())
    assert sizes[2:] == [40, 120]  # objects are one set, wherever they were before


def test_runs_agree_on_published_images_that_have_no_labels():
    train, test = shard(0, ["a", "b"]), shard(1, None)
    data = td.load(train, test=test)
    how = {"learner": "linear", "preset": "smoke", "epochs": 1, "batch": 32}
    score = td.score(data, "label", **how, **QUIET)[0]
    assert len(score.rows_n) == 60
    assert np.isnan(score.accuracy)
    assert 0 <= score.agreement <= 1


def test_what_a_strangers_run_names_as_test_is_asked_for_again(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert reach_of("test", "split") is Reach.INSIDE
    assert reach_of("test", "attr:parquet:x") is Reach.INSIDE
    assert reach_of("test", "parquet:/etc/x.parquet") is Reach.OUTSIDE
    assert reach_of("test", "pkg.module:function") is Reach.CODE
    assert reach_of("test", "hf:some/set") is Reach.CODE
    assert reach_of("test", "shapes?n=100") is Reach.INSIDE
    assert reach_of("test", "shapes?n=10000000") is Reach.OUTSIDE
    (tmp_path / "split").mkdir()
    assert reach_of("test", "split") is Reach.OUTSIDE


def test_a_run_from_elsewhere_asks_for_its_images_to_measure_on(tmp_path, monkeypatch, capfd):
    for name, seed in (("train", 0), ("test", 1)):
        images = np.random.default_rng(seed).integers(0, 256, (60, 8, 8, 3), dtype=np.uint8)
        np.savez(tmp_path / f"{name}.npz", images=images, labels=np.arange(60) % 2)
    run, data, test = tmp_path / "run", *(f"npz:{tmp_path}/{n}.npz" for n in ("train", "test"))
    words = ["--method", "spectral", "--learner", "linear", "--epochs", "1", "--threads", "1"]
    words += ["--encoder-epochs", "1", "--tasks", "1", "--quiet", "--out", str(run)]
    assert main(["discover", data, "--test", test, *words]) == 0
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another user's"))
    capfd.readouterr()
    assert main(["report", str(run), "--quiet", "--data", data]) == 4
    said = capfd.readouterr().err
    assert "carries no seal" in said
    assert f"--test {test}" in said
    with pytest.raises(td.RunDirError, match="lies outside"):
        td.score(data, str(run), learner="linear", **QUIET)
    assert main(["report", str(run), "--quiet", "--data", data, "--test", test]) == 0
    other = tmp_path / "other.npz"
    np.savez(other, images=np.random.default_rng(2).integers(0, 256, (30, 8, 8, 3), dtype=np.uint8))
    assert len(td.label(run, other, callbacks=())) == 1  # other data needs none of it


def test_a_job_goes_on_with_the_groups_that_it_began_with():
    from taskdiscovery.jobs.session import _header
    from taskdiscovery.jobs.sink import Sink

    table, label, patient = leaky()
    plain = td.load(table, labels=label)
    others = (plain, td.load(plain, groups=patient), td.load(plain, groups=patient // 2))
    headers = [json.dumps(_header(Sink.of("score", None), data, {}, ())) for data in others]
    assert len(set(headers)) == 3


def test_groups_on_both_sides_of_a_published_partition_are_told(table):
    data = td.load(f"csv:{table}", test="split", groups="fold", callbacks=())
    assert any("2 groups have images to train on" in line for line in data.problems)
    assert "4 groups, 24 to measure on" in repr(data)
    fine = td.load(f"csv:{table}", test="split", groups="patient", callbacks=())
    assert not any("groups have images" in line for line in fine.problems)


# --- what suggests groups


def test_info_names_the_option_where_ids_or_columns_suggest_groups(table):
    found = td.info(f"csv:{table}", callbacks=())
    text = "\n".join(found.hints)
    assert "attribute patient has 40 values" in text
    assert "--groups patient" in text
    assert "--groups ids" in text
    assert "split" not in text
    assert "fold" not in text
    named = td.info(f"csv:{table}", groups="patient", callbacks=())
    assert named.hints == ()
    assert "40" in named.groups


def test_frames_of_a_video_are_seen_by_their_pixels():
    rng = np.random.default_rng(0)
    scenes = rng.integers(0, 255, (40, 16, 16, 3))
    frames = (scenes.repeat(10, axis=0) + rng.normal(0, 3, (400, 16, 16, 3))).clip(0, 255)
    assert "near copy" in " ".join(hints(td.load(frames.astype(np.uint8))))
    other = rng.integers(0, 255, (400, 16, 16, 3)).astype(np.uint8)
    assert hints(td.load(other)) == ()


def test_no_hint_where_names_are_of_classes_or_of_an_archive():
    images = np.random.default_rng(0).integers(0, 255, (200, 8, 8, 3)).astype(np.uint8)

    def ids(make):
        return [make(i) for i in range(200)]

    numbers = np.random.default_rng(1).permutation(50_000)
    labels = [f"c{i % 4}" for i in range(200)]
    for make in (
        str,
        lambda i: f"cat.{i}.jpg",
        lambda i: f"c{i % 4}/c{i % 4}_{i:04d}.png",
        lambda i: f"c{i % 4}/n{i % 20:03d}_{numbers[i]}.JPEG",
    ):
        data = td.from_arrays(images, labels, ids=ids(make))
        assert hints(data) == (), make(3)
    columns = pd.DataFrame(
        {"class_id": [i % 4 for i in range(200)], "rating": [i % 7 for i in range(200)]}
    )
    assert hints(td.load(images, labels=labels, attributes=columns)) == ()


@pytest.mark.parametrize("spec", ["digits", "shapes?n=2000"])
def test_no_false_alarm_on_sets_without_groups(spec):
    assert td.info(spec, callbacks=()).hints == ()
