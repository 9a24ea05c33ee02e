"""The one place that decides what may be used of all that the files of a run name.

A run may come from a stranger. What its files name within itself, or within this package, is used;
whatever runs code or downloads only if the caller names it again; and what lies elsewhere (images,
features, other runs, a cluster) if the caller names it again, or if the config is sealed: then this
user's own job wrote it, and the user has named it before.

Options say by `names` what their text may reach; an option without it reaches nothing. A config
file is no run: what it names is opened as the user asked, but code is to be named beside it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from shlex import quote
from typing import Any

from taskdiscovery.config import OF_DATA, Network, Options
from taskdiscovery.config.learners import CONVEX, NETWORK_OPTIONS, object_of
from taskdiscovery.config.options import flag_of, key_of, options
from taskdiscovery.config.specs import parse
from taskdiscovery.data.joining import IN_MEMORY, names_data
from taskdiscovery.data.labels.targets import is_target_spec
from taskdiscovery.data.loading import KINDS
from taskdiscovery.data.readers.shapes import check_options
from taskdiscovery.errors import ConfigError, RunDirError
from taskdiscovery.features.alone import path_alone
from taskdiscovery.features.backbones import is_backbone, is_packaged, runs_code
from taskdiscovery.jobs.specs import OWN, UNTRAINED
from taskdiscovery.store import Run

_WITHIN_PACKAGE = ("digits", "shapes")
#: what a run from elsewhere may have the package draw; some hundred bytes each on the way.
_MOST_PIXELS = 2**23
_FILES = ("folder", "parquet", "csv", "npz")


class Reach(IntEnum):
    """What using a text would reach."""

    INSIDE = 0
    """the run itself, or this package."""
    OUTSIDE = 1
    """a file or a cluster elsewhere."""
    CODE = 2
    """code that is imported, or something that is downloaded."""


@dataclass(frozen=True, kw_only=True)
class Allowed:
    """What the caller has named again.

    Attributes:
        networks: by name, as texts or objects.
        texts: anything, word for word; networks, too.
    """

    networks: Mapping[str, Network]
    texts: Collection[str] = ()

    def __post_init__(self) -> None:
        texts = [self.texts] if isinstance(self.texts, str) else self.texts
        object.__setattr__(self, "texts", frozenset(texts))

    def has(self, text: str) -> bool:
        """Say whether the caller has named a text."""
        plain = text.removeprefix(UNTRAINED)
        known = text in self.texts or plain in self.texts
        return known or object_of(plain, self.networks) is not None

    def networks_of(self, config: Options) -> dict[str, Network]:
        """Return the networks that a config names and the caller has named, too."""
        named = (
            text.removeprefix(UNTRAINED)
            for _, names, text in _named(config)
            if names != "features" and reach_of(names, text) is Reach.CODE
        )
        return {**{text: text for text in named if text in self.texts}, **self.networks}


def reach_of(names: str, text: str) -> Reach:
    """Say what using a text would reach.

    Args:
        names: what the option says of itself, one of `REACHES`.
        text: its value, or one of its entries.
    """
    return REACHES[names](text) if text else Reach.INSIDE


def check_job(run: Run, config: Options, document: Mapping[str, Any], allowed: Allowed) -> None:
    """Refuse to do the job of a run where it would use what the caller has not named.

    Args:
        run: the run.
        config: of its job, from its files.
        document: the same as it stands in the files, for its seal.
        allowed: what the caller has named.

    Raises:
        RunDirError: naming the option, and what to say if it is trusted.
    """
    ours = run.is_ours(document)
    for flag, names, text in _named(config):
        reach = reach_of(names, text)
        if reach is Reach.INSIDE or (reach is Reach.OUTSIDE and ours) or allowed.has(text):
            continue
        option = "--learner" if names == "learner" else "--allow"
        raise RunDirError(
            f"the run's {flag} is {text!r}, which {_DOES[reach]}",
            where=str(run.path),
            hint=f"if you trust it, say so: {option} {quote(text.removeprefix(UNTRAINED))}",
        )


def data_of(run: Run, document: Mapping[str, Any], option: str = "--data") -> str:
    """Return the DATA that the config of a run or of its job names.

    Args:
        run: the run.
        document: the config.
        option: by which the caller can give it again; `DATA` where it stands alone.

    Raises:
        RunDirError: where it names none, or what the caller has to name again.
    """
    spec = str(document.get("data") or "")
    if not spec or spec in IN_MEMORY:
        raise RunDirError(
            "the run was made from data held in memory, which cannot be read again",
            where=str(run.path),
            hint=f"give the data: {option}",
        )
    reach, does = reach_of("data", spec), _DOES
    if reach is Reach.INSIDE and _pixels(spec, document.get("size")) > _MOST_PIXELS:
        reach, does = Reach.OUTSIDE, {Reach.OUTSIDE: "takes much memory"}
    if reach is Reach.CODE or (reach is Reach.OUTSIDE and not run.is_ours(document)):
        raise RunDirError(
            f"the run's data is {spec!r}, which {does[reach]}",
            where=str(run.path),
            hint=f"if you trust it, give it again: {option} {quote(spec)}"
            if option.startswith("-")
            else f"if you trust it, give it again as {option}: {quote(spec)}",
        )
    return spec


def test_of(run: Run, document: Mapping[str, Any]) -> str:
    """Return the `test` of a run whose own data is read again.

    Raises:
        RunDirError: where the images to measure on are what the caller has to name again.
    """
    test = str(document.get("test") or "")
    reach = reach_of("test", test)
    if reach is Reach.CODE or (reach is Reach.OUTSIDE and not run.is_ours(document)):
        raise RunDirError(
            f"the run's --test is {test!r}, which {_DOES[reach]}",
            where=str(run.path),
            hint=f"if you trust it, give it again: --test {quote(test)}",
        )
    return test


def check_config_file(config: Options, data: str, given: Collection[str], file: str) -> None:
    """Refuse code that a config file names, and the command line does not.

    Args:
        config: of the file and of the command line together.
        data: DATA where the file names it; else empty.
        given: the flags of the command line.
        file: its path.

    Raises:
        ConfigError: naming the option, and what to say if it is trusted.
    """
    for flag, names, text in [("DATA", "data", data), *_named(config)]:
        if flag not in given and reach_of(names, text) is Reach.CODE:
            again = f"{quote(text)} as DATA" if flag == "DATA" else f"{flag} {quote(text)}"
            raise ConfigError(
                f"this file names {text!r} as {flag}, which {_DOES[Reach.CODE]}",
                where=file,
                hint=f"if you trust it, say so on the command line: {again}",
            )


def words_again(config: Options, data: str, ours: bool) -> str:
    """Return what `resume` needs beside the run when this user's own job goes on.

    Args:
        config: of the job.
        data: DATA.
        ours: whether the run carries a seal; without one, places are to be named as well.
    """
    least = Reach.CODE if ours else Reach.OUTSIDE
    again = [
        text.removeprefix(UNTRAINED)
        for _, names, text in _named(config)
        if reach_of(names, text) >= least
    ]
    words = "".join(f" --allow {quote(text)}" for text in dict.fromkeys(again))
    if data not in IN_MEMORY and reach_of("data", data) >= least:
        words += f" --data {quote(data)}"
    return words


_DOES = {
    Reach.OUTSIDE: "lies outside of the run, which carries no seal of this user's",
    Reach.CODE: "runs code or downloads",
}


def _named(config: Options) -> Iterator[tuple[str, str, str]]:
    """Yield the flag of each option that names something, what it names, and each of its texts."""
    for item in options(type(config)):
        value = getattr(config, item.name)
        for text in value if isinstance(value, tuple) else (value,):
            if item.metadata["names"] and isinstance(text, str):
                yield flag_of(key_of(item)), item.metadata["names"], text
    if config.NESTED:
        yield from _named(getattr(config, config.NESTED))


def _of_data(text: str) -> Reach:
    if path_alone(text) is not None:
        return Reach.OUTSIDE
    try:
        kind = parse(text).kind
    except ConfigError:  # who knows what a reader makes of it
        return Reach.CODE
    if kind in _WITHIN_PACKAGE:
        return Reach.INSIDE
    return Reach.OUTSIDE if kind in _FILES else Reach.CODE


def _of_test(text: str) -> Reach:
    if not names_data(text, KINDS):
        return Reach.INSIDE
    reach = _of_data(text)
    if reach is Reach.CODE and ":" not in text:  # a path that exists
        return Reach.OUTSIDE
    many = reach is Reach.INSIDE and _pixels(text, None) > _MOST_PIXELS
    return Reach.OUTSIDE if many else reach


def _of_other(text: str) -> Reach:
    if text in IN_MEMORY:  # it cannot be read again, and `audit` never tries
        return Reach.INSIDE
    reach = _of_data(text)
    if reach is Reach.CODE and ":" not in text:  # a path
        return Reach.OUTSIDE
    many = reach is Reach.INSIDE and _pixels(text, None) > _MOST_PIXELS
    return Reach.OUTSIDE if many else reach


def _of_learner(text: str) -> Reach:
    spec = parse(text)
    library = spec.kind in ("timm", "torchvision")
    if library and "weights" in spec.options:  # a file
        return Reach.OUTSIDE
    ours = spec.name in (*NETWORK_OPTIONS, *CONVEX) or library
    return Reach.INSIDE if ours else Reach.CODE


def _of_labeling(text: str) -> Reach:
    return Reach.INSIDE if is_target_spec(text) or ":" not in text else Reach.OUTSIDE


def _of_tasks(text: str) -> Reach:
    if text.startswith(UNTRAINED):
        return _of_learner(text.removeprefix(UNTRAINED))
    return Reach.INSIDE if text.startswith(OWN) or is_target_spec(text) else Reach.OUTSIDE


def _of_place(text: str) -> Reach:
    return Reach.OUTSIDE


def _of_features(text: str) -> Reach:
    if text == OF_DATA:
        return Reach.INSIDE
    if not is_backbone(text):
        return Reach.OUTSIDE
    if runs_code(text):
        return Reach.CODE
    return Reach.INSIDE if is_packaged(text) else Reach.OUTSIDE


def _pixels(spec: str, size: Any) -> int:
    """Count the pixels of what the package draws by itself, as far as the texts say."""
    parsed = parse(spec)
    own: Mapping[str, Any] = {"n": 1797, "size": 8}
    if parsed.kind == "shapes":
        own = check_options(parsed)
    side = size if isinstance(size, int) and size > 0 else int(own["size"])
    return int(own["n"]) * side * side


REACHES = {
    "data": _of_data,
    "test": _of_test,
    "other": _of_other,
    "learner": _of_learner,
    "labeling": _of_labeling,
    "tasks": _of_tasks,
    "place": _of_place,
    "features": _of_features,
}
