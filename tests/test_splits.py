"""Splits: what is chosen is never reported on; controls are what they say; exports are read."""

from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import cross_val_score
from sklearn.naive_bayes import GaussianNB

import taskdiscovery as td
from taskdiscovery import data
from taskdiscovery.config import SplitConfig
from taskdiscovery.data import partition
from taskdiscovery.data.readers import shapes
from taskdiscovery.errors import ConfigError, DataError
from taskdiscovery.executors import resolve_training, workbench
from taskdiscovery.runtime.callbacks import Callbacks
from taskdiscovery.runtime.progress import Silent
from taskdiscovery.runtime.seeds import derive
from taskdiscovery.splits import choose as choosing
from taskdiscovery.splits import controls, duplicates, judging, measure, splitting
from taskdiscovery.splits.cuts import Candidate, Sides, other_groupings
from taskdiscovery.splits.judging import Question
from taskdiscovery.store.journal import Journal
from taskdiscovery.training import Training
from taskdiscovery.types import TEST, TRAIN, WITHIN, Labeling, Setup, Split

CONFIG = SplitConfig(
    preset="smoke", learner="mlp?width=0.1", threads=1, epochs=4, batch=64, runs=2, device="cpu"
)


@pytest.fixture(scope="module")
def dataset():
    return shapes.draw(1000, size=12)


def cut(dataset, factor, levels, noise=0.0):
    inside = dataset.attributes[factor].isin(levels).to_numpy()
    flip = np.random.default_rng(0).random(len(inside)) < noise
    labels = (inside ^ flip).astype(np.int64)
    coordinate = labels - 0.5 + np.linspace(0, 0.1, len(labels))
    return Labeling(
        name=factor,
        classes=("0", "1"),
        labels_N=labels,
        ids_N=dataset.ids,
        coordinates_NC=coordinate[:, None],
    )


@contextmanager
def question(dataset, target, config=CONFIG, trainings=1):
    """Ask it of a data set in which nothing was discovered."""
    config = resolve_training(config, dataset, trainings)
    seen, learner = partition.draw(len(dataset), config.seed), config.learner_of()
    rows = np.flatnonzero(seen)
    with workbench(dataset, config, learner, rows, Journal(), Callbacks()) as bench:
        yield Question(bench=bench, target=target, config=config, seen_N=seen, balanced=False)


def split(dataset, target, tasks, config):
    with question(dataset, target, config, splitting.trainings(config)) as asked:
        return splitting.split(asked.bench, target, tasks, asked.config, asked.seen_N)


@pytest.mark.parametrize("leak", ["image", "seed", "trained on"])
def test_a_planted_leak_is_seen(dataset, leak, monkeypatch):
    """Nothing is reported on images or seeds that served to choose, or on training images."""
    cuts = [cut(dataset, "background_hue", ["orange", "green"]), cut(dataset, "size", ["small"])]
    target = dataset.target("label:disc,cross")
    real = splitting.equal_rows

    def leaky(roles, target, seen, config):
        rows = real(roles, target, seen, config)
        own = rows["adversarial"]
        if leak == "image":
            rows["random"] = replace(own, test=np.append(own.test, np.flatnonzero(seen)[:1]))
        elif leak == "trained on":
            rows["random"] = replace(own, fit=np.append(own.fit, own.test[:1]))
        return rows

    monkeypatch.setattr(splitting, "equal_rows", leaky)
    if leak == "seed":
        monkeypatch.setattr(
            splitting,
            "run_seeds",
            lambda config, run: (derive(config.seed, "choose", "rung 2", 0, "init"), run),
        )
    with pytest.raises(RuntimeError, match=r"chose? the split|trained on|that served to choose"):
        split(dataset, target, cuts, CONFIG)


