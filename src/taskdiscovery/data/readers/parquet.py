"""Parquet: the image columns of Hugging Face, plain binary columns, nested lists of pixels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from taskdiscovery.config.specs import Spec
from taskdiscovery.data.formats.columnar import damaged, opened
from taskdiscovery.data.labels.cells import key_of
from taskdiscovery.data.listing import Listing, Reading, Source, hash_file, hash_text
from taskdiscovery.data.readers.arrays import from_arrays
from taskdiscovery.data.readers.beside import check_shards, table_of
from taskdiscovery.data.readers.nested import is_pixels, read_pixels
from taskdiscovery.data.readers.shards import shards_of
from taskdiscovery.errors import DataError
from taskdiscovery.runtime.budget import Budget
from taskdiscovery.types import Dataset, Document

#: rows read at once, at most.
_ROWS = 128


def check(path: Path, spec: Spec) -> None:
    """Refuse what has no readable header or no image column.

    Raises:
        DataError: saying what is wrong.
        ConfigError: for a split that there is not.
    """
    first = shards_of(path, spec).files[0]
    _image_column(opened(first, str(first)).schema, path)


def read(path: Path, spec: Spec, how: Reading) -> Listing | Dataset:
    """List the rows of a file or a folder of shards.

    Returns:
        A listing of encoded images; or the data set itself, where the pixels stand in lists.

    Raises:
        DataError: for damaged files, no image column, shards that differ, an empty table.
    """
    shards = shards_of(path, spec)
    files = [opened(shard, str(shard)) for shard in shards.files]
    image = _image_column(files[0].schema, path)
    check_shards(shards, files, image)
    budget = Budget.of(sum(file.size for file in files), str(path))
    pixels = None
    try:
        table = table_of(shards, files, image, spec, budget)
        if is_pixels(files[0].schema.field(image).type):
            pixels = read_pixels(files, image, f"{path}, column {image}", budget)
    except DataError:
        raise
    except Exception as error:  # hostile files raise errors of every kind
        raise damaged(str(path), error) from error
    found = table.columns(str(path))
    problems = (*table.problems, *found.problems)
    known: Document = {"ids": table.ids, "classes": found.classes, "attributes": found.attributes}
    if pixels is not None:
        made = from_arrays(pixels, found.labels, name=spec.text, **known, **how.pixels)
        return replace(made, problems=(*problems, *made.problems))

    def stream() -> Iterator[Source]:
        for shard, file in zip(shards.files, files, strict=True):
            for values in file.batches(image, budget, _ROWS):
                yield from _sources(values, shard.parent)

    hashes = [hash_file(shard) for shard in shards.files]
    if any(file.may_lack(image, "bytes") for file in files):  # else none names a file
        hashes.append(key_of(source for source in stream() if not isinstance(source, bytes)))
    return Listing(
        name=spec.text,
        key=hash_text(hashes),
        stream=stream,
        labels=found.labels,
        problems=problems,
        **known,
    )


def _sources(column: Any, folder: Path) -> Iterator[Source]:
    """Yield the images of a column: their bytes; where a struct has none, the file that it names.

    Args:
        column: of structs or of bytes.
        folder: that paths are relative to.
    """
    import pyarrow as pa

    if not pa.types.is_struct(column.type):
        yield from column.to_pylist()
        return
    contents = column.field("bytes").to_pylist()
    if column.field("bytes").null_count == 0 or column.type.get_field_index("path") < 0:
        yield from contents
        return
    for content, path in zip(contents, column.field("path").to_pylist(), strict=True):
        yield folder / path if content is None and path else content


def _image_column(schema: Any, path: Path) -> str:
    """The column of images: a struct with `bytes`, else binary, else nested lists of uint8."""
    import pyarrow as pa

    twice = [name for name, count in Counter(schema.names).items() if count > 1]
    if twice:
        raise DataError(
            f"the table has several columns called {twice[0]!r}",
            where=str(path),
            hint="give each a name of its own",
        )
    for field in schema:
        if pa.types.is_struct(field.type) and field.type.get_field_index("bytes") >= 0:
            return str(field.name)
    for field in schema:
        if pa.types.is_binary(field.type) or pa.types.is_large_binary(field.type):
            return str(field.name)
    for field in schema:
        if is_pixels(field.type):
            return str(field.name)
    raise DataError(
        "the table has no column of images",
        where=f"{path}: {', '.join(schema.names)}",
        hint="give struct{bytes, path}, binary, or nested lists of uint8 (H, W, channels)",
    )
