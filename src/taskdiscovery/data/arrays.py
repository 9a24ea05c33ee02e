"""Images that are arrays already: from Python, from npz, from scikit-learn, from torch."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from taskdiscovery.data.listing import hash_text
from taskdiscovery.errors import DataError
from taskdiscovery.types import Dataset, ImageArray, IntArray, class_codes

if TYPE_CHECKING:
    import pandas as pd

IMAGES = ("images", "x", "X", "data", "x_train", "arr_0")
LABELS = ("labels", "y", "label", "y_train", "arr_1")


def from_arrays(
    images: Any,
    labels: Any = None,
    *,
    ids: Sequence[str] | None = None,
    classes: Sequence[str] = (),
    attributes: pd.DataFrame | None = None,
    name: str = "array",
    size: int | None = None,
) -> Dataset:
    """Make a data set from arrays.

    Args:
        images: (N, H, W) or (N, H, W, channels), uint8, or floats in [0, 1], which are scaled to
            0 to 255 and rounded.
        labels: (N,) of any values; integers index `classes` where these are given.
        ids: N distinct strings; row numbers by default.
        classes: class names.
        attributes: one row per image.
        name: what to call it in messages and results.
        size: resize to size x size.

    Raises:
        DataError: for other types or shapes, values that are not finite or out of range, counts
            that differ, images that are all constant.
    """
    array = _to_uint8(np.asarray(images), name)
    if size is not None and array.shape[1:3] != (size, size):
        array = _resize(array, size)
    n = len(array)
    codes: IntArray | None = None
    names = tuple(str(c) for c in classes)
    if labels is not None:
        codes, names = _labels(np.asarray(labels), n, names, name)
    known = [str(i) for i in (ids if ids is not None else range(n))]
    if len(known) != n or len(set(known)) != n:
        raise DataError(
            f"{len(set(known))} distinct ids for {n} images",
            where=name,
            hint="give one id per image",
        )
    problems = look_for_problems(array, name)
    return Dataset(
        images=array,
        ids=np.array(known, dtype=np.str_),
        labels=codes,
        classes=names,
        attributes=None if attributes is None else attributes.reset_index(drop=True),
        name=name,
        fingerprint=fingerprint(hash_images(array), known, codes),
        problems=problems,
    )


def _labels(
    column: np.ndarray[Any, Any], n: int, names: tuple[str, ...], name: str
) -> tuple[IntArray, tuple[str, ...]]:
    """Return class indices and names of a column of labels.

    Raises:
        DataError: for another count, missing labels, an index without a name.
    """
    import pandas as pd

    from taskdiscovery.data.table import label_codes

    if column.shape != (n,):
        raise DataError(
            f"{column.shape} labels for {n} images", where=name, hint="give one label per image"
        )
    if names:
        return label_codes(pd.Series(column), names, where=f"{name}, labels")
    return class_codes(f"{name}, labels", column.tolist())


def from_torch(
    dataset: Any, *, classes: Sequence[str] = (), name: str = "torch", size: int | None = None
) -> Dataset:
    """Make a data set from a map-style torch `Dataset` that yields (image, label).

    Args:
        dataset: its images are PIL images, arrays (H, W[, channels]), or tensors (channels, H, W).
        classes: class names; `dataset.classes` by default.
        name: what to call it.
        size: resize to size x size.

    Raises:
        DataError: as `from_arrays`.
    """
    images, labels = [], []
    for i in range(len(dataset)):
        image, label = dataset[i]
        if hasattr(image, "permute"):  # a tensor: (channels, H, W)
            image = image.permute(1, 2, 0).numpy() if image.ndim == 3 else image.numpy()
        elif hasattr(image, "convert"):  # a PIL image
            image = np.asarray(image if image.mode == "L" else image.convert("RGB"))
        images.append(np.asarray(image))
        labels.append(int(label))
    shapes = {image.shape for image in images}
    if len(shapes) != 1:
        raise DataError(
            f"images have {len(shapes)} different shapes, e.g. {sorted(shapes)[:3]}",
            where=name,
            hint="resize them in the data set's transform",
        )
    names = classes or getattr(dataset, "classes", ())
    return from_arrays(np.stack(images), labels, classes=names, name=name, size=size)


def digits(name: str = "digits", size: int | None = None) -> Dataset:
    """The 1,797 handwritten digits of scikit-learn: 8×8, grey, real, and always at hand."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = np.round(bunch.images * (255 / 16)).astype(np.uint8)
    return from_arrays(
        images, bunch.target, classes=[str(c) for c in range(10)], name=name, size=size
    )


def check_npz(path: Path, name: str) -> None:
    """Refuse a file that is not npz, declares too much, or has no images; nothing is unpacked.

    Raises:
        DataError: saying what is wrong.
    """
    if not path.is_file():
        raise DataError("there is no such file", where=str(path), hint="check the path")
    try:
        with zipfile.ZipFile(path) as archive:
            entries = {i.filename.removesuffix(".npy"): i for i in archive.infolist()}
    except Exception as error:  # hostile files raise errors of every kind
        raise DataError(
            f"this is not an npz file: {error}", where=str(path), hint="write it with numpy.savez"
        ) from error
    declared = sum(entry.file_size for entry in entries.values())
    if declared > max(2**30, 200 * path.stat().st_size):
        raise DataError(
            f"the file declares {declared / 2**30:.1f} GiB in {path.stat().st_size:,} bytes",
            where=str(path),
            hint="this looks like a decompression bomb; save it again with numpy.savez",
        )
    if not any(key in entries for key in IMAGES):
        raise DataError(
            "the file has no array of images",
            where=f"{path}: {', '.join(entries) or 'empty'}",
            hint=f"name it one of {', '.join(IMAGES)}",
        )


