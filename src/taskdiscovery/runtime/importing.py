"""The one place that imports what a text names: the caller's own modules.

They may lie in the working directory, which is no place to look for anything else: a stranger's
folder may hold a `yaml.py`. So it stands last on the path, behind all that is installed, and only
while a module is imported that the caller has named, or what that has made is called. What the
*files of a run* name never comes here (see `jobs.trust`).
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

#: where the caller's modules may lie, in place of the working directory: that of the driver, in
#: workers that were started elsewhere.
_instead: str | None = None


def look_in(folder: str) -> None:
    """Look for the caller's modules there, for the rest of this process."""
    global _instead
    _instead = folder


def working_directory() -> str | None:
    """Return where the caller's modules may lie; None where the directory is gone."""
    with contextlib.suppress(OSError):
        return _instead or os.getcwd()
    return None


@contextlib.contextmanager
def within_reach() -> Iterator[None]:
    """Have the working directory last on the path of modules, while the block runs."""
    folder = working_directory()
    if folder is None or folder in sys.path or "" in sys.path:
        yield
        return
    sys.path.append(folder)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # what was imported may have changed the path
            sys.path.remove(folder)


def named_object(name: str) -> Any:
    """Import what the caller has named as `package.module:name`.

    Raises:
        ImportError, AttributeError, ValueError: where there is none.
        Exception: whatever the module raises.
    """
    module, _, own = name.partition(":")
    with within_reach():
        return getattr(importlib.import_module(module), own)


def is_module(name: str) -> bool:
    """Say whether the caller's text names a module; packages that it lies in are imported."""
    if not all(part.isidentifier() for part in name.split(".")):
        return False
    try:
        with within_reach():
            return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def installed(package: str) -> ModuleType:
    """Import a package of ours that is optional, by a name that stands in the code.

    Raises:
        ImportError: where it is missing; or whatever a broken one raises.
    """
    return importlib.import_module(package)
