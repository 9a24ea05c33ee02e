"""The engine against closed forms, the plain unroll, and central differences, in float64."""

from dataclasses import replace
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch.nn.utils.parametrize import register_parametrization
from torch.utils._pytree import tree_flatten, tree_map

from taskdiscovery import networks
from taskdiscovery.metagrad import (
    MEMORY,
    SGD,
    Adam,
    Estimate,
    FunctionStep,
    GradientStep,
    Parallel,
    estimate,
    metagrad,
)
from taskdiscovery.networks.stateless import Stateless, smooth

RULES = {"sgd": SGD(0.1), "momentum": SGD(0.1, 0.9), "adam": Adam(0.05, eps_root=1e-4)}


def leaf(*shape, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=rng).requires_grad_()


class TestClosedForms:
    """ℓ_t(θ) = ½ θᵀAθ − y_tᵀθ: every quantity is a product of matrices."""

    T, n, rate = 5, 4, 0.1

    def setup_method(self):
        root = leaf(self.n, self.n, seed=1).detach()
        self.A = root @ root.T / self.n
        self.goal = leaf(self.n, seed=2).detach()
        self.inputs = [*(leaf(self.n, seed=10 + t) for t in range(self.T)), ()]
        self.start = leaf(self.n, seed=3).detach()

    def loss(self, theta, y):
        return theta @ self.A @ theta / 2 - y @ theta

    def outer(self, t, theta, _):
        return ((theta - self.goal) ** 2).sum() / 2 if t == self.T else None

    def expected(self):
        damp = torch.eye(self.n, dtype=torch.float64) - self.rate * self.A
        theta = self.start
        for y in self.inputs[:-1]:
            theta = damp @ theta + self.rate * y.detach()
        left = theta - self.goal
        powers = [torch.linalg.matrix_power(damp, self.T - 1 - t) for t in range(self.T)]
        return (
            (left @ left) / 2,
            [self.rate * power @ left for power in powers],
            torch.linalg.matrix_power(damp, self.T) @ left,
        )

    @pytest.mark.parametrize("memory", MEMORY)
    def test_quadratic(self, memory):
        value, by_inputs, by_params = self.expected()
        step = GradientStep(self.loss, SGD(self.rate))
        found = metagrad(step, self.outer, self.start, self.inputs, memory=memory, with_params=True)
        torch.testing.assert_close(found.value, value, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(found.params, by_params, rtol=1e-12, atol=1e-12)
        for ours, theirs in zip(found.inputs, by_inputs, strict=False):
            torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)

    @pytest.mark.parametrize("window", [1, 2, 9])
    @pytest.mark.parametrize("memory", MEMORY)
    def test_truncated_is_the_end_of_the_exact_one(self, window, memory):
        _, by_inputs, _ = self.expected()
        step = GradientStep(self.loss, SGD(self.rate))
        found = metagrad(
            step,
            self.outer,
            self.start,
            self.inputs,
            mode="truncated",
            window=window,
            memory=memory,
        )
        for t in range(self.T):
            if t < self.T - window:
                assert found.inputs[t] is None
            else:
                torch.testing.assert_close(found.inputs[t], by_inputs[t], rtol=1e-12, atol=1e-12)

    def test_first_order_takes_the_curvature_for_zero(self):
        step = GradientStep(self.loss, SGD(self.rate))
        found = metagrad(step, self.outer, self.start, self.inputs, mode="first_order")
        exact = metagrad(step, self.outer, self.start, self.inputs)
        left = found.final - self.goal
        for t in range(self.T):
            torch.testing.assert_close(found.inputs[t], self.rate * left)
        assert not torch.allclose(found.inputs[0], exact.inputs[0])

    def test_any_step_function(self):
        """Gradient descent written out as a function, its derivative left to autograd."""

        def descend(t, theta, y):
            (g,) = torch.autograd.grad(self.loss(theta, y), theta, create_graph=True)
            return theta - self.rate * g

        _, by_inputs, by_params = self.expected()
        for memory in MEMORY:
            found = metagrad(
                FunctionStep(descend),
                self.outer,
                self.start,
                self.inputs,
                memory=memory,
                with_params=True,
            )
            torch.testing.assert_close(found.params, by_params)
            for ours, theirs in zip(found.inputs, by_inputs, strict=False):
                torch.testing.assert_close(ours, theirs)


