"""`python -m taskdiscovery` is the command line."""

import contextlib
import os
import sys


def _leave_out_working_directory() -> None:
    """Take away what `-m` puts first on the path of modules: a stranger's folder may hold any."""
    here = [""]
    with contextlib.suppress(OSError):  # where it is gone
        here.append(os.getcwd())
    if not sys.flags.safe_path and sys.path and sys.path[0] in here:
        del sys.path[0]


if __name__ == "__main__":
    _leave_out_working_directory()
    from taskdiscovery.cli import main

    sys.exit(main())
