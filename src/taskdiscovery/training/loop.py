"""The loop of a training.

Scoring, discovery and splits all train through here: what is optimized is what is measured.

Axes: N images, K outputs. Images are uint8 tensors (N, H, W, channels), on the CPU memory-mapped
or in memory, on a GPU resident.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from torch import Tensor

from taskdiscovery.config import ResolvedLearner
from taskdiscovery.networks import Model
from taskdiscovery.networks.placing import Placed
from taskdiscovery.networks.prediction import calibrate
from taskdiscovery.networks.streaming import upload
from taskdiscovery.runtime import interrupts, memory_errors, random_states, ranks
from taskdiscovery.runtime.arithmetic import repeatable
from taskdiscovery.runtime.capture import aside
from taskdiscovery.runtime.progress import Meter, Silent
from taskdiscovery.training.augment import draw
from taskdiscovery.training.early import Settling
from taskdiscovery.training.state import TrainingState, batches_of
from taskdiscovery.training.steps import Examples, Steps, copy_weights, steps_of
from taskdiscovery.training.watch import Unwatched, Watch
from taskdiscovery.types import IntArray


@dataclass(frozen=True, eq=False, kw_only=True)
class Hooks:
    """What looks on while a model is trained.

    Attributes:
        meter: told of every image passed through.
        watch: saves the training between two updates, and gives back where it was saved.
        settling: says when the training may end before its schedule does.
    """

    meter: Meter = field(default_factory=Silent)
    watch: Watch = field(default_factory=Unwatched)
    settling: Settling | None = None


def train(
    learner: ResolvedLearner,
    model: Model,
    examples: Examples,
    seed: int,
    hooks: Hooks | None = None,
) -> Model:
    """Train a model and leave it in evaluation mode.

    Args:
        learner: its recipe is followed.
        model: as it was built for the learner; trained in place.
        examples: images, targets, loss.
        seed: decides the order of batches, the augmentation, and the model's own random draws.
        hooks: progress, saving, early end.

    Returns:
        The same model.

    Raises:
        NumericalError: where the loss is not finite at the end of an epoch, or a weight is not.
        ResourceError: where memory runs out.
        KeyboardInterrupt: between two updates, where a signal asks for it.
    """
    recipe, hooks = learner.recipe, hooks or Hooks()
    meter, settling, n = hooks.meter, hooks.settling, len(examples.rows)
    device = examples.images.device
    with (
        random_states.private(seed, str(device)),
        interrupts.deferred(),
        _explained(recipe.batch),
        repeatable(device),
        aside(device),
    ):
        saved, updates = hooks.watch.restored(), recipe.epochs * batches_of(learner, n)
        steps = steps_of(learner, model, examples, updates, anew=saved is not None)
        state = TrainingState(learner, steps, n, seed)
        state.restore(saved)
        if settling is not None and state.settled:
            settling.before = state.before
        meter.advance(state.passed)
        steps.model.train()
        while state.epoch < recipe.epochs and not state.settled:
            _epoch(state, steps, examples.rows, hooks)
            ranks.add([state.total])
            if not math.isfinite(float(state.total)):
                raise state.diverged()
            if not state.settled:
                state.next_epoch()
        # What need not be done.
        meter.advance(recipe.epochs * n - state.passed)
        if not state.finite():
            raise state.diverged()
        if recipe.recalibrate:
            calibrate(steps.model, examples.images, examples.rows, learner.precision)
        else:
            _share_statistics(steps.model)
        if steps.model is not model:
            copy_weights(steps.model, model)
    return model.eval()


def _epoch(state: TrainingState, steps: Steps, rows: IntArray, hooks: Hooks) -> None:
    """Do what is left of an epoch; fewer updates where the predictions settle on the way."""
    recipe, images, settling = state.learner.recipe, steps.images, hooks.settling
    # Batches of nearly equal size: a last batch of one image would break batch norm.
    placed = upload(state.permutation, steps.device).tensor_split(state.batches)[state.batch :]
    streamed: Iterator[Tensor] = iter(())
    if isinstance(images, Placed) and not steps.resident:
        left = state.permutation.tensor_split(state.batches)[state.batch :]
        streamed = images.batches([rows[chosen.numpy()] for chosen in left])
    for chosen in placed:
        drawn = draw(recipe.augment, len(chosen), images.shape[1:], state.order)
        steps(chosen, drawn, None if steps.resident else next(streamed))
        if state.schedule is not None:
            state.schedule.step()
        state.batch += 1
        hooks.meter.advance(len(chosen))
        state.settled = settling is not None and settling.done(steps.model, state)
        hooks.watch.boundary(state.to_record)
        if state.settled:
            break


def _share_statistics(model: Model) -> None:
    """Give all ranks the mean of what their batch norms have seen, each of its own images."""
    if ranks.size() > 1:
        running = [b for b in model.buffers() if b.is_floating_point()]
        ranks.add(running)
        for buffer in running:
            buffer.div_(ranks.size())


def _explained(batch: int) -> AbstractContextManager[None]:
    """Turn memory that runs out within the block into an error that says what takes less."""
    hint = f"try --batch {memory_errors.smaller(batch)}, a narrower learner or fewer images"
    return memory_errors.explained("training", where=f"--batch {batch}", hint=hint)
