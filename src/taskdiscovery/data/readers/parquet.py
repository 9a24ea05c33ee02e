"""Parquet: the image columns of Hugging Face, plain binary columns, nested lists of pixels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from taskdiscovery.config.specs import Spec
from taskdiscovery.data.labels.cells import key_of
from taskdiscovery.data.listing import Listing, Reading, Source, hash_file, hash_text
from taskdiscovery.data.readers.arrays import from_arrays
from taskdiscovery.data.readers.beside import check_shards, table_of
from taskdiscovery.data.readers.nested import is_pixels, read_pixels
from taskdiscovery.data.readers.shards import shards_of
from taskdiscovery.errors import DataError, first_line
from taskdiscovery.types import Dataset

#: rows read at once: photographs may have megabytes each.
_ROWS = 128


def check(path: Path, spec: Spec) -> None:
    """Refuse what has no readable header or no image column.

    Raises:
        DataError: saying what is wrong.
        ConfigError: for a split that there is not.
    """
    _image_column(_open(shards_of(path, spec).files[0]).schema_arrow, path)


def read(path: Path, spec: Spec, how: Reading) -> Listing | Dataset:
    """List the rows of a file or a folder of shards.

    Returns:
        A listing of encoded images; or the data set itself, where the pixels stand in lists.

    Raises:
        DataError: for damaged files, no image column, shards that differ, an empty table.
    """
    shards = shards_of(path, spec)
    files = [_open(shard) for shard in shards.files]
    schema = files[0].schema_arrow
    image = _image_column(schema, path)
    check_shards(shards, files, image)
    try:
        table = table_of(shards, files, image, spec)
    except Exception as error:  # hostile files raise errors of every kind
        raise _damaged(path, error) from error
    found, ids = table.columns(str(path)), table.ids
    if is_pixels(schema.field(image).type):
        try:
            pixels = read_pixels(files, image, f"{path}, column {image}")
        except DataError:
            raise
        except Exception as error:  # hostile files raise errors of every kind
            raise _damaged(path, error) from error
        return from_arrays(
            pixels,
            found.labels,
            ids=ids,
            classes=found.classes,
            attributes=found.attributes,
            name=spec.text,
            **how.pixels,
        )

    def stream() -> Iterator[Source]:
        for shard, file in zip(shards.files, files, strict=True):
            for batch in file.iter_batches(batch_size=_ROWS, columns=[image]):
                yield from _sources(batch.column(0), shard.parent)

    hashes = [hash_file(shard) for shard in shards.files]
    if _may_name_files(files, image):
        hashes.append(key_of(source for source in stream() if not isinstance(source, bytes)))
    return Listing(
        name=spec.text,
        key=hash_text(hashes),
        ids=ids,
        stream=stream,
        labels=found.labels,
        classes=found.classes,
        attributes=found.attributes,
        problems=(*table.problems, *found.problems),
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


def _may_name_files(files: list[Any], image: str) -> bool:
    """Say whether a struct may lack its bytes, as far as the statistics of the files tell."""
    for file in files:
        groups = file.metadata
        for group in map(groups.row_group, range(groups.num_row_groups)):
            for column in map(group.column, range(group.num_columns)):
                if column.path_in_schema == f"{image}.bytes":
                    known = column.statistics
                    if known is None or not known.has_null_count or known.null_count:
                        return True
    return False


def _open(path: Path) -> Any:
    import pyarrow.parquet as pq

    try:
        # Buffered ahead, all row groups of a file would be in memory at once.
        return pq.ParquetFile(path, pre_buffer=False)
    except Exception as error:  # hostile files raise errors of every kind
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> DataError:
    return DataError(
        f"this is not a readable Parquet file: {first_line(error)}",
        where=str(path),
        hint="check that the download is complete",
    )


def _image_column(schema: Any, path: Path) -> str:
    """The column of images: a struct with `bytes`, else binary, else nested lists of uint8."""
    import pyarrow as pa

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
