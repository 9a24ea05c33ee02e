"""The folder in which one case is tried, with what must stay as it is beside what may change.

run/        the mutated run or input                  may change
scratch/    temporary files and decoded images        may change
work/       the working directory, full of traps      must not change
site/       on the path of imports, with traps        must not change
victim/     files of somebody else                    must neither change nor be read
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

#: stands in every file of the victim; nothing that a command says or writes may hold it.
SECRET = "a-secret-of-the-victim"
#: the size of one of its files, which nothing may tell either.
ODD_SIZE = 7919
#: modules that only a file of a run could ask for.
EVIL = "evil"
#: optional modules of the package, which a working directory must not stand in for.
SHADOWED = ("transformers", "datasets", "timm", "torchvision", "ray", "evil_here")
_TRAP = """\
import os
open(os.environ["HOSTILE_TRAP"], "a").write(__name__ + "\\n")
def load(*args, **kwargs): raise RuntimeError("the trap was called")
Net = make = load
"""

_FILES = {
    "file.txt": SECRET.ljust(ODD_SIZE),
    "linked.txt": "linked",
    "document.json": f'{{"format": 3, "state": "done", "secret": "{SECRET}"}}',
    "table.csv": f"file,label\nx.png,{SECRET}\n",
    "checkpoints/000001/state.json": f'{{"secret": "{SECRET}"}}',
    "checkpoints/.building-000007/state.json": SECRET,
    "checkpoints/segments/000001.json": SECRET,
    "splits/label/roles.parquet": SECRET,
    ".lock": SECRET,
    ".leftover.0000.tmp": SECRET,
}
_FOLDERS = sorted({str(place) for name in _FILES for place in Path(name).parents})
#: all that the victim has; its folders are listed beforehand, since listing one is reading it.
VICTIM = (*_FOLDERS, *_FILES)
#: a hard link is the file itself, so reading it cannot be told from reading the run.
LINKED = "linked.txt"

#: of an entry: kind and mode, time of change, content.
Trace = tuple[int, int, str]


@dataclass(frozen=True)
class Arena:
    """The folder of one case.

    Attributes:
        path: of it.
    """

    path: Path

    @property
    def run(self) -> Path:
        """The mutated run or input."""
        return self.path / "run"

    @property
    def victim(self) -> Path:
        """What belongs to somebody else."""
        return self.path / "victim"

    @property
    def trap(self) -> Path:
        """Where a trap writes that was imported."""
        return self.path / "scratch" / "trapped"

    def build(self) -> None:
        """Make everything but the run."""
        shutil.rmtree(self.path, ignore_errors=True)
        for name in ("work", "site", "scratch", "home"):
            (self.path / name).mkdir(parents=True)
        (self.path / "site" / f"{EVIL}.py").write_text(_TRAP)
        for name in (EVIL, *SHADOWED):
            (self.path / "work" / f"{name}.py").write_text(_TRAP)
        self._build_victim()

    def _build_victim(self) -> None:
        for name, content in _FILES.items():
            place = self.victim / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(content)

    def clear(self) -> None:
        """Remove what the case before has left."""
        for name in ("run", "scratch"):
            remove(self.path / name)
        (self.path / "scratch").mkdir()

    def watch(self) -> None:
        """Forget who has read the victim until now."""
        for name in VICTIM:
            # A read moves the time of access only where it lies before that of the last change.
            place = self.victim / name
            os.utime(place, ns=(0, os.lstat(place).st_mtime_ns), follow_symlinks=False)

    def _others(self) -> list[Path]:
        roots = [self.path / name for name in ("work", "site", "home", "victim")]
        return sorted([*roots, *(place for root in roots for place in root.rglob("*"))])

    def traces(self) -> dict[str, Trace]:
        """Describe everything that must not change; `read` is to be asked before, as this reads."""
        found = {}
        for place in self._others():
            seen = os.lstat(place)
            content = "" if place.is_dir() else hashlib.sha256(_untouched(place)).hexdigest()
            name = str(place.relative_to(self.path))
            found[name] = (seen.st_mode, seen.st_mtime_ns, content)
        beside = set(os.listdir(self.path)) - {"run", "scratch"}
        return {**found, "": (0, 0, " ".join(sorted(beside)))}

    def read(self) -> list[str]:
        """Return what of the victim has been read since `watch`."""
        found = []
        for name in VICTIM:
            with contextlib.suppress(OSError):  # removed: `traces` tells
                if name != LINKED and os.lstat(self.victim / name).st_atime_ns:
                    found.append(name)
        return found

    def can_tell_reads(self) -> bool:
        """Say whether this file system keeps times of access."""
        self.watch()
        (self.victim / "file.txt").read_text()
        return bool(self.read())


def remove(place: Path) -> None:
    """Remove a file, a folder, or a link, whatever it is."""
    if place.is_symlink() or (os.path.lexists(place) and not place.is_dir()):
        place.unlink()
    else:
        shutil.rmtree(place, ignore_errors=True)


def _untouched(place: Path) -> bytes:
    """Read a file without moving its time of access."""
    descriptor = os.open(place, os.O_RDONLY | getattr(os, "O_NOATIME", 0))
    try:
        return os.read(descriptor, 2**20)
    finally:
        os.close(descriptor)
