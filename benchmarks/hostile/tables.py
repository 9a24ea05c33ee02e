"""Tables: Parquet by its columns, footer and pages; CSV by its cells; small ones that are large.

A *bomb* is a table of the right columns that is a few kilobytes on disk and gigabytes in memory:
one long text, or one number, in millions of rows, written as a dictionary of one entry.
"""

from __future__ import annotations

import functools
import io
import random
import struct
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.hostile.arena import EVIL
from benchmarks.hostile.values import CODE, ESCAPES, paths

#: an extension type that pyarrow once unpickled when it met it.
_PICKLE = f"c{EVIL}\nload\n(tR.".encode()
_ROWS = {"long": 3_000_000, "rows": 30_000_000, "wide": 10}


def mutate_parquet(content: bytes, rng: random.Random, victim: Path) -> tuple[bytes, str]:
    """Change a Parquet file; say how."""
    how = rng.choice(("table", "table", "table", "footer", "footer", "pages", "bomb"))
    if how == "footer":
        return _change_footer(content, rng)
    if how == "pages":
        return flipped(content, rng, 4, max(5, len(content) - 2000)), "pages"
    try:
        # A footer that was changed before may claim anything: only small files are read here.
        file = pq.ParquetFile(io.BytesIO(content))
        if file.metadata.num_rows > 10_000 or file.metadata.num_columns > 1000:
            return flipped(content, rng, 0, len(content)), "bytes"
        table = file.read()
    except Exception:
        return flipped(content, rng, 0, len(content)), "bytes"
    if how == "bomb":
        kind = rng.choice([*_ROWS])
        return bomb(tuple(table.column_names), kind), f"bomb: {kind}"
    try:
        table, done = _change_table(table, rng, victim)
        stream = io.BytesIO()
        groups = rng.choice((None, 1, 100)) if table.num_columns < 50 else None
        pq.write_table(table, stream, row_group_size=groups)
    except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
        return content[: rng.randrange(len(content))], f"cut ({type(error).__name__})"
    return stream.getvalue(), done


