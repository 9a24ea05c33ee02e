"""What may be said of a split: each sentence follows from a rule that can come out the other way.

"Clearly" means: the 95 % interval of the difference of two accuracies does not touch zero. The
interval is made of those of the two (method of variance estimates recovery, Zou and Donner 2008),
as if the two were independent; images and runs that they share make it too wide, not too narrow.
`docs/splits.md` lists the rules.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from taskdiscovery.types import FEW, Document, Interval, Split

#: probability from which a choice is no tie.
SURE = 0.95
#: share of the errors on the test side that label noise may explain, for it not to be what fails.
NOISE = 0.5
#: false discoveries among the properties of the sides, and the least difference that is told.
RATE, SMALL = 0.05, 0.1


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A sentence, and whether what it is about holds.

    Attributes:
        name: of the rule.
        holds: whether the rule is met; None where the numbers do not say.
        text: to be shown.
    """

    name: str
    holds: bool | None
    text: str


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How much one accuracy lies above another, with a 95 % interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{100 * self.mean:.0f} points ({100 * self.low:.0f} to {100 * self.high:.0f})"


def difference(above: Interval, below: Interval) -> Difference:
    """Return how much the first lies above the second."""
    mean = above.mean - below.mean
    down = ((above.mean - above.low) ** 2 + (below.high - below.mean) ** 2) ** 0.5
    up = ((above.high - above.mean) ** 2 + (below.mean - below.low) ** 2) ** 0.5
    return Difference(mean=mean, low=mean - down, high=mean + up)


def claims(split: Split) -> list[Claim]:
    """Return all that may be said of a split, in the order in which it is told."""
    if not {"adversarial", "random", "within"} <= set(split.accuracy):
        return []
    told = (rule(split) for rule in RULES)
    return [own for own in told if own is not None]


def claim(split: Split, name: str) -> Claim | None:
    """Return the claim of a rule, or None where there is nothing to say."""
    return next((own for own in claims(split) if own.name == name), None)


def made(split: Split) -> Claim:
    """Which classes with which side of the task are trained on; `holds` where classes are grouped.

    Never wrong where the data has no groups; where it has, sides hold whole groups, and "mostly" is
    said.
    """
    names, task = split.target.classes, split.task.name
    ones = [names[c] for c in split.setup.group]
    zeros = [name for c, name in enumerate(names) if c not in split.setup.group]
    first, second = (0, 1) if split.setup.orientation == "same" else (1, 0)
    mostly = "mostly " if split.setup.grouped else ""
    text = (
        f"Trained {mostly}on {_listed(zeros)} with {task} = {first} and on {_listed(ones)} with "
        f"{task} = {second}, tested on the others"
    )
    if split.setup.class_balanced:
        text += "; the task is cut at its median within each class"
    return Claim(name="made", holds=split.target.k > 2, text=f"{text}.")


def about(split: Split) -> Claim | None:
    """What the evidence of its run says of the cutting task, where there is some."""
    if not split.setup.about:
        return None
    text = f"{split.task.name}, by the evidence of its run: {split.setup.about.rstrip('.')}."
    return Claim(name="about", holds=True, text=text)


def sides(split: Split) -> Claim | None:
    """Whether some property clearly differs between the sides, with all of them controlled."""
    if not split.sides:
        return None
    clear = [row for row in split.sides if row["q"] < RATE and abs(row["difference"]) >= SMALL]
    if not clear:
        text = "No property that was measured clearly differs between the sides."
        return Claim(name="sides", holds=False, text=text)
    top = clear[0]
    among = f"Among images of {top['among']}" if top["among"] else "Over all images"
    text = (
        f"{among} the sides differ most in {top['name']}: {top['train']:.2f} on the train side, "
        f"{top['test']:.2f} on the test side (difference {top['difference']:+.2f} on a scale from "
        f"-1 to 1, {top['low']:+.2f} to {top['high']:+.2f})."
    )
    return Claim(name="sides", holds=True, text=text)


def breaks(split: Split) -> Claim:
    """Whether accuracy on the test side is clearly below that of a random split."""
    own, random = split.accuracy["adversarial"], split.accuracy["random"]
    gap = difference(random, own)
    text = (
        f"Trained on one side, {split.setup.learner} is right on {_with_interval(own)} of the other"
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
        f"A random split ({_with_interval(random)}) is not clearly above always saying the "
        f"commonest class ({detail.majority:.0%}): this learner hardly learns the target, and the "
        "figures of its splits say little."
    )
    return Claim(name="learnable", holds=False, text=text)


