"""One page of an audit: the verdict and the cue behind it on pictures, then all that was found.

Axes: N images.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from taskdiscovery.reporting import auditcommands
from taskdiscovery.reporting.auditpictures import Strips
from taskdiscovery.reporting.audittables import bar, plain, tables
from taskdiscovery.reporting.rendering import render
from taskdiscovery.store import environment
from taskdiscovery.store.audited import cue_of_split, file_names
from taskdiscovery.store.layout import ALIGNED, CONFLICT, CUE_IMAGES
from taskdiscovery.types import Audit, Cue, Dataset, Document, Interval, Labeling
from taskdiscovery.types.audit import ARTEFACT, CONTEXT, FAIL, FILE, NONE, PASS, WARN

#: how verdicts look; the words are those of the style sheet.
_LOOKS = {FAIL: "fail", WARN: "warn", PASS: "pass", NONE: "none"}
_KINDS = {
    FILE: "a fact of the files, which networks on pixels do not see as such",
    ARTEFACT: "a trace of how the pictures were made",
    CONTEXT: "what the pictures were taken of, or in what light",
}
#: each figure: its letter, its name, and what it says.
FIGURES = {
    "U": (
        "unique gain",
        "how much better the view tells the class than the rest of the picture alone, in nats an "
        "image, with its 95 % interval; z is the gain in its standard error",
    ),
    "Z": (
        "matched control",
        "how much more often the view tells the class than a view like it where nothing is "
        "expected (its mirror image, a ring further in), in standard errors",
    ),
    "M": (
        "two heaps",
        "how much better two heaps of images, with the cue and without, explain what the view says "
        "than one heap a class does; only then there is a list of images against the cue",
    ),
    "R": (
        "share of the whole",
        "how well the view alone tells the class, beside the whole picture: 1 is as well",
    ),
    "F": (
        "followed",
        "how much more often a network's decision becomes another class when the view is taken "
        "from an image of that class, than it changes when taken from one of the same class",
    ),
}
_USED: dict[bool | None, str] = {
    True: "followed by networks",
    False: "not followed by networks",
    None: "not tried on networks",
}
_TESTS = {
    "unique": "it tells more than the rest of the picture",
    "control": "it tells more than its matched control",
    "modes": "images fall into two heaps, with it and without",
    "apart": "no image contradicts it, and the classes lie further apart than content puts them",
    "ratio": "it alone tells nearly as much as the whole picture",
}
#: cues that are shown with pictures; of many targets there may be hundreds.
_MOST_CUES = 24


def audit_page(
    found: Audit, labelings: Sequence[Labeling], dataset: Dataset, run: Path | None = None
) -> str:
    """Return one HTML file that opens offline and runs nothing.

    Args:
        found: the audit.
        labelings: that it looked at, over all images of the data set.
        dataset: the images.
        run: path of the run directory that the page and the images' lists lie in; None where there
            is none, and then nothing is linked.
    """
    strips = Strips(dataset, labelings)
    names = file_names(found) if run is not None else {}
    present = [cue for cue in found.cues if cue.present]
    present, more = present[:_MOST_CUES], present[_MOST_CUES:]
    cues = [_card(cue, strips, names.get((cue.target, cue.view))) for cue in present]
    strongest = next((card for card in cues if not card["allowed"]), None)
    context = {
        "version": environment()["versions"]["taskdiscovery"],
        "found": found,
        "look": _LOOKS[found.verdict],
        "verdicts": _verdicts(found),
        "strongest": strongest,
        "cues": cues,
        "more": [[cue.view, cue.target, cue.class_name, _interval(cue.unique)] for cue in more],
        "absent": _absent(found),
        "legend": FIGURES,
        "todo": _todo(found, cues, cue_of_split(found, labelings), run),
        "tables": tables(found, strips),
        "command": auditcommands.again(found, run),
        "provenance": _provenance(found, dataset),
        "pictures": strips.shown,
        "height": strips.height,
        "aspect": strips.aspect,
        "sprites": strips.sprites(),
    }
    return render("audit.html.j2", context)


def _verdicts(found: Audit) -> list[Document]:
    """Return the verdict of each target with its classes, where there is more than one target."""
    return [
        {
            "target": target,
            "verdict": verdict,
            "look": _LOOKS[verdict],
            "classes": [
                {"name": name, "images": count}
                for name, count in found.classes.get(target, {}).items()
            ],
        }
        for target, verdict in found.verdicts.items()
    ]


def _card(cue: Cue, strips: Strips, name: str | None) -> Document:
    """Return what is shown of one cue that is present."""
    lists = {}
    if name is not None:
        lists = {side: f"{CUE_IMAGES}/{side}-{name}.csv" for side in (ALIGNED, CONFLICT)}
    return {
        "view": cue.view,
        "words": cue.words,
        "kind": cue.kind,
        "about": _KINDS[cue.kind],
        "target": cue.target,
        "class_name": cue.class_name,
        "classes": cue.classes,
        "allowed": cue.allowed,
        "used": "networks see pixels only" if cue.kind == FILE else _USED[cue.used],
        "place": _place(cue),
        "look": "bad" if (cue.used or cue.kind == FILE) and not cue.allowed else "",
        "reasons": [_TESTS.get(one, one) for one in cue.reasons],
        "figures": _figures(cue),
        "bars": _bars(cue),
        "boxes": strips.boxes(cue),
        "strips": strips.of(cue),
        "aligned_count": len(cue.aligned_rows),
        "conflict_count": len(cue.conflict_rows),
        "lists": lists,
        "remedy": cue.remedy,
    }


def _place(cue: Cue) -> str:
    """Say where a view without a box is seen."""
    if cue.kind == FILE:
        return "seen in the files, not in the pictures"
    return "" if cue.box else "the view is the whole picture"


def _figures(cue: Cue) -> list[Document]:
    """Return the figures of a cue by their letters."""
    values = {"U": f"{_interval(cue.unique)}, z {plain(cue.unique_z)}"}
    if cue.control_z is not None:
        values["Z"] = plain(cue.control_z)
    if cue.mode_gain is not None:
        more = [
            (cue.mode_distance, "{} deviations apart"),
            (cue.mode_difference, "shares differ by {}"),
        ]
        told = [words.format(plain(value)) for value, words in more if value is not None]
        values["M"] = ", ".join([plain(cue.mode_gain), *told])
    values["R"] = plain(cue.ratio)
    if cue.joint is not None:
        values["R"] += f"; it alone is right on {cue.joint:.0%} where all classes are told at once"
    if cue.follows is not None:
        values["F"] = _interval(cue.follows)
    return [
        {"letter": letter, "name": FIGURES[letter][0], "title": FIGURES[letter][1], "value": value}
        for letter, value in values.items()
    ]


def _bars(cue: Cue) -> list[Document]:
    """Return what networks do, as bars from 0 to 1; nothing where none was asked."""
    known = (
        ("F: decisions that follow the view", cue.follows, "bad" if cue.used else "random"),
        ("right where the cue agrees", cue.aligned, "good"),
        ("right where it is against", cue.conflict, "bad"),
    )
    return [
        bar(name, kind, (x.mean, x.low, x.high))
        for name, x, kind in known
        if x is not None and all(map(math.isfinite, (x.mean, x.low, x.high)))
    ]


def _absent(found: Audit) -> list[list[str]]:
    """Return rows of the cues that are not present, the strongest first."""
    return [
        [
            *(cue.view, cue.target, cue.class_name, _interval(cue.unique), plain(cue.unique_z)),
            *("" if cue.control_z is None else plain(cue.control_z), plain(cue.ratio)),
        ]
        for cue in found.cues
        if not cue.present
    ]


def _todo(found: Audit, cues: Sequence[Document], chosen: Cue | None, run: Path | None) -> Document:
    """Return remedies, lists of images, and the split with the commands that use it."""
    split = None
    if chosen is not None and run is not None:
        split = {
            "view": chosen.view,
            "target": chosen.target,
            "train": len(chosen.aligned_rows),
            "test": len(chosen.conflict_rows),
            "command": auditcommands.command_of_split(found, run),
            "python": auditcommands.python_of_split(run),
        }
    own = [cue for cue in cues if not cue["allowed"]]
    remedies = [cue for cue in own if cue["remedy"]]
    lists = [cue for cue in own if cue["lists"] and cue["conflict_count"]]
    return {"remedies": remedies, "lists": lists, "split": split}


def _provenance(found: Audit, dataset: Dataset) -> list[tuple[str, str]]:
    known = environment()
    versions = ", ".join(f"{name} {version}" for name, version in known["versions"].items())
    facts = [
        ("data", f"{found.data}, {len(dataset):,} images, {found.images:,} looked at"),
        ("fingerprint", dataset.fingerprint),
        ("networks", found.networks or "none were trained"),
        ("time", f"{found.seconds:.0f} s"),
        ("processor", f"{known.get('processor', '')}, {known.get('cpus', '')} cores"),
    ]
    return [*facts, ("versions", versions)]


def _interval(value: Interval) -> str:
    return f"{plain(value.mean)} ({plain(value.low)} to {plain(value.high)})"
