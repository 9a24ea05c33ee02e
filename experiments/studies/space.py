"""The task space: all labelings of all studies in the plane of agreement and accuracy.

Two networks with errors ε₁ and ε₂ agree on at least 1 - ε₁ - ε₂ of the images, so accuracy is at
most (1 + AS) / 2, on any images, of any labels. Nothing is trained here: the points are those of
the newest records.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from experiments import figures_tasks, records
from experiments.judging import word
from experiments.laboratory import Laboratory
from experiments.markdown import paragraphs, table
from experiments.points import Point, gathered
from experiments.records import Row
from experiments.study import Claim, Study, Verdict

#: what agreements were rounded to, at the worst.
ROUNDED = 2e-4
FIELDS = ("agreement", "accuracy", "high")


def run(lab: Laboratory, learner: str) -> Row:
    """Gather the points of all newest records but its own."""
    newest = records.newest()
    documents = [own for name, all_ in newest.items() if name != "space" for own in all_.values()]
    points = gathered(documents)
    return {
        "learner": learner,
        "files": sorted(own["file"] for own in documents if gathered([own])),
        "rows": [
            {"learner": name, "families": _families([p for p in points if p.learner == name])}
            for name in dict.fromkeys(p.learner for p in points)
        ],
    }


def _families(points: list[Point]) -> dict[str, str]:
    """Return the points by family: FIELDS in ten-thousandths, `9123/8700/9201`, one a word."""
    found: dict[str, list[str]] = {}
    for point in points:
        values = (round(10_000 * getattr(point, name)) for name in FIELDS)
        found.setdefault(point.family, []).append("/".join(map(str, values)))
    return {family: " ".join(words) for family, words in found.items()}


def points_of(result: Row) -> list[Point]:
    """Return the points of a record of this study."""
    return [
        Point(
            source="space",
            learner=row["learner"],
            family=family,
            **{n: int(v) / 10_000 for n, v in zip(FIELDS, text.split("/"), strict=True)},
        )
        for row in result["rows"]
        for family, words in row["families"].items()
        for text in words.split()
    ]


def above(points: list[Point]) -> tuple[int, int]:
    """Return how many points lie above the bound, and above that of their interval's upper end."""
    over = [point for point in points if point.room < -ROUNDED]
    return len(over), sum(p.accuracy > (1 + p.high) / 2 + ROUNDED for p in over)


def between(points: list[Point]) -> float:
    """Return the share of points whose AS exceeds accuracy by LEAST to MOST."""
    gaps = np.array([p.agreement - p.accuracy for p in points if p.family in ORDINARY])
    return float(((gaps >= LEAST) & (gaps <= MOST)).mean()) if len(gaps) else float("nan")


def tell(results: list[Row], place: Path) -> str:
    """Draw the plane; count points, and those above the bound, by learner."""
    points = points_of(results[0])
    figures_tasks.plane(points, place / "space.svg")
    rows = []
    for learner, count in Counter(p.learner for p in points).most_common():
        own = [p for p in points if p.learner == learner]
        room = [p.room for p in own]
        gaps = [p.agreement - p.accuracy for p in own if p.family in ORDINARY]
        over, beyond = above(own)
        rows.append(
            [
                f"`{learner}`",
                count,
                f"{over} ({beyond})",
                f"{min(room):.3f}",
                f"{np.median(room):.3f}",
                f"{np.mean(gaps):+.3f} ({min(gaps):+.3f} to {max(gaps):+.3f})" if gaps else "–",
            ]
        )
    head = ["learner", "points", "above the bound (beyond the interval)", "least room"]
    head += ["median room", "AS less accuracy of human, published and discovered tasks"]
    return paragraphs(
        [
            "## The task space: agreement and accuracy",
            _told(points, len(results[0]["files"])),
            table(head, rows),
            "![accuracy against agreement of all labelings](figures/space.svg)",
        ]
    )


def _told(points: list[Point], files: int) -> str:
    """Say what the plane is, and what lies at its rims."""
    over, beyond = above(points)
    lowest = min(points, key=lambda p: p.accuracy - p.agreement)
    return (
        f"{len(points):,} points from {files} records: each a labeling, a learner and images on "
        "which both agreement and accuracy were measured. Two networks that are both right agree, "
        "so accuracy is at most (1 + AS)/2 (black line), whatever the labels and the images. That "
        f"is arithmetic, and a point above it would be an error of ours: {over} lie above it, "
        f"{beyond} beyond the interval of their AS. The room below the line is the share of images "
        "that both runs get wrong (of several classes, those wrong in two ways count half). From "
        f"below AS bounds nothing: the farthest point (`{lowest.learner}`, {lowest.family}) has AS "
        f"{lowest.agreement:.3f} and accuracy {lowest.accuracy:.3f}. `Other images` are corrupted "
        "ones, and those of a test that breaks a bias. Dashed: accuracy equal to AS."
    )


#: families of labelings that are learnt and measured on images of one kind.
ORDINARY = ("human", "discovered", "published")
LEAST, MOST, SHARE = -0.05, 0.15, 0.9

CLAIMS = (
    Claim(
        text="No labeling of any record lies above accuracy ≤ (1 + AS)/2 beyond rounding, for any "
        "learner."
    ),
    Claim(
        text=f"AS less accuracy lies between {LEAST} and {MOST} for at least {SHARE:.0%} of human, "
        "published and discovered tasks that are measured on images like those of the training, "
        "for every learner."
    ),
)


def judge(results: list[Row]) -> list[Verdict]:
    """Say of each claim what became of it, over all learners of the records."""
    points = points_of(results[0])
    learners = dict.fromkeys(p.learner for p in points if p.family in ORDINARY)
    shares = {name: between([p for p in points if p.learner == name]) for name in learners}
    over, beyond = above(points)
    least = min(shares, key=lambda name: shares[name])
    return [
        Verdict(
            word=word([over == 0]),
            ours=f"{over} of {len(points):,} points above, {beyond} beyond their interval",
        ),
        Verdict(
            word=word([share >= SHARE for share in shares.values()]),
            ours=f"{between(points):.1%} of all; least for `{least}`, {shares[least]:.1%}",
        ),
    ]


STUDY = Study(
    run=run,
    tell=tell,
    minutes=1,
    learners=("all",),
    about="all labelings in the plane of agreement and accuracy",
    claims=CLAIMS,
    judge=judge,
)
