"""JSON and YAML, mutated as documents: values, keys, nesting; and lines of JSON."""

from __future__ import annotations

import copy
import json
import random
import re
import reprlib
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from benchmarks.hostile.values import NAMING, RAW, hostile, named, nudged, raw

#: aliases that were put in before may stand for a billion of them.
_PLACES, _TEXT = 5000, 2**21


def places(document: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every container of a document with every key of it."""
    if isinstance(document, dict | list):
        items = document.items() if isinstance(document, dict) else enumerate(document)
        for key, value in list(items):
            yield document, key
            yield from places(value)


def edit(document: Any, rng: random.Random, victim: Path) -> str:
    """Change one value or key of a document; say how."""
    known = list(islice(places(document), _PLACES))
    if not known:
        return "nothing to edit"
    # Long tables must not hide the few fields above them.
    container, key = rng.choice(known if rng.random() < 0.5 else known[:60])
    value = container[key]
    how = rng.choice(("hostile", "hostile", "hostile", "nudge", "drop", "rename", "swap", "add"))
    if how == "hostile":
        container[key] = hostile(rng, victim)
    elif how == "nudge":
        container[key] = nudged(rng, value)
    elif how == "drop":
        del container[key]
    elif how == "swap":
        other, its = rng.choice(known)
        if isinstance(other, dict) or (isinstance(its, int) and its < len(other)):
            found = other.get(its) if isinstance(other, dict) else other[its]
            container[key] = copy.deepcopy(found)  # it may hold the container
    elif isinstance(container, dict):
        new = hostile(rng, victim)
        new = new if isinstance(new, str | int) else str(new)
        container[new] = value if how == "add" else container.pop(key)
    else:
        container.append(hostile(rng, victim))
    return f"{how} {str(key)[:40]!r} -> {_brief(container, key)}"


def _brief(container: Any, key: Any) -> str:
    try:
        return reprlib.repr(container[key])[:60]
    except (KeyError, IndexError):
        return "gone"


def name_code(document: Any, rng: random.Random, victim: Path) -> str:
    """Let one field, wherever it stands, or all that can, name code or what lies outside."""
    found = [(c, k) for c, k in islice(places(document), _PLACES) if k in NAMING]
    field = rng.choice(NAMING)
    name = named(rng, field, victim)
    if rng.random() < 0.9:
        found = [(c, k) for c, k in found if k == field]
    for container, key in found:
        container[key] = [name] if isinstance(container[key], list) else name
    return f"{sorted({key for _, key in found})} = {name}"


def mutate(
    content: bytes, suffix: str, rng: random.Random, how: Callable[[Any], str]
) -> tuple[bytes, str]:
    """Read a document, change it, and write it again.

    Args:
        content: of the file.
        suffix: `.json`, `.jsonl` or `.yaml`.
        rng: draws what stands for `RAW`.
        how: changes the document in place, and says how.

    Returns:
        The new content, and what was done.
    """
    text = content.decode("utf-8", "replace")
    if len(text) > _TEXT:
        return content[: rng.randrange(len(content))], "cut"
    if suffix == ".jsonl":
        lines = text.splitlines() or ["{}"]
        number = rng.randrange(len(lines))
        new, done = mutate(lines[number].encode(), ".json", rng, how)
        lines[number] = new.decode("utf-8", "replace").replace("\n", " ")
        return "\n".join(lines).encode() + b"\n", f"line {number}: {done}"
    try:
        document = yaml.safe_load(text) if suffix == ".yaml" else json.loads(text)
    except (ValueError, yaml.YAMLError, RecursionError):  # mutated before
        return content, "no document any more"
    done = how(document)
    return _written(document, suffix, rng), done


def _written(document: Any, suffix: str, rng: random.Random) -> bytes:
    try:
        if suffix == ".yaml":
            text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
        else:
            text = json.dumps(document, indent=1)
    except (yaml.YAMLError, RecursionError, TypeError, ValueError):
        text = "[" * 9  # it holds itself, or is too deep to be written
    if rng.random() < 0.03:
        text = text.replace("{", '{"format": 1, "format": "2", ', 1)  # a key twice
    text = re.sub(f'"?{RAW}"?', lambda _: raw(rng), text)
    return text.encode("utf-8", rng.choice(("surrogatepass", "backslashreplace")))
