"""Frozen features beside human attributes: the measures, the attributes, the peers."""

import json

import numpy as np
import pytest
import torch
from experiments import attributes, features_text, meaning, page, peers
from experiments.attributes import wordnet
from experiments.peers import clusters, components, turtle
from experiments.studies import features, featuresplits
from sklearn.metrics import balanced_accuracy_score

import taskdiscovery as td


@pytest.fixture(scope="module")
def three():
    """Features (600, 40) in three groups of unequal size, and which group."""
    rng = np.random.default_rng(0)
    group_N = rng.choice(3, size=600, p=[0.5, 0.3, 0.2])
    centres = rng.normal(size=(3, 40)) * 2
    return (centres[group_N] + rng.normal(size=(600, 40))).astype(np.float32), group_N


def test_attributes_are_those_of_the_files():
    known = {own.name: own for own in attributes.every()}
    assert set(known) == set(features_text.CLAIMS)
    assert {name: len(own.groups) for name, own in known.items()} == {
        "bar": 11,
        "cifar10": 18,  # flying is birds and planes again
        "tiny-imagenet": 32,
    }
    tiny = known["tiny-imagenet"]
    assert all(8 <= len(members) <= 192 for members in tiny.groups.values())
    assert len(tiny.rows(12_000)) == 10_000
    assert np.array_equal(known["cifar10"].rows(50_000), np.arange(10_000))


def test_masks_follow_the_classes_of_the_data_in_any_order():
    known = attributes.Attributes.read(attributes.PLACE / "bar.json")
    names = [name.title() for name in reversed(known.classes)]
    images = np.random.default_rng(0).integers(0, 255, (60, 4, 4, 3), np.uint8)
    data = td.load(images, labels=[names[i % 6] for i in range(60)])
    assert attributes.of(data).name == "bar"
    masks = known.masks(data)
    assert masks["water"].sum() == 20
    assert np.array_equal(masks["water"], masks["diving"] | masks["fishing"])
    with pytest.raises(td.ConfigError, match="no attributes are known"):
        attributes.of(td.load(images, labels=["a", "b"] * 30))


def test_wordnet_gives_hypernyms_by_cover(tmp_path):
    def synset(offset, word, *above):
        pointers = " ".join(f"@ {a} n 0000" for a in above)
        return f"{offset} 03 n 01 {word} 0 {len(above):03d} {pointers} | said of it"

    lines = ["  1 a licence", synset("00000001", "entity"), synset("00000002", "a_b", "00000001")]
    lines += [synset(f"1000000{i}", f"leaf{i}", "00000002") for i in range(8)]
    lines += [synset("20000000", "other", "00000001")]
    place = tmp_path / "data.noun"
    place.write_text("\n".join(lines), "utf-8")
    wnids = [f"n1000000{i}" for i in range(8)] + ["n20000000"]
    found = wordnet.groups(wnids, *wordnet.nouns(place))
    assert found == {"a b n00000002": list(range(8)), "entity n00000001": list(range(9))}
    assert list(wordnet.groups(wnids[:8], *wordnet.nouns(place))) == ["a b n00000002"]


def test_the_attribute_is_chosen_where_discovery_may_look_and_measured_elsewhere():
    rng = np.random.default_rng(0)
    a_N, b_N = rng.random(400) < 0.3, rng.random(400) < 0.5
    seen_N = np.arange(400) < 300
    task_N = np.where(seen_N, ~a_N, b_N)  # fits a where it was seen, b where it was not
    found = meaning.judge(np.stack([task_N, b_N], axis=1), {"a": a_N, "b": b_N}, seen_N)
    assert found.chosen == ("a", "b")
    expected = balanced_accuracy_score(a_N[~seen_N], ~task_N[~seen_N])
    assert found.ba_D[0] == pytest.approx(expected)
    assert found.ba_D[1] == 1.0
    assert found.reached == ("b",)
    assert found.covered == ("b",)


