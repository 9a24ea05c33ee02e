"""How long searches take on a table of features of a million rows, and how much memory.

The table is made, on disk, in float16: clusters of unequal sizes and noise of unequal variances.
Each row of the output is a process of its own on the same cores: `discover` by power iteration of
ridges, by pursuit, and scikit-learn's IncrementalPCA with MiniBatchKMeans. Memory is the largest
anonymous memory (mapped pages are not counted), looked at five times a second, as in `growth`.
Where the machine is busy, `cpu_s` (of all threads) says more than the seconds that passed.

    python -m benchmarks.table --rows 1280000 --threads 2
    python -m benchmarks.table --ways power pursuit --device cuda

Axes: N rows, P features, K clusters.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.provenance import about, add_output, deliver

CLUSTERS, COMPONENTS, BLOCK = 40, 384, 10_000
#: of the asked: seconds, and GB of anonymous memory.
ASKED = {"power": 180.0, "pursuit": 480.0}
MEMORY = 3.0


def write(place: Path, N: int, P: int, seed: int = 0) -> None:
    """Write the table, a block at a time."""
    rng = np.random.default_rng(seed)
    centres_KP = rng.normal(size=(CLUSTERS, P)) * (1 + np.arange(P)) ** -0.3
    shares_K = rng.dirichlet(np.full(CLUSTERS, 2.0))
    mixing_PP = np.linalg.qr(rng.normal(size=(P, P)))[0] * (1 + np.arange(P)) ** -0.4 * 4
    table_NP = np.lib.format.open_memmap(place, mode="w+", dtype=np.float16, shape=(N, P))
    for start in range(0, N, BLOCK):
        n = min(BLOCK, N - start)
        own_n = rng.choice(CLUSTERS, size=n, p=shares_K)
        noise_nP = rng.standard_normal((n, P), dtype=np.float32) @ mixing_PP.T.astype(np.float32)
        table_NP[start : start + n] = centres_KP[own_n] + noise_nP
    table_NP.flush()


def discover(place: Path, method: str, options: argparse.Namespace) -> dict[str, Any]:
    """Search in this process; return what `result.json` says in brief."""
    import taskdiscovery as td

    data = td.load(place, callbacks=())
    began = time.perf_counter()
    given = {"tasks": options.tasks, "threads": options.threads, "device": options.device}
    found = td.discover(data, method=method, callbacks=(), **given)
    took = time.perf_counter() - began
    rows = found.numbers["tasks"]
    return {
        "search_s": round(took, 1),
        "tasks": len(rows),
        "crossfit_correlation": [rows[0]["crossfit_correlation"], rows[-1]["crossfit_correlation"]],
        "iterations": len(found.numbers["iterations"]),
    }


def peers(place: Path, threads: int) -> dict[str, Any]:
    """Do the same with scikit-learn: components in blocks, then clusters in small batches."""
    from sklearn.cluster import MiniBatchKMeans
    from sklearn.decomposition import IncrementalPCA
    from threadpoolctl import threadpool_limits

    table_NP, began = np.load(place, mmap_mode="r"), time.perf_counter()
    with threadpool_limits(threads):
        pca = IncrementalPCA(COMPONENTS)
        blocks = [table_NP[i : i + BLOCK] for i in range(0, len(table_NP), BLOCK)]
        for block_nP in blocks:
            if len(block_nP) >= COMPONENTS:
                pca.partial_fit(block_nP.astype(np.float32))
        components = time.perf_counter() - began
        kmeans = MiniBatchKMeans(32, batch_size=BLOCK, n_init=1, random_state=0)
        for block_nP in blocks:
            kmeans.partial_fit(pca.transform(block_nP.astype(np.float32)).astype(np.float32))
        for block_nP in blocks:
            kmeans.predict(pca.transform(block_nP.astype(np.float32)).astype(np.float32))
    took = time.perf_counter() - began
    return {"search_s": round(took, 1), "components_s": round(components, 1)}


def measured(name: str, place: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Run one of them in a process of its own; return its numbers, memory and seconds."""
    command = [sys.executable, "-m", "benchmarks.table", "--only", name, "--table", str(place)]
    command += ["--threads", str(options.threads), "--tasks", str(options.tasks)]
    command += ["--device", options.device]
    environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads)}
    began, largest = time.perf_counter(), 0
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        while process.poll() is None:
            for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
                if line.startswith("RssAnon:"):
                    largest = max(largest, int(line.split()[1]) * 1024)
            time.sleep(0.2)
    except OSError:  # it has just ended
        pass
    except SystemExit:
        process.terminate()
        raise
    took = time.perf_counter() - began
    assert process.stdout is not None
    output = process.stdout.read()
    if process.wait() != 0:
        raise RuntimeError(f"{name} failed")
    row = {"way": name, "s": round(took, 1), "gb": round(largest / 1e9, 3)}
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    row["cpu_s"] = round(spent.ru_utime + spent.ru_stime - before.ru_utime - before.ru_stime, 1)
    row |= {"load": round(os.getloadavg()[0], 1), **json.loads(output.splitlines()[-1])}
    if name in ASKED:
        row["within"] = took <= ASKED[name] and largest / 1e9 <= MEMORY
    return row


def main() -> None:
    """Make the table, time each way, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_280_000)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--tasks", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu", help="where products are taken")
    parser.add_argument("--ways", nargs="+", default=["power", "pursuit", "scikit-learn"])
    parser.add_argument("--only", default="", help=argparse.SUPPRESS)
    parser.add_argument("--table", type=Path, help=argparse.SUPPRESS)
    add_output(parser)
    options = parser.parse_args()
    if options.only == "scikit-learn":
        print(json.dumps(peers(options.table, options.threads)))
        return
    if options.only:
        print(json.dumps(discover(options.table, options.only, options)))
        return
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # leave no table
    document: dict[str, Any] = {
        "rows": options.rows,
        "width": options.width,
        "device": options.device,
        "ways": [],
    }
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "table.npy"
        write(place, options.rows, options.width)
        for name in options.ways:
            document["ways"].append(measured(name, place, options))
            print(json.dumps(document["ways"][-1]), file=sys.stderr, flush=True)
    document["environment"] = about()
    deliver(document, options)


if __name__ == "__main__":
    main()
