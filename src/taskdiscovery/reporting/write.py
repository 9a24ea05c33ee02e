"""From what was found to one HTML file."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from taskdiscovery.config import JobConfig
from taskdiscovery.jobs.inputs import read_data, reading_of
from taskdiscovery.jobs.looking import features_of
from taskdiscovery.jobs.parts import with_parts
from taskdiscovery.jobs.trust import data_of
from taskdiscovery.reporting.material import Material, check_something
from taskdiscovery.reporting.page import Page
from taskdiscovery.runtime.callbacks import Callbacks
from taskdiscovery.store import Run, atomic
from taskdiscovery.types import Dataset, Document


def write_report(path: Path, dataset: Dataset, found: Sequence[Any]) -> Path:
    """Write a report of objects, and return the path of the file.

    Args:
        path: of the file.
        dataset: the images that were searched.
        found: a `Discovery` or a `Run`; `Scores`, a `Split`, `Evidence`.

    Raises:
        DataError: where the images are not those that were searched, or there are no tasks.
        ResourceError: where the file cannot be written.
    """
    page = render("page.html.j2", Page(Material.of_objects(dataset, found)).context())
    with atomic(path) as stream:
        stream.write(page.encode("utf-8", "backslashreplace"))
    return path


def write_report_of_run(
    run: Run,
    data: Any,
    callbacks: Callbacks,
    *,
    features: str = "",
    test: str = "",
    splits: Sequence[str] = (),
) -> Path:
    """Write `report.html` into a run directory, and return the path of the file.

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
    check_something(run)
    for name in splits:
        run.split_named(name)
    features = features or features_of(run, data)
    if data is None:
        data = data_of(run, run.config)
    how = JobConfig(**vars(reading_of(run)), features=features, test=test)
    how = with_parts(how, run, None)
    dataset = read_data(data, how, callbacks)
    with run.understood("material of the report", "restore the files, or do the job again"):
        page = render("page.html.j2", Page(Material.of_run(run, dataset, splits)).context())
    with Run.open(run.path, write=True) as writable:
        return writable.write_report(page)


def render(template: str, context: Document) -> str:
    """Fill a template; everything is escaped but our own style, script and figures.

    Args:
        template: a file beside this one.
        context: what it names, and `sprites`: data: addresses by name.
    """
    here = resources.files("taskdiscovery.reporting")
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=FunctionLoader(lambda name: (here / name).read_text("utf-8")),
    )
    sprites = "".join(f"--s-{name}:url({uri});" for name, uri in context.pop("sprites").items())
    style = (here / "style.css").read_text("utf-8") + f":root{{{sprites}}}"
    return environment.from_string((here / template).read_text("utf-8")).render(
        **context,
        style=Markup(style),  # our own file, and base64
        script=Markup((here / "script.js").read_text("utf-8")),
    )
