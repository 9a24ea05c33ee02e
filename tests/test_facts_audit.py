"""What files say beside their pictures: when, with what, traces of codecs; and which fact tells."""

import io
import struct

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

import taskdiscovery as td
from drawn import chunk, png, saved
from taskdiscovery.auditing.filefacts import WORDS, binned, file_columns, told_by
from taskdiscovery.data.images import cache
from taskdiscovery.data.images.traces import TRACES, Traces

MAKE, MODEL, WRITTEN, EXIF, TAKEN = 271, 272, 306, 34665, 36867
ORIENTATION = 274


def photograph(seed, width=40, height=40):
    """Smooth shapes and some noise."""
    rng = np.random.default_rng(seed)
    few = rng.integers(0, 256, (5, 5, 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(few).resize((width, height), Image.Resampling.BICUBIC))
    noise = rng.normal(0, 4, (height, width, 1))
    return Image.fromarray(np.clip(smooth + noise, 0, 255).astype(np.uint8))


def tagged(main=(), inner=()):
    """EXIF with tags."""
    exif = Image.Exif()
    for tag, value in dict(main).items():
        exif[tag] = value
    if inner:
        exif[EXIF] = dict(inner)
    return exif.tobytes()


def loaded(place, classes, **options):
    """Read folders of one class each."""
    for name, files in classes.items():
        (place / name).mkdir(parents=True)
        for i, content in enumerate(files):
            (place / name / f"{i:03d}.img.png").write_bytes(content)
    return td.load(f"folder:{place}", callbacks=(), **options)


def facts_of(place, files, **options):
    return loaded(place, {"a": files}, **options).facts


# --- when and with what ----------------------------------------------------------------------


def test_time_and_camera_in_every_format_that_has_them(tmp_path):
    main = {MAKE: "Canon", MODEL: "Canon EOS 5D", WRITTEN: "2020:01:01 00:00:00"}
    exif = tagged(main, {TAKEN: "2001:09:09 01:46:40"})
    picture = photograph(0)
    files = [
        saved(picture, "JPEG", exif=exif),
        saved(picture, "PNG", exif=exif),
        saved(picture, "WEBP", exif=exif),
        saved(picture, "TIFF", exif=exif),
        png(np.asarray(picture), after=[(b"eXIf", exif[6:])]),
        saved(
            picture, "JPEG", exif=tagged({MODEL: "X100", MAKE: "FUJIFILM", WRITTEN: main[WRITTEN]})
        ),
        saved(picture, "JPEG", exif=tagged({ORIENTATION: 1})),
        saved(picture, "JPEG"),
    ]
    facts = facts_of(tmp_path, files, size=16)
    assert facts["time"].fillna(-1).tolist() == [1e9] * 5 + [1577836800, -1, -1]
    assert facts["camera"].tolist() == ["Canon EOS 5D"] * 5 + ["FUJIFILM X100", "", ""]
    assert facts["exif"].tolist() == [True] * 7 + [False]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970:01:01 00:00:00", 0),
        ("1969:12:31 23:59:59", -1),
        ("2001-09-09T01:46:40+02:00", 1e9),
        ("2001:09:09 01:46", 1e9 - 40),
        ("0000:00:00 00:00:00", None),
        ("    :  :     :  :  ", None),
        ("2001:13:09 01:46:40", None),
        ("2001:02:30 01:46:40", None),
        ("-2001:09:09 01:46:40", None),
        ("9999:12:31 23:59:59", 253402300799),
        ("٢٠٠١:09:09 01:46:40".encode(), None),
        ("yesterday", None),
        ("", None),
        (b"\xff\x00", None),
        (7, None),
    ],
)
def test_a_time_stamp_is_seconds_or_nothing(tmp_path, text, seconds):
    facts = facts_of(tmp_path, [saved(photograph(0), "JPEG", exif=tagged({WRITTEN: text}))])
    assert facts["time"].fillna(-7).tolist() == [-7 if seconds is None else seconds]


def entry(tag, kind, count, value):
    return struct.pack("<HHI", tag, kind, count) + value.ljust(4, b"\0")


