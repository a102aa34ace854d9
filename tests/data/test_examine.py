"""Faults planted into clean data, each found and told with its place, and nothing told of clean data."""

import sys
from dataclasses import replace

import numpy as np
import psutil
import pytest

from treadle.data import Dataset, Sets, Stored, check, examine, load


def table(size=400, classes=("a", "b"), seed=0):
    draws = np.random.default_rng(seed)
    x = draws.normal(size=(size, 6))
    y = (
        (x[:, 0] + x[:, 1] + draws.normal(size=size) > 0).astype(np.int64)
        if classes
        else x[:, 0] + draws.normal(size=size)
    )
    return x, y


def pictures(size=200, seed=0):
    draws = np.random.default_rng(seed)
    return draws.integers(0, 256, (size, 1, 6, 6)).astype(np.uint8), np.arange(size) % 2


def sets_of(x, y, classes=("a", "b")):
    cut = len(x) // 4
    parts = (slice(2 * cut, None), slice(cut, 2 * cut), slice(cut))
    return Sets(*(Dataset(x[part], y[part], classes, name) for part, name in zip(
        parts, ("train", "validation", "test"), strict=True)), "made", "made up")  # fmt: skip


def messages(sets):
    return [(one.severity, one.where, one.message) for one in examine(sets)]


@pytest.mark.parametrize("name", ["diabetes", "wine"])
def test_clean_tables_have_no_findings(name):
    assert examine(load(name)) == []


def test_clean_images_have_constant_pixels_alone():
    assert messages(load("digits")) == [("note", "train", "3 of 64 pixels are constant")]
    assert messages(load("mnist")) == [("note", "train", "67 of 784 pixels are constant")]


def test_made_up_data_is_clean():
    for seed in range(5):
        assert examine(sets_of(*table(seed=seed))) == []
        assert examine(sets_of(*pictures(seed=seed))) == []
        x, y = table(classes=None, seed=seed)
        assert examine(sets_of(x, y, None)) == []


def plant(number):
    """Data with the fault of that number; train begins at row 200 of 400, validation at 100."""
    x, y = table()
    classes = ("a", "b")
    draws = np.random.default_rng(1)
    if number == "duplicate":
        x[205], y[205] = x[203], y[203]
    elif number == "two sets":
        x[7], y[7] = x[300], y[300]
    elif number == "validation too":
        x[107], y[107] = x[300], y[300]
    elif number == "contradiction":
        x[210], y[210] = x[220], 1 - y[220]
    elif number == "near":
        x[230] = x[231] + 1e-4
    elif number == "constant":
        x[:, 2] = 7
    elif number == "copy":
        x[:, 4] = x[:, 1]
    elif number == "row number":
        x[:, 3] = np.arange(400)[::-1]
        x = x[draws.permutation(400)]
    elif number == "outlier":
        x[201, 5] = 1e6
    elif number == "missing code":
        x[draws.permutation(400)[:60], 5] = -999
    elif number == "leak":
        x[:, 2] = y * 3 + draws.normal(size=400) * 0.1
    elif number == "rare":
        y[:] = 0
        y[[0, 100, 200, 201, 202]] = 1
    elif number == "imbalance":
        y[:] = draws.random(400) < 0.06
    elif number == "new class":
        classes = ("a", "b", "c")
        y[:3] = 2
    elif number == "other unit":
        x[:100] *= 255
    elif number == "shift":
        x[:100, 1] += 1
    return sets_of(x, y, classes)


