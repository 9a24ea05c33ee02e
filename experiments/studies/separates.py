"""AS separates labelings, and discovered tasks beat human ones."""

from __future__ import annotations

import math
from operator import itemgetter
from pathlib import Path

from scipy.stats import sem

from experiments import figures
from experiments.judging import verdict
from experiments.laboratory import Laboratory, as_labelings, mean
from experiments.markdown import paragraphs, span, table, with_interval
from experiments.published import PUBLISHED
from experiments.records import Row, result_path
from experiments.study import ALL, SIZES, Claim, Study, Verdict, found, search

#: how far above human labels the tasks of `power` are claimed to be, and how dissimilar.
ABOVE, SIMILARITY = 0.15, 0.52


def run(lab: Laboratory, learner: str) -> Row:
    """Score human, random and discovered labelings; picture the best and the worst task."""
    size = SIZES[learner]
    tasks, result = found(lab, learner)
    name = search(learner, size.tasks)
    labelings = {
        "human": lab.human(size.human),
        "random": lab.random(size.random),
        "power": as_labelings(tasks, "power", size.scored),
    }
    rows = []
    for kind, own in labelings.items():
        rows += lab.scores(journal(learner, kind), own, seen_N=tasks.seen_N, learner=learner)
    kinds = {kind: mean(rows, kind) for kind in labelings}
    power = sorted((row for row in rows if row["kind"] == "power"), key=itemgetter("agreement"))
    verdicts = lab.verdicts(name)
    pictured = []
    for which, row in (("best", power[-1]), ("worst", power[0])):
        at = int(row["task"].split()[1])
        place = result_path(f"separates-{which}", learner, "webp")
        figures.extremes(tasks, at, place)
        known = {key: row[key] for key in ("task", "agreement", "low", "high")}
        pictured.append({"which": which, **known, "verdict": verdicts[at], "image": place.name})
    return {
        "learner": learner,
        "preset": "quick",
        "tasks": size.tasks,
        "pictured": pictured,
        "kinds": kinds,
        "power_above_human": round(kinds["power"]["mean"] - kinds["human"]["mean"], 4),
        "similarity": result["similarity"],
        "search": {"iterations": result["iterations"], **lab.cost(name)},
        "rows": rows,
    }


def journal(learner: str, kind: str) -> str:
    """Name the journal of the labelings of a kind: each has its own, so that any may grow."""
    return f"separates {learner} {kind}"


def tell(results: list[Row], place: Path) -> str:
    """Write the table of kinds, why the claim fails where it does, and the pictures."""
    figures.kinds(results, place / "separates.svg")
    rows = []
    for result in results:
        kinds, alike = result["kinds"], result["similarity"]["mean"]
        above = result["power_above_human"]
        rows.append(
            [
                f"`{result['learner']}`",
                f"{result['preset']}, {result['rows'][0]['precision']}",
                *(f"{kinds[k]['tasks']}: {span(kinds[k])}" for k in ("human", "random", "power")),
                result["tasks"],
                f"{above:+.3f} ± {error_of_difference(result):.3f}"
                + ("" if above >= ABOVE else " (claim fails)"),
                f"{alike:.3f}" + ("" if alike <= SIMILARITY else f" (above {SIMILARITY})"),
            ]
        )
    head = ["learner", "preset", "human", "random", "`power`", "of d", "above human", "similarity"]
    published = [[name, *(f"{v:.3f}" for v in values)] for name, values in PUBLISHED.items()]
    return paragraphs(
        [
            "## AS separates labelings, and discovered tasks beat human ones",
            f"Number of tasks, then mean AS (least to greatest). Claimed: `power` is at least "
            f"{ABOVE} above human labels, at a mean similarity of at most {SIMILARITY}. The ± is "
            "the standard error over the labelings that were scored, within which a claim that "
            "holds may still fail.",
            table(head, rows),
            *(_missed(result) for result in results if result["power_above_human"] < ABOVE),
            "![agreement scores by kind of task and learner](figures/separates.svg)",
            "Published, preset `paper`, for comparison of the order of magnitude only:",
            table(["tasks found for", "mean AS", "least", "greatest"], published),
            "### The best and the worst of them",
            "By AS. Upper half: the test images farthest on one side; lower half: on the other. "
            "Below each what `taskdiscovery analyze` says of it.",
            *(_pictured(result) for result in results),
        ]
    )


def error_of_difference(result: Row) -> float:
    """Return the standard error of `power`'s mean above that of human labels, over labelings."""
    return math.hypot(
        *(
            sem([row["agreement"] for row in result["rows"] if row["kind"] == kind])
            for kind in ("human", "power")
        )
    )


def _missed(result: Row) -> str:
    """Say how far the claim is out of reach, and why."""
    human, power = result["kinds"]["human"]["mean"], result["kinds"]["power"]
    return (
        f"Why it fails for `{result['learner']}`: two of these networks agree on {human:.3f} of "
        f"the images under human labels already, so {ABOVE} more would be {human + ABOVE:.3f} in "
        f"the mean, where the best single task scores {power['max']:.3f}. What is left of the "
        f"disagreement, {1 - human:.3f}, is cut by {(power['mean'] - human) / (1 - human):.0%}."
    )


def _pictured(result: Row) -> str:
    parts = []
    for own in result["pictured"]:
        title = f"`{result['learner']}`, {own['which']} of {result['kinds']['power']['tasks']}"
        parts.append(f"**{title}** ({own['task']}): AS {with_interval(own)}; it {own['verdict']}.")
        alt = f"images on both sides of the {own['which']} task of {result['learner']}"
        parts.append(f"![{alt}](../experiments/results/{own['image']})")
    return paragraphs(parts)


CLAIMS = (
    Claim(text="Two networks agree more on human labels than on random ones", paper=True),
    Claim(text="There are tasks, hardly alike, of a higher AS than human labels have", paper=True),
    Claim(
        text=f"`power` is at least {ABOVE} above human labels, at a mean similarity of at most "
        f"{SIMILARITY}"
    ),
)


def judge(results: list[Row]) -> list[Verdict]:
    """Compare the kinds of labelings, learner by learner."""
    apart, above, claimed = [], [], []
    for result in results:
        kinds, learner = result["kinds"], f"`{result['learner']}`"
        human, random, power = (kinds[kind] for kind in ("human", "random", "power"))
        means = f"{human['mean']:.3f} / {random['mean']:.3f}"
        apart.append((human["min"] > random["max"], f"{learner} {means}"))
        gain, alike = result["power_above_human"], result["similarity"]["mean"]
        clear = power["min"] > human["max"]
        above.append(
            (
                gain > 2 * error_of_difference(result),
                f"{learner} {power['mean']:.3f}" + (", every one of them" if clear else ""),
            )
        )
        claimed.append((gain >= ABOVE and alike <= SIMILARITY, f"{learner} {gain:+.3f}"))
    return [verdict(apart), verdict(above), verdict(claimed)]


STUDY = Study(
    run=run,
    tell=tell,
    minutes=130,
    learners=ALL,
    about="AS separates tasks; discovered beat human",
    claims=CLAIMS,
    judge=judge,
)
