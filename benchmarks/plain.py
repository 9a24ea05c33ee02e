"""The plain reference: what a researcher would write in an afternoon.

Float32, the default memory layout, a DataLoader over a TensorDataset of normalized floats, Adam,
one training after the other. `Resident` is what a careful one writes for a GPU. The networks are
those of the package.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from sklearn.decomposition import PCA
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from taskdiscovery import networks
from taskdiscovery.networks import Normalization

BATCH = 512


def network(spec: str, outputs: int, seed: int, device: str = "cpu") -> nn.Module:
    """Build a network for 32×32 images."""
    model = networks.build(spec, (32, 32, 3), outputs, Normalization.none(3), seed)
    return model.network.to(memory_format=torch.contiguous_format).to(device)  # type: ignore[call-overload]


def tensor(images: NDArray[np.uint8]) -> Tensor:
    """Normalize all images, (N, channels, H, W)."""
    x = torch.from_numpy(np.ascontiguousarray(images)).float().permute(0, 3, 1, 2).contiguous()
    return (x - x.mean(dim=(0, 2, 3), keepdim=True)) / x.std(dim=(0, 2, 3), keepdim=True)


def train(
    spec: str,
    x: Tensor,
    y: Tensor,
    *,
    outputs: int,
    epochs: int,
    seed: int,
    batch: int = BATCH,
    device: str = "cpu",
    loss: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
) -> nn.Module:
    """Train a network."""
    torch.manual_seed(seed)
    model = network(spec, outputs, seed, device)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    loader = DataLoader(TensorDataset(x, y), batch_size=batch, shuffle=True)
    model.train()
    for _ in range(epochs):
        for images, labels in loader:
            optimizer.zero_grad()
            value = loss(model(images.to(device)), labels.to(device))
            value.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return model.eval()


@torch.no_grad()
def predict(model: nn.Module, x: Tensor, device: str = "cpu") -> Tensor:
    """Return the outputs."""
    loader = DataLoader(TensorDataset(x), batch_size=BATCH)
    return torch.cat([model(images.to(device)).cpu() for (images,) in loader])


@dataclass(frozen=True, kw_only=True)
class Resident:
    """Training as a careful user of PyTorch writes it for a GPU.

    All images lie on the device, batches are drawn and normalized there; channels last, bf16 by
    autocast, a fused optimizer, predictions in large batches. Nothing is read back on the way.
    `torch.backends.cudnn.benchmark` is for the caller to switch on.

    Attributes:
        images: (N, H, W, channels) uint8 on the device.
        targets: (N, …) on the device.
        batch: images of a step.
        loss: of float32 outputs and targets.
        one_cycle: AdamW with a one-cycle schedule up to 4e-3, in place of Adam with 1e-3.
    """

    images: Tensor
    targets: Tensor
    batch: int = BATCH
    loss: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy
    one_cycle: bool = False

    def network(self, spec: str, outputs: int, seed: int) -> nn.Module:
        """Build a network."""
        model = network(spec, outputs, seed, str(self.images.device))
        return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def train(self, model: nn.Module, epochs: int) -> None:
        """Train a network."""
        made: tuple[torch.optim.Optimizer, Any]
        N, device = len(self.images), self.images.device
        if self.one_cycle:
            adamw = torch.optim.AdamW(model.parameters(), weight_decay=0.01, fused=True)
            steps = epochs * -(-N // self.batch)
            made = adamw, torch.optim.lr_scheduler.OneCycleLR(adamw, 4e-3, total_steps=steps)
        else:
            made = torch.optim.Adam(model.parameters(), 1e-3, fused=True), None
        optimizer, schedule = made
        model.train()
        for _ in range(epochs):
            for rows in torch.split(torch.randperm(N, device=device), self.batch):
                with self._autocast():
                    outputs = model(self._pixels(rows))
                value = self.loss(outputs.float(), self.targets[rows])
                optimizer.zero_grad(set_to_none=True)
                value.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                if schedule is not None:
                    schedule.step()

    @torch.no_grad()
    def predict(self, model: nn.Module, count: int, batch: int = 4096) -> Tensor:
        """Return the outputs for the first so many images, on the CPU."""
        model.eval()
        rows = torch.arange(count, device=self.images.device)
        with self._autocast():
            outputs = [model(self._pixels(own)) for own in torch.split(rows, batch)]
        return torch.cat(outputs).float().cpu()

    def _pixels(self, rows: Tensor) -> Tensor:
        """Return normalized images, (n, channels, H, W), channels last."""
        return (self.images[rows].permute(0, 3, 1, 2).float() - 127.0) / 64.0

    def _autocast(self) -> torch.autocast:
        kind = self.images.device.type
        return torch.autocast(kind, torch.bfloat16, enabled=kind == "cuda")


def score(
    spec: str,
    images: NDArray[np.uint8],
    labelings: Sequence[NDArray[np.int64]],
    train_images: int,
    epochs: int,
    device: str = "cpu",
) -> list[float]:
    """Return the agreement of two runs on each labeling."""
    x, found = tensor(images), []
    for labels in labelings:
        y = torch.from_numpy(labels)
        answers = []
        for seed in range(2):
            model = train(
                spec,
                x[:train_images],
                y[:train_images],
                outputs=2,
                epochs=epochs,
                seed=seed,
                device=device,
            )
            answers.append(predict(model, x[train_images:], device).argmax(dim=1))
        found.append(float((answers[0] == answers[1]).float().mean()))
    return found


def spectral(spec: str, images: NDArray[np.uint8], tasks: int) -> NDArray[Any]:
    """Return tasks from the principal components of an untrained network's features."""
    model, x = network(spec, tasks, 0), tensor(images)
    kept: list[Tensor] = []
    head = [m for m in model.modules() if isinstance(m, nn.Linear)][-1]
    hook = head.register_forward_pre_hook(lambda _, inputs: kept.append(inputs[0]))
    model.train()
    predict(model, x[:BATCH])  # statistics of batch norm
    kept.clear()
    predict(model.eval(), x)
    hook.remove()
    coordinates = PCA(tasks, whiten=True).fit_transform(torch.cat(kept).numpy())
    return np.asarray(coordinates > np.median(coordinates, axis=0))


