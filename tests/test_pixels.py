"""Pixels: the same file gives the same bytes by every way, and each kind its right value."""

import io
import os
import re
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import PIL
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageOps, features

import taskdiscovery as td
from drawn import LAID, exif, grey_ramp, png, png_of_few_bits, saved, tiff
from taskdiscovery.cli import main

PILLOW = int(PIL.__version__.split(".")[0])
ENDING = {"PNG": "png", "BMP": "bmp", "GIF": "gif", "TIFF": "tif", "WEBP": "webp", "PPM": "ppm"}


def write(folder, files, ending="png"):
    """Write encoded images into a folder, in their order."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, content in enumerate(files):
        (folder / f"{i:03d}.{ending}").write_bytes(content)
    return folder


def loaded(folder, files, **options):
    return td.load(f"folder:{write(folder, files)}", callbacks=(), **options)


def by_every_reader(place, files, ending="png", **options):
    """Read the same files by every reader that sees bytes."""
    folder = write(place / "files", files, ending)
    paths = sorted(folder.iterdir())
    table = pd.DataFrame({"file": [f"files/{p.name}" for p in paths]})
    table.to_csv(place / "table.csv", index=False)
    pq.write_table(pa.table({"image": pa.array(files, pa.binary())}), place / "plain.parquet")
    cells = [{"bytes": content, "path": None} for content in files]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    pq.write_table(pa.table({"image": pa.array(cells, kind)}), place / "hub.parquet")
    given = {
        "folder": f"folder:{folder}",
        "csv": f"csv:{place / 'table.csv'}",
        "parquet": f"parquet:{place / 'plain.parquet'}",
        "parquet of the hub": f"parquet:{place / 'hub.parquet'}",
        "frame of paths": pd.DataFrame({"path": [str(p) for p in paths]}),
        "frame of bytes": pd.DataFrame({"image": files}),
        "frame of the hub": pd.read_parquet(place / "hub.parquet"),
        "hugging face": HubTable(cells),
    }
    return {name: td.load(data, callbacks=(), **options) for name, data in given.items()}


class HubTable:
    """A data set as the `datasets` package gives it, of one column of images that it can decode."""

    class Image:
        def __init__(self, decode=True):
            self.decode = decode

    def __init__(self, cells, decode=True):
        self.cells, self.features = cells, {"image": self.Image(decode)}
        self.column_names = ["image"]

    def with_format(self, kind):
        return self

    def select_columns(self, names):
        return self

    def cast_column(self, name, feature):
        return HubTable(self.cells, feature.decode)

    def __len__(self):
        return len(self.cells)

    def __getitem__(self, key):
        assert not self.features["image"].decode, "it must not decode"
        return {"image": self.cells[key]}


# --- the same bytes by every way -------------------------------------------------------------


def on_white(levels, alpha):
    """(…, C) levels from 0 to 255, and (…) alpha from 0 to 1."""
    return np.rint(levels * alpha[..., None] + 255 * (1 - alpha[..., None]))


def rgb_of_cmyk(inks):
    key = 255.0 - inks[..., 3:]
    return key - np.rint(key * inks[..., :3] / 255)


LOSSLESS = {
    "WEBP": {"lossless": True, "exact": True},
    "JPEG2000": {"irreversible": False, "num_resolutions": 1, "mct": 0},
}


@st.composite
def drawn(draw):
    """Two images of one mode, written in a format that holds them: files, and what they show."""
    mode = draw(st.sampled_from(list(WRITERS)))
    formats, make = WRITERS[mode]
    height, width = draw(st.integers(1, 9)), draw(st.integers(2, 9))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(formats))
    files, shown = [], []
    for _ in range(2):
        content, seen = make(rng, height, width, kind)
        files.append(content)
        shown.append(seen)
    return mode, kind, files, np.stack(shown)


def _levels(rng, height, width, channels):
    levels = rng.integers(0, 256, (height, width, channels), dtype=np.uint8)
    levels[0, 0], levels[0, 1] = 0, 255  # never one colour alone
    return levels


def _save(array, mode, kind, **options):
    height, width = array.shape[:2]
    picture = Image.frombytes(mode, (width, height), np.ascontiguousarray(array).tobytes())
    options |= LOSSLESS.get(kind, {})
    return saved(picture, kind, **options)


def _bits(rng, height, width, kind):
    levels = np.where(_levels(rng, height, width, 1) > 127, 255, 0).astype(np.uint8)
    return saved(Image.fromarray(levels[..., 0]).convert("1"), kind), levels


def _grey(rng, height, width, kind):
    levels = _levels(rng, height, width, 1)
    return _save(levels, "L", kind), levels


def _grey_alpha(rng, height, width, kind):
    both = _levels(rng, height, width, 2)
    both[0, :2, 1] = 255
    return _save(both, "LA", kind), on_white(both[..., :1], both[..., 1] / 255)


def _palette(rng, height, width, kind, see_through=False):
    colours = rng.integers(0, 256, (256, 3), dtype=np.uint8)
    colours[:2] = [[1, 2, 3], [200, 100, 50]]
    indices = rng.integers(0, 16, (height, width), dtype=np.uint8)
    indices[0, 0], indices[0, 1] = 0, 1
    picture = Image.frombytes("P", (width, height), indices.tobytes())
    picture.putpalette(colours.tobytes())
    shown = colours[indices].astype(float)
    if not see_through:
        return saved(picture, kind), shown
    if kind == "GIF":
        shown[indices == 3] = 255
        return saved(picture, kind, transparency=3), shown
    alpha = rng.integers(0, 256, 16, dtype=np.uint8)
    alpha[:2] = 255
    return saved(picture, kind, transparency=alpha.tobytes()), on_white(shown, alpha[indices] / 255)


def _see_through(rng, height, width, kind):
    return _palette(rng, height, width, kind, see_through=True)


def _rgb(rng, height, width, kind):
    levels = _levels(rng, height, width, 3)
    return _save(levels, "RGB", kind), levels


def _rgba(rng, height, width, kind):
    both = _levels(rng, height, width, 4)
    both[0, :2, 3] = 255
    return _save(both, "RGBA", kind), on_white(both[..., :3], both[..., 3] / 255)


def _cmyk(rng, height, width, kind):
    inks = _levels(rng, height, width, 4)
    return _save(inks, "CMYK", kind), rgb_of_cmyk(inks)


def _deep(rng, height, width, kind):
    values = rng.integers(0, 65536, (height, width), dtype=np.uint16)
    values[0, 0], values[0, 1] = 0, 65535
    shown = np.rint(values[..., None] / 257)
    if kind == "big-endian TIFF":
        return tiff(values, endian=">"), shown
    return saved(Image.fromarray(values), kind, **LOSSLESS.get(kind, {})), shown


def _floats(rng, height, width, kind):
    values = rng.random((height, width), dtype=np.float32)
    values[0, 0], values[0, 1] = 0, 1
    shown = np.rint(values.astype(np.float64)[..., None] * 255)
    return saved(Image.fromarray(values), kind), shown


WRITERS = {
    "1": (["PNG", "TIFF", "BMP", "PPM"], _bits),
    "L": (["PNG", "TIFF", "BMP", "PPM", "JPEG2000"], _grey),
    "LA": (["PNG", "TIFF", "JPEG2000"], _grey_alpha),
    "P": (["PNG", "TIFF", "BMP", "GIF"], _palette),
    "P with transparency": (["PNG", "GIF"], _see_through),
    "RGB": (["PNG", "TIFF", "BMP", "WEBP", "PPM", "JPEG2000"], _rgb),
    "RGBA": (["PNG", "TIFF", "WEBP", "JPEG2000"], _rgba),
    "CMYK": (["TIFF"], _cmyk),
    "I;16": (["PNG", "TIFF", "big-endian TIFF", "PPM", "JPEG2000"], _deep),
    "F": (["TIFF", "PPM"], _floats),
}


@given(drawn())
def test_a_file_gives_the_same_bytes_by_every_way(tmp_path_factory, one):
    mode, kind, files, shown = one
    found = by_every_reader(
        tmp_path_factory.mktemp("way"), files, ENDING.get(kind.split()[-1], "jpg")
    )
    for name, data in found.items():
        assert data.images.dtype == np.uint8
        assert data.images.shape == shown.shape, (mode, kind, name)
        assert (data.images == shown).all(), (mode, kind, name)
        assert data.fingerprint == td.from_arrays(shown.astype(np.uint8), ids=data.ids).fingerprint
    for data in found.values():
        pd.testing.assert_frame_equal(data.facts, found["folder"].facts)


@pytest.mark.parametrize("fit", ["crop", "squash", "pad"])
def test_a_size_gives_the_same_bytes_by_every_way_arrays_among_them(tmp_path, fit):
    rng = np.random.default_rng(0)
    levels = [rng.integers(0, 256, (20, 12, 3), dtype=np.uint8) for _ in range(3)]
    files = [saved(Image.fromarray(a), "PNG") for a in levels]
    found = by_every_reader(tmp_path, files, size=8, fit=fit)
    np.savez(tmp_path / "a.npz", images=np.stack(levels))
    lists = pa.array([a.tolist() for a in levels], pa.list_(pa.list_(pa.list_(pa.uint8()))))
    pq.write_table(pa.table({"pixels": lists}), tmp_path / "nested.parquet")
    pictures = [Image.fromarray(a) for a in levels]
    others = {
        "array": np.stack(levels),
        "npz": f"npz:{tmp_path / 'a.npz'}",
        "nested": f"parquet:{tmp_path / 'nested.parquet'}",
        "list": pictures,
        "frame": pd.DataFrame({"image": pictures}),
        "torch": [(picture, i) for i, picture in enumerate(pictures)],
    }
    for name, data in others.items():
        if name == "torch":
            found[name] = td.from_torch(data, size=8, fit=fit)
        else:
            found[name] = td.load(data, size=8, fit=fit, callbacks=())
    first = found["folder"].images
    assert first.shape == (3, 8, 8, 3)
    for name, data in found.items():
        assert (data.images == first).all(), name
        assert (data.size, data.fit) == (8, fit)


# --- orientation -----------------------------------------------------------------------------

UPRIGHT = np.zeros((6, 4, 3), dtype=np.uint8)
UPRIGHT[0, 0], UPRIGHT[0, 3], UPRIGHT[5, 0], UPRIGHT[2, 1] = (255, 0, 0), (0, 255, 0), 90, 200


def _mpo(picture, tag):
    """Two JPEGs in one file; Pillow writes no EXIF into it."""
    stream = io.BytesIO()
    picture.save(stream, "MPO", save_all=True, append_images=[picture], quality=100, subsampling=0)
    content = stream.getvalue()
    at = content.index(b"\xff\xe2")  # before the list of pictures
    marker = b"Exif\0\0" + tag
    return content[:at] + b"\xff\xe1" + struct.pack(">H", len(marker) + 2) + marker + content[at:]


def _png_late(picture, tag):
    return png(np.asarray(picture), after=[(b"eXIf", tag)])


def _tiff_by_hand(picture, tag, endian="<"):
    array = np.asarray(picture)
    return tiff(array, endian=endian, orientation=struct.unpack("<H", tag[18:20])[0])


def _by_pillow(kind, **options):
    return lambda picture, tag: saved(picture, kind, exif=b"Exif\0\0" + tag, **options)


def _tiff(compression):
    def make(picture, tag):
        own = Image.Exif()
        own.load(b"Exif\0\0" + tag)
        return saved(picture, "TIFF", exif=own, compression=compression)

    return make


def _xmp(picture, tag):
    words = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><r tiff:Orientation="{tag[18]}"/></x:xmpmeta>'
    return saved(picture, "JPEG", quality=100, subsampling=0, xmp=words.encode())


ORIENTED = {
    "JPEG": _by_pillow("JPEG", quality=100, subsampling=0),
    "JPEG with XMP": _xmp,
    "MPO": _mpo,
    "PNG": _by_pillow("PNG"),
    "PNG, EXIF after its pixels": _png_late,
    "WebP": _by_pillow("WEBP", lossless=True),
    "AVIF": _by_pillow("AVIF", quality=100, subsampling="4:4:4"),
    "TIFF": _tiff(None),
    "TIFF, compressed": _tiff("tiff_lzw"),
    "TIFF, by hand": _tiff_by_hand,
    "TIFF, big-endian": lambda picture, tag: _tiff_by_hand(picture, tag, ">"),
}


@pytest.mark.parametrize("kind", ORIENTED)
def test_every_orientation_is_applied_once(tmp_path, kind):
    if kind == "AVIF" and not ("avif" in features.modules and features.check("avif")):
        pytest.skip("this Pillow reads no AVIF")
    files = [ORIENTED[kind](Image.fromarray(LAID[o](UPRIGHT)), exif(o)) for o in range(1, 9)]
    data = loaded(tmp_path / "d", files)
    if kind == "JPEG with XMP" and PILLOW < 11:
        pytest.skip("this Pillow does not read it")
    close = 40 if kind in ("MPO", "JPEG", "JPEG with XMP", "AVIF") else 0
    assert data.images.shape == (8, 6, 4, 3)
    assert np.abs(data.images.astype(int) - UPRIGHT).max() <= close
    assert data.facts["orientation"].tolist() == list(range(1, 9))
    assert data.facts["width"].tolist() == [4] * 8
    assert "7 images are turned upright, as their orientation says" in data.notes


@pytest.mark.parametrize(
    "kind", ["grey", "grey of 16 bits", "floats", "colour of 16 bits", "1 bit"]
)
@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_every_orientation_of_other_depths(tmp_path, kind, format):
    ramp = grey_ramp(6, 4)
    array = {
        "grey": ramp,
        "grey of 16 bits": ramp.astype(np.uint16) * 257,
        "floats": (ramp / 255).astype(np.float32),
        "colour of 16 bits": np.stack([ramp, ramp[::-1], ramp], axis=2).astype(np.uint16) * 257,
        "1 bit": np.where(ramp > 100, 255, 0).astype(np.uint8),
    }[kind]
    if kind == "floats" and format == "PNG":
        pytest.skip("no PNG holds floats")
    files = []
    for o in range(1, 9):
        laid = np.ascontiguousarray(LAID[o](array))
        if format == "TIFF":
            files.append(tiff(laid, orientation=o))
        else:
            deep = 16 if laid.dtype == np.uint16 else 8
            files.append(png(laid, bits=deep, before=[(b"eXIf", exif(o, ">"))]))
    data = loaded(tmp_path / "d", files)
    shown = (
        np.rint(array * 255.0) if kind == "floats" else array // (257 if array.max() > 255 else 1)
    )
    assert (data.images == (shown if shown.ndim == 3 else shown[..., None])).all()


def test_damaged_exif_does_not_hide_a_sound_picture(tmp_path):
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8))
    files = [saved(picture, "PNG"), saved(picture, "JPEG", exif=b"Exif\0\0nonsense")]
    data = loaded(tmp_path / "d", files)
    assert data.facts["exif"].tolist() == [False, True]
    assert len(data) == 2


# --- depth and transparency: the right value of each kind ------------------------------------


def test_one_scale_for_a_data_set_never_for_an_image(tmp_path):
    rng = np.random.default_rng(0)
    for top, full in ((200, 255), (255, 255), (256, 1023), (1023, 1023), (4000, 4095)):
        values = rng.integers(0, 100, (3, 5, 5), dtype=np.uint16)
        values[1, 2, 3] = top
        data = loaded(tmp_path / str(top), [saved(Image.fromarray(v), "PNG") for v in values])
        assert (data.images[..., 0] == np.rint(values * 255.0 / full)).all()
        assert data.range == (0, full)
    values[1, 2, 3] = 16384
    data = loaded(tmp_path / "x", [saved(Image.fromarray(v), "PNG") for v in values])
    assert data.range == (0, 65535)
    assert "nearly black" in " ".join(data.problems)


def test_bytes_stay_as_they_are_beside_deep_images(tmp_path):
    plain = grey_ramp(5, 5)
    deep = grey_ramp(5, 5, 4000, np.uint16)
    files = [saved(Image.fromarray(plain), "PNG"), saved(Image.fromarray(deep), "PNG")]
    data = loaded(tmp_path / "d", files)
    assert (data.images[0, ..., 0] == plain).all()
    assert (data.images[1, ..., 0] == np.rint(deep * 255.0 / 4095)).all()


@pytest.mark.parametrize("endian", ["<", ">"])
@pytest.mark.parametrize("kind", ["u2", "i2", "u4", "i4", "f4", "f2", "f8"])
def test_tiff_of_every_type(tmp_path, endian, kind):
    """What Pillow opens is read right; what it does not open is refused by name."""
    dtype = np.dtype(kind)
    top = 1 if dtype.kind == "f" else 1000
    values = grey_ramp(4, 4, top, np.float64).astype(dtype)
    content = tiff(values, endian=endian)
    if kind in ("f2", "f8") or (endian, kind) == (">", "u4"):
        with pytest.raises(td.DataError, match=r"000\.png"):
            loaded(tmp_path / "d", [content])
        return
    data = loaded(tmp_path / "d", [content])
    full = 1.0 if dtype.kind == "f" else 1023.0
    shown = np.rint(values.astype(np.float64) * 255 / full)
    assert (data.images[0, ..., 0] == shown).all()
    assert data.range == (0, full)


def test_signed_bytes_are_no_bytes(tmp_path):
    values = np.linspace(-100, 100, 16).reshape(4, 4).astype(np.int8)
    with pytest.raises(td.DataError, match="from -100 to 100"):
        loaded(tmp_path / "d", [tiff(values)])
    data = loaded(tmp_path / "d", [tiff(values)], range=(-128, 127))
    assert (data.images[0, ..., 0] == values.astype(int) + 128).all()


def test_where_0_is_white(tmp_path):
    ramp = grey_ramp(4, 4)
    deep = tiff(ramp.astype(np.uint16) * 257, photometric=0)
    assert (loaded(tmp_path / "a", [deep]).images[0, ..., 0] == 255 - ramp).all()
    assert (
        loaded(tmp_path / "b", [tiff(ramp, photometric=0)]).images[0, ..., 0] == 255 - ramp
    ).all()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.linspace(-1, 1, 16, dtype=np.float32), "floats from -1 to 1"),
        (np.linspace(0, 1.5, 16, dtype=np.float32), "floats from 0 to 1.5"),
        (np.linspace(-1000, 2000, 16).astype(np.int32), "whole numbers from -1000 to 2000"),
        (np.linspace(0, 70_000, 16).astype(np.int32), "whole numbers from 0 to 70000"),
    ],
)
def test_what_would_be_a_guess_is_refused_until_a_range_is_given(tmp_path, values, words):
    files = [tiff(values.reshape(4, 4))]
    with pytest.raises(td.DataError, match=words) as caught:
        loaded(tmp_path / "d", files)
    assert "--range" in caught.value.hint
    low, high = float(values.min()), float(values.max())
    data = loaded(tmp_path / "d", files, range=(low, high))
    shown = np.rint((values.astype(np.float64) - low) * 255 / (high - low))
    assert (data.images.ravel() == shown).all()
    assert data.range == (low, high)


def test_floats_and_whole_numbers_together_need_a_range(tmp_path):
    files = [
        tiff(grey_ramp(4, 4, 1000, np.uint16)),
        tiff(np.linspace(0, 1, 16, dtype=np.float32).reshape(4, 4)),
    ]
    with pytest.raises(
        td.DataError, match=r"floats \(001.png\) and some whole numbers \(000.png\)"
    ):
        loaded(tmp_path / "d", files)
    assert loaded(tmp_path / "d", files, range=(0, 1000)).range == (0, 1000)


def test_values_out_of_the_range_are_clipped_and_counted(tmp_path):
    inside, outside = grey_ramp(4, 4, 1000, np.uint16), grey_ramp(4, 4, 3000, np.uint16)
    files = [saved(Image.fromarray(v), "PNG") for v in (inside, outside, outside[::-1])]
    data = loaded(tmp_path / "d", files, range=(0, 1000))
    shown = np.rint(np.minimum([inside, outside, outside[::-1]], 1000) * 255.0 / 1000)
    assert (data.images[..., 0] == shown).all()
    assert "2 images hold values outside of 0 to 1000, which are clipped" in data.problems
    data = loaded(tmp_path / "d", files, range=(0, 48_000))
    dark = "3 images hold no value above a sixteenth of 0 to 48000, the scale of the data set, and"
    assert any(line.startswith(dark) for line in data.problems)
    floats = td.load(np.linspace(0, 1, 96).reshape(3, 4, 8), range=(0, 200))
    assert any("3 images hold no value above a sixteenth" in line for line in floats.problems)


def test_values_that_are_not_finite_are_no_picture(tmp_path):
    values = np.linspace(0, 1, 16, dtype=np.float32).reshape(4, 4)
    bad = values.copy()
    bad[1, 1] = np.nan
    files = [tiff(values), tiff(bad)]
    with pytest.raises(td.DataError, match=r"1 of 2 images cannot be read: 001.png \(it holds"):
        loaded(tmp_path / "d", files)
    data = loaded(tmp_path / "d", files, skip_bad=True)
    assert len(data) == 1
    assert len(data.facts) == 1


@pytest.mark.parametrize("writer", ["PNG", "TIFF, <", "TIFF, >"])
@pytest.mark.parametrize("channels", [2, 3, 4])
def test_colour_and_alpha_of_16_bits_lose_nothing(tmp_path, writer, channels):
    rng = np.random.default_rng(channels)
    values = rng.integers(0, 4096, (5, 4, channels), dtype=np.uint16)
    values[0, 0] = 4095
    if channels != 3:
        values[..., -1] = rng.integers(0, 65536, (5, 4))
    if writer == "PNG":
        content = png(values, bits=16)
    elif channels == 2:
        pytest.skip("no such TIFF is opened by Pillow")
    else:
        extra = (2,) if channels == 4 else ()
        content = tiff(values, endian=writer[-1], extra=extra)
    data = loaded(tmp_path / "d", [content])
    levels = values * (255.0 / 4095)
    shown = np.rint(levels)
    if channels != 3:
        shown = on_white(levels[..., :-1], values[..., -1] / 65535)
    assert (data.images[0] == shown).all()
    assert data.range == (0, 4095)
    assert data.facts["bits"].tolist() == [16]


def test_compressed_colour_of_16_bits(tmp_path):
    """What libtiff decodes comes in the order of this machine."""
    Image.fromarray(grey_ramp(4, 4)).save(tmp_path / "x.tif", compression="tiff_deflate")
    values = np.random.default_rng(0).integers(0, 65536, (6, 5), dtype=np.uint16)
    for compression in ("tiff_lzw", "tiff_deflate", "packbits", None):
        content = saved(Image.fromarray(values), "TIFF", compression=compression)
        data = loaded(tmp_path / str(compression), [content])
        assert (data.images[0, ..., 0] == np.rint(values / 257)).all()


def test_planes_of_16_bits_are_refused(tmp_path):
    values = np.random.default_rng(0).integers(0, 65536, (6, 5, 3), dtype=np.uint16)
    with pytest.raises(td.DataError, match="separate planes"):
        loaded(tmp_path / "d", [tiff(values, planes=True)])
    levels = (values >> 8).astype(np.uint8)
    assert (loaded(tmp_path / "e", [tiff(levels, planes=True)]).images[0] == levels).all()


def test_one_transparent_colour(tmp_path):
    ramp = grey_ramp(4, 4)
    deep = ramp.astype(np.uint16) * 257
    colours = np.stack([deep, deep, deep[::-1]], axis=2)
    key = [(b"tRNS", struct.pack(">H", int(deep[1, 1])))]
    one = [(b"tRNS", struct.pack(">HHH", *map(int, colours[1, 1])))]
    grey = loaded(tmp_path / "a", [png(deep, bits=16, before=key)]).images[0, ..., 0]
    assert (grey == np.where(deep == deep[1, 1], 255, ramp)).all()
    colour = loaded(tmp_path / "b", [png(colours, bits=16, before=one)]).images[0]
    gone = (colours == colours[1, 1]).all(axis=2)
    assert gone.any()
    assert (colour == np.where(gone[..., None], 255, colours // 257)).all()
    plain = [(b"tRNS", struct.pack(">H", int(ramp[1, 1])))]
    grey = loaded(tmp_path / "c", [png(ramp, before=plain)]).images[0, ..., 0]
    assert (grey == np.where(ramp == ramp[1, 1], 255, ramp)).all()


@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("gone", [None, 1])
def test_grey_of_few_bits(tmp_path, bits, gone):
    full = 2**bits - 1
    values = np.arange(12).reshape(3, 4) % (full + 1)
    before = [] if gone is None else [(b"tRNS", struct.pack(">H", gone))]
    data = loaded(tmp_path / "d", [png_of_few_bits(values, bits, before)] * 2)
    shown = np.where(values == (-1 if gone is None else gone), 255, values * 255 // full)
    if (shown == shown[0, 0]).all():
        pytest.skip("white on white")
    assert (data.images[..., 0] == shown).all()
    assert data.facts["bits"].tolist() == [bits] * 2


@pytest.mark.parametrize("channels", [2, 4])
def test_colours_that_were_multiplied_with_alpha(tmp_path, channels):
    if channels == 2 and PILLOW < 12:
        pytest.skip("this Pillow does not open it")
    rng = np.random.default_rng(0)
    alpha = rng.integers(0, 256, (6, 5, 1))
    values = (rng.random((6, 5, channels - 1)) * (alpha + 1)).astype(np.uint8)
    both = np.concatenate([values, alpha.astype(np.uint8)], axis=2)
    data = loaded(tmp_path / "d", [tiff(both, extra=(1,))])
    assert (data.images[0] == values + (255 - alpha)).all()
    deep = both.astype(np.uint16) * 257
    if channels == 4:
        data = loaded(tmp_path / "e", [tiff(deep, extra=(1,))], range=(0, 65535))
        assert (data.images[0] == values + (255 - alpha)).all()


def test_a_palette_with_alpha(tmp_path):
    rng = np.random.default_rng(0)
    indices, alpha = rng.integers(0, 4, (2, 5, 4), dtype=np.uint8) * np.uint8(60)
    picture = Image.frombytes("PA", (4, 5), np.stack([indices, alpha], axis=2).tobytes())
    colours = rng.integers(0, 256, (256, 3), dtype=np.uint8)
    picture.putpalette(colours.tobytes())
    data = loaded(tmp_path / "d", [saved(picture, "TIFF")])
    assert (data.images[0] == on_white(colours[indices].astype(float), alpha / 255)).all()


def test_grey_with_alpha_counts_as_grey(tmp_path):
    both = np.random.default_rng(0).integers(0, 256, (5, 4, 2), dtype=np.uint8)
    deep = both.astype(np.uint16) * 257
    files = [saved(Image.fromarray(both[..., 0]), "PNG"), png(both), png(deep, bits=16)]
    data = loaded(tmp_path / "d", files)
    assert data.image_shape == (5, 4, 1)
    shown = on_white(both[..., :1].astype(float), both[..., 1] / 255)
    assert (data.images[1] == shown).all()
    assert (data.images[2] == shown).all()
    assert "2 images are transparent in part, and set on white" in data.notes
    colour = saved(Image.fromarray(np.repeat(both[..., :1], 3, axis=2)), "PNG")
    assert loaded(tmp_path / "d", [*files, colour]).image_shape == (5, 4, 3)


def test_alpha_that_hides_nothing_is_not_told(tmp_path):
    levels = np.random.default_rng(0).integers(0, 255, (5, 4, 4), dtype=np.uint8)
    levels[..., 3] = 255
    for deep in (False, True):
        content = png(levels.astype(np.uint16) * 257 if deep else levels, bits=16 if deep else 8)
        data = loaded(tmp_path / str(deep), [content])
        assert (data.images[0] == levels[..., :3]).all()
        assert not any("transparent" in note for note in data.notes)


def test_several_frames_are_told(tmp_path):
    pictures = [Image.fromarray(grey_ramp(8, 8)[:: 1 - 2 * (i % 2)].copy()) for i in range(3)]
    more = {"save_all": True, "append_images": pictures[1:]}
    for kind in ("TIFF", "GIF", "WEBP", "PNG"):
        content = saved(pictures[0], kind, **more)
        data = loaded(tmp_path / kind, [content, content])
        assert any("2 images hold several frames" in note for note in data.notes), kind


def test_what_is_no_image_is_refused_by_name(tmp_path):
    good = saved(Image.fromarray(grey_ramp(4, 4)), "PNG")
    with pytest.raises(td.DataError, match=r"001.png \(it is none of PNG, JPEG"):
        loaded(tmp_path / "d", [good, b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n"])


# --- size and fit ----------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(10, 20, 3), (20, 10, 3), (9, 20, 1), (1, 40, 3)])
def test_fit(tmp_path, shape):
    rng = np.random.default_rng(0)
    levels = rng.integers(0, 256, shape, dtype=np.uint8)
    picture = Image.fromarray(levels[..., 0] if shape[2] == 1 else levels)
    method = Image.Resampling.LANCZOS
    files = [saved(picture, "PNG")]

    def read(fit):
        return loaded(tmp_path / "d", files, size=8, fit=fit)

    def array(image):
        return np.asarray(image).reshape(image.height, image.width, shape[2])

    assert (read("crop").images[0] == array(ImageOps.fit(picture, (8, 8), method))).all()
    assert (read("squash").images[0] == array(picture.resize((8, 8), method))).all()
    padded = read("pad")
    height, width = (max(1, round(side * 8 / max(shape[:2]))) for side in shape[:2])
    inner = array(picture.resize((width, height), method))
    top, left = (8 - height) // 2, (8 - width) // 2
    expected = np.full((8, 8, shape[2]), 128, np.uint8)
    expected[top : top + height, left : left + width] = inner
    assert (padded.images[0] == expected).all()
    assert "1 images are padded with grey: the border tells" in padded.problems[-1]
    assert not any("padded" in line for line in read("crop").problems)


def test_size_and_fit_hold_for_what_is_drawn_and_for_functions(tmp_path, monkeypatch):
    (tmp_path / "own_data.py").write_text(
        "import numpy as np\nimport taskdiscovery as td\n"
        "images = np.random.default_rng(0).integers(0, 256, (30, 6, 12, 3), dtype=np.uint8)\n"
        "def pair(): return images, np.arange(30) % 2\n"
        "def parts(): return {'images': images}\n"
        "def whole(): return td.from_arrays(images)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import own_data

    shown = td.from_arrays(own_data.images, size=4, fit="pad").images
    for name in ("pair", "parts", "whole"):
        data = td.load(f"own_data:{name}", size=4, fit="pad", callbacks=())
        assert (data.images == shown).all()
        assert (data.size, data.fit) == (4, "pad")
        assert any("padded" in line for line in data.problems)
    assert data.fingerprint == td.from_arrays(shown).fingerprint
    assert td.load("digits", size=16, fit="squash").image_shape == (16, 16, 1)
    assert td.load("shapes?n=20", size=16, fit="squash").image_shape == (16, 16, 3)


def test_pictures_of_different_sizes_are_made_one(tmp_path):
    pictures = [
        Image.fromarray(grey_ramp(6, 8)),
        Image.fromarray(np.stack([grey_ramp(9, 5)] * 3, 2)),
    ]
    shown = [
        np.asarray(ImageOps.fit(p.convert("RGB"), (4, 4), Image.Resampling.LANCZOS))
        for p in pictures
    ]
    for data in (
        td.load(pictures, size=4),
        td.from_torch([(picture, 0) for picture in pictures], size=4),
        td.load(pd.DataFrame({"image": pictures}), size=4),
        td.load([np.asarray(picture) for picture in pictures], size=4),
    ):
        assert (data.images == shown).all()
    with pytest.raises(td.DataError, match="2 different shapes"):
        td.load(pictures)


# --- what was decoded already ----------------------------------------------------------------


def test_arrays_are_taken_as_they_are_and_that_is_said():
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 4, 3), dtype=np.uint8)
    data = td.load(images)
    assert data.images is images or (data.images == images).all()
    assert data.notes == ("pixels are taken as they were decoded (uint8)",)
    assert data.facts is None
    assert data.range is None
    for kind in (np.int8, np.uint16, np.int32, np.int64, np.uint64, ">i4"):
        small = (images // 2).astype(kind)
        data = td.load(small)
        assert (data.images == images // 2).all()
        assert data.range == (0, 255)
        assert f"({small.dtype})" in data.notes[0]
    yes = images > 100
    assert (td.load(yes).images == np.where(yes, 255, 0)).all()
    for kind in (np.float16, np.float32, np.float64, ">f4"):
        data = td.load((images / 255).astype(kind))
        assert (data.images == images).all()
        assert data.range == (0, 1)
        assert data.notes[0].endswith("; 0 to 1 became 0 to 255")
    assert (td.load(images.tolist()).images == images).all()
    with pytest.raises(td.DataError, match="different lengths"):
        td.load([[[1, 2], [3]], [[1, 2], [3, 4]]])


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (np.full((3, 4, 4), 256), "of type int64 reach from 256 to 256"),
        (np.full((3, 4, 4), -1), "of type int64 reach from -1 to -1"),
        (np.full((3, 4, 4), 1000, np.uint16), "of type uint16 reach from 1000 to 1000"),
        (np.full((3, 4, 4), 255.0), "float images reach from 255 to 255"),
        (np.linspace(-1, 1, 48).reshape(3, 4, 4), "float images reach from -1 to 1"),
    ],
)
def test_numbers_of_another_scale_need_a_range(images, words):
    with pytest.raises(td.DataError, match=words) as caught:
        td.load(images)
    assert "range=(LOW, HIGH)" in caught.value.hint
    images[0, 0, 0] = 0
    low, high = float(images.min()), float(images.max())
    data = td.load(images, range=(low, high))
    shown = np.rint((images.astype(float) - low) * 255 / (high - low))
    assert (data.images[..., 0] == shown).all()
    narrow = td.load(images, range=(low, low + (high - low) / 2))
    assert any("images hold values outside of" in line for line in narrow.problems)
    assert narrow.images.max() == 255


def test_channels_in_front_are_turned_or_refused():
    rng = np.random.default_rng(0)
    for channels in (1, 3, 4):
        front = rng.integers(0, 256, (5, channels, 9, 8), dtype=np.uint8)
        for data in (td.load(front), td.from_arrays(front)):
            assert (data.images == np.moveaxis(front, 1, -1)).all()
            assert "channels stood in front" in data.notes[0]
    for shape in ((5, 8, 8, 2), (5, 9, 9, 6), (5, 8, 8, 1), (5, 3, 5, 3), (5, 1, 9, 1)):
        last = rng.integers(0, 256, shape, dtype=np.uint8)
        assert (td.from_arrays(last).images == last).all()
    for shape in ((5, 16, 8, 8), (5, 2, 9, 9), (5, 5, 32, 32), (5, 8, 8, 8)):
        with pytest.raises(td.DataError, match="which axis is that of channels") as caught:
            td.from_arrays(rng.integers(0, 256, shape, dtype=np.uint8))
        assert "np.moveaxis(images, 1, -1)" in caught.value.hint
    with pytest.raises(td.DataError, match="may be one image"):
        td.from_arrays(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8))


def test_tensors_have_their_channels_in_front():
    torch = pytest.importorskip("torch")
    images = np.random.default_rng(0).integers(0, 256, (6, 4, 5, 3), dtype=np.uint8)
    front = torch.from_numpy(np.moveaxis(images, -1, 1).copy())
    samples = [(one, 0) for one in front]
    assert (td.from_torch(samples).images == images).all()
    assert (td.load(front.to(torch.bfloat16) / 255).images != images).sum() < images.size
    assert (td.from_torch([(one.float() / 255, 0) for one in front]).images == images).all()


def test_a_picture_opened_from_a_file_is_upright(tmp_path):
    for orientation in (3, 6):
        content = ORIENTED["PNG"](Image.fromarray(LAID[orientation](UPRIGHT)), exif(orientation))
        path = tmp_path / f"{orientation}.png"
        path.write_bytes(content)
        for _ in range(2):
            assert (td.load([Image.open(path)]).images[0] == UPRIGHT).all()
        turned = ImageOps.exif_transpose(Image.open(path))
        assert (td.load([turned, turned]).images[0] == UPRIGHT).all()


def test_pictures_beyond_8_bits_in_hand():
    deep = Image.fromarray(grey_ramp(4, 4, 4000, np.uint16))
    with pytest.raises(td.DataError, match="uint16 reach from 0 to 4000"):
        td.load([deep, deep])
    data = td.load([deep, Image.fromarray(grey_ramp(4, 4))], range=(0, 4095))
    assert (
        data.images[0, ..., 0] == np.rint(grey_ramp(4, 4, 4000, np.uint16) * 255.0 / 4095)
    ).all()
    assert (data.images[1, ..., 0] == grey_ramp(4, 4)).all()


# --- nested lists in Parquet -----------------------------------------------------------------


def nested(path, images, kind=None, **options):
    kind = kind or pa.list_(pa.list_(pa.list_(pa.uint8())))
    table = pa.table({"label": np.arange(len(images)) % 2, "image": pa.array(images, kind)})
    pq.write_table(table, path, **options)
    return f"parquet:{path}"


LISTS = {
    "lists": lambda kind: pa.list_(kind),
    "large": lambda kind: pa.large_list(kind),
    "fixed": lambda kind: pa.list_(kind, 6),
}


@pytest.mark.parametrize("kind", LISTS)
def test_nested_pixels(tmp_path, kind):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (40, 6, 6, 6), dtype=np.uint8)[..., :3].copy()
    outer = LISTS[kind]
    colour = outer(outer(pa.list_(pa.uint8())))
    spec = nested(tmp_path / "a.parquet", images.tolist(), colour, row_group_size=7)
    assert (td.load(spec).images == images).all()
    front = np.moveaxis(images, -1, 1)
    kind_front = pa.list_(outer(outer(pa.uint8())))
    data = td.load(nested(tmp_path / "b.parquet", front.tolist(), kind_front))
    assert (data.images == images).all()
    assert "channels stood in front" in data.notes[0]
    grey = images[..., 0]
    data = td.load(nested(tmp_path / "c.parquet", grey.tolist(), outer(outer(pa.uint8()))))
    assert (data.images[..., 0] == grey).all()
    sized = td.load(spec, size=4, fit="squash")
    assert (sized.images == td.from_arrays(images, size=4, fit="squash").images).all()


@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_nested_pixels_that_are_missing_are_refused_by_row(tmp_path, level):
    images = np.arange(2 * 3 * 4 * 5 * 3).reshape(10, 3, 4, 3).astype(np.uint8).tolist()
    place = images
    for index in (7, 2, 1, 0)[: level + 1][:-1]:
        place = place[index]
    place[(7, 2, 1, 0)[level]] = None
    for i in (0, 1):  # also behind a row group
        spec = nested(tmp_path / f"{i}.parquet", images, row_group_size=(100, 4)[i])
        words = "image 7 is missing" if level == 0 else "image 7 has missing pixels"
        with pytest.raises(td.DataError, match=words) as caught:
            td.load(spec)
        assert "column image" in caught.value.where


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda image: image[:-1], "image 6 has a list of 2 values where the first image has 3"),
        (lambda image: [*image, image[0]], "image 6 has a list of 4 values"),
        (lambda image: [image[0][:-1], *image[1:]], "image 6 has a list of 3 values"),
        (lambda image: [*image[:-1], [*image[2][:3], [1, 2]]], "image 6 has a list of 2 values"),
        (lambda image: [], "image 6 has a list of 0 values"),
        (lambda image: [row[:2] * 3 for row in image[:2]], "image 6 has a list of 2 values"),
    ],
)
@pytest.mark.parametrize("size", [None, 8])
def test_nested_pixels_of_other_lengths_are_refused_by_row(tmp_path, change, words, size):
    """The same number of pixels in another shape among them."""
    images = np.random.default_rng(0).integers(0, 256, (9, 3, 4, 3), dtype=np.uint8).tolist()
    images[6] = change(images[6])
    with pytest.raises(td.DataError, match=words):
        td.load(nested(tmp_path / "a.parquet", images), size=size)


def test_parquet_that_names_its_files(tmp_path):
    """As the hub's own library writes it where it is not asked to embed them."""
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    pictures = [grey_ramp(4, 4), grey_ramp(4, 4)[::-1].copy()]
    (tmp_path / "a.png").write_bytes(saved(Image.fromarray(pictures[0]), "PNG"))
    inside = saved(Image.fromarray(pictures[1]), "PNG")
    cells = [{"bytes": None, "path": "a.png"}, {"bytes": inside, "path": "b.png"}]
    pq.write_table(pa.table({"image": pa.array(cells, kind)}), tmp_path / "x.parquet")
    assert (td.load(f"parquet:{tmp_path / 'x.parquet'}").images[..., 0] == pictures).all()
    (tmp_path / "a.png").write_bytes(saved(Image.fromarray(pictures[1]), "PNG"))
    assert (td.load(f"parquet:{tmp_path / 'x.parquet'}").images[0, ..., 0] == pictures[1]).all()
    (tmp_path / "a.png").unlink()
    with pytest.raises(td.DataError, match=r"No such file or directory: .*a\.png"):
        td.load(f"parquet:{tmp_path / 'x.parquet'}")


