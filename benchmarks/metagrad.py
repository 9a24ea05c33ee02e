"""The exact meta-gradient against the published code's way, alternating in one run.

The baseline does what the published code does (`benchmarks.published`): ordinary modules in
torch's usual layout and allocator, both networks in one step, the encoder evaluated inside each
step, each step recomputed under reentrant checkpointing and differentiated twice, in float32. The
way `reverse` is this package's own plain unroll (`discover --gradient reverse`); the others are
what `discover --method meta` runs. All give the gradient of the encoder's weights from the same
weights and batches; the error is the largest difference over the largest entry.

    python -m benchmarks.metagrad --json
"""

from __future__ import annotations

import argparse
import copy
import math
import multiprocessing
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks import published
from benchmarks.machine import Side, alternate, peak_memory, ratio
from benchmarks.provenance import about, add_output, deliver, told
from taskdiscovery.config import DiscoverConfig
from taskdiscovery.discovery.meta import Embedding, Inner, MetaSearch
from taskdiscovery.discovery.meta import Pixels as PixelSource
from taskdiscovery.metagrad import GradientStep
from taskdiscovery.training import Learner, Pixels, resolve_precision, set_threads
from taskdiscovery.training.machine import cpu_cores

SHAPE, NORMAL = (32, 32, 3), Pixels((127.0,) * 3, (64.0,) * 3)
TEMPERATURE, RATE = 5.0, 0.01
#: seconds of timed rounds for one network.
ENOUGH = 120.0


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
    Case("resnet18", 32, 4, "float32", "reverse"),
    Case("resnet18", 32, 4, "float32", "graphs"),
    Case("resnet18", 32, 4, "float32", "store"),
    Case("resnet18", 32, 4, "float32", "recompute"),
    Case("resnet18", 32, 4, "float32", "store", compiled=True),
    Case("resnet18", 32, 4, "bf16", "graphs"),
    Case("resnet18", 32, 4, "bf16", "store"),
    Case("mlp", 512, 20, "float32", "reverse"),
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
    images = torch.from_numpy(rng.integers(0, 256, (count, *SHAPE), dtype=np.uint8)).to(device)
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
        way=case.way if case.way != "reverse" else "store",
        gradient="reverse" if case.way == "reverse" else "exact",
        compile=case.compiled,
    )
    learner = Learner.of(case.network, config.recipe(1), device=device, precision=case.precision)
    inner = Inner(learner, SHAPE, NORMAL, images, config)
    model = learner.build(SHAPE, 8, NORMAL, seed=7)
    embedding = Embedding(PixelSource(model, images, case.precision), 8, turned=False)
    return MetaSearch(embedding, inner, np.arange(count), config, [])


def ours(search: MetaSearch) -> Callable[[], dict[str, Tensor]]:
    """Return what takes our gradient."""

    def run() -> dict[str, Tensor]:
        search.embedding.zero_grad(set_to_none=True)
        search.gradients(0)
        return _named(search, {n: p.grad for n, p in search.embedding.named_parameters()})

    return run


def baseline(search: MetaSearch) -> Callable[[], dict[str, Tensor]]:
    """Return what takes the gradient as the published code does."""
    source = search.embedding.source
    assert isinstance(source, PixelSource)
    learner = replace(search.inner.learner, precision="float32")
    nets = [published.plain_layout(learner.build(SHAPE, 2, NORMAL, 0).network) for _ in range(2)]
    backbone = published.plain_layout(copy.deepcopy(source.model.network))
    batches, unseen, _ = search.deal(0)
    loss = published.AgreementLoss(
        nets,
        published.Encoder(backbone, search._directions(0)[0], TEMPERATURE).to(search.device),
        RATE,
    )
    start = [
        p.contiguous().to(search.device) for own in search.inner.start(0) for p in own.values()
    ]

    def pixels(rows: Tensor) -> Tensor:
        return source.model.normalize(source.images[rows]).contiguous()

    held_out = pixels(torch.from_numpy(unseen).to(search.device))
    run = published.gradient(loss, tuple(start), [pixels(rows) for rows in batches], held_out)
    return lambda: {f"source.model.network.{name}": g for name, g in run().items()}


def _named(search: MetaSearch, gradients: dict[str, Tensor | None]) -> dict[str, Tensor]:
    return {n: g.detach().clone() for n, g in gradients.items() if g is not None}


@dataclass
class Trial(Side):
    """One way to take a gradient, and what was measured of it."""

    gradient: dict[str, Tensor] = field(default_factory=dict)
    first: float = 0.0

    def warm_up(self) -> None:
        """Take it once: for the gradient, the peak memory, and whatever is compiled."""
        began = time.perf_counter()

        def keep() -> None:
            self.gradient = self.work()

        self.memory = peak_memory(keep, self.device)
        self.first = time.perf_counter() - began