def power(
    spec: str, images: NDArray[np.uint8], tasks: int, *, iterations: int, epochs: int, batch: int
) -> NDArray[Any]:
    """Return tasks by power iteration with two folds, and an encoder's fit."""
    x, rng = tensor(images), np.random.default_rng(0)
    y = rng.normal(size=(len(x), tasks))
    options: dict[str, Any] = {"outputs": tasks, "batch": batch, "loss": F.mse_loss}
    for i in range(iterations):
        targets = torch.from_numpy(np.tanh(2 * y)).float()
        predictions = np.zeros_like(y)
        halves = np.array_split(rng.permutation(len(x)), 2)
        for own, other in (halves, halves[::-1]):
            model = train(spec, x[own], targets[own], epochs=epochs, seed=i, **options)
            predictions[other] = predict(model, x[other]).numpy()
            predictions[other] -= predictions[other].mean(axis=0)
        values, vectors = np.linalg.eigh(np.cov(predictions.T))
        y = predictions @ (vectors / np.sqrt(values)) @ vectors.T
    targets = torch.from_numpy(np.tanh(2 * y)).float()
    model = train(spec, x, targets, epochs=epochs, seed=0, **options)
    return predict(model, x).numpy() > 0


def read(path: Path) -> NDArray[np.uint8]:
    """Decode the images of a Parquet file."""
    frame = pd.read_parquet(path)
    return np.stack([np.asarray(Image.open(BytesIO(c["bytes"])).convert("RGB")) for c in frame.img])
