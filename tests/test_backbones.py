"""Backbones of every kind: what they are shown, what is refused, and what a stop leaves behind."""

import base64
import dataclasses
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from safetensors.torch import save_file

import stand_ins
import taskdiscovery as td
from taskdiscovery.cli import main
from taskdiscovery.config import ScoreConfig
from taskdiscovery.encoders.linear import FeatureEncoder
from taskdiscovery.features import backbone_of, features_of, is_backbone
from taskdiscovery.features.backbones import asking, keeping, opens, prepare, run, sized
from taskdiscovery.features.writing import backbone_from
from taskdiscovery.jobs import trust
from taskdiscovery.jobs.trust import Reach, reach_of
from taskdiscovery.runtime.callbacks import Callback
from taskdiscovery.store.run import ENCODER
from taskdiscovery.types import Backbone
from taskdiscovery.types.backbone import Pixels

N = 40
IMAGES = np.random.default_rng(0).integers(0, 256, (N, 20, 24, 3), dtype=np.uint8)
OWN = """
import torch
from torch import nn

class Own(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 5, 4)

    def forward(self, x):
        return self.layer(x)

def own():
    return Own()

def said():
    network = Own()
    network.pretrained_cfg = {"input_size": (3, 8, 8), "mean": (0.1,) * 3, "std": (0.5,) * 3}
    return network

def broken():
    raise ValueError("no such luck")

def number():
    return 3
"""
OPTIONS = "size=8&mean=0.5&std=0.25&pool=mean"


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TASKDISCOVERY_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def data():
    return td.from_arrays(IMAGES)


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A factory of the caller's and its weights; returns the SPEC of both."""
    stand_ins.install(tmp_path, monkeypatch, own_module=OWN)
    torch.manual_seed(0)
    save_file(sys.modules["own_module"].Own().state_dict(), tmp_path / "w.safetensors")
    return f"own_module:own?weights={tmp_path / 'w.safetensors'}&{OPTIONS}"


def embed(data, spec, **options):
    return td.embed(data, backbone=spec, callbacks=(), **options)


def shown(side, size, method, mean, std):
    """What a network should see of the images, written anew."""
    fitted = [
        np.asarray(ImageOps.fit(Image.fromarray(image), (side, side), method)) for image in IMAGES
    ]
    cut = round((side - size) / 2)
    x = np.stack(fitted)[:, cut : cut + size, cut : cut + size] / 255.0
    return torch.from_numpy((x - mean) / std).float().permute(0, 3, 1, 2)


# --- kinds ---------------------------------------------------------------------------------------


def test_timm_is_shown_what_its_config_says(data, tmp_path, monkeypatch):
    stand_ins.install(tmp_path, monkeypatch, timm=stand_ins.TIMM)
    timm = sys.modules["timm"]
    torch.manual_seed(1)
    model = timm.create_model("little", False, 7)
    model.norm.running_mean += 0.5
    save_file(model.state_dict(), tmp_path / "t.safetensors")
    spec = f"timm:little?weights={tmp_path / 't.safetensors'}"
    found = embed(data, spec)
    x = shown(20, 16, Image.Resampling.BICUBIC, timm.CFG["mean"], timm.CFG["std"])
    model.eval().fc = torch.nn.Identity()
    with torch.no_grad():
        np.testing.assert_allclose(found.features, model(x).numpy(), atol=1e-5)
    known = found.backbone
    assert (known.size, known.resize, known.interpolation) == (16, 20, "bicubic")
    assert known.mean == (0.5, 0.4, 0.3)
    assert backbone_of(spec).sha256 == known.sha256
    for text, error, message in [
        ("timm:little", td.ConfigError, "untrained network mean nothing"),
        (spec.replace("little", "litle"), td.ConfigError, "no model 'litle'"),
        (spec.replace("little", "silent"), td.ConfigError, "does not say its size, mean, std"),
        (spec.replace("safetensors", "pth"), td.ConfigError, "a pickle runs code"),
        (spec.replace("t.safe", "absent.safe"), td.DataError, "no such file"),
        (spec + "&sise=3", td.ConfigError, "unknown option"),
    ]:
        with pytest.raises(error, match=message):
            embed(data, text)
    silent = embed(data, spec.replace("little", "silent") + "&size=16&mean=0.5&std=0.2")
    assert silent.backbone.mean == (0.5,) * 3


