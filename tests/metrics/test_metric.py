import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from treadle.metrics import METRICS, absolute, correct, normal_interval, squared, wilson_interval


def test_the_class_is_that_of_the_largest_output():
    outputs = np.array([[0.1, 0.7, 0.2], [5.0, -1.0, 4.0], [-3.0, -2.0, -1.0], [0.0, 0.0, 1e-9]])
    np.testing.assert_array_equal(correct(outputs, np.array([1, 2, 2, 2])), [1, 0, 1, 1])
    assert METRICS["accuracy"](outputs, np.array([1, 2, 2, 2])) == 0.75


def test_of_equal_outputs_the_first_counts():
    np.testing.assert_array_equal(correct(np.array([[1.0, 1.0], [1.0, 1.0]]), np.array([0, 1])), [1, 0])


def test_of_a_single_output_the_nearest_whole_number_counts():
    outputs = np.array([[2.4], [2.6], [-0.4], [9.7], [2.5], [3.5]])
    np.testing.assert_array_equal(correct(outputs, np.array([2, 2, 0, 9, 2, 4])), [1, 0, 1, 0, 1, 1])


def test_nothing_that_is_no_number_is_correct():
    np.testing.assert_array_equal(correct(np.array([[np.nan], [np.inf]]), np.array([0, 0])), [0, 0])


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)), min_size=1, max_size=20))
def test_squared_and_absolute_error_of_each_sample(pairs):
    outputs, targets = np.array([[z] for z, _ in pairs]), np.array([y for _, y in pairs])
    assert squared(outputs, targets).tolist() == [(z - y) * (z - y) for z, y in pairs]
    assert absolute(outputs, targets).tolist() == [abs(z - y) for z, y in pairs]
    mean = math.fsum(abs(z - y) for z, y in pairs) / len(pairs)
    assert METRICS["absolute_error"](outputs, targets) == pytest.approx(mean, rel=1e-12)


def test_float32_outputs_are_compared_in_float64():
    outputs = np.full((100_000, 1), 0.1, np.float32)
    exact = (float(np.float32(0.1)) - 1 / 3) ** 2
    assert METRICS["squared_error"](outputs, np.full(100_000, 1 / 3)) == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("n", [1, 2, 3, 10, 37, 100, 10_000])
def test_wilson_interval_is_that_of_scipy(n):
    for k in sorted({0, 1, n // 3, n // 2, n - 1, n}):
        values = np.r_[np.ones(k), np.zeros(n - k)]
        expected = stats.binomtest(k, n).proportion_ci(confidence_level=0.95, method="wilson")
        low, high = wilson_interval(values)
        assert low == pytest.approx(expected.low, rel=1e-11, abs=1e-15)
        assert high == pytest.approx(expected.high, rel=1e-11)
        assert 0 <= low <= k / n <= high <= 1


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


def test_a_single_value_has_no_normal_interval():
    assert normal_interval(np.array([3.0])) == (-math.inf, math.inf)


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


def test_metrics_go_by_these_names_and_know_their_direction():
    assert {name: metric.higher_is_better for name, metric in METRICS.items()} == {
        "accuracy": True,
        "top_3": True,
        "top_5": True,
        "squared_error": False,
        "absolute_error": False,
    }
    assert all(metric.name == name for name, metric in METRICS.items())
