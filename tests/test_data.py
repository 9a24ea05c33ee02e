"""Reading: every format gives back what was written; every fault of the catalogue is met."""

import io
import json
import os
import zipfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from taskdiscovery import data
from taskdiscovery.config.specs import parse
from taskdiscovery.data.images.decode import cache_dir
from taskdiscovery.data.listing import Reading
from taskdiscovery.data.readers import parquet
from taskdiscovery.errors import ConfigError, DataError

rng = np.random.default_rng(0)
PICTURES = rng.integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)


def encoded(array, kind="PNG"):
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, kind)
    return stream.getvalue()


def write_folder(root, names=("cat", "dog"), level="", count=3, kind="png"):
    for c, name in enumerate(names):
        (root / name / level).mkdir(parents=True)
        for i in range(count):
            Image.fromarray(PICTURES[c * count + i]).save(root / name / level / f"{i}.{kind}")
    return root


def write_parquet(path, hugging_face=True, images=PICTURES, labels=(0, 0, 0, 1, 1, 1)):
    cells = [encoded(image) for image in images]
    if hugging_face:
        column = pa.array(
            [{"bytes": c, "path": None} for c in cells],
            pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
        )
    else:
        column = pa.array(cells, pa.binary())
    size = pa.array(range(len(cells)), pa.int64())
    table = pa.table({"img": column, "label": pa.array(labels, pa.int64()), "weight": size})
    features = {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}
    meta = json.dumps({"info": {"features": features}})
    if hugging_face:
        table = table.replace_schema_metadata({"huggingface": meta})
    pq.write_table(table, path)
    return path


def refused(spec, match, **options):
    """Reading fails with a data error of three lines at most, and leaves nothing in the cache."""
    before = set(cache_dir().glob("*")) | set(cache_dir().glob(".*"))
    with pytest.raises(DataError, match=match) as caught:
        data.load(spec, **options)
    assert len(str(caught.value).splitlines()) <= 3
    assert caught.value.hint
    assert set(cache_dir().glob("*")) | set(cache_dir().glob(".*")) == before
    return caught.value


def test_digits(digits):
    assert digits.images.shape == (1797, 8, 8, 1)
    assert digits.classes == tuple("0123456789")
    assert digits.images.max() == 255


@pytest.mark.parametrize("level", ["", "images"])
def test_folder(tmp_path, level):
    dataset = data.load(f"folder:{write_folder(tmp_path / 'd', level=level)}")
    assert (dataset.images == PICTURES).all()
    assert dataset.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert dataset.classes == ("cat", "dog")
    assert dataset.ids[0] == os.path.join("cat", level, "0.png")


def test_flat_folder_has_no_labels(tmp_path):
    write_folder(tmp_path, names=("x",))
    assert data.load(f"folder:{tmp_path / 'x'}").labels is None


@pytest.mark.parametrize("hugging_face", [True, False])
def test_parquet(tmp_path, hugging_face):
    dataset = data.load(f"parquet:{write_parquet(tmp_path / 'a.parquet', hugging_face)}")
    assert (dataset.images == PICTURES).all()
    assert dataset.classes == (("cat", "dog") if hugging_face else ("0", "1"))
    assert dataset.attributes["weight"].tolist() == list(range(6))
    assert dataset.ids.tolist() == [str(i) for i in range(6)]


def test_parquet_shards_and_nested_pixels(tmp_path):
    for i in (0, 1):
        half = PICTURES[3 * i : 3 * i + 3]
        pq.write_table(
            pa.table({"pixels": pa.array(half.tolist(), pa.list_(pa.list_(pa.list_(pa.uint8()))))}),
            tmp_path / f"{i}.parquet",
        )
    assert (data.load(f"parquet:{tmp_path}").images == PICTURES).all()


def test_npz(tmp_path):
    file = tmp_path / "a.npz"
    np.savez(file, images=PICTURES / 255, y=[1, 1, 0, 0, 1, 0], attr_hue=np.arange(6))
    dataset = data.load(f"npz:{file}")
    assert (dataset.images == PICTURES).all()
    assert dataset.labels.tolist() == [1, 1, 0, 0, 1, 0]
    assert dataset.attributes["hue"].tolist() == list(range(6))


