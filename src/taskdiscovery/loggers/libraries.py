"""Whether a library is installed, without importing it: some take seconds."""

from __future__ import annotations

from importlib.util import find_spec

from taskdiscovery.errors import ConfigError


def require(package: str) -> None:
    """Refuse to go on without a library.

    Args:
        package: its name, which is that of the extra, too.

    Raises:
        ConfigError: naming the pip command.
    """
    if find_spec(package) is None:
        raise ConfigError(
            f"{package} is not installed",
            where=f"--log {package}",
            hint=f"pip install 'taskdiscovery[{package}]'",
        )
