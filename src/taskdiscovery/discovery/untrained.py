"""Untrained networks, and the features that they make of images.

Axes: N images, F features.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from taskdiscovery import networks
from taskdiscovery.config import is_convex
from taskdiscovery.networks import Model
from taskdiscovery.networks.images import take
from taskdiscovery.networks.prediction import PREDICTION_BATCH, calibrate
from taskdiscovery.training import Workbench
from taskdiscovery.types import Float32, IntArray


def network(bench: Workbench, outputs: int, rows: IntArray, seed: int) -> Model:
    """Build a network with fresh weights whose batch norms know the statistics of the images.

    Args:
        bench: images, normalization, and the learner whose network it is.
        outputs: number of outputs.
        rows: images that the statistics are taken from (a few thousand at most).
        seed: decides the weights.
    """
    learner = bench.learner
    if is_convex(learner.name):  # untrained it is a linear map with random weights
        # It looks at the features where they lie, which need not be the device of the products.
        learner = replace(learner, network="linear", device=str(bench.images.device))
    model = networks.build_learner(learner, bench.shape, outputs, bench.normalization, seed)
    calibrate(model, bench.images, rows)
    return model.eval()


@torch.no_grad()
def features(model: Model, images: Tensor, rows: IntArray) -> Float32:
    """Return (n, F) float32 features of the chosen rows: what enters the last linear layer.

    A table that is large lies in a temporary file, which ends with the array.
    """
    table_nF: Float32 | None = None
    for start in range(0, len(rows), PREDICTION_BATCH):
        chosen = torch.from_numpy(rows[start : start + PREDICTION_BATCH]).to(images.device)
        found = networks.features(model, take(images, chosen)).float().cpu().numpy()
        if table_nF is None:
            table_nF = table((len(rows), found.shape[1]))
        table_nF[start : start + len(found)] = found
    assert table_nF is not None
    return table_nF


#: bytes of a table above which it lies on disk.
LARGE = 2**28


def table(shape: tuple[int, int]) -> Float32:
    """Return an empty table; one that is large lies in a temporary file, which ends with it."""
    if 4 * shape[0] * shape[1] < LARGE:
        return np.empty(shape, dtype=np.float32)
    with tempfile.TemporaryFile(prefix="taskdiscovery-") as file:  # stays while it is mapped
        return np.memmap(file, dtype=np.float32, mode="w+", shape=shape)
