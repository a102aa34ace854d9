"""Figures of ideas, with the numbers of the course."""

import math

import numpy as np
import pytest

from drawings import texts
from treadle.errors import TreadleError
from treadle.figures import figure
from treadle.figures.concepts import draw_cross_entropy, draw_softmax


def test_softmax_of_the_three_scores():
    shares = draw_softmax().tables[0].columns["softmax"]
    assert [round(share, 5) for share in shares] == [0.87888, 0.11894, 0.00218]
    assert {"0.8789", "0.1189", "0.00218"} <= texts(draw_softmax().svg())


def test_cross_entropy_of_the_two_probabilities():
    drawing = draw_cross_entropy()
    assert {"−log 0.6 = 0.51", "−log 0.1 = 2.30"} <= texts(drawing.svg())
    assert drawing.tables[0].rows() == [(0.6, pytest.approx(0.5108256237659907)), (0.1, pytest.approx(math.log(10)))]
    curve = drawing.tables[1].columns
    np.testing.assert_allclose(np.exp(-np.array(curve["−log p"])), curve["p"], rtol=1e-12)
    assert "正确类别的概率 p" in texts(figure("cross_entropy", language="zh").svg())


def test_certain_and_nearly_impossible_classes_can_be_marked():
    drawing = draw_cross_entropy(probabilities=[1, 1e-300])
    assert {"−log 1 = 0.00", "−log 1e-300 = 690.78"} <= texts(drawing.svg())
    for wrong in ([0.0], [1.1], [], [math.nan], [0.5] * 11):
        with pytest.raises(TreadleError, match="probabilities should be up to 10 numbers above 0 and at most 1"):
            draw_cross_entropy(probabilities=wrong)


def test_the_paths_of_figure_49_have_its_second_points():
    tables = figure("descent", language="en").tables
    seconds = [(-6.335, -1.8), (-6.93, 1.6), (-5.5, 0.5), (-6.7, 1.7)]
    for table, second in zip(tables, seconds, strict=True):
        assert len(table.rows()) == 31
        assert table.rows()[0] == (-7.0, 2.0)
        np.testing.assert_allclose(table.rows()[1], second, rtol=1e-7)
