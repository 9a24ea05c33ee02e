"""Labelings of the same images.

Axes: N images, D tasks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from taskdiscovery import notebook
from taskdiscovery.types.aliases import BoolArray, IdArray, ImageArray, IntArray

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False, kw_only=True)
class Tasks:
    """Labelings of the same images.

    Attributes:
        labels: (N, D) class indices.
        names: D task names.
        ids: (N,) image ids.
        k: classes per task (D,).
        coordinates: (N, D * (k - 1)) continuous coordinates of the encoder, or None for tasks
            that came from a file.
        train: (N,) True where discovery may have seen the image, or None where nothing was
            discovered.
        images: (N, H, W, channels) uint8, to show them in a notebook; or None.
    """

    labels: IntArray
    names: tuple[str, ...]
    ids: IdArray
    k: tuple[int, ...]
    coordinates: NDArray[np.float32] | None = None
    train: BoolArray | None = None
    images: ImageArray | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.names)

    def _repr_html_(self) -> str:
        unseen = np.arange(len(self.ids)) if self.train is None else np.flatnonzero(~self.train)
        rows: list[dict[str, Any]] = []
        for d, name in enumerate(self.names):
            shares = np.bincount(self.labels[:, d], minlength=self.k[d]) / len(self.labels)
            row: dict[str, Any] = {"task": name, "classes": self.k[d], "rate": float(shares[-1])}
            if self.images is not None:
                for c in range(min(2, self.k[d])):
                    own = unseen[self.labels[unseen, d] == c]
                    if self.coordinates is not None and self.k[d] == 2:
                        own = own[np.argsort(-np.abs(self.coordinates[own, d]), kind="stable")]
                    chosen = own[: notebook.SHOWN]
                    row[f"class {c}"] = notebook.Pictures(self.images[chosen], self.ids[chosen])
            rows.append(row)
        return notebook.table(f"{len(self)} tasks of {len(self.ids):,} images", rows)

    def to_pandas(self) -> pd.DataFrame:
        """Return one row per image: `image_id`, `partition` where known, one column per task."""

        import pandas as pd

        frame = pd.DataFrame({"image_id": self.ids})
        if self.train is not None:
            frame["partition"] = np.where(self.train, "train", "test")
        columns = {name: self.labels[:, d] for d, name in enumerate(self.names)}
        return pd.concat([frame, pd.DataFrame(columns)], axis=1)
