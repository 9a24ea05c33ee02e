"""What a shell offers next: commands, options, values, read off the parser.

Scripts are made once (`taskdiscovery completion bash`) and hold everything: pressing Tab starts no
Python.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from taskdiscovery.config.learners import NETWORK_OPTIONS
from taskdiscovery.data.loading import KINDS

#: what is completed by the names of files, and of folders alone.
FILES, FOLDERS = "files", "folders"
#: kinds of DATA that stand alone; others want a path or a name behind a colon.
_ALONE = ("digits", "shapes")
_DATA = tuple(kind if kind in _ALONE else f"{kind}:" for kind in KINDS)
#: values that neither choices nor metavars tell.
_KNOWN = {
    "learner": (*NETWORK_OPTIONS, "ridge", "logistic"),
    "target": ("label", "label:", "attr:"),
    "within": ("label", "attr:"),
    "exclude": ("label", "attr:", "brightness", "colour"),
    "backbone": ("lite0", "onnx:", "timm:", "torchvision:", "hf:"),
}


@dataclass(frozen=True, kw_only=True)
class Value:
    """What may stand in a place.

    Attributes:
        name: of the place, in a word.
        words: to choose from; those that end with a colon are gone on with.
        paths: `FILES`, `FOLDERS`, or "" for neither.
        many: whether several may stand there.
    """

    name: str
    words: tuple[str, ...] = ()
    paths: str = ""
    many: bool = False


@dataclass(frozen=True, kw_only=True)
class Option:
    """An option: its flags, a line of help, its value (None for a switch), whether it may recur."""

    flags: tuple[str, ...]
    help: str
    value: Value | None
    again: bool = False


@dataclass(frozen=True, kw_only=True)
class Command:
    """A subcommand: its name, a line of help, the values that it takes in order, its options."""

    name: str
    help: str
    places: tuple[Value, ...]
    options: tuple[Option, ...]


def commands(parser: argparse.ArgumentParser) -> Iterator[Command]:
    """Yield what may follow the program's name.

    Args:
        parser: of the whole command line; what it says is all that is known.
    """
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            about = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for name, own in action.choices.items():
                places = tuple(_value(a) for a in own._actions if not a.option_strings)
                found = Command(name=name, help=about[name], places=places, options=options(own))
                yield found


def options(parser: argparse.ArgumentParser) -> tuple[Option, ...]:
    """Return the options of a parser, but for those of its subcommands."""
    return tuple(
        Option(
            flags=tuple(action.option_strings),
            help=" ".join((action.help or "").replace("%%", "%").split()),
            value=None if action.nargs == 0 else _value(action),
            again=isinstance(action, argparse._AppendAction),
        )
        for action in parser._actions
        if action.option_strings
    )


def _value(action: argparse.Action) -> Value:
    metavar = str(action.metavar or action.dest)
    words: tuple[str, ...] = tuple(map(str, action.choices or ()))
    if not words:  # a|b|C: small letters are values, capitals stand for some
        words = tuple(w for w in metavar.split("|") if "|" in metavar and w == w.lower())
    words = words or _KNOWN.get(action.dest, ())
    paths = FILES if any(w in metavar for w in ("FILE", "RUN", "PATH", "DATA")) else ""
    if metavar in ("DIR", "RUN") or action.dest == "run" or (action.type is Path and not paths):
        paths = FOLDERS
    if metavar.startswith("DATA") or action.dest == "data":
        words, paths = _DATA, FILES
    if "BACKBONE" in metavar:
        words = _KNOWN["backbone"]
    many = action.nargs in ("*", "+")
    return Value(name=metavar.replace(":", ""), words=words, paths=paths, many=many)
