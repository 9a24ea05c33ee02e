"""Learners that resist shortcuts: the same step and loop as every training, other weights.

The problem has a known answer: the class is the direction of a bar, the shortcut a colour that goes
with it on 95 of 100 training images and on half of all others.
"""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from simulated import simulated_gpu
from taskdiscovery import training as trainings
from taskdiscovery.config import TrainingRecipe, learner_of
from taskdiscovery.errors import ConfigError, DataError, NumericalError, RunDirError
from taskdiscovery.networks import Normalization
from taskdiscovery.networks.images import to_tensor
from taskdiscovery.networks.placing import place
from taskdiscovery.runtime import ranks
from taskdiscovery.store import Checkpoints
from taskdiscovery.store.journal import Journal, JournalWatch
from taskdiscovery.training import Hooks, Seeds, Training, cross_entropy, squared_error
from taskdiscovery.training.robust import (
    GRIDS,
    ROBUST,
    Held,
    Problem,
    Settings,
    by_group,
    by_group_of,
    choose,
    last_layer,
    passes,
)
from taskdiscovery.training.robust.weighed import equalizing, trained
from taskdiscovery.training.steps import BY_IMAGE
from taskdiscovery.training.watch import Unwatched
from taskdiscovery.training.weighting import Fixed, WorstGroup
from taskdiscovery.types import Record

RECIPE = TrainingRecipe(epochs=5, batch=50, learning_rate=2e-3, recalibrate=True)
#: how many images are trained on, held out, and measured.
FIT, HELD, TEST = 1200, 200, 400
#: groups whose colour is that of the other class.
CONFLICTING = (1, 3)


def drawn(n, strength, seed, size=8):
    """Return images, classes, and groups: 2 · class + whether the colour is the other class's."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    colour = np.where(rng.random(n) < strength, y, 1 - y)
    images = rng.integers(60, 196, (n, size, size, 3))
    for i in range(n):
        place = rng.integers(1, size - 1)
        bar = (i, place) if y[i] else (i, slice(None), place)
        images[bar] += 90
        images[i, ..., 0 if colour[i] else 2] += 120
    return np.clip(images, 0, 255).astype(np.uint8), y, 2 * y + (colour != y)


@pytest.fixture(scope="module")
def data():
    parts = [drawn(n, s, i) for i, (n, s) in enumerate(((FIT, 0.95), (HELD, 0.5), (TEST, 0.5)))]
    return [np.concatenate(own) for own in zip(*parts, strict=True)]


@pytest.fixture(scope="module")
def images(data):
    return to_tensor(data[0], "cpu")


def problem_of(data, *, fit=FIT, spec="mlp?width=0.25", recipe=RECIPE, device="cpu"):
    images, classes, groups = data
    rows, held = np.arange(fit), np.arange(FIT, FIT + HELD)
    training = Training(
        learner=learner_of(spec, recipe, device=device, precision="float32"),
        shape=images.shape[1:],
        normalization=Normalization.measure(images, rows),
        outputs=2,
        rows=rows,
        targets=classes[rows],
        measured=np.arange(FIT + HELD, len(images)),
        seeds=Seeds(1, 2),
    )
    own = Held(rows=held, targets=classes[held], groups=groups[held])
    return Problem(training=training, groups=groups[rows], held=own)


@pytest.fixture
def problem(data):
    return problem_of(data)


@pytest.fixture
def brief(data):
    """Twelve steps on few images; the groups have images all the same."""
    return problem_of(data, fit=200, recipe=replace(RECIPE, epochs=3))


def same(a, b):
    found, expected = trainings.weights(a), trainings.weights(b)
    return all((found[name] == expected[name]).all() for name in expected)


# ---- what they are for


@pytest.fixture(scope="module")
def by_group_of_runs(data, images):
    """Return what gives a learner's accuracy on each group: its defaults, the mean of 3 runs."""
    problem = problem_of(data)
    rows = problem.training.measured
    test = Held(rows=rows, targets=data[1][rows], groups=data[2][rows])

    @cache
    def of(name):
        found = []
        for seed in (1, 11, 21):
            training = replace(problem.training, seeds=Seeds(seed, seed + 1))
            model = ROBUST[name](replace(problem, training=training), images, Hooks())
            found.append(by_group_of(model, images, test, "float32").accuracy_G)
        return np.mean(found, axis=0)

    return of


