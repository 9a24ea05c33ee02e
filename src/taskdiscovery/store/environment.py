"""What a run was made with: versions and hardware, without importing what is named."""

from __future__ import annotations

import contextlib
import os
import platform
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from taskdiscovery.runtime import devices

PACKAGES = (
    "taskdiscovery",
    "torch",
    "numpy",
    "pandas",
    "pyarrow",
    "pillow",
    "scikit-learn",
    "scipy",
)


def environment(config: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return Python, platform, processor, usable CPUs, versions and the arguments given.

    Args:
        config: of a job, resolved; where it computes on a GPU, `gpu` says on which, and with what.
    """
    versions = {}
    for package in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    usable = getattr(os, "sched_getaffinity", None)
    gpu = devices.of_job(config or {})
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "cpus": len(usable(0)) if usable else os.cpu_count(),
        **({"gpu": gpu} if gpu else {}),
        "versions": versions,
        "arguments": sys.argv[1:],
    }


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()
