"""Loss over two weights, unscaled and scaled: closed forms against descents with gradients of the data."""

import numpy as np
import pytest

from drawings import texts
from treadle.data import Dataset, Sets, load
from treadle.errors import TreadleError
from treadle.figures import Source, figure
from treadle.figures.scaling import NEAR, Bowl, draw_scaling, scaling_of
from treadle.language import Words


@pytest.fixture(scope="module")
def found():
    return scaling_of(Source(load("diabetes")))[0]


def loss(x, y, weights):
    rest = y - x @ weights
    return np.mean((rest - rest.mean()) ** 2)  # with the best bias


def test_losses_gradients_and_steps_are_those_of_the_data(found):
    for x in (found.raw, found.scaled):
        bowl, y = Bowl.of(x, found.targets), found.targets
        for weights in np.random.default_rng(0).normal(scale=20, size=(5, 2)):
            assert bowl.losses(weights) == pytest.approx(loss(x, y, weights), rel=1e-9)
        centred = x - x.mean(axis=0)
        weights, steps = np.zeros(2), 0
        path = [weights]
        start = loss(x, y, weights) - bowl.lowest
        while loss(x, y, weights) - bowl.lowest > NEAR * start:
            rest = centred @ weights - (y - y.mean())
            weights = weights - bowl.rate * 2 * centred.T @ rest / len(y)
            steps += 1
            path.append(weights)
        assert steps == bowl.steps
        np.testing.assert_allclose(bowl.path(steps), path, rtol=1e-6, atol=1e-9)
        assert bowl.condition == pytest.approx(np.linalg.cond(np.cov(x.T)), rel=1e-6)


def test_no_other_rate_is_faster(found):
    bowl = Bowl.of(found.raw, found.targets)
    ends = np.linalg.eigvalsh(bowl.hessian)
    worst = [np.abs(1 - rate * ends).max() for rate in bowl.rate * np.array([0.9, 1, 1.1])]
    assert np.argmin(worst) == 1


def test_it_tells_rates_steps_and_condition_numbers(found):
    drawing = draw_scaling(found)
    bowls = [Bowl.of(x, found.targets) for x in (found.raw, found.scaled)]
    assert bowls[0].steps > 20 * bowls[1].steps
    shown = texts(drawing.svg())
    for bowl in bowls:
        told = f"condition number {bowl.condition:.3g}: {bowl.steps:,} steps at rate {bowl.rate:.3g}"
        assert any(told in text for text in shown)
    assert {"weight of body_mass_index", "weight of log_triglycerides", "lowest", "gradient descent"} <= shown
    assert [len(table.rows()) for table in drawing.tables] == [2, bowls[0].steps + 1, bowls[1].steps + 1]
    assert "body_mass_index 的权重" in texts(draw_scaling(found, words=Words("zh")).svg())


def test_one_scale_for_all_pixels_changes_no_shape():
    drawing = figure("scaling", load("digits"), language="en")
    assert drawing.caption.endswith("scaling changes the rate alone and not the shape.")
    conditions = drawing.tables[0].columns["condition number"]
    assert conditions[0] == pytest.approx(conditions[1], rel=1e-9)


def test_features_that_tell_nothing_are_refused():
    x = np.arange(10.0)
    rows = Dataset(np.stack([x, 2 * x, 0 * x], axis=1), x, None, "train")
    for features in ([0, 1], [0, 2]):
        with pytest.raises(TreadleError, match="constant, or both tell the same"):
            figure("scaling", Sets(rows, rows, rows, "odd", ""), features=features)


def test_targets_that_are_all_equal_can_be_drawn():
    rows = Dataset(np.random.default_rng(0).normal(size=(9, 2)), np.ones(9), None, "train")
    assert "lowest" in texts(figure("scaling", Sets(rows, rows, rows, "odd", ""), language="en").svg())