@pytest.mark.parametrize("name", ["erm", "class reweighting"])
def test_plain_training_takes_the_shortcut(by_group_of_runs, name):
    """The classes are of equal size: to weigh them changes nothing."""
    accuracy_G = by_group_of_runs(name)
    assert accuracy_G.min() < 0.4
    assert int(accuracy_G.argmin()) in CONFLICTING
    assert accuracy_G[[0, 2]].min() > 0.95


@pytest.mark.parametrize("name", ["group reweighting", "group dro", "jtt", "last layer"])
def test_robust_learners_do_better_on_the_worst_group_by_a_fifth(by_group_of_runs, name):
    assert by_group_of_runs(name).min() > by_group_of_runs("erm").min() + 0.2


# ---- one step for all: where nothing is weighed, the bits are those of plain training


@pytest.mark.parametrize("spec", ["mlp?width=0.25", "convnet?width=0.25&augment=flip"])
@pytest.mark.parametrize("how", ["ones", "threes", "one group"])
def test_equal_weights_give_the_bits_of_plain_training(data, images, how, spec):
    problem = problem_of(data, fit=230, spec=spec, recipe=replace(RECIPE, epochs=2))
    weighting = {
        "ones": lambda: Fixed.of(np.ones(230), "cpu"),
        "threes": lambda: Fixed.of(np.full(230, 3.0), "cpu"),
        "one group": lambda: WorstGroup.of(np.zeros(230, dtype=np.int64), 0.5, "cpu"),
    }[how]()
    expected = ROBUST["erm"](problem, images, Hooks())
    assert same(trained(problem.training, images, Hooks(), weighting), expected)


def test_jtt_that_counts_errors_once_gives_the_bits_of_plain_training(brief, images):
    once = replace(brief, settings=Settings(up=1.0))
    assert same(ROBUST["jtt"](once, images, Hooks()), ROBUST["erm"](brief, images, Hooks()))
    assert not same(ROBUST["jtt"](brief, images, Hooks()), ROBUST["erm"](brief, images, Hooks()))


def test_a_weighting_serves_several_trainings(brief, images):
    weighting = WorstGroup.of(brief.groups, 0.5, "cpu")
    a, b = (trained(brief.training, images, Hooks(), weighting) for _ in range(2))
    assert same(a, b)


def test_the_last_layer_alone_is_retrained(brief, images):
    plain = trainings.weights(ROBUST["erm"](brief, images, Hooks()))
    other = trainings.weights(ROBUST["last layer"](brief, images, Hooks()))
    changed = {name for name in plain if not (plain[name] == other[name]).all()}
    assert len(changed) == 2
    assert {plain[name].shape[0] for name in changed} == {2}  # weights and bias of the two outputs


@pytest.mark.parametrize("name", ROBUST)
def test_the_same_seeds_give_the_same_bits(brief, images, name):
    a, b = (ROBUST[name](brief, images, Hooks()) for _ in range(2))
    assert same(a, b)
    assert not a.training
    seeds = replace(brief, training=replace(brief.training, seeds=Seeds(1, 3)))
    assert not same(a, ROBUST[name](seeds, images, Hooks()))


# ---- against slow references


def test_a_weight_is_as_good_as_copies(data, images):
    """In batches of all images, to weigh an image twice is to have it twice."""
    recipe = replace(RECIPE, batch=1000, epochs=4, optimizer="sgd", learning_rate=0.1)
    few = problem_of(data, fit=60, spec="linear", recipe=recipe).training
    counts = 1 + np.arange(60) % 3
    copies = np.repeat(np.arange(60), counts)
    repeated = replace(few, rows=copies, targets=few.targets[copies])
    a = trained(few, images, Hooks(), Fixed.of(counts, "cpu"))
    b = repeated.trained(images, Hooks())
    plain = few.trained(images, Hooks())
    for x, y, z in zip(a.parameters(), b.parameters(), plain.parameters(), strict=True):
        assert torch.allclose(x, y, rtol=1e-4, atol=1e-6)
        assert not torch.allclose(x, z, rtol=1e-2)


