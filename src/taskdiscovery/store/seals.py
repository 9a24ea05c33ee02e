"""Seals tell a config that this user's own job wrote from one that came from elsewhere.

What a config names (images, features, another run) is opened without asking only where the user
named it once, in the very job that wrote it. A seal is a keyed hash of the config, by a key that
lies in the user's home and in no run: a stranger cannot make one, and a config that was changed
since has lost its own. Without a home there are no seals, and every run is as from elsewhere.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from taskdiscovery.store.place import Place
from taskdiscovery.store.writing import finite

KEY = "seal"
_BYTES = 32


def made(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the seal of a config, by its key in a document; empty where there can be none."""
    key = _key(make=True)
    return {} if key is None else {KEY: _digest(config, key)}


def holds(config: Mapping[str, Any], seal: Any) -> bool:
    """Say whether a seal is this user's, of this very config."""
    key = _key() if isinstance(seal, str) and seal.isascii() else None
    return key is not None and hmac.compare_digest(_digest(config, key), seal)


def _digest(config: Mapping[str, Any], key: bytes) -> str:
    # Through JSON, so that a tuple is the list that YAML gives back for it.
    text = json.dumps(finite(config), sort_keys=True, allow_nan=False, default=str)
    return hmac.new(key, text.encode("utf-8", "backslashreplace"), hashlib.sha256).hexdigest()


def _key(*, make: bool = False) -> bytes | None:
    """Return the user's key, or None; where it is to be made, another process may be first."""
    with contextlib.suppress(OSError, RuntimeError, KeyError):
        folder = _folder()
        if make:
            _make(folder)
        with (folder / "key").open("rb") as stream:
            found = stream.read(_BYTES)
        return found if len(found) == _BYTES else None
    return None


def _make(folder: Path) -> None:
    if (folder / "key").exists():
        return
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    place, name = Place(folder), f"key.{secrets.token_hex(4)}"
    descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(secrets.token_bytes(_BYTES))
        with contextlib.suppress(FileExistsError):
            os.link(folder / name, folder / "key")  # whole at once, and the first one stays
    finally:
        place.remove(name)


def _folder() -> Path:
    given = os.environ.get("XDG_STATE_HOME", "")
    state = Path(given) if os.path.isabs(given) else Path.home() / ".local" / "state"
    return state / "taskdiscovery"
