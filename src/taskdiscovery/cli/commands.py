"""One function a subcommand. Options and paths are checked before torch is imported."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from taskdiscovery import data as reading
from taskdiscovery import ranks, rundir
from taskdiscovery.cli import parser, show
from taskdiscovery.config import AnalyzeConfig, JobConfig, SplitConfig, from_mapping, to_mapping
from taskdiscovery.errors import ConfigError, RunDirError
from taskdiscovery.learners import check_learner
from taskdiscovery.specs import parse


def demo(data: str, out: Path | None) -> None:
    """Discover, score, split and report, in a few minutes."""
    from taskdiscovery import demonstration, jobs

    reading.check_spec(data)
    place = out or jobs.next_run("demo", parse(data).kind)
    rundir.check_new(place)
    report = demonstration.run(data, place, tell=lambda text: print(text, file=sys.stderr))  # noqa: T201
    show.line(str(report))


def info(data: str, format: str, **options: Any) -> None:
    """Print what was read."""
    dataset = reading.load(data, **_reading_options(options))
    height, width, channels = dataset.image_shape
    classes: dict[str, int] = {}
    if dataset.labels is not None:
        classes = {name: int((dataset.labels == c).sum()) for c, name in enumerate(dataset.classes)}
    attributes = {}
    if dataset.attributes is not None:
        for name in dataset.attributes.columns:
            column = dataset.attributes[name]
            attributes[str(name)] = f"{column.nunique()} values, {int(column.isna().sum())} missing"
    described = {
        "data": dataset.name,
        "images": len(dataset),
        "height": height,
        "width": width,
        "channels": channels,
        "first ids": dataset.ids[:3].tolist(),
        "classes": classes,
        "attributes": attributes,
        "problems": list(dataset.problems),
        "fingerprint": dataset.fingerprint,
    }
    show.mapping(described, format)


def discover(format: str, out: Path | None, **given: Any) -> None:
    """Find tasks, write them into a run directory, print them."""
    data, config = _job("discover", given)
    if config is None:
        return
    from taskdiscovery import jobs

    place = out or jobs.next_run("discover", config.learner)
    _check_new(place)
    found = jobs.run_discover(data, config, place)  # type: ignore[arg-type]
    table = [{"task": row.pop("name"), **row} for row in map(dict, found.result["tasks"])]
    show.rows(table, format, title=f"{len(table)} tasks, in {place}")
    if format == "table":
        similarity = found.result["similarity"]
        if similarity["mean"] is not None:
            show.line(f"similarity: mean {similarity['mean']:.3f}, max {similarity['max']:.3f}")
        show.line(f"seconds: {found.result['seconds']:.0f}")
        show.line(f"next: taskdiscovery score {data} --from {place}")


def score(format: str, out: Path | None, **given: Any) -> None:
    """Print agreement scores; write them where there is a run."""
    data, config = _job("score", given)
    if config is None:
        return
    _check_new(out)
    _check_source(str(getattr(config, "source", "")), added=out is None)
    from taskdiscovery import jobs

    scores = jobs.run_score(data, config, out)  # type: ignore[arg-type]
    table = [result.to_row() for result in scores]
    if format == "table":
        table = [
            {k: v for k, v in row.items() if k not in ("learner", "preset", "precision")}
            for row in table
        ]
        for row in table:
            row["failed"] = row["failed"] or None
    show.rows(table, format, title=f"{config.learner}, preset {getattr(config, 'preset', '')}")


def split(format: str, out: Path | None, **given: Any) -> None:
    """Split, measure beside the controls, write and print."""
    data, config = _job("split", given)
    if config is None:
        return
    assert isinstance(config, SplitConfig)
    source = config.source
    _check_source(source, added=out is None)
    from taskdiscovery import jobs

    if out is None and not (
        Path(source).is_dir() or Path(source.rpartition(":")[0] or "-").is_dir()
    ):
        out = jobs.next_run("split", config.learner)
    _check_new(out)
    result = jobs.run_split(data, config, out).result
    if format == "json":
        show.mapping(result, "json")
        return
    table = [{"trained on": name, **interval} for name, interval in result["accuracy"].items()]
    show.rows(table, format, title=f"accuracy on {result['target']}, split by {result['task']}")
    if format == "table":
        show.line(f"images: {result['sizes']}, measured: {result['measured']}")


def label(run: Path, data: str, out: Path | None, learner: str, **options: Any) -> None:
    """Print or write the tasks of other images."""
    rundir.RunDir.open(run)
    reading.check_spec(data)
    if out is not None and out.suffix not in (".csv", ".parquet"):
        raise ConfigError("labels go into .csv or .parquet", where=str(out), mend="rename --out")
    from taskdiscovery import jobs

    trusted = {"learner": learner} if learner else {}
    frame = jobs.label(run, data, **trusted, **_reading_options(options)).to_pandas()
    if out is None:
        frame.to_csv(sys.stdout, index=False)
    elif out.suffix == ".parquet":
        rundir.write_parquet(out, frame)
    else:
        with rundir.atomic(out) as stream:
            stream.write(frame.to_csv(index=False).encode("utf-8"))


def analyze(run: Path, data: str | None, format: str, **options: Any) -> None:
    """Measure the tasks of a run, and print a verdict for each."""
    _check_free(run)
    if data is not None:
        reading.check_spec(data)
    config = from_mapping(AnalyzeConfig, options, "analyze")
    from taskdiscovery import jobs

    found = jobs.run_analyze(run, data, config)
    rows = [{"task": name, "verdict": line} for name, line in found.verdicts.items()]
    show.rows(rows, format, title=f"{len(rows)} tasks, on {found.images} images")


def report(run: Path, data: str | None) -> None:
    """Write report.html and print its path."""
    with rundir.RunDir.open(run, write=True):
        pass  # one that is busy is refused before anything slow is imported
    from taskdiscovery.report import write_report

    show.line(str(write_report(run, data)))


def resume(run: Path, data: str | None, change_ranks: bool) -> None:
    """Go on with a job, and say what it was."""
    opened = rundir.RunDir.open(run)
    if opened.state() == "done":
        show.line(f"nothing to resume: {opened.job()['command']} is done")
        return
    if data is not None:
        reading.check_spec(data)
    # Locked for a moment: what is busy or damaged is refused before anything slow is imported.
    with rundir.RunDir.open(run, write=ranks.first()):
        opened.checkpoints.load()
    from taskdiscovery import jobs

    jobs.resume(run, data, change_ranks=change_ranks)
    show.line(f"{opened.job()['command']} is done, in {run}")


def verify(run: Path, format: str) -> None:
    """Print how each file is; refuse a run with damaged ones."""
    findings = rundir.verify(run)
    rows = [
        {"file": f.file, "state": f.problem or "as written", "remedy": f.remedy or None}
        for f in findings
    ]
    state = rundir.RunDir.open(run).state()
    show.rows(rows, format, title=f"{run}: {state}")
    damaged = [f for f in findings if f.problem]
    if damaged:
        raise RunDirError(
            f"{len(damaged)} of {len(findings)} entries are damaged",
            where=str(run),
            mend=f"{damaged[0].file}: {damaged[0].remedy}",
        )


def doctor() -> None:
    """Print versions, processor, devices, precision and the cache."""
    from taskdiscovery.data.decode import cache_dir
    from taskdiscovery.training import resolve_device, resolve_precision

    found = rundir.environment()
    device = resolve_device("auto")
    described = {
        "python": found["python"],
        **found["versions"],
        "processor": found["processor"],
        "cpus": found["cpus"],
        "device": device,
        "precision": resolve_precision("auto", device),
        "cache": str(cache_dir()),
    }
    show.mapping(described, "table")


def _job(command: str, given: dict[str, Any]) -> tuple[str, JobConfig | None]:
    """Read DATA and config and check both; (…, None) where only the config was to be printed."""
    only_print = given.pop("print_config")
    data, config = parser.config_of(command, given)
    if only_print:
        import yaml

        show.line(yaml.safe_dump({"data": data, **to_mapping(config)}, sort_keys=False).rstrip())
        return data, None
    reading.check_spec(data)
    check_learner(config.learner)
    return data, config


def _check_new(place: Path | None) -> None:
    if place is not None and ranks.first():  # the first rank makes it, maybe before others look
        rundir.check_new(place)


def _check_free(run: Path) -> None:
    """Refuse a run that cannot take one more job now, before anything slow is imported."""
    if ranks.first():
        with rundir.RunDir.extend(run):
            pass


def _check_source(source: str, *, added: bool) -> None:
    """Refuse a directory that is no run, or cannot be added to where that is asked."""
    for text in (source, source.rpartition(":")[0]):
        if text and Path(text).is_dir():
            rundir.RunDir.open(Path(text))
            if not (Path(text) / "tasks.parquet").exists():
                raise RunDirError(
                    "the run has no tasks", where=text, mend="give a finished run of discover"
                )
            if added:
                _check_free(Path(text))
            return


def _reading_options(options: dict[str, Any]) -> dict[str, Any]:
    config = from_mapping(JobConfig, options, "options")
    return {"size": config.size, "skip_bad": config.skip_bad}