def raw(entries, rest=b"", count=None):
    """EXIF of raw entries."""
    head = b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(entries) if count is None else count)
    return head + b"".join(entries) + struct.pack("<I", 0) + rest


HOSTILE = {
    "longer than it is": raw([entry(MAKE, 2, 2**31, b"\xff\xff\xff\x7f")]),
    "more entries than there are": raw([entry(MAKE, 2, 4, b"abc\0")], count=65535),
    "numbers": raw([entry(MAKE, 4, 1, b"\1\0\0\0"), entry(WRITTEN, 3, 1, b"\1\0")]),
    "an unknown kind": raw([entry(MAKE, 77, 1, b"x"), entry(WRITTEN, 200, 9, b"x")]),
    "divided by 0": raw([entry(MAKE, 5, 1, struct.pack("<I", 26)), entry(WRITTEN, 2, 0, b"")]),
    "inside of itself": raw([entry(EXIF, 4, 1, struct.pack("<I", 8))]),
    "EXIF beyond the end": raw([entry(EXIF, 4, 1, b"\xff\xff\xff\xff")]),
    "EXIF that is a text": raw([entry(EXIF, 2, 4, b"abc\0")]),
    "no TIFF": b"Exif\0\0" + bytes(range(256)),
    "nothing": b"Exif\0\0",
}


@pytest.mark.parametrize("exif", HOSTILE.values(), ids=HOSTILE)
def test_odd_exif_says_nothing_and_harms_nothing(tmp_path, exif):
    picture = photograph(0)
    late = png(np.asarray(picture), after=[(b"eXIf", exif[6:])])
    files = [saved(picture, "JPEG", exif=exif), late, saved(photograph(1), "WEBP", exif=exif)]
    data = loaded(tmp_path, {"a": files})
    assert (len(data), data.problems) == (3, ())
    assert data.facts["time"].isna().all()
    assert data.facts["camera"].str.len().max() <= 3


@pytest.mark.parametrize(
    ("make", "camera"),
    [
        ("x" * 50_000, "x" * 48),
        ("é" * 50, "é" * 24),  # UTF-8 is not cut within a letter
        ("キヤノン".encode() * 9, "キヤノン" * 4),
        ("  two\n\tlines\x1b[31m\u202e ", "two lines [31m"),
        ("Canon\0hidden", "Canon"),
        (b"\xff\xfe", "��"),
        ("", ""),
    ],
)
def test_a_camera_is_a_short_text_of_one_line(tmp_path, make, camera):
    exif = stored(make.encode() if isinstance(make, str) else make)
    facts = facts_of(tmp_path, [saved(photograph(0), "PNG", exif=exif)])
    found = facts["camera"].tolist()
    assert found == [camera]


def stored(text):
    """EXIF whose maker is bytes of any kind."""
    place = 8 + 2 + 12 + 4
    return raw([entry(MAKE, 7, max(len(text), 5), struct.pack("<I", place))], text.ljust(5, b"\0"))


# --- traces ----------------------------------------------------------------------------------


def slow_traces(plane):
    """The three traces, number by number; of a plane that is looked at as a whole."""
    height, width = plane.shape
    level = plane.astype(int)
    border, within, blocks = [], [], []
    for y in range(2, height, 4):
        for x in range(width - 8):
            step = abs(level[y, x + 1] - level[y, x])
            (border if x % 8 == 7 else within).append(step)
    for top in range(0, height, 8):
        for left in range(0, width, 8):
            bent = [
                abs(level[y, x] - 2 * level[y, x + 1] + level[y, x + 2])
                for y in (top + 2, top + 6)
                for x in range(left, left + 6)
            ]
            blocks.append(np.mean(bent))
    little = 1 / 64
    slope = np.mean(within) + little
    return [
        np.log((np.mean(border) + little) / slope),
        np.log(sorted(blocks)[int(0.1 * (len(blocks) - 1))] + little),
        np.log((np.mean(blocks) + little) / slope),
    ]


def traces_of(*pictures):
    """Traces of upright images that are resized, each."""
    traces = Traces(np.zeros((9, 4, 4, 3), dtype=np.uint8))
    for i, picture in enumerate(pictures):
        traces.take(i, i, Image.fromarray(picture), 1)
    return traces.numbers(len(pictures))


