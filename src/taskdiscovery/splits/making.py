"""What may be said of how a split was cut and measured. `docs/splits.md` lists the rules."""

from __future__ import annotations

from taskdiscovery.splits.claims import Claim
from taskdiscovery.types import Document, Split

#: probability from which a choice is no tie.
SURE = 0.95
#: false discoveries among the properties of the sides, and the least difference that is told.
RATE, SMALL = 0.05, 0.1


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


def _listed(names: list[str]) -> str:
    return " or ".join(names) if len(names) < 3 else f"{', '.join(names[:-1])} or {names[-1]}"


def _cut(row: Document) -> str:
    more = f" {{{','.join(map(str, row['group']))}}}" if "group" in row else ""
    return f"{row['task']} {row['orientation']}{more}"


def _odds(probability: float) -> str:
    return f"{probability:.2f}" if probability < 0.995 else "above 0.99"
