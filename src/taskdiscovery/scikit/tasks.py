"""What a splitter takes as tasks, as labelings of the rows at hand.

Axes: N rows, D tasks.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from taskdiscovery.data.labels.rows import counts_rows
from taskdiscovery.encoders.discovery import Discovery
from taskdiscovery.errors import ConfigError, DataError
from taskdiscovery.types import IdArray, Labeling, Tasks

_WHERE = "AdversarialSplit(task=…)"


def count_of(task: Any, X: Any = None) -> int:
    """Return how many tasks there are.

    Args:
        task: as `labelings_of` takes it.
        X: rows for an estimator that does not say.

    Raises:
        DataError: where such rows are needed and not given.
    """
    task = _opened(task)
    if isinstance(task, Labeling):
        return 1
    if isinstance(task, Tasks):
        return len(task)
    if hasattr(task, "classify"):
        return len(task.names)
    if hasattr(task, "predict"):
        if X is None:
            raise DataError(
                f"{type(task).__name__} does not say how many tasks it has",
                where=_WHERE,
                hint="give X to get_n_splits",
            )
        return len(_columns(task.predict(X)))
    return len(_columns(task))


def labelings_of(task: Any, X: Any, count: int) -> list[Labeling]:
    """Return binary labelings of the rows of X.

    Args:
        task: labelings, a discovery, values, or what labels rows itself.
        X: the rows.
        count: N, of rows.

    Raises:
        DataError: where it is for other rows.
        ConfigError: for a task of other than two classes.
    """
    task, ids_N = _opened(task), np.arange(count).astype(str)
    if isinstance(task, Labeling):
        found = [_of_rows(task, X, count)]
    elif isinstance(task, Tasks):
        found = [_of_rows(own, X, count) for own in task]
    elif hasattr(task, "classify"):
        found = _by_encoder(task, X, ids_N)
    elif hasattr(task, "predict"):
        values = _columns(task.predict(X))
        found = [Labeling.from_values(name, column, ids_N) for name, column in values.items()]
    else:
        columns = _columns(_by_index(task, X))
        _check_count(len(next(iter(columns.values()))), count)
        found = [Labeling.from_values(name, column, ids_N) for name, column in columns.items()]
    for own in found:
        if own.k != 2:
            raise ConfigError(
                f"{own.name} has {own.k} classes",
                where=_WHERE,
                hint="give tasks of two classes, e.g. labels == 3",
            )
    return found


def _opened(task: Any) -> Any:
    """Return the tasks of a discovery, the encoder of a fitted transformer, else what came."""
    if isinstance(task, Discovery):
        return task.tasks
    return getattr(task, "encoder_", task)


def _by_encoder(encoder: Any, X: Any, ids_N: IdArray) -> list[Labeling]:
    coordinates_NP = encoder.transform(np.asarray(X))
    labels_ND = encoder.classify(coordinates_NP)
    names, each = encoder.names, coordinates_NP.shape[1] // labels_ND.shape[1]
    k = (each + 1,) * len(names)
    made = Tasks(labels_ND=labels_ND, names=names, ids_N=ids_N, k=k, coordinates_NP=coordinates_NP)
    return list(made)


def _of_rows(task: Labeling, X: Any, count: int) -> Labeling:
    """Return a labeling of the rows of X: by the index of a frame that names them, else by order.

    Raises:
        DataError: where the rows are not those of the labeling.
    """
    index = getattr(X, "index", None)
    if index is not None and not callable(index) and not counts_rows(index):
        places = {name: row for row, name in enumerate(task.ids_N.tolist())}
        rows_N = [places.get(str(name), -1) for name in index]
        if min(rows_N, default=-1) >= 0:
            coordinates = task.coordinates_NC
            return Labeling(
                name=task.name,
                classes=task.classes,
                labels_N=task.labels_N[rows_N],
                ids_N=task.ids_N[rows_N],
                coordinates_NC=None if coordinates is None else coordinates[rows_N],
            )
    _check_count(len(task), count)
    return task


def _by_index(values: Any, X: Any) -> Any:
    """Return a Series or frame in the order of a frame X, by their indices; else what came.

    Raises:
        DataError: where a row of X has no value.
    """
    if not (hasattr(values, "iloc") and hasattr(X, "iloc")) or values.index.equals(X.index):
        return values
    if counts_rows(values.index) or counts_rows(X.index):  # which name nothing
        return values
    missing = ~X.index.isin(values.index)
    if missing.any() or not values.index.is_unique:
        example = X.index[missing][0] if missing.any() else "an id that occurs twice"
        raise DataError(
            f"{int(missing.sum())} of {len(X)} rows of X have no task, e.g. {example}",
            where=_WHERE,
            hint="give it the index of X, each id once",
        )
    return values.loc[X.index]


def _columns(values: Any) -> dict[str, Any]:
    """Return the columns of a table, a list or an array, by their names.

    Raises:
        DataError: for other shapes.
    """
    if hasattr(values, "columns"):
        return {str(name): values[name] for name in values.columns}
    if hasattr(values, "iloc"):
        return {str(values.name or "task"): values}
    array = np.asarray(values)
    if array.ndim == 1 and len(array):
        return {"task": array}
    if array.ndim == 2 and array.size:
        return {f"task_{d:03d}": array[:, d] for d in range(array.shape[1])}
    raise DataError(
        f"the task is {type(values).__name__} of shape {array.shape}",
        where=_WHERE,
        hint="give a Labeling, Tasks, an encoder, or one value per row",
    )


def _check_count(given: int, count: int) -> None:
    if given != count:
        raise DataError(
            f"the task labels {given} rows, X has {count}",
            where=_WHERE,
            hint="give the rows that it labels, in the same order; in an inner cross-validation "
            "give what labels any rows: task=found.encoder",
        )