def test_traces_are_what_they_are_said_to_be():
    rng = np.random.default_rng(0)
    sizes = [(16, 16), (24, 64), (96, 96), (32, 16), (24, 64)]
    planes = [rng.integers(0, 256, size, dtype=np.uint8) for size in sizes]
    planes += [np.full((16, 16), 9, dtype=np.uint8), np.tile(np.uint8([0, 255]), (64, 48))]
    grey = traces_of(*planes)
    np.testing.assert_allclose(grey, [slow_traces(plane) for plane in planes], rtol=1e-12)
    colour = traces_of(*[np.stack([plane * 0, plane, plane * 0], axis=2) for plane in planes])
    np.testing.assert_array_equal(colour, grey)
    # Rows of a block that are not resized are looked at together, also where some are missing.
    kept = np.stack([planes[1], planes[1] * 0, planes[4], planes[4]])[..., None]
    traces = Traces(kept)
    for i, row in ((0, 0), (2, 2), (3, 3)):
        traces.take(i, row, None, 1)
    np.testing.assert_array_equal(traces.numbers(4)[[0, 2, 3]], grey[[1, 4, 4]])
    assert np.isnan(traces.numbers(4)[1]).all()


@pytest.mark.parametrize("size", [(52, 43), (300, 201), (19, 77)])
def test_traces_lie_on_the_grid_of_the_file_however_it_is_turned(tmp_path, size):
    picture = photograph(1, *size)
    files = [
        saved(picture, "JPEG", quality=20, exif=tagged({ORIENTATION: turn})) for turn in range(1, 9)
    ]
    facts = facts_of(tmp_path / "d", files, size=12)
    assert facts["orientation"].tolist() == list(range(1, 9))
    assert facts["width"].tolist() == [size[0]] * 4 + [size[1]] * 4
    for name in TRACES:
        assert facts[name].nunique() == 1, name
    assert facts["blockiness"][0] > 0.3


def test_traces_are_of_the_file_whatever_size_is_asked_for(tmp_path):
    files = [saved(photograph(i), "JPEG", quality=60) for i in range(3)]
    whole = facts_of(tmp_path / "whole", files)
    for size in (40, 16, 64):
        other = facts_of(tmp_path / str(size), files, size=size)
        pd.testing.assert_frame_equal(other, whole)
    assert whole[list(TRACES)].notna().all(axis=None)
    small = facts_of(tmp_path / "small", [saved(photograph(0, 15, 60), "PNG")])
    assert small[list(TRACES)].isna().all(axis=None)


def test_traces_tell_codecs_and_resampling_apart(tmp_path):
    pictures = [photograph(i, 96, 96) for i in range(12)]
    coarse = [Image.open(io.BytesIO(saved(p, "JPEG", quality=25))) for p in pictures]
    blown = [p.resize((48, 48)).resize((96, 96), Image.Resampling.BICUBIC) for p in pictures]
    sets = {"as it is": pictures, "once a JPEG": coarse, "blown up": blown}
    found = {
        name: facts_of(tmp_path / name, [saved(p, "PNG") for p in own], size=32)[list(TRACES)]
        for name, own in sets.items()
    }
    plain, jpeg, blown_up = found.values()
    assert jpeg["blockiness"].min() > plain["blockiness"].max()
    assert jpeg["noise"].max() < plain["noise"].min()
    assert blown_up["sharpness"].max() < plain["sharpness"].min()


# --- rows, and the cache ---------------------------------------------------------------------


def test_rows_are_those_of_the_images_that_are_left(tmp_path):
    good = [
        saved(photograph(i, 30 + i, 30 + i), "JPEG", exif=tagged({MODEL: f"M{i}"}))
        for i in range(4)
    ]
    files = [good[0], b"", good[1], good[2][:300], b"GIF89a", good[3]]
    data = loaded(tmp_path / "d", {"a": files}, size=16, skip_bad=True)
    assert [i.split("/")[-1][:3] for i in data.ids] == ["000", "002", "005"]
    assert data.facts["camera"].tolist() == ["M0", "M1", "M3"]
    alone = facts_of(tmp_path / "alone", [good[0], good[1], good[3]], size=16)
    pd.testing.assert_frame_equal(data.facts, alone)