def test_torchvision_gives_what_enters_its_last_layer(data, tmp_path, monkeypatch):
    stand_ins.install(tmp_path, monkeypatch, torchvision=stand_ins.TORCHVISION)
    model = sys.modules["torchvision"].Small(1000)
    save_file(model.state_dict(), tmp_path / "v.safetensors")
    spec = f"torchvision:small?weights={tmp_path / 'v.safetensors'}"
    found = embed(data, spec)
    x = shown(16, 12, Image.Resampling.BILINEAR, 0.5, 0.2)
    with torch.no_grad():
        wanted = model.eval().features(x).mean((2, 3)).numpy()
    np.testing.assert_allclose(found.features, wanted, atol=1e-5)
    bigger = embed(data, spec, size=24)
    assert (bigger.backbone.size, bigger.backbone.resize) == (24, 32)
    with pytest.raises(td.ConfigError, match="no model 'absent'"):
        embed(data, spec.replace("small", "absent"))


def test_weights_of_another_network_are_refused(data, tmp_path, monkeypatch):
    stand_ins.install(tmp_path, monkeypatch, torchvision=stand_ins.TORCHVISION)
    state = sys.modules["torchvision"].Small(1000).state_dict()
    spec = f"torchvision:small?weights={tmp_path / 'v.safetensors'}"
    for change, message in [
        (lambda s: s.pop("features.0.bias"), "lacks 1 of its weights"),
        (lambda s: s.update(more=torch.zeros(1)), "that the network has not, e.g. more"),
        (lambda s: s.update({"features.0.bias": torch.zeros(9)}), "another shape"),
    ]:
        changed = dict(state)
        change(changed)
        save_file(changed, tmp_path / "v.safetensors")
        with pytest.raises(td.DataError, match=message) as caught:
            embed(data, spec)
        assert caught.value.where.endswith("v.safetensors")
    (tmp_path / "v.safetensors").write_bytes(b"\x80\x04.")
    with pytest.raises(td.DataError, match="cannot be read"):
        embed(data, spec)


def said(tmp_path, **changes):
    document = {"shape": ["N", 3, 8, 8], "type": "tensor(float)", "outputs": ["means"]}
    document |= {"layout": "NCHW", **changes}
    (tmp_path / "m.onnx").write_text(json.dumps(document))
    return f"onnx:{tmp_path / 'm.onnx'}"


def test_onnx_reads_layout_size_and_output_where_they_are_said(data, tmp_path, monkeypatch):
    stand_ins.install(tmp_path, monkeypatch, onnxruntime=stand_ins.ONNXRUNTIME)
    norm = "mean=0.5&std=0.25"
    x = shown(8, 8, Image.Resampling.BILINEAR, 0.5, 0.25).mean((2, 3)).numpy()
    for changes, options in [
        ({}, norm),
        ({"shape": [3, 3, 8, 8]}, norm),
        ({"shape": ["N", "h", "w", 3], "layout": "NHWC"}, f"{norm}&size=8"),
        ({"shape": ["N", "c", "h", "w"]}, f"{norm}&size=8&layout=NCHW"),
        ({"outputs": ["tokens", "means"]}, f"{norm}&output=means"),
        ({"outputs": ["tokens"]}, f"{norm}&pool=first"),
    ]:
        found = embed(data, f"{said(tmp_path, **changes)}?{options}")
        np.testing.assert_allclose(found.features, x, atol=1e-5, err_msg=str(changes))
    scaled = embed(data, f"{said(tmp_path)}?scale=255&mean=127.5&std=63.75")
    np.testing.assert_allclose(scaled.features, x, atol=1e-4)
    tokens = embed(data, f"{said(tmp_path, outputs=['tokens'])}?{norm}&pool=mean")
    assert (tokens.features == 0).all()
    maps = embed(data, f"{said(tmp_path, outputs=['map'])}?{norm}&pool=mean")
    np.testing.assert_allclose(maps.features, x + 1.5, atol=1e-5)
    raw = embed(data, said(tmp_path, type="tensor(uint8)"))
    np.testing.assert_allclose(raw.features, (x * 0.25 + 0.5) * 255, atol=1e-3)


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({}, "", "does not say its mean, std"),
        ({}, "mean=0,0&std=1", "one for each of three channels"),
        ({}, "mean=0&std=0", "one for each of three channels"),
        ({}, "mean=0&std=1&size=16", "images of 8 x 8 alone"),
        ({"shape": ["N", "c", "h", "w"]}, "mean=0&std=1", "where its channels are"),
        ({"shape": ["N", 4, 8, 8]}, "mean=0&std=1&layout=NCHW", "where its channels are"),
        ({"shape": ["N", 3]}, "mean=0&std=1", "none of images"),
        ({"type": "tensor(int64)"}, "mean=0&std=1", "takes x"),
        ({"outputs": ["means", "map"]}, "mean=0&std=1", "has 2 outputs"),
        ({"outputs": ["means", "map"]}, "mean=0&std=1&output=mean", "no output is called"),
        ({"outputs": ["tokens"]}, "mean=0&std=1", "not a row of features"),
        ({"outputs": ["map"]}, "mean=0&std=1&pool=first", "not a row of features"),
    ],
)
def test_onnx_asks_for_what_is_not_said(data, tmp_path, monkeypatch, changes, options, message):
    stand_ins.install(tmp_path, monkeypatch, onnxruntime=stand_ins.ONNXRUNTIME)
    spec = said(tmp_path, **changes) + (f"?{options}" if options else "")
    with pytest.raises(td.ConfigError, match=message) as caught:
        embed(data, spec)
    assert caught.value.hint


