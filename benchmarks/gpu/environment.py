"""What there is: hardware, versions, and the throughput that nothing can exceed."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import partial

import torch

from benchmarks import plain
from benchmarks.gpu.harness import Check, Row
from benchmarks.gpu.lab import Lab, flops, switched
from benchmarks.machine import convolutions
from benchmarks.metagrad import SHAPE

OPTIONAL = ("loky", "ray", "timm", "torchvision", "transformers")
ASKED = "name,memory.total,driver_version,clocks.sm,clocks.mem,power.limit"


def checks(lab: Lab) -> Iterator[Check]:
    """Yield the checks of this section."""
    yield Check(name="environment", work=partial(environment, lab.cuda))
    if lab.cuda and not lab.tiny:
        yield Check(name="ceilings", work=partial(ceilings, lab), need=10)


def environment(cuda: bool) -> Row:
    """Tell versions and hardware, of the GPU as well where there is one."""
    found: Row = {
        "torch": torch.__version__,
        "python": sys.version.split()[0],
        "cpus": len(os.sched_getaffinity(0)),
        "absent": [p for p in OPTIONAL if importlib.util.find_spec(p) is None],
    }
    if not cuda:
        return found
    gpu = torch.cuda.get_device_properties(0)
    found |= {
        "gpu": gpu.name,
        "gb": round(gpu.total_memory / 2**30, 1),
        "sm": gpu.multi_processor_count,
        "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
        "cuda": getattr(torch.version, "cuda", None),
        "cudnn_tf32": torch.backends.cudnn.allow_tf32,
        "matmul_tf32": torch.backends.cuda.matmul.allow_tf32,
    }
    if smi := shutil.which("nvidia-smi"):
        command = [smi, f"--query-gpu={ASKED}", "--format=csv,noheader"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
        found["nvidia-smi"] = done.stdout.strip()
    return found


def ceilings(lab: Lab) -> Row:
    """Measure a copy, matrix products, and the convolutions of two networks alone."""
    a = torch.randint(0, 2**31, (2**29,), dtype=torch.int32, device=lab.device)
    copied = 2 * a.nbytes / lab.median(partial(torch.empty_like(a).copy_, a))
    found: Row = {"copy TB/s": round(copied / 1e12, 2)}
    x = torch.randn(8192, 8192, device=lab.device)
    kinds = (
        ("bf16", torch.bfloat16, False),
        ("tf32", torch.float32, True),
        ("float32", torch.float32, False),
    )
    for name, dtype, tf32 in kinds:
        y = x.to(dtype)
        with switched(matmul_tf32=tf32):
            found[f"{name} TF/s"] = round(
                2 * 8192**3 / lab.median(partial(torch.mm, y, y), 5) / 1e12
            )
    lab.ceilings.update({"bf16": found["bf16 TF/s"] * 1e12, "copy": copied})
    for network in ("resnet18", "convnet"):
        run = convolutions(plain.network(network, 2, 0, lab.device), 512, SHAPE, "bf16", lab.device)
        done = 3 * flops(network) * 512
        found[f"convolutions of {network} TF/s"] = round(done / lab.median(run, 5) / 1e12)
        with switched(benchmark=True):
            took = lab.median(run, 5, 3)
        found[f"convolutions of {network} TF/s, benchmark"] = round(done / took / 1e12)
    return found