def test_linear_regression_learns_its_labels_from_the_normal_equations():
    """Many steps reach θ = X⁺y, so d(½‖Zθ − b‖²)/dy = (Z X⁺)ᵀ(ZX⁺y − b)."""
    X, Z, b = leaf(12, 3, seed=1).detach(), leaf(7, 3, seed=2).detach(), leaf(7, seed=3).detach()
    y = leaf(12, seed=4)
    T = 800

    def loss(theta, given):
        return ((X @ theta - given) ** 2).mean() / 2

    def outer(t, theta, _):
        return ((Z @ theta - b) ** 2).sum() / 2 if t == T else None

    start = torch.zeros(3, dtype=torch.float64)
    found = metagrad(GradientStep(loss, SGD(0.5)), outer, start, [*[y] * T, ()], memory="recompute")
    solve = Z @ torch.linalg.pinv(X)
    expected = solve.T @ (solve @ y.detach() - b)
    torch.testing.assert_close(sum(found.inputs[:T]), expected, rtol=1e-8, atol=1e-8)


class Small:
    """Two small networks with batch norm, soft labels as inputs, agreement as outer loss."""

    SPECS = (
        "linear",
        "mlp?width=0.02",
        "convnet?width=0.07",
        "resnet18?width=0.04",
        "vit?width=0.04&depth=1",
    )
    T, batch = 3, 6

    def __init__(self, text, rule, classes=2, online=False, product="forward"):
        rng = torch.Generator().manual_seed(5)
        self.online, self.classes = online, classes
        side = 8 if "resnet" not in text else 4
        self.images = [
            torch.randint(0, 256, (2 * self.batch, side, side, 3), generator=rng).byte()
            for _ in range(self.T + 1)
        ]
        self.nets = []
        for k in range(2):
            normalization = networks.Normalization((127.0,) * 3, (70.0,) * 3)
            model = networks.build(text, (side, side, 3), classes, normalization, k).double()
            smooth(model)
            self.nets.append(Stateless(model))
        self.start = tuple(net.params() for net in self.nets)
        self.step = Parallel(
            [
                GradientStep(
                    self.loss(net),
                    rule,
                    product=product,
                    graph_loss=self.loss(net, twice=True),
                    product_loss=self.loss(net, along=True),
                )
                for net in self.nets
            ]
        )
        self.logits = [leaf(2 * self.batch, classes, seed=20 + t) for t in range(self.T)]

    def loss(self, net, **derivatives):
        def loss(params, inputs):
            images, labels = inputs
            return -(labels * net(params, images, **derivatives).log_softmax(1)).sum(1).mean()

        return loss

    def inputs(self, logits):
        entries = []
        for t in range(self.T):
            y = (2 * logits[t]).softmax(1)
            halves = [slice(0, self.batch), slice(self.batch, None)]
            entries.append(tuple((self.images[t][h], y[h]) for h in halves))
        return [*entries, (self.images[self.T],)]

    def outer(self, t, params, inputs):
        if t == self.T:
            images = inputs[0]
        elif self.online and t > 0:
            images = torch.cat([images for images, _ in inputs])
        else:
            return None
        a, b = (F.log_softmax(n(p, images), 1) for n, p in zip(self.nets, params, strict=True))
        return -(a.exp() * b + b.exp() * a).sum(1).mean() / 2

    def gradient(self, **options):
        leaves = [x.detach().requires_grad_() for x in self.logits]
        entries = self.inputs(leaves)
        cut = [tree_map(lambda x: x.detach().requires_grad_(x.requires_grad), e) for e in entries]
        found = metagrad(self.step, self.outer, self.start, cut, with_params=True, **options)
        pairs = [
            (x, g)
            for entry, given in zip(entries, found.inputs, strict=True)
            for x, g in zip(tree_flatten(entry)[0], tree_flatten(given)[0], strict=True)
            if g is not None and x.requires_grad
        ]
        torch.autograd.backward([x for x, _ in pairs], [g for _, g in pairs])
        return found.value, [x.grad for x in leaves], found.params

    def value(self, logits):
        entries = [tree_map(torch.detach, e) for e in self.inputs(logits)]
        state, total = self.step.init(self.start), 0.0
        for t in range(self.T):
            term = self.outer(t, state.params, entries[t])
            total += 0.0 if term is None else float(term)
            state, _ = self.step.forward(t, state, entries[t], graph=False)
        return total + float(self.outer(self.T, state.params, entries[self.T]))


