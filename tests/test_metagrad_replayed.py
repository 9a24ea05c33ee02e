"""Inner steps on static buffers: as a GPU replays them, done here as they are written."""

from typing import ClassVar

import pytest
import torch

from taskdiscovery.metagrad import SGD, Adam, GradientStep, Layout, metagrad, replayed
from taskdiscovery.metagrad.replayed import Replayed


class Tape:
    """In place of `Captured`: what was recorded is done anew, its results land where they lay."""

    made: ClassVar[list] = []

    def __init__(self, work, device, *, pool=None):
        self.work, self.result, self.replays = work, None, 0
        self.made.append(self)

    def __call__(self):
        if self.result is None:
            self.result = self.work()
            return self.result
        self.replays += 1
        leaves = torch.utils._pytree.tree_flatten(self.result)[0]
        for old, new in zip(leaves, torch.utils._pytree.tree_flatten(self.work())[0], strict=True):
            if old is not None:
                old.copy_(new)
        return self.result


@pytest.fixture
def tapes(monkeypatch):
    monkeypatch.setattr(replayed, "Captured", Tape)
    monkeypatch.setattr(Tape, "made", [])
    return Tape.made


def network():
    rng = torch.Generator().manual_seed(0)
    shapes = {"maps": (4, 3, 3, 3), "bias": (4,), "head": (2, 4)}
    draws = {name: torch.randn(s, generator=rng, dtype=torch.float64) for name, s in shapes.items()}
    draws["maps"] = draws["maps"].contiguous(memory_format=torch.channels_last)
    return draws


def test_a_vector_holds_a_tree_as_it_lies_in_memory():
    params = network()
    layout = Layout.of(params)
    vector = layout.together(params)
    back = layout.apart(vector)
    assert list(back) == list(params)
    for name, p in params.items():
        assert torch.equal(back[name], p)
        assert back[name].stride() == p.stride()
        assert back[name].untyped_storage().data_ptr() == vector.untyped_storage().data_ptr()


def test_the_derivative_by_a_vector_is_that_by_its_tree():
    params = {name: p.requires_grad_() for name, p in network().items()}
    layout = Layout.of(params)

    def loss(p):
        return (p["maps"] ** 3).sum() + (p["head"] @ p["bias"]).square().sum()

    vector = layout.together(params).detach().requires_grad_()
    (found,) = torch.autograd.grad(loss(layout.apart(vector)), vector)
    expected = torch.autograd.grad(loss(params), list(params.values()))
    named = dict(zip(params, expected, strict=True))
    torch.testing.assert_close(found, layout.together(named), rtol=0, atol=0)


def test_arguments_of_each_kind_have_a_place_of_their_own(tapes):
    seen = []

    def double(given, factor):
        seen.append(given["x"].data_ptr())
        return {"y": factor * given["x"], "nothing": None}

    call = Replayed(double)
    firsts = [call({"x": torch.full((n,), 1.0 + i)}, 2.0) for i, n in enumerate((3, 2, 3, 2, 3))]
    assert len(tapes) == 2
    assert len(set(seen)) == 2
    # What was returned earlier stays as it was.
    assert [float(found["y"][0]) for found in firsts] == [2, 4, 6, 8, 10]
    assert all(found["nothing"] is None for found in firsts)
    assert float(call({"x": torch.ones(3)}, 5.0)["y"][0]) == 5.0  # another factor is no replay
    assert len(tapes) == 3


@pytest.mark.parametrize("memory", ["store", "recompute"])
@pytest.mark.parametrize("rule", [SGD(0.1), SGD(0.1, 0.9), Adam(0.05, eps_root=1e-4)], ids=str)
def test_replayed_steps_give_the_gradient_of_plain_ones(tapes, rule, memory):
    params = network()
    layout = Layout.of(params)
    rng = torch.Generator().manual_seed(1)
    images = [torch.randn(5, 3, 4, 4, generator=rng, dtype=torch.float64) for _ in range(4)]
    labels = [
        torch.rand(n, 2, generator=rng, dtype=torch.float64).requires_grad_() for n in (5, 4, 5, 4)
    ]
    inputs = [(x[: len(y)], y) for x, y in zip(images, labels, strict=True)]

    def loss(p, given):
        p = layout.apart(p) if isinstance(p, torch.Tensor) else p
        x, y = given
        maps = torch.nn.functional.softplus(torch.conv2d(x, p["maps"], p["bias"]))
        return -(y * (maps.mean((2, 3)) @ p["head"].T).log_softmax(1)).sum(1).mean()

    def outer(t, p, _):
        p = layout.apart(p) if isinstance(p, torch.Tensor) else p
        return (p["head"] @ p["bias"]).square().sum() + p["maps"].sum() if t == 4 else None

    plain, recorded = GradientStep(loss, rule), GradientStep(loss, rule)
    recorded.replay()
    ways = {"memory": memory, "with_params": True}
    expected = metagrad(plain, outer, params, [*inputs, ()], **ways)
    for _ in range(2):
        vector = layout.together(params)
        found = metagrad(recorded, outer, vector, [*inputs, ()], **ways)
        torch.testing.assert_close(found.value, expected.value, rtol=1e-12, atol=1e-12)
        together = layout.together(expected.params)
        torch.testing.assert_close(found.params, together, rtol=1e-10, atol=1e-12)
        for (_, ours), (_, theirs) in zip(found.inputs[:4], expected.inputs[:4], strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)
    # Gradients and products, each for two sizes of batch.
    assert len(tapes) == 4
    assert all(tape.replays >= 3 for tape in tapes)
