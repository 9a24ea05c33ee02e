"""docs/results.md and its figures: from the newest result of every experiment, nothing else."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

from experiments import features_text, markdown, records, summary
from experiments.records import Row
from experiments.studies import STUDIES

DOCS = Path(__file__).parents[1] / "docs"
#: core-hours that all experiments together may take: five hours of two cores for the first, and
#: sixty for the inventory of what the paper has.
BUDGET = 70
#: on pages that are written by hand, between these stands what is made of results.
MARKS = ("<!-- made by python -m experiments page -->", "<!-- end -->")


def write() -> Path:
    """Write the page and its figures; return its path."""
    newest, place = records.newest(), DOCS / "results.md"
    sections: dict[str, tuple[list[Row], str]] = {}
    for name, study in STUDIES.items():
        order = {learner: i for i, learner in enumerate(study.learners)}
        results = sorted(
            newest.get(name, {}).values(), key=lambda r: order.get(r["learner"], len(order))
        )
        if results:
            sections[name] = (results, study.tell(results, DOCS / "figures"))
    waiting = [study.about for name, study in STUDIES.items() if name not in sections]
    parts = [
        _HEAD,
        summary.of_paper(STUDIES, sections),
        _METHOD,
        *(text for _, text in sections.values()),
        summary.of_ours(STUDIES, sections),
        f"Not run yet: {'; '.join(waiting)}." if waiting else "",
        _sources([result for results, _ in sections.values() for result in results]),
    ]
    place.write_text(markdown.paragraphs(parts) + "\n", "utf-8")
    if "features" in newest:
        insert(DOCS / "features.md", features_text.summary(list(newest["features"].values())))
    return place


def insert(place: Path, text: str) -> None:
    """Put a text between the marks of another page, if it has them."""
    known = place.read_text("utf-8") if place.exists() else ""
    if all(known.count(mark) == 1 for mark in MARKS):
        before, rest = known.split(MARKS[0])
        after = rest.split(MARKS[1])[1]
        place.write_text(f"{before}{MARKS[0]}\n{text}\n{MARKS[1]}{after}", "utf-8")


_HEAD = """
# Results

What Atanov et al. claim in *Task Discovery: Finding the Tasks that Neural Networks Generalize on*
(NeurIPS 2022, arXiv 2212.00261), and what this package measures: made by
`python -m experiments page` from the dated files in
[experiments/results](../experiments/results); the list at the end says which commit, machine and
command each came from.
"""

_METHOD = """
## How it was measured

CIFAR-10 (our copy is JPEG re-encoded: accuracies sit a few points under published ones), learners
as named. `quick` is at most 15,000 training images and six epochs, and `paper` the published
protocol (45,000 images, 100 epochs). AS is the agreement of two runs on 5,000 images that neither
has seen. Published numbers are the paper's, and of the labels published with it.

A human task here is one of the 126 ways to cut ten classes five against five: the seven core ones
of the paper, and others drawn at random (seed 0). Random labels have the class rates of a human
task. Discovered tasks are binary. Intervals are 95 %, paired where two things were measured on the
same labelings or seeds; a claim about several learners *holds* where it holds for each, and
*differs* where for some.
"""


def _sources(told: list[Row]) -> str:
    """List what every number came from, and what it took together."""
    rows, spent, slow, card = [], 0.0, 0.0, 0.0
    for result in told:
        about, precisions = result["environment"], _precisions(result)
        rows.append(
            [
                f"[{result['file']}](../experiments/results/{result['file']})",
                f"`{about['commit']}`",
                ", ".join([_machine(about), *precisions]),
                f"`python -m experiments {' '.join(about['arguments'])}`",
            ]
        )
        seconds = max(result["sitting_seconds"], _seconds(result))
        if on_card(about["arguments"]):
            card += seconds / 60
            continue
        hours = about["cpus"] * seconds / 3600
        spent += hours
        slow += hours if precisions == ["float32"] else 0.0
    for known in filter(None, map(records.benchmark, ("compare", "core-splits"))):
        rows.append(
            [
                f"[{known['file']}](../benchmarks/results/{known['file']})",
                f"added by `{records.landed(records.BENCHMARKS / known['file'])}`",
                _machine(known["environment"]),
                "see the file",
            ]
        )
    return markdown.paragraphs(
        [
            "## Where every number comes from",
            markdown.table(["file", "commit", "machine", "command"], rows),
            budget(spent, slow),
            f"Of a GPU, beside these: {card:.0f} minutes." if card else "",
        ]
    )


def on_card(arguments: list[str]) -> bool:
    """Say whether an experiment was given a GPU: `--device cuda`."""
    return any(
        name == "--device" and value.startswith("cuda")
        for name, value in itertools.pairwise(arguments)
    )


def budget(hours: float, slow: float) -> str:
    """Compare core-hours with the budget; `slow` of them were in float32."""
    kept = (
        f"within their budget of {BUDGET}."
        if hours <= BUDGET
        else f"beyond their budget of {BUDGET}. At least {slow:.1f} of them were in float32, on a "
        "processor that does not multiply bf16 itself."
    )
    return (
        f"All experiments together: at most {hours:.1f} core-hours (the seconds of a file count "
        f"for every core of its machine, also where one was used), {kept}"
    )


def _machine(about: Row) -> str:
    return f"{about['cpus']} × {about['processor']}, torch {about['versions']['torch']}"


def _precisions(result: Row) -> list[str]:
    rows = next((r["rows"] for r in result["rows"] if "rows" in r), result["rows"])
    return sorted({row["precision"] for row in rows if "precision" in row})


def _seconds(value: Any) -> float:
    """Return the sum of all seconds that a document tells of."""
    if isinstance(value, list):
        return sum(map(_seconds, value))
    if not isinstance(value, dict):
        return 0.0
    own = value.get("seconds", 0.0)
    return float(own) + sum(_seconds(v) for k, v in value.items() if k != "seconds")