def test_weights_have_mean_one_in_all_and_not_in_a_batch():
    weighting = Fixed.of(np.array([1.0, 1.0, 4.0, 2.0]), "cpu")
    losses, chosen = torch.tensor([0.5, 2.0]), torch.tensor([0, 2])
    assert float(weighting(losses, chosen)) == pytest.approx((0.5 * 0.5 + 2 * 2.0) / 2)


def test_group_dro_is_its_algorithm():
    """Losses, q and the weight of each image, in loops; one group has no image in the first."""
    rng = np.random.default_rng(0)
    groups_n, rate = rng.integers(0, 3, 40), 0.3
    weighting = WorstGroup.of(groups_n, rate, "cpu")
    q = [1 / 3] * 3
    for chosen in (np.flatnonzero(groups_n != 2)[:9], np.arange(20), np.arange(15, 40)):
        given = rng.random(len(chosen)).astype(np.float32)
        means = []
        for g in range(3):
            own = [float(x) for x, i in zip(given, chosen, strict=True) if groups_n[i] == g]
            means.append(sum(own) / len(own) if own else 0.0)
        q = [own * np.exp(rate * mean) for own, mean in zip(q, means, strict=True)]
        q = [own / sum(q) for own in q]
        losses = torch.from_numpy(given).requires_grad_()
        value = weighting(losses, torch.from_numpy(chosen))
        value.backward()
        assert float(value.detach()) == pytest.approx(np.dot(q, means), rel=1e-5)
        assert weighting.state["log_q"].exp().numpy() == pytest.approx(q, rel=1e-5)
        sizes = np.bincount(groups_n[chosen], minlength=3)
        expected = [q[groups_n[i]] / sizes[groups_n[i]] for i in chosen]
        assert losses.grad.numpy() == pytest.approx(expected, rel=1e-5)


def test_q_of_an_easy_group_does_not_become_zero_for_good():
    weighting = WorstGroup.of(np.array([0, 1]), 50.0, "cpu")
    for losses, hard in (([9.0, 0.0], 0), ([0.0, 9.0], 1)):
        for _ in range(3):
            weighting(torch.tensor(losses), torch.arange(2))
        if hard == 0:
            assert float(weighting.state["log_q"][1]) < -1000
    weighting(torch.tensor([0.0, 9.0]), torch.arange(2))
    assert float(weighting.state["log_q"].exp()[1]) > 0.99


def test_losses_by_image_have_the_mean_that_is_lowered():
    outputs, classes = torch.randn(7, 3), torch.arange(7) % 3
    for loss, targets in ((cross_entropy, classes), (squared_error, torch.randn(7, 3))):
        by_image = BY_IMAGE[loss](outputs, targets)
        assert by_image.shape == (7,)
        assert torch.allclose(by_image.mean(), loss(outputs, targets))


@pytest.mark.parametrize("count", [2, 3])
def test_a_last_layer_gives_the_probabilities_of_logistic_regression(count):
    """On features as they are, though it was fitted to standardized ones; one says nothing."""
    rng = np.random.default_rng(0)
    classes = np.sort(np.arange(90) % count) + 1  # a class that is not held out, before the others
    table = rng.normal(5.0, [1.0, 20.0, 0.1, 0.0], (90, 4)) + classes[:, None] * [0.5, 9, 0, 0]
    held = Held(rows=np.arange(90), targets=classes, groups=classes)
    places = np.arange(0, 90, 2)
    scaler = StandardScaler().fit(table[places])
    reference = LogisticRegression(C=0.3).fit(scaler.transform(table[places]), classes[places])
    expected = reference.predict_proba(scaler.transform(table))
    layer = torch.nn.Linear(4, count + 2).double()
    last_layer._set(layer, last_layer._fitted(table, held, places, 0.3), np.unique(classes))
    found = layer(torch.from_numpy(table)).softmax(1).detach().numpy()
    assert np.allclose(found[:, 1:-1], expected, atol=1e-3)
    assert found[:, [0, -1]].max() == 0


