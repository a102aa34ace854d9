"""The loss over two weights of a network: the course's formulas, and a linear model in NumPy."""

from itertools import pairwise

import numpy as np
import pytest

from drawings import texts
from treadle.data import load
from treadle.errors import TreadleError
from treadle.figures import Source, figure
from treadle.figures.weights import gradient_of, weights_of
from treadle.recipe import Recipe

LINEAR = (
    "[data]\nsource = 'diabetes'\nbatch_size = 31\n[network]\npreset = 'baseline'\n"
    "[loss]\nkind = 'squared_error'\nhalved = true\n[optimizer]\nkind = 'sgd'\nlr = 0.05\n"
)
SMALL = {"finest": 5, "steps": 8}


@pytest.fixture(scope="module")
def recipe():
    return Recipe.from_toml(LINEAR)


@pytest.fixture(scope="module")
def found(recipe):
    return weights_of(Source(recipe), finest=9, steps=40, seconds=1e9)[0]


def halved_loss(recipe, pair, numbers=(5, 9)):
    """Loss and gradient by w_i and w_j of the course: ½ (1/N) Σ (y − z)², (1/N) Σ (z − y) x_j."""
    train = load("diabetes").train
    x, y = train.inputs, train.targets
    x = (x - x.min(axis=0)) / (x.max(axis=0) - x.min(axis=0))
    made = recipe.build_network(None, (10,)).init((10,), seed=0, dtype=np.float32)
    weights = made["linear1"]["weight"][:, 0].astype(np.float64)
    weights[list(numbers)] = pair
    rest = x @ weights + float(made["linear1"]["bias"][0]) - y
    return np.mean(rest**2) / 2, np.array([np.mean(rest * x[:, j]) for j in numbers])


def test_losses_and_gradients_are_those_of_the_formulas(recipe, found):
    assert found.steps[0].weights.tolist() == [-100, -100]
    assert found.names[0] == ("linear1.weight[5,0] (ldl)", "linear1.weight[5,0]（ldl）")
    for step in found.steps[::10]:
        loss, gradient = halved_loss(recipe, step.weights)
        assert step.loss == pytest.approx(loss, rel=1e-6)
        np.testing.assert_allclose(step.gradient, gradient, rtol=1e-5, atol=1e-4)
    for row, column in ((0, 0), (3, 7), (8, 8)):
        at = found.surface.x[column], found.surface.y[row]
        assert found.surface.losses[row, column] == pytest.approx(halved_loss(recipe, at)[0], rel=1e-4)


def test_each_next_point_has_a_lower_loss_and_the_path_is_descent(found):
    losses = [step.loss for step in found.steps]
    assert len(losses) == 41
    assert all(later < earlier for earlier, later in pairwise(losses))
    one, other = found.steps[:2]
    np.testing.assert_allclose(other.weights, one.weights - found.rate * one.gradient, rtol=1e-12)
    low, high = found.surface.x[0], found.surface.x[-1]
    assert all(low < step.weights[0] < high for step in found.steps)


def test_a_rate_that_is_too_large_is_halved(recipe):
    found = weights_of(Source(recipe), rate=1e6, **SMALL)[0]
    losses = [step.loss for step in found.steps]
    assert losses == sorted(losses, reverse=True)


def test_the_gradient_is_uphill_and_at_a_right_angle_to_the_contour(recipe):
    found = gradient_of(Source(recipe), finest=5)[0]
    assert found.down.loss < found.here.loss < found.up.loss
    gradient = halved_loss(recipe, found.here.weights)[1]
    np.testing.assert_allclose(found.here.weights - found.rate * gradient, found.down.weights, rtol=1e-5)
    for end in found.along:
        across = (end.weights - found.here.weights) / np.linalg.norm(end.weights - found.here.weights)
        tiny = [halved_loss(recipe, found.here.weights + share * across)[0] for share in (-1e-3, 1e-3)]
        slope = (tiny[1] - tiny[0]) / 2e-3
        assert abs(slope) < 1e-3 * np.linalg.norm(gradient)
    assert gradient_of(Source(recipe), finest=5, point=[0, 0], rate=0.01)[0].rate == 0.01


def test_both_figures_are_told_in_both_languages(recipe):
    shown = texts(figure("weights_surface", recipe, language="en", **SMALL).svg())
    assert {"gradient descent", "linear1.weight[9,0] (blood_sugar)", "loss", "step"} <= shown
    drawing = figure("weights_surface", recipe, language="zh", **SMALL)
    assert {"梯度下降", "损失", "步"} <= texts(drawing.svg())
    assert [len(table.rows()) for table in drawing.tables] == [25, 9]
    shown = texts(figure("gradient", recipe, language="en", finest=5).svg())
    assert {"with the gradient: uphill", "step against the gradient: downhill", "along the contour", "here"} <= shown
    assert "沿梯度：上坡" in texts(figure("gradient", recipe, language="zh", finest=5).svg())


def test_weights_of_other_networks(recipe):
    digits = {"data.source": "digits", "loss.kind": "cross_entropy", "data.batch_size": 100}
    for changes, begin in (
        ({"network.preset": "softmax"}, "linear1.weight["),
        ({"network.layers": ["conv2d 4 3", "relu", "flatten", "linear 10"]}, "conv2d1.weight[0,0,0,0]"),
    ):
        made = Recipe.from_toml(LINEAR).change({**digits, **changes})
        found = weights_of(Source(made), samples=100, **SMALL)[0]
        assert found.names[0][0].startswith(begin)
        assert found.steps[-1].loss < found.steps[0].loss
    one = "linear1.weight[0,0] linear1.bias[0]"
    assert weights_of(Source(recipe), weights=one, **SMALL)[0].names[1][0] == "linear1.bias[0]"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"weights": ["linear1.weight[5,0]"]}, "weights should be two, such as"),
        ({"weights": ["linear1.weight[5,0]", "linear1.weight[10,0]"]}, r"there is no weight linear1.weight\[10,0\]"),
        ({"weights": ["linear1.weight[5,0]", "linear1.weight[5, 0]"]}, "two weights are needed, and .* are the same"),
        ({"weights": ["linear1.weight[5,0]", "w9"]}, "a weight should be named such as"),
        ({"steps": 0}, "steps should be at least 1"),
        ({"rate": 0.0}, "rate above 0"),
        ({"start": [1.0]}, "start should be two finite numbers"),
        ({"samples": 0}, "samples should be a whole number of at least 1"),
    ],
)
def test_what_does_not_fit_is_told(recipe, settings, message):
    with pytest.raises(TreadleError, match=message):
        weights_of(Source(recipe), **{**SMALL, **settings})


def test_pixels_that_are_always_0_are_told():
    made = Recipe.from_toml(LINEAR).change({"data.source": "digits"})
    with pytest.raises(TreadleError, match="the loss does not change with"):
        weights_of(Source(made), weights=["linear1.weight[0,0]", "linear1.weight[32,0]"], **SMALL)
