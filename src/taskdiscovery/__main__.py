"""`python -m taskdiscovery` is the command line."""

import sys

from taskdiscovery.cli import main

sys.exit(main())
