"""How a report's results were made: commands that make them again, versions, hardware."""

from __future__ import annotations

import contextlib
import shlex

from taskdiscovery.config.specs import parse
from taskdiscovery.data.loading import KINDS
from taskdiscovery.jobs.contents import words_again
from taskdiscovery.jobs.specs import OWN
from taskdiscovery.reporting.material import Material
from taskdiscovery.runtime import devices
from taskdiscovery.store.layout import SCORES, SPLITS


def commands(material: Material) -> list[str]:
    """Return the commands that make everything again; none where objects were handed over."""
    config, run = material.config, material.run
    data = str(config.get("data", ""))
    if run is None or not _is_spec(data):
        return []
    lines = []
    if material.tasks is not None:
        words = words_again("discover", run, config)
        if not words:  # a config that another version wrote
            return []
        lines.append(["discover", *words, "--out", str(run)])
    for command, kind in (("score", SCORES), ("split", SPLITS)):
        for name, options in material.options.get(kind, {}).items():
            words = words_again(kind, run, options)
            if not words or (kind == SPLITS and name not in material.splits):
                continue
            added = str(options.get("from", "")).startswith(OWN)
            lines.append([command, *words, *([] if added else ["--out", str(run)])])
    if material.evidence is not None:
        lines.append(["analyze", str(run)])
    lines.append(["report", str(run)])
    return [shlex.join(["taskdiscovery", *line]) for line in lines]


def _is_spec(data: str) -> bool:
    return bool(data) and (parse(data).kind in KINDS or ":" in data)


def facts(material: Material, unseen: int) -> list[tuple[str, str]]:
    """Return names and values of what the results rest on."""
    dataset, numbers = material.dataset, material.numbers
    known = {"versions": {}, **material.environment}
    versions = ", ".join(f"{k} {v}" for k, v in known["versions"].items())
    found = [("data", f"{dataset.name}, {len(dataset):,} {material.rows}")]
    found.append(("fingerprint", dataset.fingerprint))
    if material.tasks is not None:
        trained = f"{numbers['train_images']:,} {material.rows} of the train partition"
        found.append(("discovered on", trained))
        found.append(("measured on", f"the test partition, {unseen:,} {material.rows}"))
        found.append(("method", f"{numbers['method']}, {numbers['seconds']:.0f} s"))
        found.append(("precision", str(numbers["precision"])))
    found.append(("processor", f"{known.get('processor', '')}, {known.get('cpus', '')} cores"))
    if isinstance(gpu := known.get("gpu"), dict):
        with contextlib.suppress(KeyError, TypeError, ValueError):  # what another version wrote
            found += devices.in_words(gpu).items()
    return [*found, ("versions", versions)]
