"""What is timed, and beside what."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image

import taskdiscovery as td
from benchmarks import metagrad, plain
from benchmarks.machine import Side, alternate, convolutions, ratio
from taskdiscovery import networks
from taskdiscovery.config import TrainingRecipe, learner_of
from taskdiscovery.networks import Normalization
from taskdiscovery.training import Examples, cross_entropy, train
from taskdiscovery.types import Dataset, Labeling

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Setting:
    """How much is done, and where.

    Attributes:
        full: the long form.
        precision: that ours uses.
        device: `cpu` or `cuda`.
        peak: floating-point operations per second of matrix products, by precision.
    """

    full: bool
    precision: str
    device: str
    peak: dict[str, float]

    @property
    def rounds(self) -> int:
        """Timed rounds of each case."""
        return 3 if self.full else 1

    def much(self, quick: int, full: int) -> int:
        """Choose a size."""
        return full if self.full else quick


def synthetic(n: int) -> Dataset:
    """Make n images of smooth noise: what they show does not change how long they take."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (n, 8, 8, 3), dtype=np.uint8)
    images = coarse.repeat(4, axis=1).repeat(4, axis=2)
    images[:, :, :, 0] += rng.integers(0, 64, (n, 32, 32), dtype=np.uint8)
    return td.from_arrays(images, (coarse[:, :4].mean(axis=(1, 2, 3)) > 127).astype(np.int64))


