"""Commands of an audit's page: how it was made, and how its split is used."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from taskdiscovery.config import ReadConfig, part_of, words_of
from taskdiscovery.data.joining import IN_MEMORY
from taskdiscovery.errors import TaskDiscoveryError, command
from taskdiscovery.jobs.contents import words_again
from taskdiscovery.store.layout import CUE_SPLIT
from taskdiscovery.types import Audit

_FILES = ("folder", "parquet", "csv", "npz")


def data_again(config: Mapping[str, Any]) -> str:
    """Return DATA that a command can read again; empty where there is none.

    Args:
        config: of an audit or an estimate.
    """
    data = str(config.get("data") or "")
    if not data or data in IN_MEMORY:
        return ""
    kind, colon, place = data.partition(":")
    if colon and kind in _FILES and not Path(place.partition("?")[0]).exists():
        return ""  # what somebody made of it in memory keeps its name
    return data


def again(found: Audit, run: Path | None) -> str:
    """Return the command that audits again; empty where objects were handed over.

    Args:
        found: the audit.
        run: path of its run, or None.
    """
    if not data_again(found.config):
        return ""
    if str(found.config.get("other") or "") in IN_MEMORY:
        return ""
    words = words_again("audit", Path() if run is None else run, found.config)
    if not words:
        return ""
    return command("audit", *words, *([] if run is None else ["--out", run]))


def command_of_split(found: Audit, run: Path) -> str:
    """Return the command that trains where the cue agrees with the label, and asks where it does
    not; empty where the data cannot be read again.

    Args:
        found: the audit.
        run: path of its run.
    """
    data = data_again(found.config)
    if not data:
        return ""
    try:
        how = part_of(ReadConfig, found.config, str(run))
    except TaskDiscoveryError:  # what another version wrote
        return ""
    learner = str(found.config.get("learner") or "convnet")
    trained = [] if learner == "convnet" else ["--learner", learner]
    table = f"{run / CUE_SPLIT}:label"
    return command("score", data, *words_of(how), "--from", table, *trained)


def python_of_split(run: Path) -> str:
    """Return the same in Python, for data that is held in memory."""
    place = json.dumps(str(run / CUE_SPLIT))
    return (
        f'cut = pandas.read_csv({place}, dtype={{"image_id": str, "label": str}})\n'
        'scores = td.score(data, cut[["image_id", "label", "partition"]])\n'
        'train = cut.image_id[cut.split == "train"]  # and "test": the images against the cue'
    )