# --- the cache -------------------------------------------------------------------------------


def bitmaps(folder, level):
    """Bitmaps of one size, whatever they show."""
    array = grey_ramp(8, 8)
    array[7, 7] = level
    write(folder, [saved(Image.fromarray(array), "BMP")] * 2, "bmp")
    for path in folder.iterdir():
        os.utime(path, (0, 0))
    return array


def test_folders_that_look_alike_are_two(tmp_path):
    """Names, sizes and times of change are those of an archive that was unpacked with time 0."""
    for level, folder in ((0, tmp_path / "train"), (200, tmp_path / "test")):
        array = bitmaps(folder, level)
        assert (td.load(f"folder:{folder}").images[0, ..., 0] == array).all()
    frames = [
        pd.DataFrame({"path": [str(p) for p in sorted((tmp_path / part).iterdir())]})
        for part in ("train", "test")
    ]
    assert [td.load(frame).images[0, 7, 7, 0] for frame in frames] == [0, 200]
    for part, level in (("train", 0), ("test", 200)):
        place = tmp_path / part / "t.csv"
        pd.DataFrame({"file": ["000.bmp", "001.bmp"]}).to_csv(place, index=False)
        assert td.load(f"csv:{place}").images[0, 7, 7, 0] == level


def test_a_file_written_anew_is_read_anew(tmp_path):
    bitmaps(tmp_path / "d", 0)
    assert td.load(f"folder:{tmp_path / 'd'}").images[0, 7, 7, 0] == 0
    place = tmp_path / "d" / "000.bmp"
    content = bytearray(place.read_bytes())
    assert content[-8:] == bytes([*grey_ramp(8, 8)[0]])  # rows stand from below
    content[-8] = 99
    with place.open("rb+") as stream:  # the same inode
        stream.write(bytes(content))
    os.utime(place, (0, 0))
    assert td.load(f"folder:{tmp_path / 'd'}").images[0, 0, 0, 0] == 99


