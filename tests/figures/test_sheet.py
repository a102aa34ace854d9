"""Sheets of samples: what they must show, and the same bytes each time."""

import sys
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest

from treadle.data import Dataset, Sets, Stored, load
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


class Held(Stored):
    """An array that pretends to be on disk, and counts what is read."""

    def __init__(self, array):
        self.array, self.shape, self.dtype = array, array.shape, array.dtype
        self.read_rows = 0

    def read(self, indices):
        self.read_rows += len(indices)
        return self.array[indices]


@pytest.mark.parametrize("name", ["wine", "diabetes", "digits"])
def test_what_is_on_disk_is_drawn_as_what_is_in_memory(name):
    sets = load(name)
    stored = Held(sets.train.inputs)
    assert draw_sheet(replace(sets, train=replace(sets.train, inputs=stored))) == draw_sheet(sets)
    assert stored.read_rows <= len(sets.train)


def test_of_much_data_on_disk_some_samples_are_drawn(monkeypatch):
    monkeypatch.setattr(sys.modules["treadle.data.sheet"], "SAMPLED", 50)
    for array in (np.random.default_rng(0).normal(size=(1000, 3)), np.zeros((1000, 1, 4, 4), np.uint8)):
        stored = Held(array)
        part = Dataset(stored, np.arange(1000) % 2, ("a", "b"), "train")
        assert "much: 1,000 training samples" in draw_sheet(Sets(part, part, part, "much", ""))
        assert stored.read_rows <= 64
