"""Beyond colour: what is left when image statistics, and labels, are projected out."""

from __future__ import annotations

from pathlib import Path

from experiments.laboratory import Laboratory, as_labelings, mean
from experiments.markdown import paragraphs, span, table
from experiments.records import Row
from experiments.study import Study, found, search

STAGES: dict[str, dict[str, str]] = {
    "nothing": {},
    "brightness, colour, contrast, saturation": {
        "exclude": "brightness,colour,contrast,saturation"
    },
    "and labels": {"exclude": "label,brightness,colour,contrast,saturation"},
    "within each class": {"within": "label"},
}


def run(lab: Laboratory, learner: str) -> Row:
    """Search after each projection; score four of eight tasks and keep their verdicts."""
    rows: list[Row] = []
    for name, more in STAGES.items():
        tasks, result = found(lab, learner, 8, **more)
        verdicts = lab.verdicts(search(learner, 8, **more))
        chosen = as_labelings(tasks, "power", 4)
        scores = lab.scores(
            f"beyond {learner} {name}", chosen, seen_N=tasks.seen_N, learner=learner
        )
        rows.append(
            {
                "removed": name,
                "agreement": mean(scores, "power"),
                "excluded": result.get("excluded", {}),
                "similarity": result["similarity"],
                "verdicts": [verdicts[int(task.name.split()[1])] for task in chosen],
                "rows": scores,
            }
        )
    return {"learner": learner, "preset": "quick", "rows": rows}


def tell(results: list[Row], place: Path) -> str:
    """Write AS after each projection, and what the best task is about then."""
    parts = [
        "## Beyond colour",
        "What `power` finds when something is projected out or held fixed: eight tasks, four of "
        "them scored.",
    ]
    for result in results:
        rows = []
        for stage in result["rows"]:
            left = stage["excluded"].get("explained_on_test", {})
            rows.append(
                [
                    stage["removed"],
                    span(stage["agreement"]),
                    f"{left['mean']:.3f}" if left else "–",
                    f"{stage['similarity']['mean']:.3f}",
                ]
            )
        head = [f"`{result['learner']}`, removed", "AS", "still explained on test images"]
        parts.append(table([*head, "similarity"], rows))
        lines = []
        for stage in result["rows"]:
            best = max(range(len(stage["rows"])), key=lambda i: stage["rows"][i]["agreement"])
            lines.append(
                f"- **{stage['removed']}**, best of those scored "
                f"({stage['rows'][best]['agreement']:.3f}): {stage['verdicts'][best]}"
            )
        parts.append("\n".join(lines))
    return paragraphs(parts)


STUDY = Study(run=run, tell=tell, minutes=20, learners=("mlp",), about="beyond colour")
