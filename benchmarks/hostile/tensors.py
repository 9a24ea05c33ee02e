"""Safetensors, mutated by its header: lengths, offsets, kinds, shapes, claims of the metadata."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.hostile.documents import edit
from benchmarks.hostile.values import CODE, ESCAPES

_KINDS = ("F32", "F64", "F16", "BF16", "I64", "I32", "U8", "BOOL", "F8_E4M3", "U64", "X99")
_LENGTHS = (0, 1, 8, 2**31, 2**63, 2**64 - 1, 10**8 + 1)
_SHAPES: tuple[Any, ...] = ([], [0], [10**9, 10**9], [-1], [2**63], [1, 1, 1], [0.5], "x", [[1]])
_LEARNERS = (
    *CODE,
    "linear",
    "mlp?width=100000000",
    "convnet?width=100000",
    "resnet18?width=3000",
    "vit?width=100000000",
    "convnet?width=-1",
    "convnet?width=1e400",
    "convnet?depth=1000000",
    "timm:resnet18?pretrained=true",
)


def mutate(content: bytes, rng: random.Random, victim: Path) -> tuple[bytes, str]:
    """Change a file; say how."""
    try:
        (length,) = struct.unpack("<Q", content[:8])
        header, data = json.loads(content[8 : 8 + length]), content[8 + length :]
        names = sorted(name for name in header if name != "__metadata__")
    except (ValueError, struct.error, TypeError):  # mutated before
        return content[: rng.randrange(len(content) + 1)], "cut"
    how = rng.choice(("length", "tensor", "tensor", "names", "claims", "claims", "data", "header"))
    if how == "length":
        new = rng.choice((*_LENGTHS, length - 1, length + 1))
        return struct.pack("<Q", new) + content[8:], f"header length {new}"
    if how == "tensor" and names:
        done = _change_tensor(header, rng.choice(names), rng)
    elif how == "names" and names:
        done = _change_names(header, rng.choice(names), rng)
    elif how == "claims" and "__metadata__" in header:
        done = _change_claims(header["__metadata__"], rng, victim)
    elif how == "header":
        done = edit(header, rng, victim)
    else:
        value = rng.choice((b"\x00\x00\xc0\x7f", b"\x00\x00\x80\x7f", b"\xff\xff\x7f\x7f"))
        data, done = (value * (len(data) // 4 + 1))[: len(data)], f"numbers {value.hex()}"
    return pack(header, data), done


def claim(content: bytes, how: Callable[[Any], str]) -> tuple[bytes, str]:
    """Change what an encoder says of itself; say how."""
    try:
        (length,) = struct.unpack("<Q", content[:8])
        header = json.loads(content[8 : 8 + length])
        claims = json.loads(header["__metadata__"]["taskdiscovery"])
    except (ValueError, struct.error, TypeError, KeyError):  # of a checkpoint, or mutated before
        return content, "claims nothing"
    done = how(claims)
    header["__metadata__"]["taskdiscovery"] = json.dumps(claims)
    return pack(header, content[8 + length :]), done


def pack(header: Any, data: bytes) -> bytes:
    """Return the content of a file."""
    text = json.dumps(header).encode("utf-8", "backslashreplace")
    return struct.pack("<Q", len(text)) + text + data


def _change_tensor(header: Any, name: str, rng: random.Random) -> str:
    own = header[name]
    key = rng.choice(("dtype", "shape", "data_offsets"))
    begin, end = (own.get("data_offsets") or [0, 0])[:2] if isinstance(own, dict) else (0, 0)
    offsets = ([begin, end + 4], [begin + 4, end], [end, begin], [0, 2**63], [-1, 4], [0, 0], [0])
    shape = own.get("shape") if isinstance(own, dict) else None
    near = [[*shape[::-1]], [*shape, 1], [n + 1 for n in shape]] if isinstance(shape, list) else []
    value = rng.choice({"dtype": _KINDS, "shape": (*_SHAPES, *near), "data_offsets": offsets}[key])
    header[name] = {**own, key: value} if isinstance(own, dict) else value
    return f"{key} of {name} = {value}"


def _change_names(header: Any, name: str, rng: random.Random) -> str:
    how = rng.choice(("drop", "rename", "double"))
    new = rng.choice((*ESCAPES, "", "x", "encoder.columns", "__class__", "weight", "\x1f"))
    if how != "drop":
        header[new] = header[name]
    if how != "double":
        del header[name]
    return f"{how} {name} {new!r}"


def _change_claims(metadata: Any, rng: random.Random, victim: Path) -> str:
    """Change what an encoder says of itself."""
    try:
        claims = json.loads(metadata["taskdiscovery"])
    except (KeyError, TypeError, ValueError):
        return edit(metadata, rng, victim)
    choices: dict[str, tuple[Any, ...]] = {
        "classes": (10**9, 0, 1, -1, 3, 2.0, "2", 2**63, [2]),
        "names": ([], ["x"] * 10**5, [*ESCAPES], ["../x"], ["a", "a", "a"], "abc", [None], [["a"]]),
        "image_shape": ([10**9, 10**9, 3], [8, 8], [0, 8, 1], [-8, 8, 1], [8, 8, 1, 1], "x"),
        "outputs": (10**9, 0, -1, 1, "3", 2**63),
        "learner": _LEARNERS,
        "format": (0, 2, -1, "1", None, 10**30),
    }
    key = rng.choice([*choices, "any"])
    if key == "any":
        done = edit(claims, rng, victim)
    else:
        claims[key] = rng.choice(choices[key])
        done = f"claims {key} = {str(claims[key])[:60]}"
    metadata["taskdiscovery"] = json.dumps(claims)
    return done
