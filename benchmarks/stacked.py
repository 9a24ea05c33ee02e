"""Two runs trained as one: stacked weights under `torch.func.vmap`, or one run after the other.

A step is the gradient of the cross-entropy on a batch of each run's own, in training mode; the
optimizer's part is the same for both. This is why runs are not stacked on processors.

    python -m benchmarks.stacked --json
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import grad, vmap

from benchmarks.machine import own_process, seconds
from benchmarks.provenance import about, add_output, deliver, told
from taskdiscovery.config import ResolvedLearner, TrainingRecipe
from taskdiscovery.networks import Normalization, build_learner
from taskdiscovery.networks.stateless import Stateless

CASES = [
    (network, precision)
    for network in ("mlp", "convnet", "resnet18?width=0.25")
    for precision in ("float32", "bf16")
]


def measure(name: str, precision: str, runs: int, batch: int, rounds: int) -> dict[str, Any]:
    """Time a step of all runs, both ways, in turns; return the medians and their ratio."""
    learner = ResolvedLearner(name, TrainingRecipe(), "cpu", precision)
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.integers(0, 256, (runs, batch, 32, 32, 3), dtype=np.uint8))
    labels = torch.from_numpy(rng.integers(0, 2, (runs, batch)))
    pixels = Normalization.measure(images[0].numpy(), np.arange(batch))
    networks = [
        Stateless(build_learner(learner, (32, 32, 3), 2, pixels, r), precision) for r in range(runs)
    ]
    each = [network.params() for network in networks]
    stacked = {key: torch.stack([own[key] for own in each]) for key in each[0]}

    def loss(params: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(networks[0](params, x).float(), y)

    gradient = grad(loss)
    together = vmap(gradient)

    def one_by_one() -> None:
        for own, x, y in zip(each, images, labels, strict=True):
            gradient(own, x, y)

    def at_once() -> None:
        together(stacked, images, labels)

    took: dict[str, list[float]] = {"one_by_one": [], "at_once": []}
    for turn in range(rounds + 1):
        for key, work in (("one_by_one", one_by_one), ("at_once", at_once)):
            spent = seconds(work)
            if turn:  # the first is for warming up
                took[key].append(spent)
    middle = {key: float(np.median(values)) for key, values in took.items()}
    return {
        "network": name,
        "precision": precision,
        "runs": runs,
        "batch": batch,
        **{f"{key}_seconds": round(value, 4) for key, value in middle.items()},
        "speedup_of_stacking": round(middle["one_by_one"] / middle["at_once"], 2),
    }


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=None)
    add_output(parser)
    options = parser.parse_args()
    threads = own_process(options.threads)
    cases = told(measure(*case, options.runs, options.batch, options.rounds) for case in CASES)
    deliver({"threads": threads, "cases": cases, "environment": about()}, options)


if __name__ == "__main__":
    main()
