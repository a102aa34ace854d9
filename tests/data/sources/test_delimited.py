import csv
import gzip
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle.data import read_delimited
from treadle.errors import DataError


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return path


def test_columns_of_numbers_and_words(tmp_path):
    text = '\ufeffage,city,note\r\n 30 ,Oslo,"a, ""b""\nc"\r\n,NA,x\r\n-1e3,Ålesund,\r\n\r\n'
    table = read_delimited(write(tmp_path / "a.csv", text))
    assert list(table.columns) == ["age", "city", "note"]
    np.testing.assert_array_equal(table.columns["age"], [30, np.nan, -1000])
    assert table.columns["city"].tolist() == ["Oslo", "", "Ålesund"]
    assert table.columns["note"].tolist() == ['a, "b"\nc', "x", ""]
    assert table.lines.tolist() == [2, 4, 5]


def test_tabs_semicolons_gzip_and_no_header(tmp_path):
    for name, text, settings in (
        ("a.tsv", "x\ty\n1\t2\n", {}),
        ("a.csv", "x;y\n1;2\n", {"delimiter": ";"}),
        ("a.csv.gz", gzip.compress(b"x,y\n1,2\n"), {}),
        ("a.TSV", "1\t2\n", {"header": False}),
    ):
        table = read_delimited(write(tmp_path / name, text), **settings)
        assert [column.tolist() for column in table.columns.values()] == [[1], [2]]
        assert list(table.columns) == (["0", "1"] if settings.get("header") is False else ["x", "y"])


def test_numbers_that_are_words(tmp_path):
    path = write(tmp_path / "a.csv", "code,x\n0150,1\n,2\n")
    assert read_delimited(path, words=["code"]).columns["code"].tolist() == ["0150", ""]
    assert read_delimited(path).columns["code"][0] == 150
    with pytest.raises(DataError, match="no column is called 'cod': did you mean 'code'"):
        read_delimited(path, words=["cod"])


def test_values_may_begin_late_and_in_another_block(tmp_path, monkeypatch):
    monkeypatch.setitem(read_delimited.__globals__, "_BLOCK", 2)
    path = write(
        tmp_path / "a.csv", "x,w,n\n" + "".join(f"{'' if i < 5 else i},{'' if i < 3 else 'v'},\n" for i in range(9))
    )
    table = read_delimited(path)
    np.testing.assert_array_equal(table.columns["x"], [np.nan] * 5 + [5, 6, 7, 8])
    assert table.columns["w"].tolist() == [""] * 3 + ["v"] * 6
    assert np.isnan(table.columns["n"]).all()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the file is empty"),
        ("x,y\n", "no rows"),
        ("x,y\n1,2\n3\n", "line 3: expected 2 fields, found 1"),
        ("x,y\n1,2,3\n", "line 2: expected 2 fields, found 3"),
        ('x,y\n"1\n2",3\n4\n', "line 4: expected 2 fields, found 1"),
        ("x;y\n1;2,5\n", "line 2: expected 1 fields, found 2; is ',' between the fields"),
        ("x,y\n1,2\n\n3,4\n", "line 3: empty, and rows follow it"),
        (b"x,y\n1,\x002\n", "line 2: has a byte 0"),
        (b"x,y\n1,2\nS\xe3o,3\n", "line 3: byte 1 is not UTF-8"),
        ('x,y\n1,"2\n3,4\n', "line 2: a quote is opened and not closed"),
        ('x,y\n1,"2"3\n', "line 2: "),
        ("x,y\n1," + "9" * 70_000 + "\n", "line 2: field 2 is longer than 65,536 characters"),
        ("x,y\n1," + "9" * 1_100_000 + "\n", "line 2: longer than 1,048,576 bytes"),
        ("x,x\n1,2\n", "line 1: two columns are called 'x'"),
        ("x,\n1,2\n", "line 1: column 2 has no name"),
        ("1,2\n3,4\n", "line 1: names of columns are expected, found numbers: set header to false"),
        ("x,y\n1,2\n3,abc\n", "line 3: 'y' has numbers before, and here 'abc'"),
        ("x,y\n1,abc\n3,4\n", "line 3: 'y' has words before, and here the number 4"),
        ("x,y\n1,2\n3,1_000\n", "line 3: 'y' has numbers before, and here '1_000'"),
        ("x,y\n1,2\n3,9007199254740993\n", "line 3: 'y' is 9007199254740993, and whole numbers beyond"),
        ("x,y\n1,2\n3,inf\n", "line 3: 'y' has numbers before, and here 'inf'"),
        ("x,y\n1,2\n3," + "0" * 5000 + "9007199254740993\n", "line 3: 'y' is 0000.*, and whole numbers beyond"),
    ],
    ids=range(22),
)
def test_bad_files_are_told_with_the_line(tmp_path, content, message):
    path = write(tmp_path / "a.csv", content)
    with pytest.raises(DataError, match=message) as error:
        read_delimited(path)
    assert str(path) in str(error.value)
    assert len(str(error.value)) < 1000


