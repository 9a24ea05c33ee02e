"""Compiling that may fail without harm."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import torch

_LOG = logging.getLogger("taskdiscovery")


class Compiled:
    """A compiled function, or the function itself where the compiler fails on it.

    The compiler has faults of its own (torch 2.13 writes C++ that declares a name twice for some
    bf16 networks); a search must not end by them.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.plain = function
        self.chosen: Callable[..., Any] = torch.compile(function, dynamic=False)

    def __call__(self, *arguments: Any) -> Any:
        """Call the compiled function, or the function itself from the first failure on."""
        try:
            return self.chosen(*arguments)
        except Exception as error:  # compilers fail in many ways
            if self.chosen is self.plain:
                raise
            result = self.plain(*arguments)  # where the mistake is not the compiler's
            _LOG.warning("the inner steps cannot be compiled here (%s)", type(error).__name__)
            self.chosen = self.plain
            return result
