"""What every method of discovery promises: a new one is entered in METHODS and passes this."""

import dataclasses

import numpy as np
import pytest

import taskdiscovery as td
from taskdiscovery.cli.parser import build, config_of
from taskdiscovery.config import from_mapping, option, options, to_mapping, words_of
from taskdiscovery.data.statistics import image_statistics
from taskdiscovery.discovery import METHODS, DiscoverConfig
from taskdiscovery.errors import ConfigError

#: each method at its briefest.
BRIEF = {
    "power": td.Power(iterations=1),
    "spectral": td.Spectral(),
    "pursuit": td.Pursuit(starts=60, rounds=5, bimodality=0.0),
    "meta": td.Meta(outer_steps=2, inner_steps=2, inner_batch=32),
}
#: those that look at pixels; tests/test_pursuit.py has what others promise.
ON_PIXELS = [name for name in METHODS if not METHODS[name].needs_features]
GIVEN = {"tasks": 2, "learner": "mlp?width=0.1", "epochs": 1, "batch": 64, "threads": 1}


@pytest.fixture(scope="module")
def data():
    return td.load("shapes?n=300&size=12")


def test_the_table_is_whole():
    assert set(BRIEF) == set(METHODS)


@pytest.mark.parametrize("name", ON_PIXELS)
@pytest.mark.parametrize("classes", [2, 3])
def test_every_method_keeps_its_promises(data, name, classes):
    found = td.discover(data, method=BRIEF[name], classes=classes, callbacks=(), **GIVEN)
    tasks, encoder = found.tasks, found.encoder
    assert 1 <= len(tasks) <= 2
    assert tasks.coordinates_NP.shape == (300, len(tasks) * (classes - 1))
    assert tasks.k == (classes,) * len(tasks)
    assert found.numbers["method"] == name
    for task in tasks:
        rates = np.bincount(task.labels_N[task.seen_N], minlength=classes) / task.seen_N.sum()
        np.testing.assert_allclose(rates, 1 / classes, atol=0.03)
    # The encoder is the task: any image alone, in any order, has the same label.
    order = np.random.default_rng(0).permutation(300)
    assert (encoder.predict(data.images[order]) == tasks.labels_ND[order]).all()
    assert (encoder.predict(data.images[7:8])[0] == tasks.labels_ND[7]).all()
    # Nothing that is outside `train` is looked at.
    spoilt = dataclasses.replace(data, images=data.images.copy(), labels=None, attributes=None)
    spoilt.images[~tasks.seen_N] = 255 - spoilt.images[~tasks.seen_N]
    again = td.discover(spoilt, method=BRIEF[name], classes=classes, callbacks=(), **GIVEN)
    seen = tasks.seen_N
    assert (again.tasks.coordinates_NP[seen] == tasks.coordinates_NP[seen]).all()


@pytest.mark.parametrize("name", METHODS)
def test_every_method_keeps_to_constraints_or_refuses_them(data, name):
    given = {"exclude": ["brightness"], "within": "label", "method": BRIEF[name]}
    if not METHODS[name].constrained:
        with pytest.raises(ConfigError, match="--exclude works with"):
            td.discover(data, callbacks=(), **GIVEN, **given)
        return
    if METHODS[name].needs_features:
        data = td.load(data, features=image_statistics(data.images).to_numpy())
        given["method"] = dataclasses.replace(given["method"], bimodality=0.0)
    found = td.discover(data, callbacks=(), **GIVEN, **given)
    assert found.numbers["excluded"]["explained_on_test"]["mean"] < 0.3


@pytest.mark.parametrize("name", METHODS)
def test_a_methods_options_mean_the_same_everywhere(name, tmp_path):
    """As an object, in a file, on the command line; whatever values they have."""
    kind = METHODS[name]
    others = {}
    for item in options(kind):
        limits, value = item.metadata, item.default
        if limits["choices"]:
            others[item.name] = limits["choices"][-1]
        elif isinstance(value, bool):
            others[item.name] = not value
        elif isinstance(value, int | float):
            others[item.name] = value / 2 if limits["high"] == 1 else value + 1
        elif isinstance(value, tuple):
            others[item.name] = ("label:0,1", "attr:hue")
    others.pop("one_step", None)  # does not go with every objective
    others.pop("directions", None)  # needs a warm start
    method = kind(**others)
    exclude = ("label", "colour") if kind.constrained else ()
    config = DiscoverConfig(method=method, tasks=5, exclude=exclude)
    assert from_mapping(DiscoverConfig, to_mapping(config), "here") == config
    words = words_of(config)
    given = vars(build().parse_args(["discover", "digits", *words]))
    assert config_of("discover", given) == ("digits", config)
    assert words_of(DiscoverConfig(method=kind())) == ["--method", name]


def test_a_method_of_ones_own_needs_no_entry(data):
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Thirds(td.Method):
        name = "thirds"
        about = "the spectral search, of fewer tasks"
        share: float = option(0.5, "of the tasks", low=0.0, high=1.0)

        def search(self, problem):
            assert problem.tasks == 2
            found = td.Spectral().search(problem)
            return dataclasses.replace(found, numbers={"share": self.share})

    found = td.discover(data, method=Thirds(), callbacks=(), **GIVEN)
    assert found.numbers["share"] == 0.5
    with pytest.raises(ConfigError, match="share is 2"):
        Thirds(share=2)


def test_an_unknown_option_is_refused_and_one_of_another_method_is_named(caplog):
    with pytest.raises(ConfigError, match="unknown key 'itterations'"):
        from_mapping(DiscoverConfig, {"itterations": 3}, "here")
    with pytest.raises(ConfigError, match="separate trainings"):
        DiscoverConfig(method=td.Spectral(), executor="ray")
    from_mapping(DiscoverConfig, {"method": "spectral", "average": 1}, "here")
    assert not caplog.text
    from_mapping(DiscoverConfig, {"method": "spectral", "inner_steps": 3, "average": 2}, "here")
    assert "--inner-steps, --average: without effect with --method spectral" in caplog.text
