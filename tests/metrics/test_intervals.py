import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from treadle.metrics import (
    Score,
    median_interval,
    normal_interval,
    percentile_interval,
    positive_interval,
    ratio_interval,
    wilson_interval,
)
from treadle.metrics.intervals import drawn, drawn_counts, number, wilson


@pytest.mark.parametrize("n", [1, 2, 3, 10, 37, 100, 10_000])
def test_wilson_interval_is_that_of_scipy(n):
    for k in sorted({0, 1, n // 3, n // 2, n - 1, n}):
        values = np.r_[np.ones(k), np.zeros(n - k)]
        expected = stats.binomtest(k, n).proportion_ci(confidence_level=0.95, method="wilson")
        low, high = wilson_interval(values)
        assert low == pytest.approx(expected.low, rel=1e-11, abs=1e-15)
        assert high == pytest.approx(expected.high, rel=1e-11)
        assert 0 <= low <= k / n <= high <= 1


def test_shares_of_nothing_have_no_interval():
    low, high = wilson(np.array([3, 0, 0]), np.array([4, 0, 2]))
    assert np.isnan([low[1], high[1]]).all()
    for i, values in ((0, [1.0, 1.0, 1.0, 0.0]), (2, [0.0, 0.0])):
        assert (low[i], high[i]) == wilson_interval(np.array(values))


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=50))
def test_normal_interval_is_that_of_scipy(numbers):
    values = np.array(numbers)
    low, high = normal_interval(values)
    error = stats.sem(values)
    if error == 0:
        assert low == high == pytest.approx(values.mean())
    else:
        expected = stats.norm.interval(0.95, values.mean(), error)
        assert (low, high) == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert ratio_interval(values, np.full(len(values), 1.0)) == pytest.approx((low, high), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("values", [[3.0], [1.0, math.inf], [1.0, math.nan, 2.0]])
def test_what_has_no_spread_has_no_normal_interval(values):
    everything = (-math.inf, math.inf)
    assert normal_interval(np.array(values)) == everything
    assert ratio_interval(np.array(values), np.ones(len(values))) == everything
    assert median_interval(np.array(values)) == everything


def test_weights_that_are_all_0_have_no_ratio():
    assert ratio_interval(np.zeros(4), np.zeros(4)) == (-math.inf, math.inf)


@pytest.mark.parametrize("p", [0.05, 0.5, 0.92, 0.98])
def test_wilson_interval_covers_the_true_share(p):
    rng = np.random.default_rng(0)
    runs, n = 2000, 400
    covered = 0
    for _ in range(runs):
        low, high = wilson_interval((rng.random(n) < p).astype(float))
        covered += low <= p <= high
    # the exact coverage of this interval, from all n + 1 outcomes
    counts = np.arange(n + 1)
    intervals = np.array([wilson_interval(np.r_[np.ones(k), np.zeros(n - k)]) for k in counts])
    inside = (intervals[:, 0] <= p) & (p <= intervals[:, 1])
    exact = stats.binom.pmf(counts, n, p)[inside].sum()
    assert 0.93 < exact < 0.97
    assert abs(covered / runs - exact) < 4 * math.sqrt(exact * (1 - exact) / runs)


def test_normal_interval_covers_the_true_mean():
    rng = np.random.default_rng(0)
    runs, n = 2000, 400
    means = [normal_interval(rng.exponential(2.0, n)) for _ in range(runs)]
    covered = sum(low <= 2.0 <= high for low, high in means)
    assert abs(covered / runs - 0.95) < 4 * math.sqrt(0.95 * 0.05 / runs)


def test_ratio_interval_covers_the_true_ratio():
    rng = np.random.default_rng(0)
    runs, n, weights, means = 1000, 400, np.array([1.0, 3.0, 0.5]), np.array([1.0, 2.0, 5.0])
    true = (weights * means).sum() / weights.sum()
    covered = 0
    for _ in range(runs):
        labels = rng.integers(0, 3, n)
        low, high = ratio_interval(weights[labels] * rng.exponential(means[labels]), weights[labels])
        covered += low <= true <= high
    assert 0.93 < covered / runs < 0.97


@given(st.lists(st.floats(0, 1e6), min_size=2, max_size=30))
def test_positive_interval_is_that_of_the_logarithm(numbers):
    values = np.array(numbers)
    low, high = positive_interval(values)
    assert 0 <= low <= high
    mean, error = values.mean(), stats.sem(values)
    if mean > 1e-9:
        expected = np.exp(np.log(mean) + np.array([-1, 1]) * stats.norm.ppf(0.975) * error / mean)
        assert (low, high) == pytest.approx(tuple(expected), rel=1e-9)
    assert positive_interval(values, np.full(len(values), 1.0)) == pytest.approx((low, high), rel=1e-9, abs=1e-300)


def test_positive_interval_at_its_edges():
    assert positive_interval(np.zeros(4)) == (0.0, 0.0)
    assert positive_interval(np.array([-1e-9, 0.0])) == (0.0, pytest.approx(0.5e-9, abs=1e-9))  # rounding
    for values in ([3.0], [1.0, math.inf], [1.0, math.nan]):
        assert positive_interval(np.array(values)) == (0.0, math.inf)
    with np.errstate(over="ignore"):  # the mean is finite, and its variance is not
        assert positive_interval(np.array([1.0, 1.0, 1.7e308])) == (0.0, math.inf)


@pytest.mark.parametrize("n", [10, 30, 100])
def test_positive_interval_covers_more_than_the_normal_one_cut_off_at_0(n):
    """Losses of single samples: most near 0, some large, as log(1 + e^−m) of margins m."""
    margins = np.random.default_rng(0).normal(4, 2.4, (4_000, n))
    x = np.linspace(-9, 9, 20_001)
    true = float(np.average(np.logaddexp(0, -(4 + 2.4 * x)), weights=np.exp(-x * x / 2)))
    covered, below = {}, 0
    for interval in (normal_interval, positive_interval):
        ends = np.array([interval(losses) for losses in np.logaddexp(0, -margins)])
        covered[interval] = np.mean((ends[:, 0] <= true) & (true <= ends[:, 1]))
        below += np.sum(ends[:, 0] < 0)
    assert covered[positive_interval] > covered[normal_interval] + 0.01
    assert below > 0 or n == 100


@pytest.mark.parametrize("n", [6, 7, 8, 9, 10, 25, 100, 1999, 2000, 5001, 30_000])
def test_the_median_lies_between_the_ranks_of_the_binomial(n):
    low, high = median_interval(np.random.default_rng(0).permutation(n) + 1.0)
    rank = int(low)
    assert high == n + 1 - rank
    assert 2 * stats.binom.cdf(rank - 1, n, 0.5) <= 0.05 < 2 * stats.binom.cdf(rank, n, 0.5)


def test_few_values_say_nothing_of_their_median():
    assert median_interval(np.arange(5.0)) == (-math.inf, math.inf)
    assert median_interval(np.arange(6.0)) == (0.0, 5.0)


def test_median_interval_covers_the_true_median():
    rng = np.random.default_rng(0)
    found = [median_interval(rng.exponential(1.0, 100)) for _ in range(1000)]
    assert 0.94 < np.mean([low <= math.log(2) <= high for low, high in found]) < 0.98


@pytest.mark.parametrize("size", [1, 7, 3_000])
def test_resamples_are_the_same_each_time_and_of_the_size_of_the_samples(size):
    one, other = (np.concatenate(list(drawn(size))) for _ in range(2))
    np.testing.assert_array_equal(one, other)
    assert one.shape == (1000, size)
    assert np.unique(one).tolist() == list(range(size))


@pytest.mark.parametrize(("cells", "resamples"), [(1, 1000), (20_000, 1000), (40_000, 500), (150_000, 200)])
def test_of_very_many_cells_there_are_fewer_resamples(cells, resamples):
    assert sum(len(found) for found in drawn_counts(np.r_[5, np.zeros(cells - 1, int)])) == resamples


def test_resampled_counts_have_the_moments_of_the_multinomial():
    counts = np.array([5, 20, 75])
    found = np.concatenate(list(drawn_counts(counts)))
    assert found.shape == (1000, 3)
    assert (found.sum(axis=1) == 100).all()
    p = counts / 100
    np.testing.assert_allclose(found.mean(axis=0), counts, atol=4 * np.sqrt(100 * p * (1 - p) / 1000).max())
    np.testing.assert_allclose(found.var(axis=0), 100 * p * (1 - p), rtol=0.25)


def test_percentile_interval_without_bias_is_that_of_scipy():
    values = np.random.default_rng(0).gamma(2.0, size=200)
    found = np.concatenate([values[rows].mean(axis=1) for rows in drawn(len(values))])
    ours = percentile_interval(found, values.mean())
    theirs = stats.bootstrap((values,), np.mean, n_resamples=20_000, method="percentile", rng=1).confidence_interval
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.15 * (theirs.high - theirs.low))