def test_attributes_that_are_alike_count_once():
    a_N = np.arange(100) < 50
    masks = {"a": a_N, "nearly a": np.arange(100) < 52, "not a": ~a_N, "b": np.arange(100) % 2 == 0}
    assert meaning.distinct(["nearly a", "a", "not a", "b"], masks) == ["nearly a", "b"]


def test_shuffled_attributes_are_met_by_chance(three):
    _, group_N = three
    masks = {str(g): group_N == g for g in range(3)}
    seen_N = np.arange(600) % 10 > 0
    tasks_ND = np.stack(list(masks.values()), axis=1)
    control = meaning.judge(tasks_ND, meaning.shuffled(masks, 0), seen_N)
    assert meaning.judge(tasks_ND, masks, seen_N).ba_D.min() == 1.0
    assert control.ba_D.mean() == pytest.approx(0.5, abs=0.12)


def test_statistics_explain_what_is_made_of_them():
    rng = np.random.default_rng(0)
    statistics_NS = rng.normal(size=(2000, 3))
    tasks_ND = np.stack([statistics_NS[:, 0] > 0, rng.random(2000) < 0.5], axis=1)
    found_D = meaning.explained(tasks_ND, statistics_NS, np.arange(2000) < 1500)
    assert found_D[0] > 0.5
    assert found_D[1] == pytest.approx(0, abs=0.03)


def _judged(ba, D, n, seed):
    rng = np.random.default_rng(seed)
    has_nD = rng.random((n, D)) < 0.5
    right_nD = rng.random((n, D)) < ba
    with_D = [right_nD[has_nD[:, d], d].mean() for d in range(D)]
    without_D = [right_nD[~has_nD[:, d], d].mean() for d in range(D)]
    return meaning.Judged(
        chosen=("a",) * D,
        right_nD=right_nD,
        has_nD=has_nD,
        ba_D=(np.array(with_D) + without_D) / 2,
        covered=(),
    )


def test_the_interval_of_a_difference_holds_zero_where_there_is_none():
    high = [_judged(0.9, 16, 400, seed) for seed in range(3)]
    same = [_judged(0.9, 12, 400, seed + 10) for seed in range(3)]
    low = [_judged(0.7, 16, 400, seed + 20) for seed in range(3)]
    known = meaning.difference(high, low)
    assert known["low"] < known["mean"] < known["high"]
    assert known["mean"] == pytest.approx(0.2, abs=0.02)
    assert known["low"] > 0.15
    none = meaning.difference(high, same)
    assert none["low"] < 0 < none["high"]


