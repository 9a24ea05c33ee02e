"""Methods of discovery at equal wall time and number of tasks, and what must stand beside them.

Rows: `human` (the seven core ways to cut ten classes five against five), `untrained` (the encoder
of `meta` before its first step), `uniformity` (the same encoder trained on diversity alone, for as
many steps), `meta`, `warm` (`meta` begun with the tasks of a short power iteration, whose time
counts), `power`, `spectral` (which has no use for more time). Every row's tasks are scored alike.

    python -m benchmarks.compare parquet:train.parquet --seconds 1200 --json
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import taskdiscovery as td
from benchmarks import human, labelings
from benchmarks.machine import own_process
from benchmarks.provenance import about, add_output, deliver, plain, save
from taskdiscovery.config import ScoreConfig, from_mapping
from taskdiscovery.runtime.callbacks import Callback, Numbers
from taskdiscovery.types import BoolArray, Dataset, Labeling

ROWS = ("human", "untrained", "uniformity", "meta", "warm", "power", "spectral")


class StepTimes(Callback):
    """Collects the seconds of outer steps."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_outer_step(self, numbers: Numbers) -> None:
        """Note one."""
        self.seconds.append(float(numbers["seconds"]))


class Comparison:
    """One data set, one learner, one budget.

    Args:
        dataset: images and labels.
        common: options of every `discover`.
        meta: options of `td.Meta`.
        seconds: wall time of a search; scoring is not counted.
        steps: outer steps, where they are not to follow from the seconds.
        score: options of every `score`.
        numbers: of the ways to cut ten classes.
    """

    def __init__(
        self,
        dataset: Dataset,
        common: dict[str, Any],
        meta: dict[str, Any],
        seconds: float,
        steps: int | None,
        score: dict[str, Any],
        numbers: list[int],
    ) -> None:
        self.dataset, self.common, self.seconds = dataset, common, seconds
        self.meta, self.steps = td.Meta(**meta), steps
        self.score_options, self.numbers = score, numbers

    def row(self, name: str) -> dict[str, Any]:
        """Search and score one row."""
        if name == "human":
            targets = [self.dataset.target(human.target(n)) for n in self.numbers]
            return self._summary(name, self._agreement(targets), {}, 0.0)
        began = time.perf_counter()
        found = getattr(self, f"_{name}")()
        spent = time.perf_counter() - began
        own = self._agreement(found.tasks, found.tasks.seen_N)
        return self._summary(name, own, found.numbers, spent)

    def _agreement(self, given: Sequence[Labeling], seen_N: BoolArray | None = None) -> list[float]:
        config = from_mapping(ScoreConfig, self.score_options, "compare")
        return [s.agreement for s in labelings.scores(self.dataset, given, config, seen_N)]

    def _discover(self, method: td.Method, **options: Any) -> td.Discovery:
        return td.discover(self.dataset, method=method, **self.common, **options)

    def _untrained(self) -> td.Discovery:
        return self._discover(replace(self.meta, outer_steps=0))

    def _uniformity(self) -> td.Discovery:
        steps = self._affordable(self.seconds)
        return self._discover(replace(self.meta, objective="none", outer_steps=steps))

    def _meta(self) -> td.Discovery:
        return self._discover(replace(self.meta, outer_steps=self._affordable(self.seconds)))

    def _warm(self) -> td.Discovery:
        with tempfile.TemporaryDirectory() as place:
            run = Path(place) / "power"
            first = self._discover(td.Power(iterations=3), out=run)
            steps = self._affordable(self.seconds - first.numbers["seconds"])
            return self._discover(replace(self.meta, warm_start=str(run), outer_steps=steps))

    def _power(self) -> td.Discovery:
        """As many iterations as the time allows, with more epochs in each."""
        began = time.perf_counter()
        self._discover(td.Power(iterations=1, tolerance=0.0), epochs=3)
        both = time.perf_counter() - began  # an iteration, and the encoder's fit, which is as long
        scale = max(1, round(self.seconds / (both / 2) / 11))  # 10 iterations and the fit
        return self._discover(td.Power(iterations=10, tolerance=0.0), epochs=3 * scale)

    def _spectral(self) -> td.Discovery:
        return self._discover(td.Spectral())

    def _affordable(self, seconds: float) -> int:
        """Return how many outer steps fit in the time, from six of them."""
        if self.steps is None:
            times = StepTimes()
            self._discover(replace(self.meta, outer_steps=6), callbacks=[times])
            self.steps = max(1, int(self.seconds / float(np.median(times.seconds[1:]))))
        return max(1, int(self.steps * seconds / self.seconds))

    @staticmethod
    def _summary(
        name: str, agreement: list[float], result: dict[str, Any], seconds: float
    ) -> dict[str, Any]:
        return {
            "row": name,
            "mean": round(float(np.mean(agreement)), 4),
            "min": round(float(np.min(agreement)), 4),
            "max": round(float(np.max(agreement)), 4),
            "agreement": [round(a, 4) for a in agreement],
            "similarity": result.get("similarity"),
            "meta": result.get("meta"),
            "seconds": round(seconds, 1),
        }


def main() -> None:
    """Do each row, print it, write the document after each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", metavar="DATA")
    parser.add_argument("--learner", default="convnet")
    parser.add_argument("--tasks", type=int, default=8)
    parser.add_argument("--train-images", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=1200.0)
    parser.add_argument("--steps", type=int, default=None, help="outer steps of meta")
    parser.add_argument("--rows", default=",".join(ROWS))
    parser.add_argument(
        "--human", default=",".join(map(str, human.CORE)), help="numbers of human tasks"
    )
    parser.add_argument("--meta", default="{}", help="further options of meta, as JSON")
    parser.add_argument("--preset", default="quick", help="of the scores")
    parser.add_argument("--runs", type=int, default=2, help="of the scores")
    parser.add_argument("--threads", type=int, default=None)
    add_output(parser)
    options = parser.parse_args()
    own_process(options.threads)
    threads = {} if options.threads is None else {"threads": options.threads}
    comparison = Comparison(
        td.load(options.data),
        {
            "learner": options.learner,
            "tasks": options.tasks,
            "train_images": options.train_images,
            **threads,
        },
        json.loads(options.meta),
        options.seconds,
        options.steps,
        {"learner": options.learner, "preset": options.preset, "runs": options.runs, **threads},
        [int(n) for n in options.human.split(",")],
    )
    rows = []
    for name in options.rows.split(","):
        rows.append(comparison.row(name))
        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
        document = {
            "rows": rows,
            "options": {k: plain(str(v)) for k, v in vars(options).items()},
            "environment": about(),
        }
        save(document, options.out)  # after each row: they take long
    deliver(document, options)


if __name__ == "__main__":
    main()
