"""The sentence at the top of a report says what the numbers say, either way."""

import numpy as np
import pytest

import taskdiscovery as td
from taskdiscovery.reporting.finding import finding
from taskdiscovery.reporting.scoreview import ScoreView
from taskdiscovery.types import Setup


def scored(values, covers="images and runs", chance=0.5):
    return td.Scores(
        td.Score(
            task=task,
            learner="mlp",
            preset="quick",
            precision="float32",
            runs=3,
            agreement=value,
            low=value - 0.02,
            high=value + 0.02,
            covers=covers,
            chance=chance,
            kappa=0.5,
            rate=0.5,
            accuracy=float("nan"),
            agreement_n=np.ones(2, np.float32),
            rows_n=np.arange(2),
            ids_n=np.array(["0", "1"]),
            name="tasks",
        )
        for task, value in values.items()
    )


def told(values, splits=(), discovered=True, **options):
    scores = scored(values, **options)
    names = tuple(n for n in values if n.startswith("task_")) or scores.scored
    view = ScoreView(scores, names, "mlp", 2)
    return finding(view, dict(enumerate(splits)), discovered=discovered)


def split(adversarial, random):
    labels = np.array([0, 1])
    labeling = td.Labeling(
        name="label", classes=("a", "b"), labels_N=labels, ids_N=labels.astype(str)
    )
    setup = Setup(
        orientation="same",
        group=(1,),
        class_balanced=False,
        learner="mlp",
        preset="quick",
        precision="float32",
        runs=3,
    )
    accuracy = {
        name: td.Interval(mean=mean, low=mean - 0.05, high=mean + 0.05)
        for name, mean in (("adversarial", adversarial), ("random", random))
    }
    return td.Split(
        target=labeling, task=labeling, role_N=np.zeros(2, np.int8), setup=setup, accuracy=accuracy
    )


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"task_000": 0.9, "task_001": 0.8, "random": 0.5}, "on all 2 tasks clearly more"),
        ({"task_000": 0.9, "task_001": 0.51, "random": 0.5}, "on 1 of 2 tasks clearly more"),
        ({"task_000": 0.5, "task_001": 0.51, "random": 0.5}, "on none of 2 tasks clearly more"),
        ({"task_000": 0.9, "random": 0.5}, "on its task clearly more than on random labels (0.90"),
        ({"task_000": 0.5, "random": 0.5}, "on no task clearly more"),
        ({"task_000": 0.9, "label:0": 0.95, "random": 0.5}, "on no task clearly more than on clas"),
        ({"task_000": 0.9}, "with no random labels beside them"),
    ],
)
def test_it_says_how_many_tasks_are_clearly_above_what(values, words):
    text = told(values)
    assert words in text
    assert text.startswith("Runs of mlp agree")
    assert text.endswith(".")


def test_it_says_what_intervals_cover():
    values = {"task_000": 0.9, "random": 0.5}
    assert "over images and runs." in told(values)
    assert "over images alone (one pair" in told(values, covers="images")


def test_it_says_where_class_rates_alone_make_runs_agree():
    values = {"task_000": 0.9, "random": 0.85}
    assert "class rates" not in told(values)
    assert "(0.90 against 0.85, of which class rates alone give 0.82)" in told(values, chance=0.82)


def test_it_says_whether_the_worst_split_breaks():
    values = {"task_000": 0.9, "random": 0.5}
    both = told(values, [split(0.8, 0.82), split(0.3, 0.9)])
    assert "60 points (53 to 67) less than on a random split of label" in both
    weak = told(values, [split(0.8, 0.82)])
    assert "not clearly less than on a random split of label (82%)" in weak


def test_tasks_that_nobody_scored_are_not_praised():
    view = ScoreView(td.Scores(), ("task_000", "task_001"), "mlp", 2)
    text = finding(view, {}, discovered=True)
    assert text == "2 tasks were found, and none is scored: whether runs agree is not known."
    assert told({"label": 0.9, "random": 0.5}, discovered=False).startswith(
        "Runs of mlp agree on its labeling clearly more"
    )
