"""From what a caller names or holds to a `Dataset`: the table of readers.

A new reader is one file with `check(path, spec)` and `read(path, spec, how)`, and a row in
`READERS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taskdiscovery.config.options import entries
from taskdiscovery.config.specs import Spec, parse
from taskdiscovery.data.labels.missing import with_problems, without_words
from taskdiscovery.data.listing import Listing, Reading
from taskdiscovery.errors import ConfigError, nearest
from taskdiscovery.runtime.callbacks import Callback
from taskdiscovery.runtime.importing import is_module
from taskdiscovery.runtime.progress_bar import callbacks_of
from taskdiscovery.types import Dataset

if TYPE_CHECKING:
    import pandas as pd

#: readers of files: each lists encoded images, or returns the data set where pixels are plain.
READERS = ("folder", "parquet", "csv")
KINDS = ("digits", "shapes", *READERS, "npz", "hf", "torchvision")


def load(
    data: Any,
    *,
    labels: Any = None,
    attributes: pd.DataFrame | Mapping[str, Any] | None = None,
    size: int | None = None,
    fit: str = "crop",
    range: tuple[float, float] | None = None,
    skip_bad: bool = False,
    missing: Sequence[str] = (),
    cache: Path | str | None = None,
    callbacks: Iterable[Callback] | None = None,
) -> Dataset:
    """Read images with what is known of them, without features; `td.load` says what is taken.

    Args:
        data, labels, attributes, size, fit, range, skip_bad, missing, cache, callbacks: as of
            `taskdiscovery.load`.

    Raises:
        ConfigError: for a specification that cannot be understood.
        DataError: for content that cannot be used.
    """
    given = [n for n, v in (("labels", labels), ("attributes", attributes)) if v is not None]
    if given and isinstance(data, str | Path | Dataset):
        raise ConfigError(
            f"{' and '.join(given)} are given beside data that has its own",
            where="load",
            hint="give them beside arrays; or to score and split, which match them by id",
        )
    _check_size(size)
    words = entries(missing, ",") if isinstance(missing, str) else tuple(missing)
    if isinstance(data, Dataset):
        return data if not words else replace(without_words(data, words), missing=words)
    how = Reading(
        size=size,
        fit=fit,
        range=range,
        skip_bad=skip_bad,
        missing=words,
        cache=None if cache is None else Path(cache),
        callbacks=callbacks_of(callbacks),
    )
    if isinstance(data, str | Path):
        found = _read(spec_of(data), how)
    else:
        from taskdiscovery.data.readers.objects import from_object

        found = from_object(data, labels=labels, attributes=attributes, how=how)
    return _finished(found, how)


def _check_size(size: Any) -> None:
    """Refuse a size that is none.

    Raises:
        ConfigError: saying what came.
    """
    if size is not None and (not isinstance(size, Integral) or int(size) < 1):
        raise ConfigError(
            f"size is {size!r}", where="load", hint="give a whole number of pixels, e.g. 64"
        )


def _finished(found: Dataset | Listing, how: Reading) -> Dataset:
    """Decode what is encoded, and take care of missing values."""
    if isinstance(found, Dataset):
        found = replace(with_problems(without_words(found, how.missing)), missing=how.missing)
        return found if how.size is None else replace(found, size=how.size, fit=how.fit)
    from taskdiscovery.data.images.decode import decode

    listing = with_problems(without_words(found, how.missing))
    return replace(decode(listing, how), missing=how.missing)


def spec_of(data: str | Path) -> Spec:
    """Parse a DATA specification, or a bare path where it is plain what it is.

    Raises:
        ConfigError, DataError: where it is neither.
    """
    text = str(data)
    bare = isinstance(data, Path) or (":" not in text and text.partition("?")[0] not in KINDS)
    if bare and Path(text).expanduser().exists():
        from taskdiscovery.data.readers.objects import spec_of_path

        return parse(spec_of_path(Path(text).expanduser()))
    return parse(text)


def _read(spec: Spec, how: Reading) -> Dataset | Listing:
    kind = _kind(spec)
    path = Path(spec.path).expanduser()
    if kind == "digits":
        from taskdiscovery.data.readers.arrays import digits

        return digits(spec.text, how)
    if kind == "shapes":
        from taskdiscovery.data.readers.shapes import from_spec

        return from_spec(spec, how.size)
    if kind == "npz":
        from taskdiscovery.data.readers import npz

        return npz.read(path, spec.text, how)
    if kind in READERS:
        return _reader(kind).read(path, spec, how)
    from taskdiscovery.data.readers import adapters

    readers: dict[str, Callable[[Spec, Reading], Dataset | Listing]] = {
        "hf": adapters.from_hugging_face,
        "torchvision": adapters.from_torchvision,
        "function": adapters.from_function,
    }
    return readers[kind](spec, how)


def _reader(kind: str) -> Any:
    from taskdiscovery.data.readers import folder, parquet, table

    return {"folder": folder, "parquet": parquet, "csv": table}[kind]


def check_spec(data: str) -> None:
    """Refuse a DATA specification that cannot work, without reading the data or importing torch.

    Raises:
        ConfigError, DataError: as `load`.
    """
    spec = spec_of(data)
    kind = _kind(spec)
    path = Path(spec.path).expanduser()
    if kind == "shapes":
        from taskdiscovery.data.readers.shapes import check_options

        check_options(spec)
    elif kind == "npz":
        from taskdiscovery.data.readers import npz

        npz.check(path, spec.text)
    elif kind in READERS:
        _reader(kind).check(path, spec)


def _kind(spec: Spec) -> str:
    if spec.kind in KINDS:
        if spec.kind in ("digits", "folder", "parquet", "npz", "csv"):
            spec.only(("split",) if spec.kind in ("folder", "parquet") else ())
        if spec.kind not in ("digits", "shapes") and not spec.path:
            raise ConfigError(
                f"{spec.text!r} names no place", where="DATA", hint=f"write {spec.kind}:PATH"
            )
        return spec.kind
    if spec.path.isidentifier() and is_module(spec.kind):
        return "function"
    raise ConfigError(
        f"unknown kind of data {spec.text!r}",
        where="DATA",
        hint=nearest(spec.kind, KINDS) + " (e.g. folder:PATH, parquet:PATH)",
    )
