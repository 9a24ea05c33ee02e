"""What a job found, on stdout: tables for people, one table for CSV, a document for JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from taskdiscovery.cli import show
from taskdiscovery.types import Document, Scores, Split
from taskdiscovery.types.scores import RANDOM

#: candidates that are listed of a choice; JSON and CSV have all.
_LISTED = 10


def scores(found: Scores, style: str, *, discovered: bool, bounded: bool = False) -> None:
    """Print scores, the references last and named as such.

    Args:
        found: of one job.
        style: `table`, `json` or `csv`.
        discovered: whether the labelings are tasks, beside which a human labeling may stand.
        bounded: whether what agreement tells of accuracy is shown beside each score: the most that
            it can be, and an estimate by the other labelings.
    """
    rows: list[Document] = [
        {str(k): None if v != v else v for k, v in row.items()}
        for row in found.to_frame().to_dict("records")
    ]
    if bounded:
        from taskdiscovery.estimation.scored import told

        for row, said in zip(rows, told(found), strict=True):
            row["accuracy_at_most"] = said.at_most
            row |= {"estimate": said.value, "estimate_low": said.low, "estimate_high": said.high}
            row["estimate_refused"] = said.refused
    if style != "table":
        show.rows(rows, style)
        return
    refused = {str(row.pop("estimate_refused", "")) for row in rows} - {""}
    shared = ("learner", "preset", "precision", "name", "accuracies")
    shown: list[Document] = []
    for row in rows:
        task = str(row["task"])
        human = discovered and task.partition(":")[0] in ("label", "attr")
        kind = "random labels" if task == RANDOM else "human labels" if human else ""
        own: Document = {k: v for k, v in row.items() if k not in shared}
        failed = {"failed": own.pop("failed") or None}
        shown.append({"task": own.pop("task"), "reference": kind or None, **own, **failed})
    first = found[0]
    title = f"agreement of {first.runs} runs of {first.learner}, preset {first.preset}, "
    show.rows(shown, "table", title=f"{title}{first.precision}")
    if refused:
        show.line(f"no estimate of accuracy from agreement: {', '.join(sorted(refused))}")


def split(found: Split, style: str, *, name: str, run: Path) -> None:
    """Print a split: accuracy beside its controls, transfer, where runs agree, choice, copies.

    Args:
        found: the split.
        style: `table`, `json` or `csv`.
        name: of the split in its run.
        run: that holds it.
    """
    if style == "json":
        show.mapping({"name": name, "run": str(run), **found.numbers}, "json")
        return
    if style == "csv":
        show.rows(_all_rows(found), "csv")
        return
    setup = found.setup
    title = f"accuracy on {found.target.name}, split along {found.task.name} "
    title += f"({setup.runs} runs of {setup.learner}, preset {setup.preset})"
    show.rows(_without_empty(found.accuracy_table()), "table", title=title)
    if found.agreed:
        rows = _agreed(found)
        show.rows(rows, "table", title="on images on which all runs predict alike")
    if found.setup.choice:
        count = len(setup.choice)
        more = f", the first {_LISTED} of {count}" if count > _LISTED else ""
        title = f"choice: accuracy on a validation part, the lowest is taken{more}"
        show.rows(_choice(found)[:_LISTED], "table", title=title)
    show.line(f"images: {_counts(found.sizes)}; measured on: {_counts(found.measured)}")
    copies = found.copies
    show.line(
        f"copies across the sides: {copies.exact} exact, {copies.near} near, of "
        f"{copies.looked_at} test images looked at"
    )
    show.line(f"split {name}, in {run}")


def _without_empty(rows: list[Document]) -> list[Document]:
    """Leave out columns that no row has a value in."""
    kept = [key for key in rows[0] if any(row[key] is not None for row in rows)] if rows else []
    return [{key: row[key] for key in kept} for row in rows]


def _agreed(found: Split) -> list[Document]:
    return [
        {"figure": name, "accuracy": own.get("accuracy"), "share of images": own.get("share")}
        for name, own in found.agreed.items()
    ]


def _choice(found: Split) -> list[Document]:
    """Return the candidates with equal keys, the one that does most harm first."""
    rows = sorted(found.setup.choice, key=lambda row: float(row.get("accuracy", 1.0)))
    keys = dict.fromkeys(key for row in rows for key in row)
    return [{key: row.get(key) for key in keys} for row in rows]


def _all_rows(found: Split) -> list[Document]:
    """Return all figures as rows of equal keys."""
    learner = found.setup.learner
    rows: list[Document] = []
    for row in found.accuracy_table():
        other = next((t for t in found.transfer if row["figure"].startswith(f"{t}: ")), "")
        own = {"table": "transfer", "learner": other} if other else {"table": "accuracy"}
        row["figure"] = row["figure"].removeprefix(f"{other}: ")
        rows.append({"learner": learner, **own, **row})
    for row in _agreed(found):
        share = {"share": row.pop("share of images")}
        rows.append({"table": "where runs agree", "learner": learner, **row, **share})
    for row in _choice(found):
        words = [f"{k} {_word(v)}" for k, v in row.items() if k != "accuracy"]
        figure = {"figure": ", ".join(words), "accuracy": row["accuracy"]}
        rows.append({"table": "choice", "learner": learner, **figure})
    for kind in ("exact", "near"):
        count = {"images": getattr(found.copies, kind)}
        rows.append({"table": "copies", "figure": kind, **count})
    rows += [
        {"table": "measured on", "figure": side, "images": count}
        for side, count in found.measured.items()
    ]
    first = ("table", "learner", "figure", "accuracy", "low", "high", "covers", "share", "images")
    keys = dict.fromkeys((*first, *(key for row in rows for key in row)))
    return [{key: row.get(key, "") for key in keys} for row in rows]


def _word(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items())


def contents(found: Document, style: str) -> None:
    """Print what a run holds.

    Args:
        found: as `jobs.contents` gives it.
        style: `table`, `json` or `csv`; the last as rows of `what`, `name`, `value`.
    """
    if style == "json":
        show.mapping(found, "json")
        return
    lists = ("tasks", "scores", "splits", "cues", "comparisons")
    if style == "csv":
        rows = [
            {"what": "run", "name": key, "value": "" if value is None else value}
            for key, value in found.items()
            if key not in (*lists, "next")
        ]
        for key in lists:
            rows += [
                {"what": key, "name": next(iter(row.values())), "value": show.text_of(row)}
                for row in found[key]
            ]
        rows += [{"what": "next", "name": "", "value": line} for line in found["next"]]
        show.rows(rows, "csv")
        return
    expected = ("evidence", "report") if found["audit"] is found["estimate"] is None else ()
    single = {k: v for k, v in found.items() if k not in (*lists, "run", "next", "command")}
    single = {k: v for k, v in single.items() if v is not None or k in expected}
    show.mapping(single, "table", title=found["run"])
    show.line(f"made by: {found['command']}")
    for key in lists:
        if found[key]:
            show.rows(found[key], "table", title=f"{key} ({len(found[key])})")
    for line in found["next"]:
        show.line(f"next: {line}")
