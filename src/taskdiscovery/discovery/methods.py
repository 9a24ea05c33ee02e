"""The methods of discovery, by the name that `--method` knows them by."""

from __future__ import annotations

from taskdiscovery.discovery.meta.method import Meta
from taskdiscovery.discovery.method import Method
from taskdiscovery.discovery.power import Power
from taskdiscovery.discovery.pursuit import Pursuit
from taskdiscovery.discovery.spectral import Spectral

METHODS: dict[str, type[Method]] = {kind.name: kind for kind in (Power, Spectral, Pursuit, Meta)}
