"""A callback of Lightning: does a model that trains follow the label, or a task that goes with it?

    pip install lightning
    python examples/lightning_callback.py

Lightning is no dependency of taskdiscovery: copy `SideAccuracy` into your project. It logs, after
each epoch, the accuracy on images that go with the task (held out) and on those that go against it.
Two curves that part show a shortcut while it is being learnt.
"""

from collections.abc import Mapping

import lightning
import torch
from torch.utils.data import DataLoader, Dataset

import taskdiscovery as td


class SideAccuracy(lightning.Callback):
    """Logs the accuracy on named data sets, e.g. the sides of a split, after each training epoch.

    Args:
        sides: data sets of (image, class), by the names that they are logged under.
        batch: images at once.
    """

    def __init__(self, sides: Mapping[str, Dataset], batch: int = 256) -> None:
        self.loaders = {name: DataLoader(own, batch_size=batch) for name, own in sides.items()}

    def on_train_epoch_end(self, trainer, module) -> None:
        """Ask the module as it stands, without gradients and with its batch norms at rest."""
        was_training = module.training
        module.eval()
        with torch.no_grad():
            for name, loader in self.loaders.items():
                module.log(f"accuracy/{name}", self.accuracy(module, loader), prog_bar=True)
        module.train(was_training)

    @staticmethod
    def accuracy(module, loader) -> float:
        """Return the share of images whose class has the greatest output."""
        right = count = 0
        for images, classes in loader:
            outputs = module(images.to(module.device))
            right += int((outputs.argmax(dim=1).cpu() == classes).sum())
            count += len(classes)
        return right / count


class Model(lightning.LightningModule):
    """A small network, as anybody's."""

    def __init__(self, classes: int, pixels: int) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Flatten(), torch.nn.Linear(pixels, 64), torch.nn.ReLU(),
            torch.nn.Linear(64, classes),
        )  # fmt: skip

    def forward(self, images):
        """Return (B, classes) outputs."""
        return self.layers(images.float() / 255)

    def training_step(self, batch, _):
        """Return the loss of a batch."""
        images, classes = batch
        return torch.nn.functional.cross_entropy(self(images), classes)

    def configure_optimizers(self):
        """Return Adam."""
        return torch.optim.Adam(self.parameters(), lr=1e-3)


def main(data: str = "digits", epochs: int = 8) -> dict[str, float]:
    """Discover tasks, split along the worst, train on one side, watch both; return what is logged.

    Args:
        data: DATA with labels.
        epochs: of the model's training.
    """
    images = td.load(data)
    found = td.discover(images, tasks=4, method="spectral", learner="mlp", epochs=20)
    options = {"learner": "mlp", "runs": 1, "epochs": 10, "controls": ["random"]}
    broken = td.split(images, "label:0,1,2,3,4", found.tasks, **options)
    sides = broken.subsets(images)
    watch = SideAccuracy({"with_the_task": sides["within"], "against_it": sides["test"]})
    model = Model(broken.target.k, images.images[0].size)
    trainer = lightning.Trainer(
        max_epochs=epochs, callbacks=[watch], logger=False, enable_checkpointing=False
    )
    trainer.fit(model, DataLoader(sides["train"], batch_size=64, shuffle=True))
    return {name: float(value) for name, value in trainer.callback_metrics.items()}


if __name__ == "__main__":
    print(main())
