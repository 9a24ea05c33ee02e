"""What is known of each image: its label, its attributes, and statistics of its pixels.

Axes: N images, L levels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from taskdiscovery.data.labels.human import LEVELS, NUMBERS
from taskdiscovery.data.statistics import image_statistics
from taskdiscovery.types import BoolArray, Dataset, FloatArray, ImageArray, IntArray

SOURCES = ("attribute", "label", "statistic")


@dataclass(frozen=True, eq=False, kw_only=True)
class Factor:
    """A property of each image.

    Attributes:
        source: `label`, `attribute` or `statistic`.
        values: (N,) numbers, or codes of levels.
        known: (N,) False where the value is missing.
        levels: (L,) names of the levels; empty for numbers.
        ordered: whether the last of two levels is the one to name (1, True), as with numbers.
    """

    source: str
    values: FloatArray
    known: BoolArray
    levels: tuple[str, ...] = ()
    ordered: bool = False

    def at(self, rows: IntArray) -> Factor:
        """Return the same of some of the images."""
        return replace(self, values=self.values[rows], known=self.known[rows])


def factor_table(dataset: Dataset, rows: IntArray) -> dict[str, Factor]:
    """Collect label, attributes and statistics of some images.

    Columns of text with more than 30 different values (names, captions) are left out.
    """
    found: dict[str, Factor] = {}
    if dataset.labels is not None:
        labels = dataset.labels[rows]
        found["label"] = Factor(
            source="label",
            values=labels.astype(np.float64),
            known=labels >= 0,
            levels=tuple(map(str, dataset.classes)),
        )
    if dataset.attributes is not None:
        for name in dataset.attributes.columns:
            factor = attribute_factor(dataset.attributes[name].iloc[rows])
            if factor is not None:
                found[str(name)] = factor
    if not dataset.has_images:
        return found
    statistics = image_statistics(dataset.images, rows).join(_layout(dataset.images, rows))
    if dataset.images.shape[3] < 3:
        statistics = statistics.drop(columns=["red", "green", "blue", "saturation"])
    else:
        statistics["warmth"] = statistics["red"] - statistics["blue"]
        statistics["greenness"] = statistics["green"] - (statistics["red"] + statistics["blue"]) / 2
    for name in statistics.columns:
        values = statistics[name].to_numpy(np.float64)
        own = Factor(source="statistic", values=values, known=np.isfinite(values))
        found.setdefault(str(name), own)
    return found


def property_of(labeling: str) -> str:
    """Return the factor that a labeling was made of, by its name: `attr:age` of `age`."""
    kind, _, rest = labeling.partition(":")
    return rest if kind == "attr" else kind if kind == "label" else labeling


def _layout(images: ImageArray, rows: IntArray) -> pd.DataFrame:
    """Brightness of the upper half against the lower, and of the left half against the right."""
    blocks = []
    for start in range(0, len(rows), 2000):
        grey = images[rows[start : start + 2000]].mean(axis=3, dtype=np.float32) / 255
        H, W = grey.shape[1:]
        halves = (
            grey[:, : (H + 1) // 2].mean(axis=(1, 2)) - grey[:, H // 2 :].mean(axis=(1, 2)),
            grey[:, :, : (W + 1) // 2].mean(axis=(1, 2)) - grey[:, :, W // 2 :].mean(axis=(1, 2)),
        )
        blocks.append(np.stack(halves, axis=1))
    return pd.DataFrame(np.concatenate(blocks), columns=["top", "left"])


def attribute_factor(column: pd.Series) -> Factor | None:
    """Return a column as a property: numbers of more than 10 values as they are, else its levels.

    Returns:
        None for text of more than 30 different values (names, captions).
    """
    known = column.notna().to_numpy()
    boolean = pd.api.types.is_bool_dtype(column)
    numeric = pd.api.types.is_numeric_dtype(column) and not boolean
    if numeric and column.nunique() > NUMBERS:
        values = column.to_numpy(np.float64, na_value=np.nan)
        return Factor(source="attribute", values=values, known=np.isfinite(values))
    if column.nunique() > LEVELS:
        return None
    try:
        codes, levels = pd.factorize(column, sort=True)
    except TypeError:  # values that cannot be compared
        codes, levels = pd.factorize(column, sort=False)
    # Short, and never so short that two levels have one name.
    names = (f"{float(x):.15g}" if numeric else str(x) for x in levels)
    return Factor(
        source="attribute",
        values=np.asarray(codes, dtype=np.float64),
        known=known & (codes >= 0),
        levels=tuple(names),
        ordered=numeric or boolean,
    )
