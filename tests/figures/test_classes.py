"""Confusion and calibration: counted by hand and by pandas, few classes and hundreds."""

import numpy as np
import pandas as pd
import pytest

from drawings import drawn, has
from small_sets import fit, line, three_classes
from treadle.errors import TreadleError
from treadle.figures import figure
from treadle.figures.classes import draw_calibration, draw_confusion
from treadle.figures.names import cut
from treadle.language import Words
from treadle.metrics import calibration_of, class_report
from treadle.nn import Linear, Sequential

pytestmark = pytest.mark.slow


def draws(classes, count=500, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, count)
    return labels, np.where(rng.random(count) < 0.7, labels, rng.integers(0, classes, count))


def test_the_matrix_is_that_of_pandas():
    labels, found = draws(3)
    names = ("a", "b", "c")
    one = drawn(draw_confusion, class_report(labels, found, names))
    cells, classes = one.tables
    counts = np.zeros((3, 3), int)
    shares = np.zeros((3, 3))
    for true, predicted, samples, share in cells.rows():
        counts[names.index(true), names.index(predicted)] = samples
        shares[names.index(true), names.index(predicted)] = share
    np.testing.assert_array_equal(counts, pd.crosstab(labels, found))
    np.testing.assert_allclose(shares, pd.crosstab(labels, found, normalize="index"))
    np.testing.assert_allclose(classes.columns["recall"], [(found[labels == n] == n).mean() for n in range(3)])
    svg = one.svg()
    assert has(svg, *(f"{value:,}" for value in counts.ravel()), "predicted", "true", "a → b")
    assert has(draw_confusion(class_report(labels, found, names), words=Words("zh")).svg(), "真实", "占真实类别的比例")


def test_hundreds_of_classes_one_class_and_long_names():
    labels, found = draws(300, 5_000)
    many = drawn(
        draw_confusion, class_report(labels, found, tuple(f"species of beetle number {n}" for n in range(300)))
    )
    assert len(many.svg()) < 400_000
    assert has(many.svg(), "most frequent mistakes", cut("species of beetle number 285", 12))
    assert sum(many.tables[0].columns["samples"]) == 5_000
    drawn(draw_confusion, class_report(np.zeros(1, int), np.zeros(1, int), ("only",)))
    elsewhere = drawn(draw_confusion, class_report(np.array([0, 1]), np.array([-1, 1]), ("a", "b")))
    assert elsewhere.tables[0].rows()[0][:3] == ("a", "none", 1)


def test_the_reliability_diagram_is_that_of_bins_by_hand():
    rng = np.random.default_rng(1)
    p = rng.random(2_000)
    labels = (rng.random(2_000) < p**2).astype(int)
    found = calibration_of(np.column_stack([1 - p, p]), labels)
    one = drawn(draw_calibration, found)
    bins = one.tables[0]
    confidence = np.maximum(p, 1 - p)
    right = labels == (p > 0.5)
    each = pd.DataFrame({"right": right, "confidence": confidence}).groupby(pd.cut(confidence, np.linspace(0, 1, 16)))
    means = each.mean().dropna()
    true, predicted = means["right"].to_numpy(), means["confidence"].to_numpy()
    there = np.array(bins.columns["samples"]) > 0
    np.testing.assert_allclose(np.array(bins.columns["share that is right"])[there], true)
    np.testing.assert_allclose(np.array(bins.columns["mean probability"])[there], predicted)
    weights = np.array(bins.columns["samples"])[there] / 2_000
    error = float(np.sum(weights * np.abs(true - predicted)))
    assert one.tables[1].columns["value"][0] == pytest.approx(error)
    assert one.tables[1].columns["value"][1] == pytest.approx(2 * np.mean((p - labels) ** 2))
    assert has(one.svg(), f"expected calibration error: {error:.4f}", *map(str, bins.columns["samples"][-3:]))


def test_probabilities_that_are_nan_and_a_single_sample():
    drawn(draw_calibration, calibration_of(np.full((4, 2), np.nan), np.zeros(4, int)))
    drawn(draw_calibration, calibration_of(np.array([[0.2, 0.8]]), np.ones(1, int)))


def test_from_a_run_and_what_a_regression_is_told():
    run = fit(three_classes())
    report = run.evaluate(run.sets.validation).classes
    cells = figure("confusion", run, language="en").tables[0]
    assert sum(cells.columns["samples"]) == int(report.support.sum()) == 20
    assert sum(figure("calibration", run, language="en").tables[0].columns["samples"]) == 20
    numbers = fit(line(), Sequential(Linear(1)))
    with pytest.raises(TreadleError, match="take the figure predictions"):
        figure("confusion", numbers)
    with pytest.raises(TreadleError, match="gives no probabilities"):
        figure("calibration", numbers)
