"""Samples of torch data sets: pairs, triples, dictionaries, images alone; indexed or streamed.

Axes: N samples.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from taskdiscovery.errors import DataError, first_line

IMAGES = ("image", "img", "pixel_values", "images", "x", "picture")
LABELS = ("label", "labels", "target", "y", "class", "fine_label")


def samples_of(dataset: Any, name: str) -> tuple[list[Any], list[Any] | None]:
    """Return the images and labels of a torch data set.

    Args:
        dataset: map-style, or iterable with an end. A sample is an image; (image, label, …); or a
            dictionary with `image`, `img` or `pixel_values`, and `label`, `labels` or `target`.
        name: what to call it.

    Returns:
        N images, and N labels (numbers, texts, None where one is missing); None without labels.

    Raises:
        DataError: for samples of another kind, naming what came.
    """
    images, labels = [], []
    for i, sample in enumerate(_walk(dataset, name)):
        where = f"{name}, sample {i}"
        image, label = _parts(sample, where)
        images.append(_image(image, where))
        labels.append(_label(label, where))
    if not images:
        raise DataError("the data set has no samples", where=name, hint="give data with images")
    return images, labels if any(label is not None for label in labels) else None


def labels_of(dataset: Any) -> Any:
    """Return the (N,) labels of a map-style torch data set.

    Those that it has as a column, as torchvision's do (`targets`, `labels`) and a `TensorDataset`
    (its second tensor); else every sample is read once.

    Raises:
        DataError: where it has none.
    """
    for name in ("targets", "labels"):
        found = getattr(dataset, name, None)
        if found is not None and not callable(found) and len(found) == len(dataset):
            return found
    tensors: Sequence[Any] = getattr(dataset, "tensors", ())
    name = type(dataset).__name__
    found = tensors[1] if len(tensors) > 1 else samples_of(dataset, name)[1]
    if found is None:
        raise DataError("the data set has no labels", where=name, hint="give them: y=…")
    return found


def class_names(given: Any) -> tuple[str, ...]:
    """Return class names; of several names of one class, as ImageNet has them, all."""
    if given is None or isinstance(given, str) or not isinstance(given, Sequence | np.ndarray):
        return ()
    return tuple(n if isinstance(n, str) else _joined(n) for n in given)


def _joined(name: Any) -> str:
    return ", ".join(map(str, name)) if isinstance(name, tuple | list) else str(name)


def _walk(dataset: Any, name: str) -> Iterator[Any]:
    """Yield the samples; errors of the data set's own code name the sample.

    Raises:
        DataError: for a loader of batches, and for whatever the data set raises.
    """
    if hasattr(dataset, "batch_sampler") and hasattr(dataset, "dataset"):
        raise DataError(
            "this is a DataLoader, which gives batches",
            where=name,
            hint="give its data set: loader.dataset",
        )
    at = 0
    try:
        if _is_stream(dataset) or not hasattr(dataset, "__getitem__"):
            for sample in dataset:
                yield sample
                at += 1
        else:
            for at in range(len(dataset)):
                yield dataset[at]
    except DataError:
        raise
    except Exception as error:
        raise DataError(
            f"the data set failed with {type(error).__name__}: {first_line(error)}",
            where=f"{name}, sample {at}",
            hint="index it in Python, dataset[i], to see where",
        ) from error


def is_torch(value: Any) -> bool:
    """Say whether a value may be a torch data set."""
    return _is_stream(value) or (hasattr(value, "__getitem__") and hasattr(value, "__len__"))


def _is_stream(dataset: Any) -> bool:
    names = {kind.__name__ for kind in type(dataset).__mro__}
    return bool(names & {"IterableDataset", "DataLoader"})


def _parts(sample: Any, where: str) -> tuple[Any, Any]:
    """Return the image and the label of a sample; None for no label."""
    if isinstance(sample, Mapping):
        keys = {str(key).lower(): key for key in reversed(sample)}
        image = next((keys[k] for k in IMAGES if k in keys), None)
        label = next((keys[k] for k in LABELS if k in keys and keys[k] != image), None)
        if image is None:
            raise DataError(
                f"a sample is a dictionary of {', '.join(map(str, sample))[:200]}",
                where=where,
                hint=f"name its image one of {', '.join(IMAGES[:3])}",
            )
        return sample[image], None if label is None else sample[label]
    if isinstance(sample, tuple | list) and sample:
        return sample[0], sample[1] if len(sample) > 1 else None
    return sample, None


def _image(value: Any, where: str) -> Any:
    """Return an image as it came, where it is one."""
    if hasattr(value, "convert") or getattr(value, "ndim", 0) in (2, 3):
        return value
    raise DataError(
        f"an image is {_said(value)}",
        where=where,
        hint="give PIL images, arrays (H, W[, channels]) or tensors (channels, H, W); "
        "samples are (image, label), or dictionaries with `image` and `label`",
    )


def _label(value: Any, where: str) -> Any:
    """Return a label as a number or a text.

    Raises:
        DataError: for vectors and fractions, which are no classes.
    """
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray | list | tuple) and np.size(value) == 1:
        value = np.asarray(value, dtype=object).reshape(-1)[0]
    number = isinstance(value, float | np.floating)
    vector = not isinstance(value, str | bytes) and hasattr(value, "__len__")
    if vector or (number and np.isfinite(value) and value != int(value)):
        raise DataError(
            f"a label is {_said(value)}",
            where=where,
            hint="give one class for each image, a whole number or a text; other values are "
            "attributes: td.from_arrays(images, attributes=frame)",
        )
    return value


def _said(value: Any) -> str:
    """Say what came, in a few words."""
    shape = getattr(value, "shape", None)
    kind = type(value).__name__
    if shape is not None and np.ndim(value):
        return f"of type {kind} and shape {tuple(shape)}"
    return f"{str(value)[:60]!r}, of type {kind}"
