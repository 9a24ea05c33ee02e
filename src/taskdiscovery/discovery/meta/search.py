"""The outer loop: change the encoder so that networks trained on its tasks agree.

Source: Atanov et al., "Task Discovery", NeurIPS 2022; the released settings are the config
`published`.

Axes: N training images, D coordinates, T inner steps.
"""

from __future__ import annotations

import math
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from taskdiscovery.data import partition
from taskdiscovery.discovery.meta import objectives
from taskdiscovery.discovery.meta.embedding import Embedding, NetworkTrunk
from taskdiscovery.discovery.meta.inner import Inner
from taskdiscovery.discovery.meta.options import MetaOptions
from taskdiscovery.discovery.problem import Problem
from taskdiscovery.encoders.labelling import simplex, task_columns
from taskdiscovery.errors import DataError, NumericalError, RunDirError, first_line
from taskdiscovery.metagrad.estimate import saved_storages
from taskdiscovery.networks.model import draws
from taskdiscovery.networks.streaming import upload
from taskdiscovery.runtime import interrupts, memory_errors, random_states, ranks
from taskdiscovery.runtime.capture import aside
from taskdiscovery.runtime.device_memory import available_memory
from taskdiscovery.runtime.seeds import derive, generator
from taskdiscovery.training import (
    Watch,
    eager,
    optimizer_arrays,
    restore_optimizer,
    set_weights,
    weights,
)
from taskdiscovery.types import Document, IntArray, Record

#: the numbers of one outer step, by name.
OuterStep = Document

#: share of the free memory that graphs of the encoder may take.
_SHARE = 0.3
#: meta-gradients in a row that may be skipped before the search gives up.
PATIENCE = 5


class _Numbers(NamedTuple):
    """What an outer step gave, on the device.

    Attributes:
        tasks: (2, tasks) losses and agreements.
        regularizers: (2,) diversity, and loss of the contained targets.
    """

    tasks: Tensor
    regularizers: Tensor


@dataclass(eq=False, kw_only=True)
class Progress:
    """Counters of an outer loop, saved with it.

    Attributes:
        step: outer steps done.
        skipped: steps whose meta-gradient was not finite, and was not followed.
        in_a_row: the last ones of them.
        diverged: inner loops that left the finite numbers.
        history: numbers of every outer step.
    """

    step: int = 0
    skipped: int = 0
    in_a_row: int = 0
    diverged: int = 0
    history: list[OuterStep] = field(default_factory=list)


