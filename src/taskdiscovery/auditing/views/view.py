"""What a view is: some columns, what they are held against, how to exchange it, and its words.

Axes: N images.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from taskdiscovery.auditing.seen import Seen
from taskdiscovery.types import ImageArray, IntArray

#: columns of what was seen.
Columns = Callable[[Seen], IntArray]
#: (N, H, W, channels) pictures, and as many donors; the pictures with the donors' view.
Exchange = Callable[[ImageArray, ImageArray], ImageArray]
#: (N, H, W, channels) pictures, and what may be drawn; the pictures with the cue, so strong.
Operation = Callable[[ImageArray, np.random.Generator], ImageArray]
#: top, left, bottom, right, as shares of height and width.
Box = tuple[float, float, float, float]

UNIQUE, CONTROL, MODES, APART, RATIO = "unique", "control", "modes", "apart", "ratio"


@dataclass(frozen=True, eq=False, kw_only=True)
class View:
    """Something that may tell a label, of which the content should be silent.

    Attributes:
        name: as in `--allow`.
        kind: `file`, `artefact` or `context`.
        words: what is seen, to stand after "the labels go with".
        remedy: what to do where it is present, one sentence.
        own: its columns.
        rest: those that it must add to: what is left of the picture without it.
        control: columns of a place like it, for McNemar's test, or None.
        tests: which of `unique`, `control`, `modes`, `apart`, `ratio` may say that it is present.
        beyond_control: whether no test counts unless the view tells more than its control.
        anywhere: whether it sees what places see, too: a place that is present is named first.
        place: whether it is a place in the picture: where all pictures are laid out alike, places
            mean something, and it is a warning at most.
        exchange: takes the view from donors, or None where it cannot be exchanged.
        likenesses: operations that bring it about, of several strengths: views that cover the whole
            picture are told apart by which of them changes the pictures as the classes differ.
        strengths: the same in finer steps, one of which networks are asked with; `likenesses` where
            none are given.
        boxes: where it lies.
    """

    name: str
    kind: str
    words: str
    remedy: str
    own: Columns
    rest: Columns
    control: Columns | None = None
    tests: tuple[str, ...] = (UNIQUE,)
    beyond_control: bool = False
    anywhere: bool = False
    place: bool = False
    exchange: Exchange | None = None
    likenesses: tuple[Operation, ...] = ()
    strengths: tuple[Operation, ...] = ()
    boxes: tuple[Box, ...] = ()
