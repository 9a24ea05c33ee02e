"""Every network passes one table of contracts."""

from pathlib import Path

import pytest
import torch
from benchmarks import arithmetic

from taskdiscovery import networks
from taskdiscovery.config import learners
from taskdiscovery.config.learners import check_learner
from taskdiscovery.errors import ConfigError
from taskdiscovery.networks import guards
from taskdiscovery.networks.reading import read_model
from taskdiscovery.training import augment

SPECS = [
    "linear",
    "mlp?width=0.1",
    "convnet?width=0.25",
    "resnet18?width=0.1",
    "resnet50?width=0.05",
    "vit?width=0.2&depth=2",
]
SHAPES = [(8, 8, 1), (32, 32, 3), (13, 17, 4)]


def make(spec, shape=(8, 8, 1), outputs=3, seed=0):
    channels = shape[2]
    normalization = networks.Normalization((100.0,) * channels, (50.0,) * channels)
    return networks.build(spec, shape, outputs, normalization, seed)


def pictures(shape, n=4):
    return torch.randint(0, 256, (n, *shape), dtype=torch.uint8, generator=torch.manual_seed(0))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("spec", SPECS)
class TestContract:
    def test_maps_images_to_outputs(self, spec, shape):
        assert make(spec, shape)(pictures(shape)).shape == (4, 3)

    def test_gradients_reach_every_parameter(self, spec, shape):
        model = make(spec, shape)
        model(pictures(shape)).square().sum().backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("spec", SPECS)
def test_the_seed_decides_the_weights_and_nothing_else(spec):
    before = torch.random.get_rng_state()
    a, b, c = make(spec), make(spec), make(spec, seed=1)
    assert (torch.random.get_rng_state() == before).all()
    same = [torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True)]
    other = [torch.equal(x, y) for x, y in zip(a.parameters(), c.parameters(), strict=True)]
    assert all(same)
    assert not all(other)


@pytest.mark.parametrize("spec", SPECS)
def test_features_are_what_enters_the_last_layer(spec):
    model = make(spec).eval()
    with torch.no_grad():
        found = networks.features(model, pictures((8, 8, 1)))
        head = networks.last_linear(model)
        outputs = model(pictures((8, 8, 1)))
    assert found.shape == (4, networks.feature_size(model))
    torch.testing.assert_close(head(found), outputs)


def test_the_sizes_of_the_paper():
    count = {
        "convnet": (32, 32, 3),
        "mlp": (32, 32, 3),
        "resnet18": (32, 32, 3),
        "resnet50": (32, 32, 3),
    }
    millions = {
        name: sum(p.numel() for p in make(name, shape, 10).parameters()) / 1e6
        for name, shape in count.items()
    }
    assert millions["resnet18"] == pytest.approx(11.17, abs=0.01)
    assert millions["resnet50"] == pytest.approx(23.52, abs=0.01)
    assert millions["mlp"] == pytest.approx(3.82, abs=0.02)
    kernels = [(32, 3), (64, 32), (128, 64), (128, 128)]
    expected = sum(9 * a * b + 2 * a for a, b in kernels) + 128 * 10 + 10
    assert millions["convnet"] == expected / 1e6


@pytest.mark.parametrize(
    ("spec", "operations"),
    [
        ("resnet50", 8_178_368_512),  # 4.09 billion multiplications, as published
        ("resnet50?stem=small", 127_189_417_984),
        ("resnet18", 3_628_146_688),
        ("resnet18?stem=small", 54_431_948_800),
    ],
)
def test_what_an_image_of_224_pixels_costs(spec, operations):
    with torch.device("meta"):
        model = make(spec, (224, 224, 3), 1000)
        assert networks.flops(model, (224, 224, 3)) == operations


def test_what_the_page_on_scale_computes():
    page = (Path(__file__).parents[1] / "docs" / "scale.md").read_text("utf-8")
    for row in [*arithmetic.learners(), *arithmetic.closed_forms()]:
        assert row in page


@pytest.mark.parametrize(
    ("shape", "large"),
    [((32, 32, 3), 0), ((64, 64, 3), 0), ((95, 300, 3), 0), ((96, 96, 1), 1), ((96, 300, 3), 1)],
)
@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_the_stem_is_that_of_the_images(name, shape, large):
    def made(spec):
        with torch.device("meta"):
            return make(spec, shape).state_dict()

    def shapes(state):
        return {name: tensor.shape for name, tensor in state.items()}

    auto = shapes(made(f"{name}?width=0.1"))
    assert auto["network.stem.0.weight"][-1] == (7 if large else 3)
    same, other = ("imagenet", "small") if large else ("small", "imagenet")
    assert shapes(made(f"{name}?width=0.1&stem={same}")) == auto
    assert shapes(made(f"{name}?width=0.1&stem=auto")) == auto
    assert shapes(made(f"{name}?width=0.1&stem={other}")) != auto


