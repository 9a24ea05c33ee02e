"""Linear algebra of coordinates: whitening, deflation, angles between subspaces, simplex labels.

Axes: N images, D coordinates, C classes of a k-way task, E columns to be excluded. Float64.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg

from taskdiscovery.types import FloatArray, IntArray


@dataclass(frozen=True, kw_only=True)
class Whitened:
    """Coordinates made uncorrelated, each of unit variance.

    Attributes:
        coordinates: (N, D), centred.
        rank: how many directions stood above the floor before whitening.
    """

    coordinates: FloatArray
    rank: int


def whiten(predictions_ND: FloatArray, floor: float = 1e-4) -> Whitened:
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
    if not np.isfinite(predictions_ND).all():
        raise ValueError("coordinates to be whitened are not finite")
    centred_ND = predictions_ND - predictions_ND.mean(axis=0)
    eigenvalues_D, vectors_DD = linalg.eigh(centred_ND.T @ centred_ND / len(centred_ND))
    largest = eigenvalues_D[-1]
    if largest <= 0:
        raise ValueError("coordinates to be whitened are all constant")
    raised_D = np.maximum(eigenvalues_D, floor * largest)
    root_DD = (vectors_DD / np.sqrt(raised_D)) @ vectors_DD.T
    return Whitened(
        coordinates=centred_ND @ root_DD, rank=int((eigenvalues_D > floor * largest).sum())
    )


def whiten_within(predictions_ND: FloatArray, groups_N: IntArray, floor: float = 1e-4) -> Whitened:
    """Whiten inside each group, so that coordinates are balanced and uncorrelated in every class.

    A group too small to estimate its own covariance (fewer than 4 D images) is centred on its own
    and whitened with the covariance pooled within groups.
    """
    D = predictions_ND.shape[1]
    centred_ND = predictions_ND.astype(np.float64, copy=True)
    members = [np.flatnonzero(groups_N == g) for g in np.unique(groups_N)]
    for rows in members:
        centred_ND[rows] -= centred_ND[rows].mean(axis=0)
    pooled = whiten(centred_ND, floor)
    result_ND = pooled.coordinates
    ranks = [pooled.rank]
    for rows in members:
        if len(rows) >= 4 * D:
            own = whiten(centred_ND[rows], floor)
            result_ND[rows] = own.coordinates
            ranks.append(own.rank)
    return Whitened(coordinates=result_ND, rank=min(ranks))


def project_out(coordinates_ND: FloatArray, excluded_NE: FloatArray) -> FloatArray:
    """Deflate: remove from each coordinate what a linear regression on `excluded` explains."""
    design_NE = np.column_stack([np.ones(len(excluded_NE)), excluded_NE])
    solution, *_ = linalg.lstsq(design_NE, coordinates_ND)
    return coordinates_ND - design_NE @ solution


def explained(coordinates_ND: FloatArray, excluded_NE: FloatArray) -> FloatArray:
    """Return (D,) R²: the share of each coordinate's variance that `excluded` explains linearly."""
    residual_ND = project_out(coordinates_ND, excluded_NE)
    variance_D = coordinates_ND.var(axis=0)
    return 1.0 - residual_ND.var(axis=0) / np.where(variance_D > 0, variance_D, 1.0)


def turn(before_ND: FloatArray, after_ND: FloatArray) -> FloatArray:
    """Return the principal angles between two spans, in degrees, largest first."""
    return np.degrees(linalg.subspace_angles(before_ND, after_ND))


