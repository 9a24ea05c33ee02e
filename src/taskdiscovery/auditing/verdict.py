"""From cues to a verdict and one sentence."""

from __future__ import annotations

from collections.abc import Sequence

from taskdiscovery.auditing import rules
from taskdiscovery.auditing.views.view import APART
from taskdiscovery.types.audit import ARTEFACT, CONTEXT, FAIL, FILE, NONE, PASS, WARN, Cue

#: the order in which kinds matter.
RANKS = {FILE: 0, ARTEFACT: 1, CONTEXT: 2}
ORDER = (FAIL, WARN, PASS, NONE)


def of_cue(cue: Cue, place: bool, controlled: bool) -> str:
    """Return what a cue alone amounts to.

    Args:
        cue: with what networks do with it, where they were asked.
        place: whether it is a place in the picture.
        controlled: whether all pictures are laid out alike, so that places mean something.
    """
    if not cue.present or cue.allowed:
        return PASS
    if cue.kind == FILE:
        return FAIL
    # What no image contradicts may be what the label means.
    known = not (place and controlled) and cue.reasons != (APART,)
    return FAIL if cue.kind == ARTEFACT and cue.used and known else WARN


def worst(verdicts: Sequence[str]) -> str:
    """Return the worst of some verdicts; PASS of none."""
    return min(verdicts, key=ORDER.index, default=PASS)


def sentence(verdict: str, cues: Sequence[Cue], looked: int, count: int) -> str:
    """Say what was found, in one sentence.

    Args:
        verdict: over all targets.
        cues: the present ones that are not allowed, the worst first.
        looked: how many views were looked at.
        count: images.
    """
    if verdict == NONE:
        return (
            f"{count:,} images are too few for a verdict: give at least {rules.LEAST_IMAGES}, and "
            f"{rules.LEAST_OF_CLASS} of each of two classes"
        )
    if verdict == PASS:
        return f"the labels go with none of the {looked} cues that were looked at"
    cue = cues[0]
    text = f"the labels go with {cue.words}"
    if len(cue.classes) > 1:
        text += f", those of {cue.class_name} most of all"
    if cue.reasons == (APART,):
        text += ", which no image contradicts, so that it may be what is meant"
    if cue.kind == FILE:
        return (
            f"{text}: without looking at a picture they tell the classes at {cue.ratio:.0%} of "
            "what the whole pictures tell"
        )
    if cue.used and cue.aligned is not None and cue.conflict is not None:
        return (
            f"{text}, and networks follow it: they are right on {cue.aligned.mean:.0%} of the "
            f"pictures where it tells the class, and on {cue.conflict.mean:.0%} of those where it "
            "tells another"
        )
    if cue.used and cue.follows is not None:
        return (
            f"{text}, and networks follow it: exchanging it alone turns their decision in "
            f"{cue.follows.mean:.0%} more of the pictures than chance does"
        )
    if cue.used is False:
        return f"{text}, which networks hardly follow"
    if cue.kind == CONTEXT:
        return f"{text}: a network may learn that instead, unless it is meant (--allow {cue.view})"
    return f"{text}; whether networks follow it could not be asked"
