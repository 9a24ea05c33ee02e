"""No file makes a reader take a gigabyte, or ten seconds, that the file does not hold.

Each hostile file is read by a process of its own, forked from one that has imported the package,
with a gigabyte of address space above what is mapped then.
"""

import io
import json
import math
import os
import struct
import subprocess
import sys
import time
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import taskdiscovery as td
from taskdiscovery.data.formats import columnar
from taskdiscovery.data.formats.footer import footer_of
from taskdiscovery.data.formats.pages import pages_of
from taskdiscovery.data.images import work
from taskdiscovery.data.labels.tabular import read_table
from taskdiscovery.errors import DataError
from taskdiscovery.runtime.budget import SMALL, Budget, Gate

ROOM, SECONDS = 2**30, 10
N = 12


# ---------------------------------------------------------------- in the child


def _read(job):
    """Do a job; return what came of it, in words."""
    import resource

    from taskdiscovery import data as reading

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (mapped + ROOM, mapped + ROOM))
    start = time.monotonic()
    said = {"error": "", "what": "", "problems": [], "columns": [], "images": 0}
    try:
        if "table" in job:
            columnar.table_from_bytes(Path(job["table"]).read_bytes(), "tasks.parquet")
        elif "labels" in job:
            images = td.from_arrays(np.arange(N * 64, dtype=np.uint8).reshape(N, 8, 8))
            found = reading.read_labelings(Path(job["labels"]), images, job.get("columns"))
            said["columns"] = [labeling.name for labeling in found]
        else:
            found = td.load(job["data"], callbacks=[])
            attributes = [] if found.attributes is None else list(found.attributes.columns)
            said |= {"problems": found.problems, "columns": attributes, "images": len(found)}
    except td.DataError as error:
        said |= {"error": "DataError", "what": str(error)}
    except BaseException as error:
        said |= {"error": type(error).__name__, "what": str(error)}
    said["seconds"] = time.monotonic() - start
    said["grew"] = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    return said


def _main(jobs, out):
    """Do each job in a child of this process; none of them may hang."""
    import signal

    import taskdiscovery.data.images.decode
    import taskdiscovery.data.loading
    import taskdiscovery.data.readers.adapters  # noqa: F401

    for name, job in json.loads(Path(jobs).read_text()).items():
        pid = os.fork()
        if not pid:
            signal.alarm(3 * SECONDS)
            Path(out, f"{name}.json").write_text(json.dumps(_read(job)))
            os._exit(0)
        os.waitpid(pid, 0)


if __name__ == "__main__":
    _main(*sys.argv[1:])
    sys.exit()


# ---------------------------------------------------------------- hostile files


def picture(i):
    """Return a small PNG."""
    return png(8, 8, 8, 0, bytes([7 * i + 1, 9]))


def png(width, height, bits, kind, value, more=b""):
    """Return a PNG of one colour, which may have chunks in front of its pixels."""
    packed, row = zlib.compressobj(1), b"\0" + value * (_bytes(width, bits, kind) // len(value))
    body = b"".join(packed.compress(row) for _ in range(height)) + packed.flush()
    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + more + _chunk(b"IDAT", body)) + _chunk(
        b"IEND", b""
    )


def _bytes(width, bits, kind):
    return width * bits * {0: 1, 2: 3, 6: 4}[kind] // 8


def _chunk(kind, content):
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


def repeated(value, rows):
    """Return a column of one value that stands in a dictionary."""
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array([value]))


def write(path, columns, groups=1, **options):
    """Write columns as Parquet, of which Arrow does not say how it had them."""
    table = pa.table(columns)
    with pq.ParquetWriter(
        path,
        table.schema,
        compression="zstd",
        store_schema=False,
        write_statistics=False,
        **options,
    ) as f:
        for _ in range(groups):
            f.write_table(table)
    return path


def pictures(count=N):
    return pa.array([picture(i % 30) for i in range(count)], pa.binary())