def test_each_way_to_read_has_its_own_place(tmp_path):
    deep = [tiff(grey_ramp(6, 9, top, np.uint16)) for top in (300, 900)]
    folder = write(tmp_path / "d", deep)
    ways = [{}, {"size": 4}, {"size": 4, "fit": "pad"}, {"size": 4, "fit": "squash"}]
    ways += [{"range": (0, 900)}, {"range": (0, 1000)}, {"skip_bad": True}]
    places = set()
    for way in ways:
        data = td.load(f"folder:{folder}", cache=tmp_path / "cache", **way)
        places.add(data.images.filename)
        again = td.load(f"folder:{folder}", cache=tmp_path / "cache", **way)
        assert again.images.filename == data.images.filename
        assert (again.problems, again.notes, again.range) == (data.problems, data.notes, data.range)
        pd.testing.assert_frame_equal(again.facts, data.facts)
    assert len(places) == len(ways)
    for place in (tmp_path / "cache").iterdir():
        names = sorted(p.name for p in place.iterdir())
        assert names == ["facts.parquet", "images.npy", "kept.npy", "meta.json"]


# --- facts -----------------------------------------------------------------------------------


def test_facts(tmp_path):
    rng = np.random.default_rng(0)
    picture = Image.fromarray(rng.integers(0, 256, (16, 24, 3), dtype=np.uint8))
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    files = [
        saved(picture, "JPEG", quality=90),
        saved(picture, "JPEG", quality=35, progressive=True, icc_profile=profile),
        saved(picture, "JPEG", quality=90, exif=b"Exif\0\0" + exif(6)),
        saved(picture.convert("L"), "PNG"),
        saved(picture.quantize(7), "PNG"),
        saved(picture, "WEBP"),
        saved(picture.quantize(9), "GIF"),
        saved(picture, "BMP"),
        saved(picture.convert("CMYK"), "TIFF"),
        png(rng.integers(0, 65536, (16, 24, 3), dtype=np.uint16), bits=16),
    ]
    data = loaded(tmp_path / "d", files, size=8)
    facts = data.facts
    assert len(facts) == len(data) == 10
    assert facts["bytes"].tolist() == [len(content) for content in files]
    assert facts["bytes_per_pixel"].tolist() == [len(content) / 384 for content in files]
    formats = ["JPEG"] * 3 + ["PNG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PNG"]
    assert facts["format"].tolist() == formats
    modes = ["RGB"] * 3 + ["L", "P", "RGB", "P", "RGB", "CMYK", "RGB"]
    assert facts["mode"].tolist() == modes
    assert facts["bits"].tolist() == [8, 8, 8, 8, 4, 8, 8, 8, 8, 16]
    assert facts["width"].tolist() == [24, 24, 16, *[24] * 7]
    assert facts["height"].tolist() == [16, 16, 24, *[16] * 7]
    assert facts["aspect"].tolist() == [1.5, 1.5, 16 / 24, *[1.5] * 7]
    assert facts["exif"].tolist() == [False, False, True, *[False] * 7]
    assert facts["orientation"].tolist() == [1, 1, 6, *[1] * 7]
    assert facts["icc"].tolist() == [False, True, *[False] * 8]
    assert facts["quality"].fillna(0).tolist() == [90, 35, 90, *[0] * 7]
    assert facts["progressive"].tolist() == [False, True, *[False] * 8]
    hashes = facts["quantization"].tolist()
    assert hashes[0] == hashes[2] != hashes[1]
    assert hashes[3:] == [""] * 7
    kept = pd.read_parquet(Path(data.images.filename).parent / "facts.parquet")
    pd.testing.assert_frame_equal(kept, facts)


