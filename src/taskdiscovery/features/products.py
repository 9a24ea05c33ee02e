"""Products with long tables: by NumPy on the CPU, by torch on a GPU.

What is solved in closed form is written once, in terms of arrays that know `@`, `.T` and `-`, and
of what the two kinds of arrays do differently: that is here. Products are of float32, and sums of
them over blocks of rows are of float64, on both. On a GPU float32 is IEEE float32, not TF32; its
sums have another order, so results differ from NumPy's by rounding, about 1e-6 of their size.

Axes: N rows, n of them in a block, P features, R columns of a table, S targets.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import numpy as np

from taskdiscovery.types import Float32, FloatArray, IntArray, Matrix

#: rows of features that are made comparable at once: a few megabytes.
BLOCK = 8192
#: rows of features shorter than this have no direction.
TINY = 1e-12


class Products(Protocol):
    """Where products are taken. Arrays are its own unless they are said to be NumPy's."""

    def exact(self) -> AbstractContextManager[None]:
        """Multiply float32 as float32 within the block."""

    def unit_rows(self, features_NP: Matrix, rows_N: IntArray) -> Iterator[Any]:
        """Yield (n, P) float32 rows of length 1, a block at a time.

        Args:
            features_NP: NumPy's, maybe memory-mapped.
            rows_N: NumPy's.
        """

    def hold(self, table_NR: Float32) -> Any:
        """Return what gives the block of rows of a slice, of NumPy's table."""

    def part(self, held: Any, rows: slice) -> Any:
        """Return the same of some rows of a table that is held; nothing is copied."""

    def put(self, array: Any) -> Any:
        """Return NumPy's array as one of these."""

    def get(self, array: Any) -> Any:
        """Return an array as NumPy's."""

    def zeros(self, *shape: int) -> Any:
        """Return zeros in float64."""

    def empty(self, *shape: int) -> Any:
        """Return float32 that is not yet written."""

    def like(self, array: Any) -> Any:
        """Return the same of the shape, type and layout of an array of these."""

    def sums(self, array_NS: Any) -> Any:
        """Return the (S,) sums of the columns, in float64."""

    def gram(self, table_NR: Float32) -> FloatArray:
        """Return NumPy's (R, R) XᵀX of NumPy's table."""

    def times(self, table_NR: Float32, matrix_RS: Float32) -> Float32:
        """Return NumPy's (N, S) product of NumPy's."""

    def crossed(self, put_NR: Any, other_NS: FloatArray) -> FloatArray:
        """Return NumPy's (R, S) XᵀT in float64, of an array of these and NumPy's targets."""

    def left(self, put_NR: Any, weights_RS: FloatArray, targets_NS: FloatArray) -> FloatArray:
        """Return NumPy's (N, S) T - XW in float64, of an array of these and NumPy's others."""


class OnCPU:
    """NumPy's arrays themselves."""

    def exact(self) -> AbstractContextManager[None]:
        """Do nothing: NumPy knows no other float32."""
        return nullcontext()

    def unit_rows(self, features_NP: Matrix, rows_N: IntArray) -> Iterator[Float32]:
        """Yield rows of length 1."""
        for rows in chunks(rows_N):
            yield unit_rows(features_NP[rows])

    def hold(self, table_NR: Float32) -> Float32:
        """Return the table."""
        return table_NR

    def part(self, held: Float32, rows: slice) -> Float32:
        """Return the rows."""
        return held[rows]

    def put(self, array: Any) -> Any:
        """Return the array."""
        return array

    def get(self, array: Any) -> Any:
        """Return the array."""
        return array

    def zeros(self, *shape: int) -> FloatArray:
        """Return zeros in float64."""
        return np.zeros(shape)

    def empty(self, *shape: int) -> Float32:
        """Return float32 that is not yet written."""
        return np.empty(shape, dtype=np.float32)

    def like(self, array: Any) -> Any:
        """Return the same, as an array is."""
        return np.empty_like(array)

    def sums(self, array_NS: Float32) -> FloatArray:
        """Return the sums of the columns."""
        return np.asarray(array_NS.sum(axis=0, dtype=np.float64))

    def gram(self, table_NR: Float32) -> FloatArray:
        """Return XᵀX."""
        return (table_NR.T @ table_NR).astype(np.float64)

    def times(self, table_NR: Float32, matrix_RS: Float32) -> Float32:
        """Return the product."""
        product_NS: Float32 = table_NR @ matrix_RS
        return product_NS

    def crossed(self, put_NR: Float32, other_NS: FloatArray) -> FloatArray:
        """Return XᵀT."""
        return put_NR.T.astype(np.float64) @ other_NS

    def left(self, put_NR: Float32, weights_RS: FloatArray, targets_NS: FloatArray) -> FloatArray:
        """Return T - XW."""
        return targets_NS - put_NR @ weights_RS


CPU = OnCPU()


def unit_rows(features_NP: Matrix) -> Float32:
    """Return features scaled to length 1, row by row, in float32."""
    rows_NP = np.asarray(features_NP, dtype=np.float32)
    length_N = np.sqrt(np.einsum("np,np->n", rows_NP, rows_NP, dtype=np.float64))
    result: Float32 = rows_NP / np.maximum(length_N, TINY).astype(np.float32)[:, None]
    return result


def chunks(rows_N: IntArray) -> Iterator[IntArray]:
    """Walk through rows, a few megabytes at a time."""
    for start in range(0, len(rows_N), BLOCK):
        yield rows_N[start : start + BLOCK]
