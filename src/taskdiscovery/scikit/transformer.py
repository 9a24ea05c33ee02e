"""Discovery as a transformer of scikit-learn: rows of features in, coordinates of tasks out.

Axes: N rows, P features, D tasks, C classes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from taskdiscovery import api
from taskdiscovery.data.partition import AT_LEAST
from taskdiscovery.discovery import Method
from taskdiscovery.errors import DataError, NumericalError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taskdiscovery.encoders.discovery import Discovery
    from taskdiscovery.types import IntArray

#: number types that features may come in, and coordinates leave in.
_NUMBERS = [np.float64, np.float32]


class DiscoverTasks(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """A scikit-learn transformer: finds tasks in (N, P) features, gives their coordinates.

        make_pipeline(StandardScaler(), td.DiscoverTasks(tasks=16), LogisticRegression())

    A tenth of the rows that it is fitted to is held out, so that `td.score(X, fitted.discovery_)`
    can measure the tasks on rows that discovery has not seen. The target is never looked at.

    Args:
        tasks: how many to find at most.
        classes: C, of each.
        method: `pursuit`, `power` (by ridges), or `Pursuit(…)`, `Power(…)` with options. `auto` is
            pursuit; where that has too few rows (about 110) or finds nothing that falls in two, it
            is power: `method_` says which.
        random_state: decides what is held out, and all draws.
        device: `auto`, `cpu`, `cuda`.
        threads: of the CPU; by default all that the process may use.

    Attributes:
        discovery_: the `Discovery`: tasks of the rows fitted to, numbers, encoder.
        encoder_: labels any other rows; `save` keeps it in a file.
        method_: by which the tasks were found.
        n_features_in_, feature_names_in_: as ever in scikit-learn.
    """

    def __init__(
        self,
        tasks: int = 8,
        classes: int = 2,
        method: str | Method = "auto",
        random_state: int | np.random.RandomState | None = 0,
        device: str = "auto",
        threads: int | None = None,
    ) -> None:
        self.tasks = tasks
        self.classes = classes
        self.method = method
        self.random_state = random_state
        self.device = device
        self.threads = threads

    def fit(self, X: Any, y: Any = None) -> Self:
        """Find tasks.

        Args:
            X: (N, P) numbers, P of 2 or more, N of 20 or more.
            y: not looked at.

        Raises:
            ValueError: for an X that scikit-learn refuses.
            TaskDiscoveryError: for options that cannot be used, and where a method that is named
                finds nothing.
        """
        X = validate_data(self, X, dtype=_NUMBERS, ensure_min_features=2)
        if len(X) < AT_LEAST:  # in scikit-learn's words, whose checks read them
            raise ValueError(
                f"Found array with {len(X)} sample(s) while a minimum of {AT_LEAST} is required "
                "by DiscoverTasks."
            )
        seed = self.random_state
        if not isinstance(seed, int | np.integer):
            seed = check_random_state(seed).randint(2**31 - 1)
        found = self._found(X, int(seed))
        # The rows themselves are the caller's: a pickle need not hold them.
        self.discovery_ = replace(found, tasks=replace(found.tasks, features=None))
        self.encoder_, self.method_ = found.encoder, str(found.numbers["method"])
        return self

    def transform(self, X: Any) -> NDArray[Any]:
        """Return (N, D * (C - 1)) coordinates; of two classes, class 1 is above 0.

        Args:
            X: (N, P) numbers.

        Raises:
            ValueError: for rows of other features.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=_NUMBERS, reset=False)
        return np.asarray(self.encoder_.transform(X), dtype=X.dtype)

    def predict(self, X: Any) -> IntArray:
        """Return the (N, D) classes; arguments and errors as of `transform`."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=_NUMBERS, reset=False)
        return self.encoder_.predict(X)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:
        """Return a name for each coordinate: of its task, and of more classes its number.

        Raises:
            ValueError: for other names than those it was fitted with.
        """
        check_is_fitted(self)
        if input_features is not None:
            if len(input_features) != self.n_features_in_:
                raise ValueError(
                    "input_features should have length equal to number of features "
                    f"({self.n_features_in_}), got {len(input_features)}"
                )
            own = getattr(self, "feature_names_in_", None)
            if own is not None and not np.array_equal(own, input_features):
                raise ValueError("input_features is not equal to feature_names_in_")
        names, each = self.encoder_.names, self.encoder_.classes - 1
        if each == 1:
            return np.array(names, dtype=object)
        return np.array([f"{name}_{c}" for name in names for c in range(each)], dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def _found(self, X: NDArray[Any], seed: int) -> Discovery:
        if self.method != "auto":
            return self._by(self.method, X, seed)
        try:
            return self._by("pursuit", X, seed)
        except (DataError, NumericalError):
            return self._by("power", X, seed)

    def _by(self, method: str | Method, X: NDArray[Any], seed: int) -> Discovery:
        name = method.name if isinstance(method, Method) else method
        return api.discover(
            X,
            method=method,
            learner="ridge" if name == "power" else "auto",
            tasks=self.tasks,
            classes=self.classes,
            seed=seed,
            device=self.device,
            threads=self.threads,
            callbacks=(),
        )
