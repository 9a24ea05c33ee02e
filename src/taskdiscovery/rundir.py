"""The run directory: every file appears whole or not at all, and one process owns it at a time.

Importable without torch. Writing follows one path: a temporary file in the same directory, flush,
fsync, rename, fsync of the directory.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import math
import os
import platform
import secrets
import shutil
import sys
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import IO, Any

import pandas as pd
import yaml

from taskdiscovery.errors import ResourceError, RunDirError

FORMAT = 1


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for writing that replaces `path` only when the block ends without an error.

    Raises:
        ResourceError: where the disk is full or the place is not writable.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
        _sync_directory(path.parent)
    except OSError as error:
        raise _resource_error(error, path) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write strict JSON; numbers that are not finite become null."""
    text = json.dumps(_finite(value), indent=1, ensure_ascii=False, allow_nan=False)
    with atomic(path) as stream:
        stream.write(text.encode("utf-8", "backslashreplace") + b"\n")


def write_parquet(path: Path, frame: pd.DataFrame) -> None:
    """Write a table; the same values give the same bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    with atomic(path) as stream:
        pq.write_table(table, stream, compression="zstd")


class RunDir:
    """One run on disk. Use `create` or `open`, and close it by leaving its `with` block."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: IO[str] | None = None

    @classmethod
    def create(cls, path: Path, command: str, config: Mapping[str, Any]) -> RunDir:
        """Make a new run directory and take its lock.

        Args:
            path: must not exist, or be empty.
            command: the subcommand, e.g. `discover`.
            config: what goes into `config.yaml`.

        Raises:
            RunDirError: where the place is taken.
            ResourceError: where it cannot be written.
        """
        check_new(path)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _resource_error(error, path) from error
        run = cls(path)
        run._take_lock()
        document = {"format": FORMAT, "command": command, **config}
        with atomic(path / "config.yaml") as stream:
            stream.write(yaml.safe_dump(document, sort_keys=False, allow_unicode=True).encode())
        write_json(path / "environment.json", environment())
        run.status("running")
        return run

    @classmethod
    def open(cls, path: Path, *, write: bool = False) -> RunDir:
        """Open an existing run, with its lock if it is to be added to.

        Raises:
            RunDirError: where there is no run, it is of a newer format, or another process owns it.
        """
        run = cls(path)
        run.config()
        if write:
            run._take_lock()
        return run

    def __enter__(self) -> RunDir:
        return self

    def __exit__(self, *_: object) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def config(self) -> dict[str, Any]:
        """Return `config.yaml`.

        Raises:
            RunDirError: where it is missing, damaged or of a newer format.
        """
        file = self.path / "config.yaml"
        try:
            document = yaml.safe_load(file.read_text("utf-8"))
        except FileNotFoundError:
            raise RunDirError(
                "this is not a run directory", where=str(self.path), mend="give the --out of a run"
            ) from None
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise RunDirError(
                f"config.yaml cannot be read: {error}", where=str(file), mend="restore the file"
            ) from error
        if not isinstance(document, dict) or not isinstance(document.get("format"), int):
            raise RunDirError(
                "config.yaml names no format", where=str(file), mend="restore the file"
            )
        if document["format"] > FORMAT:
            raise RunDirError(
                f"written by a newer taskdiscovery (format {document['format']})",
                where=str(file),
                mend="upgrade: pip install -U taskdiscovery",
            )
        return document

    def result(self) -> dict[str, Any]:
        """Return `result.json`; empty where there is none yet.

        Raises:
            RunDirError: where it is damaged.
        """
        file = self.path / "result.json"
        if not file.exists():
            return {}
        try:
            document = json.loads(file.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise RunDirError(
                f"result.json cannot be read: {error}", where=str(file), mend="restore the file"
            ) from error
        return dict(document)

    def add_result(self, values: Mapping[str, Any]) -> None:
        """Set headline numbers in `result.json`, keeping the others."""
        write_json(self.path / "result.json", {**self.result(), **values})

    def table(self, name: str) -> pd.DataFrame:
        """Read one of the run's Parquet tables.

        Raises:
            RunDirError: where it is missing or damaged.
        """
        file = self.path / name
        try:
            return pd.read_parquet(file)
        except FileNotFoundError:
            raise RunDirError(
                f"the run has no {name}",
                where=str(self.path),
                mend="did the run finish? see status.json",
            ) from None
        except (OSError, ValueError) as error:
            raise RunDirError(
                f"{name} cannot be read: {error}", where=str(file), mend="run the job again"
            ) from error

    def metric(self, **values: Any) -> None:
        """Append a line to `metrics.jsonl`."""
        line = json.dumps(_finite(values), allow_nan=False)
        try:
            with (self.path / "metrics.jsonl").open("a", encoding="utf-8") as stream:
                stream.write(line + "\n")
        except OSError as error:
            raise _resource_error(error, self.path / "metrics.jsonl") from error

    def status(self, state: str, reason: str = "") -> None:
        """Write `status.json`: `running`, `done`, `stopped` or `failed`, and why."""
        write_json(
            self.path / "status.json", {"state": state, "reason": reason, "process": os.getpid()}
        )

    def discard(self) -> None:
        """Remove a run that never began."""
        shutil.rmtree(self.path, ignore_errors=True)
        with contextlib.suppress(OSError):  # `runs/`, where it is empty now
            if self.path.parent.name == "runs":
                self.path.parent.rmdir()

    def _take_lock(self) -> None:
        try:
            stream = (self.path / ".lock").open("a+", encoding="utf-8")
        except OSError as error:
            raise _resource_error(error, self.path) from error
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            stream.seek(0)
            owner = stream.read(100).strip() or "unknown"
            stream.close()
            raise RunDirError(
                f"another process is using this run directory ({owner})",
                where=str(self.path),
                mend="wait for it, stop it, or give another --out",
            ) from None
        stream.seek(0)
        stream.truncate()
        stream.write(f"process {os.getpid()} on {platform.node()}")
        stream.flush()
        self._lock = stream


def check_new(path: Path) -> None:
    """Refuse a place for a new run that is taken or cannot be written.

    Raises:
        RunDirError: where it is a file, or a directory that is not empty.
        ResourceError: where it cannot be written.
    """
    try:
        if path.exists() and not path.is_dir():
            raise RunDirError(
                "this is a file", where=str(path), mend="give a new directory as --out"
            )
        if path.is_dir() and any(path.iterdir()):
            raise RunDirError(
                "the output directory is not empty", where=str(path), mend="give a new one as --out"
            )
    except OSError as error:
        raise _resource_error(error, path) from error
    existing = next(p for p in [path, *path.absolute().parents] if p.exists())
    if not os.access(existing, os.W_OK | os.X_OK):
        raise ResourceError(
            "the output directory cannot be written", where=str(path), mend="give another --out"
        )


def environment() -> dict[str, Any]:
    """Return versions and hardware, without importing what it names."""
    packages = (
        "taskdiscovery",
        "torch",
        "numpy",
        "pandas",
        "pyarrow",
        "pillow",
        "scikit-learn",
        "scipy",
    )
    versions = {}
    for package in packages:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "cpus": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "versions": versions,
        "arguments": sys.argv[1:],
    }


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _resource_error(error: OSError, path: Path) -> ResourceError:
    mends = {
        errno.ENOSPC: "free some space, or give another --out",
        errno.EDQUOT: "free some of your quota, or give another --out",
        errno.EFBIG: "raise the limit on file size (ulimit -f)",
    }
    mend = mends.get(error.errno or 0, "give another --out that can be written")
    return ResourceError(f"cannot write: {error.strerror or error}", where=str(path), mend=mend)


def _finite(value: Any) -> Any:
    """Replace numbers that JSON has no word for, and NumPy's scalars."""
    if isinstance(value, Mapping):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    if hasattr(value, "item") and not isinstance(value, str | bytes):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
