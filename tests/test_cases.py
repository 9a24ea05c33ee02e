"""Inputs that 0.1.0 read wrong or died of: each is read right now, or refused in three lines.

The numbers are those of the reports that the inputs were built after. Every test draws its own.
"""

import os
import subprocess
import sys
import textwrap

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import taskdiscovery as td
from taskdiscovery.cli.main import main
from taskdiscovery.data import target_of

#: nested lists of bytes, as `datasets.Array3D` writes them.
NESTED = pa.list_(pa.list_(pa.list_(pa.uint8())))
SMOKE = ("--preset", "smoke", "--epochs", "1", "--threads", "1", "--quiet")


def picture(seed=0, shape=(8, 8, 3), low=0, high=256, dtype=np.uint8):
    return np.random.default_rng(seed).integers(low, high, shape).astype(dtype)


def save(path, image, **more):
    path.parent.mkdir(parents=True, exist_ok=True)
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(path, **more)


def folder(root, classes=("cat", "dog"), count=3):
    for c, name in enumerate(classes):
        for i in range(count):
            save(root / name / f"{i}.png", picture(10 * c + i))
    return root


def refused(capsys, *arguments):
    """Run the command line; return what it said of a refusal, checked to be one."""
    code = main([str(a) for a in arguments])
    said = capsys.readouterr().err.strip()
    assert code in (2, 3), said
    assert len(said.splitlines()) <= 3, said
    return said


def test_01_two_folders_of_equal_names_sizes_and_times_are_two_data_sets(tmp_path):
    for name, value in (("train", 0), ("test", 200)):
        for kind in ("cat", "dog"):
            for i in range(3):
                path = tmp_path / name / kind / f"{i}.bmp"
                image = np.full((8, 8, 3), value, dtype=np.uint8)
                image[:2] = 100
                save(path, image)
                os.utime(path, (0, 0))
    train, test = (td.load(tmp_path / name) for name in ("train", "test"))
    assert train.images[:, 7, 7].max() == 0
    assert test.images[:, 7, 7].min() == test.images[:, 7, 7].max() == 200
    assert train.fingerprint != test.fingerprint


@pytest.mark.parametrize("orientation", range(1, 9))
def test_02_tiff_is_turned_as_its_tag_says(orientation, tmp_path):
    upright = picture(3, (8, 12, 3))
    turned = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    for i in range(3):
        image = Image.fromarray(np.ascontiguousarray(turned))
        save(tmp_path / "t" / f"{i}.tif", image, tiffinfo={274: orientation})
    save(tmp_path / "t" / "plain.tif", upright)  # of another stored size for 5 to 8
    data = td.load(tmp_path / "t")
    assert data.images.shape == (4, 8, 12, 3)
    assert (data.images == upright).all()


def test_03_16_bit_tiff_of_either_byte_order_has_the_same_pixels(tmp_path):
    levels = np.linspace(0, 65535, 8).round().astype(np.uint16)
    image = np.tile(levels, (8, 1))
    for name, order in (("little", "<"), ("big", ">")):
        for i in range(2):
            path = tmp_path / name / f"{i}.tif"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(tiff16(image, order))
    little, big = (td.load(tmp_path / name) for name in ("little", "big"))
    assert little.images.shape == big.images.shape == (2, 8, 8, 1)
    assert np.array_equal(little.images, big.images)
    expected = (levels.astype(float) / 65535 * 255).round()
    assert np.abs(big.images[0, 0, :, 0] - expected).max() <= 1


def tiff16(image, order):
    """Write the bytes of a plain 16-bit grey TIFF: Pillow writes no big-endian ones."""
    import struct

    height, width = image.shape
    pixels = image.astype(f"{order}u2").tobytes()
    entries = [
        (256, 3, width),
        (257, 3, height),
        (258, 3, 16),
        (259, 3, 1),
        (262, 3, 1),
        (273, 4, 8),
        (277, 3, 1),
        (278, 3, height),
        (279, 4, len(pixels)),
    ]
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8 + len(pixels))
    directory = struct.pack(f"{order}H", len(entries))
    for tag, kind, value in entries:
        form = "HHIHH" if kind == 3 else "HHII"
        values = (tag, kind, 1, value, 0) if kind == 3 else (tag, kind, 1, value)
        directory += struct.pack(f"{order}{form}", *values)
    return head + pixels + directory + struct.pack(f"{order}I", 0)


