"""Data from elsewhere: the user's own function, Hugging Face, torchvision. Imported when asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

import pandas as pd

from taskdiscovery.config.specs import Spec
from taskdiscovery.data.labels.cells import key_of, source_of
from taskdiscovery.data.labels.columns import columns_of
from taskdiscovery.data.listing import Listing, Reading, Source
from taskdiscovery.data.readers.arrays import from_arrays, from_torch, resized
from taskdiscovery.errors import ConfigError, DataError, first_line
from taskdiscovery.runtime.importing import installed, named_object, within_reach
from taskdiscovery.types import Dataset, Document

#: rows read at once: photographs may have megabytes each.
_ROWS = 128


def from_function(spec: Spec, how: Reading) -> Dataset:
    """Call the user's `package.module:function?option=value`.

    It returns a `Dataset`, a pair (images, labels), or a dictionary of the arguments of
    `from_arrays`.

    Raises:
        ConfigError: where it cannot be imported.
        DataError: where it returns something else.
    """
    try:
        function = named_object(spec.name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(
            f"cannot import the data function {spec.name!r}: {error}",
            where="DATA",
            hint="give package.module:function, importable from here (see PYTHONPATH)",
        ) from error
    with within_reach():  # it may import more of its own
        value: Any = _call(function, spec.text, **spec.options)
    if isinstance(value, Dataset):
        return resized(value, how)
    if isinstance(value, tuple) and len(value) == 2:
        return from_arrays(value[0], value[1], name=spec.text, **how.pixels)
    if isinstance(value, Mapping):
        return from_arrays(**{"name": spec.text, **how.pixels, **value})
    raise DataError(
        f"the function returned {type(value).__name__}",
        where=spec.text,
        hint="return a Dataset, (images, labels), or a dictionary of arrays",
    )


def from_hugging_face(spec: Spec, how: Reading) -> Dataset | Listing:
    """Read `hf:NAME?split=train` with the `datasets` package; this may use the network.

    Raises:
        ConfigError: where the package is missing.
        DataError: where the data set has no image column.
    """
    spec.only({"split", "config"})
    datasets = import_extra("datasets", "hf", "DATA hf:…")
    options = spec.options
    table = _call(
        datasets.load_dataset,
        spec.text,
        spec.path,
        options.get("config"),
        split=options.get("split", "train"),
    )
    return from_hugging_face_table(table, spec.text, how)


def from_hugging_face_table(table: Any, name: str, how: Reading) -> Dataset | Listing:
    """Read a data set of the `datasets` package that is in memory or mapped.

    Args:
        table: with a column of images, which are taken as they are encoded and decoded as those of
            any other file; or of arrays of two or three axes.
        name: what to call it.
        how: size, fit and range.

    Raises:
        DataError: where it has no such column.
    """
    kinds = {column: type(feature).__name__ for column, feature in table.features.items()}
    image = next((c for c, kind in kinds.items() if kind == "Image"), None)
    arrays = next((c for c, kind in kinds.items() if kind in ("Array2D", "Array3D")), None)
    if image is None and arrays is None:
        raise DataError(
            "the data set has no image column", where=name, hint="give a data set of images"
        )
    table = table.with_format(None)
    label = next((n for n in ("label", "labels", "fine_label") if n in kinds), None)
    others = {
        c: table[c][:] if kind == "Value" or c == label else _named(table, c)
        for c, kind in kinds.items()
        if kind in ("Value", "ClassLabel") or c == label
    }
    names = getattr(table.features[label], "names", None) if label else None
    rows = pd.RangeIndex(len(table))
    found = columns_of(pd.DataFrame(others, index=rows), label, names or (), where=name)
    if image is None:
        known: Document = {"classes": found.classes, "attributes": found.attributes, "name": name}
        numbers = table.with_format("numpy")[arrays][:]
        return from_arrays(numbers, found.labels, **known, **how.pixels)
    undecoded = type(table.features[image])(decode=False)
    encoded = table.select_columns([image]).cast_column(image, undecoded)

    def stream() -> Iterator[Source]:
        for start in range(0, len(encoded), _ROWS):
            yield from map(source_of, encoded[start : start + _ROWS][image])

    return Listing(
        name=name,
        key=key_of(stream()),
        ids=[str(row) for row in rows],
        stream=stream,
        labels=found.labels,
        classes=found.classes,
        attributes=found.attributes,
        problems=found.problems,
    )


def _named(table: Any, column: str) -> list[str | None]:
    """Return the names of the classes of a column beside the labels; None where there is none."""
    names = list(table.features[column].names or ())
    return [
        None if value is None or not 0 <= value < len(names) else names[value]
        for value in table[column][:]
    ]


def from_torchvision(spec: Spec, how: Reading) -> Dataset:
    """Read `torchvision:NAME?root=PATH&train=true` without downloading.

    Raises:
        ConfigError: where the package is missing or broken, or has no such data set.
    """
    spec.only({"root", "train"})
    datasets = import_extra("torchvision", "torchvision", "DATA torchvision:…").datasets
    maker = getattr(datasets, spec.path, None)
    if maker is None:
        raise ConfigError(
            f"torchvision has no data set {spec.path!r}",
            where=spec.text,
            hint="use its class name, e.g. CIFAR10",
        )
    train = spec.options.get("train", "true").lower() in ("1", "true", "yes")
    made = _call(maker, spec.text, spec.options.get("root", "."), train=train)
    return from_torch(made, name=spec.text, **how.pixels)


def _call(function: Any, where: str, /, *arguments: Any, **options: Any) -> Any:
    """Call what is not ours; its errors are about the data.

    Raises:
        DataError: with the words of the error.
    """
    try:
        return function(*arguments, **options)
    except Exception as error:
        raise DataError(
            f"it failed with {type(error).__name__}: {first_line(error)}",
            where=where,
            hint="call it in Python, and see the whole traceback there or with --debug",
        ) from error


def import_extra(package: str, extra: str, where: str) -> ModuleType:
    """Import an optional package.

    Raises:
        ConfigError: naming the pip command where it is missing, and what to do where it is broken.
    """
    try:
        return installed(package)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{package} is not installed", where=where, hint=f"pip install 'taskdiscovery[{extra}]'"
        ) from error
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        # A torchvision built for another torch fails on import in any of these ways.
        raise ConfigError(
            f"{package} is installed but cannot be imported: {error}",
            where=where,
            hint="install the build that matches your torch (same release, same CUDA or CPU)",
        ) from error
