"""Do the same seeds still give the same bytes? SHA-256 of results, from fixed seeds, one thread.

    python -m benchmarks.same_numbers --parquet cifar10/train.parquet --out before.json
    python -m benchmarks.same_numbers --parquet cifar10/train.parquet --against before.json

Every job is run as its command, in a process of its own, on `digits` and on 5,000 images of a
Parquet file. Bytes depend on the processor and on the versions that are installed: compare on one
machine.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.provenance import about

IMAGES = 5000
#: what a run holds that must not change; other files may be described anew.
COMPARED = (
    "tasks.parquet",
    "coordinates.parquet",
    "encoder.safetensors",
    *(f"scores/*/{name}" for name in ("scores.parquet", "per_image.parquet")),
    *(f"splits/*/{name}" for name in ("metadata.csv", "indices.json", "list_eval_partition.csv")),
    "associations.parquet",
    "probes.parquet",
)
COMMON = ("--threads", "1", "--executor", "serial", "--quiet")
SMALL = ("--preset", "smoke", "--learner", "convnet?width=0.25", "--batch", "64")
HALF = "label:0,1,2,3,4"
META = (
    *("--method", "meta", "--learner", "mlp?width=0.1", "--tasks", "3", "--outer-steps", "4"),
    *("--inner-steps", "4", "--inner-batch", "64"),
)
POWER = (
    *("--method", "power", "--learner", "convnet?width=0.25", "--tasks", "4", "--iterations", "3"),
    *("--epochs", "2", "--batch", "128"),
)


def jobs(run: Path) -> dict[str, list[tuple[str, ...]]]:
    """Return what is done, by the name of the run that holds it: commands after DATA."""
    source = ("--from", str(run / "power"))
    transfer = ("--transfer", "linear")
    online = ("--objective", "online", "--directions", "random", "--contain", "label:0,1;label:2")
    return {
        "power": [
            ("discover", *POWER),
            ("score", *source, "--runs", "3", *SMALL),
            ("split", *source, "--target", HALF, "--runs", "2", *SMALL),
        ],
        "power-linear": [("discover", *POWER, "--targets", "linear", "--average", "4")],
        "power-k": [("discover", *POWER, "--classes", "3", "--start", "noise")],
        "power-within": [("discover", *POWER, "--within", "label", "--exclude", "brightness")],
        "spectral": [("discover", "--method", "spectral", "--tasks", "4")],
        "spectral-pixels": [
            ("discover", "--method", "spectral", "--start", "pixels", "--exclude", "label,contrast")
        ],
        "meta": [("discover", *META)],
        "meta-online": [("discover", *META, *online, "--inner-optimizer", "sgd")],
        "meta-one-step": [("discover", *META, "--one-step", "--diversity", "information")],
        "score": [("score", "--target", "label", "--vary", "init,data", *SMALL)],
        "score-early": [("score", "--target", HALF, "--early", *SMALL)],
        "split-k": [("split", *source, "--target", "label", "--search", "--runs", "2", *SMALL)],
        "split-untrained": [
            ("split", "--from", "untrained:mlp?width=0.1", "--target", HALF, *transfer, *SMALL)
        ],
    }


def measure(data: str, folder: Path) -> dict[str, str]:
    """Do all jobs on DATA; return the SHA-256 of what they wrote, by run and file."""
    found: dict[str, str] = {}
    for name, commands in jobs(folder).items():
        place = folder / name
        for command, *options in commands:
            added = ["--out", str(place)] if not place.exists() else []
            _command(command, data, *options, *COMMON, *added)
        if name == "power":
            _command("analyze", str(place), "--images", "300", "--probe-images", "50", "--quiet")
        for path in sorted(path for file in COMPARED for path in place.glob(file)):
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            found[f"{name}/{path.relative_to(place)}"] = digest
        print(name, file=sys.stderr, flush=True)
    return found


def _command(*arguments: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "taskdiscovery", *arguments], check=True, stdout=subprocess.DEVNULL
    )


def _first_images(parquet: Path, folder: Path) -> str:
    """Write the first images of a Parquet file; return their DATA specification."""
    import pyarrow.parquet as pq

    place = folder / "images.parquet"
    pq.write_table(pq.read_table(parquet).slice(0, IMAGES), place)
    return f"parquet:{place}"


def main() -> None:
    """Measure, and write or compare."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.same_numbers", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--parquet", type=Path, help="also on the first 5,000 images of this file")
    parser.add_argument("--out", type=Path, help="where to write what was found")
    parser.add_argument("--against", type=Path, help="what was found before")
    options = parser.parse_args()
    before = json.loads(options.against.read_text("utf-8")) if options.against else None
    found: dict[str, dict[str, str]] = {}
    with tempfile.TemporaryDirectory(prefix="same-numbers-") as name:
        folder = Path(name)
        data = {"digits": "digits"}
        if options.parquet:
            data["images"] = _first_images(options.parquet, folder)
        for kind, spec in data.items():
            (folder / kind).mkdir()
            found[kind] = measure(spec, folder / kind)
    if options.out:
        document = {"sha256": found, "environment": about()}
        options.out.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    if before is None:
        return
    compared = [(kind, file) for kind in found for file in found[kind]]
    others = [
        f"{kind}: {file}"
        for kind, file in compared
        if before["sha256"][kind].get(file) != found[kind][file]
    ]
    missing = [
        f"{kind}: {file}"
        for kind in found
        for file in before["sha256"][kind]
        if file not in found[kind]
    ]
    print(
        "\n".join([*(f"differs  {line}" for line in others), *(f"missing  {m}" for m in missing)])
    )
    print(f"{len(compared) - len(others)} of {len(compared)} files are the same")
    sys.exit(bool(others or missing))


if __name__ == "__main__":
    main()