@pytest.mark.parametrize(
    ("number", "where", "message"),
    [
        ("duplicate", "train", "1 samples are exact duplicates of others in the set"),
        ("two sets", "test", "1 samples are in an earlier set as well"),
        ("validation too", "validation", "1 samples are in train as well"),
        ("contradiction", "data", "2 samples have the inputs of others and another label: train 10, train 20"),
        ("near", "data", "1 pairs of samples are nearly the same: train 30 and train 31"),
        ("constant", "train", "1 of 6 features are constant: 2"),
        ("copy", "train", "features are copies of others: 4"),
        ("row number", "train", "features have another whole number in each sample: 3"),
        ("outlier", "train", "feature 5 has 1 outliers, such as 1e+06"),
        ("missing code", "train", "feature 5 is -999 in "),
        ("leak", "train", "feature 2 alone tells the class of 100.0% of the samples of each"),
        ("rare", "train", "classes with fewer than 10 samples: b (3)"),
        ("imbalance", "train", "the largest class has "),
        ("new class", "test", "classes that no training sample has: c"),
        ("other unit", "test", "most values lie from "),
        ("shift", "test", "features are far from those of train: feature 1 by 1"),
    ],
)
def test_a_planted_fault_is_found(number, where, message):
    found = examine(plant(number))
    mine = [one for one in found if one.where == where and one.message.startswith(message)]
    assert len(mine) == 1, found
    assert mine[0].severity == "warning"
    assert mine[0].advice
    others = {("rare", "the largest class"), ("new class", "no sample"), ("duplicate", "1 pairs")}
    for one in found:
        allowed = any(number == kind and one.message.startswith(begin) for kind, begin in others)
        assert one in mine or allowed or number in ("contradiction", "missing code"), one


def test_rows_are_those_of_the_set():
    found = {one.message.split(" ", 1)[1]: one.rows for one in examine(plant("duplicate"))}
    assert found["samples are exact duplicates of others in the set"] == (5,)
    (leaked,) = (one for one in examine(plant("two sets")) if "as well" in one.message)
    assert leaked.rows == (7,)
    (outlier,) = (one for one in examine(plant("outlier")) if "outliers" in one.message)
    assert outlier.rows == (1,)


def test_a_number_that_gives_the_target_away():
    x, y = table(classes=None)
    x[:, 3] = 2 * y + 1e-3 * x[:, 3]
    (found,) = examine(sets_of(x, y, None))
    assert found.message == "feature 3 alone explains 100.0% of the target"


def test_more_features_than_samples():
    draws = np.random.default_rng(0)
    (found,) = examine(sets_of(draws.normal(size=(80, 60)), np.arange(80) % 2))
    assert found.message == "there are 60 features and 40 samples"


def test_images_of_one_colour_and_copies_saved_again():
    x, y = pictures()
    x[104], x[120] = 9, x[121]
    x[120, 0, 0, 1] = max(1, x[120, 0, 0, 1]) - 1
    y[120] = y[121]
    found = messages(sets_of(x, y))
    assert ("warning", "train", "1 images have one colour alone") in found
    assert ("warning", "data", "1 pairs of samples are nearly the same: train 20 and train 21") in found


def test_errors_come_alone():
    x, y = table()
    x[250, 2] = np.nan
    (found,) = examine(sets_of(x, y))
    assert (found.severity, found.message) == ("error", "row 50 has the input nan, expected finite values")


def test_zeros_of_both_signs_are_the_same():
    x, y = table()
    x[205], x[206] = 0.0, -0.0
    y[205] = y[206]
    assert "1 samples are exact duplicates" in examine(sets_of(x, y))[0].message


@pytest.mark.parametrize(("rows", "features"), [(400, 2), (2000, 2), (10_000, 3), (4000, 4)])
def test_few_features_are_near_one_another_by_chance(rows, features):
    draws = np.random.default_rng(0)
    assert examine(sets_of(draws.normal(size=(rows, features)), draws.integers(0, 2, rows))) == []


def test_a_number_and_a_category_are_no_copies():
    draws = np.random.default_rng(0)
    x = np.c_[draws.normal(size=1000), np.eye(3)[draws.integers(0, 3, 1000)]]
    assert examine(sets_of(x, draws.integers(0, 2, 1000))) == []


def test_many_features_differ_by_chance():
    draws = np.random.default_rng(0)
    assert examine(sets_of(draws.normal(size=(250, 100)), np.arange(250) % 2)) == []


def test_whole_numbers_far_apart_number_no_rows():
    x, y = table()
    x[:, 3] = np.random.default_rng(0).permutation(10**6)[:400]
    assert examine(sets_of(x, y)) == []


