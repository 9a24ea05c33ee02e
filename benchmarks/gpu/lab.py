"""What all checks share: the device, sizes, clocks, and the images that lie on it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.profiler import ProfilerActivity
from torch.profiler import profile as profiler

import taskdiscovery as td
from benchmarks.cases import synthetic
from benchmarks.gpu.harness import PROFILES, Report, Row
from benchmarks.metagrad import NORMAL, SHAPE
from taskdiscovery import networks
from taskdiscovery.config import ResolvedLearner, TrainingRecipe, learner_of
from taskdiscovery.networks import Model
from taskdiscovery.networks.placing import Images, place
from taskdiscovery.types import Dataset

#: the usual throughput of an H100, until `environment` has measured what there is.
CEILINGS = {"bf16": 7.9e14, "copy": 3.0e12}
#: float32 multiplied as float32.
EXACT = {"cudnn_tf32": False, "matmul_tf32": False}


@dataclass(frozen=True, kw_only=True)
class Lab:
    """Where checks are done, and how large they are.

    Attributes:
        device: `cuda`, or `cpu` for a dry run.
        tiny: whether everything is as small as it goes: a dry run, whose times mean nothing.
        folder: for runs; removed afterwards.
        report: knows the time that is left.
        full: whether what is shown is done as a whole, where a part of it would do.
        data: SPEC of images that stand for CIFAR-10's training images; empty for made ones.
        ceilings: operations per second of a bf16 product, bytes per second of a copy.
    """

    device: str
    tiny: bool
    folder: Path
    report: Report
    full: bool = False
    data: str = ""
    ceilings: dict[str, float] = field(default_factory=lambda: dict(CEILINGS))

    @property
    def cuda(self) -> bool:
        """Whether the device is a GPU."""
        return self.device == "cuda"

    @property
    def precision(self) -> str:
        """What the package chooses by itself on a GPU; float32 in a dry run."""
        return "bf16" if self.cuda else "float32"

    @property
    def here(self) -> dict[str, Any]:
        """Options of a job: this device, no other process."""
        return {"device": self.device, "executor": "serial", "callbacks": []}

    @cached_property
    def shapes(self) -> Dataset:
        """Images whose factors are known."""
        size = "&size=12" if self.tiny else ""
        return td.load(f"shapes?n={400 if self.tiny else 1500}&seed=0{size}")

    @cached_property
    def digits(self) -> Dataset:
        """Images of 8×8 pixels and one channel."""
        return td.load("digits")

    @property
    def factor(self) -> str:
        """A target SPEC for `shapes`."""
        assert self.shapes.attributes is not None
        return f"attr:{self.shapes.attributes.columns[0]}"

    @cached_property
    def many(self) -> Dataset:
        """As many images as CIFAR-10 has, of which nine tenths are trained on."""
        if self.data:
            return td.load(self.data)
        return synthetic(600 if self.tiny else 50_000)

    @cached_property
    def images(self) -> Images:
        """The same images as jobs see them on the device."""
        return place(self.many.images, self.device)

    @cached_property
    def resident(self) -> Tensor:
        """The same images, all on the device."""
        return torch.from_numpy(self.many.images).to(self.device)

    def learner(
        self, network: str, precision: str = "", device: str = "", **recipe: Any
    ) -> ResolvedLearner:
        """Return a learner of one epoch, unless the recipe says otherwise."""
        return learner_of(
            network,
            TrainingRecipe(**{"epochs": 1, **recipe}),
            device=device or self.device,
            precision=precision or self.precision,
        )

    def synchronize(self) -> None:
        """Wait until the device has done what it was told."""
        if self.cuda:
            torch.cuda.synchronize()

    def clock(self, work: Callable[[], Any], count: int = 1, warm: int = 0) -> float:
        """Return the mean seconds of a call, after some that do not count."""
        for _ in range(warm):
            work()
        self.synchronize()
        began = time.perf_counter()
        for _ in range(count):
            work()
        self.synchronize()
        return (time.perf_counter() - began) / count

    def median(self, work: Callable[[], Any], count: int = 7, warm: int = 2) -> float:
        """Return the median seconds of a call."""
        for _ in range(warm):
            work()
        return float(np.median([self.clock(work) for _ in range(count)]))

    def fresh(self) -> None:
        """Give memory back, and begin to look for its peak anew."""
        if self.cuda:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def peak(self) -> float:
        """Return the peak of memory in GB."""
        return round(torch.cuda.max_memory_allocated() / 1e9, 2) if self.cuda else 0.0

    def profile(self, name: str, work: Callable[[], Any]) -> Row:
        """Profile a call, after one that does not count; tables go into a file of the report."""
        work()
        self.synchronize()
        kinds = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if self.cuda else [])
        began = time.perf_counter()
        with profiler(activities=kinds) as found:
            work()
            self.synchronize()
        wall = time.perf_counter() - began
        events = found.key_averages()
        by_cpu = "self_cpu_time_total"
        key = "self_device_time_total" if self.cuda else by_cpu
        with (self.report.out / PROFILES).open("a", encoding="utf-8") as file:
            file.write(f"=== {name}\n{events.table(sort_by=key, row_limit=12)}\n")
            file.write(f"=== {name}, by CPU\n{events.table(sort_by=by_cpu, row_limit=8)}\n")
        kernels = [e for e in events if str(getattr(e, "device_type", "")).endswith("CUDA")]
        times = sorted(
            ((getattr(e, "self_device_time_total", 0.0) / 1e3, e.count, e.key) for e in kernels),
            reverse=True,
        )
        for milliseconds, count, kernel in times[:10]:
            print(f"    {milliseconds:9.2f} ms {count:6d}  {kernel[:110]}", flush=True)
        waits = [e for e in events if "Synchronize" in e.key and "Device" not in e.key]
        return {
            "profiled wall s": round(wall, 3),
            "gpu busy s": round(sum(t for t, _, _ in times) / 1e3, 3),
            "launches": sum(e.count for e in events if "LaunchKernel" in e.key),
            "waits": sum(e.count for e in waits),
        }


def build(learner: ResolvedLearner, outputs: int = 2, seed: int = 0) -> Model:
    """Build a learner's network for images of 32×32 pixels."""
    return networks.build_learner(learner, SHAPE, outputs, NORMAL, seed)


def flops(network: str) -> float:
    """Return the operations of a network, forward, for an image of 32×32 pixels."""
    return networks.flops(build(ResolvedLearner(network, TrainingRecipe())), SHAPE)


def relative(a: Tensor, b: Tensor) -> float:
    """Return the norm of the difference over the norm of b."""
    a, b = a.double().cpu(), b.double().cpu()
    return float((a - b).norm() / b.norm().clamp(min=1e-30))


@contextmanager
def switched(
    *,
    cudnn_tf32: bool | None = None,
    matmul_tf32: bool | None = None,
    benchmark: bool | None = None,
    deterministic: bool | None = None,
) -> Iterator[None]:
    """Set switches of `torch.backends` while the block runs; None leaves one as it is."""
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    switches = [
        (cudnn, "allow_tf32", cudnn_tf32),
        (matmul, "allow_tf32", matmul_tf32),
        (cudnn, "benchmark", benchmark),
        (cudnn, "deterministic", deterministic),
    ]
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in switches]
    try:
        for owner, name, value in switches:
            if value is not None:
                setattr(owner, name, value)
        yield
    finally:
        for owner, name, value in before:
            setattr(owner, name, value)