def test_facts_of_what_is_left(tmp_path):
    good = [saved(Image.fromarray(grey_ramp(4 + i, 4 + i)), "PNG") for i in range(4)]
    files = [good[0], b"", good[1], good[2][:60], good[3]]
    data = loaded(tmp_path / "d", files, size=4, skip_bad=True)
    assert data.facts["bytes"].tolist() == [len(good[i]) for i in (0, 1, 3)]
    assert [i.split(".")[0] for i in data.ids] == ["000", "002", "004"]
    assert data.facts["width"].tolist() == [4, 5, 7]
    with pytest.raises(td.DataError, match="3 facts for 1 images"):
        _ = replace(data, images=data.images[:1], ids=data.ids[:1]).facts


def test_the_quality_of_every_jpeg_of_libjpeg_is_known(tmp_path):
    picture = Image.fromarray(grey_ramp(8, 8))
    files = [saved(picture, "JPEG", quality=quality) for quality in range(1, 101)]
    found = loaded(tmp_path / "d", files).facts["quality"].tolist()
    assert [abs(f - q) for f, q in zip(found, range(1, 101), strict=True)] == [0] * 100


# --- the options, and what a run keeps of them -----------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"range": (5, 5)}, "two numbers, the lower one first"),
        ({"range": (0, float("inf"))}, "two numbers"),
        ({"range": 5}, "two numbers"),
        ({"range": (0, 1, 2)}, "two numbers"),
        ({"range": "0"}, "two numbers"),
        ({"fit": "stretch", "size": 8}, "'stretch'"),
        ({"fit": "pad"}, "none is given"),
    ],
)
def test_options_that_are_none(options, words):
    images = np.zeros((3, 4, 4), dtype=np.uint8)
    for call in (td.load, td.from_arrays, td.discover):
        with pytest.raises(td.ConfigError, match=words):
            call(images, **options)


