"""Does more data give more agreement?"""

from __future__ import annotations

from pathlib import Path

from experiments import figures
from experiments.laboratory import Laboratory, as_labelings
from experiments.markdown import paragraphs, table
from experiments.records import Row
from experiments.study import Study, found

IMAGES = (1000, 3000, 9000, 27_000)
#: divides all sizes, and is small enough for some hundred updates on the smallest.
BATCH = 250
EPOCHS = 6


def run(lab: Laboratory, learner: str) -> Row:
    """Score the same labelings on more and more images: at equal updates, and at equal epochs."""
    tasks, _ = found(lab, learner)
    labelings = [*lab.human(2), *lab.random(1), *as_labelings(tasks, "power", 2)]
    rows = []
    for images in IMAGES:
        as_many_updates = EPOCHS * 9000 // images
        for equal, epochs in (("updates", as_many_updates), ("epochs", EPOCHS)):
            name = f"sizes {learner} {images} in {epochs} epochs"
            for row in lab.scores(
                name,
                labelings,
                seen_N=tasks.seen_N,
                learner=learner,
                train_images=images,
                epochs=epochs,
                batch=BATCH,
            ):
                own = {"equal": equal, "train_images": images, "epochs": epochs}
                rows.append({**row, **own, "updates": epochs * images // BATCH})
    return {"learner": learner, "preset": f"quick, batches of {BATCH}", "rows": rows}


def tell(results: list[Row], place: Path) -> str:
    """Write AS and accuracy by size, and how far both move."""
    figures.sizes(results, place / "sizes.svg")
    parts = ["## Does more data give more agreement?", _HEAD]
    for result in results:
        images = sorted({row["train_images"] for row in result["rows"]})
        rows, trends = [], []
        for equal in ("updates", "epochs"):
            gained = {}
            for kind in figures.COLOURS:
                own = [r for r in result["rows"] if (r["equal"], r["kind"]) == (equal, kind)]
                means = [_agreement_and_accuracy(own, n) for n in images]
                cells = (f"{agreement:.3f} / {accuracy:.3f}" for agreement, accuracy in means)
                rows.append([f"equal {equal}", f"{len(own) // len(images)} {kind}", *cells])
                gained[kind] = (means[-1][0] - means[0][0], means[-1][1] - means[0][1])
            words = (f"{kind} {a:+.3f} and {b:+.3f}" for kind, (a, b) in gained.items())
            trends.append(
                f"At equal {equal}, AS and accuracy move, from the fewest images to the most, by: "
                f"{'; '.join(words)}."
            )
            if equal == "updates" and gained["random"][0] < -0.05:
                trends.append(_UNLIKE)
        head = [f"`{result['learner']}`, AS / accuracy", "labelings"]
        parts.append(table([*head, *(f"{n:,} images" for n in images)], rows))
        parts += trends
    parts.append("![agreement against training images](figures/sizes.svg)")
    return paragraphs(parts)


_HEAD = """
Every size twice: with as many updates as for 9,000 images in six epochs (a thousand images pass 54
times then, 27,000 twice), and with six epochs.
"""

#: said where random labels are agreed on more with the fewest images than with the most.
_UNLIKE = """
So more data does not simply give more agreement. On few images two networks agree even on random
labels, of which both were given the same, and need not be right. Where a few images are all there
is, AS says little of accuracy; compare it with that of random labels.
"""


def _agreement_and_accuracy(rows: list[Row], images: int) -> tuple[float, float]:
    """Return the means of the rows with so many training images."""
    here = [row for row in rows if row["train_images"] == images]
    agreement, accuracy = (sum(r[k] for r in here) / len(here) for k in ("agreement", "accuracy"))
    return agreement, accuracy


STUDY = Study(run=run, tell=tell, minutes=10, learners=("mlp",), about="more data")
