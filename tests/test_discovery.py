"""Discovery: the encoder is the task; nothing outside `train` is looked at; noise is dropped."""

import json
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from taskdiscovery import data
from taskdiscovery.config import learner_of
from taskdiscovery.data.readers import shapes
from taskdiscovery.discovery import DiscoverConfig, Power, Spectral, iteration, search, subspace
from taskdiscovery.discovery.constraints import Constraints
from taskdiscovery.discovery.problem import Problem
from taskdiscovery.discovery.targets import soft_targets
from taskdiscovery.encoders.encoder import Encoder
from taskdiscovery.encoders.labelling import balance, classify
from taskdiscovery.errors import ConfigError, DataError, NumericalError, RunDirError
from taskdiscovery.executors import workbench
from taskdiscovery.runtime.callbacks import Callbacks
from taskdiscovery.runtime.progress import Silent
from taskdiscovery.runtime.seeds import generator
from taskdiscovery.store import Run
from taskdiscovery.store.journal import Journal
from taskdiscovery.types import Dataset

QUICK = DiscoverConfig(
    method=Power(iterations=3),
    tasks=3,
    learner="convnet?width=0.5",
    epochs=8,
    encoder_epochs=8,
    batch=64,
    threads=1,
)


def discover(dataset, config):
    config = search.resolve(config, dataset)
    view, learner = search.view_of(dataset, config), config.learner_of()
    with workbench(dataset, config, learner, view.rows, Journal(), Callbacks()) as bench:
        return search.discover(bench, config, view)


@contextmanager
def problem_of(dataset, learner, recipe, tasks):
    """All images of a data set as a problem, on the CPU in float32 with one thread."""
    config = DiscoverConfig(device="cpu", precision="float32", executor="serial", threads=1)
    made = learner_of(learner, recipe, device="cpu", precision="float32")
    rows = np.arange(len(dataset))
    with workbench(dataset, config, made, rows, Journal(), Callbacks()) as bench:
        yield Problem(
            workbench=bench,
            rows=rows,
            tasks=tasks,
            classes=2,
            seed=config.seed,
            constraints=Constraints(),
            encoder_recipe=recipe,
        )


@pytest.fixture(scope="module")
def found(digits):
    return discover(digits, QUICK)


def test_tasks_are_found_balanced_and_different(found):
    assert len(found.tasks) == 3
    assert found.tasks.labels_ND.shape == (1797, 3)
    for task in found.numbers["tasks"]:
        assert 0.4 < task["rate"] < 0.6
        assert task["crossfit_correlation"] > 0.7
        assert task["encoder_agreement"] > 0.85
    assert found.numbers["similarity"]["max"] < 0.75
    correlations = [task["crossfit_correlation"] for task in found.numbers["tasks"]]
    assert correlations == sorted(correlations, reverse=True)


def test_the_same_seed_finds_the_same_tasks(digits, found):
    again = discover(digits, QUICK)
    assert (again.tasks.labels_ND == found.tasks.labels_ND).all()
    assert (again.tasks.coordinates_NP == found.tasks.coordinates_NP).all()


@pytest.mark.parametrize("method", [Power(iterations=1), Spectral()], ids=["power", "spectral"])
def test_discovery_sees_nothing_but_train(digits, found, method):
    """Other test images and other labels everywhere: the same encoder comes out."""
    config = replace(QUICK, method=method, epochs=1, encoder_epochs=1)
    spoilt = replace(
        digits,
        images=digits.images.copy(),
        labels=np.random.default_rng(0).permutation(digits.labels),
    )
    spoilt.images[~found.tasks.seen_N] = 255 - spoilt.images[~found.tasks.seen_N]
    a, b = discover(digits, config).encoder, discover(spoilt, config).encoder
    pairs = zip(a.model.state_dict().values(), b.model.state_dict().values(), strict=True)
    assert all(torch.equal(x, y) for x, y in pairs)
    assert (a.centre == b.centre).all()


@pytest.mark.parametrize("spec", ["convnet?width=0.25", "mlp?width=0.1", "vit?width=0.2&depth=1"])
@pytest.mark.parametrize("classes", [2, 3])
def test_a_label_does_not_depend_on_the_company(digits, spec, classes, tmp_path):
    """Alone, in another order, among others, after saving and loading: the same label."""
    config = replace(QUICK, learner=spec, method=Spectral(), classes=classes, tasks=2)
    made = discover(digits, config)
    (tmp_path / "encoder.safetensors").write_bytes(made.encoder.to_bytes())
    encoder = Encoder.load(tmp_path / "encoder.safetensors")
    order = np.random.default_rng(0).permutation(1797)
    shuffled = encoder.classify(encoder.transform(digits.images[order]))
    assert (shuffled == made.tasks.labels_ND[order]).all()
    nearest = np.argsort(np.abs(made.tasks.coordinates_NP).min(axis=1))[:20]
    for i in [*nearest, 0, 1796]:
        alone = encoder.classify(encoder.transform(digits.images[i : i + 1]))
        assert (alone[0] == made.tasks.labels_ND[i]).all()