def learnt(split: Split) -> Claim:
    """Whether it learnt on its own side, and whether that was the wrong thing."""
    within, beside = split.accuracy["within"], split.details.get("within")
    text = f"Of images held out within the train side {_with_interval(within)} are right"
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
            f": it did learn, but the wrong thing. {_with_interval(crossed)} of its answers on the "
            f"test side are {_followed(split)}."
        )
        return Claim(name="learnt", holds=True, text=text)
    text += (
        f": it did learn, and part of that does not hold on the other side, where "
        f"{_with_interval(crossed)} of its answers are {_followed(split)}, not clearly more than "
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
            f"{_with_interval(there)} of the same images."
        )
        return Claim(name="noise", holds=True, text=text)
    text = (
        "Label noise or hard images may be part of what fails: networks trained on a random split "
        f"are right on only {_with_interval(there)} of the same images."
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
        f"Classes differ: {low.name} is right on {_with_interval(low.accuracy)} of the test side, "
        f"{high.name} on {_with_interval(high.accuracy)}; balanced accuracy is "
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


def tie(split: Split) -> Claim | None:
    """Whether the cut is clearly the worst of those that were judged last."""
    last: list[Document] = [row for row in split.setup.choice if "worst" in row]
    if len(last) < 2:
        return None
    chosen, *others = sorted(last, key=lambda row: float(row["accuracy"]))
    tried = len(
        {(row["task"], row["orientation"], str(row.get("group"))) for row in split.setup.choice}
    )
    probability = float(chosen["worst"])
    if probability >= SURE:
        text = (
            f"{_cut(chosen)} was chosen from {tried} cuts; of those judged last it is the worst "
            f"with probability {_odds(probability)}."
        )
        return Claim(name="tie", holds=False, text=text)
    rivals = [row for row in others if float(row["worst"]) >= 1 - SURE] or others[:1]
    listed = ", ".join(f"{_cut(row)} ({_odds(float(row['worst']))})" for row in rivals)
    text = (
        f"The choice is a tie: {_cut(chosen)}, chosen from {tried} cuts, is the worst of those "
        f"judged last with probability {_odds(probability)}; as bad may be {listed}."
    )
    return Claim(name="tie", holds=True, text=text)


def covered(split: Split) -> Claim:
    """What the intervals are over."""
    runs, grouped = split.setup.runs, split.setup.grouped
    draws = "groups of images" if grouped else "images"
    if runs < 2:
        text = f"Intervals cover {draws} only: one run says nothing of how another would differ."
    elif runs == 2:
        text = (
            f"Intervals cover {draws} and runs; two runs say little of how runs differ, so that "
            "intervals are wide where the two do."
        )
    else:
        text = f"Intervals cover {draws} and runs."
    return Claim(name="covered", holds=runs >= 2, text=text)


def unseen(split: Split) -> Claim:
    """Whether it is known that discovery has not seen the images that were measured."""
    setup, measured = split.setup, split.measured
    chose = " nor the choice of the split" if setup.choice else ""
    text = (
        f"Every figure: {setup.runs} {'run' if setup.runs == 1 else 'runs'} of {setup.learner}, "
        f"preset {setup.preset}, trained on {measured['train']:,} images and measured on "
        f"{measured['test']:,} that neither training{chose} has used "
        f"({measured['within']:,} for within)"
    )
    if setup.discovered:
        text = text.replace("neither training", "neither discovery nor training", 1)
    else:
        text += "; whoever made the task may have used them"
    return Claim(name="unseen", holds=setup.discovered, text=f"{text}.")


def copied(split: Split) -> Claim:
    """Whether images, or groups, stand on both sides."""
    copies = split.copies
    if copies.near:
        share = copies.near / max(copies.looked_at, 1)
        text = (
            f"{copies.near:,} of {copies.looked_at:,} test images ({share:.1%}) have a near copy "
            f"in training, {copies.exact:,} an exact one."
        )
    else:
        text = f"None of {copies.looked_at:,} test images has a near copy in training."
    if copies.groups is not None:
        text += (
            f" {copies.groups:,} groups have images on both sides."
            if copies.groups
            else " No group has images on both sides."
        )
    return Claim(name="copied", holds=bool(copies.near or copies.groups), text=text)


#: the rules, in the order in which their sentences are told.
RULES: tuple[Callable[[Split], Claim | None], ...] = (
    made,
    about,
    breaks,
    learnable,
    learnt,
    beside_controls,
    noise,
    constant,
    unevenness,
    sides,
    tie,
    alike,
    few,
    unseen,
    copied,
    covered,
)


def _listed(names: list[str]) -> str:
    return " or ".join(names) if len(names) < 3 else f"{', '.join(names[:-1])} or {names[-1]}"


def _with_interval(own: Interval) -> str:
    return f"{own.mean:.0%} ({100 * own.low:.0f} to {100 * own.high:.0f} %)"


def _followed(split: Split) -> str:
    """Say what an answer in the other group of classes is."""
    if split.setup.grouped:  # a group lies whole on a side, with images that the task puts apart
        return "of the other group of classes" if split.target.k > 2 else "wrong"
    return f"those that follow {split.task.name}"


def _cut(row: Document) -> str:
    more = f" {{{','.join(map(str, row['group']))}}}" if "group" in row else ""
    return f"{row['task']} {row['orientation']}{more}"


def _odds(probability: float) -> str:
    return f"{probability:.2f}" if probability < 0.995 else "above 0.99"
