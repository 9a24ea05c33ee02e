"""Decisions that depend on the machine: taken once, here, and written to the config.

They follow from the config, the network and the machine, never from a clock, so that the same
command gives the same numbers; a job that is resumed keeps them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TypeVar

from taskdiscovery import networks
from taskdiscovery.config import (
    Load,
    ResolvedLearner,
    TrainingConfig,
    Use,
    WorkConfig,
    is_convex,
)
from taskdiscovery.errors import ConfigError
from taskdiscovery.executors.opening import inputs_of
from taskdiscovery.networks import Normalization, preflight
from taskdiscovery.runtime import devices, ranks
from taskdiscovery.runtime.hardware import bf16_units, cpu_cores, free_memory, semaphores
from taskdiscovery.types import Dataset

W = TypeVar("W", bound=WorkConfig)
T = TypeVar("T", bound=TrainingConfig)
_LOG = logging.getLogger("taskdiscovery")

#: floating-point operations per second and core, roughly; nothing but a choice depends on it.
SPEED = {"bf16": 2e11, "float32": 1e11}
#: seconds of all cores below which starting processes costs more than it saves.
WORTH = 20.0
#: seconds of a training above which it is to be saved on the way, which this process alone does.
LONG = 120.0
#: numbers of a table of features (rows × columns) from which closed forms go to a GPU by
#: themselves: 90,000 rows of 768, a hundred GFLOP or some seconds of a few cores a pass.
LARGE_TABLE = 2**26
#: bytes of memory that a process is taken to need.
NEEDED = 1.5e9


def resolve_training(
    config: T, dataset: Dataset, trainings: int, outputs: Mapping[str, Iterable[int]] | None = None
) -> T:
    """Decide all of it for a job that measures, and fill in what its preset decides.

    Args:
        config: as given.
        dataset: the images.
        trainings: that can be done at once.
        outputs: what each learner is built with, by its SPEC or name; two for the config's own
            where nothing is said.

    Raises:
        ConfigError: where it cannot be done as asked, or not with a network of the user's.
    """
    config = resolve_hardware(config.filled(), dataset)
    outputs = {config.learner: (2,)} if outputs is None else outputs
    uses = [
        Use(
            learner=config.learner_of(name),
            outputs=count,
            option="--learner" if name == config.learner else "",
        )
        for name, counts in outputs.items()
        for count in sorted(set(counts))
    ]
    preflight.check(uses, shape_of(dataset, config))
    images = min(len(dataset), config.train_images or len(dataset))
    load = Load(trainings=trainings, passes=config.recipe.epochs * images)
    return ranks.share(resolve_work(config, config.learner_of(), shape_of(dataset, config), load))


def shape_of(dataset: Dataset, config: WorkConfig) -> tuple[int, int, int]:
    """Return (H, W, channels) of what the learner of a job looks at; (1, 1, P) of features.

    Raises:
        ConfigError: where the data has none of these.
    """
    height, width, channels = inputs_of(dataset, config.on_features).shape[1:]
    return int(height), int(width), int(channels)


def resolve_hardware(config: W, dataset: Dataset) -> W:
    """Decide device and precision, and join the other ranks.

    Args:
        config: as given.
        dataset: the images, or the features of them.

    Raises:
        ConfigError: where they cannot be had as asked.
        WorkerError: where a rank does not answer.
    """
    if is_convex(config.learner):  # solved here, in seconds
        config = replace(config, precision="float32", executor="serial", jobs=None)
        if config.device == "auto" and _few(dataset):
            config = replace(config, device="cpu")
    there = resolve_ranks(config.ranks, config.executor)
    asked = config.device
    if config.executor == "ray" and asked == "auto" and config.gpus_per_job:
        asked = "cuda"
    device = resolve_device(asked, config.executor)
    if there > 1 and devices.is_cuda(device):
        ranks.take_card(device)
    precision = resolve_precision(config.precision, device, config.executor)
    return replace(config, ranks=there, device=device, precision=precision)


def _few(dataset: Dataset) -> bool:
    """Say whether a table of features is so small that a GPU would save a second at most."""
    return dataset.features is None or dataset.features.size < LARGE_TABLE


def resolve_device(device: str, executor: str = "serial") -> str:
    """Turn `auto` into `cuda` where there is a card, else `cpu`.

    Args:
        device: as asked for.
        executor: under `ray` the workers have the cards, and `cuda` is taken on trust.

    Raises:
        ConfigError: where a card is asked for and absent, or one that Ray cannot promise.
    """
    if executor != "ray" or not devices.is_cuda(device):
        return devices.resolve(device)
    if devices.number_of(device) is not None:
        raise ConfigError(
            "Ray chooses the cards of its workers",
            where=f"--device {device}, --executor ray",
            hint="use --device cuda, with --gpus-per-job for more or less than one a training",
        )
    return device


def resolve_precision(precision: str, device: str, executor: str = "serial") -> str:
    """Turn `auto` into `bf16` where the hardware multiplies it natively, else `float32`.

    Args:
        precision: as asked for.
        device: resolved.
        executor: under `ray` the workers have the cards: those are taken to multiply bf16, unless
            the driver's machine has one that does not. The driver itself does not use it.
    """
    if precision == "float32":
        return precision
    if executor == "ray" and devices.is_cuda(device):
        native = _native_on_ray()
    else:
        native = devices.multiplies_bf16(device) if devices.is_cuda(device) else any(bf16_units())
    if precision == "bf16" and not native:
        _LOG.warning(
            "this %s does not multiply bf16 itself: training takes many times as long as with "
            "--precision float32",
            "GPU" if devices.is_cuda(device) else "processor",
        )
    if precision != "auto":
        return precision
    chosen = "bf16" if native else "float32"
    if executor == "ray" and devices.is_cuda(device):
        _LOG.info("the workers' GPUs are taken to multiply %s: --precision says otherwise", chosen)
    return chosen


def _native_on_ray() -> bool:
    """Say whether the workers' cards multiply bf16: as far as one like them can be seen here."""
    seen = [str(card["capability"]) for card in devices.named_by_the_driver()]
    majors = [int(word) for word in (c.partition(".")[0] for c in seen) if word.isdigit()]
    return all(major >= 8 for major in majors)


