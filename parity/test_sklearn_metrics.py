"""Metrics and reports beside those of scikit-learn."""

import numpy as np
import pytest
from sklearn import metrics
from sklearn.calibration import calibration_curve

from treadle.metrics import calibration_of, class_report, top_k, value_report


def made(seed, size=400, classes=6):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes - 1, size)  # no sample of the last class
    scores = rng.normal(size=(size, classes)) * 2
    scores[np.arange(size), labels] += 1.5
    scores[:, classes - 1 - seed % 2] = -9  # nothing is predicted as the last class, or as the one before
    p = np.exp(scores)
    return labels, p / p.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("seed", range(6))
def test_the_report_of_classes(seed):
    labels, p = made(seed)
    predicted, all_classes = p.argmax(axis=1), list(range(6))
    report = class_report(labels, predicted, tuple("abcdef"))
    np.testing.assert_array_equal(report.confusion, metrics.confusion_matrix(labels, predicted, labels=all_classes))
    theirs = metrics.precision_recall_fscore_support(labels, predicted, labels=all_classes, zero_division=np.nan)
    for ours, other in zip((report.precision, report.recall, report.f1, report.support), theirs, strict=True):
        np.testing.assert_allclose(ours, other, rtol=1e-13)
    for kind in ("macro", "weighted"):
        averages = metrics.precision_recall_fscore_support(
            labels, predicted, labels=all_classes, zero_division=np.nan, average=kind
        )
        for rate, other in zip(("precision", "recall", "f1"), averages, strict=False):
            assert report.averages[f"{kind}_{rate}"].value == pytest.approx(other, rel=1e-12), (kind, rate)
    assert report.accuracy.value == metrics.accuracy_score(labels, predicted)
    present = labels < 5
    assert report.balanced_accuracy.value == pytest.approx(
        metrics.recall_score(labels[present], predicted[present], labels=all_classes[:5], average="macro")
    )


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_top_k(k):
    labels, p = made(0)
    theirs = metrics.top_k_accuracy_score(labels, p, k=k, labels=range(6))
    assert top_k(p, labels, k).mean() == pytest.approx(theirs)


@pytest.mark.parametrize("seed", range(3))
def test_log_loss_and_brier_score(seed):
    labels, p = made(seed)
    found = calibration_of(p, labels)
    assert found.log_loss.value == pytest.approx(metrics.log_loss(labels, p, labels=range(6)), rel=1e-12)
    one_against_all = [metrics.brier_score_loss(labels == c, p[:, c]) for c in range(5)] + [np.mean(p[:, 5] ** 2)]
    assert found.brier.value == pytest.approx(sum(one_against_all), rel=1e-12)
    two = np.stack([1 - p[:, 0], p[:, 0]], axis=1)
    binary = calibration_of(two, (labels == 0).astype(int)).brier.value
    assert binary == pytest.approx(2 * metrics.brier_score_loss(labels == 0, p[:, 0]), rel=1e-12)


@pytest.mark.parametrize("bins", [5, 10, 15])
def test_reliability(bins):
    labels, p = made(1)
    found = calibration_of(p, labels, bins)
    confidence, right = p.max(axis=1), p.argmax(axis=1) == labels
    accuracy, mean = calibration_curve(right, confidence, n_bins=bins)
    shown = found.counts > 0
    np.testing.assert_allclose(found.accuracy[shown], accuracy)
    np.testing.assert_allclose(found.confidence[shown], mean)
    assert found.error.value == pytest.approx(np.sum(found.counts[shown] / len(labels) * abs(accuracy - mean)))


@pytest.mark.parametrize("seed", range(3))
def test_the_report_of_values(seed):
    rng = np.random.default_rng(seed)
    y = rng.gamma(2.0, size=101 + seed)
    z = y + rng.normal(size=len(y))
    report = value_report(z, y)
    for ours, theirs in (
        (report.squared, metrics.mean_squared_error),
        (report.root, metrics.root_mean_squared_error),
        (report.absolute, metrics.mean_absolute_error),
        (report.median, metrics.median_absolute_error),
        (report.largest, metrics.max_error),
        (report.r2, metrics.r2_score),
    ):
        assert ours.value == pytest.approx(theirs(y, z), rel=1e-12)