#: y = the mean of (N, 3, 8, 8) over pixels, as torch.onnx would write it.
REAL = (
    "CAkSAXQ6dQopCgF4CgRheGVzEgF5IgpSZWR1Y2VNZWFuKg8KCGtlZXBkaW1zGACgAQISAWcqHAgCEAdC"
    "BGF4ZXNKEAIAAAAAAAAAAwAAAAAAAABaHAoBeBIXChUIARIRCgMSAU4KAggDCgIICAoCCAhiCQoBeRIE"
    "CgIIAUIECgAQEg=="
)


def test_a_real_onnx_file(data, tmp_path):
    pytest.importorskip("onnxruntime", reason="pip install .[onnx]", exc_type=ImportError)
    (tmp_path / "m.onnx").write_bytes(base64.b64decode(REAL))
    found = embed(data, f"onnx:{tmp_path / 'm.onnx'}?mean=0.5&std=0.25")
    x = shown(8, 8, Image.Resampling.BILINEAR, 0.5, 0.25)
    np.testing.assert_allclose(found.features, x.mean((2, 3)).numpy(), atol=1e-5)
    (tmp_path / "m.onnx").write_bytes(b"no model")
    with pytest.raises(td.DataError, match="cannot be read"):
        embed(data, f"onnx:{tmp_path / 'm.onnx'}?mean=0.5&std=0.25")


def test_missing_packages_are_named(data, tmp_path, monkeypatch):
    for package, spec in [
        ("onnxruntime", said(tmp_path)),
        ("timm", f"timm:x?weights={tmp_path / 'w.safetensors'}"),
    ]:
        (tmp_path / "w.safetensors").write_bytes(b"")
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(td.ConfigError, match=f"{package} is not installed") as caught:
            embed(data, spec)
        assert "pip install" in caught.value.hint


PROCESSOR = {
    "size": {"shortest_edge": 20},
    "resample": 3,
    "do_center_crop": True,
    "crop_size": {"height": 16, "width": 16},
    "image_mean": [0.5, 0.4, 0.3],
    "image_std": [0.2, 0.2, 0.25],
}


def test_a_folder_of_transformers(data, tmp_path):
    transformers = pytest.importorskip("transformers")
    config = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    config |= {"image_size": 16, "patch_size": 8}
    torch.manual_seed(0)
    model = transformers.Dinov2Model(transformers.Dinov2Config(**config)).eval()
    model.save_pretrained(tmp_path / "hf")
    (tmp_path / "hf" / "preprocessor_config.json").write_text(json.dumps(PROCESSOR))
    spec = f"hf:{tmp_path / 'hf'}"
    found = embed(data, spec)
    x = shown(20, 16, Image.Resampling.BICUBIC, (0.5, 0.4, 0.3), (0.2, 0.2, 0.25))
    with torch.no_grad():
        wanted = model(pixel_values=x)
    np.testing.assert_allclose(found.features, wanted.pooler_output.numpy(), atol=1e-4)
    first = embed(data, f"{spec}?output=last_hidden_state&pool=first")
    np.testing.assert_allclose(first.features, wanted.last_hidden_state[:, 0].numpy(), atol=1e-4)
    with pytest.raises(td.ConfigError, match="gives no image_embeds"):
        embed(data, f"{spec}?output=image_embeds")
    # One that was saved without the pooler, which transformers would draw anew.
    transformers.ViTModel(
        transformers.ViTConfig(**config, intermediate_size=8), False
    ).save_pretrained(tmp_path / "hf")
    with pytest.raises(td.ConfigError, match="not in the folder") as caught:
        embed(data, spec)
    assert "last_hidden_state" in caught.value.hint
    assert embed(data, f"{spec}?output=last_hidden_state&pool=mean").features.shape == (N, 8)


