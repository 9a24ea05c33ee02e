"""How the study of frozen features is told, and what was claimed of it.

Claimed before the first run, for 16 tasks at |φ| ≤ 0.5 (`CLAIMS`), in the mean of three seeds: a
least BA, a least number of distinct attributes that tasks reach, a least AS; a BA at least 0.06
above that of `power`, and above every peer's with an interval that excludes 0.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from experiments import figures, ways
from experiments.judging import verdict as judged
from experiments.markdown import paragraphs, table
from experiments.records import Row
from experiments.study import Claim, Verdict

#: by set of attributes: least BA, attributes that are reached, AS.
CLAIMS = {"bar": (0.82, 8, 0.95), "cifar10": (0.80, 8, 0.94), "tiny-imagenet": (0.77, 8, 0.94)}
ABOVE_POWER = 0.06


def tell(results: list[Row], place: Path) -> str:
    """Write for each data set what was claimed, the table of ways, and who wins where we do not."""
    figures.ways(results, place / "features.svg")
    return paragraphs(
        [
            "## Frozen features: tasks that follow what people see",
            _legend(results[0]),
            *(_set(result) for result in results),
            "![balanced accuracy of tasks by way](figures/features.svg)",
        ]
    )


def _legend(result: Row) -> str:
    return (
        f"Features of `{result['backbone']}` at 128 px; {result['wanted']} tasks are wanted; mean "
        f"of {len(result['seeds'])} seeds. The attributes are in "
        "[experiments/attributes](../experiments/attributes), fixed before the first run. BA: "
        "balanced accuracy of a task against the human attribute it fits best, chosen on images "
        "that discovery may see, measured on the tenth (of the package's own partition) that it "
        "may not; 0.5 is chance; a way that finds one clear task again and again has a high mean. "
        "Distinct: no two with |φ| above 0.8, of tasks and of attributes. Shuffled: BA against the "
        "attributes of other images. "
        "Above: BA of pursuit, at a cap of 0.5 and of 0.25, less that of the way, with a 95 % "
        "interval over tasks and held-out images, seeds as they are. Reached: distinct attributes "
        "of tasks with a BA of 0.8; covered: those that some task "
        "meets with this BA, whatever else it fits better. AS: ridges on disjoint halves; they "
        "repeat trivial tasks, too. R²: of tasks from image statistics and their squares, on the "
        "held-out images. Seconds: of one core, after `embed`."
    )


_HEAD = [
    "way",
    "tasks",
    "distinct",
    "BA",
    "0.5 above",
    "0.25 above",
    "reached",
    "covered",
    "AS",
    "R²",
]
_HEAD += ["shuffled", "seconds"]


def summary(results: list[Row]) -> str:
    """Write one table of the main ways for all data sets: BA, attributes, AS."""
    order = [r for name in CLAIMS for r in results if r["learner"] == name]
    names = list(dict.fromkeys(row["way"] for r in order for row in r["ways"]))
    lines = []
    for name in names:
        cells = []
        for result in order:
            own: Row = next((row for row in result["ways"] if row["way"] == name), {})
            if "ba" in own:
                agreement = f"{own['agreement']:.3f}" if "agreement" in own else "–"
                cell = (
                    f"{own['ba']:.3f} of {own['distinct']:.1f}; {own['reached']:.1f}; {agreement}"
                )
            else:
                cell = "none found" if own else "–"
            cells.append(cell)
        lines.append([name, *cells])
    return table(
        ["BA, of distinct tasks; attributes reached; AS", *(r["learner"] for r in order)], lines
    )


def _set(result: Row) -> str:
    marked = _MARKED if result["learner"] == "tiny-imagenet" else ""
    return paragraphs(
        [
            f"### {result['learner']}: {result['images']:,} images, {result['attributes']} "
            f"attributes, {result['distinct_attributes']} of them distinct",
            marked,
            table(
                _HEAD,
                [_line(result, own) for own in result["ways"]],
            ),
            verdict(result),
            _clusterings(result),
        ]
    )


def _clusterings(result: Row) -> str:
    """Say how well labelings of as many classes as people named fit these."""
    said = []
    for way in dict.fromkeys(row["way"] for row in result["clusterings"]):
        own = [row for row in result["clusterings"] if row["way"] == way]
        values = [row["accuracy"] for row in own if "accuracy" in row]
        if proposed := [str(row["proposed"]) for row in own if "proposed" in row]:
            said.append(f"stability proposes K = {', '.join(proposed)} (a seed each)")
        elif values:
            spread = f"{np.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"
            said.append(f"{way} {spread}")
        else:
            said.append(f"{way} has none ({own[0]['why']})")
    K = next(row["classes"] for row in result["clusterings"] if "classes" in row)
    return (
        f"One labeling of {K} classes, K given; held-out accuracy after the renaming that is best "
        f"on the other images: {'; '.join(said)}."
    )


def _line(result: Row, own: Row) -> list[str]:
    def number(key: str, digits: int = 3) -> str:
        return f"{own[key]:.{digits}f}" if key in own else "–"

    name = own["way"] + (f" ({own['seeds']} seed)" if own["seeds"] == 1 else "")
    if "ba" not in own:
        return [f"{name}: {own['why']}", *["–"] * (len(_HEAD) - 1)]
    above = [result[key].get(own["way"]) for key in ("differences", "differences_of_lower_cap")]
    cells = ["" if a is None else _interval(a) for a in above]
    return [
        *(
            name,
            number("tasks", 1),
            number("distinct", 1),
            number("ba"),
            *cells,
            number("reached", 1),
        ),
        *(number("covered", 1), number("agreement"), number("explained_by_statistics")),
        *(number("shuffled_ba"), number("each_seconds", 0)),
    ]


def _interval(above: Row) -> str:
    return f"{above['mean']:+.3f} [{above['low']:+.3f}, {above['high']:+.3f}]"


def verdict(result: Row) -> str:
    """Say which claims hold, and which way wins where pursuit does not."""
    own = next(row for row in result["ways"] if row["way"] == ways.PURSUIT)
    said = []
    if result["learner"] in CLAIMS:
        ba, count, agreement = CLAIMS[result["learner"]]
        said.append(
            f"Claimed: BA ≥ {ba:.2f} ({_holds(own['ba'] >= ba)}), {count} attributes reached "
            f"({_holds(own['reached'] >= count)}), AS ≥ {agreement:.2f} "
            f"({_holds(own['agreement'] >= agreement)})."
        )
    powers = [w for w in (ways.RIDGE, ways.ON_PIXELS) if w in result["differences"]]
    for way in powers:
        above = result["differences"][way]["mean"]
        said.append(
            f"At least {ABOVE_POWER} above {way}: {_holds(above >= ABOVE_POWER)} ({above:+.3f})."
        )
    others = {w: d for w, d in result["differences"].items() if w not in (*powers, ways.LOWER_CAP)}
    even = [w for w, d in others.items() if d["low"] <= 0 <= d["high"]]
    better = [w for w, d in others.items() if d["high"] < 0]
    for way in better:
        other = next(row for row in result["ways"] if row["way"] == way)
        said.append(
            f"Better than pursuit, by BA: {way}, with {other['distinct']:.1f} distinct tasks "
            f"that reach {other['reached']:.1f} attributes, where pursuit has "
            f"{own['distinct']:.1f} and reaches {own['reached']:.1f}."
        )
        if lower := result.get("differences_of_lower_cap", {}).get(way):
            said.append(f"At a cap of 0.25 pursuit's BA less that of it: {_interval(lower)}.")
    if even:
        said.append(f"Not told apart from pursuit, by BA: {'; '.join(even)}.")
    if not better and not even:
        said.append("Above every peer, by an interval that excludes 0: holds.")
    return " ".join(said)


_MARKED = (
    "`lite0` was trained with labels of which these classes are a part: claims rest on the others."
)


def _holds(whether: bool) -> str:
    return "holds" if whether else "fails"


STATED = (
    Claim(
        text="On frozen self-supervised features tasks are nearer to what people see",
        paper=True,
    ),
    *(
        Claim(
            text=f"Tasks of pursuit on {name} fit human attributes with a BA of {ba:.2f} or more, "
            f"reach {count} of them, and have an AS of {agreement:.2f} or more"
        )
        for name, (ba, count, agreement) in CLAIMS.items()
    ),
)


def judge(results: list[Row]) -> list[Verdict]:
    """Set pursuit on features beside a search on pixels, or on their statistics, and the claims."""
    nearer, verdicts = [], []
    order = [r for name in CLAIMS for r in results if r["learner"] == name]
    for result in order:
        other = ways.ON_PIXELS if ways.ON_PIXELS in result["differences"] else ways.STATISTICS
        if other in result["differences"]:
            above = result["differences"][other]
            nearer.append((above["low"] > 0, f"{result['learner']} {_interval(above)} ({other})"))
        ba, count, agreement = CLAIMS[result["learner"]]
        own = next(row for row in result["ways"] if row["way"] == ways.PURSUIT)
        held = own["ba"] >= ba and own["reached"] >= count and own["agreement"] >= agreement
        said = f"BA {own['ba']:.3f}, {own['reached']:.1f} reached, AS {own['agreement']:.3f}"
        verdicts.append(Verdict(word="holds" if held else "does not", ours=said))
    missing = [Verdict(word="does not", ours="not measured")] * (len(CLAIMS) - len(order))
    return [judged(nearer), *verdicts, *missing]