class MetaSearch:
    """Everything an outer step needs.

    Args:
        embedding: the encoder, to be optimized.
        inner: the networks.
        problem: the training images among it, beside which nothing is looked at.
        options: of the search.
    """

    def __init__(
        self, embedding: Embedding, inner: Inner, problem: Problem, options: MetaOptions
    ) -> None:
        self.embedding, self.inner, self.problem = embedding, inner, problem
        self.rows, self.options = problem.rows, options
        self.device = inner.device
        corners = torch.from_numpy(simplex(problem.classes))
        self.corners = corners.float().to(self.device)
        dataset = problem.workbench.dataset
        self.groups_N = None if dataset.groups is None else partition.codes(dataset.groups)
        self.contained = [dataset.target(spec) for spec in options.contain]
        with random_states.private_torch(derive(problem.seed, "contained"), "cpu"):
            heads = nn.ModuleList([nn.Linear(problem.P, t.k) for t in self.contained])
        self.trained = nn.ModuleDict({"embedding": embedding, "heads": heads}).to(self.device)
        self.heads = heads
        # On the processor: which images have labels is asked in every step.
        self.known = [torch.tensor(t.labels_N) for t in self.contained]
        parameters = [p for p in self.trained.parameters() if p.requires_grad]
        self.optimizer = eager(torch.optim.Adam)(parameters, options.outer_rate)
        self.progress = Progress()
        self._kept: bool | None = None

    def run(self) -> list[OuterStep]:
        """Do all outer steps, or those that are left of them.

        Returns:
            The numbers of every step.

        Raises:
            NumericalError: where several meta-gradients in a row are not finite; the last finite
                state stays in the checkpoint.
            KeyboardInterrupt: between two steps, where a signal asks for it.
        """

        def work(watch: Watch) -> Record:
            self._restore(watch)
            self._loop(watch)
            return Record(
                arrays=weights(self.trained),
                values={"history": self.progress.history, "diverged": self.progress.diverged},
            )

        done = self.problem.workbench.journal.do("meta", work)
        set_weights(self.trained, done.arrays)
        self.progress.diverged = int(done.values["diverged"])
        return list(done.values["history"])

    def _loop(self, watch: Watch) -> None:
        options, progress = self.options, self.progress
        callbacks = self.problem.workbench.callbacks
        with (
            callbacks.stage("meta-gradient", options.outer_steps) as meter,
            random_states.private(derive(self.problem.seed, "meta"), str(self.device)),
            self._explained(),
            interrupts.deferred(),
            aside(self.device),
        ):
            meter.advance(progress.step)
            while progress.step < options.outer_steps:
                began = time.monotonic()
                row = self._step(progress.step)
                progress.step += 1
                progress.history.append(row)
                callbacks.on_outer_step({**row, "seconds": round(time.monotonic() - began, 3)})
                watch.boundary(self._to_record)
                meter.advance(
                    1,
                    f"agreement {_shown(row['agreement'])}, {options.diversity} "
                    f"{_shown(row['diversity'])}",
                )
                if progress.in_a_row >= PATIENCE:
                    watch.save(self._to_record)
                    raise NumericalError(
                        f"{PATIENCE} meta-gradients in a row are not finite, up to outer step "
                        f"{progress.step}",
                        where=f"--inner-rate {options.inner_rate:g}, --outer-rate "
                        f"{options.outer_rate:g}",
                        hint="lower them, take fewer --inner-steps, or use --precision float32",
                    )

    def _explained(self) -> AbstractContextManager[None]:
        """Turn memory that runs out within the block into an error that says what takes less."""
        options = self.options
        less = {"graphs": "--memory store", "store": "--memory recompute"}.get(options.memory)
        batch = f"--inner-batch {memory_errors.smaller(options.inner_batch)}"
        return memory_errors.explained(
            "computing a meta-gradient",
            where=f"--memory {options.memory}, --inner-batch {options.inner_batch}",
            hint=f"try {less}, or {batch}" if less else f"try {batch}, or a narrower learner",
        )

    def _step(self, number: int) -> OuterStep:
        """Do one outer step, and return its numbers."""
        # What networks draw for themselves depends on the step alone.
        random_states.reseed(derive(self.problem.seed, "meta", number), str(self.device))
        if self.options.one_step and self.options.objective != "none":
            return self._one_step(number)
        numbers = self._differentiate(number)
        finite = self._finite()
        if number + 1 < self.options.outer_steps and self.options.objective != "none":
            self.inner.prepare(number + 1)  # a GPU is still at work
        row, follow = self._read(numbers, finite)
        return {"step": number + 1, **row, "skipped": self._update(follow)}

    def gradients(self, number: int) -> OuterStep:
        """Add the gradients of one outer step to the encoder's parameters; return its numbers."""
        return self._read(self._differentiate(number), self._finite())[0]

    def _differentiate(self, number: int) -> _Numbers:
        """Add the gradients of one outer step; nothing is read back from the device."""
        options = self.options
        batches, unseen, fresh = self.deal(number)
        # Ranks share out the batches, for the encoder, and the tasks, for the networks.
        mine = ranks.own(len(batches))
        keep = self._keeps(batches[mine[0]], len(mine)) if len(mine) else False
        outputs = {i: self._embed(batches[i], keep=keep) for i in mine}
        leaves = self._gathered(outputs, len(batches))
        directions = self._directions(number) if options.objective != "none" else []
        numbers = torch.zeros(2, len(directions), dtype=torch.float64, device=self.device)
        if directions:
            start = self.inner.start(number)
            for task in ranks.own(len(directions)):
                own = directions[task]
                labels = [self._labels(x, own) for x in leaves]
                cut = [y.detach().requires_grad_() for y in labels]
                found, gradients, agreement = self.inner.gradient(
                    start, batches, cut, unseen, fresh
                )
                numbers[:, task] = torch.stack([found.value.double(), agreement])
                sign = -1.0 if options.directions == "worst" else 1.0
                share = sign / options.tasks_per_step
                pairs = [
                    (y, share * g) for y, g in zip(labels, gradients, strict=True) if g is not None
                ]
                # Directions that are searched for hang on one decomposition, used by every task.
                torch.autograd.backward(
                    [y for y, _ in pairs], [g for _, g in pairs], retain_graph=True
                )
        regularizers = self._regularize(leaves, batches, mine)
        # What the ranks found, for every coordinate of every batch; then each carries its own on.
        for leaf in leaves:
            if leaf.grad is None:
                leaf.grad = torch.zeros_like(leaf)
        ranks.add([leaf.grad for leaf in leaves if leaf.grad is not None])
        for i in mine:
            self._pull([batches[i]], [outputs[i]], [leaves[i]], keep)
        self._add_up()
        ranks.add([numbers])
        return _Numbers(numbers, regularizers)

    def _read(self, numbers: _Numbers, finite: Tensor) -> tuple[OuterStep, bool]:
        """Read the numbers of a step, and whether its gradient is finite, from the device at once.

        Nothing else is read there in an outer step: each time the device runs out of work.
        """
        parts = (numbers.tasks.flatten(), numbers.regularizers, finite.reshape(1))
        *read, diversity, contained, follow = torch.cat([x.double() for x in parts]).tolist()
        tasks = numbers.tasks.shape[1]
        losses, agreements = read[:tasks], read[tasks:]
        self.progress.diverged += sum(not math.isfinite(loss) for loss in losses)
        row = {
            "agreement": _mean(agreements),
            "loss": _mean(losses),
            "diversity": diversity,
            "contained": contained if self.contained else None,
        }
        return row, bool(follow)

    def _gathered(self, outputs: dict[int, Tensor], count: int) -> list[Tensor]:
        """Return the coordinates of all batches as leaves, those of other ranks among them."""
        if ranks.size() == 1:
            return [outputs[i].detach().requires_grad_() for i in range(count)]
        size = min(self.options.inner_batch, len(self.rows) // 2)
        dtype = self.embedding.scale.dtype
        whole = torch.zeros(
            count, size, self.embedding.scale.numel(), dtype=dtype, device=self.device
        )
        for i, output in outputs.items():
            whole[i] = output.detach()
        ranks.add([whole])
        return [x.clone().requires_grad_() for x in whole]

    def _add_up(self) -> None:
        """Sum the encoder's gradients over the ranks."""
        if ranks.size() == 1:
            return
        parameters = [p for p in self.trained.parameters() if p.requires_grad]
        for p in parameters:
            if p.grad is None:
                p.grad = torch.zeros_like(p)
        ranks.add([p.grad for p in parameters if p.grad is not None])

    def _one_step(self, number: int) -> OuterStep:
        """The one-step form: an update of the encoder after every inner step."""
        batches, unseen, _ = self.deal(number)
        state = self.inner.start(number)
        numbers, skips = [], 0
        regularizers = torch.zeros(2, device=self.device)
        for batch in batches:
            output = self._embed(batch, keep=True)
            leaf = output.detach().requires_grad_()
            labels = self._labels(leaf, self._directions(number)[0])
            cut = labels.detach().requires_grad_()
            found, gradients, agreement = self.inner.gradient(state, [batch], [cut], unseen, 1)
            assert gradients[0] is not None
            labels.backward(gradients[0])  # type: ignore[no-untyped-call]
            regularizers = self._regularize([leaf], [batch], range(1))
            self._pull([batch], [output], [leaf], True)
            skips += self._update(bool(self._finite()))
            state = found.final
            numbers.append(torch.stack([found.value.double(), agreement]))
        read = torch.cat([*numbers, regularizers.double()]).tolist()
        losses, agreements, (diversity, contained) = read[:-2:2], read[1:-2:2], read[-2:]
        if not np.isfinite(losses).all():
            self.progress.diverged += 1
        return {
            "step": number + 1,
            "agreement": agreements[-1],
            "loss": _mean(losses),
            "diversity": diversity,
            "contained": contained if self.contained else None,
            "skipped": bool(skips),
        }

    def deal(self, number: int) -> tuple[list[Tensor], IntArray, int]:
        """Draw T batches, images that no network trains on, and how long batches are fresh.

        Row numbers stay on the processor: it knows which images lie on the device.
        """
        options = self.options
        rng = generator(self.problem.seed, "meta", number)
        order = self.rows[rng.permutation(len(self.rows))]
        size = min(options.inner_batch, len(order) // 2)
        unseen, left = order[:size], order[size:]
        if self.groups_N is not None:  # whole groups, as far as a batch holds them
            turn_G = rng.permutation(int(self.groups_N.max()) + 1)
            order = order[np.argsort(turn_G[self.groups_N[order]], kind="stable")]
            unseen, left = order[:size], rng.permutation(order[size:])
            left = left[~np.isin(self.groups_N[left], self.groups_N[unseen])]
            if len(left) < size:
                raise DataError(
                    f"groups leave {len(left)} images to train on beside a batch of {size}",
                    where="--groups",
                    hint="lower --inner-batch, or name a column with smaller groups",
                )
        needed = options.inner_steps * size
        passes = [left]
        while sum(map(len, passes)) < needed:
            passes.append(rng.permutation(left))
        dealt = np.concatenate(passes)[:needed]
        batches = [torch.from_numpy(b) for b in np.split(dealt, options.inner_steps)]
        return batches, unseen, max(1, len(left) // size)

    def _directions(self, number: int) -> list[Tensor]:
        """Return the (D, C - 1) directions of the tasks of this step."""
        options = self.options
        rng = generator(self.problem.seed, "directions", number)
        per_task = self.problem.classes - 1
        D = self.problem.tasks * per_task
        count = min(options.tasks_per_step, self.problem.tasks)
        if options.directions == "random":
            drawn = [np.linalg.qr(rng.normal(size=(D, per_task)))[0] for _ in range(count)]
            return [upload(torch.from_numpy(w).float(), self.device) for w in drawn]
        axes = self.embedding.directions()
        chosen = rng.permutation(self.problem.tasks)[:count]
        return [self._columns(axes, int(d)) for d in chosen]

    def _columns(self, axes: Tensor, task: int) -> Tensor:
        """Return the (D, C - 1) directions of a task."""
        columns = task_columns([task], self.problem.classes)
        return axes[:, columns[0] : columns[-1] + 1].contiguous()

    def _labels(self, leaf: Tensor, direction: Tensor) -> Tensor:
        return objectives.soft_labels(leaf @ direction, self.corners, self.options.temperature)

    def _embed(self, batch: Tensor, *, keep: bool) -> Tensor:
        with torch.set_grad_enabled(keep):
            return self.embedding(batch)

    def _keeps(self, batch: Tensor, count: int) -> bool:
        """Say whether the encoder's graphs of so many batches are kept until they are gone through.

        Where not, each batch is embedded again. Both give the same bits, so that this may follow
        from what is free. A network that draws gives others, so that of it nothing is kept.
        """
        memory, trunk = self.options.memory, self.embedding.trunk
        if memory == "graphs" or self.options.objective == "none":
            return True
        if memory != "store" or not isinstance(trunk, NetworkTrunk) or draws(trunk.model):
            return False
        if self._kept is None:
            there = {p.untyped_storage().data_ptr() for p in trunk.parameters()}
            with saved_storages(there) as storages:
                self._embed(batch, keep=True)
            needed = count * sum(storages.values())
            self._kept = needed <= _SHARE * available_memory(self.device)
        return self._kept

    def _regularize(self, leaves: list[Tensor], batches: list[Tensor], mine: range) -> Tensor:
        """Add the gradients of diversity and of contained targets to this rank's leaves.

        Returns:
            (2,) the two.
        """
        options = self.options
        total, held = torch.zeros((), device=self.device), torch.zeros((), device=self.device)
        counted = sum(
            bool((classes[batch] >= 0).any()) for classes in self.known for batch in batches
        )
        for leaf, batch in [(leaves[i], batches[i]) for i in mine]:
            if options.diversity == "information":
                axes = self.embedding.directions()
                labels = [
                    self._labels(leaf, self._columns(axes, d)) for d in range(self.problem.tasks)
                ]
                total = total + objectives.information(labels)
            else:
                total = total + objectives.uniformity(leaf)
            for head, classes in zip(self.heads, self.known, strict=True):
                own = classes[batch]
                some = (own >= 0).nonzero()[:, 0]
                if len(some):
                    known = leaf[upload(some, self.device)]
                    targets = upload(own[some], self.device)
                    held = held + nn.functional.cross_entropy(head(known), targets)
        total, held = total / len(leaves), held / max(1, counted)
        loss = options.diversity_weight * total + options.contain_weight * held
        if loss.requires_grad:
            loss.backward()  # type: ignore[no-untyped-call]
        both = torch.stack([total.detach(), held.detach()])
        if len(mine) < len(leaves):
            ranks.add([both])
        return both

    def _pull(
        self, batches: list[Tensor], outputs: list[Tensor], leaves: list[Tensor], keep: bool
    ) -> None:
        """Carry the gradients of the coordinates into the encoder, a batch at a time."""
        for i, (batch, leaf) in enumerate(zip(batches, leaves, strict=True)):
            output = outputs[i] if keep else self._embed(batch, keep=True)
            if output.requires_grad and leaf.grad is not None:
                output.backward(leaf.grad)  # type: ignore[no-untyped-call]

    def _finite(self) -> Tensor:
        """Say, on the device, whether the gradient is finite."""
        groups = self.optimizer.param_groups
        gradients = [p.grad for g in groups for p in g["params"] if p.grad is not None]
        found = [torch.isfinite(g).all() for g in gradients]
        return torch.stack(found).all() if found else torch.ones((), device=self.device)

    def _update(self, finite: bool) -> bool:
        """Follow the gradient if it is finite; say whether it was skipped."""
        if finite:
            self.optimizer.step()
            self.progress.in_a_row = 0
        else:
            self.progress.skipped += 1
            self.progress.in_a_row += 1
        self.optimizer.zero_grad(set_to_none=True)
        return not finite

    def _to_record(self) -> Record:
        progress = self.progress
        arrays = {f"model.{k}": v for k, v in weights(self.trained).items()}
        return Record(
            arrays=arrays | optimizer_arrays(self.optimizer),
            values={
                "step": progress.step,
                "skipped": progress.skipped,
                "in_a_row": progress.in_a_row,
                "diverged": progress.diverged,
                "history": list(progress.history),
            },
        )

    def _restore(self, watch: Watch) -> None:
        saved = watch.restored()
        if saved is None:
            return
        try:
            own = {
                k.removeprefix("model."): v
                for k, v in saved.arrays.items()
                if k.startswith("model.")
            }
            set_weights(self.trained, own)
            restore_optimizer(self.optimizer, saved.arrays)
            self.progress = Progress(**{**saved.values, "history": list(saved.values["history"])})
        except Exception as error:  # hostile files raise errors of every kind
            raise RunDirError(
                f"the saved search does not fit: {first_line(error)}",
                where="checkpoints",
                hint="was taskdiscovery upgraded meanwhile? begin again with another --out",
            ) from error


def summary(history: list[OuterStep], diverged: int, options: MetaOptions) -> Document:
    """Return the headline numbers of a search: means over its first and last tenth."""
    tenth = max(1, len(history) // 10)

    def mean(rows: list[OuterStep], key: str) -> float | None:
        return _mean([row[key] for row in rows if row[key] is not None])

    return {
        "outer_steps": len(history),
        "memory": options.memory,
        "agreement_first": mean(history[:tenth], "agreement"),
        "agreement_last": mean(history[-tenth:], "agreement"),
        "diversity_last": mean(history[-tenth:], "diversity"),
        "skipped": sum(bool(row["skipped"]) for row in history),
        "diverged": diverged,
    }


def _mean(values: list[float]) -> float | None:
    return round(float(np.mean(values)), 6) if values and np.isfinite(values).all() else None


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
