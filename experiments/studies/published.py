"""The published self-supervised tasks beside ours, human and random ones, on the same images.

The table that was published with the paper has four tasks of its search on self-supervised
features (there called regulated, with SimCLR), one row an image.

Axes: N images, L labelings, D tasks.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from benchmarks import human

import taskdiscovery as td
from experiments import searches
from experiments.judging import word
from experiments.laboratory import Laboratory, as_labelings
from experiments.markdown import paragraphs, span, table
from experiments.paired import difference, told
from experiments.records import Row
from experiments.study import Claim, Study, Verdict
from taskdiscovery.analysis.coverage import linear_probe
from taskdiscovery.data import partition
from taskdiscovery.types import BoolArray, IntArray, Labeling

FILE = "ssl_tasks.csv"
SEEDS = (0, 1, 2)
#: tasks that are searched for, and images that a probe is fitted on.
TASKS, FITTED = 32, 5000
#: rows by which the table is moved to see that its order matters, and parts that are looked at.
SHIFTS, PARTS = (1, 10, 100, 1000, 25_000), 10


@dataclass(frozen=True, kw_only=True)
class Share:
    """How many labelings of each kind are scored from each seed, beside the published ones."""

    power: int = 8
    pursuit: int = 4
    human: int = 3
    random: int = 1


SHARES = {
    "mlp": Share(),
    "convnet": Share(),
    "resnet18?width=0.125": Share(power=4, pursuit=2, human=2, random=1),
}
KINDS = ("published", "power", "pursuit", "human", "random")


def run(lab: Laboratory, learner: str) -> Row:
    """Check the order of the table, score all labelings, and compare them with ours."""
    labels_NL = read(lab)
    rows: list[Row] = []
    alike: list[Row] = []
    found: list[Row] = []
    for seed in SEEDS:
        power, result = searches.seeded(lab, learner, TASKS, seed)
        embedded = {
            "power": power,
            "pixels": searches.pixels(lab, TASKS, seed),
            "pursuit": searches.pursued(lab, TASKS, seed),
        }
        share = SHARES.get(learner, Share())
        labelings = [
            *(lab.binary(f"published {i}", labels_N) for i, labels_N in enumerate(labels_NL.T)),
            *as_labelings(power, "power", share.power),
            *_named(embedded["pursuit"], share.pursuit),
            *lab.human(share.human),
            *lab.random(share.random),
        ]
        scores = lab.scores(
            f"published {learner} {seed}",
            labelings,
            seen_N=power.seen_N,
            learner=learner,
            seed=seed,
        )
        rows += [searches.short(row, seed=seed) for row in scores]
        assert power.seen_N is not None
        alike += [{**row, "seed": seed} for row in _alike(lab, labels_NL, embedded, power.seen_N)]
        found.append(
            {
                "seed": seed,
                "similarity": result["similarity"],
                "pursuit": len(embedded["pursuit"]),
            }
        )
    return {
        "learner": learner,
        "preset": "quick",
        "seeds": list(SEEDS),
        "order": order(lab, labels_NL),
        "found": found,
        "alike": alike,
        "rows": rows,
    }


def _named(pursuit: td.Tasks, count: int) -> list[Labeling]:
    return as_labelings(pursuit, "pursuit", count)


def read(lab: Laboratory) -> IntArray:
    """Return the (N, L) published labels.

    Raises:
        ValueError: where there is no table, or it has other rows than there are images.
    """
    if lab.published is None:
        raise ValueError(f"published needs --published, the folder that has {FILE}")
    with (Path(lab.published) / FILE).open() as lines:
        labels_NL = np.array([row[1:] for row in list(csv.reader(lines))[1:]], dtype=np.int64)
    if len(labels_NL) != len(lab.dataset):
        raise ValueError(f"{FILE} has {len(labels_NL)} rows for {len(lab.dataset)} images")
    return labels_NL


def order(lab: Laboratory, labels_NL: IntArray) -> list[Row]:
    """Return, for each column, how far it goes with the human label as it stands and moved.

    Any other order of the rows would leave nothing of the association: it is measured as the table
    stands, in each tenth of it, and with the table moved by some rows.
    """
    classes_N = lab.dataset.labels
    assert classes_N is not None
    parts = np.array_split(np.arange(len(classes_N)), PARTS)
    rows: list[Row] = []
    for labels_N in labels_NL.T:
        moved = [cramer(np.roll(labels_N, shift), classes_N) for shift in SHIFTS]
        tenths = [cramer(labels_N[part], classes_N[part]) for part in parts]
        rows.append(
            {
                "as it stands": round(cramer(labels_N, classes_N), 4),
                "least of ten parts": round(min(tenths), 4),
                "most of those moved": round(max(moved), 4),
                "rate": round(float(labels_N.mean()), 4),
            }
        )
    return rows


def cramer(labels_N: IntArray, classes_N: IntArray) -> float:
    """Return Cramér's V of a binary labeling and classes."""
    rate = labels_N.mean()
    if not 0 < rate < 1:
        return 0.0
    counts_C = np.bincount(classes_N)
    counts_C, sums_C = counts_C[counts_C > 0], np.bincount(classes_N, labels_N)[counts_C > 0]
    between = (counts_C * (sums_C / counts_C - rate) ** 2).sum() / len(labels_N)
    return float(np.sqrt(between / (rate * (1 - rate))))


