"""The studies of input and noise, of variants of the meta-gradient, and of Tiny-ImageNet."""

from dataclasses import replace

import numpy as np
import pytest
from experiments import records, repeated, side_by_side
from experiments.laboratory import Laboratory
from experiments.studies import noise, sizes, tiny, variants
from experiments.study import SIZES, Size


@pytest.fixture
def lab(digits, tmp_path, monkeypatch):
    monkeypatch.setattr(records, "RESULTS", tmp_path / "results")
    return Laboratory(dataset=digits, work=tmp_path / "work", threads=1)


def _scored(condition, kind, task, agreement, accuracy=0.7):
    means = {"agreement": agreement, "kappa": 0.5, "accuracy": accuracy}
    return {"condition": condition, "kind": kind, "task": f"{kind} {task}", **means}


def _noise(**moved):
    """A result of two labelings a kind, that conditions move by so much."""
    rows = []
    for name in noise.CONDITIONS:
        for kind, base in (("human", 0.8), ("random", 0.6), ("power", 0.9)):
            by = moved.get(f"{name}_{kind}", moved.get(name, 0.0))
            rows += [_scored(name, kind, i, base + by + 0.01 * i) for i in range(2)]
    return {"learner": "mlp", "rows": rows}


def test_lightness_has_no_colour_and_other_scores(lab):
    colour = np.random.default_rng(0).integers(0, 256, (4, 2, 2, 3), dtype=np.uint8)
    grey = noise._luma(colour)
    assert grey.shape == colour.shape
    assert (grey == grey[..., :1]).all()
    assert grey[0, 0, 0, 0] == round(float(colour[0, 0, 0] @ np.array([0.299, 0.587, 0.114])))
    other = noise.lightness(lab.dataset)
    assert other.fingerprint != lab.dataset.fingerprint
    assert (other.ids == lab.dataset.ids).all()


@pytest.mark.slow
def test_noise_scores_every_labeling_under_every_condition(lab, monkeypatch, tmp_path):
    small = {"SEEDS": (0, 1), "HUMAN": 1, "RANDOM": 1, "POWER": 1, "TASKS": 2, "IMAGES": 100}
    for name, value in small.items():
        monkeypatch.setattr(noise, name, value)
    kept = {k: noise.CONDITIONS[k] for k in ("base", "data", "flip")}
    monkeypatch.setattr(noise, "CONDITIONS", kept)
    result = noise.run(lab, "linear")
    assert len(result["rows"]) == 3 * 3
    assert all(len(row["by_seed"]) == 2 for row in result["rows"])
    base = [row["agreement"] for row in result["rows"] if row["condition"] == "base"]
    flip = [row["agreement"] for row in result["rows"] if row["condition"] == "flip"]
    assert base != flip


def test_noise_tells_what_was_claimed_and_what_came_out(tmp_path):
    as_claimed = _noise(lightness_power=-0.05, order=0.03, data=-0.05, crop_human=0.02)
    words = [verdict.word for verdict in noise.judge([as_claimed])]
    assert words == ["holds"] * len(noise.CLAIMS)
    other = _noise(lightness_human=-0.05, data_random=0.3)
    assert [v.word for v in noise.judge([other])] == ["does not"] * len(noise.CLAIMS)
    assert {v.word for v in noise.judge([as_claimed, other])} == {"differs"}
    text = noise.tell([as_claimed], tmp_path)
    assert "| lightness alone | 0.805 / 0.700 |" in text
    assert "-0.050 [-0.050, -0.050]" in text
    assert (
        "on tasks of `power` it goes up with other order alone and down with lightness alone"
        in text
    )
    assert "Identical batches" not in text
    assert "lose" not in text
    assert "19.5% with other images alone (disjoint), 14.5%" in text
    assert (tmp_path / "noise.svg").exists()


def test_noise_says_what_identical_batches_do_and_what_augmentation_costs(tmp_path):
    result = _noise(init=0.05)
    for row in result["rows"]:
        if (row["condition"], row["kind"]) == ("flip", "power"):
            row["accuracy"] -= 0.1
    text = noise.tell([result], tmp_path)
    assert "change AS on human tasks by +0.050 [+0.050, +0.050]" in text
    assert "lose 0.100 of accuracy with flips" in text


