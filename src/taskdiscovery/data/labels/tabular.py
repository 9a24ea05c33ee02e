"""Tables from files of any kind that holds one: CSV, Parquet, npz."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from taskdiscovery.data.labels.delimited import read_csv
from taskdiscovery.errors import DataError, first_line

if TYPE_CHECKING:
    import pandas as pd


def read_table(path: Path, missing: Collection[str] = ()) -> pd.DataFrame:
    """Read a table; of columns of one name, the first.

    Args:
        path: a CSV file (.csv, .tsv, .txt), Parquet, or npz with an array for each column.
        missing: texts that stand for a missing value.

    Raises:
        DataError: where there is no such file, or it cannot be read.
    """
    frame = _read(path, missing)
    return frame.loc[:, ~frame.columns.duplicated()]


def _read(path: Path, missing: Collection[str]) -> pd.DataFrame:
    import pandas as pd

    if not path.is_file():
        raise DataError("there is no such file", where=str(path), hint="check the path")
    ending = path.suffix.lower()
    if ending in (".csv", ".tsv", ".txt"):
        return read_csv(path, missing)
    try:
        if ending == ".npz":
            with np.load(path, allow_pickle=False) as file:
                return pd.DataFrame({key: file[key] for key in file.files})
        if ending in (".parquet", ".pq"):
            return pd.read_parquet(path)
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
