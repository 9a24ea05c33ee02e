"""What may be said of the accuracies of a split. `docs/splits.md` lists the rules."""

from __future__ import annotations

from taskdiscovery.splits.claims import Claim, difference, with_interval
from taskdiscovery.types import FEW, Interval, Split

#: share of the errors on the test side that label noise may explain, for it not to be what fails.
NOISE = 0.5


def breaks(split: Split) -> Claim:
    """Whether accuracy on the test side is clearly below that of a random split."""
    own, random = split.accuracy["adversarial"], split.accuracy["random"]
    gap = difference(random, own)
    text = (
        f"Trained on one side, {split.setup.learner} is right on {with_interval(own)} of the other"
    )
    if gap.low > 0:
        text += (
            f"; a random split of the same size and class counts gives {random.mean:.0%}: the cut "
            f"costs {gap}."
        )
    elif gap.high < 0:
        text += (
            f", more than the {random.mean:.0%} of a random split: this cut makes the target "
            "easier, it does not break it."
        )
    else:
        text += (
            f", which is not clearly below a random split's {random.mean:.0%} (by {gap}): nothing "
            "shows that this cut breaks it."
        )
    return Claim(name="breaks", holds=gap.low > 0, text=text)


def learnable(split: Split) -> Claim | None:
    """Whether a random split is clearly above a constant answer; nothing is said where it is."""
    detail, random = split.details.get("random"), split.accuracy["random"]
    if detail is None or random.low > detail.majority:
        return None
    text = (
        f"A random split ({with_interval(random)}) is not clearly above always saying the "
        f"commonest class ({detail.majority:.0%}): this learner hardly learns the target, and the "
        "figures of its splits say little."
    )
    return Claim(name="learnable", holds=False, text=text)


def learnt(split: Split) -> Claim:
    """Whether it learnt on its own side, and whether that was the wrong thing."""
    within, beside = split.accuracy["within"], split.details.get("within")
    text = f"Of images held out within the train side {with_interval(within)} are right"
    if beside is None:
        return Claim(name="learnt", holds=None, text=f"{text}.")
    if within.low <= beside.majority:
        text += (
            f", not clearly more than always saying the commonest class ({beside.majority:.0%}): "
            "it did not learn on its own side, and the other says nothing of what it learnt."
        )
        return Claim(name="learnt", holds=False, text=text)
    if not breaks(split).holds:
        text += ": it did learn, and nothing shows that it learnt the wrong thing."
        return Claim(name="learnt", holds=False, text=text)
    crossed = split.details["adversarial"].crossed
    if crossed.low > 0.5:
        text += (
            f": it did learn, but the wrong thing. {with_interval(crossed)} of its answers on the "
            f"test side are {_followed(split)}."
        )
        return Claim(name="learnt", holds=True, text=text)
    text += (
        f": it did learn, and part of that does not hold on the other side, where "
        f"{with_interval(crossed)} of its answers are {_followed(split)}, not clearly more than "
        "half."
    )
    return Claim(name="learnt", holds=False, text=text)


def beside_controls(split: Split) -> Claim | None:
    """Whether all controls are clearly above the split."""
    own = split.accuracy["adversarial"]
    controls = {
        name: found
        for name, found in split.accuracy.items()
        if name not in ("adversarial", "within", "random")
    }
    if not controls:
        return None
    gaps = {name: difference(found, own) for name, found in controls.items()}
    near = min(controls, key=lambda name: controls[name].mean)
    text = f"The nearest control is {near} with {controls[near].mean:.0%}"
    unclear = [name for name, gap in gaps.items() if gap.low <= 0]
    if not unclear:
        text += f", clearly above it (by {gaps[near]})."
        return Claim(name="controls", holds=True, text=text)
    if gaps[near].high < 0:
        text += f", below it: {near} breaks the learner more than this task does."
        return Claim(name="controls", holds=False, text=text)
    if unclear == [near]:
        text += f", not clearly above it (by {gaps[near]})."
    else:
        listed = ", ".join(f"{name} by {gaps[name]}" for name in unclear)
        text += f"; not clearly above it: {listed}."
    return Claim(name="controls", holds=False, text=text)