def test_a_range_on_the_command_line_in_files_and_in_python(tmp_path):
    from taskdiscovery.cli.parser import build, config_of
    from taskdiscovery.config import ScoreConfig, from_mapping, to_mapping, words_of

    for words, expected in (
        (["--range", "-1000,2000.5"], (-1000, 2000.5)),
        (["--range=0,4095"], (0, 4095)),
        (["--range", "0, 1e3"], (0, 1000)),
    ):
        given = vars(build().parse_args(["score", "digits", *words]))
        config = config_of("score", given)[1]
        assert config.range == expected
        assert from_mapping(ScoreConfig, to_mapping(config), "here") == config
        given = vars(build().parse_args(["score", "digits", *words_of(config)]))
        assert config_of("score", given)[1] == config
    (tmp_path / "c.yaml").write_text("range: [0, 4095]\nfit: pad\nsize: 16\n")
    given = vars(build().parse_args(["score", "digits", "--config", str(tmp_path / "c.yaml")]))
    config = config_of("score", given)[1]
    assert (config.range, config.fit, config.size) == ((0, 4095), "pad", 16)


BRIEF = {"tasks": 2, "method": "spectral", "learner": "linear", "epochs": 1, "encoder_epochs": 1}
CHEAP = {"preset": "smoke", "runs": 2, "epochs": 1, "batch": 16, "learner": "linear"}