def _alike(
    lab: Laboratory, labels_NL: IntArray, embedded: dict[str, td.Tasks], seen_N: BoolArray
) -> list[Row]:
    """Return how near each published task is to ours, on images that discovery has not seen.

    The nearest task by |φ|, of each way and of the 126 human cuts; and the accuracy of a linear
    probe from the coordinates, fitted on images that discovery has seen.
    """
    test = np.flatnonzero(~seen_N)
    fit = partition.sample(np.flatnonzero(seen_N), FITTED, 0, "coverage")
    classes_N = lab.dataset.labels
    assert classes_N is not None
    tables = {way: tasks.labels_ND for way, tasks in embedded.items()}
    tables["human"] = np.stack([np.isin(classes_N, own) for own in human.HUMAN], axis=1)
    rows: list[Row] = []
    for number, labels_N in enumerate(labels_NL.T):
        for way, labels_ND in tables.items():
            row: Row = {
                "published": number,
                "way": way,
                "tasks": labels_ND.shape[1],
                "phi": round(max(nearness(labels_N[test], own) for own in labels_ND[test].T), 4),
            }
            if way in embedded:
                coordinates_NP = embedded[way].coordinates_NP
                assert coordinates_NP is not None
                probe = linear_probe(coordinates_NP, labels_N, fit, test)
                if probe is not None:
                    row["probe"] = round(probe["accuracy"], 4)
                    row["commonest"] = round(probe["commonest_class"], 4)
            rows.append(row)
    return rows


def nearness(a_n: IntArray, b_n: IntArray) -> float:
    """Return |φ| of two binary labelings; 0 where one has a single class."""
    if a_n.std() == 0 or b_n.std() == 0:
        return 0.0
    return float(abs(np.corrcoef(a_n, b_n)[0, 1]))


def by_seed(result: Row, kind: str, value: str = "agreement") -> list[float]:
    """Return the mean AS, or κ, of the labelings of a kind, one a seed."""
    own = [
        [r[value] for r in result["rows"] if (r["kind"], r["seed"]) == (kind, seed)]
        for seed in result["seeds"]
    ]
    return [float(np.mean(values)) for values in own]


def gap(result: Row, first: str, second: str, value: str = "agreement") -> Row:
    """Return how far the mean AS, or κ, of a kind is above another's, over seeds."""
    return difference(by_seed(result, first, value), by_seed(result, second, value))


def tell(results: list[Row], place: Path) -> str:
    """Write the check of the order, the table of kinds, and how near ours are."""
    parts = ["## The published self-supervised tasks beside ours", _HEAD, _ordered(results[0])]
    rows = []
    for result in results:
        rows.append([f"`{result['learner']}`", *(_kind(result, kind) for kind in KINDS)])
    head = ["learner", "published", "`power`", "`pursuit` on `lite0`", "human cuts", "random"]
    parts += [table(head, rows), *(_gaps(result) for result in results)]
    parts += [_NEAR, _near(results)]
    return paragraphs(parts)


_HEAD = f"""
Four tasks were published that the paper's search gave on self-supervised features. Scored beside
ours from three seeds, which draw images, search and trainings anew: eight of {TASKS} tasks of
`power` (four for the narrow ResNet), four of `pursuit` on a frozen backbone (two), human cuts and
random labels. Scores, mean AS (least to greatest) and κ; preset `quick`. Tasks of `pursuit` cut
the images at any rate, and a high AS comes easier where one class is rare: compare their κ.
"""

_NEAR = """
How near ours come to each published task, on images that discovery has not seen: the greatest |φ|
over the tasks of a way, and the accuracy of a linear probe from its coordinates. The human row is
the nearest of the 126 cuts. In components of pixels no network has a part. Means over seeds; a
probe that knows nothing is right as often as the commoner class.
"""


def _ordered(result: Row) -> str:
    stands = [row["as it stands"] for row in result["order"]]
    tenths = [row["least of ten parts"] for row in result["order"]]
    moved = [row["most of those moved"] for row in result["order"]]
    return (
        f"The table has a row for each of CIFAR-10's 50,000 training images, in their order: "
        f"Cramér's V of the four tasks with the class is {min(stands):.2f} to {max(stands):.2f}, "
        f"at least {min(tenths):.2f} in every tenth of the rows, and at most {max(moved):.2f} when "
        f"the table is moved by {', '.join(f'{n:,}' for n in SHIFTS[:-1])} or {SHIFTS[-1]:,} rows."
    )


