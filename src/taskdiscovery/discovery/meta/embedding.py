"""The encoder while it is being optimized: rows of images in, standardized coordinates out.

Backbone, linear projection, batch norm whose bias is fixed at zero, with the statistics of each
batch. When the search ends, norm and directions are folded into the projection, and what is left
is a plain network.

Axes: n images of a batch, D coordinates, F features.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from taskdiscovery import networks
from taskdiscovery.discovery import subspace, untrained
from taskdiscovery.discovery.components import install
from taskdiscovery.networks import Model
from taskdiscovery.networks.images import take
from taskdiscovery.networks.placing import Images
from taskdiscovery.networks.prediction import autocast, calibrate
from taskdiscovery.networks.streaming import upload
from taskdiscovery.runtime import random_states
from taskdiscovery.types import FloatArray, IntArray, Matrix


def images_of(images: Images, rows: Tensor) -> Tensor:
    """Return the images of rows whose numbers the processor has."""
    return take(images, upload(rows, images.device) if isinstance(images, Tensor) else rows)


class Embedding(nn.Module):
    """Coordinates of images, along task directions.

    Args:
        trunk: maps (n,) row numbers to (n, D) outputs.
        coordinates: D.
        turned: whether the directions are to be found; else they are the axes.
    """

    def __init__(
        self, trunk: NetworkTrunk | LinearTrunk, coordinates: int, *, turned: bool
    ) -> None:
        super().__init__()
        self.trunk = trunk
        self.scale = nn.Parameter(torch.ones(coordinates), requires_grad=not turned)
        self.turn = nn.Parameter(torch.eye(coordinates), requires_grad=turned)
        if turned:
            for parameter in trunk.parameters():
                parameter.requires_grad_(False)

    def forward(self, rows: Tensor) -> Tensor:
        """Return (n, D) coordinates, each of zero mean over the batch."""
        outputs = self.trunk(rows).float()
        return F.batch_norm(outputs, None, None, self.scale, None, training=True)

    def directions(self) -> Tensor:
        """Return the (D, D) orthonormal directions, one a column."""
        if not self.turn.requires_grad:
            return self.turn
        q, r = torch.linalg.qr(self.turn)
        return q * r.diagonal().sign()  # the decomposition that is continuous at the identity

    @torch.no_grad()
    def projection(self, outputs_ND: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return mean (D,) and matrix (D, D) that turn raw outputs into coordinates for good."""
        spread = outputs_ND.std(axis=0)
        scale = self.scale.double().cpu().numpy() / np.maximum(spread, 1e-12)
        return outputs_ND.mean(axis=0), scale[:, None] * self.directions().double().cpu().numpy()


class NetworkTrunk(nn.Module):
    """A network on images.

    Args:
        model: ends in a linear layer with D outputs.
        images: (N, H, W, channels) uint8 on the model's device.
        precision: `float32` or `bf16`.
    """

    def __init__(self, model: Model, images: Images, precision: str) -> None:
        super().__init__()
        self.model, self.images, self.precision = model.train(), images, precision
        for module in model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.momentum = 0.0  # batch statistics, and running ones as they were

    def forward(self, rows: Tensor) -> Tensor:
        """Return (n, D) outputs."""
        with autocast(self.images.device.type, self.precision):
            return self.model(images_of(self.images, rows))

    def fold(self, embedding: Embedding, rows: IntArray) -> Model:
        """Return the model whose outputs are the coordinates, with frozen statistics."""
        for module in self.model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.momentum = 0.1
        calibrate(self.model, self.images, rows)
        self.model.eval()
        head = networks.output_layer(self.model)
        assert head is not None
        features_NF = untrained.features(self.model, self.images, rows)
        return _fold(self.model, features_NF, _weight_FD(head), embedding)


class LinearTrunk(nn.Module):
    """A linear map of features that are given: a table, or what a frozen backbone gives.

    Args:
        features_NF: of all images.
        rows: images by whose mean and deviation they are standardized.
        coordinates: D.
        seed: decides the weights.
        device: where to compute.
    """

    def __init__(
        self, features_NF: Matrix, rows: IntArray, coordinates: int, seed: int, device: str
    ) -> None:
        super().__init__()
        spread_F = features_NF[rows].std(axis=0, dtype=np.float64)
        self.spread_F = np.where(spread_F > 1e-9, spread_F, 1.0)
        standard_NF = (features_NF - subspace.mean(features_NF[rows])) / self.spread_F
        self.features = torch.from_numpy(standard_NF).float().to(device)
        with random_states.private_torch(seed, "cpu"):
            self.linear = nn.Linear(features_NF.shape[1], coordinates, bias=False)
        self.linear.to(device)

    def forward(self, rows: Tensor) -> Tensor:
        """Return (n, D) outputs."""
        return self.linear(self.features.index_select(0, upload(rows, self.features.device)))

    def weight_FD(self) -> FloatArray:
        """Return what the features, as they were given, are multiplied by."""
        return _weight_FD(self.linear) / self.spread_F[:, None]

    @torch.no_grad()
    def coordinates(self, embedding: Embedding, rows: IntArray) -> FloatArray:
        """Return the (n, D) coordinates of the rows, standardized over them."""
        outputs_ND = self(torch.from_numpy(rows)).double().cpu().numpy()
        mean_D, matrix_DD = embedding.projection(outputs_ND)
        return (outputs_ND - mean_D) @ matrix_DD

    def fold(self, embedding: Embedding, model: Model, features_NF: Matrix) -> Model:
        """Return the backbone with a last layer that gives the coordinates."""
        return _fold(model, features_NF, self.weight_FD(), embedding)


def _weight_FD(layer: nn.Linear) -> FloatArray:
    return layer.weight.detach().double().cpu().numpy().T


def _fold(model: Model, features_NF: Matrix, weight_FD: FloatArray, embedding: Embedding) -> Model:
    _, matrix_DD = embedding.projection(features_NF @ weight_FD)
    install(model, subspace.mean(features_NF), weight_FD @ matrix_DD)
    return model