def deep_folder(folder, count, top, size=(10, 14)):
    rng = np.random.default_rng(top)
    values = rng.integers(0, top, (count, *size), dtype=np.uint16)
    values[0, 0, 0] = top
    write(folder, [saved(Image.fromarray(v), "PNG") for v in values])
    return values


def test_other_images_are_read_as_the_run_read_its_own(tmp_path):
    deep_folder(tmp_path / "own", 250, 4000)
    values = deep_folder(tmp_path / "other", 30, 900)
    place = tmp_path / "run"
    own = f"folder:{tmp_path / 'own'}"
    found = td.discover(own, size=8, fit="pad", out=place, callbacks=(), threads=1, **BRIEF)
    run = td.open_run(place)
    assert run.config["range"] == [0.0, 4095.0]
    assert (run.config["size"], run.config["fit"]) == (8, "pad")
    assert run.numbers["data"]["range"] == [0.0, 4095.0]
    assert yaml.safe_load((place / "config.yaml").read_text())["range"] == [0.0, 4095.0]

    other = f"folder:{tmp_path / 'other'}"
    read = td.load(other, size=8, fit="pad", range=(0, 4095), callbacks=())
    assert (td.load(other, callbacks=()).images[..., 0] == np.rint(values * 255.0 / 1023)).all()
    for labelled in (td.label(run, other, callbacks=()), td.label(found, other, callbacks=())):
        assert (labelled.images == read.images).all()
    assert main(["label", str(place), other, "--out", str(tmp_path / "l.csv"), "--quiet"]) == 0
    labels = pd.read_csv(tmp_path / "l.csv")["task_000"].to_numpy()
    assert (labels == labelled.labels_ND[:, 0]).all()
    assert main(["label", str(place), other, "--range", "0,1023", "--quiet"]) == 0  # if one must

    evidence = td.analyze(own, found, images=30, probe_images=10, threads=1, callbacks=())
    page = td.report(tmp_path / "page.html", own, found, evidence)
    assert "task_001" in page.read_text("utf-8")
    td.analyze(None, run, images=30, probe_images=10, threads=1, callbacks=(), out=place)
    assert main(["report", str(place), "--quiet"]) == 0
    scored = td.score(own, run, threads=1, callbacks=(), out=tmp_path / "scores", **CHEAP)
    assert td.open_run(tmp_path / "scores").config["range"] == [0.0, 4095.0]
    assert td.open_run(tmp_path / "scores").fingerprint == run.fingerprint
    assert len(scored) == 3


