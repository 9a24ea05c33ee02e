"""What a committed result says of where it came from, and how it is written."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from taskdiscovery.store import environment

_DIRECTORIES = re.compile(r"(?<![\w.])/\S*/")


def about() -> dict[str, Any]:
    """Return commit, machine, versions and arguments; of paths, the names only."""
    known = environment()
    return {"commit": commit(), **known, "arguments": [plain(text) for text in known["arguments"]]}


def plain(text: str) -> str:
    """Return a text without the directories of absolute paths: nobody else has them."""
    return _DIRECTORIES.sub("", text)


def commit() -> str:
    """Return the commit of the code, marked where files differ from it."""

    def git(*arguments: str) -> str:
        try:
            done = subprocess.run(
                ["git", *arguments], cwd=Path(__file__).parent, capture_output=True, text=True
            )
        except FileNotFoundError:  # a machine without git
            return ""
        return done.stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", "../src", "*.py")
    return git("rev-parse", "--short=12", "HEAD") + (" with changes" if changed else "")


def told(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of a document, after printing each as soon as it is there."""
    kept = []
    for row in rows:
        print(json.dumps(row), file=sys.stderr, flush=True)
        kept.append(row)
    return kept


def add_output(parser: argparse.ArgumentParser) -> None:
    """Add the options that `deliver` reads."""
    parser.add_argument("--json", action="store_true", help="print the document")
    parser.add_argument("--out", type=Path, default=None, help="a JSON file for the document")


def save(document: dict[str, Any], place: Path | None) -> None:
    """Write a document, if there is a place for it."""
    if place is not None:
        place.write_text(json.dumps(document, indent=1) + "\n", "utf-8")


def deliver(document: dict[str, Any], options: argparse.Namespace) -> None:
    """Write a document and print it, as the options ask."""
    save(document, options.out)
    if options.json:
        print(json.dumps(document, indent=1))
