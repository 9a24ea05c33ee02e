"""All that a training consists of between two updates, to be saved and restored."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from taskdiscovery.config import ResolvedLearner
from taskdiscovery.errors import NumericalError, RunDirError, first_line
from taskdiscovery.runtime import random_states
from taskdiscovery.runtime.seeds import derive
from taskdiscovery.training.optimizers import optimizer_arrays, restore_optimizer
from taskdiscovery.training.steps import Steps
from taskdiscovery.training.weights import like, to_numpy
from taskdiscovery.types import Document, IntArray, Record

#: what a schedule remembers.
_SCHEDULE = ("last_epoch", "_step_count", "_last_lr")


def batches_of(learner: ResolvedLearner, n: int) -> int:
    """Return how many batches an epoch of n images has."""
    return max(1, n // learner.recipe.batch)


class TrainingState:
    """All that a training consists of between two updates, to be saved and restored.

    Args:
        learner: its recipe is followed.
        steps: the network that is trained, its optimizer and schedule.
        n: training images.
        seed: decides the order of batches.
    """

    def __init__(self, learner: ResolvedLearner, steps: Steps, n: int, seed: int) -> None:
        self.learner, self.model, self.n = learner, steps.model, n
        self.batches = batches_of(learner, n)
        self.optimizer, self.schedule, self.total = steps.optimizer, steps.schedule, steps.total
        self.weighting = {} if steps.weighting is None else steps.weighting.state
        self.order = torch.Generator().manual_seed(derive(seed, "order"))
        self.epoch, self.batch = 0, 0
        self.permutation = torch.randperm(n, generator=self.order)
        # What `early.Settling` remembers: weights and predictions of the last check, how these
        # agreed with those before, the verdict.
        self.before: dict[str, Tensor] = {}
        self.predictions: IntArray | None = None
        self.agreements: list[float] = []
        self.settled = False

    @property
    def passed(self) -> int:
        """Images that have passed, to within a batch."""
        return (self.epoch * self.batches + self.batch) * self.n // self.batches

    def next_epoch(self) -> None:
        """Draw the order of the next epoch."""
        self.epoch, self.batch = self.epoch + 1, 0
        self.permutation = torch.randperm(self.n, generator=self.order)
        self.total.zero_()

    def finite(self) -> bool:
        """Say whether all weights are finite."""
        return bool(torch.stack([p.isfinite().all() for p in self.model.parameters()]).all())

    def diverged(self) -> NumericalError:
        """Return the error for a training that left the finite numbers."""
        return NumericalError(
            f"training diverged in epoch {min(self.epoch + 1, self.learner.recipe.epochs)}",
            where=self.learner.name,
            hint="lower the learning rate (--learning-rate), or use --precision float32",
        )

    def to_record(self) -> Record:
        """Return the state.

        Raises:
            NumericalError: where a weight is not finite: such a state is never saved.
        """
        if not self.finite():
            raise self.diverged()
        arrays = {f"model.{k}": to_numpy(v) for k, v in self.model.state_dict().items()}
        arrays |= optimizer_arrays(self.optimizer)
        arrays |= {f"random.{k}": v for k, v in random_states.capture(self.learner.device).items()}
        arrays["order"] = self.order.get_state().numpy().copy()
        arrays["permutation"] = self.permutation.numpy().copy()
        arrays["total"] = to_numpy(self.total)
        arrays |= {f"weighting.{k}": to_numpy(v) for k, v in self.weighting.items()}
        schedule = None
        if self.schedule is not None:
            known = self.schedule.state_dict()
            schedule = {k: known[k] for k in _SCHEDULE}
        values: Document = {"epoch": self.epoch, "batch": self.batch}
        values |= {"groups": self._groups(), "schedule": schedule}
        values |= {"agreements": self.agreements, "settled": self.settled}
        if self.predictions is not None:
            arrays["predictions"] = self.predictions
            arrays |= {f"before.{k}": to_numpy(v) for k, v in self.before.items()}
        return Record(values=values, arrays=arrays)

    def restore(self, saved: Record | None) -> None:
        """Go back to where the training was saved, if it was.

        Raises:
            RunDirError: where what was saved does not fit.
        """
        if saved is None:
            return
        try:
            self._restore(saved)
        except Exception as error:  # hostile files raise errors of every kind
            raise RunDirError(
                f"the saved training does not fit: {first_line(error)}",
                where="checkpoints",
                hint="was taskdiscovery upgraded meanwhile? begin again with another --out",
            ) from error

    def _restore(self, saved: Record) -> None:
        values, arrays = saved.values, saved.arrays
        own = self.model.state_dict()
        if not _alike(self._groups(), values["groups"]):
            raise ValueError("its optimizer has other options")
        self.model.load_state_dict({k: like(arrays[f"model.{k}"], own[k]) for k in own})
        restore_optimizer(self.optimizer, arrays, values["groups"])
        if self.schedule is not None:
            known, given = self.schedule.state_dict(), dict(values["schedule"])
            if not _alike({k: known[k] for k in _SCHEDULE}, given):
                raise ValueError("its learning rates are none")
            self.schedule.load_state_dict(given)
        self.epoch, self.batch = int(values["epoch"]), int(values["batch"])
        self.agreements, self.settled = list(values["agreements"]), bool(values["settled"])
        self.predictions = arrays.get("predictions")
        if self.predictions is not None:
            self.before = {k: like(arrays[f"before.{k}"], own[k]) for k in own}
        permutation = torch.from_numpy(arrays["permutation"].copy())
        if not torch.equal(permutation.sort().values, torch.arange(self.n)):
            raise ValueError("its order of images is none")
        if not (0 <= self.epoch <= self.learner.recipe.epochs and 0 <= self.batch <= self.batches):
            raise ValueError("its epoch or batch is out of range")
        self.permutation = permutation
        self.total.copy_(like(arrays["total"], self.total))
        for name, kept in self.weighting.items():
            kept.copy_(like(arrays[f"weighting.{name}"], kept))
        self.order.set_state(torch.from_numpy(arrays["order"].copy()))
        random_states.restore(
            {k.removeprefix("random."): v for k, v in arrays.items() if k.startswith("random.")}
        )

    def _groups(self) -> list[dict[str, Any]]:
        """Return the options of the optimizer, of each group of parameters."""
        return [{k: g[k] for k in g if k != "params"} for g in self.optimizer.param_groups]


def _alike(own: Any, given: Any) -> bool:
    """Say whether saved options are of the kinds that our own are of: numbers for numbers."""
    if isinstance(own, dict):
        known = isinstance(given, dict) and own.keys() == given.keys()
        return known and all(_alike(own[k], given[k]) for k in own)
    if isinstance(own, list | tuple):
        known = isinstance(given, list | tuple) and len(own) == len(given)
        return known and all(map(_alike, own, given))
    if isinstance(own, bool) or not isinstance(own, int | float):
        return type(own) is type(given)
    return isinstance(given, int | float) and not isinstance(given, bool)