def test_bombs_and_damage_of_gzip(tmp_path):
    bomb = write(tmp_path / "a.csv.gz", gzip.compress(b"x\n" + b"1\n" * 1_000_000))
    with pytest.raises(DataError, match="longer than the limit of bytes"):
        read_delimited(bomb, limit_bytes=1_000_000)
    with pytest.raises(DataError, match="longer than 1,048,576 bytes"):
        read_delimited(write(tmp_path / "b.csv.gz", gzip.compress(b"x\n" + b"1" * 100_000_000)))
    with pytest.raises(DataError, match="truncated gzip"):
        read_delimited(write(tmp_path / "c.csv.gz", bomb.read_bytes()[:-20]))


def test_digits_beyond_what_python_converts_are_a_number_where_they_are_zeros(tmp_path):
    path = write(tmp_path / "a.csv", "x,y\n1,2\n3," + "0" * 5000 + "9007199254740994\n")
    assert read_delimited(path).columns["y"][1] == 9007199254740994


def test_a_row_spread_over_many_lines_is_bounded_and_so_is_a_block_of_long_rows(tmp_path, monkeypatch):
    bomb = write(tmp_path / "a.csv.gz", gzip.compress(b"a,b\n" + b'"\n1",' * 1_000_000, 1))
    with pytest.raises(DataError, match="line 209717: its row is longer than 1,048,576 bytes: is a quote not closed"):
        read_delimited(bomb)
    monkeypatch.setitem(read_delimited.__globals__, "_BLOCK_FIELDS", 5)
    table = read_delimited(write(tmp_path / "b.csv", "x,y\n" + "".join(f"{i},{-i}\n" for i in range(9))))
    assert table.columns["y"].tolist() == [-i for i in range(9)]


def test_a_hundred_thousand_columns_are_read(tmp_path):
    names = [f"c{number}" for number in range(100_000)]
    table = read_delimited(write(tmp_path / "a.csv", ",".join(names) + "\n" + ",".join("1" * len(names)) + "\n"))
    assert list(table.columns) == names
    with pytest.raises(DataError, match="two columns are called 'c5'"):
        read_delimited(write(tmp_path / "b.csv", ",".join([*names, "c5"]) + "\n"))


@pytest.mark.parametrize("delimiter", ["", ",,", '"', "\n"])
def test_a_delimiter_is_one_character(tmp_path, delimiter):
    with pytest.raises(DataError, match="delimiter should be one character"):
        read_delimited(write(tmp_path / "a.csv", "x\n1\n"), delimiter=delimiter)


words = st.text(st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=["Cs"]), max_size=8).map(
    lambda text: "w" + text.strip()
)
numbers = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(st.tuples(words, numbers), min_size=1, max_size=20), st.sampled_from(",;\t|"))
def test_what_the_csv_module_writes_is_read_back(tmp_path_factory, rows, delimiter):
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerow(["word", "number"])
    writer.writerows((word.replace("\r", ""), repr(number)) for word, number in rows)
    path = write(tmp_path_factory.mktemp("csv") / "a.csv", text.getvalue())
    table = read_delimited(path, delimiter=delimiter, words=["word"])
    assert table.columns["word"].tolist() == [word.replace("\r", "").strip() for word, _ in rows]
    assert table.columns["number"].tolist() == [number for _, number in rows]


@given(st.binary(max_size=200))
def test_any_bytes_are_a_table_or_an_error(tmp_path_factory, content):
    path = write(tmp_path_factory.mktemp("csv") / "a.csv", content)
    try:
        table = read_delimited(path)
    except DataError:
        return
    assert len(table) > 0
    assert all(len(column) == len(table) for column in table.columns.values())
