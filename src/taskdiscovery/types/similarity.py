"""How alike labelings of the same images are.

Axes: N images, C classes, D tasks.

Source: Atanov et al., "Task Discovery", NeurIPS 2022 (arXiv 2212.00261), section 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from taskdiscovery.types import display
from taskdiscovery.types.aliases import FloatArray, IntArray

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Similarity:
    """The share of images that each pair of tasks labels alike, under the best renaming of classes.

    Attributes:
        matrix_DD: (D, D), each in [1/classes, 1].
        names: D task names.
        classes: of the task with most.
    """

    matrix_DD: FloatArray
    names: tuple[str, ...]
    classes: int

    @property
    def pairs(self) -> FloatArray:
        """(D (D - 1) / 2,) the similarity of each pair of tasks."""
        return self.matrix_DD[np.triu_indices(len(self.names), 1)]

    @property
    def mean(self) -> float | None:
        """Mean over pairs; None for a single task."""
        return float(self.pairs.mean()) if len(self.pairs) else None

    @property
    def max(self) -> float | None:
        """Greatest of the pairs; None for a single task."""
        return float(self.pairs.max()) if len(self.pairs) else None

    def to_frame(self) -> pd.DataFrame:
        """Return the matrix with the names of the tasks."""
        import pandas as pd

        return pd.DataFrame(self.matrix_DD, index=list(self.names), columns=list(self.names))

    def plot(self, ax: Any = None) -> Any:
        """Draw the matrix as shaded squares, from unrelated (1/classes) to the same (1).

        Args:
            ax: axes of matplotlib to draw on; by default those of a new figure.

        Returns:
            The axes.

        Raises:
            ConfigError: where matplotlib is not installed.
        """
        from taskdiscovery.plots import draw_matrix

        limits = (1 / self.classes, 1.0)
        label = "similarity of tasks"
        return draw_matrix(
            self.matrix_DD, self.names, self.names, label=label, limits=limits, ax=ax
        )

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return np.array(self.matrix_DD, dtype=dtype, copy=copy is not False)

    def __repr__(self) -> str:
        text = f"<Similarity of {len(self.names)} tasks"
        return f"{text}>" if self.mean is None else f"{text}: mean {self.mean:.3f}>"

    def _repr_html_(self) -> str:
        rows = [
            {"": name, **dict(zip(self.names, map(float, row), strict=True))}
            for name, row in zip(self.names, self.matrix_DD, strict=True)
        ]
        return display.table(repr(self)[1:-1], rows)


def similarity(a_N: IntArray, b_N: IntArray, classes: int) -> float:
    """Share of images labelled alike under the best renaming of classes, in [1/classes, 1]."""
    from scipy.optimize import linear_sum_assignment  # a quarter of a second, not always needed

    joint_CC = np.zeros((classes, classes))
    np.add.at(joint_CC, (a_N, b_N), 1)
    rows, columns = linear_sum_assignment(joint_CC, maximize=True)
    return float(joint_CC[rows, columns].sum() / len(a_N))


def similarity_matrix(labels_ND: IntArray, classes: int) -> FloatArray:
    """Return the (D, D) similarities between the columns, each in [1/classes, 1].

    Where labels are missing (-1), of the images that have both.
    """
    D = labels_ND.shape[1]
    if classes == 2 and (labels_ND >= 0).all():
        signs_ND = labels_ND.astype(np.float64) * 2 - 1
        return 0.5 + np.abs(signs_ND.T @ signs_ND) / (2 * len(labels_ND))
    matrix_DD = np.eye(D)
    for i in range(D):
        for j in range(i):
            both_N = (labels_ND[:, i] >= 0) & (labels_ND[:, j] >= 0)
            a_n, b_n = labels_ND[both_N, i], labels_ND[both_N, j]
            found = similarity(a_n, b_n, classes) if len(a_n) else 1 / classes
            matrix_DD[i, j] = matrix_DD[j, i] = found
    return matrix_DD