def test_04_null_pixels_are_refused_with_their_row(tmp_path, capsys):
    images = [picture(i).tolist() for i in range(9)]
    images[3] = None
    table = pa.table({"image": pa.array(images, NESTED), "label": list(range(9))})
    pq.write_table(table, tmp_path / "n.parquet")
    assert "3" in refused(capsys, "info", tmp_path / "n.parquet")
    assert "null" in refused(capsys, "info", tmp_path / "n.parquet")


@pytest.mark.parametrize(
    "column", ["filename", "file_name", "image", "image_id", "path", "id", "file"]
)
def test_06_a_table_in_another_order_is_matched_by_its_ids(column, tmp_path):
    for i in range(12):
        save(tmp_path / "rev" / f"{i}.png", picture(i))
    order = list(range(12))[::-1]
    table = pd.DataFrame({column: [f"{i}.png" for i in order], "bright": [i % 2 for i in order]})
    table.to_csv(tmp_path / "t.csv", index=False)
    data = td.load(tmp_path / "rev")
    labels = target_of(data, f"{tmp_path / 't.csv'}:bright").labels_N
    assert labels.tolist() == [int(name.split(".")[0]) % 2 for name in data.ids]


def test_07_a_table_is_matched_by_the_index_that_pandas_wrote(tmp_path):
    for i in range(12):
        save(tmp_path / "rev" / f"{i}.png", picture(i))
    order = list(range(12))[::-1]
    index = pd.Index([f"{i}.png" for i in order], name="image_id")
    frame = pd.DataFrame({"bright": [i % 2 for i in order]}, index=index)
    frame.to_parquet(tmp_path / "t.parquet")
    data = td.load(tmp_path / "rev")
    labels = target_of(data, f"{tmp_path / 't.parquet'}:bright").labels_N
    assert labels.tolist() == [int(name.split(".")[0]) % 2 for name in data.ids]


@pytest.mark.parametrize("target", ["label", "label:1"])
def test_10_an_image_without_a_label_belongs_to_no_side(target):
    data = td.from_arrays(picture(0, (200, 8, 8, 3)), [0.0, 1.0, np.nan, 1.0] * 50)
    known = data.target(target).known_N
    assert known.mean() == 0.75
    assert not known[2::4].any()