def test_a_cache_of_before_is_made_anew(tmp_path, monkeypatch):
    files = [saved(photograph(0), "PNG")]
    with monkeypatch.context() as before:
        before.setattr(cache, "FORMAT_VERSION", 2)
        old = loaded(tmp_path / "d", {"a": files}, cache=tmp_path / "cache")
    (place,) = (tmp_path / "cache").iterdir()
    old.facts.drop(columns=["time", "camera", *TRACES]).to_parquet(place / "facts.parquet")
    again = td.load(f"folder:{tmp_path / 'd'}", cache=tmp_path / "cache", callbacks=())
    assert again.facts.columns.tolist()[-5:] == ["time", "camera", *TRACES]


# --- columns, and the fact that tells --------------------------------------------------------


@settings(max_examples=25)
@given(
    st.lists(st.sampled_from([*np.arange(12.0), np.nan, np.inf]), min_size=0, max_size=60),
    st.integers(1, 9),
)
def test_bins_are_in_order_and_share_equal_values(values, count):
    values_N = np.array(values, dtype=np.float64)
    bins_N = binned(values_N, count)
    known_N = np.isfinite(values_N)
    assert ((bins_N >= 0) == known_N).all()
    own = pd.DataFrame({"value": values_N[known_N], "bin": bins_N[known_N]})
    assert (own.groupby("value")["bin"].nunique() == 1).all()
    assert own.sort_values("value")["bin"].is_monotonic_increasing
    assert sorted(set(own["bin"])) == list(range(own["bin"].nunique()))
    if own["value"].nunique() <= count:
        assert own["bin"].nunique() == own["value"].nunique()
    sizes = own.groupby("bin")["value"].agg(["size", "nunique"])
    heavy = sizes["size"] > 2 * len(own) / count + 1
    assert (sizes["nunique"][heavy] == 1).all()


def frame(count):
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "bytes": rng.integers(1000, 2000, count),
            "format": np.where(np.arange(count) % 3 == 0, "PNG", "JPEG"),
            "mode": "RGB",
            "width": 100 + np.arange(count) % 50,
            "height": 80,
            "exif": np.arange(count) < 4,
            "camera": [f"{i % 90}" if i % 2 else "X" for i in range(count)],
            "time": np.where(np.arange(count) % 4 == 0, np.nan, np.arange(count) * 1e6),
        }
    )


def test_columns_are_levels_bins_and_numbers():
    facts = frame(400)
    columns_NP, names = file_columns(facts)
    assert columns_NP.dtype == np.float32
    assert columns_NP.shape == (400, len(names))
    assert len(set(names)) == len(names)
    assert (columns_NP.std(axis=0) > 0).all()
    of = {name: columns_NP[:, p] for p, name in enumerate(names)}
    assert (of["format: JPEG"] == (facts["format"] == "JPEG")).all()
    assert "format: PNG" not in of  # which is the same, turned over
    assert not {n for n in names if n.split(":")[0] in ("mode", "height", "exif")}  # 4 are too few
    assert (of["camera: X"] == (facts["camera"] == "X")).all()
    assert (of["time: missing"] == facts["time"].isna()).all()
    assert (of["time: value"][facts["time"].isna()] == 0).all()
    bins = [of[n] for n in names if n.startswith("time: ") and n[6].isdigit()]
    assert len(bins) == 8
    assert {int(b.sum()) for b in bins} <= {37, 38}
    assert (sum(bins) == facts["time"].notna()).all()
    assert np.corrcoef(of["bytes: logarithm"], np.log(facts["bytes"]))[0, 1] > 1 - 1e-9
    assert sum(n.startswith("size: ") for n in names) == 32
    assert file_columns(facts[["mode", "height"]])[0].shape == (400, 0)
    assert file_columns(facts[:0])[0].shape[0] == 0


def of_classes(place, make, size=None, count=24):
    """Two classes of files, `make(picture, class)`, of pictures that say nothing of it."""
    pictures = [photograph(i) for i in range(2 * count)]
    files = {name: [make(p, c) for p in pictures[c::2]] for c, name in enumerate(("one", "other"))}
    data = loaded(place, files, size=size)
    return data, dict(told_by(data.facts, data.labels)), told_by(data.facts, data.labels)[0][0]


PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def wide(picture, c):
    return saved(picture.resize((56 + 8 * c, 48)), "PNG")


MADE = {
    "JPEG quality": lambda p, c: saved(p, "JPEG", quality=(75, 90)[c]),
    "JPEG quantization tables": lambda p, c: saved(p, "JPEG", qtables=[[16] * 64, [16 + c] * 64]),
    "camera": lambda p, c: saved(p, "JPEG", exif=tagged({MAKE: ("Canon", "Nikon")[c]})),
    "presence of EXIF": lambda p, c: saved(
        p, "PNG", **({"exif": tagged({MAKE: "A"})} if c else {})
    ),
    "colour profile": lambda p, c: saved(p, "PNG", icc_profile=(None, PROFILE)[c]),
    "time stamp": lambda p, c: saved(
        p, "JPEG", exif=tagged({WRITTEN: f"20{10 + c}:03:{1 + p.tobytes()[0] % 28:02d} 10:00:00"})
    ),
    "native width": wide,
    "file format": lambda p, c: saved(p, ("PNG", "WEBP")[c], **({"lossless": True} if c else {})),
    "progressive coding": lambda p, c: saved(p, "JPEG", progressive=bool(c)),
    "colour mode": lambda p, c: saved((p, p.convert("RGBA"))[c], "PNG"),
    "blockiness at native size": lambda p, c: padded(
        saved((p, Image.open(io.BytesIO(saved(p, "JPEG", quality=10))))[c], "PNG"), 9000
    ),
    "file size": lambda p, c: padded(saved(p, "PNG"), 20_000 + c),
}


def padded(content, size):
    """A PNG with a chunk that brings it to a size."""
    note = chunk(b"tEXt", b"a\0" + b"x" * (size - len(content) - 12 - 2))
    return content[:-12] + note + content[-12:]


@pytest.mark.parametrize("fact", MADE)
def test_the_fact_that_goes_with_the_classes_is_named(tmp_path, fact):
    data, told, first = of_classes(tmp_path, MADE[fact], size=32)
    assert first == fact
    assert told[fact] > 0.9
    columns_NP, names = file_columns(data.facts)
    (column,) = (key for key, words in WORDS.items() if words == fact)
    own = [p for p, name in enumerate(names) if name.startswith(f"{column}: ")]
    parted = [np.corrcoef(columns_NP[:, p], data.labels)[0, 1] ** 2 for p in own]
    assert max(parted) > (0.9 if fact not in ("time stamp", "blockiness at native size") else 0.1)


def test_facts_that_say_nothing_are_at_chance():
    facts = frame(3000)
    for classes in (2, 5):
        rng = np.random.default_rng(classes)
        told = told_by(facts, rng.integers(0, classes, 3000))
        assert {name for name, _ in told} == {
            *("file size", "file format", "native width", "native size"),
            *("presence of EXIF", "camera", "time stamp"),
        }
        assert all(abs(accuracy - 1 / classes) < 0.05 for _, accuracy in told)


def test_groups_and_images_without_a_class():
    facts = frame(600)
    labels_N = np.arange(600) // 200 - 1
    labels_N[-2:] = 7  # two images are no class
    groups = (np.arange(600) // 4).astype(str)
    told = dict(told_by(facts, labels_N, 0, groups))
    assert told["time stamp"] > 0.85  # a quarter has none
    assert told_by(facts, np.zeros(600, dtype=np.int64)) == []
    assert told_by(facts, np.full(600, -1)) == []
    # Groups of one camera each: within them it tells the class, of others nothing.
    rng = np.random.default_rng(0)
    facts = pd.DataFrame({"camera": np.repeat([f"c{i}" for i in range(60)], 10)})
    labels_N = np.repeat(rng.integers(0, 2, 60), 10)
    names = facts["camera"].to_numpy(dtype=np.str_)
    assert told_by(facts, labels_N)[0][1] == 1
    assert abs(told_by(facts, labels_N, 0, names)[0][1] - 0.5) < 0.01
