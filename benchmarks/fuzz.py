"""Coverage-guided fuzzing of everything that reads a file, with atheris (libFuzzer).

Whatever a file holds, reading it gives a data set or one of the package's own errors. Anything else
is a crash; its input is written to `tests/crashes/`, where a test replays it from then on.

    pip install atheris && python -m benchmarks.fuzz --seconds 60
"""

from __future__ import annotations

import argparse
import io
import json
import logging
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

CRASHES = Path(__file__).parents[1] / "tests" / "crashes"


def read_image(content: bytes, place: Path) -> None:
    """Read a folder of one class with this file in it."""
    from taskdiscovery import data

    (place / "a").mkdir()
    (place / "a" / "x.png").write_bytes(content)
    data.load(f"folder:{place}", size=8, cache=place / "cache")


def read_parquet(content: bytes, place: Path) -> None:
    """Read a Parquet file."""
    from taskdiscovery import data

    (place / "x.parquet").write_bytes(content)
    data.load(f"parquet:{place / 'x.parquet'}", size=8, cache=place / "cache")


def read_npz(content: bytes, place: Path) -> None:
    """Read an npz file."""
    from taskdiscovery import data

    (place / "x.npz").write_bytes(content)
    data.load(f"npz:{place / 'x.npz'}")


def read_csv(content: bytes, place: Path) -> None:
    """Read a table of files."""
    from taskdiscovery import data

    (place / "x.csv").write_bytes(content)
    data.load(f"csv:{place / 'x.csv'}", size=8, cache=place / "cache")


def read_labelings(content: bytes, place: Path) -> None:
    """Read labelings of a data set of six images."""
    from taskdiscovery import data

    images = np.arange(6 * 4, dtype=np.uint8).reshape(6, 2, 2)
    (place / "x.csv").write_bytes(content)
    data.read_labelings(place / "x.csv", data.from_arrays(images))


def read_config(content: bytes, place: Path) -> None:
    """Read a config as `--config` does."""
    from taskdiscovery.cli.parser import config_of

    (place / "c.yaml").write_bytes(content)
    config_of("discover", {"config": place / "c.yaml"})


def read_run(content: bytes, place: Path) -> None:
    """Open a run whose documents are this."""
    from taskdiscovery.store import Run, verify

    for name in ("config.yaml", "status.json", "result.json", "manifest.json"):
        (place / name).write_bytes(content)
    verify(place)
    run = Run.open(place)
    _ = run.numbers, run.job


def read_checkpoint(content: bytes, place: Path) -> None:
    """Take up a checkpoint whose manifest fits."""
    from taskdiscovery.store import Checkpoints, manifest
    from taskdiscovery.store.journal import Journal
    from taskdiscovery.store.place import Place

    checkpoints = Checkpoints(place / "c")
    checkpoints.save({}, {})
    half = len(content) // 2
    (place / "c" / "000001" / "state.json").write_bytes(content[:half])
    (place / "c" / "000001" / "arrays.safetensors").write_bytes(content[half:])
    manifest.write(Place(place / "c" / "000001"), ["state.json", "arrays.safetensors"])
    Journal(checkpoints).load()


def read_encoder(content: bytes, place: Path) -> None:
    """Open an encoder."""
    from taskdiscovery.encoders.encoder import Encoder

    (place / "encoder.safetensors").write_bytes(content)
    Encoder.load(place / "encoder.safetensors")


READERS: dict[str, Callable[[bytes, Path], None]] = {
    "image": read_image,
    "parquet": read_parquet,
    "npz": read_npz,
    "csv": read_csv,
    "labelings": read_labelings,
    "config": read_config,
    "run": read_run,
    "checkpoint": read_checkpoint,
    "encoder": read_encoder,
}