def resolve_ranks(wanted: int | None, executor: str) -> int:
    """Return how many processes share the work, and connect to them.

    Raises:
        ConfigError: where another number was started, or a Ray cluster is asked for as well.
        WorkerError: where they do not answer.
    """
    there = ranks.size()
    if wanted is not None and wanted != there:
        raise ConfigError(
            f"{wanted} ranks are asked for, {there} were started",
            where="--ranks",
            hint=f"torchrun --nproc-per-node {wanted} -m taskdiscovery …",
        )
    if there > 1 and executor not in ("serial", "auto"):
        raise ConfigError(
            "other workers and ranks do not go together",
            where=f"--executor {executor}, under torchrun",
            hint="use one of the two",
        )
    ranks.join()
    return there


def resolve_work(config: W, learner: ResolvedLearner, shape: tuple[int, int, int], load: Load) -> W:
    """Decide who trains, how many trainings at once, and with how many threads each.

    Args:
        config: device, precision and ranks are resolved.
        learner: what is trained.
        shape: (H, W, channels) of an image.
        load: what will be trained.

    Returns:
        The config with `executor`, `jobs` and `threads`; the job takes jobs × threads cores.

    Raises:
        ConfigError: where processes are asked for on a GPU, or cannot be started here.
    """
    executor, jobs, cores = config.executor, config.jobs, cpu_cores()
    if executor == "processes" and not semaphores():
        raise ConfigError(
            "this machine gives processes no semaphores (is /dev/shm missing or full?)",
            where="--executor processes",
            hint="use --executor serial, or give the container a larger /dev/shm",
        )
    if devices.is_cuda(config.device) and executor in ("auto", "processes"):
        executor, jobs = _on_cards(config, load)
    elif executor in ("auto", "processes"):
        memory = max(1, int(free_memory(int(4 * NEEDED)) / NEEDED))
        most = min(cores // (config.threads or 1), load.trainings, memory)
        at_once = jobs or max(1, most)
        if executor == "auto":
            suits = config.device == "cpu" and config.ranks == 1 and at_once > 1 and semaphores()
            seconds = _seconds(config, learner, shape, load.passes) if suits else 0.0
            total = seconds * load.trainings * load.rounds / cores
            worth = total > WORTH and seconds * at_once / cores < LONG
            executor = "processes" if suits and (worth or jobs) else "serial"
        jobs = at_once if executor == "processes" else None
    # A job that was started with processes and goes on without keeps the threads it had.
    threads = config.threads or max(1, cores // (jobs or 1))
    return replace(config, executor=executor, jobs=jobs, threads=threads)


def _on_cards(config: WorkConfig, load: Load) -> tuple[str, int | None]:
    """Decide who trains on GPUs, and how many at once: a process for each card, or this one.

    Raises:
        ConfigError: where processes are asked for that would have no card of their own.
    """
    there, one = devices.cards(), devices.number_of(config.device) is not None
    at_once = min(config.jobs or there, there, load.trainings)
    if config.executor == "processes":
        if one or there < 2:
            raise ConfigError(
                "several processes do not share a GPU well",
                where=f"--executor processes, --device {config.device}, "
                f"{there} card{'s' * (there != 1)} here",
                hint="use --device cuda for a process on each card; --executor serial for one",
            )
        if config.jobs is not None and config.jobs > there:
            raise ConfigError(
                f"{config.jobs} trainings at once need a card each, and this machine has {there}",
                where=f"--jobs {config.jobs}, --device {config.device}",
                hint=f"use --jobs {there} or leave it out",
            )
        return "processes", max(1, at_once)
    if one or at_once < 2 or config.ranks != 1 or not semaphores():
        return "serial", None
    return "processes", at_once


def _seconds(
    config: WorkConfig, learner: ResolvedLearner, shape: tuple[int, int, int], passes: int
) -> float:
    """Estimate how long a training takes on one core."""
    plain = Normalization.none(shape[2])
    model = networks.build_learner(learner, shape, 2, plain, seed=0)
    return 3 * networks.flops(model, shape) * passes / SPEED[config.precision]
