"""What a committed result says of where it came from."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

from taskdiscovery.rundir import environment

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
        done = subprocess.run(
            ["git", *arguments], cwd=Path(__file__).parent, capture_output=True, text=True
        )
        return done.stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", "../src", "*.py")
    return git("rev-parse", "--short=12", "HEAD") + (" with changes" if changed else "")
