"""Discovery: the encoder is the task; nothing outside `train` is looked at; noise is dropped."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from taskdiscovery import data, discovery, shapes, subspace
from taskdiscovery.config import DiscoverConfig
from taskdiscovery.discovery import Encoder, power
from taskdiscovery.discovery.labelling import balance, classify
from taskdiscovery.errors import ConfigError, DataError, NumericalError, RunDirError
from taskdiscovery.executors import Serial
from taskdiscovery.journal import Journal
from taskdiscovery.progress import Silent
from taskdiscovery.seeds import generator
from taskdiscovery.training import Learner, Pixels

QUICK = DiscoverConfig(
    tasks=3,
    learner="convnet?width=0.5",
    iterations=3,
    epochs=8,
    encoder_epochs=8,
    batch=64,
    threads=1,
)


def discover(dataset, config):
    return discovery.discover(dataset, discovery.resolve(config, dataset))


@pytest.fixture(scope="module")
def found(digits):
    return discover(digits, QUICK)


def test_tasks_are_found_balanced_and_different(found):
    assert len(found.tasks) == 3
    assert found.tasks.labels.shape == (1797, 3)
    for task in found.result["tasks"]:
        assert 0.4 < task["rate"] < 0.6
        assert task["crossfit_correlation"] > 0.7
        assert task["encoder_agreement"] > 0.85
    assert found.result["similarity"]["max"] < 0.75
    correlations = [task["crossfit_correlation"] for task in found.result["tasks"]]
    assert correlations == sorted(correlations, reverse=True)


def test_the_same_seed_finds_the_same_tasks(digits, found):
    again = discover(digits, QUICK)
    assert (again.tasks.labels == found.tasks.labels).all()
    assert (again.tasks.coordinates == found.tasks.coordinates).all()


@pytest.mark.parametrize("method", ["power", "spectral"])
def test_discovery_sees_nothing_but_train(digits, found, method):
    """Other test images and other labels everywhere: the same encoder comes out."""
    config = replace(QUICK, method=method, iterations=1, epochs=1, encoder_epochs=1)
    spoilt = replace(
        digits,
        images=digits.images.copy(),
        labels=np.random.default_rng(0).permutation(digits.labels),
    )
    spoilt.images[~found.tasks.train] = 255 - spoilt.images[~found.tasks.train]
    a, b = discover(digits, config).encoder, discover(spoilt, config).encoder
    pairs = zip(a.model.state_dict().values(), b.model.state_dict().values(), strict=True)
    assert all(torch.equal(x, y) for x, y in pairs)
    assert (a.centre == b.centre).all()


@pytest.mark.parametrize("spec", ["convnet?width=0.25", "mlp?width=0.1", "vit?width=0.2&depth=1"])
@pytest.mark.parametrize("classes", [2, 3])
def test_a_label_does_not_depend_on_the_company(digits, spec, classes, tmp_path):
    """Alone, in another order, among others, after saving and loading: the same label."""
    config = replace(QUICK, learner=spec, method="spectral", classes=classes, tasks=2)
    made = discover(digits, config)
    made.encoder.save(tmp_path / "encoder.safetensors")
    encoder = Encoder.load(tmp_path / "encoder.safetensors")
    order = np.random.default_rng(0).permutation(1797)
    shuffled = encoder.labels(encoder.coordinates(digits.images[order]))
    assert (shuffled == made.tasks.labels[order]).all()
    nearest = np.argsort(np.abs(made.tasks.coordinates).min(axis=1))[:20]
    for i in [*nearest, 0, 1796]:
        alone = encoder.labels(encoder.coordinates(digits.images[i : i + 1]))
        assert (alone[0] == made.tasks.labels[i]).all()


def test_k_way_tasks_have_equal_rates(digits):
    made = discover(digits, replace(QUICK, classes=4, tasks=2, iterations=2, epochs=6))
    assert made.tasks.coordinates.shape == (1797, 6)
    for d in range(2):
        rates = np.bincount(made.tasks.labels[made.tasks.train, d], minlength=4) / 1617
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


def last_iteration(start_ND, learner, images, pixels, config):
    """Power iteration on all images, whole."""
    *_, last = power.iterate(
        lambda: start_ND,
        learner,
        images,
        np.arange(len(images)),
        pixels,
        power.Constraints(),
        config,
        Silent(),
        Journal(),
        Serial(images, Journal(), 1),
    )
    return last


@pytest.mark.parametrize("redrawn", [True, False])
def test_power_from_noise_ends_in_tasks_that_a_fresh_cross_validation_confirms(
    redrawn, monkeypatch
):
    """With folds that are not redrawn the halves decouple, and fresh folds confirm nothing."""
    if not redrawn:
        monkeypatch.setattr(power, "generator", lambda seed, name, number: generator(seed, name, 1))
    dataset = shapes.draw(600, size=12)
    config = replace(QUICK, tasks=2, iterations=8, tolerance=0.0, epochs=12)
    learner = Learner.of("mlp?width=0.2", config.recipe(12), device="cpu", precision="float32")
    rows, images = np.arange(600), torch.from_numpy(dataset.images)
    pixels = Pixels.measure(dataset.images, rows)
    start = subspace.whiten(np.random.default_rng(0).normal(size=(600, 2))).coordinates
    last = last_iteration(start, learner, images, pixels, config)
    monkeypatch.undo()
    targets = power.soft_targets(last.coordinates)
    fresh = power.crossfit(
        targets, learner, images, rows, pixels, config, 99, Silent(), Serial(images, Journal(), 1)
    )
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

    def crossfit(targets_ND, *others):
        noise_ND = rng.normal(0, 0.3, targets_ND.shape)
        return (shrunk_NE @ (vectors_NE.T @ targets_ND) + noise_ND).astype(np.float32)

    monkeypatch.setattr(power, "crossfit", crossfit)
    start = subspace.whiten(rng.normal(size=(400, 3)).astype(np.float32)).coordinates

    def search(**options):
        """Return the root mean square of the angles to the eigenspace, and the iterations."""
        config = replace(QUICK, tasks=3, **options)
        learner = Learner.of("linear", config.recipe(1), device="cpu", precision="float32")
        images = np.zeros((400, 2, 2, 3), np.uint8)
        pixels = Pixels.measure(images, np.arange(400))
        last = last_iteration(start, learner, torch.from_numpy(images), pixels, config)
        angles = subspace.turn(vectors_NE[:, :3], last.coordinates)
        return float(np.sqrt((angles**2).mean())), last

    return search


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
        replace(QUICK, average=5)


def test_discovered_tasks_follow_known_factors():
    from sklearn.metrics import normalized_mutual_info_score as nmi

    dataset = shapes.draw(1200, size=16)
    made = discover(dataset, DiscoverConfig(method="spectral", start="pixels", tasks=4, threads=1))
    best = [
        max(nmi(made.tasks.labels[:, d], dataset.attributes[f]) for f in shapes.FACTORS)
        for d in range(4)
    ]
    assert max(best) > 0.5


def test_what_is_excluded_is_not_found():
    dataset = shapes.draw(1000, size=16)
    config = DiscoverConfig(method="spectral", tasks=4, threads=1)
    columns = ["background_hue"]
    before, after = (
        discover(dataset, replace(config, exclude=text))
        for text in ("", f"attr:{columns[0]},brightness,colour")
    )
    one_hot = (
        dataset.attributes[columns[0]].to_numpy()[:, None] == np.array(["green", "blue", "pink"])
    ).astype(float)
    explained = [
        subspace.explained(made.tasks.coordinates.astype(float), one_hot).max()
        for made in (before, after)
    ]
    assert explained[0] > 0.3
    assert explained[1] < 0.1
    assert after.result["excluded"]["explained_on_test"]["max"] < 0.3


def test_within_a_target_tasks_are_balanced_in_every_class():
    dataset = shapes.draw(1500, size=16, shortcut="background_hue", strength=1.0)
    config = replace(QUICK, within="label", learner="mlp?width=0.2", iterations=2)
    made = discover(dataset, config)
    for d in range(len(made.tasks)):
        for c in range(4):
            own = made.tasks.labels[dataset.labels == c, d]
            assert 0.25 < own.mean() < 0.75


def test_fault_32_too_few_images(digits):
    tiny = data.from_arrays(digits.images[:25], digits.labels[:25])
    with pytest.raises(DataError, match="too few"):
        discover(tiny, replace(QUICK, tasks=12))


def test_fault_50_and_51_noise_has_no_tasks():
    """Images of pure noise: nothing is predicted better than permuted labels."""
    noise = np.random.default_rng(0).integers(0, 256, (300, 8, 8, 3), dtype=np.uint8)
    config = replace(QUICK, start="noise", iterations=1, tasks=2, epochs=4)
    with pytest.raises(NumericalError, match="no direction is predicted better"):
        discover(data.from_arrays(noise), config)


def test_fault_55_more_tasks_than_the_embedding_has(digits):
    with pytest.raises(ConfigError, match="the embedding has 32 to give"):
        discover(digits, replace(QUICK, method="spectral", learner="convnet?width=0.25", tasks=40))


def test_fault_44_hostile_encoders(tmp_path, found):
    good = tmp_path / "good.safetensors"
    found.encoder.save(good)
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


def test_fault_52_weights_that_are_not_finite_are_not_saved(tmp_path, found):
    spoilt = replace(found.encoder, centre=np.full_like(found.encoder.centre, np.nan))
    with pytest.raises(NumericalError):
        spoilt.save(tmp_path / "e.safetensors")
    assert list(tmp_path.iterdir()) == []