def bimodal_rotation(coordinates_ND: FloatArray, sweeps: int = 30) -> FloatArray:
    """Return the (D, D) rotation that makes white coordinates as two-valued as their span allows.

    Any rotation of uncorrelated coordinates spans the same subspace. A coordinate of unit
    variance has the least fourth moment, 1, where it takes two values equally often; so the
    rotation minimizes the sum of fourth moments. That is quartimin, solved pair by pair in closed
    form: with u = a² - b² and v = 2ab, the sum depends on the angle t by
    (E[u²] - E[v²]) cos 4t + 2 E[uv] sin 4t.

    Args:
        coordinates_ND: centred and white.
        sweeps: over all pairs, at most.

    Returns:
        R, such that `coordinates @ R` are the rotated coordinates.
    """
    rotated_DN = np.ascontiguousarray(coordinates_ND.T)
    D = len(rotated_DN)
    rotation_DD = np.eye(D)
    for _ in range(sweeps):
        largest = 0.0
        for i in range(D):
            for j in range(i + 1, D):
                a, b = rotated_DN[i], rotated_DN[j]
                u, v = a * a - b * b, 2 * a * b
                difference, mixed = float(u @ u - v @ v), 2 * float(u @ v)
                angle = (np.arctan2(mixed, difference) + np.pi) / 4
                angle = (angle + np.pi / 4) % (np.pi / 2) - np.pi / 4  # the smallest of its kind
                turn_22 = np.array(
                    [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]
                )
                rotated_DN[[i, j]] = turn_22 @ rotated_DN[[i, j]]
                rotation_DD[:, [i, j]] = rotation_DD[:, [i, j]] @ turn_22.T
                largest = max(largest, abs(angle))
        if largest < 1e-3:
            break
    return rotation_DD


def column_correlations(a_ND: FloatArray, b_ND: FloatArray) -> FloatArray:
    """Return (D,) Pearson correlations, column by column; 0 where a column is constant."""
    a_ND, b_ND = a_ND - a_ND.mean(axis=0), b_ND - b_ND.mean(axis=0)
    scale_D = np.sqrt((a_ND**2).sum(axis=0) * (b_ND**2).sum(axis=0))
    return (a_ND * b_ND).sum(axis=0) / np.where(scale_D > 0, scale_D, 1.0)


def principal_components(features_NF: FloatArray, count: int) -> tuple[FloatArray, FloatArray]:
    """Return the mean (F,) and the (F, count) directions that whiten the top components.

    `(features - mean) @ directions` has unit variance in each of the `count` columns. The sign of
    each column is fixed by its largest entry, so that equal features give equal tasks.
    """
    mean_F = features_NF.mean(axis=0)
    centred_NF = features_NF - mean_F
    F = features_NF.shape[1]
    eigenvalues, vectors = linalg.eigh(
        centred_NF.T @ centred_NF / len(centred_NF), subset_by_index=[F - count, F - 1]
    )
    eigenvalues, vectors = eigenvalues[::-1], vectors[:, ::-1]
    signs = np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(count)])
    scale = np.sqrt(np.maximum(eigenvalues, 1e-12 * eigenvalues[0]))
    return mean_F, vectors * (signs / scale)


def simplex(classes: int) -> FloatArray:
    """Return (C, C - 1) unit vectors at equal angles; for two classes these are -1 and +1."""
    if classes == 2:
        return np.array([[-1.0], [1.0]])
    corners = np.eye(classes) - 1.0 / classes
    basis = linalg.helmert(classes)
    vectors = corners @ basis.T
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def balanced_offsets(scores_NC: FloatArray, sweeps: int = 50) -> FloatArray:
    """Return (C,) offsets under which the argmax of `scores + offsets` gives equal class rates.

    Each sweep sets one offset after another so that its class wins exactly N/C images against
    the others as they stand; it settles because every step raises a concave dual objective.
    """
    C = scores_NC.shape[1]
    offsets_C = np.zeros(C)
    for _ in range(sweeps):
        before_C = offsets_C.copy()
        for c in range(C):
            others_NC = np.delete(scores_NC + offsets_C, c, axis=1)
            lead_N = scores_NC[:, c] - others_NC.max(axis=1)
            offsets_C[c] = -np.quantile(lead_N, 1 - 1 / C)
        offsets_C -= offsets_C.mean()
        if np.abs(offsets_C - before_C).max() < 1e-7:
            break
    return offsets_C
