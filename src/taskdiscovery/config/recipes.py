"""How learners are trained: recipes, and the presets that set them together."""

from __future__ import annotations

from dataclasses import dataclass

OPTIMIZERS = ("adam", "adamw", "sgd")
SCHEDULES = ("constant", "onecycle")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a learner is to be trained; what is None is left to the options of the call.

    Attributes:
        epochs: passes over the training images.
        batch: images per step.
        learning_rate: of the optimizer; the peak, for `onecycle`.
        optimizer: `adam`, `adamw` or `sgd` (momentum 0.9).
        schedule: `constant` or `onecycle`.
        weight_decay: of the optimizer.
        augment: names of augmentations (`flip`, `crop`, `grey`), applied in order.
    """

    epochs: int | None = None
    batch: int | None = None
    learning_rate: float | None = None
    optimizer: str | None = None
    schedule: str | None = None
    weight_decay: float | None = None
    augment: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class TrainingRecipe:
    """How a learner is trained, with every decision taken.

    Attributes:
        epochs, batch, learning_rate, optimizer, schedule, weight_decay, augment: see `Recipe`.
        recalibrate: measure the batch norms' statistics anew on training images when training
            ends. Their running averages lag behind weights that still move, which after a few
            epochs costs several points of agreement (CIFAR-10, `quick`: 0.58 against 0.75).
            The preset sets it.
    """

    epochs: int = 6
    batch: int = 512
    learning_rate: float = 1e-3
    optimizer: str = "adam"
    schedule: str = "constant"
    weight_decay: float = 0.0
    augment: tuple[str, ...] = ()
    recalibrate: bool = False


@dataclass(frozen=True, kw_only=True)
class Preset:
    """What `--preset` sets for the training of scored learners.

    Attributes:
        train_images, test_images: at most so many are used; None for all.
        epochs: passes over the training images.
        shared_order: whether all runs see identical batches, as the published scorer does.
        recalibrate: see `TrainingRecipe`; the published scorer does not.
    """

    train_images: int | None
    test_images: int | None
    epochs: int
    shared_order: bool = False
    recalibrate: bool = True


PRESETS = {
    "smoke": Preset(train_images=600, test_images=300, epochs=2),
    "quick": Preset(train_images=15_000, test_images=5_000, epochs=6),
    "paper": Preset(
        train_images=45_000, test_images=10_000, epochs=100, shared_order=True, recalibrate=False
    ),
}