def test_the_search_tries_tasks_orientations_and_groupings(dataset):
    cuts = [cut(dataset, "background_hue", ["orange", "green"]), cut(dataset, "size", ["small"])]
    config = replace(CONFIG, search=True, controls="random", epochs=2)
    result = split(dataset, dataset.target("label"), cuts, config).numbers
    tried = result["choice"]
    assert {(r["task"], r["orientation"]) for r in tried} == {
        (task, way) for task in ("background_hue", "size") for way in ("same", "opposite")
    }
    assert len({tuple(r["group"]) for r in tried}) >= 3
    finalists = tried[-3:]
    worst = min(finalists, key=lambda r: r["accuracy"])
    assert (result["task"], result["orientation"]) == (worst["task"], worst["orientation"])
    assert result["group"] == worst["group"]
    assert split(dataset, dataset.target("label"), cuts, config).numbers == result


def test_groupings_are_halves_and_none_comes_twice():
    found = [tuple(g) for g in other_groupings(6, 8, 0)]
    assert len(set(found)) == 8
    assert all(sum(g) == 3 for g in found)
    assert not [g for g in found if tuple(1 - x for x in g) in found]
    assert list(other_groupings(2, 4, 0)) == []


def test_all_controls_have_the_counts_of_the_split(dataset):
    target = dataset.target("label")
    own = cut(dataset, "background_hue", ["orange", "green"])
    chosen = Candidate(task=own, orientation="same", group=np.array([0, 0, 1, 1]))
    sides = chosen.sides(target, False)
    with question(dataset, target) as asked:
        seen = asked.seen_N
        template = controls.Template(question=asked, sides=sides, meter=Silent())
        for name in ("random", "hard", "kmeans"):
            control = controls.make(name, template)
            for c in range(4):
                for part in (seen, ~seen):
                    rows = part & (target.labels_N == c)
                    assert control.train[rows].sum() == sides.train[rows].sum()
        loss = controls.held_out_loss(asked, np.arange(1000), Silent())
        hard = controls.make("hard", template)
    for c in range(4):
        rows = seen & (target.labels_N == c)
        assert loss[rows & hard.train].max() <= loss[rows & ~hard.train].min()


def test_hard_images_are_judged_by_networks_that_have_not_seen_them(dataset, monkeypatch):
    target = dataset.target("label:disc,cross")
    fitted = []
    real = Training.run

    def spy(self, *arguments, **more):
        fitted.append(self.rows)
        return real(self, *arguments, **more)

    monkeypatch.setattr(Training, "run", spy)
    with question(dataset, target) as asked:
        rows = np.flatnonzero(target.known_N)
        first, again = np.zeros(1000), np.zeros(1000)
        first[rows] = controls.held_out_loss(asked, rows, Silent())
        assert not np.intersect1d(fitted[0], fitted[1]).size
        assert not (~asked.seen_N)[np.concatenate(fitted)].any()
        # Spoil the labels of the second half: the losses of its images come from the first half.
        labels = target.labels_N.copy()
        labels[fitted[1]] = 1 - labels[fitted[1]]
        spoilt = replace(asked, target=replace(target, labels_N=labels))
        again[rows] = controls.held_out_loss(spoilt, rows, Silent())
    with np.errstate(over="ignore"):
        margin = np.log(np.expm1(first[fitted[1]]))
        other = np.log(np.expm1(again[fitted[1]]))
    assert np.allclose(margin, -other, atol=1e-3)


def test_hard_images_of_large_data_are_judged_by_a_network_of_other_images(dataset, monkeypatch):
    target = dataset.target("label:disc,cross")
    fitted = []
    real = Training.run

    def spy(self, *arguments, **more):
        fitted.append((self.rows, self.measured))
        return real(self, *arguments, **more)

    monkeypatch.setattr(Training, "run", spy)
    with question(dataset, target, replace(CONFIG, train_images=100)) as asked:
        rows = np.sort(np.random.default_rng(0).permutation(1000)[:400])
        loss = controls.held_out_loss(asked, rows, Silent())
        assert loss.shape == (400,)
        assert np.isfinite(loss).all()
        [(fit, measured)] = fitted
        assert len(fit) == 100
        assert not np.intersect1d(fit, rows).size
        assert asked.seen_N[fit].all()
        assert measured.tolist() == rows.tolist()


