"""The files of a run: its lock, its documents, and what has been committed.

What the files of results hold is said in `store.run`; here they are bytes and tables. All of them
are opened by `store.place`, which follows no link.
"""

from __future__ import annotations

import contextlib
import copy
import json
import logging
import os
import platform
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

import yaml

from taskdiscovery.config.files import yaml_of
from taskdiscovery.errors import ResourceError, RunDirError, TaskDiscoveryError, command, first_line
from taskdiscovery.runtime.budget import room
from taskdiscovery.runtime.disk import takes_a_file
from taskdiscovery.store import manifest, seals
from taskdiscovery.store.checkpoints import Checkpoints
from taskdiscovery.store.environment import environment
from taskdiscovery.store.place import Place
from taskdiscovery.store.writing import (
    finite,
    is_left_over,
    parquet_bytes,
    remove_leftovers,
    resource_error,
    resources,
    write_bytes,
    write_json,
)
from taskdiscovery.types import Document

if TYPE_CHECKING:
    import pandas as pd

FORMAT = 3
CHECKPOINTS = "checkpoints"
LOCK = ".lock"
CONFIG, STATUS, RESULT = "config.yaml", "status.json", "result.json"
METRICS, ENVIRONMENT = "metrics.jsonl", "environment.json"
#: bytes of documents; far more than jobs write, and parsed they take thirty times as much.
_MOST_CONFIG, _MOST_STATUS, _MOST = 2**16, 2**20, 2**24
#: bytes at the end of metrics, which tell how far a job has come.
_TAIL = 2**16
_LOG = logging.getLogger("taskdiscovery")


class _Plain(yaml.SafeDumper):
    """Writes what occurs twice twice: references are not read back."""

    def ignore_aliases(self, data: Any) -> bool:
        """Say that nothing is to be referred to."""
        return True


