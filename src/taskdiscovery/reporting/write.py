"""From what was found to one HTML file."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from taskdiscovery.data import target_of
from taskdiscovery.errors import DataError, TaskDiscoveryError
from taskdiscovery.jobs.again import dataset_of
from taskdiscovery.reporting.auditpage import audit_page
from taskdiscovery.reporting.estimatepage import estimate_page
from taskdiscovery.reporting.material import (
    Material,
    check_images,
    check_something,
    environment_of,
    holds_something,
)
from taskdiscovery.reporting.page import Page
from taskdiscovery.reporting.pair import pair_context
from taskdiscovery.reporting.rendering import render
from taskdiscovery.runtime.callbacks import Callbacks
from taskdiscovery.store import Run, atomic
from taskdiscovery.types import Audit, Dataset, Estimate


def write_report(path: Path, dataset: Dataset | None, found: Sequence[Any]) -> Path:
    """Write a report of objects, and return the path of the file.

    Args:
        path: of the file.
        dataset: the images that were searched; None for an `Estimate`.
        found: a `Discovery` or a `Run`; `Scores`, a `Split`, `Evidence`; or two `Run`s, which are
            shown side by side; or an `Audit`, or an `Estimate`, alone.

    Raises:
        DataError: where the images are not those that were searched, or there are no tasks.
        ResourceError: where the file cannot be written.
    """
    audits = [one for one in found if isinstance(one, Audit)]
    estimates = [one for one in found if isinstance(one, Estimate)]
    runs = [one for one in found if isinstance(one, Run)]
    if len(runs) == 2 and len(found) == 2 and dataset is not None:
        return write_report_of_two(path, (runs[0], runs[1]), (dataset, dataset))
    if estimates:
        _check_alone(found, "an estimate")
        page = estimate_page(estimates[0])
    elif dataset is None:
        raise DataError(
            "the images are not given", where="report", hint="give the data that was searched"
        )
    elif audits:
        _check_alone(found, "an audit")
        page = _audit_page(dataset, audits[0])
    else:
        page = render("page.html.j2", Page(Material.of_objects(dataset, found)).context())
    with atomic(path) as stream:
        stream.write(page.encode("utf-8", "backslashreplace"))
    return path


def write_report_of_two(
    path: Path, runs: tuple[Run, Run], datasets: tuple[Dataset, Dataset]
) -> Path:
    """Write a report of two runs side by side, and return the path of the file.

    Args:
        path: of the file.
        runs: each with tasks, scores or splits.
        datasets: the images of each.

    Raises:
        RunDirError: where a run holds nothing to show, or is damaged.
        DataError: where the images are not those of the runs.
        ResourceError: where the file cannot be written.
    """
    materials = []
    for run, dataset in zip(runs, datasets, strict=True):
        with run.understood("material of the report", "restore the files, or do the job again"):
            materials.append(Material.of_run(run, dataset))
    page = render("pair.html.j2", pair_context(materials[0], materials[1], _names(runs)))
    with atomic(path) as stream:
        stream.write(page.encode("utf-8", "backslashreplace"))
    return path


def _names(runs: tuple[Run, Run]) -> tuple[str, str]:
    """Return what two runs are called: by their folders, with those around them where these agree.

    `a/run` and `b/run` are told apart by their first parts.
    """
    paths = [run.path.resolve() for run in runs]
    parts = 1
    while parts < 4 and paths[0].parts[-parts:] == paths[1].parts[-parts:]:
        parts += 1
    one, other = ("/".join(path.parts[-parts:]) for path in paths)
    return one, other


def _check_alone(found: Sequence[Any], what: str) -> None:
    """Refuse to show other things beside what has a page of its own.

    Raises:
        DataError: saying which.
    """
    if len(found) > 1:
        raise DataError(
            f"{what} has a page of its own", where="report", hint="report the others apart from it"
        )


def _audit_page(dataset: Dataset, found: Audit) -> str:
    """Return the page of an audit; labels that were objects are not known any more.

    Raises:
        DataError: where the images are others.
    """
    if not np.array_equal(found.ids, dataset.ids):
        raise DataError(
            "these are not the images that were audited",
            where=dataset.name,
            hint="give the data of the audit",
        )
    labelings = []
    for name in found.verdicts:
        with contextlib.suppress(TaskDiscoveryError):
            labelings.append(target_of(dataset, name))
    return audit_page(found, labelings, dataset)


def write_report_of_run(
    run: Run,
    data: Any,
    callbacks: Callbacks,
    *,
    features: str = "",
    test: str = "",
    splits: Sequence[str] = (),
) -> Path:
    """Write `report.html` into a run directory, and return the path of the file; of an audit
    `audit.html`, of an estimate `estimate.html`, for which no image is read; and `report.html`
    where the run holds tasks, scores or splits, too.

    Args:
        run: of `discover`, whose scores, splits and evidence are shown where there are some; or of
            another job.
        data: the images, where they are no longer where the run found them; else None.
        callbacks: told of progress.
        features: numbers of the images; by default those that the tasks were found on.
        test: the images that the run measured on, where it is from elsewhere and named some.
        splits: names of those to show; all where empty.

    Raises:
        ConfigError: for a split that there is not.
        RunDirError: where the run is not finished or damaged, or another process is at work.
        DataError: where the images are not those of the run.
    """
    with Run.open(run.path, write=True):
        pass  # one that is busy is refused before its images are read
    audit, estimated = run.audit, run.estimate
    if estimated is not None:
        path = _write_estimate_page(run, estimated)
        if not holds_something(run):
            return path
    if audit is None or holds_something(run):
        check_something(run)
    for name in splits:
        run.split_named(name)
    dataset = dataset_of(run, data, callbacks, features=features, test=test)
    if audit is not None:
        check_images(dataset, run.fingerprint, "--data")
        with run.understood("material of the page", "restore the files, or audit again"):
            drawn = audit_page(audit, run.audited, dataset, run.path)
        with Run.open(run.path, write=True) as writable:
            path = writable.write_audit_page(drawn)
            writable.commit()
        if not holds_something(run):
            return path
    with run.understood("material of the report", "restore the files, or do the job again"):
        page = render("page.html.j2", Page(Material.of_run(run, dataset, splits)).context())
    with Run.open(run.path, write=True) as writable:
        return writable.write_report(page)


def _write_estimate_page(run: Run, found: Estimate) -> Path:
    """Write the page of an estimate into its run, and return the path of the file."""
    with run.understood("material of the page", "restore the files, or estimate again"):
        drawn = estimate_page(found, run.path, environment_of(run))
    with Run.open(run.path, write=True) as writable:
        path = writable.write_estimate_page(drawn)
        writable.commit()
    return path