def test_csv(tmp_path):
    write_folder(tmp_path)
    table = pd.DataFrame(
        {"file": ["dog/0.png", "cat/1.png"], "label": ["d", "c"], "age": [3, None]}
    )
    table.to_csv(tmp_path / "t.csv", index=False)
    dataset = data.load(f"csv:{tmp_path / 't.csv'}")
    assert (dataset.images == PICTURES[[3, 1]]).all()
    assert dataset.target("label").labels_N.tolist() == [1, 0]
    assert dataset.attributes["age"].isna().tolist() == [False, True]


def test_function(tmp_path, monkeypatch):
    (tmp_path / "mine_data.py").write_text(
        "import numpy as np\n"
        "def pair(n='5'):\n"
        "    return np.arange(int(n) * 4, dtype=np.uint8).reshape(-1, 2, 2), list(range(int(n)))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert len(data.load("mine_data:pair?n=7")) == 7
    with pytest.raises(ConfigError, match="cannot import"):
        data.load("mine_data:absent")


def test_torch_dataset():
    torch = pytest.importorskip("torch")

    class Mine(torch.utils.data.Dataset):
        classes = ("a", "b")

        def __len__(self):
            return 6

        def __getitem__(self, i):
            return torch.from_numpy(PICTURES[i]).permute(2, 0, 1), i % 2

    dataset = data.from_torch(Mine())
    assert (dataset.images == PICTURES).all()
    assert dataset.classes == ("a", "b")


def test_missing_extra_names_the_pip_command():
    with pytest.raises(ConfigError, match="datasets") as caught:
        data.load("hf:nothing/here")
    assert "pip install 'taskdiscovery[hf]'" in str(caught.value)


class Table:
    """What the reader asks of a data set of `datasets`, which need not be installed."""

    def __init__(self, features, columns):
        self.features, self.columns = features, columns

    def __len__(self):
        return len(next(iter(self.columns.values())))

    def __getitem__(self, which):
        if isinstance(which, slice):
            return {name: values[which] for name, values in self.columns.items()}
        return self.columns[which]

    def with_format(self, kind):
        return self

    def select_columns(self, names):
        return Table({n: self.features[n] for n in names}, {n: self.columns[n] for n in names})

    def cast_column(self, name, feature):
        return self


def test_other_class_labels_of_hugging_face_are_attributes_by_their_names():
    from taskdiscovery.data.listing import Reading
    from taskdiscovery.data.readers.adapters import from_hugging_face_table

    kind = type("ClassLabel", (), {"__init__": lambda own, *names: setattr(own, "names", names)})
    image = type("Image", (), {"__init__": lambda self, decode=True: None})
    value = type("Value", (), {})
    features = {"image": image(), "label": kind("cat", "dog"), "task": kind("dark", "bright")}
    features |= {"age": value(), "boxes": type("Sequence", (), {})()}
    columns = {
        "image": [{"bytes": encoded(picture), "path": None} for picture in PICTURES],
        "label": [0, 1, 0, 1, 0, 1],
        "task": [1, 0, -1, None, 1, 0],
        "age": [1, 2, 3, 4, 5, 6],
        "boxes": [[]] * 6,
    }
    how = Reading(size=None, fit="crop", range=None)
    read = from_hugging_face_table(Table(features, columns), "hf:mine", how)
    assert read.classes == ("cat", "dog")
    assert list(read.attributes) == ["task", "age"]
    assert read.attributes["task"].isna().tolist() == [False, False, True, True, False, False]
    assert read.attributes["task"].dropna().tolist() == ["bright", "dark", "bright", "dark"]


@pytest.mark.parametrize("broken", [True, False])
def test_torchvision_stand_in(tmp_path, monkeypatch, broken):
    """A torchvision that was built for another torch fails on import; that has its own error."""
    body = (
        "raise RuntimeError('operator torchvision::nms does not exist')"
        if broken
        else "import types\nfrom PIL import Image\n"
        "class Tiny(list):\n"
        "    def __init__(self, root, train):\n"
        "        images = [Image.new('RGB', (4, 4), (i, 0, 9 * i)) for i in range(5)]\n"
        "        super().__init__(zip(images, range(5)))\n"
        "    def __getitem__(self, i):\n"
        "        image, label = super().__getitem__(i)\n"
        "        image.putpixel((0, 0), (255, 255, 255))\n"
        "        return image, label\n"
        "datasets = types.SimpleNamespace(Tiny=Tiny)\n"
    )
    (tmp_path / "torchvision.py").write_text(body)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "torchvision", raising=False)
    if broken:
        with pytest.raises(ConfigError, match="installed but cannot be imported"):
            data.load("torchvision:Tiny?root=/tmp")
    else:
        assert data.load("torchvision:Tiny?root=/tmp").images.shape == (5, 4, 4, 3)
    __import__("sys").modules.pop("torchvision", None)


