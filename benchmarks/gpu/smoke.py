"""Does every job work on the device? Small ones of each kind, and the errors that must be told."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from unittest import mock

import numpy as np
import torch

import taskdiscovery as td
from benchmarks.gpu.harness import DIFFERS, FAILED, PASSED, Check, Row
from benchmarks.gpu.lab import Lab
from benchmarks.metagrad import NORMAL, SHAPE
from taskdiscovery import networks
from taskdiscovery.cli import main as command_line
from taskdiscovery.networks.images import to_tensor
from taskdiscovery.runtime import interrupts
from taskdiscovery.store.journal import JournalWatch
from taskdiscovery.types import Record

#: learner, data, precision.
SCORED = (
    ("convnet", "shapes", "bf16"),
    ("convnet", "digits", "float32"),
    ("mlp", "digits", "bf16"),
    ("resnet18?width=0.25&augment=flip,crop,grey", "shapes", "bf16"),
    ("resnet18?width=0.1", "digits", "bf16"),  # narrow strided 1×1 convolutions, one channel
    ("resnet50?width=0.25", "shapes", "bf16"),
    ("vit?width=0.5&depth=2", "shapes", "bf16"),
    ("vit?width=0.5&depth=2", "shapes", "float32"),
    ("linear", "digits", "bf16"),
    ("timm:resnet10t", "shapes", "bf16"),
    ("torchvision:mobilenet_v3_small", "shapes", "bf16"),
)
#: options of the meta-gradient, and of `discover` beside it.
META: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "graphs": ({"memory": "graphs"}, {}),
    "store": ({"memory": "store"}, {}),
    "recompute": ({"memory": "recompute"}, {}),
    "store float32": ({"memory": "store"}, {"precision": "float32"}),
    "auto resnet": ({"inner_optimizer": "sgd"}, {"learner": "resnet18?width=0.1"}),
    "vit store": ({"memory": "store"}, {"learner": "vit?width=0.25&depth=1"}),
    "reverse online contain information": (
        {
            "gradient": "reverse",
            "objective": "online",
            "stop_agreement": 0.9,
            "contain": ("attr:shape",),
            "diversity": "information",
        },
        {"learner": "mlp?width=0.1"},
    ),
    "one-step random": ({"one_step": True, "directions": "random"}, {"learner": "mlp?width=0.1"}),
    "truncated train-loss": (
        {"gradient": "truncated", "objective": "train-loss"},
        {"learner": "mlp?width=0.1"},
    ),
}
#: updates after which a training is stopped.
STOPS = 17


def checks(lab: Lab) -> Iterator[Check]:
    """Yield the checks of this section."""
    for learner, data, precision in SCORED[: 3 if lab.tiny else None]:
        package = learner.partition(":")[0] if ":" in learner else "torch"
        if importlib.util.find_spec(package) is not None:
            work = partial(score, lab, learner, data, precision)
            yield Check(name=f"score {learner} {data} {precision}", work=work)
    yield Check(name="score --early", work=partial(early, lab))
    yield Check(name="all jobs of a run of power", work=partial(whole_run, lab), need=20)
    yield Check(name="power: three classes, exclude, pixels, average", work=partial(power, lab))
    yield Check(name="spectral", work=partial(spectral, lab))
    for name in list(META)[: 2 if lab.tiny else None]:
        yield Check(name=f"meta {name}", work=partial(meta, lab, *META[name]), need=6)
    yield Check(name="meta warm start, best", work=partial(warm, lab), need=6)
    yield Check(
        name="stopped and resumed equals never stopped", work=partial(stopped, lab), need=20
    )
    yield Check(name="global random states are left alone", work=partial(random_states, lab))
    if lab.cuda:
        yield Check(name="what a GPU cannot do is refused", work=refused)
        yield Check(name="out of memory: what is said", work=partial(out_of_memory, lab))
        yield Check(name="a job on the CPU leaves the GPU alone", work=on_the_cpu, need=25)


def score(lab: Lab, learner: str, data: str, precision: str) -> Row:
    """Score a labeling and its random control."""
    dataset, target = (lab.shapes, lab.factor) if data == "shapes" else (lab.digits, "label")
    precision = precision if lab.cuda else "float32"
    options: dict[str, Any] = {"learner": learner, "preset": "smoke", "precision": precision}
    return {"agreement": _agreements(td.score(dataset, target, **options, **lab.here))}


def early(lab: Lab) -> Row:
    """Score with runs that end when their predictions have settled."""
    options: dict[str, Any] = {"preset": "smoke", "epochs": 12, "batch": 64, "early": True}
    options["train_images"] = len(lab.shapes) // 2
    return {"agreement": _agreements(td.score(lab.shapes, lab.factor, **options, **lab.here))}


def whole_run(lab: Lab) -> Row:
    """Discover, analyze, label, score, split, report."""
    data, run = lab.shapes, lab.folder / "power"
    method = td.Power(iterations=2)
    found = td.discover(data, method=method, tasks=4, epochs=4, batch=128, out=run, **lab.here)
    evidence = td.analyze(data, td.open_run(run), out=run, callbacks=[])
    cpu = td.label(run, data, device="cpu").labels_ND
    gpu = td.label(run, data, device=lab.device).labels_ND
    scores = td.score(data, found, preset="smoke", **lab.here)
    options: dict[str, Any] = {"preset": "smoke", "runs": 2, "transfer": ["mlp?width=0.1"]}
    split = td.split(data, lab.factor, str(run), out=lab.folder / "split", **options, **lab.here)
    page = td.report(lab.folder / "report.html", data, found, scores, split, evidence)
    return {
        "tasks": len(found.tasks),
        "labels alike on CPU and device": round(float((cpu == gpu).mean()), 5),
        "labels as stored": round(float((cpu == found.tasks.labels_ND).mean()), 5),
        "scores": len(scores),
        "adversarial": round(split.accuracy["adversarial"].mean, 3),
        "verdicts": len(evidence.verdicts),
        "report bytes": page.stat().st_size,
    }


def power(lab: Lab) -> Row:
    """Discover with options of power iteration that the defaults leave out."""
    found = td.discover(
        lab.shapes,
        method=td.Power(start="pixels", iterations=1, targets="linear", average=2),
        learner="mlp?width=0.25",
        tasks=2,
        classes=3,
        epochs=6,
        batch=64,
        exclude=["brightness"],
        **lab.here,
    )
    return {"tasks": len(found.tasks)}


def spectral(lab: Lab) -> Row:
    """Discover without training."""
    return {"tasks": len(td.discover(lab.shapes, method="spectral", tasks=4, **lab.here).tasks)}


def meta(lab: Lab, own: dict[str, Any], more: dict[str, Any]) -> Row:
    """Discover by meta-gradient."""
    method = td.Meta(outer_steps=2, inner_steps=3, inner_batch=64, **own)
    options = {"learner": "convnet?width=0.25", "tasks": 4, **lab.here, **more}
    numbers = td.discover(lab.shapes, method=method, **options).numbers["meta"]
    return {"agreement": numbers["agreement_last"], "memory": numbers["memory"]}


def warm(lab: Lab) -> Row:
    """Search for the best directions in the embedding of another run."""
    run = lab.folder / "spectral"
    learner = "convnet?width=0.25"
    td.discover(lab.shapes, method="spectral", learner=learner, tasks=4, out=run, **lab.here)
    return meta(lab, {"warm_start": str(run), "directions": "best"}, {})


def stopped(lab: Lab) -> Row:
    """Stop a search again and again, resume it, and compare its bytes with those of a whole one."""
    data = f"shapes?n={len(lab.shapes)}&size=16"
    job = ["discover", data, "--learner", "convnet?width=0.5&augment=flip", "--batch", "128"]
    job += ["--tasks", "2", "--iterations", "2", "--epochs", "4"]
    job += ["--device", lab.device, "--executor", "serial", "--quiet"]
    runs = {name: lab.folder / name for name in ("never", "again", "stopped")}
    for name in ("never", "again"):
        if code := _quiet([*job, "--out", str(runs[name])]):
            raise RuntimeError(f"exit code {code}")
    boundary, updates = JournalWatch.boundary, [0]

    def stopping(watch: JournalWatch, state: Callable[[], Record]) -> None:
        updates[0] += 1
        if updates[0] % STOPS == 0:
            interrupts.request(signal.SIGINT)
        boundary(watch, state)

    with mock.patch.object(JournalWatch, "boundary", stopping):
        codes = [_quiet([*job, "--out", str(runs["stopped"])])]
        while codes[-1] == 130 and len(codes) < 40:
            codes.append(_quiet(["resume", str(runs["stopped"]), "--quiet"]))
    if codes[-1]:
        return {"state": FAILED, "exit codes": codes}
    encoders = [(run / "encoder.safetensors").read_bytes() for run in runs.values()]
    labels = [td.open_run(run).tasks.labels_ND for run in runs.values()]
    equal = {"again": encoders[0] == encoders[1], "stopped": encoders[0] == encoders[2]}
    return {
        "state": PASSED if all(equal.values()) else DIFFERS,
        "stops": len(codes) - 1,
        "bytes equal": equal,
        "labels equal": [round(float((labels[0] == own).mean()), 4) for own in labels[1:]],
    }


def random_states(lab: Lab) -> Row:
    """Build a network, and look at the random states that all share."""

    def states() -> list[torch.Tensor]:
        return [torch.get_rng_state().clone()] + ([torch.cuda.get_rng_state()] if lab.cuda else [])

    before = states()
    networks.build("mlp?width=0.1", SHAPE, 2, NORMAL, seed=3)
    same = [bool(torch.equal(a, b)) for a, b in zip(before, states(), strict=True)]
    return {"unchanged": same, "state": PASSED if all(same) else DIFFERS}


def refused() -> Row:
    """Ask for several processes on a GPU, and for a second GPU by its number."""
    job = ["score", "digits", "--target", "label", "--preset", "smoke", "--quiet"]
    codes = {
        "processes": _quiet([*job, "--device", "cuda", "--executor", "processes"]),
        "cuda:1": _quiet([*job, "--device", "cuda:1"]),
        "doctor": _quiet(["doctor"]),
    }
    right = codes["processes"] == 2 and codes["cuda:1"] == 2
    return {**codes, "state": PASSED if right else FAILED}


def out_of_memory(lab: Lab) -> Row:
    """Leave the process little memory, and train and load more than fits."""
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    share = (torch.cuda.memory_reserved() + 1.0e9) / total
    torch.cuda.set_per_process_memory_fraction(min(0.99, share))
    options: dict[str, Any] = {"learner": "resnet50", "preset": "smoke"}
    options |= {"batch": len(lab.shapes), "train_images": len(lab.shapes)}
    try:
        return {
            "training": _complaint(lambda: td.score(lab.shapes, lab.factor, **options, **lab.here)),
            "images": _complaint(
                lambda: to_tensor(np.zeros((20_000, 224, 224, 3), np.uint8), lab.device)
            ),
        }
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def on_the_cpu() -> Row:
    """Score on the CPU in a process of its own; the GPU must not have been asked."""
    program = (
        "import taskdiscovery as td, torch\n"
        "td.score('digits', 'label', preset='smoke', device='cpu', executor='serial',"
        " learner='mlp?width=0.1')\n"
        "print(torch.cuda.is_initialized())"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    initialized = done.stdout.strip()
    state = {"False": PASSED, "True": DIFFERS}.get(initialized, FAILED)
    return {"initialized": initialized or done.stderr.strip()[-160:], "state": state}


def _agreements(scores: td.Scores) -> list[float]:
    return [round(score.agreement, 3) for score in scores]


def _complaint(work: Callable[[], object]) -> str:
    """Return what the package says where memory runs out, or the raw error it lets through."""
    try:
        work()
    except td.TaskDiscoveryError as error:
        return str(error).replace("\n", " ")[:160]
    except Exception as error:
        return f"not explained: {type(error).__name__}"
    return "no error"


def _quiet(arguments: list[str]) -> int:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            return command_line(arguments)
        except SystemExit as error:  # options that argparse refuses
            return int(error.code or 0)
