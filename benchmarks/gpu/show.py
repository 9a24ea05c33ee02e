"""What the project promises of one GPU: three jobs, beside a plain PyTorch loop and the floor.

The floor is what the matrix units would take for the multiplications alone, at the throughput that
`env` has measured. The plain loop is `plain.Resident`, in the same process, after the job: some of
its epochs are timed and scaled to all that the job trains; for the meta-gradient it is the
published way (`benchmarks.published`), of which some inner steps are timed and scaled.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

import taskdiscovery as td
from benchmarks import human, labelings, plain
from benchmarks.gpu.harness import MISSED, PASSED, Check, Row
from benchmarks.gpu.lab import Lab, flops, switched
from benchmarks.metagrad import NORMAL, SHAPE, Case, baseline, ours, search_of
from taskdiscovery.config import ScoreConfig
from taskdiscovery.runtime.callbacks import Callback, Numbers
from taskdiscovery.training import Seeds, Training

#: seconds that are asked for on an H100 or H200; and how often faster than the plain loop.
ASKED = {"score": 120.0, "power": 20.0, "meta": 1.8}
FASTER = 1.5
#: passes forward that an image costs, forward and back; and in an inner step that is stored.
PASSES, META_PASSES = 3, 16
#: epochs of the published protocol, and those that stand for them.
PAPER_EPOCHS, TIMED_EPOCHS = 100, (2, 12)


def checks(lab: Lab) -> Iterator[Check]:
    """Yield the checks of this section."""
    name = network(lab)
    yield Check(name=f"show: score {name}, preset paper", work=partial(score, lab), need=60)
    yield Check(name=f"show: power {name}, 32 tasks", work=partial(power, lab), need=50)
    yield Check(name=f"show: an outer step of meta, {name}", work=partial(meta, lab), need=30)


def network(lab: Lab) -> str:
    """Return whose figures are shown."""
    return "mlp?width=0.1" if lab.tiny else "resnet18"


def beside(lab: Lab, job: str, seconds: float, usual: float, floor: float) -> Row:
    """Return a job's figures.

    Args:
        lab: where.
        job: one of `ASKED`.
        seconds: that it takes.
        usual: that the plain loop takes.
        floor: seconds of the multiplications alone.
    """
    met = seconds <= ASKED[job] and usual >= FASTER * seconds
    return {
        "s": round(seconds, 2),
        "asked s": ASKED[job],
        "plain s": round(usual, 2),
        "ratio": round(usual / seconds, 2),
        "floor s": round(floor, 2),
        "share of the floor": round(floor / seconds, 3),
        "state": PASSED if met or lab.tiny else MISSED,
    }


def score(lab: Lab) -> Row:
    """Score one labeling by two runs of the published protocol; a scaled run unless `--full`."""
    n, name = len(lab.many) * 9 // 10, network(lab)
    if lab.full:
        seconds, how = _whole_score(lab, name), {"measured": "the whole job, two runs"}
    else:
        seconds, how = _scaled_score(lab, name, n)
    usual = _plain_score(lab, name, n)
    floor = PASSES * flops(name) * n * 2 * PAPER_EPOCHS / lab.ceilings["bf16"]
    how["plain"] = "one epoch to warm up, five timed, and predictions; scaled to 2 x 100"
    return beside(lab, "score", seconds, usual, floor) | how


def _whole_score(lab: Lab, name: str) -> float:
    labeling = lab.many.target(human.target(0) if lab.data else "label")
    config = ScoreConfig(
        learner=name, preset="paper", device=lab.device, precision=lab.precision, executor="serial"
    )
    return lab.clock(lambda: list(labelings.scores(lab.many, [labeling], config)))


def _scaled_score(lab: Lab, name: str, n: int) -> tuple[float, Row]:
    """Time runs of few epochs; return the seconds of two runs of all epochs, and how."""
    few, many = (1, 3) if lab.tiny else TIMED_EPOCHS
    everything = np.arange(len(lab.many))

    def run(epochs: int) -> float:
        training = Training(
            learner=lab.learner(name, epochs=epochs, batch=512, recalibrate=False),
            shape=SHAPE,
            normalization=NORMAL,
            outputs=2,
            rows=everything[:n],
            targets=everything[:n] % 2,
            measured=everything[n:],
            seeds=Seeds(0, 0),
        )
        return lab.clock(lambda: training.run(lab.images))

    run(1)
    short, long = run(few), run(many)
    epoch = (long - short) / (many - few)
    whole = 2 * (short + (PAPER_EPOCHS - few) * epoch)
    how = {
        "measured": f"runs of {few} and {many} epochs, predictions among them; scaled to 2 x 100",
        "s an epoch": round(epoch, 3),
        "s beside the epochs": round(short - few * epoch, 2),
    }
    return whole, how


def _plain_score(lab: Lab, name: str, n: int) -> float:
    targets = torch.arange(n, device=lab.device) % 2
    loop = plain.Resident(images=lab.resident[:n], targets=targets)
    model = loop.network(name, 2, 0)
    timed = 1 if lab.tiny else 5
    with switched(benchmark=True):
        loop.train(model, 1)
        trained = lab.clock(partial(loop.train, model, timed)) / timed
        asked = lab.clock(partial(loop.predict, model, min(n, 5000)), warm=1)
    return 2 * (PAPER_EPOCHS * trained + asked)


class _Iterations(Callback):
    """Counts iterations, and notes when each ended."""

    def __init__(self) -> None:
        self.times = [time.perf_counter()]

    def on_iteration(self, numbers: Numbers) -> None:
        self.times.append(time.perf_counter())


def power(lab: Lab) -> Row:
    """Discover 32 tasks by power iteration, the whole call; a small one before warms up."""
    name, tasks = network(lab), 4 if lab.tiny else 32
    options: dict[str, Any] = {"learner": name, "tasks": tasks, **lab.here}
    _found(lab, options | {"train_images": min(1000, len(lab.many) // 2), "epochs": 1})
    lab.fresh()
    noted = _Iterations()
    began = time.perf_counter()
    end = _found(lab, options | {"callbacks": [noted]})
    lab.synchronize()
    seconds = time.perf_counter() - began
    peak, iterations = lab.peak(), len(noted.times) - 1
    n = len(lab.many) * 9 // 10
    epochs = max(3, -(-60_000 // n))  # as `discover` decides
    passed = epochs * n * (iterations + 1)  # a fold trains on half of them; then the encoder on all
    usual = _plain_power(lab, name, tasks, passed, n * (iterations + 1))
    floor = flops(name) * (PASSES * passed + n * (iterations + 1)) / lab.ceilings["bf16"]
    return beside(lab, "power", seconds, usual, floor) | {
        "measured": "the whole call",
        "plain": "two epochs of a fold timed, and predictions; scaled to all trainings alone",
        "iterations": iterations,
        "s of start and first, each, encoder": [
            round(float(s), 2) for s in np.diff([*noted.times, began + seconds])
        ],
        "peak GB": peak,
        "end": end,
    }


def _found(lab: Lab, options: dict[str, Any]) -> str:
    """Search; say how it ended: noise may hold no tasks, and the times count all the same."""
    try:
        td.discover(lab.many, method=td.Power(), **options)
    except td.NumericalError as error:
        return error.what
    return "done"


def _plain_power(lab: Lab, name: str, tasks: int, trained: int, predicted: int) -> float:
    """Return the seconds of the plain loop for so many images trained on, and predicted."""
    half = len(lab.many) * 9 // 20
    goal = torch.randn(half, tasks, device=lab.device)
    loop = plain.Resident(
        images=lab.resident[:half], targets=goal, batch=256, loss=F.mse_loss, one_cycle=True
    )
    model = loop.network(name, tasks, 0)
    with switched(benchmark=True):
        loop.train(model, 1)
        each = lab.clock(partial(loop.train, model, 2)) / (2 * half)
        asked = lab.clock(partial(loop.predict, model, half), warm=1) / half
    return each * trained + asked * predicted


def meta(lab: Lab) -> Row:
    """Take the gradient of one outer step: 50 inner steps of two networks, forth and back."""
    name, batch, steps = network(lab), 16 if lab.tiny else 512, 4 if lab.tiny else 50
    search = search_of(Case(name, batch, steps, lab.precision, "store"), lab.device)
    take = ours(search)
    take()  # records, where that is done
    lab.fresh()
    seconds = lab.median(take, 3, 1)
    peak = lab.peak()
    del search, take
    lab.fresh()
    few = (1, 3)
    times = []
    for count in few:
        theirs = baseline(search_of(Case(name, batch, count, "float32", "reverse"), lab.device))
        times.append(lab.median(theirs, 2, 1))
        lab.fresh()
    each = (times[1] - times[0]) / (few[1] - few[0])
    usual = times[0] + (steps - 1) * each
    floor = META_PASSES * flops(name) * batch * steps / lab.ceilings["bf16"]
    return beside(lab, "meta", seconds, usual, floor) | {
        "measured": f"the whole gradient, {steps} steps of {batch} images",
        "plain": f"the published way with {few[0]} and {few[1]} steps, scaled",
        "ms an inner step": round(1e3 * seconds / steps, 1),
        "peak GB": peak,
    }
