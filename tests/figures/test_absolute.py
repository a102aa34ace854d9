"""Squared against absolute error over one parameter: a parabola and a V."""

import numpy as np
import pytest

from drawings import texts
from treadle.data import Dataset, Sets, load
from treadle.errors import TreadleError
from treadle.figures import Source, figure
from treadle.figures.absolute import draw_squared_and_absolute, squared_and_absolute_of
from treadle.language import Words


@pytest.fixture(scope="module")
def found():
    return squared_and_absolute_of(Source(load("diabetes")))[0]


def test_the_mean_of_squares_is_a_parabola_with_its_foot_at_least_squares(found):
    drawing = draw_squared_and_absolute(found)
    weights, squared, absolute, slope, _ = (np.array(column) for column in drawing.tables[0].columns.values())
    x, y = found.scaled[:, 0], found.targets
    design = np.stack([x, np.ones_like(x)], axis=1)
    (best, bias), residues = np.linalg.lstsq(design, y)[:2]
    np.testing.assert_allclose(
        np.polyfit(weights - best, squared, 2), [np.mean(x**2), 0, residues[0] / len(x)], atol=1e-6
    )
    np.testing.assert_allclose(slope, 2 * np.mean(x**2) * (weights - best), atol=1e-6)
    middle = len(weights) // 2
    assert weights[middle] == pytest.approx(best)
    assert absolute[0] == pytest.approx(np.abs(x * weights[0] + bias - y).mean())


def test_the_absolute_error_of_one_sample_is_a_v(found):
    weights, _, absolute, _, slope = map(np.array, draw_squared_and_absolute(found).tables[1].columns.values())
    steepness = np.abs(slope[0])
    assert set(np.round(np.abs(slope[slope != 0]), 12)) == {round(steepness, 12)}
    kink = weights[np.argmin(absolute)]
    apart = weights[1] - weights[0]
    away = np.abs(weights - kink)
    np.testing.assert_allclose(absolute, steepness * away, atol=steepness * apart)


def test_it_is_told_in_both_languages(found):
    shown = texts(draw_squared_and_absolute(found).svg())
    assert {"squared error", "absolute error", "one sample alone", "mean over 310 samples", "lowest"} <= shown
    assert {"平方误差", "绝对误差", "单个样本"} <= texts(draw_squared_and_absolute(found, words=Words("zh")).svg())


def test_odd_data():
    x = np.arange(6.0)[:, None]
    exact = Dataset(x, 3 * x[:, 0], None, "train")
    drawing = figure("squared_and_absolute", Sets(exact, exact, exact, "exact", ""), language="en")
    assert min(drawing.tables[0].columns["absolute error"]) == pytest.approx(0, abs=1e-9)
    constant = Dataset(np.ones((6, 1)), x[:, 0], None, "train")
    with pytest.raises(TreadleError, match="the feature is constant"):
        figure("squared_and_absolute", Sets(constant, constant, constant, "odd", ""), feature=0)
    with pytest.raises(TreadleError, match="needs 1 features"):
        figure("squared_and_absolute", Sets(exact[:1], exact[:1], exact[:1], "one", ""))
