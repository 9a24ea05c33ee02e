"""Arrays by what they hold, and JSON documents. Images are (N, H, W, channels), uint8."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]
ImageArray = NDArray[np.uint8]
IdArray = NDArray[np.str_]
Float32 = NDArray[np.float32]
#: (N, ·) of any floating type.
Matrix = NDArray[np.floating[Any]]

#: what a JSON or YAML file holds, or a row of a table; its keys are those of docs/run-directory.md.
Document: TypeAlias = dict[str, Any]
