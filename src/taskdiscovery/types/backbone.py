"""Which frozen network gave features: another one, or another size, gives other numbers."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from taskdiscovery.types.aliases import Document


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """A frozen network, and what it is given.

    Attributes:
        name: e.g. `lite0`.
        size: images are made `size` x `size` pixels, the centre cropped.
        sha256: of the file of its weights.
    """

    name: str
    size: int
    sha256: str

    def __str__(self) -> str:
        return f"{self.name}?size={self.size}"

    def to_json(self) -> Document:
        """Return it as files keep it."""
        return asdict(self)
