"""`label`: the tasks of an encoder on other images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from taskdiscovery.config import LabelConfig, Network
from taskdiscovery.errors import DataError
from taskdiscovery.jobs.inputs import encoder_of, labelled, read_data
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
        config: as given.
        networks: that the caller has named, by name.
        callbacks: told of progress.

    Returns:
        The tasks of these images; an image's label is independent of the others.

    Raises:
        RunDirError: where the run or its encoder cannot be used.
        DataError: for images of another shape.
    """
    if isinstance(found, str | Path):
        found = Run.open(Path(found))
    dataset = read_data(data, config, callbacks)
    if isinstance(found, Run):
        encoder = encoder_of(found, networks)
    else:
        encoder = getattr(found, "encoder", found)
    if not hasattr(encoder, "transform"):
        raise DataError(
            f"{type(found).__name__} labels no images",
            where="label",
            hint="give a run of discover, what discover returned, or an encoder",
        )
    from taskdiscovery.executors import resolve_device

    return labelled(encoder, dataset, device=resolve_device(config.device))