def noise(split: Split) -> Claim | None:
    """Whether networks of the random split are right where those of this split are wrong.

    What they get wrong of the very same side bounds what wrong or ambiguous labels can explain.
    """
    if not breaks(split).holds:
        return None
    there, own = split.random_there, split.accuracy["adversarial"]
    if there is None or split.measured["test"] < FEW:
        text = (
            "Whether label noise plays a part cannot be said: too few images of the test side "
            f"(below {FEW}) were asked of networks of the random split."
        )
        return Claim(name="noise", holds=None, text=text)
    if 1 - there.low < NOISE * (1 - own.high):
        text = (
            "Label noise is not what fails: networks trained on a random split are right on "
            f"{with_interval(there)} of the same images."
        )
        return Claim(name="noise", holds=True, text=text)
    text = (
        "Label noise or hard images may be part of what fails: networks trained on a random split "
        f"are wrong on {with_interval(_errors(there))} of the same images, those of this split on "
        f"{with_interval(_errors(own))}."
    )
    return Claim(name="noise", holds=False, text=text)


def alike(split: Split) -> Claim | None:
    """Whether runs fail on the same images: most images are agreed upon, and those are wrong."""
    own = split.agreed.get("adversarial")
    if own is None or split.setup.runs < 2 or not own["share"]:
        return None
    right, share = own["accuracy"], own["share"]
    text = f"On the {share:.0%} of test images on which all runs agree, accuracy is {right:.0%}"
    holds = share > 0.5 and right < 0.5
    return Claim(
        name="alike", holds=holds, text=f"{text}: the runs fail alike." if holds else f"{text}."
    )


def constant(split: Split) -> Claim | None:
    """Whether the split is clearly below always saying the commonest class."""
    own, detail = split.accuracy["adversarial"], split.details.get("adversarial")
    if detail is None:
        return None
    text = f"Always saying the commonest class of the train side would give {detail.majority:.0%}"
    if own.high < detail.majority:
        return Claim(name="constant", holds=True, text=f"{text}, more than the network does.")
    above = ", less than the network does." if own.low > detail.majority else ", about as much."
    return Claim(name="constant", holds=False, text=text + above)


def unevenness(split: Split) -> Claim | None:
    """Whether the mean hides a class: the worst is clearly below the best one on the test side."""
    detail = split.details.get("adversarial")
    if detail is None or len(detail.classes) < 2:
        return None
    low = detail.worst_class
    enough = [part for part in detail.classes if part.images >= FEW] or detail.classes
    high = max(enough, key=lambda part: part.accuracy.mean)
    gap = difference(high.accuracy, low.accuracy)
    if gap.low <= 0:
        return None
    text = (
        f"Classes differ: {low.name} is right on {with_interval(low.accuracy)} of the test side, "
        f"{high.name} on {with_interval(high.accuracy)}; balanced accuracy is "
        f"{detail.balanced.mean:.0%}."
    )
    return Claim(name="unevenness", holds=True, text=text)


def few(split: Split) -> Claim | None:
    """Whether some class has too few images for its accuracy to say something."""
    told = []
    for name in ("adversarial", "within"):
        detail = split.details.get(name)
        parts = () if detail is None else detail.few
        side = "the test side" if name == "adversarial" else "within"
        told += [f"{part.images} of {part.name} on {side}" for part in parts]
    if not told:
        return None
    more = f", and {len(told) - 6} more" if len(told) > 6 else ""
    text = f"Few images were measured: {', '.join(told[:6])}{more}; their accuracies say little."
    return Claim(name="few", holds=True, text=text)


def _errors(accuracy: Interval) -> Interval:
    return Interval(mean=1 - accuracy.mean, low=1 - accuracy.high, high=1 - accuracy.low)


def _followed(split: Split) -> str:
    """Say what an answer in the other group of classes is."""
    if split.setup.grouped:  # a group lies whole on a side, with images that the task puts apart
        return "of the other group of classes" if split.target.k > 2 else "wrong"
    return f"those that follow {split.task.name}"
