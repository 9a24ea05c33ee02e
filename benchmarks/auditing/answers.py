"""Which view has to be named for which planted cue, and what counts as found.

What counts was fixed before the engine's last measurement:

- *present*: a right view is present; what the unplanted images have stands beside it.
- *found*: a right view is present, and it is not so in the audit of the same images without the
  plant, or is clearly weaker there (U under half, and intervals apart).
- *named*: the strongest present cue is a right view.
- *named of the new*: the strongest of the present cues that the unplanted audit does not have as
  strong is a right view. Images whose labels carry a cue already (BAR) have a strongest cue that
  nobody planted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from taskdiscovery.auditing.verdict import RANKS
from taskdiscovery.types import Document, Interval
from taskdiscovery.types.audit import ARTEFACT, CONTEXT, FILE, Cue

if TYPE_CHECKING:
    from taskdiscovery.auditing.presence import Finding

#: networks use a cue where they lose so much accuracy when it tells the wrong class.
GAP = 0.3
TEN = (
    *("logo", "faint-logo", "border", "corners", "text"),
    *("brightness", "hue", "noise", "resolution", "jpeg"),
)
MORE = ("zoom", "blur", "tint", "contrast", "vignette")


@dataclass(frozen=True)
class Answer:
    """The views that name a cue right, any of them, and why these."""

    views: tuple[str, ...]
    why: str


RIGHT: dict[str, Answer] = {
    "logo": Answer(("corner lower right",), "The emblem stands in that corner."),
    "faint-logo": Answer(("corner lower right",), "The same place, at 30 % of its ink."),
    "border": Answer(("frame",), "Every edge is dark; nothing else is."),
    "corners": Answer(("corners",), "All four hold the square: one of them is half of the truth."),
    "text": Answer(("mark",), "Letters at a random place: a mark somewhere, in no region."),
    "brightness": Answer(("brightness",), "All pixels are brighter by the same amount."),
    "hue": Answer(("colour",), "The hue is turned at the same luma."),
    "noise": Answer(("noise",), "Sensor noise is added to every pixel."),
    "resolution": Answer(("resolution",), "Fine detail is gone: a smaller original."),
    "jpeg": Answer(("codec",), "The traces are those of the codec's blocks."),
    "zoom": Answer(("resolution",), "A part is drawn large: interpolated, as a small original is."),
    "blur": Answer(("blur",), "Fine detail is gone, by a lens and not by sampling."),
    "tint": Answer(("colour",), "The white balance is moved."),
    "contrast": Answer(("contrast",), "The spread of brightness is less."),
    "vignette": Answer(("corners", "frame", "brightness"), "Corners and edges are darker."),
}


def _short(value: float | None) -> float | None:
    return None if value is None else round(float(value), 4)


def figures(finding: Finding) -> Document:
    """Return what a view said, as a row keeps it."""
    (gain, error), heaps = finding.unique, finding.heaps
    both = None if heaps is None else (heaps.gain, heaps.distance, heaps.difference)
    return {
        "view": finding.view.name,
        "kind": finding.view.kind,
        "present": bool(finding.reasons),
        "reasons": list(finding.reasons),
        "u": [_short(gain), _short(gain - 1.96 * error), _short(gain + 1.96 * error)],
        "u_z": _short(finding.unique_z),
        "z": _short(finding.control_z),
        "m": None if both is None else [_short(value) for value in both],
        "r": _short(finding.ratio),
        "skill": _short(finding.skill),
        "accuracy": _short(finding.accuracy),
        "likeness": None if finding.likeness is None else _short(finding.likeness.cosine),
    }


def ordered(found: Iterable[Finding]) -> list[Document]:
    """Return what all views said, in the order in which an audit tells its cues."""

    def rank(one: Finding) -> tuple[bool, int, float]:
        return not one.reasons, RANKS[one.view.kind], -one.strength

    return [figures(one) for one in sorted(found, key=rank)]


def of_cue(cue: Cue) -> Document:
    """Return what an audit says of a cue, as a row keeps it."""

    def interval(found: Interval | None) -> list[float | None] | None:
        return None if found is None else [_short(v) for v in (found.mean, found.low, found.high)]

    return {
        "view": cue.view,
        "kind": cue.kind,
        "present": cue.present,
        "reasons": list(cue.reasons),
        "u": interval(cue.unique),
        "used": cue.used,
        "f": interval(cue.follows),
        "aligned": interval(cue.aligned),
        "conflict": interval(cue.conflict),
        "conflict_images": len(cue.conflict_rows),
    }


def outcome(cues: Sequence[Document]) -> str:
    """Return what the strongest kind of present cue makes of labels, before networks are asked."""
    kinds = {cue["kind"] for cue in cues if cue["present"]}
    if kinds & {ARTEFACT, FILE}:
        return ARTEFACT
    return CONTEXT if CONTEXT in kinds else "none"


def _weaker(clean: Document | None, planted: Document) -> bool:
    """Say whether the unplanted images have this cue not at all, or clearly less of it."""
    if clean is None or not clean["present"]:
        return True
    (before, _, high), (after, low, _) = clean["u"], planted["u"]
    return bool(before < after / 2 and high < low)


def judged(row: dict[str, Any], clean: dict[str, Any]) -> dict[str, bool]:
    """Say what was found of a plant, beside the audit of the same images without it."""
    right = RIGHT[row["cue"]].views
    before = {cue["view"]: cue for cue in clean["figures"]}
    present = [cue for cue in row["figures"] if cue["present"]]
    new = [cue for cue in present if _weaker(before.get(cue["view"]), cue)]
    return {
        "present": any(cue["view"] in right for cue in present),
        "found": any(cue["view"] in right for cue in new),
        "named": bool(present) and present[0]["view"] in right,
        "named_new": bool(new) and new[0]["view"] in right,
    }
