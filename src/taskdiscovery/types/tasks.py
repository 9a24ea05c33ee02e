"""Labelings of the same images, as a sequence.

Axes: N images, D tasks, P coordinates (k - 1 for each task).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, overload

import numpy as np

from taskdiscovery.errors import ConfigError, DataError, nearest
from taskdiscovery.types import display
from taskdiscovery.types.aliases import (
    BoolArray,
    Document,
    Float32,
    IdArray,
    ImageArray,
    IntArray,
    Matrix,
)
from taskdiscovery.types.labeling import Labeling
from taskdiscovery.types.showing import NONE, as_shown, mode
from taskdiscovery.types.similarity import Similarity, similarity_matrix

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Tasks(Sequence[Labeling]):
    """Labelings of the same images: `tasks[0]`, `tasks["task_003"]`, `tasks[:4]`.

    Attributes:
        labels_ND: (N, D) class indices.
        names: D task names.
        ids_N: (N,) image ids.
        k: classes of each task (D,).
        class_names: names of the classes of each task (D,); by default "0", "1", ….
        coordinates_NP: (N, P) continuous coordinates of the encoder, those of a task side by side,
            or None for tasks that came without.
        seen_N: (N,) True where discovery may have seen the image, or None where nothing was
            discovered.
        images: (N, H, W, channels) uint8, to show them in a notebook; or None.
        features: (N, P) by which the rows are known where there are no images; or None.
        device: where an encoder computed them, `cpu` or a card: labels of images on a border may
            differ between the two; empty where they came as they are.
    """

    labels_ND: IntArray
    names: tuple[str, ...]
    ids_N: IdArray
    k: tuple[int, ...]
    coordinates_NP: Float32 | None = None
    seen_N: BoolArray | None = None
    images: ImageArray | None = field(default=None, repr=False)
    features: Matrix | None = field(default=None, repr=False)
    class_names: tuple[tuple[str, ...], ...] = ()
    device: str = ""

    @property
    def content(self) -> ImageArray | Matrix | None:
        """What the rows are known by: images, or features; None where neither is at hand."""
        return self.features if self.images is None else self.images

    def __post_init__(self) -> None:
        if not self.class_names:
            names = tuple(tuple(map(str, range(k))) for k in self.k)
            object.__setattr__(self, "class_names", names)

    @classmethod
    def of(cls, labelings: Iterable[Labeling]) -> Tasks:
        """Make tasks of labelings over the same ids.

        Raises:
            DataError: where there are none, or their ids differ.
        """
        chosen = list(labelings)
        if not chosen or any(not np.array_equal(x.ids_N, chosen[0].ids_N) for x in chosen):
            raise DataError(
                "these labelings are not of the same images",
                where=", ".join(x.name for x in chosen[:5]),
                hint="give at least one, and all over the same image ids in the same order",
            )
        coordinates = [x.coordinates_NC for x in chosen if x.coordinates_NC is not None]
        seen = [x.seen_N for x in chosen if x.seen_N is not None]
        return cls(
            labels_ND=np.stack([x.labels_N for x in chosen], axis=1),
            names=tuple(x.name for x in chosen),
            ids_N=chosen[0].ids_N,
            k=tuple(x.k for x in chosen),
            class_names=tuple(x.classes for x in chosen),
            coordinates_NP=np.concatenate(coordinates, axis=1)
            if len(coordinates) == len(chosen)
            else None,
            seen_N=np.logical_or.reduce(seen) if seen else None,
        )

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[Labeling]:
        return (self[d] for d in range(len(self)))

    def __contains__(self, value: object) -> bool:
        """Say whether there is a task of this name, or this very labeling."""
        if isinstance(value, Labeling):
            own = value.name in self.names
            return own and np.array_equal(self[value.name].labels_N, value.labels_N)
        return value in self.names

    def index(self, value: object, start: int = 0, stop: int | None = None) -> int:
        """Return the position of a task, by its name or as a labeling.

        Raises:
            ValueError: where there is none.
        """
        name = value.name if isinstance(value, Labeling) and value in self else value
        return self.names.index(name, start, len(self) if stop is None else stop)

    @overload
    def __getitem__(self, which: int | str) -> Labeling: ...
    @overload
    def __getitem__(self, which: slice) -> Tasks: ...

    def __getitem__(self, which: int | str | slice) -> Labeling | Tasks:
        """Return a task by position or name, or some of the tasks.

        Raises:
            ConfigError: for a name that no task has.
            IndexError: for a position that there is not.
        """
        if isinstance(which, slice):
            return self.keep(list(range(len(self)))[which])
        if isinstance(which, str):
            if which not in self.names:
                raise ConfigError(
                    f"there is no task {which!r}", where="tasks", hint=nearest(which, self.names)
                )
            which = self.names.index(which)
        d = range(len(self))[which]
        return Labeling(
            name=self.names[d],
            classes=self.class_names[d],
            labels_N=self.labels_ND[:, d],
            ids_N=self.ids_N,
            coordinates_NC=None
            if self.coordinates_NP is None
            else self.coordinates_NP[:, self._columns(d)],
            seen_N=self.seen_N,
        )

    def keep(self, chosen: Sequence[int]) -> Tasks:
        """Return some of the tasks, by position, in the order given."""
        columns = [c for d in chosen for c in self._range(d)]
        return replace(
            self,
            labels_ND=self.labels_ND[:, list(chosen)],
            names=tuple(self.names[d] for d in chosen),
            k=tuple(self.k[d] for d in chosen),
            class_names=tuple(self.class_names[d] for d in chosen),
            coordinates_NP=None if self.coordinates_NP is None else self.coordinates_NP[:, columns],
        )

    def _range(self, d: int) -> range:
        first = sum(k - 1 for k in self.k[:d])
        return range(first, first + self.k[d] - 1)

    def _columns(self, d: int) -> slice:
        own = self._range(d)
        return slice(own.start, own.stop)

    def __repr__(self) -> str:
        names = ", ".join(self.names[:3]) + (", …" if len(self) > 3 else "")
        return f"<{len(self)} Tasks of {len(self.ids_N):,} images: {names}>"

    @property
    def unseen(self) -> IntArray:
        """Positions of the images that discovery has not seen; of all where nothing was seen."""
        return np.arange(len(self.ids_N)) if self.seen_N is None else np.flatnonzero(~self.seen_N)

    @property
    def similarity(self) -> Similarity:
        """How alike the tasks label the images that discovery has not seen."""
        k = max(self.k)
        matrix_DD = similarity_matrix(self.labels_ND[self.unseen], k)
        return Similarity(matrix_DD=matrix_DD, names=self.names, classes=k)

    def surest(self, d: int, c: int, count: int = display.SHOWN) -> IntArray:
        """Return the unseen images of a class of a task, the surest first where it has coordinates.

        Args:
            d: position of the task.
            c: its class.
            count: images at most.
        """
        own = self.unseen[self.labels_ND[self.unseen, d] == c]
        if self.coordinates_NP is not None and self.k[d] == 2:
            surest = -np.abs(self.coordinates_NP[own, self._range(d).start])
            own = own[np.argsort(surest, kind="stable")]
        return own[:count]

    def plot(
        self, ax: Axes | None = None, *, images: ImageArray | None = None, columns: int = 10
    ) -> Axes:
        """Draw the surest unseen images of each class of each task, a strip a class.

        Pictures are blurred or left out where `TASKDISCOVERY_PICTURES` says so.

        Args:
            ax: axes of matplotlib to draw on; by default those of a new figure.
            images: (N, H, W, channels) of the same data set, where the tasks hold none (those of a
                run do not).
            columns: images in a strip.

        Returns:
            The axes.

        Raises:
            ConfigError: where there are no images, or matplotlib is not installed.
        """
        from taskdiscovery.plots import Strip, draw_sheet

        images = self.images if images is None else images
        if images is None or len(images) != len(self.ids_N):
            raise ConfigError(
                "the tasks hold no images" if images is None else f"{len(images)} images are given",
                where="plot",
                hint=f"give those of the data: images=data.images ({len(self.ids_N)} of them)",
            )
        strips = []
        for d, name in enumerate(self.names):
            for c in range(self.k[d]):
                shown = as_shown(np.asarray(images[self.surest(d, c, columns)]))
                shown = np.full_like(shown, 230) if mode() == NONE else shown
                strips.append(Strip(name=f"{name}: {self.class_names[d][c]}", images=shown))
        return draw_sheet(strips, columns=columns, ax=ax)

    def _repr_html_(self) -> str:
        rows: list[Document] = []
        for d, name in enumerate(self.names):
            labels_N = self.labels_ND[:, d]
            known = labels_N >= 0
            shares = np.bincount(labels_N[known], minlength=self.k[d]) / max(1, known.sum())
            row: Document = {"task": name, "classes": self.k[d], "rate": float(shares[-1])}
            if self.images is not None:
                for c in range(min(2, self.k[d])):
                    chosen = self.surest(d, c)
                    row[f"class {c}"] = display.Pictures(
                        self.images[chosen], self.ids_N[chosen].tolist()
                    )
            rows.append(row)
        return display.table(f"{len(self)} tasks of {len(self.ids_N):,} images", rows)

    def to_frame(self) -> pd.DataFrame:
        """Return one row per image: `image_id`, `partition` where known, one column per task."""
        import pandas as pd

        frame = pd.DataFrame({"image_id": self.ids_N})
        if self.seen_N is not None:
            frame["partition"] = np.where(self.seen_N, "train", "test")
        columns = {name: self.labels_ND[:, d] for d, name in enumerate(self.names)}
        return pd.concat([frame, pd.DataFrame(columns)], axis=1)