def _kind(result: Row, kind: str) -> str:
    own = [row for row in result["rows"] if row["kind"] == kind]
    if not own:
        return "–"
    values = [row["agreement"] for row in own]
    whole = {"mean": np.mean(values), "min": min(values), "max": max(values)}
    return f"{len(own)}: {span(whole)}; κ {np.mean([row['kappa'] for row in own]):.2f}"


def _gaps(result: Row) -> str:
    pairs = (("`power`", "power", "published"), ("`pursuit`", "pursuit", "published"))
    words = [
        f"{name} less published {told(gap(result, one, other))}, by κ "
        f"{told(gap(result, one, other, 'kappa'))}"
        for name, one, other in pairs
    ]
    return (
        f"`{result['learner']}`, differences of AS over seeds: {'; '.join(words)}; published less "
        f"human cuts {told(gap(result, 'published', 'human'))}."
    )


def _near(results: list[Row]) -> str:
    """Tabulate nearness by way and learner; what no learner has a part in stands once."""
    rows = []
    for result in results:
        for way in ("power", "pursuit", "pixels", "human"):
            if way == "power" or result is results[0]:
                name = f"`power`, `{result['learner']}`" if way == "power" else _WAYS[way]
                rows.append([name, *(_cell(result, way, i) for i in range(len(result["order"])))])
    commonest = [max(row["rate"], 1 - row["rate"]) for row in results[0]["order"]]
    rows.append(["the commoner class", *(f"{share:.2f}" for share in commonest)])
    numbers = range(len(results[0]["order"]))
    return table(["φ without its sign, probe", *(f"published {i}" for i in numbers)], rows)


_WAYS = {
    "pursuit": "`pursuit` on `lite0`",
    "pixels": "components of pixels",
    "human": "human cuts",
}


def nearest(result: Row, way: str, number: int, value: str = "phi") -> float:
    """Return the mean over seeds of |φ|, or of a probe's accuracy; NaN where there is none."""
    own = [r for r in result["alike"] if (r["way"], r["published"]) == (way, number)]
    values = [row[value] for row in own if value in row]
    return float(np.mean(values)) if values else float("nan")


def _cell(result: Row, way: str, number: int) -> str:
    phi, probe = nearest(result, way, number), nearest(result, way, number, "probe")
    return f"{phi:.2f}" + ("" if np.isnan(probe) else f", {probe:.2f}")


ABOVE, EQUAL, APART, TOLD = 0.10, 0.05, 0.5, 0.80

CLAIMS = (
    Claim(
        text=f"The tasks of `power` (32 asked for) have an AS at least {ABOVE} above that of the "
        "four published self-supervised tasks, in the mean, for every learner."
    ),
    Claim(
        text="The published tasks and human cuts have the same AS to "
        f"{EQUAL}, in the mean, for every learner."
    ),
    Claim(
        text=f"None of the published tasks is among those of `power`: |φ| is below {APART} for "
        f"each, and a linear probe on the 32 coordinates tells each in fewer than {TOLD:.0%} of "
        "held-out images."
    ),
    Claim(
        text="Tasks that `pursuit` finds in a frozen backbone are nearer to each of the published "
        "ones than those of `power` on pixels, by |φ|."
    ),
)


def judge(results: list[Row]) -> list[Verdict]:
    """Say of each claim what became of it, over the learners that were run."""
    above = {r["learner"]: gap(r, "power", "published") for r in results}
    equal = {r["learner"]: gap(r, "published", "human") for r in results}
    numbers = range(len(results[0]["order"]))
    phis = [nearest(r, "power", i) for r in results for i in numbers]
    probes = [nearest(r, "power", i, "probe") for r in results for i in numbers]
    nearer = [nearest(r, "pursuit", i) > nearest(r, "power", i) for r in results for i in numbers]
    return [
        Verdict(word=word([g["mean"] >= ABOVE for g in above.values()]), ours=_listed(above)),
        Verdict(word=word([abs(g["mean"]) <= EQUAL for g in equal.values()]), ours=_listed(equal)),
        Verdict(
            word=word([max(phis) < APART and max(probes) < TOLD]),
            ours=f"φ at most {max(phis):.2f}, probe at most {max(probes):.2f}",
        ),
        Verdict(word=word(nearer), ours=f"in {sum(nearer)} of {len(nearer)} cases"),
    ]


def _listed(gaps: dict[str, Row]) -> str:
    return "; ".join(f"`{learner}` {told(own)}" for learner, own in gaps.items())


STUDY = Study(
    run=run,
    tell=tell,
    minutes=20,
    learners=tuple(SHARES),
    about="the published self-supervised tasks beside ours",
    claims=CLAIMS,
    judge=judge,
)
