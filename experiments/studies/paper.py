"""Like for like: four of 32 tasks by the published protocol."""

from __future__ import annotations

from pathlib import Path

from scipy.stats import sem

from experiments.judging import verdict
from experiments.laboratory import Laboratory, as_labelings, mean
from experiments.markdown import paragraphs, table, with_interval
from experiments.published import PUBLISHED
from experiments.records import Row
from experiments.study import Claim, Study, Verdict, found


def run(lab: Laboratory, learner: str) -> Row:
    """Score tasks, spread over their order, at preset `paper`."""
    tasks, result = found(lab, learner, 32)
    rows = lab.scores(
        f"paper {learner}",
        as_labelings(tasks, "power", 4),
        seen_N=tasks.seen_N,
        learner=learner,
        preset="paper",
    )
    return {
        "learner": learner,
        "preset": "paper",
        "kinds": {"power": mean(rows, "power")},
        "similarity": result["similarity"],
        "rows": rows,
    }


def tell(results: list[Row], place: Path) -> str:
    """Write the tasks' scores and the published mean beside them."""
    parts = [
        "## Like for like: the MLP at preset `paper`",
        "Tasks of `power`, spread over their order of held-out correlation; the published mean is "
        "over all tasks of the published search, on the original images.",
    ]
    for result in results:
        rows = [
            [
                row["task"],
                with_interval(row),
                f"{row['kappa']:.2f}",
                f"{row['accuracy']:.3f}",
                f"{row['seconds'] / 60:.0f} min",
            ]
            for row in result["rows"]
        ]
        head = [f"`{result['learner']}`", "AS", "κ", "accuracy", "two runs, one core"]
        parts += [table(head, rows), _beside_published(result)]
    return paragraphs(parts)


def _beside_published(result: Row) -> str:
    """Compare the mean with the published one, as far as a few tasks can."""
    own, (mean, least, greatest) = result["kinds"]["power"], PUBLISHED["MLP, d = 32"]
    error = sem([row["agreement"] for row in result["rows"]])
    return (
        f"In the mean {own['mean']:.3f}, with a standard error over the {own['tasks']} tasks of "
        f"{error:.3f}; published {mean:.3f} ({least:.3f} to {greatest:.3f}): "
        + ("above it" if own["mean"] > mean else "the claim to be above it fails")
        + f", by {own['mean'] - mean:+.3f}, at a similarity of "
        f"{result['similarity']['mean']:.3f} in the mean and {result['similarity']['max']:.3f} at "
        "most."
    )


CLAIMS = (
    Claim(
        text="The published search for an MLP (d = 32) finds tasks of AS "
        f"{PUBLISHED['MLP, d = 32'][0]} (preset `paper`)",
        paper=True,
    ),
)


def judge(results: list[Row]) -> list[Verdict]:
    """Set the mean of those scored beside the published one."""
    cases = []
    for result in results:
        own, published = result["kinds"]["power"]["mean"], PUBLISHED["MLP, d = 32"][0]
        cases.append((own >= published, f"`power`: {own:.3f} ({own - published:+.3f})"))
    return [verdict(cases)]


STUDY = Study(
    run=run,
    tell=tell,
    minutes=40,
    learners=("mlp",),
    about="the published protocol",
    claims=CLAIMS,
    judge=judge,
)
