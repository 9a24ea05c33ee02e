"""The inner loop: networks that learn soft labels, and what is asked of them afterwards.

Axes: T inner steps, K networks, n images of a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from taskdiscovery.config import DiscoverConfig
from taskdiscovery.discovery.meta import objectives
from taskdiscovery.errors import ConfigError, first_line
from taskdiscovery.metagrad import (
    SGD,
    Adam,
    Estimate,
    GradientStep,
    MetaGradient,
    Parallel,
    Rule,
    Tree,
    estimate,
    metagrad,
)
from taskdiscovery.networks.stateless import Stateless
from taskdiscovery.seeds import derive
from taskdiscovery.training import Learner, Pixels, take
from taskdiscovery.types import IntArray


class Inner:
    """K networks, trained side by side on soft labels.

    Args:
        learner: architecture, device and precision of the networks.
        shape: (H, W, channels) of the images.
        pixels: their normalization.
        images: (N, H, W, channels) uint8 on the learner's device.
        config: of the inner loop.
    """

    def __init__(
        self,
        learner: Learner,
        shape: tuple[int, int, int],
        pixels: Pixels,
        images: Tensor,
        config: DiscoverConfig,
    ) -> None:
        self.learner, self.shape, self.pixels = learner, shape, pixels
        self.images, self.config = images, config
        self.net = Stateless(self._build(0), learner.precision)
        self.step = self._parallel("forward")

    def _build(self, seed: int) -> Any:
        return self.learner.build(self.shape, self.config.classes, self.pixels, seed)

    def _parallel(self, product: str) -> Parallel:
        config = self.config
        rules: dict[str, Rule] = {
            "sgd": SGD(config.inner_rate),
            "momentum": SGD(config.inner_rate, 0.9),
            "adam": Adam(config.inner_rate),
        }
        step = GradientStep(
            self._loss,
            rules[config.inner_optimizer],
            product=product,
            compiled=config.compile,
            graph_loss=partial(self._loss, twice=True),
        )
        return Parallel([step] * config.networks)

    def _loss(
        self, params: dict[str, Tensor], inputs: tuple[Tensor, Tensor], twice: bool = False
    ) -> Tensor:
        images, labels = inputs
        outputs = self.net(params, images, twice=twice).float()
        return objectives.soft_cross_entropy(outputs, labels)

    def logits(self, params: dict[str, Tensor], images: Tensor) -> Tensor:
        """Return (n, C) float32 outputs of one network, with the statistics of the batch."""
        return self.net(params, images).float()

    def start(self, outer_step: int) -> Tree:
        """Draw the K initializations: anew in every outer step, or always the same."""
        turn = outer_step if self.config.fresh_init else 0
        seeds = [derive(self.config.seed, "inner", turn, k) for k in range(self.config.networks)]
        return tuple(
            {name: p.detach() for name, p in self._build(seed).named_parameters()} for seed in seeds
        )

    def deal(self, rows: Tensor, labels: Tensor) -> Tree:
        """Share a batch out among the networks, or give each the whole of it."""
        K = self.config.networks
        if self.config.share_batch:
            return tuple((take(self.images, rows), labels) for _ in range(K))
        parts = zip(rows.tensor_split(K), labels.tensor_split(K), strict=True)
        return tuple((take(self.images, r), y) for r, y in parts)

    def gradient(
        self,
        start: Tree,
        batches: Sequence[Tensor],
        labels: Sequence[Tensor],
        unseen: IntArray,
        fresh: int,
    ) -> tuple[MetaGradient, list[Tensor | None], float]:
        """Train the networks, and differentiate what comes of it by the labels.

        Args:
            start: initial parameters of each network.
            batches: T tensors of row numbers.
            labels: T tensors (n, C) of soft labels that require a gradient.
            unseen: rows that no network trains on.
            fresh: batches from this one on may have been trained on before.

        Returns:
            The meta-gradient, its part by each of the labels, and the share of images on which the
            trained networks agree.
        """
        config, T = self.config, len(batches)
        held_out = take(self.images, torch.from_numpy(unseen).to(self.images.device))
        inputs = [self.deal(r, y) for r, y in zip(batches, labels, strict=True)]
        agreed: list[float] = []

        def outer(t: int, params: Tree, given: Tree) -> Tensor | None:
            if config.objective == "train-loss":
                if t == 0 or t == T:
                    return None
                own = [self._loss(p, entry) for p, entry in zip(params, given, strict=True)]
                return torch.stack(own).mean() / max(1, T - 1)
            if t == T:
                logits = [self.logits(p, held_out) for p in params]
                agreed.append(objectives.hard_agreement([x.detach() for x in logits]))
                loss = objectives.disagreement(logits)
            elif config.objective == "online" and 0 < t < fresh:
                loss = objectives.disagreement(self._on_batch(params, given))
            else:
                return None
            terms = min(T - 1, fresh - 1) + 1 if config.objective == "online" else 1
            return objectives.transformed(loss, config.transform) / max(1, terms)

        above: list[bool] = []

        def stop(t: int, params: Tree) -> bool:
            if config.stop_agreement is None or config.objective != "online" or t == 0:
                return False
            with torch.no_grad():
                share = objectives.hard_agreement(self._on_batch(params, inputs[t]))
            above.append(share > config.stop_agreement)
            return all(above[-3:]) and len(above) >= 3

        found = metagrad(
            self.step,
            outer,
            start,
            [*inputs, ()],
            mode=config.gradient,
            way=config.way if config.way != "auto" else "graphs",
            window=config.window,
            stop=stop,
        )
        if not agreed:  # the training loss never asks the held-out images
            with torch.no_grad():
                agreed.append(
                    objectives.hard_agreement([self.logits(p, held_out) for p in found.final])
                )
        return found, [self._gathered(entry) for entry in found.inputs[:T]], agreed[0]

    def _on_batch(self, params: Tree, given: Tree) -> list[Tensor]:
        """Predictions of all networks on all images of a batch that is about to be trained on."""
        parts = given[:1] if self.config.share_batch else given
        images = torch.cat([images for images, _ in parts])
        return [self.logits(p, images) for p in params]

    def _gathered(self, entry: Tree) -> Tensor | None:
        if entry is None:
            return None
        parts = [gradient for _, gradient in entry]
        return sum(parts[1:], parts[0]) if self.config.share_batch else torch.cat(parts)

    def preflight(self, rows: IntArray) -> Estimate:
        """Do one step forwards and backwards; say what a gradient will cost.

        Raises:
            ConfigError: where the network cannot be differentiated twice.
        """
        size = min(self.config.inner_batch, len(rows))
        batch = torch.from_numpy(rows[np.arange(size)]).to(self.images.device)
        labels = torch.full(
            (size, self.config.classes), 1 / self.config.classes, device=self.images.device
        ).requires_grad_()
        inputs = [self.deal(batch, labels)] * (self.config.inner_steps + 1)
        start = self.start(0)
        self._require_second_derivative(start, inputs[0])
        try:
            return estimate(self.step, start, inputs)
        except (RuntimeError, NotImplementedError) as error:
            words = str(error).lower()
            if "memory" in words and ("allocat" in words or "out of" in words):
                raise
            # Some operation has no forward derivative: go back by two backward passes.
            self.step = self._parallel("reverse")
            return estimate(self.step, start, inputs)

    def _require_second_derivative(self, start: Tree, inputs: Tree) -> None:
        """Differentiate one step on a few images all the way down to the leaves.

        `torch.autograd.grad` would pass by an operation that cannot be differentiated twice in
        silence, where it stands on no path to what is asked for.

        Raises:
            ConfigError: naming the network.
        """
        params = {name: p.clone().requires_grad_() for name, p in start[0].items()}
        images, labels = inputs[0]
        few = (images[:8], labels[:8].detach())
        step = self.step.steps[0]
        try:
            after = step.differentiable(0, step.init(params), few)
            moved = [x for x in after.params.values() if x.requires_grad]
            torch.stack([x.sum() for x in moved]).sum().backward()  # type: ignore[no-untyped-call]
        except (RuntimeError, NotImplementedError) as error:
            raise ConfigError(
                f"{self.learner.spec.text} cannot be differentiated twice: "
                f"{first_line(error)[:160]}",
                where="--learner, with --method meta",
                mend="replace that operation, or use --method power, which needs no second "
                "derivative",
            ) from error
