"""Documents as flat numbers under names that begin alike: `split/accuracy/random/mean`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from taskdiscovery.splits.benchmark import Baseline, Stressed
from taskdiscovery.types import Audit, Document, Estimate, Score
from taskdiscovery.types.audit import FAIL, NONE, PASS, WARN

#: a verdict as a number, so that runs can be sorted by it.
VERDICTS = {NONE: -1, PASS: 0, WARN: 1, FAIL: 2}
#: figures of a score that are kept.
_OF_SCORE = ("agreement", "low", "high", "kappa", "chance", "rate", "accuracy", "seconds")
_NAMES = ("name", "view", "estimator")


def numbers_of(document: Mapping[str, Any], prefix: str) -> dict[str, float]:
    """Return the finite numbers of a document, by their path.

    Of lists those of mappings with a name are followed, under it: tasks, cues. Truth values, texts
    and longer series are left out.

    Args:
        document: nested mappings.
        prefix: that every name begins with.
    """
    return dict(_walk(document, prefix))


def _walk(value: Any, path: str) -> Iterator[tuple[str, float]]:
    if isinstance(value, Mapping):
        for key, own in value.items():
            yield from _walk(own, f"{path}/{key}")
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        for one in value:
            name = next((one[k] for k in _NAMES if k in one), "") if _named(one) else ""
            if name:
                rest = {key: own for key, own in one.items() if key not in _NAMES}
                yield from _walk(rest, f"{path}/{name}")
    elif isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        yield path, float(value)


def _named(value: Any) -> bool:
    return isinstance(value, Mapping) and any(isinstance(value.get(key), str) for key in _NAMES)


def of_score(score: Score) -> Document:
    """Return the figures of a score."""
    return {name: getattr(score, name) for name in _OF_SCORE}


def of_result(found: Any) -> Document:
    """Return the headline numbers of what a verb returned."""
    if isinstance(found, Audit):
        cues = [{"view": f"{cue.target}/{cue.view}", **_figures(cue)} for cue in found.present]
        known = {"verdict": VERDICTS[found.verdict], "present": len(cues), "images": found.images}
        return {**known, "seconds": found.seconds, "cues": cues}
    if isinstance(found, Estimate):
        return found.headline
    if isinstance(found, Stressed):
        return {"baselines": [_baseline(own) for own in found.baselines]}
    numbers = dict(getattr(found, "numbers", {}))
    numbers.pop("iterations", None)  # were told one by one
    return numbers


def _baseline(own: Baseline) -> Document:
    figures = {name: interval.mean for name, interval in own.accuracy.items()}
    return {"name": f"{own.learner}/{own.strength:.2f}", "runs": own.runs, **figures}


def _figures(cue: Any) -> Document:
    own = cue.numbers
    return {name: own[name] for name in ("unique", "strength", "accuracy", "follows")}


def options_of(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return the options of a job as texts, those of its method under `method.`."""
    found: dict[str, str] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            found |= options_of(value, f"{prefix}{key}.")
        elif isinstance(value, list | tuple):
            found[f"{prefix}{key}"] = ",".join(map(str, value))
        else:
            found[f"{prefix}{key}"] = "" if value is None else str(value)
    return found


def plain(value: Any) -> Any:
    """Return a document as JSON takes it: None for what is no finite number."""
    if isinstance(value, Mapping):
        return {str(key): plain(own) for key, own in value.items()}
    if isinstance(value, list | tuple):
        return [plain(own) for own in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    scalar = hasattr(value, "item") and not getattr(value, "shape", ())  # of NumPy
    return plain(value.item()) if scalar else str(value)
