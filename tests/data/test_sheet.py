import sys
from dataclasses import replace

import numpy as np
import pytest

from treadle.data import Dataset, Sets, Stored, chosen_samples, feature_names, load, sheet
from treadle.data.sheet import BARS, bars


def sets_of(x, y, classes):
    rows = Dataset(x, y, classes, "train")
    return Sets(rows, rows, rows, "made", "made up")


def test_a_table_is_written_with_names_and_quartiles():
    lines = sheet(load("wine"), samples=2).splitlines()
    assert lines[0].split() == ["feature", "lowest", "quartile", "median", "quartile", "highest", "distribution"]
    alcohol = load("wine").train.inputs[:, 0]
    assert lines[1].split()[:6] == ["alcohol", *(f"{v:.3g}" for v in np.percentile(alcohol, (0, 25, 50, 75, 100)))]
    assert len(lines[1].split()[6]) == 16
    assert lines[15].startswith("train ")
    assert "target 1: alcohol " in lines[15]
    assert "target 2: alcohol " in lines[17]


def test_numbers_to_predict_have_a_distribution_too():
    assert any(line.startswith("target ") for line in sheet(load("diabetes")).splitlines())


def test_many_features_are_cut():
    text = sheet(sets_of(np.zeros((5, 100)), np.zeros(5), None))
    assert "(60 features more)" in text
    assert feature_names(sets_of(np.zeros((5, 3)), np.zeros(5), None)) == ["0", "1", "2"]


def test_an_image_is_drawn_with_characters():
    image = np.zeros((1, 3, 4), np.uint8)
    image[0, 1, 2] = 255
    text = sheet(sets_of(image[None], np.array([0]), ("cross",)), samples=1)
    assert text.split("\n")[-4:] == ["train 0, target cross:", "", "    @", ""]
    assert "channel 0" in text
    wide = sheet(sets_of(np.zeros((1, 3, 64, 64), np.uint8), np.array([0]), ("a",)), samples=1)
    assert len(wide.split("\n")) == 4 + 2 + 16


def test_samples_come_from_each_class_in_turn():
    targets = np.array([0] * 90 + [1] * 9 + [2])
    part = Dataset(np.zeros((100, 1)), targets, ("a", "b", "c"), "train")
    rows = chosen_samples(part, 8)
    assert targets[rows].tolist() == [0, 1, 2, 0, 1, 0, 1, 0]
    assert len(set(chosen_samples(part, 1000))) == 100
    assert (chosen_samples(part, 8) == rows).all()


def test_bars_are_the_counts():
    values = np.repeat(np.arange(16.0), np.arange(16))
    drawn = bars(np.concatenate([values, [0.0]]))
    assert drawn[-1] == BARS[-1]
    heights = [BARS.index(one) for one in drawn]
    assert heights[1:] == sorted(heights[1:])
    assert bars(np.array([3.0, 3.0])).count(BARS[-1]) == 1


class Held(Stored):
    """An array that pretends to be on disk, and counts what is read."""

    def __init__(self, array):
        self.array, self.shape, self.dtype = array, array.shape, array.dtype
        self.read_rows = 0

    def read(self, indices):
        self.read_rows += len(indices)
        return self.array[indices]


def on_disk(sets):
    return replace(sets, train=replace(sets.train, inputs=Held(sets.train.inputs)))


@pytest.mark.parametrize("name", ["wine", "diabetes", "digits"])
def test_what_is_on_disk_is_written_as_what_is_in_memory(name):
    assert sheet(on_disk(load(name))) == sheet(load(name))


@pytest.mark.parametrize("classes", [None, ("a", "b")])
def test_distributions_of_what_is_on_disk_are_those_of_some_samples(monkeypatch, classes):
    monkeypatch.setattr(sys.modules["treadle.data.sheet"], "SAMPLED", 11)
    x = np.arange(2000.0).reshape(1000, 2)
    sets = on_disk(sets_of(x, np.arange(1000) % 2, classes))
    lines = sheet(sets, samples=2).splitlines()
    rows = np.linspace(0, 999, 11).astype(int)
    assert lines[1].split()[1:6] == [f"{mark:.3g}" for mark in np.percentile(x[rows, 0], (0, 25, 50, 75, 100))]
    assert sets.train.inputs.read_rows == 13
    for line in lines[-3::2]:
        row = int(line.split()[1].rstrip(","))
        assert line.endswith(f": 0 {2 * row:g}, 1 {2 * row + 1:g}")
