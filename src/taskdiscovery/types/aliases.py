"""Arrays by what they hold. Images are (N, H, W, channels), uint8."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]
ImageArray = NDArray[np.uint8]
IdArray = NDArray[np.str_]
Float32 = NDArray[np.float32]
