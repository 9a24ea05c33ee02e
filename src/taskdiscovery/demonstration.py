"""The whole pipeline on small data: discover, score, split, report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from taskdiscovery import data, jobs
from taskdiscovery.config import AnalyzeConfig, DiscoverConfig, ScoreConfig, SplitConfig
from taskdiscovery.report import write_report

#: so many images pass in each training: enough for a learner to settle on small data.
PASSES = 30_000


def run(source: str, place: Path, *, tell: Callable[[str], None]) -> Path:
    """Discover six tasks, score them beside references, split along the worst, write the report.

    Args:
        source: DATA specification with labels.
        place: the new run directory.
        tell: told what is being done, a line at a time.

    Returns:
        The path of the report.
    """
    dataset = data.load(source)
    epochs = max(3, round(PASSES / len(dataset)))
    tell(f"1/5 discovering tasks on {len(dataset)} images ({source})")
    jobs.run_discover(dataset, DiscoverConfig(tasks=6, epochs=epochs, batch=128), place)
    tell("2/5 scoring them beside a human labeling and random labels")
    jobs.run_score(dataset, ScoreConfig(source=str(place), epochs=epochs, batch=128, runs=3), None)
    half = ",".join(str(c) for c in range(len(dataset.classes) // 2))
    tell(f"3/5 splitting the data so that the classes {half} cannot be learnt")
    jobs.run_split(
        dataset,
        SplitConfig(target=f"label:{half}", source=str(place), epochs=epochs, batch=128),
        None,
    )
    tell("4/5 measuring what the tasks are about")
    jobs.run_analyze(place, dataset, AnalyzeConfig())
    tell("5/5 writing the report")
    return write_report(place, source)
