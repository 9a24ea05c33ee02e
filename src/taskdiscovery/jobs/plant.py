"""`plant`: a cue in some of the images, and the truth beside them."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np

from taskdiscovery.config import PlantConfig
from taskdiscovery.data import target_of
from taskdiscovery.data.planting import Planted, plant
from taskdiscovery.errors import ConfigError, DataError
from taskdiscovery.jobs.inputs import read_data
from taskdiscovery.runtime.callbacks import Callbacks
from taskdiscovery.store import check_new
from taskdiscovery.store.writing import atomic

#: what is written into the folder, beside `images/CLASS/ROW.png`.
TRUTH, NUMBERS, IMAGES = "truth.csv", "planted.json", "images"


def run(
    data: Any, target: Any, config: PlantConfig, out: Path | None, callbacks: Callbacks
) -> Planted:
    """Do the job.

    Args:
        data: anything that `load` takes.
        target: the labeling that the cue goes with, as `data.target_of` takes it; None for the
            config's.
        config: as given.
        out: a new folder to write images and truth into, or None.
        callbacks: told of progress.

    Raises:
        TaskDiscoveryError: see `errors`.
    """
    target = config.target if target is None else target
    if isinstance(target, str) and not target:
        raise ConfigError(
            "plant needs a target", where="plant", hint="give --target label:A,B or attr:COLUMN"
        )
    if out is not None:
        check_new(out)
    dataset = read_data(data, config, callbacks)
    labeling = target_of(dataset, target)
    with callbacks.stage(f"planting {config.cue}", len(dataset) / 2) as meter:
        found = plant(dataset, labeling, config.cue, config.strength, config.seed, meter)
    if out is not None:
        _write(found, out, callbacks)
    return found


def _write(found: Planted, out: Path, callbacks: Callbacks) -> None:
    """Write images as PNG, a folder a class, and the truth outside of their folders.

    Raises:
        DataError: for images that PNG does not hold.
        ResourceError: where the place cannot be written.
    """
    from PIL import Image

    images = found.dataset.images
    if images.shape[3] not in (1, 3):
        raise DataError(
            f"images of {images.shape[3]} channels cannot be written as PNG",
            where=found.dataset.name,
            hint="use td.plant, which returns them as arrays",
        )
    names = _files(found)
    with callbacks.stage("writing images", len(images)) as meter:
        for image, name in zip(images, names, strict=True):
            stream = io.BytesIO()
            Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(stream, "PNG")
            _put(out / IMAGES / name, stream.getvalue())
            meter.advance()
    frame = found.to_frame()
    frame.insert(0, "file", names)
    _put(out / TRUTH, frame.to_csv(index=False).encode("utf-8"))
    _put(out / NUMBERS, json.dumps(found.numbers, indent=1).encode("utf-8") + b"\n")


def _files(found: Planted) -> list[str]:
    """Return where each image goes; class names that are no folder's are numbered."""
    folders = [
        name if name.replace("_", "").replace("-", "").isalnum() else f"class_{c}"
        for c, name in enumerate(found.target.classes)
    ]
    width = len(str(len(found.has_N)))
    own = np.asarray(folders)[found.target.labels_N]
    return [f"{folder}/{row:0{width}d}.png" for row, folder in enumerate(own)]


def _put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as stream:
        stream.write(content)
