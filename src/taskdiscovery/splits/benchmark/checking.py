"""Whether a benchmark's folder is as it was written: file by file, or by its contents alone.

Axes: n rows of a part.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from taskdiscovery.data import load
from taskdiscovery.errors import DataError, TaskDiscoveryError, first_line
from taskdiscovery.store.layout import WORK
from taskdiscovery.store.verify import Finding
from taskdiscovery.types import Document, ImageArray, IntArray

CARD, NUMBERS, SUMS, METADATA = "README.md", "benchmark.json", "SHA256SUMS", "metadata.csv"
TABLE = "baselines.csv"
#: bytes of what is read whole, far more than is written.
_MOST = 2**26
_AGAIN = "write the benchmark anew"


def is_benchmark(folder: Path | str) -> bool:
    """Say whether a folder looks like a benchmark."""
    return all((Path(folder) / name).is_file() for name in (SUMS, NUMBERS))


def lacks_baselines(folder: Path | str) -> bool:
    """Say whether a benchmark has no table of baselines, or one that is not finished."""
    folder = Path(folder)
    return is_benchmark(folder) and (not (folder / TABLE).exists() or (folder / WORK).exists())


def verify(folder: Path | str) -> list[Finding]:
    """Compare a benchmark's files with its checksums; hidden ones, as of git, are passed over.

    Raises:
        DataError: where there are no checksums.
    """
    folder = Path(folder)
    if not is_benchmark(folder):
        raise DataError(
            f"there is no {SUMS}", where=str(folder), hint="it is no benchmark, or not whole"
        )
    lines = _text(folder / SUMS).splitlines()
    told = {name: value for value, _, name in (line.partition("  ") for line in lines)}
    names = _names(folder)
    found = []
    for name in sorted({*told, *names}):
        problem = ""
        if name not in told:
            problem = "not among those that were written"
        elif name not in names:
            problem = "missing"
        elif _sum(folder / name) != told[name]:
            problem = "changed"
        found.append(Finding(file=name, problem=problem, remedy=_AGAIN if problem else ""))
    return found


def check(folder: Path | str, *, contents: bool = False) -> Document:
    """Refuse a folder that is not as it was written.

    Args:
        folder: of a benchmark.
        contents: compare pixels, ids, labels, tasks and groups with `benchmark.json` in place of
            the bytes of files: for a copy whose images or tables were encoded anew.

    Returns:
        What `benchmark.json` says.

    Raises:
        DataError: where there are no checksums, or a file is missing, is new or has changed.
    """
    folder = Path(folder)
    wrong = _wrong_parts(folder) if contents else [f.file for f in verify(folder) if f.problem]
    _refuse(folder, wrong)
    return _numbers(folder)


def check_untouched(folder: Path | str) -> None:
    """Refuse a folder to which a table of baselines cannot be added.

    The table and the card may be those of a process that died while it added them.

    Raises:
        DataError: where the folder is not as it was written, or has a table that is finished.
    """
    folder = Path(folder)
    wrong = {f.file for f in verify(folder) if f.problem}
    if not lacks_baselines(folder):
        raise DataError(
            "there is a table of baselines already", where=str(folder), hint="write it anew"
        )
    _refuse(folder, sorted(wrong - ({TABLE, CARD} if (folder / WORK).exists() else set())))


def digest_of(
    images: Iterable[ImageArray],
    shape: Sequence[int],
    ids_n: Iterable[str],
    codes: Sequence[IntArray],
) -> str:
    """Return the SHA-256 of some images with what is known of them, in their order.

    Args:
        images: n of them, (H, W, channels) each.
        shape: H, W, channels.
        ids_n: n of them.
        codes: (n,) numbers of classes, one array after the other.
    """
    digest = hashlib.sha256(repr(tuple(int(side) for side in shape)).encode())
    for i, (image, name) in enumerate(zip(images, ids_n, strict=True)):
        digest.update(json.dumps([str(name), *(int(own[i]) for own in codes)]).encode())
        digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()


def sums(folder: Path) -> bytes:
    """Return what `SHA256SUMS` of a folder is to say."""
    return "".join(f"{_sum(folder / name)}  {name}\n" for name in _names(folder)).encode("utf-8")


def _refuse(folder: Path, wrong: Sequence[str]) -> None:
    if wrong:
        more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise DataError(
            f"files are not those that were written: {', '.join(wrong[:5])}{more}",
            where=str(folder),
            hint=_AGAIN,
        )


def _wrong_parts(folder: Path) -> list[str]:
    """Return the parts whose contents are others than `benchmark.json` says, or cannot be read."""
    wrong = []
    for name, told in _numbers(folder)["parts"].items():
        where, _, split = name.rpartition("/")
        try:
            own = load(f"parquet:{folder / where}?split={split}")
            assert own.attributes is not None
            codes = [own.attributes[column].to_numpy() for column in ("task", "group")]
            labels = [] if own.labels is None else [own.labels]
            found = digest_of(own.images, own.images.shape[1:], own.ids, [*labels, *codes])
        except (TaskDiscoveryError, KeyError, ValueError, TypeError):
            found = ""
        if found != told["sha256"]:
            wrong.append(name)
    return wrong


def _numbers(folder: Path) -> Document:
    """Return what `benchmark.json` says.

    Raises:
        DataError: where it cannot be understood.
    """
    try:
        document = json.loads(_text(folder / NUMBERS))
        parts = document["parts"]
        if not all(isinstance(part["sha256"], str) for part in parts.values()):
            raise ValueError("its checksums are none")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(
            f"{NUMBERS} cannot be read: {first_line(error)}", where=str(folder), hint=_AGAIN
        ) from error
    return dict(document)


def _text(path: Path) -> str:
    with path.open("rb") as stream:
        return stream.read(_MOST).decode("utf-8", "replace")


def _names(folder: Path) -> list[str]:
    """Return all files but the sums and what is hidden, relative to the folder, in order."""
    return sorted(name for name in _walked(folder) if name != SUMS)


def _walked(folder: Path, start: str = "") -> Iterator[str]:
    with os.scandir(folder / start) as entries:
        for entry in entries:
            name = f"{start}{entry.name}"
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _walked(folder, f"{name}/")
            else:
                yield name


def _sum(path: Path) -> str:
    """Return the SHA-256 of a file; empty for a link, which may lead anywhere, or for none."""
    if path.is_symlink() or not path.is_file():
        return ""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(2**20):
            digest.update(block)
    return digest.hexdigest()
