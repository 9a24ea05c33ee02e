"""Derivatives of convolutions by their weights, as matrix products."""

from contextlib import nullcontext

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from taskdiscovery.config import TrainingRecipe, learner_of
from taskdiscovery.networks import Normalization, build_learner, convolutions
from taskdiscovery.networks.convnet import ConvNet
from taskdiscovery.networks.convolutions import WeightGradientsByProducts, weight_gradient
from taskdiscovery.networks.pooling import mean_over_pixels
from taskdiscovery.networks.resnet import resnet18
from taskdiscovery.training import Batch, cross_entropy, step, steps

GEOMETRIES = [  # kernel, stride, padding
    ((3, 3), (1, 1), (1, 1)),
    ((3, 3), (2, 2), (1, 1)),
    ((1, 1), (2, 2), (0, 0)),
    ((5, 3), (2, 1), (0, 2)),
]


def whole(*shape, seed):
    """Small whole numbers, of which all sums here are exact in bf16."""
    return torch.randint(-1, 2, shape, generator=torch.manual_seed(seed)).bfloat16()


@pytest.mark.parametrize(("size", "stride", "padding"), GEOMETRIES)
@pytest.mark.parametrize("images", [7, 8])
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("at_once", [2**12, 2**25])
def test_weight_gradient_is_exact(size, stride, padding, images, layout, at_once, monkeypatch):
    monkeypatch.setattr(convolutions, "PATCHES", at_once)
    x = whole(images, 4, 7, 6, seed=0).contiguous(memory_format=layout)
    weight = torch.zeros(3, 4, *size, dtype=torch.float64, requires_grad=True)
    y = torch.conv2d(x.double(), weight, None, stride, padding)
    G = whole(*y.shape, seed=1)
    (known,) = torch.autograd.grad(y, weight, G.double())
    assert known.abs().max() < 256
    assert torch.equal(weight_gradient(G, x, size, stride, padding).double(), known)


@pytest.fixture
def products(monkeypatch):
    """Have every shape take products; return the sizes of their kernels."""
    taken = []

    def counted(G, x, size, stride, padding):
        taken.append(size)
        return weight_gradient(G, x, size, stride, padding)

    monkeypatch.setattr(convolutions, "worthwhile", lambda *_: True)
    monkeypatch.setattr(convolutions, "weight_gradient", counted)
    return taken


def gradients(network, x, *, products):
    network.zero_grad()
    x = x.clone().requires_grad_()
    context = WeightGradientsByProducts() if products else nullcontext()
    with torch.autocast("cpu", torch.bfloat16), context:
        y = network(x)
    y.float().square().sum().backward()
    return y, [x.grad, *(p.grad for p in network.parameters())]


@pytest.mark.parametrize("build", [ConvNet, resnet18])
def test_networks_have_the_gradients_of_the_library(build, products):
    network = build((8, 8, 3), 2, width=0.25).to(memory_format=torch.channels_last)
    layers = sum(isinstance(m, nn.Conv2d) for m in network.modules())
    x = torch.randn(6, 3, 8, 8, generator=torch.manual_seed(0))
    y, known = gradients(network, x, products=False)
    assert not products
    own_y, own = gradients(network, x, products=True)
    assert len(products) == layers
    assert torch.equal(y, own_y)
    for a, b in zip(own, known, strict=True):
        assert a.dtype == b.dtype
        torch.testing.assert_close(a, b, rtol=0.02, atol=0.02 * float(b.abs().max()))


def test_biases_and_frozen_layers(products):
    network = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 1, 3))
    network[2].weight.requires_grad_(False)
    x = torch.randn(4, 2, 7, 7, generator=torch.manual_seed(0))
    _, known = gradients(network, x, products=False)
    _, own = gradients(network, x, products=True)
    assert products == [(3, 3), (3, 3)]
    assert own[3] is None
    assert known[3] is None
    for a, b in zip(own, known, strict=True):
        if b is not None:
            torch.testing.assert_close(a, b, rtol=0.02, atol=0.02 * float(b.abs().max()))


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(4, 4, 3, groups=2),
        nn.Conv2d(4, 4, 3, dilation=2),
        nn.Conv2d(4, 4, 3, padding="same"),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"),
    ],
)
def test_other_convolutions_are_left_alone_or_exact(layer, products):
    x = torch.randn(4, 4, 8, 8, generator=torch.manual_seed(0))
    _, known = gradients(layer, x, products=False)
    _, own = gradients(layer, x, products=True)
    assert len(products) == (layer.padding_mode != "zeros")  # padded before, then plain
    for a, b in zip(own, known, strict=True):
        torch.testing.assert_close(a, b, rtol=0.02, atol=0.02 * float(b.abs().max()))


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpointed_layers_have_the_same_gradients(reentrant, products):
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3))
    x = torch.randn(4, 3, 8, 8, generator=torch.manual_seed(0))
    _, known = gradients(network, x, products=False)
    body = network.forward
    network.forward = lambda pixels: checkpoint(body, pixels, use_reentrant=reentrant)
    _, own = gradients(network, x, products=True)
    for a, b in zip(own, known, strict=True):
        torch.testing.assert_close(a, b, rtol=0.02, atol=0.02 * float(b.abs().max()))


def test_float32_training_is_left_alone(products):
    layer = nn.Conv2d(4, 4, 3)
    with WeightGradientsByProducts():  # but no autocast
        layer(torch.randn(2, 4, 8, 8)).sum().backward()
    assert not products


@pytest.mark.parametrize(
    ("units", "precision", "layers"),
    [
        ((True, False), "bf16", 4),
        ((True, False), "float32", 0),
        ((True, True), "bf16", 0),
        ((False, False), "bf16", 0),
    ],
)
def test_a_training_step_takes_products_where_they_were_measured(
    units, precision, layers, products, monkeypatch
):
    monkeypatch.setattr(steps, "bf16_units", lambda: units)
    learner = learner_of("convnet?width=0.1", TrainingRecipe(), device="cpu", precision=precision)
    normalization = Normalization((120.0,) * 3, (60.0,) * 3)
    model = build_learner(learner, (8, 8, 3), 2, normalization, 0).train()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    images = torch.randint(0, 256, (4, 8, 8, 3), dtype=torch.uint8)
    batch = Batch(images, torch.tensor([0, 1, 0, 1]))
    step(model, batch, cross_entropy, optimizer, precision)
    assert len(products) == layers


def test_mean_over_pixels_keeps_the_layout_of_its_derivative():
    x = torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last).requires_grad_()
    y = mean_over_pixels(x)
    torch.testing.assert_close(y, x.mean(dim=(2, 3)))
    (by_x,) = torch.autograd.grad(y.square().sum(), x)
    assert by_x.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(by_x, (2 * y / 20)[:, :, None, None].expand_as(x))
