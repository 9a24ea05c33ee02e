"""Parquet files with images as PNG, as Hugging Face keeps them, and columns beside.

Axes: N images, n rows of a part.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from taskdiscovery.errors import DataError
from taskdiscovery.runtime.progress import Meter
from taskdiscovery.splits.benchmark.building import put
from taskdiscovery.splits.benchmark.columns import IMAGE, Column, features
from taskdiscovery.types import Dataset, Document, ImageArray, IntArray

#: bytes of pixels in a file, at most, and rows in one of its groups.
_SHARD, _ROWS = 2**28, 1000


@dataclass(frozen=True, eq=False, kw_only=True)
class Rows:
    """What is written of each image.

    Attributes:
        columns: beside the image.
        images: (N, H, W, channels) uint8; None where pictures are left out.
        name: of a row's image file, by which readers know it.
    """

    columns: Sequence[Column]
    images: ImageArray | None
    name: Callable[[int], str]

    @property
    def features(self) -> Document:
        """The features of the table, as Parquet's metadata have them."""
        found = dict(features(list(self.columns)))
        return found if self.images is not None else {k: v for k, v in found.items() if k != IMAGE}


def check_png(dataset: Dataset) -> None:
    """Refuse images that PNG does not hold.

    Raises:
        DataError: saying how many channels they have.
    """
    if dataset.images.shape[3] not in (1, 3):
        raise DataError(
            f"images of {dataset.images.shape[3]} channels cannot be written as PNG",
            where=dataset.name,
            hint="take one channel or three of them",
        )


def write_shards(start: Path, kept: Rows, rows: IntArray, meter: Meter | None = None) -> int:
    """Write the files of a part: one, or more where there are many pixels; return their bytes.

    Args:
        start: what the paths of the files begin with.
        kept: what is written of each image.
        rows: (n,) which images, in which order.
        meter: told of images written.
    """
    written = 0
    pixels = 1 if kept.images is None else int(np.prod(kept.images.shape[1:]))
    size = max(1, _SHARD // max(1, pixels))
    shards = [rows[at : at + size] for at in range(0, max(1, len(rows)), size)]
    for i, some in enumerate(shards):
        name = f"{start.name}-{i:05d}-of-{len(shards):05d}.parquet"
        content = _table(kept, some, meter)
        put(start.parent / name, content)
        written += len(content)
    return written


def _table(kept: Rows, rows: IntArray, meter: Meter | None) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrays: list[Any] = [own.array(rows) for own in kept.columns]
    names = [own.name for own in kept.columns]
    if kept.images is not None:
        pictures = []
        for row in rows.tolist():
            image = np.asarray(kept.images[row])
            pictures.append({"bytes": png_of(image), "path": kept.name(row)})
            if meter is not None:
                meter.advance()
        kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        arrays, names = [pa.array(pictures, type=kind), *arrays], [IMAGE, *names]
    about = {"huggingface": json.dumps({"info": {"features": kept.features}})}
    table = pa.table(arrays, names=names)
    stream = io.BytesIO()
    pq.write_table(
        table.replace_schema_metadata(about), stream, compression="zstd", row_group_size=_ROWS
    )
    return stream.getvalue()


def png_of(image: ImageArray) -> bytes:
    """Return an image (H, W, channels), of one channel or three, as a PNG."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(stream, "PNG")
    return stream.getvalue()
