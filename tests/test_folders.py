"""Folders and shards: what is data, what is a class, what is a split, in which order."""

import json
import os
import random
import zlib

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, features

import taskdiscovery as td
from taskdiscovery.cli.main import main
from taskdiscovery.config.specs import parse
from taskdiscovery.data.readers.shards import shards_of
from taskdiscovery.data.readers.tree import ENDINGS

#: those of torchvision.datasets.folder.
IMG_EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")


def picture(seed=0):
    return np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)


def save(path, seed=None):
    """Write a picture that is drawn from the path, so that no two are alike."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = picture(zlib.crc32(bytes(path)) if seed is None else seed)
    Image.fromarray(image).save(path)
    return image


def image_folder(root):
    """torchvision's ImageFolder, written again: (path, class index) in its order, and classes."""
    classes = sorted(entry.name for entry in os.scandir(root) if entry.is_dir())
    found = []
    for index, name in enumerate(classes):
        for folder, _, files in sorted(os.walk(os.path.join(root, name), followlinks=True)):
            for file in sorted(files):
                if file.lower().endswith(IMG_EXTENSIONS):
                    found.append((os.path.join(folder, file), index))
    return found, classes


def load(root, **more):
    return td.load(f"folder:{root}", callbacks=(), **more)


def test_what_systems_leave_behind_is_no_data(tmp_path):
    for name in ("cat", "dog"):
        for i in range(3):
            save(tmp_path / name / f"{i}.png")
    (tmp_path / "empty").mkdir()
    save(tmp_path / ".ipynb_checkpoints" / "cat-checkpoint.png")
    save(tmp_path / "cat" / ".ipynb_checkpoints" / "0-checkpoint.png")
    save(tmp_path / ".hidden" / "deep" / "x.png")
    save(tmp_path / "dog" / ".x.png")
    (tmp_path / "__MACOSX" / "cat").mkdir(parents=True)
    (tmp_path / "__MACOSX" / "cat" / "._0.png").write_bytes(b"\0\5\x16\7")
    (tmp_path / "cat" / "._1.png").write_bytes(b"\0\5\x16\7")
    (tmp_path / "cat" / "Thumbs.db").write_bytes(b"x")
    (tmp_path / "cat" / "desktop.ini").write_text("x")
    for name in ("a.txt", "b.txt", "c.pdf", "LICENSE"):
        (tmp_path / "dog" / name).write_text("x")
    found = load(tmp_path)
    assert found.classes == ("cat", "dog")
    assert found.ids.tolist() == [f"{c}/{i}.png" for c in ("cat", "dog") for i in range(3)]
    others, hidden = found.problems
    assert others == "4 files of other kinds skipped (.txt 2, .pdf 1, no ending 1)"
    assert hidden.startswith("8 hidden files skipped (")
    assert ".ipynb_checkpoints 2" in hidden
    assert "__MACOSX 1" in hidden


def test_what_was_skipped_is_told_by_info(tmp_path, capsys):
    save(tmp_path / "cat" / "0.png")
    save(tmp_path / "dog" / "0.png")
    (tmp_path / "notes.txt").write_text("x")
    assert main(["info", f"folder:{tmp_path}"]) == 0
    assert "1 file of other kinds skipped (.txt 1)" in capsys.readouterr().out


def test_a_class_whose_images_are_all_damaged_is_no_class(tmp_path):
    for name in ("ant", "cat", "dog"):
        save(tmp_path / name / "0.png")
        save(tmp_path / name / "1.png")
    for i in range(2):
        (tmp_path / "cat" / f"{i}.png").write_bytes(b"no picture")
    found = load(tmp_path, skip_bad=True)
    assert found.classes == ("ant", "dog")
    assert found.labels.tolist() == [0, 0, 1, 1]
    assert found.target("label:dog").labels_N.tolist() == [0, 0, 1, 1]


def test_all_endings_of_torchvision_and_what_else_pillow_reads(tmp_path):
    more = [".gif", ".jfif", ".jpe"]
    more += [".avif"] if features.check("avif") else []
    more += [".jp2"] if features.check("jpg_2000") else []
    assert set(ENDINGS) == {*IMG_EXTENSIONS, *more}
    for i, ending in enumerate(sorted(ENDINGS)):
        image = Image.fromarray(picture(i))
        image = image.convert("L") if ending == ".pgm" else image
        (tmp_path / "ab"[i % 2]).mkdir(exist_ok=True)
        form = {".jfif": "JPEG", ".jpe": "JPEG"}.get(ending)
        image.save(tmp_path / "ab"[i % 2] / f"x{ending.upper()}", form)
    found = load(tmp_path)
    assert len(found) == len(ENDINGS)
    ppm = found.ids.tolist().index(next(i for i in found.ids if i.endswith("PPM")))
    assert (found.images[ppm] == picture(sorted(ENDINGS).index(".ppm"))).all()


