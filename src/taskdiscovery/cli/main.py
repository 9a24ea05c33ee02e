"""Run a subcommand, and turn how it ends into an exit code and at most three lines."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from taskdiscovery import __version__
from taskdiscovery.cli import parser, streams
from taskdiscovery.errors import ResourceError, TaskDiscoveryError, first_line, printable
from taskdiscovery.runtime import hardware, interrupts, ranks
from taskdiscovery.runtime.callbacks import Callbacks
from taskdiscovery.runtime.progress_bar import callbacks_of_command

BUG = 1
#: what does a command whose own name means something else there.
FUNCTIONS = {"show": "show_run"}
#: commands that all ranks do together; of the others the first rank does all.
SHARED = ("discover", "score", "split", "audit", "estimate", "resume")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    # Processes that are started from here do not look for modules in the working directory either.
    os.environ["PYTHONSAFEPATH"] = "1"
    with streams.usable() as output:
        return _told(arguments, output, "--debug" in arguments)


def _told(arguments: list[str], output: streams.Stream, debug: bool) -> int:
    """Run a subcommand; say what went wrong, and return the exit code."""
    try:
        with interrupts.handled(passed_on=ranks.size() > 1):
            try:
                _run(arguments)
            except SystemExit:  # after --help
                output.check()
                raise
            output.check()
            return 0
    except TaskDiscoveryError as error:
        _complain(f"error: {error}".split("\n"), debug)
        return error.exit_code
    except KeyboardInterrupt as error:
        _complain([interrupts.reason(error), *(f"  {line}" for line in error.args)], debug)
        return interrupts.exit_code(error)
    except MemoryError:
        hint = "  hint: --train-images, --batch or a narrower learner"
        _complain(["error: out of memory", hint], debug)
        return ResourceError.exit_code
    except OSError as error:
        where = [f"  where: {error.filename}"] if error.filename else []
        _complain([f"error: {error.strerror or error}", *where], debug)
        return ResourceError.exit_code
    except Exception as error:
        if "out of memory" in str(error).lower():
            hint = "  hint: try half the --batch"
            _complain(["error: the device is out of memory", hint], debug)
            return ResourceError.exit_code
        hint = "  hint: please report it, with the output of --debug"
        _complain([f"bug: {type(error).__name__}: {first_line(error)}", hint], debug)
        return BUG


def _run(arguments: list[str]) -> None:
    gone = _leave_what_is_gone()
    given = vars(parser.build().parse_args(arguments))
    if given.pop("version"):
        print(__version__)  # noqa: T201
        return
    command = given.pop("command")
    if command is None:
        parser.build().print_help()
        return
    if gone:
        _require_absolute(command, given)
    quiet, debug = given.pop("quiet"), given.pop("debug")
    _log(quiet or not ranks.first(), debug)
    callbacks = Callbacks() if quiet or not ranks.first() else callbacks_of_command()
    kept = given.pop("log", [])
    if kept and ranks.first():
        from taskdiscovery.loggers import logger

        callbacks = Callbacks([*callbacks.callbacks, *map(logger, kept)])
    hardware.keep_freed_memory()
    from taskdiscovery.cli import commands

    if ranks.first():
        getattr(commands, FUNCTIONS.get(command, command))(**given, callbacks=callbacks)
    elif command in SHARED:  # a rank that helps; the first one prints
        with (
            open(os.devnull, "w", encoding="utf-8") as nowhere,
            contextlib.redirect_stdout(nowhere),
        ):
            getattr(commands, command)(**given, callbacks=callbacks)


def _leave_what_is_gone() -> bool:
    """Stand in an empty directory where the working directory was removed, and say whether it was.

    Relative paths lead nowhere from there, too; but MKL ends a process that has no directory.
    """
    try:
        os.getcwd()
        return False
    except OSError:
        import tempfile

        place = tempfile.mkdtemp(prefix="taskdiscovery-")
        os.chdir(place)
        atexit.register(_remove, place)
        return True


def _remove(folder: str) -> None:
    with contextlib.suppress(OSError):
        os.rmdir(folder)


def _require_absolute(command: str, given: dict[str, Any]) -> None:
    """Refuse to read or write by paths that begin at a working directory that is gone.

    Raises:
        ResourceError: naming the path.
    """
    relative = [str(v) for v in given.values() if isinstance(v, Path) and not v.is_absolute()]
    into = given.get("out") or (command != "audit" and given.get("from"))
    if command in ("demo", "discover", "split", "audit") and not into:
        relative.append("runs/, where --out is not given")
    if relative:
        raise ResourceError(
            "the working directory is gone",
            where=relative[0],
            hint="change to one that exists, or give absolute paths",
        )


class _Lines(logging.Formatter):
    """One printable line a message."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return printable(super().format(record))


def _log(quiet: bool, debug: bool) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines("%(levelname)s: %(message)s"))
    logging.addLevelName(logging.WARNING, "warning")
    logger = logging.getLogger("taskdiscovery")
    logger.handlers = [handler]
    logger.propagate = False
    logger.setLevel(logging.DEBUG if debug else logging.ERROR if quiet else logging.WARNING)


def _complain(lines: Sequence[str], debug: bool) -> None:
    """Write lines to stderr, and with `--debug` where the error came from before them."""
    if debug:
        import traceback

        lines = [*traceback.format_exc().splitlines(), *lines]
    for line in lines:
        print(printable(line), file=sys.stderr)  # noqa: T201
