"""Ways to find tasks on one data set, by name: pursuit, `power`, and the peers on its features.

What was found is kept in the working directory, under a digest of the code that found it.

Axes: N images, P features, D tasks.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

import taskdiscovery as td
from experiments import peers
from experiments.laboratory import Laboratory
from experiments.peers import Found, Table
from experiments.records import Row
from taskdiscovery.data import partition
from taskdiscovery.data.statistics import image_statistics
from taskdiscovery.types import BoolArray, FloatArray

_LOG = logging.getLogger("taskdiscovery")
#: `power` on pixels: the defaults of 0.1.0, on so many images of at most so many pixels a side.
PIXELS: Row = {"learner": "convnet", "train_images": 6000}
SIDE = 64


@dataclass(frozen=True, eq=False, kw_only=True)
class Setting:
    """Images with features, and how many tasks are wanted.

    Attributes:
        lab: its data set has features.
        tasks: D.
        seed: of partition and search.
    """

    lab: Laboratory
    tasks: int
    seed: int

    @cached_property
    def seen_N(self) -> BoolArray:
        """Images that discovery may see: as `discover` draws them."""
        return partition.draw(len(self.lab.dataset), self.seed)

    @cached_property
    def table(self) -> Table:
        """What peers are given."""
        features = self.lab.dataset.features
        assert features is not None
        classes = len(self.lab.dataset.classes)
        return Table(features_NP=features, seen_N=self.seen_N, classes=classes)

    @cached_property
    def statistics_NS(self) -> FloatArray:
        """Image statistics."""
        return image_statistics(self.lab.dataset.images).to_numpy()

    @property
    def on_statistics(self) -> td.Dataset:
        """The data set with image statistics in place of features."""
        return td.load(self.lab.dataset, features=self.statistics_NS)


Way = Callable[[Setting], Found]


def _discovered(setting: Setting, statistics: bool = False, **options: Any) -> Found:
    """Search with the package; where nothing is found, say why."""
    data = setting.on_statistics if statistics else setting.lab.dataset
    options |= {"tasks": setting.tasks, "seed": setting.seed, "threads": setting.lab.threads}
    found = td.discover(data, **options, callbacks=())
    assert found.tasks.seen_N is not None
    assert np.array_equal(found.tasks.seen_N, setting.seen_N)
    return Found(labels_ND=found.tasks.labels_ND.astype(bool))


def _on_pixels(setting: Setting) -> Found:
    """Search on pixels with a network, through a run that can be stopped."""
    name = f"features {setting.lab.dataset.fingerprint[:12]} pixels {setting.seed}"
    images = setting.lab.dataset.images
    lab = replace(setting.lab, dataset=td.load(images, size=min(SIDE, max(images.shape[1:3]))))
    options = {"method": "power", "tasks": setting.tasks, "seed": setting.seed, **PIXELS}
    tasks, _ = lab.tasks(name, **options)
    return Found(
        labels_ND=tasks.labels_ND.astype(bool), numbers={"seconds": lab.cost(name)["seconds"]}
    )


PURSUIT = "pursuit, cap 0.5"
LOWER_CAP = "pursuit, cap 0.25"
STATISTICS = "pursuit on image statistics alone"
ON_PIXELS = "power on pixels"
RIDGE = "power on features, ridge"
#: those that search by the package itself.
OURS: dict[str, Way] = {
    PURSUIT: partial(_discovered, method=td.Pursuit(cap=0.5)),
    LOWER_CAP: partial(_discovered, method=td.Pursuit(cap=0.25)),
    STATISTICS: partial(_discovered, method=td.Pursuit(cap=0.5), statistics=True),
    RIDGE: partial(_discovered, method="power", learner="ridge"),
    ON_PIXELS: _on_pixels,
}


def _peer(name: str, setting: Setting) -> Found:
    return peers.PEERS[name](setting.table, setting.tasks, setting.seed)


WAYS: dict[str, Way] = {**OURS, **{name: partial(_peer, name) for name in peers.PEERS}}


@dataclass(frozen=True, eq=False, kw_only=True)
class Outcome:
    """What a way has found, or why it has not.

    Attributes:
        way: its name.
        labels_ND: (N, D) sides of all images; D may be 0.
        seconds: of the processor that the search took; of the clock for `power` on pixels.
        numbers: what else is to be told.
        why: of a search that ended without tasks.
    """

    way: str
    labels_ND: BoolArray
    seconds: float
    numbers: dict[str, float]
    why: str = ""


def found(setting: Setting, names: list[str]) -> Iterator[Outcome]:
    """Find tasks in several ways; what was found before is taken from the working directory."""
    for name in names:
        place = _place(setting, name)
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            _write(place, _search(setting, name))
        with np.load(place) as kept:
            numbers = json.loads(str(kept["numbers"]))
            seconds, why = numbers.pop("seconds"), numbers.pop("why")
            yield Outcome(
                way=name, labels_ND=kept["labels"], seconds=seconds, numbers=numbers, why=why
            )


def _search(setting: Setting, name: str) -> Outcome:
    _LOG.warning("seed %d: %s", setting.seed, name)
    if name in peers.PEERS:
        setting.table.reduced_NR.sum()  # is not counted
        setting.table.turned_NR.sum()
    began = time.process_time()
    try:
        got, why = WAYS[name](setting), ""
    except td.TaskDiscoveryError as error:
        unable = name == RIDGE and isinstance(error, td.ConfigError)
        if not (unable or isinstance(error, td.NumericalError)):  # nothing falls in two
            raise
        got = Found(labels_ND=np.zeros((len(setting.seen_N), 0), dtype=np.bool_))
        why = error.what
    seconds = got.numbers.pop("seconds", round(time.process_time() - began, 1))
    return Outcome(way=name, labels_ND=got.labels_ND, seconds=seconds, numbers=got.numbers, why=why)


def _write(place: Path, own: Outcome) -> None:
    numbers = json.dumps({**own.numbers, "seconds": own.seconds, "why": own.why})
    part = place.with_suffix(".part.npz")
    np.savez_compressed(part, labels=own.labels_ND, numbers=np.array(numbers))
    part.replace(place)


def _place(setting: Setting, name: str) -> Path:
    """Return where the outcome of a way is kept: named by data, way, seed, and the code."""
    features = setting.lab.dataset.features
    assert features is not None
    content = hashlib.sha256(setting.lab.dataset.fingerprint.encode())
    content.update(np.ascontiguousarray(features[:: max(1, len(features) // 500)]).tobytes())
    content.update(f"{name} {setting.tasks} {setting.seed}".encode())
    if name == ON_PIXELS:
        content.update(json.dumps([PIXELS, SIDE]).encode())
    else:
        content.update(
            _code(Path(td.__file__).parent if name in OURS else Path(peers.__file__).parent)
        )
    return setting.lab.work / "features" / f"{content.hexdigest()[:20]}.npz"


def _code(place: Path) -> bytes:
    """Return a digest of the code of a package."""
    content = hashlib.sha256()
    for file in sorted(place.rglob("*.py")):
        content.update(file.read_bytes())
    return content.digest()
