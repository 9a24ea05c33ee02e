"""A fitted learner in a terminal: accuracy by class and level, and what is taken for what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from taskdiscovery.cli import show

if TYPE_CHECKING:
    from taskdiscovery.training.fitted import Fitted
    from taskdiscovery.types import Evaluation

#: classes up to which a confusion table is shown; a larger one hides the rest.
_SHOWN = 12


def show_fit(fitted: Fitted, style: str) -> None:
    """Print how a learner fares.

    Args:
        fitted: the learner.
        style: `table`, `json`, or `csv`: a row per image.
    """
    found = fitted.evaluation
    if found is None:
        if style == "table":
            show.line(f"{fitted!r}: the images to measure on have no labels")
        else:
            show.mapping({"learner": fitted.learner, "target": fitted.target}, "json")
        return
    if style == "json":
        show.mapping(found.numbers, "json")
    elif style == "csv":
        show.frame(found.results)
    else:
        _tables(found)


def _tables(found: Evaluation) -> None:
    title = f"{found.learner} on {found.target}: {found.images} images it has not seen"
    drop = ["covers"]
    classes = found.per_class.drop(columns=drop)
    classes["predicted"] = classes["predicted"].round().astype(int)
    show.rows(_records(classes), "table", title=title)
    if len(found.per_level):
        levels = found.per_level.drop(columns=drop).sort_values("accuracy", kind="stable")
        shown = levels.head(_SHOWN)
        title = "accuracy by level, the least first"
        if len(levels) > len(shown):
            title += f" ({len(levels) - len(shown)} more with --format json)"
        show.rows(_records(shown), "table", title=title)
    if len(found.confusion) <= _SHOWN:
        rows = [
            {"true \\ predicted": name, **{str(k): round(v) for k, v in row.items()}}
            for name, row in found.confusion.to_dict("index").items()
        ]
        over = "" if len(found.runs) == 1 else ", averaged over the runs"
        show.rows(rows, "table", title=f"images{over}")
    figure = found.accuracy
    runs = ", ".join(f"{run:.3f}" for run in found.runs)
    show.line(
        f"accuracy: {figure.mean:.3f} ({figure.low:.3f} to {figure.high:.3f}, covers "
        f"{figure.covers}); runs: {runs}"
    )
    show.line(
        f"balanced accuracy: {found.balanced:.3f}; always the commonest class: {found.majority:.3f}"
    )
    if found.worst is not None:
        worst = found.worst
        show.line(
            f"worst level: {worst['factor']} = {worst['level']}, {worst['accuracy']:.3f} of "
            f"{worst['images']} images"
        )


def _records(table: Any) -> list[dict[str, Any]]:
    return [{str(k): v for k, v in row.items()} for row in table.to_dict("records")]
