"""Python programs in processes of their own, forked from one that has imported torch before.

Tests of kills and signals start a hundred of them, and importing torch takes each some seconds. The
package itself is not imported before: what a process does with it, it does from the beginning.
"""

import contextlib
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(
    ["torch", "torch._dynamo", "loky", "pandas", "pyarrow.parquet", "safetensors.torch", "scipy"]
)
_ALIVE = []


class Started:
    """A program in a process of its own; what of `subprocess.Popen` the tests use.

    Args:
        command: what follows `python`: `-m`, a module and its arguments, or a file and its own.
        env: of the process; PYTHONPATH comes before what is there.
        cwd: where it runs.
    """

    def __init__(self, *command, env=None, cwd=None):
        self._place = tempfile.TemporaryDirectory(prefix="started-")
        self._output = {n: Path(self._place.name) / name for n, name in ((1, "out"), (2, "err"))}
        env = {**os.environ, "OMP_NUM_THREADS": "1", **(env or {})}
        self._process = _SERVER.Process(
            target=_become, args=([str(word) for word in command], env, cwd, self._output)
        )
        self._process.start()
        self.pid = self._process.pid
        _ALIVE.append(self)

    def poll(self):
        return self._process.exitcode

    returncode = property(poll)

    def send_signal(self, number):
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self):
        self._process.kill()

    def communicate(self, timeout=None):
        """Wait; return what it has written to the standard output and error, as bytes."""
        self._process.join(timeout)
        if self.poll() is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout)
        return tuple(path.read_bytes() if path.exists() else b"" for path in self._output.values())


def end_all():
    """Leave nothing behind of a test that failed."""
    while _ALIVE:
        process = _ALIVE.pop()
        process.kill()
        process._process.join()
        process._place.cleanup()


def _become(command, env, cwd, output):
    for name in ("SIGHUP", "SIGUSR1", "SIGUSR2"):  # the tests may run under nohup
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    for number, path in output.items():
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
    os.environ.clear()
    os.environ.update(env)
    if cwd is not None:
        os.chdir(cwd)
    sys.path[:0] = filter(None, env.get("PYTHONPATH", "").split(os.pathsep))
    if command[0] == "-m":
        sys.argv = command[1:]
        runpy.run_module(command[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = command
        runpy.run_path(command[0], run_name="__main__")
