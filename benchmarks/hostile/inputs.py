"""Inputs from a stranger: folders, tables, archives, labelings, configs, mutated."""

from __future__ import annotations

import functools
import io
import random
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.fuzz import seeds
from benchmarks.hostile import documents, entries, tables
from benchmarks.hostile.values import ESCAPES

KINDS = ("folder", "parquet", "npz", "csv", "labelings", "config")

#: made once: some thousand inputs begin with them.
_seeds = functools.cache(seeds)
_HEADERS = (
    "{'descr': '|O', 'fortran_order': False, 'shape': (3,), }",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (1000000, 1000, 1000), }",
    "{'descr': '<U100000000', 'fortran_order': False, 'shape': (1,), }",
    "{'descr': '|u1', 'fortran_order': True, 'shape': (-1, 2), }",
    "{'descr': [('a', '<i4'), ('b', '|O')], 'fortran_order': False, 'shape': (2,), }",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 2), " + "'x': 1, " * 5000 + "}",
    "(" * 3000,
)


def build(kind: str, place: Path, rng: random.Random, victim: Path) -> str:
    """Make an input of a kind, and mutate it; say how."""
    place.mkdir()
    content = rng.choice(_seeds()[kind if kind != "folder" else "image"])
    if kind == "folder":
        return _folder(place, content, rng, victim)
    name = {"labelings": "x.csv", "config": "x.yaml"}.get(kind, f"x.{kind}")
    if kind == "labelings" and rng.random() < 0.4:
        name, content = "x.parquet", tables.bomb(("image_id", "t"), "wide")
        if rng.random() < 0.9:
            content, done = tables.mutate_parquet(_seeds()["parquet"][0], rng, victim)
        else:
            done = "bomb: wide"
    elif kind in ("csv", "labelings"):
        (place / "x.png").write_bytes(_seeds()["image"][0])
        content, done = tables.mutate_csv(content, rng, victim)
    elif kind == "parquet":
        content, done = tables.mutate_parquet(content, rng, victim)
    elif kind == "npz":
        content, done = _archive(content, rng)
    else:
        content, done = _config(content, rng, victim)
    (place / name).write_bytes(content)
    if rng.random() < 0.06:
        # The caller names this very file: to follow a link, or wait for a pipe, is what was asked.
        other = rng.choice([one for one in entries.KINDS if one not in ("link", "pipe")])
        done += f"; {name}: {entries.change(place, name, rng, victim, other)}"
    return done


def _config(content: bytes, rng: random.Random, victim: Path) -> tuple[bytes, str]:
    def how(document: Any) -> str:
        document |= {"from": "x", "target": "label"} if rng.random() < 0.3 else {}
        if rng.random() < 0.4:
            return documents.name_code(document, rng, victim)
        return documents.edit(document, rng, victim)

    return documents.mutate(content, ".yaml", rng, how)


def _folder(place: Path, content: bytes, rng: random.Random, victim: Path) -> str:
    """Make a folder of two classes, and change something in it."""
    for name in ("a/1.png", "a/2.png", "b/3.png", "b/4.png"):
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).write_bytes(content)
    how = rng.choice(("image", "image", "image", "entry", "entry", "name", "class", "deep"))
    if how == "image":
        new, how = _image(content, rng)
        (place / "a" / "1.png").write_bytes(new)
    elif how == "entry":
        name = rng.choice(("a/1.png", "a", "b", "c", "a/labels.csv", "metadata.csv"))
        how = f"{name}: {entries.change(place, name, rng, victim)}"
    elif how == "deep":
        deep = place / "a" / "/".join("d" * 100)
        deep.mkdir(parents=True)
        (deep / "5.png").write_bytes(content)
    else:
        text = rng.choice([text.replace("\x00", "") for text in ESCAPES] + ["\udcff", "<b>", "é"])
        (place / "a" / "1.png").rename(place / "a" / f"{text}.png")
        if how == "class":
            (place / "a").rename(place / text)
        how = f"{how} {text!r}"
    return how


def _image(content: bytes, rng: random.Random) -> tuple[bytes, str]:
    """Change an image: its bytes, or a PNG's claims, with checksums that fit."""
    if content[:4] != b"\x89PNG" or rng.random() < 0.4:
        return tables.flipped(content, rng, 0, len(content)), "bytes of an image"
    width, height = rng.choice(
        ((2**31 - 1, 2**31 - 1), (100_000, 100_000), (0, 4), (13_000, 13_000))
    )
    depth, colour = rng.choice(((8, 2), (16, 6), (1, 0), (8, 3), (99, 99)))
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, rng.choice((0, 1)))
    chunks = [(b"IHDR", header)]
    if rng.random() < 0.5:
        text = zlib.compress(b"\x00" * 10**8, 1) if rng.random() < 0.1 else b"x"
        chunks.append((b"zTXt", b"Comment\x00\x00" + text))
    chunks += [(b"IDAT", zlib.compress(b"\x00" * 1000)), (b"IEND", b"")]
    made = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    return content[:8] + made, f"PNG of {width} x {height}, depth {depth}, colour {colour}"


def _archive(content: bytes, rng: random.Random) -> tuple[bytes, str]:
    """Change an npz: its bytes, the headers of its arrays, or the names in it."""
    how = rng.choice(("bytes", "header", "header", "names", "shapes", "directory"))
    if how == "bytes":
        return tables.flipped(content, rng, 0, len(content)), how
    if how == "directory":
        return tables.flipped(content, rng, max(0, len(content) - 120), len(content)), how
    stream = io.BytesIO()
    if how == "shapes":
        shape = rng.choice(((0, 4, 4), (6,), (6, 4), (6, 4, 4, 5), (6, 1, 1), (1, 2, 2), ()))
        kind = rng.choice(("u1", "f8", "i8", "c8", "U3", "M8[s]", "?", "f2"))
        np.savez(stream, images=np.zeros(shape, kind), labels=np.arange(6))
        return stream.getvalue(), f"{shape} of {kind}"
    names = ("../images.npy", "/images.npy", "images", "labels.npy", "a\x1b[31m.npy", "é.npy")
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as file:
        if how == "header":
            text = rng.choice(_HEADERS).encode()
            version = rng.choice((b"\x01\x00", b"\x02\x00", b"\x09\x00"))
            size = struct.pack("<H" if version == b"\x01\x00" else "<I", len(text) % 2**16)
            file.writestr("images.npy", b"\x93NUMPY" + version + size + text + b"\x00" * 64)
        else:
            file.writestr("images.npy", b"\x93NUMPY")
            for i in range(rng.choice((1, 4, 3000))):
                file.writestr(names[i] if i < len(names) else f"{i}.npy", b"x" * 1000)
    return stream.getvalue(), how


def words(kind: str, place: Path, rng: random.Random) -> list[str]:
    """Return what an input of a kind is tried by: a command line, or a call of the library."""
    if kind == "labelings":
        return ["labelings", str(next(place.glob("x.[cp]*"), place / "x.csv"))]
    if kind == "config":
        job = rng.choice(("discover", "score", "split"))
        return [job, "--config", str(place / "x.yaml"), "--print-config", "--quiet"]
    file = place if kind == "folder" else place / f"x.{kind}"
    size = [] if kind == "npz" else ["--size", "8"]
    skip = ["--skip-bad"] if rng.random() < 0.2 else []
    if rng.random() < 0.3:
        return ["load", str(file)]
    return ["info", f"{kind}:{file}", *size, *skip, "--quiet"]