def test_the_gradient_of_turtle_is_that_of_its_loss():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(7, 2, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    fixed = torch.randn(7, 2, 3, generator=generator, dtype=torch.float64).log_softmax(dim=2)
    labels = logits.softmax(dim=2)
    mean = labels.mean(dim=0)
    entropy = -(mean * mean.log()).sum()
    loss = -(labels * fixed).sum(dim=2).mean(dim=0).sum() - 10 * entropy
    (expected,) = torch.autograd.grad(loss, logits)
    found = turtle.gradient(labels.detach(), fixed, 10.0)
    assert torch.allclose(found, expected, atol=1e-9)


def test_turtle_finds_groups_without_labels(three):
    table, group_N = three
    seen_N = np.arange(600) % 10 > 0
    own = turtle.prepared(table, seen_N)
    assert own.shape == (600, 40)
    found = turtle.fit(own, 3, [0, 1], turtle.Turtle(outer=300, look=50))
    labels_NS = found.predict(own)
    assert labels_NS.shape == (600, 2)
    # its classes are about equally frequent, these groups are not: hence not all are right
    fits = [meaning.renamed_accuracy(labels_NS[:, s], group_N, seen_N) for s in range(2)]
    assert max(fits) > 0.7


def test_classes_are_renamed_by_images_that_discovery_may_see():
    truth_N = np.arange(90) % 3
    found_N, seen_N = (truth_N + 1) % 3, np.arange(90) < 60
    assert meaning.renamed_accuracy(found_N, truth_N, seen_N) == 1.0
    turned_N = np.where(seen_N, found_N, truth_N)  # another naming where nothing was seen
    assert meaning.renamed_accuracy(turned_N, truth_N, seen_N) == 0.0
    assert meaning.renamed_accuracy(np.zeros(90, dtype=int), truth_N, seen_N) == pytest.approx(
        1 / 3
    )


def test_every_peer_labels_all_images(three, monkeypatch):
    table, group_N = three
    monkeypatch.setattr(turtle.Turtle, "__init__", _brief(turtle.Turtle.__init__))
    seen_N = np.arange(600) % 10 > 0
    given = peers.Table(features_NP=table, seen_N=seen_N, classes=3)
    masks = {str(g): group_N == g for g in range(3)}
    for name, peer in peers.PEERS.items():
        found = peer(given, 4, 0)
        assert found.labels_ND.shape == (600, 3 if "against" in name and "TURTLE" in name else 4)
        assert found.labels_ND.dtype == bool
        again = peer(given, 4, 0)
        assert np.array_equal(found.labels_ND, again.labels_ND), name
        if "against" in name:
            assert meaning.judge(found.labels_ND, masks, seen_N).ba_D.max() > 0.8, name


def _brief(plain):
    return lambda self, **given: plain(self, **{"outer": 200, "look": 50, **given})


def test_two_means_lie_between_two_groups():
    rng = np.random.default_rng(0)
    z_nD = np.concatenate([rng.normal(-3, 1, 300), rng.normal(3, 1, 100)])[:, None]
    assert components.thresholds(z_nD, "two means")[0] == pytest.approx(0, abs=0.7)
    assert components.thresholds(z_nD, "median")[0] < -1.5


def test_unions_are_halves_of_clusters(three):
    table, _ = three
    seen_N = np.arange(600) % 10 > 0
    own_N = clusters.labels(table, seen_N, clusters.OF_UNIONS, 0)
    found = clusters.unions(table, seen_N, 3, 0)
    for k in range(clusters.OF_UNIONS):
        inside = found[own_N == k]
        assert (inside == inside[:1]).all()


@pytest.fixture
def photographs():
    """Sixty images a class of BAR, whose features tell the class."""
    known = attributes.Attributes.read(attributes.PLACE / "bar.json")
    rng = np.random.default_rng(0)
    label_N = rng.permutation(np.arange(360) % 6)
    images = rng.integers(0, 255, (360, 8, 8, 3), np.uint8)
    table = rng.normal(size=(6, 24))[label_N] * 3 + rng.normal(size=(360, 24))
    names = [known.classes[c] for c in label_N]
    return td.load(images, labels=names, features=table.astype(np.float32))


@pytest.mark.slow
def test_the_study_is_done_once_and_told(photographs, tmp_path, monkeypatch):
    from experiments import ways
    from experiments.laboratory import Laboratory

    monkeypatch.setattr(td, "embed", lambda data, **_: photographs)
    monkeypatch.setattr(features, "SEEDS", (0, 1))
    monkeypatch.setattr(features, "TASKS", 4)
    few = (ways.PURSUIT, ways.STATISTICS, ways.RIDGE, "PCA, at the median")
    monkeypatch.setattr(ways, "WAYS", {name: ways.WAYS[name] for name in few})
    lab = Laboratory(dataset=photographs, work=tmp_path / "work", threads=1)
    first = features.run(lab, "lite0")
    json.dumps(first)
    means = {row["way"]: row for row in first["ways"]}
    assert means[ways.PURSUIT]["ba"] > 0.9
    assert 1 < means[ways.PURSUIT]["distinct"] <= means[ways.PURSUIT]["tasks"]
    assert means[ways.PURSUIT]["shuffled_ba"] < 0.7
    assert first["learner"] == "bar"
    assert "k-means" in [row["way"] for row in first["clusterings"]]
    monkeypatch.setattr(ways, "_search", lambda *_: pytest.fail("searched again"))
    assert features.run(lab, "lite0") == first
    text = features_text.tell([first], tmp_path)
    assert f"{means[ways.PURSUIT]['ba']:.3f}" in text
    assert (tmp_path / "features.svg").exists()
    assert f"{means[ways.PURSUIT]['ba']:.3f} of 4" in features_text.summary([first])


def test_results_stand_between_the_marks_of_another_page(tmp_path):
    place = tmp_path / "features.md"
    page.insert(place, "never")  # there is no such page
    assert not place.exists()
    place.write_text("\n".join(["by hand", *page.MARKS, "by hand, too"]), "utf-8")
    page.insert(place, "first")
    page.insert(place, "second")
    text = place.read_text("utf-8")
    assert text == "\n".join(["by hand", page.MARKS[0], "second", page.MARKS[1], "by hand, too"])


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(0.01, 0.2, "above every peer"), (-0.1, 0.1, "not told apart"), (-0.3, -0.1, "better than")],
)
def test_who_wins_is_said(low, high, said):
    from experiments import ways

    own = {"way": ways.PURSUIT, "ba": 0.81, "reached": 9.0, "agreement": 0.96, "distinct": 16.0}
    result = {
        "learner": "bar",
        "ways": [own, {**own, "way": "PCA, at the median"}],
        "differences": {"PCA, at the median": {"mean": (low + high) / 2, "low": low, "high": high}},
    }
    text = features_text.verdict(result).lower()
    assert said in text
    assert "ba ≥ 0.82 (fails)" in text
    assert "8 attributes reached (holds)" in text


