"""Does the same training give the same bits again?"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import torch
from torch import Tensor

from benchmarks.gpu.harness import Check, Row
from benchmarks.gpu.lab import Lab, build, relative, switched
from taskdiscovery.training import Examples, cross_entropy, train

#: network, and whether in the device's own precision or in float32.
TRAINED = (
    ("convnet", ""),
    ("resnet18?width=0.5", ""),
    ("resnet18?width=0.5", "float32"),
    ("vit?width=0.5&depth=2", ""),
)
SWITCHES: dict[str, dict[str, bool]] = {
    "default": {},
    "deterministic": {"deterministic": True},
    "benchmark": {"benchmark": True},
}


def checks(lab: Lab) -> Iterator[Check]:
    """Yield the checks of this section."""
    for network, precision in TRAINED[: 1 if lab.tiny else None]:
        name = f"two trainings, bit for bit: {network} {precision or lab.precision}"
        yield Check(name=name, work=partial(twice, lab, network, precision), need=8)


def twice(lab: Lab, network: str, precision: str) -> Row:
    """Train twice under each switch; tell whether weights are equal, and the time."""
    found: Row = {}
    for name, switches in SWITCHES.items():
        with switched(**switches):
            _weights(lab, network, precision, 1)
            (a, took), (b, _) = (_weights(lab, network, precision, 2) for _ in range(2))
        same = "equal" if torch.equal(a, b) else f"differ by {relative(a, b):.0e}"
        found[name] = f"{same}, {took:.2f} s"
    return found


def _weights(lab: Lab, network: str, precision: str, epochs: int) -> tuple[Tensor, float]:
    learner = lab.learner(network, precision, epochs=epochs, batch=256)
    model, rows = build(learner, seed=1), np.arange(512 if lab.tiny else 8192)
    labels = torch.arange(len(rows), device=lab.device) % 2
    examples = Examples(lab.images, rows, labels, cross_entropy)
    took = lab.clock(lambda: train(learner, model, examples, seed=1))
    return torch.cat([p.detach().flatten() for p in model.parameters()]), took
