"""The table of views: a new cue is one file, and one line here."""

from __future__ import annotations

from taskdiscovery.auditing.views import camera, file, light, mark, places
from taskdiscovery.auditing.views.view import View

VIEWS: tuple[View, ...] = (
    *file.VIEWS,
    *places.VIEWS,
    *mark.VIEWS,
    *camera.VIEWS,
    *light.VIEWS,
)
NAMES = tuple(view.name for view in VIEWS)