def test_codes_that_come_often_and_outliers_among_zeros():
    x, y = table()
    x[np.random.default_rng(0).random(400) < 0.3, 5] = -999
    assert any("feature 5 is -999 in" in one.message for one in examine(sets_of(x, y)))
    x, y = table()
    x[:, 4] = np.where(np.random.default_rng(0).random(400) < 0.8, 0, x[:, 4])
    assert examine(sets_of(x, y)) == []
    x[[210, 220], 4] = 1e6
    assert ["feature 4 has 2 outliers" in one.message for one in examine(sets_of(x, y))] == [True]


def test_one_target_alone():
    x, _ = table()
    zeros = np.zeros(400, np.int64)
    assert "all samples have the target a" in [one.message for one in examine(sets_of(x, zeros))]
    assert [one.message for one in examine(sets_of(x, zeros + 2.5, None))] == ["all samples have the target 2.5"]


def test_leaks_of_rare_classes_and_of_curves():
    x, y = table()
    y = (np.random.default_rng(3).random(400) < 0.1).astype(np.int64)
    x[:, 2] = y
    assert any("feature 2 alone tells the class" in one.message for one in examine(sets_of(x, y)))
    x, y = table(classes=None)
    x[:, 3] = np.exp(2 * y)
    assert any("feature 3 alone explains 100.0%" in one.message for one in examine(sets_of(x, y, None)))


def test_one_feature_in_another_unit():
    x, y = table()
    x[:, 4] *= 1e4
    x[:100, 2] *= 255
    found = [one.message for one in examine(sets_of(x, y)) if one.where == "test"]
    assert found == ["the values of features spread over 20 times more or less than in train: 2"]


def test_yes_and_no_and_huge_numbers_can_be_examined():
    x, y = table()
    assert all(one.severity != "error" for one in examine(sets_of(x > 0, y)))
    x[:, 1] *= 1e300
    examine(sets_of(x, y))
    x[:, 2] = 10**17 + np.arange(400)
    examine(sets_of(x, y))


class Held(Stored):
    """An array that pretends to be on disk, and counts what is read."""

    def __init__(self, array):
        self.array, self.shape, self.dtype = array, array.shape, array.dtype
        self.read_rows = 0

    def read(self, indices):
        self.read_rows += len(indices)
        return self.array[indices]


def on_disk(sets):
    return replace(sets, **{name: replace(part, inputs=Held(part.inputs)) for name, part in sets.parts().items()})


@pytest.mark.parametrize("number", ["duplicate", "two sets", "contradiction", "constant", "outlier", "leak", "shift"])
def test_faults_are_found_on_disk_too(number):
    assert examine(on_disk(plant(number))) == examine(plant(number))


def test_images_on_disk():
    x, y = pictures()
    x[104] = 9
    assert examine(on_disk(sets_of(x, y))) == examine(sets_of(x, y))
    assert check(on_disk(sets_of(x, y))) == []


def test_of_much_data_on_disk_some_samples_are_examined(monkeypatch):
    monkeypatch.setattr(sys.modules["treadle.data.examine"], "MOST", 50)
    x, y = table()
    x[201, 5] = 1e6
    x[200 + 199, 5] = 1e6  # the last one is always among those that are taken
    sets = on_disk(sets_of(x, y))
    found = examine(sets)
    assert [one.message for one in found if one.severity == "note"] == [
        f"the data are on disk: 50 of {len(part):,} samples, taken evenly, were examined"
        for part in sets.parts().values()
    ]
    (outlier,) = (one for one in found if "outliers" in one.message)
    assert outlier.rows == (199,)
    assert outlier.where == "train"
    for part in sets.parts().values():
        assert part.inputs.read_rows == len(part) + 50  # once for the survey
    x[202, 5] = np.nan  # what `check` looks for is looked for everywhere
    assert [one.message for one in examine(on_disk(sets_of(x, y)))] == [
        "row 2 has the input nan, expected finite values"
    ]


def test_samples_that_memory_holds_are_examined(monkeypatch):
    x, y = table()
    sets = on_disk(sets_of(x, y))
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": 16 * 48 * 20})())
    notes = [one.message for one in examine(sets) if one.severity == "note"]
    assert notes[0].startswith("the data are on disk: 20 of 200 samples")
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": 1})())
    assert "the data are on disk: 1 of 200 samples" in examine(sets)[-1].message + examine(sets)[-3].message
