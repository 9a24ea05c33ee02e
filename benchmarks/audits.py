"""How good is the audit? Planted cues, clean labels, networks, power, cleanlab, and what it costs.

Each mode is a list of cells; each finished cell is added to a ledger, one JSON document a line, so
that a study can be stopped and goes on where it was. `--summary` prints the tables of a ledger.

    python -m benchmarks.audits planted --data ../shared/data --rows planted.jsonl --jobs 2
    python -m benchmarks.audits --summary planted.jsonl clean.jsonl

| mode | what is done |
|---|---|
| `planted` | fifteen cues, four strengths, six labelings of three data sets; and no plant |
| `clean` | natural labelings, classes drawn by chance, pictures that are all taken alike |
| `marks` | a cue in half of the images of either class: it goes with nothing |
| `used` | whether networks follow a cue, beside the gap of accuracy of other networks |
| `power` | what is found of few images and of weak cues |
| `cleanlab` | its check of spurious correlations on the planted sets at 0.95 |
| `growth` | seconds and memory of `td.audit` in a process of its own; run it with `--jobs 1` |

Thresholds were tuned on rows 0 to 9,999 of CIFAR-10's training part and on seed 0 of the planted
draws, neither of which is read here. What is counted stands in `auditing/answers.py`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from benchmarks.auditing import ledger
from benchmarks.auditing.summary import summary
from benchmarks.provenance import about, add_output, deliver

MODES = ("planted", "clean", "marks", "used", "power", "cleanlab", "growth")


def cells(options: argparse.Namespace) -> list[ledger.Cell]:
    """Return the cells of a mode."""
    # The engine and its networks are imported only where cells are done.
    from benchmarks.auditing import beside, cells, trained, whole

    where, mode = options.data.resolve(), options.mode
    if mode == "clean":
        return cells.clean_cells(where, options.emoji, options.only)
    if mode == "cleanlab":
        return beside.cleanlab_cells(where, options.cleanlab)
    if mode == "growth":
        return whole.growth_cells(where, options.threads)
    plain = {
        "planted": cells.planted_cells,
        "marks": cells.marks_cells,
        "used": trained.used_cells,
        "power": cells.power_cells,
    }
    return plain[mode](where)


def document(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what is kept of a study: its tables, and its rows with the views that matter."""
    kept = []
    for row in rows:
        few = [cue for cue in row.get("figures", ()) if cue["present"]]
        kept.append(row | {"figures": few} if "figures" in row else row)
    return {"summary": summary(rows).splitlines(), "rows": kept, "environment": about()}


def main() -> None:
    """Do the cells of a mode, or print the tables of ledgers."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.audits", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("mode", nargs="?", choices=MODES)
    parser.add_argument("--data", type=Path, help="the folder of real images")
    parser.add_argument("--rows", type=Path, help="the ledger: finished cells, one a line")
    parser.add_argument("--jobs", type=int, default=1, help="processes of one thread each")
    parser.add_argument("--limit", type=int, default=None, help="do at most so many cells now")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="WORD[,WORD]",
        help="cells whose key has one of these words; given twice, both must hold",
    )
    parser.add_argument("--emoji", type=Path, help="the npm package emoji-datasource-google")
    parser.add_argument("--cleanlab", default=sys.executable, help="a Python that has cleanlab")
    parser.add_argument("--threads", type=int, default=2, help="of `growth`")
    parser.add_argument("--list", action="store_true", help="print the cells, and do none")
    parser.add_argument("--summary", type=Path, nargs="+", help="print the tables of ledgers")
    add_output(parser)
    options = parser.parse_args()
    if options.mode is not None:
        if options.data is None:
            parser.error("say with --data where the real images are")
        every = ledger.chosen(cells(options), options.only)
        if options.list:
            print("\n".join(cell.name for cell in every))
            return
        if options.rows is None:
            parser.error("say with --rows where finished cells are kept")
        ledger.fill(options.rows, every, options.jobs, options.limit)
        options.summary = options.summary or [options.rows]
    elif options.summary is None:
        parser.error("name a mode, or ledgers with --summary")
    rows = [row for place in options.summary for row in ledger.read(place)]
    if options.json or options.out:
        deliver(document(rows), options)
    if not options.json:
        print(summary(rows))


if __name__ == "__main__":
    main()
