"""The exact meta-gradient against the plain unroll, alternating in one run.

The baseline does what the published code does: both networks in one step, the encoder evaluated
inside each step, each step recomputed under reentrant checkpointing and differentiated twice, in
float32. Ours is what `discover --method meta` runs. Both give the gradient of the encoder's weights
from the same weights and batches; the error is the largest difference over the largest entry.

    python -m benchmarks.metagrad --json
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._pytree import tree_map

from benchmarks.machine import peak_memory, seconds
from benchmarks.provenance import about
from taskdiscovery.config import DiscoverConfig
from taskdiscovery.discovery.meta import Embedding, Inner, MetaSearch, objectives
from taskdiscovery.discovery.meta import Pixels as PixelSource
from taskdiscovery.metagrad import SGD, GradientStep, State, Tree, metagrad
from taskdiscovery.networks.stateless import Stateless
from taskdiscovery.training import Learner, Pixels, set_threads

MEAN, STD = (127.0,) * 3, (64.0,) * 3
TEMPERATURE, RATE = 5.0, 0.01


@dataclass(frozen=True)
class Case:
    """One network, and how its gradient is taken; the batch is shared out between two networks."""

    network: str
    batch: int
    steps: int
    precision: str
    way: str
    compiled: bool = False


FULL = [
    Case("resnet18", 32, 4, "float32", "graphs"),
    Case("resnet18", 32, 4, "float32", "store"),
    Case("resnet18", 32, 4, "float32", "recompute"),
    Case("resnet18", 32, 4, "float32", "store", compiled=True),
    Case("resnet18", 32, 4, "bf16", "graphs"),
    Case("resnet18", 32, 4, "bf16", "store"),
    Case("mlp", 512, 20, "float32", "graphs"),
    Case("mlp", 512, 20, "float32", "store"),
    Case("mlp", 512, 20, "bf16", "graphs"),
    Case("mlp", 512, 20, "bf16", "store"),
]
QUICK = [
    Case("resnet18?width=0.25", 16, 4, "float32", "graphs"),
    Case("resnet18?width=0.25", 16, 4, "float32", "store"),
    Case("resnet18?width=0.25", 16, 4, "bf16", "store"),
    Case("mlp", 512, 4, "float32", "graphs"),
    Case("mlp", 512, 4, "bf16", "graphs"),
]


def search_of(case: Case, device: str) -> MetaSearch:
    """Build the search of `discover --method meta` on random images."""
    rng = np.random.default_rng(0)
    count = case.batch * (case.steps + 1)
    images = torch.from_numpy(rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)).to(device)
    config = DiscoverConfig(
        method="meta",
        learner=case.network,
        tasks=8,
        inner_batch=case.batch,
        inner_steps=case.steps,
        inner_optimizer="sgd",
        inner_rate=RATE / 2,
        temperature=TEMPERATURE,
        diversity_weight=0.0,
        fresh_init=False,
        precision=case.precision,
        way=case.way,
        compile=case.compiled,
    )
    learner = Learner.of(case.network, config.recipe(1), device=device, precision=case.precision)
    inner = Inner(learner, (32, 32, 3), Pixels(MEAN, STD), images, config)
    model = learner.build((32, 32, 3), 8, Pixels(MEAN, STD), seed=7)
    embedding = Embedding(PixelSource(model, images, case.precision), 8, turned=False)
    return MetaSearch(embedding, inner, np.arange(count), config, [])


def ours(search: MetaSearch) -> Callable[[], dict[str, Tensor]]:
    """Return what takes our gradient."""

    def run() -> dict[str, Tensor]:
        search.embedding.zero_grad(set_to_none=True)
        search.gradients(0)
        return _named(search, {n: p.grad for n, p in search.embedding.named_parameters()})

    return run


class PlainSGD(SGD):
    """The update as people write it, in two operations."""

    def update(self, t: int, state: State, grads: Tree) -> State:
        """θ' = θ − α g."""
        return State(tree_map(lambda p, g: p - self.learning_rate * g, state.params, grads))