def test_percentile_interval_holds_the_value_and_keeps_to_its_bounds():
    found = np.linspace(0.5, 0.9, 1001)
    assert percentile_interval(found, 0.95) == pytest.approx((0.51, 1.39))
    assert percentile_interval(found, 0.95, 0.0, 1.0) == pytest.approx((0.51, 1.0))
    assert percentile_interval(found, 0.2, 0.0, 1.0) == pytest.approx((0.0, 0.89))


def test_resamples_without_a_score_are_left_out_unless_they_are_most():
    found = np.r_[np.full(400, np.nan), np.linspace(0, 1, 601)]
    assert percentile_interval(found, 0.5) == pytest.approx((0.025, 0.975))
    assert percentile_interval(np.r_[found, np.full(300, np.nan)], 0.5) == (-math.inf, math.inf)


@pytest.mark.parametrize(
    ("score", "text"),
    [
        (Score(0.91234, (0.9, 0.95)), "0.9123  95 % interval 0.9000 to 0.9500"),
        (Score(2.0, (-math.inf, math.inf)), "2.0000  95 % interval -inf to inf"),
        (Score(2.0, None, "no interval"), "2.0000  (no interval)"),
        (Score(math.nan, None, "no sample"), "undefined: no sample"),
        (Score(math.nan), "nan"),
    ],
)
def test_scores_as_text(score, text):
    assert str(score) == text


def test_scores_as_plain_values():
    assert Score(1.0, (0.5, 2.0)).to_dict() == {"value": 1.0, "interval": [0.5, 2.0]}
    assert Score(1.0, None, "why").to_dict() == {"value": 1.0, "interval": None, "note": "why"}


@given(st.floats(-1e300, 1e300))
def test_numbers_keep_four_digits(value):
    written = float(number(value))
    assert abs(written - value) <= 5.0001e-4 * abs(value) or abs(written - value) <= 5.0001e-5
