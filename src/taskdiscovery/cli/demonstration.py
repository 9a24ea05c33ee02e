"""The whole pipeline on small data: discover, score, split, analyze, report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from taskdiscovery import api
from taskdiscovery.reporting import write_report_of_run
from taskdiscovery.runtime.callbacks import Callbacks

#: so many images pass in each training: enough for a learner to settle on small data.
PASSES = 30_000


def run(spec: str, path: Path, *, tell: Callable[[str], None], callbacks: Callbacks) -> Path:
    """Discover six tasks, score them beside references, split along the worst, write the report.

    Args:
        spec: DATA specification with labels.
        path: of the new run directory.
        tell: told what is being done, a line at a time.
        callbacks: told of progress.

    Returns:
        The path of the report.
    """
    told = callbacks.callbacks
    data = api.load(spec, callbacks=told)
    epochs = max(3, round(PASSES / len(data)))
    tell(f"1/5 discovering tasks on {len(data)} images ({spec})")
    api.discover(data, tasks=6, epochs=epochs, batch=128, out=path, callbacks=told)
    tell("2/5 scoring them beside a human labeling and random labels")
    api.score(data, str(path), epochs=epochs, batch=128, runs=3, out=path, callbacks=told)
    half = data.half_of_classes() or "label"
    tell(f"3/5 splitting the data so that {half} cannot be learnt")
    api.split(data, half, str(path), epochs=epochs, batch=128, out=path, callbacks=told)
    tell("4/5 measuring what the tasks are about")
    opened = api.open_run(path)
    api.analyze(data, opened, out=path, callbacks=told)
    tell("5/5 writing the report")
    return write_report_of_run(opened, data, callbacks)
