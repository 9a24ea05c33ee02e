"""Tasks found for one architecture, scored with another: a square table."""

from __future__ import annotations

from pathlib import Path

from experiments.judging import verdict
from experiments.laboratory import Laboratory, as_labelings, mean
from experiments.markdown import paragraphs, table
from experiments.records import Row
from experiments.study import SQUARE, Claim, Study, Verdict, found


def run(lab: Laboratory, learner: str) -> Row:
    """Score tasks found for each architecture with this one."""
    labelings, seen_N = [], None
    for other in SQUARE:
        tasks, _ = found(lab, other)
        assert tasks.seen_N is not None
        seen_N = tasks.seen_N if seen_N is None else seen_N & tasks.seen_N
        labelings += as_labelings(tasks, _kind(other), 3)
    rows = lab.scores(f"architectures {learner}", labelings, seen_N=seen_N, learner=learner)
    kinds = {other: mean(rows, _kind(other)) for other in SQUARE}
    return {"learner": learner, "preset": "quick", "found_for": kinds, "rows": rows}


def _kind(learner: str) -> str:
    return learner.partition("?")[0]


def tell(results: list[Row], place: Path) -> str:
    """Write the square table, and how each learner's own tasks fare."""
    columns = list(results[0]["found_for"])
    rows = [
        [
            f"`{result['learner']}`",
            *(f"{result['found_for'][other]['mean']:.3f}" for other in columns),
        ]
        for result in results
    ]
    return paragraphs(
        [
            "## Architectures differ",
            "Rows: the learner that is trained (scored as in the first table). Columns: the "
            "learner that the tasks (three each, spread over their order) were found for. Mean AS.",
            table(["trained", *(f"found for `{c}`" for c in columns)], rows),
            *(_at_home(result) for result in results),
        ]
    )


def _at_home(result: Row) -> str:
    """Say how a learner's own tasks fare beside those of the others."""
    own = result["found_for"][result["learner"]]["mean"]
    others = {k: v["mean"] for k, v in result["found_for"].items() if k != result["learner"]}
    ahead = ", ".join(f"{own - mean:+.3f} beside those of `{k}`" for k, mean in others.items())
    return f"`{result['learner']}` on the tasks that were found for it: {ahead}."


CLAIMS = (
    Claim(
        text="Tasks reflect the bias of the architecture that they were found for: it agrees on "
        "them more than on those of others",
        paper=True,
    ),
)


def judge(results: list[Row]) -> list[Verdict]:
    """Compare each learner's own tasks with those of the others."""
    cases = []
    for result in results:
        own = result["found_for"][result["learner"]]["mean"]
        others = [v["mean"] for k, v in result["found_for"].items() if k != result["learner"]]
        said = f"`{result['learner']}` {own:.3f} beside {max(others):.3f} at most"
        cases.append((own > max(others), said))
    return [verdict(cases)]


STUDY = Study(
    run=run,
    tell=tell,
    minutes=45,
    learners=SQUARE,
    about="tasks of one scored with another",
    claims=CLAIMS,
    judge=judge,
)
