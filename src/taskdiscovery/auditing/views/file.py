"""Facts of the files: what says something of the class before a picture is looked at."""

from __future__ import annotations

from taskdiscovery.auditing.seen import FILES
from taskdiscovery.auditing.views.view import RATIO, View
from taskdiscovery.types.audit import FILE

VIEWS = (
    View(
        name="file",
        kind=FILE,
        words="facts of the files (size, format, camera, time)",
        remedy="re-encode all images alike, from originals of one source, without their metadata",
        own=lambda seen: seen.of(FILES),
        rest=lambda seen: seen.cells(),
        tests=(RATIO,),
    ),
)
