import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle.errors import LossError
from treadle.metrics import METRICS, absolute, correct, predicted_class, require_fit, squared, top_k


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


def test_metrics_go_by_these_names_and_know_their_direction():
    assert {name: metric.higher_is_better for name, metric in METRICS.items()} == {
        "accuracy": True,
        "top_3": True,
        "top_5": True,
        "squared_error": False,
        "absolute_error": False,
    }
    assert all(metric.name == name for name, metric in METRICS.items())


def test_what_each_metric_needs():
    assert {name: (metric.compares, metric.scores, metric.best) for name, metric in METRICS.items()} == {
        "accuracy": ("classes", False, 1),
        "top_3": ("classes", True, 3),
        "top_5": ("classes", True, 5),
        "squared_error": ("values", False, 1),
        "absolute_error": ("values", False, 1),
    }


def test_no_class_is_predicted_where_an_output_is_no_number():
    outputs = np.array([[np.nan, 1.0], [1.0, np.nan], [np.inf, 1.0]])
    assert predicted_class(outputs).tolist() == [-1, -1, 0]
    np.testing.assert_array_equal(correct(outputs, np.array([0, 1, 0])), [0, 0, 1])
    np.testing.assert_array_equal(top_k(outputs, np.array([0, 0, 0]), 2), [0, 0, 1])
    assert predicted_class(np.array([[np.nan], [np.inf], [-0.4], [-0.6], [1e300]])).tolist() == [-1, -1, 0, -1, -1]


# few values, so that many are equal
SCORES = st.integers(2, 6).flatmap(
    lambda classes: st.lists(
        st.tuples(st.lists(st.integers(0, 3), min_size=classes, max_size=classes), st.integers(0, classes - 1)),
        min_size=1,
        max_size=8,
    )
)


@given(SCORES, st.integers(1, 7))
def test_top_k_is_a_stable_sort_of_each_row(rows, k):
    outputs, labels = np.array([scores for scores, _ in rows], float), np.array([label for _, label in rows])
    expected = [label in sorted(range(len(scores)), key=lambda c: -scores[c])[:k] for scores, label in rows]
    np.testing.assert_array_equal(top_k(outputs, labels, k), expected)


@given(SCORES)
def test_top_1_is_accuracy_and_top_k_grows_to_1(rows):
    outputs, labels = np.array([scores for scores, _ in rows], float), np.array([label for _, label in rows])
    np.testing.assert_array_equal(top_k(outputs, labels, 1), correct(outputs, labels))
    shares = [top_k(outputs, labels, k).mean() for k in range(1, outputs.shape[1] + 2)]
    assert shares == sorted(shares)
    assert shares[-2:] == [1, 1]
    np.testing.assert_array_equal(METRICS["top_3"].per_sample(outputs, labels), top_k(outputs, labels, 3))
    np.testing.assert_array_equal(METRICS["top_5"].per_sample(outputs, labels), top_k(outputs, labels, 5))


def test_top_k_of_a_single_output_is_refused():
    with pytest.raises(LossError, match=r"top 3 needs a score for each class, found outputs of shape \(4, 1\)"):
        top_k(np.zeros((4, 1)), np.zeros(4, int), 3)


@pytest.mark.parametrize(
    ("name", "compares", "classes"),
    [
        ("accuracy", "classes", 10),
        ("accuracy", "values", 10),
        ("top_3", "classes", 4),
        ("top_5", "classes", 6),
        ("squared_error", "values", None),
        ("absolute_error", "values", 10),
    ],
)
def test_metrics_that_fit(name, compares, classes):
    require_fit(METRICS[name], compares, classes)


@pytest.mark.parametrize(
    ("name", "compares", "classes", "message"),
    [
        ("squared_error", "classes", 10, "squared_error compares numbers, and Some predicts classes"),
        ("absolute_error", "classes", 10, "absolute_error compares numbers, and Some predicts classes"),
        ("accuracy", "values", None, "accuracy counts right classes, and the targets of this data are numbers"),
        ("top_3", "values", None, "top_3 counts right classes, and the targets of this data are numbers"),
        ("top_3", "values", 10, "top_3 needs a score for each class, and Some predicts one number: .* cross_entropy"),
        ("top_3", "classes", 3, "top_3 would be 1 whatever the network predicts, for this data has 3 classes"),
        ("top_5", "classes", 2, "top_5 would be 1"),
    ],
)
def test_metrics_that_do_not_fit(name, compares, classes, message):
    with pytest.raises(LossError, match=message):
        require_fit(METRICS[name], compares, classes, "Some")
