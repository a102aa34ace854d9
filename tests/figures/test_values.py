"""Predicted against true numbers, and residuals."""

import numpy as np
import pytest

from drawings import drawn, has
from small_sets import fit, line, three_classes
from treadle.errors import TreadleError
from treadle.figures import figure
from treadle.figures.values import draw_predictions
from treadle.nn import Linear, Sequential

pytestmark = pytest.mark.slow


def test_the_points_and_scores_are_those_of_their_formulas():
    run = fit(line(noise=0.2), Sequential(Linear(1)), epochs=20)
    part = run.sets.validation
    predictions = run.predict(part.inputs)[:, 0].astype(np.float64)
    one = figure("predictions", run, language="en")
    (table,) = one.tables
    assert table.columns["predicted"] == predictions.tolist()
    assert table.columns["true"] == part.targets.tolist()
    np.testing.assert_allclose(table.columns["residual"], part.targets - predictions)
    errors = part.targets - predictions
    r2 = 1 - (errors**2).sum() / ((part.targets - part.targets.mean()) ** 2).sum()
    assert has(one.svg(), f"R² = {r2:.4f}", "residual", "predicted", "true")
    assert f"{np.sqrt((errors**2).mean()):.4f}" in one.caption
    assert has(figure("predictions", run, language="zh").svg(), "预测值", "真实值", "残差")


@pytest.mark.parametrize(
    ("predictions", "targets"),
    [
        (np.array([1.0]), np.array([2.0])),
        (np.full(5, 3.0), np.full(5, 3.0)),
        (np.full(5, np.nan), np.arange(5.0)),
        (np.array([1.0, np.inf, 3.0]), np.arange(3.0)),
        (np.random.default_rng(0).normal(size=5_000), np.zeros(5_000)),
    ],
)
def test_odd_numbers_are_drawn(predictions, targets):
    one = drawn(draw_predictions, predictions, targets)
    assert len(one.tables[0].rows()) == len(targets)
    assert len(one.svg()) < 1_000_000


def test_classes_are_no_numbers():
    with pytest.raises(TreadleError, match="confusion, mistakes and calibration"):
        figure("predictions", fit(three_classes()))