def npz(path: Path, name: str, size: int | None = None) -> Dataset:
    """Read arrays `images`, `labels`, optional `ids` and `attr_NAME` from an npz file.

    Raises:
        DataError: for pickled content (never executed), or as `from_arrays`.
    """

    import pandas as pd

    check_npz(path, name)
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
    except Exception as error:  # hostile files raise errors of every kind
        raise DataError(
            f"the arrays cannot be read: {error}",
            where=str(path),
            hint="save plain numeric arrays; pickled objects are never loaded",
        ) from error
    images = next(arrays[key] for key in IMAGES if key in arrays)
    labels = next((arrays[key] for key in LABELS if key in arrays), None)
    columns = {k.removeprefix("attr_"): v for k, v in arrays.items() if k.startswith("attr_")}
    ids = [str(i) for i in arrays["ids"]] if "ids" in arrays else None
    for key, values in {**columns, "ids": arrays.get("ids")}.items():
        if values is not None and len(values) != len(images):
            raise DataError(
                f"{len(values)} values of {key} for {len(images)} images",
                where=str(path),
                hint="give one value per image",
            )
    return from_arrays(
        images,
        labels,
        ids=ids,
        classes=[str(c) for c in arrays["classes"]] if "classes" in arrays else (),
        attributes=pd.DataFrame(columns) if columns else None,
        name=name,
        size=size,
    )


def hash_images(images: ImageArray) -> str:
    """SHA-256 of all pixels and of the shape."""
    digest = hashlib.sha256(repr(images.shape).encode())
    for start in range(0, len(images), 4096):
        digest.update(np.ascontiguousarray(images[start : start + 4096]).data)
    return digest.hexdigest()


def fingerprint(pixels: str, ids: Sequence[str], labels: Any) -> str:
    """SHA-256 over images (by their hash), ids and labels."""
    codes = "" if labels is None else np.asarray(labels, dtype=np.int64).tobytes().hex()
    return hash_text([pixels, codes, *ids])


def digests(images: ImageArray) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """A 64-bit hash of each image; equal images have equal ones."""
    hashes = np.empty(len(images), dtype=np.uint64)
    for i, image in enumerate(images):
        digest = hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=8).digest()
        hashes[i] = int.from_bytes(digest, "big")
    return hashes


def look_for_problems(images: ImageArray, name: str) -> tuple[str, ...]:
    """Count constant images and exact duplicates.

    Raises:
        DataError: where every image is constant.
    """
    constant, hashes = 0, []
    for start in range(0, len(images), 4096):
        block = np.ascontiguousarray(images[start : start + 4096])
        flat = block.reshape(len(block), -1)
        constant += int((flat == flat[:, :1]).all(axis=1).sum())
        hashes.append(digests(block))
    if constant == len(images):
        raise DataError(
            "every image is constant", where=name, hint="check how the images were written"
        )
    duplicates = len(images) - len(np.unique(np.concatenate(hashes)))
    found = []
    if constant:
        found.append(f"{constant} images are constant")
    if duplicates:
        found.append(f"{duplicates} images are exact copies of another")
    return tuple(found)


def _to_uint8(array: np.ndarray[Any, Any], name: str) -> ImageArray:
    hint = "give uint8 of shape (N, H, W, channels), or floats in [0, 1]"
    if array.ndim == 3:
        array = array[..., None]
    if array.ndim != 4 or array.size == 0:
        raise DataError(f"images have shape {array.shape}", where=name, hint=hint)
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind != "f":
        raise DataError(f"images are of type {array.dtype}", where=name, hint=hint)
    if not np.isfinite(array).all():
        bad = np.flatnonzero(~np.isfinite(array.reshape(len(array), -1)).all(axis=1))
        raise DataError(
            f"{len(bad)} images hold values that are not finite, the first at row {bad[0]}",
            where=name,
            hint="remove or repair them",
            rows=bad[:20].tolist(),
        )
    if array.min() < 0 or array.max() > 1:
        raise DataError(
            f"float images reach from {array.min():g} to {array.max():g}", where=name, hint=hint
        )
    return np.round(array * 255).astype(np.uint8)


def _resize(images: ImageArray, size: int) -> ImageArray:
    from PIL import Image, ImageOps

    if images.shape[3] not in (1, 3):
        raise DataError(
            f"images with {images.shape[3]} channels cannot be resized",
            where="--size",
            hint="resize them before",
        )
    resized = [
        np.asarray(ImageOps.fit(Image.fromarray(i[..., 0] if i.shape[2] == 1 else i), (size, size)))
        for i in images
    ]
    return np.stack(resized).reshape(len(images), size, size, images.shape[3])
