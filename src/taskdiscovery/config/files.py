"""Options from YAML files and dictionaries, and as the words of a command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from taskdiscovery.config.options import Options, flag_of, key_of, number_text, options
from taskdiscovery.errors import ConfigError, first_line, nearest
from taskdiscovery.types import Document

C = TypeVar("C", bound=Options)
#: bytes of a config; far more than anybody writes.
_MOST = 2**16


def read_config(name: Path | str) -> Document:
    """Read options from a YAML file, or from a config of the package by its name (`published`).

    Raises:
        ConfigError: where it cannot be read or is no mapping.
    """
    file = Path(name)
    if str(name) == "published" and not file.exists():
        file = Path(__file__).with_name("published.yaml")
    try:
        with file.open("rb") as stream:  # a pipe, too: `--config <(…)`
            document = yaml_of(stream.read(_MOST + 1))
    except Exception as error:  # hostile files raise errors of every kind
        raise ConfigError(
            f"the config cannot be read: {first_line(error)}",
            where=str(name),
            hint="give a YAML file, or `published`",
        ) from error
    if not isinstance(document, dict):
        raise ConfigError(
            "the config is no mapping", where=str(name), hint="write key: value lines"
        )
    return document


def yaml_of(content: bytes) -> Any:
    """Read YAML from a stranger: plain values, each written out.

    References and merges (`*a`, `<<`) unfold to any size within the parser, so they are refused.

    Raises:
        ValueError: where it is too long, refers to itself, is nested too deeply or holds numbers
            that no option has.
        Exception: of many kinds, where it is no YAML.
    """
    import yaml

    if len(content) > _MOST:
        raise ValueError(f"it has more than {_MOST:,} bytes")
    text = content.decode("utf-8")
    try:
        document = _loaded(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError:  # libyaml refuses what stands for a byte that is no UTF-8
        document = _loaded(text, yaml.SafeLoader)
    _check_plain(document)
    return document


def _loaded(text: str, loader: Any) -> Any:
    import yaml

    for token in yaml.scan(text, loader):
        if isinstance(token, yaml.AliasToken):
            raise ValueError("it refers to a part of itself: write it out")
    return yaml.load(text, loader)


def _check_plain(document: Any) -> None:
    """Refuse what options never are, before anything is made of it.

    Raises:
        ValueError: saying what.
    """
    waiting = [(document, 0)]
    while waiting:
        value, depth = waiting.pop()
        if depth > 20:
            raise ValueError("it is nested too deeply")
        if isinstance(value, int) and abs(value) >= 2**63:
            raise ValueError("a number is too large")
        if isinstance(value, dict):
            waiting += [(one, depth + 1) for pair in value.items() for one in pair]
        elif isinstance(value, list):
            waiting += [(one, depth + 1) for one in value]
        elif not isinstance(value, str | int | float | bool | None):
            raise ValueError(f"it holds a {type(value).__name__}")


def from_mapping(kind: type[C], values: Mapping[str, Any], where: str) -> C:
    """Make a config from the names that users know.

    Args:
        kind: the class.
        values: by name; a field that holds objects goes by its own name.
        where: for the error.

    Raises:
        ConfigError: for an unknown key (naming the nearest), a wrong type, a value out of range.
    """
    values = kind.nest(values, where)
    known = {key_of(item): item.name for item in options(kind)}
    held = {item.name for item in fields(kind)} - set(known.values())
    for key in values:
        if str(key) not in known and key not in held:
            raise ConfigError(f"unknown key {key!r}", where=where, hint=nearest(str(key), known))
    return kind(**{known.get(key, key): value for key, value in values.items()})


def part_of(kind: type[C], values: Mapping[str, Any], where: str) -> C:
    """Make a config of those values that it knows; the others belong to another.

    Raises:
        ConfigError: for a wrong type, or a value out of range.
    """
    known = {key_of(item) for item in options(kind)}
    return from_mapping(kind, {k: v for k, v in values.items() if k in known}, where)


def words_of(config: Options) -> list[str]:
    """Return the words of a command line that sets these options; defaults are left out."""
    words: list[str] = []
    if config.NESTED:
        nested = getattr(config, config.NESTED)
        words += [flag_of(config.NESTED), nested.name, *words_of(nested)]
    for item in options(type(config)):
        value = getattr(config, item.name)
        if value in (item.default, config.usual(item.name)) or value is None:
            continue
        flag = flag_of(key_of(item))
        if isinstance(value, bool):
            words.append(flag if value else flag.replace("--", "--no-", 1))
        elif isinstance(value, tuple):
            texts = [word if isinstance(word, str) else number_text(word) for word in value]
            joined = item.metadata["separator"].join(texts)
            # One word where it could be taken for an option of its own: --range=-1000,2000.
            words += [f"{flag}={joined}"] if joined.startswith("-") else [flag, joined]
        else:
            words += [flag, f"{value:g}" if isinstance(value, float) else str(value)]
    return words