def test_k_way_tasks_have_equal_rates(digits):
    made = discover(
        digits, replace(QUICK, classes=4, tasks=2, method=Power(iterations=2), epochs=6)
    )
    assert made.tasks.coordinates_NP.shape == (1797, 6)
    for d in range(2):
        rates = np.bincount(made.tasks.labels_ND[made.tasks.seen_N, d], minlength=4) / 1617
        np.testing.assert_allclose(rates, 0.25, atol=0.02)


def test_balanced_labels_of_coordinates():
    coordinates = np.random.default_rng(0).normal(1, 2, (999, 4)).astype(np.float32)
    centre, offsets = balance(coordinates, 3)
    labels = classify(coordinates - centre, offsets, 3)
    for d in range(2):
        np.testing.assert_allclose(np.bincount(labels[:, d]) / 999, 1 / 3, atol=0.01)
    centre, offsets = balance(coordinates, 2)
    np.testing.assert_allclose(
        classify(coordinates - centre, offsets, 2).mean(axis=0), 0.5, atol=1e-3
    )


def last_iteration(problem, options, start_NP):
    """Power iteration on all images, whole."""

    def held_out(targets_NP, number):
        return iteration.crossfit(problem, options, targets_NP, number, Silent())

    *_, last = iteration.iterate(problem, options, lambda: start_NP, held_out)
    return last


@pytest.mark.parametrize("redrawn", [True, False])
def test_power_from_noise_ends_in_tasks_that_a_fresh_cross_validation_confirms(
    redrawn, monkeypatch
):
    """With folds that are not redrawn the halves decouple, and fresh folds confirm nothing."""
    if not redrawn:
        monkeypatch.setattr(
            iteration, "generator", lambda seed, name, number: generator(seed, name, 1)
        )
    dataset = shapes.draw(600, size=12)
    options = Power(iterations=8, tolerance=0.0)
    start = subspace.whiten(np.random.default_rng(0).normal(size=(600, 2))).coordinates
    with problem_of(dataset, "mlp?width=0.2", QUICK.recipe(12), tasks=2) as problem:
        last = last_iteration(problem, options, start)
        monkeypatch.undo()
        targets = soft_targets(last.coordinates)
        fresh = iteration.crossfit(problem, options, targets, 99, Silent())
    confirmed = subspace.column_correlations(fresh, targets)
    if redrawn:
        assert confirmed.min() > 0.85
        np.testing.assert_allclose(confirmed, last.correlation, atol=0.1)
    else:
        assert confirmed.max() < 0.7


@pytest.fixture
def noisy_operator(monkeypatch):
    """A linear smoother of known eigenspace, to whose answers every training adds its own noise."""
    rng = np.random.default_rng(0)
    drawn_NE = rng.normal(size=(400, 12))
    vectors_NE = np.linalg.qr(drawn_NE - drawn_NE.mean(axis=0))[0]
    shrunk_NE = vectors_NE * np.r_[0.95, 0.9, 0.85, np.full(9, 0.3)]

    def crossfit(problem, options, targets_NP, *others):
        noise_NP = rng.normal(0, 0.3, targets_NP.shape)
        return (shrunk_NE @ (vectors_NE.T @ targets_NP) + noise_NP).astype(np.float32)

    monkeypatch.setattr(iteration, "crossfit", crossfit)
    start = subspace.whiten(rng.normal(size=(400, 3)).astype(np.float32)).coordinates

    black = Dataset(images=np.zeros((400, 2, 2, 3), np.uint8), ids=np.arange(400).astype(str))

    def searched(**options):
        """Return the root mean square of the angles to the eigenspace, and the iterations."""
        with problem_of(black, "linear", QUICK.recipe(1), tasks=3) as problem:
            last = last_iteration(problem, Power(**options), start)
        angles = subspace.turn(vectors_NE[:, :3], last.coordinates)
        return float(np.sqrt((angles**2).mean())), last

    return searched


def test_linear_targets_averaged_come_closer_to_the_eigenspace(noisy_operator):
    options = {"iterations": 12, "tolerance": 0.0}
    squashed, _ = noisy_operator(**options)
    linear, _ = noisy_operator(**options, targets="linear")
    averaged, last = noisy_operator(**options, targets="linear", average=8)
    assert squashed > linear > 2 * averaged
    np.testing.assert_allclose(subspace.covariance(last.coordinates), np.eye(3), atol=1e-5)


