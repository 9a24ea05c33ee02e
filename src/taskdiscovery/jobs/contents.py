"""What a run holds: how it was made, tasks, scores and splits by name, and what can follow."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from taskdiscovery import errors
from taskdiscovery.config import (
    PRESETS,
    AuditConfig,
    EstimateConfig,
    Options,
    ScoreConfig,
    SplitConfig,
    from_mapping,
    words_of,
)
from taskdiscovery.data.joining import IN_MEMORY
from taskdiscovery.discovery import DiscoverConfig
from taskdiscovery.errors import TaskDiscoveryError
from taskdiscovery.jobs.following import following
from taskdiscovery.jobs.session import FREE
from taskdiscovery.jobs.specs import OWN
from taskdiscovery.store import Run
from taskdiscovery.store.layout import AUDIT_PAGE, ESTIMATE_PAGE, REPORT, SCORES, SPLITS
from taskdiscovery.types import Document
from taskdiscovery.types.scores import RANDOM

_CONFIGS: dict[str, type[Options]] = {
    "discover": DiscoverConfig,
    SCORES: ScoreConfig,
    SPLITS: SplitConfig,
}
_CONFIGS |= {"score": ScoreConfig, "split": SplitConfig, "audit": AuditConfig}
_CONFIGS |= {"estimate": EstimateConfig}


def contents(run: Run) -> Document:
    """Return what a run holds.

    Raises:
        RunDirError: where a document of the run is damaged.
    """
    numbers, config = run.numbers, run.config
    with run.understood("contents", "restore result.json, or do the job again"):
        described = numbers.get("data")
        described = described if isinstance(described, dict) else {}
        analysis = numbers.get("analysis")
        return {
            "run": str(run.path),
            "state": run.state,
            "command": _made_by(run),
            "data": str(config.get("data") or described.get("name") or ""),
            "images": described.get("images"),
            "tasks": [_task(row) for row in numbers.get("tasks", [])],
            SCORES: [_score(name, numbers) for name in run.names(SCORES)],
            SPLITS: [_split(name, row) for name, row in numbers.get(SPLITS, {}).items()],
            "cues": [_cue(cue) for cue in numbers.get("audit", {}).get("cues", [])],
            "comparisons": [_comparison(name, own) for name, own in run.comparisons.items()],
            "audit": _audit(numbers.get("audit")),
            "audit page": str(run.path / AUDIT_PAGE) if run.has(AUDIT_PAGE) else None,
            "estimate": _estimate(numbers.get("estimate")),
            "estimate page": str(run.path / ESTIMATE_PAGE) if run.has(ESTIMATE_PAGE) else None,
            "evidence": None if analysis is None else f"{analysis['images']} images",
            "report": str(run.path / REPORT) if run.has(REPORT) else None,
            "unfinished": None if run.state == "done" else str(run.job["command"]),
            "next": following(run),
        }


def words_again(kind: str, path: Path, options: Document) -> list[str]:
    """Return the words that do a job again: DATA and options; none where objects were handed over.

    Args:
        kind: `discover`, `audit`, or the folder of a score or split.
        path: of the run that holds it.
        options: as they were resolved, and `data`.
    """
    own = {k: v for k, v in options.items() if k not in ("format", "command", *FREE)}
    if str(own.get("from", "")).startswith(OWN):  # this run's
        own["from"] = f"{path}{own['from']}".removesuffix(OWN)
    try:
        config = from_mapping(_CONFIGS[kind], own, str(path))
    except (TaskDiscoveryError, KeyError):  # what another version, or a stranger, wrote
        return []
    if isinstance(config, SplitConfig) and not (config.target and config.tasks):
        return []
    if isinstance(config, AuditConfig | EstimateConfig) and not config.target:
        return []
    if isinstance(config, EstimateConfig) and config.on in ("", *IN_MEMORY):
        return []
    if isinstance(config, ScoreConfig) and not (config.target or config.tasks):
        return []
    return [str(options.get("data", "")), *words_of(_without_preset(config))]


def _without_preset(config: Options) -> Options:
    """Leave out what the preset decides, as it was left out when the job was asked for."""
    if not isinstance(config, ScoreConfig | SplitConfig | AuditConfig | EstimateConfig):
        return config
    preset = PRESETS[config.preset]
    names = ("train_images", "test_images", "epochs", "shared_order")
    decided = [n for n in names if hasattr(config, n) and getattr(config, n) == getattr(preset, n)]
    left_out: Document = dict.fromkeys(decided)
    return replace(config, **left_out)


def _made_by(run: Run) -> str:
    """Return the command that made the run, as far as it can be told."""
    command = str(run.config.get("command", ""))
    words = words_again(command, run.path, run.config)
    return errors.command(command, *words, "--out", run.path) if words else command


def _task(row: Document) -> Document:
    return {
        "task": str(row["name"]),
        "rate": row.get("rate"),
        "held-out correlation": row.get("crossfit_correlation"),
    }


def _score(name: str, numbers: Document) -> Document:
    """Sum up the scores of one job: references are those of random labels."""
    rows = [row for row in numbers[SCORES] if row["name"] == name]
    own = [row for row in rows if row["task"] != RANDOM]
    random = [float(row["agreement"]) for row in rows if row["task"] == RANDOM]
    first = rows[0]
    return {
        "score": name,
        "labelings": len(own),
        "learner": str(first["learner"]),
        "preset": str(first["preset"]),
        "runs": int(first["runs"]),
        "mean agreement": sum(float(row["agreement"]) for row in own) / max(1, len(own)),
        "random labels": random[0] if random else None,
        "intervals cover": str(first["covers"]),
    }


def _audit(own: Document | None) -> str | None:
    return None if own is None else f"{own['verdict']}: {own['sentence']}"


def _estimate(own: Document | None) -> str | None:
    """Say in a line what accuracy is estimated, for which images, and how far it is known."""
    if own is None:
        return None
    text = f"{own['accuracy']:.3f} ({own['low']:.3f} to {own['high']:.3f}) on {own['on']}"
    text += f", by {own['recommended']}"
    if own["bound"] is not None:
        text += f"; at most {own['bound']:.3f}"
    if own["range"] is not None:
        ends = own["range"]
        text += f"; tasks leave {ends['low']:.3f} to {ends['high']:.3f} open"
    return text


def _cue(own: Document) -> Document:
    """Return one cue that an audit found present, as a row."""
    return {
        "cue": str(own["view"]),
        "target": str(own["target"]),
        "class": str(own["class_name"]),
        "kind": str(own["kind"]),
        "unique": own["unique"],
        "followed": own["follows"],
        "used": {True: "yes", False: "no", None: None}[own["used"]],
    }


def _comparison(name: str, own: Document) -> Document:
    return {
        "comparison": name,
        "with": str(own["data"]),
        "images": int(own["images_there"]),
        "classes at risk": ", ".join(map(str, own["classes_at_risk"])) or "none",
    }


def _split(name: str, row: Document) -> Document:
    accuracy = row["accuracy"]
    broken, random = accuracy["adversarial"], accuracy["random"]
    return {
        "split": str(name),
        "target": str(row["target"]),
        "along": str(row["task"]),
        "learner": str(row["learner"]),
        "preset": str(row["preset"]),
        "runs": int(row["runs"]),
        "adversarial": float(broken["mean"]),
        "low": float(broken["low"]),
        "high": float(broken["high"]),
        "random": float(random["mean"]),
        "intervals cover": str(broken["covers"]),
    }
