"""From what was found to a folder in the form of another tool."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from taskdiscovery.errors import ConfigError, nearest
from taskdiscovery.exports import croissant, datalab, fiftyone, huggingface, plain_csv, spotlight
from taskdiscovery.exports.folder import CARD, Folder
from taskdiscovery.exports.material import Material
from taskdiscovery.jobs.again import dataset_of
from taskdiscovery.runtime.callbacks import Callbacks
from taskdiscovery.splits.benchmark.building import built, check_place
from taskdiscovery.store import Run
from taskdiscovery.types import Dataset

#: by name, what writes it into an empty folder.
FORMS: Mapping[str, Callable[[Folder], None]] = {
    "fiftyone": fiftyone.write,
    "spotlight": spotlight.write,
    "cleanlab": datalab.write,
    "hf": huggingface.write,
    "croissant": croissant.write,
    "csv": plain_csv.write,
}


def check_form(form: str, out: Path) -> None:
    """Refuse a form that there is not, and a place that is taken.

    Raises:
        ConfigError: naming the forms.
        RunDirError, ResourceError: where the folder cannot be made.
    """
    if form not in FORMS:
        raise ConfigError(f"there is no form {form!r}", where="--to", hint=nearest(form, FORMS))
    check_place(out)


def write_export(
    out: Path, form: str, dataset: Dataset, found: Sequence[Any], callbacks: Callbacks
) -> Path:
    """Write what verbs have returned.

    Args:
        out: a new folder.
        form: a key of `FORMS`.
        dataset: the images.
        found: a `Discovery` or a `Run`, `Tasks`, `Scores`, any number of `Split`, an `Audit`.
        callbacks: told of progress.

    Returns:
        The folder.

    Raises:
        ConfigError: for another form.
        DataError: for what cannot be exported, or is of other images.
        RunDirError: where the folder is not empty.
        ResourceError: where it cannot be written.
    """
    check_form(form, out)
    return _write(out, form, Material.of_objects(dataset, found), callbacks)


def write_export_of_run(
    run: Run, data: Any, callbacks: Callbacks, *, form: str, out: Path, **how: Any
) -> Path:
    """Write what a run holds.

    Args:
        run: of any job but `estimate`.
        data: the images, where they are no longer where the run found them; else None.
        callbacks: told of progress.
        form: a key of `FORMS`.
        out: a new folder.
        **how: `features` and `test`, as of `jobs.again.dataset_of`; `splits`, names of those to
            export (all where empty).

    Raises:
        As `write_export`; and RunDirError where the run is damaged, or holds nothing to export.
    """
    check_form(form, out)
    splits = how.pop("splits", ())
    for name in splits:
        run.split_named(name)
    dataset = dataset_of(run, data, callbacks, **how)
    with run.understood("material of the export", "restore the files, or do the job again"):
        material = Material.of_run(run, dataset, splits)
    return _write(out, form, material, callbacks)


def _write(out: Path, form: str, material: Material, callbacks: Callbacks) -> Path:
    with (
        built(out, CARD) as place,
        callbacks.stage(f"writing {form}", len(material.dataset)) as meter,
    ):
        FORMS[form](Folder(place=place, material=material, meter=meter))
    return out
