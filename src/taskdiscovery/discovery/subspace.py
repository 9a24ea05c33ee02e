"""Linear algebra of coordinates: whitening, deflation, angles between subspaces.

What is as long as the data is walked through in blocks, summed in float64, and given back in the
type that it came in; so nothing here holds more than a block of a table beside its result.

Axes: N images, D coordinates, F features, E columns to be excluded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import linalg
from threadpoolctl import threadpool_limits

from taskdiscovery.types import FloatArray, IntArray, Matrix

_BLOCK = 16_384


def blocks(n: int) -> Iterator[slice]:
    """Walk through n rows, a few megabytes at a time."""
    for start in range(0, n, _BLOCK):
        yield slice(start, min(n, start + _BLOCK))


def mean(table_NF: Matrix) -> FloatArray:
    """Return the (F,) means of the columns."""
    return sum_of(table_NF) / len(table_NF)


def sum_of(table_NF: Matrix) -> FloatArray:
    """Return the (F,) sums of the columns."""
    total_F = np.zeros(table_NF.shape[1])
    for rows in blocks(len(table_NF)):
        total_F += table_NF[rows].sum(axis=0, dtype=np.float64)
    return total_F


def covariance(a_NF: Matrix, b_NE: Matrix | None = None) -> FloatArray:
    """Return the (F, E) covariances of the columns of two tables, or the (F, F) of one."""
    mean_F = mean(a_NF)
    mean_E = mean_F if b_NE is None else mean(b_NE)
    total_FE = np.zeros((len(mean_F), len(mean_E)))
    for rows in blocks(len(a_NF)):
        a_nF = a_NF[rows] - mean_F
        total_FE += a_nF.T @ (a_nF if b_NE is None else b_NE[rows] - mean_E)
    return total_FE / len(a_NF)


def apply(table_NF: Matrix, matrix_FD: FloatArray, mean_F: FloatArray) -> Matrix:
    """Return (N, D) `(table - mean) @ matrix`, in the type of the table."""
    result_ND = np.empty((len(table_NF), matrix_FD.shape[1]), dtype=table_NF.dtype)
    for rows in blocks(len(table_NF)):
        result_ND[rows] = (table_NF[rows] - mean_F) @ matrix_FD
    return result_ND


@dataclass(frozen=True, kw_only=True)
class Whitened:
    """Coordinates made uncorrelated, each of unit variance.

    Attributes:
        coordinates: (N, D), centred.
        rank: how many directions stood above the floor before whitening.
    """

    coordinates: Matrix
    rank: int


def whiten(predictions_ND: Matrix, floor: float = 1e-4) -> Whitened:
    """Orthogonalize symmetrically: P (PᵀP/N)^(-1/2), the nearest uncorrelated coordinates to P.

    Args:
        predictions_ND: (N, D) coordinates; they are centred first.
        floor: eigenvalues below this share of the largest are raised to it, so that a collapsed
            direction is not blown up into noise.

    Returns:
        Coordinates of unit covariance (where the rank is full) and the rank.

    Raises:
        ValueError: where values are not finite, or all are constant.
    """
    if not all(np.isfinite(predictions_ND[rows]).all() for rows in blocks(len(predictions_ND))):
        raise ValueError("coordinates to be whitened are not finite")
    root_DD, rank = _inverse_root(covariance(predictions_ND), floor)
    return Whitened(coordinates=apply(predictions_ND, root_DD, mean(predictions_ND)), rank=rank)


def _inverse_root(covariance_DD: FloatArray, floor: float) -> tuple[FloatArray, int]:
    eigenvalues_D, vectors_DD = linalg.eigh(covariance_DD)
    largest = eigenvalues_D[-1]
    if largest <= 0:
        raise ValueError("coordinates to be whitened are all constant")
    raised_D = np.maximum(eigenvalues_D, floor * largest)
    root_DD = (vectors_DD / np.sqrt(raised_D)) @ vectors_DD.T
    return root_DD, int((eigenvalues_D > floor * largest).sum())


def whiten_within(predictions_ND: Matrix, groups_N: IntArray, floor: float = 1e-4) -> Whitened:
    """Whiten inside each group, so that coordinates are balanced and uncorrelated in every class.

    A group too small to estimate its own covariance (fewer than 4 D images) is centred on its own
    and whitened with the covariance pooled within groups.
    """
    D = predictions_ND.shape[1]
    centred_ND = predictions_ND.copy()
    members = [np.flatnonzero(groups_N == g) for g in np.unique(groups_N)]
    for rows in members:
        centred_ND[rows] -= centred_ND[rows].mean(axis=0, dtype=np.float64)
    pooled = whiten(centred_ND, floor)
    result_ND = pooled.coordinates
    ranks = [pooled.rank]
    for rows in members:
        if len(rows) >= 4 * D:
            own = whiten(centred_ND[rows], floor)
            result_ND[rows] = own.coordinates
            ranks.append(own.rank)
    return Whitened(coordinates=result_ND, rank=min(ranks))


def project_out(coordinates_ND: Matrix, excluded_NE: Matrix) -> Matrix:
    """Deflate: remove from each coordinate what a linear regression on `excluded` explains."""
    spread_E = np.sqrt(np.maximum(np.diag(covariance(excluded_NE)), 0.0))
    scale_E = np.where(spread_E > 0, spread_E, 1.0)
    correlation_EE = covariance(excluded_NE) / np.outer(scale_E, scale_E)
    # Columns may depend on each other, as those of classes do.
    inverse_EE = linalg.pinvh(correlation_EE, rtol=1e-10)
    cross_ED = covariance(excluded_NE, coordinates_ND) / scale_E[:, None]
    slopes_ED = (inverse_EE @ cross_ED) / scale_E[:, None]
    mean_D, mean_E = mean(coordinates_ND), mean(excluded_NE)
    result_ND = np.empty_like(coordinates_ND)
    for rows in blocks(len(result_ND)):
        explained_nD = (excluded_NE[rows] - mean_E) @ slopes_ED
        result_ND[rows] = coordinates_ND[rows] - mean_D - explained_nD
    return result_ND


def explained(coordinates_ND: Matrix, excluded_NE: Matrix) -> FloatArray:
    """Return (D,) R²: the share of each coordinate's variance that `excluded` explains linearly."""
    residual_D = np.diag(covariance(project_out(coordinates_ND, excluded_NE)))
    variance_D = np.diag(covariance(coordinates_ND))
    return np.asarray(1.0 - residual_D / np.where(variance_D > 0, variance_D, 1.0))


