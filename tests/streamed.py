"""Commands whose standard streams are in any state, forked from a process that has imported all.

A locale decides at Python's start how names of files are read, so there is one such process for
each; what else a stream may be, each forked process finds as Python would leave it at its start.
"""

import contextlib
import gc
import importlib
import io
import json
import os
import pkgutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

#: seconds that a command may take.
PATIENCE = 300


@dataclass(frozen=True)
class State:
    """How the standard streams of a command are.

    Attributes:
        closed: descriptors that are closed at its start.
        out, err: where stdout and stderr lead: `file`, `full` (a disk), `left` (a pipe that nobody
            reads), `slow` (a pipe that is read late), `hasty` (the same, not to be waited for),
            `terminal`. Of the last four both may lead to the same one.
        encoding: of all of them; empty for what the locale says.
        gone: whether the working directory is removed at its start, too.
    """

    closed: tuple[int, ...] = ()
    out: str = "file"
    err: str = "file"
    encoding: str = "utf-8"
    gone: bool = False


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, and what it had written."""

    code: int
    out: bytes
    err: bytes


class Server:
    """Runs commands one by one.

    Args:
        env: of its process, beside what is there; `PASSES` are those of `demo`.
    """

    def __init__(self, **env):
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "OMP_NUM_THREADS": "1", **env},
        )

    def run(self, *arguments, cwd="/", **state):
        """Run a command with its streams in a state; return how it ended."""
        with tempfile.TemporaryDirectory(prefix="streamed-") as folder:
            task = [list(map(str, arguments)), str(cwd), folder, vars(State(**state))]
            self._process.stdin.write(json.dumps(task).encode() + b"\n")
            self._process.stdin.flush()
            code = int(self._process.stdout.readline())
            read = [Path(folder, name) for name in ("out", "err")]
            return Ended(code, *(p.read_bytes() if p.exists() else b"" for p in read))

    def end(self):
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()


def serve():
    """Fork a process for each line, and answer with its exit code."""
    import taskdiscovery
    from taskdiscovery.cli import demonstration, main

    for module in pkgutil.walk_packages(taskdiscovery.__path__, "taskdiscovery."):
        kernels = module.name.endswith((".kernels", ".fused_norm"))
        if not module.name.endswith("__main__") and (find_spec("triton") or not kernels):
            importlib.import_module(module.name)
    demonstration.PASSES = int(os.environ.get("PASSES", demonstration.PASSES))
    gc.freeze()  # so that collecting garbage touches none of the pages that processes share
    for line in sys.stdin.buffer:
        arguments, cwd, folder, state = json.loads(line)
        state = State(**{**state, "closed": tuple(state["closed"])})
        pipe = _pipe({state.out, state.err})
        if child := os.fork():
            print(_look_after(child, pipe, state, folder), flush=True)
            continue
        os.chdir(os.fsencode(cwd) if cwd.isascii() else cwd.encode())
        if state.gone:
            os.rmdir(os.getcwd())
        become(state, pipe, folder)
        os._exit(_ended(main, [os.fsdecode(word.encode()) for word in arguments]))


def _pipe(ends):
    """Return what to read from and what to write to; None for a state that needs neither."""
    if "terminal" in ends:
        return os.openpty()
    return os.pipe() if ends & {"left", "slow", "hasty"} else None


def _ended(main, arguments):
    """Return the exit code that Python would end with, without taking a second to tidy up."""
    try:
        code = main(arguments)
    except SystemExit as error:
        code = error.code or 0
    except BaseException:
        traceback.print_exc()
        code = 1
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except Exception:
        return 120
    return code


def become(state, pipe, folder):
    """Take on the streams of a state."""
    for number, end in ((1, state.out), (2, state.err)):
        if end == "file":
            opened = os.open(
                Path(folder, "out" if number == 1 else "err"), os.O_WRONLY | os.O_CREAT
            )
        elif end == "full":
            opened = os.open("/dev/full", os.O_WRONLY)
        else:
            opened = os.dup(pipe[1])
            os.set_blocking(opened, end != "hasty")
        os.dup2(opened, number)
        os.close(opened)
    for end in pipe or ():
        os.close(end)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    encoding = state.encoding or sys.getfilesystemencoding()
    strict = "strict" if state.encoding else "surrogateescape"
    for number in state.closed:
        os.close(number)
    sys.stdin, sys.stdout, sys.stderr = (
        None if number in state.closed else _opened(number, encoding, strict) for number in range(3)
    )


def _opened(number, encoding, strict):
    """Open a descriptor as Python does."""
    return io.TextIOWrapper(
        open(number, "rb" if number == 0 else "wb", closefd=False),
        encoding=encoding,
        errors="backslashreplace" if number == 2 else strict,
        line_buffering=number == 2,
    )


def _look_after(child, pipe, state, folder):
    """Read the pipe, or not, until the child has ended; return its exit code."""
    if pipe is not None:
        os.close(pipe[1])
        if "left" not in (state.out, state.err):
            time.sleep(0.3 if "terminal" not in (state.out, state.err) else 0)
            _read_all(pipe[0], Path(folder, "out"))
        os.close(pipe[0])
    began = time.monotonic()
    while (found := os.waitpid(child, os.WNOHANG))[0] == 0:
        if time.monotonic() - began > PATIENCE:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.002)
    return os.waitstatus_to_exitcode(found[1])


def _read_all(descriptor, into):
    """Read until nobody writes any more; a terminal says so by an error."""
    with into.open("wb") as stream, contextlib.suppress(OSError):
        while block := os.read(descriptor, 2**16):
            stream.write(block)


if __name__ == "__main__":
    serve()
