"""From what a caller names or holds to a `Dataset`, with its features: what `td.load` does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from taskdiscovery import data as _data
from taskdiscovery.data.grouping import grouped
from taskdiscovery.data.joining import by_column, joined, names_data
from taskdiscovery.data.loading import KINDS
from taskdiscovery.errors import ConfigError
from taskdiscovery.features.alone import check_alone, is_alone, load_alone, path_alone
from taskdiscovery.features.attaching import with_features
from taskdiscovery.types import Dataset


def load(
    data: Any,
    *,
    features: Any = None,
    groups: Any = None,
    test: Any = None,
    cache: Any = None,
    **how: Any,
) -> Dataset:
    """Read images with what is known of them, their features beside or instead of them.

    Args:
        data, features, groups, test, cache: as of `taskdiscovery.load`.
        how: its other options.

    Raises:
        ConfigError: for a specification that cannot be understood.
        DataError: for content that cannot be used.
    """
    dataset = _plain(data, cache, how)
    if test is not None and not (isinstance(test, str) and not test):
        dataset = _with_test(dataset, test, cache, how)
    if groups is not None:
        dataset = grouped(dataset, groups)
    if features is None or (isinstance(features, str) and not features):
        return dataset
    kept = None if cache is None else Path(cache)
    return with_features(dataset, features, cache=kept, callbacks=how.get("callbacks"))


def _plain(data: Any, cache: Any, how: Mapping[str, Any]) -> Dataset:
    """Read data without features beside its images."""
    if is_alone(data) and not isinstance(data, Dataset):
        dataset = _alone(data, how.get("labels"), how.get("attributes"))
        return replace(dataset, missing=tuple(how.get("missing", ())))
    return _data.load(data, cache=cache, **how)


def _with_test(dataset: Dataset, test: Any, cache: Any, how: Mapping[str, Any]) -> Dataset:
    """Return a data set with a partition: of a column of its own, or with other images."""
    if isinstance(test, str) and (not names_data(test, KINDS) or _has_column(dataset, test)):
        return by_column(dataset, test)
    own = {k: v for k, v in how.items() if k not in ("labels", "attributes")}
    return joined(dataset, _plain(test, cache, own))


def _has_column(dataset: Dataset, text: str) -> bool:
    return dataset.attributes is not None and text in map(str, dataset.attributes.columns)


def _alone(data: Any, labels: Any, attributes: Any) -> Dataset:
    if path_alone(data) is not None and (labels is not None or attributes is not None):
        raise ConfigError(
            "labels and attributes are given beside a file of features",
            where="load",
            hint="put them into its table; or give them to score and split, by id",
        )
    return load_alone(data, labels, attributes)


def check_spec(data: str) -> None:
    """Refuse a DATA specification that cannot work, without reading the data or importing torch.

    Raises:
        ConfigError, DataError: as `load`.
    """
    if path_alone(data) is not None:
        check_alone(data)
    else:
        _data.check_spec(data)
