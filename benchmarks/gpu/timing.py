"""How fast are trainings and searches, and what stands in their way?"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import torch

import taskdiscovery as td
from benchmarks.gpu.harness import Check, Row
from benchmarks.gpu.lab import EXACT, Lab, build, flops, switched
from benchmarks.metagrad import Case, ours, problem_of, search_of, search_on
from taskdiscovery.discovery.meta.planning import decide_memory
from taskdiscovery.networks.images import take
from taskdiscovery.networks.prediction import predict
from taskdiscovery.runtime.callbacks import Callback, Numbers
from taskdiscovery.training import Examples, cross_entropy, squared_error, train

#: network, precision (that of the device where empty), batch.
TRAINED = (
    ("resnet18", "", 512),
    ("resnet18", "", 256),
    ("resnet18", "float32", 512),
    ("convnet", "", 512),
    ("resnet18?width=0.25", "", 512),
    ("vit", "", 512),
    ("mlp", "", 512),
)
#: passes forward that an inner step costs by what is kept, forth and back, and those of its labels.
PASSES = {"graphs": 12, "store": 16, "recompute": 19}
#: images of the published protocol, and their passes in a score.
PAPER_IMAGES, PAPER_PASSES = 45_000, 200
#: of a fold of power iteration, as `discover` trains it.
FOLD: dict[str, Any] = {
    "batch": 256,
    "learning_rate": 4e-3,
    "optimizer": "adamw",
    "schedule": "onecycle",
    "weight_decay": 0.01,
}


def checks(lab: Lab) -> Iterator[Check]:
    """Yield the checks of this section."""
    network = "mlp" if lab.tiny else "resnet18"
    for own, precision, batch in [("mlp", "", 64)] if lab.tiny else TRAINED:
        name = f"train {own} {precision or lab.precision}, batches of {batch}: an epoch"
        yield Check(name=name, work=partial(epoch, lab, own, precision, batch), need=10)
    for own, batch in [("mlp", 64)] if lab.tiny else [("resnet18", 512), ("convnet", 512)]:
        name = f"profile of ten steps of {own}"
        yield Check(name=name, work=partial(profile, lab, own, batch), need=8)
    yield Check(name=f"power, {network}: two iterations", work=partial(power, lab), need=40)
    yield Check(name=f"a fold of power, {network}", work=partial(fold, lab, network), need=15)
    inner = "mlp?width=0.1" if lab.tiny else network
    for memory, steps in (("store", 4 if lab.tiny else 50), ("graphs", 3), ("recompute", 4)):
        work = partial(gradient, lab, inner, memory, steps)
        yield Check(name=f"meta-gradient, {inner}, {steps} steps, {memory}", work=work, need=25)
    yield Check(
        name=f"profile of a meta-gradient, {inner}, 2 steps, store",
        work=partial(profile_gradient, lab, inner),
        need=15,
    )
    yield Check(name="an outer step by the defaults", work=partial(outer_step, lab), need=12)
    yield Check(
        name=f"predict, {network}: images a second", work=partial(ask, lab, network), need=10
    )
    yield Check(name="gather a batch, microseconds", work=partial(gather, lab))


def _train(lab: Lab, network: str, rows: int, precision: str, batch: int) -> float:
    """Return the seconds of an epoch of so many images."""
    learner = lab.learner(network, precision, batch=batch)
    model = build(learner)
    labels = torch.arange(rows, device=lab.device) % 2
    examples = Examples(lab.images, np.arange(rows), labels, cross_entropy)
    return lab.clock(lambda: train(learner, model, examples, seed=0))


def epoch(lab: Lab, network: str, precision: str, batch: int) -> Row:
    """Time an epoch; compare with what products reach, and with the published protocol."""
    n = len(lab.many) * 9 // 10
    _train(lab, network, n, precision, batch)  # records the steps, of both sizes of batch
    lab.fresh()
    took = _train(lab, network, n, precision, batch)
    done = 3 * flops(network) * n
    return {
        "images/s": round(n / took),
        "ms a step": round(1e3 * took / (n // batch), 2),
        "TF/s": round(done / took / 1e12, 1),
        "of the bf16 ceiling": round(done / took / lab.ceilings["bf16"], 3),
        "peak GB": lab.peak(),
        "score of the published protocol, min": round(
            PAPER_PASSES * took * PAPER_IMAGES / n / 60, 2
        ),
    }


def profile(lab: Lab, network: str, batch: int) -> Row:
    """Profile ten steps."""
    rows = min(len(lab.many) * 9 // 10, 10 * batch + 30)
    return lab.profile(f"train {network}", lambda: _train(lab, network, rows, "", batch))


class _Stamps(Callback):
    """Notes when iterations end."""

    def __init__(self) -> None:
        self.times = [time.perf_counter()]

    def on_iteration(self, numbers: Numbers) -> None:
        self.times.append(time.perf_counter())


def power(lab: Lab) -> Row:
    """Search by power iteration; tell the time of its parts, and of a whole search."""
    stamps = _Stamps()
    small: dict[str, Any] = {"tasks": 4, "learner": "mlp?width=0.1", "epochs": 1}
    large: dict[str, Any] = {"tasks": 32, "learner": "resnet18"}
    options = {**lab.here, **(small if lab.tiny else large), "callbacks": [stamps]}
    end = "done"
    lab.fresh()
    try:
        td.discover(lab.many, method=td.Power(iterations=2, tolerance=0.0), **options)
    except td.NumericalError as error:  # noise may hold no tasks: the times are what counts
        end = error.what
    stamps.times.append(time.perf_counter())
    parts = np.diff(stamps.times)
    return {
        "start and iteration 1, iteration 2, encoder s": [round(float(p), 2) for p in parts],
        "six iterations s": round(float(parts[0] + 5 * parts[1:2].sum() + parts[-1]), 1),
        "peak GB": lab.peak(),
        "end": end,
    }


def fold(lab: Lab, network: str) -> Row:
    """Train on 32 coordinates of half of the images, predict as many, and profile both."""
    learner = lab.learner(network, **FOLD)
    half = len(lab.many) * 9 // 20
    goal = torch.randn(half, 32, device=lab.device)

    def once(count: int) -> tuple[float, float]:
        model, rows = build(learner, 32), np.arange(count)
        examples = Examples(lab.images, rows, goal[:count], squared_error)
        trained = lab.clock(lambda: train(learner, model, examples, seed=0))
        asked = lab.clock(lambda: predict(model, lab.images, rows + half, lab.precision))
        return round(trained, 2), round(asked, 2)

    once(half)
    times = once(half)
    few = min(half, 8 * FOLD["batch"])
    found = lab.profile("fold of power, 8 steps and predictions", lambda: once(few))
    return {"train, predict s": times, **found}


def gradient(lab: Lab, network: str, memory: str, steps: int) -> Row:
    """Time one meta-gradient."""
    batch = 16 if lab.tiny else 512
    ours(search_of(Case(network, batch, 2, lab.precision, memory), lab.device))()
    run = ours(search_of(Case(network, batch, steps, lab.precision, memory), lab.device))
    lab.fresh()
    took = lab.clock(run)
    done = PASSES[memory] * flops(network) * batch * steps
    return {
        "s": round(took, 2),
        "ms an inner step": round(1e3 * took / steps, 1),
        "s for 50": round(50 * took / steps, 2),
        "peak GB": lab.peak(),
        "TF/s": round(done / took / 1e12, 1),
        "s at the bf16 ceiling": round(done / lab.ceilings["bf16"], 3),
    }


def profile_gradient(lab: Lab, network: str) -> Row:
    """Profile one meta-gradient."""
    batch = 16 if lab.tiny else 512
    search = search_of(Case(network, batch, 2, lab.precision, "store"), lab.device)
    return lab.profile("meta-gradient, store, 2 steps", ours(search))


def outer_step(lab: Lab) -> Row:
    """Time an outer step of `discover --method meta` as it is by default."""
    options = td.Meta(inner_steps=2, inner_batch=16) if lab.tiny else td.Meta()
    learner = lab.learner("mlp?width=0.1" if lab.tiny else "convnet")
    options = decide_memory(options, learner, lab.many, classes=2, seed=0)
    search = search_on(problem_of(lab.many, lab.resident, learner), options)
    took = lab.median(lambda: search._step(0), 3, 1)
    drawing = lab.clock(lambda: search.inner.start(0), 3)
    return {
        "memory": options.memory,
        "s a step": round(took, 3),
        "s of drawing networks": round(drawing, 3),
    }


def ask(lab: Lab, network: str) -> Row:
    """Predict in several precisions and sizes of batch."""
    rows = np.arange(min(len(lab.many), 16_384))
    kinds: tuple[tuple[str, str, dict[str, bool]], ...] = (
        (lab.precision, lab.precision, {}),
        ("float32", "float32", {}),
        ("float32, no TF32", "float32", EXACT),
    )
    found: Row = {}
    for name, precision, switches in kinds:
        model = build(lab.learner(network), 32)
        with switched(**switches):
            for batch in (256, 1024, 4096):
                work = partial(predict, model, lab.images, rows, precision, batch=batch)
                found[f"{name}, {batch}"] = round(len(rows) / lab.clock(work, 1, 1))
    return found


def gather(lab: Lab) -> Row:
    """Time ways to take 512 images."""
    images = lab.resident
    rows = torch.randint(0, len(images), (512,), device=lab.device)
    words = images.view(len(images), -1).view(torch.int64)
    model = build(lab.learner("linear"))
    ways = {
        "take": lambda: take(images, rows),
        "index": lambda: images[rows],
        "eight bytes at a time": lambda: words.index_select(0, rows),
        "take and normalize": lambda: model.normalize(take(images, rows)),
    }
    return {name: round(1e6 * lab.clock(work, 200, 20), 1) for name, work in ways.items()}
