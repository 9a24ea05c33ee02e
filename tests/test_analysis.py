"""Evidence: planted causes are named first, chance is not, and probes flip what they should."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

import taskdiscovery as td
from taskdiscovery import data
from taskdiscovery.analysis import measures
from taskdiscovery.analysis.associations import RATE, Factor, associate, factor_table
from taskdiscovery.analysis.flips import flips
from taskdiscovery.analysis.joint import Images, joint_models
from taskdiscovery.analysis.probes import PROBES, equal_noise
from taskdiscovery.analysis.verdict import about, main_property, verdict
from taskdiscovery.analysis.wording import name_of
from taskdiscovery.cli import main
from taskdiscovery.config import AnalyzeConfig, from_mapping
from taskdiscovery.data.readers import shapes
from taskdiscovery.data.statistics import NAMES, image_statistics
from taskdiscovery.errors import ConfigError, RunDirError


@pytest.mark.parametrize("shortcut", ["background_hue", "position", "texture", "size"])
def test_a_planted_shortcut_is_named_first(shortcut):
    dataset = shapes.draw(1500, size=16, shortcut=shortcut, strength=0.95)
    rows = np.arange(500, 1500)
    factors = factor_table(dataset, rows)
    factors.pop("label")
    factors.pop("shape")  # the label itself
    found = associate({"label": dataset.labels[rows]}, factors, classes={"label": dataset.classes})
    assert main_property(found)["factor"] == shortcut
    assert verdict(found, pd.DataFrame()).split()[0] in ("follows", "leans")
    assert (found["low"] <= found["effect"]).all()
    assert (found["effect"] <= found["high"]).all()
    # what was not planted is not claimed
    others = found[(found["source"] == "attribute") & (found["factor"] != shortcut)]
    assert (others["effect"] < 0.2).all()


def as_factors(columns, known=None):
    """Text and bytes as levels, floats as numbers."""
    found = {}
    for name, values in columns.items():
        codes, levels = pd.factorize(values, sort=True)
        number = np.asarray(values).dtype.kind == "f"
        found[name] = Factor(
            source="statistic" if number else "attribute",
            values=np.asarray(values if number else codes, dtype=float),
            known=np.ones(len(values), dtype=bool) if known is None else known,
            levels=() if number else tuple(map(str, levels)),
            ordered=True,
        )
    return found


@pytest.mark.parametrize("grouped", [False, True])
def test_claims_stay_at_the_stated_rate_of_false_discoveries(grouped):
    """Two hundred drawings of levels and numbers, none of which has to do with the target.

    With groups, target and factors are those of thirty groups of twenty images.
    """
    rng = np.random.default_rng(0)
    N, G = 600, 30
    groups = np.arange(N) % G
    false = 0
    for _ in range(200):
        size = G if grouped else N
        target = np.r_[0, 1, rng.integers(0, 2, size - 2)]
        columns = {"number": rng.normal(size=size), "rare": rng.random(size) < 0.1}
        columns["place"] = rng.choice(["a", "b", "c", "d"], size=size)
        if grouped:
            target, columns = target[groups], {n: c[groups] for n, c in columns.items()}
        found = associate(
            {"target": target}, as_factors(columns), groups=groups.astype(str) if grouped else None
        )
        false += bool((found["q"] <= RATE).any())
    error = (RATE * (1 - RATE) / 200) ** 0.5
    assert false / 200 <= RATE + 2 * error
    if grouped:  # and without them nearly every drawing would be a discovery
        found = associate({"target": target}, as_factors(columns))
        assert (found["q"] <= RATE).any()


def test_real_effects_are_found_beside_the_chance_ones():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 1000)
    known = np.ones(1000, dtype=bool)
    known[::10] = False
    columns = {"real": np.where(rng.random(1000) < 0.8, labels, 1 - labels)}
    columns["chance"] = rng.integers(0, 5, 1000)
    factors = as_factors(columns, known)
    factors |= as_factors({"number": labels + rng.normal(size=1000)})
    found = associate({"t": labels}, factors).set_index(["factor", "kind"])
    assert found.loc[("real", "level"), "effect"] == pytest.approx(0.6, abs=0.08)
    assert found.loc[("real", "level"), "level"] == "1"
    assert found.loc[("real", "level"), ["missing", "images"]].tolist() == [100, 900]
    assert found.loc[("number", "number"), "effect"] == pytest.approx(0.52, abs=0.06)
    assert (found.loc["chance", "q"] > RATE).all()
    ends = found[["low", "effect", "high"]].to_numpy()
    assert (np.diff(ends, axis=1) >= 0).all()
    assert (ends >= 0).all()
    assert (ends <= 1).all()


@pytest.mark.parametrize("grouped", [False, True])
def test_intervals_cover_the_truth(grouped):
    """Intervals of known effects, over a hundred drawings; with groups, each image five times."""
    rng = np.random.default_rng(2)
    hits, times = {"c": 0, "n": 0, "rare": 0}, 5 if grouped else 1
    for _ in range(100):
        labels = rng.integers(0, 2, 800)
        columns = {
            "c": np.where(rng.random(800) < 0.75, labels, 1 - labels),
            "n": labels + rng.normal(size=800),
            "rare": (rng.random(800) < 0.01 + 0.1 * labels).astype(int),
        }
        found = associate(
            {"t": np.tile(labels, times)},
            as_factors({n: np.tile(c, times) for n, c in columns.items()}),
            groups=np.tile(np.arange(800), times).astype(str) if grouped else None,
        ).set_index("factor")
        for name, truth in {"c": 0.5, "n": 0.5205, "rare": 0.1}.items():
            hits[name] += found.loc[name, "low"] <= truth <= found.loc[name, "high"]
    assert all(89 <= count <= 100 for count in hits.values()), hits


def test_measures_are_those_of_the_textbook():
    rng = np.random.default_rng(0)
    for digits in (0, 1, 6):  # with many ties, some, none
        upper = rng.random(300) < 0.4
        values = np.round(rng.normal(size=300) + 0.5 * upper, digits)
        test = stats.mannwhitneyu(values[upper], values[~upper], use_continuity=False)
        found = measures.auc(values, upper)
        expected = test.statistic / (upper.sum() * (~upper).sum())
        assert found.value == pytest.approx(expected, abs=1e-12)
        assert found.value == pytest.approx(roc_auc_score(upper, values), abs=1e-12)
        assert measures.p_of_number(values, upper, None) == pytest.approx(test.pvalue, rel=0.02)
        assert found.influence_N.sum() == pytest.approx(0, abs=1e-12)
        # DeLong's variance, pair by pair
        wins = (values[upper][:, None] > values[~upper]) + 0.5 * (
            values[upper][:, None] == values[~upper]
        )
        variance = (
            wins.mean(1).var(ddof=1) / upper.sum() + wins.mean(0).var(ddof=1) / (~upper).sum()
        )
        assert (found.influence_N**2).sum() == pytest.approx(variance, rel=0.02)
    level = rng.random(300) < 0.3
    found = measures.level_auc(level, upper)
    assert found.value == pytest.approx(roc_auc_score(upper, level), abs=1e-12)
    assert measures.auc(level.astype(float), upper).influence_N == pytest.approx(found.influence_N)
    table = pd.crosstab(level, upper)
    assert measures.p_of_level(level, upper, None) == stats.fisher_exact(table).pvalue
    # one image a group is no groups, but for degrees of freedom
    own = measures.auc(values, upper, np.arange(300))
    free = measures.auc(values, upper)
    assert (own.value, own.low) == (free.value, pytest.approx(free.low, abs=2e-3))
    assert measures.wilson(0.3, 50) == pytest.approx(
        tuple(stats.binomtest(15, 50).proportion_ci(method="wilson"))[:2], abs=1e-5
    )


def test_hold_is_phi_over_its_greatest_value():
    rng = np.random.default_rng(0)
    for _ in range(50):
        level, side = rng.random((2, 200)) < rng.uniform(0.05, 0.95, (2, 1))
        phi = np.corrcoef(level, side)[0, 1]
        p, q = level.mean(), side.mean()
        signs = sorted(level, reverse=True), sorted(side, reverse=bool(phi > 0))
        limit = np.corrcoef(*map(np.asarray, signs))[0, 1]
        found = measures.hold(level, side)
        assert found.value == pytest.approx(phi / limit, abs=1e-9), (p, q)
        assert found.low <= found.value
        assert found.inside == (phi >= 0)
    # every pair of glasses on one side of a balanced task
    side, glasses = np.arange(1000) < 500, np.arange(1000) < 50
    assert measures.hold(glasses, side).value == pytest.approx(1)
    assert measures.hold(glasses, side).low > 0.85
    assert measures.level_auc(glasses, side).effect[0] == pytest.approx(0.1)


def test_a_grouping_of_levels_is_measured_on_other_images_and_told_from_equality():
    rng = np.random.default_rng(0)
    kinds = rng.integers(0, 10, 1000)
    columns = {"kind": np.array(list("abcdefghij"))[kinds]}
    columns["chance"] = rng.choice([f"l{i}" for i in range(29)], size=1000)
    labelings = {"half": (kinds < 5).astype(int), "same": kinds, "one": (kinds == 3).astype(int)}
    found = associate(labelings, as_factors(columns))
    line = {t: verdict(found[found["task"] == t], pd.DataFrame()) for t in labelings}
    words, rest = line["half"].split(": ")[1].split(" in ")
    assert line["half"].startswith("follows a grouping of kind: ")
    assert sorted(words.replace(" and ", ", ").split(", ")) == list("abcde")
    assert rest == "class 1 (AUC 1.00)"
    assert line["same"] == "follows kind, one to one (AUC 1.00)"
    assert line["one"] == "follows kind = d (AUC 1.00)"
    # 29 levels of chance fit any labeling on the images they are fitted to, and no others
    chance = found[(found["factor"] == "chance") & (found["kind"] == "grouping")]
    assert (chance["low"] < 0.1).all()
    assert (chance["q"] > RATE).all()


def test_a_number_that_counts_by_bands_is_found():
    rng = np.random.default_rng(0)
    values = rng.normal(size=1000)
    found = associate({"t": (abs(values) < 0.7).astype(int)}, as_factors({"x": values}))
    assert found["kind"].tolist() == ["bands"]
    assert found["effect"][0] > 0.9
    assert name_of(found.iloc[0]) == "x, in bands"
    found = associate({"t": (values > 0.3).astype(int)}, as_factors({"x": values}))
    assert found["kind"].tolist() == ["number"]
    assert name_of(found.iloc[0]) == "x"
    thirds = associate({"t": np.digitize(values, [-0.4, 0.4])}, as_factors({"x": values}))
    joint = thirds[thirds["side"] == ""].iloc[0]  # of three classes, by bands in any case
    assert name_of(joint) == "x"
    assert joint["effect"] > 0.9


def test_rows_without_a_value_are_left_out_and_counted():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (200, 8, 8, 3), dtype=np.uint8)
    table = pd.DataFrame({"age": rng.normal(size=200), "camera": ["a", "b"] * 100})
    table.loc[:49, "age"] = np.nan
    table.loc[:29, "camera"] = None
    table["name"] = [f"photo {i}" for i in range(200)]
    dataset = data.from_arrays(images, np.arange(200) % 2, attributes=table)
    found = associate({"t": np.arange(200) // 100}, factor_table(dataset, np.arange(200)))
    found = found.set_index("factor")
    assert found.loc["age", ["images", "missing"]].tolist() == [150, 50]
    assert found.loc["camera", ["images", "missing"]].tolist() == [170, 30]
    assert "name" not in found.index  # a name per image is no property
    assert found.loc["camera", "q"] > RATE


def test_levels_are_named_as_the_table_has_them():
    table = pd.DataFrame(
        {
            "male": [1, -1] * 30,
            "smiles": [True, False] * 30,
            "gaps": [1.0, 0.0, np.nan] * 20,
            "domain": ["photo", "sketch", "art"] * 20,
        }
    )
    images = np.random.default_rng(0).integers(0, 256, (60, 8, 8, 1), dtype=np.uint8)
    factors = factor_table(data.from_arrays(images, attributes=table), np.arange(60))
    assert factors["male"].levels == ("-1", "1")
    assert factors["gaps"].levels == ("0", "1")
    assert factors["domain"].levels == ("art", "photo", "sketch")
    assert "red" not in factors  # grey images have no colours
    found = associate({"t": np.arange(60) % 2}, factors)
    names = set(map(name_of, found.to_dict("records")))
    assert {"male = 1", "smiles = True", "gaps = 1", "domain = sketch", "brightness"} <= names
    assert not {"male = -1", "smiles = False"} & names  # they would say the same


# --- joint models --------------------------------------------------------------------------------


def joint_of(labels, columns, spare=0, **more):
    N = len(labels)
    images = Images(
        factors=as_factors(columns),
        measured=np.arange(N - spare),
        spare=np.arange(N - spare, N),
        **more,
    )
    return {model["inputs"]: model for model in joint_models("t", labels, images)}


@pytest.mark.parametrize("spare", [0, 600])
def test_what_no_single_property_tells_is_told_by_all_together(spare):
    rng = np.random.default_rng(0)
    x, a, b = rng.normal(size=(1200, 4)), *rng.integers(0, 2, (2, 1200))
    columns = {f"x{i}": x[:, i] for i in range(4)} | {"a": a, "b": b}
    labels = (x[:, 0] * x[:, 1] > 0).astype(int)
    found = joint_of(labels, columns, spare)
    assert found["statistics"]["auc"] > 0.95
    assert found["statistics"]["held_out"] == bool(spare)
    assert found["statistics"]["images"] == 1200 - spare
    assert abs(found["attributes"]["auc"] - 0.5) < 0.06
    rows = associate({"t": labels}, as_factors(columns))
    line = verdict(rows, pd.DataFrame(), list(found.values()))
    assert line.startswith("follows no single property, but the image statistics together predict")
    both = joint_of(a ^ b, columns, spare)
    assert both["attributes"]["auc"] > 0.99
    assert joint_of(x[:, 0].argsort().argsort() // 400, columns, spare)["statistics"]["auc"] > 0.95


def test_random_labels_are_predicted_by_nothing_and_the_verdict_says_so():
    rng = np.random.default_rng(0)
    claimed = 0
    for _ in range(8):
        columns = {f"x{i}": rng.normal(size=300) for i in range(6)}
        columns |= {f"a{i}": rng.integers(0, 2, 300) for i in range(6)}
        labels = rng.integers(0, 2, 300)
        rows = associate({"t": labels}, as_factors(columns))
        models = list(joint_of(labels, columns).values())
        line = verdict(rows, pd.DataFrame(), models)
        claimed += not line.startswith("follows no measured property (nearest: ")
    assert claimed == 0


def test_a_model_is_not_measured_on_groups_that_it_knows():
    """Numbers that tell the group, and labels of the group: other groups cannot be told."""
    rng = np.random.default_rng(0)
    groups, found = np.arange(400) % 40, []
    for _ in range(8):
        labels = rng.permutation(np.arange(40) % 2)[groups]
        x = rng.normal(size=(40, 5))[groups] + 0.01 * rng.normal(size=(400, 5))
        columns = {f"x{i}": x[:, i] for i in range(5)}
        assert joint_of(labels, columns)["statistics"]["auc"] > 0.95
        found.append(joint_of(labels, columns, groups=groups.astype(str))["statistics"])
    assert abs(np.mean([own["auc"] for own in found]) - 0.5) < 0.12
    assert sum(own["low"] > 0.5 for own in found) <= 1


# --- probes: tasks whose cause is known -----------------------------------------------------------


def stripes(n, period, rng):
    """Stripes that run across the whole image, in random colours."""
    x = np.arange(32)
    phase = rng.integers(0, 32, n)
    wave = 0.5 + 0.5 * np.sign(np.sin(2 * np.pi * (x[None] + phase[:, None]) / period))
    colour = rng.uniform(100, 255, (n, 1, 1, 3))
    return (wave[:, None, :, None] * colour * np.ones((1, 32, 1, 1))).astype(np.uint8)


@pytest.fixture(scope="module")
def pictures():
    rng = np.random.default_rng(0)
    return np.concatenate([stripes(200, 22, rng), rng.integers(0, 256, (200, 32, 32, 3))]).astype(
        np.uint8
    )


def is_red(images):
    mean = images.astype(float).mean(axis=(1, 2))
    return (mean[:, 0] > mean[:, 2]).astype(np.int64)[:, None]


def is_striped(images):
    """Columns that do not change from top to bottom."""
    grey = images.astype(float).mean(axis=3)
    return (grey.std(axis=1).mean(axis=1) < 0.4 * grey.std(axis=(1, 2))).astype(np.int64)[:, None]


def rates(images, label):
    return flips(images, ("t",), label).set_index("probe")["flips"]


def test_a_colour_task_flips_under_grey_and_not_under_shuffled_patches(pictures):
    found = rates(pictures, is_red)
    assert found["grey"] > 0.3
    assert found["hue_shift"] > 0.9
    assert found["patch_shuffle"] < 0.02


def test_a_texture_task_flips_under_shuffled_patches_and_not_under_grey(pictures):
    found = rates(pictures, is_striped)
    assert found["patch_shuffle"] > 0.3
    assert found["grey"] < 0.02
    assert found["hue_shift"] < 0.02


def test_probes_keep_shapes_and_types_and_leave_the_original(pictures):
    before = pictures.copy()
    for transform, _ in PROBES.values():
        after = transform(pictures)
        assert after.shape == pictures.shape
        assert after.dtype == np.uint8
        assert (after != pictures).any()
    assert (pictures == before).all()
    grey = pictures[..., :1]
    assert "grey" not in set(flips(grey, ("t",), lambda x: is_red(x.repeat(3, 3)))["probe"])


def test_labels_by_chance_show_what_they_would_give(pictures):
    def forgets(images):
        same = images.shape == pictures.shape and (images == pictures).all()
        half = np.arange(len(images)) % 2
        return (half if same else np.zeros(len(images), dtype=int))[:, None]

    found = flips(pictures, ("t",), forgets)
    assert found["flips"].tolist() == pytest.approx([0.5] * len(PROBES))
    assert found["reference"].tolist() == pytest.approx([0.5] * len(PROBES))
    assert found["by_chance"].tolist() == pytest.approx([0.5] * len(PROBES))
    assert ((found["low"] < 0.5) & (found["high"] > 0.5)).all()
    # no more than noise does: nothing of it is said
    assert (found["q"] > RATE).all()
    line = verdict(pd.DataFrame(), found)
    assert line.endswith("no probe tells it from noise of equal strength")


def test_noise_is_as_far_from_each_image_as_its_probe(pictures):
    def distance(x, y):
        return np.sqrt(((x.astype(float) - y) ** 2).mean(axis=(1, 2, 3)))

    for transform, _ in PROBES.values():
        changed = transform(pictures)
        noisy, strength = equal_noise(pictures, changed)
        aim = distance(changed, pictures)
        assert strength == pytest.approx(aim, rel=1e-4)
        reached = distance(noisy, pictures)
        assert np.median(abs(reached - aim)) < 0.5
        assert (abs(reached - aim) < 0.05 * aim + 1).mean() > 0.95
    same, strength = equal_noise(pictures, pictures)
    assert (same == pictures).all()
    assert not strength.any()


def test_probes_that_flip_every_task_tell_nothing_of_one(pictures):
    def tasks(images):
        """A high-pass filter takes the colour of all three; a turn of hues turns it."""
        mean = images.astype(float).mean(axis=(1, 2))
        pairs = ((0, 1), (1, 2), (0, 2))
        return np.stack([mean[:, i] > mean[:, j] for i, j in pairs], axis=1).astype(int)

    found = flips(pictures, ("a", "b", "c"), tasks)
    tells = found.groupby("probe")["tells"].all()
    assert not tells["high_pass"]
    assert not found.loc[found["probe"] == "high_pass", "tells"].any()
    assert tells["patch_shuffle"]
    own = found[found["task"] == "a"]
    assert "high-pass" not in verdict(pd.DataFrame(), own)
    assert "a turn of all hues" in verdict(pd.DataFrame(), own)
    alone = flips(pictures, ("a",), lambda x: tasks(x)[:, :1])
    assert alone["tells"].all()


def test_intervals_of_flips_are_those_of_groups(pictures):
    groups = np.repeat(np.arange(40), 10).astype(str)
    images = np.repeat(pictures[:40], 10, axis=0)
    free, own = (flips(images, ("t",), is_red, g).set_index("probe") for g in (None, groups))
    assert (own["flips"] == free["flips"]).all()
    wide = (own["high"] - own["low"]) / (free["high"] - free["low"])
    assert wide["grey"] == pytest.approx(10**0.5, rel=0.25)


# --- verdicts: every clause, where it holds and where it does not ---------------------------------


def row(**more):
    usual = {
        "task": "t", "side": "1", "rest": "0", "factor": "brightness", "level": "",
        "source": "statistic", "kind": "number", "auc": 0.95, "effect": 0.9, "low": 0.85,
        "high": 0.95, "share": np.nan,
        "side_rate": np.nan, "hold": np.nan, "hold_low": np.nan, "matching": np.nan, "count": 500,
        "q": 1e-9,
    }  # fmt: skip
    return usual | more


def level(**more):
    usual = {"factor": "glasses", "level": "1", "source": "attribute", "kind": "level"}
    usual |= {"auc": 0.55, "effect": 0.1, "low": 0.05, "high": 0.15, "share": 0.97}
    return row(**usual | {"side_rate": 0.5, "hold": 0.94, "hold_low": 0.8, "count": 60} | more)


def model(inputs="statistics", auc=0.83, low=0.8):
    return {"inputs": inputs, "auc": auc, "low": low, "high": auc + 0.03, "images": 500}


def said(*rows, joint=()):
    return "; ".join(about(pd.DataFrame(list(rows)), joint))


def test_follows_leans_and_neither():
    assert said(row()) == "follows brightness (AUC 0.95)"
    assert said(row(low=0.3)) == "leans on brightness (AUC 0.95)"
    none = "follows no measured property (nearest: brightness, AUC "
    assert said(row(effect=0.15, low=0.1)).startswith(none + "0.57")
    assert said(row(q=0.2)).startswith(none)  # strong, and chance all the same
    assert said(row(), row(factor="edges", effect=0.2, low=0.1)) == "follows brightness (AUC 0.95)"
    assert verdict(pd.DataFrame(), pd.DataFrame()) == "nothing is known to compare it with"


def test_a_named_property_goes_before_the_statistic_that_comes_of_it():
    domain = level(factor="domain", level="sketch", effect=0.8, low=0.75, auc=0.9)
    also = "; about as well brightness 0.95)"
    assert said(row(), domain) == f"follows domain = sketch (AUC 0.90{also}"
    weaker = domain | {"effect": 0.7, "low": 0.65, "hold_low": 0.4}
    assert said(row(), weaker) == "follows brightness (AUC 0.95)"
    assert said(row(source="attribute", factor="age"), weaker) == "follows age (AUC 0.95)"


def test_a_level_is_named_where_it_says_what_its_factor_does():
    whole = row(factor="domain", source="attribute", kind="grouping", matching=0.2)
    sketch = level(factor="domain", level="sketch", effect=0.85, low=0.8, auc=0.93)
    assert said(whole, sketch) == "follows domain = sketch (AUC 0.93)"
    part = level(factor="domain", level="sketch", effect=0.5, low=0.45, auc=0.75)
    other = part | {"level": "photo", "share": 0.9, "hold": 0.8}
    expected = "follows a grouping of domain: sketch and photo in class 1 (AUC 0.95)"
    assert said(whole, part, other) == expected
    assert said(whole | {"matching": 0.88}, part) == "follows domain, one to one (AUC 0.95)"


def test_a_level_that_lies_on_one_side_is_told_and_hides_nothing():
    held = "class 1 holds 97% of glasses = 1 (and 50% of all)"
    assert said(row(), level()) == f"follows brightness (AUC 0.95); {held}"
    assert said(row(effect=0.1, low=0.05), level()) == held
    for less in ({"hold_low": 0.4}, {"q": 0.2}, {"count": 5}, {"side_rate": 0.92}):
        assert "holds" not in said(row(), level(**less))
    away = level(auc=0.45, share=0.02)
    assert said(row(), away).endswith("class 0 holds 98% of glasses = 1 (and 50% of all)")
    named = {"side": "dog", "rest": "cat"}
    assert "; class cat holds 98%" in said(row(**named), level(**named, auc=0.45, share=0.02))
    assert "holds" not in said(row(), away | {"rest": ""})  # that one of many lacks it is no news


def test_properties_together_are_told_where_they_say_more():
    weak = row(effect=0.3, low=0.25, auc=0.65)
    lean = "leans on brightness (AUC 0.65)"
    together = "the image statistics together predict it (AUC 0.83)"
    assert said(weak, joint=[model()]) == f"{lean}; {together}"
    assert said(weak, joint=[model(auc=0.68, low=0.66)]) == lean
    none = row(effect=0.1, low=0.05)
    assert said(none, joint=[model()]) == f"follows no single property, but {together}"
    assert "no measured property" in said(none, joint=[model(auc=0.58, low=0.56)])
    few = "500 images are too few to tell what it follows (nearest: brightness, AUC 0.55"
    assert said(none, joint=[model(auc=0.7, low=0.5)]).startswith(few)
    every = model("everything", auc=0.84)  # no better than the statistics alone
    assert said(none, joint=[model(), every]).endswith(together)
    every = model("everything", auc=0.9)
    assert said(none, joint=[model(), every]).endswith(
        "all properties together predict it (AUC 0.90)"
    )


def test_the_label_of_two_classes_is_the_human_label():
    own = level(factor="label", source="label", level="dog", effect=0.9, low=0.8, auc=0.95)
    assert said(own | {"matching": 0.9}) == "follows the human label (dog) (AUC 0.95)"
    assert said(own) == "follows label = dog (AUC 0.95)"


def probe(**more):
    usual = {"probe": "grey", "flips": 0.4, "low": 0.35, "high": 0.45, "reference": 0.1}
    usual |= {"difference": 0.3, "difference_low": 0.25, "difference_high": 0.35, "q": 1e-9}
    return usual | {"tells": True} | more


def probed(*rows):
    return verdict(pd.DataFrame(), pd.DataFrame(list(rows))).split("; ", 1)[1]


def test_probes_are_told_beside_noise_of_equal_strength():
    nothing = "no probe tells it from noise of equal strength"
    assert probed(probe()) == "flips under grey (40%; equal noise 10%)"
    for less in ({"q": 0.2}, {"tells": False}, {"low": 0.15}, {"difference_low": 0.01}):
        assert probed(probe(**less)) == nothing
    blur = probe(probe="blur", flips=0.02, low=0.01, high=0.04, reference=0.2)
    blur |= {"difference": -0.18, "difference_low": -0.2, "difference_high": -0.15}
    assert probed(blur) == "survives blur (2%; equal noise 20%)"
    for less in ({"q": 0.2}, {"high": 0.15}, {"difference_high": 0.01}):
        assert probed(blur | less) == nothing
    assert probed(probe(), blur) == (
        "survives blur (2%; equal noise 20%); flips under grey (40%; equal noise 10%)"
    )


def test_image_statistics_of_known_images():
    ramp = np.tile(np.arange(0, 256, 8, dtype=np.uint8), (32, 1))
    flat = np.full((32, 32), 128, dtype=np.uint8)
    noise = np.random.default_rng(0).integers(0, 256, (32, 32), dtype=np.uint8)
    frame = image_statistics(np.stack([ramp, flat, noise])[..., None])
    assert frame.columns.tolist() == list(NAMES)
    assert np.isfinite(frame.to_numpy()).all()
    assert frame["edges"].tolist()[:2] == [0.0, 0.0]
    assert frame["edges"][2] > 0.8
    assert frame["sharpness"][1] == 0.0
    assert frame["slope"][0] < frame["slope"][2] - 1  # noise has a flat spectrum
    framed = flat.copy()
    framed[8:24, 8:24] = 0
    assert image_statistics(framed[None, ..., None])["border"][0] == pytest.approx(0.502, abs=0.01)


# --- the job -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    place = tmp_path_factory.mktemp("analysis") / "run"
    options = {"learner": "convnet?width=0.25", "threads": 1, "batch": 64, "tasks": 3}
    method = td.Power(iterations=2)
    td.discover("shapes?n=800&size=16", out=place, epochs=6, method=method, **options)
    return place


def test_analyze_adds_its_evidence_to_the_run(run, capfd):
    assert main(["analyze", str(run), "--format", "json", "--threads", "1", "--quiet"]) == 0
    rows = json.loads(capfd.readouterr().out)
    assert [row["task"] for row in rows] == ["task_000", "task_001", "task_002"]
    result = json.loads((run / "result.json").read_text())["analysis"]
    assert result["images"] == 80
    assert [task["verdict"] for task in result["tasks"]] == [row["verdict"] for row in rows]
    assert set(result["tasks"][0]["probes"]) == set(PROBES)
    inputs = [model["inputs"] for model in result["tasks"][0]["joint"]]
    assert inputs == ["statistics", "attributes", "label", "everything"]
    assert result["tasks"][0]["attributes"][0]["source"] != "statistic"
    assert result["tasks"][0]["statistics"][0]["source"] == "statistic"
    assert 0 <= result["coverage"]["low"] <= result["coverage"]["accuracy"] <= 1
    measured = pd.read_parquet(run / "associations.parquet")
    assert set(measured["task"]) == {"task_000", "task_001", "task_002", "label"}
    assert not (measured["factor"] == measured["task"]).any()
    assert main(["verify", str(run)]) == 0


def test_analyze_measures_unseen_images_only(run, monkeypatch):
    from taskdiscovery.analysis import evidence

    seen = []
    real = evidence.factor_table
    monkeypatch.setattr(
        evidence, "factor_table", lambda dataset, rows: seen.append(rows) or real(dataset, rows)
    )
    td.analyze(None, run, threads=1, out=run)
    tasks = pd.read_parquet(run / "tasks.parquet")
    partition = tasks["partition"].to_numpy()[seen[0]]
    assert (partition[:80] == "test").all()  # and the others are what joint models are fitted on
    assert (partition[80:] == "train").all()


def test_groups_count_and_few_of_them_warn(run):
    from dataclasses import replace

    dataset = td.load("shapes?n=800&size=16")
    found = td.open_run(run).tasks
    # Those that discovery has seen are other groups: of these alone nothing would be left.
    groups = np.char.add(np.where(found.seen_N, "seen ", ""), (np.arange(800) % 10).astype(str))
    few = replace(dataset, groups=groups)
    options = {"threads": 1, "probe_images": 10, "callbacks": ()}
    assert "10 groups" in td.analyze(few, found, **options).notes[0]
    assert td.analyze(dataset, found, **options).notes == ()


def test_mistakes_of_analyze(run, tmp_path):
    with pytest.raises(RunDirError, match="not a run directory"):
        td.analyze(None, tmp_path, out=tmp_path)
    with pytest.raises(RunDirError, match="not a run directory"):
        td.analyze(None, tmp_path)
    with pytest.raises(ConfigError, match="unknown key 'imags'"):
        from_mapping(AnalyzeConfig, {"imags": 3}, "analyze")
    with pytest.raises(TypeError, match="'imags'"):
        td.analyze(None, run, imags=3)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A tiny CLIP with random weights and a tokenizer of bytes, as `save_pretrained` writes it."""
    transformers = pytest.importorskip("transformers")
    import torch

    torch.manual_seed(0)
    place = tmp_path_factory.mktemp("clip")
    letters = [chr(c) for c in range(97, 123)] + ["-"]
    words = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{c}</w>" for c in letters)]
    (place / "vocab.json").write_text(json.dumps({w: i for i, w in enumerate(words)}))
    (place / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = transformers.CLIPTokenizer(str(place / "vocab.json"), str(place / "merges.txt"))
    tokenizer.save_pretrained(place)
    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    small |= {"num_attention_heads": 2, "projection_dim": 8}
    config = transformers.CLIPConfig(
        text_config={**small, "vocab_size": len(words), "eos_token_id": 1, "bos_token_id": 0},
        vision_config={**small, "image_size": 16, "patch_size": 8},
        projection_dim=8,
    )
    transformers.CLIPModel(config).save_pretrained(place)
    return place


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_words_of_a_model_on_disk(run, clip):
    found = td.analyze(None, run, text_model=str(clip), threads=1, out=run)
    for task in ("task_000", "task_001", "task_002"):
        for side in ("class_0", "class_1"):
            leans = [entry["lean"] for entry in found.words[task][side]]
            assert len(leans) == 5
            assert leans == sorted(leans, reverse=True)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_model_on_disk_may_name_tasks(run, clip, tmp_path):
    """Its weights are those of chance: what counts is that it can be asked, for every word."""
    from taskdiscovery.analysis.naming import namer_of
    from taskdiscovery.runtime.callbacks import Callbacks

    data = td.load("shapes?n=40&size=16")
    namer = namer_of(str(clip))
    scores = namer.scores(data, np.arange(7), Callbacks())
    assert scores.shape == (7, len(namer.vocabulary.words))
    assert np.isfinite(scores).all()
    assert len(np.unique(scores[:, 0])) > 1
    found = td.analyze(None, run, names=str(clip), threads=1, out=run)
    assert found.namer == td.open_run(run).evidence.namer == "a CLIP model"
    with pytest.raises(ConfigError, match="no such model"):
        td.analyze(None, run, names=str(tmp_path / "no"), threads=1, out=run)


def test_a_text_model_that_is_not_there(run, tmp_path):
    pytest.importorskip("transformers")
    with pytest.raises(ConfigError, match="no such model"):
        td.analyze(None, run, text_model=str(tmp_path / "no"), threads=1, out=run)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ConfigError, match="cannot be read"):
        td.analyze(None, run, text_model=str(tmp_path), threads=1, out=run)


def test_levels_that_differ_late_or_cannot_be_compared_keep_their_names():
    """Also where the sides of a split are described, which asks the same."""
    from taskdiscovery.analysis.properties import attribute_factor

    days = attribute_factor(pd.Series([20231127.0, 20231128.0, 0.5, np.nan]))
    assert days is not None
    assert set(days.levels) == {"0.5", "20231127", "20231128"}
    mixed = attribute_factor(pd.Series(["a", 1, ("b",), "a"], dtype=object))
    assert mixed is not None
    assert set(mixed.levels) == {"a", "1", "('b',)"}