class RunFiles:
    """The files of one run. Use `create` or `open`, and close it by leaving its `with` block.

    Attributes:
        path: of its directory; its files are opened by `place`, never by this.
        place: that opens them.
        checkpoints: of the job under way.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.place = Place(path)
        self.checkpoints = Checkpoints(self.place.inside(CHECKPOINTS))
        self._lock: IO[bytes] | None = None
        self._written: list[str] = []
        self._job: Document = {}
        self._before: bytes | None = None
        self._parsed: tuple[bytes, Any] = (b"", None)

    @classmethod
    def create(cls, path: Path, command: str, config: Mapping[str, Any]) -> Self:
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
            raise resource_error(error, path) from error
        document = {"format": FORMAT, "command": command, **config, **seals.made(config)}
        text = yaml.dump(document, Dumper=_Plain, sort_keys=False, allow_unicode=True)
        with contextlib.ExitStack() as opened:
            run = cls(path)
            opened.enter_context(run)
            run._take_lock()
            remove_leftovers(run.place)
            write_bytes(run.place, CONFIG, text.encode("utf-8"))
            write_json(run.place, ENVIRONMENT, environment(config))
            run.begin(command, config)
            opened.pop_all()  # it stays open
        return run

    @classmethod
    def open(cls, path: Path | str, *, write: bool = False) -> Self:
        """Open an existing run, with its lock if it is to be added to.

        Raises:
            RunDirError: where there is no run, it is of a newer format, or another process owns it.
        """
        path = Path(path)
        run = cls(path)
        _ = run.config  # refuses what is no run
        if write:
            run._take_lock()
            try:
                remove_leftovers(run.place)
                run.checkpoints.remove_leftovers()
                if run.state == "done":  # killed between the last commit and tidying up
                    run.checkpoints.remove_all()
            except BaseException:
                run.close()
                raise
        return run

    @classmethod
    def extend(cls, path: Path) -> Self:
        """Open a run, with its lock, for one more job.

        Raises:
            RunDirError: as `open`; where the job before it is not finished, too.
        """
        with contextlib.ExitStack() as opened:
            run = cls.open(path, write=True)
            opened.enter_context(run)
            if run.checkpoints.numbers():
                raise RunDirError(
                    f"an unfinished {run.job['command']} is kept in this run",
                    where=str(run.path),
                    hint=f"finish it: {command('resume', run.path)}; or drop it: "
                    f"{command('discard', run.path)}; or give another --out",
                )
            opened.pop_all()  # it stays open
        return run

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let the lock go, where it is held."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    # --- what was asked for, and how it went ---

    @property
    def config(self) -> Document:
        """`config.yaml`: the data and every option, as they were resolved.

        Raises:
            RunDirError: where it is missing, damaged or of a newer format.
        """
        return {key: value for key, value in self._config.items() if key != seals.KEY}

    @property
    def _config(self) -> Document:
        file = self.path / CONFIG
        try:
            content = self.place.read(CONFIG, most=_MOST_CONFIG)
            if content != self._parsed[0]:  # it is asked often, and read slowly
                self._parsed = (content, yaml_of(content))
            document = copy.deepcopy(self._parsed[1])
        except (FileNotFoundError, NotADirectoryError):
            raise RunDirError(
                "this is not a run directory", where=str(self.path), hint="give the --out of a run"
            ) from None
        except RunDirError:
            raise
        except Exception as error:  # hostile files raise errors of every kind
            raise RunDirError(
                f"config.yaml cannot be read: {first_line(error)}",
                where=str(file),
                hint="restore the file",
            ) from error
        if not isinstance(document, dict) or not isinstance(document.get("format"), int):
            raise RunDirError(
                "config.yaml names no format", where=str(file), hint="restore the file"
            )
        if document["format"] < FORMAT:
            raise RunDirError(
                f"written by an older taskdiscovery (format {document['format']}, not {FORMAT})",
                where=str(file),
                hint="read it with the version that environment.json names, or do the job again "
                "with another --out",
            )
        if document["format"] > FORMAT:
            raise RunDirError(
                f"written by a newer taskdiscovery (format {document['format']})",
                where=str(file),
                hint="upgrade: pip install -U taskdiscovery",
            )
        return document

    def begin(self, command: str, config: Mapping[str, Any], *, added: bool = False) -> None:
        """Say in `status.json` which job is being done now; `resume` finds it there.

        Args:
            command: the subcommand.
            config: its options.
            added: whether it adds to a finished run.
        """
        with contextlib.suppress(FileNotFoundError):
            self._before = self.place.read(STATUS, most=_MOST_STATUS)
        self._job = {"command": command, "config": dict(config), "added": added}
        if added:  # config.yaml has the seal of any other
            self._job |= seals.made(config)
        self.status("running")

    def withdraw(self) -> None:
        """Leave `status.json` as it was before `begin`: the job never began."""
        if self._before is not None:
            write_bytes(self.place, STATUS, self._before)

    def resumed(self) -> None:
        """Say that the job goes on, and with which versions if they are others than before.

        Another build may round differently: then a run that was stopped need not equal one that
        was not, and `environment.json` says so.
        """
        self.status("running", "resumed")
        then, now = self.document(ENVIRONMENT), environment(self.job["config"])
        names = ("python", "processor", "versions", "gpu")
        changed = {n: now.get(n) for n in names if now.get(n) != then.get(n)}
        if changed:
            _LOG.warning("resumed in another environment: results may differ in their last bits")
            earlier = then.get("resumed_with")
            then["resumed_with"] = [*(earlier if isinstance(earlier, list) else []), changed]
            write_json(self.place, ENVIRONMENT, then)

    @property
    def job(self) -> Document:
        """The `command` and `config` of the job that was started last, and whether it was `added`.

        Raises:
            RunDirError: where `status.json` is damaged.
        """
        found = self._status.get("job")
        if not isinstance(found, dict) or not isinstance(found.get("config"), dict):
            return self._own_job  # killed before the first status was written
        if not found.get("added"):
            return self._own_job
        return {**found, "command": str(found.get("command"))}

    @property
    def _own_job(self) -> Document:
        """The job that made the run."""
        document = self.config
        document.pop("format")
        return {"command": str(document.pop("command", "")), "config": document}

    def is_ours(self, config: Mapping[str, Any]) -> bool:
        """Say whether a config of this run, or of its job, is as this user's own job wrote it.

        Then what it names was named by the user; in a run from elsewhere a stranger may have named
        it, or changed it since.
        """
        job = self._status.get("job")
        known = [self._config, job if isinstance(job, dict) else {}]
        own = {key: value for key, value in config.items() if key not in ("format", "command")}
        return any(seals.holds(own, one.get(seals.KEY)) for one in known)

    @property
    def state(self) -> str:
        """`running`, `done`, `stopped` or `failed`, as the last process left it."""
        return str(self._status.get("state", "stopped"))

    def is_busy(self) -> bool:
        """Say whether a process is at work in the run."""
        if self.state != "running":
            return False
        try:
            self.place.lock(LOCK, f"process {os.getpid()} on {platform.node()}").close()
        except BlockingIOError:
            return True
        except (OSError, RunDirError):  # what cannot be locked is not worked in
            return False
        return False

    def status(self, state: str, reason: str = "") -> None:
        """Write `status.json`: the state, why, whose process, and the job."""
        self._job = self._job or self.job
        document = {"state": state, "reason": reason, "process": os.getpid(), "job": self._job}
        write_json(self.place, STATUS, document)

    @property
    def _status(self) -> Document:
        return self.document(STATUS)

    # --- results ---

    @property
    def numbers(self) -> Document:
        """`result.json`: every headline number; empty where there is none yet.

        Raises:
            RunDirError: where it is damaged.
        """
        return self.document(RESULT)

    def add_numbers(self, values: Mapping[str, Any]) -> None:
        """Set headline numbers in `result.json`, keeping the others."""
        write_json(self.place, RESULT, {**self.numbers, **values})
        self._written.append(RESULT)

    def write(self, name: str, content: bytes) -> None:
        """Write one file of results, by its path within the run directory."""
        *way, _ = name.split("/")
        for depth in range(len(way)):
            folder = "/".join(way[: depth + 1])
            with resources(self.path / folder):
                self.place.inside(folder).make()
        write_bytes(self.place, name, content)
        self._written.append(name)

    def write_table(self, name: str, frame: pd.DataFrame) -> None:
        """Write one Parquet table of results."""
        self.write(name, parquet_bytes(frame))

    def has(self, name: str) -> bool:
        """Say whether a file of results is there."""
        return self.place.has(name)

    def table(self, name: str) -> pd.DataFrame:
        """Read one of the run's Parquet tables.

        Raises:
            RunDirError: where it is missing or damaged.
        """

        from taskdiscovery.data.formats.columnar import table_from_bytes

        content = self.content(name)
        try:
            return table_from_bytes(content, name)
        except Exception as error:  # hostile files raise errors of every kind
            raise RunDirError(
                f"{name} cannot be read: {first_line(error)}",
                where=str(self.path),
                hint="restore the file, or discover again",
            ) from error

    def content(self, name: str) -> bytes:
        """Return the content of a file of results that is as the manifest says.

        Raises:
            RunDirError: where it is missing, no regular file, larger than memory takes, or differs
                from what was committed.
        """
        try:
            content = self.place.read(name, most=room())
        except FileNotFoundError:
            raise RunDirError(
                f"the run has no {name}",
                where=str(self.path),
                hint=f"if it is not finished: {command('resume', self.path)}",
            ) from None
        except OSError as error:
            raise RunDirError(
                f"{name} cannot be read: {error.strerror}",
                where=str(self.path),
                hint="restore the file",
            ) from error
        try:
            expected = manifest.read(self.place).get(name)
            found = expected and manifest.differs(expected, *manifest.measured(content))
        except Exception as error:  # hostile files raise errors of every kind
            found = f"the manifest is damaged: {first_line(error)}"
        if found is not None:
            raise RunDirError(
                f"{name} is damaged ({found})",
                where=str(self.path),
                hint=f"see {command('verify', self.path)}",
            )
        return content

    def metric(self, **values: Any) -> None:
        """Append a line to `metrics.jsonl`."""
        line = json.dumps(finite(values), allow_nan=False) + "\n"
        with resources(self.path / METRICS):
            self.place.append(METRICS, line.encode("utf-8"))

    def metrics(self) -> list[Document]:
        """Return the last lines of `metrics.jsonl`; what is cut off or damaged is left out."""
        found = []
        with contextlib.suppress(OSError):
            for line in self.place.tail(METRICS, _TAIL).splitlines():
                with contextlib.suppress(ValueError, TypeError, RecursionError):
                    found.append(dict(json.loads(line)))
        return found

    def commit(self) -> None:
        """Enter what was written in `manifest.json`: from here on it counts."""
        with resources(self.path):
            manifest.write(self.place, self._written)
        self._written = []

    def finish(self, command: str) -> None:
        """Commit the results, say that the job is done, and drop its checkpoints."""
        self.commit()
        self.status("done", command)
        self.checkpoints.remove_all()

    def committed(self) -> set[str]:
        """Return the files of results that were committed, as paths within the run directory.

        Raises:
            RunDirError: where the manifest is damaged.
        """
        with self.understood(manifest.NAME, f"see {command('verify', self.path)}"):
            return set(manifest.read(self.place))

    def give_up(self, job: str) -> None:
        """Say that the job that was added is given up, and drop its checkpoints.

        The run is then as the jobs before it left it.
        """
        self.add_numbers({})  # the headline numbers as they stand are those that count
        self.commit()
        self._job = self._own_job
        self.status("done", f"{job} was discarded")
        self.checkpoints.remove_all()

    def discard(self) -> None:
        """Remove a run that never began, and nothing else that somebody put there since."""
        with contextlib.suppress(OSError, TaskDiscoveryError):
            self.checkpoints.remove_all()
            for name in (CONFIG, ENVIRONMENT, STATUS, METRICS, LOCK):
                self.place.remove(name)
            remove_leftovers(self.place)
            self.place.remove_itself()
        with contextlib.suppress(OSError):  # `runs/`, where it is empty now
            if self.path.parent.name == "runs":
                self.path.parent.rmdir()

    # ---

    @contextlib.contextmanager
    def understood(self, what: str, hint: str) -> Iterator[None]:
        """Turn whatever strange content of the run's files leads to into an error about the run.

        Args:
            what: is read in the block, e.g. `split`.
            hint: how it can be had again.

        Raises:
            RunDirError: for any exception of the block that is no error of this package.
        """
        try:
            yield
        except (TaskDiscoveryError, MemoryError):
            raise
        except Exception as error:  # hostile files raise errors of every kind
            raise RunDirError(
                f"the {what} cannot be read: {first_line(error)}",
                where=str(self.path),
                hint=hint,
            ) from error

    def document(self, name: str) -> Document:
        """Return a JSON file of the run; empty where it is missing.

        Raises:
            RunDirError: where it is damaged.
        """
        try:
            most = _MOST if name == RESULT else _MOST_STATUS
            document = json.loads(self.place.read(name, most=most).decode("utf-8"))
            if not isinstance(document, dict):
                raise ValueError("it is no mapping")
        except FileNotFoundError:
            return {}
        except RunDirError:
            raise
        except Exception as error:  # hostile files raise errors of every kind
            raise RunDirError(
                f"{name} cannot be read: {first_line(error)}",
                where=str(self.path / name),
                hint="restore the file",
            ) from error
        return document

    def _take_lock(self) -> None:
        try:
            self._lock = self.place.lock(LOCK, f"process {os.getpid()} on {platform.node()}")
        except BlockingIOError as error:
            raise RunDirError(
                f"another process is using this run directory ({error.filename or 'unknown'})",
                where=str(self.path),
                hint="wait for it, stop it, or give another --out",
            ) from None
        except OSError as error:
            raise resource_error(error, self.path) from error


def check_new(path: Path) -> None:
    """Refuse a place for a new run that is taken or cannot be written.

    What a process left that died before it wrote a config (a lock, temporary files) is no obstacle.

    Raises:
        RunDirError: where it is a file, or a directory that is not empty.
        ResourceError: where it cannot be written.
    """
    try:
        if path.exists() and not path.is_dir():
            raise RunDirError(
                "this is a file", where=str(path), hint="give a new directory as --out"
            )
        if path.is_dir() and any(not _is_trace(p.name) for p in path.iterdir()):
            hint = "give a new one as --out"
            if (path / CONFIG).exists():
                hint += f", or go on with: {command('resume', path)}"
                hint += f"; see {command('show', path)}"
            raise RunDirError(
                "the output directory is not empty",
                where=str(path),
                hint=hint,
            )
    except OSError as error:
        raise resource_error(error, path) from error
    existing = next(p for p in [path, *path.absolute().parents] if p.exists())
    if not os.access(existing, os.W_OK | os.X_OK) or not takes_a_file(existing):
        raise ResourceError(
            "the output directory cannot be written", where=str(path), hint="give another --out"
        )


def _is_trace(name: str) -> bool:
    return name == LOCK or is_left_over(name)
