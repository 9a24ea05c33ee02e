"""What a pretrained network is shown: as its own config says it, or as the SPEC does."""

from __future__ import annotations

import math

from taskdiscovery.config.specs import Spec
from taskdiscovery.errors import ConfigError
from taskdiscovery.types.aliases import Document
from taskdiscovery.types.backbone import FITS, INTERPOLATIONS, LARGEST, Pixels

#: of every SPEC of a pretrained network whose pixels are ours to prepare.
PIXEL_OPTIONS = ("size", "resize", "fit", "interpolation", "scale", "mean", "std")
_EXAMPLES = {
    "size": "size=224",
    "mean": "mean=0.485,0.456,0.406",
    "std": "std=0.229,0.224,0.225",
}


def pixels_of(spec: Spec, known: Document) -> Pixels:
    """Return what a pretrained network is to be shown.

    Args:
        spec: its options come first.
        known: what the network's own config says, by the names of `Pixels`; it may lack some.

    Raises:
        ConfigError: where neither says the size, the mean or the deviation, naming what to add; or
            for a value that cannot be.
    """
    given = {key: value for key, value in known.items() if value is not None}
    for key in ("mean", "std"):
        if key in spec.options:
            given[key] = _channels(spec, key)
    if "size" in spec.options:
        size = spec.integer("size", 1, low=8, high=LARGEST)
        if given.get("resize") and given.get("size"):  # the same share of the picture
            given["resize"] = round(given["resize"] * size / given["size"])
        given["size"] = size
    missing = [key for key in _EXAMPLES if key not in given]
    if missing:
        raise ConfigError(
            f"{spec.name} does not say its {', '.join(missing)}",
            where=spec.text,
            hint=f"add what it was trained with, e.g. {'&'.join(_EXAMPLES[key] for key in missing)}"
            "; scale=255 where it takes pixels from 0 to 255",
        )
    given["scale"] = spec.number("scale", float(given.get("scale", 1.0)), low=1e-3, high=1e6)
    given["fit"] = spec.choice("fit", given.get("fit", "crop"), FITS)
    words = given.get("interpolation", "bilinear")
    given["interpolation"] = spec.choice("interpolation", words, INTERPOLATIONS)
    size = given["size"]
    resize = spec.integer("resize", given.get("resize") or size, low=size, high=LARGEST)
    given["resize"] = 0 if resize == size else resize
    return Pixels(**given)


def _channels(spec: Spec, key: str) -> tuple[float, ...]:
    """Read one number, or three.

    Raises:
        ConfigError: for anything else, or a deviation that is not positive.
    """
    try:
        values = tuple(float(part) for part in spec.options[key].split(","))
    except ValueError:
        values = ()
    lowest = -math.inf if key == "mean" else 0.0
    if len(values) not in (1, 3) or not all(lowest < v < math.inf for v in values):
        raise ConfigError(
            f"{key}={spec.options[key]} is not one number, or one for each of three channels",
            where=spec.text,
            hint=f"e.g. {_EXAMPLES[key]}",
        )
    return values * 3 if len(values) == 1 else values