names = st.text(st.sampled_from("aB1-_. ~é"), min_size=1, max_size=4)
INSIDE = ["", "s", "s-t", "s/t", "S"]
good = names.filter(lambda n: n.strip(".") and not n.startswith("."))


@given(
    st.dictionaries(
        good,
        st.lists(
            st.tuples(st.sampled_from(["", "s", "s-t", "s/t", "S"]), good), min_size=1, max_size=5
        ),
        min_size=2,
        max_size=4,
    )
)
def test_the_order_is_that_of_torchvision(tmp_path_factory, classes):
    root = tmp_path_factory.mktemp("d")
    for name, files in classes.items():
        for folder, file in files:
            save(root / name / folder / f"{file}.png")
            (root / name / folder / f"{file}.txt").write_text("x")
    found = load(root)
    expected, order = image_folder(root)
    assert found.classes == tuple(order)
    assert [str(root / name) for name in found.ids] == [path for path, _ in expected]
    assert found.labels.tolist() == [c for _, c in expected]
    pixels = [np.asarray(Image.open(path)) for path, _ in expected]
    assert (found.images == np.stack(pixels)).all()


def test_subsets_of_a_split_fit_the_image_folder(tmp_path):
    rng = random.Random(0)
    for i in range(120):
        folder = rng.choice(["", "x", "x/y", "x-y"])
        save(tmp_path / f"class{i % 2}" / folder / f"{i}.png")
    given = load(tmp_path)
    own = list(np.random.default_rng(0).permutation(np.arange(120) % 2))
    made = td.split(
        given,
        "label",
        own,
        learner="linear",
        preset="smoke",
        epochs=1,
        runs=1,
        threads=1,
        controls=["random"],
        callbacks=(),
    )
    samples, _ = image_folder(tmp_path)
    for role, subset in made.subsets(samples).items():
        ids = getattr(made, f"{role}_ids").tolist()
        assert [os.path.relpath(path, tmp_path) for path, _ in subset] == ids
        rows = [given.ids.tolist().index(name) for name in ids]
        assert [c for _, c in subset] == given.labels[rows].tolist()


# --- folders of splits --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "parts",
    [("train", "test"), ("train", "val", "test"), ("Training", "dev"), ("valid", "testing")],
)
def test_splits_above_the_classes_are_an_attribute(parts, tmp_path):
    for part in parts:
        for name in ("cat", "dog"):
            for i in range(2):
                save(tmp_path / part / name / f"{i}.png")
    found = load(tmp_path)
    assert found.classes == ("cat", "dog")
    assert len(found) == 4 * len(parts)
    for name, part, label in zip(found.ids, found.attributes["split"], found.labels, strict=True):
        assert name.startswith(f"{part}/{found.classes[label]}/")
    assert any("splits are put together" in line for line in found.problems)
    assert set(found.target("attr:split").classes) == set(parts)
    one = load(f"{tmp_path}?split={parts[0]}")
    assert set(one.attributes["split"]) == {parts[0]}
    assert one.labels.tolist() == [0, 0, 1, 1]
    assert not any("put together" in line for line in one.problems)
    expected, _ = image_folder(tmp_path / parts[0])
    assert [str(tmp_path / name) for name in one.ids] == [path for path, _ in expected]
    with pytest.raises(td.ConfigError, match="no split 'x'"):
        load(f"{tmp_path}?split=x")


def test_a_split_is_found_by_another_name_of_it(tmp_path):
    for part in ("train", "val"):
        save(tmp_path / part / "cat" / "0.png")
        save(tmp_path / part / "dog" / "0.png")
    assert load(f"{tmp_path}?split=validation").ids.tolist() == ["val/cat/0.png", "val/dog/0.png"]


def test_a_split_without_classes_has_no_labels(tmp_path):
    """As in Tiny-ImageNet, whose test images lie in `images`; and in competitions."""
    for name in ("n01", "n02"):
        save(tmp_path / "train" / name / "images" / "0.png")
    save(tmp_path / "val" / "images" / "0.png")
    save(tmp_path / "test" / "0.png")
    found = load(tmp_path)
    assert found.classes == ("n01", "n02")
    known = dict(zip(found.ids.tolist(), found.labels.tolist(), strict=True))
    assert known == {
        "test/0.png": -1,
        "train/n01/images/0.png": 0,
        "train/n02/images/0.png": 1,
        "val/images/0.png": -1,
    }


