"""Spectral discovery: the top principal components of an untrained network's features.

Where networks behave like a fixed kernel, these are the first labelings that it learns; power
iteration starts from them.

Axes: N images, F features, D coordinates.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from taskdiscovery import networks, subspace
from taskdiscovery.errors import ConfigError
from taskdiscovery.networks import Model
from taskdiscovery.training import PREDICTION_BATCH, Learner, Pixels, calibrate
from taskdiscovery.types import FloatArray, IntArray


def untrained(
    learner: Learner,
    shape: tuple[int, int, int],
    outputs: int,
    pixels: Pixels,
    images: Tensor,
    rows: IntArray,
    seed: int,
) -> Model:
    """Build a network with fresh weights whose batch norms know the statistics of the images.

    Args:
        learner: what to build, and where.
        shape: (H, W, channels).
        outputs: number of outputs.
        pixels: pixel normalization.
        images: (N, H, W, channels) uint8 on the learner's device.
        rows: images that the statistics are taken from (a few thousand at most).
        seed: decides the weights.
    """
    model = learner.build(shape, outputs, pixels, seed)
    calibrate(model, images, rows)
    return model.eval()


@torch.no_grad()
def extract(model: Model, images: Tensor, rows: IntArray) -> FloatArray:
    """Return (n, F) float64 features of the chosen rows: what enters the last linear layer."""
    blocks = []
    for start in range(0, len(rows), PREDICTION_BATCH):
        chosen = torch.from_numpy(rows[start : start + PREDICTION_BATCH]).to(images.device)
        blocks.append(networks.features(model, images.index_select(0, chosen)).cpu().double())
    return torch.cat(blocks).numpy()


def components(
    features_NF: FloatArray,
    count: int,
    excluded_NE: FloatArray | None = None,
    groups_N: IntArray | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Find the top directions of the features, free of what is excluded.

    Args:
        features_NF: of the training images.
        count: how many directions.
        excluded_NE: columns that the coordinates must not correlate with. Directions are taken
            from the null space of their covariance with the features, so that the encoder, which
            sees the image alone, keeps that promise on the training images exactly.
        groups_N: classes within which to look; features are centred inside each.

    Returns:
        The mean (F,) and the directions (F, count), as `subspace.principal_components`.

    Raises:
        ConfigError: where fewer than `count` directions are left.
    """
    centred_NF = features_NF - features_NF.mean(axis=0)
    if groups_N is not None:
        for group in np.unique(groups_N):
            centred_NF[groups_N == group] -= centred_NF[groups_N == group].mean(axis=0)
    basis_FB = np.eye(features_NF.shape[1])
    if excluded_NE is not None:
        excluded_NE = excluded_NE - excluded_NE.mean(axis=0)
        u, s, _ = np.linalg.svd(centred_NF.T @ excluded_NE, full_matrices=True)
        basis_FB = u[:, int((s > 1e-9 * max(s.max(), 1e-300)).sum()) :]
    if basis_FB.shape[1] < count:
        raise ConfigError(
            f"{count} coordinates are asked for, the embedding has {basis_FB.shape[1]} to give",
            where="--tasks",
            mend="ask for fewer tasks, or take a wider network",
        )
    _, directions_BD = subspace.principal_components(centred_NF @ basis_FB, count)
    return features_NF.mean(axis=0), basis_FB @ directions_BD


def install(model: Model, mean_F: FloatArray, directions_FD: FloatArray) -> None:
    """Make the last linear layer of the model compute `(features - mean) @ directions`."""
    head = networks.last_linear(model)
    if head is None or head.weight.shape != directions_FD.T.shape:
        raise ConfigError(
            "this network does not end in a linear layer",
            where="--method spectral or meta",
            mend="use --method power --start pixels, or end the network in torch.nn.Linear",
        )
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(directions_FD.T))
        bias = torch.from_numpy(-(mean_F @ directions_FD)).to(head.weight)
        head.bias = nn.Parameter(bias)  # the layer may have been built without one