def turn(before_ND: Matrix, after_ND: Matrix) -> FloatArray:
    """Return the principal angles between the spans of two centred tables, in degrees, largest
    first.

    The cosines of small angles lose half of the digits: their sines come from what is left of one
    span when the other is projected out (Knyazev and Argentati, 2002).
    """
    first_DD, _ = _inverse_root(covariance(before_ND), 1e-12)
    second_DD, _ = _inverse_root(covariance(after_ND), 1e-12)
    cross_DD = first_DD @ covariance(before_ND, after_ND) @ second_DD
    _, cosines_D, v_DD = linalg.svd(cross_DD)
    left_DD = np.zeros_like(cross_DD)  # Gram matrix of after - before (beforeᵀ after)
    mean_before, mean_after = mean(before_ND), mean(after_ND)
    for rows in blocks(len(before_ND)):
        after_nD = (after_ND[rows] - mean_after) @ second_DD
        rest_nD = after_nD - (before_ND[rows] - mean_before) @ (first_DD @ cross_DD)
        left_DD += rest_nD.T @ rest_nD
    sines_D = np.sqrt(np.clip(np.diag(v_DD @ (left_DD / len(before_ND)) @ v_DD.T), 0.0, 1.0))
    angles_D = np.where(
        cosines_D**2 < 0.5, np.arccos(np.clip(cosines_D, -1.0, 1.0)), np.arcsin(sines_D)
    )
    return np.sort(np.degrees(angles_D))[::-1]