def test_classes_that_are_called_as_splits_are_stay_classes(tmp_path):
    for name in ("train", "test"):  # photographs of trains, and of tests
        save(tmp_path / "flat" / name / "0.png")
        save(tmp_path / "tiny" / name / "images" / "0.png")
    for kind in ("flat", "tiny"):
        assert load(tmp_path / kind).classes == ("test", "train")
        with pytest.raises(td.ConfigError, match="no split 'train'"):
            load(f"{tmp_path / kind}?split=train")
    for name in ("train", "plane", "ship"):
        save(tmp_path / "ways" / name / "red" / "0.png")
    assert load(tmp_path / "ways").classes == ("plane", "ship", "train")


# --- links --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["models", "datasets"])
def test_a_snapshot_of_the_hub_is_read_through_its_links(kind, tmp_path):
    store = tmp_path / f"{kind}--me--x"
    snapshot = store / "snapshots" / "0a1b"
    table = tmp_path / "t.parquet"
    rows = []
    for name in ("cat", "dog"):
        for i in range(2):
            blob = store / "blobs" / f"{name}{i}ff"
            save(tmp_path / "x.png")
            rows.append({"bytes": (tmp_path / "x.png").read_bytes(), "path": None})
            blob.parent.mkdir(parents=True, exist_ok=True)
            os.replace(tmp_path / "x.png", blob)
            (snapshot / "data" / name).mkdir(parents=True, exist_ok=True)
            (snapshot / "data" / name / f"{i}.png").symlink_to(
                os.path.join("..", "..", "..", "..", "blobs", blob.name)
            )
    found = load(snapshot / "data")
    assert found.classes == ("cat", "dog")
    assert len(found) == 4
    pq.write_table(pa.table({"image": rows, "label": [0, 0, 1, 1]}), table)
    os.replace(table, store / "blobs" / "abc")
    (snapshot / "tables" / "data").mkdir(parents=True)
    link = snapshot / "tables" / "data" / "train-00000-of-00001.parquet"
    link.symlink_to(os.path.join("..", "..", "..", "..", "blobs", "abc"))
    read = td.load(f"parquet:{snapshot / 'tables'}", callbacks=())
    assert len(read) == 4


@pytest.mark.parametrize(
    "target", ["elsewhere/x.png", "store/other/x.png", "store/blobs2/x.png", "blobs/x.png"]
)
def test_all_other_links_out_are_refused(target, tmp_path):
    snapshot = tmp_path / "store" / "snapshots" / "0a1b"
    save(snapshot / "cat" / "0.png")
    save(tmp_path / target)
    (snapshot / "cat" / "x.png").symlink_to(tmp_path / target)
    with pytest.raises(td.DataError, match="leads out of the folder"):
        load(snapshot)
    save(tmp_path / "plain" / "cat" / "0.png")
    save(tmp_path / "blobs" / "y.png")
    (tmp_path / "plain" / "cat" / "y.png").symlink_to(tmp_path / "blobs" / "y.png")
    with pytest.raises(td.DataError, match="leads out of the folder"):
        load(tmp_path / "plain")


def test_blobs_that_are_a_link_themselves_are_refused(tmp_path):
    snapshot = tmp_path / "store" / "snapshots" / "0a1b"
    save(snapshot / "cat" / "0.png")
    save(tmp_path / "secret" / "x.png")
    (tmp_path / "store" / "blobs").symlink_to(tmp_path / "secret")
    (snapshot / "cat" / "x.png").symlink_to(tmp_path / "store" / "blobs" / "x.png")
    with pytest.raises(td.DataError, match="leads out of the folder"):
        load(snapshot)


# --- shards -------------------------------------------------------------------------------------


