"""Data that comes in parts for training and testing: how the parts are named, and which is read."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from taskdiscovery.config.specs import Spec
from taskdiscovery.errors import ConfigError, DataError, nearest

_LOG = logging.getLogger("taskdiscovery")

#: what people call the parts; names of one part stand for each other.
_NAMES = {
    "train": ("train", "training"),
    "validation": ("validation", "val", "valid", "dev"),
    "test": ("test", "testing"),
}
PARTS = {name: part for part, names in _NAMES.items() for name in names}
#: `train-00000-of-00001.parquet` of the Hugging Face hub, with a hash behind it or not.
_SHARD = re.compile(r"(?P<part>.+)-\d{4,6}-of-\d{4,6}(-[0-9a-f]{8,})?")


@dataclass(frozen=True, kw_only=True)
class Shards:
    """Files that make up a table.

    Attributes:
        files: in their order.
        parts: the part of each file, where there are several; else empty.
        problems: what to tell of them.
    """

    files: tuple[Path, ...]
    parts: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def shards_of(path: Path, spec: Spec) -> Shards:
    """Find the Parquet files of a path: itself, those of the folder, or those of its `data` folder.

    Args:
        path: a file or a folder.
        spec: with the option `split`, the part to read.

    Raises:
        DataError: where there are none.
        ConfigError: for a part that there is not.
    """
    files: tuple[Path, ...] = (path,)
    if path.is_dir():
        files = tuple(sorted(path.glob("*.parquet")) or sorted((path / "data").glob("*.parquet")))
        if not files:
            raise DataError(
                "the folder holds no .parquet file", where=str(path), hint="check the path"
            )
    elif not path.is_file():
        raise DataError("there is no such file", where=str(path), hint="check the path")
    parts = [_part_of(file) for file in files]
    known = sorted({part for part in parts if part is not None})
    if "split" in spec.options:
        wanted = chosen_part(spec, known)
        return Shards(
            files=tuple(f for f, part in zip(files, parts, strict=True) if part == wanted)
        )
    if len(known) < 2:
        return Shards(files=files)
    return Shards(files=files, parts=tuple(part or "" for part in parts))


def chosen_part(spec: Spec, known: Sequence[str]) -> str:
    """Return the part that `?split=` names, or the one that other people call so.

    Raises:
        ConfigError: naming the parts that there are.
    """
    wanted = spec.options["split"]
    if wanted in known:
        return wanted
    alike = [part for part in known if PARTS.get(part.lower()) == PARTS.get(wanted.lower(), "")]
    if len(alike) == 1:
        return alike[0]
    raise ConfigError(
        f"there is no split {wanted!r}",
        where=spec.text,
        hint=nearest(wanted, known) if known else f"{spec.name} has no splits: leave it out",
    )


def put_together(spec: Spec, counts: dict[str, int]) -> tuple[str, ...]:
    """Warn that several parts are read as one data set, and return the problem."""
    told = ", ".join(f"{part} {count}" for part, count in counts.items())
    one = "train" if "train" in counts else next(iter(counts))
    problem = (
        f"splits are put together, the attribute `split` tells them apart: {told}; "
        f"{spec.name}?split={one} reads one, --test split keeps them apart"
    )
    _LOG.warning("%s: %s", spec.text, problem)
    return (problem,)


def _part_of(file: Path) -> str | None:
    if found := _SHARD.fullmatch(file.stem):
        return found["part"]
    return file.stem if file.stem.lower() in PARTS else None
