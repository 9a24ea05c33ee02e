"""Estimators against plain references; the bound; the coverage of the intervals; the range."""

from dataclasses import replace
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, special, stats

from taskdiscovery.agreement import agreement
from taskdiscovery.errors import ConfigError, DataError
from taskdiscovery.estimation import line as lines
from taskdiscovery.estimation.byclass import by_class, group
from taskdiscovery.estimation.case import Case
from taskdiscovery.estimation.curve import Agreed, Curve
from taskdiscovery.estimation.estimators import ESTIMATORS
from taskdiscovery.estimation.intervals import (
    bootstrap,
    check_calibration,
    least_images,
    of_residuals,
)
from taskdiscovery.estimation.limits import bound, extremes, greatest_accuracy
from taskdiscovery.estimation.line import Line
from taskdiscovery.estimation.range import (
    Sides,
    accuracy_range,
    clopper_pearson,
    how_well_told,
    mixture_range,
    sides_of_classes,
)
from taskdiscovery.estimation.scored import told
from taskdiscovery.estimation.shifts import Shifts, figures
from taskdiscovery.estimation.shifts import estimator as shift_row
from taskdiscovery.types import Score


def drawn(seed, K=3, m=40, n=30, C=3, sharp=1.5):
    """Runs that share most of what they say, and labels that go with it; temperature is off."""
    rng = np.random.default_rng(seed)
    logits_NC = rng.normal(size=(m + n, C)) * sharp
    logits_KNC = logits_NC + rng.normal(size=(K, m + n, C)) * 0.5
    p_KNC = np.exp(logits_KNC) / np.exp(logits_KNC).sum(axis=2, keepdims=True)
    labels_N = (logits_NC + rng.gumbel(size=(m + n, C)) * 1.3).argmax(axis=1)
    return p_KNC[:, :m], labels_N[:m], p_KNC[:, m:], labels_N[m:]


cases = st.builds(
    drawn, st.integers(0, 10**6), st.integers(3, 5), st.integers(5, 40), st.integers(5, 40),
    st.integers(2, 4), st.sampled_from([0.5, 1.5, 4.0]),
)  # fmt: skip
few = settings(max_examples=25, deadline=None)


# Plain references: one run, one image at a time.


def plain_accuracy(p_KNC, labels_N):
    hits = [p.argmax() == y for run in p_KNC for p, y in zip(run, labels_N, strict=True)]
    return sum(hits) / len(hits)


def plain_confidence(p_KNC):
    return sum(max(p) for run in p_KNC for p in run) / (len(p_KNC) * len(p_KNC[0]))


def plain_agreement(p_KNC):
    pairs = list(combinations(p_KNC, 2))
    return [
        sum(a.argmax() == b.argmax() for a, b in zip(one, two, strict=True)) / len(one)
        for one, two in pairs
    ]


def plain_scaled(p_KmC, labels_m, p_KnC):
    total = 0.0
    for before, after in zip(p_KmC, p_KnC, strict=True):

        def loss(log_t, before=before):
            scaled = [p ** (1 / np.exp(log_t)) for p in before]
            return -sum(np.log(q[y] / q.sum()) for q, y in zip(scaled, labels_m, strict=True))

        log_t = optimize.minimize_scalar(loss, bounds=(-3, 3), method="bounded").x
        scaled = [p ** (1 / np.exp(log_t)) for p in after]
        total += sum(q.max() / q.sum() for q in scaled) / len(after)
    return total / len(p_KnC)


def plain_above(p_KmC, labels_m, p_KnC, score):
    total = 0.0
    for before, after in zip(p_KmC, p_KnC, strict=True):
        right = sum(p.argmax() == y for p, y in zip(before, labels_m, strict=True))
        ordered = sorted((score(p) for p in before), reverse=True)
        total += sum(score(p) >= ordered[right - 1] for p in after) / len(after) if right else 0
    return total / len(p_KnC)


def plain_line(p_KmC, labels_m, p_KnC):
    def probit(share, images):
        return stats.norm.ppf(min(max(share, 0.5 / images), 1 - 0.5 / images))

    m, n = len(labels_m), len(p_KnC[0])
    x = [probit(a, m) for a in plain_agreement(p_KmC)]
    y = [probit(a, n) for a in plain_agreement(p_KnC)]
    if max(x) - min(x) < 1e-9:
        slope, intercept = 1.0, np.mean(y) - np.mean(x)
    else:
        slope, intercept = stats.linregress(x, y)[:2]
    accuracies = [plain_accuracy([run], labels_m) for run in p_KmC]
    return np.mean([stats.norm.cdf(slope * probit(a, m) + intercept) for a in accuracies])


def plain(name, p_KmC, labels_m, p_KnC):
    held, cut = plain_accuracy(p_KmC, labels_m), lambda x: min(1.0, max(0.0, x))
    return {
        "held-out": lambda: held,
        "confidence": lambda: plain_confidence(p_KnC),
        "scaled-confidence": lambda: plain_scaled(p_KmC, labels_m, p_KnC),
        "confidence-difference": lambda: cut(
            held - plain_confidence(p_KmC) + plain_confidence(p_KnC)
        ),
        "threshold-confidence": lambda: plain_above(p_KmC, labels_m, p_KnC, max),
        "threshold-entropy": lambda: plain_above(
            p_KmC, labels_m, p_KnC, lambda p: sum(q * np.log(q) for q in p)
        ),
        "agreement": lambda: np.mean(plain_agreement(p_KnC)),
        "agreement-difference": lambda: cut(
            held + np.mean(plain_agreement(p_KnC)) - np.mean(plain_agreement(p_KmC))
        ),
        "agreement-line": lambda: plain_line(p_KmC, labels_m, p_KnC),
    }[name]()


