import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle.metrics import calibration_of, positive_interval

SEEDS = st.integers(0, 2**32)


def sample(rng, size, temperature=1.0, classes=3):
    """Probabilities that a network claims, labels, and the true probabilities that these were drawn with."""
    scores = rng.normal(size=(size, classes)) * 1.5
    claimed, true = (np.exp(s) / np.exp(s).sum(axis=1, keepdims=True) for s in (scores * temperature, scores))
    return claimed, (rng.random(size)[:, None] > true.cumsum(axis=1)).sum(axis=1).clip(0, classes - 1), true


@given(SEEDS, st.integers(1, 40), st.integers(2, 5), st.integers(1, 15))
def test_scores_are_their_closed_forms(seed, size, classes, bins):
    p, labels, _ = sample(np.random.default_rng(seed), size, classes=classes)
    found = calibration_of(p, labels, bins)
    brier = [sum((p[i, c] - (c == labels[i])) ** 2 for c in range(classes)) for i in range(size)]
    losses = [-math.log(p[i, labels[i]]) for i in range(size)]
    assert found.brier.value == pytest.approx(np.mean(brier), rel=1e-10, abs=1e-15)
    low, high = positive_interval(np.array(brier))
    assert found.brier.interval == pytest.approx((low, min(high, 2.0)), rel=1e-8, abs=1e-8)
    assert found.log_loss.value == pytest.approx(np.mean(losses))
    assert found.log_loss.interval == pytest.approx(positive_interval(np.array(losses)), rel=1e-8, abs=1e-8)
    error = 0.0
    for b in range(bins):
        inside = [i for i in range(size) if b / bins < p[i].max() <= (b + 1) / bins]
        assert found.counts[b] == len(inside)
        if not inside:
            assert math.isnan(found.confidence[b])
            assert math.isnan(found.accuracy[b])
            continue
        confidence = np.mean([p[i].max() for i in inside])
        accuracy = np.mean([p[i].argmax() == labels[i] for i in inside])
        assert (found.confidence[b], found.accuracy[b]) == pytest.approx((confidence, accuracy))
        error += len(inside) / size * abs(confidence - accuracy)
    assert found.error.value == pytest.approx(error, abs=1e-12)
    low, high = found.error.interval
    assert 0 <= low <= found.error.value <= high <= 1


@given(SEEDS)
def test_the_order_of_samples_and_of_classes_does_not_matter(seed):
    rng = np.random.default_rng(seed)
    p, labels, _ = sample(rng, 30)
    rows, classes = rng.permutation(30), rng.permutation(3)
    moved = calibration_of(p[rows][:, classes], np.argsort(classes)[labels[rows]])
    found = calibration_of(p, labels)
    for name in ("error", "brier", "log_loss"):
        assert getattr(moved, name).value == pytest.approx(getattr(found, name).value, rel=1e-10)
    np.testing.assert_array_equal(moved.counts, found.counts)


def test_edges_belong_to_the_bin_below():
    found = calibration_of(np.array([[0.5, 0.5], [0.75, 0.25], [1.0, 0.0]]), np.array([0, 0, 0]), bins=4)
    assert found.counts.tolist() == [0, 1, 1, 1]
    assert found.to_dict()["bins"]["edges"] == [0, 0.25, 0.5, 0.75, 1]


def test_of_perfect_and_of_wrong_certainty():
    right = calibration_of(np.eye(3), np.arange(3))
    assert [right.error.value, right.brier.value, right.log_loss.value] == [0, 0, 0]
    assert "log loss                    0.0000  95 % interval 0.0000 to 0.0000" in str(right)
    wrong = calibration_of(np.eye(3), np.array([1, 2, 0]))
    assert [wrong.error.value, wrong.brier.value, wrong.log_loss.value] == [1, 2, math.inf]
    assert wrong.log_loss.interval == (0, math.inf)


def test_probabilities_that_are_no_numbers_are_told():
    found = calibration_of(np.array([[0.2, 0.8], [np.nan, np.nan]]), np.array([1, 0]))
    assert found.counts.sum() == 1
    assert "expected calibration error  undefined: a probability is not a number" in str(found)
    assert math.isnan(found.brier.value)
    assert math.isnan(found.log_loss.value)


def test_the_table_has_the_bins_with_samples():
    found = calibration_of(np.array([[0.85, 0.15], [0.92, 0.08], [0.44, 0.56]]), np.array([0, 1, 1]), bins=10)
    expected = [(0.5, 0.56, 1), (0.8, 0.85, 1), (0.9, 0.92, 0)]
    head, *rows = str(found).splitlines()[4:]
    assert head == "confidence  samples    mean  accuracy"
    assert rows == [f"{low:.2f}–{low + 0.1:.2f}         1  {mean:.4f}    {right:.4f}" for low, mean, right in expected]


@pytest.mark.parametrize(("temperature", "size"), [(1.0, 300), (0.9, 300), (0.7, 500), (2.0, 300)])
def test_the_interval_of_the_calibration_error_covers_the_truth(temperature, size):
    rng = np.random.default_rng(7)
    claimed, _, true = sample(rng, 400_000, temperature)
    best = claimed.argmax(axis=1)
    place = np.ceil(claimed.max(axis=1) * 15).astype(int)
    rows = np.arange(len(best))
    error = np.abs(np.bincount(place, weights=claimed[rows, best] - true[rows, best])).sum() / len(best)
    covered = 0
    for _ in range(300):
        low, high = calibration_of(*sample(rng, size, temperature)[:2]).error.interval
        covered += low <= error + 1e-12 and error <= high
    assert covered / 300 >= 0.92
