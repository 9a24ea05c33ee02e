"""Looking at every image before any is decoded: which can be read, their size, their scale."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from taskdiscovery.data.images.pixels import Look, look
from taskdiscovery.data.images.refusing import refuse
from taskdiscovery.data.images.scale import range_of
from taskdiscovery.data.images.work import Work, over, stream_of
from taskdiscovery.data.listing import Source
from taskdiscovery.errors import DataError, first_line


@dataclass(frozen=True, eq=False, kw_only=True)
class Survey:
    """What all headers say together.

    Attributes:
        bad: which images cannot be read, and why.
        shape: (H, W, channels) of the others, as they are kept.
        range: of deep images; None where there are none.
    """

    bad: dict[int, str]
    shape: tuple[int, int, int]
    range: tuple[float, float] | None


def survey(work: Work) -> Survey:
    """Look at every image: which cannot be read, the shape of the others, the scale of deep ones.

    Raises:
        DataError: where images cannot be read, are of different sizes, or on no scale that is not
            a guess.
    """
    listing, how = work.listing, work.how

    def headers(block: tuple[Source, ...]) -> list[Look | str]:
        found: list[Look | str] = []
        for source in block:
            try:
                with work.gate.entered() as hold:
                    found.append(look(source, hold, values=how.range is None))
            except Exception as error:  # hostile files raise errors of every kind
                found.append(first_line(error))
        return found

    looks: list[Look | str] = []
    for some in over(work.pool, stream_of(listing), headers, lambda source: source):
        looks += some
        work.bar.advance(len(some))
    if len(looks) != len(listing.ids):
        raise DataError(
            f"there are {len(looks)} images for {len(listing.ids)} ids",
            where=listing.name,
            hint="check that the file is complete",
        )
    bad = {i: found for i, found in enumerate(looks) if isinstance(found, str)}
    refuse(listing, bad, how.skip_bad)
    good = {i: found for i, found in enumerate(looks) if not isinstance(found, str)}
    deep = {i: found.extent for i, found in good.items() if found.extent is not None}
    named = ((listing.ids[i], extent) for i, extent in deep.items())
    range = how.range or range_of(named, listing.name)
    return Survey(bad=bad, shape=_shape(work, list(good.values())), range=range)


def _shape(work: Work, looks: list[Look]) -> tuple[int, int, int]:
    """The shape that images are kept in: grey only where all are.

    Raises:
        DataError: where sizes differ, and none is asked for.
    """
    size = work.how.size
    sizes = Counter((found.width, found.height) for found in looks)
    if len(sizes) > 1 and size is None:
        common = ", ".join(f"{w}×{h} ({n})" for (w, h), n in sizes.most_common(3))
        raise DataError(
            f"images have {len(sizes)} different sizes: {common}",
            where=work.listing.name,
            hint="give one with --size, e.g. --size 32",
        )
    width, height = (size, size) if size is not None else next(iter(sizes))
    return height, width, 1 if all(found.grey for found in looks) else 3
