"""`embed`: what a frozen network makes of images, as features of the data set and as a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from taskdiscovery.config import EmbedConfig
from taskdiscovery.features import backbone_of, with_features, writing
from taskdiscovery.jobs.inputs import read_data
from taskdiscovery.runtime import hardware
from taskdiscovery.runtime.callbacks import Callbacks
from taskdiscovery.runtime.disk import check_writable
from taskdiscovery.store.writing import atomic
from taskdiscovery.types import Dataset


def run(data: Any, config: EmbedConfig, out: Path | None, callbacks: Callbacks) -> Dataset:
    """Do the job.

    Args:
        data: anything that `load` takes.
        config: as given.
        out: the file to write, or None.
        callbacks: told of progress.

    Returns:
        The data set with its features.

    Raises:
        TaskDiscoveryError: see `errors`.
    """
    if out is not None:
        writing.check_place(out)
        check_writable(out)
    backbone = backbone_of(f"{config.backbone}?size={config.size}")
    dataset = read_data(data, config, callbacks)
    from taskdiscovery.executors import resolve_device

    with hardware.threads(config.threads or hardware.cpu_cores()):
        found = with_features(
            dataset,
            str(backbone),
            device=resolve_device(config.device),
            callbacks=callbacks.callbacks,
        )
    if out is not None:
        _write(found, out)
    return found


def _write(dataset: Dataset, out: Path) -> None:
    """Write the features of a data set.

    Raises:
        ResourceError: where the place cannot be written.
    """
    with atomic(out) as stream:
        if out.suffix == ".npy":
            import numpy as np

            assert dataset.features is not None
            np.save(stream, dataset.features)
            return
        import pyarrow.parquet as pq

        pq.write_table(writing.table_of(dataset), stream, compression="zstd")
