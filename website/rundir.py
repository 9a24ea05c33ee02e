"""The files of a run, their columns and keys, read from a run that was just made."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from taskdiscovery.store.layout import remedy_of

#: documents whose keys are told, one level down where that says more.
_DEPTH = {"result.json": 2, "audit.json": 1, "status.json": 1, "environment.json": 1}


def page(run: Path) -> str:
    """Describe every file of a run: its kind, its columns or keys, how it can be had again.

    Args:
        run: its directory.
    """
    files = sorted(
        path.relative_to(run).as_posix()
        for path in run.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    )
    lines = [line for file in files for line in _file(run, file)]
    return "\n".join(lines)


def _file(run: Path, file: str) -> Iterator[str]:
    path = run / file
    yield f"### `{file}`\n"
    rows = list(_contents(path))
    if rows:
        yield (
            "| column | type |\n|---|---|"
            if path.suffix in {".parquet", ".csv"}
            else ("| key | holds |\n|---|---|")
        )
        yield from (f"| `{name}` | {kind} |" for name, kind in rows)
        yield ""
    if (again := remedy_of(file)) != "run the job that wrote it again":
        yield f"Where it is lost or damaged: {_code(again)}.\n"


def _code(remedy: str) -> str:
    words, colon, command = remedy.partition(": taskdiscovery ")
    return f"{words}: `taskdiscovery {command}`" if colon else words


def _contents(path: Path) -> Iterator[tuple[str, str]]:
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        yield from ((column.name, str(column.type)) for column in pq.read_schema(path))
    elif path.suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as opened:
            header = next(csv.reader(opened))
        yield from ((column, "text") for column in header)
    elif path.suffix == ".json":
        yield from _keys(json.loads(path.read_text("utf-8")), _DEPTH.get(path.name, 1))
    elif path.suffix == ".yaml":
        yield from _keys(yaml.safe_load(path.read_text("utf-8")), 1)
    elif path.suffix == ".jsonl":
        first = json.loads(path.read_text("utf-8").splitlines()[0])
        yield from _keys(first, 1)
    elif path.suffix == ".safetensors":
        from safetensors import safe_open

        with safe_open(path, "numpy") as opened:
            weights = 0
            for name in opened.keys():  # noqa: SIM118 - it is no mapping
                if name.startswith("network."):
                    weights += 1
                    continue
                part = opened.get_slice(name)
                yield name, f"{part.get_dtype()}, {tuple(part.get_shape())}"
            if weights:
                yield "network.…", f"{weights} arrays: the state of the network"


def _keys(document: dict[str, Any], depth: int, before: str = "") -> Iterator[tuple[str, str]]:
    for key, value in document.items():
        yield before + key, _kind(value)
        if depth > 1 and isinstance(value, dict):
            yield from _keys(value, depth - 1, f"{before}{key}.")


def _kind(value: Any) -> str:
    if isinstance(value, list):
        inner = (
            ", ".join(f"`{k}`" for k in value[0]) if value and isinstance(value[0], dict) else ""
        )
        return f"a list of documents: {inner}" if inner else "a list"
    names = {dict: "a document", str: "a text", bool: "true or false", int: "a whole number"}
    return names.get(type(value), "a number" if isinstance(value, float) else "null")