def training(setting: Setting) -> Iterator[Row]:
    """Epochs of training, beside the plain loop and beside the convolutions alone."""
    sizes = {"convnet": (6, 40), "resnet18?width=0.25": (2, 12)}
    for spec, (quick, full) in sizes.items():
        n = 512 * setting.much(quick, full)
        dataset = synthetic(n)
        assert dataset.labels is not None
        labels = torch.from_numpy(dataset.labels)
        pixels = Normalization.measure(dataset.images, np.arange(n))
        images = torch.from_numpy(dataset.images).to(setting.device)
        x = plain.tensor(dataset.images)
        learner = learner_of(
            spec, TrainingRecipe(epochs=1), device=setting.device, precision=setting.precision
        )

        def ours(learner=learner, images=images, labels=labels, pixels=pixels) -> None:  # type: ignore[no-untyped-def]
            model = networks.build_learner(learner, (32, 32, 3), 2, pixels, 0)
            rows, targets = np.arange(len(images)), labels.to(images.device)
            train(learner, model, Examples(images, rows, targets, cross_entropy), seed=0)

        def theirs(spec=spec, x=x, labels=labels) -> None:  # type: ignore[no-untyped-def]
            plain.train(spec, x, labels, outputs=2, epochs=1, seed=0, device=setting.device)

        bare = convolutions(
            plain.network(spec, 2, 0, setting.device),
            512,
            (32, 32, 3),
            setting.precision,
            setting.device,
        )

        def alone(bare=bare, n=n) -> None:  # type: ignore[no-untyped-def]
            for _ in range(n // 512):
                bare()

        sides = [Side(work, setting.device, plain=work is theirs) for work in (theirs, ours, alone)]
        alternate(sides, setting.rounds + 1)
        model = networks.build_learner(learner, (32, 32, 3), 2, pixels, 0)
        flops = 3 * networks.flops(model, (32, 32, 3)) * n
        yield {
            **_row(f"train {spec}", setting, sides[0], sides[1]),
            "images_per_second": round(n / sides[1].seconds),
            "share_of_product_peak": round(
                flops / sides[1].seconds / setting.peak[setting.precision], 3
            ),
            "share_of_convolutions": round(ratio(sides[1], sides[2]) ** -1, 3),
        }


def score(setting: Setting) -> Iterator[Row]:
    """Two runs on each of a few labelings."""
    n, test = setting.much(3072, 12_288), 2048
    dataset = synthetic(n + test)
    assert dataset.labels is not None
    rng = np.random.default_rng(1)
    labelings = [dataset.labels] + [rng.integers(0, 2, n + test) for _ in range(1)]
    epochs = setting.much(1, 3)
    options = {"train_images": n, "test_images": test, "epochs": epochs, **_place(setting)}

    def ours() -> None:
        td.score(dataset, "label", **options)  # and its random control

    def theirs() -> None:
        plain.score("convnet", dataset.images, labelings, n, epochs, setting.device)

    yield _case("score", setting, theirs, ours)


def discover(setting: Setting) -> Iterator[Row]:
    """The three methods."""
    n = setting.much(3072, 12_288)
    dataset = synthetic(n * 10 // 9 + 1)
    fit, here = dataset.images[:n], _place(setting)
    common: dict[str, Any] = {"tasks": 8, "train_images": n, **here}
    yield _case(
        "discover spectral",
        setting,
        lambda: plain.spectral("convnet", dataset.images, 8),
        lambda: td.discover(dataset, method=td.Spectral(rotate=False), **common),
    )
    iterations = setting.much(1, 3)
    work: dict[str, Any] = {"epochs": setting.much(1, 3), "batch": 256}
    power = td.Power(iterations=iterations, tolerance=0.0, rotate=False)
    yield _case(
        "discover power",
        setting,
        lambda: plain.power("convnet", fit, 8, iterations=iterations, **work),
        lambda: td.discover(dataset, method=power, **work, **common),
    )
    steps: dict[str, Any] = {
        "outer_steps": setting.much(2, 6),
        "inner_steps": 10,
        "inner_batch": 128,
    }
    yield _case(
        "discover meta",
        setting,
        lambda: td.discover(
            dataset,
            method=td.Meta(gradient="reverse", **steps),
            **{**common, "precision": "float32"},
        ),
        lambda: td.discover(dataset, method=td.Meta(**steps), **common),
        beside="the unroll of the published code, float32",
    )


def gradients(setting: Setting) -> Iterator[Row]:
    """The meta-gradient alone: `benchmarks.metagrad` has more of it."""
    for case in metagrad.QUICK[:1] + metagrad.QUICK[2:3]:
        for row in metagrad.measure([case], setting.rounds, setting.device):
            yield {
                "case": f"metagrad {case.network} {case.precision} {case.memory}",
                "beside": "the unroll of the published code, float32",
                "speedup": row["speedup"],
                "seconds": row["seconds"],
                "plain_seconds": row["baseline_seconds"],
                "memory_gb": row["memory_gb"],
                "plain_memory_gb": round(row["memory_gb"] / row["memory_ratio"], 2),
            }


def split(setting: Setting) -> Iterator[Row]:
    """An adversarial split and its random control; the plain loop does these two trainings."""
    n, epochs = setting.much(3072, 12_288), setting.much(1, 3)
    dataset = synthetic(n * 10 // 9)
    place = (dataset.images[:, 16:].mean(axis=(1, 2, 3)) > 127).astype(np.int64)
    lower_half = Labeling(name="lower half", classes=("0", "1"), labels_N=place, ids_N=dataset.ids)

    def theirs() -> None:
        assert dataset.labels is not None
        x, y = plain.tensor(dataset.images), torch.from_numpy(dataset.labels)
        agree = torch.from_numpy(place) == y
        chance = torch.rand(len(y)) < agree.float().mean()
        for side in (agree, chance):
            model = plain.train("convnet", x[side], y[side], outputs=2, epochs=epochs, seed=0)
            plain.predict(model, x[~side])

    def ours() -> None:
        td.split(
            dataset,
            "label",
            lower_half,
            controls=["random"],
            orientation="same",
            class_balanced=False,
            runs=1,
            epochs=epochs,
            train_images=n,
            **_place(setting),
        )

    yield _case("split", setting, theirs, ours)


def reading(setting: Setting) -> Iterator[Row]:
    """A Parquet file of PNG images: decoded into the cache, and opened again."""
    n = setting.much(3000, 20_000)
    images = synthetic(n).images
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        cells = []
        for image in images:
            stream = BytesIO()
            Image.fromarray(image).save(stream, "PNG", compress_level=1)
            cells.append({"bytes": stream.getvalue(), "path": None})
        pd.DataFrame({"img": cells}).to_parquet(place / "images.parquet")
        before, count = os.environ.get("TASKDISCOVERY_CACHE"), iter(range(1000))

        def first() -> None:
            os.environ["TASKDISCOVERY_CACHE"] = str(place / f"cache {next(count)}")
            td.load(f"parquet:{place}/images.parquet")

        def again() -> None:
            td.load(f"parquet:{place}/images.parquet")

        def theirs() -> None:
            plain.read(place / "images.parquet")

        try:
            for what, work in (("read, first", first), ("read, again", again)):
                row = _case(what, setting, theirs, work)
                yield {**row, "images_per_second": round(n / max(row["seconds"], 1e-9))}
        finally:
            os.environ.pop("TASKDISCOVERY_CACHE")
            if before is not None:
                os.environ["TASKDISCOVERY_CACHE"] = before


CASES: dict[str, Callable[[Setting], Iterator[Row]]] = {
    "train": training,
    "score": score,
    "discover": discover,
    "metagrad": gradients,
    "split": split,
    "read": reading,
}


def _place(setting: Setting) -> dict[str, Any]:
    return {"device": setting.device, "precision": setting.precision}


def _case(
    name: str,
    setting: Setting,
    theirs: Callable[[], Any],
    ours: Callable[[], Any],
    beside: str = "",
) -> Row:
    sides = [Side(theirs, setting.device, plain=True), Side(ours, setting.device)]
    alternate(sides, setting.rounds)
    return _row(name, setting, sides[0], sides[1], beside)


def _row(name: str, setting: Setting, theirs: Side, ours: Side, beside: str = "") -> Row:
    return {
        "case": name,
        "precision": setting.precision,
        **({"beside": beside} if beside else {}),
        "speedup": round(ratio(theirs, ours), 2),
        "seconds": round(ours.seconds, 3),
        "plain_seconds": round(theirs.seconds, 3),
        "memory_gb": round(ours.memory / 1e9, 3),
        "plain_memory_gb": round(theirs.memory / 1e9, 3),
    }
