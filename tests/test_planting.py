"""Planted cues: the share that was asked for, the truth beside them, readable content."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import taskdiscovery as td
from taskdiscovery.cli.main import main
from taskdiscovery.config.measure import PLANTED
from taskdiscovery.data.planting import CUES


def photos(n=40, side=32, channels=3, seed=0):
    """Smooth pictures of different colours, as photographs are."""
    from PIL import Image

    rng = np.random.default_rng(seed)
    coarse = rng.integers(30, 220, (n, 6, 6, 3), dtype=np.uint8)
    images = [Image.fromarray(one).resize((side, side), Image.Resampling.BICUBIC) for one in coarse]
    return np.stack([np.asarray(one) for one in images])[..., :channels]


def test_options_name_the_cues_there_are():
    assert set(PLANTED) == set(CUES)
    assert len(CUES) >= 10


@pytest.mark.parametrize("cue", CUES)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", [28, 65])
def test_a_cue_is_seen_and_leaves_the_content(cue, channels, side):
    images, labels = photos(20, side, channels), np.arange(20) % 2
    found = td.plant(images, labels, cue=cue, strength=1.0, callbacks=())
    planted = found.dataset.images.astype(float)
    changed = np.abs(planted - images).max(axis=(1, 2, 3)) > 0
    assert changed.tolist() == (labels == 1).tolist() == found.has_N.tolist()
    assert planted.shape == images.shape
    for before, after in zip(images[labels == 1].astype(float), planted[labels == 1], strict=True):
        inner = np.s_[side // 5 : -side // 5, side // 5 : -side // 5]
        assert np.corrcoef(before[inner].ravel(), after[inner].ravel())[0, 1] > 0.5
    assert np.array_equal(images, photos(20, side, channels)), "what was given stays as it was"


@settings(max_examples=40, deadline=None)
@given(
    strength=st.floats(0, 1),
    upper=st.integers(1, 60),
    lower=st.integers(1, 60),
    seed=st.integers(0, 9),
)
def test_the_share_is_exact_in_either_class(strength, upper, lower, seed):
    labels = np.array([1] * upper + [0] * lower)
    images = np.repeat(photos(1, 8), len(labels), axis=0)
    images[0, 0, 0] += 1
    found = td.plant(images, labels, cue="border", strength=strength, seed=seed, callbacks=())
    for own, size in ((labels == 1, upper), (labels == 0, lower)):
        assert abs(found.aligned_N[own].sum() - strength * size) <= 0.5 + 1e-9
    assert found.numbers["aligned"] == int(found.aligned_N.sum())


def test_a_picture_has_the_same_cue_in_any_selection():
    images, labels = photos(30), np.arange(30) % 2
    ids = [f"p{i}" for i in range(30)]
    whole = td.from_arrays(images, labels, ids=ids)
    part = td.from_arrays(images[10:], labels[10:], ids=ids[10:])
    for cue in ("text", "noise"):
        made = [td.plant(d, "label:1", cue=cue, strength=1.0, callbacks=()) for d in (whole, part)]
        assert np.array_equal(made[0].dataset.images[10:], made[1].dataset.images)
    rows = made[0].has_N
    assert not np.array_equal(made[0].dataset.images[rows][0], made[0].dataset.images[rows][1])


def test_text_stands_at_different_places_and_corners_in_all_four():
    flat = np.full((40, 32, 32, 3), 90, dtype=np.uint8)
    flat[:, 16, 16] = np.arange(40)[:, None]
    labels = np.arange(40) % 2
    text = td.plant(flat, labels, cue="text", strength=1.0, callbacks=())
    places = {tuple(np.argwhere(i != 90)[0]) for i in text.dataset.images[text.has_N]}
    assert len(places) > 10
    corners = td.plant(flat, labels, cue="corners", strength=1.0, callbacks=()).dataset.images[1]
    assert all((corners[y, x] != 90).any() for y in (0, -1) for x in (0, -1))
    assert np.array_equal(corners[:4], corners[:4, ::-1]), "no side differs from its mirror"


def test_what_cannot_be_planted_is_refused(digits):
    for options, text in (
        ({"cue": "logoo"}, "did you mean 'logo'"),
        ({"strength": 1.5}, "strength"),
    ):
        with pytest.raises(td.ConfigError, match=text):
            td.plant(digits, "label:0", callbacks=(), **options)
    with pytest.raises(td.ConfigError, match="10 classes"):
        td.plant(digits, "label", callbacks=())
    with pytest.raises(td.ConfigError, match="target"):
        td.plant(digits, "", callbacks=())
    with pytest.raises(td.ConfigError, match="pixels"):
        td.plant(np.eye(40, 3), np.arange(40) % 2, callbacks=())


def test_the_folder_reads_as_what_was_planted(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.savez("d.npz", images=photos(40), labels=np.array(["cat", "a/b"] * 20))
    options = ["--target", "label:cat", "--cue", "tint", "--strength", "0.9", "--quiet"]
    assert main(["plant", "npz:d.npz", *options, "--out", "made"]) == 0
    assert "folder:made/images" in capsys.readouterr().out
    truth = pd.read_csv("made/truth.csv")
    numbers = json.loads((tmp_path / "made/planted.json").read_text())
    again = td.load("folder:made/images", callbacks=())
    same = td.plant("npz:d.npz", "label:cat", cue="tint", strength=0.9, callbacks=())
    rows = pd.Index(truth["file"]).get_indexer(again.ids)
    assert np.array_equal(again.images, same.dataset.images[rows])
    assert np.array_equal(truth["cue"].to_numpy(), same.has_N)
    assert numbers == same.numbers
    assert numbers["class_with_cue"] == "cat"
    assert main(["plant", "npz:d.npz", *options, "--out", "made"]) == 4
    assert "not empty" in capsys.readouterr().err