def test_unknown_kind_names_the_nearest():
    with pytest.raises(ConfigError, match="parquett") as caught:
        data.check_spec("parquett:x")
    assert "parquet" in str(caught.value)


def test_the_cache_is_used_and_keyed_by_content(tmp_path):
    root = write_folder(tmp_path / "d")
    first = data.load(f"folder:{root}")
    again = data.load(f"folder:{root}")
    assert again.fingerprint == first.fingerprint
    assert again.images.filename == first.images.filename
    Image.fromarray(PICTURES[5]).save(root / "cat" / "0.png")
    changed = data.load(f"folder:{root}")
    assert changed.fingerprint != first.fingerprint
    assert (changed.images[0] == PICTURES[5]).all()


def test_an_unwritable_cache_is_no_obstacle(tmp_path, caplog):
    (tmp_path / "file").write_text("in the way")
    dataset = data.load(f"folder:{write_folder(tmp_path / 'd')}", cache=tmp_path / "file" / "sub")
    assert len(dataset) == 6
    assert "cache cannot be written" in caplog.text


def test_builds_that_died_are_removed_and_those_at_work_are_not(tmp_path):
    import fcntl

    cache, root = tmp_path / "cache", write_folder(tmp_path / "d")
    for name in ("dead", "alive"):
        (cache / f".building-{name}").mkdir(parents=True)
        (cache / f".building-{name}" / ".lock").touch()
    with (cache / ".building-alive" / ".lock").open("r+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        data.load(f"folder:{root}", cache=cache)
        assert [p.name for p in cache.glob(".building-*")] == [".building-alive"]


def test_writing_to_images_does_not_reach_the_cache(tmp_path):
    root = write_folder(tmp_path / "d")
    data.load(f"folder:{root}").images[0] = 0
    assert (data.load(f"folder:{root}").images[0] == PICTURES[0]).all()


def test_size_crops_and_scales(tmp_path):
    wide = np.zeros((20, 40, 3), dtype=np.uint8)
    wide[:, 15:25] = 200
    (tmp_path / "d").mkdir()
    Image.fromarray(wide).save(tmp_path / "d" / "a.png")
    image = data.load(f"folder:{tmp_path / 'd'}", size=10).images[0]
    assert image.shape == (10, 10, 3)
    assert image[5, 5].min() > 180
    assert image[0, 0].max() < 20


def test_grey_stays_grey_only_where_all_are(tmp_path):
    root = tmp_path / "d"
    root.mkdir()
    Image.fromarray(PICTURES[0][..., 0]).save(root / "a.png")
    assert data.load(f"folder:{root}").images.shape == (1, 8, 8, 1)
    Image.fromarray(PICTURES[1]).save(root / "b.png")
    assert data.load(f"folder:{root}").images.shape == (2, 8, 8, 3)


# --- the catalogue of faults -----------------------------------------------------------------


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_fault_24_not_finite(bad):
    images = np.full((30, 4, 4), 0.5)
    images[3, 0, 0] = bad
    with pytest.raises(DataError, match="not finite, the first at row 3"):
        data.from_arrays(images)


def test_fault_25_constant_images():
    with pytest.raises(DataError, match="every image is constant"):
        data.from_arrays(np.zeros((5, 4, 4), dtype=np.uint8))
    images = PICTURES.copy()
    images[2] = 7
    assert data.from_arrays(images).problems == ("1 images are constant",)


def test_fault_26_mixed_sizes(tmp_path):
    root = write_folder(tmp_path / "d")
    Image.fromarray(np.zeros((5, 9, 3), dtype=np.uint8)).save(root / "cat" / "wide.png")
    error = refused(f"folder:{root}", "2 different sizes: 8×8 \\(6\\), 9×5 \\(1\\)")
    assert "--size" in error.hint


@pytest.mark.parametrize("kept", [40, 60, 150])
def test_fault_27_truncated_image(tmp_path, kept):
    root = write_folder(tmp_path / "d")
    whole = encoded(PICTURES[0])
    (root / "dog" / "broken.png").write_bytes(whole[:kept])
    error = refused(f"folder:{root}", "1 of 7 images cannot be read")
    assert "broken.png" in str(error)
    dataset = data.load(f"folder:{root}", skip_bad=True)
    assert len(dataset) == 6
    assert (dataset.images == PICTURES).all()
    assert "1 images left out" in dataset.problems[0]


def test_fault_28_decompression_bomb(tmp_path):
    root = write_folder(tmp_path / "d")
    header = bytearray(encoded(PICTURES[0]))
    header[16:24] = (60_000).to_bytes(4, "big") * 2
    (root / "cat" / "bomb.png").write_bytes(bytes(header))
    refused(f"folder:{root}", "1 of 7 images cannot be read")


@pytest.mark.parametrize(
    "images",
    [
        np.array([[["a", "b"]]] * 3),
        np.ones((3, 2, 2), dtype=complex),
        np.array([[[object()]]] * 3, dtype=object),
        np.full((3, 2, 2), 300),
        np.full((3, 2, 2), 1.5),
        np.zeros((0, 2, 2), dtype=np.uint8),
        np.zeros((3, 2), dtype=np.uint8),
    ],
)
def test_fault_29_arrays_of_other_kinds(images):
    with pytest.raises(DataError):
        data.from_arrays(images)


def test_fault_30_other_counts():
    with pytest.raises(DataError, match="labels for 6 images"):
        data.from_arrays(PICTURES, [0, 1])
    with pytest.raises(DataError, match="ids for 6 images"):
        data.from_arrays(PICTURES, ids=["a"] * 6)


def test_fault_31_one_class_only():
    dataset = data.from_arrays(PICTURES, [1] * 6)
    with pytest.raises(DataError, match="same class"):
        dataset.target("label")


@given(st.lists(st.text(max_size=20), min_size=6, max_size=6, unique=True))
def test_fault_35_any_names_make_the_round_trip(names):
    names = [n.encode("utf-8", "replace").decode() + f"|{i}" for i, n in enumerate(names)]
    names = [n.replace("\x00", "0") for n in names]
    dataset = data.from_arrays(PICTURES, names, ids=names)
    assert dataset.ids.tolist() == names
    assert [dataset.classes[c] for c in dataset.labels] == names


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "new\nline", "ünï ☃", "a'b\"c"])
def test_fault_35_hostile_class_names_on_disk(tmp_path, name):
    name = name.replace("/", "∕")
    dataset = data.load(f"folder:{write_folder(tmp_path / 'd', names=(name, 'zz'))}")
    assert set(dataset.classes) == {name, "zz"}