@pytest.mark.parametrize("name", ESTIMATORS)
def test_each_estimator_equals_its_plain_reference(name):
    for seed in range(6):
        probabilities = drawn(seed, K=3 + seed % 2, C=2 + seed % 3)[:3]
        found = ESTIMATORS[name].function(Case.of(*probabilities))
        close = 1e-4 if name == "scaled-confidence" else 1e-9
        assert found == pytest.approx(plain(name, *probabilities), abs=close)


@few
@given(cases, st.randoms(use_true_random=False))
def test_estimates_ignore_the_order_of_images_and_runs_and_the_names_of_classes(given_, random):
    p_KmC, labels_m, p_KnC, _ = given_
    (K, m, C), n = p_KmC.shape, p_KnC.shape[1]
    runs, images, others, names = (random.sample(range(x), x) for x in (K, m, n, C))
    renamed_m = np.argsort(names)[labels_m][images]
    after = Case.of(
        p_KmC[runs][:, images][:, :, names], renamed_m, p_KnC[runs][:, others][:, :, names]
    )
    before = Case.of(p_KmC, labels_m, p_KnC)
    for name, estimator in ESTIMATORS.items():
        value = estimator.function(before)
        assert 0 <= value <= 1
        assert estimator.function(after) == pytest.approx(value, abs=1e-6), name
    one, other = (by_class(case, ESTIMATORS["confidence"].function) for case in (before, after))
    for field in ("predicted_C", "shares_C", "true_C", "rates_C"):
        np.testing.assert_allclose(getattr(other, field), getattr(one, field)[names], atol=1e-9)


@few
@given(cases)
def test_calibration_images_are_told_their_own_accuracy(given_):
    """What is calibrated gives held-out accuracy back on the images it was calibrated on."""
    p_KmC, labels_m, _, _ = given_
    case = Case.of(p_KmC, labels_m, p_KmC)
    for name in (
        "confidence-difference", "threshold-confidence", "threshold-entropy",
        "agreement-difference",
    ):  # fmt: skip
        assert ESTIMATORS[name].function(case) == pytest.approx(case.correct_Km.mean()), name


def test_ties_count_by_their_share():
    p_KmC = np.array([[[1.0, 0.0]] * 4])
    case = Case.of(p_KmC, np.array([0, 0, 0, 1]), np.array([[[1.0, 0.0], [0.6, 0.4]]]))
    assert ESTIMATORS["threshold-confidence"].function(case) == pytest.approx(0.75 / 2)


