"""Pretrained networks as learners: what trains, what stays, and what they are shown."""

import importlib.util
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import stand_ins
import taskdiscovery as td
from taskdiscovery import networks
from taskdiscovery.config.learners import check_learner
from taskdiscovery.encoders.encoder import Encoder
from taskdiscovery.features import backbone_of, features_of
from taskdiscovery.networks import Normalization, lite0, pretrained
from taskdiscovery.networks.prediction import calibrate
from taskdiscovery.networks.stateless import Stateless

ODD = Normalization((90.0, 100.0, 110.0), (50.0, 60.0, 70.0))
SHAPE = (32, 32, 3)
QUICK = {"preset": "smoke", "threads": 1, "callbacks": (), "batch": 32}


@pytest.fixture
def weights(monkeypatch):
    """Weights of lite0 by chance, which no wheel is needed for, and fewer of them."""
    monkeypatch.setattr(lite0, "_STAGES", ((1, 8, 1, 1, 3), (2, 12, 2, 2, 5), (2, 24, 1, 1, 3)))
    torch.manual_seed(0)
    model = lite0.Lite0()
    for name, value in model.state_dict().items():
        if name.endswith("running_mean"):
            value.normal_(0.0, 0.05)
        elif name.endswith("running_var"):
            value.uniform_(0.9, 1.1)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    monkeypatch.setattr(lite0, "weights", lambda sha256: state)
    monkeypatch.setattr(lite0, "weights_file", lambda: None)
    return state


@pytest.fixture
def little(tmp_path, monkeypatch):
    """A model of timm and its weights; returns the SPEC."""
    stand_ins.install(tmp_path, monkeypatch, timm=stand_ins.TIMM, torchvision=stand_ins.TORCHVISION)
    torch.manual_seed(0)
    save_file(sys.modules["timm"].Little(9, 3).state_dict(), tmp_path / "w.safetensors")
    return f"timm:little?weights={tmp_path / 'w.safetensors'}"


def build(spec, seed=0, outputs=4, shape=SHAPE):
    return networks.build(spec, shape, outputs, ODD, seed)


def pictures(shape=SHAPE, n=6):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (n, *shape), dtype=torch.uint8, generator=generator)


def test_the_learner_sees_exactly_what_the_backbone_sees(weights):
    """Pixels are normalized as lite0 was trained, whatever those of the data set are."""
    images = pictures()
    model, frozen, seen = build("lite0?size=32").eval(), lite0.load(""), []
    for network in (model.network.body, frozen):
        network.trunk.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    with torch.no_grad():
        found = networks.features(model, images).numpy()
        frozen(images)
    assert torch.equal(*seen)
    wanted = features_of(images.numpy(), backbone_of("lite0?size=32"))
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "options", "size"),
    [
        ((8, 8, 1), "", 96),
        ((32, 40, 3), "", 96),
        ((64, 64, 3), "", 64),
        ((80, 96, 3), "", 80),
        ((300, 300, 3), "", 224),
        ((80, 80, 3), "?size=32", 32),
    ],
)
def test_images_of_any_size_go_in(weights, shape, options, size):
    model = build("lite0" + options, shape=shape).eval()
    seen = []
    model.network.body.register_forward_pre_hook(lambda _, given: seen.append(given[0].shape))
    with torch.no_grad():
        assert model(pictures(shape, 2)).shape == (2, 4)
    assert seen[-1] == (2, 3, size, size)


def test_grey_images_are_seen_as_grey_rgb(weights):
    grey = pictures((32, 32, 1))
    with torch.no_grad():
        one = build("lite0?size=32", shape=(32, 32, 1)).eval()(grey)
        three = build("lite0?size=32").eval()(grey.expand(-1, -1, -1, 3))
    torch.testing.assert_close(one, three)


def test_sizes_are_changed_as_pillow_changes_them():
    from PIL import Image

    smooth = np.kron(np.arange(64.0).reshape(8, 8), np.ones((8, 8))).astype(np.uint8)
    found = pretrained.shown(torch.from_numpy(smooth)[None, None], 24)[0, 0].numpy()
    wanted = np.asarray(Image.fromarray(smooth).resize((24, 24), Image.Resampling.BILINEAR))
    assert np.abs(found - wanted).max() <= 0.6