def test_fault_36_names_that_are_not_utf8(tmp_path):
    root = write_folder(tmp_path / "d")
    os.rename(os.fsencode(root / "cat" / "0.png"), os.fsencode(root / "cat") + b"/\xff0.png")
    dataset = data.load(f"folder:{root}")
    assert "cat/\\xff0.png" in dataset.ids
    dataset.ids[0].encode("utf-8")


def test_fault_37_symlink_loop(tmp_path):
    root = write_folder(tmp_path / "d")
    (root / "cat" / "loop").symlink_to(root, target_is_directory=True)
    assert len(data.load(f"folder:{root}")) == 6


def test_fault_38_link_out_of_the_root(tmp_path):
    root = write_folder(tmp_path / "d")
    (tmp_path / "secret.png").write_bytes(encoded(PICTURES[0]))
    (root / "cat" / "x.png").symlink_to(tmp_path / "secret.png")
    refused(f"folder:{root}", "leads out of the folder")


def test_fault_40_names_that_differ_in_case_only(tmp_path):
    root = write_folder(tmp_path / "d", names=("Cat", "cat"))
    assert data.load(f"folder:{root}").classes == ("Cat", "cat")


def test_fault_41_pickles_are_never_executed(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "executed"), "w"))

    np.savez(tmp_path / "a.npz", images=np.array([Trap()], dtype=object))
    refused(f"npz:{tmp_path / 'a.npz'}", "cannot be read")
    assert not (tmp_path / "executed").exists()