def shard(path, labels, seed=0, names=None, **columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = []
    for i in range(len(next(iter(columns.values()))) if labels is None else len(labels)):
        save(path.parent / "x.png", 1000 * seed + i)
        cells.append({"bytes": (path.parent / "x.png").read_bytes(), "path": f"{i}.png"})
    (path.parent / "x.png").unlink()
    table = {"image": cells} | ({} if labels is None else {"label": labels}) | columns
    table = pa.table(table)
    if names:
        features = {"label": {"names": names, "_type": "ClassLabel"}}
        meta = json.dumps({"info": {"features": features}})
        table = table.replace_schema_metadata({"huggingface": meta})
    pq.write_table(table, path)


@pytest.mark.parametrize("names", [None, ["cat", "dog"]])
@pytest.mark.parametrize("inside", ["", "data"])
def test_shards_of_several_splits_are_told_apart(names, inside, tmp_path):
    place = tmp_path / "hub" / inside
    shard(place / "train-00000-of-00002.parquet", [0, 1], 1, names)
    shard(place / "train-00001-of-00002-0123456789abcdef.parquet", [1, 0], 2, names)
    shard(place / "validation-00000-of-00001.parquet", [1], 3, names)
    shard(place / "test-00000-of-00001.parquet", [-1, -1, -1], 4, names)
    found = td.load(f"parquet:{tmp_path / 'hub'}", callbacks=())
    assert found.classes == (("cat", "dog") if names else ("0", "1"))
    expected = {"test": [-1, -1, -1], "train": [0, 1, 1, 0], "validation": [1]}
    for part, labels in expected.items():
        rows = (found.attributes["split"] == part).to_numpy()
        assert found.labels[rows].tolist() == labels
        one = td.load(f"parquet:{tmp_path / 'hub'}?split={part}", callbacks=())
        assert (one.images == found.images[rows]).all()
        assert one.problems == (("no image has a label in column label",) if part == "test" else ())
        assert (one.labels is None) == (part == "test")
        if part == "train":
            assert one.labels.tolist() == labels
            assert (one.images[2] == picture(2000)).all()
    line, unknown = found.problems
    assert unknown == "3 of 8 images have no label"
    assert "test 3, train 4, validation 1" in line
    assert "?split=train reads one" in line
    assert "-1" not in found.classes
    with pytest.raises(td.ConfigError, match="no split 'x'"):
        td.load(f"parquet:{tmp_path / 'hub'}?split=x")
    assert td.load(tmp_path / "hub", callbacks=()).fingerprint == found.fingerprint


def test_a_split_may_lack_a_column_but_its_shards_may_not_differ(tmp_path):
    shard(tmp_path / "a" / "train-00000-of-00001.parquet", ["x", "y"], site=["p", None])
    shard(tmp_path / "a" / "test-00000-of-00001.parquet", None, 1, site=["q", "p"])
    found = td.load(f"parquet:{tmp_path / 'a'}", callbacks=())
    assert found.labels.tolist() == [-1, -1, 0, 1]
    assert found.target("attr:site").labels_N.tolist() == [1, 0, 0, -1]
    shard(tmp_path / "b" / "train-00000-of-00002.parquet", ["x", "y"])
    shard(tmp_path / "b" / "train-00001-of-00002.parquet", None, 1, site=["q", "p"])
    with pytest.raises(td.DataError, match="different columns"):
        td.load(f"parquet:{tmp_path / 'b'}")


def test_one_split_is_nothing_to_tell(tmp_path):
    for i in range(2):
        shard(tmp_path / f"train-0000{i}-of-00002.parquet", [i, 1 - i], i)
    found = td.load(f"parquet:{tmp_path}", callbacks=())
    assert found.attributes is None
    assert found.problems == ()
    shard(tmp_path / "plain" / "0.parquet", [0, 1])
    with pytest.raises(td.ConfigError, match="no split 'train'"):
        shards_of(tmp_path / "plain", parse("parquet:plain?split=train"))


def test_ids_of_parquet_are_texts(tmp_path):
    images = [{"bytes": b"x", "path": None}] * 3
    for i in range(3):
        save(tmp_path / "x.png", i)
        images[i] = {"bytes": (tmp_path / "x.png").read_bytes(), "path": None}
    for column in ("image_id", "ID"):
        frame = pd.DataFrame({"image": images, "label": [0, 1, 0], column: ["007", "07", "7"]})
        frame.to_parquet(tmp_path / "t.parquet")
        assert td.load(f"parquet:{tmp_path / 't.parquet'}").ids.tolist() == ["007", "07", "7"]
        frame.set_index(column).to_parquet(tmp_path / "t.parquet")
        found = td.load(f"parquet:{tmp_path / 't.parquet'}")
        assert found.ids.tolist() == ["007", "07", "7"]
        assert found.attributes is None
    frame = frame.drop(columns=["ID"]).loc[[2, 0, 1]]
    frame.to_parquet(tmp_path / "t.parquet")
    found = td.load(f"parquet:{tmp_path / 't.parquet'}")
    assert found.ids.tolist() == ["0", "1", "2"]
    assert found.attributes is None
