"""Normal forms of ids: what of an id is compared where people write it in another way."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import partial

#: a name without folders and leading dots, then its ending: `a.png`, not `v1.2` or `.png`.
_ENDING = re.compile(r"(?<=[^./])\.[A-Za-z][A-Za-z0-9]{0,4}$")
_DIGITS = re.compile(r"\d+")


def _path(name: str) -> str:
    """With slashes, without a leading `./`, in composed Unicode."""
    name = name.replace("\\", "/")
    name = name if name.isascii() else unicodedata.normalize("NFC", name)
    while name.startswith("./"):
        name = name[2:].lstrip("/")
    return name


def _tail(name: str, count: int) -> str:
    """The last parts of a path."""
    return "/".join(_path(name).split("/")[-count:]) if count else _path(name)


def _stem(name: str, count: int) -> str:
    return _ENDING.sub("", _tail(name, count))


def _unpadded(name: str, count: int) -> str:
    return _DIGITS.sub(lambda digits: digits[0].lstrip("0") or "0", _stem(name, count))


_TAILS = {0: "path", 3: "the last three parts of the path", 2: "folder and name", 1: "file name"}
#: what is compared, from the form that changes least to the one that changes most.
FORMS: list[tuple[str, Callable[[str], str]]] = [
    (f"{words}{more}", partial(normal, count=count))
    for more, normal in (
        ("", _tail),
        (" without ending", _stem),
        (" without ending, numbers without zeros in front", _unpadded),
    )
    for count, words in _TAILS.items()
]


def agree(a: str, b: str) -> bool:
    """Say whether neither id says of folder or ending what the other denies."""
    first, second = _path(a).split("/"), _path(b).split("/")
    endings = [_ENDING.search(name) for name in (first[-1], second[-1])]
    if endings[0] and endings[1] and endings[0][0].lower() != endings[1][0].lower():
        return False
    folders = sorted((first[:-1], second[:-1]), key=len)
    return not folders[0] or folders[1][-len(folders[0]) :] == folders[0]
