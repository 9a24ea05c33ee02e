"""Every value draws itself on axes that it is given, or on its own."""

import sys

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

import taskdiscovery as td
from taskdiscovery.types.setup import Setup
from taskdiscovery.types.showing import showing

mpl.use("agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

IDS = np.arange(40).astype(str)


def interval(mean):
    return td.Interval(mean=mean, low=mean - 0.1, high=min(mean + 0.1, 1.0))


def score(task, agreement):
    return td.Score(
        task=task,
        learner="mlp",
        preset="quick",
        precision="float32",
        runs=2,
        agreement=agreement,
        low=agreement - 0.05,
        high=agreement + 0.02,
        covers="images",
        chance=0.5,
        kappa=0.5,
        rate=0.5,
        accuracy=float("nan"),
        agreement_n=np.array([1, 1, 0, 1], np.float32),
        rows_n=np.arange(4),
        ids_n=IDS[:4],
    )


@pytest.fixture
def scores():
    return td.Scores([score("task_000", 0.9), score("label:0,1", 0.8), score("random", 0.5)])


@pytest.fixture
def tasks():
    rng = np.random.default_rng(0)
    coordinates = rng.normal(size=(40, 2)).astype(np.float32)
    return td.Tasks(
        labels_ND=(coordinates > 0).astype(np.int64),
        names=("task_000", "task_001"),
        ids_N=IDS,
        k=(2, 2),
        coordinates_NP=coordinates,
        seen_N=np.arange(40) < 20,
        images=rng.integers(0, 255, (40, 8, 8, 3), dtype=np.uint8),
    )


@pytest.fixture
def split(tasks):
    setup = Setup(
        orientation="same",
        group=(1,),
        class_balanced=False,
        learner="mlp",
        preset="quick",
        precision="float32",
        runs=2,
    )
    return td.Split(
        target=tasks[0],
        task=tasks[1],
        role_N=np.zeros(40, np.int8),
        setup=setup,
        accuracy={name: interval(v) for name, v in (("adversarial", 0.2), ("random", 0.9))},
        transfer={"convnet": {"within": interval(0.8)}},
    )


@pytest.fixture
def evidence():
    rows = [
        ("task_000", "label", "", 0.8),
        ("task_000", "brightness", "", 0.3),
        ("task_000", "camera", "old", 0.5),
        ("label", "brightness", "", 0.9),
    ]
    table = pd.DataFrame(rows, columns=["task", "factor", "level", "effect"])
    table = table.assign(low=table["effect"] - 0.1, high=table["effect"] + 0.1)
    return td.Evidence(
        associations=table,
        probes=pd.DataFrame(),
        coverage=None,
        verdicts={"task_000": "follows $the label"},
        images=40,
        redundancy={},
    )


@pytest.fixture(autouse=True)
def _figures_are_closed():
    yield
    plt.close("all")


def drawn(value, **options):
    """Draw on axes of its own and on given ones; return the latter."""
    own = value.plot(**options)
    own.figure.canvas.draw()
    assert isinstance(own, Axes)
    _, given = plt.subplots()
    assert value.plot(ax=given, **options) is given
    assert value.plot(given, **options) is given
    return given


def labels_of(axis):
    return [text.get_text() for text in axis.get_ticklabels()]


def test_scores_are_drawn_in_their_order_and_by_kind(scores):
    ax = drawn(scores)
    assert labels_of(ax.yaxis) == ["task_000", "label:0,1", "random"]
    dots = [line for line in ax.lines if line.get_marker() == "o"][:3]
    assert [float(d.get_xdata()[0]) for d in dots] == [0.9, 0.8, 0.5]
    assert len({d.get_color() for d in dots}) == 3
    assert ax.get_xlim()[0] < 0.45 <= 0.92 < ax.get_xlim()[1]
    drawn(td.Scores())


def test_a_score_is_drawn_image_by_image(scores):
    ax = drawn(scores[0])
    assert sum(bar.get_height() for bar in ax.patches[:20]) == 4


def test_a_split_is_drawn_with_controls_and_other_learners(split):
    ax = drawn(split)
    assert labels_of(ax.yaxis) == ["adversarial", "random", "convnet: within"]
    colours = [line.get_color() for line in ax.lines if line.get_marker() == "o"][:3]
    assert len(set(colours)) == 3


def test_evidence_is_drawn_of_all_tasks_and_of_one(evidence):
    ax = drawn(evidence)
    assert labels_of(ax.yaxis) == ["task_000", "label"]
    assert labels_of(ax.xaxis) == ["label", "camera = old", "brightness"]
    assert np.isnan(np.asarray(ax.images[0].get_array().filled(np.nan))[1, 0])
    one = drawn(evidence, task="task_000", columns=2)
    assert labels_of(one.yaxis) == ["label", "camera = old"]
    with pytest.raises(td.ConfigError, match="no evidence"):
        evidence.plot(task="task_009")


def test_tasks_are_drawn_by_their_surest_unseen_images(tasks):
    ax = drawn(tasks, columns=3)
    assert labels_of(ax.yaxis) == ["task_000: 0", "task_000: 1", "task_001: 0", "task_001: 1"]
    first = tasks.surest(0, 0, 3)
    unseen = np.arange(20, 40)[tasks.labels_ND[20:, 0] == 0]
    by_hand = unseen[np.argsort(tasks.coordinates_NP[unseen, 0])][:3]
    assert first.tolist() == by_hand.tolist()
    sheet = np.asarray(ax.images[0].get_array())
    assert (sheet[:8, :8] == tasks.images[first[0]]).all()


def test_pictures_that_stay_in_the_house_are_not_drawn(tasks):
    with showing(no_images=True):
        sheet = np.asarray(tasks.plot(columns=2).images[0].get_array())
    assert set(np.unique(sheet)) == {230, 255}
    bare = td.Tasks.of(list(tasks))
    with pytest.raises(td.ConfigError, match="hold no images"):
        bare.plot()
    assert isinstance(bare.plot(images=tasks.images), Axes)
    with pytest.raises(td.ConfigError, match="3 images are given"):
        bare.plot(images=tasks.images[:3])


def test_similarity_is_that_of_unseen_images_and_draws_itself(tasks):
    found = tasks.similarity
    alike = (tasks.labels_ND[20:, 0] == tasks.labels_ND[20:, 1]).mean()
    assert found.mean == found.max == pytest.approx(max(alike, 1 - alike))
    assert found.to_frame().loc["task_000", "task_001"] == found.matrix_DD[0, 1]
    assert np.asarray(found).shape == (2, 2)
    assert "task_001" in found._repr_html_()
    assert labels_of(drawn(found).xaxis) == ["task_000", "task_001"]
    assert tasks[:1].similarity.mean is None


def test_the_course_of_a_search_is_drawn(tasks):
    rows = [
        {"iteration": i, "correlation": c, "least": c - 0.1, "turned_degrees": 20 - i}
        for i, c in ((1, 0.5), (2, 0.7))
    ]
    found = td.Discovery(tasks=tasks, encoder=None, numbers={"iterations": rows})
    ax = drawn(found)
    assert list(ax.lines[0].get_ydata()) == [0.5, 0.7]
    with pytest.raises(td.ConfigError, match="no iterations"):
        td.Discovery(tasks=tasks, encoder=None, numbers={}).plot()
    from taskdiscovery.plots import draw_course

    steps = [{"step": 1, "agreement": 0.4}, {"step": 2, "agreement": 0.6}, {"event": "score"}]
    assert draw_course(steps).get_xlabel() == "outer step"


def test_what_is_missing_or_wrong_is_said(scores, monkeypatch):
    with pytest.raises(td.ConfigError, match="no axes of matplotlib"):
        scores.plot(ax="here")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(td.ConfigError, match="taskdiscovery\\[plot\\]"):
        scores.plot()
