"""How properties are called in a verdict and in the report."""

from __future__ import annotations

from typing import Any

import pandas as pd

from taskdiscovery.analysis.rules import INSIDE, ONE_TO_ONE

#: words for what `image_statistics` and `properties` measure.
WORDS = {
    "red": "mean red",
    "green": "mean green",
    "blue": "mean blue",
    "edges": "edge density",
    "slope": "the slope of the spectrum",
    "border": "the brightness of the border against the centre",
    "warmth": "red against blue",
    "greenness": "green against red and blue",
    "top": "the brightness of the top against the bottom",
    "left": "the brightness of the left against the right",
}
SHOWN = 4  # levels of a grouping that are named


def name_of(row: Any) -> str:
    """Name the property of a row: "brightness", "domain = sketch", "the human label"."""
    factor, level = str(row["factor"]), str(row["level"])
    if level and row["source"] == "label" and row["matching"] == row["matching"]:
        return f"the human label ({level})"  # of two classes: one names it
    if level:
        return f"{factor} = {level}"
    if row["source"] == "label":
        return "the human label"
    word = WORDS.get(factor, factor) if row["source"] == "statistic" else factor
    return f"{word}, in bands" if row["kind"] == "bands" and row["side"] else word


def phrase(row: pd.Series, associations: pd.DataFrame, word: str) -> str:
    """Say what a task follows: a number, a level, a factor one to one, or a grouping of levels.

    Args:
        row: the property that is named.
        associations: all rows of the task, for the levels of a grouping.
        word: "follows" or "leans on".
    """
    if row["kind"] != "grouping":
        return f"{word} {name_of(row)}"
    if row["matching"] >= ONE_TO_ONE * row["effect"]:
        return f"{word} {name_of(row)}, one to one"
    own = associations[
        (associations["factor"] == row["factor"]) & (associations["kind"] == "level")
    ]
    parts = [
        f"{shortened(levels)} in {side}" for side, levels in levels_by_side(own).items() if levels
    ]
    where = f": {', '.join(parts[:SHOWN])}" if parts else ""
    return f"{word} a grouping of {name_of(row)}{where}"


def levels_by_side(levels: pd.DataFrame) -> dict[str, list[str]]:
    """Return the levels of a factor that lie on each side of a task, surest first.

    Args:
        levels: rows of its levels. Of two classes, those of class 1 alone are told, or those of
            class 0 where none lies there.
    """
    found = {}
    for side, rows in levels.groupby("side"):
        inside = rows[(rows["auc"] >= 0.5) & (rows["hold_low"] >= INSIDE)]
        found[f"class {side}"] = _ranked(inside, ascending=False)
    if levels["side"].nunique() == 1 and not any(found.values()):
        outside = levels[(levels["auc"] < 0.5) & (levels["hold_low"] >= INSIDE)]
        found = {class_of(levels.iloc[0], inside=False): _ranked(outside, ascending=True)}
    return found


def _ranked(levels: pd.DataFrame, *, ascending: bool) -> list[str]:
    ranked = levels.sort_values(["share", "count"], ascending=[ascending, False], kind="stable")
    return [str(level) for level in ranked["level"]]


def class_of(row: Any, *, inside: bool = True) -> str:
    """Name the side of a row, or the other."""
    if inside:
        return f"class {row['side']}"
    return f"class {row['rest']}" if row["rest"] else f"the rest of class {row['side']}"


def shortened(words: list[str]) -> str:
    """Return "a, b, c and 7 more"."""
    if len(words) <= SHOWN + 1:
        return listed(words)
    return f"{', '.join(words[:SHOWN])} and {len(words) - SHOWN} more"


def listed(words: list[str]) -> str:
    """Return "a, b and c"."""
    if not words:
        return "nothing"
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