def test_only_the_last_layer_is_drawn_from_the_seed(weights):
    one, again, other = build("lite0", 1), build("lite0", 1), build("lite0", 2)
    for name, value in one.state_dict().items():
        torch.testing.assert_close(value, again.state_dict()[name], rtol=0, atol=0)
        if "head" in name:
            assert not torch.equal(value, other.state_dict()[name])
        else:
            torch.testing.assert_close(value, other.state_dict()[name], rtol=0, atol=0)
    trunk = one.network.body.trunk.state_dict()
    assert all(torch.equal(value, weights[f"trunk.{name}"]) for name, value in trunk.items())
    assert networks.output_layer(one) is one.network.body.head
    with torch.no_grad():  # what is trained is a copy
        one.network.body.trunk[0][0].weight.add_(1.0)
    assert not torch.equal(one.network.body.trunk[0][0].weight, weights["trunk.0.0.weight"])


def changed(model, images):
    """Train for two steps, calibrate; return which weights and statistics are others."""
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.train()
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        model(images).square().sum().backward()
        optimizer.step()
    calibrate(model, images, np.arange(len(images)))
    after = model.state_dict()
    return {name for name in before if not torch.equal(before[name], after[name])}


@pytest.mark.parametrize("train", ["head", "last", "all"])
def test_what_is_frozen_stays_with_its_statistics(weights, train):
    found = changed(build(f"lite0?size=32&train={train}"), pictures())
    parts = {name.removeprefix("network.body.") for name in found}
    trunk = {name for name in parts if name.startswith("trunk.")}
    assert {"head.weight", "head.bias"} <= parts
    everything = {k for k in weights if k.startswith("trunk.")}
    if train == "head":
        assert not trunk
    elif train == "last":
        assert trunk
        assert {name.split(".")[1] for name in trunk} == {
            "5",
            "6",
        }  # the last stage, and what follows
    else:
        assert {name.split(".")[1] for name in trunk} == {k.split(".")[1] for k in everything}


def test_nothing_is_computed_backwards_through_what_is_frozen(weights):
    model = build("lite0?size=32&train=head").train()
    entered = []
    model.network.body.head.register_forward_pre_hook(lambda _, given: entered.append(given[0]))
    outputs = model(pictures())
    assert outputs.requires_grad
    assert not entered[0].requires_grad
    assert entered[0].grad_fn is None
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == 4 * 1281


@pytest.mark.parametrize("train", ["head", "last", "all"])
def test_models_of_libraries_are_fine_tuned_alike(little, train):
    model = build(f"{little}&train={train}")
    images = pictures()
    seen = []
    model.network.body.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    one, two = (model.train()(images) for _ in range(2))
    assert seen[-1].shape == (6, 3, 16, 16)
    mean = torch.tensor((0.5, 0.4, 0.3)).view(1, -1, 1, 1)
    std = torch.tensor((0.2, 0.2, 0.25)).view(1, -1, 1, 1)
    x = pretrained.shown(images.permute(0, 3, 1, 2), 16) / 255
    torch.testing.assert_close(seen[-1], (x - mean) / std, rtol=1e-4, atol=1e-5)
    assert torch.equal(one, two) == (train == "head"), "dropout within what is frozen"
    found = {name.split(".")[2] for name in changed(model, images)}
    wanted = {"head": {"fc"}, "last": {"fc", "norm", "blocks"}}
    assert found == wanted.get(train, {"fc", "norm", "blocks", "stem"})
    if train == "last":
        assert not any("blocks.0" in name or "blocks.1" in name for name in changed(model, images))


def test_torchvision_too(little, tmp_path):
    save_file(sys.modules["torchvision"].Small(7).state_dict(), tmp_path / "v.safetensors")
    model = build(f"torchvision:small?weights={tmp_path / 'v.safetensors'}&train=head")
    assert {name.split(".", 2)[2] for name in changed(model, pictures())} == {
        "classifier.1.weight",
        "classifier.1.bias",
    }
    assert model.network.size == 12


