"""When a training may end before its schedule does: its predictions have settled.

Twelve times in its schedule a run predicts images that it is not trained on. While it learns, its
predictions come to agree with those of the check before; where that agreement hardly grows any
more, further training moves predictions but teaches little. They then still move from one check to
the next, so such a run gives two sets of them: of the last check and of the one before.
Scores of these rank tasks as scores of whole runs do: `python -m benchmarks.early` measures how
well, and at what cost.

Axes: m monitored images.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor, nn

from taskdiscovery.networks.placing import Images
from taskdiscovery.networks.prediction import calibrate, predict
from taskdiscovery.training.state import TrainingState
from taskdiscovery.types import IntArray

#: how often in a schedule a run predicts the monitored images.
CHECKS = 12
#: checks before which no run ends.
LEAST = 3
#: a run ends where its agreement with itself grows by less than this.
GROWTH = 0.05
#: images whose predictions are monitored, at most.
MONITORED = 1000
#: images from which batch norms' statistics are taken before a check.
_CALIBRATION = 1024


class Settling:
    """Says when the predictions of a run have settled.

    Args:
        images: (N, H, W, channels) uint8 on the learner's device.
        rows: images that are trained on.
        monitored: (m,) images whose predictions must settle.
        precision: of the predictions.
    """

    def __init__(self, images: Images, rows: IntArray, monitored: IntArray, precision: str) -> None:
        self.images, self.monitored, self.precision = images, monitored, precision
        few = np.linspace(0, len(rows) - 1, min(len(rows), _CALIBRATION)).astype(np.int64)
        self.few = rows[few]
        #: weights of the check before the one at which the run ended; empty where it did not.
        self.before: dict[str, Tensor] = {}

    def done(self, model: nn.Module, state: TrainingState) -> bool:
        """Check, if it is time; say whether the training may end. The model stays as it is."""
        total = state.batches * state.learner.recipe.epochs
        step = state.epoch * state.batches + state.batch
        check = step * CHECKS // total
        if check == (step - 1) * CHECKS // total or step == total:
            return False
        running = {name: b.clone() for name, b in model.named_buffers()}
        calibrate(model, self.images, self.few, self.precision)
        predictions = (
            predict(model, self.images, self.monitored, self.precision).argmax(dim=1).numpy()
        )
        model.train()
        for name, buffer in model.named_buffers():
            buffer.copy_(running[name])
        before, state.predictions = state.predictions, predictions
        if before is not None:
            state.agreements.append(float((predictions == before).mean()))
            if settled(check, state.agreements):
                self.before = state.before
                return True
        state.before = {name: value.clone() for name, value in model.state_dict().items()}
        return False


def settled(check: int, agreements: list[float]) -> bool:
    """Say whether a run may end.

    Args:
        check: which it is, from 1.
        agreements: of its predictions at the checks from the second on, each with those before it.
    """
    if check < LEAST or len(agreements) < 2:
        return False
    return agreements[-1] - agreements[-2] < GROWTH
