"""How a report's results were made: commands that make them again, versions, hardware."""

from __future__ import annotations

import shlex

from taskdiscovery.config import from_mapping, words_of
from taskdiscovery.config.specs import parse
from taskdiscovery.data.loading import KINDS
from taskdiscovery.discovery import DiscoverConfig
from taskdiscovery.errors import TaskDiscoveryError
from taskdiscovery.reporting.material import Material
from taskdiscovery.reporting.scoreview import ScoreView


def commands(material: Material, scores: ScoreView) -> list[str]:
    """Return the commands that make everything again; none where objects were handed over."""
    config, run = material.config, material.run
    data = str(config.get("data", ""))
    if run is None or not _is_spec(data):
        return []
    where = str(run)
    own = {k: v for k, v in config.items() if k not in ("format", "command", "data")}
    try:
        words = words_of(from_mapping(DiscoverConfig, own, where))
    except TaskDiscoveryError:  # a config that another version wrote
        return []
    lines = [["discover", data, *words, "--out", where]]
    if scores.table is not None:
        first = scores.table.iloc[0]
        more = ["--learner", str(first["learner"]), "--preset", str(first["preset"])]
        more += ["--runs", str(int(first["runs"]))]
        lines.append(["score", data, "--from", where, *more])
    split = material.split
    if split is not None:
        setup = split.setup
        more = ["--target", split.target.name, "--from", where, "--learner", setup.learner]
        more += ["--preset", setup.preset, "--runs", str(setup.runs)]
        if split.transfer:
            more += ["--transfer", ";".join(split.transfer)]
        lines.append(["split", data, *more])
    if material.evidence is not None:
        lines.append(["analyze", where])
    lines.append(["report", where])
    return [shlex.join(["taskdiscovery", *line]) for line in lines]


def _is_spec(data: str) -> bool:
    return bool(data) and (parse(data).kind in KINDS or ":" in data)


def facts(material: Material, unseen: int) -> list[tuple[str, str]]:
    """Return names and values of what the results rest on."""
    dataset, numbers = material.dataset, material.numbers
    known = {"versions": {}, **material.environment}
    versions = ", ".join(f"{k} {v}" for k, v in known["versions"].items())
    return [
        ("data", f"{dataset.name}, {len(dataset):,} images"),
        ("fingerprint", dataset.fingerprint),
        ("discovered on", f"{numbers['train_images']:,} images of the train partition"),
        ("measured on", f"the test partition, {unseen:,} images"),
        ("method", f"{numbers['method']}, {numbers['seconds']:.0f} s"),
        ("precision", str(numbers["precision"])),
        ("processor", f"{known.get('processor', '')}, {known.get('cpus', '')} cores"),
        ("versions", versions),
    ]