def test_draws_for_a_last_layer_have_equal_groups():
    groups = np.repeat([0, 1, 3], [20, 4, 7])
    held = Held(rows=np.arange(31), targets=groups, groups=groups)
    rng = np.random.default_rng(0)
    first, second = (last_layer._equal(held, rng) for _ in range(2))
    assert np.bincount(groups[first]).tolist() == [4, 4, 0, 4]
    assert first.tolist() != second.tolist()
    fit, other = last_layer._halves(held, rng)
    assert np.bincount(groups[fit]).tolist() == [10, 2, 0, 3]
    assert sorted([*fit, *other]) == list(range(31))


def test_equal_weight_of_groups():
    numbers = np.array([0, 0, 0, 2, 2, 5])
    weights = equalizing(numbers)
    assert weights.mean() == pytest.approx(1)
    assert [weights[numbers == g].sum() for g in (0, 2, 5)] == pytest.approx([2, 2, 2])


def test_accuracy_by_group():
    found = by_group(np.array([0, 1, 1, 0]), np.array([0, 1, 0, 0]), np.array([0, 0, 3, 3]))
    assert found.accuracy_G[[0, 3]].tolist() == [1, 0.5]
    assert np.isnan(found.accuracy_G[1:3]).all()
    assert found.worst == 0.5


# ---- stopped and resumed equals never stopped


class StopsAfter(JournalWatch):
    """Saves and stops after so many steps, once."""

    def __init__(self, journal, steps):
        super().__init__(journal, "u")
        self.steps = steps

    def boundary(self, state):
        self.steps -= 1
        if self.steps == 0:
            self.save(state)
            raise KeyboardInterrupt


def stopped(problem, images, name, stop, checkpoints):
    """Do a training that is stopped; return a journal that has read what was saved of it."""
    with pytest.raises(KeyboardInterrupt):
        ROBUST[name](problem, images, Hooks(watch=StopsAfter(Journal(checkpoints), stop)))
    journal = Journal(checkpoints)
    journal.load()
    return journal


@pytest.mark.parametrize(
    ("name", "stop"),
    # The first training of JTT takes four steps, the second twelve.
    [("group reweighting", 5), ("group dro", 5), ("jtt", 3), ("jtt", 4), ("jtt", 9)],
)
def test_a_training_that_was_stopped_ends_in_the_same_bits(tmp_path, brief, images, name, stop):
    expected = ROBUST[name](brief, images, Hooks())
    journal = stopped(brief, images, name, stop, Checkpoints(tmp_path))
    found = ROBUST[name](brief, images, Hooks(watch=JournalWatch(journal, "u")))
    assert same(found, expected)


def test_what_was_saved_of_another_training_is_refused(tmp_path, brief, images):
    journal = stopped(brief, images, "erm", 2, Checkpoints(tmp_path / "erm"))
    with pytest.raises(RunDirError, match="does not fit"):
        ROBUST["group dro"](brief, images, Hooks(watch=JournalWatch(journal, "u")))
    journal = stopped(brief, images, "jtt", 9, Checkpoints(tmp_path / "jtt"))
    fewer = replace(brief.training, rows=np.arange(199), targets=brief.training.targets[:199])
    other = replace(brief, training=fewer, groups=brief.groups[:199])
    with pytest.raises(RunDirError, match="other images"):
        ROBUST["jtt"](other, images, Hooks(watch=JournalWatch(journal, "u")))


class Counted:
    """A meter."""

    passed = 0.0

    def advance(self, amount=1, note=""):
        self.passed += amount


@pytest.mark.parametrize(
    ("name", "stop"), [*((name, 0) for name in ROBUST), ("jtt", 3), ("jtt", 9)]
)
def test_progress_ends_at_what_was_said(tmp_path, brief, images, name, stop):
    watch = {}
    if stop:
        journal = stopped(brief, images, name, stop, Checkpoints(tmp_path))
        watch = {"watch": JournalWatch(journal, "u")}
    meter = Counted()
    ROBUST[name](brief, images, Hooks(meter=meter, **watch))
    assert meter.passed == passes(name, brief) == 200 * (4 if name == "jtt" else 3)


# ---- on a GPU, simulated


def on_gpu(problem, data, name, **recipe):
    """Return the cost, and the weights, of a training there."""
    learner = problem.training.learner
    own = replace(learner, device="cuda", recipe=replace(learner.recipe, **recipe))
    problem = replace(problem, training=replace(problem.training, learner=own))
    with simulated_gpu() as counts:
        model = ROBUST[name](problem, place(data[0], "cuda"), Hooks())
        arrays = {k: v.cpu().numpy() for k, v in model.state_dict().items()}
    return counts, arrays