def test_iterations_that_are_averaged_are_all_done(noisy_operator):
    assert noisy_operator(iterations=9, tolerance=90.0)[1].number == 2
    assert noisy_operator(iterations=9, tolerance=90.0, average=2)[1].number == 9


def test_more_iterations_than_there_are_cannot_be_averaged():
    with pytest.raises(ConfigError, match="3 iterations and a start"):
        Power(iterations=3, average=5)


def test_discovered_tasks_follow_known_factors():
    from sklearn.metrics import normalized_mutual_info_score as nmi

    dataset = shapes.draw(1200, size=16)
    made = discover(dataset, DiscoverConfig(method=Spectral(start="pixels"), tasks=4, threads=1))
    best = [
        max(nmi(made.tasks.labels_ND[:, d], dataset.attributes[f]) for f in shapes.FACTORS)
        for d in range(4)
    ]
    assert max(best) > 0.5


def test_what_is_excluded_is_not_found():
    dataset = shapes.draw(1000, size=16)
    config = DiscoverConfig(method=Spectral(), tasks=4, threads=1)
    columns = ["background_hue"]
    before, after = (
        discover(dataset, replace(config, exclude=text))
        for text in ("", f"attr:{columns[0]},brightness,colour")
    )
    one_hot = (
        dataset.attributes[columns[0]].to_numpy()[:, None] == np.array(["green", "blue", "pink"])
    ).astype(float)
    explained = [
        subspace.explained(made.tasks.coordinates_NP.astype(float), one_hot).max()
        for made in (before, after)
    ]
    assert explained[0] > 0.3
    assert explained[1] < 0.1
    assert after.numbers["excluded"]["explained_on_test"]["max"] < 0.3


def test_within_a_target_tasks_are_balanced_in_every_class():
    dataset = shapes.draw(1500, size=16, shortcut="background_hue", strength=1.0)
    config = replace(QUICK, within="label", learner="mlp?width=0.2", method=Power(iterations=2))
    made = discover(dataset, config)
    for d in range(len(made.tasks)):
        for c in range(4):
            own = made.tasks.labels_ND[dataset.labels == c, d]
            assert 0.25 < own.mean() < 0.75


def test_fault_32_too_few_images(digits):
    tiny = data.from_arrays(digits.images[:25], digits.labels[:25])
    with pytest.raises(DataError, match="too few"):
        discover(tiny, replace(QUICK, tasks=12))


def test_fault_50_and_51_noise_has_no_tasks():
    """Images of pure noise: nothing is predicted better than permuted labels."""
    noise = np.random.default_rng(0).integers(0, 256, (300, 8, 8, 3), dtype=np.uint8)
    config = replace(QUICK, method=Power(start="noise", iterations=1), tasks=2, epochs=4)
    with pytest.raises(NumericalError, match="no direction is predicted better"):
        discover(data.from_arrays(noise), config)


def test_fault_55_more_tasks_than_the_embedding_has(digits):
    with pytest.raises(ConfigError, match="the embedding has 32 to give"):
        discover(digits, replace(QUICK, method=Spectral(), learner="convnet?width=0.25", tasks=40))


def test_fault_44_hostile_encoders(tmp_path, found):
    good = tmp_path / "good.safetensors"
    good.write_bytes(found.encoder.to_bytes())
    blob = good.read_bytes()
    for name, content in {
        "empty": b"",
        "noise": bytes(range(256)) * 4,
        "huge header": (2**62).to_bytes(8, "little") + b"{}",
        "cut": blob[: len(blob) // 2],
    }.items():
        bad = tmp_path / f"{name}.safetensors"
        bad.write_bytes(content)
        with pytest.raises(RunDirError):
            Encoder.load(bad)
    with pytest.raises(RunDirError, match="no encoder"):
        Encoder.load(tmp_path / "absent")


def test_an_encoder_never_runs_code_that_the_user_did_not_name(tmp_path):
    header = {"format": 1, "learner": "os:system", "image_shape": [8, 8, 1], "names": ["t"]}
    header |= {"classes": 2, "outputs": 1}
    tensors = {f"encoder.{k}": torch.zeros(1) for k in ("columns", "centre", "offsets")}
    save_file(tensors, tmp_path / "e.safetensors", {"taskdiscovery": json.dumps(header)})
    with pytest.raises(RunDirError, match="runs code of its own"):
        Encoder.load(tmp_path / "e.safetensors")


def test_fault_52_weights_that_are_not_finite_are_not_saved(tmp_path, digits, found):
    spoilt = replace(found.encoder, centre=np.full_like(found.encoder.centre, np.nan))
    with Run.create(tmp_path / "run", "discover", {}) as run:
        before = set(run.path.iterdir())
        with pytest.raises(NumericalError):
            run.write_discovery(replace(found, encoder=spoilt), digits)
        assert set(run.path.iterdir()) == before
