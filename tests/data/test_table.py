import json

import numpy as np
import pytest

from treadle.data import Encoding, Feature, Table
from treadle.errors import DataError

CITIES = np.array(["Oslo", "Rome", "", "Oslo", "Bern"], object)
TABLE = Table("t.csv", {"age": np.array([30, np.nan, 50, 20, 90.0]), "city": CITIES, "size": np.arange(5.0)},
              np.array([2, 3, 4, 5, 7]))  # fmt: skip
TRAIN = np.array([0, 1, 2, 3])


@pytest.mark.parametrize(("missing", "age"), [("mean", 100 / 3), ("median", 30), ("most_frequent", 20)])
def test_missing_values_are_filled_from_the_training_rows_alone(missing, age):
    train = np.array([0, 1, 2, 3])
    encoding = Encoding.fit(TABLE, ["age", "size"], train, missing)
    rows = encoding.apply(TABLE)
    np.testing.assert_allclose(rows[:, 0], [30, age, 50, 20, 90])
    np.testing.assert_array_equal(rows[:, 1], np.arange(5))
    assert encoding.features[1].fill is not None  # for rows to come
    later = Table("later", {"age": np.array([np.nan]), "size": np.array([np.nan])}, np.array([2]))
    assert encoding.apply(later)[0, 0] == pytest.approx(age)
    with pytest.raises(DataError, match="'size' has no value"):
        Encoding.fit(TABLE, ["size"], train).apply(later)


@pytest.mark.parametrize("missing", ["mean", "median"])
def test_numbers_whose_sum_overflows_fill_nothing(missing):
    huge = Table("t.csv", {"x": np.array([1e308, 1e308, np.nan, 1e308, 1e308])}, np.arange(5))
    with pytest.raises(DataError, match=f"t.csv: column 'x' has a {missing} of inf, which fills no gap"):
        Encoding.fit(huge, ["x"], np.arange(5), missing)
    assert Encoding.fit(huge, ["x"], np.arange(5), "most_frequent").features[0].fill == 1e308


def test_words_become_one_feature_a_category_of_the_training_rows():
    encoding = Encoding.fit(TABLE, ["size", "city"], np.arange(5), "most_frequent")
    assert encoding.names == ["size", "city=Bern", "city=Oslo", "city=Rome"]
    np.testing.assert_array_equal(encoding.apply(TABLE)[:, 1:], [[0, 1, 0], [0, 0, 1], [0, 1, 0], [0, 1, 0], [1, 0, 0]])
    assert Encoding.from_dict(json.loads(json.dumps(encoding.to_dict()))) == encoding


@pytest.mark.parametrize("rows", [0, 1, 2047, 2048, 2049, 5000])
def test_rows_of_any_number_are_written_over_what_was_there(rows):
    draws = np.random.default_rng(rows)
    number, place = draws.normal(size=rows).astype(np.float32), draws.integers(0, 3, rows)
    words = np.array(["a", "b", "c"], object)[place]
    table = Table("t", {"number": number, "word": words, "again": number}, np.arange(rows))
    encoding = Encoding((Feature("number"), Feature("word", ("a", "b", "c")), Feature("again")))
    expected = np.column_stack([number, np.eye(3)[place], number])
    written = np.full((rows, 5), np.nan, np.float32)
    encoding.write(table, written)
    for found in (written, encoding.apply(table)):
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, expected)


def test_what_cannot_be_encoded_is_told_with_its_line():
    with pytest.raises(DataError, match="line 3: 'age' has no value: fill it in, or state a policy with missing"):
        Encoding.fit(TABLE, ["age"], TRAIN)
    with pytest.raises(DataError, match="line 7: 'city' is 'Bern', which no training row has"):
        Encoding.fit(TABLE, ["city"], TRAIN, "mean").apply(TABLE)
    with pytest.raises(DataError, match="no policy is called 'zero'"):
        Encoding.fit(TABLE, ["age"], TRAIN, "zero")
    with pytest.raises(DataError, match="'age' has no value in any training row"):
        Encoding.fit(TABLE, ["age"], np.array([1]), "mean")
    with pytest.raises(DataError, match="no column is called 'agee': did you mean 'age'"):
        Encoding((Feature("agee"),)).apply(TABLE)
    with pytest.raises(DataError, match="column 'city' should have numbers, found words"):
        Encoding((Feature("city"),)).apply(TABLE)
    with pytest.raises(DataError, match="column 'age' should have words, found numbers"):
        Encoding((Feature("age", ("a",)),)).apply(TABLE)
    with pytest.raises(DataError, match="line 3: 'age' has no value"):
        Encoding((Feature("age"),)).apply(TABLE)
    many = Table("t", {"id": np.array([f"n{i}" for i in range(2000)], object)}, np.arange(2000))
    with pytest.raises(DataError, match=r"'id' has 2,000 different words in 2,000 training rows"):
        Encoding.fit(many, ["id"], np.arange(2000))
