"""The meta-gradient as the published code takes it: what `benchmarks.metagrad` stands beside.

Written anew from what that code does (EPFL-VILAB/TaskDiscovery, `AgreementLoss` and
`TaskDiscoveryEncoder`): ordinary modules in float32 and in torch's usual layout, both networks and
the encoder in one step under reentrant checkpointing, so that every step is done once without and
once with a graph, and differentiated twice; the held-out images under checkpointing as well, their
labels from the encoder again. What it logs is left out.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.checkpoint import checkpoint

#: parameters of both networks, one after the other.
Params = tuple[Tensor, ...]


class Encoder(nn.Module):
    """Backbone with a linear head, batch norm without bias, one fixed direction.

    Args:
        backbone: (n, channels, H, W) to (n, D).
        direction: (D, 1), of the task.
        temperature: of its labels.
    """

    def __init__(self, backbone: nn.Module, direction: Tensor, temperature: float) -> None:
        super().__init__()
        self.backbone, self.temperature = backbone, temperature
        self.norm = nn.BatchNorm1d(len(direction))
        self.norm.bias.requires_grad_(False)
        self.register_buffer("direction", direction)

    direction: Tensor

    def forward(self, images: Tensor) -> Tensor:
        """Return (n, 2) logits of the task."""
        along = self.temperature * self.norm(self.backbone(images)) @ self.direction
        return torch.cat([-along, along], dim=1)


def cross_entropy(target: Tensor, logits: Tensor) -> Tensor:
    """Cross-entropy of (n, 2) logits under the soft labels of others."""
    return -(target.softmax(1) * logits.log_softmax(1)).sum(1).mean()


class AgreementLoss:
    """Two networks, trained on the encoder's labels, and their disagreement on other images.

    Args:
        networks: two of one architecture, in training mode.
        encoder: whose gradients are wanted.
        rate: learning rate of the mean of both losses.
    """

    def __init__(self, networks: list[nn.Module], encoder: Encoder, rate: float) -> None:
        self.networks, self.encoder, self.rate = networks, encoder, rate
        self.names = [[name for name, _ in net.named_parameters()] for net in networks]

    def __call__(self, start: Params, batches: list[Tensor], held_out: Tensor) -> Tensor:
        """Return the loss, to be differentiated by `backward`.

        Args:
            start: initial parameters of both networks, one after the other.
            batches: of images (n, channels, H, W), halved between the networks.
            held_out: images that both are asked about.
        """
        params = start
        for images in batches:
            params = checkpoint(self._step, images, *params, use_reentrant=True)
        loss: Tensor = checkpoint(self._ask, held_out, *params, use_reentrant=True)
        return loss

    def _outputs(self, params: Params, images: list[Tensor]) -> list[Tensor]:
        cut = len(self.names[0])
        return [
            functional_call(net, dict(zip(names, own, strict=True)), (x,))
            for net, names, own, x in zip(
                self.networks, self.names, (params[:cut], params[cut:]), images, strict=True
            )
        ]

    def _step(self, images: Tensor, *params: Tensor) -> Params:
        again = torch.is_grad_enabled()  # the first pass of a checkpoint is without
        with torch.enable_grad():
            own = params if again else tuple(p.detach().requires_grad_() for p in params)
            labels = self.encoder(images).chunk(2)
            outputs = self._outputs(own, list(images.chunk(2)))
            losses = [cross_entropy(y, z) for y, z in zip(labels, outputs, strict=True)]
            loss = (losses[0] + losses[1]) / 2
            grads = torch.autograd.grad(loss, own, create_graph=again)
            moved = tuple(p - self.rate * g for p, g in zip(own, grads, strict=True))
        return moved if again else tuple(p.detach().requires_grad_() for p in moved)

    def _ask(self, images: Tensor, *params: Tensor) -> Tensor:
        with torch.no_grad():
            self.encoder(images).argmax(1)  # labels that are logged
        a, b = self._outputs(params, [images, images])
        return (cross_entropy(a, b) + cross_entropy(b, a)) / 2


def plain_layout(module: nn.Module) -> nn.Module:
    """Return a network with parameters in torch's usual layout, in training mode."""
    return module.to(memory_format=torch.contiguous_format).train()  # type: ignore[call-overload]


def gradient(
    loss: AgreementLoss, start: Params, batches: list[Tensor], held_out: Tensor
) -> Callable[[], dict[str, Tensor]]:
    """Return what takes the gradient of the encoder's weights."""

    def run() -> dict[str, Tensor]:
        loss.encoder.zero_grad(set_to_none=True)
        leaves = tuple(p.detach().requires_grad_() for p in start)
        loss(leaves, batches, held_out).backward()  # type: ignore[no-untyped-call]
        return {
            name: p.grad.clone()
            for name, p in loss.encoder.backbone.named_parameters()
            if p.grad is not None
        }

    return run
