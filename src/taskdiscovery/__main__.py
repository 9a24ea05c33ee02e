"""`python -m taskdiscovery` is the command line."""

import sys

from taskdiscovery.cli import main

if __name__ == "__main__":
    sys.exit(main())
