"""How sure an estimate is. Two intervals, which answer two questions.

`bootstrap` covers the *sampling* of images and runs: where the estimator would land with as many
images and runs as one likes. It knows nothing of what the estimator misses under shift. The
variance over images comes from drawing calibration and unlabelled images anew, each on their own;
that over runs from leaving one out; the noise of one run on one image sits in both and is taken
off once. Student's t takes Welch-Satterthwaite degrees of freedom, never fewer than the runs give.
That is the interval of `agreement`, for estimators that are no means. Coverage is approximate: by
simulation 87 to 97 % at a level of 90 %, near the level where runs differ by more than chance, and
above it where three runs differ by chance alone (`test_bootstrap_covers_every_estimator`). Where
runs are too few to leave one out it covers images only, says so, and is too narrow for new runs.

`of_residuals` covers the *truth*, by what the estimator missed on labelings or domains whose
accuracy is known (split conformal prediction; Papadopoulos et al., 2002, Lei et al., 2018). Where
those misses and the one that is asked about are exchangeable its coverage is exact in finite
samples: at least the level, and at most 1/(L + 1) above it where no two misses are equal. A shift
that is unlike all the domains is not exchangeable with them, and no interval can promise anything.

Axes: K runs, m calibration images, n unlabelled images, L labelings or domains, B resamples, E
estimators, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from taskdiscovery.errors import DataError
from taskdiscovery.estimation import conformal
from taskdiscovery.estimation.case import Case
from taskdiscovery.estimation.estimators import Estimator
from taskdiscovery.runtime import seeds
from taskdiscovery.types import FloatArray, IntArray

#: half the width that the interval of held-out accuracy may have, of all classes and of one.
HALF_WIDTH, HALF_WIDTH_OF_CLASS = 0.05, 0.15


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """An accuracy that was told without labels.

    Attributes:
        value: in [0, 1].
        low, high: its interval.
        level: the coverage of the interval.
        covers: what it is over: "images and runs", "images" where runs are too few, "labelings" or
            "made shifts"; "groups" in place of images where these are known.
    """

    value: float
    low: float
    high: float
    level: float
    covers: str


def bootstrap(
    case: Case,
    estimators: Mapping[str, Estimator],
    level: float = 0.9,
    resamples: int = 200,
    seed: int = 0,
    groups: tuple[IntArray, IntArray] | None = None,
) -> dict[str, Estimate]:
    """Estimate, with an interval over the sampling of images and runs.

    Args:
        case: what runs say.
        estimators: rows of `ESTIMATORS`; those that need more runs than there are, are left out.
        level: coverage.
        resamples: draws of the images; 200 know a standard deviation to 5 %.
        seed: of the draws.
        groups: (m,) and (n,) codes from 0 of what belongs together (images of one patient): groups
            are drawn in place of images. Those of calibration and unlabelled images are apart.
    """
    able = {name: e for name, e in estimators.items() if e.runs <= case.K}
    rng = seeds.generator(seed, "estimate", "bootstrap")
    m, n = len(case.labels_m), case.unlabelled.predicted_KN.shape[1]
    rows_m, rows_n = (_members(codes) for codes in groups or (np.arange(m), np.arange(n)))
    values_BEk = np.stack(
        [
            _with_and_without(
                case.resampled(_drawn(rng, rows_m), _drawn(rng, rows_n)), list(able.values())
            )
            for _ in range(resamples)
        ]
    )
    whole_Ek = _with_and_without(case, list(able.values()))
    found = {
        name: _combined(whole_Ek[e], values_BEk[:, e], level, min(len(rows_m), len(rows_n)))
        for e, name in enumerate(able)
    }
    if groups is None:
        return found
    return {
        name: replace(e, covers=e.covers.replace("images", "groups")) for name, e in found.items()
    }


def of_residuals(value: float, residuals_L: FloatArray, level: float = 0.9) -> Estimate:
    """Put an interval around an estimate by what the estimator missed elsewhere.

    Args:
        value: the estimate.
        residuals_L: true less estimated accuracy of other labelings or domains. For the exact
            coverage the estimator must not have been fitted to them; a `Line` has `interval`.
        level: coverage, over draws of all L + 1.

    Raises:
        DataError: for fewer than level/(1 - level) residuals.
    """
    half = conformal.quantile(residuals_L, level)
    low, high = max(0.0, value - half), min(1.0, value + half)
    return Estimate(value=value, low=low, high=high, level=level, covers="labelings")


def least_images(half_width: float, level: float = 0.9) -> int:
    """Return how many images tell a share to within +- half_width, whatever the share is.

    That is z^2 / (4 half_width^2): the standard deviation of a share is greatest at 1/2. The share
    that is observed does not enter, so that few images on which all is right are not enough.
    """
    return int(np.ceil((special.ndtri(0.5 + level / 2) / (2 * half_width)) ** 2))


def check_calibration(
    labels_m: IntArray, names: tuple[str, ...], level: float = 0.9, half_width: float = HALF_WIDTH
) -> None:
    """Refuse calibration images that cannot calibrate.

    Every estimator learns from them how often the runs are right, so none is surer than the
    held-out accuracy that they give. Its interval must be within +- half_width: 271 images at 90 %
    and 0.05, which is also the miss that an estimate may have under shift.

    Args:
        labels_m: (m,) classes of the calibration images.
        names: of the C classes.
        level: coverage of the interval.
        half_width: how wide it may be, to either side.

    Raises:
        DataError: for too few images, or a class without any.
    """
    least = least_images(half_width, level)
    if len(labels_m) < least:
        raise DataError(
            f"{len(labels_m)} labelled images are held out, and {least} are needed to know "
            f"accuracy to within {half_width:g} ({level:.0%})",
            hint="hold out more labelled images",
            images=len(labels_m),
            needed=least,
        )
    counts_C = np.bincount(labels_m, minlength=len(names))
    without = [name for name, count in zip(names, counts_C, strict=True) if count == 0]
    if without:
        shown = ", ".join(without[:5]) + (", …" if len(without) > 5 else "")
        raise DataError(
            f"no held-out image shows {shown}: nothing is known of how often it is recognized",
            hint="hold out images of every class, or leave the class out",
            classes=without,
        )


def _members(codes_N: IntArray) -> list[IntArray]:
    """Return the rows of each group."""
    order_N = np.argsort(codes_N, kind="stable")
    starts = np.flatnonzero(np.diff(codes_N[order_N])) + 1
    return np.split(order_N, starts)


def _drawn(rng: np.random.Generator, members: list[IntArray]) -> IntArray:
    """Return the rows of as many groups as there are, drawn with replacement."""
    return np.concatenate([members[g] for g in rng.integers(len(members), size=len(members))])


def _with_and_without(case: Case, estimators: list[Estimator]) -> FloatArray:
    """Return (E, 1 + K): each estimate by all runs, then without each; NaN for too few runs."""
    K, E = case.K, len(estimators)
    values_Ek = np.full((E, 1 + K), np.nan)
    values_Ek[:, 0] = [e.function(case) for e in estimators]
    for k in range(K if K > 1 else 0):
        others = case.runs(np.delete(np.arange(K), k))
        for i, e in enumerate(estimators):
            if e.runs < K:
                values_Ek[i, 1 + k] = e.function(others)
    return values_Ek


def _combined(whole_k: FloatArray, drawn_Bk: FloatArray, level: float, images: int) -> Estimate:
    """Combine the variance over images with that over runs.

    Args:
        whole_k: (1 + K,) the estimate, and without each run.
        drawn_Bk: (B, 1 + K) the same of resampled images.
        level: coverage.
        images: of which there are fewest, or groups. Two imagined ones, at 0 and at 1, keep an
            estimate that never varies from being certain.
    """
    value = float(whole_k[0])
    imagined = (value**2 + (1 - value) ** 2) / (images * (images + 2))
    of_images = float(drawn_Bk[:, 0].var(ddof=1)) + imagined
    variance, freedom, covers = of_images, float(max(images - 1, 1)), "images"
    K = len(whole_k) - 1
    if K > 1 and not np.isnan(whole_k[1]):
        # Pseudo-values: for a mean over runs they are the runs' own values.
        pseudo_K = K * whole_k[0] - (K - 1) * whole_k[1:]
        of_runs = float(pseudo_K.var(ddof=1)) / K
        drawn_BK = K * drawn_Bk[:, :1] - (K - 1) * drawn_Bk[:, 1:]
        own_BK = drawn_BK - drawn_BK.mean(axis=1, keepdims=True)
        crossed = float(own_BK.var(axis=0, ddof=1).mean()) / (K - 1)
        variance = max(of_images, of_runs, of_images + of_runs - crossed)
        welch = variance**2 / (of_images**2 / freedom + of_runs**2 / (K - 1))
        freedom, covers = max(welch, K - 1.0), "images and runs"
    half = float(special.stdtrit(freedom, 0.5 + level / 2)) * variance**0.5
    return Estimate(
        value=value,
        low=max(0.0, value - half),
        high=min(1.0, value + half),
        level=level,
        covers=covers,
    )
