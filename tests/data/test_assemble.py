import numpy as np
import pytest

import treadle as td
from treadle.data import GroupedSplit, RandomSplit, StratifiedSplit, from_arrays, load, load_table
from treadle.errors import DataError, MemoryLimitError


@pytest.fixture
def people(tmp_path):
    """40 rows: an id, a town, an age, and whether somebody came, with one age missing in line 5."""
    lines = ["id,town,age,came"]
    for number in range(40):
        town, age = "ABC"[number % 3], "" if number == 3 else 20 + number
        lines.append(f"{number},{town},{age},{'yes' if number % 2 else 'no'}")
    path = tmp_path / "people.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_table_becomes_three_sets(people):
    sets = load(people, ignore=["id"], missing="mean")
    assert sets.train.classes == ("no", "yes")
    assert [len(part) for part in sets.parts().values()] == [28, 6, 6]
    assert [np.bincount(part.targets).tolist() for part in sets.parts().values()] == [[14, 14], [3, 3], [3, 3]]
    assert sets.encoding.names == ["town=A", "town=B", "town=C", "age"]
    assert "target: came" in sets.origin
    assert "split: stratified" in sets.origin
    assert (sets.train.inputs[:, :3].sum(axis=1) == 1).all()
    run = td.fit("softmax", sets, loss="cross_entropy", optimizer=td.optim.SGD(0.1), scale="standard")
    assert run.predict(sets.test.inputs).shape == (6, 2)


def test_the_fill_is_that_of_the_training_rows(people):
    sets = load(people, ignore=["id"], missing="mean", split=RandomSplit(seed=4))
    rows = np.concatenate([part.inputs[:, 3] for part in sets.parts().values()])
    ages = [20 + number for number in range(40) if number != 3]
    fill = (set(rows) - set(ages)).pop()
    known = [age for age in sets.train.inputs[:, 3] if age in ages]
    assert fill == pytest.approx(np.mean(known), rel=1e-12)
    assert fill != pytest.approx(np.mean(ages), rel=1e-6)


def test_numbers_are_predicted_or_are_classes(people):
    sets = load(people, target="id", ignore=["age"])
    assert sets.train.classes is None
    assert sets.encoding.names[-2:] == ["came=no", "came=yes"]
    assert "split: random" in sets.origin
    assert load(people, target="id", ignore=["age"], classes=True, split=RandomSplit()).train.classes[:3] == (
        "0",
        "1",
        "2",
    )


def test_groups_stay_together_and_are_no_feature(people):
    sets = load(people, ignore=["id"], missing="mean", split=GroupedSplit("town", validation=0.3, test=0.3))
    assert sets.encoding.names == ["age"]
    assert sorted(len(part) for part in sets.parts().values()) == [13, 13, 14]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "line 5: 'age' has no value"),
        ({"target": "cam"}, "no column is called 'cam': did you mean 'came'"),
        ({"ignore": ["idd"]}, "no column is called 'idd': did you mean 'id'"),
        ({"target": "age"}, "line 5: the target 'age' has no value"),
        ({"classes": False, "missing": "mean"}, "line 2: the target 'came' should be a number, found 'no'"),
        ({"ignore": ["id", "town", "age"]}, "no column is left to predict 'came' from"),
        ({"ignore": ["id", "town", "age", "came"]}, "no column is left to predict"),
        ({"split": GroupedSplit("age"), "target": "came"}, "line 5: the group 'age' has no value"),
        ({"split": GroupedSplit("city"), "missing": "mean"}, "no column is called 'city'"),
        (
            {"target": "id", "ignore": ["age"], "split": StratifiedSplit()},
            "a stratified split keeps the shares of classes",
        ),
        ({"size": 3}, "size is not a setting of this source: it takes target, classes, categorical"),
    ],
)
def test_what_does_not_fit_is_told(people, settings, message):
    with pytest.raises(DataError, match=message):
        load(people, **settings)


def test_large_names_in_numbers_are_ignored_or_words(tmp_path):
    path = tmp_path / "a.csv"
    rows = [f"{2**53 + n},{n % 5},{n}" for n in range(20)]
    path.write_text("\n".join(["id,a,b", *rows]), encoding="utf-8")
    with pytest.raises(DataError, match=r"'id' is 9007199254740993, and whole numbers beyond 2\^53 lose digits"):
        load_table(path)
    assert load_table(path, ignore=["id"]).train.shape == (1,)


def test_fractions_are_no_classes(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("x,y\n1,1\n2,2.5\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"line 3: the target 'y' is 2\.5, and classes are words or whole numbers"):
        load_table(path, classes=True)
    path.write_text("x,y\n1,1\n2,1\n", encoding="utf-8")
    with pytest.raises(DataError, match="one class alone, 1"):
        load_table(path, classes=True)


def test_settings_of_a_table_are_none_of_mnist():
    with pytest.raises(DataError, match="mnist: target is not a setting of this source: it takes no settings"):
        load("mnist", target="digit")
    with pytest.raises(DataError, match="mnist: split is not a setting of this source: it has its own sets"):
        load("mnist", split=RandomSplit())


def test_arrays():
    x, y = np.arange(60.0).reshape(30, 2), np.arange(30) % 3
    sets = from_arrays(x, y, classes="abc", name="mine")
    assert sets.train.classes == ("a", "b", "c")
    rows = np.concatenate([part.inputs for part in sets.parts().values()])
    assert sorted(rows[:, 0].tolist()) == x[:, 0].tolist()
    assert from_arrays(x, y / 2).origin.endswith("split: random, 0.15 for validation, 0.15 for test, seed 0")
    grouped = from_arrays(x, y, split=GroupedSplit("of somebody", validation=0.3, test=0.3), groups=y)
    assert len(set(grouped.test.targets)) == 1
    for wrong, message in (
        ({"targets": y[:5]}, r"30 samples need targets of shape \(30,\), found \(5,\)"),
        ({"targets": y, "groups": y[:5]}, r"30 samples need groups of shape \(30,\), found \(5,\)"),
        ({"targets": y, "split": GroupedSplit("g")}, "a grouped split needs groups"),
        ({"targets": y, "split": StratifiedSplit()}, "targets are numbers: use random"),
    ):
        with pytest.raises(DataError, match=message):
            from_arrays(x, **wrong)


def test_arrays_without_values():
    for x in (np.zeros((0, 4)), np.zeros((60, 0)), np.zeros(60)):
        with pytest.raises(DataError, match="expected samples"):
            from_arrays(x, np.zeros(len(x)))


def test_features_that_memory_does_not_hold(people, monkeypatch):
    import psutil

    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": 100})())
    with pytest.raises(MemoryLimitError, match="40 rows of 4 features need"):
        load(people, ignore=["id"], missing="mean")
