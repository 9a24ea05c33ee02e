"""Values that a stranger would write: of other types, too large, naming code, paths, escapes."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.hostile.arena import EVIL

#: texts that stand for themselves in a document, without quotes: what no library would write.
RAW = "RAWTEXT"

#: what names code, in every way that a SPEC can; `this` and `antigravity` come with Python.
CODE = (
    f"{EVIL}:load",
    f"{EVIL}:Net",
    "evil_here:load",
    "this:c",
    "antigravity:webbrowser",
    f"untrained:{EVIL}:Net",
    f"{EVIL}:Net?width=2",
    "hf:evil/evil",
    "torchvision:EvilSet",
    "timm:evil",
    f"convnet;{EVIL}:Net",
)
#: options that name data, code, files or machines, of any command; those that matter most twice.
NAMING = (
    *("data", "learner") * 4,
    *("features", "encoder", "from", "transfer", "warm_start", "encoder_weights") * 2,
    *("target", "text_model", "names", "exclude", "within", "contain", "ray_address", "executor"),
    *("command", "method", "vary"),
)
ESCAPES = ("\x1b]0;evil\x07\x1b[31m", "\x1b[2J", "a\x00b", "\u009b31m", "\u202egnp.exe", "a\rb")
NUMBERS = (0, 1, -1, 2, 3, 7, 255, 10**6, 10**9, 2**31, 2**63, 10**30, -(10**18), 0.5, -0.0, 1e308)
_LEARNERS = ("linear", "mlp", "convnet?width=1000", "resnet18?width=40", "vit", "nothing")


def paths(victim: Path) -> list[str]:
    """Return paths that lead out of a run, or into a device."""
    return [
        "../victim/file.txt",
        "../victim/document.json",
        "../victim",
        "..",
        ".",
        "/",
        str(victim / "file.txt"),
        str(victim),
        "/dev/zero",
        "/dev/stdin",
        "/etc/shadow",
        "/proc/self/environ",
        "/proc/self/fd/0",
        "checkpoints/../../victim/file.txt",
        "split",
        ".lock",
        "pipe",
        "no/such/file",
        "//victim/share",
        "C:\\victim",
    ]


def named(rng: random.Random, field: str, victim: Path) -> str:
    """Draw what an option may name that is not the run's own; mostly of the kind that it takes."""
    code = (f"{EVIL}:load", f"{EVIL}:Net")
    place = rng.choice(
        (f"{victim}/document.json", "../victim/file.txt", str(victim), "/etc/shadow")
    )
    fitting = {
        "data": (*code, "hf:evil/evil", f"csv:{victim}/table.csv", f"npz:{place}", "torchvision:X"),
        "learner": (f"{EVIL}:Net", f"{EVIL}:Net?width=2", "timm:evil"),
        "transfer": (f"{EVIL}:Net",),
        "encoder": (f"{EVIL}:Net", place),
        "from": (f"untrained:{EVIL}:Net", place, f"{place}:secret"),
        "ray_address": ("ray://203.0.113.1:10001", "auto"),
        "executor": ("ray", "processes"),
    }
    if rng.random() < 0.8:
        return rng.choice(fitting.get(field, (place,)))
    return rng.choice([*CODE, *paths(victim), *(f"npz:{path}" for path in paths(victim))])


def hostile(rng: random.Random, victim: Path) -> Any:
    """Draw a value of any type."""
    kinds = ("number", "text", "code", "path", "place", "escape", "long", "nest", "odd", "raw")
    match rng.choice(kinds):
        case "number":
            return rng.choice(NUMBERS)
        case "code":
            return rng.choice(CODE)
        case "path":
            return rng.choice(paths(victim))
        case "place":
            kind = rng.choice(("folder", "parquet", "npz", "csv", "hf"))
            return f"{kind}:{rng.choice(paths(victim))}"
        case "escape":
            return rng.choice(ESCAPES) + rng.choice(("", "x", "\nb\nc\nd\ne"))
        case "long":
            return rng.choice("xé\n<") * rng.choice((300, 10**4, 10**6))
        case "nest":
            return rng.choice(([], {}, [[]], {"a": {}}, [None] * 1000, {"": ""}, [[1, 2], [3]]))
        case "odd":
            return rng.choice((None, True, False, "", "nan", "null", "-", "\ud800", "<script>"))
        case "raw":
            return RAW
    return rng.choice((*_LEARNERS, "digits", "shapes?n=1000000000", "label", "attr:no", "done"))


def raw(rng: random.Random) -> str:
    """Draw a text that stands for a value in a document as it is."""
    deep = rng.choice((1000, 100_000))
    aliases = ", ".join(f"&{b} [{', '.join([f'*{a}'] * 9)}]" for a, b in pairwise("abcdefghi"))
    return rng.choice(
        (
            "[" * deep + "]" * deep,
            '{"a":' * deep + "1" + "}" * deep,
            "9" * rng.choice((400, 20_000)),
            "1e999",
            "-Infinity",
            "NaN",
            '{"a": 1, "a": 2}',
            "[&a [1, 1], " + aliases + "]",
            f"!!python/object/apply:{EVIL}.load []",
            f"!!python/name:{EVIL}.load",
            "!!timestamp 2001-01-01",
            "2001-01-01",
            "!!binary aGk=",
            "!!set {a, b}",
            "0o17",
            "1:30",
            "[1, 2",
            "}",
            "",
        )
    )


def nudged(rng: random.Random, value: Any) -> Any:
    """Draw something that is nearly a value."""
    if isinstance(value, bool) or value is None:
        return rng.choice((not value, 0, "true", [value]))
    if isinstance(value, int | float):
        return rng.choice((value + 1, value - 1, -value, value * 10**6, str(value), [value], 0))
    if isinstance(value, str):
        longer = value[:999] * 50
        return rng.choice((value + "x", value[1:], value.upper(), f" {value}", [value], longer))
    if isinstance(value, list):
        return rng.choice(
            (value + value, value[:-1], value[::-1], dict(enumerate(value)), value[:1])
        )
    return [value]
