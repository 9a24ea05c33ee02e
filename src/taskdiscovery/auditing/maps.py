"""What every view of an image is made of: local responses, pooled over regions of the picture.

One pass over the images serves all views: a region is a subset of the columns, and so is what is
seen without colour. Filters are the strongest principal directions of whitened 5 x 5 patches of the
images themselves, of brightness and of colour apart, so that nothing is trained on labels.

Axes: N images, B of a batch, C channels, F maps, R regions, P columns, D filters.
Source: whitened patches and two-sided rectification as in Coates & Ng, 2011; regions are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from taskdiscovery.runtime.progress import Meter
from taskdiscovery.runtime.seeds import generator
from taskdiscovery.types import Float32, FloatArray, ImageArray, IntArray

GREY_FILTERS, COLOUR_FILTERS, PATCH, GRID = 16, 8, 5, 4
#: brightness and two colour differences (YCbCr, ITU-R BT.601), of pixels from -1 to 1.
_TO_YCC = ((0.299, 0.587, 0.114), (-0.169, -0.331, 0.5), (0.5, -0.419, -0.081))
#: images at once, where they have 32 x 32 pixels; as many pixels of larger ones.
_PATCHES, _FEW, _BATCH = 40_000, 2000, 256
#: pixels between the outer ring and the one that it is compared with.
_GAP = 3


@dataclass(frozen=True, eq=False, kw_only=True)
class Pooled:
    """Pooled responses of images.

    Attributes:
        values_NRF: means of each map over each region; float32.
        regions: names of the regions: `cell 0,0` to `cell 3,3`, `ring top`, …, `inner top`, ….
        maps: names of the maps: `grey …`, `light …` of brightness alone, `colour …` of its
            differences.
        peaks_NF: (N, F) the mean of the greatest hundredth of each map, wherever it lies.
    """

    values_NRF: Float32
    regions: tuple[str, ...]
    maps: tuple[str, ...]
    peaks_NF: Float32

    @cached_property
    def colour(self) -> IntArray:
        """The maps that need colour."""
        return np.flatnonzero([name.startswith("colour") for name in self.maps])

    @cached_property
    def grey(self) -> IntArray:
        """The maps that a grey picture has, too, and that do not know how bright it is."""
        return np.flatnonzero([name.startswith("grey") for name in self.maps])

    @cached_property
    def light(self) -> IntArray:
        """The maps of brightness alone."""
        return np.flatnonzero([name.startswith("light") for name in self.maps])


def pooled(images: ImageArray, seed: int, meter: Meter | None = None) -> Pooled:
    """Look at images once.

    Args:
        images: (N, H, W, channels) uint8, of at least 8 pixels a side; one channel counts as three.
        seed: decides which patches the filters are made of.
        meter: told of images passed.
    """
    filters = _filters(images, seed)
    weights_RP, names = regions(images.shape[1], images.shape[2])
    weights = torch.from_numpy(weights_RP.astype(np.float32))
    values, peaks = [], []
    size = max(1, _BATCH * 32**2 // (images.shape[1] * images.shape[2]))
    for start in range(0, len(images), size):
        batch = _tensor(images[start : start + size])
        maps_BFP = _maps(batch, filters).flatten(2)
        values.append((maps_BFP @ weights.T).transpose(1, 2).numpy())
        most = max(1, maps_BFP.shape[2] // 100)
        peaks.append(maps_BFP.topk(most, dim=2).values.mean(dim=2).numpy())
        if meter is not None:
            meter.advance(len(batch))
    return Pooled(
        values_NRF=np.concatenate(values),
        regions=names,
        maps=filters.names,
        peaks_NF=np.concatenate(peaks),
    )


@dataclass(frozen=True, eq=False)
class _Filters:
    """Filters (D, C, 5, 5) of brightness and of colour, and what each gives for the mean patch."""

    grey: tuple[Tensor, Tensor]
    colour: tuple[Tensor, Tensor]

    @property
    def names(self) -> tuple[str, ...]:
        """What `_maps` returns, in its order."""
        grey, colour = (
            [f"{kind} filter {d}{sign}" for sign in "+-" for d in range(len(weights))]
            for kind, (weights, _) in (("grey", self.grey), ("colour", self.colour))
        )
        grey += ["light mean", "light square", "grey deviation"]
        colour += [f"colour {name}" for name in ("b", "r", "b·b", "r·r", "b·r")]
        colour += ["light b·y", "light r·y"]
        return (*grey, *colour)


def _filters(images: ImageArray, seed: int) -> _Filters:
    """Make filters of the images' own patches."""
    rng = generator(seed, "audit filters")
    few = np.sort(rng.permutation(len(images))[:_FEW])
    chosen = _tensor(images[few])
    H, W = chosen.shape[2:]
    each = max(1, _PATCHES // len(few))
    found = []
    for windows in chosen.unfold(2, PATCH, 1).unfold(3, PATCH, 1):
        tops, lefts = rng.integers(0, H - PATCH + 1, each), rng.integers(0, W - PATCH + 1, each)
        found.append(windows[:, tops, lefts].transpose(0, 1).flatten(1))
    patches = torch.cat(found).double()
    size = PATCH * PATCH
    # Without the mean of each patch: what a filter answers does not depend on brightness.
    grey = patches[:, :size] - patches[:, :size].mean(dim=1, keepdim=True)
    return _Filters(_whitened(grey, GREY_FILTERS), _whitened(patches[:, size:], COLOUR_FILTERS))


def _whitened(patches: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return filters (D, C, 5, 5) of variance 1 over patches, and their means (D,)."""
    mean = patches.mean(dim=0)
    values, vectors = torch.linalg.eigh(torch.cov(patches.T))
    # Weak directions are noise of the codec; a tenth of the mean keeps them from being blown up.
    scale = (values + 0.1 * values.mean() + 1e-9).rsqrt()
    top = values.argsort(descending=True)[:count]
    weights = (vectors * scale)[:, top].T
    return weights.reshape(len(top), -1, PATCH, PATCH).float(), (weights @ mean).float()


def _tensor(images: ImageArray) -> Tensor:
    """Return (B, 3, H, W) brightness and colour differences of pixels from -1 to 1."""
    x = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float() / 127.5 - 1
    x = x if x.shape[1] == 3 else x[:, :1].expand(-1, 3, -1, -1)
    return torch.einsum("oc,bchw->bohw", torch.tensor(_TO_YCC), x)


def _maps(x: Tensor, filters: _Filters) -> Tensor:
    """Return (B, F, H, W) responses."""
    edge = PATCH // 2
    padded = functional.pad(x, (edge, edge, edge, edge), mode="reflect")
    (grey, colour) = (
        functional.conv2d(own, weights) - offsets.view(-1, 1, 1)
        for own, (weights, offsets) in (
            (padded[:, :1], filters.grey),
            (padded[:, 1:], filters.colour),
        )
    )
    mean = functional.avg_pool2d(padded[:, :1], PATCH, stride=1)
    square = functional.avg_pool2d(padded[:, :1] ** 2, PATCH, stride=1)
    y, b, r = (x[:, c : c + 1] for c in range(3))
    more = [y, y**2, (square - mean**2).clamp_min(0).sqrt()]
    # Squares and products turn with the hue, where means of a grey picture do not.
    tints = [b, r, b * b, r * r, b * r, b * y, r * y]
    return torch.cat(
        [grey.relu(), (-grey).relu(), *more, colour.relu(), (-colour).relu(), *tints], 1
    )


def regions(height: int, width: int) -> tuple[FloatArray, tuple[str, ...]]:
    """Return (R, H * W) weights that average over each region, and their names."""
    y, x = np.mgrid[:height, :width]
    row, column = y * GRID // height, x * GRID // width
    named = {f"cell {i},{j}": (row == i) & (column == j) for i in range(GRID) for j in range(GRID)}
    thick = max(1, round(0.06 * min(height, width)))
    for name, inset in (("ring", 0), ("inner", thick + _GAP)):
        inside = (y >= inset) & (y < height - inset) & (x >= inset) & (x < width - inset)
        near = inset + thick
        # Corners are left out: what stands there is a corner's.
        y_middle = (y >= height // GRID) & (y < height - height // GRID)
        x_middle = (x >= width // GRID) & (x < width - width // GRID)
        named[f"{name} top"] = inside & (y < near) & x_middle
        named[f"{name} bottom"] = inside & (y >= height - near) & x_middle
        named[f"{name} left"] = inside & (x < near) & y_middle
        named[f"{name} right"] = inside & (x >= width - near) & y_middle
    masks_RP = np.stack([mask.ravel() for mask in named.values()]).astype(np.float64)
    # Of the smallest pictures, nothing is left within the ring.
    return masks_RP / np.maximum(masks_RP.sum(axis=1, keepdims=True), 1), tuple(named)