def test_a_labeling_has_one_row_for_all_its_seeds():
    def score(agreement):
        own = {"task": "human 0", "kind": "human", "kappa": 0.5, "accuracy": 0.7}
        return [{**own, "agreement": agreement, "precision": "float32", "seconds": 1.0}]

    (row,) = repeated.over_seeds([score(0.7), score(0.8), score(0.9)])
    assert (row["agreement"], row["by_seed"], row["seconds"]) == (0.8, [0.7, 0.8, 0.9], 3.0)


def test_kinds_are_compared_seed_by_seed():
    rows = [
        {"kind": "power", "by_seed": [0.9, 0.8]},
        {"kind": "power", "by_seed": [0.8, 0.9]},
        {"kind": "human", "by_seed": [0.6, 0.7]},
    ]
    own = repeated.over_kinds(rows, "power", "human")
    assert own["mean"] == pytest.approx(0.2)
    assert own["units"] == 2


def _variants(**of):
    """A result in which variants have so much AS; seeds differ a little."""
    rows = []
    for name, variant in variants.VARIANTS.items():
        for seed in variants.SEEDS:
            agreement = of.get(name.replace("-", "_"), 0.9) + 0.001 * seed
            row = {"variant": name, "seed": seed, "agreement": agreement, "kappa": agreement}
            row |= {"similarity": {"mean": of.get(f"alike_{name}", 0.51), "max": 0.6}}
            steps = 10 if variant.timed else None
            rows.append({**row, "outer_steps": steps, "processor_seconds": 60.0})
    about = {"learner": "mlp?width=0.25", "tasks": 8, "budget": 60.0, "seeds": [0, 1, 2]}
    return {**about, "rows": rows}


@pytest.fixture
def small_search(monkeypatch):
    small = {"SEEDS": (0,), "TASKS": 2, "SCORED": 2, "SEARCHED": 100, "IMAGES": 100, "TIMED": 2}
    for name, value in {**small, "SECONDS": 0.1}.items():
        monkeypatch.setattr(variants, name, value)
    monkeypatch.setattr(variants, "INNER", {"inner_steps": 1, "inner_batch": 16})


def test_a_variant_takes_as_many_steps_as_its_time_affords(lab, small_search):
    part = variants.Part(learner="linear", name="first-order", seed=0)
    row = variants.part_of(lab, part)
    assert row["outer_steps"] >= 1
    assert len(row["agreements"]) == 2
    again = variants.part_of(lab, part)
    assert again == row  # nothing is measured again
    untrained = variants.part_of(lab, variants.Part(learner="linear", name="untrained", seed=0))
    assert untrained["outer_steps"] == 0


@pytest.mark.slow
def test_parts_side_by_side_are_those_of_one_process(lab, small_search):
    both = [variants.Part(learner="linear", name=n, seed=0) for n in ("spectral", "untrained")]
    alone = [_scores_alone(lab, part) for part in both]
    beside = side_by_side.parts(_scores_alone, replace(lab, threads=2), both)
    assert [row["agreement"] for row in beside] == [row["agreement"] for row in alone]


def _scores_alone(lab, part):
    """Scores two human labelings, whatever the part."""
    name = f"{part.name} {lab.threads}"
    return lab.scores(name, lab.human(2), learner="linear", train_images=100, preset="smoke")[0]


def test_variants_say_which_matter_and_which_do_not(tmp_path):
    result = _variants(
        online=0.93,
        first_order=0.88,
        untrained=0.85,
        uniformity=0.885,
        power=0.9,
        alike_information=0.55,
    )
    assert variants.verdicts(result)["better"] == ["objective: online"]
    assert variants.verdicts(result)["worse"] == ["gradient: first-order"]
    assert [v.word for v in variants.judge([result])] == [
        *("holds", "holds", "holds", "holds", "does not", "holds")
    ]
    text = variants.tell([result], tmp_path)
    assert "by an interval that excludes 0: objective: online." in text
    assert "the untrained encoder +0.050 [+0.050, +0.050]" in text
    assert (tmp_path / "variants.svg").exists()


