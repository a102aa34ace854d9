import gzip
import tracemalloc

import numpy as np
import pyarrow as arrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow.parquet import write_table

from treadle.data import Encoding, Feature, Table, encoded_rows, read_delimited
from treadle.data.sources import delimited
from treadle.errors import DataError

ENCODING = Encoding((Feature("size"), Feature("city", ("Oslo", "Rome"), "Rome"), Feature("code", ("01", "2"))))
TEXT = "name,code,size,city\na,01,1.5,Rome\nb,2,-3,Oslo\nc,01,0,?\n"
ROWS = [[1.5, 0, 1, 1, 0], [-3, 1, 0, 0, 1], [0, 0, 1, 1, 0]]


def write(path, text):
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "wt", encoding="utf-8") as file:
        file.write(text)
    return path


def everything(found):
    pieces = list(found.pieces)
    return np.concatenate([places for places, _ in pieces]), np.concatenate([rows for _, rows in pieces])


@pytest.mark.parametrize(
    ("name", "change", "settings"),
    [
        ("a.csv", ",", {}),
        ("a.csv.gz", ",", {}),
        ("a.tsv", "\t", {}),
        ("a.csv", ";", {"delimiter": ";"}),
    ],
)
def test_columns_are_taken_by_name_and_encoded_as_in_training(tmp_path, name, change, settings):
    found = encoded_rows(write(tmp_path / name, TEXT.replace(",", change)), ENCODING, **settings)
    lines, rows = everything(found)
    assert (found.unit, found.unused, lines.tolist()) == ("line", ("name",), [2, 3, 4])
    np.testing.assert_array_equal(rows, ROWS)


def test_a_file_without_a_header(tmp_path):
    encoding = Encoding((Feature("0"), Feature("2")))
    found = encoded_rows(write(tmp_path / "a.csv", "1,x,3\n4,y,6\n"), encoding, header=False)
    lines, rows = everything(found)
    assert (found.unused, lines.tolist(), rows.tolist()) == (("1",), [1, 2], [[1, 3], [4, 6]])
    with pytest.raises(
        DataError, match=r"has no column '2', .* must stand where they stood in training, the target inc"
    ):
        encoded_rows(write(tmp_path / "a.csv", "1,3\n"), encoding, header=False)


@pytest.mark.parametrize("code", [["01", "2", "01"], arrow.array(["01", "2", "01"]).dictionary_encode()])
def test_parquet(tmp_path, code):
    columns = {"size": [1.5, -3, 0], "name": ["a", "b", "c"], "city": ["Rome", "Oslo", None], "code": code}
    write_table(arrow.table(columns), tmp_path / "a.parquet", row_group_size=2)
    found = encoded_rows(tmp_path / "a.parquet", ENCODING)
    numbers, rows = everything(found)
    assert (found.unit, found.unused, numbers.tolist()) == ("row", ("name",), [0, 1, 2])
    np.testing.assert_array_equal(rows, ROWS)


def test_pieces_make_no_difference_and_are_read_one_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(delimited, "_BLOCK", 7)
    values = np.random.default_rng(0).normal(size=50)
    path = write(tmp_path / "a.csv", "x\n" + "".join(f"{value!r}\n" for value in values.tolist()) + "bad\n")
    found = encoded_rows(path, Encoding((Feature("x"),)))
    read = [next(found.pieces) for _ in range(7)]
    np.testing.assert_array_equal(np.concatenate([rows for _, rows in read])[:, 0], values[:49])
    assert np.concatenate([lines for lines, _ in read]).tolist() == list(range(2, 51))
    with pytest.raises(DataError, match=r"line 52: 'x' has numbers in training, and here 'bad'"):
        next(found.pieces)


def test_memory_does_not_grow_with_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(delimited, "_BLOCK", 1_000)
    encoding = Encoding((Feature("a"), Feature("b")))
    peaks = []
    for count in (3_000, 20_000):
        path = write(tmp_path / "a.csv", "a,b\n" + "1.5,2.5\n" * count)
        tracemalloc.start()
        assert sum(len(rows) for _, rows in encoded_rows(path, encoding).pieces) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name,size\na,1\n", r"a\.csv: has no column 'city', 'code', which the network was trained on; there are name"),
        ("size,city,code\n1,Bergen,01\n", r"line 2: 'city' is 'Bergen', which no training row has"),
        ("size,city,code\n1,Oslo,01\n2,Oslo,1\n", r"line 3: 'code' is '1', which no training row has"),
        ("size,city,code\n1,Oslo,01\n,Oslo,01\n", r"line 3: 'size' has no value: fill it in"),
        ("size,city,code\n1,Oslo,01\nx,Oslo,01\n", r"line 3: 'size' has numbers in training, and here 'x'"),
        ("size,city,code\n1,Oslo\n", r"line 2: expected 3 fields, found 2"),
        ("size,city,code\n", r"has the names of its columns and no rows"),
        ("", r"the file is empty"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, text, expected):
    with pytest.raises(DataError, match=expected):
        everything(encoded_rows(write(tmp_path / "a.csv", text), ENCODING))


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"size": [1.0]}, r"has no column 'city', 'code'"),
        ({"size": ["x"], "city": ["Oslo"], "code": ["01"]}, r"column 'size' should have numbers, found words"),
        ({"size": [1.0], "city": ["Oslo"], "code": [1]}, r"row 0: 'code' is '1', which no training row has"),
        ({"size": [None], "city": ["Oslo"], "code": ["2"]}, r"row 0: 'size' has no value"),
    ],
)
def test_what_does_not_fit_in_parquet_is_named(tmp_path, columns, expected):
    write_table(arrow.table(columns), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=expected):
        everything(encoded_rows(tmp_path / "a.parquet", ENCODING))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.sampled_from("ab")), min_size=1, max_size=30), st.randoms())
def test_any_table_in_any_order_of_columns_gives_what_its_encoding_gives(tmp_path_factory, drawn, random):
    path = tmp_path_factory.mktemp("any") / "a.csv"
    columns = {"x": [repr(x) for x, _ in drawn], "y": [y for _, y in drawn], "z": ["9"] * len(drawn)}
    names = list(columns)
    random.shuffle(names)
    lines = [",".join(names), *(",".join(row) for row in zip(*(columns[name] for name in names), strict=True))]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    encoding = Encoding((Feature("x"), Feature("y", ("a", "b"))))
    table = read_delimited(path)
    assert isinstance(table, Table)
    np.testing.assert_array_equal(everything(encoded_rows(path, encoding))[1], encoding.apply(table))
