"""docs/results.md and its figures: from the newest result of every experiment, nothing else."""

from __future__ import annotations

import json
import math
import subprocess
from pathlib import Path
from typing import Any

from scipy.stats import sem

from experiments import figures
from experiments.laboratory import RESULTS
from experiments.studies import STUDIES

Row = dict[str, Any]
DOCS = RESULTS.parents[1] / "docs"
BENCHMARKS = RESULTS.parents[1] / "benchmarks" / "results"

#: mean AS, least, greatest of the published tasks, preset `paper` (Atanov et al. 2022, assets).
PUBLISHED = {
    "ResNet-18, d = 32": (0.879, 0.859, 0.907),
    "ResNet-18, d = 8": (0.931, 0.884, 0.964),
    "MLP, d = 32": (0.941, 0.925, 0.962),
    "ViT, d = 32": (0.704, 0.618, 0.805),
}
#: core-hours that all experiments together may take: five hours of two cores.
BUDGET = 10


def newest() -> dict[str, dict[str, Row]]:
    """Return the newest result of every experiment and learner, with the name of its file."""
    found: dict[str, dict[str, Row]] = {}
    for file in sorted(RESULTS.glob("*.json")):
        document = json.loads(file.read_text("utf-8"))
        document["file"] = file.name
        found.setdefault(document["experiment"], {})[document["learner"]] = document
    return found


def write() -> Path:
    """Write the page; return its path."""
    found, place = newest(), DOCS / "results.md"
    parts = [_HEAD]
    for name in STUDIES:
        if name in found:
            parts.append(SECTIONS[name](list(found[name].values())))
    parts.append(_sources(found))
    place.write_text("\n\n".join(part.strip() for part in parts) + "\n", "utf-8")
    return place


_HEAD = """
# Results

Made by `python -m experiments page` from the dated files in
[experiments/results](../experiments/results); the list at the end says which commit, machine and
command each came from. CIFAR-10 (our copy is JPEG re-encoded: accuracies sit a few points under
published ones), two cores without a GPU, learners as named. `quick` is at most 15,000 training
images and six epochs, and `paper` the published protocol (45,000 images, 100 epochs). AS is the
agreement of two runs on 5,000 images that neither has seen. Published numbers are from Atanov et
al., *Task Discovery: Finding the Tasks that Neural Networks Generalize on*, NeurIPS 2022 (arXiv
2212.00261), and the labels published with it.

A human task here is one of the 126 ways to cut ten classes five against five: the seven core ones
of the paper, and others drawn at random (seed 0). Random labels have the class rates of a human
task. Discovered tasks are binary.
"""


def _table(head: list[str], rows: list[list[Any]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(map(str, row)) + " |" for row in rows)])


def _span(kind: Row) -> str:
    return f"{kind['mean']:.3f} ({kind['min']:.3f} to {kind['max']:.3f})"


def _with_interval(row: Row) -> str:
    return f"{row['agreement']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"


