"""Features beside the images of a data set: from a table, or from a backbone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from taskdiscovery.config import OF_DATA
from taskdiscovery.data.joining import sides, stacked
from taskdiscovery.errors import ConfigError
from taskdiscovery.features.backbones import backbone_of, embed_images, is_backbone
from taskdiscovery.features.tables import read_features
from taskdiscovery.runtime.callbacks import Callback
from taskdiscovery.runtime.progress_bar import callbacks_of
from taskdiscovery.types import Dataset, Document


def with_features(
    dataset: Dataset,
    given: Any,
    *,
    device: str = "cpu",
    batch: int | None = None,
    cache: Path | None = None,
    callbacks: Iterable[Callback] | None = None,
) -> Dataset:
    """Return a data set that has features.

    Args:
        dataset: the images.
        given: a backbone SPEC, `data` for those that it has, or what `read_features` takes.
        device: where a backbone computes.
        batch: images that it is given at once.
        cache: where its features are kept; by default where decoded images are.
        callbacks: told of progress.

    Raises:
        ConfigError, DataError, ResourceError: as `read_features` and `embed_images`.
    """
    if isinstance(given, str) and given == OF_DATA:
        if dataset.features is None:
            raise ConfigError(
                "features of the data are asked for, and it has none",
                where="--features data",
                hint="name a table or a backbone, e.g. --features lite0",
            )
        return dataset
    if isinstance(given, str) and is_backbone(given):
        dataset.require_images(f"the backbone {given}")
        backbone = backbone_of(given)
        told = callbacks_of(callbacks)
        how: Document = {"device": device, "batch": batch, "cache": cache, "callbacks": told}
        # Each of two data sets has its own in the cache, whatever it is joined with.
        tables = [embed_images(dataset.images[own], backbone, **how) for own in sides(dataset)]
        table = tables[0] if len(tables) == 1 else stacked(*tables)
        return replace(dataset, features=table, backbone=backbone)
    features, known = read_features(given, dataset)
    return replace(dataset, features=features, backbone=known)