def test_the_kmeans_control_separates_what_looks_different_and_not_the_classes():
    rng = np.random.default_rng(0)
    dark = rng.integers(0, 60, (400, 8, 8, 3))
    bright = rng.integers(190, 256, (400, 8, 8, 3))
    images = np.concatenate([dark, bright]).astype(np.uint8)
    order = rng.permutation(800)
    labels = rng.permutation(np.arange(800) % 2)
    dataset = data.from_arrays(images[order], labels)
    target = dataset.target("label")
    half = Sides(train=rng.random(800) < 0.5, task_N=np.zeros(800, dtype=int), known=labels >= 0)
    with question(dataset, target) as asked:
        template = controls.Template(question=asked, sides=half, meter=Silent())
        made = controls.make("kmeans", template)
    is_bright = order >= 400
    assert abs(is_bright[made.train].mean() - is_bright[~made.train].mean()) > 0.6
    assert labels[made.train].mean() == labels[half.train].mean()


def test_transfer_trains_other_learners_on_the_same_images(dataset):
    own = cut(dataset, "background_hue", ["orange", "green"])
    config = replace(CONFIG, orientation="same", transfer="linear; convnet?width=0.1", runs=1)
    config = replace(config, controls="random")
    result = split(dataset, dataset.target("label:disc,cross"), [own], config).numbers
    assert set(result["transfer"]) == {"linear", "convnet?width=0.1"}
    for figures in result["transfer"].values():
        assert set(figures) == {"adversarial", "random", "within"}
    with pytest.raises(ConfigError, match="unknown network"):
        replace(CONFIG, transfer="mlpp")
    with pytest.raises(ConfigError, match="without it"):
        replace(CONFIG, controls="hard")


def test_where_runs_agree(dataset):
    config = replace(CONFIG, orientation="same", controls="random")
    own = cut(dataset, "background_hue", ["orange", "green"])
    result = split(dataset, dataset.target("label:disc,cross"), [own], config).numbers
    for name in ("adversarial", "random", "within"):
        assert 0 < result["where_runs_agree"][name]["share"] <= 1
        assert 0 <= result["where_runs_agree"][name]["accuracy"] <= 1
    alike = measure._where_runs_agree(
        np.array([[0, 1, 1, 0], [0, 1, 0, 0]]), np.array([0, 0, 0, 0])
    )
    assert alike == {"accuracy": pytest.approx(2 / 3), "share": 0.75}


