"""The tree of a data set: real shapes, types and counts."""

import numpy as np

from drawings import texts
from treadle.data import Dataset, Sets, load
from treadle.figures.data_tree import draw_data_tree
from treadle.language import Words


def test_mnist_is_as_it_was_published():
    drawing = draw_data_tree(load("mnist"))
    shown = texts(drawing.svg())
    assert {
        "images [50000, 1, 28, 28]",
        "= [50000, 784], uint8, 0..255",
        "labels [50000,]",
        "int64, 10 classes",
    } <= shown
    assert {"= [10000, 784], uint8, 0..255", "mnist", "training set", "validation set", "test set"} <= shown
    counts = [row[2] for row in drawing.tables[1].rows()]
    assert counts[:10] == [4932, 5678, 4968, 5101, 4859, 4506, 4951, 5175, 4842, 4988]
    assert counts[20:] == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert drawing.tables[0].rows()[0] == ("training set", "[50000, 1, 28, 28]", "uint8", "[50000,]", "int64")


def test_targets_that_are_numbers_have_their_range():
    drawing = draw_data_tree(load("diabetes"), words=Words("zh"))
    assert {"训练集", "验证集", "测试集", "输入 [310, 10]", "目标 [310,]", "float64, 25..346"} <= texts(drawing.svg())
    rows = drawing.tables[1].rows()
    assert [sum(row[2] for row in rows if row[0] == name) for name in ("训练集", "验证集", "测试集")] == [310, 66, 66]


def test_odd_sets_can_be_drawn():
    names = tuple(f"a class with a very long name, number {n}" for n in range(300))
    many = Dataset(np.ones((300, 2)), np.arange(300), names, "train")
    one = Dataset(np.full((1, 2), np.nan), np.array([3.0]), None, "train")
    for sets in (Sets(many, many[:1], many[:0], "many " * 30, ""), Sets(one, one, one, "one", "")):
        assert "test set" in texts(draw_data_tree(sets).svg())
