"""The command line: parse, call, print. Nothing here computes."""

from taskdiscovery.cli.main import main

__all__ = ["main"]
