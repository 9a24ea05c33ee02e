"""Agreement against a slow, plain reference; its properties; the coverage of its interval."""

from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from taskdiscovery.agreement import agreement, mean_over_runs, similarity, similarity_matrix

predictions = st.tuples(st.integers(2, 5), st.integers(2, 30), st.integers(2, 4)).flatmap(
    lambda kn: st.tuples(
        hnp.arrays(np.int64, kn[:2], elements=st.integers(0, kn[2] - 1)), st.just(kn[2])
    )
)


def plain_agreement(predictions_KN):
    pairs = list(combinations(range(len(predictions_KN)), 2))
    N = predictions_KN.shape[1]
    return sum(
        sum(predictions_KN[k][i] == predictions_KN[m][i] for i in range(N)) / N for k, m in pairs
    ) / len(pairs)


def plain_chance(predictions_KN, classes):
    pairs = list(combinations(range(len(predictions_KN)), 2))
    rate = [[np.mean(run == c) for c in range(classes)] for run in predictions_KN]
    return sum(sum(rate[k][c] * rate[m][c] for c in range(classes)) for k, m in pairs) / len(pairs)


@given(predictions)
def test_agreement_equals_plain_reference(case):
    predictions_KN, classes = case
    result = agreement(predictions_KN, classes)
    expected = plain_agreement(predictions_KN)
    assert result.interval.mean == pytest.approx(expected)
    assert result.per_image.mean() == pytest.approx(expected)
    chance = plain_chance(predictions_KN, classes)
    assert result.chance == pytest.approx(chance)
    if chance < 1:
        assert result.kappa == pytest.approx((expected - chance) / (1 - chance))
    else:
        assert result.kappa is None
    assert 0 <= result.interval.low <= result.interval.mean <= result.interval.high <= 1


@given(predictions, st.randoms(use_true_random=False))
def test_agreement_ignores_order_of_runs_and_names_of_classes(case, random):
    predictions_KN, classes = case
    names = list(range(classes))
    random.shuffle(names)
    renamed_KN = np.array(names)[predictions_KN][::-1]
    before, after = agreement(predictions_KN, classes), agreement(renamed_KN, classes)
    assert after.interval.mean == pytest.approx(before.interval.mean)
    assert after.interval.high == pytest.approx(before.interval.high)
    np.testing.assert_allclose(after.per_image, before.per_image)


def test_two_runs_cover_images_only_and_say_so():
    predictions_KN = np.random.default_rng(0).integers(0, 2, (3, 100))
    assert agreement(predictions_KN[:2], 2).interval.covers == "images"
    assert agreement(predictions_KN, 2).interval.covers == "images and runs"


def test_perfect_agreement_is_not_certain():
    interval = agreement(np.zeros((2, 50), dtype=int), 2).interval
    assert interval.mean == interval.high == 1
    assert 0.9 < interval.low < 1


def test_constant_predictions_have_no_kappa():
    assert agreement(np.zeros((2, 50), dtype=int), 2).kappa is None


def test_one_run_is_refused():
    with pytest.raises(ValueError, match="at least two runs"):
        agreement(np.zeros((1, 5), dtype=int), 2)


@pytest.mark.parametrize("spread", [0.1, 0.2, 0.3])
@pytest.mark.parametrize("K", [3, 5])
def test_interval_covers_the_truth(K, spread):
    """Runs of unequal quality on images of unequal difficulty; the truth is over both."""
    rng = np.random.default_rng(K)

    def draw(runs, images):
        margin = rng.normal(0, 1.5, images)
        noise = np.exp(rng.normal(0, spread, runs))
        return (margin + noise[:, None] * rng.normal(size=(runs, images)) > 0).astype(int)

    truth = np.mean([agreement(draw(2, 2000), 2).interval.mean for _ in range(1500)])
    intervals = [agreement(draw(K, 1000), 2).interval for _ in range(500)]
    covered = np.mean([i.low <= truth <= i.high for i in intervals])
    # 93 to 97 %, give or take two standard errors of 500 trials.
    assert 0.93 - 0.02 <= covered <= 0.97 + 0.02


def test_mean_over_runs_equals_t_interval_where_images_agree():
    correct_KN = np.repeat(np.array([[True], [True], [False]]), 10_000, axis=1)
    interval = mean_over_runs(correct_KN)
    assert interval.mean == pytest.approx(2 / 3)
    assert (interval.low, interval.high) == (0.0, 1.0)


@given(
    hnp.arrays(np.int64, (40,), elements=st.integers(0, 2)),
    hnp.arrays(np.int64, (40,), elements=st.integers(0, 2)),
)
def test_similarity_is_the_best_renaming(a_N, b_N):
    best = max(np.mean(np.array(names)[a_N] == b_N) for names in permutations(range(3)))
    assert similarity(a_N, b_N, 3) == pytest.approx(best)
    assert similarity(b_N, a_N, 3) == pytest.approx(best)
    assert best >= 1 / 3


def test_similarity_matrix_binary_equals_pairwise():
    labels_ND = np.random.default_rng(1).integers(0, 2, (200, 5))
    matrix_DD = similarity_matrix(labels_ND, 2)
    for i in range(5):
        for j in range(5):
            assert matrix_DD[i, j] == pytest.approx(similarity(labels_ND[:, i], labels_ND[:, j], 2))


@given(st.integers(2, 4), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_answers_of_different_runs_are_compared_each_with_each(runs, asked, seed):
    predictions_KSN = np.random.default_rng(seed).integers(0, 3, (runs, asked, 25))
    expected = np.mean(
        [
            (predictions_KSN[k, s] == predictions_KSN[m, t]).mean()
            for k, m in combinations(range(runs), 2)
            for s in range(asked)
            for t in range(asked)
        ]
    )
    found = agreement(predictions_KSN, 3)
    assert found.interval.mean == pytest.approx(expected)
    once = agreement(predictions_KSN[:, :1], 3)
    plain = agreement(predictions_KSN[:, 0], 3).interval
    assert once.interval.to_json() == plain.to_json()


def test_groups_of_one_change_nothing() -> None:
    rng = np.random.default_rng(0)
    right_KN = rng.random((3, 200)) < 0.8
    alone, grouped = mean_over_runs(right_KN), mean_over_runs(right_KN, np.arange(200))
    assert (grouped.low, grouped.high) == pytest.approx((alone.low, alone.high), abs=1e-12)


def test_intervals_of_groups_cover_what_those_of_images_do_not() -> None:
    rng, truth, covered, alone = np.random.default_rng(1), 0.7, 0, 0
    groups_N = np.repeat(np.arange(60), 10)
    for _ in range(300):
        rate_G = np.clip(rng.normal(truth, 0.15, 60), 0, 1)
        right_KN = rng.random((2, 600)) < np.repeat(rate_G, 10)
        found = mean_over_runs(right_KN, groups_N)
        covered += found.low <= truth <= found.high
        plain = mean_over_runs(right_KN)
        alone += plain.low <= truth <= plain.high
    assert covered / 300 > 0.92 > alone / 300