def test_estimators_are_right_where_their_assumption_holds():
    """Labels follow the confidences, and images get harder: accuracy is told within 3 sd."""
    rng = np.random.default_rng(0)
    N = 6000

    def images(sharp):
        logits_NC = rng.normal(size=(N, 4)) * sharp
        p_NC = np.exp(logits_NC) / np.exp(logits_NC).sum(axis=1, keepdims=True)
        drawn_KN = (logits_NC + rng.gumbel(size=(4, N, 4))).argmax(axis=2)
        return p_NC, drawn_KN[0], drawn_KN[1:]

    (easy_NC, labels_N, said_KN), (hard_NC, truth_N, asked_KN) = images(3), images(1.5)
    case = Case.of(easy_NC[None], labels_N, hard_NC[None])
    accuracy = (hard_NC.argmax(axis=1) == truth_N).mean()
    assert (easy_NC.argmax(axis=1) == labels_N).mean() - accuracy > 0.15
    assert case.temperatures_K[0] == pytest.approx(1, abs=0.1)
    for name in ("confidence", "scaled-confidence", "confidence-difference"):
        sd = (2 if name == "confidence-difference" else 1) * 0.5 / N**0.5
        assert abs(ESTIMATORS[name].function(case) - accuracy) < 3 * sd, name
    # A threshold sees how sure, not how right: its assumption holds on images of the same kind.
    same = Case.of(easy_NC[None, : N // 2], labels_N[: N // 2], easy_NC[None, N // 2 :])
    for name in ("threshold-confidence", "threshold-entropy"):
        accuracy = (easy_NC.argmax(axis=1) == labels_N)[N // 2 :].mean()
        sd = 2 * 0.5 / (N / 2) ** 0.5  # two accuracies, two shares above the threshold
        assert abs(ESTIMATORS[name].function(same) - accuracy) < 3 * sd, name
    # Runs that predict as labels fall: agreement is accuracy, shifted or not (Jiang et al.).
    case = Case.of(np.eye(4)[said_KN], labels_N, np.eye(4)[asked_KN])
    accuracy = (asked_KN == truth_N).mean()
    for name in ("agreement", "agreement-difference", "agreement-line"):
        assert abs(ESTIMATORS[name].function(case) - accuracy) < 0.03, name


def test_confidences_that_are_too_high_are_scaled_down():
    rng = np.random.default_rng(1)
    logits_NC = rng.normal(size=(4000, 3)) * 2
    labels_N = (logits_NC + rng.gumbel(size=logits_NC.shape)).argmax(axis=1)
    hot_NC = np.exp(2.5 * logits_NC)
    hot_NC /= hot_NC.sum(axis=1, keepdims=True)
    case = Case.of(hot_NC[None], labels_N, hot_NC[None])
    assert case.temperatures_K[0] == pytest.approx(2.5, rel=0.08)
    assert ESTIMATORS["confidence"].function(case) > case.correct_Km.mean() + 0.1
    assert ESTIMATORS["scaled-confidence"].function(case) == pytest.approx(
        case.correct_Km.mean(), abs=0.02
    )


def test_runs_that_are_too_few_are_refused():
    p_KmC, labels_m, p_KnC, _ = drawn(0, K=2)
    two, one = Case.of(p_KmC, labels_m, p_KnC), Case.of(p_KmC[:1], labels_m, p_KnC[:1])
    with pytest.raises(ConfigError, match="3 runs or more, and there are 2"):
        ESTIMATORS["agreement-line"].function(two)
    for estimator in ESTIMATORS.values():
        for case in (one, two):
            if estimator.runs > case.K:
                with pytest.raises(ConfigError):
                    estimator.function(case)
            else:
                assert 0 <= estimator.function(case) <= 1


@pytest.mark.parametrize(
    "change",
    [
        lambda p, y, q: (p, y[:-1], q),
        lambda p, y, q: (p, y + 3, q),
        lambda p, y, q: (p[:, :0], y[:0], q),
        lambda p, y, q: (p, y, q[:2]),
        lambda p, y, q: (np.log(p), y, q),
        lambda p, y, q: (p, y, q * np.nan),
    ],
)
def test_what_is_no_case_is_refused(change):
    with pytest.raises(ValueError, match=r"calibrat|probabilities"):
        Case.of(*change(*drawn(0)[:3]))


# The bound, and what any labels allow.


@few
@given(st.integers(0, 10**6), st.integers(2, 5), st.integers(2, 4), st.integers(1, 30))
def test_no_labels_are_above_the_bound(seed, K, C, n):
    rng = np.random.default_rng(seed)
    predicted_Kn = rng.integers(C, size=(K, n))
    score = agreement(predicted_Kn, C).interval.mean
    least, greatest = extremes(predicted_Kn, C)
    assert greatest <= greatest_accuracy(score) + 1e-12
    for _ in range(5):
        accuracy = (predicted_Kn == rng.integers(C, size=n)).mean()
        assert least - 1e-12 <= accuracy <= greatest + 1e-12
    if K == 2:
        assert greatest == pytest.approx(greatest_accuracy(score))
        assert C > 2 or least == pytest.approx(1 - greatest)
    else:
        assert C <= K or least == 0


def test_extremes_are_attained_by_some_labels():
    predicted_Kn = np.random.default_rng(0).integers(3, size=(3, 4))
    accuracies = [(predicted_Kn == np.array(y)).mean() for y in product(range(3), repeat=4)]
    assert extremes(predicted_Kn, 3) == pytest.approx((min(accuracies), max(accuracies)))
    case = Case.of(np.eye(3)[predicted_Kn], predicted_Kn[0], np.eye(3)[predicted_Kn])
    assert bound(case) >= max(accuracies)


# By class.


def plain_by_class(p_KmC, labels_m, p_KnC, c):
    """Confidence on the images that are taken for c, and the accuracy on those that are c."""
    C = p_KmC.shape[2]
    group_m = [sum(run[i] for run in p_KmC).argmax() for i in range(len(labels_m))]
    group_n = [sum(run[i] for run in p_KnC).argmax() for i in range(p_KnC.shape[1])]
    right, rate, own = 0.0, 0.0, np.nan
    for g in range(C):
        members = [i for i, h in enumerate(group_n) if h == g]
        if not members or g not in group_m:
            assert not members  # else the reference would have to leave it out
            continue
        a = plain_confidence([[run[i] for i in members] for run in p_KnC])
        own = a if g == c else own
        answers = [
            (labels_m[i], run[i].argmax() == labels_m[i])
            for i, h in enumerate(group_m) if h == g for run in p_KmC
        ]  # fmt: skip
        hits = [y == c for y, r in answers if r] or [y == c for y, r in answers]
        misses = [y == c for y, r in answers if not r] or [y == c for y, r in answers]
        s = len(members) / len(group_n)
        right += s * a * np.mean(hits)
        rate += s * a * np.mean(hits) + s * (1 - a) * np.mean(misses)
    return own, right / rate, rate


def test_classes_equal_their_plain_reference():
    for seed in range(4):
        probabilities = drawn(seed, m=60, n=50)[:3]
        found = by_class(Case.of(*probabilities), ESTIMATORS["confidence"].function)
        for c in range(3):
            one = found.predicted_C[c], found.true_C[c], found.rates_C[c]
            assert one == pytest.approx(plain_by_class(*probabilities, c), nan_ok=True)
        assert found.rates_C.sum() == pytest.approx(1)
        assert (found.rates_C * found.true_C).sum() == pytest.approx(
            np.nansum(found.shares_C * found.predicted_C)
        )


def test_classes_are_told_where_their_answers_are_spread_as_in_calibration():
    """Class rates shift by what is predicted: accuracy of each class and its rate are told."""
    p_KmC, labels_m, p_KnC, truth_n = drawn(3, K=2, m=4000, n=20000)
    taken_n = p_KnC.mean(axis=0).argmax(axis=1)
    kept_n = np.random.default_rng(0).random(len(taken_n)) < np.array([1.0, 0.5, 0.1])[taken_n]
    p_KnC, truth_n = p_KnC[:, kept_n], truth_n[kept_n]
    found = by_class(Case.of(p_KmC, labels_m, p_KnC), ESTIMATORS["agreement-difference"].function)
    for c in range(3):
        own_n = truth_n == c
        assert found.rates_C[c] == pytest.approx(own_n.mean(), abs=0.03)
        accuracy = (p_KnC.argmax(axis=2) == truth_n)[:, own_n].mean()
        assert found.true_C[c] == pytest.approx(accuracy, abs=0.05)


def test_a_group_is_a_case_of_its_own():
    case = Case.of(*drawn(0, m=300, n=300)[:3])
    for c in range(3):
        found = bootstrap(group(case, c), ESTIMATORS, resamples=10)
        for name, estimator in ESTIMATORS.items():
            value = by_class(case, estimator.function).predicted_C[c]
            assert found[name].value == pytest.approx(value), name
        in_group = case.unlabelled.predicted_KN[:, case.unlabelled.together_N == c]
        assert bound(group(case, c)) >= extremes(in_group, 3)[1] - 1e-12


def test_a_class_of_few_calibration_images_is_not_told():
    p_KmC, labels_m, p_KnC, _ = drawn(0, m=200)
    labels_m = np.where((labels_m == 2) & (np.arange(200) > 20), 0, labels_m)
    found = by_class(Case.of(p_KmC, labels_m, p_KnC), ESTIMATORS["confidence"].function, 20)
    assert np.isnan(found.true_C[2])
    assert not np.isnan(found.true_C[:2]).any()


# Lines.


def test_a_line_and_its_residuals_equal_fits_that_leave_one_out():
    rng = np.random.default_rng(0)
    x, y = rng.random(8), rng.random(8)
    line = Line.fit(x, y)
    reference = stats.linregress(x, y)
    assert (line.slope, line.intercept) == pytest.approx(reference[:2])
    assert line.predict(9.0) in (0.0, 1.0)
    for i in range(8):
        others = Line.fit(np.delete(x, i), np.delete(y, i))
        missed = y[i] - (others.intercept + others.slope * x[i])
        assert line.residuals_L[i] == pytest.approx(missed)
    with pytest.raises(DataError, match="3 labelings or more, got 2"):
        Line.fit(x[:2], y[:2])


def test_a_line_of_equal_scores_is_their_mean():
    line = Line.fit(np.full(4, 0.9), np.array([0.6, 0.7, 0.8, 0.9]))
    assert line.predict(0.5) == pytest.approx(0.75)
    assert line.residuals_L[0] == pytest.approx(0.6 - 0.8)
    lone = Line.fit(np.array([0.9, 0.9, 0.9, 0.5]), np.array([0.8, 0.8, 0.8, 0.3]))
    assert lone.residuals_L[3] == pytest.approx(-0.5)


def test_a_lines_interval_keeps_what_a_refit_would_not_single_out():
    rng = np.random.default_rng(2)
    x = rng.uniform(0.6, 1, 12)
    y = x - 0.1 + rng.normal(size=12) * 0.02
    low, high = Line.fit(x, y).interval(0.8, 0.8)
    for candidate in (low - 0.002, low + 0.002, high - 0.002, high + 0.002):
        xs, ys = np.append(x, 0.8), np.append(y, candidate)
        slope, intercept = stats.linregress(xs, ys)[:2]
        misses = np.abs(ys - slope * xs - intercept)
        kept = (misses >= misses[-1]).mean() > 0.2
        assert kept == (low < candidate < high)
    with pytest.raises(DataError, match="needs 19 labelings or domains of known accuracy, got 12"):
        Line.fit(x, y).interval(0.8, 0.95)


def test_a_line_is_an_estimator_like_the_others():
    case = Case.of(*drawn(0)[:3])
    row = lines.estimator(Line.fit(np.array([0.6, 0.8, 1.0]), np.array([0.5, 0.7, 0.9])))
    score = ESTIMATORS["agreement"].function(case)
    assert row.function(case) == pytest.approx(score - 0.1)
    found = bootstrap(case, {"line": row}, resamples=20)["line"]
    assert found.low < found.value < found.high


# Intervals.


def coverage(draw, trials):
    inside = [draw(np.random.default_rng(seed)) for seed in range(trials)]
    return np.mean(inside)


def test_intervals_by_residuals_cover_exactly():
    """19 domains: the rank of the new miss among 20 is even, so 90 % is met to sampling error."""

    def inside(rng):
        misses = rng.standard_t(2, size=20) * 0.02
        found = of_residuals(0.5, misses[:-1], 0.9)
        return found.low <= 0.5 + misses[-1] <= found.high

    assert 0.87 <= coverage(inside, 4000) <= 0.93
    with pytest.raises(DataError, match="90% needs 9 labelings"):
        of_residuals(0.5, np.zeros(8), 0.9)
    assert of_residuals(0.99, np.full(9, 0.1)).high == 1


def test_intervals_of_a_line_cover():
    def inside(rng):
        x = rng.uniform(0.6, 1, 20)
        y = np.clip(x - 0.1 + rng.standard_t(3, size=20) * 0.02, 0, 1)
        low, high = Line.fit(x[:-1], y[:-1]).interval(x[-1], 0.9)
        return low <= y[-1] <= high

    assert 0.87 <= coverage(inside, 1500) <= 0.94  # the candidates' step adds a little


#: a run has a skill of its own, an image a difficulty; classes are eight.
def simulated(rng, K, m, n):
    skill_K = rng.normal(size=(K, 1)) * 0.15
    hard_N = rng.normal(size=m + n)
    right_KN = rng.random((K, m + n)) < 1 / (1 + np.exp(-(1.2 + skill_K + hard_N)))
    labels_N = rng.integers(8, size=m + n)
    wrong_KN = (labels_N + rng.integers(1, 8, size=(K, m + n))) % 8
    predicted_KN = np.where(right_KN, labels_N, wrong_KN)
    sure_KN = 0.5 + 0.49 / (1 + np.exp(-(hard_N + rng.normal(size=(K, m + n)))))
    p_KNC = np.full((K, m + n, 8), 0.0) + ((1 - sure_KN) / 7)[:, :, None]
    np.put_along_axis(p_KNC, predicted_KN[:, :, None], sure_KN[:, :, None], axis=2)
    return Case.of(p_KNC[:, :m], labels_N[:m], p_KNC[:, m:])


def covered(names, trials, K, sizes, resamples, truth=None):
    """The shares of trials whose intervals hold what many runs and images give."""
    estimators = {name: ESTIMATORS[name] for name in names}
    if truth is None:
        large = simulated(np.random.default_rng(10**6), 60, 20000, 20000)
        truth = {name: e.function(large) for name, e in estimators.items()}
    hits = dict.fromkeys(names, 0)
    for seed in range(trials):
        case = simulated(np.random.default_rng(seed), K, *sizes)
        for name, found in bootstrap(case, estimators, 0.9, resamples, seed).items():
            hits[name] += found.low <= truth[name] <= found.high
    return {name: count / trials for name, count in hits.items()}


@pytest.mark.slow
@pytest.mark.parametrize("K", [3, 5])
def test_bootstrap_covers_every_estimator(K):
    names = [name for name in ESTIMATORS if name != "agreement-line"]
    for name, share in covered(names, 400, K, (300, 300), 60).items():
        assert 0.87 <= share <= 0.97, (name, share)


def test_bootstrap_covers_what_is_cheap_to_simulate():
    """Too wide rather than too narrow where three runs differ little, as agreement's interval."""
    rng, names = np.random.default_rng(10**6), ["held-out", "agreement"]
    right_KN = 1 / (
        1 + np.exp(-(1.2 + rng.normal(size=(2, 10**5)) * 0.15 + rng.normal(size=10**5)))
    )
    alike_N = right_KN.prod(axis=0) + (1 - right_KN).prod(axis=0) / 7
    truth = {"held-out": right_KN.mean(), "agreement": alike_N.mean()}
    for name, share in covered(names, 200, 3, (150, 150), 20, truth).items():
        assert 0.87 <= share <= 0.97, (name, share)


def test_the_bootstrap_of_means_is_the_interval_of_agreement():
    """By a formula there, by draws here: the same variances, to the error of 600 draws."""
    case = simulated(np.random.default_rng(0), 4, 500, 400)
    found = bootstrap(case, {"agreement": ESTIMATORS["agreement"]}, 0.95, 600)["agreement"]
    known = agreement(case.unlabelled.predicted_KN, 8).interval
    assert found.covers == known.covers == "images and runs"
    assert found.value == pytest.approx(known.mean)
    assert found.high - found.low == pytest.approx(known.high - known.low, rel=0.12)


def test_images_of_one_group_are_one_draw():
    """Every image four times: the interval is that of a quarter of the images."""
    single = simulated(np.random.default_rng(0), 2, 150, 150)
    rows = np.repeat(np.arange(150), 4)
    case, names = single.images(rows, rows), {"agreement": ESTIMATORS["agreement"]}
    one, same, wrong = (
        bootstrap(x, names, 0.9, 400, groups=groups)["agreement"]
        for x, groups in ((single, None), (case, (rows, rows)), (case, None))
    )
    assert same.covers == "groups"  # of one pair, so that runs add nothing
    assert same.value == pytest.approx(one.value)
    assert same.high - same.low == pytest.approx(one.high - one.low, rel=0.15)
    assert wrong.high - wrong.low < 0.6 * (one.high - one.low)


def test_the_bootstrap_says_what_it_covers_and_repeats_itself():
    two = Case.of(*drawn(0, K=2)[:3])
    found = bootstrap(two, ESTIMATORS, resamples=10)
    assert "agreement-line" not in found
    assert found["agreement"].covers == "images"  # one pair: the spread of runs is unknown
    assert found["confidence"].covers == "images and runs"
    assert bootstrap(two, ESTIMATORS, resamples=10) == found
    assert bootstrap(two, ESTIMATORS, resamples=10, seed=1) != found
    same = np.eye(2)[np.zeros((3, 50), dtype=int)]
    sure = bootstrap(Case.of(same, np.zeros(50, dtype=int), same), ESTIMATORS, resamples=10)
    assert all(e.value > 0.98 and 0.9 < e.low < e.value for e in sure.values())


def test_a_resampled_temperature_is_that_of_a_new_fit_to_first_order():
    p_KmC, labels_m, p_KnC, _ = drawn(1, m=500, n=200)
    case = Case.of(p_KmC, labels_m, p_KnC)
    for seed in range(3):
        rows_m = np.random.default_rng(seed).integers(500, size=500)
        moved = case.resampled(rows_m, np.arange(200))
        refit = Case.of(p_KmC[:, rows_m], labels_m[rows_m], p_KnC)
        change = np.abs(refit.temperatures_K - case.temperatures_K)
        assert np.abs(moved.temperatures_K - refit.temperatures_K).max() < 0.2 * change.max()
        scaled = ESTIMATORS["scaled-confidence"].function
        assert scaled(moved) == pytest.approx(scaled(refit), abs=0.003)
    with_all = case.resampled(np.arange(500), np.arange(200))
    np.testing.assert_allclose(with_all.temperatures_K, case.temperatures_K)


def test_too_few_calibration_images_are_refused():
    assert least_images(0.05, 0.9) == 271
    assert least_images(0.05, 0.95) == 385
    half = 1.6449 * (0.25 / least_images(0.03, 0.9)) ** 0.5
    assert 0.0299 < half <= 0.03
    check_calibration(np.arange(271) % 3, ("a", "b", "c"))
    with pytest.raises(DataError, match="270 labelled images are held out, and 271 are needed"):
        check_calibration(np.arange(270) % 3, ("a", "b", "c"))
    with pytest.raises(DataError, match="no held-out image shows b, d: nothing is known") as error:
        check_calibration(np.arange(300) % 2 * 2, ("a", "b", "c", "d"))
    assert error.value.details["classes"] == ["b", "d"]


# The range.


def plain_range(p, a, right, s, steps=24):
    """Every combination on a grid of q, p, a and the ends of c and d."""
    kept = []
    for q, one, other in product(*(np.linspace(*x, steps + 1) for x in ((0, 1), p, a))):
        if s[0] - 1e-9 <= q * one + (1 - q) * other <= s[1] + 1e-9:
            kept += [q * (1 - one) * c + (1 - q) * other * d for c in right[0] for d in right[1]]
    return (min(kept), max(kept)) if kept else None


intervals = st.tuples(st.floats(0, 1), st.floats(0, 1)).map(lambda x: (min(x), max(x)))


@few
@given(intervals, intervals, intervals, intervals, intervals)
def test_a_mixtures_range_holds_every_combination(p, a, c, d, s):
    known, found = plain_range(p, a, (c, d), s), mixture_range(p, a, (c, d), s)
    if known is not None:
        assert found is not None
        assert found[0] <= known[0] + 1e-6
        assert known[1] <= found[1] + 1e-6
    if found is not None:
        assert 0 <= found[0] <= found[1] <= 1


def test_a_mixtures_range_is_no_wider_than_the_combinations():
    p, a, right, s = (0.5, 0.8), (0.85, 0.95), ((0.7, 0.9), (0.9, 1.0)), (0.78, 0.8)
    known, found = plain_range(p, a, right, s, 120), mixture_range(p, a, right, s)
    assert found == pytest.approx(known, abs=0.01)


def with_task(rng, parted, K=4, m=1500, n=1500, follow=0.7):
    """Two classes, a task; where they part, runs are on the task's side with chance `follow`."""
    at = [rng.random(size) < share for size, share in zip((m, n), parted, strict=True)]
    labels = [rng.integers(2, size=size) for size in (m, n)]
    sides = [np.where(part, 1 - y, y) for part, y in zip(at, labels, strict=True)]
    predicted = []
    for part, y in zip(at, labels, strict=True):
        wrong = rng.random((K, len(y))) < np.where(part, follow, 0.06)
        predicted.append(np.where(wrong, 1 - y, y))
    case = Case.of(np.eye(2)[predicted[0]], labels[0], np.eye(2)[predicted[1]])
    truth = (predicted[1] == labels[1]).mean()
    task = Sides(name="task_000", calibration_m=sides[0], unlabelled_n=sides[1])
    return case, task, truth


@pytest.mark.parametrize("parted", [(0.1, 0.1), (0.1, 0.5), (0.1, 1.0), (0.3, 0.0)])
def test_a_range_holds_the_truth_however_often_label_and_task_part(parted):
    widths = []
    for seed in range(20):
        case, task, truth = with_task(np.random.default_rng(seed), parted)
        found = accuracy_range(case, [task])
        assert found.low <= truth <= found.high
        widths.append(found.high - found.low)
        assert found.tasks[0].explained
        assert found.tasks[0].parted == pytest.approx(parted[0], abs=0.03)
        assert found.tasks[0].accuracy_parted == pytest.approx(0.3, abs=0.1)
        assert found.tasks[0].accuracy_together == pytest.approx(0.94, abs=0.03)
    # Half parted is told badly: runs that follow the task at 0.7 and 0.94 mix to nearly the same.
    assert np.median(widths) < {0.0: 0.25, 0.1: 0.25, 0.5: 0.7, 1.0: 0.45}[parted[1]]


def test_a_label_that_never_parts_from_a_task_leaves_everything_open():
    """An adversarial split: in DATA they never part, on DATA2 always, and runs follow the task."""
    case, task, truth = with_task(np.random.default_rng(0), (0.0, 1.0), follow=0.95)
    found = accuracy_range(case, [task])
    assert truth < 0.07
    assert found.low < 0.07
    assert found.high > 0.9
    assert found.tasks[0].accuracy_parted is None
    assert found.low_task == found.high_task == "task_000"
    misses = {n: abs(e.function(case) - truth) for n, e in ESTIMATORS.items()}
    assert min(misses[name] for name in ("held-out", "confidence", "agreement")) > 0.8


def test_images_that_a_task_leaves_open_count_by_themselves():
    """Near its border a task parts by chance, and runs do not follow it there as they do else."""
    rng = np.random.default_rng(0)
    (clear, task, _), (border, near, _) = (
        with_task(rng, (0.0, 1.0), m=1000, follow=0.95),
        with_task(rng, (0.5, 0.5), m=500, n=200, follow=0.5),
    )
    joined = [
        np.eye(2)[np.concatenate([getattr(x, f).predicted_KN for x in (clear, border)], axis=1)]
        for f in ("calibration", "unlabelled")
    ]
    labels_m = np.concatenate([clear.labels_m, border.labels_m])
    case = Case.of(joined[0], labels_m, joined[1])

    def found(mark):
        sides = Sides(
            name="t",
            calibration_m=np.concatenate([task.calibration_m, mark(near.calibration_m)]),
            unlabelled_n=np.concatenate([task.unlabelled_n, mark(near.unlabelled_n)]),
        )
        return accuracy_range(case, [sides])

    # Nearly all that is asked about parts and is wrong: 0.05 of 1500 images and 0.7 of 200.
    truth = (1500 * 0.05 + 200 * 0.72) / 1700
    assert found(lambda side: side).low > truth + 0.1  # p was learnt at the border
    open_ = found(lambda side: side * 0 - 1)
    assert open_.low < truth < open_.high
    assert open_.tasks[0].accuracy_parted is None
    assert found(lambda side: side * 0 - 1).low == pytest.approx(0.1, abs=0.08)


def test_tasks_that_do_not_go_with_the_label_say_nothing():
    rng = np.random.default_rng(0)
    case, task, _ = with_task(rng, (0.1, 0.1))
    other = Sides(
        name="other", calibration_m=rng.integers(2, size=1500), unlabelled_n=task.unlabelled_n
    )
    constant = Sides(
        name="constant", calibration_m=np.zeros(1500, int), unlabelled_n=task.unlabelled_n
    )
    assert accuracy_range(case, [other, constant]) is None
    both = accuracy_range(case, [other, task])
    assert [row.task for row in both.tasks] == ["task_000"]


def test_answers_that_no_mixture_explains_are_said_to_be_so():
    case, task, _ = with_task(np.random.default_rng(0), (0.3, 0.0))
    follows_n = case.unlabelled.predicted_KN[0]
    stuck = Case.of(
        np.eye(2)[case.calibration.predicted_KN],
        case.labels_m,
        np.eye(2)[np.tile(follows_n, (4, 1))],
    )
    task = Sides(name="t", calibration_m=task.calibration_m, unlabelled_n=follows_n)
    found = accuracy_range(stuck, [task])
    assert not found.tasks[0].explained
    assert found.low == 0
    assert found.high > 0.9


@few
@given(st.integers(0, 10**6), st.integers(2, 4), st.integers(2, 4))
def test_the_sides_of_classes_tell_a_task_best(seed, C, D):
    rng = np.random.default_rng(seed)
    labels_m, side_m = rng.integers(C, size=30), rng.integers(D, size=30)
    labels_m[:C], side_m[:D] = np.arange(C), np.arange(D)
    phi = how_well_told(side_m, sides_of_classes(side_m, labels_m, C)[labels_m])
    best = max(how_well_told(side_m, np.array(g)[labels_m]) for g in product(range(D), repeat=C))
    assert phi == pytest.approx(best)
    assert phi <= 1


def test_association_of_balanced_sides_is_phi():
    a = np.repeat([0, 1], 50)
    b = np.roll(a, 10)
    assert how_well_told(a, b) == pytest.approx(np.corrcoef(a, b)[0, 1])
    assert how_well_told(a, a) == 1


def test_clopper_pearson_is_scipys():
    for hits, images in ((0, 10), (3, 10), (10, 10), (40, 200)):
        known = stats.binomtest(hits, images).proportion_ci(0.95, method="exact")
        assert clopper_pearson(hits / images, images, 0.05) == pytest.approx(tuple(known))


# Curves.


def agreed(rng, L):
    """Labelings whose runs agree, with what chance gives, and accuracies on a curve."""
    given, accuracies = [], []
    for _ in range(L):
        chance, right = rng.uniform(0.1, 0.9, 2)
        kappa = rng.uniform(0, 1)
        own = Agreed(score=chance + kappa * (1 - chance), chance=chance, right=right)
        given.append(own)
        accuracies.append(right + (1 - right) * (0.3 * kappa + 0.6 * kappa**2))
    return given, np.array(accuracies)


def test_a_curve_passes_through_chance_and_finds_what_it_was_made_of():
    given, accuracies_L = agreed(np.random.default_rng(0), 12)
    curve = Curve.fit(given, accuracies_L)
    assert curve.coefficients == pytest.approx([0.3, 0.6])
    assert np.abs(curve.residuals_L).max() < 1e-12
    by_chance = Agreed(score=0.5, chance=0.5, right=0.7)
    assert curve.predict(by_chance) == pytest.approx(0.7)
    assert curve.predict(Agreed(score=1.0, chance=1.0, right=0.7)) == pytest.approx(0.7)
    low, high = curve.interval(given[0])
    assert low <= accuracies_L[0] <= high < low + 0.01
    with pytest.raises(DataError, match="4 labelings or more, got 3"):
        Curve.fit(given[:3], accuracies_L[:3])
    with pytest.raises(ValueError, match="12 agreements for 11"):
        Curve.fit(given, accuracies_L[:11])


def test_a_curve_leaves_a_labeling_out_of_its_own_residual():
    rng = np.random.default_rng(1)
    given, accuracies_L = agreed(rng, 9)
    accuracies_L = accuracies_L + rng.normal(size=9) * 0.02
    residuals_L = Curve.fit(given, accuracies_L).residuals_L
    for i, own in enumerate(given):
        others = Curve.fit(given[:i] + given[i + 1 :], np.delete(accuracies_L, i))
        said = own.right + np.dot(own.terms, others.coefficients)
        assert said == pytest.approx(accuracies_L[i] - residuals_L[i], abs=1e-9)


def test_chance_is_counted_from_predictions_and_labels():
    predicted_Kn = np.array([[0, 0, 1, 1, 2, 2], [0, 1, 1, 1, 2, 0]])
    own = Agreed.of(predicted_Kn, np.array([0.5, 0.25, 0.25]))
    assert own.score == pytest.approx(4 / 6)
    assert own.chance == pytest.approx((2 * 2 + 2 * 3 + 2 * 1) / 36)
    assert own.right == pytest.approx((4 * 0.5 + 5 * 0.25 + 3 * 0.25) / 12)
    assert own.kappa == pytest.approx((own.score - own.chance) / (1 - own.chance))


def test_intervals_of_a_curve_cover():
    def inside(rng):
        given, accuracies_L = agreed(rng, 20)
        accuracies_L = np.clip(accuracies_L + rng.standard_t(3, size=20) * 0.02, 0, 1)
        low, high = Curve.fit(given[:-1], accuracies_L[:-1]).interval(given[-1], 0.9)
        return low <= accuracies_L[-1] <= high

    assert 0.87 <= coverage(inside, 600) <= 0.94  # the candidates' step adds a little


# Made shifts.


def shifted(rng, labels_N, blur):
    """Probabilities (K, N, C) that are less sure, and less often right, the more images blur."""
    logits_KNC = rng.normal(size=(3, len(labels_N), 4)) + rng.normal(size=(len(labels_N), 4))
    logits_KNC[:, np.arange(len(labels_N)), labels_N] += 4 * (1 - blur)
    return special.softmax(2 * (1 - blur) * logits_KNC, axis=2)


def made_shifts(seed, easy=0.0):
    """A calibrated case, and domains: the same images clean, then at three blurs of six kinds."""
    rng = np.random.default_rng(seed)
    labels_m, labels_n = rng.integers(4, size=600), rng.integers(4, size=400)
    case = Case.of(shifted(rng, labels_m, 0.1), labels_m, shifted(rng, labels_n, 0.1 - easy))
    blurs = [0.1 - easy, *rng.uniform(0.1, 0.9, 18)]
    made = [shifted(rng, labels_n, blur) for blur in blurs]
    truth_L = np.array([(p.argmax(axis=2) == labels_n).mean() for p in made])
    kinds = ["none", *(f"kind {i // 3}" for i in range(18))]
    return [case.asking(p_KnC) for p_KnC in made], truth_L, kinds


def test_made_shifts_calibrate_an_estimate_under_shift():
    domains, truth_L, kinds = made_shifts(0)
    figures_LF = np.array([figures(own) for own in domains])
    shifts = Shifts.fit(figures_LF[:13], truth_L[:13], kinds[:13])
    told = [shifts(own) for own in domains[13:]]
    blind = [ESTIMATORS["held-out"].function(own) for own in domains[13:]]
    assert np.abs(told - truth_L[13:]).mean() < 0.03
    assert np.abs(blind - truth_L[13:]).mean() > 0.1
    assert shift_row(shifts).function(domains[13]) == told[0]
    x, y = figures_LF[1:13] - figures_LF[0], truth_L[1:13] - truth_L[0]
    assert shifts.coefficients_F == pytest.approx(np.linalg.solve(x.T @ x, x.T @ y), rel=1e-6)
    one = domains[0].runs(np.array([0]))
    with pytest.raises(ConfigError, match="compares 2 runs"):
        shifts(one)


def test_made_shifts_say_the_held_out_accuracy_where_nothing_changed():
    """Whatever images were corrupted: here some that are easier than those that calibrate."""
    domains, truth_L, kinds = made_shifts(2, easy=0.1)
    shifts = Shifts.fit(np.array([figures(own) for own in domains]), truth_L, kinds)
    same = replace(domains[0], unlabelled=domains[0].calibration)
    assert shifts(same) == pytest.approx(ESTIMATORS["held-out"].function(same))
    assert truth_L[0] > ESTIMATORS["held-out"].function(same)


def test_misses_on_made_shifts_leave_their_kind_out():
    domains, truth_L, kinds = made_shifts(1)
    figures_LF = np.array([figures(own) for own in domains])
    shifts = Shifts.fit(figures_LF, truth_L, kinds)
    kept = [0, *range(4, 19)]
    others = Shifts.fit(figures_LF[kept], truth_L[kept], [kinds[i] for i in kept])
    for i in (1, 2, 3):
        said = (figures_LF[i] - figures_LF[0]) @ others.coefficients_F
        assert shifts.misses_L[i - 1] == pytest.approx(truth_L[i] - truth_L[0] - said)
    half = np.sort(np.abs(shifts.misses_L))[17]  # ceil(19 * 0.9) = 18
    chance = stats.norm.ppf(0.95) * np.sqrt(0.25 * (1 / 600 + 1 / 100))
    found = shifts.estimate(0.5, (600, 100))
    assert found.high == pytest.approx(0.5 + np.sqrt(half**2 + chance**2))
    assert found.low == pytest.approx(1 - found.high)
    assert found.covers == "made shifts"
    with pytest.raises(DataError, match="of 2 kinds are too few"):
        Shifts.fit(figures_LF[:7], truth_L[:7], kinds[:7])
    with pytest.raises(ValueError, match="19 domains, 18 accuracies"):
        Shifts.fit(figures_LF, truth_L[1:], kinds)


# Scores.


def a_score(kappa, chance, rate, accuracy):
    return Score(
        task="a task",
        learner="mlp",
        preset="smoke",
        precision="float32",
        runs=2,
        agreement=chance + kappa * (1 - chance),
        low=0.0,
        high=1.0,
        covers="images",
        chance=chance,
        kappa=kappa,
        rate=rate,
        accuracy=accuracy,
        agreement_n=np.zeros(0, dtype=np.float32),
        rows_n=np.zeros(0, dtype=np.int64),
        ids_n=np.zeros(0, dtype=str),
    )


def test_the_other_labelings_tell_accuracy_beside_a_score():
    rng = np.random.default_rng(0)
    scores = []
    for i in range(14):
        p, r, kappa = rng.uniform(0.55, 0.9), rng.uniform(0.55, 0.9), rng.uniform(0.2, 1)
        if i % 2:
            p, r = 1 - p, 1 - r
        right = p * r + (1 - p) * (1 - r)
        above = 0.4 * kappa + 0.5 * kappa**2
        scores.append(a_score(kappa, p**2 + (1 - p) ** 2, r, right + (1 - right) * above))
    scores.append(a_score(0.5, 0.1, 0.12, 0.1 + 0.9 * (0.2 + 0.125)))
    scores.append(a_score(0.5, 0.1, 0.12, float("nan")))
    found = told(scores)
    for own, score in zip(found[:-1], scores[:-1], strict=True):
        assert own.value == pytest.approx(score.accuracy)
        assert own.low <= score.accuracy <= own.high
        assert own.at_most == (1 + score.agreement) / 2
    assert found[-1].value == pytest.approx(scores[-2].accuracy)  # its own labels are not needed
    few = told(scores[:6])
    assert few[0].value is None
    assert "needs 9 labelings" in few[0].refused