def test_both_stems_give_maps_of_the_right_size():
    found = []
    for stem in ("small", "imagenet"):
        model = make(f"resnet18?width=0.1&stem={stem}", (96, 64, 3))
        model.network.body.register_forward_hook(lambda _, given, out: found.append(out.shape[2:]))
        assert model(pictures((96, 64, 3))).shape == (4, 3)
    assert found == [(12, 8), (3, 2)]


def test_a_file_of_before_there_was_a_choice_has_the_small_stem():
    shape = (96, 96, 3)
    old = make("resnet18?width=0.05&stem=small", shape).eval()
    new = make("resnet18?width=0.05", shape).eval()
    for model in (old, new):
        again = read_model("resnet18?width=0.05", shape, 3, model.state_dict())
        with torch.no_grad():
            torch.testing.assert_close(again(pictures(shape)), model(pictures(shape)))
    with pytest.raises(ValueError, match="tensors are not those of resnet18"):
        read_model("resnet18?width=0.05&stem=small", shape, 3, new.state_dict())


@pytest.mark.parametrize(
    ("spec", "word"),
    [
        ("convnett", "convnet"),
        ("convnet?widht=1", "width"),
        ("resnet18?width=0", "width"),
        ("resnet18?stem=imagnet", "imagenet"),
    ],
)
def test_mistakes_name_the_hint(spec, word):
    with pytest.raises(ConfigError) as caught:
        check_learner(spec)
    assert word in str(caught.value)


def test_the_words_known_without_torch_are_those_that_exist():
    assert set(learners.NETWORK_OPTIONS) == set(networks.NETWORKS)
    assert set(learners.AUGMENTATIONS) == set(augment.AUGMENTATIONS)


FACTORY = """
from torch import nn

def tiny(outputs, image_shape, hidden="4"):
    h, w, c = image_shape
    n = int(hidden)
    return nn.Sequential(nn.Flatten(), nn.Linear(h * w * c, n), nn.Linear(n, outputs))

def wrong(outputs):
    return "no module"
"""


def test_own_factory(tmp_path, monkeypatch):
    (tmp_path / "my_nets.py").write_text(FACTORY)
    monkeypatch.syspath_prepend(tmp_path)
    assert make("my_nets:tiny?hidden=7")(pictures((8, 8, 1))).shape == (4, 3)
    for spec in ("my_nets:absent", "my_nets:wrong", "my_nets:tiny?depth=3", "no_such_module:f"):
        with pytest.raises(ConfigError):
            make(spec)


TIMM = """
from torch import nn

def list_models():
    return ["little"]

def create_model(name, pretrained, num_classes, in_chans):
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(in_chans, num_classes))
"""


def test_timm_stand_in(tmp_path, monkeypatch):
    (tmp_path / "timm.py").write_text(TIMM)
    monkeypatch.syspath_prepend(tmp_path)
    assert make("timm:little")(pictures((8, 8, 1))).shape == (4, 3)
    with pytest.raises(ConfigError, match="no model 'litle'"):
        make("timm:litle")
    __import__("sys").modules.pop("timm", None)


def test_missing_timm_names_the_pip_command():
    with pytest.raises(ConfigError, match="timm is not installed"):
        make("timm:resnet18")


def test_narrow_strided_projections_have_the_gradients_of_plain_ones():
    """Where the processor has no AVX-512, the plain float32 convolution corrupts memory."""
    weights = torch.randn(2, 3, 1, 1, dtype=torch.float64, generator=torch.manual_seed(0))
    images = torch.randn(8, 3, 13, 12, dtype=torch.float64, generator=torch.manual_seed(1))

    def gradients(layer, x):
        x = x.requires_grad_()
        y = layer(x)
        return y, *torch.autograd.grad(y.square().sum(), [x, layer.weight])

    plain = torch.nn.Conv2d(3, 2, 1, stride=2, bias=False).double()
    guarded = torch.nn.Conv2d(3, 2, 1, stride=2, bias=False)
    wide = torch.nn.Conv2d(64, 2, 1, stride=2, bias=False)
    with torch.no_grad():
        plain.weight.copy_(weights)
        guarded.weight.copy_(weights)
    guards.subsample_before_projections(torch.nn.Sequential(guarded, wide))
    assert (guarded.stride, wide.stride) == ((1, 1), (2, 2))
    x = images.float().to(memory_format=torch.channels_last)
    for _ in range(20):
        for own, known in zip(gradients(guarded, x), gradients(plain, images), strict=True):
            torch.testing.assert_close(own.double(), known, rtol=1e-5, atol=1e-5)
