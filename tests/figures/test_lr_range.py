"""The picture of a range test: all that it must show, the same bytes each time, and a message without matplotlib."""

import sys
from xml.etree import ElementTree

import pytest

from treadle.errors import TreadleError
from treadle.figures import draw_lr_range
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
    svg = draw_lr_range(FOUND)
    texts = {text.strip() for text in ElementTree.fromstring(svg).itertext() if text.strip()}
    wanted = {"proposed: 0.1", "too small", "right", "too large", "0.01, too small", "0.1, right", "1, too large"}
    assert wanted <= texts
    assert {"learning rate", "loss at the end", "step", "loss"} <= texts
    assert draw_lr_range(FOUND) == svg


def test_without_matplotlib_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(TreadleError, match=r"need matplotlib: install it with `pip install treadle\[figures\]`"):
        draw_lr_range(FOUND)