def read(kind: str, content: bytes) -> bool:
    """Read content as a kind of file; return whether it was accepted.

    Raises:
        Exception: anything but the package's own errors, which is a fault of the package.
    """
    from taskdiscovery.errors import TaskDiscoveryError

    place = Path(tempfile.mkdtemp(prefix="fuzz-"))
    try:
        READERS[kind](content, place)
    except TaskDiscoveryError as error:
        if len(str(error).splitlines()) > 3:
            raise AssertionError(f"the message is too long: {error}") from error
        return False
    finally:
        shutil.rmtree(place, ignore_errors=True)
    return True


def seeds() -> dict[str, list[bytes]]:
    """Return good files of every kind, for the fuzzer to begin with."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from PIL import Image
    from safetensors.numpy import save

    images = np.random.default_rng(0).integers(0, 256, (6, 4, 4, 3), dtype=np.uint8)

    def picture(kind: str) -> bytes:
        stream = io.BytesIO()
        Image.fromarray(images[0]).save(stream, kind)
        return stream.getvalue()

    def table(columns: dict[str, Any]) -> bytes:
        stream = io.BytesIO()
        pq.write_table(pa.table(columns), stream)
        return stream.getvalue()

    def archive(**arrays: Any) -> bytes:
        stream = io.BytesIO()
        np.savez(stream, **arrays)
        return stream.getvalue()

    stored = io.BytesIO()
    with zipfile.ZipFile(stored, "w") as file:
        file.writestr("images.npy", b"\x93NUMPY\x01\x00")
    header = {"format": 1, "learner": "linear", "image_shape": [2, 2, 1], "names": ["a"]}
    header |= {"classes": 2, "outputs": 1}
    weights: dict[str, Any] = {
        "encoder.columns": np.arange(1),
        "encoder.centre": np.zeros(1, np.float32),
    }
    config = b"data: digits\ntasks: 3\nlearner: convnet\nwithin: label\n"
    state = {"header": {}, "segments": [], "under_way": ["v", {}], "seconds": 1.0}
    return {
        "image": [picture(kind) for kind in ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP")],
        "parquet": [table({"img": [picture("PNG")] * 3, "label": [0, 1, 0]})],
        "npz": [archive(images=images, labels=np.arange(6)), stored.getvalue()],
        "csv": [b"file,label,age\nx.csv,a,3\n"],
        "labelings": [b"image_id,t\n0,1\n3,0\n", b"t,u\n" + b"1,a\n0,b\n" * 3],
        "config": [config],
        "run": [b"format: 3\ncommand: discover\n", b'{"format": 1, "files": {}}'],
        "checkpoint": [json.dumps(state).encode() + save({"a": np.zeros(3)})],
        "encoder": [save(weights, metadata={"taskdiscovery": json.dumps(header)})],
    }


def main() -> None:
    """Fuzz one kind, or all in turn, for so many seconds altogether."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--kind", choices=READERS, help="default: each in a process of its own")
    options = parser.parse_args()
    if options.kind is None:
        import subprocess

        share = max(1, options.seconds // len(READERS))
        codes = [
            subprocess.call(
                [sys.executable, "-m", "benchmarks.fuzz", "--kind", kind, "--seconds", str(share)]
            )
            for kind in READERS
        ]
        sys.exit(max(map(abs, codes)))
    import atheris

    logging.disable(logging.CRITICAL)
    with atheris.instrument_imports(include=["taskdiscovery"]):
        import taskdiscovery.cli.parser
        import taskdiscovery.data
        import taskdiscovery.encoders.encoder
        import taskdiscovery.store.journal  # noqa: F401
    corpus = Path(tempfile.mkdtemp(prefix="corpus-"))
    for i, content in enumerate(seeds()[options.kind]):
        (corpus / str(i)).write_bytes(content)
    CRASHES.mkdir(exist_ok=True)
    arguments = [
        f"-max_total_time={options.seconds}",
        f"-artifact_prefix={CRASHES}/{options.kind}-",
    ]
    arguments += ["-max_len=8192", "-print_final_stats=1", "-verbosity=0", "-rss_limit_mb=4096"]
    atheris.Setup(
        [sys.argv[0], *arguments, str(corpus)], lambda content: read(options.kind, content) and None
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()
