"""Spectral discovery: the top principal components of an untrained network's features.

Where networks behave like a fixed kernel, these are the first labelings that it learns; power
iteration starts from them.

Axes: N images, F features, D coordinates.
"""

from __future__ import annotations

import tempfile

import numpy as np
import torch
from torch import Tensor, nn

from taskdiscovery import networks, subspace
from taskdiscovery.errors import ConfigError
from taskdiscovery.networks import Model
from taskdiscovery.training import PREDICTION_BATCH, Learner, Pixels, calibrate, take
from taskdiscovery.types import Float32, FloatArray, IntArray


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
def extract(model: Model, images: Tensor, rows: IntArray) -> Float32:
    """Return (n, F) float32 features of the chosen rows: what enters the last linear layer.

    A table that is large lies in a temporary file, which ends with the array.
    """
    table_nF: Float32 | None = None
    for start in range(0, len(rows), PREDICTION_BATCH):
        chosen = torch.from_numpy(rows[start : start + PREDICTION_BATCH]).to(images.device)
        found = networks.features(model, take(images, chosen)).float().cpu().numpy()
        if table_nF is None:
            table_nF = _table((len(rows), found.shape[1]))
        table_nF[start : start + len(found)] = found
    assert table_nF is not None
    return table_nF


#: bytes of a table above which it lies on disk.
LARGE = 2**28


def _table(shape: tuple[int, int]) -> Float32:
    if 4 * shape[0] * shape[1] < LARGE:
        return np.empty(shape, dtype=np.float32)
    with tempfile.TemporaryFile(prefix="taskdiscovery-") as file:  # stays while it is mapped
        return np.memmap(file, dtype=np.float32, mode="w+", shape=shape)


def components(
    features_NF: Float32,
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
    mean_F, covariance_FF = subspace.mean(features_NF), subspace.covariance(features_NF)
    if groups_N is not None:  # what groups differ by is taken out
        shares_G, apart_GF = _group_means(features_NF, groups_N)
        covariance_FF -= (apart_GF.T * shares_G) @ apart_GF
    basis_FB = np.eye(features_NF.shape[1])
    if excluded_NE is not None:
        cross_FE = subspace.covariance(features_NF, excluded_NE)
        if groups_N is not None:
            cross_FE -= (apart_GF.T * shares_G) @ _group_means(excluded_NE, groups_N)[1]
        u, s, _ = np.linalg.svd(cross_FE, full_matrices=True)
        basis_FB = u[:, int((s > 1e-9 * max(s.max(), 1e-300)).sum()) :]
    if basis_FB.shape[1] < count:
        raise ConfigError(
            f"{count} coordinates are asked for, the embedding has {basis_FB.shape[1]} to give",
            where="--tasks",
            mend="ask for fewer tasks, or take a wider network",
        )
    directions_BD = subspace.principal_directions(basis_FB.T @ covariance_FF @ basis_FB, count)
    return mean_F, basis_FB @ directions_BD


def _group_means(table_NF: subspace.Table, groups_N: IntArray) -> tuple[FloatArray, FloatArray]:
    """Return the groups' shares (G,), and (G, F) how far their means are from that of all."""
    _, group_N, counts_G = np.unique(groups_N, return_inverse=True, return_counts=True)
    sums_GF = np.zeros((len(counts_G), table_NF.shape[1]))
    for rows in subspace.blocks(len(table_NF)):
        np.add.at(sums_GF, group_N[rows], table_NF[rows])
    return counts_G / counts_G.sum(), sums_GF / counts_G[:, None] - subspace.mean(table_NF)


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
