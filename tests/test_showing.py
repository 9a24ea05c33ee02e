"""Pictures that may not leave the house: blurred, or left out, in all HTML that is made."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

import taskdiscovery as td
from taskdiscovery.cli.main import main
from taskdiscovery.errors import ConfigError
from taskdiscovery.types.showing import VARIABLE, blurred

OPTIONS = {"learner": "mlp?width=0.1", "threads": 1, "batch": 64, "epochs": 1, "callbacks": ()}


def drawn(page: str) -> list[np.ndarray]:
    """Return the pixels of every picture in a page."""
    found = re.findall(r"data:image/(?:png|jpeg);base64,([A-Za-z0-9+/=]+)", page)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(one)))) for one in found]


@pytest.fixture(scope="module")
def found(digits):
    few = td.load(digits.images[:200], labels=digits.labels[:200])
    return few, td.discover(few, method=td.Spectral(), tasks=2, **OPTIONS)


def test_a_blurred_picture_keeps_means_alone():
    rng = np.random.default_rng(0)
    images = np.repeat(np.repeat(rng.integers(60, 190, (1, 6, 6, 3)), 8, 1), 8, 2).astype(np.uint8)
    board = (np.indices((48, 48)).sum(axis=0) % 2 * 80 - 40)[..., None]
    patterned, inverse = (np.uint8(images + sign * board) for sign in (1, -1))
    assert (patterned != inverse).all()
    assert np.abs(blurred(patterned).astype(int) - blurred(inverse)).max() <= 1
    assert blurred(patterned).std() > 5, "the colours stay"
    small = rng.integers(0, 255, (3, 8, 8, 1), dtype=np.uint8)
    assert len(np.unique(blurred(small)[0, [0, 0, -1, -1], [0, -1, 0, -1]])) <= 4
    assert np.array_equal(small, small.copy()), "what was given is left as it is"


def test_a_report_shows_pictures_as_it_was_asked_to(found, tmp_path):
    few, discovery = found
    pages = {
        name: td.report(tmp_path / f"{name}.html", few, discovery, **how).read_text("utf-8")
        for name, how in (("show", {}), ("blur", {"blur": True}), ("none", {"no_images": True}))
    }
    assert drawn(pages["none"]) == []
    assert "task_000" in pages["none"]
    sharp, soft = (drawn(pages[name]) for name in ("show", "blur"))
    assert len(sharp) == len(soft) > 0

    def rough(pixels):  # how much neighbours within a picture differ
        return np.abs(np.diff(pixels.astype(float), axis=1)).mean()

    assert all(rough(b) < rough(a) / 2 for a, b in zip(sharp, soft, strict=True))


@pytest.mark.parametrize(("mode", "pictures"), [("show", True), ("blur", True), ("none", False)])
def test_the_environment_decides_for_notebooks(found, monkeypatch, mode, pictures):
    monkeypatch.setenv(VARIABLE, mode)
    few, discovery = found
    for value in (few, discovery.tasks, td.info(few)):
        assert bool(drawn(value._repr_html_())) is pictures


def test_a_wrong_word_in_the_environment_is_an_error(found, monkeypatch):
    monkeypatch.setenv(VARIABLE, "blurr")
    with pytest.raises(ConfigError, match=VARIABLE):
        found[0]._repr_html_()


def test_the_command_line_has_the_same_options(found, tmp_path):
    few, _ = found
    np.savez(tmp_path / "d.npz", images=few.images, labels=few.labels)
    spec = f"npz:{tmp_path / 'd.npz'}"
    td.discover(spec, method=td.Spectral(), tasks=2, out=tmp_path / "run", **OPTIONS)
    assert main(["report", str(tmp_path / "run"), "--no-images", "--quiet"]) == 0
    assert drawn((tmp_path / "run/report.html").read_text("utf-8")) == []
    assert (
        main(["info", spec, "--report", str(tmp_path / "page.html"), "--no-images", "--quiet"]) == 0
    )
    assert drawn((tmp_path / "page.html").read_text("utf-8")) == []