class Apart(Trial):
    """The baseline, in a process of its own: a program that is not ours has an allocator as it is.

    Ours keeps what it frees. In one process each would pay for the other's habits.
    """

    def __init__(self, case: Case, device: str) -> None:
        super().__init__(lambda: None, device)
        spawn = multiprocessing.get_context("spawn")
        self.ours, theirs = spawn.Pipe()
        self.process = spawn.Process(target=_serve, args=(theirs, case, device), daemon=True)
        self.process.start()

    def warm_up(self) -> None:
        """Take it once there."""
        gradient, self.memory = self._ask("warm up")
        self.gradient = {name: torch.from_numpy(g).to(self.device) for name, g in gradient.items()}

    def time(self) -> None:
        """Take it once more there."""
        self.times.append(self._ask("time"))

    def close(self) -> None:
        """End the process."""
        self.process.terminate()
        self.process.join()

    def _ask(self, what: str) -> Any:
        self.ours.send(what)
        return self.ours.recv()


def _serve(pipe: Connection, case: Case, device: str) -> None:
    torch.set_num_threads(cpu_cores())
    trial = Trial(baseline(search_of(case, device)), device)
    while True:
        if pipe.recv() == "warm up":
            trial.warm_up()
            arrays = {name: g.cpu().numpy() for name, g in trial.gradient.items()}
            pipe.send((arrays, trial.memory))
        else:
            trial.time()
            pipe.send(trial.times[-1])


def measure(cases: list[Case], rounds: int, device: str) -> list[dict[str, Any]]:
    """Time cases of one network against the baseline, one after another in every round.

    Args:
        cases: of one network, batch and number of steps.
        rounds: how many, or 0 for as many as fit in `ENOUGH` seconds, one at least, four at most.
        device: `cpu` or `cuda`.
    """
    searches = [search_of(case, device) for case in cases]
    plain = Apart(cases[0], device)
    trials = [Trial(ours(search), device) for search in searches]
    alternate([plain, *trials], rounds or 4, math.inf if rounds else ENOUGH)
    plain.close()
    rows = []
    largest = max(float(g.abs().max()) for g in plain.gradient.values())
    for case, trial, search in zip(cases, trials, searches, strict=True):
        step = search.inner.step.steps[0]
        gaps = [float((trial.gradient[n] - g).abs().max()) for n, g in plain.gradient.items()]
        row = {
            "network": case.network,
            "batch": case.batch,
            "steps": case.steps,
            "precision": case.precision,
            "way": case.way,
            "compiled": isinstance(step, GradientStep) and step.compiled,
            "speedup": round(ratio(plain, trial), 2),
            "memory_ratio": round(trial.memory / plain.memory, 3),
            "max_relative_error": float(f"{max(gaps) / largest:.2e}"),
            "seconds": round(trial.seconds, 2),
            "baseline_seconds": round(plain.seconds, 2),
            "memory_gb": round(trial.memory / 1e9, 2),
            "baseline_memory_gb": round(plain.memory / 1e9, 2),
            "rounds": len(trial.times),
        }
        if row["compiled"]:
            row["compile_seconds"] = round(trial.first - trial.seconds, 1)
        rows.append(row)
    return rows


def main() -> None:
    """Run all cases, print each as it is done, then the document."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="smaller cases, within a minute")
    parser.add_argument("--only", default="", help="cases whose network begins so")
    parser.add_argument("--rounds", type=int, default=0, help="timed rounds of each network")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    add_output(parser)
    options = parser.parse_args()
    set_threads(None)
    cases = [c for c in (QUICK if options.quick else FULL) if c.network.startswith(options.only)]
    if resolve_precision("auto", options.device) != "bf16":
        print("no native bf16 here: its cases are left out", file=sys.stderr)
        cases = [c for c in cases if c.precision != "bf16"]
    networks = dict.fromkeys(case.network for case in cases)
    together = [[case for case in cases if case.network == network] for network in networks]
    rows = told(row for own in together for row in measure(own, options.rounds, options.device))
    for row in rows:  # after how many gradients compiling has paid for itself
        if row["compiled"]:
            same = ("network", "precision", "way")
            plain = [r for r in rows if not r["compiled"] and all(r[k] == row[k] for k in same)]
            saved = plain[0]["seconds"] - row["seconds"] if plain else 0.0
            row["pays_after"] = round(row["compile_seconds"] / saved) if saved > 0 else None
    document = {"cases": rows, "environment": about()}
    deliver(document, options)


if __name__ == "__main__":
    main()
