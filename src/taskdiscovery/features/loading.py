"""From what a caller names or holds to a `Dataset`, with its features: what `td.load` does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taskdiscovery import data as _data
from taskdiscovery.errors import ConfigError
from taskdiscovery.features.alone import check_alone, is_alone, load_alone, path_alone
from taskdiscovery.features.attaching import with_features
from taskdiscovery.runtime.callbacks import Callback
from taskdiscovery.types import Dataset

if TYPE_CHECKING:
    import pandas as pd


def load(
    data: Any,
    *,
    labels: Any = None,
    attributes: pd.DataFrame | Mapping[str, Any] | None = None,
    features: Any = None,
    size: int | None = None,
    fit: str = "crop",
    range: tuple[float, float] | None = None,
    skip_bad: bool = False,
    missing: Sequence[str] = (),
    cache: Path | str | None = None,
    callbacks: Iterable[Callback] | None = None,
) -> Dataset:
    """Read images with what is known of them, their features beside or instead of them.

    Args:
        data, labels, attributes, features, size, fit, range, skip_bad, missing, cache, callbacks:
            as of `taskdiscovery.load`.

    Raises:
        ConfigError: for a specification that cannot be understood.
        DataError: for content that cannot be used.
    """
    if is_alone(data) and not isinstance(data, Dataset):
        if path_alone(data) is not None and (labels is not None or attributes is not None):
            raise ConfigError(
                "labels and attributes are given beside a file of features",
                where="load",
                hint="put them into its table; or give them to score and split, by id",
            )
        if isinstance(attributes, Mapping):
            import pandas as pd

            attributes = pd.DataFrame(attributes)
        dataset = replace(load_alone(data, labels, attributes), missing=tuple(missing))
    else:
        dataset = _data.load(
            data,
            labels=labels,
            attributes=attributes,
            size=size,
            fit=fit,
            range=range,
            skip_bad=skip_bad,
            missing=missing,
            cache=cache,
            callbacks=callbacks,
        )
    if features is None or (isinstance(features, str) and not features):
        return dataset
    kept = None if cache is None else Path(cache)
    return with_features(dataset, features, cache=kept, callbacks=callbacks)


def check_spec(data: str) -> None:
    """Refuse a DATA specification that cannot work, without reading the data or importing torch.

    Raises:
        ConfigError, DataError: as `load`.
    """
    if path_alone(data) is not None:
        check_alone(data)
    else:
        _data.check_spec(data)