def test_a_folder_with_code_or_pickles_is_refused(data, tmp_path):
    spec = f"hf:{tmp_path}?size=8&mean=0&std=1"
    with pytest.raises(td.DataError, match="cannot be read as a model"):
        embed(data, spec)
    (tmp_path / "config.json").write_text('{"auto_map": {"AutoModel": "evil.Evil"}}')
    with pytest.raises(td.ConfigError, match="code of its own"):
        embed(data, spec)
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(td.ConfigError, match="a pickle runs code"):
        embed(data, spec)


def test_a_factory_of_the_callers(data, own, tmp_path):
    found = embed(data, own)
    network = sys.modules["own_module"].Own()
    torch.manual_seed(0)
    network = sys.modules["own_module"].Own()
    with torch.no_grad():
        wanted = network(shown(8, 8, Image.Resampling.BILINEAR, 0.5, 0.25)).mean((2, 3)).numpy()
    np.testing.assert_allclose(found.features, wanted, atol=1e-5)
    file = tmp_path / "w.safetensors"
    told = embed(data, f"own_module:said?weights={file}&pool=mean")
    assert (told.backbone.size, told.backbone.mean) == (8, (0.1,) * 3)
    for text, message in [
        (own.replace(":own", ":absent"), "cannot be called"),
        (f"own_module:broken?weights={file}", "no such luck"),
        (f"own_module:number?weights={file}", "returned int"),
        ("own_module:own", "needs weights="),
    ]:
        with pytest.raises(td.ConfigError, match=message):
            embed(data, text)


def test_the_network_of_a_run(tmp_path):
    data = td.load("shapes?n=240", size=8)
    found = td.discover(
        data,
        learner="mlp?width=0.1",
        method=td.Spectral(start="pixels"),
        encoder_epochs=1,
        tasks=2,
        threads=1,
        callbacks=(),
        out=tmp_path / "run",
    )
    again = embed(data, f"run:{tmp_path / 'run'}")
    model = found.encoder.model
    from taskdiscovery import networks

    with torch.no_grad():
        wanted = networks.features(model.eval(), torch.from_numpy(np.array(data.images)))
    np.testing.assert_allclose(again.features, wanted.numpy(), atol=1e-5)
    assert again.backbone.name == "run"
    assert run._FILE == ENCODER
    with pytest.raises(td.DataError, match="no encoder"):
        embed(data, f"run:{tmp_path}")
    os.mkfifo(tmp_path / "encoder.safetensors")
    with pytest.raises(td.DataError, match="no encoder"):
        embed(data, f"run:{tmp_path}")


# --- pixels --------------------------------------------------------------------------------------


def test_pixels_are_cut_from_the_centre_in_grey_and_colour():
    pixels = Pixels(size=6, resize=10, interpolation="bilinear")
    found = prepare.seen(IMAGES, pixels)
    whole = prepare.seen(IMAGES, Pixels(size=10, interpolation="bilinear"))
    np.testing.assert_array_equal(found, whole[:, 2:8, 2:8])
    odd = prepare.seen(IMAGES, Pixels(size=7, resize=10, interpolation="bilinear"))
    np.testing.assert_array_equal(odd, whole[:, 2:9, 2:9])  # round(1.5), as torchvision cuts
    grey = prepare.seen(IMAGES[..., :1], pixels)
    np.testing.assert_array_equal(grey, np.repeat(found[..., :1], 3, axis=3))
    squashed = prepare.seen(IMAGES, Pixels(size=6, fit="squash", interpolation="nearest"))
    wanted = np.asarray(Image.fromarray(IMAGES[3]).resize((6, 6), Image.Resampling.NEAREST))
    np.testing.assert_array_equal(squashed[3], wanted)
    same = prepare.seen(IMAGES[:, :20, :20], Pixels(size=20, interpolation="bicubic"))
    np.testing.assert_array_equal(same, IMAGES[:, :20, :20])
    with pytest.raises(td.DataError, match="takes grey images"):
        prepare.seen(IMAGES, pixels, channels=1)


