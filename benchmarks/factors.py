"""Do discovered tasks line up with known factors? Counted on `shapes`, where the answer is known.

A task counts where its normalized mutual information (arithmetic mean, scikit-learn's default),
over images that discovery has not seen, exceeds 0.5 with one of

- a factor, all of its levels as they are;
- a cut of one factor's levels in two (which hues go together is not ours to say);
- a product of two such cuts of different factors: both alike or not.

    python -m benchmarks.factors --json
"""

from __future__ import annotations

import argparse
import json
import time
from itertools import combinations

import pandas as pd
from sklearn.metrics import normalized_mutual_info_score

import taskdiscovery as td
from benchmarks.machine import own_process
from taskdiscovery.config import from_mapping
from taskdiscovery.data.readers import shapes
from taskdiscovery.discovery import DiscoverConfig
from taskdiscovery.types import BoolArray, IntArray


def cuts(attributes: pd.DataFrame) -> dict[str, BoolArray]:
    """Return every way to put the levels of one factor into two groups."""
    found = {}
    for factor, levels in shapes.FACTORS.items():
        others = levels[1:]
        for size in range(len(others)):
            for more in combinations(others, size):
                group = (levels[0], *more)
                found[f"{factor} in {'/'.join(group)}"] = attributes[factor].isin(group).to_numpy()
    return found


def explain(labels: IntArray, attributes: pd.DataFrame) -> dict[str, tuple[str, float]]:
    """Return the best factor, the best cut and the best product for one task."""
    factors = {f: normalized_mutual_info_score(labels, attributes[f]) for f in shapes.FACTORS}
    single = cuts(attributes)
    halves = {name: normalized_mutual_info_score(labels, cut) for name, cut in single.items()}
    # An information above 0.5 needs a clear correlation: the other pairs need no slow score.
    sign = 2.0 * labels - 1
    pairs = [
        (a, b)
        for a, b in combinations(single, 2)
        if a.split()[0] != b.split()[0]
        and abs((sign * (2.0 * (single[a] == single[b]) - 1)).mean()) > 0.3
    ]
    products = {
        f"{a} = {b}": normalized_mutual_info_score(labels, single[a] == single[b]) for a, b in pairs
    }
    best = {}
    for kind, table in (("factor", factors), ("cut", halves), ("product", products)):
        name = max(table, key=lambda key: table[key], default="")
        best[kind] = (name, round(float(table.get(name, 0.0)), 3))
    return best


def main() -> None:
    """Discover on shapes and count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=5000)
    parser.add_argument("--tasks", type=int, default=8)
    parser.add_argument("--learner", default="convnet")
    parser.add_argument("--method", default="power")
    parser.add_argument("--rotate", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    own_process(options.threads)
    dataset = shapes.draw(options.n, seed=options.seed)
    began = time.perf_counter()
    how = {"method": options.method, "rotate": options.rotate}
    found = td.discover(
        dataset,
        method=from_mapping(DiscoverConfig, how, "factors").method,
        tasks=options.tasks,
        learner=options.learner,
        seed=options.seed,
        threads=options.threads,
    )
    seconds = time.perf_counter() - began
    assert dataset.attributes is not None
    assert found.tasks.seen_N is not None
    unseen = ~found.tasks.seen_N
    kinds = ("factor", "cut", "product")
    tasks = {
        name: explain(found.tasks.labels_ND[unseen, d], dataset.attributes[unseen])
        for d, name in enumerate(found.tasks.names)
    }
    counts = {kind: sum(row[kind][1] > 0.5 for row in tasks.values()) for kind in kinds}
    counts["any"] = sum(max(row[k][1] for k in kinds) > 0.5 for row in tasks.values())
    if options.json:
        print(
            json.dumps({"aligned": counts, "tasks": tasks, "seconds": round(seconds, 1)}, indent=1)
        )
        return
    for name, row in tasks.items():
        print(name, *(f"{kind}: {row[kind][0]} {row[kind][1]:.2f};" for kind in kinds))
    print(counts, f"{seconds:.0f} s")


if __name__ == "__main__":
    main()
