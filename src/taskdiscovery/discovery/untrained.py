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
from taskdiscovery.networks.placing import Images
from taskdiscovery.networks.prediction import asked, calibrate, prediction_batch
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
        learner = replace(learner, network="linear")
    model = networks.build_learner(learner, bench.shape, outputs, bench.normalization, seed)
    calibrate(model, bench.images, rows)
    return model.eval()


@torch.no_grad()
def features(model: Model, images: Images, rows: IntArray) -> Float32:
    """Return (n, F) float32 features of the chosen rows: what enters the last linear layer.

    They are where a search begins, and what controls are sorted by; no label is drawn from them, so
    a GPU may round as it does in training. A table that is large lies in a temporary file, which
    ends with the array.
    """
    table_nF, start = table((0, 0)), 0

    def ask(block: Tensor) -> Tensor:
        return networks.features(model, block).float()

    for found in asked(ask, images, rows, prediction_batch(images), filled=False):
        if not start:
            table_nF = table((len(rows), found.shape[1]))
        table_nF[start : start + len(found)] = found.numpy()
        start += len(found)
    return table_nF


#: bytes of a table above which it lies on disk.
LARGE = 2**28


def table(shape: tuple[int, int]) -> Float32:
    """Return an empty table; one that is large lies in a temporary file, which ends with it."""
    if 4 * shape[0] * shape[1] < LARGE:
        return np.empty(shape, dtype=np.float32)
    with tempfile.TemporaryFile(prefix="taskdiscovery-") as file:  # stays while it is mapped
        return np.memmap(file, dtype=np.float32, mode="w+", shape=shape)