def test_a_size_is_said_once(own):
    assert sized("lite0", None) == "lite0"
    assert sized("lite0", 64) == "lite0?size=64"
    assert sized("lite0?size=64", 64) == "lite0?size=64"
    with pytest.raises(td.ConfigError, match="say different sizes"):
        sized("lite0?size=64", 32)
    assert sized("run:a b", 64) == "run:a b"


def test_every_kind_is_told_from_a_file():
    for text in (
        "onnx:f.onnx",
        "timm:a.b",
        "torchvision:x",
        "hf:a/b",
        "run:r",
        "my.mod:fn?weights=f",
    ):
        assert is_backbone(text)
    for text in ("onnx", "timm", "f.npy", "a/b:c", "lite0:x", "a.b", "nets:a.npy", "./x:y"):
        assert not is_backbone(text), text


@pytest.mark.parametrize(
    ("text", "reach"),
    [
        ("lite0?size=64", Reach.INSIDE),
        ("onnx:f.onnx", Reach.OUTSIDE),
        ("timm:x?weights=f", Reach.OUTSIDE),
        ("torchvision:x?weights=f", Reach.OUTSIDE),
        ("hf:folder", Reach.OUTSIDE),
        ("run:elsewhere", Reach.OUTSIDE),
        ("os:system", Reach.CODE),
        ("evil.module:load?weights=f&size=8", Reach.CODE),
        ("photos.parquet", Reach.OUTSIDE),
    ],
)
def test_what_a_backbone_reaches(text, reach):
    assert reach_of("features", text) is reach


def test_a_job_names_its_own_factory_again(own, tmp_path):
    """Even in this user's own run, as any code."""
    config = ScoreConfig(learner="ridge", features=own)
    mine = SimpleNamespace(path=tmp_path, is_ours=lambda document: True)
    with pytest.raises(td.RunDirError, match="runs code") as caught:
        trust.check_job(mine, config, {}, trust.Allowed(networks={}))
    assert "--allow" in caught.value.hint
    allowed = trust.Allowed(networks={}, texts=[own])
    trust.check_job(mine, config, {}, allowed)
    assert allowed.networks_of(config) == {}
    for text in ("onnx:f.onnx", "hf:folder"):  # places, which the user's own job may name
        named = ScoreConfig(learner="ridge", features=text)
        trust.check_job(mine, named, {}, trust.Allowed(networks={}))
        theirs = SimpleNamespace(path=tmp_path, is_ours=lambda document: False)
        with pytest.raises(td.RunDirError, match="lies outside"):
            trust.check_job(theirs, named, {}, trust.Allowed(networks={}))


def test_what_pretrained_learners_reach():
    assert reach_of("learner", "lite0?train=all") is Reach.INSIDE
    assert reach_of("learner", "timm:x") is Reach.INSIDE
    assert reach_of("learner", "timm:x?weights=f&train=head") is Reach.OUTSIDE


# --- what files keep -----------------------------------------------------------------------------


def test_a_backbone_is_read_back_as_it_was_and_says_in_what_it_differs():
    old = {"name": "lite0", "size": 128, "sha256": "a" * 64}
    assert backbone_from(old).to_json() == old
    made = Backbone(
        name="onnx",
        size=8,
        sha256="b" * 64,
        resize=10,
        mean=(0.5,) * 3,
        std=(0.2,) * 3,
        output="y",
        asked="onnx:secret/place.onnx",
    )
    text = json.dumps(made.to_json())
    assert "secret" not in text
    read = backbone_from(json.loads(text))
    assert read == made
    assert (read.asked, opens(read), opens(made), opens(backbone_from(old))) == (
        "",
        False,
        True,
        True,
    )
    other = dataclasses.replace(made, size=9, mean=(0.1,) * 3)
    assert made.difference(other) == "size 9, not 8; mean 0.1,0.1,0.1, not 0.5,0.5,0.5"
    assert made.difference(read) == ""


