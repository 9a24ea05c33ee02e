"""The choice of a split by successive halving against brief trainings of every task.

For each core target (`benchmarks.human`) both choose among the tasks of a run, in turns, in this
process. The old choice trains on 4,000 images for four epochs for every task in one orientation,
and for the worst two turned. Where the two differ, both are trained in full from fresh seeds, on
images that neither has used: `fresh` has the accuracy on the test side of each.

    python -m benchmarks.choices parquet:train.parquet --from RUN --json

With `--only-before --seed 1` the old choice alone is made, from other seeds: what it takes the
second time says how much of it is noise.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

import taskdiscovery as td
from benchmarks import human
from benchmarks.machine import own_process
from benchmarks.provenance import about, add_output, deliver, save
from taskdiscovery.config import SplitConfig
from taskdiscovery.data import partition
from taskdiscovery.executors import resolve_training, workbench
from taskdiscovery.runtime.callbacks import Callbacks
from taskdiscovery.runtime.progress import Silent
from taskdiscovery.splits.choose import Choice, choose
from taskdiscovery.splits.cuts import Candidate, groups_of
from taskdiscovery.splits.judging import Judge, Question, Rung
from taskdiscovery.splits.measure import equal_rows, roles_of, run_seeds
from taskdiscovery.store.journal import Journal
from taskdiscovery.training import Request, predicted
from taskdiscovery.types import Labeling

EVERY = Rung(number=9, keep=2, images=4000, epochs=4, batch=512)


def exhaustively(question: Question, tasks: list[Labeling]) -> Choice:
    """Choose as before: every task is trained on, the worst two in the other orientation too."""
    judge, target = Judge(question), question.target
    first = [Candidate(task=t, orientation="same", group=groups_of(t, target)) for t in tasks]
    found = judge.judge(first, EVERY, Silent())
    turned = [replace(own.candidate, orientation="opposite") for own in found[:2]]
    found += judge.judge(turned, EVERY, Silent())
    worst = min(found, key=lambda own: own.accuracy).candidate
    return Choice(candidate=worst, table=judge.table, rows=judge.validation, seeds=judge.seeds)


def fresh(question: Question, candidate: Candidate, runs: int) -> dict[str, Any]:
    """Train in full on a candidate's train side; return the accuracies of the runs."""
    config, bench, target = question.config, question.bench, question.target
    sides = question.sides(candidate)
    roles = {"adversarial": roles_of(sides, question.seen_N, config.seed)}
    rows = equal_rows(roles, target, question.seen_N, config)["adversarial"]
    found = []
    for run in range(runs):
        training = bench.training(target, rows.fit, rows.test, run_seeds(config, run))
        request = Request(key=f"fresh {candidate.name} {run}", training=training, keep=predicted)
        said = bench.executor.result(request, Silent()).arrays["predicted"]
        found.append(round(float((said == target.labels_N[rows.test]).mean()), 4))
    return {"candidate": candidate.name, "images": len(rows.test), "accuracy": found}


def timed(work: Callable[[], Choice]) -> tuple[Choice, dict[str, float]]:
    """Return what it gives, and the seconds that it took, by the clock and of the processor."""
    clock, processor = time.perf_counter(), time.process_time()
    found = work()
    took = time.perf_counter() - clock, time.process_time() - processor
    return found, {"seconds": round(took[0], 1), "processor": round(took[1], 1)}


def row(question: Question, tasks: list[Labeling], number: int, runs: int) -> dict[str, Any]:
    """Compare the two on a target."""
    new, new_took = timed(lambda: choose(question, tasks))
    old, old_took = timed(lambda: exhaustively(question, tasks))
    same = new.candidate.task.name == old.candidate.task.name
    found = {
        "target": number,
        "same_task": same,
        "before": {"choice": old.candidate.name, **old_took},
        "halving": {"choice": new.candidate.name, **new_took},
        "share_of_time": round(new_took["processor"] / old_took["processor"], 3),
        "tables": {"before": old.table, "halving": new.table},
    }
    if not same:
        found["fresh"] = [fresh(question, own.candidate, runs) for own in (old, new)]
    return found


def main() -> None:
    """Compare on each target, print each row as it is done."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", metavar="DATA")
    parser.add_argument("--from", dest="source", required=True, metavar="RUN")
    parser.add_argument("--learner", default="convnet")
    parser.add_argument("--train-images", type=int, default=10_000)
    parser.add_argument("--targets", default=",".join(map(str, human.CORE)))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fresh-runs", type=int, default=3)
    parser.add_argument("--only-before", action="store_true", help="the old choice alone")
    add_output(parser)
    options = parser.parse_args()
    own_process(1)
    dataset = td.load(options.data)
    tasks = list(td.open_run(options.source).tasks)
    config = SplitConfig(
        learner=options.learner,
        train_images=options.train_images,
        seed=options.seed,
        threads=1,
        executor="serial",
    )
    config = resolve_training(config, dataset, 1)
    seen_N = partition.of(dataset, 0)
    rows: list[dict[str, Any]] = []
    document: dict[str, Any] = {}
    for number in map(int, options.targets.split(",")):
        target, learner = dataset.target(human.target(number)), config.learner_of()
        train = np.flatnonzero(seen_N)
        with workbench(dataset, config, learner, train, Journal(), Callbacks()) as bench:
            asked = Question(
                bench=bench, target=target, config=config, seen_N=seen_N, balanced=False
            )
            if options.only_before:
                worst = exhaustively(asked, tasks).candidate.name
                rows.append({"target": number, "before": {"choice": worst}})
                print(rows[-1], file=sys.stderr, flush=True)
                continue
            rows.append(row(asked, tasks, number, options.fresh_runs))
        told = {key: rows[-1][key] for key in ("target", "before", "halving", "share_of_time")}
        print(told, rows[-1].get("fresh", "same task"), file=sys.stderr, flush=True)
        document = {
            "same_task": sum(own["same_task"] for own in rows),
            "of": len(rows),
            "share_of_time": round(float(np.mean([own["share_of_time"] for own in rows])), 3),
            "rows": rows,
            "train_images": options.train_images,
            "environment": about(),
        }
        save(document, options.out)
    if options.only_before:
        document = {"rows": rows, "seed": options.seed, "environment": about()}
        save(document, options.out)
    deliver(document, options)


if __name__ == "__main__":
    main()
