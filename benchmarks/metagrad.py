"""The exact meta-gradient against the published code's way, alternating in one run.

The baseline does what the published code does (`benchmarks.published`): ordinary modules in
torch's usual layout and allocator, both networks in one step, the encoder evaluated inside each
step, each step recomputed under reentrant checkpointing and differentiated twice, in float32. The
row `reverse` is this package's own plain unroll (`discover --gradient reverse`); the others are
what `discover --method meta` runs, by what they keep in memory. All give the gradient of the
encoder's weights from the same weights and batches; the error is the largest difference over the
largest entry.

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
from benchmarks.machine import Side, alternate, own_process, peak_memory, ratio
from benchmarks.provenance import about, add_output, deliver, told
from taskdiscovery.config import ResolvedLearner, TrainingRecipe
from taskdiscovery.discovery import Meta
from taskdiscovery.discovery.constraints import Constraints
from taskdiscovery.discovery.meta.embedding import Embedding, NetworkTrunk, images_of
from taskdiscovery.discovery.meta.inner import Inner
from taskdiscovery.discovery.meta.search import MetaSearch
from taskdiscovery.discovery.problem import Problem
from taskdiscovery.executors import Serial, resolve_precision
from taskdiscovery.metagrad import GradientStep
from taskdiscovery.networks import Normalization, build_learner
from taskdiscovery.runtime.callbacks import Callbacks
from taskdiscovery.runtime.hardware import cpu_cores
from taskdiscovery.store.journal import Journal
from taskdiscovery.training import Workbench
from taskdiscovery.types import Dataset

SHAPE, NORMAL = (32, 32, 3), Normalization((127.0,) * 3, (64.0,) * 3)
TEMPERATURE, RATE, TASKS = 5.0, 0.01, 8
#: seconds of timed rounds for one network.
ENOUGH = 120.0


@dataclass(frozen=True)
class Case:
    """One network, and how its gradient is taken; the batch is shared out between two networks.

    Attributes:
        network: SPEC.
        batch: images of an inner step.
        steps: of the inner loop.
        precision: `float32` or `bf16`.
        memory: what the exact gradient keeps; or `reverse`, the plain unroll.
        compiled: whether inner steps are compiled.
    """

    network: str
    batch: int
    steps: int
    precision: str
    memory: str
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
    dataset = Dataset(
        images=rng.integers(0, 256, (count, *SHAPE), dtype=np.uint8),
        ids=np.arange(count).astype(str),
    )
    images = torch.from_numpy(dataset.images).to(device)
    exact = case.memory != "reverse"
    options = Meta(
        inner_batch=case.batch,
        inner_steps=case.steps,
        inner_optimizer="sgd",
        inner_rate=RATE / 2,
        temperature=TEMPERATURE,
        diversity_weight=0.0,
        fresh_init=False,
        memory=case.memory if exact else "store",
        gradient="exact" if exact else "reverse",
        compile=case.compiled,
    )
    learner = ResolvedLearner(case.network, TrainingRecipe(), device, case.precision)
    return search_on(problem_of(dataset, images, learner), options)


def problem_of(dataset: Dataset, images: Tensor, learner: ResolvedLearner) -> Problem:
    """State the problem of a search on all images of a data set, which lie on the device."""
    journal = Journal()
    bench = Workbench(
        dataset=dataset,
        inputs=dataset.images,
        images=images,
        normalization=NORMAL,
        learner=learner,
        executor=Serial(images, journal, threads=1),
        journal=journal,
        callbacks=Callbacks(),
    )
    return Problem(
        workbench=bench,
        rows=np.arange(len(dataset)),
        tasks=TASKS,
        classes=2,
        seed=0,
        constraints=Constraints(),
        encoder_recipe=learner.recipe,
    )


def search_on(problem: Problem, options: Meta) -> MetaSearch:
    """Build networks and encoder of a search."""
    bench = problem.workbench
    learner = bench.learner
    inner = Inner(
        learner=learner,
        shape=bench.shape,
        normalization=bench.normalization,
        images=bench.images,
        options=options,
        classes=problem.classes,
        seed=problem.seed,
    )
    model = build_learner(learner, bench.shape, problem.P, bench.normalization, seed=7)
    trunk = NetworkTrunk(model, bench.images, learner.precision)
    return MetaSearch(Embedding(trunk, problem.P, turned=False), inner, problem, options)


def ours(search: MetaSearch) -> Callable[[], dict[str, Tensor]]:
    """Return what takes our gradient."""

    def run() -> dict[str, Tensor]:
        search.embedding.zero_grad(set_to_none=True)
        search.gradients(0)
        return _named(search, {n: p.grad for n, p in search.embedding.named_parameters()})

    return run


def baseline(search: MetaSearch) -> Callable[[], dict[str, Tensor]]:
    """Return what takes the gradient as the published code does."""
    trunk = search.embedding.trunk
    assert isinstance(trunk, NetworkTrunk)
    learner = replace(search.inner.learner, precision="float32")
    nets = [
        published.plain_layout(build_learner(learner, SHAPE, 2, NORMAL, 0).network)
        for _ in range(2)
    ]
    backbone = published.plain_layout(copy.deepcopy(trunk.model.network))
    batches, unseen, _ = search.deal(0)
    loss = published.AgreementLoss(
        nets,
        published.Encoder(backbone, search._directions(0)[0], TEMPERATURE).to(search.device),
        RATE,
    )
    start = [
        p.contiguous().to(search.device)
        for own in search.inner.start(0)
        for p in search.inner.named(own).values()
    ]

    def pixels(rows: Tensor) -> Tensor:
        return trunk.model.normalize(images_of(trunk.images, rows)).contiguous()

    held_out = pixels(torch.from_numpy(unseen))
    run = published.gradient(loss, tuple(start), [pixels(rows) for rows in batches], held_out)
    return lambda: {f"trunk.model.network.{name}": g for name, g in run().items()}


def _named(search: MetaSearch, gradients: dict[str, Tensor | None]) -> dict[str, Tensor]:
    return {n: g.detach().clone() for n, g in gradients.items() if g is not None}


@dataclass
class Trial(Side):
    """One way to take a gradient, and what was measured of it."""

    gradient: dict[str, Tensor] = field(default_factory=dict)
    first: float = 0.0
    clock: Callable[[], float] = time.perf_counter

    def warm_up(self) -> None:
        """Take it once: for the gradient, the peak memory, and whatever is compiled."""
        began = time.perf_counter()

        def keep() -> None:
            self.gradient = self.work()

        self.memory = peak_memory(keep, self.device)
        self.first = time.perf_counter() - began

    def time(self) -> None:
        """Take it once more, and note how long it took."""
        if self.clock is time.perf_counter:
            super().time()
            return
        began = self.clock()
        self.work()
        self.times.append(self.clock() - began)


class Apart(Trial):
    """The baseline, in a process of its own: a program that is not ours has an allocator as it is.

    Ours keeps what it frees. In one process each would pay for the other's habits.
    """

    def __init__(self, case: Case, device: str, shared: bool) -> None:
        super().__init__(lambda: None, device)
        spawn = multiprocessing.get_context("spawn")
        self.ours, theirs = spawn.Pipe()
        given = (theirs, case, device, shared)
        self.process = spawn.Process(target=_serve, args=given, daemon=True)
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


def _clock(shared: bool) -> Callable[[], float]:
    return time.process_time if shared else time.perf_counter


def _serve(pipe: Connection, case: Case, device: str, shared: bool) -> None:
    torch.set_num_threads(1 if shared else cpu_cores())
    trial = Trial(baseline(search_of(case, device)), device, clock=_clock(shared))
    while True:
        if pipe.recv() == "warm up":
            trial.warm_up()
            arrays = {name: g.cpu().numpy() for name, g in trial.gradient.items()}
            pipe.send((arrays, trial.memory))
        else:
            trial.time()
            pipe.send(trial.times[-1])


def measure(
    cases: list[Case], rounds: int, device: str, *, shared: bool = False
) -> list[dict[str, Any]]:
    """Time cases of one network against the baseline, one after another in every round.

    Args:
        cases: of one network, batch and number of steps.
        rounds: how many, or 0 for as many as fit in `ENOUGH` seconds, one at least, four at most.
        device: `cpu` or `cuda`.
        shared: whether others use the machine: seconds are then those of one thread on the
            processor, without those in which it waited.
    """
    searches = [search_of(case, device) for case in cases]
    plain = Apart(cases[0], device, shared)
    trials = [Trial(ours(search), device, clock=_clock(shared)) for search in searches]
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
            "memory": case.memory,
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
    parser.add_argument(
        "--shared", action="store_true", help="others use this machine: one thread, its own seconds"
    )
    parser.add_argument("--plain", action="store_true", help="leave out what is compiled")
    add_output(parser)
    options = parser.parse_args()
    own_process(1 if options.shared else None)
    cases = [c for c in (QUICK if options.quick else FULL) if c.network.startswith(options.only)]
    if resolve_precision("auto", options.device) != "bf16":
        print("no native bf16 here: its cases are left out", file=sys.stderr)
        cases = [c for c in cases if c.precision != "bf16"]
    cases = [c for c in cases if not (options.plain and c.compiled)]
    networks = dict.fromkeys(case.network for case in cases)
    together = [[case for case in cases if case.network == network] for network in networks]
    rows = told(
        row
        for own in together
        for row in measure(own, options.rounds, options.device, shared=options.shared)
    )
    for row in rows:  # after how many gradients compiling has paid for itself
        if row["compiled"]:
            same = ("network", "precision", "memory")
            plain = [r for r in rows if not r["compiled"] and all(r[k] == row[k] for k in same)]
            saved = plain[0]["seconds"] - row["seconds"] if plain else 0.0
            row["pays_after"] = round(row["compile_seconds"] / saved) if saved > 0 else None
    document = {"cases": rows, "environment": about()}
    deliver(document, options)


if __name__ == "__main__":
    main()