@pytest.mark.parametrize(
    "change",
    [
        {"asked": "evil:load"},
        {"size": 0},
        {"size": "8"},
        {"size": True},
        {"size": 10**9},
        {"resize": 4},
        {"mean": [0.5]},
        {"mean": ["a", "b", "c"], "std": [1, 1, 1]},
        {"mean": [0, 0, 0], "std": [0, 1, 1]},
        {"mean": [0, 0, float("inf")], "std": [1, 1, 1]},
        {"scale": -1},
        {"scale": "1"},
        {"fit": "stretch"},
        {"fit": []},
        {"layout": "CHW"},
        {"interpolation": "magic"},
        {"pool": "max"},
        {"name": "x" * 10_000},
        {"output": 3},
        {"more": 1},
    ],
)
def test_hostile_backbones_are_refused(change):
    document = {"name": "onnx", "size": 8, "sha256": "b" * 64} | change
    with pytest.raises((ValueError, TypeError)):
        backbone_from(document)


def test_an_encoder_file_never_imports_or_opens_what_it_names(own, data, tmp_path, monkeypatch):
    """The module is importable and its weights are there, and still it is to be named again."""
    found = embed(data, own)
    encoder = FeatureEncoder(
        names=("a",), weights_PD=np.ones((5, 1)), offset_D=np.zeros(1), backbone=found.backbone
    )
    wanted = encoder.predict(IMAGES)  # named by the caller in this process
    assert encoder.takes_images
    encoder.save(tmp_path / "e.safetensors")
    read = FeatureEncoder.load(tmp_path / "e.safetensors")
    assert read.backbone == found.backbone
    assert not read.takes_images
    monkeypatch.delitem(sys.modules, "own_module")
    (tmp_path / "own_module.py").write_text("raise SystemExit('it ran')")
    with pytest.raises(td.DataError, match="named again") as caught:
        read.predict(IMAGES)
    assert "--features" in caught.value.hint
    with pytest.raises(td.DataError, match="named again"):
        features_of(IMAGES, dataclasses.replace(read.backbone, name="lite1"))
    assert "own_module" not in sys.modules
    (tmp_path / "own_module.py").write_text(OWN)
    again = td.load(data, features=own, callbacks=())
    np.testing.assert_array_equal(read.classify(read.of_dataset(again)), wanted)
    other = td.load(data, features=own.replace("size=8", "size=9"), callbacks=())
    with pytest.raises(td.DataError, match="takes features of") as caught:
        read.of_dataset(other)
    assert "size 9, not 8" in caught.value.hint


def test_a_run_from_elsewhere_names_its_backbone_in_vain(own, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    shapes, run = "shapes?n=200&size=8", tmp_path / "run"
    command = ["discover", shapes, "--method", "pursuit", "--tasks", "2", "--features", own]
    assert main([*command, "--threads", "1", "--quiet", "--out", str(run)]) == 0
    monkeypatch.delitem(sys.modules, "own_module")
    (tmp_path / "own_module.py").write_text("raise SystemExit('it ran')")
    capfd.readouterr()
    assert main(["label", str(run), shapes.replace("200", "60"), "--quiet"]) == 3
    assert "named again" in capfd.readouterr().err
    assert main(["analyze", str(run), "--quiet", "--probe-images", "20"]) in (0, 3)
    assert "own_module" not in sys.modules
    (tmp_path / "own_module.py").write_text(OWN)
    labelled = ["label", str(run), shapes.replace("200", "60"), "--quiet", "--features", own]
    assert main(labelled) == 0


# --- how features are computed, and kept ---------------------------------------------------------


def test_a_device_decides_how_features_are_computed(monkeypatch):
    assert asking.plan_of("cpu") == asking.Plan(
        device="cpu", precision="float32", batch=32, ahead=0, pinned=False
    )
    assert asking.plan_of("cpu", size=448).batch == 32
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: False)
    assert asking.plan_of("cuda").precision == "float32"  # it would be emulated, or refused
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    cuda = asking.plan_of("cuda:1")
    assert (cuda.device, cuda.precision, cuda.pinned) == ("cuda:1", "bf16", True)
    assert cuda.ahead >= cuda.threads > 0
    batches = {size: asking.plan_of("cuda", size=size).batch for size in (32, 112, 224, 384, 896)}
    assert batches == {32: 2048, 112: 1024, 224: 256, 384: 64, 896: 32}
    exact = asking.plan_of("cuda", exact=True)
    assert (exact.precision, exact.batch) == ("float32", 32)
    assert asking.plan_of("cuda", 7).batch == 7