def _separates(found: list[Row]) -> str:
    rows, head = [], ["learner", "preset"]
    for result in found:
        kinds, alike = result["kinds"], result["similarity"]
        above, similar = result["power_above_human"], alike["mean"]
        rows.append(
            [
                f"`{result['learner']}`",
                f"{result['preset']}, {result['rows'][0]['precision']}",
                *(f"{kinds[k]['tasks']}: {_span(kinds[k])}" for k in ("human", "random", "power")),
                result["tasks"],
                f"{above:+.3f} ± {_error_of_difference(result):.3f}"
                + ("" if above >= 0.15 else " (claim fails)"),
                f"{similar:.3f}" + ("" if similar <= 0.52 else " (above 0.52)"),
            ]
        )
    figures.kinds(found, DOCS / "figures" / "separates.svg")
    published = [[name, *(f"{v:.3f}" for v in values)] for name, values in PUBLISHED.items()]
    return "\n\n".join(
        [
            "## AS separates labelings, and discovered tasks beat human ones",
            "Number of tasks, then mean AS (least to greatest). Claimed: `power` is at least 0.15 "
            "above human labels, at a mean similarity of at most 0.52. The ± is the standard error "
            "over the labelings that were scored, within which a claim that holds may still fail.",
            _table(
                [*head, "human", "random", "`power`", "of d", "above human", "similarity"], rows
            ),
            *(_missed(result) for result in found if result["power_above_human"] < 0.15),
            "![agreement scores by kind of task and learner](figures/separates.svg)",
            "Published, preset `paper`, for comparison of the order of magnitude only:",
            _table(["tasks found for", "mean AS", "least", "greatest"], published),
            "### The best and the worst of them",
            "By AS. Upper half: the test images farthest on one side; lower half: on the other. "
            "Below each what `taskdiscovery analyze` says of it.",
            *(_pictured(result) for result in found if "pictured" in result),
        ]
    )


def _error_of_difference(result: Row) -> float:
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
    best = max(row["agreement"] for row in result["rows"] if row["kind"] == "power")
    return (
        f"Why it fails for `{result['learner']}`: two of these networks agree on {human:.3f} of "
        f"the images under human labels already, so 0.15 more would be {human + 0.15:.3f} in the "
        f"mean, where the best single task scores {best:.3f}. What is left of the disagreement, "
        f"{1 - human:.3f}, is cut by {(power['mean'] - human) / (1 - human):.0%}."
    )


def _pictured(result: Row) -> str:
    parts = []
    for own in result["pictured"]:
        title = f"`{result['learner']}`, {own['which']} of {result['kinds']['power']['tasks']}"
        score = f"AS {_with_interval(own)}"
        parts.append(f"**{title}** ({own['task']}): {score}; it {own['verdict']}.")
        alt = f"images on both sides of the {own['which']} task of {result['learner']}"
        parts.append(f"![{alt}](../experiments/results/{own['image']})")
    return "\n\n".join(parts)


def _methods(found: list[Row]) -> str:
    parts = ["## Methods", "Equal numbers of tasks, equal preset, one core each."]
    for result in found:
        rows = []
        for row in result["rows"]:
            cost, alike = row["cost"], row["similarity"]
            rows.append(
                [
                    row["tasks"],
                    f"`{row['method']}`",
                    f"{row['agreement']['tasks']}: {_span(row['agreement'])}",
                    f"{row['kappa']:.3f}",
                    f"{alike['mean']:.3f} ({alike['max']:.3f})",
                    f"{cost['images_trained_on']:,}",
                    f"{cost['seconds']:.0f} s",
                ]
            )
        head = [
            f"`{result['learner']}`, d",
            "method",
            "AS of those scored",
            "κ",
            "similarity (max)",
        ]
        parts.append(_table([*head, "images trained on", "search"], rows))
        counts = sorted({row["tasks"] for row in result["rows"]})
        parts += [_rivals(result, count) for count in counts]
        if all(_leader(result, count)["method"] == "spectral --start pixels" for count in counts):
            parts.append(_PIXELS)
    parts.append(_METHODS)
    if name := _benchmark("compare"):
        document = json.loads((BENCHMARKS / name).read_text("utf-8"))
        rows = [
            [
                f"`{row['row']}`",
                f"{row['mean']:.3f} ({row['min']:.3f} to {row['max']:.3f})",
                f"{row['similarity']['mean']:.3f}" if row["similarity"] else "–",
                f"{row['seconds']:.0f} s",
            ]
            for row in document["rows"]
        ]
        parts.append(
            f"At equal wall time (`{document['options']['learner']}`, eight tasks, at most "
            f"{float(document['options']['seconds']):.0f} s of one core, preset `quick`), with the "
            "controls of `meta`: its encoder untrained, and trained for uniformity alone."
        )
        parts.append(_table(["tasks", "AS", "similarity", "search"], rows))
    return "\n\n".join(parts)