def close(ours, theirs, tolerance):
    for a, b in zip(tree_flatten(ours)[0], tree_flatten(theirs)[0], strict=True):
        scale = max(1.0, float(b.abs().max()))
        assert float((a - b).abs().max()) <= tolerance * scale


@pytest.mark.parametrize("online", [False, True], ids=["final", "online"])
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("text", Small.SPECS)
def test_exact_equals_reverse(text, rule, classes, online):
    case = Small(text, RULES[rule], classes, online)
    expected = case.gradient(mode="reverse")
    for memory in MEMORY:
        close(case.gradient(memory=memory), expected, 1e-10)


@pytest.mark.parametrize(
    "text", ["mlp", "convnet", "resnet18?width=0.125", "vit?width=0.25&depth=2"]
)
def test_products_by_the_fused_rules_equal_reverse(text):
    case = Small(text, RULES["momentum"])
    expected = case.gradient(mode="reverse")
    for memory in ("store", "recompute"):
        close(case.gradient(memory=memory), expected, 1e-10)


def test_a_weight_that_is_computed_keeps_its_whole_derivative():
    """Of a normalized weight the gradient's value counts, which the products leave out."""
    rng = torch.Generator().manual_seed(0)
    normalization = networks.Normalization((127.0,) * 3, (70.0,) * 3)
    model = networks.build("mlp?width=0.02", (4, 4, 3), 2, normalization, 0).double()
    smooth(model)
    register_parametrization(networks.last_linear(model), "weight", UnitRows())
    net, y = Stateless(model), leaf(6, 2, seed=3)
    images = torch.randint(0, 256, (6, 4, 4, 3), generator=rng).byte()

    def loss(params, given, **derivatives):
        return ((net(params, images, **derivatives) - given) ** 2).mean()

    step = GradientStep(loss, SGD(0.1), product_loss=partial(loss, along=True))
    start = net.params()
    found, expected = (
        metagrad(step, lambda t, p, _: outer(t, p, net, images), start, [y, y, ()], **way)
        for way in ({"memory": "store"}, {"mode": "reverse"})
    )
    close(found.inputs[:2], expected.inputs[:2], 1e-10)


class UnitRows(torch.nn.Module):
    def forward(self, weight):
        return weight / weight.square().sum(dim=1, keepdim=True).sqrt()


def outer(t, params, net, images):
    return net(params, images).square().sum() if t == 2 else None


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("text", Small.SPECS)
def test_exact_equals_central_differences(text, rule):
    case = Small(text, RULES[rule], classes=3, online=True)
    _, gradients, _ = case.gradient(memory="store")
    # Batch norm over few pixels bends sharply: small steps, and differences of fourth order.
    h = 2e-7
    for seed in range(2):
        rng = torch.Generator().manual_seed(seed)
        along = [torch.randn(x.shape, dtype=x.dtype, generator=rng) for x in case.logits]

        def at(steps, along=along):
            pairs = zip(case.logits, along, strict=True)
            return case.value([x.detach() + steps * h * d for x, d in pairs])

        difference = (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * h)
        slope = sum(float((g * d).sum()) for g, d in zip(gradients, along, strict=True))
        assert slope == pytest.approx(difference, rel=1e-6, abs=1e-8)


