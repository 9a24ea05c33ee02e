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