#: said where it leads.
_PIXELS = """
`spectral --start pixels` is the principal components of pixels, turned; no network has a part in
them. An MLP sees pixels without their neighbourhoods, and on linear functions of many pixels two of
them agree most. Why `power` and `meta` reach less there is not settled; their labels come from
trained networks, and whatever is accidental in those the next network cannot learn (the
accuracies in the file are lower, too). On an MLP, then, a search must first be above principal
components to be worth its time; and a high AS alone does not make a task worth having.
"""

_METHODS = """
An image that `meta` trains on costs several times one of `power`: it goes through the networks,
back, and both ways again for the derivative of the training. The published search (two ResNet-18,
50 inner steps of 512 images each) trains on 51,200 images in every outer step.
"""


def _leader(result: Row, count: int) -> Row:
    """Return the row of the highest agreement among those of so many tasks."""
    rows = [row for row in result["rows"] if row["tasks"] == count]
    return max(rows, key=lambda row: float(row["agreement"]["mean"]))


def _rivals(result: Row, count: int) -> str:
    """Say which method has the highest agreement, and what it pays for that beside `power`."""
    best = _leader(result, count)
    if best["method"] == "power":
        return f"{count} tasks: `power` has the highest AS."
    power = next(r for r in result["rows"] if (r["method"], r["tasks"]) == ("power", count))
    gain = best["agreement"]["mean"] - power["agreement"]["mean"]
    return (
        f"{count} tasks: the highest AS is that of `{best['method']}`, {gain:+.3f} beside `power`, "
        f"at a similarity of {best['similarity']['mean']:.3f} beside "
        f"{power['similarity']['mean']:.3f} (most similar pair {best['similarity']['max']:.3f} "
        f"beside {power['similarity']['max']:.3f}), in {best['cost']['seconds']:.0f} s of search "
        f"beside {power['cost']['seconds']:.0f} s."
    )


def _benchmark(name: str) -> str | None:
    """Return the newest dated file of a benchmark."""
    files = sorted(file.name for file in BENCHMARKS.glob(f"*-{name}.json"))
    return files[-1] if files else None


