"""The command line, as its parser has it: a page in Markdown."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator

from taskdiscovery.cli.parser import COMMANDS, Parser, build


def page() -> str:
    """Describe every command with its arguments, options, defaults and example."""
    return "\n".join(line for name in COMMANDS for line in _command(name, _parsers()[name]))


def _parsers() -> dict[str, Parser]:
    [action] = [a for a in build()._actions if isinstance(a, argparse._SubParsersAction)]
    return dict(action.choices)


def _command(name: str, parser: Parser) -> Iterator[str]:
    yield f"## {name} {{ #{name} }}\n"
    yield f"{_sentence(parser.description or '')}\n"
    positional = [a for a in parser._actions if not a.option_strings]
    words = " ".join(_metavar(a) if a.nargs != "?" else f"[{_metavar(a)}]" for a in positional)
    yield f"```text\ntaskdiscovery {name} {words} [options]\n```\n".replace("  ", " ")
    if parser.epilog:
        yield f"`{parser.epilog.removeprefix('Example: ')}`\n"
    for group in parser._action_groups:
        actions = [a for a in group._group_actions if not isinstance(a, argparse._HelpAction)]
        if not actions:
            continue
        title = {"positional arguments": "Arguments", "options": "Options"}.get(
            group.title or "", (group.title or "").capitalize()
        )
        yield f"### {title} {{ #{name}-{_slug(title)} }}\n"
        if group.description:
            yield f"{_sentence(group.description)}\n"
        yield "| | |\n|---|---|"
        yield from (_row(action) for action in actions)
        yield ""


def _row(action: argparse.Action) -> str:
    if not action.option_strings:
        name = f"`{_metavar(action)}`"
    else:
        value = f" {_metavar(action)}" if action.nargs != 0 else ""
        name = ", ".join(f"`{option}{value}`" for option in action.option_strings)
    return f"| {_in_table(name)} | {_in_table(_help(action))} |"


def _metavar(action: argparse.Action) -> str:
    if action.metavar is not None:
        return action.metavar if isinstance(action.metavar, str) else " ".join(action.metavar)
    if action.choices is not None:
        return "{" + ",".join(map(str, action.choices)) + "}"
    return action.dest.upper() if action.option_strings else action.dest


def _help(action: argparse.Action) -> str:
    text = (action.help or "").replace("%%", "%")
    choices = action.choices
    if choices and action.metavar is not None and action.option_strings:
        text += " (one of " + ", ".join(f"`{choice}`" for choice in choices) + ")"
    return text


def _in_table(text: str) -> str:
    """Escape what a table or Markdown would take for its own outside of code."""
    parts = re.split(r"(`[^`]*`)", " ".join(text.split()))
    return "".join(part if part.startswith("`") else _escaped(part) for part in parts)


def _escaped(text: str) -> str:
    return re.sub(r"([|*_<>\[\]])", r"\\\1", text)


def _sentence(text: str) -> str:
    return _escaped(text[:1].upper() + text[1:].rstrip(".")) + "."


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
