"""Make the site: `python -m website` does all of it, `make docs` in an environment that has it all.

python -m website            notebooks, reports and pages; what did not change is kept
python -m website one NAME   one notebook, or `digits`
python -m website pictures   docs/figures of the concepts, which are committed
python -m website check      the built site: no page asks outside, links lead somewhere
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

from website import check, gallery, notebooks

SITE = notebooks.ROOT / "build" / "site"
_DIGITS = "digits"
#: begins first, so that no core waits for it in the end.
_LONGEST = "split"


def main() -> int:
    """Do what is asked; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m website",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "what", nargs="?", default="all", choices=("all", "one", "pictures", "check")
    )
    parser.add_argument("name", nargs="?", choices=(*notebooks.names(), _DIGITS))
    parser.add_argument("--core", type=int, help="of `one`: work on this core alone")
    given = parser.parse_args()
    if given.what == "pictures":
        from website import pictures

        pictures.make(notebooks.ROOT / "docs" / "figures")
        return 0
    if given.what == "one":
        if given.core is not None:
            os.sched_setaffinity(0, {given.core})
        return _one(given.name)
    if given.what == "all":
        names = [*notebooks.names(), _DIGITS]
        _at_once(sorted(names, key=lambda name: name != _LONGEST))
        gallery.collect()
        _build()
    found = check.problems(SITE)
    for line in found:
        print(line, file=sys.stderr)
    if not found:
        print(SITE / "index.html")
    return 1 if found else 0


def _one(name: str) -> int:
    if name == _DIGITS:
        gallery.digits()
    else:
        notebooks.execute(name)
    return 0


def _at_once(names: Sequence[str]) -> None:
    """Make each in a process with a core of its own: such small networks gain nothing by two.

    Raises:
        subprocess.CalledProcessError: where one fails.
    """
    places: SimpleQueue[int | None] = SimpleQueue()
    cores: list[int | None] = [None] * (os.cpu_count() or 1)
    if hasattr(os, "sched_getaffinity"):
        cores = list(os.sched_getaffinity(0))
    for core in cores:
        places.put(core)

    def made(name: str) -> None:
        core = places.get()
        print(f"making {name}", file=sys.stderr, flush=True)
        try:
            command = [sys.executable, "-m", "website", "one", name]
            if core is not None:
                command += ["--core", str(core)]
            subprocess.run(command, check=True, cwd=notebooks.ROOT)
        finally:
            places.put(core)

    with ThreadPoolExecutor(len(cores)) as pool:
        list(pool.map(made, names))


def _build() -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet"]
    quiet = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}  # the versions are pinned
    subprocess.run(command, check=True, cwd=notebooks.ROOT, env=quiet)


if __name__ == "__main__":
    sys.exit(main())
