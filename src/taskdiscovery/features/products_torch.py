"""Products with long tables by torch, on a GPU; see `products`.

A table lies there where it fits, measured against the memory that is free. Else it stays on the
host, and blocks are copied through pinned memory each time: the host fills the next one while the
device multiplies, since neither waits for the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from taskdiscovery.features.products import CPU, TINY, Products, chunks
from taskdiscovery.networks.images import to_tensor
from taskdiscovery.networks.placing import SHARE
from taskdiscovery.networks.streaming import prefetched, upload
from taskdiscovery.runtime.arithmetic import ieee
from taskdiscovery.runtime.device_memory import available_memory
from taskdiscovery.types import Float32, FloatArray, IntArray, Matrix

#: rows that are multiplied at once in float64.
_ROWS = 16_384


class Streamed:
    """A table on the host whose blocks are copied to a device when they are asked for.

    Args:
        table: (N, R), maybe memory-mapped.
        device: where blocks go.
    """

    def __init__(self, table: Float32, device: torch.device) -> None:
        self.table, self.device = table, device

    def __getitem__(self, rows: slice) -> Tensor:
        """Return the (n, R) rows on the device; the host goes on before they have arrived."""
        return upload(to_tensor(self.table[rows], "cpu"), self.device)


class OnDevice:
    """Torch's tensors on one device.

    Args:
        device: `cuda`, one of several, or `cpu`, which tests compare with NumPy.
        room: bytes that a table may take; by default measured when it is asked for.
    """

    def __init__(self, device: str, room: int | None = None) -> None:
        self.device, self._room = torch.device(device), room

    def exact(self) -> AbstractContextManager[None]:
        """Multiply float32 as float32 within the block."""
        return ieee(self.device)

    def unit_rows(self, features_NP: Matrix, rows_N: IntArray) -> Iterator[Tensor]:
        """Yield (n, P) float32 rows of length 1; a thread reads ahead."""
        table = _as_words(to_tensor(features_NP, "cpu"))
        kind = torch.from_numpy(np.empty(0, features_NP.dtype)).dtype
        for block in prefetched(table, list(chunks(rows_N)), self.device):
            yield _unit(block.view(kind))

    def hold(self, table_NR: Float32) -> Tensor | Streamed:
        """Return the table on the device where it fits, else one whose blocks are copied."""
        if table_NR.nbytes > (self.room() if self._room is None else self._room):
            return Streamed(table_NR, self.device)
        own = torch.empty(table_NR.shape, dtype=torch.float32, device=self.device)
        for start in range(0, len(own), _ROWS):  # the host never holds a second one
            block = to_tensor(table_NR[start : start + _ROWS], "cpu")
            own[start : start + len(block)].copy_(upload(block, self.device))
        return own

    def part(self, held: Tensor | Streamed, rows: slice) -> Tensor | Streamed:
        """Return the same of some rows."""
        if isinstance(held, Streamed):
            return Streamed(held.table[rows], held.device)
        return held[rows]

    def room(self) -> int:
        """Return how many bytes a table may take now."""
        return int(SHARE * available_memory(self.device))

    def put(self, array: Any) -> Tensor:
        """Return NumPy's array as a tensor on the device."""
        return upload(torch.from_numpy(np.array(array)), self.device)

    def get(self, array: Tensor) -> Any:
        """Return a tensor as NumPy's array."""
        return array.cpu().numpy()

    def zeros(self, *shape: int) -> Tensor:
        """Return zeros in float64."""
        return torch.zeros(shape, dtype=torch.float64, device=self.device)

    def empty(self, *shape: int) -> Tensor:
        """Return float32 that is not yet written."""
        return torch.empty(shape, dtype=torch.float32, device=self.device)

    def like(self, array: Tensor) -> Tensor:
        """Return the same, as a tensor is."""
        return torch.empty_like(array)

    def sums(self, array_NS: Tensor) -> Tensor:
        """Return the (S,) sums of the columns, in float64."""
        return array_NS.sum(dim=0, dtype=torch.float64)

    def gram(self, table_NR: Float32) -> FloatArray:
        """Return XᵀX, summed over blocks in float64."""
        total_RR = self.zeros(table_NR.shape[1], table_NR.shape[1])
        own = self.hold(table_NR)
        with self.exact():
            for start in range(0, len(table_NR), _ROWS):
                block = own[start : start + _ROWS]
                total_RR += block.T @ block
        result: FloatArray = self.get(total_RR)
        return result

    def times(self, table_NR: Float32, matrix_RS: Float32) -> Float32:
        """Return the product."""
        own, matrix = self.hold(table_NR), self.put(matrix_RS)
        result_NS = self.empty(len(table_NR), matrix_RS.shape[1])
        with self.exact():
            for start in range(0, len(table_NR), _ROWS):
                result_NS[start : start + _ROWS] = own[start : start + _ROWS] @ matrix
        result: Float32 = self.get(result_NS)
        return result

    def crossed(self, put_NR: Tensor, other_NS: FloatArray) -> FloatArray:
        """Return XᵀT in float64."""
        other = self.put(other_NS)
        total_RS = self.zeros(put_NR.shape[1], other_NS.shape[1])
        for start in range(0, len(put_NR), _ROWS):
            block = put_NR[start : start + _ROWS].double()
            total_RS += block.T @ other[start : start + _ROWS]
        result: FloatArray = self.get(total_RS)
        return result

    def left(self, put_NR: Tensor, weights_RS: FloatArray, targets_NS: FloatArray) -> FloatArray:
        """Return T - XW in float64."""
        weights, left_NS = self.put(weights_RS), self.put(targets_NS).clone()
        for start in range(0, len(put_NR), _ROWS):
            block = put_NR[start : start + _ROWS].double()
            left_NS[start : start + _ROWS] -= block @ weights
        result: FloatArray = self.get(left_NS)
        return result


def products_on(device: str) -> Products:
    """Return where products are taken for a device: `cpu`, `cuda`, or one GPU of several."""
    return CPU if device == "cpu" else OnDevice(device)


def along(features_nP: Matrix, weights_PD: FloatArray, device: str) -> FloatArray:
    """Return (n, D) products of rows of length 1 with weights, in float64 on a device."""
    at = torch.device(device)
    x_nP = upload(to_tensor(features_nP, "cpu"), at).double()
    x_nP = x_nP / torch.linalg.vector_norm(x_nP, dim=1, keepdim=True).clamp_min(TINY)
    weights = upload(torch.from_numpy(weights_PD.copy()), at)
    found_nD: FloatArray = (x_nP @ weights).cpu().numpy()
    return found_nD


def _as_words(table_NP: Tensor) -> Tensor:
    """Return a table as words of 8 bytes, where it is some.

    Torch gathers float16 one by one on the CPU, which takes nine times as long as NumPy does.
    """
    row = table_NP.shape[1] * table_NP.element_size()
    aligned = table_NP.is_contiguous() and table_NP.data_ptr() % 8 == 0
    if row % 8 or not aligned or table_NP.storage_offset() * table_NP.element_size() % 8:
        return table_NP
    return table_NP.view(torch.int64)


def _unit(rows_nP: Tensor) -> Tensor:
    rows_nP = rows_nP.float()
    length_n = rows_nP.double().square().sum(dim=1).sqrt()
    return rows_nP / length_n.clamp_min(TINY).float()[:, None]
