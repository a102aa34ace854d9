import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle.metrics import normal_interval, positive_interval, value_report

NUMBERS = st.floats(-1e3, 1e3).map(lambda number: round(number, 3))


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=30))
def test_scores_are_their_closed_forms(pairs):
    predictions, targets = np.array(pairs).T
    report = value_report(predictions, targets)
    errors = [z - y for z, y in pairs]
    n, mean = len(pairs), sum(targets) / len(pairs)
    squared = math.fsum(e * e for e in errors) / n
    assert report.squared.value == pytest.approx(squared)
    assert report.root.value == pytest.approx(math.sqrt(squared))
    assert report.absolute.value == pytest.approx(math.fsum(map(abs, errors)) / n)
    assert report.largest.value == max(map(abs, errors))
    assert report.bias.value == pytest.approx(math.fsum(errors) / n, rel=1e-9, abs=1e-9)
    ordered = sorted(map(abs, errors))
    assert report.median.value == pytest.approx((ordered[(n - 1) // 2] + ordered[n // 2]) / 2)
    around = math.fsum((y - mean) ** 2 for y in targets)
    if len(set(targets)) == 1:
        assert math.isnan(report.r2.value)
        assert str(report.r2) == "undefined: all targets are equal"
    else:
        assert report.r2.value == pytest.approx(1 - squared * n / around, rel=1e-6, abs=1e-9)
    for score in (report.squared, report.root, report.absolute, report.median, report.r2, report.bias):
        if score.interval and not math.isnan(score.value):
            assert score.interval[0] <= score.value <= score.interval[1]


@given(st.integers(0, 2**32))
def test_the_order_of_samples_does_not_matter(seed):
    rng = np.random.default_rng(seed)
    z, y = rng.normal(size=(2, 40))
    rows = rng.permutation(40)
    one, other = value_report(z, y), value_report(z[rows], y[rows])
    for name in ("squared", "root", "absolute", "median", "largest", "r2", "bias"):
        assert getattr(one, name).value == pytest.approx(getattr(other, name).value)


def test_the_mean_of_the_targets_explains_nothing_and_the_targets_everything():
    y = np.array([1.0, 2.0, 3.0, 6.0])
    assert value_report(np.full(4, 3.0), y).r2.value == 0
    assert value_report(y, y).r2.value == 1
    assert value_report(y, y).r2.interval == (1, 1)


def test_r2_does_not_depend_on_where_the_targets_lie():
    rng = np.random.default_rng(0)
    y = rng.normal(size=100)
    z = y + 0.3 * rng.normal(size=100)
    near, far = value_report(z, y).r2, value_report(z + 1e9, y + 1e9).r2
    assert far.value == pytest.approx(near.value, abs=1e-5)
    assert far.interval == pytest.approx(near.interval, abs=1e-5)


def test_intervals_of_means_and_the_largest_has_none():
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(2, 50))
    report = value_report(z, y)
    assert report.squared.interval == positive_interval((z - y) ** 2)
    assert report.root.interval == pytest.approx(np.sqrt(report.squared.interval))
    assert report.absolute.interval == positive_interval(abs(z - y))
    assert report.bias.interval == normal_interval(z - y)
    assert report.largest.interval is None
    assert "largest error          " in str(report)
    assert "no interval: it grows with the number of samples" in str(report)
    plain = report.to_dict()
    assert plain["r2"]["value"] == report.r2.value
    assert plain["squared"]["interval"] == list(report.squared.interval)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_predictions_that_are_not_finite(bad):
    with np.errstate(all="ignore"):
        report = value_report(np.array([1.0, bad, 2.0]), np.array([1.0, 2.0, 3.0]))
    assert not math.isfinite(report.squared.value)
    assert (report.r2.interval, report.squared.interval) == ((-math.inf, math.inf), (0, math.inf))
    assert "R²" in str(report)


def test_of_many_samples_nothing_is_resampled_and_the_interval_is_the_same(monkeypatch):
    rng = np.random.default_rng(0)
    y = rng.normal(size=5_000)
    z = 0.7 * y + rng.normal(size=5_000)
    low, high = value_report(z, y).r2.interval
    monkeypatch.setattr("treadle.metrics.values.MANY", 1_000)
    found = value_report(z, y).r2
    assert found.interval == pytest.approx((low, high), abs=0.1 * (high - low))
    assert found.interval != (low, high)


def test_few_samples():
    report = value_report(np.array([1.0]), np.array([2.0]))
    assert report.root.interval == (0, math.inf)
    assert str(report.r2) == "undefined: all targets are equal"
    value_report(np.array([1.0, 2.0]), np.array([2.0, 5.0]))


@pytest.mark.parametrize("noise", [0.3, 1.0])
def test_intervals_cover_the_truth(noise):
    rng = np.random.default_rng(3)
    true = {"r2": 1 - noise**2 / (1 / 3 + noise**2), "root": noise, "bias": 0.0, "median": 0.6744897501960817 * noise}
    runs, covered = 400, dict.fromkeys(true, 0)
    for _ in range(runs):
        x = rng.uniform(-1, 1, 200)
        report = value_report(x, x + noise * rng.normal(size=200))
        for name, value in true.items():
            low, high = getattr(report, name).interval
            covered[name] += low <= value <= high
    assert all(0.92 <= count / runs <= 0.98 for count in covered.values()), covered
