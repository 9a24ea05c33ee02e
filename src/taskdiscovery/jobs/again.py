"""The images of a run, read again for those who show or export it."""

from __future__ import annotations

from typing import Any

from taskdiscovery.config import JobConfig
from taskdiscovery.jobs.inputs import read_data, reading_of
from taskdiscovery.jobs.looking import features_of
from taskdiscovery.jobs.parts import with_parts
from taskdiscovery.jobs.trust import data_of
from taskdiscovery.runtime.callbacks import Callbacks
from taskdiscovery.store import Run
from taskdiscovery.types import Dataset


def dataset_of(
    run: Run, data: Any, callbacks: Callbacks, *, features: str = "", test: str = ""
) -> Dataset:
    """Read the images of a run as it has read them.

    Args:
        run: of any job.
        data: the images, where they are no longer where the run found them; else None.
        callbacks: told of progress.
        features: numbers of the images; by default those that the tasks were found on.
        test: the images that the run measured on, where it is from elsewhere and named some.

    Raises:
        RunDirError: where the run names what the caller has to name again.
        ConfigError, DataError, ResourceError: as `load`.
    """
    features = features or features_of(run, data)
    if data is None:
        data = data_of(run, run.config)
    how = JobConfig(**vars(reading_of(run)), features=features, test=test)
    return read_data(data, with_parts(how, run, None), callbacks)
