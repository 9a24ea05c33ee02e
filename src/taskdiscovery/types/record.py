"""What a piece of work leaves behind: values and arrays, as a checkpoint keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True, eq=False, kw_only=True)
class Record:
    """The result of a finished piece of work, or the state of one under way.

    Attributes:
        values: what JSON can hold; floats come back bit for bit.
        arrays: NumPy arrays by name.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
