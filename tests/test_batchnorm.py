"""Batch norm with the cheap second derivative is batch norm."""

import pytest
import torch
import torch.nn.functional as F

from taskdiscovery.networks.batchnorm import CheapSecondDerivative, batch_norm

SHAPES = [(6, 3), (5, 3, 4), (4, 3, 2, 5)]


def given(shape):
    generator = torch.manual_seed(0)
    x = torch.randn(shape, generator=generator, dtype=torch.float64)
    weight, bias = torch.rand(2, shape[1], generator=generator, dtype=torch.float64) + 0.5
    return [v.requires_grad_() for v in (x, weight, bias)]


@pytest.mark.parametrize("shape", SHAPES)
class TestBatchNorm:
    def test_its_derivatives_are_those_of_central_differences(self, shape):
        def norm(x, weight, bias):
            return batch_norm(x, weight, bias, 1e-5)

        assert torch.autograd.gradcheck(norm, given(shape))
        assert torch.autograd.gradgradcheck(norm, given(shape))

    def test_in_its_mode_the_usual_function_is_replaced(self, shape):
        x, weight, bias = given(shape)
        expected = F.batch_norm(x, None, None, weight, bias, True)
        with CheapSecondDerivative():
            found = F.batch_norm(x, None, None, weight, bias, True)
        assert "Norm" in type(found.grad_fn).__name__
        assert "NativeBatchNorm" not in type(found.grad_fn).__name__
        torch.testing.assert_close(found, expected)


class TestAlongADirection:
    """Forward, and forward over reverse, against torch's own long chain of operations."""

    def moved(self, norm, x, *others, seed=1):
        """How output, and gradient of a loss that bends, move along a random direction."""
        generator = torch.manual_seed(seed)
        given = [v for v in (x, *others) if v is not None]
        along = tuple(torch.randn(v.shape, generator=generator, dtype=v.dtype) for v in given)
        mask = torch.randn(x.shape, generator=generator, dtype=x.dtype)
        places = [i for i, v in enumerate((x, *others)) if v is not None]

        def whole(*own):
            full = [None, None, None]
            for place, v in zip(places, own, strict=True):
                full[place] = v
            return norm(*full)

        def loss(*own):
            return (mask * whole(*own) ** 3).sum()

        gradient = torch.func.grad(loss, argnums=tuple(range(len(given))))
        values, by_all = torch.func.jvp(gradient, tuple(given), along)
        return [*torch.func.jvp(whole, tuple(given), along), *values, *by_all]

    @pytest.mark.parametrize("affine", ["both", "weight", "neither"])
    @pytest.mark.parametrize("shape", SHAPES)
    def test_all_that_moves(self, shape, affine):
        x, weight, bias = (v.detach() for v in given(shape))
        weight = None if affine == "neither" else weight
        bias = bias if affine == "both" else None

        def usual(x, weight, bias):
            return F.batch_norm(x, None, None, weight, bias, True, 0.0, 1e-3)

        ours = self.moved(lambda *v: batch_norm(*v, 1e-3), x, weight, bias)
        theirs = self.moved(usual, x, weight, bias)
        for a, b in zip(ours, theirs, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10 * float(b.abs().max() + 1))

    def test_a_direction_of_the_weights_alone(self):
        x, weight, bias = (v.detach() for v in given((4, 3, 2, 5)))

        def moved(norm):
            by_weight = torch.func.grad(lambda w: (norm(x, w, bias) ** 3).sum())
            return torch.func.jvp(by_weight, (weight,), (torch.ones_like(weight),))[1]

        ours = moved(lambda *v: batch_norm(*v, 1e-5))
        theirs = moved(lambda x, w, b: F.batch_norm(x, None, None, w, b, True))
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)

    def test_16_bit_maps_have_statistics_of_32(self):
        generator = torch.manual_seed(0)
        maps = torch.randn(8, 5, 6, 6, generator=generator) + 3
        narrow = maps.to(torch.bfloat16, memory_format=torch.channels_last)
        weight, bias = torch.rand(2, 5, generator=generator).to(torch.bfloat16)

        def ours(x, weight, bias):
            y = batch_norm(x, weight, bias, 1e-5, wide=True)
            assert y.dtype == torch.bfloat16
            return y

        found = self.moved(ours, narrow, weight, bias)
        assert all(v.dtype == torch.bfloat16 for v in found)
        assert found[0].is_contiguous(memory_format=torch.channels_last)
        assert found[1].is_contiguous(memory_format=torch.channels_last)
        along = torch.randn(8, 5, 6, 6, generator=generator)

        def output(norm, x, w, b, v):
            return torch.func.jvp(lambda x: norm(x, w, b), (x,), (v,))

        narrowly = output(ours, narrow, weight, bias, along.to(torch.bfloat16))
        exact = [v.to(torch.bfloat16).double() for v in (narrow, weight, bias, along)]
        exactly = output(lambda *v: batch_norm(*v, 1e-5), *exact)
        for a, b in zip(narrowly, exactly, strict=True):
            torch.testing.assert_close(a.double(), b, rtol=0.02, atol=0.03)


def test_running_statistics_and_evaluation_stay_with_the_usual_function():
    x, weight, bias = given((6, 3))
    mean, var = torch.zeros(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64)
    with CheapSecondDerivative():
        tracked = F.batch_norm(x, mean, var, weight, bias, True)
        evaluated = F.batch_norm(x, mean, var, weight, bias, False)
    assert "NativeBatchNorm" in type(tracked.grad_fn).__name__
    assert "NativeBatchNorm" in type(evaluated.grad_fn).__name__
    assert mean.abs().sum() > 0
    torch.testing.assert_close(evaluated, weight * (x - mean) / (var + 1e-5).sqrt() + bias)


def test_without_weights_it_standardizes():
    x, _, _ = given((50, 2))
    y = batch_norm(x, None, None, 0.0)
    torch.testing.assert_close(y.mean(dim=0), torch.zeros(2, dtype=torch.float64))
    torch.testing.assert_close(y.var(dim=0, correction=0), torch.ones(2, dtype=torch.float64))