def bimodal_rotation(coordinates_ND: Matrix, steps: int = 200) -> FloatArray:
    """Return the (D, D) rotation that makes white coordinates as two-valued as their span allows.

    Any rotation of uncorrelated coordinates spans the same subspace. A coordinate of unit
    variance has the least fourth moment, 1, where it takes two values equally often; so the
    rotation R minimizes the sum of fourth moments (quartimin). Each step takes the rotation nearest
    to c R - E[x y³], with y = x R: for c = 3 this is the fixed point of FastICA with kurtosis
    (Hyvärinen, 1999), and a larger c, taken where that does not descend, is a shorter step.

    Args:
        coordinates_ND: centred and white; where there are many, 8,192 of them tell enough.
        steps: at most.

    Returns:
        R, such that `coordinates @ R` are the rotated coordinates.
    """
    few = np.linspace(0, len(coordinates_ND) - 1, min(len(coordinates_ND), 8192)).astype(np.int64)
    x_DN = np.ascontiguousarray(coordinates_ND[few].T, dtype=np.float32)

    def moments(rotation_DD: FloatArray) -> tuple[float, FloatArray]:
        y_DN = rotation_DD.T.astype(np.float32) @ x_DN
        power_DN = y_DN * y_DN
        total = float(np.vdot(power_DN, power_DN)) / len(few)
        power_DN *= y_DN
        return total, (x_DN @ power_DN.T / len(few)).astype(np.float64)

    rotation_DD, c = np.eye(len(x_DN)), 3.0
    # The products are small: a second thread gains nothing, and on a busy machine hundreds of them
    # that wait for it take a minute in place of half a second.
    with threadpool_limits(1, user_api="blas"):
        total, cubes_DD = moments(rotation_DD)
        for _ in range(steps):
            left_DD, _, right_DD = linalg.svd(c * rotation_DD - cubes_DD)
            next_DD = left_DD @ right_DD
            lower, next_cubes_DD = moments(next_DD)
            if lower < total * (1 - 1e-5):
                rotation_DD, total, cubes_DD = next_DD, lower, next_cubes_DD
                c = max(3.0, c / 1.5)
            elif c < 20:
                c *= 2
            else:
                break
    return rotation_DD


def column_correlations(a_ND: Matrix, b_ND: Matrix) -> FloatArray:
    """Return (D,) Pearson correlations, column by column; 0 where a column is constant."""
    mean_a, mean_b = mean(a_ND), mean(b_ND)
    sums_3D = np.zeros((3, len(mean_a)))
    for rows in blocks(len(a_ND)):
        a_nD, b_nD = a_ND[rows] - mean_a, b_ND[rows] - mean_b
        sums_3D += [(a_nD * b_nD).sum(axis=0), (a_nD**2).sum(axis=0), (b_nD**2).sum(axis=0)]
    scale_D = np.sqrt(sums_3D[1] * sums_3D[2])
    return np.asarray(np.where(scale_D > 0, sums_3D[0] / np.where(scale_D > 0, scale_D, 1.0), 0.0))


def principal_components(features_NF: Matrix, count: int) -> tuple[FloatArray, FloatArray]:
    """Return the mean (F,) and the (F, count) directions that whiten the top components.

    `(features - mean) @ directions` has unit variance in each of the `count` columns.
    """
    return mean(features_NF), principal_directions(covariance(features_NF), count)


def principal_directions(covariance_FF: FloatArray, count: int) -> FloatArray:
    """Return the (F, count) directions that whiten the top components of a covariance.

    The sign of each column is fixed by its largest entry, so that equal features give equal tasks.
    """
    F = len(covariance_FF)
    eigenvalues, vectors = linalg.eigh(covariance_FF, subset_by_index=[F - count, F - 1])
    eigenvalues, vectors = eigenvalues[::-1], vectors[:, ::-1]
    signs = np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(count)])
    scale = np.sqrt(np.maximum(eigenvalues, 1e-12 * eigenvalues[0]))
    return np.asarray(vectors * (signs / scale))
