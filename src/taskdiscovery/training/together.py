"""Several small trainings at once on one device, in step with each other.

The step of a small network fills a fraction of a GPU. Trainings that differ in weights, rows,
targets and seeds alone have equal batches, so that one step of each can be launched as one graph,
whose branches run side by side. Each does what it would do alone: its result is the same.

Axes: n training images, m measured images, K outputs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from taskdiscovery.config import is_convex
from taskdiscovery.networks import Model
from taskdiscovery.networks.model import draws, flops
from taskdiscovery.networks.placing import Images, hold
from taskdiscovery.networks.prediction import calibrate, predict
from taskdiscovery.networks.streaming import upload
from taskdiscovery.runtime import interrupts, random_states, ranks
from taskdiscovery.runtime.arithmetic import repeatable
from taskdiscovery.runtime.capture import Captured, aside, memory_pool
from taskdiscovery.runtime.progress import Meter
from taskdiscovery.training.augment import draw
from taskdiscovery.training.state import TrainingState, batches_of
from taskdiscovery.training.steps import Gradients, Steps
from taskdiscovery.training.work import Training

#: operations of a step that fill a GPU; as many trainings as that has room for, and no more.
FILLING = 1.5e11
MOST = 8
#: operations of a training above which it is done alone, where it is saved on the way.
LONG = 1e16


def room(training: Training) -> int:
    """Return how many trainings like this one are done at once on a GPU; 1 for alone.

    It follows from the training, never from a clock or from what is free.
    """
    learner = training.learner
    if is_convex(learner.name) or training.monitored is not None or ranks.size() > 1:
        return 1
    model = training.on("cpu").build()  # to be counted, and for nothing else
    if draws(model):
        return 1  # several would share torch's generator
    own = 3 * flops(model, training.shape)
    if own * training.passes > LONG:
        return 1
    return max(1, min(MOST, int(FILLING / (own * learner.recipe.batch))))


def alike(a: Training, b: Training) -> bool:
    """Say whether two trainings can be done in step with each other."""
    same = (a.learner, a.shape, a.outputs, a.loss, len(a.rows), a.monitored is None)
    others = (b.learner, b.shape, b.outputs, b.loss, len(b.rows), b.monitored is None)
    return same == others and a.targets.shape == b.targets.shape


def run_together(
    trainings: Sequence[Training], images: Images, meter: Meter
) -> list[Tensor] | None:
    """Train networks in step with each other.

    Args:
        trainings: that are `alike`.
        images: as of `Training.run`.
        meter: told of every image passed through.

    Returns:
        The (m, K) outputs of each, as `Training.run` returns them; None where one of them diverged:
        done alone, it says so.

    Raises:
        KeyboardInterrupt: between two updates, where a signal asks for it; nothing is saved.
    """
    first = trainings[0]
    recipe, precision = first.learner.recipe, first.learner.precision
    hold(images, np.concatenate([np.concatenate([t.rows, t.measured]) for t in trainings]))
    with (
        random_states.private(first.seeds.order, str(images.device)),
        interrupts.deferred(),
        repeatable(images.device),
        aside(images.device),
    ):
        members = [_Member(training, images) for training in trainings]
        if not all(member.steps.resident for member in members):
            return None
        rows = _Rows(members, images.device)
        for _ in range(recipe.epochs):
            for member in members:
                member.begin_epoch()
            for number in range(members[0].state.batches):
                meter.advance(rows.step(number))
                ranks.boundary()
            totals = torch.stack([member.state.total for member in members]).tolist()
            if not all(map(math.isfinite, totals)):
                return None
            for member in members:
                member.state.next_epoch()
        if not all(member.state.finite() for member in members):
            return None
        outputs = []
        for member, training in zip(members, trainings, strict=True):
            if recipe.recalibrate:
                calibrate(member.model, images, training.rows, precision)
            outputs.append(predict(member.model, images, training.measured, precision))
        return outputs


class _Member:
    """One of the trainings."""

    def __init__(self, training: Training, images: Images) -> None:
        self.model: Model = training.build()
        examples = training.examples(images)
        learner, n = training.learner, len(training.rows)
        updates = learner.recipe.epochs * batches_of(learner, n)
        self.steps = Steps(learner, self.model, examples, updates)
        self.state = TrainingState(learner, self.steps, n, training.seeds.order)
        self.model.train()
        self.parts: tuple[Tensor, ...] = ()

    def begin_epoch(self) -> None:
        """Upload the order of its batches."""
        placed = upload(self.state.permutation, self.steps.device)
        self.parts = placed.tensor_split(self.state.batches)

    def prepared(self, number: int) -> Callable[[], Gradients]:
        """Set what step `number` of the epoch looks at; return what is to be done."""
        steps, state, chosen = self.steps, self.state, self.parts[number]
        shape, names = steps.images.shape[1:], state.learner.recipe.augment
        drawn = draw(names, len(chosen), shape, state.order)
        return steps.prepared(chosen, drawn, None).do

    def finish(self, gradients: Gradients) -> None:
        """Do what follows a step."""
        self.steps.finish(gradients)
        if self.state.schedule is not None:
            self.state.schedule.step()
        self.state.batch += 1


class _Rows:
    """One step of each member, recorded for each size of batch as one graph with branches."""

    def __init__(self, members: Sequence[_Member], device: torch.device) -> None:
        self.members, self.device = members, device
        stream: Any = torch.cuda.Stream
        self.streams = [stream() for _ in members] if device.type == "cuda" else []
        self.pool = memory_pool(device)
        self.recorded: dict[int, Captured[list[Gradients]]] = {}

    def step(self, number: int) -> int:
        """Do step `number` of the epoch; return how many images it passed."""
        works = [member.prepared(number) for member in self.members]
        size = len(self.members[0].parts[number])
        if size not in self.recorded:
            branches = Captured(lambda: self._branches(works), self.device, pool=self.pool)
            self.recorded[size] = branches
        for member, gradients in zip(self.members, self.recorded[size](), strict=True):
            member.finish(gradients)
        return size * len(self.members)

    def _branches(self, works: Sequence[Callable[[], Gradients]]) -> list[Gradients]:
        if not self.streams:
            return [work() for work in works]
        trunk, found = torch.cuda.current_stream(self.device), []
        for stream, work in zip(self.streams, works, strict=True):
            stream.wait_stream(trunk)
            with torch.cuda.stream(stream):
                found.append(work())
        for stream in self.streams:
            trunk.wait_stream(stream)
        return found
