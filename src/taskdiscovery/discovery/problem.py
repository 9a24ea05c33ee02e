"""What a method is given, and what it gives back.

Axes: N training images, D tasks, P coordinates (k - 1 for each task of k classes).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from taskdiscovery.config import Network, TrainingRecipe
from taskdiscovery.discovery.constraints import Constraints
from taskdiscovery.encoders.encoder import Encoder
from taskdiscovery.encoders.linear import FeatureEncoder
from taskdiscovery.training import Workbench
from taskdiscovery.types import Document, Float32, FloatArray, IntArray, Matrix


@dataclass(frozen=True, eq=False, kw_only=True)
class Problem:
    """Tasks are wanted, of these images, for this learner, within these constraints.

    Attributes:
        workbench: images, normalization, learner, executor, journal, callbacks.
        rows: (N,) training images; nothing else may be looked at.
        tasks: D, how many tasks are wanted.
        classes: k, of every task.
        seed: of the job.
        constraints: what the coordinates must be free of, and where they are whitened.
        encoder_recipe: how an encoder is fitted to coordinates.
        features: (all images, F) numbers to search on in place of pixels, maybe memory-mapped; or
            None.
        warm: the encoder of another run to begin with, or None.
        objects: networks of the caller's own, by name.
    """

    workbench: Workbench
    rows: IntArray
    tasks: int
    classes: int
    seed: int
    constraints: Constraints
    encoder_recipe: TrainingRecipe
    features: Matrix | None = None
    warm: Encoder | FeatureEncoder | None = None
    objects: Mapping[str, Network] = field(default_factory=dict)

    @property
    def per_task(self) -> int:
        """Coordinates of a task."""
        return self.classes - 1

    @property
    def P(self) -> int:
        """The number of coordinates."""
        return self.tasks * self.per_task


@dataclass(frozen=True, eq=False, kw_only=True)
class Found:
    """What a method found.

    Attributes:
        encoder: of the tasks, best first.
        outputs: (all images, outputs) of the encoder's model; of one that takes features, its
            coordinates.
        quality: numbers of each task (D,), by name.
        numbers: what else `result.json` is to say of the search.
    """

    encoder: Encoder | FeatureEncoder
    outputs: Float32
    quality: Mapping[str, FloatArray] = field(default_factory=dict)
    numbers: Document = field(default_factory=dict)
