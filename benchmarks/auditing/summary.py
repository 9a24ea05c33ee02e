"""What the rows of a ledger come to: one section for each mode that they are of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from benchmarks.auditing.answers import GAP, MORE, TEN, judged
from benchmarks.auditing.tables import Row, brief, counted, distinct, share, table


def summary(rows: list[Row]) -> str:
    """Return all that is counted, as Markdown."""
    last: dict[str, Row] = {row["cell"]: row for row in rows if row.get("error")}
    ended = {row["cell"]: row for row in rows if row.get("finished")}
    failed = [row for cell, row in last.items() if cell not in ended]
    parts = []
    for mode, section in SECTIONS.items():
        own = [r for r in rows if r["mode"] == mode and "finished" not in r and "error" not in r]
        if own:
            spent = [row for row in ended.values() if row["mode"] == mode]
            hours = sum(row["cpu"] for row in spent) / 3600
            took = f"{len(spent)} cells, {hours:.2f} core-hours."
            parts.append("\n\n".join((f"## {mode}", took, section(own))))
    if failed:
        parts.append("## failed\n\n" + "\n".join(f"- {r['cell']}: {r['error']}" for r in failed))
    return "\n\n".join(parts) + "\n"


def beside_unplanted(rows: list[Row]) -> list[Row]:
    """Return the planted rows, each with what was found of it; those without an unplanted audit
    of the same images are left out.
    """

    def images(row: Row) -> tuple[Any, ...]:
        return row["set"], row["seed"], row.get("count")

    clean = {images(row): row for row in rows if row["cue"] == "none"}
    planted = [row for row in rows if row["cue"] != "none" and images(row) in clean]
    return [row | judged(row, clean[images(row)]) for row in planted]


def _planted(rows: list[Row]) -> str:
    every = beside_unplanted(rows)
    strengths = sorted(distinct(every, "strength"), reverse=True)
    parts = []
    for what, words in (
        ("present", "planted view present"),
        ("found", "present, and not, or much weaker, without the plant"),
        ("named", "cause named"),
        ("named_new", "cause named, of the cues that the unplanted audit has not"),
    ):

        def cell(cues: tuple[str, ...], strength: float, name: str = "", what: str = what) -> Any:
            own = [r for r in every if r["cue"] in cues and r["strength"] == strength]
            own = [r for r in own if not name or r["set"] == name]
            return counted(own, lambda row: row[what])

        body = [[f"all of {len(TEN)} kinds"] + [share(*cell(TEN, s)) for s in strengths]]
        cues = [cue for cue in (*TEN, *MORE) if cue in distinct(every, "cue")]
        body += [[cue] + [brief(*cell((cue,), s)) for s in strengths] for cue in cues]
        body += [
            [f"{name}, {len(TEN)} kinds"] + [brief(*cell(TEN, s, name)) for s in strengths]
            for name in distinct(every, "set")
        ]
        parts.append(table([words, *strengths], body))
    parts.append(_misnamed([r for r in every if r["cue"] in TEN and r["strength"] >= 0.8]))
    parts.append(_unplanted([row for row in rows if row["cue"] == "none"]))
    return "\n\n".join(parts)


def _misnamed(rows: list[Row]) -> str:
    """Say what is named where it is not right, at strengths of 0.8 and more."""

    def said(row: Row) -> str:
        return next((cue["view"] for cue in row["figures"] if cue["present"]), "nothing")

    wrong = Counter((r["cue"], said(r)) for r in rows if not r["named"])
    body = [[cue, view, count] for (cue, view), count in wrong.most_common()]
    return table(["planted", "named instead, at 0.8 or more", "cells"], body)


def _unplanted(rows: list[Row]) -> str:
    body = [
        [row["set"], row["seed"], ", ".join(c["view"] for c in row["figures"] if c["present"])]
        for row in rows
    ]
    return table(["without a plant", "seed", "present"], body)


def _clean(rows: list[Row]) -> str:
    parts = [table(_CLEAN_HEAD, [_clean_row(sort, own) for sort, own in _by(rows, "sort")])]
    for _, own in _by(rows, "sort"):
        body = []
        for name, of_set in _by(own, "set"):
            families = [(f"{name}, {family}", f) for family, f in _by(of_set, "family")]
            body += [_clean_row(name, of_set), *(_clean_row(*pair) for pair in families)]
        parts.append(table(_CLEAN_HEAD, body))
    parts.append(_alarms(rows))
    return "\n\n".join(parts)


_CLEAN_HEAD = (
    "labels",
    "labelings",
    "FAIL",
    "WARN, artefact",
    "WARN, context",
    "PASS",
    "no verdict",
)


def _by(rows: list[Row], key: str) -> list[tuple[Any, list[Row]]]:
    return [(value, [r for r in rows if r[key] == value]) for value in distinct(rows, key)]


def kind_of(row: Row) -> str:
    """Return FAIL, WARN, artefact; WARN, context; PASS; or NONE."""
    if row["verdict"] == "WARN":
        return "WARN, artefact" if row["outcome"] == "artefact" else "WARN, context"
    # What the look at the whole set found and the audit of the labelled images alone did not.
    if row["verdict"] == "PASS" and row["outcome"] == "artefact":
        return "WARN, artefact"
    return str(row["verdict"])


def _clean_row(name: str, rows: list[Row]) -> list[Any]:
    kinds = Counter(map(kind_of, rows))
    of = len(rows) - kinds["NONE"]
    columns = ("FAIL", "WARN, artefact", "WARN, context", "PASS")
    return [name, len(rows), *(share(kinds[k], of) for k in columns), kinds["NONE"]]


def _alarms(rows: list[Row]) -> str:
    """Say which views raise alarms, and by which tests."""
    found: Counter[tuple[str, str, str, str]] = Counter()
    for row in rows:
        for cue in row["figures"]:
            if cue["present"]:
                found[(row["sort"], cue["view"], cue["kind"], ", ".join(cue["reasons"]))] += 1
    return table(
        ["labels", "view", "kind", "by", "labelings"],
        [[*key, count] for key, count in sorted(found.items(), key=lambda pair: -pair[1])],
    )


def _marks(rows: list[Row]) -> str:
    def body(key: str) -> list[list[Any]]:
        return [_marks_row(str(value), own) for value, own in _by(rows, key)]

    head = ["a mark that goes with nothing", "labelings", "FAIL", "WARN, artefact", "WARN, context"]
    return table(head, [_marks_row("all", rows), *body("cue"), *body("set")])


def _marks_row(name: str, rows: list[Row]) -> list[Any]:
    kinds = Counter(map(kind_of, rows))
    columns = ("FAIL", "WARN, artefact", "WARN, context")
    return [name, len(rows), *(share(kinds[kind], len(rows)) for kind in columns)]


def _used(rows: list[Row]) -> str:
    def agrees(row: Row) -> bool:
        said = bool(row["own"] and row["own"].get("used"))
        return said == (row["gap"] >= GAP)

    def line(name: str, own: list[Row]) -> list[Any]:
        follows = [r["own"]["f"][0] for r in own if r["own"] and r["own"].get("f")]
        gaps = [row["gap"] for row in own]
        asked = [r for r in own if r["own"] and r["own"].get("used") is not None]
        mean = f"{sum(follows) / len(follows):.2f}" if follows else "–"
        return [
            name,
            brief(*counted(own, lambda r: bool(r["own"] and r["own"]["present"]))),
            brief(*counted(own, lambda r: bool(r["own"] and r["own"].get("used")))),
            brief(*counted(own, lambda r: r["gap"] >= GAP)),
            mean,
            f"{sum(gaps) / len(gaps):.2f} ({min(gaps):.2f} to {max(gaps):.2f})",
            share(*counted(own, agrees)),
            share(*counted(asked, agrees)),
            Counter(r["verdict"] for r in own).most_common(),
        ]

    without = [row for row in rows if row["cue"] != "jpeg"]
    body = [line("all", rows), line("all but jpeg", without)]
    body += [line(str(v), own) for key in ("cue", "set", "strength") for v, own in _by(rows, key)]
    head = ["cue", "present", "said to be used", f"gap of {GAP} or more", "F", "gap"]
    parts = [table([*head, "agree", "agree, of those asked", "verdicts"], body), _follows(rows)]
    least = min(r["held_out"] for r in rows)
    parts.append(f"Each gap is measured on {least} or more conflict images.")
    return "\n\n".join(parts)


def _follows(rows: list[Row]) -> str:
    """Set the gap beside F, in steps of F."""
    asked = [r for r in rows if r["own"] and r["own"].get("f")]
    body = []
    for low, high in ((-1.0, 0.05), (0.05, 0.15), (0.15, 0.3), (0.3, 0.5), (0.5, 1.01)):
        own = [r["gap"] for r in asked if low <= r["own"]["f"][0] < high]
        if own:
            gaps = f"{sum(own) / len(own):.2f} ({min(own):.2f} to {max(own):.2f})"
            body.append([f"{max(low, 0):g} to {min(high, 1):g}", len(own), gaps])
    return table(["F", "cells", "gap"], body)


def _power(rows: list[Row]) -> str:
    every = beside_unplanted(rows)
    shares = sorted(distinct(every, "strength"), reverse=True)
    parts = []
    for name, own in [("all", every), *_by(every, "cue")]:
        body = [
            [f"{count:,}"]
            + [brief(*counted([r for r in of if r["strength"] == s], _found)) for s in shares]
            for count, of in sorted(_by(own, "count"))
        ]
        parts.append(table([f"{name}: images", *shares], body))
    return "\n\n".join(parts)


def _found(row: Row) -> bool:
    return bool(row["found"])


def _cleanlab(rows: list[Row]) -> str:
    clean = {(r["set"], r["seed"]): set(r["flags"]) for r in rows if r["cue"] == "none"}

    def new(row: Row) -> bool:
        return bool(set(row["flags"]) - clean.get((row["set"], row["seed"]), set()))

    body = []
    for cue, own in _by(rows, "cue"):
        flags = Counter(flag for row in own for flag in row["flags"])
        told = ", ".join(f"{flag.removesuffix('_score')} {n}" for flag, n in flags.items())
        flagged, named = (
            counted(own, lambda r: bool(r["flags"])),
            counted(own, lambda r: r["named"]),
        )
        body.append([cue, brief(*flagged), brief(*counted(own, new)), brief(*named), told or "–"])
    head = ["cleanlab, at 0.95", "flagged", "and not without the plant", "named", "properties"]
    ten = [row for row in rows if row["cue"] in TEN]
    kinds = {row["cue"] for row in ten if new(row)}
    told = f"Ten kinds: {share(*counted(ten, new))} cells flagged, and not so without the plant; "
    return table(head, body) + f"\n\n{told}{len(kinds)} of {len(set(distinct(ten, 'cue')))} kinds."


def _growth(rows: list[Row]) -> str:
    head = ["data", "target", "networks", "images", "threads", "seconds", "peak GB", "verdict"]
    keys = ("set", "target", "networks", "images", "threads", "wall", "peak_gb", "said")
    return table(head, [[row[key] for key in keys] for row in rows])


SECTIONS: dict[str, Callable[[list[Row]], str]] = {
    "planted": _planted,
    "clean": _clean,
    "marks": _marks,
    "used": _used,
    "power": _power,
    "cleanlab": _cleanlab,
    "growth": _growth,
}
