"""Images from known factors: the answers must be known."""

import numpy as np
import pytest

from taskdiscovery import data
from taskdiscovery.data.readers import shapes
from taskdiscovery.errors import ConfigError


def test_drawing_is_deterministic_and_keeps_its_beginning():
    a, b = shapes.draw(40, seed=1), shapes.draw(700, seed=1)
    assert (a.images == b.images[:40]).all()
    assert (shapes.draw(40, seed=2).images != a.images).any()


def test_factors_are_independent():
    from sklearn.metrics import normalized_mutual_info_score as nmi

    attributes = shapes.draw(4000, seed=0, size=8).attributes
    names = list(shapes.FACTORS)
    for i, a in enumerate(names):
        assert attributes[a].nunique() == len(shapes.FACTORS[a])
        for b in names[:i]:
            assert nmi(attributes[a], attributes[b]) < 0.01


def test_factors_show_in_the_pixels():
    dataset = shapes.draw(600, seed=0)
    corner = dataset.images[:, 0, 0].astype(float)
    green = corner[:, 1] - corner[:, [0, 2]].max(axis=1)
    background = dataset.attributes["background_hue"].to_numpy()
    assert green[background == "green"].min() > green[background != "green"].max()


@pytest.mark.parametrize("strength", [0.95, 0.6])
def test_a_planted_shortcut_predicts_the_label(strength):
    dataset = shapes.draw(4000, shortcut="background_hue", strength=strength, size=8)
    levels = np.array(shapes.FACTORS["background_hue"])
    hits = levels[dataset.labels] == dataset.attributes["background_hue"]
    assert hits.mean() == pytest.approx(strength + (1 - strength) / 4, abs=0.03)


@pytest.mark.parametrize(
    "spec", ["shapes?shortcut=shape", "shapes?m=3", "shapes?n=1", "shapes?n=x"]
)
def test_wrong_options_are_refused_before_drawing(spec):
    with pytest.raises(ConfigError):
        data.check_spec(spec)
