"""An estimate in a terminal: every estimator, the classes, the bound, the range; truth apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from taskdiscovery.cli import show

if TYPE_CHECKING:
    from taskdiscovery.types import Estimate

#: columns that a terminal has room for; JSON and CSV have all.
_ESTIMATOR = ("estimator", "accuracy", "low", "high", "covers", "made_miss", "refused")
_CLASS = ("class", "images", "calibration", "accuracy", "low", "high", "bound", "refused")
_TASK = ("task", "association", "parted", "accuracy_parted", "accuracy_together", "low", "high")


def show_estimate(found: Estimate, style: str, *, tasks: bool) -> None:
    """Print an estimate.

    Args:
        found: the estimate.
        style: `table`, `json`, or `csv`: a row per estimator.
        tasks: whether tasks were given.
    """
    if style == "json":
        show.mapping(found.numbers, "json")
        return
    if style == "csv":
        show.frame(found.to_frame())
        return
    own = found.value
    title = f"accuracy of {found.learner} on {found.images:,} images of {found.on}, not labelled"
    title += f" ({own['level']:.0%} intervals)"
    show.rows(_rows(found.estimators, _ESTIMATOR), "table", title=title)
    title = "by predicted class, threshold-confidence"
    show.rows(_rows(found.per_class, _CLASS), "table", title=title)
    if found.range is not None:
        rows = [{name: row[name] for name in _TASK} for row in found.range["tasks"]]
        show.rows(rows, "table", title="if labels part from a task, as often as predictions allow")
    shift = "" if "shifts" in own["covers"] else ", and no shift"
    show.line(
        f"recommended: {found.recommended}, {own['accuracy']:.3f} ({own['low']:.3f} to "
        f"{own['high']:.3f}, {own['level']:.0%}, covers {own['covers']}{shift})"
    )
    show.line(f"  {found.why}")
    show.line(
        f"held-out accuracy: {found.held_out:.3f} on {found.calibration:,} labelled images that no "
        f"run was trained on; {found.runs} {'run' if found.runs == 1 else 'runs'}"
    )
    if found.bound is not None:
        show.line(f"bound: at most {found.bound:.3f}, whatever the labels are")
    if found.range is not None:
        ends = found.range
        show.line(
            f"range over tasks: {ends['low']:.3f} ({ends['low_task']}) to {ends['high']:.3f} "
            f"({ends['high_task']})"
        )
    elif tasks:
        show.line("range over tasks: none of them goes with the label, so they say nothing")
    if found.seen:
        show.line(f"left out: {found.seen} images that are trained on or calibrate")
    if (truth := found.truth) is not None:
        show.line("")
        show.line(
            f"not used above: {found.on} has labels, by which the accuracy on {truth['images']:,} "
            f"images is {truth['accuracy']:.3f}"
        )


def _rows(table: Any, columns: tuple[str, ...]) -> list[dict[str, Any]]:
    return [
        {name: None if row[name] != row[name] else row[name] for name in columns}
        for row in table.to_dict("records")
    ]
