"""Specifications: `name?key=value&…`, the one short language for data and learners.

`digits`, `shapes?n=5000&seed=0`, `folder:PATH`, `convnet?width=0.5`, `timm:NAME`,
`package.module:factory?option=1`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, unquote

from taskdiscovery.errors import ConfigError, nearest


@dataclass(frozen=True)
class Spec:
    """A parsed specification.

    Attributes:
        text: as it was written.
        name: all before the first `?` that is followed by options.
        options: the options, percent-decoded, in the order written.
    """

    text: str
    name: str
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """What stands before the first colon: `folder` in `folder:PATH`."""
        return self.name.partition(":")[0]

    @property
    def path(self) -> str:
        """What stands after the first colon: `PATH` in `folder:PATH`; empty without a colon."""
        return self.name.partition(":")[2]

    @property
    def written(self) -> str:
        """Name and options as text; `text` where no option was taken out."""
        options = "&".join(f"{key}={quote(value)}" for key, value in self.options.items())
        return f"{self.name}?{options}" if options else self.name

    def only(self, known: Iterable[str]) -> None:
        """Refuse options that are not known.

        Raises:
            ConfigError: naming the nearest known option.
        """
        known = set(known)
        for key in self.options:
            if key not in known:
                hint = nearest(key, known) if known else f"{self.name} takes no options"
                raise ConfigError(
                    f"unknown option {key!r} of {self.name}", where=self.text, hint=hint
                )

    def integer(self, key: str, default: int, *, low: int, high: int) -> int:
        """Return an option as a whole number within [low, high].

        Raises:
            ConfigError: where it is not one.
        """
        text = self.options.get(key)
        if text is None:
            return default
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            raise self._out_of_range(key, text, f"a whole number from {low} to {high}")
        return value

    def number(self, key: str, default: float, *, low: float, high: float) -> float:
        """Return an option as a finite number within [low, high].

        Raises:
            ConfigError: where it is not one.
        """
        text = self.options.get(key)
        if text is None:
            return default
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise self._out_of_range(key, text, f"a number from {low:g} to {high:g}")
        return value

    def choice(self, key: str, default: str | None, choices: Iterable[str]) -> str | None:
        """Return an option that is one of `choices`.

        Raises:
            ConfigError: naming the nearest choice.
        """
        text = self.options.get(key)
        if text is None:
            return default
        choices = list(choices)
        if text not in choices:
            raise ConfigError(
                f"{key}={text} is not possible", where=self.text, hint=nearest(text, choices)
            )
        return text

    def without(self, *keys: str) -> Spec:
        """Return the specification without some options."""
        kept = {key: value for key, value in self.options.items() if key not in keys}
        return Spec(text=self.text, name=self.name, options=kept)

    def _out_of_range(self, key: str, text: str, wanted: str) -> ConfigError:
        return ConfigError(
            f"{key}={text} is not {wanted}", where=self.text, hint=f"give {key} as {wanted}"
        )


def parse(text: str) -> Spec:
    """Parse a specification.

    A `?` opens options only where `key=` follows it, so that paths may contain question marks.

    Raises:
        ConfigError: for an empty name, an option without a key, or one given twice.
    """
    name, mark, query = text.partition("?")
    while mark and not re.match(r"[A-Za-z_]\w*=", query):
        more, mark, query = query.partition("?")
        name = f"{name}?{more}"
    if not name.strip():
        raise ConfigError(
            f"empty specification {text!r}", hint="give a name, e.g. digits or convnet"
        )
    options: dict[str, str] = {}
    for part in query.split("&") if query else []:
        key, equals, value = part.partition("=")
        if not key or not equals:
            raise ConfigError(
                f"cannot read the option {part!r}", where=text, hint="write key=value, joined by &"
            )
        if key in options:
            raise ConfigError(f"option {key!r} is given twice", where=text, hint="give it once")
        options[key] = unquote(value)
    return Spec(text=text, name=name, options=options)
