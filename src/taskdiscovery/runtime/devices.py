"""Where networks compute: the words for it, which cards there are, and what they are.

`cuda` is the current card, or all of them, one each, where several processes share the work;
`cuda:1` is the second one and no other. Words and counts do not begin to use a card: a process that
has begun to holds some hundred megabytes of it, and cannot be forked.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import warnings
from collections.abc import Mapping
from functools import cache
from typing import Any

from taskdiscovery.errors import ConfigError
from taskdiscovery.types import Document

#: what `--device` takes, as help shows it.
WORDS = "auto|cpu|cuda|cuda:N"
_WORD = re.compile(r"auto|cpu|cuda(:(0|[1-9][0-9]?))?")
#: seconds that the driver's own program may take to answer.
_PATIENCE = 10


def is_word(text: str) -> bool:
    """Say whether a text names a device: `auto`, `cpu`, `cuda` or `cuda:N`."""
    return _WORD.fullmatch(text) is not None


def is_cuda(device: str) -> bool:
    """Say whether a device is a card: `cuda` or `cuda:N`."""
    return device.partition(":")[0] == "cuda"


def number_of(device: str) -> int | None:
    """Return N of `cuda:N`; None where no card is named."""
    number = device.partition(":")[2]
    return int(number) if number else None


def cards() -> int:
    """Count the cards that this process may use."""
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def resolve(device: str) -> str:
    """Turn `auto` into `cuda` where there is a card, else `cpu`.

    Raises:
        ConfigError: where a card is asked for that is not there, saying how many are.
    """
    there = cards()
    if device == "auto":
        return "cuda" if there else "cpu"
    if not is_cuda(device):
        return device
    if not there:
        raise ConfigError(
            "no CUDA device is available",
            where=f"--device {device}",
            hint="use --device cpu or auto; taskdiscovery doctor says what torch is built for",
        )
    number = number_of(device)
    if number is not None and number >= there:
        last = "cuda:0" if there == 1 else f"cuda:0 to cuda:{there - 1}"
        raise ConfigError(
            f"there is no card {number}: this machine has {there} CUDA device{'s' * (there > 1)}",
            where=f"--device {device}",
            hint=f"use --device cuda, or {last}",
        )
    return device


def here(device: str) -> str:
    """Return the device for work that is not handed out: the processor where no card is at hand.

    A driver of a Ray cluster may have none, whatever its workers compute on.
    """
    return "cpu" if is_cuda(device) and not cards() else device


def card_of_rank(rank: int, ranks: int, there: int, *, narrowed: bool) -> int:
    """Return which card a rank computes on: each has one of its own.

    Args:
        rank: its number among those of this machine.
        ranks: how many those are.
        there: cards that it sees.
        narrowed: whether it was shown one card alone, which is then its own.

    Raises:
        ConfigError: where there are more ranks than cards.
    """
    if there == 1 and narrowed:
        return 0
    if ranks > there:
        raise ConfigError(
            f"{ranks} ranks need a card each, and this machine has {there}",
            where="--device cuda, under torchrun",
            hint=f"start {there} with --nproc-per-node {there}, or use --device cpu",
        )
    return rank


def multiplies_bf16(device: str) -> bool:
    """Say whether a card multiplies bf16 itself, as those do from 2020 on.

    Args:
        device: `cuda` or `cuda:N`, resolved.
    """
    import torch

    if torch.version.hip is not None:
        return True
    return bool(torch.cuda.get_device_properties(_index(device)).major >= 8)


def named_by_the_driver() -> list[Document]:
    """Return what the driver's own program says of each card: name, driver, compute capability.

    It is asked in place of torch where this process is not to begin to use a card. Empty where
    there is no such program, or it does not answer.
    """
    return [dict(row) for row in _asked()]


def of_job(config: Mapping[str, Any]) -> Document:
    """Say what a job computes on, as `describe` does.

    Args:
        config: its options as they were resolved: `device`, `executor` and `jobs` among them.
    """
    device, executor = str(config.get("device", "cpu")), config.get("executor")
    if executor == "ray":
        return describe(device, several=0)
    return describe(device, several=int(config.get("jobs") or 1) if executor == "processes" else 1)


def describe(device: str, *, several: int = 1) -> Document:
    """Say what a job computes on; nothing of the CPU, which `environment.json` names.

    Args:
        device: resolved.
        several: cards that share the work, from the first one on; 0 where they are elsewhere, and
            none is asked for here.

    Returns:
        `device`; `cards`, of each its name, memory in bytes and compute capability (none where it
        is only elsewhere); `driver` (None where nobody says), `cuda` and `cudnn` of this torch; and
        what `arithmetic` says of trainings. Empty for `cpu`.
    """
    if not is_cuda(device):
        return {}
    import torch

    there = cards() if several else 0
    one_alone = several == 1 or number_of(device) is not None
    used = [_index(device)] if there and one_alone else list(range(min(several, there)))
    cudnn: Any = torch.backends.cudnn
    version = cudnn.version() if cudnn.is_available() else None
    return {
        "device": device,
        "cards": [_card(number) for number in used],
        "driver": driver(),
        "cuda": torch.version.cuda or torch.version.hip,
        "cudnn": None if version is None else int(version),
        **arithmetic(device),
    }


def in_words(described: Document) -> dict[str, str]:
    """Return what `describe` gave as lines for people: a name and a text each; none for the CPU."""
    if not described:
        return {}
    lines = {}
    for number, card in enumerate(described["cards"]):
        lines[f"gpu {number}" if len(described["cards"]) > 1 else "gpu"] = (
            f"{card['name']}, {card['memory'] / 2**30:.0f} GiB, compute capability "
            f"{card['capability']}"
        )
    versions = [f"{name} {described[name]}" for name in ("driver", "cuda", "cudnn")]
    lines["gpu software"] = ", ".join(versions)
    rounded = {
        "convolutions": described["tf32_convolutions"],
        "matrix products": described["tf32_products"],
    }
    in_tf32 = " and ".join(name for name, said in rounded.items() if said)
    repeats = "deterministic" if described["cudnn_deterministic"] else "not deterministic"
    lines["gpu training"] = f"float32 {in_tf32 or 'nothing'} in TF32, cuDNN {repeats}"
    return lines


def absence() -> str:
    """Say why there is no card: what this torch is built for."""
    import torch

    built = torch.version.cuda and f"CUDA {torch.version.cuda}"
    built = built or (torch.version.hip and f"ROCm {torch.version.hip}")
    return f"none found (torch is built for {built})" if built else "none (torch has no CUDA)"


def arithmetic(device: str) -> dict[str, bool]:
    """Say how a card multiplies float32 while networks train, and whether cuDNN repeats itself."""
    import torch

    from taskdiscovery.runtime.arithmetic import repeatable

    with repeatable(device):
        return {
            "tf32_convolutions": bool(torch.backends.cudnn.allow_tf32),
            "tf32_products": bool(torch.backends.cuda.matmul.allow_tf32),
            "cudnn_deterministic": bool(torch.backends.cudnn.deterministic),
        }


@cache
def driver() -> str | None:
    """Return the version of the cards' driver; None where nobody says."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # one of the two packages of that name warns of itself
            import pynvml  # type: ignore[import-not-found,unused-ignore]
        pynvml.nvmlInit()
        try:
            found = pynvml.nvmlSystemGetDriverVersion()
        finally:
            pynvml.nvmlShutdown()
        return found.decode() if isinstance(found, bytes) else str(found)
    except Exception:  # not installed, or no such driver, which it says in ways of its own
        known = _asked()
        return str(known[0]["driver"]) if known else None


_FIELDS = ("name", "memory", "driver", "capability")


@cache
def _asked() -> tuple[Document, ...]:
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    query = "--query-gpu=name,memory.total,driver_version,compute_cap"
    try:
        done = subprocess.run(
            [program, query, "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=True,
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return ()
    rows = [[word.strip() for word in line.split(",")] for line in done.stdout.splitlines()]
    return tuple(dict(zip(_FIELDS, row, strict=True)) for row in rows if len(row) == len(_FIELDS))


def _card(number: int) -> Document:
    import torch

    known = torch.cuda.get_device_properties(number)
    return {
        "name": str(known.name),
        "memory": int(known.total_memory),
        "capability": f"{known.major}.{known.minor}",
    }


def _index(device: str) -> int:
    """Return the number of a card; of `cuda`, that of the current one."""
    import torch

    number = number_of(device)
    return torch.cuda.current_device() if number is None else number
