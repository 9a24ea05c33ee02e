"""What discovery shall not find again: labels, attributes and image statistics, as columns."""

from __future__ import annotations

import numpy as np
import pandas as pd

from taskdiscovery.errors import ConfigError, DataError, nearest
from taskdiscovery.statistics import GROUPS, image_statistics
from taskdiscovery.types import Dataset, IntArray, target_from_values


def excluded_columns(dataset: Dataset, text: str) -> pd.DataFrame | None:
    """Return (N, E) columns for a comma-separated list, or None for an empty one.

    Args:
        dataset: whose labels, attributes and images they are.
        text: of `label` (one column per class), `attributes` (all of them), `attr:COLUMN`,
            `brightness`, `colour`, `contrast`, `saturation`. Numbers are standardized, other
            attributes get one column per value; missing values get zeros.

    Raises:
        ConfigError: for an unknown word.
        DataError: where the data has no labels or attributes.
    """
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words:
        return None
    attributes = dataset.attributes
    parts: list[pd.DataFrame] = []
    statistics: pd.DataFrame | None = None
    for word in words:
        if word == "label":
            target = dataset.target("label")
            parts.append(_one_hot("label", target.labels, target.k))
        elif word == "attributes" or word.startswith("attr:"):
            if attributes is None:
                raise DataError(
                    "the data has no attributes", where=dataset.name, mend="leave it out"
                )
            names = list(attributes.columns) if word == "attributes" else [word[5:]]
            for name in names:
                if name not in attributes.columns:
                    raise ConfigError(
                        f"no attribute {name!r}",
                        where="--exclude",
                        mend=nearest(name, map(str, attributes.columns)),
                    )
                parts.append(_attribute(attributes[name]))
        elif word in GROUPS:
            statistics = image_statistics(dataset.images) if statistics is None else statistics
            chosen = statistics[list(GROUPS[word])]
            parts.append((chosen - chosen.mean()) / chosen.std().replace(0, 1))
        else:
            raise ConfigError(
                f"cannot exclude {word!r}",
                where="--exclude",
                mend=nearest(word, ["label", "attributes", "attr:COLUMN", *GROUPS]),
            )
    return pd.concat(parts, axis=1)


def _attribute(column: pd.Series) -> pd.DataFrame:
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        values = column.astype(np.float64)
        spread = float(values.std()) or 1.0
        return ((values - values.mean()) / spread).fillna(0.0).to_frame()
    target = target_from_values(f"attr:{column.name}", column.tolist())
    return _one_hot(str(column.name), target.labels, target.k)


def _one_hot(name: str, codes: IntArray, classes: int) -> pd.DataFrame:
    # One class is left to the intercept, so that the columns stay independent.
    columns = {f"{name}={c}": (codes == c).astype(np.float64) for c in range(1, classes)}
    return pd.DataFrame(columns)
