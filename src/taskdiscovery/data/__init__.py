"""Images from anywhere into one `Dataset`: one reader, one check of the input, one cache."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from taskdiscovery.data.arrays import from_arrays, from_torch
from taskdiscovery.data.labelings import read_features, read_labelings, split_file_column
from taskdiscovery.errors import ConfigError, nearest
from taskdiscovery.specs import Spec, parse
from taskdiscovery.types import Dataset

__all__ = [
    "check_spec",
    "from_arrays",
    "from_torch",
    "load",
    "read_features",
    "read_labelings",
    "split_file_column",
]

KINDS = ("digits", "shapes", "folder", "parquet", "npz", "csv", "hf", "torchvision")


def load(
    spec: str, *, size: int | None = None, skip_bad: bool = False, cache: Path | None = None
) -> Dataset:
    """Read the images that a DATA specification names.

    Args:
        spec: `digits`, `shapes?n=5000&seed=0`, `folder:PATH`, `parquet:PATH`, `npz:PATH`,
            `csv:PATH`, `hf:NAME`, `torchvision:NAME`, `package.module:function`.
        size: resize images to size x size; needed where their sizes differ.
        skip_bad: leave out images that cannot be read.
        cache: where decoded images are kept; by default `TASKDISCOVERY_CACHE`, else
            `~/.cache/taskdiscovery`.

    Raises:
        ConfigError: for a specification that cannot be understood.
        DataError: for content that cannot be used.
    """
    parsed = parse(spec)
    kind = _kind(parsed)
    path = Path(parsed.path).expanduser()
    if kind == "digits":
        from taskdiscovery.data.arrays import digits

        return digits(parsed.text, size)
    if kind == "shapes":
        from taskdiscovery.shapes import from_spec

        return from_spec(parsed, size)
    if kind == "npz":
        from taskdiscovery.data.arrays import npz

        return npz(path, parsed.text, size)
    if kind in ("hf", "torchvision", "function"):
        from taskdiscovery.data import adapters

        read = {
            "hf": adapters.from_hugging_face,
            "torchvision": adapters.from_torchvision,
            "function": adapters.from_function,
        }[kind]
        return read(parsed, size)

    from taskdiscovery.data import decode, folder, parquet, table

    source = {"folder": folder.read, "parquet": parquet.read, "csv": table.read}[kind](
        path, parsed.text
    )
    if isinstance(source, Dataset):  # Parquet with pixels in lists
        return source
    return decode.decode(source, size=size, skip_bad=skip_bad, cache=cache)


def check_spec(spec: str) -> None:
    """Refuse a DATA specification that cannot work, without reading the data or importing torch.

    Raises:
        ConfigError, DataError: as `load`.
    """
    parsed = parse(spec)
    kind = _kind(parsed)
    path = Path(parsed.path).expanduser()
    if kind == "shapes":
        from taskdiscovery.shapes import check_options

        check_options(parsed)
    elif kind == "npz":
        from taskdiscovery.data.arrays import check_npz

        check_npz(path, parsed.text)
    elif kind in ("folder", "parquet", "csv"):
        from taskdiscovery.data import folder, parquet, table

        {"folder": folder.check, "parquet": parquet.check, "csv": table.check}[kind](
            path, parsed.text
        )


def _is_module(name: str) -> bool:
    if not all(part.isidentifier() for part in name.split(".")):
        return False
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _kind(spec: Spec) -> str:
    if spec.kind in KINDS:
        if spec.kind in ("digits", "folder", "parquet", "npz", "csv"):
            spec.only(())
        if spec.kind not in ("digits", "shapes") and not spec.path:
            raise ConfigError(
                f"{spec.text!r} names no place", where="DATA", mend=f"write {spec.kind}:PATH"
            )
        return spec.kind
    if spec.path.isidentifier() and _is_module(spec.kind):
        return "function"
    raise ConfigError(
        f"unknown kind of data {spec.text!r}",
        where="DATA",
        mend=nearest(spec.kind, KINDS) + " (e.g. folder:PATH, parquet:PATH)",
    )
