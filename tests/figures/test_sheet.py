"""Sheets of samples: what they must show, and the same bytes each time."""

import sys
from dataclasses import replace

import numpy as np
import pytest

from drawings import texts
from treadle.data import Dataset, Sets, Stored, load
from treadle.figures import draw_sheet
from treadle.language import Words

pytestmark = pytest.mark.slow


def test_a_table_shows_each_feature_and_the_target():
    svg = draw_sheet(load("wine")).svg()
    found = texts(svg)
    assert {"wine: 124 training samples of 13, float64", "alcohol", "proline", "target", "1", "2", "3"} <= found
    assert "od280_by_od315_…" in found
    assert draw_sheet(load("wine")).svg() == svg
    assert "target" in texts(draw_sheet(load("diabetes")).svg())


def test_images_have_their_number_and_class():
    svg = draw_sheet(load("digits")).svg()
    found = texts(svg)
    titles = [text for text in found if ": " in text and text.split(":")[0].isdigit()]
    assert len(titles) == 32
    assert {title.split(": ")[1] for title in titles} == set("0123456789")
    assert svg.count("<image") == 32
    colour = Dataset(np.zeros((3, 3, 4, 4), np.uint8), np.arange(3.0), None, "train")
    assert draw_sheet(Sets(colour, colour, colour, "black", "")).svg().count("<image") == 3


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
    assert draw_sheet(replace(sets, train=replace(sets.train, inputs=stored))).svg() == draw_sheet(sets).svg()
    assert stored.read_rows <= len(sets.train)


def test_of_much_data_on_disk_some_samples_are_drawn(monkeypatch):
    monkeypatch.setattr(sys.modules["treadle.data.sheet"], "SAMPLED", 50)
    for array in (np.random.default_rng(0).normal(size=(1000, 3)), np.zeros((1000, 1, 4, 4), np.uint8)):
        stored = Held(array)
        part = Dataset(stored, np.arange(1000) % 2, ("a", "b"), "train")
        assert "much: 1,000 training samples" in draw_sheet(Sets(part, part, part, "much", "")).svg()
        assert stored.read_rows <= 64


def test_counts_are_in_the_table():
    sets = load("wine")
    rows = draw_sheet(sets).tables[0].rows()
    alcohol = [row for row in rows if row[0] == "alcohol" and row[1] == "2"]
    mine = sets.train.inputs[sets.train.targets == 1, 0]
    assert sum(row[4] for row in alcohol) == len(mine)
    assert alcohol[0][4] == np.sum((mine >= alcohol[0][2]) & (mine < alcohol[0][3]))
    assert [row[4] for row in rows if row[0] == "target"] == np.bincount(sets.train.targets).tolist()
    samples = draw_sheet(load("digits")).tables[0].rows()
    assert [target for _, target in samples[:10]] == list("0123456789")


def test_it_is_told_in_chinese():
    words = Words("zh")
    assert {"wine：124 个训练样本，形状 13，float64", "目标"} <= texts(draw_sheet(load("wine"), words=words).svg())
    assert draw_sheet(load("digits"), words=words).title == "训练集的样本"


def test_hundreds_of_classes_and_long_names_can_be_drawn():
    part = Dataset(np.ones((300, 2)), np.arange(300), tuple(f"{n} of a very long name" for n in range(300)), "train")
    assert "target" in texts(draw_sheet(Sets(part, part, part, "many", "")).svg())
    one = part[:1]
    assert "many: 1 training samples of 2, float64" in texts(draw_sheet(Sets(one, one, one, "many", "")).svg())
