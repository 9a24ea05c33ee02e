"""A network as a function of its parameters alone, as unrolled steps need it."""

from __future__ import annotations

from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from taskdiscovery.errors import ConfigError
from taskdiscovery.networks import Model
from taskdiscovery.networks.batchnorm import CheapSecondDerivative
from taskdiscovery.networks.directional import GradientsAlongADirection


class Stateless:
    """Calls a model in training mode with parameters that are handed in.

    Batch norms use the statistics of the batch and keep none: a step that is done twice, or
    differentiated, must not leave traces. Attention takes the backend that can be differentiated
    twice.

    Args:
        model: taken over, and changed.
        precision: `float32` leaves everything as it is; `bf16` casts parameters, buffers and pixels
            where they enter, gradients come back in the parameters' own type. (Autocast knows
            nothing of forward derivatives.)

    Raises:
        ConfigError: for a network with frozen parts, whose batch norms keep their statistics.
    """

    def __init__(self, model: Model, precision: str = "float32") -> None:
        if not all(parameter.requires_grad for parameter in model.parameters()):
            raise ConfigError(
                "parts of this network are frozen, and a meta-gradient goes through all of it",
                where="--learner",
                hint="add train=all to its options, or use --method power",
            )
        self.model, self.precision = model.train(), precision
        for module in model.modules():
            if getattr(module, "track_running_stats", False):
                setattr(module, "track_running_stats", False)  # noqa: B010
                for name in ("running_mean", "running_var", "num_batches_tracked"):
                    setattr(module, name, None)
        self.buffers = dict(model.network.named_buffers())
        if precision == "bf16":  # which must not make the pixels float32 again
            self.buffers = {
                name: b.to(torch.bfloat16) if b.is_floating_point() else b
                for name, b in self.buffers.items()
            }

    def params(self) -> dict[str, Tensor]:
        """Return the parameters the model was built with."""
        return {name: p.detach().clone() for name, p in self.model.named_parameters()}

    def __call__(
        self, params: dict[str, Tensor], images: Tensor, *, twice: bool = False, along: bool = False
    ) -> Tensor:
        """Map uint8 images (N, H, W, channels) to (N, outputs).

        Args:
            params: by the names of the model.
            images: a batch.
            twice: whether the gradient of this call will be differentiated; batch norm is then
                one whose derivatives are cheap.
            along: whether that is done forward, along a direction, and nothing but how the gradient
                moves is asked for: its own value is then wrong. In bf16 the statistics of batch
                norms are float32.
        """
        own = {name.removeprefix("network."): p for name, p in params.items()}
        pixels = self.model.normalize(images)
        if self.precision == "bf16":
            pixels = pixels.to(torch.bfloat16)
            own = {name: p.to(torch.bfloat16) for name, p in own.items()}
        cheap = CheapSecondDerivative(wide=along) if twice or along else nullcontext()
        moving = GradientsAlongADirection(own.values()) if along else nullcontext()
        with sdpa_kernel(SDPBackend.MATH), cheap, moving:
            return functional_call(self.model.network, (own, self.buffers), (pixels,))


def smooth(model: nn.Module) -> None:
    """Replace every ReLU by its smooth relative, in place.

    ReLU makes inner steps discontinuous; central differences need a network without corners.
    """
    for name, child in model.named_children():
        if isinstance(child, nn.ReLU):
            setattr(model, name, nn.Softplus(beta=3.0))
        else:
            smooth(child)
