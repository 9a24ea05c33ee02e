"""Learning to split: train and test parts between which a network does not generalize.

After Bao and Barzilay, Learning to Split for Automatic Bias Detection (2022, arXiv 2204.13749),
written anew from the paper. A splitter sees an image and its label, and says
with what probability the image is trained on. In turn: a split is drawn from it, a predictor is
trained on the train part, and the splitter learns to tell which images of the test part the
predictor gets right, which are to be trained on, so that those remain that it gets wrong. Two terms
keep it from trivial answers: KL(P(z) || Bernoulli(share)) holds the share of the train part, and
KL(P(y | z) || P(y)), of either part, the frequency of classes in it; all three weigh alike. The
first split is drawn by chance. It ends where the gap, accuracy on a held-out third of the train
part less that on the test part, has not grown for some rounds; the splitter of the largest gap is
kept.

What differs from the paper: the splitter has an output a class, of which the label chooses one, in
place of a label that is embedded and joined to features; predictors have a fixed schedule, that of
the learner whom splits are compared with, and no early end.

Axes: N images of the data set, n images that are split, b images of a batch, C classes.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from experiments.records import Row
from taskdiscovery.config import ResolvedLearner
from taskdiscovery.networks import Model, Normalization, build_learner
from taskdiscovery.networks.images import take
from taskdiscovery.networks.placing import Images
from taskdiscovery.networks.prediction import autocast, calibrate, predict
from taskdiscovery.runtime.seeds import derive, generator
from taskdiscovery.types import BoolArray, FloatArray, IntArray

_LOG = logging.getLogger("taskdiscovery")

#: trains on some images, and predicts others: (rows to train on, rows to ask, number of the round).
Predictor = Callable[[IntArray, IntArray, int], IntArray]


@dataclass(frozen=True, kw_only=True)
class Options:
    """How it is done.

    Attributes:
        share: of the images that are trained on.
        held: share of the train part on which the gap is measured.
        rounds: at most.
        patience: rounds without a larger gap after which it ends.
        epochs: of the splitter in a round, at most; a round ends where its loss stops falling.
        batch: images of a step, of all and of the test part each.
        rate: of Adam.
    """

    share: float = 0.5
    held: float = 1 / 3
    rounds: int = 15
    patience: int = 5
    epochs: int = 5
    batch: int = 512
    rate: float = 1e-3


@dataclass(frozen=True, eq=False, kw_only=True)
class Pool:
    """What is split.

    Attributes:
        images: of the data set, on the learner's device.
        rows: (n,) those that are split.
        labels_N: (N,) classes of all images.
        classes: C.
        learner: whose network the splitter has.
        shape: (H, W, channels).
        normalization: of pixels.
    """

    images: Images
    rows: IntArray
    labels_N: IntArray
    classes: int
    learner: ResolvedLearner
    shape: tuple[int, int, int]
    normalization: Normalization


@dataclass(frozen=True, eq=False, kw_only=True)
class Found:
    """What it ends with.

    Attributes:
        splitter: of the largest gap.
        gaps: of every round, the first one drawn by chance.
        best: the round that is kept.
    """

    splitter: Splitter
    gaps: list[Row] = field(default_factory=list)
    best: int = 0


class Splitter:
    """The network that splits, and its optimizer.

    Args:
        pool: what is split.
        options: how.
        seed: of its weights.
    """

    def __init__(self, pool: Pool, options: Options, seed: int) -> None:
        self.pool, self.options = pool, options
        self.model: Model = build_learner(
            pool.learner, pool.shape, pool.classes, pool.normalization, derive(seed, "splitter")
        )
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=options.rate)

    def logits(self, rows: IntArray) -> Tensor:
        """Return (b,) logits of being trained on, with a graph."""
        pool = self.pool
        images = take(pool.images, torch.from_numpy(rows))
        labels = torch.from_numpy(pool.labels_N[rows]).to(images.device)
        with autocast(images.device.type, pool.learner.precision):
            outputs: Tensor = self.model(images)
        return outputs.float().gather(1, labels[:, None])[:, 0]

    def scores(self, rows: IntArray) -> FloatArray:
        """Return (rows,) logits in evaluation mode, statistics of batch norms set anew."""
        pool = self.pool
        calibrate(self.model, pool.images, pool.rows, pool.learner.precision)
        outputs = predict(self.model, pool.images, rows, pool.learner.precision)
        chosen = outputs.gather(1, torch.from_numpy(pool.labels_N[rows])[:, None])[:, 0]
        result: FloatArray = chosen.double().numpy()
        return result

    def learn(self, test: IntArray, right: BoolArray, rng: np.random.Generator) -> Row:
        """Learn which images of the test part are predicted right, until the loss stops falling.

        Args:
            test: rows of the test part.
            right: of each, whether the predictor was right.
            rng: of the batches.

        Returns:
            Mean losses of the last epoch.
        """
        best, told = float("inf"), Row()
        for epoch in range(1, self.options.epochs + 1):
            told = {**self._epoch(test, right, rng), "epochs": epoch}
            if told["loss"] > best - 1e-3:
                break
            best = told["loss"]
        return told

    def _epoch(self, test: IntArray, right: BoolArray, rng: np.random.Generator) -> Row:
        pool, options = self.pool, self.options
        rates_C = np.bincount(pool.labels_N[pool.rows], minlength=pool.classes) / len(pool.rows)
        device = pool.images.device
        rates = torch.from_numpy(rates_C).float().to(device)
        order = rng.permutation(pool.rows)
        parts = np.array_split(order, max(1, len(order) // options.batch))
        self.model.train()
        sums = torch.zeros(3, device=device)
        for everyone in parts:
            places = rng.integers(0, len(test), min(options.batch, len(test)))
            wanted = torch.from_numpy(right[places]).float().to(device)
            gap = F.binary_cross_entropy_with_logits(self.logits(test[places]), wanted)
            trained_b = self.logits(everyone).sigmoid()
            labels = torch.from_numpy(pool.labels_N[everyone]).to(device)
            kept = share_term(trained_b, options.share)
            balanced = label_term(trained_b, labels, rates)
            self.optimizer.zero_grad(set_to_none=True)
            (gap + kept + balanced).backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            sums += torch.stack([gap, kept, balanced]).detach()
        means = [round(float(value), 4) for value in (sums / len(parts)).cpu()]
        return {
            "loss": round(sum(means), 4),
            **dict(zip(("gap", "share", "labels"), means, strict=True)),
        }


def share_term(trained_b: Tensor, share: float) -> Tensor:
    """Return KL(P(z) || Bernoulli(share)), P(z) from the mean of a batch.

    Args:
        trained_b: (b,) probabilities of being trained on.
        share: that is wanted.
    """
    mean = trained_b.mean().clamp(1e-6, 1 - 1e-6)
    return mean * (mean / share).log() + (1 - mean) * ((1 - mean) / (1 - share)).log()


def label_term(trained_b: Tensor, labels_b: Tensor, rates_C: Tensor) -> Tensor:
    """Return KL(P(y | z) || P(y)), the sum of that of the train part and that of the test part.

    Args:
        trained_b: (b,) probabilities of being trained on.
        labels_b: (b,) classes.
        rates_C: (C,) of the classes in all images.
    """
    member_bC = F.one_hot(labels_b, len(rates_C)).to(trained_b.dtype)
    total = trained_b.new_zeros(())
    for weight_b in (trained_b, 1 - trained_b):
        within_C = (weight_b[:, None] * member_bC).sum(dim=0)
        within_C = (within_C / within_C.sum().clamp_min(1e-6)).clamp_min(1e-6)
        total = total + (within_C * (within_C / rates_C).log()).sum()
    return total


def learn_to_split(pool: Pool, predictor: Predictor, options: Options, seed: int) -> Found:
    """Alternate until the gap stops growing.

    Args:
        pool: what is split.
        predictor: the learner.
        options: how.
        seed: of the splitter, and of every split that is drawn.
    """
    splitter, gaps = Splitter(pool, options, seed), []
    kept, best, most = copy.deepcopy(splitter.model.state_dict()), 0, -np.inf
    trained_n = np.full(len(pool.rows), options.share)
    for number in range(options.rounds + 1):
        rng = generator(seed, "learning to split", number)
        train_n = rng.random(len(pool.rows)) < trained_n
        train, test = rng.permutation(pool.rows[train_n]), pool.rows[~train_n]
        fit, held = np.split(train, [round((1 - options.held) * len(train))])
        asked = np.sort(np.concatenate([held, test]))
        right = predictor(np.sort(fit), asked, number) == pool.labels_N[asked]
        tested = np.isin(asked, test)
        inside, outside = float(right[~tested].mean()), float(right[tested].mean())
        row: Row = {"share": round(float(train_n.mean()), 4), "within": round(inside, 4)}
        row |= {"test": round(outside, 4), "gap": round(inside - outside, 4)}
        gaps.append(row)
        _LOG.warning("round %d: %s", number, row)
        if number and row["gap"] > most:  # the first split is nobody's
            kept, best, most = copy.deepcopy(splitter.model.state_dict()), number, row["gap"]
        if number - best >= options.patience or number == options.rounds:
            break
        row["splitter"] = splitter.learn(asked[tested], right[tested], rng)
        trained_n = 1 / (1 + np.exp(-splitter.scores(pool.rows)))
    splitter.model.load_state_dict(kept)
    return Found(splitter=splitter, gaps=gaps, best=best)
