"""Trying something in a forked child of a process that has imported the package, with limits.

An audit hook tells what the child imports, opens, connects to and starts. It cannot be taken off
again, which is one more reason for a child.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.hostile.arena import EVIL, SHADOWED, Arena

SECONDS, MEMORY, FILE, PROCESSES = 10.0, 2**30, 2**29, 8
#: what no file of a run can have a reason to have opened.
BAIT = ("/etc/shadow", "/etc/passwd", "/dev/zero", "/proc/self/environ", "/proc/self/mem")
#: standard modules that only a file of a run could ask for.
BAIT_MODULES = ("this", "antigravity", EVIL)
_NETWORK = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto")
_OPENING = ("open", "os.listdir", "os.scandir")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a try ended.

    Attributes:
        code: exit code; negative for a signal.
        seconds: of wall time, and `cpu` of processor time.
        memory: resident bytes at most, beyond what the process was born with.
        out, err: what was written.
        events: what the audit hook has seen, as `kind: what`.
        ended: by the parent: `hang` or `memory`; else empty.
    """

    code: int
    seconds: float
    cpu: float
    memory: int
    out: str
    err: str
    events: list[str] = field(default_factory=list)
    ended: str = ""


def attempt(action: Callable[[], int], arena: Arena) -> Outcome:
    """Do something in a child process, in the working directory of an arena.

    Args:
        action: returns an exit code.
        arena: cleared, with its run in place.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    said = {number: arena.path / "scratch" / name for number, name in ((1, "out"), (2, "err"))}
    told = arena.path / "scratch" / "told"
    began, born = time.monotonic(), resident(os.getpid())
    pid = os.fork()
    if pid == 0:
        _live(action, arena, said, told)
    ended = _watch(pid, began, born)
    with contextlib.suppress(ProcessLookupError):  # what it has started goes with it
        os.killpg(pid, signal.SIGKILL)
    _, status, usage = os.wait4(pid, 0)
    document: dict[str, Any] = {"memory": 0, "events": []}
    with contextlib.suppress(OSError, ValueError):
        document = json.loads(told.read_text("utf-8"))
    return Outcome(
        code=os.waitstatus_to_exitcode(status),
        seconds=round(time.monotonic() - began, 3),
        cpu=round(usage.ru_utime + usage.ru_stime, 3),
        memory=MEMORY if ended == "memory" else document["memory"],
        out=_text(said[1]),
        err=_text(said[2]),
        events=document["events"],
        ended=ended,
    )


def _watch(pid: int, began: float, born: int) -> str:
    """Wait for the end of a child, or for a limit that it reaches, which is then said."""
    with contextlib.closing(_Descriptor(os.pidfd_open(pid))) as handle:
        while True:
            ready, _, _ = select.select([handle.number], [], [], 0.02)
            if ready:
                return ""
            if time.monotonic() - began - queued(pid) > SECONDS:
                return "hang"
            if resident(pid) - born > MEMORY:
                return "memory"


class _Descriptor:
    def __init__(self, number: int) -> None:
        self.number = number

    def close(self) -> None:
        os.close(self.number)


def queued(pid: int) -> float:
    """Return the seconds that a process has waited for a processor: others' work is no hang."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0


def resident(pid: int) -> int:
    """Return the resident bytes of a process; 0 where it has ended."""
    try:
        text = Path(f"/proc/{pid}/statm").read_text()
    except OSError:
        return 0
    return int(text.split()[1]) * resource.getpagesize() if text else 0


def _live(action: Callable[[], int], arena: Arena, said: dict[int, Path], told: Path) -> None:
    """Be the child: never returns."""
    code, events = 70, _Events(arena)
    try:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _limit()
        _redirect(said)
        before = _status("VmRSS")
        events.install()
        try:
            code = action()
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 1
        except BaseException:  # the judge looks for it
            import traceback

            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        memory = max(0, _status("VmHWM") - before)
        told.write_text(json.dumps({"memory": memory, "events": events.seen}), "utf-8")
    finally:
        os._exit(code & 0xFF)


def _limit() -> None:
    """Limit what a bug could do to this machine; the parent watches the rest."""
    space = _status("VmSize") + 8 * MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (space, space))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE, FILE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # resets the high-water mark


def _redirect(said: dict[int, Path]) -> None:
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, place in said.items():
        os.dup2(os.open(place, os.O_WRONLY | os.O_CREAT, 0o600), number)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", errors="surrogateescape", closefd=False)
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"no {name} in /proc/self/status")


def _text(place: Path) -> str:
    try:
        return place.read_bytes()[:200_000].decode("utf-8", "backslashreplace")
    except OSError:
        return ""


class _Events:
    """What the child does that Python knows of.

    Args:
        arena: whose victim is looked after.
    """

    def __init__(self, arena: Arena) -> None:
        self.seen: list[str] = []
        self._victim = str(arena.victim.resolve())
        self._started = 0

    def install(self) -> None:
        """See everything from here on; refuse to start more than a few processes."""
        import _posixsubprocess
        import subprocess

        start = _posixsubprocess.fork_exec

        def counted(*arguments: Any) -> int:
            self._started += 1
            if self._started > PROCESSES:
                self._tell("processes", f"more than {PROCESSES}")
                raise OSError(11, "too many processes")
            return start(*arguments)

        for module, name in ((_posixsubprocess, "fork_exec"), (subprocess, "_fork_exec")):
            setattr(module, name, counted)
        os.environ["HOSTILE_TRAP"] = str(Path(self._victim).parent / "scratch" / "trapped")
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "import" and arguments[0] in BAIT_MODULES + SHADOWED[-1:]:
            self._tell("imported", arguments[0])
        elif event in _NETWORK:
            # Sockets of this machine are how worker processes talk.
            if "AF_UNIX" not in repr(arguments[0]):
                self._tell("network", f"{event} {arguments[1:]}")
        elif event in ("os.system", "os.exec"):
            self._tell("started", str(arguments[0]))
        elif event in _OPENING and isinstance(arguments[0], str | bytes):
            path = os.path.realpath(os.fsdecode(arguments[0]))
            if path in BAIT or path.startswith(self._victim):
                self._tell("opened", path.replace(self._victim, "victim"))

    def _tell(self, kind: str, what: str) -> None:
        if len(self.seen) < 20:
            self.seen.append(f"{kind}: {what}"[:200])