def test_pixels_of_splits_are_scaled_and_features_kept(photographs):
    large = td.load(
        np.repeat(np.repeat(photographs.images[:30], 16, 1), 16, 2),
        labels=[photographs.classes[c] for c in photographs.labels[:30]],
        features=photographs.features[:30],
    )
    small = featuresplits.smaller(large)
    assert small.images.shape[1:3] == (64, 64)
    assert np.array_equal(small.features, large.features)
    assert np.array_equal(small.labels, large.labels)
    assert featuresplits.smaller(photographs) is photographs


@pytest.mark.parametrize(("high", "said"), [(0.5, "1 of 1 hold"), (0.75, "0 of 1 hold")])
def test_a_split_of_features_is_judged(high, said, tmp_path):
    broken = {"mean": 0.4, "low": 0.3, "high": high}
    usual = {"mean": 0.8, "low": 0.7, "high": 0.9}
    row = {
        "target": "label:0",
        "task": "task_000",
        "accuracy": {"adversarial": broken, "random": usual},
        "transfer": {"convnet": {"adversarial": broken, "random": usual}},
    }
    result = {"data": "bar", "trained": "ridge", "runs": 3, "rows": [row]}
    assert said in featuresplits.tell([result], tmp_path)


def test_splits_along_tasks_of_features_are_made_once_and_told(photographs, tmp_path, monkeypatch):
    from experiments.laboratory import Laboratory

    monkeypatch.setattr(td, "embed", lambda data, **_: photographs)
    monkeypatch.setattr(featuresplits, "TASKS", 4)
    monkeypatch.setattr(featuresplits, "PIXELS", "linear")
    lab = Laboratory(dataset=photographs, work=tmp_path / "work", threads=1)
    first = featuresplits.run(lab, "linear")
    assert [row["target"] for row in first["rows"]] == list(featuresplits.TARGETS["bar"])
    assert {"adversarial", "random", "within"} <= set(first["rows"][0]["accuracy"])
    monkeypatch.setattr(td, "split", lambda *_, **__: pytest.fail("split again"))
    assert featuresplits.run(lab, "linear") == first
    text = featuresplits.tell([json.loads(json.dumps(first))], tmp_path)
    assert f"{first['rows'][0]['accuracy']['adversarial']['mean']:.3f}" in text
