"""What can be done next with a run, as commands that work as they stand."""

from __future__ import annotations

from taskdiscovery.config import OF_DATA, is_convex, takes_features
from taskdiscovery.data.joining import IN_MEMORY
from taskdiscovery.errors import command
from taskdiscovery.store import Run
from taskdiscovery.store.layout import ESTIMATE, ESTIMATE_PAGE, REPORT, SCORES, SPLITS, TASKS
from taskdiscovery.types import Document


def following(run: Run) -> list[str]:
    """Return commands that go on from what a run holds, the nearest first.

    Args:
        run: of any job, finished or not.

    Raises:
        RunDirError: where a document of the run is damaged.
    """
    if run.state != "done":
        if run.is_busy():
            return []
        again = "analyze" if run.job["command"] == "analyze" else "resume"
        return [command(again, run.path), command("discard", run.path)]
    data = str(run.config.get("data") or "")
    found = []
    if run.has(ESTIMATE) and not run.has(ESTIMATE_PAGE):  # it shows no image, so none is read
        found.append(command("report", run.path))
    if not data or data in IN_MEMORY:  # a command cannot read it again
        return found
    if run.has(TASKS):
        found += _of_tasks(run, data)
        if run.numbers.get("analysis") is None:
            found.append(command("analyze", run.path))
    if (run.has(TASKS) or run.names(SPLITS)) and not run.has(REPORT):
        found.append(command("report", run.path))
    return list(dict.fromkeys(found))


def _of_tasks(run: Run, data: str) -> list[str]:
    """Return how the tasks can be scored, and used."""
    found, more = [], _trained(run.config)
    if not run.names(SCORES):
        found.append(command("score", data, "--from", run.path, *more))
    described = run.numbers.get("data")
    target = described.get("target") if isinstance(described, dict) else None
    if target and not run.names(SPLITS) and run.numbers.get("classes", 2) == 2:
        words = ["--target", target, "--from", run.path, *more]
        found.append(command("split", data, *words))
    return found


def _trained(config: Document) -> list[str]:
    """Return the learner that tasks were found for, where it is not the one that is usual."""
    learner, features = str(config.get("learner") or ""), str(config.get("features") or "")
    if learner in ("", "auto", "ridge" if features else "convnet"):
        return []
    words = ["--learner", learner]
    if features and features != OF_DATA and takes_features(learner) and not is_convex(learner):
        words += ["--features", features]
    return words
