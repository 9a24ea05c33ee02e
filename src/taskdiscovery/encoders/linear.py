"""The encoder of tasks that were found on features: a linear map of rows of numbers.

It labels features of its own width, and images where its file names the backbone that gave them.
As of any encoder, a row's label is independent of the others in the batch.

Axes: N images, P features, D tasks, C classes; an encoder has D * (C - 1) coordinates.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from taskdiscovery.encoders.files import header_of, unreadable
from taskdiscovery.encoders.labelling import class_scores, classify, task_columns
from taskdiscovery.errors import DataError, NumericalError
from taskdiscovery.features import features_of
from taskdiscovery.features.backbones import opens
from taskdiscovery.features.writing import backbone_from
from taskdiscovery.types import (
    Backbone,
    Dataset,
    Float32,
    FloatArray,
    ImageArray,
    IntArray,
    Matrix,
)

#: of files of binary tasks, and of others.
FORMATS = (1, 2)
#: what its file says it is; encoders of images say nothing.
KIND = "features"
_BLOCK = 8192
#: coordinates have about unit variance; products in float64 differ by less with their batch.
_CLOSE = 1e-9
#: class scores are compared after coordinates were rounded to float32.
_CLOSE_SCORES = 1e-5
#: features of an image differ by less with the others in its batch.
_CLOSE_IMAGES = 1e-4


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class FeatureEncoder:
    """Coordinates of rows of features, and the tasks they stand for.

    Attributes:
        names: D task names.
        weights_PD: what features of length 1 are multiplied by; a column a coordinate, of which a
            task of C classes has C - 1.
        offset_D: subtracted from the products; of two classes, class 1 is above.
        backbone: the network whose features these are, where it is known.
        classes: C, of every task.
        class_offsets_DC: (D, C) added to the class scores of tasks of more than two classes; None
            for two.
    """

    names: tuple[str, ...]
    weights_PD: FloatArray
    offset_D: FloatArray
    backbone: Backbone | None = None
    classes: int = 2
    class_offsets_DC: FloatArray | None = None

    def __repr__(self) -> str:
        source = "" if self.backbone is None else f" of {self.backbone}"
        return f"<FeatureEncoder of {len(self.names)} tasks, for {self.width:,} features{source}>"

    @property
    def width(self) -> int:
        """P, the number of features."""
        return len(self.weights_PD)

    @property
    def takes_images(self) -> bool:
        """Whether it labels images, and not features alone."""
        return self.backbone is not None and opens(self.backbone)

    def transform(self, values: Any, device: str = "cpu") -> Float32:
        """Return (N, D * (C - 1)) coordinates.

        Args:
            values: (N, P) features, or (N, H, W, channels) uint8 images where the backbone is
                known.
            device: where the backbone computes, or products with features are taken; classes are
                the same on all.

        Raises:
            DataError: for features of another width or that are not finite, or images where no
                backbone is known.
        """
        values = np.asarray(values)
        if values.ndim == 4 and values.dtype == np.uint8:
            return self._of_images(values, device)
        if values.ndim != 2 or values.dtype.kind != "f" or values.shape[1] != self.width:
            raise DataError(
                f"the encoder takes rows of {self.width} features, these are {values.dtype} of "
                f"shape {values.shape}",
                where=repr(self)[1:-1],
                hint="give the features of the same network, as they were when it was made",
            )
        starts = range(0, len(values), _BLOCK)
        blocks = [self._of_rows(values[i : i + _BLOCK], device) for i in starts]
        return np.concatenate(blocks) if blocks else np.zeros((0, len(self.offset_D)), np.float32)

    def of_dataset(self, dataset: Dataset, device: str = "cpu") -> Float32:
        """Return (N, D * (C - 1)) coordinates of a data set: of its features where it has some.

        Raises:
            DataError: as `transform`, and for features of another backbone.
        """
        if dataset.features is None:
            return self.transform(dataset.images, device)
        own, given = self.backbone, dataset.backbone
        if own is not None and given is not None and own != given:
            raise DataError(
                f"the encoder takes features of {own}, these are of {given}",
                where=dataset.name,
                hint="give features of the same backbone, size and weights: these have "
                f"{own.difference(given)}",
            )
        return self.transform(dataset.features, device)

    def as_taken(self, images: ImageArray) -> ImageArray:
        """Return images as they are: a backbone takes any size, grey or RGB."""
        return images

    def predict(self, values: Any, device: str = "cpu") -> IntArray:
        """Return the (N, D) classes; arguments and errors as of `transform`."""
        return self.classify(self.transform(values, device))

    def classify(self, coordinates: Float32) -> IntArray:
        """Turn (N, D * (C - 1)) coordinates into (N, D) classes."""
        return classify(coordinates, self._class_offsets(), self.classes)

    def _class_offsets(self) -> Float32:
        if self.class_offsets_DC is None:
            return np.zeros((len(self.names), self.classes), dtype=np.float32)
        return self.class_offsets_DC.astype(np.float32)

    def _unsure(self, coordinates: Matrix, close: float) -> IntArray:
        """Return the rows that are next to a border between classes of any task."""
        if self.classes == 2:
            return np.flatnonzero(np.abs(coordinates).min(axis=1) < close)
        offsets_DC, unsure_N = self._class_offsets(), np.zeros(len(coordinates), dtype=np.bool_)
        for d, offsets_C in enumerate(offsets_DC):
            scores_NC = class_scores(coordinates.astype(np.float32), d, self.classes) + offsets_C
            top_N2 = np.sort(scores_NC, axis=1)[:, -2:]
            unsure_N |= top_N2[:, 1] - top_N2[:, 0] < max(close, _CLOSE_SCORES)
        return np.flatnonzero(unsure_N)

    def keep(self, tasks: list[int]) -> FeatureEncoder:
        """Return the encoder of some of its tasks, named anew."""
        columns, offsets_DC = task_columns(tasks, self.classes), self.class_offsets_DC
        return replace(
            self,
            names=self.names[: len(tasks)],
            weights_PD=self.weights_PD[:, columns],
            offset_D=self.offset_D[columns],
            class_offsets_DC=None if offsets_DC is None else offsets_DC[tasks],
        )

    def save(self, path: Path | str) -> None:
        """Write the encoder to a file, that `load` reads.

        Raises:
            NumericalError: where a weight is not finite.
            OSError: where the place cannot be written.
        """
        Path(path).write_bytes(self.to_bytes())

    def to_bytes(self) -> bytes:
        """Return the content of its file.

        Raises:
            NumericalError: where a weight is not finite.
        """
        from safetensors.numpy import save

        tensors = {"weights": self.weights_PD, "offset": self.offset_D}
        if self.class_offsets_DC is not None:
            tensors["class_offsets"] = self.class_offsets_DC
        for name, tensor in tensors.items():
            if not np.isfinite(tensor).all():
                raise NumericalError(
                    f"the encoder's {name} is not finite", hint="check the features"
                )
        header = {
            # An older taskdiscovery reads binary tasks, and refuses others as too new.
            "format": FORMATS[self.classes > 2],
            "kind": KIND,
            "classes": self.classes,
            "names": list(self.names),
            "backbone": None if self.backbone is None else self.backbone.to_json(),
        }
        whole = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
        return save(whole, metadata={"taskdiscovery": json.dumps(header)})

    @classmethod
    def load(cls, path: Path | str) -> FeatureEncoder:
        """Read an encoder.

        Raises:
            RunDirError: where the file is missing, damaged, or of another kind of encoder.
        """
        try:
            content = Path(path).read_bytes()
        except OSError as error:
            raise unreadable(error, str(path)) from error
        return cls.from_bytes(content, str(path))

    @classmethod
    def from_bytes(cls, content: bytes, where: str) -> FeatureEncoder:
        """Read an encoder from the content of its file; errors as of `load`."""
        from safetensors.numpy import load

        try:
            header, tensors = header_of(content), load(content)
            if header.get("kind") != KIND or header["format"] > FORMATS[-1]:
                raise ValueError("it is no encoder of features, or of a newer taskdiscovery")
            names = tuple(map(str, header["names"]))
            weights_PD, offset_D = tensors["weights"], tensors["offset"]
            classes, class_offsets_DC = int(header.get("classes", 2)), tensors.get("class_offsets")
            _refuse_other_shapes(names, classes, weights_PD, offset_D, class_offsets_DC)
            said = header["backbone"]
            backbone = None if said is None else backbone_from(said)
        except Exception as error:  # hostile files raise errors of every kind
            raise unreadable(error, where) from error
        return cls(
            names=names,
            weights_PD=weights_PD,
            offset_D=offset_D,
            backbone=backbone,
            classes=classes,
            class_offsets_DC=class_offsets_DC,
        )

    def _of_rows(self, features: Matrix, device: str = "cpu") -> Float32:
        if not np.isfinite(features).all():
            raise DataError(
                "features are missing or infinite",
                where=repr(self)[1:-1],
                hint="give every image a number in every column",
            )
        if device == "cpu":
            values = _of_length_one(features)
            coordinates = values @ self.weights_PD - self.offset_D
        else:
            from taskdiscovery.features.products_torch import along

            coordinates = along(features, self.weights_PD, device) - self.offset_D
        # Products differ in their last bits with the batch and the device: what is next to a border
        # is summed again alone, and here.
        unsure = self._unsure(coordinates, _CLOSE)
        for i, value_P in zip(unsure, _of_length_one(features[unsure]), strict=True):
            coordinates[i] = (value_P[:, None] * self.weights_PD).sum(axis=0) - self.offset_D
        return coordinates.astype(np.float32)

    def _of_images(self, images: ImageArray, device: str) -> Float32:
        if self.backbone is None:
            raise DataError(
                "the encoder takes features: it is not known which network gives them",
                where=repr(self)[1:-1],
                hint="give those of the images (--features FILE, load(data, features=…)); "
                "or discover with --features lite0, which labels images, too",
            )
        coordinates = self._of_rows(features_of(images, self.backbone, device))
        for i in self._unsure(coordinates, _CLOSE_IMAGES):
            coordinates[i] = self._of_rows(features_of(images[i : i + 1], self.backbone, device))[0]
        return coordinates


def _of_length_one(features: Matrix) -> FloatArray:
    values = np.asarray(features, dtype=np.float64)
    return values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)


def is_of_features(content: bytes) -> bool:
    """Say whether a file is that of an encoder of features."""
    try:
        return header_of(content).get("kind") == KIND
    except Exception:  # hostile files raise errors of every kind
        return False


def _refuse_other_shapes(
    names: tuple[str, ...],
    classes: int,
    weights_PD: FloatArray,
    offset_D: FloatArray,
    class_offsets_DC: FloatArray | None,
) -> None:
    """Hold the arrays against each other and against the header.

    Raises:
        ValueError: where they differ.
    """
    columns = len(names) * (classes - 1)
    if not names or classes < 2 or weights_PD.ndim != 2 or weights_PD.shape[1] != columns:
        raise ValueError(f"its weights are not those of {len(names)} tasks of {classes} classes")
    if offset_D.shape != (columns,):
        raise ValueError(f"its offsets are not those of {len(names)} tasks of {classes} classes")
    offsets = () if class_offsets_DC is None else class_offsets_DC.shape
    if offsets != ((len(names), classes) if classes > 2 else ()):
        raise ValueError(f"its class offsets are not those of {len(names)} tasks")
    if any(
        a is not None and a.dtype != np.float64 for a in (weights_PD, offset_D, class_offsets_DC)
    ):
        raise ValueError("its arrays are not of float64")
