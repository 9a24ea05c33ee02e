"""The sentence at the top of a report: what was found, and how sure that is.

"Clearly" is what it is of splits: the 95 % interval of the difference does not touch zero
(`splits.claims`); of several tasks each is compared by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from taskdiscovery.reporting.scoreview import ScoreView
from taskdiscovery.splits.accuracies import breaks
from taskdiscovery.splits.claims import difference, with_interval
from taskdiscovery.types import Document, Interval, Split
from taskdiscovery.types.scores import RANDOM

#: chance agreement on random labels above which it is told: two equal classes give 0.5.
_LOPSIDED = 0.6


def finding(scores: ScoreView, splits: Mapping[str, Split], *, discovered: bool) -> str:
    """Return one sentence.

    Args:
        scores: of the tasks, or of what was scored.
        splits: by name; the one that costs most is told of.
        discovered: whether the tasks were discovered.
    """
    things = "tasks" if discovered else "labelings"
    found = [_agreement(scores, things)] if scores.names else []
    if splits:
        found.append(_split(max(splits.values(), key=_cost)))
    text = "; ".join(found)
    return f"{text[:1].upper()}{text[1:]}."


def _agreement(scores: ScoreView, things: str) -> str:
    rows = [row for row in map(scores.of, scores.names) if row is not None]
    if not rows:
        count = len(scores.names)
        return f"{count} {things} were found, and none is scored: whether runs agree is not known"
    first, own = rows[0], [_interval(row) for row in rows]
    mean = sum(one.mean for one in own) / len(own)
    told = f"runs of {first['learner']} agree"
    random = [row for _, row in scores.others if row["task"] == RANDOM]
    if not random:
        return f"{told} on {mean:.0%} of unseen {scores.rows}, with no random labels beside them"
    base = _interval(random[0])
    text = f"{told} on {_clearly(own, base, things)} clearly more than on random labels "
    text += f"({'mean ' if len(own) > 1 else ''}{mean:.2f} against {base.mean:.2f}"
    lopsided = float(random[0]["chance"]) > _LOPSIDED
    text += f", of which class rates alone give {random[0]['chance']:.2f})" if lopsided else ")"
    for name, row in [pair for pair in scores.others if pair[1]["task"] != RANDOM][:1]:
        beside = _interval(row)
        text += f", and on {_clearly(own, beside, things)} clearly more than on {name} "
        text += f"({beside.mean:.2f})"
    return f"{text}, by intervals over {_covers(str(first['covers']))}"


def _clearly(own: Sequence[Interval], base: Interval, things: str) -> str:
    """Say on how many labelings agreement is clearly above that on another."""
    above, of = sum(difference(one, base).low > 0 for one in own), len(own)
    if of == 1:
        return f"its {things.removesuffix('s')}" if above else f"no {things.removesuffix('s')}"
    return f"all {of} {things}" if above == of else f"{above or 'none'} of {of} {things}"


def _covers(covers: str) -> str:
    if "runs" in covers:
        return covers
    return f"{covers} alone (one pair of runs says nothing of others)"


def _split(split: Split) -> str:
    own, random = split.accuracy["adversarial"], split.accuracy["random"]
    text = f"trained on one side of {split.task.name}, {split.setup.learner} is right on "
    text += f"{with_interval(own)} of the other side, "
    if breaks(split).holds:
        gap = difference(random, own)
        return f"{text}{gap} less than on a random split of {split.target.name}"
    text += f"not clearly less than on a random split of {split.target.name}"
    return f"{text} ({random.mean:.0%})"


def _cost(split: Split) -> float:
    return split.accuracy["random"].mean - split.accuracy["adversarial"].mean


def _interval(row: Document) -> Interval:
    return Interval(mean=float(row["agreement"]), low=float(row["low"]), high=float(row["high"]))