def test_max_pooling_is_differentiated_twice_and_forwards():
    case = Small("resnet18?width=0.04&stem=imagenet", RULES[next(iter(RULES))])
    expected = case.gradient(mode="reverse")
    for memory in MEMORY:
        close(case.gradient(memory=memory), expected, 1e-10)


@pytest.mark.parametrize("rule", RULES)
def test_the_product_without_forward_derivatives_is_the_same(rule):
    forward = Small("convnet?width=0.07", RULES[rule]).gradient(memory="store")
    backward = Small("convnet?width=0.07", RULES[rule], product="reverse").gradient(memory="store")
    close(backward, forward, 1e-10)


def test_a_compiler_that_fails_is_done_without(monkeypatch, caplog):
    def compile(function, **options):
        def broken(*arguments):
            raise NotImplementedError("no such instruction")

        return broken

    monkeypatch.setattr(torch, "compile", compile)
    y = leaf(3)

    def loss(theta, given):
        return ((theta - given) ** 2).sum()

    def outer(t, params, _):
        return params.sum() if t == 2 else None

    step = GradientStep(loss, SGD(0.1), compiled=True)
    assert step.compiled
    start = torch.zeros(3, dtype=torch.float64)
    found = metagrad(step, outer, start, [y, y, ()], memory="store")
    expected = metagrad(GradientStep(loss, SGD(0.1)), outer, start, [y, y, ()])
    torch.testing.assert_close(found.inputs[:2], expected.inputs[:2])
    assert not step.compiled
    assert "cannot be compiled" in caplog.text


def test_an_adam_step_at_a_zero_gradient_has_a_finite_derivative():
    y = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    start = torch.zeros(3, dtype=torch.float64)
    step = GradientStep(lambda theta, given: ((theta - given) ** 2).sum(), Adam(0.1))
    found = metagrad(step, lambda t, p, _: p.sum() if t == 2 else None, start, [y, y, ()])
    assert all(torch.isfinite(g).all() for g in found.inputs[:2])


@pytest.mark.parametrize("memory", [*MEMORY, "reverse"])
def test_the_inner_loop_can_stop_early(memory):
    case = Small("mlp?width=0.02", RULES["sgd"], online=True)
    mode = {"mode": "reverse"} if memory == "reverse" else {"memory": memory}
    cut = [
        tree_map(lambda x: x.detach().requires_grad_(x.requires_grad), e)
        for e in case.inputs(case.logits)
    ]
    found = metagrad(case.step, case.outer, case.start, cut, stop=lambda t, params: t == 2, **mode)
    assert found.steps == 2
    assert found.inputs[2] is None


def test_the_estimate_orders_the_ways_by_memory():
    case = Small("convnet?width=0.3", RULES["momentum"])
    cost = estimate(
        case.step,
        case.start,
        [
            tree_map(lambda x: x.detach().requires_grad_(x.requires_grad), e)
            for e in case.inputs(case.logits)
        ]
        * 9,
    )
    assert cost.memory["graphs"] > cost.memory["store"] > cost.memory["recompute"] > 0
    assert cost.seconds["recompute"] > cost.seconds["store"]
    assert cost.cheapest(share=1e-9) == "recompute"
    assert cost.cheapest(share=1e9) == "graphs"
    tight = replace(cost, available=(cost.memory["store"] + cost.memory["graphs"]) // 2)
    assert tight.cheapest(share=1.0) == "store"
    assert replace(tight, available=10**12).cheapest(among=("store", "recompute")) == "store"
    assert tight.cheapest(share=1.0, promised=tight.available) == "recompute"


def test_the_way_does_not_hang_on_a_clock():
    """Ways differ in their last bits: a slow moment must not change a search's numbers."""
    memory = {"graphs": 3, "store": 2, "recompute": 1}
    for seconds in ((1.0, 2.0, 3.0), (2.0, 1.0, 3.0), (3.0, 2.0, 1.0)):
        cost = Estimate(dict(zip(memory, seconds, strict=True)), memory, available=10)
        assert cost.cheapest() == "graphs"
