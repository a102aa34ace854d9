"""DataFrames: the rows are those that pandas has, and odd values are told with column and row."""

import datetime
import decimal

import numpy as np
import pandas as pd
import pyarrow as arrow
import pytest
from pyarrow.parquet import write_table

from treadle.data import GroupedSplit, from_frame, load
from treadle.errors import DataError

COUNT = 40
X = np.random.default_rng(0).normal(size=COUNT)
WORDS = ["p", "q", "r", "q"] * (COUNT // 4)


def frame(**more):
    return pd.DataFrame({"n": np.arange(COUNT), "x": X, **more, "y": ["no", "yes"] * (COUNT // 2)})


def rows_of(sets):
    """Rows and targets of all sets in the order of the first feature."""
    rows = np.concatenate([part.inputs for part in sets.parts().values()])
    targets = np.concatenate([part.targets for part in sets.parts().values()])
    order = np.argsort(rows[:, 0], kind="stable")
    return rows[order], targets[order]


def test_rows_are_those_of_the_frame():
    whole = frame(
        word=WORDS,
        kind=pd.Categorical(WORDS),
        yes=X > 0,
        small=X.astype(np.float32),
        whole=pd.array(range(COUNT), "Int64"),
        flag=pd.array(X > 1, "boolean"),
        price=[decimal.Decimal(n) / 8 for n in range(COUNT)],
    )
    whole.index = np.arange(COUNT)[::-1] * 7  # no column
    sets = from_frame(whole, name="mine")
    assert (sets.name, sets.train.classes) == ("mine", ("no", "yes"))
    expected = pd.get_dummies(whole.drop(columns="y"), columns=["word", "kind"], prefix_sep="=", dtype=float)
    rows, targets = rows_of(sets)
    assert sets.encoding.names[:3] == ["n", "x", "word=p"]
    np.testing.assert_array_equal(rows, expected[sets.encoding.names].astype(float).to_numpy())
    assert targets.tolist() == [0, 1] * (COUNT // 2)


def test_a_frame_a_table_of_arrow_and_a_file_give_the_same_sets(tmp_path):
    whole = frame(word=WORDS, yes=X > 0)
    table = arrow.table(whole)
    write_table(table, tmp_path / "a.parquet")
    expected = from_frame(whole).fingerprint()
    assert from_frame(table).fingerprint() == expected
    assert from_frame(table.combine_chunks().to_batches()[0]).fingerprint() == expected
    assert from_frame(arrow.concat_tables([table[:13], table[13:]])).fingerprint() == expected
    assert load(tmp_path / "a.parquet").fingerprint() == expected
    whole.to_csv(tmp_path / "a.csv", index=False)
    assert load(tmp_path / "a.csv", ignore=["yes"]).fingerprint() == from_frame(whole, ignore=["yes"]).fingerprint()


class Series:
    """As polars has: not an array, and made one when it is asked to be."""

    def __init__(self, values):
        self._values = values

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self._values, dtype)


class Frame:
    """As polars has: columns by name, no index."""

    def __init__(self, values):
        self._values = values
        self.columns = list(values)

    def __getitem__(self, name):
        return Series(self._values[name])


def test_any_frame_with_columns_will_do():
    values = {"n": np.arange(COUNT), "x": X, "word": np.array(WORDS, object), "y": X}
    pandas = pd.DataFrame(values)
    assert from_frame(Frame(values)).fingerprint() == from_frame(pandas).fingerprint()
    assert from_frame(Frame({**values, "word": np.array(WORDS)})).fingerprint() == from_frame(pandas).fingerprint()
    strings = np.array(WORDS, np.dtypes.StringDType())
    assert from_frame(Frame({**values, "word": strings})).fingerprint() == from_frame(pandas).fingerprint()


@pytest.mark.parametrize(
    "values",
    [
        pd.array([1, None, 3, 4] * 10, "Int64"),
        pd.array([1.0, None, 3, 4] * 10, "Float64"),
        [1.0, np.nan, 3, 4] * 10,
        pd.Series([1, None, 3, 4] * 10, dtype=object),
        pd.Series([decimal.Decimal(1), None, 3, 4.0] * 10, dtype=object),
        pd.Categorical([1, None, 3, 4] * 10),
        pd.array([1, None, 3, 4] * 10, "int64[pyarrow]"),
    ],
    ids=range(7),
)
def test_numbers_that_are_missing(values):
    whole = frame(some=values)
    with pytest.raises(DataError, match="mine: row 1, and 9 more: 'some' has no value: fill it in, or state a policy"):
        from_frame(whole, name="mine")
    sets = from_frame(whole, missing="most_frequent")
    known = [n for n in sets.train.inputs[:, 0].astype(int) if n % 4 != 1]
    counts = [sum(n % 4 == rest for n in known) for rest in (0, 2, 3)]
    filled = (1.0, 3.0, 4.0)[int(np.argmax(counts))]
    assert rows_of(sets)[0][:, 2].tolist() == [1.0, filled, 3.0, 4.0] * 10


@pytest.mark.parametrize(
    "values",
    [
        pd.array(["p", None, "q", ""] * 10, "string"),
        pd.Series(["p", None, "q", np.nan] * 10, dtype=object),
        pd.Series(["p", pd.NA, "q", pd.NaT] * 10, dtype=object),
        pd.Categorical(["p", None, "q", None] * 10),
    ],
    ids=range(4),
)
def test_words_that_are_missing(values):
    whole = frame(some=values)
    with pytest.raises(DataError, match="row 1, and 19 more: 'some' has no value"):
        from_frame(whole)
    assert from_frame(whole, missing="mean").encoding.names[2:] == ["some=p", "some=q"]
    with pytest.raises(DataError, match="row 1: the target 'some' has no value"):
        from_frame(whole, target="some")


def test_yes_and_no_that_are_missing():
    whole = frame(some=pd.array([True, None, False, True] * 10, "boolean"))
    rows = rows_of(from_frame(whole, missing="most_frequent"))[0]
    assert rows[:, 2].tolist() == [1.0, 1.0, 0.0, 1.0] * 10


def spoilt(values, row, value):
    column = list(values)
    column[row] = value
    return pd.Series(column, dtype=object)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (spoilt(X, 7, "much"), r"column 'odd': row 7 is 'much', of type str, in a column of numbers: make it a number"),
        (spoilt(X, 7, datetime.date(2020, 1, 1)), r"row 7 is datetime.date\(2020, 1, 1\), of type date"),
        (spoilt(X, 7, [1.0]), r"row 7 is \[1.0\], of type list"),
        (spoilt(X, 7, np.array([1.0])), r"row 7 is array\(\[1.\]\), of type ndarray"),
        (spoilt(X, 7, b"1.0"), "row 7 is b'1.0', of type bytes"),
        (spoilt(X, 7, 1j), "row 7 is 1j, of type complex"),
        (spoilt(range(COUNT), 7, 2**53 + 1), "row 7 is 9007199254740993, of type int"),
        (pd.array([2**53 + 1, None] * 20, "Int64"), "row 0 is 9007199254740993, of type int"),
        ([2**53 + 1] * COUNT, r"column 'odd' has whole numbers beyond 2\^53, which lose digits"),
        ([-(2**53) - 1] * COUNT, r"beyond 2\^53"),
        (np.full(COUNT, 2**63, np.uint64), r"beyond 2\^53"),
        (pd.date_range("2020", periods=COUNT), r"column 'odd' has the type datetime64.*, expected numbers or words"),
        (pd.to_timedelta(np.arange(COUNT), "D"), "column 'odd' has the type timedelta64"),
        (X + 0j, "column 'odd' has the type complex128"),
    ],
    ids=range(14),
)
def test_odd_values_are_told_with_column_and_row(values, message):
    whole = frame(odd=values)
    with pytest.raises(DataError, match=message):
        from_frame(whole)
    assert from_frame(whole, ignore=["odd"]).encoding.names == ["n", "x"]


def test_large_numbers_with_gaps_are_numbers():
    whole = frame(some=pd.array([1e20, None, -3e200, np.inf] * 10, "Float64"))
    rows = rows_of(from_frame(whole, missing="most_frequent"))[0]
    assert set(rows[:, 2].tolist()) == {1e20, -3e200, np.inf}


def test_numbers_that_are_names():
    whole = frame(code=[10**18 + n % 2 for n in range(COUNT)], yes=X > 0)
    sets = from_frame(whole, categorical=["code", "yes"])
    assert sets.encoding.names[2:] == [f"code={10**18}", f"code={10**18 + 1}", "yes=False", "yes=True"]
    gaps = frame(code=pd.array([10**18, None, 10**18 + 1, 7] * 10, "Int64"))
    for found in (gaps, arrow.table(gaps)):
        sets = from_frame(found, categorical=["code"], missing="mean")
        assert sets.encoding.names[2:] == [f"code={10**18}", f"code={10**18 + 1}", "code=7"]
        with pytest.raises(DataError, match="column 'code': row 0 is 1000000000000000000, of type int"):
            from_frame(found, missing="mean")
    with pytest.raises(DataError, match=r"no column is called 'codes': did you mean 'code'\?"):
        from_frame(whole, categorical=["codes"])
    with pytest.raises(DataError, match=r"no column is called 'codes': did you mean 'code'\?"):
        from_frame(whole, ignore=["codes", "code"])


def test_names_of_columns():
    plain = pd.DataFrame(np.c_[X, X**2, X])
    sets = from_frame(plain, target="2")
    assert sets.encoding.names == ["0", "1"]
    np.testing.assert_array_equal(np.sort(sets.train.targets), np.sort(sets.train.inputs[:, 0]))
    for names in (["a", "a", "y"], [1, "1", "y"]):
        with pytest.raises(DataError, match="two columns are called "):
            from_frame(plain.set_axis(names, axis=1))


def test_a_split_by_a_column_that_is_ignored_as_a_feature():
    whole = frame(patient=[f"patient {n // 4}" for n in range(COUNT)])
    split = GroupedSplit("patient")
    one = from_frame(whole, split=split)
    assert one.fingerprint() == from_frame(whole, split=split, ignore=["patient"]).fingerprint()
    seen = [set(part.inputs[:, 0].astype(int) // 4) for part in one.parts().values()]
    assert sum(map(len, seen)) == COUNT // 4


@pytest.mark.parametrize(
    "given", [np.zeros(3, [("a", float)]), X, {"x": X}, pd.Series(X), pd.DataFrame(), None], ids=range(6)
)
def test_what_has_no_columns_is_refused(given):
    with pytest.raises(DataError, match="mine: expected a DataFrame with columns, found "):
        from_frame(given, name="mine")


def test_a_frame_without_rows():
    with pytest.raises(DataError, match="frame: has no rows"):
        from_frame(frame()[:0])


def test_columns_of_columns_are_refused():
    with pytest.raises(DataError, match=r"column 'x' should have one value a row, found shape \(20, 2\)"):
        from_frame(Frame({"x": np.zeros((20, 2)), "y": np.arange(20)}))
