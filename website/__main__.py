"""Make the site: `python -m website` does all of it, `make docs` in an environment that has it all.

python -m website            notebooks, reports and pages; what did not change is kept
python -m website pictures   docs/figures of the concepts, which are committed
python -m website check      the built site: no page asks outside, links lead somewhere
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

from website import check, gallery, notebooks

SITE = notebooks.ROOT / "build" / "site"


def main() -> int:
    """Do what is asked; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m website", description=__doc__.split("\n")[0])
    parser.add_argument("what", nargs="?", default="all", choices=("all", "pictures", "check"))
    what = parser.parse_args().what
    if what == "pictures":
        from website import pictures

        pictures.make(notebooks.ROOT / "docs" / "figures")
        return 0
    if what == "all":
        _make()
    found = check.problems(SITE)
    for line in found:
        print(line, file=sys.stderr)
    if not found:
        print(SITE / "index.html")
    return 1 if found else 0


def _make() -> None:
    for name in notebooks.names():
        print(f"notebook {name}", file=sys.stderr, flush=True)
        notebooks.execute(name)
    print("report digits", file=sys.stderr, flush=True)
    gallery.digits()
    gallery.collect()
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet"]
    quiet = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}  # the versions are pinned
    subprocess.run(build, check=True, cwd=notebooks.ROOT, env=quiet)


if __name__ == "__main__":
    sys.exit(main())
