"""Images that stand on both sides of a split, exactly or nearly.

Nearly: thumbnails of 8×8 whose contents point the same way (cosine similarity above 0.99, after
the mean is taken off) and whose mean brightness differs by less than a tenth.

Axes: N images, P values of a thumbnail.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from taskdiscovery.data.readers.arrays import digests
from taskdiscovery.runtime.seeds import generator
from taskdiscovery.types import FloatArray, ImageArray, IntArray, Matrix

ALIKE = 0.99
AT_MOST = 40_000  # images looked at on either side: the work grows with their product


@dataclass(frozen=True, eq=False, kw_only=True)
class Duplicates:
    """What was found.

    Attributes:
        exact: test images that are exact copies of an image on the train side.
        near: test images that are nearly one, exact ones included.
        looked_at: how many test images were compared.
        pairs: (n, 2) rows of the test image and the nearest train image, most alike first.
        similarity: (n,) of those pairs.
    """

    exact: int
    near: int
    looked_at: int
    pairs: IntArray
    similarity: FloatArray


def across(
    images: ImageArray | Matrix, train: IntArray, test: IntArray, seed: int = 0
) -> Duplicates:
    """Compare the two sides.

    Args:
        images: (N, H, W, channels) uint8; or (N, P) features, of which only exact copies count.
        train, test: rows of the two sides; at most 40,000 of each are compared for near copies.
        seed: decides which.
    """
    hashes = digests(images)
    exact = int(np.isin(hashes[test], hashes[train]).sum())
    rng = generator(seed, "near duplicates")
    train = np.sort(rng.permutation(train)[:AT_MOST])
    test = np.sort(rng.permutation(test)[:AT_MOST])
    if not len(train) or not len(test) or images.ndim == 2:
        none = np.zeros((0, 2), dtype=np.int64)
        return Duplicates(
            exact=exact, near=exact, looked_at=len(test), pairs=none, similarity=np.zeros(0)
        )
    a_NP, mean_a = _thumbnails(images, train)
    b_NP, mean_b = _thumbnails(images, test)
    pairs, similarities = [], []
    for start in range(0, len(test), 2048):
        block = b_NP[start : start + 2048]
        alike = block @ a_NP.T
        apart = (mean_b[start : start + 2048, None] - mean_a[None, :]).abs() > 0.1
        best, index = alike.masked_fill_(apart, -1.0).max(dim=1)
        for i in torch.nonzero(best > ALIKE).flatten().tolist():
            pairs.append((int(test[start + i]), int(train[int(index[i])])))
            similarities.append(float(best[i]))
    order: IntArray = np.argsort(-np.array(similarities, dtype=np.float64), kind="stable")
    return Duplicates(
        exact=exact,
        near=len(pairs),
        looked_at=len(test),
        pairs=np.array(pairs, dtype=np.int64).reshape(-1, 2)[order],
        similarity=np.array(similarities)[order],
    )


@torch.no_grad()
def _thumbnails(images: ImageArray | Matrix, rows: IntArray) -> tuple[torch.Tensor, torch.Tensor]:
    blocks, means = [], []
    for start in range(0, len(rows), 4096):
        x = torch.from_numpy(images[rows[start : start + 4096]]).permute(0, 3, 1, 2).float() / 255
        small = F.adaptive_avg_pool2d(x, (min(8, x.shape[2]), min(8, x.shape[3]))).flatten(1)
        means.append(small.mean(dim=1))
        blocks.append(F.normalize(small - small.mean(dim=1, keepdim=True), dim=1))
    return torch.cat(blocks), torch.cat(means)