def test_fault_42_npz_bomb(tmp_path):
    file = tmp_path / "a.npz"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images.npy", b"x")
    blob = bytearray(file.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        place = blob.index(signature) + offset
        blob[place : place + 4] = (2**31).to_bytes(4, "little")
    file.write_bytes(bytes(blob))
    refused(f"npz:{file}", "declares 2.0 GiB")


@pytest.mark.parametrize("content", [b"", b"PAR1", b"\x00" * 100, b"PAR1" + b"\xff" * 64 + b"PAR1"])
def test_fault_44_hostile_parquet(tmp_path, content):
    (tmp_path / "a.parquet").write_bytes(content)
    refused(f"parquet:{tmp_path / 'a.parquet'}", "not a readable Parquet")


def test_fault_44_damaged_pages(tmp_path):
    path = write_parquet(tmp_path / "a.parquet")
    blob = bytearray(path.read_bytes())
    blob[4:400] = b"\xff" * 396
    path.write_bytes(bytes(blob))
    with pytest.raises(DataError):
        data.load(f"parquet:{path}")


def test_fault_45_content_decides_not_the_ending(tmp_path):
    root = write_folder(tmp_path / "d")
    (root / "cat" / "x.png").write_bytes(encoded(PICTURES[0], "JPEG"))
    assert len(data.load(f"folder:{root}")) == 7
    (root / "cat" / "y.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n")
    refused(f"folder:{root}", "1 of 8 images cannot be read")


def test_fault_46_empty_folder(tmp_path):
    refused(f"folder:{tmp_path}", "holds no images")
    refused(f"folder:{tmp_path / 'absent'}", "no such folder")


def test_labelings_match_by_id_or_by_order(tmp_path):
    dataset = data.from_arrays(PICTURES, ids=list("abcdef"))
    by_id = pd.DataFrame({"image_id": list("fedcb"), "t": [1, 0, 1, 0, 1]})
    by_id.to_csv(tmp_path / "ids.csv", index=False)
    (found,) = data.read_labelings(tmp_path / "ids.csv", dataset)
    assert found.labels_N.tolist() == [-1, 1, 0, 1, 0, 1]
    pd.DataFrame({"t": [1, 0, 1, 0, 1, 0]}).to_parquet(tmp_path / "order.parquet")
    (found,) = data.read_labelings(tmp_path / "order.parquet", dataset)
    assert found.labels_N.tolist() == [1, 0, 1, 0, 1, 0]
    pd.DataFrame({"t": [1, 0]}).to_csv(tmp_path / "short.csv", index=False)
    with pytest.raises(DataError, match="2 rows for 6 images"):
        data.read_labelings(tmp_path / "short.csv", dataset)
    with pytest.raises(ConfigError, match="no column 'u'"):
        data.read_labelings(tmp_path / "ids.csv", dataset, ["u"])


def test_targets(digits):
    target = digits.target("label:0,1")
    assert target.labels_N.sum() == (digits.labels <= 1).sum()
    assert digits.target("label").k == 10
    with pytest.raises(ConfigError, match="no class 'x'"):
        digits.target("label:x")
    with pytest.raises(ConfigError, match="no attribute"):
        digits.target("attr:x")
    with pytest.raises(ConfigError, match="cannot read the target"):
        digits.target("lable")


def test_real_parquet(cifar):
    dataset = data.load(f"parquet:{cifar}")
    assert dataset.images.shape == (10_000, 32, 32, 3)
    assert dataset.classes[3] == "cat"
    assert 110 < dataset.images.mean() < 130


def test_real_photographs(photographs):
    dataset = data.load(f"folder:{photographs}", size=32)
    assert dataset.images.shape == (400, 32, 32, 3)
    assert len(dataset.classes) == 10


def test_a_parquet_file_is_not_in_memory_as_a_whole(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (1024, 48, 48, 3), dtype=np.uint8)
    cells = [{"bytes": encoded(image), "path": None} for image in noise]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({"image": pa.array(cells, kind), "label": np.arange(1024) % 2})
    place = tmp_path / "images.parquet"
    pq.write_table(table, place, row_group_size=32, compression="none")
    del table
    source = parquet.read(place, parse(f"parquet:{place}"), Reading())
    before, held = pa.total_allocated_bytes(), []
    for _ in source.stream():
        held.append(pa.total_allocated_bytes() - before)
    assert len(held) == 1024
    assert max(held) < place.stat().st_size / 4