def _landed(place: Path) -> str:
    """Return the commit that added a file."""
    done = subprocess.run(
        ["git", "log", "--diff-filter=A", "-1", "--format=%h", "--abbrev=12", "--", place.name],
        cwd=place.parent,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


def _paper(found: list[Row]) -> str:
    parts = [
        "## Like for like: the MLP at preset `paper`",
        "Tasks of `power`, spread over their order of held-out correlation; the published mean is "
        "over all tasks of the published search, on the original images.",
    ]
    for result in found:
        rows = [
            [
                row["task"],
                _with_interval(row),
                f"{row['kappa']:.2f}",
                f"{row['accuracy']:.3f}",
                f"{row['seconds'] / 60:.0f} min",
            ]
            for row in result["rows"]
        ]
        parts.append(
            _table([f"`{result['learner']}`", "AS", "κ", "accuracy", "two runs, one core"], rows)
        )
        parts.append(_beside_published(result))
    return "\n\n".join(parts)


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


def _architectures(found: list[Row]) -> str:
    columns = list(found[0]["found_for"])
    rows = [
        [
            f"`{result['learner']}`",
            *(f"{result['found_for'][other]['mean']:.3f}" for other in columns),
        ]
        for result in found
    ]
    return "\n\n".join(
        [
            "## Architectures differ",
            "Rows: the learner that is trained (scored as in the first table). Columns: the "
            "learner that the tasks (three each, spread over their order) were found for. Mean AS.",
            _table(["trained", *(f"found for `{c}`" for c in columns)], rows),
            *(_at_home(result) for result in found),
        ]
    )


def _at_home(result: Row) -> str:
    """Say how a learner's own tasks fare beside those of the others."""
    own = result["found_for"][result["learner"]]["mean"]
    others = {k: v["mean"] for k, v in result["found_for"].items() if k != result["learner"]}
    ahead = ", ".join(f"{own - mean:+.3f} beside those of `{k}`" for k, mean in others.items())
    return f"`{result['learner']}` on the tasks that were found for it: {ahead}."


def _splits(found: list[Row]) -> str:
    parts = ["## Adversarial splits", "Test accuracy on the target; two runs from fresh seeds."]
    if name := _benchmark("core-splits"):
        document = json.loads((BENCHMARKS / name).read_text("utf-8"))
        names = list(document["mean_of_core_tasks"])
        rows = [
            [f"`{row['target']}`", *(f"{row['accuracy'][n]['mean']:.3f}" for n in names)]
            for row in sorted(document["rows"], key=lambda row: row["target"] == "label")
        ]
        means = (f"{document['mean_of_core_tasks'][n]:.3f}" for n in names)
        rows.insert(-1, ["mean of the seven", *means])
        parts.append(_table([f"`{document['learner']}`", *names], rows))
        parts.append(_SPLITS)
    for result in found:
        names = list(result["rows"][0]["accuracy"])
        rows = [
            [f"`{row['target']}`", *(f"{row['accuracy'][n]['mean']:.3f}" for n in names)]
            for row in result["rows"]
        ]
        parts.append(_table([f"`{result['learner']}`", *names], rows))
        moved = [
            (row["target"], other, own)
            for row in result["rows"]
            for other, own in row["transfer"].items()
        ]
        if moved:
            kept = [n for n in names if all(n in own for _, _, own in moved)]
            cells = [
                [f"`{t}`", f"`{other}`", *(f"{own[n]['mean']:.3f}" for n in kept)]
                for t, other, own in moved
            ]
            parts.append("The same splits, other learners:")
            parts.append(_table(["target", "learner", *kept], cells))
    return "\n\n".join(parts)


_SPLITS = """
Asked: adversarial at most 0.15 and random at least 0.65 in the mean of the binary targets (both
reached), and for ten classes an adversarial accuracy of at most a fifth of the random one (not
reached by tasks that are found without labels; tasks found within each class reach it, 0.09 of
0.52, [file](../benchmarks/results/2026-11-23-core-splits.json)).
"""


def _sizes(found: list[Row]) -> str:
    figures.sizes(found, DOCS / "figures" / "sizes.svg")
    parts = ["## Does more data give more agreement?", _SIZES]
    for result in found:
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
        parts.append(_table([*head, *(f"{n:,} images" for n in images)], rows))
        parts += trends
    parts.append("![agreement against training images](figures/sizes.svg)")
    return "\n\n".join(parts)


_SIZES = """
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


def _beyond(found: list[Row]) -> str:
    parts = ["## Beyond colour", _BEYOND]
    for result in found:
        rows = []
        for stage in result["rows"]:
            left = stage["excluded"].get("explained_on_test", {})
            rows.append(
                [
                    stage["removed"],
                    _span(stage["agreement"]),
                    f"{left['mean']:.3f}" if left else "–",
                    f"{stage['similarity']['mean']:.3f}",
                ]
            )
        head = [f"`{result['learner']}`, removed", "AS", "still explained on test images"]
        parts.append(_table([*head, "similarity"], rows))
        for stage in result["rows"]:
            best = max(range(len(stage["rows"])), key=lambda i: stage["rows"][i]["agreement"])
            parts.append(
                f"- **{stage['removed']}**, best of those scored "
                f"({stage['rows'][best]['agreement']:.3f}): {stage['verdicts'][best]}"
            )
    return "\n\n".join(parts)


_BEYOND = """
What `power` finds when something is projected out or held fixed: eight tasks, four of them scored.
"""


def _accuracy(found: list[Row]) -> str:
    figures.accuracy(found, DOCS / "figures" / "accuracy.svg")
    rows = [
        [f"`{r['learner']}`", len(r["rows"]), f"{r['spearman']:.3f}", f"{r['largest_gap']:.3f}"]
        for r in found
    ]
    return "\n\n".join(
        [
            "## Does AS tell accuracy?",
            "Human tasks, and two of them with 5 to 40 % of their labels flipped.",
            _table(["learner", "labelings", "Spearman", "largest gap"], rows),
            "![test accuracy against agreement](figures/accuracy.svg)",
        ]
    )


def _photographs(found: list[Row]) -> str:
    parts = [
        "## Four hundred photographs",
        "Too few to train on from pixels: the intervals say so. Forty test images; five runs.",
    ]
    for result in found:
        rows = [
            [
                row["task"],
                _with_interval(row),
                "–" if row["kappa"] is None else f"{row['kappa']:.2f}",
            ]
            for row in result["rows"]
        ]
        parts.append(_table([f"`{result['learner']}`", "AS", "κ"], rows))
        parts.append(_what_can_be_said(result["rows"]))
    return "\n\n".join(parts)


def _what_can_be_said(rows: list[Row]) -> str:
    """Compare discovered tasks with human and random labels, by their intervals."""
    own = [row for row in rows if row["kind"] == "spectral"]
    lines = []
    for kind in ("random", "human"):
        other = next(row for row in rows if row["kind"] == kind)
        clear = sum(row["low"] > other["high"] for row in own)
        lines.append(f"{clear} of {len(own)} lie wholly above {kind} labels")
    return (
        f"What can be said: of the tasks found in the features of the untrained network, "
        f"{' and '.join(lines)}. What cannot: which of them is best, what they would score with "
        "more images, or anything about a split, whose sides would have 180 images at most. With "
        "features of a network of your own, from a file, the same path is `discover --method meta "
        "--features FILE`."
    )


def _sources(found: dict[str, dict[str, Row]]) -> str:
    rows = []
    for results in found.values():
        for result in results.values():
            about = result["environment"]
            rows.append(
                [
                    f"[{result['file']}](../experiments/results/{result['file']})",
                    f"`{about['commit']}`",
                    _machine(result),
                    f"`python -m experiments {' '.join(about['arguments'])}`",
                ]
            )
    for name in filter(None, map(_benchmark, ("compare", "core-splits"))):
        about = json.loads((BENCHMARKS / name).read_text("utf-8"))["environment"]
        rows.append(
            [
                f"[{name}](../benchmarks/results/{name})",
                f"added by `{_landed(BENCHMARKS / name)}`",
                f"{about['cpus']} × {about['processor']}, torch {about['versions']['torch']}",
                "see the file",
            ]
        )
    spent, slow = 0.0, 0.0
    for result in (result for results in found.values() for result in results.values()):
        seconds = max(result["sitting_seconds"], _seconds(result))
        hours = result["environment"]["cpus"] * seconds / 3600
        spent += hours
        slow += hours if _precisions(result) == ["float32"] else 0.0
    return "\n\n".join(
        [
            "## Where every number comes from",
            _table(["file", "commit", "machine", "command"], rows),
            _budget(spent, slow),
            *(f"Not run yet: {STUDIES[name].about}." for name in STUDIES if name not in found),
        ]
    )


def _budget(hours: float, slow: float) -> str:
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


def _machine(result: Row) -> str:
    about = result["environment"]
    core = f"{about['cpus']} × {about['processor']}, torch {about['versions']['torch']}"
    return ", ".join([core, *_precisions(result)])


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


SECTIONS = {
    "separates": _separates,
    "methods": _methods,
    "paper": _paper,
    "architectures": _architectures,
    "splits": _splits,
    "sizes": _sizes,
    "beyond": _beyond,
    "accuracy": _accuracy,
    "photographs": _photographs,
}
