"""`embed`: what a frozen network makes of images, as features of the data set and as a file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from taskdiscovery.config import EmbedConfig
from taskdiscovery.features import backbone_of, with_features, writing
from taskdiscovery.features.backbones import sized
from taskdiscovery.jobs.inputs import read_data
from taskdiscovery.runtime import hardware
from taskdiscovery.runtime.callbacks import Callbacks
from taskdiscovery.runtime.disk import check_writable
from taskdiscovery.store.writing import atomic
from taskdiscovery.types import Backbone, Dataset


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
    spec = sized(config.backbone, config.size)
    backbone = backbone_of(spec)
    dataset = read_data(data, _as_seen(config, backbone), callbacks)
    from taskdiscovery.executors import resolve_device

    with hardware.threads(config.threads or hardware.cpu_cores()):
        found = with_features(
            dataset,
            spec,
            device=resolve_device(config.device),
            batch=config.batch,
            callbacks=callbacks.callbacks,
        )
    if out is not None:
        _write(found, out)
    return found


def _as_seen(config: EmbedConfig, backbone: Backbone) -> EmbedConfig:
    """Return options that read images as the network is to see them, before its centre is cut."""
    fit = backbone.fit if config.fit == "crop" else config.fit
    return replace(config, size=backbone.side, fit=fit)


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
