"""Train learners that resist shortcuts on a benchmark, and measure them on its test sets.

Axes: n training images, m measured images, K runs, G groups.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from taskdiscovery.agreement import mean_over_runs
from taskdiscovery.config import StressConfig
from taskdiscovery.data import partition
from taskdiscovery.errors import DataError, NumericalError, RunDirError, first_line
from taskdiscovery.networks.placing import hold
from taskdiscovery.networks.prediction import predict
from taskdiscovery.runtime.progress import Meter
from taskdiscovery.runtime.seeds import derive
from taskdiscovery.splits.benchmark.rows import AGREEING, CONFLICTING, TRAIN, VALIDATION, Benchmark
from taskdiscovery.splits.benchmark.table import Baseline
from taskdiscovery.splits.measure import run_seeds
from taskdiscovery.training import Seeds, Workbench
from taskdiscovery.training.loop import Hooks
from taskdiscovery.training.robust import (
    GRIDS,
    Held,
    Problem,
    Settings,
    choose,
    learner_named,
    passes,
)
from taskdiscovery.training.robust.tuning import grid
from taskdiscovery.training.watch import Watch
from taskdiscovery.types import BoolArray, IntArray, Interval, Record

_LOG = logging.getLogger("taskdiscovery")


def trained(bench: Workbench, benchmark: Benchmark, config: StressConfig) -> tuple[Baseline, ...]:
    """Train every baseline on every strength, `config.runs` times.

    Runs of different strengths and learners begin with the same weights. A learner that has too few
    held-out images, or diverges in every run, has a row without figures that says so. The bench's
    journal remembers every training; a row follows from its learner, strength and seed alone.

    Args:
        bench: on the images of the benchmark.
        benchmark: as `compose` gives it.
        config: resolved but for `test_images`, which is the caller's.

    Raises:
        ConfigError: for a network that a learner cannot train.
    """
    works = [
        _Work(bench=bench, benchmark=benchmark, config=config, strength=strength)
        for strength in benchmark.strengths
    ]
    total = sum(work.passes(name) for work in works for name in config.tried)
    with bench.callbacks.stage(f"training {len(config.tried)} baselines", total) as meter:
        return tuple(work.baseline(name, meter) for work in works for name in config.tried)


@dataclass(frozen=True, eq=False, kw_only=True)
class _Work:
    """The trainings on one strength."""

    bench: Workbench
    benchmark: Benchmark
    config: StressConfig
    strength: float

    @property
    def tests(self) -> dict[str, IntArray]:
        """Rows of the test sets, at most so many in all as are asked for: they are in no order."""
        most, tests = self.config.test_images, self.benchmark.tests
        each = None if most is None else max(1, most // len(tests))
        return {name: rows[:each] for name, rows in tests.items()}

    def problem(self, run: int | None) -> Problem:
        """Return the training of a run, with groups numbered as there are, and held-out images.

        Args:
            run: its number; None for what settings are chosen by, of which nothing is reported.
        """
        rows = self.benchmark.rows(self.strength)
        train, held = rows[TRAIN], rows[VALIDATION]
        group_N, labels_N = self.benchmark.group_N, self.benchmark.target.labels_N
        known = np.unique(group_N[train])
        held = held[np.isin(group_N[held], known)]
        measured = np.concatenate(list(self.tests.values()))
        bench = self.bench.measured_on(train)
        seeds = _tuning_seeds(self.config.seed) if run is None else run_seeds(self.config, run)
        return Problem(
            training=bench.training(self.benchmark.target, train, measured, seeds),
            groups=np.searchsorted(known, group_N[train]),
            held=Held(
                rows=held,
                targets=labels_N[held],
                groups=np.searchsorted(known, group_N[held]),
            ),
        )

    def passes(self, name: str) -> int:
        """Return how many images pass through networks for a baseline."""
        problem, own = self.problem(0), _called(name)
        tried = grid(own, problem.settings) if self._tunes(own, problem) else []
        tuning = sum(passes(own, replace(problem, settings=each)) for each in tried)
        return tuning + self.config.runs * passes(own, problem)

    def baseline(self, name: str, meter: Meter) -> Baseline:
        """Train and measure a baseline."""
        own, first = _called(name), self.problem(0)
        assert first.held is not None
        hold(
            self.bench.images,
            np.concatenate([first.training.rows, first.training.measured, first.held.rows]),
        )
        found = []
        try:
            if own == "last layer" and (lacking := self._lacking(first)):
                raise DataError(f"there are no validation images of {lacking}")
            settings = self._settings(name, first, meter)
            for run in range(self.config.runs):
                problem = replace(self.problem(run), settings=settings)
                if (predicted := self._predicted(name, run, problem, meter)) is not None:
                    found.append(predicted)
        except (DataError, NumericalError) as error:
            return self._failed(name, first_line(error))
        if not found:
            return self._failed(name, "every run diverged")
        accuracy, worst = self._figures(np.stack(found))
        meter.advance(0, f"{self.strength:.2f} {name}: {accuracy['conflicting'].mean:.3f}")
        return Baseline(
            strength=self.strength,
            learner=name,
            runs=len(found),
            accuracy=accuracy,
            worst_group=worst,
            settings=" ".join(f"{key}={getattr(settings, key):g}" for key in GRIDS.get(own, ())),
            chosen=self._chosen(own, first),
            groups=", ".join(self._told(own, first)),
        )

    def _settings(self, name: str, first: Problem, meter: Meter) -> Settings:
        """Return the settings of a learner: the published ones, or those that were chosen.

        Raises:
            NumericalError: where every training diverges.
        """
        own = _called(name)
        if not self._tunes(own, first):
            if self.config.tune and own in GRIDS:
                why = f"there are no validation images of {self._lacking(first)}"
                _LOG.warning("%s at %.2f has published settings: %s", own, self.strength, why)
            return first.settings

        def do(key: str, work: Callable[[Watch], Record]) -> Record:
            return self.bench.journal.do(f"{self._key(name)} {key}", work)

        hooks = Hooks(meter=meter)
        return choose(own, self.problem(None), self.bench.images, hooks, do).settings

    def _tunes(self, own: str, problem: Problem) -> bool:
        """Say whether settings are chosen: a group without images would be left out of account."""
        return self.config.tune and own in GRIDS and not self._lacking(problem)

    def _chosen(self, own: str, problem: Problem) -> str:
        """Say how the settings of a learner were chosen; empty where it has none."""
        if own not in GRIDS:
            return ""
        return "by the worst group of validation" if self._tunes(own, problem) else "published"

    def _told(self, own: str, problem: Problem) -> list[str]:
        """Return the parts of whose images a learner was told the groups."""
        trained_on = [TRAIN] if own in ("group reweighting", "group dro") else []
        held = own == "last layer" or self._tunes(own, problem)
        return trained_on + ([VALIDATION] if held else [])

    def _lacking(self, problem: Problem) -> str:
        """Name a group that is trained on, and has no held-out image; empty where none lacks."""
        assert problem.held is not None
        missing = np.setdiff1d(problem.groups, problem.held.groups)
        if not len(missing):
            return ""
        known = np.unique(self.benchmark.group_N[problem.training.rows])
        return self.benchmark.group_names[known[missing[0]]]

    def _failed(self, name: str, why: str) -> Baseline:
        _LOG.warning("%s at strength %.2f has no figures: %s", name, self.strength, why)
        return Baseline(strength=self.strength, learner=name, runs=0, failed=why)

    def _key(self, name: str) -> str:
        """Return what the journal's keys of a baseline begin with."""
        return f"{self.strength:.2f} {name}"

    def _predicted(self, name: str, run: int, problem: Problem, meter: Meter) -> IntArray | None:
        """Return (m,) classes that a run gives; None where it diverges.

        Raises:
            RunDirError: where what was saved of it does not fit.
        """
        training, own, key = problem.training, _called(name), f"{self._key(name)} run {run}"
        if self.bench.journal.has(key):
            meter.advance(passes(own, problem))

        def work(watch: Watch) -> Record:
            try:
                hooks = Hooks(meter=meter, watch=watch)
                model = learner_named(own)(problem, self.bench.images, hooks)
            except NumericalError as error:
                return Record(values={"failed": error.what})
            precision = training.learner.precision
            outputs = predict(model, self.bench.images, training.measured, precision)
            return Record(arrays={"predicted": outputs.argmax(dim=1).numpy().astype(np.int32)})

        found = self.bench.journal.do(key, work)
        if "failed" in found.values:
            why = str(found.values["failed"])
            _LOG.warning("%s at %.2f: %s, counted as failed", own, self.strength, why)
            return None
        predicted_m = found.arrays.get("predicted")
        if predicted_m is None or predicted_m.shape != training.measured.shape:
            raise RunDirError(
                "the saved predictions are of other images",
                where="checkpoints",
                hint="begin again with another --out",
            )
        return predicted_m.astype(np.int64)

    def _figures(self, predicted_Km: IntArray) -> tuple[dict[str, Interval], str]:
        """Return the figures of a row, and the name of the worst group."""
        tests, benchmark = self.tests, self.benchmark
        rows = np.concatenate(list(tests.values()))
        right_Km = predicted_Km == benchmark.target.labels_N[rows]
        agree_m = benchmark.agree_N[rows]
        found = {
            AGREEING: self._mean(right_Km, rows, agree_m),
            CONFLICTING: self._mean(right_Km, rows, ~agree_m),
        }
        group_m = benchmark.group_N[rows]
        groups = {
            int(g): self._mean(right_Km, rows, group_m == g) for g in np.unique(group_m).tolist()
        }
        worst = min(groups, key=lambda g: groups[g].mean)
        agreeing, conflicting = found[AGREEING], found[CONFLICTING]
        figures = {
            "agreeing": agreeing,
            "conflicting": conflicting,
            "mixed": _mixed(agreeing, conflicting, self.strength),
            "worst": groups[worst],
        }
        for name, part_m in (("worst_agreeing", agree_m), ("worst_conflicting", ~agree_m)):
            own = [groups[g] for g in np.unique(group_m[part_m]).tolist()]
            figures[name] = min(own, key=lambda one: one.mean)
        return figures, benchmark.group_names[worst]

    def _mean(self, right_Km: BoolArray, rows: IntArray, part_m: BoolArray) -> Interval:
        groups = self.benchmark.dataset.groups
        draws = None if groups is None else partition.codes(groups[rows[part_m]])
        return mean_over_runs(right_Km[:, part_m], draws)


def _tuning_seeds(seed: int) -> Seeds:
    """Return what settings are chosen by, so that no reported run has chosen its own."""
    return Seeds(derive(seed, "tuning", "init"), derive(seed, "tuning", "order"))


def _called(name: str) -> str:
    """Return what `training.robust` calls a baseline."""
    return name.replace("-", " ")


def _mixed(agreeing: Interval, conflicting: Interval, strength: float) -> Interval:
    """Mix accuracies as the training images are mixed.

    So are the ends of the intervals: as if both erred alike, which is never too narrow.
    """
    both = [(getattr(agreeing, end), getattr(conflicting, end)) for end in ("mean", "low", "high")]
    mean, low, high = (strength * a + (1 - strength) * b for a, b in both)
    return Interval(mean=mean, low=low, high=high, covers=agreeing.covers)
