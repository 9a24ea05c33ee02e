"""The files of an audit: what was found, as a document and a table, and the images of its cues.

`write` and `read` are each other's inverse, but for rows of cues that are not present. No name of a
file is taken from a document: names follow from the views, so that a document from elsewhere leads
nowhere.

Axes: N images, n of a cue.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from taskdiscovery.store.files import RunFiles
from taskdiscovery.store.layout import (
    ALIGNED,
    AUDIT,
    CONFLICT,
    CUE_IMAGES,
    CUE_SPLIT,
    CUES,
    TARGETS,
    cue_names,
    remedy_of,
)
from taskdiscovery.store.writing import json_bytes
from taskdiscovery.types import Audit, Cue, Document, IntArray, Interval, Labeling
from taskdiscovery.types.audit import ARTEFACT, CONTEXT, FAIL, FILE, NONE, PASS, WARN

if TYPE_CHECKING:
    import pandas as pd

#: images that follow a cue, and images against it, below which there is no split.
LEAST_OF_SPLIT = 10
#: bytes of `audit.json`, or of `estimate.json`, parsed thirty times as much.
MOST = 2**24
_TRUE = ("strength", "unique_z", "ratio", "skill", "accuracy")
_MAYBE = ("joint", "control_z", "mode_gain", "mode_distance", "mode_difference")
_TEXTS = ("view", "kind", "words", "target", "class_name", "remedy")


def write(run: RunFiles, found: Audit, labelings: Sequence[Labeling]) -> None:
    """Write an audit into its run.

    Args:
        run: open, with its lock.
        found: the audit.
        labelings: that it looked at, over all images of the data set.
    """
    import pandas as pd

    targets = [{"name": one.name, "classes": list(one.classes)} for one in labelings]
    run.write(AUDIT, json_bytes({**found.numbers, "targets": targets}))
    run.write(CUES, csv_bytes(found.to_frame()))
    columns: Document = {"image_id": found.ids}
    columns |= {f"target_{i}": one.labels_N for i, one in enumerate(labelings)}
    run.write_table(TARGETS, pd.DataFrame(columns))
    for name, cue in _named(found.cues):
        for side, rows in ((ALIGNED, cue.aligned_rows), (CONFLICT, cue.conflict_rows)):
            table = pd.DataFrame({"image_id": np.asarray(found.ids)[rows], "row": rows})
            run.write(f"{CUE_IMAGES}/{side}-{name}.csv", csv_bytes(table))
    if (cut := split_of(found, labelings)) is not None:
        run.write(CUE_SPLIT, csv_bytes(cut))
    present = [_headline(cue) for cue in found.present]
    headline = {"verdict": found.verdict, "sentence": found.sentence, "images": found.images}
    run.add_numbers({"audit": {**headline, "verdicts": dict(found.verdicts), "cues": present}})


def _headline(cue: Cue) -> Document:
    follows = None if cue.follows is None else cue.follows.mean
    own = {key: getattr(cue, key) for key in ("view", "target", "class_name", "kind", "used")}
    return {**own, "unique": cue.unique.mean, "follows": follows}


def read(run: RunFiles) -> tuple[Audit, list[Labeling]]:
    """Return the audit of a run, and the labelings that it looked at.

    Raises:
        RunDirError: where a file is missing or damaged, or holds no audit.
    """
    content, table = run.content(AUDIT), run.table(TARGETS)
    with run.understood(AUDIT, remedy_of(AUDIT)):
        if len(content) > MOST:
            raise ValueError(f"it has more than {MOST:,} bytes")
        numbers = json.loads(content.decode("utf-8"))
        ids = table["image_id"].to_numpy(dtype=np.str_)
        labelings = [
            _labeling(own, table[f"target_{i}"].to_numpy(np.int64), ids)
            for i, own in enumerate(numbers["targets"])
        ]
        if {one.name for one in labelings} != set(numbers["verdicts"]):
            raise ValueError("it has verdicts of other targets than it looked at")
        cues = [cue_of(own) for own in numbers["cues"]]
        rows = {id(cue): _rows(run, name, len(ids)) for name, cue in _named(cues)}
        cues = [_with_rows(cue, rows.get(id(cue))) for cue in cues]
        return _audit(numbers, cues, ids), labelings


def split_of(found: Audit, labelings: Sequence[Labeling]) -> pd.DataFrame | None:
    """Return what the strongest cue makes of the images: train where it is right, test where wrong.

    Args:
        found: an audit.
        labelings: that it looked at.

    Returns:
        `image_id`; `split`, one of `train`, `test`, `unused`; `label`, the class, where the image
        is used; `partition`, by which `score --from FILE:label` trains on the one part and measures
        on the other. None where no cue that is present has images enough of both kinds.
    """
    import pandas as pd

    cue = cue_of_split(found, labelings)
    if cue is None:
        return None
    target = next(one for one in labelings if one.name == cue.target)
    split_N = np.full(len(found.ids), "unused", dtype=object)
    split_N[cue.aligned_rows] = "train"
    split_N[cue.conflict_rows] = "test"
    split_N[~target.known_N] = "unused"
    label_N = np.array([*target.classes, None], dtype=object)[target.labels_N]
    label_N[split_N == "unused"] = None
    partition_N = np.where(split_N == "test", "test", "train")
    return pd.DataFrame(
        {"image_id": found.ids, "split": split_N, "label": label_N, "partition": partition_N}
    )


def cue_of_split(found: Audit, labelings: Sequence[Labeling]) -> Cue | None:
    """Return the strongest cue that has images enough to train and to measure on.

    Args:
        found: an audit.
        labelings: that it looked at.
    """
    labels = {labeling.name: labeling.labels_N for labeling in labelings}
    for cue in found.present:
        few = min(len(cue.aligned_rows), len(cue.conflict_rows)) < LEAST_OF_SPLIT
        if cue.target not in labels or few:
            continue
        trained = labels[cue.target][cue.aligned_rows]
        if len(np.unique(trained[trained >= 0])) > 1:
            return cue
    return None


def csv_bytes(frame: pd.DataFrame) -> bytes:
    """Return a table as CSV in UTF-8."""
    text: str = frame.to_csv(index=False)
    return text.encode("utf-8", "backslashreplace")


def file_names(found: Audit) -> dict[tuple[str, str], str]:
    """Return what the files of each present cue are called, by target and view."""
    return {(cue.target, cue.view): name for name, cue in _named(found.cues)}


def _named(cues: Iterable[Cue]) -> list[tuple[str, Cue]]:
    """Return the cues that have files, with their names."""
    present = [cue for cue in cues if cue.present]
    names = cue_names((cue.target, cue.view) for cue in present)
    return list(zip(names, present, strict=True))


# --- reading ---


def cue_of(own: Document) -> Cue:
    """Return a cue from its figures, without rows.

    Raises:
        Exception: of many kinds, where they are not those of a cue.
    """
    values: Document = {key: _text(own[key]) for key in _TEXTS}
    if values["kind"] not in (FILE, ARTEFACT, CONTEXT):
        raise ValueError(f"a cue is of kind {values['kind']!r}")
    values |= {key: [_text(one) for one in own[key]] for key in ("classes", "reasons")}
    values |= {key: _number(own[key]) for key in _TRUE}
    values |= {key: None if own[key] is None else _number(own[key]) for key in _MAYBE}
    values |= {key: _flag(own[key]) for key in ("present", "allowed")}
    values |= {key: _interval(own[key]) for key in ("follows", "aligned", "conflict")}
    used = None if own["used"] is None else _flag(own["used"])
    unique = _interval(own["unique"])
    if unique is None:
        raise ValueError("a cue has no unique gain")
    box = tuple(_box(one) for one in own["box"])
    values |= {key: tuple(values[key]) for key in ("classes", "reasons")}
    return Cue(**values, unique=unique, used=used, box=box)


def _audit(numbers: Document, cues: Sequence[Cue], ids: Any) -> Audit:
    verdicts = {_text(k): _verdict(v) for k, v in numbers["verdicts"].items()}
    lists = {
        key: tuple(_text(line) for line in numbers[key])
        for key in ("looked_at", "not_looked_at", "notes")
    }
    counts = {
        _text(target): {_text(name): int(count) for name, count in own.items()}
        for target, own in numbers["classes"].items()
    }
    compared = numbers["comparison"]
    return Audit(
        verdict=_verdict(numbers["verdict"]),
        sentence=_text(numbers["sentence"]),
        cues=tuple(cues),
        verdicts=verdicts,
        classes=counts,
        **lists,
        images=int(numbers["images"]),
        data=_text(numbers["data"]),
        ids=ids,
        networks=_text(numbers["networks"]),
        semantic=_table(numbers["semantic"]),
        tasks=_table(numbers["tasks"]),
        comparison=None if compared is None else dict(compared),
        seconds=_number(numbers["seconds"]),
        config=dict(numbers["config"]),
    )


def _rows(run: RunFiles, name: str, count: int) -> tuple[IntArray, IntArray]:
    """Read the rows of a cue, those that follow it and those against it."""
    found = []
    for side in (ALIGNED, CONFLICT):
        text = run.content(f"{CUE_IMAGES}/{side}-{name}.csv").decode("utf-8")
        values = [int(line["row"]) for line in csv.DictReader(io.StringIO(text))]
        rows = np.array(values, dtype=np.int64)
        if len(rows) and not (rows.min() >= 0 and rows.max() < count):
            raise ValueError(f"a row of {name} is not among {count} images")
        found.append(rows)
    return found[0], found[1]


def _with_rows(cue: Cue, rows: tuple[IntArray, IntArray] | None) -> Cue:
    return cue if rows is None else replace(cue, aligned_rows=rows[0], conflict_rows=rows[1])


def _labeling(own: Document, labels_N: IntArray, ids_N: Any) -> Labeling:
    classes = tuple(_text(name) for name in own["classes"])
    if len(labels_N) and not (labels_N.min() >= -1 and labels_N.max() < len(classes)):
        raise ValueError(f"{TARGETS} has other classes than {AUDIT}")
    return Labeling(name=_text(own["name"]), classes=classes, labels_N=labels_N, ids_N=ids_N)


def _table(rows: Any) -> pd.DataFrame | None:
    import pandas as pd

    return None if rows is None else pd.DataFrame([dict(row) for row in rows])


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no text")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} is neither true nor false")
    return value


def _number(value: Any) -> float:
    """Return a number; what was not finite was written as null."""
    if isinstance(value, bool) or not isinstance(value, int | float | None):
        raise ValueError(f"{value!r} is no number")
    return math.nan if value is None else float(value)


def _verdict(value: Any) -> str:
    if value not in (FAIL, WARN, PASS, NONE):
        raise ValueError(f"{value!r} is no verdict")
    return str(value)


def _interval(own: Any) -> Interval | None:
    if own is None:
        return None
    mean, low, high = (_number(own[key]) for key in ("mean", "low", "high"))
    return Interval(mean=mean, low=low, high=high)


def _box(own: Any) -> tuple[float, float, float, float]:
    top, left, bottom, right = map(_number, own)
    if not (0 <= top <= bottom <= 1 and 0 <= left <= right <= 1):
        raise ValueError(f"{own!r} lies outside of a picture")
    return top, left, bottom, right
