"""Tables from files of any kind that holds one: CSV, Parquet, npz."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from taskdiscovery.data.formats.archives import read_arrays
from taskdiscovery.data.formats.columnar import opened, read_columns, tell_left_out
from taskdiscovery.data.labels.delimited import read_csv
from taskdiscovery.data.labels.rows import is_id_column
from taskdiscovery.errors import DataError, first_line
from taskdiscovery.runtime.budget import Budget

if TYPE_CHECKING:
    import pandas as pd


def read_table(
    path: Path, missing: Collection[str] = (), needed: Collection[str] | None = ()
) -> pd.DataFrame:
    """Read a table; of columns of one name, the first.

    Columns of texts or lists that would take too much memory are left out, and warned of.

    Args:
        path: a CSV file (.csv, .tsv, .txt), Parquet, or npz with an array for each column.
        missing: texts that stand for a missing value.
        needed: columns that must be there, as ids and numbers must; None for all.

    Raises:
        DataError: where there is no such file, it cannot be read, or takes too much memory.
    """
    frame = _read(path, missing, needed)
    return frame.loc[:, ~frame.columns.duplicated()]


def _read(path: Path, missing: Collection[str], needed: Collection[str] | None) -> pd.DataFrame:
    if not path.is_file():
        raise DataError("there is no such file", where=str(path), hint="check the path")
    ending = path.suffix.lower()
    if ending in (".csv", ".tsv", ".txt"):
        return read_csv(path, missing)
    try:
        if ending == ".npz":
            return _archive(path, needed)
        if ending in (".parquet", ".pq"):
            return _parquet(path, needed)
    except DataError:
        raise
    except Exception as error:  # hostile files raise errors of every kind
        raise DataError(
            f"the labelings cannot be read: {first_line(error)}",
            where=str(path),
            hint="give CSV, Parquet or npz without pickled objects",
        ) from error
    raise DataError(
        f"labelings cannot be read from {ending or 'such'} files",
        where=str(path),
        hint="give CSV, Parquet or npz",
    )


def _archive(path: Path, needed: Collection[str] | None) -> pd.DataFrame:
    import pandas as pd

    arrays, left_out = read_arrays(path, Budget.of_file(path), lambda name: _must(name, needed))
    tell_left_out(left_out, str(path))
    return pd.DataFrame(arrays)


def _parquet(path: Path, needed: Collection[str] | None) -> pd.DataFrame:
    file = opened(path, str(path))
    names = file.schema.names
    must = {name for name in names if _must(name, needed)}
    table, left_out = read_columns(file, names, Budget.of_file(path), must)
    tell_left_out(left_out, str(path))
    return table.to_pandas()


def _must(name: str, needed: Collection[str] | None) -> bool:
    """Say whether a table is of no use without a column."""
    return needed is None or name in needed or is_id_column(name)
