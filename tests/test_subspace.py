"""Whitening whitens, deflation deflates, simplex labels are balanced."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskdiscovery.discovery import subspace
from taskdiscovery.encoders import labelling

seeds = st.integers(0, 10_000)


def correlated(seed, N=400, D=5):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(N, D)) @ rng.normal(size=(D, D)) + rng.normal(size=D)


@given(seeds)
def test_whitening_whitens_and_keeps_the_span(seed):
    P_ND = correlated(seed)
    result = subspace.whiten(P_ND, floor=1e-12)
    assert result.rank == 5
    np.testing.assert_allclose(
        result.coordinates.T @ result.coordinates / 400, np.eye(5), atol=1e-6
    )
    assert subspace.turn(P_ND - P_ND.mean(axis=0), result.coordinates).max() < 1e-3


def test_whitening_changes_white_coordinates_not_at_all():
    white_ND = subspace.whiten(correlated(0)).coordinates
    np.testing.assert_allclose(subspace.whiten(white_ND).coordinates, white_ND, atol=1e-10)


def test_collapsed_direction_is_counted_and_not_blown_up():
    P_ND = correlated(1)
    P_ND[:, 4] = P_ND[:, 3]
    result = subspace.whiten(P_ND, floor=1e-4)
    assert result.rank == 4
    assert np.abs(result.coordinates).max() < 10


@pytest.mark.parametrize("bad", [np.full((5, 2), np.nan), np.ones((5, 2))])
def test_unusable_coordinates_are_refused(bad):
    with pytest.raises(ValueError, match="coordinates"):
        subspace.whiten(bad)


def test_whitening_within_balances_every_group():
    P_ND = correlated(2, N=600)
    groups_N = np.repeat([0, 1, 2], [300, 290, 10])
    white_ND = subspace.whiten_within(P_ND, groups_N).coordinates
    for group in (0, 1):
        rows = white_ND[groups_N == group]
        np.testing.assert_allclose(rows.T @ rows / len(rows), np.eye(5), atol=1e-6)
    np.testing.assert_allclose(white_ND[groups_N == 2].mean(axis=0), 0, atol=1e-9)


@given(seeds)
def test_deflation_leaves_nothing_linear(seed):
    Y_ND, Z_NE = correlated(seed), correlated(seed + 1, D=3)
    assert (subspace.explained(Y_ND, Z_NE) > 0).all()
    residual_ND = subspace.project_out(Y_ND, Z_NE)
    np.testing.assert_allclose(subspace.explained(residual_ND, Z_NE), 0, atol=1e-9)
    np.testing.assert_allclose(residual_ND.T @ (Z_NE - Z_NE.mean(axis=0)), 0, atol=1e-6)


@given(st.integers(2, 8))
def test_simplex_directions_are_unit_and_equiangular(classes):
    vectors = labelling.simplex(classes)
    assert vectors.shape == (classes, classes - 1)
    gram = vectors @ vectors.T
    np.testing.assert_allclose(np.diag(gram), 1)
    np.testing.assert_allclose(gram[~np.eye(classes, dtype=bool)], -1 / (classes - 1), atol=1e-12)


@given(st.integers(2, 6), seeds)
def test_balanced_offsets_balance(classes, seed):
    scores_NC = np.random.default_rng(seed).normal(size=(3000, classes)) * np.arange(1, classes + 1)
    labels = (scores_NC + labelling.balanced_offsets(scores_NC)).argmax(axis=1)
    rates = np.bincount(labels, minlength=classes) / 3000
    np.testing.assert_allclose(rates, 1 / classes, atol=0.002)


def test_principal_components_equal_the_library():
    from sklearn.decomposition import PCA

    features = correlated(3, N=500, D=6)
    mean, directions = subspace.principal_components(features, 3)
    ours = (features - mean) @ directions
    theirs = PCA(3, whiten=True).fit_transform(features)
    np.testing.assert_allclose(np.abs(subspace.column_correlations(ours, theirs)), 1, atol=1e-6)
    np.testing.assert_allclose(ours.var(axis=0), 1, atol=1e-6)


def fourth_moments(coordinates):
    return (coordinates**4).mean(axis=0)


def test_bimodal_rotation_finds_the_hidden_binary_coordinates():
    rng = np.random.default_rng(0)
    hidden_ND = subspace.whiten(
        np.column_stack([rng.choice([-1.0, 1.0], (4000, 3)), rng.normal(size=(4000, 2))])
    ).coordinates
    mixing, _ = np.linalg.qr(rng.normal(size=(5, 5)))
    mixed_ND = hidden_ND @ mixing
    assert fourth_moments(mixed_ND).min() > 1.2
    rotation = subspace.bimodal_rotation(mixed_ND)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(5), atol=1e-10)
    found_ND = mixed_ND @ rotation
    assert np.sort(fourth_moments(found_ND))[2] < 1.1
    likeness = np.abs(np.corrcoef(found_ND.T, hidden_ND.T)[:5, 5:])
    assert (likeness[:, :3].max(axis=0) > 0.99).all()


@given(seeds)
def test_bimodal_rotation_never_raises_the_sum_of_fourth_moments(seed):
    white_ND = subspace.whiten(correlated(seed) ** 3).coordinates
    rotated_ND = white_ND @ subspace.bimodal_rotation(white_ND)
    assert fourth_moments(rotated_ND).sum() <= fourth_moments(white_ND).sum() + 1e-9
