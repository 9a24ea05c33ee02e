"""Does AS tell accuracy? Over human tasks, and some of them with flipped labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from experiments import figures
from experiments.judging import verdict
from experiments.laboratory import Laboratory, flipped
from experiments.markdown import paragraphs, table
from experiments.records import Row
from experiments.studies import separates
from experiments.study import SIZES, Claim, Study, Verdict

SHARES = (0.05, 0.1, 0.2, 0.3, 0.4)


def run(lab: Laboratory, learner: str) -> Row:
    """Correlate agreement with accuracy."""
    human = lab.human(SIZES[learner].human)
    noisy = [flipped(human[i], share) for i in (0, 3) for share in SHARES]
    # The human ones are those of `separates`, on the same images.
    rows = lab.scores(separates.journal(learner, "human"), human, learner=learner)
    rows += lab.scores(f"accuracy {learner}", noisy, learner=learner)
    pairs = np.array([[row["agreement"], row["accuracy"]] for row in rows])
    return {
        "learner": learner,
        "preset": "quick",
        "spearman": round(float(spearmanr(pairs[:, 0], pairs[:, 1]).statistic), 4),
        "largest_gap": round(float(np.abs(pairs[:, 0] - pairs[:, 1]).max()), 4),
        "rows": rows,
    }


def tell(results: list[Row], place: Path) -> str:
    """Write the correlation, and draw it."""
    figures.accuracy(results, place / "accuracy.svg")
    rows = [
        [f"`{r['learner']}`", len(r["rows"]), f"{r['spearman']:.3f}", f"{r['largest_gap']:.3f}"]
        for r in results
    ]
    return paragraphs(
        [
            "## Does AS tell accuracy?",
            f"Human tasks, and two of them with {SHARES[0]:.0%} to {SHARES[-1]:.0%} of their "
            "labels flipped.",
            table(["learner", "labelings", "Spearman", "largest gap"], rows),
            "![test accuracy against agreement](figures/accuracy.svg)",
        ]
    )


CLAIMS = (Claim(text="AS rises with test accuracy: it is a proxy of generalization", paper=True),)


def judge(results: list[Row]) -> list[Verdict]:
    """Take the rank correlation over human labelings, some with flipped labels."""
    return [
        verdict(
            [
                (
                    result["spearman"] >= 0.8,
                    f"`{result['learner']}`: Spearman {result['spearman']:.2f}; but AS is up to "
                    f"{result['largest_gap']:.2f} above accuracy",
                )
                for result in results
            ]
        )
    ]


STUDY = Study(
    run=run,
    tell=tell,
    minutes=10,
    learners=("mlp",),
    about="does AS tell accuracy?",
    claims=CLAIMS,
    judge=judge,
)
