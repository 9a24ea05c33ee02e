"""What a notebook shows: tables, thumbnails, and nothing that is not escaped."""

from dataclasses import replace

import numpy as np
import pytest

import taskdiscovery as td
from taskdiscovery.data.readers import shapes

EVIL = "<script>alert(1)</script>"
FAST = {"threads": 1, "learner": "linear", "preset": "smoke"}


@pytest.fixture(scope="module")
def dataset():
    made = shapes.draw(300, size=12)
    return replace(made, classes=(EVIL, *made.classes[1:]))


def test_tasks(dataset):
    found = td.discover(dataset, method="spectral", tasks=2, threads=1)
    html = found.tasks._repr_html_()
    assert html.count("<img") == 4
    assert "2 tasks of 300 images" in html
    assert "<img" not in replace(found.tasks, images=None)._repr_html_()
    named = replace(found.tasks, names=(EVIL, "b"), ids_N=np.array([EVIL] * 300))
    assert "<script" not in named._repr_html_()


def test_scores(dataset):
    target = replace(dataset.target("label"), name=EVIL)
    scores = td.score(dataset, target, **FAST)
    html = scores._repr_html_()
    assert "<script" not in html
    assert html.count("<tr>") == 3
    assert "linear, preset smoke, 2 runs" in html
    assert "<img" in scores[0]._repr_html_()
    assert scores.to_frame()["task"].tolist() == [EVIL, "random"]
    assert scores[0].to_frame().shape == (1, scores.to_frame().shape[1])
    assert td.Scores()._repr_html_().startswith("<table>")


def test_split(dataset):
    made = td.split(dataset, "label", "untrained:linear", runs=1, controls="random", **FAST)
    html = made._repr_html_()
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert html.count("<img") == 8
    assert "adversarial" in html
    assert "both sides" not in replace(made, images=None)._repr_html_()
