"""What a group looks like beside the rest of its class: one property, where any is clear.

Axes: n images of a class.
"""

from __future__ import annotations

import numpy as np

from taskdiscovery.types import BoolArray, Dataset, IntArray

#: images of a class that are looked at, evenly spread.
_FEW = 600


def looks(dataset: Dataset, rows_n: IntArray, member_n: BoolArray, seed: int) -> str:
    """Name the property that tells a group from the rest of its class best, as `analyze` would.

    Args:
        dataset: labels, attributes and image statistics are compared.
        rows_n: (n,) images of the class.
        member_n: (n,) those of the group.
        seed: of folds.

    Returns:
        E.g. "mean red is lower (AUC 0.93)" or "place = pool (80% of it, 3% of the rest)"; empty
        where no property is clear.
    """
    from taskdiscovery.analysis.associations import associate, factor_table
    from taskdiscovery.analysis.verdict import main_property
    from taskdiscovery.analysis.wording import name_of

    few = np.unique(np.linspace(0, len(rows_n) - 1, min(len(rows_n), _FEW)).astype(np.int64))
    rows_n, labels_n = rows_n[few], member_n[few].astype(np.int64)
    groups = None if dataset.groups is None else dataset.groups[rows_n]
    table = associate({"group": labels_n}, factor_table(dataset, rows_n), seed=seed, groups=groups)
    row = None if table.empty else main_property(table)
    if row is None:
        return ""
    name, more = name_of(row), row["auc"] >= 0.5
    if row["kind"] == "level":
        shares = f"({row['rate_side']:.0%} of it, {row['rate_rest']:.0%} of the rest)"
        return f"{name} {shares}" if more else f"seldom {name} {shares}"
    figure = f"(AUC {(1 + row['effect']) / 2:.2f})"
    if row["kind"] == "number":
        return f"{name} is {'higher' if more else 'lower'} {figure}"
    return f"{name} {figure}"