def test_11_an_image_without_a_role_is_in_no_fold(tmp_path):
    values = np.array([0.0, 1.0] * 60)
    values[::5] = np.nan
    data = td.from_arrays(
        picture(0, (120, 8, 8, 3)), attributes=pd.DataFrame({"g": values}), name="drawn"
    )
    made = td.split(
        data,
        "attr:g",
        list(np.arange(120) // 2 % 2),
        preset="smoke",
        epochs=1,
        runs=2,
        callbacks=(),
    )
    unknown = np.flatnonzero(np.isnan(values))
    with pytest.raises(td.DataError, match="cv"):
        made.predefined_split()
    [(train, test)] = made.cv()
    assert len(train)
    assert len(test)
    assert not set(unknown) & (set(train) | set(test))
    assert not set(train) & set(test)


def test_13_in_a_column_of_text_na_is_a_class(tmp_path):
    for i in range(8):
        save(tmp_path / f"{i}.png", picture(i))
    names = ["NA", "BW", "KE", "None"] * 2
    table = pd.DataFrame({"file": [f"{i}.png" for i in range(8)], "country": names})
    table.to_csv(tmp_path / "na.csv", index=False)
    target = td.load(f"csv:{tmp_path / 'na.csv'}").target("attr:country")
    assert target.classes == ("BW", "KE", "NA", "None")
    assert [target.classes[c] for c in target.labels_N] == names
    told = td.load(f"csv:{tmp_path / 'na.csv'}", missing=["NA"]).target("attr:country")
    assert told.classes == ("BW", "KE", "None")
    assert not told.known_N[[0, 4]].any()


def test_16_floats_and_signed_numbers_keep_their_levels(tmp_path):
    floats = [picture(i, (8, 8), dtype=np.float32) / 255 for i in range(3)]
    signed = [picture(i, (8, 8), -1000, 1000, dtype=np.int32) for i in range(3)]
    for name, images in (("float", floats), ("signed", signed)):
        for i, image in enumerate(images):
            save(tmp_path / name / f"{i}.tif", image)
        more = {}
        if name == "signed":  # no scale follows from the files themselves
            with pytest.raises(td.DataError, match="--range"):
                td.load(tmp_path / name)
            more = {"range": (-1000, 1000)}
        read = td.load(tmp_path / name, **more).images
        for ours, theirs in zip(read, images, strict=True):
            flat = ours[..., 0].ravel()
            order = np.argsort(theirs.ravel())
            assert (np.diff(flat[order].astype(int)) >= 0).all(), "brighter stays brighter"
            assert len(np.unique(flat)) > 32


def test_17_sixteen_bits_have_one_scale_for_the_whole_data_set(tmp_path):
    bright, dark = np.full((8, 8), 260, np.uint16), np.full((8, 8), 255, np.uint16)
    for name, image in (("a", bright), ("b", dark)):
        image[0, 0] = 0
        save(tmp_path / "dark" / f"{name}.png", image)
    images = td.load(tmp_path / "dark").images
    assert images[0].max() >= images[1].max()
    assert int(images[0].max()) - int(images[1].max()) <= 6
    twelve = picture(1, (8, 8), 0, 4096, np.uint16)
    twelve[0, 0] = 4095
    save(tmp_path / "twelve" / "a.png", twelve)
    save(tmp_path / "twelve" / "b.png", twelve[::-1].copy())
    data = td.load(tmp_path / "twelve")
    assert data.images.max() > 200 or any("range" in line for line in data.problems)


@pytest.mark.parametrize("place", [".ipynb_checkpoints", "cat/.ipynb_checkpoints"])
def test_20_what_a_notebook_leaves_behind_is_no_data(place, tmp_path):
    folder(tmp_path / "d")
    save(tmp_path / "d" / place / "0-checkpoint.png", picture(99))
    data = td.load(tmp_path / "d")
    assert data.classes == ("cat", "dog")
    assert len(data) == 6
    assert any("1" in line and ".ipynb_checkpoints" in line for line in data.problems)


def test_21_what_a_mac_adds_to_an_archive_is_no_data(tmp_path):
    folder(tmp_path / "d")
    for i in range(3):
        (tmp_path / "d" / "__MACOSX" / "cat").mkdir(parents=True, exist_ok=True)
        (tmp_path / "d" / "__MACOSX" / "cat" / f"._{i}.png").write_bytes(b"\0\5\x16\7Mac OS X")
    for skip_bad in (False, True):
        data = td.load(tmp_path / "d", skip_bad=skip_bad)
        assert data.classes == ("cat", "dog")
        assert len(data) == 6


def test_23_shards_of_several_splits_are_told_apart(tmp_path, capsys):
    for name, labels in (("train", [0, 1, 0, 1]), ("validation", [0, 1]), ("test", [-1] * 4)):
        rows = []
        for i in range(len(labels)):
            save(tmp_path / "x.png", picture(hash(name) % 1000 + i))
            rows.append({"bytes": (tmp_path / "x.png").read_bytes(), "path": f"{i}.png"})
        path = tmp_path / "hub" / "data" / f"{name}-00000-of-00001.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"image": rows, "label": labels}), path)
    data = td.load(f"parquet:{tmp_path / 'hub' / 'data'}")
    assert data.classes == ("0", "1")
    counts = data.attributes["split"].value_counts().to_dict()
    assert counts == {"train": 4, "test": 4, "validation": 2}
    assert (data.labels >= 0).tolist() == (data.attributes["split"] != "test").tolist()


def test_24_a_number_names_a_class_and_only_then_a_position(tmp_path):
    data = td.load(folder(tmp_path / "d", ("1", "2", "5"), 2))
    with pytest.raises(td.ConfigError, match="'0'"):
        data.target("label:0,1")
    target = data.target("label:1")
    assert target.labels_N.tolist() == [1, 1, 0, 0, 0, 0]


def test_26_size_holds_for_nested_pixels(tmp_path):
    images = [picture(i).tolist() for i in range(6)]
    table = pa.table({"image": pa.array(images, NESTED), "label": [0, 1] * 3})
    pq.write_table(table, tmp_path / "s.parquet")
    data = td.load(f"parquet:{tmp_path / 's.parquet'}", size=16)
    assert data.image_shape[:2] == (16, 16)


NETWORKS = """
import numpy as np, torch
from torch import nn

def base(channels):
    return nn.Sequential(
        nn.Conv2d(channels, 8, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten()
    )

class Tied(nn.Module):
    def __init__(self, channels, outputs):
        super().__init__()
        self.base, self.out = base(channels), nn.Linear(32, outputs)
        self.u, self.v = nn.Linear(32, 32, bias=False), nn.Linear(32, 32, bias=False)
        self.v.weight = self.u.weight

    def forward(self, x):
        return self.out(torch.relu(self.v(torch.relu(self.u(self.base(x))))))

def tied(outputs, image_shape):
    return Tied(image_shape[2], outputs)

class Viewing(nn.Module):
    def __init__(self, channels, outputs):
        super().__init__()
        self.conv, self.out = nn.Conv2d(channels, 16, 5), nn.Linear(16 * 12 * 12, outputs)

    def forward(self, x):
        return self.out(self.conv(x).view(-1, 16 * 12 * 12))

def lenet(outputs, image_shape):
    return Viewing(image_shape[2], outputs)

class Pair(nn.Module):
    def __init__(self, channels, outputs, kind):
        super().__init__()
        self.base, self.out, self.kind = base(channels), nn.Linear(32, outputs), kind

    def forward(self, x):
        z = self.base(x)
        return (self.out(z), z) if self.kind == "tuple" else {"logits": self.out(z)}

def tup(outputs, image_shape):
    return Pair(image_shape[2], outputs, "tuple")

def dic(outputs, image_shape):
    return Pair(image_shape[2], outputs, "dict")

def lazy(outputs, image_shape):
    return nn.Sequential(nn.LazyConv2d(4, 3, 2), nn.ReLU(), nn.Flatten(), nn.LazyLinear(outputs))

def px224(outputs, image_shape):
    return nn.Sequential(
        nn.Conv2d(3, 4, 7, 4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 55 * 55, outputs)
    )

class Aux(nn.Module):
    def __init__(self, channels, outputs):
        super().__init__()
        self.out, self.base, self.aux = nn.Linear(32, outputs), base(channels), nn.Linear(7, 2)

    def forward(self, x):
        return self.out(self.base(x))

def aux(outputs, image_shape):
    return Aux(image_shape[2], outputs)

def dataset():
    rng, y = np.random.default_rng(0), np.arange(200) % 2
    x = rng.integers(0, 120, (200, 16, 16, 3), dtype=np.uint8)
    x[y == 1, :8] += 100
    return x, y
"""


@pytest.fixture
def networks(tmp_path, monkeypatch):
    name = f"networks_of_{tmp_path.name}".replace("-", "_").replace("[", "").replace("]", "")
    (tmp_path / f"{name}.py").write_text(NETWORKS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    yield name
    sys.modules.pop(name, None)


def test_27_tied_weights_are_searched_and_written(networks, tmp_path):
    options = ("--method", "power", "--tasks", "1", "--epochs", "1", "--encoder-epochs", "1")
    command = ["discover", f"{networks}:dataset", "--learner", f"{networks}:tied", *options]
    assert main([*command, "--threads", "1", "--quiet", "--out", str(tmp_path / "run")]) == 0
    labelled = td.label(
        tmp_path / "run", f"{networks}:dataset", learner=f"{networks}:tied", callbacks=()
    )
    assert np.array_equal(labelled.labels_ND, td.open_run(tmp_path / "run").tasks.labels_ND)


@pytest.mark.parametrize("network", ["lenet", "tup", "dic", "lazy", "aux", "px224"])
def test_28_networks_of_ones_own_are_trained_or_refused_in_seconds(network, networks, capsys):
    data, learner = f"{networks}:dataset", f"{networks}:{network}"
    code = main(["score", data, "--target", "label", "--learner", learner, *SMOKE])
    said = capsys.readouterr().err.strip()
    if network == "px224":
        assert code == 2
        assert "--size 224" in said
        assert len(said.splitlines()) <= 3
    else:
        assert code == 0, said


def test_29_without_the_calls_that_only_linux_has(tmp_path):
    program = """
        import os
        for name in ("sched_getaffinity", "sched_setaffinity", "posix_fallocate"):
            if hasattr(os, name):
                delattr(os, name)
        from taskdiscovery.cli.main import main
        raise SystemExit(main(["score", "digits", "--target", "label:0,1", *OPTIONS]))
    """
    options = (*SMOKE, "--train-images", "200", "--executor", "serial")
    program = textwrap.dedent(program).replace("*OPTIONS", "*" + repr(list(options)))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_31_samples_of_torch_data_sets_are_read_or_refused():
    import torch

    class Samples(torch.utils.data.Dataset):
        def __init__(self, rows):
            self.rows = rows

        def __len__(self):
            return len(self.rows)

        def __getitem__(self, i):
            return self.rows[i]

    image = torch.from_numpy(picture(0, (3, 8, 8)))
    triples = Samples([(image, i % 2, {"site": i}) for i in range(4)])
    dicts = Samples([{"image": image, "label": i % 2} for i in range(4)])
    vectors = Samples([(image, torch.tensor([0, 1, 1])) for _ in range(4)])
    fractions = Samples([(image, 0.3 + i) for i in range(4)])
    strings = Samples([("a", 1) for _ in range(4)])

    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self):
            return iter([(image, 0), (image, 1)])

    for samples in (triples, dicts, vectors, fractions, strings, Stream()):
        try:
            data = td.from_torch(samples)
        except td.DataError:
            assert samples not in (triples, dicts)
            continue
        assert (data.images == picture(0, (3, 8, 8)).transpose(1, 2, 0)).all()
        if samples in (triples, dicts):
            assert [data.classes[c] for c in data.labels] == ["0", "1", "0", "1"]
        assert samples is not fractions, "fractions are no classes"


def test_32_more_than_a_thousand_classes_are_read_from_a_table(tmp_path):
    pictures = [picture(0), picture(1)]
    for i, image in enumerate(pictures):
        save(tmp_path / f"{i}.png", image)
    table = {"file": [f"{i % 2}.png" for i in range(1050)]}
    table["label"] = [f"species {i}" for i in range(1050)]
    pd.DataFrame(table).to_csv(tmp_path / "t.csv", index=False)
    data = td.load(f"csv:{tmp_path / 't.csv'}")
    assert len(data.classes) == 1050
    assert [data.classes[c] for c in data.labels] == table["label"]


def test_37_grey_files_are_read_as_colour_where_a_run_wants_colour(tmp_path):
    for i in range(40):
        save(tmp_path / "im" / f"{i}.png", picture(i, (16, 16, 3)))
        save(tmp_path / "grey" / f"{i}.png", picture(100 + i, (16, 16)))
    found = td.discover(tmp_path / "im", method="spectral", tasks=2, threads=1, callbacks=())
    grey = td.load(tmp_path / "grey")
    labelled = td.label(found, tmp_path / "grey", callbacks=())
    colour = td.from_arrays(np.repeat(grey.images, 3, axis=3))
    assert np.array_equal(labelled.labels_ND, found.encoder.predict(colour.images))
