"""One line about a task, from the evidence alone: each clause has a rule that can be false.

The thresholds stand in `rules`; docs/evidence.md has a table of all clauses.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from taskdiscovery.analysis import rules
from taskdiscovery.analysis.probes import PROBES
from taskdiscovery.analysis.wording import class_of, listed, name_of, phrase
from taskdiscovery.types import Document


def verdict(
    associations: pd.DataFrame, probes: pd.DataFrame, joint: Sequence[Document] = ()
) -> str:
    """Say what the evidence for one task amounts to.

    Args:
        associations: its rows of `associate`.
        probes: its rows of `flips`; may be empty.
        joint: its joint models; may be empty.

    Returns:
        E.g. "follows background_hue = blue (AUC 0.93); survives blur (2%; equal noise 11%)".
    """
    return "; ".join([*about(associations, joint), *_probed(probes)])


def about(associations: pd.DataFrame, joint: Sequence[Document]) -> list[str]:
    """Return the clauses on what the task follows."""
    if associations.empty:
        return ["nothing is known to compare it with"]
    main = main_property(associations)
    parts = []
    if main is not None:
        word = "follows" if main["low"] >= rules.FOLLOWS else "leans on"
        rival = _as_well(associations, main)
        also = f"; about as well {name_of(rival)} {_auc(rival)}" if rival is not None else ""
        parts.append(f"{phrase(main, associations, word)} (AUC {_auc(main)}{also})")
    held = _holds(associations, main)
    best = _predicts(joint)
    if best is not None and (main is None or _beats(best, main)):
        who = _together(best)
        opening = "" if main is not None else "follows no single property, but "
        parts.append(f"{opening}{who} together predict it (AUC {best['auc']:.2f})")
    if main is None and best is None and not held:
        parts.append(_nothing(associations.iloc[0], joint))
    return parts + held


def _nothing(nearest: pd.Series, joint: Sequence[Document]) -> str:
    """Say that no property explains the task, or that there are too few images to tell."""
    tried = max(joint, key=lambda m: float(m["auc"]), default=None)
    together = f"; {_together(tried)} together {tried['auc']:.2f}" if tried else ""
    text = f"(nearest: {name_of(nearest)}, AUC {_auc(nearest)}{together})"
    if tried and tried["auc"] >= rules.JOINT:
        return f"{tried['images']:,} images are too few to tell what it follows {text}"
    return f"follows no measured property {text}"


def main_property(associations: pd.DataFrame) -> pd.Series | None:
    """Return the row that explains the task best, or None where none does.

    Rows of all classes count where there are some. A label or an attribute goes before a statistic
    whose effect it reaches to a share; a level goes before the grouping of its factor likewise.
    """
    joint = associations[associations["side"] == ""]
    rows = joint if len(joint) else associations
    sure = rows[(rows["q"] <= rules.RATE) & (rows["low"] >= rules.LEANS)]
    sure = sure[sure["count"] >= rules.LEVEL_IMAGES]
    if sure.empty:
        return None
    top = _top(sure)
    named = sure[sure["source"] != "statistic"]
    if len(named):
        best = _top(named)
        if best["effect"] >= rules.ABOUT_AS_WELL * top["effect"]:
            top = best
    if top["kind"] == "grouping":
        levels = sure[(sure["factor"] == top["factor"]) & (sure["kind"] == "level")]
        levels = levels[levels["effect"] >= rules.LEVEL_ALONE * top["effect"]]
        if len(levels):
            top = _top(levels)
    return top


def _top(rows: pd.DataFrame) -> pd.Series:
    return rows.sort_values("effect", ascending=False, kind="stable").iloc[0]


def _as_well(associations: pd.DataFrame, main: pd.Series) -> pd.Series | None:
    """Return the best row of another property that does about as well, if there is one."""
    rows = associations[
        (associations["side"] == main["side"])
        & (associations["factor"] != main["factor"])
        & (associations["q"] <= rules.RATE)
        & (associations["low"] >= rules.LEANS)
        & (associations["effect"] >= rules.ABOUT_AS_WELL * main["effect"])
    ]
    return None if rows.empty else _top(rows)


def _holds(associations: pd.DataFrame, main: pd.Series | None) -> list[str]:
    """Say which levels lie on one side, beyond those of the main property."""
    rows = associations[
        (associations["kind"] == "level")
        & (associations["q"] <= rules.RATE)
        & (associations["hold_low"] >= rules.HOLDS)
        & (associations["count"] >= rules.LEVEL_IMAGES)
    ]
    if main is not None:
        rows = rows[rows["factor"] != main["factor"]]
    inside = rows["auc"] >= 0.5
    more = (rows["share"] - rows["side_rate"]).where(inside, rows["side_rate"] - rows["share"])
    # That a class of many lacks a level is no news: off a side counts for two classes alone.
    rows = rows[(more >= rules.HOLDS_MORE) & (inside | (rows["rest"] != ""))]
    rows = rows.sort_values("hold_low", ascending=False, kind="stable").head(2)
    return [_held(row) for _, row in rows.iterrows()]


def _held(row: pd.Series) -> str:
    inside = row["auc"] >= 0.5
    share, rate = row["share"], row["side_rate"]
    side = class_of(row, inside=inside)
    share, rate = (share, rate) if inside else (1 - share, 1 - rate)
    return f"{side} holds {share:.0%} of {name_of(row)} (and {rate:.0%} of all)"


def _predicts(joint: Sequence[Document]) -> Document | None:
    """Return the joint model to name: the one with fewest inputs that does as well as the best."""
    good = [m for m in joint if m["auc"] >= rules.JOINT and m["low"] >= rules.JOINT_LOW]
    if not good:
        return None
    best = max(float(m["auc"]) for m in good)
    return next(m for m in good if m["auc"] >= best - rules.JOINT_GAIN / 2)


def _beats(model: Document, main: pd.Series) -> bool:
    own = (1 + float(main["effect"])) / 2
    return bool(model["auc"] - own >= rules.JOINT_GAIN and model["low"] > own)


def _together(model: Document) -> str:
    return {
        "statistics": "the image statistics",
        "attributes": "the attributes",
        "label": "the classes of the label",
        "everything": "all properties",
    }[str(model["inputs"])]


def _auc(row: Any) -> str:
    """The AUC in the direction that the name says: a property that is low counts alike."""
    return f"{(1 + row['effect']) / 2:.2f}"


def _probed(probes: pd.DataFrame) -> list[str]:
    """Return the clauses on probes that differ from noise of equal strength."""
    if probes.empty:
        return []
    told = probes[probes["tells"] & (probes["q"] <= rules.RATE)]
    survived = told[(told["high"] < rules.SURVIVES) & (told["difference_high"] < 0)]
    more = told["difference_low"] > rules.MORE_THAN_NOISE
    flipped = told[(told["low"] > rules.FLIPS) & more]
    parts = []
    if len(survived):
        parts.append(f"survives {_rates(survived.sort_values('difference').head(2))}")
    if len(flipped):
        parts.append(f"flips under {_rates(flipped.sort_values('difference').iloc[::-1].head(3))}")
    return parts or ["no probe tells it from noise of equal strength"]


def _rates(rows: pd.DataFrame) -> str:
    return listed(
        [
            f"{PROBES[str(r['probe'])][1]} ({r['flips']:.0%}; equal noise {r['reference']:.0%})"
            for r in rows.to_dict("records")
        ]
    )
