"""Corruptions: the same from the same seed, alone or in company, and stronger with strength."""

import numpy as np
import pandas as pd
import pytest

import taskdiscovery as td
from taskdiscovery.data.corruptions import CORRUPTIONS, STRENGTHS, corrupt, corrupted
from taskdiscovery.data.images.contents import fingerprint, hash_images

NAMES = {"gaussian_noise", "shot_noise", "impulse_noise", "snow", "fog", "brightness", "contrast"}
NAMES |= {"defocus_blur", "glass_blur", "motion_blur", "zoom_blur"}
NAMES |= {"elastic_transform", "pixelate", "jpeg_compression"}


def photos(n=4, side=32, channels=3, seed=0):
    """Pictures with edges and surfaces, as photographs have."""
    from PIL import Image

    rng = np.random.default_rng(seed)
    coarse = rng.integers(30, 220, (n, 5, 5, 3), dtype=np.uint8)
    images = [Image.fromarray(one).resize((side, side), Image.Resampling.BICUBIC) for one in coarse]
    made = np.stack([np.asarray(one) for one in images])
    third = max(2, side // 3)
    made[:, third : 2 * third, third : 2 * third] //= 3
    return made[..., :channels].copy()


def change(before, after):
    return float(((after.astype(float) - before) ** 2).mean())


def lost(before, after):
    """Share of the energy of gradients that is gone."""

    def energy(x):
        return sum(float((np.diff(x.astype(float), axis=a) ** 2).sum()) for a in (1, 2))

    return 1 - energy(after) / energy(before)


def covered(before, after):
    """Share of a picture's variance that does not follow the clean one."""
    pairs = zip(before.astype(float), after.astype(float), strict=True)
    return 1 - float(np.mean([np.corrcoef(a.ravel(), b.ravel())[0, 1] ** 2 for a, b in pairs]))


def repeated(before, after):
    """Share of pixels that are the same as their neighbours, beyond that of the clean picture."""

    def share(x):
        return sum(float((np.diff(x, axis=a) == 0).all(axis=3).mean()) for a in (1, 2)) / 2

    return share(after) - share(before)


#: what rises with strength: of clouds and of blocks the squared change need not.
RISES = {
    "fog": covered,
    "pixelate": repeated,
    "defocus_blur": lost,
    "motion_blur": lost,
    "zoom_blur": lost,
}


def test_there_are_the_fourteen_that_need_no_files():
    assert set(CORRUPTIONS) == NAMES
    assert len(CORRUPTIONS) == 14
    assert STRENGTHS == (1, 2, 3)


@pytest.mark.parametrize("name", sorted(NAMES))
@pytest.mark.parametrize("side", [8, 32, 96])
def test_strength_is_strength_at_every_size(name, side):
    images = photos(6 if side < 96 else 3, side)
    measure = RISES.get(name, change)
    found = [measure(images, corrupt(images, name, s, seed=0)) for s in STRENGTHS]
    assert 0 < found[0] < found[1] < found[2]


@pytest.mark.parametrize("name", sorted(NAMES))
@pytest.mark.parametrize("shape", [(8, 8, 1), (9, 13, 3), (32, 32, 1), (48, 32, 3), (16, 16, 5)])
def test_shapes_stay_and_the_content_can_be_told(name, shape):
    images = photos(3, max(shape))[:, : shape[0], : shape[1]]
    images = np.ascontiguousarray(images[..., np.arange(shape[2]) % 3])
    before = images.copy()
    for strength in STRENGTHS:
        found = corrupt(images, name, strength, seed=1)
        assert found.dtype == np.uint8
        assert found.shape == images.shape
        assert not np.array_equal(found, images)
    assert np.array_equal(images, before), "what was given stays as it was"


@pytest.mark.parametrize("name", sorted(NAMES))
def test_the_same_seed_draws_the_same_alone_and_in_company(name):
    images, ids = photos(5, 24), ["a", "b", "c", "d", "e"]
    whole = corrupt(images, name, 2, seed=3, ids=ids)
    assert np.array_equal(whole, corrupt(images, name, 2, seed=3, ids=ids))
    order = [3, 1]
    part = corrupt(images[order], name, 2, seed=3, ids=[ids[i] for i in order])
    assert np.array_equal(part, whole[order])
    numbered = corrupt(images, name, 2, seed=3)
    assert np.array_equal(numbered[:2], corrupt(images[:2], name, 2, seed=3))


@pytest.mark.parametrize("name", sorted(NAMES - {"defocus_blur", "zoom_blur", "brightness"}))
def test_what_is_drawn_differs_between_seeds_and_images(name):
    images = np.repeat(photos(1, 32), 2, axis=0)
    found, other = (corrupt(images, name, 3, seed=seed) for seed in (0, 1))
    drawn = name not in ("contrast", "pixelate", "jpeg_compression")
    assert np.array_equal(found, other) != drawn
    assert np.array_equal(found[0], found[1]) != drawn


def test_small_and_large_pictures_have_the_published_amounts():
    noise, blur = CORRUPTIONS["gaussian_noise"], CORRUPTIONS["defocus_blur"]
    assert [noise.amounts(s, 32) for s in STRENGTHS] == [(0.04,), (0.08,), (0.10,)]
    assert [noise.amounts(s, 224)[0] for s in STRENGTHS] == pytest.approx([0.08, 0.18, 0.38])
    assert noise.amounts(3, 8) == (0.10,), "amounts stay beyond both sizes"
    assert noise.amounts(3, 448) == pytest.approx((0.38,))
    assert blur.amounts(3, 16) == pytest.approx((0.75,)), "lengths go with the side"
    assert blur.amounts(3, 448) == pytest.approx((20.0,))
    between = [blur.amounts(2, side)[0] for side in (32, 48, 64, 96, 128, 224)]
    assert between == sorted(between)


def test_blur_keeps_the_mean_and_moves_nothing():
    point = np.zeros((1, 41, 41, 1), dtype=np.uint8)
    point[0, 18:23, 18:23] = 255
    for name in ("defocus_blur", "motion_blur"):
        found = corrupt(point, name, 3, seed=0)[0, ..., 0].astype(float)
        assert found.sum() == pytest.approx(point.sum(), rel=0.02)
        y, x = np.mgrid[:41, :41]
        centre = (found * y).sum() / found.sum(), (found * x).sum() / found.sum()
        assert centre == pytest.approx((20, 20), abs=0.1)


def test_black_noise_does_not_become_colour():
    dark = np.random.default_rng(0).integers(0, 3, (1, 16, 16, 3), dtype=np.uint8)
    found = corrupt(dark, "brightness", 3, seed=0).astype(int)
    assert (found.max(axis=3) - found.min(axis=3)).max() < 30
    assert found.min() > 50


def test_a_data_set_keeps_what_is_known_of_it():
    ids = [f"p{i}" for i in range(12)]
    clean = td.from_arrays(
        photos(12), np.arange(12) % 3, ids=ids, attributes=pd.DataFrame({"a": range(12)}), name="x"
    )
    found = corrupted(clean, "snow", 2, seed=5)
    assert found.ids.tolist() == ids
    assert np.array_equal(found.labels, clean.labels)
    assert found.classes == clean.classes
    assert found.attributes.equals(clean.attributes)
    assert found.name == "x with snow 2"
    assert found.notes[-1] == "corrupted: snow, strength 2 of 3, seed 5"
    assert np.array_equal(found.images, corrupt(clean.images, "snow", 2, 5, ids))
    known = fingerprint(hash_images(found.images), ids, found.labels)
    assert found.fingerprint == known != clean.fingerprint
    assert known == corrupted(clean, "snow", 2, seed=5).fingerprint


def test_what_cannot_be_done_is_said():
    images = photos(2, 8)
    with pytest.raises(td.ConfigError, match="did you mean 'snow'"):
        corrupt(images, "snoww", 1, seed=0)
    for strength in (0, 4, 1.5, True):
        with pytest.raises(td.ConfigError, match="give 1, 2 or 3"):
            corrupt(images, "snow", strength, seed=0)
    features = td.load(np.random.default_rng(0).normal(size=(30, 4)), callbacks=())
    with pytest.raises(td.ConfigError, match="pixels"):
        corrupted(features, "snow", 1, seed=0)