@pytest.mark.parametrize("name", ["group reweighting", "group dro"])
def test_no_step_waits_and_all_are_replayed(brief, data, name):
    (few, _), (many, _) = (on_gpu(brief, data, name, batch=b) for b in (100, 20))
    assert many.synchronizations == few.synchronizations, many.places
    assert many.uploads == few.uploads, many.places
    assert few.replays == 3 * 2 - 2  # but for the first two, which warm up
    assert many.replays == 3 * 10 - 2
    plain, _ = on_gpu(brief, data, "erm", batch=20)
    assert many.synchronizations == plain.synchronizations, many.places


@pytest.mark.parametrize("name", ["group reweighting", "group dro"])
def test_there_the_weights_are_those_of_the_processor(brief, data, images, name):
    _, arrays = on_gpu(brief, data, name)
    expected = trainings.weights(ROBUST[name](brief, images, Hooks()))
    plain = trainings.weights(ROBUST["erm"](brief, images, Hooks()))
    assert all(np.allclose(arrays[k], expected[k], atol=1e-4) for k in expected)
    assert not all(np.allclose(plain[k], expected[k], atol=1e-3) for k in expected)


@pytest.mark.parametrize("name", ["group reweighting", "group dro"])
def test_recorded_steps_go_on_with_other_groups(brief, data, name):
    """The graph of the training before is taken again: its groups, weights and q are replaced."""
    other = replace(brief, groups=brief.groups[::-1].copy())
    learner = replace(brief.training.learner, device="cuda")
    first, second = (
        replace(own, training=replace(own.training, learner=learner)) for own in (brief, other)
    )
    found = []
    for order in ([first, second], [second]):
        with simulated_gpu() as counts:
            there = place(data[0], "cuda")
            for own in order:
                model = ROBUST[name](own, there, Hooks())
            found.append({k: v.cpu().numpy() for k, v in model.state_dict().items()})
            assert counts.replays == 12 * len(order) - 2
    assert all((found[0][k] == found[1][k]).all() for k in found[1])


def test_steps_of_a_learner_are_not_taken_for_those_of_another(brief, data):
    learner = replace(brief.training.learner, device="cuda")
    own = replace(brief, training=replace(brief.training, learner=learner))
    names = ("erm", "group dro", "group reweighting", "erm")
    found = []
    with simulated_gpu():
        there = place(data[0], "cuda")
        for name in names:
            model = ROBUST[name](own, there, Hooks())
            found.append({k: v.cpu().numpy() for k, v in model.state_dict().items()})
    for name, arrays in zip(names, found, strict=True):
        _, alone = on_gpu(brief, data, name)
        assert all((arrays[k] == alone[k]).all() for k in alone)


# ---- settings chosen by the worst group of held-out images


def test_settings_are_chosen_by_the_worst_group_and_never_on_the_test(brief, data, images):
    brief = replace(brief, settings=Settings(subsets=3))
    found = choose("group dro", brief, images)
    assert [row["rate"] for row in found.table] == list(GRIDS["group dro"]["rate"])
    best = max(found.table, key=lambda row: (row["worst"], row["mean"]))
    assert found.settings == Settings(rate=best["rate"], subsets=3)
    model = ROBUST["group dro"](replace(brief, settings=found.settings), images, Hooks())
    assert by_group_of(model, images, brief.held, "float32").worst == best["worst"]
    spoilt = data[0].copy()
    spoilt[brief.training.measured] = 7
    assert choose("group dro", brief, to_tensor(spoilt, "cpu")).table == found.table


def test_what_was_tried_is_not_tried_again(brief, images, monkeypatch):
    known, asked = {}, []

    def do(key, work):
        if key not in known:
            asked.append(key)
            known[key] = work(Unwatched())
        return known[key]

    monkeypatch.setitem(GRIDS, "group dro", {"rate": (0.01, 0.1)})
    first = choose("group dro", brief, images, None, do)
    again = choose("group dro", brief, images, None, do)
    assert asked == ["rate=0.01", "rate=0.1"]
    plain = choose("group dro", brief, images)
    assert first.table == again.table == plain.table
    assert first.settings == again.settings == plain.settings


