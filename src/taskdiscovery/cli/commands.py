"""One function a subcommand. Options and paths are checked before torch is imported."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from taskdiscovery import errors
from taskdiscovery.cli import auditview, estimateview, fitview, infoview, parser, results, show
from taskdiscovery.config import (
    AnalyzeConfig,
    AuditConfig,
    CompareConfig,
    DataConfig,
    EmbedConfig,
    EstimateConfig,
    FitConfig,
    JobConfig,
    LabelConfig,
    PlantConfig,
    ScoreConfig,
    SplitConfig,
    StressConfig,
    WorkConfig,
    check_learner,
    from_mapping,
    to_mapping,
    words_of,
)
from taskdiscovery.config.specs import parse
from taskdiscovery.data import describe
from taskdiscovery.data.joining import names_data
from taskdiscovery.data.loading import KINDS
from taskdiscovery.discovery import DiscoverConfig
from taskdiscovery.errors import ConfigError, RunDirError, StrictError
from taskdiscovery.features import check_backbone, check_spec, load, writing
from taskdiscovery.jobs.following import following
from taskdiscovery.jobs.looking import own_data, with_features_beside, with_usual_features
from taskdiscovery.jobs.parts import with_parts
from taskdiscovery.jobs.sink import Sink, at_work, check_free, is_run, next_run
from taskdiscovery.jobs.specs import split_run_task
from taskdiscovery.runtime import devices, ranks
from taskdiscovery.runtime.callbacks import Callbacks
from taskdiscovery.runtime.disk import check_writable
from taskdiscovery.splits.benchmark.checking import is_benchmark
from taskdiscovery.store import Run, atomic, check_new, environment, write_parquet
from taskdiscovery.store import verify as verify_files
from taskdiscovery.store.layout import AUDIT_PAGE, CUE_SPLIT, REPORT
from taskdiscovery.types import Dataset
from taskdiscovery.types.audit import FAIL
from taskdiscovery.types.showing import showing


def demo(data: str, out: Path | None, callbacks: Callbacks) -> None:
    """Discover, score, split and report, in a few minutes."""
    from taskdiscovery.cli import demonstration

    check_spec(data)
    path = out or next_run("demo", parse(data).kind)
    check_new(path)
    tell = show.progress_line
    report = demonstration.run(data, path, tell=tell, callbacks=callbacks)
    show.exact(str(report))


def info(
    data: str,
    format: str,
    report: Path | None,
    no_images: bool,
    blur: bool,
    callbacks: Callbacks,
    **given: Any,
) -> None:
    """Print what was read; write a page of it."""
    how = from_mapping(DataConfig, given, "info")
    if report is not None:
        check_writable(report)
    logging.getLogger("taskdiscovery").setLevel(logging.ERROR)  # what it would warn of is shown
    dataset = load(data, **to_mapping(how), callbacks=callbacks.callbacks)
    found = describe(dataset)
    infoview.show_info(found, format)
    if report is not None:
        from taskdiscovery.reporting import write_data_page

        with showing(no_images=no_images, blur=blur):
            path = write_data_page(report, dataset, found)
        if format == "table":
            show.line(f"page: {path}")


def discover(format: str, out: Path | None, callbacks: Callbacks, **given: Any) -> None:
    """Find tasks, write them into a run directory, print them."""
    data, config = _job("discover", given)
    if config is None:
        return
    assert isinstance(config, DiscoverConfig)
    by_itself = config.method.needs_features
    path = out or next_run("discover", config.method.name if by_itself else config.learner)
    _check_new(path)
    from taskdiscovery.jobs import discover as job

    found = job.run(data, config, Sink.of("discover", path), callbacks)
    table = [{"task": row.pop("name"), **row} for row in map(dict, found.numbers["tasks"])]
    show.rows(table, format, title=f"{len(table)} tasks, in {path}")
    if format == "table":
        similarity = found.numbers["similarity"]
        if similarity["mean"] is not None:
            show.line(f"similarity: mean {similarity['mean']:.3f}, max {similarity['max']:.3f}")
        show.line(f"seconds: {found.numbers['seconds']:.0f}")
        _say_partition(config, format)
        _next(path)


def score(format: str, out: Path | None, callbacks: Callbacks, **given: Any) -> None:
    """Print agreement scores; write them where there is a run."""
    bounded = given.pop("estimate_accuracy")
    data, config = _job("score", given)
    if config is None:
        return
    assert isinstance(config, ScoreConfig)
    out = _output(config.tasks, out)
    from taskdiscovery.jobs import score as job

    scores = job.run(data, None, config, Sink.of("score", out), callbacks)
    results.scores(scores, format, discovered=bool(config.tasks), bounded=bounded)
    _say_partition(with_parts(config, config.tasks, data), format)
    if format == "table" and out is not None:
        show.line(f"scores {scores[0].name}, in {out}")
        _next(out)


def split(format: str, out: Path | None, callbacks: Callbacks, **given: Any) -> None:
    """Split, measure beside the controls, write and print."""
    data, config = _job("split", given)
    if config is None:
        return
    assert isinstance(config, SplitConfig)
    out = _output(config.tasks, out)
    if out is None:
        out = next_run("split", config.learner)
        _check_new(out)
    from taskdiscovery.jobs import split as job

    found = job.run(data, None, None, config, Sink.of("split", out), callbacks)
    if not ranks.first():
        return
    results.split(found, format, name=list(Run.open(out).names("splits"))[-1], run=out)
    if format == "table":
        _say_partition(with_parts(config, config.tasks, data), format)
        _next(out)


def label(
    run: Path, data: str, out: Path | None, learner: str, callbacks: Callbacks, **given: Any
) -> None:
    """Print or write the tasks of other images."""
    Run.open(run)
    check_spec(data)
    if out is not None and out.suffix not in (".csv", ".parquet"):
        raise ConfigError("labels go into .csv or .parquet", where=str(out), hint="rename --out")
    if out is not None:
        check_writable(out)
    config = from_mapping(LabelConfig, given, "label")
    from taskdiscovery.jobs import label as job

    found = job.run(run, data, config, networks=_named(learner), callbacks=callbacks)
    frame = found.to_frame()
    if out is None:
        show.frame(frame)
    elif out.suffix == ".parquet":
        on_card = devices.is_cuda(found.device)
        write_parquet(out, frame, about={"device": found.device} if on_card else None)
    else:
        with atomic(out) as stream:
            stream.write(frame.to_csv(index=False).encode("utf-8"))


def embed(data: str, out: Path, callbacks: Callbacks, **given: Any) -> None:
    """Write the features of images."""
    config = from_mapping(EmbedConfig, given, "embed")
    writing.check_place(out)
    check_backbone(config.backbone)
    check_spec(data)
    from taskdiscovery.jobs import embed as job

    found = job.run(data, config, out, callbacks)
    assert found.features is not None
    show.line(f"{len(found)} images, {found.features.shape[1]} features each, in {out}")
    again = words_of(_as_read(config, found))
    show.line(f"next: {errors.command('discover', data, *again, '--features', out)}")


def fit(data: str, out: Path | None, format: str, callbacks: Callbacks, **given: Any) -> None:
    """Train a learner, and print how it fares by class; keep it where a file is named."""
    check_spec(data)
    config = from_mapping(FitConfig, with_usual_features(data, given), "fit")
    _check_test(config)
    check_learner(config.learner)
    if out is not None:
        if out.suffix != ".safetensors":
            raise ConfigError(
                "a learner goes into .safetensors", where=str(out), hint="rename --out"
            )
        check_writable(out)
    from taskdiscovery.jobs import fit as job

    found = job.run(data, None, config, callbacks)
    if out is not None:
        found.save(out)
    fitview.show_fit(found, format)
    if format == "table":
        _say_partition(config, format)
        if out is not None:
            show.line(f"kept in {out}")


def estimate(format: str, out: Path | None, callbacks: Callbacks, **given: Any) -> None:
    """Print what can be told of the accuracy on unlabelled images; write it with `--out`."""
    data, config = _job("estimate", given)
    if config is None:
        return
    assert isinstance(config, EstimateConfig)
    if config.on:
        check_spec(config.on)
    _check_new(out)
    from taskdiscovery.jobs import estimate as job

    sink = Sink.of("estimate", out)
    found = job.run(data, job.Given(), config, sink, callbacks)
    estimateview.show_estimate(found, format, tasks=bool(config.tasks))
    if format == "table" and out is not None:
        show.line(f"estimate, in {out}")


def plant(data: str, out: Path, callbacks: Callbacks, **given: Any) -> None:
    """Write images with a cue in some of them, and the truth."""
    config = from_mapping(PlantConfig, given, "plant")
    _check_new(out)
    check_spec(data)
    from taskdiscovery.jobs import plant as job

    found = job.run(data, None, config, out, callbacks)
    show.mapping(found.numbers, "table")
    show.line(f"next: {errors.command('audit', f'folder:{out / job.IMAGES}')}")


def stress(data: str | None, out: Path, format: str, callbacks: Callbacks, **given: Any) -> None:
    """Write a benchmark, with a table of baselines where they are asked for; print what it is."""
    tasks = str(given.get("from") or "")
    data = own_data(data, tasks) if data or tasks else ""
    if not data:
        raise ConfigError("no DATA is given", where="taskdiscovery stress", hint=parser.DATA_HELP)
    check_spec(data)
    config = from_mapping(StressConfig, with_features_beside(data, given, tasks), "stress")
    _check_test(config)
    check_learner(config.learner)
    from taskdiscovery.jobs import stress as job

    job.check_place(out, config)
    found = job.run(data, None, None, config, out, callbacks)
    if found.baselines:
        show.rows(found.rows(), format, title=f"{found.target} against {found.task}")
    else:
        show.mapping(found.numbers, format)
    if format == "table":
        show.line(f"written to {out}, checksum {found.numbers['checksum']}")


def audit(format: str, out: Path | None, callbacks: Callbacks, **given: Any) -> None:
    """Say which cues go with the labels, and whether networks follow them; write all of it."""
    strict, pictures = given.pop("strict"), {k: given.pop(k) for k in ("no_images", "blur")}
    data, config = _job("audit", given)
    if config is None:
        return
    assert isinstance(config, AuditConfig)
    path = out or next_run("audit", config.learner)
    _check_new(path)
    from taskdiscovery.jobs import audit as job
    from taskdiscovery.reporting import audit_page
    from taskdiscovery.reporting.auditcommands import command_of_split

    sink = Sink.of("audit", path)
    with showing(**pictures):
        found = job.run(data, job.Given(), config, sink, callbacks, audit_page)
    auditview.show_audit(found, format, path, path / AUDIT_PAGE)
    _say_partition(config, format)
    again = command_of_split(found, path) if (path / CUE_SPLIT).exists() else ""
    if format == "table" and again:
        show.line(f"next: {again}")
    if strict and found.verdict == FAIL and ranks.first():
        raise StrictError(
            f"--strict, and the verdict is {FAIL}",
            where=str(path),
            hint=f"see {path / AUDIT_PAGE}; what may go with the label is named by --allow",
        )


def analyze(
    run: str, data: str | None, learner: str, format: str, callbacks: Callbacks, **given: Any
) -> None:
    """Measure the tasks of a run, and print a verdict for each; write them where it is all."""
    path, some = split_run_task(run)
    path = Path(run) if path is None else path
    opened, networks = Run.open(path), _named(learner)
    if ranks.first() and not some:
        check_free(path)
    if data is not None:
        check_spec(data)
    config = from_mapping(AnalyzeConfig, given, "analyze")
    from taskdiscovery.jobs import analyze as job

    tasks, sink = (run, None) if some else (opened, path)
    found = job.run(data, tasks, config, Sink.of("analyze", sink), callbacks, networks=networks)
    rows = found.rows()
    show.rows(rows, format, title=f"{len(rows)} tasks, on {found.images} images")
    if format == "table" and not some:
        _next(path)
    elif format == "table":
        show.line("(of some tasks nothing is written into the run)")


def compare(
    run: Path, other: str, data: str | None, format: str, callbacks: Callbacks, **given: Any
) -> None:
    """Print which classes are at risk on other images, and how the rates of tasks have moved."""
    opened = Run.open(run)
    for spec in [other, *([] if data is None else [data])]:
        check_spec(spec)
    config = from_mapping(CompareConfig, with_usual_features(data, given, run), "compare")
    check_learner(config.learner)
    from taskdiscovery.jobs import compare as job

    networks = _named(config.learner)
    found = job.run(opened, other, data, config, callbacks, networks=networks)
    if format == "json":
        show.mapping(found.numbers, "json")
        return
    if format == "csv":
        show.frame(found.rates)
        return
    hidden = ("at_risk", "p", "low", "high", "risk")
    if len(found.classes):
        rows = found.classes.drop(columns=[c for c in hidden if c in found.classes])
        show.rows(rows.to_dict("records"), "table", title="classes, those most at risk first")
    overall = found.rates[found.rates["factor"] == "all"] if len(found.rates) else found.rates
    overall = overall.drop(columns=["factor", "level", "p"], errors="ignore")
    title = f"rates over all: {found.images_here} images here, {found.images_there} there"
    show.rows(overall.to_dict("records"), "table", title=title)
    show.line(f"classes at risk: {', '.join(found.classes_at_risk) or 'none'}")
    if found.by == "tasks":
        show.line("(the other images have no labels: ranked by tasks whose rate has moved)")
    if config.name:
        show.line(f"comparison {config.name}, in {run}")
    if found.seen_there:
        show.line(f"left out: {found.seen_there} images there that discovery had seen")


def report(
    run: Path,
    data: str | None,
    split: list[str],
    learner: str,
    callbacks: Callbacks,
    **given: Any,
) -> None:
    """Write report.html and print its path; measure and name the tasks before, where asked to."""
    names, beside, out = given.pop("names"), given.pop("beside"), given.pop("out")
    pictures = {key: given.pop(key) for key in ("no_images", "blur")}
    if beside is not None:
        if split or names:
            raise ConfigError(
                "of two runs all splits are shown, and no tasks are named",
                where=f"report {run} {beside}",
                hint="leave out --split and --names; name the tasks before: analyze RUN --names",
            )
        with showing(**pictures):
            _report_of_two((run, beside), data, out, learner, callbacks, **given)
        return
    if out is not None:
        raise ConfigError(
            "--out names the page of two runs",
            where=f"--out {out}",
            hint=f"the report of one run lies in it: {run / REPORT}",
        )
    with Run.open(run, write=True) as opened:
        opened.objects = _named(learner)  # one that is busy is refused before slow imports
    if names:
        from taskdiscovery.jobs import analyze as job

        config = from_mapping(AnalyzeConfig, {"names": names, **given}, "report")
        networks = _named(learner)
        job.run(data, opened, config, Sink.of("analyze", run), callbacks, networks=networks)
    from taskdiscovery.reporting import write_report_of_run

    with showing(**pictures):
        path = write_report_of_run(opened, data, callbacks, splits=split, **given)
    show.exact(str(path))


def _report_of_two(
    paths: tuple[Path, Path],
    data: str | None,
    out: Path | None,
    learner: str,
    callbacks: Callbacks,
    **given: Any,
) -> None:
    """Write a page of two runs side by side, and print its path."""
    runs = (Run.open(paths[0]), Run.open(paths[1]))
    names = "-".join(run.path.resolve().name for run in runs)
    out = out or Path(f"report-{names}.html")
    check_writable(out)
    from taskdiscovery.jobs.again import dataset_of
    from taskdiscovery.reporting import write_report_of_two

    for run in runs:
        run.objects = _named(learner)
    here = dataset_of(runs[0], data, callbacks, **given)
    there = dataset_of(runs[1], data, callbacks, **given)
    show.exact(str(write_report_of_two(out, runs, (here, there))))


def export(
    run: Path,
    to: str,
    out: Path,
    data: str | None,
    split: list[str],
    callbacks: Callbacks,
    **given: Any,
) -> None:
    """Write what a run found as another tool reads it, and print the folder."""
    from taskdiscovery.exports import write_export_of_run
    from taskdiscovery.exports.writing import check_form

    if is_benchmark(run):
        raise ConfigError(
            "this is a Hugging Face data set as it stands",
            where=str(run),
            hint="its README.md says how it is read",
        )
    check_form(to, out)
    opened = Run.open(run)
    if data is not None:
        check_spec(data)
    pictures = {key: given.pop(key) for key in ("no_images", "blur")}
    with showing(**pictures):
        path = write_export_of_run(opened, data, callbacks, form=to, out=out, splits=split, **given)
    show.exact(str(path))


def show_run(run: Path, format: str, callbacks: Callbacks) -> None:
    """Print what a run holds."""
    from taskdiscovery.jobs.contents import contents

    results.contents(contents(Run.open(run)), format)


def discard(run: Path, all: bool, callbacks: Callbacks) -> None:
    """Give up the unfinished job of a run, and say what was done."""
    from taskdiscovery.jobs import discard as job

    show.line(job.run(run, whole=all))


def resume(
    run: Path,
    data: str | None,
    learner: str,
    allow: list[str],
    change_ranks: bool,
    callbacks: Callbacks,
) -> None:
    """Go on with a job, and say what it was."""
    place, run = run, at_work(run)
    opened = Run.open(run)
    if opened.state == "done":
        show.line(f"nothing to resume: {opened.job['command']} is done")
        return
    if data is not None:
        check_spec(data)
    # Locked for a moment: what is busy or damaged is refused before anything slow is imported.
    with Run.open(run, write=ranks.first()):
        opened.checkpoints.load()
    from taskdiscovery.jobs import resume as job
    from taskdiscovery.jobs.trust import Allowed

    allowed = Allowed(networks=_named(learner), texts=allow)
    from taskdiscovery.reporting import audit_page

    given = {"draw": audit_page}
    command = str(opened.job["command"])
    job.run(run, data, given, allowed=allowed, change_ranks=change_ranks, callbacks=callbacks)
    show.line(f"{command} is done, in {place}")
    if is_run(run):  # that of baselines ends with them
        _next(run)


def verify(run: Path, format: str, callbacks: Callbacks) -> None:
    """Print how each file is; refuse a run with damaged ones."""
    from taskdiscovery.splits import benchmark

    whole = benchmark.is_benchmark(run)
    findings = benchmark.verify(run) if whole else verify_files(run)
    rows = [
        {"file": f.file, "state": f.problem or "ok", "remedy": f.remedy or None} for f in findings
    ]
    state = "benchmark" if whole else Run.open(run).state
    show.rows(rows, format, title=f"{run}: {state}")
    damaged = [f for f in findings if f.problem]
    if damaged:
        raise RunDirError(
            f"{len(damaged)} of {len(findings)} files are damaged",
            where=str(run),
            hint=f"{damaged[0].file}: {damaged[0].remedy}",
        )


def doctor(callbacks: Callbacks) -> None:
    """Print versions, processor, devices, precision and the cache."""
    from taskdiscovery.data.images.decode import cache_dir
    from taskdiscovery.executors import resolve_device, resolve_precision

    found = environment()
    device = resolve_device("auto")
    gpus = devices.describe(device, several=devices.cards())
    described = {
        "python": found["python"],
        **found["versions"],
        "processor": found["processor"],
        "cpus": found["cpus"],
        "device": device,
        "precision": resolve_precision("auto", device),
        **(devices.in_words(gpus) or {"gpu": devices.absence()}),
        "cache": str(cache_dir()),
    }
    show.mapping(described, "table")


def completion(shell: str, callbacks: Callbacks) -> None:
    """Print the completion script of a shell."""
    from taskdiscovery.cli import shells

    show.exact(shells.script(shell, parser.build()).rstrip("\n"))


def _next(run: Path) -> None:
    """Print what can be done next with a run that a job has just written."""
    if ranks.first():
        for line in following(Run.open(run))[:1]:
            show.line(f"next: {line}")


def _as_read(config: EmbedConfig, found: Dataset) -> DataConfig:
    """Return how the images that were embedded are read again, beside their features.

    Images of several sizes need one; a network saw them in its own.
    """
    facts = found.facts
    several = facts is not None and len(facts[["width", "height"]].drop_duplicates()) > 1
    return DataConfig(
        size=found.size if several else None,
        fit=config.fit if several else "crop",
        range=config.range,
        skip_bad=config.skip_bad,
        missing=config.missing,
    )


def _job(command: str, given: Any) -> tuple[str, WorkConfig | None]:
    """Read DATA and config and check both; (…, None) where only the config was to be printed."""
    only_print = given.pop("print_config")
    data, config = parser.config_of(command, given)
    if only_print:
        import yaml

        show.exact(yaml.safe_dump({"data": data, **to_mapping(config)}, sort_keys=False).rstrip())
        return data, None
    check_spec(data)
    _check_test(config)
    check_learner(config.learner)
    return data, config


def _check_test(config: JobConfig) -> None:
    """Refuse images to measure on that cannot be read, before anything slow begins."""
    if config.test and names_data(config.test, KINDS) and ":" in config.test:
        check_spec(config.test)


def _say_partition(config: JobConfig, format: str) -> None:
    """Say on which images was measured, where the user has named them."""
    if format == "table" and config.test:
        show.line(f"measured on the test images of {config.test}, which nothing was trained on")
    if format == "table" and config.groups:
        show.line(f"groups kept together: {config.groups}")


def _check_new(path: Path | None) -> None:
    if path is not None and ranks.first():  # the first rank makes it, maybe before others look
        check_new(path)


def _output(tasks: str, out: Path | None) -> Path | None:
    """Return where a job writes that may add to the run of `--from`; refuse a run that cannot be.

    Raises:
        RunDirError: for a directory that is no run of `discover`, or is taken.
    """
    run, _ = split_run_task(tasks)
    if run is not None:
        if not Run.open(run).has("tasks.parquet"):
            raise RunDirError(
                "the run has no tasks", where=str(run), hint="give a finished run of discover"
            )
        if out is None:
            out = run
    if out is not None and ranks.first():
        if (out / "config.yaml").is_file():
            check_free(out)
        else:
            check_new(out)
    return out


def _named(learner: str) -> dict[str, str]:
    """Return what the user has named, and so allowed to run."""
    return {learner: learner} if learner else {}
