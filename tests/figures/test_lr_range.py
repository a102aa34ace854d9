"""The picture of a range test: all that it must show, the same bytes each time, and a message without matplotlib."""

import pytest

from drawings import texts
from treadle.errors import TreadleError
from treadle.figures import draw_lr_range
from treadle.figures.lr_range import _smooth
from treadle.language import Words
from treadle.train.lr_range import LrRange, Trial

FOUND = LrRange(
    (
        Trial(0.01, (4.0, 3.9, 3.8, 3.7), 3.75, "too small"),
        Trial(0.1, (4.0, 2.0, 1.0, 0.5), 0.75, "right"),
        Trial(1.0, (4.0, 9.0, 20.0, 50.0), 35.0, "too large"),
        Trial(10.0, (4.0, 90.0), float("inf"), "too large"),
    ),
    0.1,
    "because",
    4,
    0.1,
)


def test_it_shows_rates_verdicts_and_the_proposal():
    svg = draw_lr_range(FOUND).svg()
    wanted = {"proposed: 0.1", "too small", "right", "too large", "0.01, too small", "0.1, right", "1, too large"}
    assert wanted <= texts(svg)
    assert {"learning rate", "loss at the end", "step", "loss"} <= texts(svg)
    assert draw_lr_range(FOUND).svg() == svg


def test_losses_are_raw_unless_a_setting_asks():
    rates, losses = draw_lr_range(FOUND).tables
    assert rates.rows()[2:] == [(1.0, 35.0, "too large"), (10.0, float("inf"), "too large")]
    assert losses.rows()[:5] == [(0.01, 1, 4.0), (0.01, 2, 3.9), (0.01, 3, 3.8), (0.01, 4, 3.7), (0.1, 1, 4.0)]
    assert _smooth((4.0, 2.0, 1.0, 0.5), 1).tolist() == [4.0, 2.0, 1.0, 0.5]
    assert _smooth((4.0, 2.0, 1.0, 0.5), 2).tolist() == [4.0, 3.0, 1.5, 0.75]
    assert "means of the last 2" in draw_lr_range(FOUND, smooth=2).caption
    with pytest.raises(TreadleError, match="smooth should be a whole number of steps, at least 1, found 0"):
        draw_lr_range(FOUND, smooth=0)


def test_it_is_told_in_chinese():
    shown = texts(draw_lr_range(FOUND, words=Words("zh")).svg())
    assert {"建议：0.1", "太小", "合适", "太大", "0.01，太小", "学习率", "最后的损失"} <= shown