def npz(path, declared, **arrays):
    """Write an npz file; arrays that are `declared` say another shape than theirs, of one byte."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.save(content, array)
            archive.writestr(f"{name}.npy", content.getvalue())
        for name, (kind, shape, _) in declared.items():
            content = io.BytesIO()
            header = {"descr": kind, "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(content, header)
            archive.writestr(f"{name}.npy", content.getvalue() + b"\0")
    blob = bytearray(path.read_bytes())
    for name, (_, _, size) in declared.items():  # what the archive says of it
        for signature, offset, start in ((b"PK\x03\x04", 22, 30), (b"PK\x01\x02", 24, 46)):
            place = blob.index(signature)
            while blob[place + start : place + start + len(name)] != name.encode():
                place = blob.index(signature, place + 1)
            blob[place + offset : place + offset + 4] = size.to_bytes(4, "little")
    path.write_bytes(bytes(blob))
    return path


def sparse(path, beginning, size=2**40):
    with path.open("wb") as stream:
        stream.write(beginning)
        stream.truncate(size)
    return path


def captions(place):
    columns = {"image": pictures(10_000), "caption": repeated("x" * 1_000_000, 10_000)}
    return {"data": f"parquet:{write(place / 'x.parquet', columns)}"}


def categories(place):
    """What pandas calls a categorical, which stays one until somebody looks at its values."""
    columns = {"image": pictures(5000), "caption": repeated("x" * 1_000_000, 5000)}
    pq.write_table(pa.table(columns), place / "x.parquet", compression="zstd")
    return {"data": f"parquet:{place / 'x.parquet'}"}


def captions_beside(place):
    """A column that pyarrow reads with the one whose name is the beginning of its own."""
    columns = {"image": pictures(5000), "a": np.arange(5000) % 2}
    columns["a.caption"] = repeated("x" * 1_000_000, 5000)
    return {"data": f"parquet:{write(place / 'x.parquet', columns)}"}


def long_labels(place):
    columns = {"image": pictures(5000), "label": repeated("x" * 1_000_000, 5000)}
    return {"data": f"parquet:{write(place / 'x.parquet', columns)}"}


def prefixes(place):
    """Texts of three million letters, of which the file holds the last ones only."""
    texts = pa.array([f"{'x' * 3_000_000}{i}" for i in range(20)])
    columns = {"image": pictures(20), "caption": texts, "kind": ["a", "b"] * 10}
    options = {"use_dictionary": False, "column_encoding": {"caption": "DELTA_BYTE_ARRAY"}}
    return {"data": f"parquet:{write(place / 'x.parquet', columns, groups=6, **options)}"}


def wide(place):
    values = pa.array([b"x" * 1_000_000] * 100, pa.binary(1_000_000))
    columns = {"image": pictures(100), "blob": values}
    return {"data": f"parquet:{write(place / 'x.parquet', columns)}"}


def padded(place):
    """One picture, which ends in 20 MB of zeros, many times."""
    values = repeated(picture(1) + bytes(20_000_000), 100)
    return {"data": f"parquet:{write(place / 'x.parquet', {'image': values})}"}


def padded_each(place):
    """Each picture ends in zeros of its own, all in one page."""
    content = np.zeros((30, 9_000_000), np.uint8)
    for i in range(30):
        own = np.frombuffer(picture(i), np.uint8)
        content[i, : len(own)] = own
    offsets = np.arange(31, dtype=np.int32) * 9_000_000
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(content)]
    columns = {"image": pa.Array.from_buffers(pa.binary(), 30, buffers)}
    options = {"use_dictionary": False, "data_page_size": 2**30}
    return {"data": f"parquet:{write(place / 'x.parquet', columns, **options)}"}


def lists_of_zeros(rows, *shape):
    """Return (rows, *shape) zeros as nested lists."""
    values = pa.array(np.zeros(rows * math.prod(shape), np.uint8))
    for count in reversed(shape):
        offsets = np.arange(0, len(values) + 1, count, dtype=np.int32)
        values = pa.ListArray.from_arrays(offsets, values)
    return values


def zeros_in_lists(place):
    columns = {"image": lists_of_zeros(80, 1000, 1000)}
    return {"data": f"parquet:{write(place / 'x.parquet', columns)}"}


def many_rows(place):
    columns = {"image": pa.nulls(2_000_000, pa.binary()), "label": np.zeros(2_000_000, np.int8)}
    return {"data": f"parquet:{write(place / 'x.parquet', columns, groups=20)}"}


def captions_of_labels(place):
    columns = {"task": repeated("x" * 1_000_000, 3000), "id": [str(i) for i in range(3000)]}
    return {"labels": str(write(place / "x.parquet", columns))}


def table_of_a_run(place):
    columns = {"task": repeated("x" * 1_000_000, 3000), "id": [str(i) for i in range(3000)]}
    return {"table": str(write(place / "x.parquet", columns))}


def nested_of_labels(place):
    columns = {"pixels": lists_of_zeros(N, 5_000_000), "task": [0, 1] * (N // 2)}
    return {"labels": str(write(place / "x.parquet", columns))}


def npz_of_zeros(place):
    size = 2**31
    path = npz(place / "x.npz", {"images": ("|u1", (2**21, 32, 32), size + 128)})
    return {"data": f"npz:{path}"}


def npz_that_lies(place):
    path = npz(place / "x.npz", {"images": ("|u1", (2**20, 64, 64), 129)})
    return {"data": f"npz:{path}"}


def npz_captions(place):
    images = np.arange(N * 64, dtype=np.uint8).reshape(N, 8, 8)
    size = N * 4 * 40_000_000
    kinds = {"attr_caption": (f"<U{40_000_000}", (N,), size + 128)}
    path = npz(place / "x.npz", kinds, images=images, attr_kind=np.arange(N))
    return {"data": f"npz:{path}"}


def npz_of_labels(place):
    path = npz(place / "x.npz", {"task": ("<i8", (2**27,), 2**30 + 128)})
    return {"labels": str(path)}


def one_line(place):
    return {"data": f"csv:{sparse(place / 'x.csv', b'file,label')}"}


def sparse_table(place):
    return {"labels": str(sparse(place / "x.csv", b"id,task\n" + b"1,2\n" * 2_000_000))}


def many_columns(place):
    (place / "x.csv").write_text(",".join(map(str, range(300_000))) + "\n" + "1," * 299_999 + "1")
    return {"labels": str(place / "x.csv")}


def many_cells(place):
    (place / "x.csv").write_text(("a" + "," * 999 + "\n") * 40_000)
    return {"labels": str(place / "x.csv")}


def sparse_picture(place):
    beginning = png(8, 8, 8, 0, b"\1")[:33] + struct.pack(">I", 2**31 - 1) + b"eXIf"
    sparse(place / "a.png", beginning)
    (place / "b.png").write_bytes(picture(2))
    return {"data": f"folder:{place}"}


def deep_picture(place):
    (place / "a.png").write_bytes(png(8000, 8000, 16, 6, b"\x7f\x10"))
    return {"data": f"folder:{place}"}


def large_pictures(place):
    content = png(8000, 7990, 8, 2, b"\1")
    for i in range(6):
        (place / f"{i}.png").write_bytes(content)
    return {"data": f"folder:{place}"}


def pipe(place):
    os.mkfifo(place / "pipe")
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    cells = [{"bytes": None, "path": "pipe"}, {"bytes": None, "path": "/dev/zero"}]
    pq.write_table(pa.table({"image": pa.array(cells, kind)}), place / "x.parquet")
    return {"data": f"parquet:{place / 'x.parquet'}"}


#: what comes of each hostile file: a part of the error; or what is left out, and what is read.
REFUSED = {
    long_labels: "column label",
    padded_each: "a page of column image",
    zeros_in_lists: "rows of column image",
    many_rows: "40,000,000 rows",
    captions_of_labels: "no labelings",
    table_of_a_run: "column task declares",
    npz_of_zeros: "array images declares",
    npz_that_lies: "images.npy declares",
    npz_of_labels: "array task declares",
    one_line: "first line",
    sparse_table: "a table of",
    many_columns: "300,000 columns",
    many_cells: "a table of",
    sparse_picture: "too large",
    deep_picture: "8000×8000",
    large_pictures: "8000×7990",
    pipe: "regular",
}
LEFT_OUT = {
    captions: ("caption", []),
    categories: ("caption", []),
    captions_beside: ("a.caption", ["a"]),
    prefixes: ("caption", ["kind"]),
    wide: ("blob", []),
    npz_captions: ("attr_caption", ["kind"]),
}
READ = {padded: [], nested_of_labels: ["task"]}
HOSTILE = [*REFUSED, *LEFT_OUT, *READ]


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """What comes of every hostile file."""
    place = tmp_path_factory.mktemp("hostile")
    jobs = {}
    for made in HOSTILE:
        (place / made.__name__).mkdir()
        jobs[made.__name__] = made(place / made.__name__)
    (place / "jobs.json").write_text(json.dumps(jobs))
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(sys.path),
        "TASKDISCOVERY_CACHE": str(place / "cache"),
        "ARROW_DEFAULT_MEMORY_POOL": "system",  # others reserve what they may never use
    }
    command = [sys.executable, "-W", "ignore", __file__, place / "jobs.json", place]
    subprocess.run(command, env=environment, check=True, timeout=300)
    found = {name: place / f"{name}.json" for name in jobs}
    return {n: json.loads(p.read_text()) if p.exists() else None for n, p in found.items()}


@pytest.mark.parametrize("made", HOSTILE, ids=lambda made: made.__name__)
def test_fault_64_a_hostile_file_costs_little(said, made):
    told = said[made.__name__]
    assert told is not None, "it hung, or was killed"
    assert told["grew"] < ROOM, told
    assert told["seconds"] < SECONDS, told
    if made in REFUSED:
        assert told["error"] == "DataError", told
        assert REFUSED[made] in told["what"], told
    elif made in LEFT_OUT:
        column, others = LEFT_OUT[made]
        assert f"1 column is too large to be read and left out: {column}" in told["problems"], told
        assert told["columns"] == others
    else:
        assert told["error"] == "", told
        assert told["columns"] == READ[made], told


def test_what_files_hold_is_read_as_before(tmp_path):
    """Texts of all kinds, encodings, groups and pages, as pandas reads them."""
    n = 3000
    numbers = np.arange(n)
    frame = pd.DataFrame(
        {
            "whole": numbers,
            "some": pd.array([None if i % 4 == 0 else i for i in range(n)], dtype="Int64"),
            "real": numbers / 7,
            "text": [f"a{i % 7}" for i in range(n)],
            "gaps": [None if i % 3 else f"own {i}" for i in range(n)],
            "truth": numbers % 2 == 0,
            "kind": pd.Categorical([f"c{i % 3}" for i in range(n)]),
            "time": pd.date_range("2020", periods=n, freq="h", tz="Europe/Paris"),
            "bytes": [b"xx"] * n,
            "list": [[1, 2]] * n,
            "part": [{"a": 1, "b": "x"}] * n,
        },
        index=pd.Index([f"id{i}" for i in range(n)], name="image_id"),
    )
    deltas = {"text": "DELTA_BYTE_ARRAY", "gaps": "DELTA_LENGTH_BYTE_ARRAY"}
    for options in (
        {},
        {"data_page_version": "2.0", "compression": "zstd"},
        {"use_dictionary": False, "row_group_size": 700},
        {"use_dictionary": False, "column_encoding": deltas, "data_page_size": 1000},
    ):
        content = io.BytesIO()
        frame.to_parquet(content, **options)
        read = columnar.table_from_bytes(content.getvalue(), "x")
        pd.testing.assert_frame_equal(read, pd.read_parquet(content))
        (tmp_path / "x.parquet").write_bytes(content.getvalue())
        pd.testing.assert_frame_equal(read_table(tmp_path / "x.parquet"), read)
    some = columnar.table_from_bytes(content.getvalue(), "x", ["text", "whole"])
    assert list(some.columns) == ["text", "whole"]


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + b"\xff" * 64 + b"PAR1"])
def test_fault_44_a_damaged_table_is_refused(content):
    with pytest.raises(DataError, match="not a readable Parquet"):
        columnar.table_from_bytes(content, "tasks.parquet")
    good = io.BytesIO()
    pd.DataFrame({"a": [1, 2]}).to_parquet(good)
    with pytest.raises(DataError, match=r"no column .b."):
        columnar.table_from_bytes(good.getvalue(), "tasks.parquet", ["b"])


def test_pages_that_contradict_the_footer_are_refused(tmp_path):
    path = write(tmp_path / "x.parquet", {"a": np.arange(1000)}, use_dictionary=False)
    content = bytearray(path.read_bytes())
    with path.open("rb") as stream:
        footer = footer_of(stream)
        pages = pages_of(stream, footer.groups[0][1][0])
    arrow = pq.read_metadata(path).row_group(0).column(0)
    assert (footer.rows, pages.values, pages.longest) == (1000, 1000, 0)
    assert 8000 <= pages.unpacked < arrow.total_uncompressed_size
    assert pages.stored < arrow.total_compressed_size
    place = content.index(b"\xd0\x0f")  # 1000, in the header of the page
    for value in (b"\xce\x0f", b"\xd2\x0f", b"\xcf\x0f", b"\xff\xff"):
        content[place : place + 2] = value
        with pytest.raises(DataError, match="not a readable Parquet"):
            columnar.table_from_bytes(bytes(content), "x")


def test_a_budget_is_held_to():
    budget = Budget(1000, "x.csv")
    budget.take(600, "a")
    with pytest.raises(DataError, match="b declares 500 bytes, and may take 400 bytes") as caught:
        budget.take(500, "b")
    assert caught.value.where == "x.csv"
    assert (budget.left, budget.taken, budget.part(0.5).left) == (400, 600, 400)
    assert Budget.of(10, "x").total == min(SMALL, Budget.of(10**12, "x").total)


def test_threads_wait_for_memory():
    gate, most, now = Gate(100), [], []

    def work(size):
        with gate.entered() as hold:
            hold(size)
            now.append(min(size, 100))
            most.append(sum(now))
            time.sleep(0.001)
            now.remove(min(size, 100))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, [40, 70, 10, 500, 30, 100, 60] * 10))
    assert max(most) <= 100
    assert len(most) == 70


def test_a_disk_without_room_is_found_before_images_are_written(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(picture(1))
    (tmp_path / "b.png").write_bytes(picture(2))
    free = type("Usage", (), {"free": 100})
    monkeypatch.setattr("shutil.disk_usage", lambda place: free)
    with pytest.raises(OSError, match="take 128 bytes, 100 are free"):
        td.load(f"folder:{tmp_path}", cache=tmp_path / "cache")


def test_bytes_that_wait_are_few():
    """Photographs of a Parquet file are in memory as few as their size allows."""
    size, given, most = 2**21, 0, 0

    def photographs():
        nonlocal given
        for _ in range(400):
            given += 1
            yield bytes(size)

    with ThreadPoolExecutor(2) as pool:
        done = 0
        for count in work.over(pool, photographs(), len, lambda source: source):
            most = max(most, given - done)
            done += count
    assert done == 400
    assert most * size < 2**29
