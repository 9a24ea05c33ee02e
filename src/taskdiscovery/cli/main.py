"""Run a subcommand, and turn how it ends into an exit code and at most three lines."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Sequence

from taskdiscovery import __version__
from taskdiscovery.cli import parser
from taskdiscovery.errors import ResourceError, TaskDiscoveryError
from taskdiscovery.runtime import hardware, interrupts, ranks
from taskdiscovery.runtime.progress_bar import callbacks_of

TERMINATED, INTERRUPTED, BUG = 143, 130, 1
#: commands that all ranks do together; of the others the first rank does all.
SHARED = ("discover", "score", "split", "resume")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in arguments
    # Processes that are started from here do not look for modules in the working directory either.
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        with interrupts.handled():
            return _run(arguments)
    except TaskDiscoveryError as error:
        _complain(f"error: {error}", debug)
        return error.exit_code
    except KeyboardInterrupt as error:
        how = "terminated" if isinstance(error, interrupts.Terminated) else "interrupted"
        _complain(f"stopped: {how}\n  {error}" if str(error) else f"stopped: {how}", debug)
        return TERMINATED if how == "terminated" else INTERRUPTED
    except BrokenPipeError:
        # The reader left (`| head`): not an error of ours. Python would complain at exit.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except MemoryError:
        _complain(
            "error: out of memory\n  hint: --train-images, --batch or a narrower learner", debug
        )
        return ResourceError.exit_code
    except OSError as error:
        _complain(f"error: {error.strerror or error}\n  where: {error.filename or 'output'}", debug)
        return ResourceError.exit_code
    except Exception as error:
        if "out of memory" in str(error).lower():
            _complain("error: the device is out of memory\n  hint: try half the --batch", debug)
            return ResourceError.exit_code
        _complain(
            f"bug: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}\n"
            "  hint: please report it, with the output of --debug",
            debug,
        )
        return BUG


def _run(arguments: list[str]) -> int:
    options = parser.build().parse_args(arguments)
    given = vars(options)
    if given.pop("version"):
        print(__version__)  # noqa: T201
        return 0
    command = given.pop("command")
    if command is None:
        parser.build().print_help()
        return 0
    quiet, debug = given.pop("quiet"), given.pop("debug")
    _log(quiet or not ranks.first(), debug)
    callbacks = callbacks_of(() if quiet or not ranks.first() else None)
    hardware.keep_freed_memory()
    from taskdiscovery.cli import commands

    if ranks.first():
        getattr(commands, command)(**given, callbacks=callbacks)
    elif command in SHARED:  # a rank that helps; the first one prints
        with (
            open(os.devnull, "w", encoding="utf-8") as nowhere,
            contextlib.redirect_stdout(nowhere),
        ):
            getattr(commands, command)(**given, callbacks=callbacks)
    sys.stdout.flush()
    return 0


def _log(quiet: bool, debug: bool) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    logging.addLevelName(logging.WARNING, "warning")
    logger = logging.getLogger("taskdiscovery")
    logger.handlers = [handler]
    logger.propagate = False
    logger.setLevel(logging.DEBUG if debug else logging.ERROR if quiet else logging.WARNING)


def _complain(text: str, debug: bool) -> None:
    if debug:
        import traceback

        traceback.print_exc()
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr)  # noqa: T201
