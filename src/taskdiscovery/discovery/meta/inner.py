"""The inner loop: networks that learn soft labels, and what is asked of them afterwards.

Axes: T inner steps, K networks, n images of a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from taskdiscovery.config import ResolvedLearner
from taskdiscovery.discovery.meta import objectives
from taskdiscovery.discovery.meta.embedding import images_of
from taskdiscovery.discovery.meta.options import MetaOptions
from taskdiscovery.errors import ConfigError, first_line
from taskdiscovery.metagrad import (
    MEMORY,
    SGD,
    Adam,
    Estimate,
    GradientStep,
    Layout,
    MetaGradient,
    Parallel,
    Rule,
    Tree,
    estimate,
    metagrad,
)
from taskdiscovery.networks import Model, Normalization, build_learner, is_ours
from taskdiscovery.networks.placing import Images
from taskdiscovery.networks.stateless import Stateless
from taskdiscovery.networks.streaming import upload
from taskdiscovery.runtime import memory_errors
from taskdiscovery.runtime.capture import aside, memory_pool
from taskdiscovery.runtime.seeds import derive
from taskdiscovery.types import IntArray


@dataclass(eq=False, kw_only=True)
class Inner:
    """K networks, trained side by side on soft labels.

    Attributes:
        learner: architecture, device and precision of the networks.
        shape: (H, W, channels) of the images.
        normalization: of their pixels.
        images: (N, H, W, channels) uint8 on the learner's device.
        options: of the inner loop.
        classes: C, of every task.
        seed: of the job.
        recorded: whether steps are recorded once and replayed, on parameters that are one vector a
            network. By default on a GPU, for the gradients that keep no graphs.
    """

    learner: ResolvedLearner
    shape: tuple[int, int, int]
    normalization: Normalization
    images: Images
    options: MetaOptions
    classes: int
    seed: int
    recorded: bool | None = None

    def __post_init__(self) -> None:
        self.device = torch.device(self.learner.device)
        self.net = Stateless(self._build(0), self.learner.precision)
        params, options = self.net.params(), self.options
        self.layout = Layout.of(params)
        one_type = len({p.dtype for p in params.values()}) == 1
        #: whether steps that keep no graph could be recorded.
        self.recordable = one_type and options.gradient != "reverse" and not options.compile
        if self.recorded is None:
            self.recorded = self.device.type == "cuda" and options.memory in MEMORY[1:]
        self.recorded = self.recorded and self.recordable
        self._drawn: dict[int, Tree] = {}
        self.step = self._parallel("forward", recorded=self.recorded)

    def _build(self, seed: int) -> Model:
        return build_learner(self.learner, self.shape, self.classes, self.normalization, seed)

    def _parallel(self, product: str, *, recorded: bool) -> Parallel:
        options = self.options
        rules: dict[str, Rule] = {
            "sgd": SGD(options.inner_rate),
            "momentum": SGD(options.inner_rate, 0.9),
            "adam": Adam(options.inner_rate),
        }
        step = GradientStep(
            self._loss,
            rules[options.inner_optimizer],
            product=product,
            compiled=options.compile,
            graph_loss=partial(self._loss, twice=True),
            product_loss=partial(self._loss, along=True),
        )
        if recorded:
            step.replay(memory_pool(self.device))
        return Parallel([step] * options.networks)

    def _loss(self, params: Tree, inputs: tuple[Tensor, Tensor], **derivatives: bool) -> Tensor:
        images, labels = inputs
        outputs = self.net(self.named(params), images, **derivatives).float()
        return objectives.soft_cross_entropy(outputs, labels)

    def named(self, params: Tree) -> dict[str, Tensor]:
        """Return the parameters of one network by their names."""
        if isinstance(params, Tensor):
            # The networks of `Stateless` would do it for each parameter on its own.
            params = params.to(torch.bfloat16) if self.learner.precision == "bf16" else params
            params = self.layout.apart(params)
        named: dict[str, Tensor] = params
        return named

    def logits(self, params: Tree, images: Tensor) -> Tensor:
        """Return (n, C) float32 outputs of one network, with the statistics of the batch."""
        return self.net(self.named(params), images).float()

    def start(self, outer_step: int) -> Tree:
        """Return the K initializations: drawn anew in every outer step, or always the same."""
        turn = self._turn(outer_step)
        if turn not in self._drawn:
            self._drawn[turn] = self._draw(turn)
        drawn = self._drawn.pop(turn) if self.options.fresh_init else self._drawn[turn]
        # Kept where it was drawn: what is asked for once need not lie on the device before.
        return tuple(self._placed(network) for network in drawn)

    def prepare(self, outer_step: int) -> None:
        """Draw initializations ahead, while a GPU works."""
        turn = self._turn(outer_step)
        if self.device.type == "cuda" and turn not in self._drawn:
            self._drawn[turn] = self._draw(turn)

    def _turn(self, outer_step: int) -> int:
        return outer_step if self.options.fresh_init else 0

    def _draw(self, turn: int) -> Tree:
        seeds = [derive(self.seed, "inner", turn, k) for k in range(self.options.networks)]
        return tuple(self._drawn_from(seed) for seed in seeds)

    def _drawn_from(self, seed: int) -> Tree:
        """Draw one network: a vector where there is a device to copy it to, or steps take one."""
        if self.device.type == "cuda" and is_ours(self.learner.network):
            # Drawn on the processor in any case: parameters alone are then copied, in one piece.
            host = replace(self.learner, device="cpu")
            model = build_learner(host, self.shape, self.classes, self.normalization, seed)
        else:
            model = self._build(seed)
        params = {name: p.detach() for name, p in model.named_parameters()}
        if not self.recorded and self.device.type != "cuda":
            return params
        one_type = len({p.dtype for p in params.values()}) == 1
        return self.layout.together(params) if one_type else params

    def _placed(self, network: Tree) -> Tree:
        """Return a network on the device, as steps take it."""
        if not isinstance(network, Tensor):
            return tree_map(lambda p: p.to(self.device), network)
        placed = upload(network, self.device)
        return placed if self.recorded else self.layout.apart(placed)

    def deal(self, rows: Tensor, labels: Tensor) -> Tree:
        """Share a batch out among the networks, or give each the whole of it."""
        K = self.options.networks
        if self.options.share_batch:
            return tuple((images_of(self.images, rows), labels) for _ in range(K))
        parts = zip(rows.tensor_split(K), labels.tensor_split(K), strict=True)
        return tuple((images_of(self.images, r), y) for r, y in parts)

    def gradient(
        self,
        start: Tree,
        batches: Sequence[Tensor],
        labels: Sequence[Tensor],
        unseen: IntArray,
        fresh: int,
    ) -> tuple[MetaGradient, list[Tensor | None], Tensor]:
        """Train the networks, and differentiate what comes of it by the labels.

        Args:
            start: initial parameters of each network.
            batches: T tensors of row numbers.
            labels: T tensors (n, C) of soft labels that require a gradient.
            unseen: rows that no network trains on.
            fresh: batches from this one on may have been trained on before.

        Returns:
            The meta-gradient, its part by each of the labels, and the share of images on which the
            trained networks agree. Nothing is read back from the device, but to `stop` early.
        """
        with aside(self.device) if _on_default_stream(self.device) else nullcontext():
            return self._gradient(start, batches, labels, unseen, fresh)

    def _gradient(
        self,
        start: Tree,
        batches: Sequence[Tensor],
        labels: Sequence[Tensor],
        unseen: IntArray,
        fresh: int,
    ) -> tuple[MetaGradient, list[Tensor | None], Tensor]:
        options, T = self.options, len(batches)
        inputs = [self.deal(r, y) for r, y in zip(batches, labels, strict=True)]
        outer = _Outer(self, inputs, unseen, fresh)
        found = metagrad(
            self.step,
            outer.term,
            start,
            [*inputs, ()],
            mode=options.gradient,
            memory=options.memory if options.memory != "auto" else "graphs",
            window=options.window,
            stop=outer.stop,
        )
        agreement = outer.agreement(found.final)
        return found, [self._gathered(entry) for entry in found.inputs[:T]], agreement

    def on_batch(self, params: Tree, given: Tree) -> list[Tensor]:
        """Predictions of all networks on all images of a batch that is about to be trained on."""
        parts = given[:1] if self.options.share_batch else given
        images = torch.cat([images for images, _ in parts])
        return [self.logits(p, images) for p in params]

    def _gathered(self, entry: Tree) -> Tensor | None:
        if entry is None:
            return None
        parts = [gradient for _, gradient in entry]
        return sum(parts[1:], parts[0]) if self.options.share_batch else torch.cat(parts)

    def preflight(self, rows: IntArray) -> Estimate:
        """Do one step forwards and backwards; say what a gradient will cost.

        Raises:
            ConfigError: where the network cannot be differentiated twice.
        """
        size = min(self.options.inner_batch, len(rows))
        batch = torch.from_numpy(rows[np.arange(size)])
        labels = torch.full(
            (size, self.classes), 1 / self.classes, device=self.device
        ).requires_grad_()
        inputs = [self.deal(batch, labels)] * (self.options.inner_steps + 1)
        start = self.start(0)
        self._require_second_derivative(start, inputs[0])
        step = self._parallel("forward", recorded=False)
        try:
            return estimate(step, start, inputs)
        except (RuntimeError, NotImplementedError) as error:
            if memory_errors.is_of_memory(error):
                raise
            # Some operation has no forward derivative: go back by two backward passes.
            self.step, self.recordable = self._parallel("reverse", recorded=False), False
            return estimate(self.step, start, inputs)

    def _require_second_derivative(self, start: Tree, inputs: Tree) -> None:
        """Differentiate one step on a few images all the way down to the leaves.

        `torch.autograd.grad` would pass by an operation that cannot be differentiated twice in
        silence, where it stands on no path to what is asked for.

        Raises:
            ConfigError: naming the network.
        """
        params = {name: p.clone().requires_grad_() for name, p in self.named(start[0]).items()}
        images, labels = inputs[0]
        few = (images[:8], labels[:8].detach())
        step = self.step.steps[0]
        try:
            after = step.differentiable(0, step.init(params), few)
            moved = [x for x in after.params.values() if x.requires_grad]
            torch.stack([x.sum() for x in moved]).sum().backward()  # type: ignore[no-untyped-call]
        except (RuntimeError, NotImplementedError) as error:
            raise ConfigError(
                f"{self.learner.name} cannot be differentiated twice: {first_line(error)[:160]}",
                where="--learner, with --method meta",
                hint="replace that operation, or use --method power, which needs no second "
                "derivative",
            ) from error


class _Outer:
    """The outer loss of one gradient, and when its inner loop ends."""

    def __init__(self, inner: Inner, inputs: Sequence[Tree], unseen: IntArray, fresh: int) -> None:
        self.inner, self.options, self.inputs, self.fresh = inner, inner.options, inputs, fresh
        self.held_out = images_of(inner.images, torch.from_numpy(unseen))
        self.agreed: Tensor | None = None
        self.above: list[bool] = []

    def term(self, t: int, params: Tree, given: Tree) -> Tensor | None:
        """Return the term of the outer loss before step t, or None where there is none."""
        options, T, fresh = self.options, len(self.inputs), self.fresh
        if options.objective == "train-loss":
            if t == 0 or t == T:
                return None
            own = [self.inner._loss(p, entry) for p, entry in zip(params, given, strict=True)]
            return torch.stack(own).mean() / max(1, T - 1)
        if t == T:
            logits = [self.inner.logits(p, self.held_out) for p in params]
            self.agreed = objectives.hard_agreement([x.detach() for x in logits])
            loss = objectives.disagreement(logits)
        elif options.objective == "online" and 0 < t < fresh:
            loss = objectives.disagreement(self.inner.on_batch(params, given))
        else:
            return None
        terms = min(T - 1, fresh - 1) + 1 if options.objective == "online" else 1
        return objectives.transformed(loss, options.transform) / max(1, terms)

    def stop(self, t: int, params: Tree) -> bool:
        """Say whether agreement has stayed above the asked one for three steps."""
        options = self.options
        if options.stop_agreement is None or options.objective != "online" or t == 0:
            return False
        with torch.no_grad():
            share = float(objectives.hard_agreement(self.inner.on_batch(params, self.inputs[t])))
        self.above.append(share > options.stop_agreement)
        return all(self.above[-3:]) and len(self.above) >= 3

    def agreement(self, final: Tree) -> Tensor:
        """Return the share of held-out images on which the trained networks agree."""
        if self.agreed is None:  # the training loss never looks at the held-out images
            with torch.no_grad():
                logits = [self.inner.logits(p, self.held_out) for p in final]
            self.agreed = objectives.hard_agreement(logits)
        return self.agreed


def _on_default_stream(device: torch.device) -> bool:
    """Say whether work is asked for where nothing can be recorded."""
    if device.type != "cuda":
        return False
    return bool(torch.cuda.current_stream(device) == torch.cuda.default_stream(device))
