"""Evidence: planted causes are named first, chance is not, and probes flip what they should."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import taskdiscovery as td
from taskdiscovery import data
from taskdiscovery.analysis import associations
from taskdiscovery.analysis.associations import RATE, Factor, associate, factor_table
from taskdiscovery.analysis.probes import PROBES, flips
from taskdiscovery.analysis.verdict import verdict
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
    found = associate({"label": dataset.labels[rows]}, factors)
    assert found.iloc[0]["factor"] == shortcut
    assert verdict(found, pd.DataFrame()).startswith(f"follows {shortcut} (V ")
    assert found.iloc[0]["low"] <= found.iloc[0]["effect"] <= found.iloc[0]["high"]
    # what was not planted is not claimed
    others = found[(found["source"] == "attribute") & (found["factor"] != shortcut)]
    assert (others["effect"] < 0.2).all()


def test_claims_stay_at_the_stated_rate_of_false_discoveries():
    """Two hundred permutations of the factors, none of which has to do with the target."""
    dataset = shapes.draw(600, size=8)
    rng = np.random.default_rng(0)
    names = [name for name in shapes.FACTORS if name != "shape"]
    columns = {name: pd.factorize(dataset.attributes[name])[0].astype(float) for name in names}
    columns["number"] = rng.normal(size=600)
    false = 0
    for _ in range(200):
        order = rng.permutation(600)
        factors = {
            name: Factor(
                source="attribute",
                values=values[order],
                known=np.ones(600, dtype=bool),
                categories=0 if name == "number" else int(values.max()) + 1,
            )
            for name, values in columns.items()
        }
        found = associate({"target": dataset.labels}, factors, draws=1)
        false += bool((found["q"] <= RATE).any())
    error = (RATE * (1 - RATE) / 200) ** 0.5
    assert false / 200 <= RATE + 2 * error


def test_real_effects_are_found_beside_the_chance_ones():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 1000)
    real = np.where(rng.random(1000) < 0.8, labels, 1 - labels).astype(float)
    number = labels + rng.normal(size=1000)
    known = np.ones(1000, dtype=bool)
    known[::10] = False
    factors = {
        "real": Factor(source="attribute", values=real, known=known, categories=2),
        "number": Factor(source="statistic", values=number, known=~known | known, categories=0),
        "chance": Factor(
            source="attribute",
            values=rng.integers(0, 5, 1000).astype(float),
            known=known,
            categories=5,
        ),
    }
    found = associate({"t": labels}, factors).set_index("factor")
    assert found.loc["real", "effect"] == pytest.approx(0.6, abs=0.08)
    assert found.loc["real", "missing"] == 100
    assert found.loc["real", "images"] == 900
    assert found.loc["number", "measure"] == "rank-biserial"
    assert found.loc["number", "effect"] == pytest.approx(0.52, abs=0.06)
    assert found.loc["chance", "q"] > RATE
    for name in found.index:
        assert (
            0 <= found.loc[name, "low"] <= found.loc[name, "effect"] <= found.loc[name, "high"] <= 1
        )


def test_intervals_cover_the_truth():
    """The interval of a known effect, over fifty drawings of the data."""
    hits = {"V": 0, "rank-biserial": 0}
    rng = np.random.default_rng(2)
    for seed in range(50):
        labels = rng.integers(0, 2, 800)
        category = np.where(rng.random(800) < 0.75, labels, 1 - labels).astype(float)
        number = labels * 1.0 + rng.normal(size=800)
        known = np.ones(800, dtype=bool)
        factors = {
            "c": Factor(source="attribute", values=category, known=known, categories=2),
            "n": Factor(source="statistic", values=number, known=known, categories=0),
        }
        found = associate({"t": labels}, factors, seed=seed)
        for row in found.to_dict("records"):
            truth = 0.5 if row["measure"] == "V" else 0.5205  # 2 Phi(1/sqrt 2) - 1
            hits[row["measure"]] += row["low"] <= truth <= row["high"]
    assert all(44 <= count <= 50 for count in hits.values()), hits


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


def test_a_constant_label_shows_what_it_would_give(pictures):
    def forgets(images):
        same = images.shape == pictures.shape and (images == pictures).all()
        half = np.arange(len(images)) % 2
        return (half if same else np.zeros(len(images), dtype=int))[:, None]

    found = flips(pictures, ("t",), forgets)
    assert found["flips"].tolist() == pytest.approx([0.5] * len(PROBES))
    assert found["constant"].tolist() == pytest.approx([0.5] * len(PROBES))
    assert ((found["low"] < 0.5) & (found["high"] > 0.5)).all()


def test_a_verdict_says_no_more_than_the_numbers():
    columns = ["factor", "source", "measure", "effect", "low", "high", "q"]
    weak = pd.DataFrame(
        [["red", "statistic", "rank-biserial", 0.15, 0.1, 0.2, 1e-6]], columns=columns
    )
    assert verdict(weak, pd.DataFrame()).startswith("follows no measured property")
    chance = pd.DataFrame([["hue", "attribute", "V", 0.4, 0.3, 0.5, 0.2]], columns=columns)
    assert verdict(chance, pd.DataFrame()).startswith("follows no measured property")
    sure = pd.DataFrame(
        [
            ["red", "statistic", "rank-biserial", 0.93, 0.91, 0.95, 0.0],
            ["hue", "attribute", "V", 0.92, 0.9, 0.94, 0.0],
        ],
        columns=columns,
    )
    probes = pd.DataFrame(
        [["blur", 0.02, 0.01, 0.04, 0.5], ["grey", 0.38, 0.35, 0.41, 0.5]],
        columns=["probe", "flips", "low", "high", "constant"],
    )
    assert verdict(sure, probes) == (
        "follows hue (V 0.92); survives blur; flips under grey in 38% of images"
    )
    assert verdict(pd.DataFrame(), probes[:0]) == "nothing is known to compare it with"


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
    assert (tasks["partition"].to_numpy()[seen[0]] == "test").all()


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


def test_effects_of_counts_are_those_of_the_textbook():
    rng = np.random.default_rng(0)
    for digits in (0, 1, 6):  # with many ties, some, none
        upper = rng.random(300) < 0.4
        values = np.round(rng.normal(size=300) + 0.5 * upper, digits)
        _, places = np.unique(values, return_inverse=True)
        found = associations._rank_biserial(
            np.bincount(2 * places + upper, minlength=2 * (places.max() + 1))
        )
        u = stats.mannwhitneyu(values[upper], values[~upper]).statistic
        expected = abs(2 * u / (upper.sum() * (~upper).sum()) - 1)
        assert found == pytest.approx(expected, abs=1e-12)
    tables = rng.multinomial(60, [0.3, 0.2, 0.1, 0.2, 0.1, 0.1], size=5).reshape(5, 2, 3)
    tables[0, :, 1] = 0, 0
    tables[0, 0, 0] += 60 - tables[0].sum()
    used = [tables[0][:, [0, 2]], *tables[1:]]
    expected = [stats.contingency.association(t, method="cramer") for t in used]
    np.testing.assert_allclose(associations._cramer(tables), expected, atol=1e-12)
    one_line = np.array([[[30, 30], [0, 0]]])
    assert associations._cramer(one_line) == 0