def test_a_job_goes_on_with_the_range_that_it_began_with(tmp_path):
    deep_folder(tmp_path / "own", 40, 4000)
    place = tmp_path / "run"

    class Stop(td.Callback):
        def on_checkpoint(self, number):
            if number == 1:
                raise KeyboardInterrupt

    options = {"threads": 1, "size": 8, "fit": "squash", **CHEAP}
    target = [np.arange(40) % 2, np.arange(40) % 3 == 0]
    own = f"folder:{tmp_path / 'own'}"
    with pytest.raises(KeyboardInterrupt):
        td.score(own, target, out=place, callbacks=[Stop()], **options)
    done = td.resume(place, tasks=target, callbacks=())
    whole = td.score(own, target, callbacks=(), **options)
    pd.testing.assert_frame_equal(done.to_frame(), whole.to_frame())
    assert td.open_run(place).config["range"] == [0.0, 4095.0]


def test_a_data_set_in_hand_leaves_in_the_run_how_it_was_read(tmp_path):
    rng = np.random.default_rng(0)
    files = [
        saved(Image.fromarray(rng.integers(0, 256, (9, 12 + i % 2, 3), dtype=np.uint8)), "PNG")
        for i in range(250)
    ]
    data = loaded(tmp_path / "own", files, size=8, fit="squash")
    td.discover(data, out=tmp_path / "run", callbacks=(), threads=1, **BRIEF)
    run = td.open_run(tmp_path / "run")
    assert (run.config["size"], run.config["fit"], run.config["range"]) == (8, "squash", None)
    td.analyze(None, run, images=30, probe_images=10, threads=1, callbacks=())


