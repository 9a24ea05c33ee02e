"""Images that are arrays already: from Python, from scikit-learn, from torch."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from taskdiscovery.data.images.axes import picture_of
from taskdiscovery.data.images.contents import digests, fingerprint, hash_images, look_for_problems
from taskdiscovery.data.images.plain import Taken, take, take_each
from taskdiscovery.data.labels.columns import label_codes
from taskdiscovery.data.listing import Reading
from taskdiscovery.data.readers.samples import class_names, samples_of
from taskdiscovery.errors import DataError
from taskdiscovery.types import Dataset, Document, IntArray
from taskdiscovery.types.classes import column_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["digests", "digits", "fingerprint", "from_arrays", "from_pictures", "from_torch"]

_LOG = logging.getLogger("taskdiscovery")


def from_arrays(
    images: Any,
    labels: Any = None,
    *,
    ids: Sequence[str] | None = None,
    classes: Sequence[str] = (),
    attributes: pd.DataFrame | None = None,
    name: str = "array",
    size: int | None = None,
    fit: str = "crop",
    range: tuple[float, float] | None = None,
) -> Dataset:
    """Make a data set from arrays.

    Args:
        images: (N, H, W), (N, H, W, channels) or (N, channels, H, W): bytes, as whole numbers of
            any type from 0 to 255; floats in [0, 1], which become 0 to 255, rounded; yes and no,
            which become 255 and 0; any other numbers with a `range`.
        labels: (N,) of any values; integers index `classes` where these are given.
        ids: N distinct strings; row numbers by default.
        classes: class names.
        attributes: one row per image.
        name: what to call it in messages and results.
        size: resize to size x size.
        fit: how: `crop` the centre, `squash`, or `pad` with grey.
        range: the values that become 0 and 255, in all types but uint8; others are clipped.

    Raises:
        DataError: for other types or shapes, axes that could be either, values that are not finite
            or out of range, counts that differ, images that are all constant.
    """
    taken = take(images, name, Reading(size=size, fit=fit, range=range))
    known: Document = {"ids": ids, "classes": classes, "attributes": attributes}
    return _made(taken, labels, name=name, how=(size, fit), **known)


def from_pictures(images: Sequence[Any], labels: Any, *, how: Reading, **known: Any) -> Dataset:
    """Make a data set from images one by one: PIL images, arrays, or tensors.

    Args:
        images: of different sizes only where a size is asked for; grey ones become RGB where
            others are.
        labels: as of `from_arrays`, or None.
        how: size, fit and range.
        known: `name`, `ids`, `classes` and `attributes`, as of `from_arrays`.

    Raises:
        DataError: as `from_arrays`.
    """
    name = str(known.get("name") or "array")
    taken = take_each([picture_of(image) for image in images], name, how)
    return _made(taken, labels, **{**known, "name": name}, how=(how.size, how.fit))


def _made(
    taken: Taken, labels: Any, *, name: str, how: tuple[int | None, str], **known: Any
) -> Dataset:
    """Make a data set of pixels that have been taken.

    Raises:
        DataError: for counts that differ, and images that are all constant.
    """
    images, n = taken.images, len(taken.images)
    codes: IntArray | None = None
    names = tuple(str(c) for c in known.get("classes") or ())
    if labels is not None:
        column = column_of(labels)
        if column.shape != (n,):
            raise DataError(
                f"{column.shape} labels for {n} images", where=name, hint="give one label per image"
            )
        codes, names = label_codes(column, names, where=f"{name}, labels")
    ids = known.get("ids")
    texts = [str(i) for i in (ids if ids is not None else range(n))]
    if len(texts) != n or len(set(texts)) != n:
        raise DataError(
            f"{len(set(texts))} distinct ids for {n} images",
            where=name,
            hint="give one id per image",
        )
    for problem in taken.problems:
        _LOG.warning("%s: %s", name, problem)
    attributes: pd.DataFrame | None = known.get("attributes")
    return Dataset(
        images=images,
        ids=np.array(texts, dtype=np.str_),
        labels=codes,
        classes=names,
        attributes=None if attributes is None else attributes.reset_index(drop=True),
        name=name,
        fingerprint=fingerprint(hash_images(images), texts, codes),
        problems=(*look_for_problems(images, name), *taken.problems),
        notes=taken.notes,
        size=how[0],
        fit=how[1],
        range=taken.range,
    )


def from_torch(
    dataset: Any,
    *,
    classes: Sequence[str] = (),
    name: str = "torch",
    size: int | None = None,
    fit: str = "crop",
    range: tuple[float, float] | None = None,
) -> Dataset:
    """Make a data set from a torch `Dataset`, or an `IterableDataset` that ends.

    Args:
        dataset: its samples are (image, label, …); dictionaries with `image`, `img` or
            `pixel_values`, and `label`, `labels` or `target`; or images alone. Images are PIL
            images, arrays (H, W[, channels]), or tensors (channels, H, W); labels are whole numbers
            or texts, and None, NaN, or -1 beside class names, where there is none.
        classes: class names; `dataset.classes` by default.
        name: what to call it.
        size, fit, range: as of `from_arrays`.

    Raises:
        DataError: as `from_arrays`, and for samples of another kind, naming what came.
    """
    images, labels = samples_of(dataset, name)
    names = class_names(classes or getattr(dataset, "classes", ()))
    how = Reading(size=size, fit=fit, range=range)
    return from_pictures(images, labels, how=how, classes=names, name=name)


def resized(dataset: Dataset, how: Reading) -> Dataset:
    """Return a data set whose images have the size that is asked for.

    Args:
        dataset: of any size.
        how: size and fit.
    """
    if how.size is None or dataset.images.shape[1:3] == (how.size, how.size):
        return dataset
    taken = take(dataset.images, dataset.name, Reading(size=how.size, fit=how.fit))
    known = fingerprint(hash_images(taken.images), dataset.ids.tolist(), dataset.labels)
    return replace(
        dataset,
        images=taken.images,
        fingerprint=known,
        problems=(*dataset.problems, *taken.problems),
        size=how.size,
        fit=how.fit,
    )


def digits(name: str, how: Reading) -> Dataset:
    """The 1,797 handwritten digits of scikit-learn: 8×8, grey, real, and always at hand."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = np.round(bunch.images * (255 / 16)).astype(np.uint8)
    classes = [str(c) for c in range(10)]
    return from_arrays(images, bunch.target, classes=classes, name=name, **how.pixels)
