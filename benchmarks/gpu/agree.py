"""Does the device give what the CPU gives? Gradients, meta-gradients, labels, scores."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial
from typing import Any
from unittest import mock

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._pytree import tree_map

import taskdiscovery as td
from benchmarks.gpu.harness import DIFFERS, FAILED, PASSED, Check, Row
from benchmarks.gpu.lab import EXACT, Lab, build, relative, switched
from benchmarks.metagrad import Case, ours, search_of
from taskdiscovery.discovery.meta.search import MetaSearch
from taskdiscovery.metagrad import MEMORY
from taskdiscovery.networks.images import to_tensor
from taskdiscovery.networks.prediction import predict

GRADIENTS = ("mlp", "convnet", "resnet18?width=0.5", "vit?width=0.5&depth=2")
META_GRADIENTS = (
    "mlp?width=0.25",
    "convnet?width=0.5",
    "resnet18?width=0.125",
    "vit?width=0.25&depth=2",
)
#: how many times as far as the CPU's float32 the device's may lie from float64: both are one draw
#: of rounding, which a ReLU that opens where it was closed makes larger than any bound on it.
FACTOR = 4.0
#: the least error that the CPU's is taken for; and that of a formula that is right, in float64.
LEAST, EXACT_ERROR = 1e-6, 1e-9


def checks(lab: Lab) -> Iterator[Check]:
    """Yield the checks of this section."""
    yield Check(name="initial weights are those of the CPU", work=partial(initial, lab))
    yield Check(
        name="gradient of one step, beside float64 on the CPU",
        work=partial(gradients, lab),
        need=10,
    )
    yield Check(
        name="meta-gradients by all memories, beside float64 on the CPU",
        work=partial(meta_gradients, lab),
        need=30,
    )
    yield Check(
        name="labels of one encoder, here and on the CPU, alone and in a batch",
        work=partial(labels, lab),
        need=15,
    )
    yield Check(
        name="scores are within the intervals of the CPU's", work=partial(scores, lab), need=40
    )


def initial(lab: Lab) -> Row:
    """Build the same network for the CPU and for the device."""
    cpu, there = (
        build(lab.learner("resnet18?width=0.25", device=device), seed=5).state_dict()
        for device in ("cpu", lab.device)
    )
    equal = all(torch.equal(cpu[name], there[name].cpu()) for name in cpu)
    return {"equal": equal, "state": PASSED if equal else DIFFERS}


def gradients(lab: Lab) -> Row:
    """Take the gradient of one batch in several precisions; tell relative errors."""
    images = torch.from_numpy(lab.many.images[:64])
    found: Row = {}
    for network in GRADIENTS[: 2 if lab.tiny else None]:
        exact = _gradient(lab, network, "cpu", images, "float64")
        rows = {
            "CPU float32": _gradient(lab, network, "cpu", images, "float32"),
            "float32": _gradient(lab, network, lab.device, images, "float32"),
            "bf16": _gradient(lab, network, lab.device, images, "bf16"),
        }
        with switched(**EXACT):
            rows["no TF32"] = _gradient(lab, network, lab.device, images, "float32")
        name = network.partition("?")[0]
        found[name] = {kind: f"{relative(own, exact):.1e}" for kind, own in rows.items()}
    return found


def _gradient(lab: Lab, network: str, device: str, images: Tensor, precision: str) -> Tensor:
    labels = torch.arange(len(images), device=device) % 2
    model = build(lab.learner(network, "float32", device), seed=5).train()
    if precision == "float64":
        model = model.double()
    with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"):
        outputs = model(images.to(device))
    outputs = outputs if precision == "float64" else outputs.float()
    F.cross_entropy(outputs, labels).backward()  # type: ignore[no-untyped-call]
    found = [p.grad.double().flatten() for p in model.parameters() if p.grad is not None]
    return torch.cat(found).cpu()


def meta_gradients(lab: Lab) -> Row:
    """Take the same meta-gradient in all ways; tell relative errors beside float64 on the CPU.

    In float32 a ResNet's is off by hundredths on any machine: the plain unroll there, too. So
    formulas are held against the truth in float64, on the device, and float32 against what the
    CPU's float32 is off by.
    """
    found: Row = {}
    close = True
    for network in META_GRADIENTS[: 1 if lab.tiny else None]:
        exact = _meta_gradient(network, "cpu", "float64", "reverse")
        usual = relative(_meta_gradient(network, "cpu", "float32", "reverse"), exact)
        errors = {"CPU float32": usual}
        with switched(**EXACT):
            for memory in (*MEMORY, "reverse"):
                gap = relative(_meta_gradient(network, lab.device, "float32", memory), exact)
                errors[memory], close = gap, close and gap <= FACTOR * max(usual, LEAST)
            gap = relative(_meta_gradient(network, lab.device, "float64", "store"), exact)
            errors["store, float64"], close = gap, close and gap <= EXACT_ERROR
        ways = [("store", "float32")]
        ways += [(memory, "bf16") for memory in ("graphs", "store")] if lab.cuda else []
        for memory, precision in ways:
            gap = relative(_meta_gradient(network, lab.device, precision, memory), exact)
            errors[f"{memory}, {'default ' * (precision == 'float32')}{precision}"] = gap
        found[network.partition("?")[0]] = {way: f"{gap:.0e}" for way, gap in errors.items()}
    return {**found, "state": PASSED if close else DIFFERS}


def _meta_gradient(network: str, device: str, precision: str, memory: str) -> Tensor:
    """Return the meta-gradient of three steps; `float64` on weights that were drawn in float32."""
    double = precision == "float64"
    case = Case(network, 32, 3, "float32" if double else precision, memory)
    search = search_of(case, device)
    if double:
        _widen(search)
    # Losses are taken in float32 on purpose, whatever the network gives.
    wider = mock.patch.object(Tensor, "float", Tensor.double) if double else nullcontext()
    with wider:
        gradient = ours(search)()
    return torch.cat([value.flatten().double() for _, value in sorted(gradient.items())])


def _widen(search: MetaSearch) -> None:
    """Make encoder and networks of a search float64."""
    search.trained.double()
    search.corners = search.corners.double()
    inner = search.inner
    model, start = inner.net.model.double(), inner.start
    inner.net.buffers = dict(model.network.named_buffers())
    drawn = mock.Mock(side_effect=lambda step: tree_map(Tensor.double, start(step)))
    inner.start = drawn  # type: ignore[method-assign]


def labels(lab: Lab) -> Row:
    """Label the same images on the CPU and on the device."""
    images = td.load(f"shapes?n={400 if lab.tiny else 4000}&seed=3").images
    encoder = td.discover(
        "shapes?n=600&seed=0",
        method="spectral",
        learner="mlp?width=0.5" if lab.tiny else "resnet18?width=0.5",
        tasks=16,
        device="cpu",
        executor="serial",
        callbacks=[],
    ).encoder
    assert isinstance(encoder, td.Encoder)
    cpu = encoder.transform(images, "cpu")
    few = images[:40]
    found: Row = {}
    for name, switches in (("default", {}), ("no TF32", EXACT)):
        with switched(**switches):
            there = encoder.transform(images, lab.device)
            tensor = to_tensor(few, lab.device)
            alone = [
                predict(encoder.model, tensor, np.array([i]), "float32", batch=1).numpy()
                for i in range(len(few))
            ]
            batch = predict(encoder.model, tensor, np.arange(len(few)), "float32").numpy()
        differ = float((encoder.classify(cpu) != encoder.classify(there)).mean())
        found[name] = {
            "coordinates": f"{np.abs(cpu - there).max():.0e}",
            "labels that differ": f"{differ:.1e}",
            "alone or in a batch": f"{np.abs(np.concatenate(alone) - batch).max():.0e}",
        }
    encoder.model.to("cpu")
    return found


def scores(lab: Lab) -> Row:
    """Score a labeling on both; in float32, and as the device does by itself."""
    data = td.load(f"shapes?n={500 if lab.tiny else 5000}&seed=1")
    assert data.attributes is not None
    target = f"attr:{data.attributes.columns[-1]}"
    options: dict[str, Any] = {"preset": "quick", "runs": 3, "batch": 256, "executor": "serial"}
    options |= {"epochs": 1 if lab.tiny else 4, "callbacks": []}
    kinds = {
        "CPU": ("cpu", "float32"),
        "float32": (lab.device, "float32"),
        "as chosen": (lab.device, lab.precision),
    }
    sides = {
        kind: td.score(data, target, device=device, precision=precision, **options)
        for kind, (device, precision) in kinds.items()
    }
    rows: Row = {}
    inside = True
    for own in sides["CPU"]:
        beside = {kind: found[own.task] for kind, found in sides.items()}
        rows[own.task] = {
            kind: f"{s.agreement:.3f} [{s.low:.3f}, {s.high:.3f}]" for kind, s in beside.items()
        }
        inside &= all(s.low <= own.high and own.low <= s.high for s in beside.values())
    return {**rows, "state": PASSED if inside else FAILED}
