"""`python -m taskdiscovery` is the command line."""

import os  # nothing more: it would be looked for there
import sys


def _leave_out_working_directory() -> None:
    """Take away what `-m` puts first on the path of modules: a stranger's folder may hold any."""
    try:
        here = ["", os.getcwd()]
    except OSError:  # it is gone
        here = [""]
    if not sys.flags.safe_path and sys.path and sys.path[0] in here:
        del sys.path[0]


if __name__ == "__main__":
    _leave_out_working_directory()
    from taskdiscovery.cli import main

    sys.exit(main())