def _tiny(**of):
    kinds = {"human": 0.6, "random": 0.55, "power": 0.9, "spectral": 0.85, "kway": 0.8}
    rows = []
    for kind in tiny.KINDS:
        value = of.get(kind, kinds.get(kind, 0.3))
        by_seed = [value, value + 0.01, value - 0.01]
        row = {"kind": kind, "agreement": value, "kappa": 2 * value - 1, "accuracy": value}
        rows += [{**row, "by_seed": by_seed, "task": f"{kind} {i}"} for i in range(2)]
    found = [{"seed": 0, "similarity": {"mean": 0.51}}]
    about = {"images": 12_000, "size": 64, "seeds": [0, 1, 2], "found": found}
    return {**about, "learner": "mlp", "rows": rows}


def test_tiny_imagenet_is_told_by_kind(tmp_path):
    assert [v.word for v in tiny.judge([_tiny()])] == ["holds"] * len(tiny.CLAIMS)
    other = _tiny(human=0.9, spectral=0.9, kway=0.6)
    assert [v.word for v in tiny.judge([other])] == ["does not"] * len(tiny.CLAIMS)
    text = tiny.tell([_tiny()], tmp_path)
    assert "AS of `power` is +0.300 [+0.300, +0.300] beside human tasks" in text


@pytest.mark.slow
def test_tiny_imagenet_scores_published_sides(lab, monkeypatch, tmp_path):
    np.save(tmp_path / tiny.FILE, np.array([[0, 1, 2, 3, 4], [5, 0, 7, 2, 9]]))
    small = {"CLASSES": 10, "SEEDS": (0,), "TASKS": 3, "KWAY": 2, "POWER": 1, "SPECTRAL": 1}
    for name, value in {**small, "KWAY_SCORED": 1}.items():
        monkeypatch.setattr(tiny, name, value)
    with pytest.raises(ValueError, match="--published"):
        tiny.run(lab, "linear")
    lab = replace(lab, published=tmp_path)
    first = tiny.human(lab)[0]
    assert (first.labels_N == (lab.dataset.labels < 5)).all()
    rows = tiny.run(lab, "linear")["rows"]
    assert [row["kind"] for row in rows] == ["human", *tiny.KINDS]
    monkeypatch.setattr(tiny, "CLASSES", 200)
    with pytest.raises(ValueError, match="200 classes"):
        tiny.human(lab)


def _sizes(learner, random, seeds):
    rows = []
    for equal in sizes.EQUAL:
        for n, images in enumerate((1000, 27_000)):
            for kind in ("human", "random", "power"):
                agreement = 0.8 + (random * n if kind == "random" else 0.0)
                row = {"equal": equal, "train_images": images, "kind": kind, "task": f"{kind} 0"}
                by_seed = {"by_seed": [agreement] * seeds} if seeds > 1 else {}
                rows.append({**row, "agreement": agreement, "accuracy": 0.6 + 0.1 * n, **by_seed})
    return {"learner": learner, "rows": rows, **({"seeds": [0, 1, 2]} if seeds > 1 else {})}


def test_sizes_are_told_for_learners_of_one_and_of_several_seeds(tmp_path):
    both = [_sizes("mlp", -0.2, 1), _sizes("convnet", -0.01, 3)]
    text = sizes.tell(both, tmp_path)
    assert "give more agreement (`mlp`)" in text
    assert "random -0.200 and +0.100" in text
    assert "random -0.010 [-0.010, -0.010] and +0.100" in text
    assert [v.word for v in sizes.judge(both)] == ["differs", "holds"]


@pytest.mark.slow
def test_sizes_scores_every_size_from_every_seed(lab, monkeypatch):
    monkeypatch.setattr(sizes, "IMAGES", (50, 100))
    monkeypatch.setattr(sizes, "MIDDLE", 100)
    monkeypatch.setattr(sizes, "SEEDS", (0, 1))
    monkeypatch.setattr(sizes, "BATCH", 50)
    monkeypatch.setattr(sizes, "EPOCHS", 1)
    monkeypatch.setitem(SIZES, "linear", Size(human=2, random=1, tasks=2, scored=2))
    rows = sizes.run(lab, "linear")["rows"]
    assert len(rows) == 2 * 2 * 5
    assert all(len(row["by_seed"]) == 2 for row in rows)
