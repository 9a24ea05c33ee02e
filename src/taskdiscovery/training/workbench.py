"""What every training of a job shares.

Axes: N images.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from taskdiscovery.config import ResolvedLearner, is_convex
from taskdiscovery.data import partition
from taskdiscovery.networks import Normalization
from taskdiscovery.networks.placing import Images
from taskdiscovery.runtime.callbacks import Callbacks
from taskdiscovery.store.journal import Journal
from taskdiscovery.training.request import Executor
from taskdiscovery.training.work import Seeds, Training
from taskdiscovery.types import Dataset, ImageArray, IntArray, Labeling, Matrix, Record

_LOG = logging.getLogger("taskdiscovery")


@dataclass(frozen=True, eq=False, kw_only=True)
class Workbench:
    """Images on the device, their normalization, the learner, and who trains it.

    Attributes:
        dataset: the data set.
        inputs: what the learner looks at: (N, H, W, channels) uint8 images of the data set, or its
            features as (N, 1, 1, P) floats; as they were read, in memory or memory-mapped.
        images: the same as the learner's device sees them.
        normalization: of pixels, measured on training images.
        learner: what is trained, and how.
        executor: does the trainings.
        journal: remembers what is finished.
        callbacks: are told of progress.
    """

    dataset: Dataset
    inputs: Matrix | ImageArray
    images: Images
    normalization: Normalization
    learner: ResolvedLearner
    executor: Executor
    journal: Journal
    callbacks: Callbacks

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, channels) of an image; (1, 1, P) of features."""
        height, width, channels = self.inputs.shape[1:]
        return int(height), int(width), int(channels)

    def measured_on(self, rows: IntArray) -> Workbench:
        """Return a workbench whose normalization is that of these rows."""
        return replace(self, normalization=Normalization.measure(self.inputs, rows))

    def training(
        self,
        labeling: Labeling,
        rows: IntArray,
        measured: IntArray,
        seeds: Seeds,
        *,
        monitored: IntArray | None = None,
    ) -> Training:
        """Make one run: a training on a labeling of `rows` that predicts `measured`.

        Args:
            labeling: only the classes of `rows` are looked at.
            rows: images to train on.
            measured: (m,) images whose outputs are wanted.
            seeds: what the run is drawn from.
            monitored: images on which the predictions must settle for the run to end early.
        """
        return Training(
            learner=self.learner,
            shape=self.shape,
            normalization=self.normalization,
            outputs=labeling.k,
            rows=rows,
            targets=labeling.labels_N[rows],
            measured=measured,
            seeds=seeds,
            monitored=monitored,
            groups=partition.draws(self.dataset.groups, rows),
        )


def warn_if_brief(learner: ResolvedLearner, images: int, preset: str) -> None:
    """Warn where a training has too few steps to learn much."""
    if is_convex(learner.name):
        return
    steps = learner.recipe.epochs * max(1, images // learner.recipe.batch)
    if steps < 60 and preset != "smoke":
        _LOG.warning(
            "%d images and %d epochs give %d steps, too few to learn much: raise --epochs or "
            "lower --batch",
            images,
            learner.recipe.epochs,
            steps,
        )


def predicted(outputs: Tensor) -> Record:
    """Keep the (…, m) predicted classes of (…, m, C) outputs."""
    return Record(arrays={"predicted": np.asarray(outputs.argmax(dim=-1).numpy())})
