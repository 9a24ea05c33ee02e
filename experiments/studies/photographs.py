"""Four hundred photographs: features of an untrained network, and what they can carry."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from experiments.laboratory import Laboratory, as_labelings
from experiments.markdown import paragraphs, table, with_interval
from experiments.records import Row
from experiments.study import Study

RUNS = 5


def run(lab: Laboratory, learner: str) -> Row:
    """Score tasks of an untrained network beside half of the classes and random labels."""
    dataset = lab.dataset
    tasks, result = lab.tasks(f"photographs {learner}", learner=learner, tasks=4, method="spectral")
    assert dataset.labels is not None
    half = len(dataset.classes) // 2
    human = lab.binary("human 0", (dataset.labels < half).astype(np.int64))
    rng = np.random.default_rng(0)
    chance = lab.binary("random 0", rng.permutation(human.labels_N))
    rows = lab.scores(
        f"photographs {learner}",
        [human, chance, *as_labelings(tasks, "spectral")],
        seen_N=tasks.seen_N,
        learner=learner,
        runs=RUNS,
        epochs=30,
        batch=64,
    )
    return {
        "learner": learner,
        "preset": "quick, 30 epochs, batches of 64, five runs",
        "images": len(dataset),
        "similarity": result["similarity"],
        "rows": rows,
    }


def tell(results: list[Row], place: Path) -> str:
    """Write the scores, and what can and cannot be said of so few images."""
    parts = ["## Four hundred photographs"]
    for result in results:
        rows = [
            [
                row["task"],
                with_interval(row),
                "–" if row["kappa"] is None else f"{row['kappa']:.2f}",
            ]
            for row in result["rows"]
        ]
        parts += [
            f"Too few to train on from pixels: the intervals say so. {result['images'] // 10} test "
            f"images; {result['rows'][0]['runs']} runs.",
            table([f"`{result['learner']}`", "AS", "κ"], rows),
            _what_can_be_said(result),
        ]
    return paragraphs(parts)


def _what_can_be_said(result: Row) -> str:
    """Compare discovered tasks with human and random labels, by their intervals."""
    rows = result["rows"]
    own = [row for row in rows if row["kind"] == "spectral"]
    lines = []
    for kind in ("random", "human"):
        other = next(row for row in rows if row["kind"] == kind)
        clear = sum(row["low"] > other["high"] for row in own)
        lines.append(f"{clear} of {len(own)} lie wholly above {kind} labels")
    side = (result["images"] - result["images"] // 10) // 2
    return (
        f"What can be said: of the tasks found in the features of the untrained network, "
        f"{' and '.join(lines)}. What cannot: which of them is best, what they would score with "
        f"more images, or anything about a split, whose sides would have about {side} images. With "
        "features of a network of your own, from a file, the same path is `discover --method meta "
        "--features FILE`."
    )


STUDY = Study(run=run, tell=tell, minutes=3, learners=("mlp",), about="four hundred photographs")
