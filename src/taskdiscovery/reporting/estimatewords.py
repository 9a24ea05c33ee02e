"""What may be said of an estimate: each sentence follows from a rule that can come out otherwise.

"Clearly" means that an interval, at the level that it states, does not hold what it is held
against.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from taskdiscovery.splits.claims import Claim
from taskdiscovery.types import Document, Estimate

#: estimators that say the held-out accuracy where nothing has changed, and move from there.
MOVING = (
    *("confidence-difference", "threshold-confidence", "threshold-entropy"),
    "agreement-difference",
)
#: how wide a range may be to say much.
NARROW = 0.25


def claims(found: Estimate) -> dict[str, Claim]:
    """Return all that may be said of an estimate, by the names of the rules."""
    told = (rule(found) for rule in RULES)
    return {own.name: own for own in told if own is not None}


def recommended(found: Estimate) -> Claim:
    """Say what is recommended, and what its interval covers."""
    own = found.value
    text = (
        f"Recommended is {found.recommended}: {own['accuracy']:.3f}, with a {own['level']:.0%} "
        f"interval from {own['low']:.3f} to {own['high']:.3f}"
    )
    covers = str(own["covers"])
    drawn = covers.partition(" ")[0]
    if covers.endswith("and runs"):
        text += (
            f". It covers which {drawn} and which runs were drawn: where other {drawn} of the same "
            "kind, and runs from other seeds, would put the estimate. It does not cover what a "
            "shift does to it."
        )
        return Claim(name="recommended", holds=True, text=text)
    if drawn in ("images", "groups"):
        text += (
            f". It covers which {drawn} were drawn, and not how runs differ: {_runs(found)} cannot "
            "tell that. Nor does it cover what a shift does to it."
        )
        return Claim(name="recommended", holds=False, text=text)
    text += (
        f". The interval is what the estimator missed elsewhere ({covers}), and holds the accuracy "
        "here as far as these images are like those."
    )
    return Claim(name="recommended", holds=None, text=text)


def bounded(found: Estimate) -> Claim:
    """Hold the bound against what is recommended."""
    if found.bound is None:
        text = "There is one run, so there is no agreement, and no bound from it."
        return Claim(name="bounded", holds=None, text=text)
    own, agreed = found.value, 2 * found.bound - 1
    text = (
        f"Runs predict the same on {agreed:.1%} of these images. Where two differ, one of them at "
        f"least is wrong, so the accuracy is at most {found.bound:.3f}, whatever the labels are"
    )
    if found.bound < own["low"]:
        text += (
            f". That is below the interval of {found.recommended}: the runs differ here more than "
            "it allows, and it is too high."
        )
    elif found.bound < own["accuracy"]:
        text += f", which is less than {found.recommended} says, within its interval."
    else:
        text += f". That does not contradict {found.recommended}."
    return Claim(name="bounded", holds=bool(found.bound < own["low"]), text=text)


def moved(found: Estimate) -> Claim | None:
    """Say whether confidence and agreement are other than on the held-out images."""
    rows = [
        row
        for row in found.numbers["estimators"]
        if row["estimator"] in MOVING and row["accuracy"] is not None
    ]
    if not rows:
        return None
    below = [row["estimator"] for row in rows if row["high"] < found.held_out]
    above = [row["estimator"] for row in rows if row["low"] > found.held_out]
    whole = f"{len(rows)} estimators that move with confidence or agreement"
    if not below and not above:
        text = (
            f"None of the {whole} is clearly away from the held-out accuracy: these images look to "
            "the runs like those held out. That excludes no shift which leaves both as they are."
        )
        return Claim(name="moved", holds=False, text=text)
    sides = ((below, "below"), (above, "above"))
    told = " and ".join(
        f"{len(own)} {'is' if len(own) == 1 else 'are'} clearly {side}"
        for own, side in sides
        if own
    )
    text = (
        f"Of the {whole}, {told} the held-out accuracy ({', '.join([*below, *above])}): these "
        "images differ from those held out, as the runs see them."
    )
    return Claim(name="moved", holds=True, text=text)


def by_class(found: Estimate) -> Claim:
    """Name the predicted classes that fare clearly worse than all together, and those untold."""
    rows = [row for row in found.numbers["per_class"] if row["accuracy"] is not None]
    overall = found.held_out  # by which each class is told
    worse = sorted((row for row in rows if row["high"] < overall), key=lambda row: row["accuracy"])
    if not rows:
        text = "Of no predicted class is there a figure."
    elif worse:
        named = ", ".join(f"{row['class']} ({row['accuracy']:.2f})" for row in worse[:5])
        more = f", and {len(worse) - 5} more" if len(worse) > 5 else ""
        text = f"Clearly below all images together: those taken for {named}{more}."
    else:
        text = "Images taken for none of the classes are clearly below all images together."
    if refused := len(found.per_class) - len(rows):
        have = "class has" if refused == 1 else "classes have"
        text += f" {refused} {have} no figure; the table says why."
    return Claim(name="by_class", holds=bool(worse), text=text)


def ranged(found: Estimate) -> Claim:
    """Say what accuracy would be if the label parted from a task."""
    if found.range is None:
        text = (
            "None of the tasks that were given goes with the label, so they say nothing."
            if found.config.get("from")
            else "No task was given that goes with the label. What runs may follow in its place, "
            "and what accuracy would be then, was not looked at: give the tasks of a discovery "
            "(--from RUN)."
        )
        return Claim(name="ranged", holds=None, text=text)
    ends = found.range
    several = len(ends["tasks"]) > 1
    text = (
        f"In {found.data} "
        + (
            "these tasks go with the label, so runs may have followed one of them"
            if several
            else "this task goes with the label, so runs may have followed it"
        )
        + " in its place. If label and task part on the new images as often as the answers allow, "
        f"accuracy may be as low as {ends['low']:.3f} ({ends['low_task']}) and as high as "
        f"{ends['high']:.3f} ({ends['high_task']}). "
    )
    wide = bool(ends["high"] - ends["low"] > NARROW)
    text += (
        "Without labels nothing in between can be excluded."
        if wide
        else f"That is narrow: {'these tasks put' if several else 'this task puts'} little in "
        "doubt. Others, that nobody has given, may."
    )
    return Claim(name="ranged", holds=wide, text=text)


def explained(found: Estimate) -> Claim | None:
    """Name the tasks whose parting alone cannot explain the answers."""
    if found.range is None:
        return None
    odd = [str(row["task"]) for row in found.range["tasks"] if not row["explained"]]
    if not odd:
        text = "The answers here are such as the parting of label and task alone could give."
        return Claim(name="explained", holds=True, text=text)
    text = (
        f"For {', '.join(odd[:5])}{' and others' if len(odd) > 5 else ''} no share of parted "
        "images gives these answers: something else has changed as well, and the range is taken as "
        "wide as it may be."
    )
    return Claim(name="explained", holds=False, text=text)


def true(found: Estimate) -> Claim | None:
    """Hold what is recommended against labels that the images have, where they have some."""
    if found.truth is None:
        return None
    truth, own = found.truth, found.value
    accuracy = truth["accuracy"]
    text = (
        f"These images have labels. They were counted after all the above was known: by them the "
        f"accuracy on {truth['images']:,} images is {accuracy:.3f}. "
    )
    if truth["unknown"]:
        text += (
            f"{truth['unknown']:,} others have no label, or none that was learnt. The estimates "
            "are of all images, so the two are not quite of the same."
        )
        return Claim(name="true", holds=None, text=text)
    held = bool(own["low"] <= accuracy <= own["high"])
    miss = abs(accuracy - own["accuracy"])
    text += (
        f"The interval of {found.recommended} holds it ({miss:.3f} from the estimate)."
        if held
        else f"The interval of {found.recommended} does not hold it: it misses by {miss:.3f}."
    )
    if found.range is not None:
        inside = found.range["low"] <= accuracy <= found.range["high"]
        text += f" The range over tasks {'holds it' if inside else 'does not hold it'}."
    return Claim(name="true", holds=held, text=text)


def left_out(found: Estimate) -> Claim | None:
    """Say how many images were not asked about."""
    if not found.seen:
        return None
    whose = " or are of a group with one" if found.grouped else ""
    are = "image of it is" if found.seen == 1 else "images of it are"
    text = f"{found.seen:,} {are} left out: trained on, or used to calibrate{whose}."
    return Claim(name="left_out", holds=True, text=text)


#: the rules, in the order in which their sentences are told.
RULES: tuple[Callable[[Estimate], Claim | None], ...] = (
    recommended,
    bounded,
    moved,
    by_class,
    ranged,
    explained,
    true,
    left_out,
)


def misses(found: Estimate) -> list[Document]:
    """Return how far each estimator is from the truth, the nearest first; none without labels."""
    if found.truth is None:
        return []
    rows: list[Mapping[str, Any]] = found.numbers["estimators"]
    known = [row for row in rows if row["accuracy"] is not None]
    made = [
        {"estimator": row["estimator"], "miss": row["accuracy"] - found.truth["accuracy"]}
        for row in known
    ]
    return sorted(made, key=lambda row: abs(row["miss"]))


def _runs(found: Estimate) -> str:
    return "one run" if found.runs == 1 else f"{found.runs} runs"