def _change_table(table: pa.Table, rng: random.Random, victim: Path) -> tuple[pa.Table, str]:
    names = table.column_names
    i = rng.randrange(max(1, len(names)))
    hows = (
        "drop",
        "rename",
        "retype",
        "retype",
        "cell",
        "cell",
        "rows",
        "double",
        "metadata",
        "wide",
    )
    how = rng.choice(hows) if names else "wide"
    if how == "drop":
        return table.remove_column(i), f"drop {names[i]}"
    if how == "rename":
        new = rng.choice((*ESCAPES, "", "task_999", names[0], "task_000", "x" * 10**5))
        return table.rename_columns(
            [new if j == i else n for j, n in enumerate(names)]
        ), f"name {new!r:.40}"
    if how == "double":
        return table.append_column(names[i], table.column(i)), f"double {names[i]}"
    if how == "rows":
        count = rng.choice((0, 1, len(table) - 1, len(table) // 2))
        taken = table.slice(0, max(0, count))
        return (taken if rng.random() < 0.6 else pa.concat_tables([table, table])), f"rows {count}"
    if how == "wide":
        column = pa.nulls(len(table), pa.uint8())
        extra = {f"task_{j:05d}": column for j in range(3000)}
        own = dict(zip(names, table.columns, strict=True))
        return pa.table({**own, **extra}), "3000 columns more"
    if how == "metadata":
        known: dict[Any, Any] = {b"pandas": rng.choice((b"{", b'{"index_columns": ["x"]}', b"[]"))}
        extension = {
            b"ARROW:extension:name": b"arrow.py_extension_type",
            b"ARROW:extension:metadata": _PICKLE,
        }
        field = table.schema.field(i).with_metadata(extension)
        return table.cast(table.schema.set(i, field)).replace_schema_metadata(known), "metadata"
    column, done = _change_column(table.column(i).combine_chunks(), how, rng, victim)
    return table.set_column(i, names[i], column), f"{names[i]}: {done}"


def _change_column(column: Any, how: str, rng: random.Random, victim: Path) -> tuple[Any, str]:
    count = len(column)
    if how == "cell" and count:
        values = column.to_pylist()
        row = rng.randrange(count)
        kind = column.type
        choices: list[Any] = [None]
        if pa.types.is_floating(kind):
            choices += [float("nan"), float("inf"), 1e308, -1.0]
        elif pa.types.is_integer(kind):
            choices += [0, 1, 127, 255 if kind == pa.uint8() else 10**9, -1]
        elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
            choices += [*ESCAPES, "", *CODE, *paths(victim), "x" * 10**6, "0", "<script>"]
        values[row] = rng.choice(choices)
        if rng.random() < 0.2:
            values = [values[row]] * count
        return pa.array(values, kind), f"cell {values[row]!r:.40}"
    makers: dict[str, Any] = {
        "null": lambda: pa.nulls(count),
        "text": lambda: pa.array([rng.choice((*ESCAPES, "a"))] * count),
        "float": lambda: pa.array([0.5] * count),
        "huge": lambda: pa.array([2**62] * count),
        "negative": lambda: pa.array([-1] * count),
        "list": lambda: pa.array([[1, 2]] * count),
        "struct": lambda: pa.array([{"bytes": b"x", "path": "../victim/file.txt"}] * count),
        "binary": lambda: pa.array([b"\xff\x00"] * count),
        "time": lambda: pa.array([2**62] * count, pa.timestamp("s")),
        "bool": lambda: pa.array([True] * count),
        "decimal": lambda: pa.nulls(count, pa.decimal256(70, 3)),
        "map": lambda: pa.array([[("a", 1)]] * count, pa.map_(pa.string(), pa.int64())),
    }
    kind = rng.choice([*makers])
    return makers[kind](), kind


def _change_footer(content: bytes, rng: random.Random) -> tuple[bytes, str]:
    if len(content) < 12:  # another mutation has cut it
        return content, "too short to change"
    (length,) = struct.unpack("<I", content[-8:-4])
    if rng.random() < 0.3:
        new = rng.choice((0, 1, length + 1, length - 1, len(content), 2**31, 2**32 - 1)) % 2**32
        return content[:-8] + struct.pack("<I", new) + content[-4:], f"footer length {new}"
    start = max(4, len(content) - 8 - length)
    return flipped(content, rng, start, len(content) - 8), "footer"


@functools.cache
def bomb(names: tuple[str, ...], kind: str) -> bytes:
    """Return a table of these columns that is small on disk and large in memory.

    Args:
        names: of its columns.
        kind: `long` texts, many `rows`, or one `wide` cell.
    """
    rows = _ROWS[kind]
    text = {"long": "x" * 1000, "rows": "0", "wide": "x" * 200_000_000}[kind]
    indices = pa.repeat(pa.scalar(0, pa.int32()), rows)
    columns = {}
    for name in names:
        is_text = name in ("image_id", "partition", "digest", "task", "learner") or name == names[0]
        if kind == "wide" and name != names[0]:
            is_text = False
        values = pa.array([text] if is_text else [0])
        columns[name] = pa.DictionaryArray.from_arrays(indices, values)
    stream = io.BytesIO()
    pq.write_table(pa.table(columns), stream, store_schema=False, compression="zstd")
    return stream.getvalue()


def mutate_csv(content: bytes, rng: random.Random, victim: Path) -> tuple[bytes, str]:
    """Change a CSV file; say how."""
    lines = content.decode("utf-8", "replace").splitlines() or [""]
    row = rng.randrange(len(lines)) if rng.random() < 0.6 else 0
    cells = lines[row].split(",")
    texts = (
        *ESCAPES,
        *paths(victim),
        '"',
        '""x"',
        "",
        "x" * 10**6,
        ",",
        "\n",
        "=1+1",
        "nan",
        "1e999",
    )
    how = rng.choice(
        ("cell", "cell", "cell", "columns", "columns", "rows", "rows", "bytes", "wide")
    )
    if how == "cell":
        cells[rng.randrange(len(cells))] = text = rng.choice(texts)
        lines[row] = ",".join(cells)
        how = f"cell {text!r:.40} in line {row}"
    elif how == "columns":
        lines[row] = ",".join(cells[: rng.randrange(len(cells) + 1)] or ["x"] * 5)
    elif how == "rows":
        lines = rng.choice((lines[:1], lines[1:], [], lines * 50, [lines[0]] * 3))
    elif how == "wide":
        lines[0] = ",".join([lines[0], *(f"c{i}" for i in range(20_000))])
    new = "\n".join(lines).encode("utf-8", "surrogatepass")
    if how == "bytes":
        new = rng.choice((b"\xff\xfe", b"\xef\xbb\xbf", b"\x00", b"PK\x03\x04")) + new
    return new, how


def flipped(content: bytes, rng: random.Random, start: int, end: int) -> bytes:
    """Change, cut or put in some bytes between two places."""
    new = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        place = rng.randrange(start, max(start + 1, min(end, len(new) + 1)))
        replaced = rng.randbytes(rng.choice((0, 1, 1, 4)))
        new[place : place + rng.choice((0, 1, 1, 4))] = replaced
    return bytes(new)