def test_the_last_block():
    def small(blocks):
        body = nn.Module()
        body.stem, body.blocks = nn.Conv2d(3, 4, 3), blocks
        body.norm, body.head = nn.BatchNorm1d(4), nn.Linear(4, 2)
        return body

    inner = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    listed = nn.ModuleList([nn.Sequential(nn.Linear(4, 4), inner), nn.Sequential(nn.Linear(4, 4))])
    assert pretrained.last_block(small(listed), "head") == ("blocks.1", "norm")
    assert pretrained.last_block(small(nn.ReLU()), "head") == ()
    behind = nn.Sequential(*listed, nn.BatchNorm1d(4))  # no block, but a norm behind it
    assert pretrained.last_block(small(behind), "head") == ("blocks.1", "blocks.2", "norm")
    body = small(listed)
    body.norm.drop = nn.Identity()  # a batch norm with a child, as timm has
    assert "norm" in pretrained.last_block(body, "head")
    resnet = networks.build("resnet18?width=0.1", SHAPE, 3, ODD, 0).network
    head = pretrained.last_asked(resnet, 32, "resnet18")
    assert isinstance(resnet.get_submodule(head), nn.Linear)
    last = pretrained.last_block(resnet, head)
    weighted = [name for name, _ in resnet.named_parameters() if not name.startswith(head)]
    assert all(not name.startswith(last) for name in weighted[: len(weighted) // 2])
    assert weighted[-1].startswith(last)


def test_a_network_without_a_last_linear_layer_is_refused():
    with pytest.raises(td.ConfigError, match="does not end in a linear layer"):
        pretrained.last_asked(nn.Sequential(nn.Flatten(), nn.Linear(48, 3), nn.ReLU()), 4, "mine")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lite0?train=some", "train=some"),
        ("lite0?size=8", "size=8"),
        ("lite0?width=2", "unknown option"),
        ("timm:x?train=head", "none are given"),
        ("timm:x?weights=f&train=tail", "train=tail"),
        ("torchvision:x?wieghts=f", "did you mean 'weights'"),
        ("timm:x?weights=f&size=0", "size=0"),
    ],
)
def test_options_are_checked_before_anything_is_opened(text, message):
    with pytest.raises(td.ConfigError, match=message) as caught:
        check_learner(text)
    assert message in str(caught.value)


def test_weights_are_asked_for_before_anything_long(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(td.ResourceError, match="not installed") as caught:
        td.score("shapes?n=80&size=8", "label", learner="lite0", **QUICK)
    assert "taskdiscovery[lite0]" in caught.value.hint


def test_weights_that_cannot_be_used_name_the_learner(little, tmp_path):
    for text, error, message in [
        (little.replace("w.safe", "absent.safe"), td.DataError, "no such file"),
        (little.replace("safetensors", "pth"), td.ConfigError, "a pickle runs code"),
        (little.replace("little", "silent"), td.ConfigError, "does not say its size"),
    ]:
        with pytest.raises(error, match=message):
            td.score("shapes?n=80&size=8", "label", learner=text, **QUICK)


def test_an_encoder_of_a_fine_tuned_network_needs_no_other_weights(weights, tmp_path, monkeypatch):
    found = td.discover(
        "shapes?n=120&size=8",
        learner="lite0?size=32&train=head",
        method=td.Spectral(start="features"),
        tasks=2,
        epochs=1,
        encoder_epochs=1,
        executor="serial",
        threads=1,
        batch=32,
        callbacks=(),
        out=tmp_path / "run",
    )
    images = td.load("shapes?n=20&size=8&seed=3", callbacks=()).images
    wanted = found.encoder.predict(images)

    def none(*_):
        raise AssertionError("the weights are looked for")

    monkeypatch.setattr(lite0, "weights", none)
    read = Encoder.load(tmp_path / "run" / "encoder.safetensors")
    np.testing.assert_array_equal(read.predict(images), wanted)
    again = td.embed(td.from_arrays(images), backbone=f"run:{tmp_path / 'run'}", callbacks=())
    assert again.features.shape == (20, lite0.WIDTH)


def test_score_and_split(weights, little):
    scored = td.score("shapes?n=120&size=8", "label:0,1", learner=f"{little}&train=last", **QUICK)
    assert len(scored.to_frame())
    data = td.load("shapes?n=120&size=8", callbacks=())
    cut = np.arange(120) % 2
    broken = td.split(
        data,
        "label:0,1",
        cut,
        learner="lite0?size=32&train=head",
        runs=1,
        controls=("random",),
        **QUICK,
    )
    assert set(broken.accuracy) >= {"adversarial", "random"}


def test_a_meta_gradient_needs_all_of_a_network(weights):
    with pytest.raises(td.ConfigError, match="parts of this network are frozen") as caught:
        Stateless(build("lite0?size=32&train=last"))
    assert "train=all" in caught.value.hint
    assert Stateless(build("lite0?size=32&train=all")).params()
