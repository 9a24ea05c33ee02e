"""May a network of the user's be used? Found out in seconds, before anything long begins.

Two images go through it forwards and backwards, as in a training, and again as in a prediction; its
weights are saved, and loaded into one that is built anew. What a job would meet after an hour it
meets here: an answer of another shape, weights that are not finite, state that is not saved.

Axes: N images, K outputs.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace

import torch
from safetensors.torch import load as from_bytes
from safetensors.torch import save as to_bytes
from torch import Tensor

from taskdiscovery.config import Use
from taskdiscovery.config.specs import parse
from taskdiscovery.errors import ConfigError, first_line
from taskdiscovery.networks import (
    Model,
    Normalization,
    build_learner,
    is_ours,
    lite0,
    output_layer,
)
from taskdiscovery.networks.fitting_images import advice
from taskdiscovery.networks.foreign import Asked, explained
from taskdiscovery.networks.prediction import autocast
from taskdiscovery.networks.saving import unshared
from taskdiscovery.runtime import devices, random_states

_LOG = logging.getLogger("taskdiscovery")


def check(uses: Iterable[Use], image_shape: tuple[int, int, int]) -> None:
    """Refuse networks of the user's that a job could not train, ask, save or load.

    Networks of the package pass, where their weights are installed.

    Args:
        uses: the networks, and what the job wants of each.
        image_shape: (H, W, channels).

    Raises:
        ConfigError: saying what came instead of what is wanted.
        ResourceError: where weights are not installed.
    """
    always_the_same: set[str] = set()
    for use in uses:
        if is_ours(use.learner.network):
            if parse(use.learner.name).name == "lite0":
                lite0.weights_file()
            continue
        name, device = use.learner.name, devices.here(use.learner.device)
        use = replace(use, learner=replace(use.learner, device=device))
        try:
            with random_states.private(0, device):
                drawn = _check(use, Asked(name=name, image_shape=image_shape, outputs=use.outputs))
        except ConfigError as error:
            where = f"{use.option} {name}".strip()
            raise ConfigError(error.what, where=where, hint=error.hint) from error
        always_the_same |= set() if drawn else {name}
    for name in sorted(always_the_same):
        _LOG.warning(
            "%s has the same weights from every seed: runs differ in the order of batches alone",
            name,
        )


def _check(use: Use, asked: Asked) -> bool:
    """Check one use; say whether the weights depend on the seed."""
    model = _built(use, asked)
    _require_weights(model, asked)
    numbers = torch.Generator().manual_seed(0)
    images = torch.randint(
        0, 256, (2, *asked.image_shape), dtype=torch.uint8, generator=numbers
    ).to(use.learner.device)
    _learn(model, images, use.learner.precision, asked)
    again = _build(use, asked.image_shape, seed=1)
    drawn = _drawn_anew(model, again, asked)
    _require_same_answers(model, images, asked)
    _require_reload(model, again, images, asked)
    if use.encoder:
        _require_alone_as_in_a_batch(model, images, asked)
    if use.set_last and output_layer(model) is None:
        raise ConfigError(
            f"{asked.name} does not end in a linear layer of its own, whose weights could be set",
            hint="end it in a plain torch.nn.Linear; or use --method power, which trains it whole",
        )
    return drawn


def _build(use: Use, image_shape: tuple[int, int, int], seed: int) -> Model:
    channels = image_shape[2]
    plain = Normalization((127.5,) * channels, (73.9,) * channels)
    return build_learner(use.learner, image_shape, use.outputs, plain, seed)


def _built(use: Use, asked: Asked) -> Model:
    """Build it; where it fails on these images, say which it would take."""
    try:
        return _build(use, asked.image_shape, seed=0)
    except ConfigError as error:
        if not error.details.get("on_images"):
            raise
        cpu = replace(use, learner=replace(use.learner, device="cpu"))
        hint = advice(lambda shape: _build(cpu, shape, seed=0), asked.image_shape)
        raise ConfigError(error.what, hint=hint or error.hint) from error


def _require_weights(model: Model, asked: Asked) -> None:
    for name, value in model.network.state_dict().items():
        if not isinstance(value, Tensor):
            raise ConfigError(
                f"{asked.name} keeps {name!r} in its state_dict, a {type(value).__name__}",
                hint="keep tensors there alone: no get_extra_state",
            )
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise ConfigError(
                f"{asked.name} has weights that are not finite: {name}",
                hint="initialize them; a mask of infinities is registered with persistent=False",
            )
    if not any(p.requires_grad for p in model.parameters()):
        raise ConfigError(
            f"{asked.name} has no parameters that could be trained",
            hint="give it torch.nn layers as attributes; requires_grad=True",
        )


def _learn(model: Model, images: Tensor, precision: str, asked: Asked) -> None:
    """Take the gradient of a training step."""
    model.train()
    with autocast(images.device.type, precision):
        outputs = _finite(model(images), asked)
    if not outputs.requires_grad:
        raise ConfigError(
            f"{asked.name} gives answers that do not depend on its parameters",
            hint="no detach(), no torch.no_grad() and no argmax in its forward",
        )
    with explained(asked, "fails in its backward pass"):
        outputs.float().square().mean().backward()  # type: ignore[no-untyped-call]


def _drawn_anew(model: Model, again: Model, asked: Asked) -> bool:
    """Say whether networks that were built from two seeds differ.

    Raises:
        ConfigError: where they are one and the same.
    """
    first, second = ({p.data_ptr() for p in m.parameters() if p.numel()} for m in (model, again))
    if first & second:
        raise ConfigError(
            f"{asked.name} gives the same network each time, with what it has learned before",
            hint="build a new network in each call",
        )
    pairs = zip(model.parameters(), again.parameters(), strict=False)
    return not all(torch.equal(a, b) for a, b in pairs)


def _require_same_answers(model: Model, images: Tensor, asked: Asked) -> None:
    if not _near(_answers(model, images, asked), _answers(model, images, asked)):
        raise ConfigError(
            f"{asked.name} gives other answers to the same images when it is asked twice",
            hint="let it draw in training alone: F.dropout(x, training=self.training)",
        )


def _require_reload(model: Model, again: Model, images: Tensor, asked: Asked) -> None:
    try:
        again.load_state_dict(from_bytes(to_bytes(unshared(model))))
    except Exception as error:  # a network may have a state_dict of its own
        raise ConfigError(
            f"{asked.name} cannot be saved and loaded: {first_line(error)[:200]}",
            hint="its state_dict must fit any network that the factory builds of this shape",
        ) from error
    if not _near(_answers(model, images, asked), _answers(again, images, asked)):
        raise ConfigError(
            f"{asked.name} gives other answers when it is saved and loaded into a new one",
            hint="keep in register_buffer or nn.Parameter all that its answers depend on",
        )


def _require_alone_as_in_a_batch(model: Model, images: Tensor, asked: Asked) -> None:
    together = _answers(model, images, asked)
    try:
        alone = _answers(model, images[:1], asked)
    except ConfigError as error:
        raise ConfigError(f"of one image alone, {error.what}", hint=error.hint) from error
    if not _near(together[:1], alone):
        raise ConfigError(
            f"{asked.name} answers for an image by what else is in its batch",
            hint="a task labels each image alone: use batch norm with running statistics, or "
            "layer norm",
        )


@torch.no_grad()
def _answers(model: Model, images: Tensor, asked: Asked) -> Tensor:
    return _finite(model.eval()(images).float(), asked)


def _finite(outputs: Tensor, asked: Asked) -> Tensor:
    if not bool(torch.isfinite(outputs).all()):
        raise ConfigError(
            f"{asked.name} gives answers that are not finite, untrained",
            hint="look for divisions by zero and logarithms in its forward",
        )
    return outputs


def _near(one: Tensor, other: Tensor) -> bool:
    """Say whether answers are equal but for rounding."""
    scale = float(one.abs().max().clamp(min=1e-6))
    return bool((one - other).abs().max() <= 1e-3 * scale)