def test_where_worst_groups_are_equal_the_mean_decides(brief, images, monkeypatch):
    values = iter([(0.0, 0.5), (0.0, 0.7), (0.0, 0.6)])
    found = choose(
        "group dro",
        brief,
        images,
        do=lambda key, work: Record(values=dict(zip(("worst", "mean"), next(values), strict=True))),
    )
    assert found.settings.rate == GRIDS["group dro"]["rate"][1]


def test_settings_that_diverge_are_passed_over(brief, images, monkeypatch):
    monkeypatch.setitem(GRIDS, "group dro", {"rate": (1e39, 0.01)})
    found = choose("group dro", brief, images)
    assert found.settings.rate == 0.01
    assert "diverged" in found.table[0]["failed"]
    monkeypatch.setitem(GRIDS, "group dro", {"rate": (1e39, 1e40)})
    with pytest.raises(NumericalError, match="all trainings"):
        choose("group dro", brief, images)


def test_without_a_grid_nothing_is_trained(brief, images):
    assert choose("last layer", brief, images).settings == brief.settings
    with pytest.raises(DataError, match="there are none"):
        choose("jtt", replace(brief, held=None), images)
    with pytest.raises(ConfigError, match="jt"):
        choose("jt", brief, images)


# ---- what is refused


def test_a_group_without_images_is_refused(brief):
    with pytest.raises(DataError, match="group 1 has no training image"):
        replace(brief, groups=np.where(brief.groups == 1, 0, brief.groups))
    strange = replace(brief.held, groups=brief.held.groups + 1)
    with pytest.raises(DataError, match="group 4 has held-out images"):
        replace(brief, held=strange)
    for wrong in (brief.groups[:-1], brief.groups - 1, brief.groups / 2):
        with pytest.raises(DataError, match="groups"):
            replace(brief, groups=wrong)


def test_held_out_images_must_serve_nothing_else(brief):
    for rows in (brief.training.rows[:1], brief.training.measured[-1:]):
        held = Held(rows=rows, targets=np.zeros(1, np.int64), groups=np.zeros(1, np.int64))
        with pytest.raises(DataError, match="held-out images are also"):
            replace(brief, held=held)
    none = np.zeros(0, np.int64)
    with pytest.raises(DataError, match="no held-out images"):
        Held(rows=none, targets=none, groups=none)
    with pytest.raises(DataError, match="classes of them"):
        replace(brief.held, targets=brief.held.targets[:-1])


def test_last_layers_need_held_out_images(brief, images):
    one = brief.held.taken(np.unique(brief.held.groups, return_index=True)[1])
    same_class = brief.held.taken(np.flatnonzero(brief.held.targets == 0))
    for held in (None, one, same_class):
        with pytest.raises(DataError, match="last-layer retraining needs"):
            ROBUST["last layer"](replace(brief, held=held), images, Hooks())


def test_other_learners_and_settings_are_refused(brief):
    ridge = learner_of("ridge", RECIPE, device="cpu", precision="float32")
    for change in ({"learner": ridge}, {"loss": "squared error"}, {"monitored": np.arange(3)}):
        with pytest.raises(ConfigError, match="robust learners"):
            replace(brief, training=replace(brief.training, **change))
    wrong = {"rate": -1, "first": 0, "up": 0, "subsets": 0}
    for name, value in (*wrong.items(), ("rate", np.nan), ("up", np.inf), ("first", 1.1)):
        with pytest.raises(ConfigError, match="no setting"):
            Settings(**{name: value})


def test_weights_that_mean_nothing_are_refused():
    for wrong in ([1.0, -1.0], [1.0, np.nan], [0.0, 0.0]):
        with pytest.raises(DataError, match="weights of images"):
            Fixed.of(np.array(wrong), "cpu")


def test_group_dro_is_refused_under_torchrun(brief, images, monkeypatch):
    monkeypatch.setattr(ranks, "size", lambda: 2)
    with pytest.raises(ConfigError, match="whole batch"):
        ROBUST["group dro"](brief, images, Hooks())