def baseline(search: MetaSearch) -> Callable[[], dict[str, Tensor]]:
    """Return what takes the gradient as the published code does."""
    source = search.embedding.source
    assert isinstance(source, PixelSource)
    device = source.images.device.type
    learner = replace(search.inner.learner, precision="float32")
    nets = [Stateless(learner.build((32, 32, 3), 2, Pixels(MEAN, STD), 0)) for _ in range(2)]
    encoder = Stateless(learner.build((32, 32, 3), 8, Pixels(MEAN, STD), 0))
    batches, unseen, _ = search.deal(0)
    direction = search._directions(0)[0]
    held_out = source.images[torch.from_numpy(unseen).to(device)]

    def loss(params: Any, inputs: Any) -> Tensor:
        phi, images = inputs
        outputs = F.batch_norm(encoder(phi, images), None, None, training=True)
        labels = objectives.soft_labels(outputs @ direction, search.corners, TEMPERATURE)
        losses = [
            objectives.soft_cross_entropy(net(own, half), y)
            for net, own, half, y in zip(
                nets, params, images.tensor_split(2), labels.tensor_split(2), strict=True
            )
        ]
        return torch.stack(losses).mean()

    step = GradientStep(loss, PlainSGD(RATE))

    def outer(t: int, params: Any, _: Any) -> Tensor | None:
        if t < search.config.inner_steps:
            return None
        logits = [net(own, held_out) for net, own in zip(nets, params, strict=True)]
        return objectives.disagreement(logits)

    def run() -> dict[str, Tensor]:
        phi = {n: p.detach().requires_grad_() for n, p in source.model.named_parameters()}
        inputs = [(phi, source.images[batch]) for batch in batches]
        found = metagrad(step, outer, search.inner.start(0), [*inputs, ()], mode="reverse")
        total = {
            name: torch.stack([entry[0][name] for entry in found.inputs[:-1]]).sum(dim=0)
            for name in phi
        }
        return {f"source.model.{name}": g for name, g in total.items()}

    return run


def _named(search: MetaSearch, gradients: dict[str, Tensor | None]) -> dict[str, Tensor]:
    return {n: g.detach().clone() for n, g in gradients.items() if g is not None}


@dataclass
class Trial:
    """One way to take a gradient, and what was measured of it."""

    work: Callable[[], dict[str, Tensor]]
    gradient: dict[str, Tensor] = field(default_factory=dict)
    memory: int = 0
    first: float = 0.0
    times: list[float] = field(default_factory=list)

    def warm_up(self, device: str) -> None:
        """Take it once: for the gradient, the peak memory, and whatever is compiled."""
        began = time.perf_counter()

        def keep() -> None:
            self.gradient = self.work()

        self.memory = peak_memory(keep, device)
        self.first = time.perf_counter() - began


def measure(cases: list[Case], rounds: int, device: str) -> list[dict[str, Any]]:
    """Time cases of one network against the baseline, one after another in every round."""
    searches = [search_of(case, device) for case in cases]
    plain = Trial(baseline(searches[0]))
    trials = [Trial(ours(search)) for search in searches]
    for trial in (plain, *trials):
        trial.warm_up(device)
    for _ in range(rounds):
        for trial in (plain, *trials):
            trial.times.append(seconds(trial.work, device))
    rows = []
    largest = max(float(g.abs().max()) for g in plain.gradient.values())
    for case, trial, search in zip(cases, trials, searches, strict=True):
        step = search.inner.step.steps[0]
        gaps = [float((trial.gradient[n] - g).abs().max()) for n, g in plain.gradient.items()]
        ratios = [a / b for a, b in zip(plain.times, trial.times, strict=True)]
        row = {
            "network": case.network,
            "batch": case.batch,
            "steps": case.steps,
            "precision": case.precision,
            "way": case.way,
            "compiled": isinstance(step, GradientStep) and step.compiled,
            "speedup": round(float(np.median(ratios)), 2),
            "memory_ratio": round(trial.memory / plain.memory, 3),
            "max_relative_error": float(f"{max(gaps) / largest:.2e}"),
            "seconds": round(float(np.median(trial.times)), 2),
            "baseline_seconds": round(float(np.median(plain.times)), 2),
            "memory_gb": round(trial.memory / 1e9, 2),
        }
        if row["compiled"]:
            row["compile_seconds"] = round(trial.first - float(np.median(trial.times)), 1)
        rows.append(row)
    return rows


def main() -> None:
    """Run all cases, print each as it is done, then the document."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="smaller cases, within a minute")
    parser.add_argument("--only", default="", help="cases whose network begins so")
    parser.add_argument("--rounds", type=int, default=0, help="timed rounds of each network")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--out", type=Path, default=None, help="a JSON file for the document")
    options = parser.parse_args()
    set_threads(None)
    cases = [c for c in (QUICK if options.quick else FULL) if c.network.startswith(options.only)]
    rows: list[dict[str, Any]] = []
    for network in dict.fromkeys(case.network for case in cases):
        own = [case for case in cases if case.network == network]
        rounds = options.rounds or 2
        for row in measure(own, rounds, options.device):
            rows.append(row)
            print(json.dumps(row), file=sys.stderr, flush=True)
    for row in rows:  # after how many gradients compiling has paid for itself
        if row["compiled"]:
            same = ("network", "precision", "way")
            plain = [r for r in rows if not r["compiled"] and all(r[k] == row[k] for k in same)]
            saved = plain[0]["seconds"] - row["seconds"] if plain else 0.0
            row["pays_after"] = round(row["compile_seconds"] / saved) if saved > 0 else None
    document = {"cases": rows, "environment": about()}
    if options.out is not None:
        options.out.write_text(json.dumps(document, indent=1) + "\n")
    if options.json:
        print(json.dumps(document, indent=1))


if __name__ == "__main__":
    main()
