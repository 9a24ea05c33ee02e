"""`label`: the tasks of an encoder on other images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from taskdiscovery.config import LabelConfig, Network
from taskdiscovery.jobs.inputs import labelled_by, read_alike, read_data, reading_of
from taskdiscovery.jobs.parts import with_parts
from taskdiscovery.runtime.callbacks import Callbacks
from taskdiscovery.store import Run
from taskdiscovery.types import Tasks


def run(
    found: Any,
    data: Any,
    config: LabelConfig,
    *,
    networks: Mapping[str, Network],
    callbacks: Callbacks,
) -> Tasks:
    """Do the job.

    Args:
        found: a run or its path, a `Discovery`, or an `Encoder`.
        data: anything that `load` takes.
        config: as given; how the images of the discovery were read is taken over.
        networks: that the caller has named, by name.
        callbacks: told of progress.

    Returns:
        The tasks of these images; an image's label is independent of the others. Where discovery
        has seen some of them, `seen_N` says which images may be trained on, and no score is ever
        measured on those.

    Raises:
        RunDirError: where the run or its encoder cannot be used.
        DataError: for images of another shape.
    """
    if isinstance(found, str | Path):
        found = Run.open(Path(found))
    config = with_parts(read_alike(config, reading_of(found)), found, data)
    dataset = read_data(data, config, callbacks)
    from taskdiscovery.executors import resolve_device

    device = resolve_device(config.device)
    return labelled_by(found, dataset, networks, device)