def test_grey_images_are_labelled_by_an_encoder_of_colour(tmp_path):
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 256, (40, 8, 8), dtype=np.uint8)
    colour = rng.integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)
    files = [saved(Image.fromarray(a), "PNG") for a in grey]
    mixed = [*files[:20], *(saved(Image.fromarray(a), "PNG") for a in colour)]
    data = loaded(tmp_path / "mixed", mixed)
    found = td.discover(data, callbacks=(), threads=1, **BRIEF)
    alone = loaded(tmp_path / "grey", files)
    assert alone.image_shape == (8, 8, 1)
    labelled = td.label(found, alone, callbacks=())
    as_colour = td.label(found, np.repeat(grey[..., None], 3, axis=3), callbacks=())
    assert (labelled.labels_ND == as_colour.labels_ND).all()
    assert (labelled.coordinates_NP[:20] == found.tasks.coordinates_NP[:20]).all()
    seen = found.tasks.seen_N[:20]  # the same images in colour were trained on
    assert labelled.seen_N[:20][seen].all()

    for images, words in (
        (colour[:, :6], "read them with --size 8"),
        (colour[..., :2], "three channels: convert them to RGB"),
        (grey[:, :6, :6, None], "--size 8 .size=8 in Python., and give images with three channels"),
    ):
        with pytest.raises(td.DataError, match="takes images of shape") as caught:
            found.encoder.transform(images)
        assert re.search(words, caught.value.hint)
        assert ("--size" in caught.value.hint) == (images.shape[1:3] != (8, 8))
