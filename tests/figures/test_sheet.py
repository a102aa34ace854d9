"""Sheets of samples: what they must show, and the same bytes each time."""

from xml.etree import ElementTree

import numpy as np

from treadle.data import Dataset, Sets, load
from treadle.figures import draw_sheet


def texts(svg):
    return {text.strip() for text in ElementTree.fromstring(svg).itertext() if text.strip()}


def test_a_table_shows_each_feature_and_the_target():
    svg = draw_sheet(load("wine"))
    found = texts(svg)
    assert {"wine: 124 training samples of 13, float64", "alcohol", "proline", "target", "1", "2", "3"} <= found
    assert "od280_by_od315_…" in found
    assert draw_sheet(load("wine")) == svg
    assert "target" in texts(draw_sheet(load("diabetes")))


def test_images_have_their_number_and_class():
    svg = draw_sheet(load("digits"))
    found = texts(svg)
    titles = [text for text in found if ": " in text and text.split(":")[0].isdigit()]
    assert len(titles) == 32
    assert {title.split(": ")[1] for title in titles} == set("0123456789")
    assert svg.count("<image") == 32
    colour = Dataset(np.zeros((3, 3, 4, 4), np.uint8), np.arange(3.0), None, "train")
    assert draw_sheet(Sets(colour, colour, colour, "black", "")).count("<image") == 3