def test_near_duplicates_are_found_and_others_are_not():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (60, 16, 16, 3), dtype=np.uint8)
    images[31] = images[2]
    noise = rng.integers(-3, 4, images[3].shape)
    images[32] = np.clip(images[3].astype(int) + noise, 0, 255)
    images[33] = np.clip(images[4].astype(int) // 2, 0, 255)  # darker: the same picture, not a copy
    found = duplicates.across(images, np.arange(30), np.arange(30, 60))
    assert (found.exact, found.near, found.looked_at) == (1, 2, 30)
    assert found.pairs.tolist() == [[31, 2], [32, 3]]
    empty = duplicates.across(images, np.arange(0), np.arange(30))
    assert (empty.near, len(empty.pairs)) == (0, 0)


@pytest.fixture(scope="module")
def made(dataset, tmp_path_factory):
    place = tmp_path_factory.mktemp("split") / "run"
    table = pd.DataFrame({"image_id": dataset.ids})
    table["warm"] = dataset.attributes["background_hue"].isin(["orange", "green"]).astype(int)
    table.to_csv(place.with_suffix(".csv"), index=False)
    options = {
        "preset": "smoke",
        "learner": "linear",
        "threads": 1,
        "runs": 1,
        "controls": "random",
    }
    source = f"{place.with_suffix('.csv')}:warm"
    return td.split(dataset, "label:disc,cross", source, out=place, **options), place


def test_a_split_feeds_torch_and_scikit_learn(made, dataset):
    found, _ = made
    parts = found.subsets()
    assert {name: len(part) for name, part in parts.items()} == found.sizes
    image, label = parts["test"][0]
    row = found.indices(2)[0]
    assert (image == dataset.images[row]).all()
    assert label == found.target.labels_N[row]
    own = [(i, "mine") for i in range(1000)]
    assert found.subsets(own)["train"][0] == (int(found.indices(0)[0]), "mine")
    train, test = found.train_test(own)
    assert [train.indices, test.indices] == [found.indices(0).tolist(), found.indices(2).tolist()]
    with pytest.raises(DataError, match="3 images"):
        found.subsets([1, 2, 3])
    features = dataset.images.reshape(1000, -1)
    y = found.target.labels_N
    train, test = found.indices(TRAIN), found.indices(TEST)
    own = GaussianNB().fit(features[train], y[train]).score(features[test], y[test])
    assert cross_val_score(GaussianNB(), features, y, cv=found.cv()).tolist() == [own]


def test_files_that_other_readers_expect(made):
    found, place = made
    celeb = pd.read_csv(
        place / "splits/label-disc-cross" / "list_eval_partition.csv", dtype={"image_id": str}
    )
    assert celeb.columns.tolist() == ["image_id", "partition"]
    assert celeb["partition"].tolist() == found.to_frame()["split"].tolist()
    waterbirds = pd.read_csv(place / "splits/label-disc-cross" / "metadata.csv")
    assert waterbirds.columns.tolist() == ["img_filename", "y", "split", "place"]
    again = td.open_run(place).split.cv()
    assert [[part.tolist() for part in pair] for pair in again] == [
        [found.indices(TRAIN).tolist(), found.indices(TEST).tolist()]
    ]
    assert not (place / "splits/label-disc-cross" / "test_fold.npy").exists()


def split_of(role):
    """A split made by hand: image i has class i mod 2, where it has one."""
    role, ids = np.array(role, dtype=np.int8), np.array([f"im{i}" for i in range(len(role))])
    y = np.where(role >= 0, np.arange(len(role)) % 2, -1)
    target, task = (Labeling(name=n, classes=("a", "b"), labels_N=y, ids_N=ids) for n in "ty")
    setup = Setup(
        orientation="same",
        group=(1,),
        class_balanced=False,
        learner="linear",
        preset="smoke",
        precision="float32",
        runs=1,
    )
    images = np.arange(len(role), dtype=np.uint8)[:, None, None, None]
    return Split(target=target, task=task, role_N=role, setup=setup, images=images)


@settings(max_examples=50)
@given(st.lists(st.sampled_from([TRAIN, WITHIN, TEST, -1]), min_size=1, max_size=40))
def test_images_without_a_role_are_in_no_fold_subset_or_table(role):
    made = split_of(role)
    [(train, test)] = made.cv()
    assert (train.dtype, test.dtype) == (np.int64, np.int64)
    assert train.tolist() == [i for i, r in enumerate(role) if r == TRAIN]
    assert test.tolist() == [i for i, r in enumerate(role) if r == TEST]
    kept = [i for i, r in enumerate(role) if r != -1]
    assert made.to_frame()["img_filename"].tolist() == [f"im{i}" for i in kept]
    parts = made.subsets()
    held = [int(part[i][0].item()) for part in parts.values() for i in range(len(part))]
    assert sorted(held) == kept
    assert all(part[i][1] >= 0 for part in parts.values() for i in range(len(part)))
    idle = len(role) - len(train) - len(test)
    if idle:  # -1 would mean: always trained on
        with pytest.raises(DataError, match=rf"{idle} of {len(role)} images.*\n.*\n.*cv\(\)"):
            made.predefined_split()
    else:
        assert (made.predefined_split().test_fold == np.where(np.array(role) == TEST, 0, -1)).all()


def test_a_target_with_missing_labels_trains_on_none_of_them(dataset, tmp_path):
    y = np.arange(1000) % 2.0
    y[np.random.default_rng(0).permutation(1000)[:200]] = np.nan
    attributes = pd.DataFrame({"g": y, "warm": dataset.attributes["background_hue"] == "orange"})
    sparse = replace(dataset, attributes=attributes)
    options = {"preset": "smoke", "learner": "linear", "threads": 1, "runs": 1, "epochs": 1}
    made = td.split(sparse, "attr:g", sparse.target("attr:warm"), controls=["random"], **options)
    [(train, test)] = made.cv()
    assert not np.isnan(y[np.concatenate([train, test])]).any()
    features = dataset.images.reshape(1000, -1)
    scores = cross_val_score(GaussianNB(), features, made.target.labels_N, cv=made.cv())
    own = GaussianNB().fit(features[train], y[train]).score(features[test], y[test])
    assert scores.tolist() == [own]
    with pytest.raises(DataError):
        made.predefined_split()


def test_a_choice_among_many_halves_them_and_finds_the_planted_one(dataset):
    """Twelve tasks of no meaning and one that a network finds at once: the last rung has it."""
    rng = np.random.default_rng(0)
    target = dataset.target("label:disc,cross")
    tasks = [cut(dataset, "background_hue", ["orange", "green"])]
    for i in range(12):
        drawn = rng.integers(0, 2, 1000)
        tasks.insert(0, replace(tasks[-1], name=f"chance {i}", labels_N=drawn, coordinates_NC=None))
    with question(dataset, target) as asked:
        choice = choosing.choose(asked, tasks)
        assert choice.candidate.task.name == "background_hue"
        judged = [sum(row["rung"] == rung for row in choice.table) for rung in range(3)]
        assert judged == [13, 7, 4]  # of the last one, the worst is turned
        last = [row for row in choice.table if row["rung"] == 2]
        assert sum(row["worst"] for row in last) == pytest.approx(1)
        assert max(last, key=lambda row: row["worst"])["task"] == "background_hue"
        assert not [row for row in choice.table if row["rung"] < 2 and "worst" in row]
        assert set(choice.rows) <= set(np.flatnonzero(asked.seen_N))
        assert choosing.choose(asked, tasks).table == choice.table


def test_halving_costs_less_than_a_third_of_training_on_all(dataset):
    with question(dataset, dataset.target("label:disc,cross")) as asked:
        rungs = judging.ladder(asked, 16, choosing.FINALISTS)
        assert [rung.number for rung in rungs] == [0, 1, 2]
        assert choosing._passes(rungs, 16, 1) < 18 * 4000 * 4 / 3
        assert [rung.number for rung in judging.ladder(asked, 3, 3)] == [2]
        assert [rung.number for rung in judging.ladder(asked, 4, 3)] == [0, 2]


def test_how_sure_a_choice_is():
    rng = np.random.default_rng(0)

    def odds(*rates, runs=1, spread=0.0, codes=None, images=2000):
        shared = rng.random(images)  # what is hard is hard for all
        right = [
            np.stack([(shared < rate + spread * turn) for turn in np.linspace(-1, 1, runs)])
            for rate in rates
        ]
        return choosing.worst_of([r.astype(float) for r in right], rng, codes)

    assert odds(0.3, 0.3) == pytest.approx([0.5, 0.5], abs=0.02)
    assert odds(0.1, 0.3)[0] > 0.99
    assert odds(0.28, 0.3)[0] > 0.99  # the same images: paired
    assert 0.6 < odds(0.28, 0.3, runs=2, spread=0.03)[0] < 0.95  # and runs that differ
    apart = [np.full((1, 2000), np.nan) for _ in range(2)]
    apart[0][:, :1000] = rng.random(1000) < 0.28
    apart[1][:, 1000:] = rng.random(1000) < 0.30
    assert 0.5 < choosing.worst_of(apart, rng)[0] < 0.99  # other images: not paired
    groups = np.arange(2000) // 500
    sure = choosing.worst_of([r[None].astype(float) for r in (groups == 0, groups != 3)], rng)
    whole = choosing.worst_of(
        [r[None].astype(float) for r in (groups == 0, groups != 3)], rng, groups
    )
    assert sure[0] > 0.999 > whole[0]


def test_how_sure_a_choice_is_means_what_it_says():
    """Of choices between two tasks that differ a little, as many are right as is said."""
    rng = np.random.default_rng(1)
    said, right = [], []
    for _ in range(300):
        first, second = 0.3 + 0.03 * rng.standard_normal(2)
        drawn = [(rng.random((1, 400)) < rate).astype(float) for rate in (first, second)]
        odds = choosing.worst_of(drawn, rng)
        said.append(odds.max())
        right.append((odds.argmax() == 0) == (first < second))
    assert np.mean(said) == pytest.approx(np.mean(right), abs=0.08)


def test_groups_lie_whole_on_one_side(dataset, monkeypatch):
    """No training is asked about images of a group that it has trained on; no side shares one."""
    rng = np.random.default_rng(0)
    groups = np.array([f"patient {g}" for g in rng.permutation(1000) // 4])
    groups[:20] = ""
    grouped = replace(dataset, groups=groups)
    asked = []
    real = Training.run

    def spy(self, *arguments, **more):
        asked.append((self.rows, self.measured))
        return real(self, *arguments, **more)

    monkeypatch.setattr(Training, "run", spy)
    cuts = [cut(dataset, "background_hue", ["orange", "green"]), cut(dataset, "size", ["small"])]
    labels = {task.name: task.labels_N for task in cuts}
    config = {"preset": "smoke", "learner": "mlp?width=0.1", "threads": 1, "epochs": 2, "runs": 1}
    found = td.split(grouped, "label:disc,cross", labels, device="cpu", executor="serial", **config)
    codes = partition.codes(groups)
    assert len(asked) > 8  # choice, hard images, five figures
    for rows, measured in asked:
        assert not np.intersect1d(codes[rows], codes[measured]).size
    role = found.role_N
    for group in np.unique(codes):
        assert len(set(role[codes == group])) == 1
    assert found.copies.groups == 0
    assert found.setup.grouped
    # The same with the images one by one: there groups are on both sides.
    alone = td.split(dataset, "label:disc,cross", labels, device="cpu", **config)
    assert alone.copies.groups is None
    across = splitting._groups_across(
        groups, alone.indices(TRAIN), np.concatenate([alone.indices(TEST)])
    )
    assert across > 50
    wide, narrow = (own.accuracy["random"] for own in (found, alone))
    assert wide.high > wide.low
    assert narrow.high > narrow.low


def test_a_group_goes_where_most_of_its_images_lie():
    train = np.array([True, True, False, False, True, False, False, True])
    groups = np.array(["a", "a", "a", "b", "b", "b", "", ""])
    sides = Sides(train=train, task_N=np.zeros(8, dtype=int), known=np.ones(8, dtype=bool))
    assert sides.whole(groups).train.tolist() == [True] * 3 + [False] * 3 + [False, True]
    assert sides.whole(None) is sides
    unknown = replace(sides, known=np.array([False, False, True, True, True, True, True, True]))
    assert unknown.whole(groups).train[:3].tolist() == [False] * 3


def test_controls_of_large_data_look_at_a_sample(dataset):
    target = dataset.target("label:disc,cross")
    own = cut(dataset, "background_hue", ["orange", "green"])
    sides = Candidate(task=own, orientation="same", group=np.array([0, 1])).sides(target, False)
    for images, all_of_them in ((1000, True), (100, False)):
        with question(dataset, target, replace(CONFIG, train_images=images)) as asked:
            template = controls.Template(question=asked, sides=sides, meter=Silent())
            seen = asked.seen_N[template.rows].sum()
            assert (seen == asked.seen_N.sum()) == all_of_them
            assert (~asked.seen_N[template.rows]).sum() == (~asked.seen_N).sum()
            for name in ("untrained", "hard", "kmeans"):
                made = controls.make(name, template)
                assert set(np.flatnonzero(made.known)) == set(template.rows)
                fit = made.train & made.known & asked.seen_N
                if name != "untrained":
                    assert fit.sum() >= min(images, sides.train[asked.seen_N].sum())
            again = controls.Template(question=asked, sides=sides, meter=Silent())
            assert again.rows.tolist() == template.rows.tolist()