def test_the_path_of_a_gpu_gives_the_same_features(own, data, monkeypatch):
    """In threads ahead of time and in bf16, on the CPU; pinned memory alone needs a GPU."""
    plain = embed(data, own).features
    plan = asking.Plan(device="cpu", precision="bf16", batch=8, ahead=2, pinned=False, threads=2)
    monkeypatch.setattr("taskdiscovery.features.backbones.plan_of", lambda *_, **__: plan)
    threads, order, inside = set(), [], []
    real, ask, arrived = prepare.seen, asking.Asked._ask, asking.Answer.arrived

    def seen(*arguments):
        threads.add(__import__("threading").current_thread().name)
        return real(*arguments)

    def asks(self, batch, count):
        order.append("asked")
        self.network.module.register_forward_pre_hook(
            lambda *_: inside.append(torch.is_inference_mode_enabled())
        )
        return ask(self, batch, count)

    def arrives(self):
        order.append("arrived")
        return arrived(self)

    monkeypatch.setattr(asking, "seen", seen)
    monkeypatch.setattr(asking.Asked, "_ask", asks)
    monkeypatch.setattr(asking.Answer, "arrived", arrives)
    low = embed(data, own).features
    assert all("ThreadPool" in name for name in threads)
    assert all(inside)
    # The width is asked for first; then the device always has the next batches.
    batches = -(-len(data) // 8)
    assert order[:2] == ["asked", "arrived"]
    assert order[2:6] == ["asked", "asked", "asked", "arrived"]
    assert order.count("asked") == order.count("arrived") == 1 + batches
    assert 1e-6 < np.abs(low - plain).max() < 0.05  # other numbers, kept apart
    assert low.dtype == np.float32


def test_answers_come_in_order_and_each_with_its_images(own, monkeypatch):
    whole = features_of(MANY[:100], backbone_of(own))
    plan = asking.Plan(device="cpu", precision="float32", batch=7, ahead=3, pinned=False, threads=3)
    monkeypatch.setattr("taskdiscovery.features.backbones.plan_of", lambda *_, **__: plan)
    np.testing.assert_allclose(features_of(MANY[:100], backbone_of(own)), whole, atol=1e-5)


def test_a_batch_that_does_not_fit_names_a_smaller_one(own, data, monkeypatch):
    class Full:
        channels = 3

        def __call__(self, images):
            raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("taskdiscovery.features.backbones._loaded", lambda *_: Full())
    with pytest.raises(td.ResourceError) as caught:
        embed(data, own, batch=64)
    assert "--batch 32" in caught.value.hint


class Stop(Callback):
    """Stops a job after so many images."""

    def __init__(self, after, how):
        self.left, self.how = after, how

    def on_progress(self, stage, amount, note):
        self.left -= amount
        if self.left <= 0:
            self.how()


MANY = np.random.default_rng(1).integers(0, 256, (1400, 8, 8, 3), dtype=np.uint8)


def counted(monkeypatch):
    asked = []
    real = asking.Asked._ask

    def ask(self, batch, count):
        asked.append(count)
        return real(self, batch, count)

    monkeypatch.setattr(asking.Asked, "_ask", ask)
    return asked


def interrupt():
    raise KeyboardInterrupt


def test_a_stopped_embed_goes_on_where_it_was(own, tmp_path, monkeypatch):
    data = td.from_arrays(MANY)
    whole = features_of(MANY, backbone_of(own))
    asked = counted(monkeypatch)
    with pytest.raises(KeyboardInterrupt) as caught:
        td.embed(data, backbone=own, callbacks=[Stop(1100, interrupt)])
    assert "goes on" in caught.value.args[0]
    before = sum(asked)
    assert before < 1200
    asked.clear()
    found = embed(data, own)
    assert sum(asked) - 1 == 1400 - 1024  # one to learn the width; two blocks of 512 were whole
    np.testing.assert_array_equal(found.features, whole)
    assert not list((tmp_path / "cache").glob(".embedding-*"))
    asked.clear()
    embed(data, own)
    assert not asked


@pytest.mark.parametrize("damage", ["half a block", "a torn line", "another shape", "no table"])
def test_no_block_is_taken_that_is_not_whole(own, tmp_path, monkeypatch, damage):
    data, whole = td.from_arrays(MANY), features_of(MANY, backbone_of(own))
    with pytest.raises(KeyboardInterrupt):
        td.embed(data, backbone=own, callbacks=[Stop(1100, interrupt)])
    (growing,) = (p for p in (tmp_path / "cache").glob(".embedding-*") if p.is_dir())
    table, done = growing / "features.npy", growing / "done"
    if damage == "half a block":
        content = bytearray(table.read_bytes())
        content[128 + 4 * 5 * 600 : 128 + 4 * 5 * 800] = bytes(4 * 5 * 200)
        table.write_bytes(content)
    elif damage == "a torn line":
        done.write_text(done.read_text().rstrip()[:-2])
    elif damage == "another shape":
        np.save(table, np.zeros((3, 5), np.float32))
    else:
        table.unlink()
    asked = counted(monkeypatch)
    found = embed(data, own)
    kept = 512 if damage in ("half a block", "a torn line") else 0
    assert sum(asked) - 1 == 1400 - kept
    np.testing.assert_array_equal(found.features, whole)


PROGRAM = """
import os, signal, sys
import numpy as np
import taskdiscovery as td
from taskdiscovery.runtime.callbacks import Callback

class Kill(Callback):
    left = int(sys.argv[2])
    def on_progress(self, stage, amount, note):
        Kill.left -= amount
        if Kill.left == 0 or Kill.left < 0 <= Kill.left + amount - 1:
            os.kill(os.getpid(), signal.SIGKILL)

images = np.random.default_rng(1).integers(0, 256, (1400, 8, 8, 3), dtype=np.uint8)
found = td.embed(images, backbone=sys.argv[1], threads=1, callbacks=[Kill()])
print(found.features.astype("f8").sum())
"""


def test_processes_that_are_killed_and_that_run_at_once(own, tmp_path, monkeypatch):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}

    def start(after):
        command = [sys.executable, "-c", PROGRAM, own, str(after)]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)

    killed = start(700)
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    both = [start(10**9), start(10**9)]
    sums = [float(process.communicate()[0]) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    wanted = features_of(MANY, backbone_of(own))
    assert sums == pytest.approx([wanted.astype("f8").sum()] * 2, rel=1e-6)
    asked = counted(monkeypatch)
    np.testing.assert_allclose(embed(td.from_arrays(MANY), own).features, wanted, atol=1e-6)
    assert not asked
    assert not list((tmp_path / "cache").glob(".embedding-*"))


def test_what_nobody_goes_on_with_is_removed_after_a_month(tmp_path):
    old, new = tmp_path / ".embedding-a", tmp_path / ".embedding-b"
    for place in (old, new):
        place.mkdir()
        (place / "features.npy").write_bytes(b"")
    os.utime(old, (0, 0))
    keeping._remove_old(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [new.name]


def test_without_locks_two_may_write_the_same(own, tmp_path, monkeypatch):
    def no_locks(*_, **__):
        raise OSError("no locks here")

    monkeypatch.setattr("taskdiscovery.runtime.disk.lock", no_locks)
    found = embed(td.from_arrays(MANY[:50]), own)
    assert found.features.shape == (50, 5)
    assert isinstance(found.features, np.memmap)


def test_features_that_are_not_finite_are_refused(own, data, tmp_path):
    state = {k: v * np.inf for k, v in sys.modules["own_module"].Own().state_dict().items()}
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(td.NumericalError, match="missing or infinite"):
        embed(data, own)


def test_weights_that_change_meanwhile_are_refused(own, data, tmp_path):
    backbone = backbone_of(own)
    save_file(sys.modules["own_module"].Own().state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(td.ConfigError, match="a moment ago"):
        features_of(IMAGES, backbone)


def test_embed_writes_and_reads_a_backbone_of_any_kind(own, data, tmp_path):
    found = embed(data, own, out=tmp_path / "f.parquet", batch=16)
    read = td.load(data, features=tmp_path / "f.parquet")
    assert read.backbone == found.backbone
    assert read.backbone.asked == ""
    np.testing.assert_array_equal(read.features, found.features)


def test_folders_are_read_at_the_size_that_is_then_cut(own, tmp_path):
    place = tmp_path / "photos"
    place.mkdir()
    for i, image in enumerate(IMAGES[:5]):
        Image.fromarray(image).save(place / f"{i}.png")
    found = embed(f"folder:{place}", own + "&resize=12")
    assert found.images.shape == (5, 12, 12, 3)
    assert found.features.shape == (5, 5)
    assert Path(place).is_dir()
