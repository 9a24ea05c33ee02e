"""One line about a task, from the evidence alone, and never more than the numbers carry."""

from __future__ import annotations

import pandas as pd

from taskdiscovery.analysis.associations import RATE
from taskdiscovery.analysis.probes import PROBES

FOLLOWS, LEANS = 0.5, 0.2  # effects from which a task follows a factor, or leans on it
SURVIVES, FLIPS = 0.1, 0.2  # shares of images

#: words for what `image_statistics` measures.
WORDS = {
    "red": "mean red",
    "green": "mean green",
    "blue": "mean blue",
    "edges": "edge density",
    "slope": "the slope of the spectrum",
    "border": "the brightness of the border against the centre",
}


def verdict(associations: pd.DataFrame, probes: pd.DataFrame) -> str:
    """Say what the evidence for one task amounts to.

    Args:
        associations: its rows of `associate`.
        probes: its rows of `flips`; may be empty.

    Returns:
        E.g. "follows background_hue (V 0.93); survives blur; flips under grey in 38% of images".
    """
    parts = [_about(associations)]
    if len(probes):
        ranked = probes.sort_values("flips", kind="stable")
        survived = [PROBES[p][1] for p in ranked.loc[ranked["high"] < SURVIVES, "probe"]]
        if survived:
            parts.append(f"survives {_listed(survived[:2])}")
        flipped = ranked[ranked["low"] > FLIPS].iloc[::-1]
        if len(flipped):
            shares = [
                f"{PROBES[str(row['probe'])][1]} in {row['flips']:.0%}"
                for _, row in flipped.head(3).iterrows()
            ]
            parts.append(f"flips under {_listed(shares)} of images")
        elif not survived:
            parts.append("no probe flips it often")
    return "; ".join(parts)


def _about(associations: pd.DataFrame) -> str:
    if associations.empty:
        return "nothing is known to compare it with"
    sure = associations[(associations["q"] <= RATE) & (associations["low"] >= LEANS)]
    if sure.empty:
        best = associations.iloc[0]
        return (
            f"follows no measured property (nearest: {_name(best)}, {best['measure']} "
            f"{best['effect']:.2f})"
        )
    best = strongest(sure)
    word = "follows" if best["low"] >= FOLLOWS else "leans on"
    return f"{word} {_name(best)} ({best['measure']} {best['effect']:.2f})"


def strongest(associations: pd.DataFrame) -> pd.Series:
    """Return the strongest row; of those that cannot be told apart, one that the user named."""
    top = associations.iloc[0]
    equal = associations[associations["high"] >= top["low"]]
    named = equal[equal["source"] == "attribute"]
    return named.iloc[0] if len(named) else top


def _name(row: pd.Series) -> str:
    factor = str(row["factor"])
    return "the human label" if row["source"] == "label" else WORDS.get(factor, factor)


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
