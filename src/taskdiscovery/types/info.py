"""What was read: the answer to "are these my images, my classes, my columns?"."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from taskdiscovery.types import display
from taskdiscovery.types.aliases import Document, ImageArray


@dataclass(frozen=True, kw_only=True)
class ClassCount:
    """A class of the label.

    Attributes:
        position: its index, as `label:3` names it where no class has that name.
        name: as `label:NAME` names it.
        images: how many images have it.
    """

    position: int
    name: str
    images: int


@dataclass(frozen=True, kw_only=True)
class Column:
    """An attribute of the images.

    Attributes:
        name: as `attr:NAME` names it.
        type: `text`, `yes or no`, `whole numbers`, `numbers`, `dates` or `mixed`.
        values: how many different ones, without the missing.
        missing: images without a value.
        examples: the most frequent values with their images; of numbers the smallest and largest.
    """

    name: str
    type: str
    values: int
    missing: int
    examples: str


@dataclass(frozen=True, kw_only=True)
class FileFact:
    """What so many of the files have in common, before anything is decoded.

    Attributes:
        fact: `format`, `mode`, `bits`, `size`, `stored turned`, `colour profile`, `EXIF`,
            `JPEG quality`, `camera`, `year` that EXIF says it was taken in.
        value: in words.
        images: how many.
    """

    fact: str
    value: str
    images: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Info:
    """What was read.

    Attributes:
        data: the specification, or what the object was.
        images: how many.
        shape: (height, width, channels) of every image.
        pixels: smallest and largest value.
        ids: how they look, and the first and the last.
        unlabelled: images without a class, where there are labels; else None.
        classes: those of the label; empty without labels.
        attributes: the columns that came along.
        files: what the files were like; empty where there were none.
        problems: what was skipped, or is odd, one line each.
        notes: what was done to the pixels (turned, scaled, taken as they were), one line each.
        hints: what suggests that images belong together, and should be named by `--groups`.
        fingerprint: SHA-256 over images, ids and labels.
        thumbnails: (n, H, W, channels) uint8 images at even distances.
        titles: what to say of each.
        features: how many there are of each image, their type, and where they are from; empty where
            there are none.
        groups: how many there are, and the largest; empty where none are named.
    """

    data: str
    images: int
    shape: tuple[int, int, int]
    pixels: str
    ids: str
    unlabelled: int | None
    classes: tuple[ClassCount, ...] = ()
    attributes: tuple[Column, ...] = ()
    files: tuple[FileFact, ...] = ()
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()
    fingerprint: str = ""
    thumbnails: ImageArray = field(repr=False)
    titles: tuple[str, ...] = field(default=(), repr=False)
    features: str = ""
    groups: str = ""

    def summary(self) -> dict[str, str]:
        """Return name and value of what there is one of."""
        height, width, channels = self.shape
        size = f"{width} x {height}, {channels} channel{'s' * (channels > 1)}"
        kinds = {1: "grey", 3: "RGB"}
        named = f", {kinds[channels]}" if channels in kinds else ""
        lines = {
            "data": self.data,
            "images": f"{self.images:,}",
            "size": f"{size}{named}",
            "pixels": self.pixels,
            "ids": self.ids,
        }
        if not height:  # features stand alone
            lines = {"data": self.data, "rows": f"{self.images:,}", "ids": self.ids}
        if self.features:
            lines["features"] = self.features
        if self.groups:
            lines["groups"] = self.groups
        if self.unlabelled is None:
            lines["labels"] = "none"
        else:
            known = self.images - self.unlabelled
            lines["labels"] = f"{len(self.classes):,} classes, {known:,} images with one"
            if self.unlabelled:
                lines["labels"] += f", {self.unlabelled:,} without"
        lines["fingerprint"] = self.fingerprint
        return lines

    def to_dict(self) -> Document:
        """Return everything but the pictures, for JSON."""
        found: dict[str, Any] = {
            name: value for name, value in vars(self).items() if name not in _PICTURES
        }
        for name in ("classes", "attributes", "files"):
            found[name] = [asdict(item) for item in found[name]]
        return found | {
            "shape": list(self.shape),
            "problems": list(self.problems),
            "notes": list(self.notes),
            "hints": list(self.hints),
        }

    def _repr_html_(self) -> str:
        pictures = display.Pictures(self.thumbnails, self.titles)
        summary: list[Document]
        summary = [{"": name, "value": value} for name, value in self.summary().items()]
        if len(self.thumbnails):
            summary.append({"": "first images", "value": pictures})
        parts = [display.table("What was read", summary)]
        for caption, items in (
            ("Classes", self.classes),
            ("Attributes", self.attributes),
            ("Files", self.files),
        ):
            if items:
                parts.append(display.table(caption, [asdict(item) for item in items]))
        remarks = [*self.problems, *self.hints, *self.notes]
        if remarks:
            parts.append(display.table("Worth knowing", [{"": line} for line in remarks]))
        return "".join(parts)


_PICTURES = ("thumbnails", "titles")
