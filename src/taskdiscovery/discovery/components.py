"""Principal components of features, and networks whose last layer computes them.

Axes: N training images, F features, E excluded columns, B basis vectors, G groups.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from taskdiscovery import networks
from taskdiscovery.discovery import subspace
from taskdiscovery.errors import ConfigError
from taskdiscovery.networks import Model
from taskdiscovery.types import Float32, FloatArray, IntArray, Matrix


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
            hint="ask for fewer tasks, or take a wider network",
        )
    directions_BD = subspace.principal_directions(basis_FB.T @ covariance_FF @ basis_FB, count)
    return mean_F, basis_FB @ directions_BD


def _group_means(table_NF: Matrix, groups_N: IntArray) -> tuple[FloatArray, FloatArray]:
    """Return the groups' shares (G,), and (G, F) how far their means are from that of all."""
    _, group_N, counts_G = np.unique(groups_N, return_inverse=True, return_counts=True)
    sums_GF = np.zeros((len(counts_G), table_NF.shape[1]))
    for rows in subspace.blocks(len(table_NF)):
        np.add.at(sums_GF, group_N[rows], table_NF[rows])
    return counts_G / counts_G.sum(), sums_GF / counts_G[:, None] - subspace.mean(table_NF)


def install(model: Model, mean_F: FloatArray, directions_FD: FloatArray) -> None:
    """Make the last linear layer of the model compute `(features - mean) @ directions`."""
    head = networks.output_layer(model)
    if head is None or head.weight.shape != directions_FD.T.shape:
        raise ConfigError(
            "this network does not end in a linear layer",
            where="--method spectral or meta",
            hint="use --method power --start pixels, or end the network in torch.nn.Linear",
        )
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(directions_FD.T))
        bias = torch.from_numpy(-(mean_F @ directions_FD)).to(head.weight)
        head.bias = nn.Parameter(bias)  # the layer may have been built without one
