"""Does more data give more agreement?"""

from __future__ import annotations

from pathlib import Path

from experiments import figures, figures_conditions
from experiments.laboratory import Laboratory, as_labelings
from experiments.markdown import paragraphs, table
from experiments.paired import difference, told
from experiments.records import Row
from experiments.repeated import average, of_all, over_seeds
from experiments.study import Claim, Study, Verdict, found

SEEDS = (0, 1, 2)
IMAGES = (1000, 3000, 9000, 27_000)
#: divides all sizes, and is small enough for some hundred updates on the smallest.
BATCH = 250
EPOCHS = 6
#: images that pass six times in as many updates as all sizes have.
MIDDLE = 9000
EQUAL = ("updates", "epochs")


def run(lab: Laboratory, learner: str) -> Row:
    """Score the same labelings on more and more images: at equal updates, and at equal epochs."""
    tasks, _ = found(lab, learner)
    labelings = [*lab.human(2), *lab.random(1), *as_labelings(tasks, "power", 2)]
    rows = []
    for images in IMAGES:
        as_many_updates = EPOCHS * MIDDLE // images
        for equal, epochs in (("updates", as_many_updates), ("epochs", EPOCHS)):
            scored = [
                lab.scores(
                    f"sizes {learner} {images} in {epochs} epochs {seed}",
                    labelings,
                    seen_N=tasks.seen_N,
                    learner=learner,
                    train_images=images,
                    epochs=epochs,
                    batch=BATCH,
                    seed=seed,
                )
                for seed in SEEDS
            ]
            for row in over_seeds(scored):
                own = {"equal": equal, "train_images": images, "epochs": epochs}
                rows.append({**row, **own, "updates": epochs * images // BATCH})
    seeds = list(SEEDS)
    return {
        "learner": learner,
        "preset": f"quick, batches of {BATCH}",
        "seeds": seeds,
        "rows": rows,
    }


def tell(results: list[Row], place: Path) -> str:
    """Write AS and accuracy by size, and how far both move."""
    figures_conditions.sizes(results, place / "sizes.svg")
    parts = ["## Does more data give more agreement?", _HEAD]
    for result in results:
        images = _sizes(result)
        rows, trends = [], []
        for equal in EQUAL:
            for kind in figures.COLOURS:
                own = _of(result, equal, kind)
                cells = []
                for n in images:
                    here = [r for r in own if r["train_images"] == n]
                    cells.append(f"{average(here):.3f} / {average(here, 'accuracy'):.3f}")
                rows.append([f"equal {equal}", f"{len(own) // len(images)} {kind}", *cells])
            words = (
                f"{kind} {_moved_words(result, equal, kind)} and "
                f"{moved(result, equal, kind, 'accuracy'):+.3f}"
                for kind in figures.COLOURS
            )
            trends.append(
                f"`{result['learner']}`, at equal {equal}: AS and accuracy move, from the fewest "
                f"images to the most, by: {'; '.join(words)}."
            )
        seeds = len(result.get("seeds", [0]))
        head = [f"`{result['learner']}`, AS / accuracy, {_seeds(seeds)}", "labelings"]
        parts.append(table([*head, *(f"{n:,} images" for n in images)], rows))
        parts += trends
    unlike = [f"`{r['learner']}`" for r in results if moved(r, "updates", "random") < -FALLS]
    if unlike:
        parts.append(_UNLIKE.format(" and ".join(unlike)))
    parts.append("![agreement against training images](figures/sizes.svg)")
    return paragraphs(parts)


def _seeds(count: int) -> str:
    return "one seed" if count == 1 else f"mean of {count} seeds"


_HEAD = f"""
Every size twice: with as many updates as for {MIDDLE:,} images in six epochs (a thousand images
pass 54 times then, 27,000 twice), and with six epochs. In brackets a 95 % interval over seeds,
where there are several.
"""

#: said where random labels are agreed on more with the fewest images than with the most.
_UNLIKE = """
So more data does not simply give more agreement ({}): on few images, seen often, two networks agree
even on random labels, of which both were given the same, and need not be right. Where a few images
are all there is, AS says little of accuracy; compare it with that of random labels.
"""


def _sizes(result: Row) -> list[int]:
    return sorted({row["train_images"] for row in result["rows"]})


def _of(result: Row, equal: str, kind: str) -> list[Row]:
    return [r for r in result["rows"] if (r["equal"], r["kind"]) == (equal, kind)]


def moved(result: Row, equal: str, kind: str, value: str = "agreement") -> float:
    """Return the mean with the most images less that with the fewest."""
    own, images = _of(result, equal, kind), _sizes(result)
    most, fewest = ([r for r in own if r["train_images"] == n] for n in (images[-1], images[0]))
    return average(most, value) - average(fewest, value)


def _moved_words(result: Row, equal: str, kind: str) -> str:
    """Write by how much AS moves, with an interval over seeds where there are several."""
    own, images = _of(result, equal, kind), _sizes(result)
    if not all("by_seed" in row for row in own):
        return f"{moved(result, equal, kind):+.3f}"
    by_seed = [
        [sum(values) / len(values) for values in zip(*rows, strict=True)]
        for rows in (
            [r["by_seed"] for r in own if r["train_images"] == n] for n in (images[-1], images[0])
        )
    ]
    return told(difference(*by_seed))


#: bound of the first claim.
FALLS = 0.05


def _random_falls(result: Row) -> tuple[bool, str]:
    random, accuracy = moved(result, "updates", "random"), _accuracy(result)
    holds = random <= -FALLS and accuracy > 0
    return holds, f"AS of random labels {random:+.3f}, accuracy on human tasks {accuracy:+.3f}"


def _slower(result: Row) -> tuple[bool, str]:
    human, accuracy = moved(result, "updates", "human"), _accuracy(result)
    return human < accuracy, f"AS {human:+.3f}, accuracy {accuracy:+.3f}"


def _accuracy(result: Row) -> float:
    return moved(result, "updates", "human", "accuracy")


def judge(results: list[Row]) -> list[Verdict]:
    """Return what became of the claims."""
    return [of_all(results, own) for own in (_random_falls, _slower)]


CLAIMS = (
    Claim(
        text=f"More data does not simply give more agreement: from {IMAGES[0]:,} to "
        f"{IMAGES[-1]:,} images, at equal updates, AS of random labels falls by at least {FALLS} "
        "while accuracy on human tasks rises (one seed of `mlp` was known when this was stated, "
        "nothing of `convnet`)."
    ),
    Claim(
        text="At equal updates AS on human tasks gains less from more images than accuracy does "
        "(known then: as above)."
    ),
)

STUDY = Study(
    run=run,
    tell=tell,
    minutes=30,
    learners=("mlp", "convnet"),
    about="more data",
    claims=CLAIMS,
    judge=judge,
)
