"""Which frozen network gave features: another one, or other pixels, gives other numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from taskdiscovery.types.aliases import Document

FITS = ("crop", "squash")
INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos")
LAYOUTS = ("NCHW", "NHWC")
POOLS = ("", "first", "mean")
#: of a side, in pixels.
LARGEST = 4096
_REQUIRED = ("name", "size", "sha256")
_LONGEST = 500


@dataclass(frozen=True, kw_only=True)
class Pixels:
    """What a pretrained network is to be shown.

    Attributes:
        size: side of what it sees, in pixels.
        resize: side of the square whose centre that is; 0 where it is the whole.
        fit: `crop` scales the shorter side and crops the centre, `squash` scales both.
        interpolation: how images of other sizes are scaled.
        scale: what a white pixel is, before mean and deviation: 1, or 255.
        mean, std: per channel, on that scale; empty where the network takes bytes.
    """

    size: int
    resize: int = 0
    fit: str = "crop"
    interpolation: str = "lanczos"
    scale: float = 1.0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    @property
    def side(self) -> int:
        """Side that images are scaled to, before the centre is cut."""
        return self.resize or self.size


@dataclass(frozen=True, kw_only=True)
class Backbone(Pixels):
    """A frozen network, and what it is given.

    Two are equal where they give the same features. Neither a file that features are in nor an
    encoder's says where weights lie, or carries what may be imported: that is said by the caller
    alone, and stands in `asked`.

    Attributes:
        name: e.g. `lite0`, `onnx`, `timm:NAME`, `package.module:factory`.
        sha256: of its weights.
        layout: `NCHW` or `NHWC`.
        output: which of several outputs are the features.
        pool: how one vector is made of several: the `first` of a sequence (a class token), or their
            `mean`.
        asked: the SPEC by which the caller named it; empty where a file names it.
    """

    name: str
    sha256: str
    layout: str = "NCHW"
    output: str = ""
    pool: str = ""
    asked: str = field(default="", compare=False, repr=False)

    def __str__(self) -> str:
        return f"{self.name}?size={self.size}"

    def difference(self, other: Backbone) -> str:
        """Say in what another one differs, e.g. `size 64, not 32`; empty where in nothing."""
        found = []
        for item in fields(self):
            own, its = getattr(self, item.name), getattr(other, item.name)
            if item.compare and own != its:
                word = "weights of SHA-256" if item.name == "sha256" else item.name
                found.append(f"{word} {_word(its)}, not {_word(own)}")
        return "; ".join(found)

    def to_json(self) -> Document:
        """Return it as files keep it: what differs from the defaults."""
        return {
            item.name: list(value) if isinstance(value, tuple) else value
            for item in fields(self)
            if item.compare
            and ((value := getattr(self, item.name)) != item.default or item.name in _REQUIRED)
        }

    @classmethod
    def from_json(cls, document: object) -> Backbone:
        """Read what a file keeps; it may be a stranger's.

        Raises:
            ValueError: where it is no backbone.
        """
        known = {item.name: item for item in fields(cls) if item.compare}
        if not isinstance(document, Mapping) or not set(document) <= set(known):
            raise ValueError("it names no backbone")
        if not all(name in document for name in _REQUIRED):
            raise ValueError("it names no backbone")
        values: Document = dict(document)
        for name in ("mean", "std"):
            if name in values:
                values[name] = _numbers(values[name])
        made = cls(**values)
        if not made._plausible():
            raise ValueError("it names no backbone that could be")
        return made

    def _plausible(self) -> bool:
        texts = (self.name, self.sha256, self.output)
        whole = (self.size, self.resize)
        return (
            all(isinstance(text, str) and len(text) <= _LONGEST for text in texts)
            and all(type(side) is int and 0 <= side <= LARGEST for side in whole)
            and self.size > 0
            and (self.resize == 0 or self.resize >= self.size)
            and self.fit in FITS
            and self.interpolation in INTERPOLATIONS
            and self.layout in LAYOUTS
            and self.pool in POOLS
            and type(self.scale) in (int, float)
            and 0 < self.scale < math.inf
            and len(self.mean) == len(self.std)
            and all(value > 0 for value in self.std)
        )


def _numbers(given: object) -> tuple[float, ...]:
    """Read a mean or a deviation.

    Raises:
        ValueError: where it is none.
    """
    if not isinstance(given, list | tuple) or len(given) not in (0, 3):
        raise ValueError("its mean or deviation is not one of three channels")
    if not all(type(value) in (int, float) and math.isfinite(value) for value in given):
        raise ValueError("its mean or deviation is no number")
    return tuple(float(value) for value in given)


def _word(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(f"{part:g}" for part in value) or "none"
    text = str(value) or "none"
    return f"{text[:12]}…" if len(text) == 64 else text
