"""The encoder is the task: images in, coordinates and labels out, the same wherever it runs.

Its file is safetensors: weights, pixel normalization, centres and offsets, and a JSON header that
names the architecture. No code is ever loaded from it: an encoder built by the user's own factory
opens only when the user names that factory again.

Axes: N images, D tasks, C classes; an encoder has D * (C - 1) coordinates.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import quote

import numpy as np
import torch
from safetensors.torch import load as from_bytes
from safetensors.torch import save as to_bytes
from torch import Tensor

from taskdiscovery import networks
from taskdiscovery.config import Network
from taskdiscovery.config.learners import object_of
from taskdiscovery.config.specs import parse
from taskdiscovery.encoders.files import header_of, unreadable
from taskdiscovery.encoders.labelling import class_scores, classify, task_columns
from taskdiscovery.errors import DataError, NumericalError, RunDirError
from taskdiscovery.networks import Model
from taskdiscovery.networks.placing import place
from taskdiscovery.networks.prediction import predict
from taskdiscovery.networks.reading import read_model
from taskdiscovery.networks.saving import unshared
from taskdiscovery.runtime import memory_errors
from taskdiscovery.runtime.devices import is_cuda
from taskdiscovery.types import Dataset, Document, Float32, FloatArray, ImageArray, IntArray

FORMAT = 1

#: coordinates have about unit variance; rounding moves them by less than 1e-5.
CLOSE = 1e-4
_CHANNELS = {1: "one channel: convert them to grey", 3: "three channels: convert them to RGB"}


@dataclass(eq=False, repr=False, kw_only=True)
class Encoder:
    """Coordinates of images, and the tasks they stand for.

    Attributes:
        learner: the SPEC its network was built from.
        image_shape: (H, W, channels) that it takes.
        names: D task names.
        classes: C, the classes of every task.
        model: maps uint8 images to outputs.
        outputs: how many outputs the model has.
        columns: (D * (C - 1),) which outputs are the coordinates.
        centre: (D * (C - 1),) subtracted from the outputs: for binary tasks the median over the
            training images, so that tasks are balanced.
        offsets: (D, C) added to the class scores of k-way tasks, for equal rates; zeros for two.
    """

    learner: str
    image_shape: tuple[int, int, int]
    names: tuple[str, ...]
    classes: int
    model: Model
    outputs: int
    columns: IntArray
    centre: Float32
    offsets: Float32

    @property
    def takes_images(self) -> bool:
        """Whether it labels images: every encoder of this kind does."""
        return True

    def __repr__(self) -> str:
        height, width, channels = self.image_shape
        shape = f"{width} x {height}, {channels} channel{'s' * (channels > 1)}"
        return f"<Encoder {self.learner} of {len(self.names)} tasks, for images of {shape}>"

    def transform(
        self, images: ImageArray, device: str = "cpu", *, outputs: Float32 | None = None
    ) -> Float32:
        """Return (N, D * (C - 1)) coordinates, in float32 and evaluation mode.

        Args:
            images: (N, H, W, channels) uint8.
            device: where to compute.
            outputs: (N, outputs) of the model for these images, where they are known already.

        Raises:
            DataError: where the images have another shape than the encoder was made for.
            ResourceError: where memory runs out.
        """
        if getattr(images, "dtype", None) != np.uint8:
            kind = getattr(images, "dtype", type(images).__name__)
            raise DataError(
                f"the encoder takes uint8 images, these are {kind}",
                where=f"encoder of {self.learner}",
                hint="give load(images).images, which has them in the right range",
            )
        images = self.as_taken(images)
        with memory_errors.explained(
            "labelling images",
            where=f"{len(images)} images, --device {device}",
            hint="use --device cpu" if is_cuda(device) else "label fewer images at once",
        ):
            return self._coordinates(images, device, outputs)

    def _coordinates(self, images: ImageArray, device: str, outputs: Float32 | None) -> Float32:
        model, placed = self.model.to(device), place(images, device)
        if outputs is None:
            outputs = predict(model, placed, np.arange(len(images)), "float32").numpy()
        coordinates = outputs[:, self.columns] - self.centre
        # Matrix products differ in their last bits with the place of an image in its batch. Where
        # that could turn a label, the image is predicted again alone, so that its label is
        # independent of the other images in the batch.
        near = np.flatnonzero(self._margins(coordinates) < CLOSE)
        if len(near):
            alone = predict(model, placed, near, "float32", batch=1).numpy()
            coordinates[near] = alone[:, self.columns] - self.centre
        return coordinates

    def of_dataset(self, dataset: Dataset, device: str = "cpu") -> Float32:
        """Return the coordinates of the images of a data set, as `transform` does."""
        return self.transform(dataset.images, device)

    def as_taken(self, images: ImageArray) -> ImageArray:
        """Return images as the encoder takes them; grey ones become RGB, as files of both kinds do.

        Args:
            images: (N, H, W, channels) uint8.

        Raises:
            DataError: for another size, or channels that cannot become those it takes.
        """
        shape = tuple(int(n) for n in images.shape[1:])
        if shape == self.image_shape:
            return images
        height, width, channels = self.image_shape
        if shape[:2] == (height, width) and shape[2:] == (1,) and channels == 3:
            return np.broadcast_to(images, (len(images), *self.image_shape))
        hints = []
        if shape[:2] != (height, width):
            size = f"--size {height} (size={height} in Python)" if height == width else "their size"
            hints.append(f"read them with {size}")
        if shape[2:] != (channels,):
            hints.append(f"give images with {_CHANNELS.get(channels, f'{channels} channels')}")
        raise DataError(
            f"the encoder takes images of shape {self.image_shape}, these have {shape}",
            where=f"encoder of {self.learner}",
            hint=f"{', and '.join(hints)}; or discover on these images",
        )

    def predict(self, images: ImageArray, device: str = "cpu") -> IntArray:
        """Return the (N, D) classes of images; arguments and errors as of `transform`."""
        return self.classify(self.transform(images, device))

    def classify(self, coordinates: Float32) -> IntArray:
        """Turn (N, D * (C - 1)) coordinates into (N, D) classes."""
        return classify(coordinates, self.offsets, self.classes)

    def _margins(self, coordinates: Float32) -> FloatArray:
        """Return (N,): how far an image is from the nearest border between classes of any task."""
        if self.classes == 2:
            return np.abs(coordinates).min(axis=1).astype(np.float64)
        margins = []
        for d in range(len(self.names)):
            scores_NC = class_scores(coordinates, d, self.classes) + self.offsets[d]
            top_N2 = np.sort(scores_NC, axis=1)[:, -2:]
            margins.append(top_N2[:, 1] - top_N2[:, 0])
        return np.min(margins, axis=0)

    def keep(self, tasks: list[int]) -> Encoder:
        """Return the encoder of some of its tasks, named anew; the network is shared."""
        columns = task_columns(tasks, self.classes)
        return replace(
            self,
            names=self.names[: len(tasks)],
            columns=self.columns[columns],
            centre=self.centre[columns],
            offsets=self.offsets[tasks],
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
        tensors = unshared(self.model)
        tensors["encoder.columns"] = torch.from_numpy(self.columns)
        tensors["encoder.centre"] = torch.from_numpy(self.centre)
        tensors["encoder.offsets"] = torch.from_numpy(self.offsets)
        for name, tensor in tensors.items():
            if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
                raise NumericalError(
                    f"the encoder's {name} is not finite", hint="lower the learning rate"
                )
        header = {
            "format": FORMAT,
            "learner": self.learner,
            "image_shape": list(self.image_shape),
            "names": list(self.names),
            "classes": self.classes,
            "outputs": self.outputs,
        }
        return to_bytes(tensors, metadata={"taskdiscovery": json.dumps(header)})

    @classmethod
    def load(cls, path: Path, objects: Mapping[str, Network] | None = None) -> Encoder:
        """Read an encoder.

        Args:
            path: the safetensors file.
            objects: the networks that the caller has named, by name: its own classes and factories,
                or `"package.module:factory"` for one that may be imported.

        Raises:
            RunDirError: where the file is missing, damaged, or names a factory that the caller did
                not name.
        """
        try:
            content = Path(path).read_bytes()
        except FileNotFoundError:
            raise RunDirError(
                "there is no encoder", where=str(path), hint="give the directory of a finished run"
            ) from None
        except OSError as error:
            raise unreadable(error, str(path)) from error
        return cls.from_bytes(content, objects or {}, str(path))

    @classmethod
    def from_bytes(cls, content: bytes, objects: Mapping[str, Network], where: str) -> Encoder:
        """Read an encoder from the content of its file; arguments and errors as of `load`."""
        try:
            tensors = from_bytes(content)  # which holds the file against its own header first
            return cls._from(header_of(content), tensors, objects, where)
        except RunDirError:
            raise
        except Exception as error:  # hostile files raise errors of every kind
            raise unreadable(error, where) from error

    @classmethod
    def _from(
        cls,
        header: Document,
        tensors: dict[str, Tensor],
        objects: Mapping[str, Network],
        where: str,
    ) -> Encoder:
        if header["format"] > FORMAT:
            raise RunDirError(
                "the encoder was written by a newer taskdiscovery",
                where=where,
                hint="upgrade: pip install -U taskdiscovery",
            )
        learner, names = str(header["learner"]), tuple(map(str, header["names"]))
        outputs, classes = int(header["outputs"]), int(header["classes"])
        height, width, channels = (int(n) for n in header["image_shape"])
        shape = (height, width, channels)
        network = named_network(learner, objects, where)
        columns, centre, offsets = (
            tensors.pop(f"encoder.{name}").numpy() for name in ("columns", "centre", "offsets")
        )
        _refuse_other_tasks(len(names), classes, columns, centre, offsets)
        if columns.min() < 0 or columns.max() >= outputs:
            raise ValueError(f"it has {outputs} outputs by its header, and others by its arrays")
        model = read_model(network, shape, outputs, tensors)
        return cls(
            learner=learner,
            image_shape=shape,
            names=names,
            classes=classes,
            model=model,
            outputs=outputs,
            columns=columns,
            centre=centre,
            offsets=offsets,
        )


def named_network(learner: str, objects: Mapping[str, Network], where: str) -> Network:
    """Return the network that a file names: one of the package, or one that the caller has named.

    Raises:
        RunDirError: for any other.
    """
    if parse(learner).name in networks.NETWORKS:
        return learner
    found = object_of(learner, objects)
    if found is None:
        raise RunDirError(
            f"the encoder was built by {learner!r}, which runs code of its own",
            where=where,
            hint=f"if you trust it, say so: --learner {quote(learner)}",
        )
    return found


def _refuse_other_tasks(
    tasks: int, classes: int, columns: IntArray, centre: Float32, offsets: Float32
) -> None:
    """Hold what the header says of tasks against the arrays, before anything is made by it.

    Raises:
        ValueError: where they differ.
    """
    coordinates = (tasks * (classes - 1),)
    if tasks < 1 or classes < 2 or offsets.shape != (tasks, classes):
        raise ValueError(f"it names {tasks} tasks of {classes} classes, and has others")
    if columns.shape != coordinates or centre.shape != coordinates:
        raise ValueError(f"its coordinates are not those of {tasks} tasks of {classes} classes")
