"""One strength of a benchmark as a folder of image files, for code that reads Waterbirds."""

from __future__ import annotations

import re
from pathlib import Path

from taskdiscovery.data import load
from taskdiscovery.errors import ConfigError, DataError
from taskdiscovery.splits.benchmark.building import built, put
from taskdiscovery.splits.benchmark.card import config_name, start_of
from taskdiscovery.splits.benchmark.checking import METADATA, check
from taskdiscovery.splits.benchmark.rows import IMAGES, SPLITS
from taskdiscovery.splits.benchmark.shards import png_of

#: a folder from a stranger may name any file.
_FILE = re.compile(rf"{IMAGES}/[0-9]+\.png")


def unpack(folder: Path | str, strength: float, out: Path | str) -> Path:
    """Write the images of one strength as files, with the `metadata.csv` that names them.

    Args:
        folder: of a benchmark.
        strength: one that it has.
        out: a new folder.

    Returns:
        It.

    Raises:
        ConfigError: for a strength that it has not.
        DataError: where the benchmark is not as it was written.
        RunDirError: where the folder is not empty.
        ResourceError: where it cannot be written.
    """
    import pandas as pd

    folder, out = Path(folder), Path(out)
    known = check(folder)["strengths"]
    if strength not in known:
        raise ConfigError(
            f"there is no strength {strength:g}",
            where=str(folder),
            hint=f"choose from: {', '.join(f'{own:g}' for own in known)}",
        )
    table = folder / config_name(strength) / METADATA
    frame = pd.read_csv(table, dtype=str, keep_default_na=False)
    with built(out, METADATA) as place:
        for i, split in enumerate(SPLITS):
            names = frame.loc[frame["split"] == str(i), "img_filename"].tolist()
            where, _, _ = start_of(strength, split).rpartition("/")
            images = load(f"parquet:{folder / where}?split={split}").images
            if len(names) != len(images) or not all(map(_FILE.fullmatch, names)):
                raise DataError(
                    f"it does not name the images of {split}",
                    where=str(table),
                    hint="write the benchmark anew",
                )
            for name, image in zip(names, images, strict=True):
                put(place / name, png_of(image))
        put(place / METADATA, table.read_bytes())
    return out
