"""Parquet files: the same sets on disk as in memory, and what is wrong with a file told with its place."""

import datetime
import decimal
import sys

import numpy as np
import pandas as pd
import pyarrow as arrow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow.parquet import ParquetWriter, write_table

import treadle as td
from small_sets import SGD, digest, same_history
from treadle.data import GroupedSplit, load, load_parquet, read_parquet
from treadle.data.sources import parquet
from treadle.data.stored import Stored
from treadle.errors import DataError, MemoryLimitError, TreadleError

COUNT = 60


def numbers(count=COUNT, seed=0):
    return np.random.default_rng(seed).normal(size=count)


def columns(**more):
    return {"x": numbers(), "n": np.arange(COUNT), **more, "y": ["no", "yes"] * (COUNT // 2)}


def save(path, found, group=10):
    table = found if isinstance(found, arrow.Table) else arrow.table(found)
    write_table(table, path, row_group_size=group)
    return path


def rows_of(sets):
    """All rows in the order of one split, from memory or disk."""
    return np.concatenate([np.asarray(part.inputs) for part in sets.parts().values()])


def both(path, **settings):
    """Sets that stay on disk; those in memory have the same bits."""
    disk, memory = load(path, stream=True, **settings), load(path, stream=False, **settings)
    for one, other in zip(disk.parts().values(), memory.parts().values(), strict=True):
        assert isinstance(one.inputs, Stored)
        assert type(other.inputs) is np.ndarray
        assert (one.inputs.shape, one.inputs.dtype, one.inputs.nbytes) == (
            other.inputs.shape,
            other.inputs.dtype,
            other.inputs.nbytes,
        )
        assert one.inputs[:].tobytes() == other.inputs.tobytes()
        assert (one.targets.tobytes(), one.targets.dtype) == (other.targets.tobytes(), other.targets.dtype)
        assert (one.classes, one.name) == (other.classes, other.name)
        assert (one.blocks, one.window) == (other.blocks, other.window)
    assert disk.encoding == memory.encoding
    assert disk.fingerprint() == memory.fingerprint()
    return disk


def test_rows_are_those_of_pandas(tmp_path):
    kinds = ["p", "q", "r"] * (COUNT // 3)
    found = columns(
        narrow=arrow.array(numbers(seed=1), arrow.float32()),
        yes=numbers(seed=2) > 0,
        word=kinds,
        coded=arrow.array(kinds).dictionary_encode(),
        price=arrow.array([decimal.Decimal(n) / 8 for n in range(COUNT)], arrow.decimal128(8, 3)),
        byte=arrow.array(np.arange(COUNT), arrow.uint8()),
        viewed=arrow.array(kinds, arrow.string_view()),
    )
    path = save(tmp_path / "a.parquet", found)
    sets = both(path)
    frame = pd.read_parquet(path).drop(columns="y").astype({"price": float})
    expected = pd.get_dummies(frame, columns=["word", "coded", "viewed"], prefix_sep="=", dtype=float)
    assert sorted(sets.encoding.names) == sorted(expected.columns)
    order = expected["n"].to_numpy()[np.argsort(rows_of(sets)[:, 1]).argsort()]
    np.testing.assert_array_equal(rows_of(sets), expected[sets.encoding.names].to_numpy(float)[order.astype(int)])
    for part in sets.parts().values():
        assert part.labels.tolist() == (part.inputs[:][:, 1] % 2).tolist()
    assert "stays on disk" in sets.origin


@pytest.mark.parametrize("kind", ["float16", "float32", "int8", "uint16", "bool", "int32", "float64", "int64"])
def test_float32_is_kept_where_it_holds_every_value(tmp_path, kind):
    values = (numbers() * 50).astype(kind)
    sets = both(save(tmp_path / "a.parquet", {"x": values, "y": numbers(seed=1)}))
    assert sets.train.inputs.dtype == (np.float64 if kind in ("int32", "float64", "int64") else np.float32)
    assert sorted(rows_of(sets)[:, 0]) == sorted(values.astype(float))


@pytest.mark.parametrize("group", [1, 7, 60, 1000])
@pytest.mark.parametrize("classes", [True, False])
def test_training_has_the_same_bits_from_disk(tmp_path, group, classes):
    target = ["no", "yes"] * (COUNT // 2) if classes else numbers(seed=9)
    path = save(
        tmp_path / "a.parquet", {"x": numbers(), "z": numbers(seed=1), "w": ["p", "q"] * 30, "y": target}, group
    )
    sets = both(path)
    runs = []
    for stream in (True, False):
        loss, network = ("cross_entropy", "softmax") if classes else ("squared_error", td.nn.Linear(1))
        runs.append(
            td.fit(
                network,
                load(path, stream=stream),
                loss=loss,
                optimizer=SGD,
                scale="standard",
                batch_size=7,
                epochs=3,
            )
        )
    assert digest(runs[0].parameters) == digest(runs[1].parameters)
    assert same_history(*runs)
    assert runs[0].input_range == runs[1].input_range
    some = sets.test.inputs
    assert runs[0].predict(some).tobytes() == runs[1].predict(some[:]).tobytes()


@pytest.mark.parametrize(
    ("missing", "filled"), [("mean", np.mean), ("median", np.median), ("most_frequent", lambda known: known.min())]
)
def test_nulls_are_filled_from_the_training_rows(tmp_path, missing, filled):
    x, words = list(numbers()), ["p", "q", "p"] * 20
    for row in range(0, COUNT, 9):
        x[row], words[row] = None, None
    x[5] = float("nan")
    path = save(tmp_path / "a.parquet", columns(x=x, word=words))
    with pytest.raises(DataError, match=r"a\.parquet: row 0, and 7 more: 'x' has no value: fill it in, or state a"):
        load(path)
    sets = both(path, missing=missing)
    values = np.array([np.nan if value is None else value for value in x])
    train = sets.train.inputs[:]
    kept = values[train[:, 1].astype(int)]
    expected = filled(kept[~np.isnan(kept)])
    found = rows_of(sets)
    np.testing.assert_allclose(found[:, 0], np.where(np.isnan(values), expected, values)[found[:, 1].astype(int)])
    assert found[:, 2].sum() == 40 + sum(words[row] is None and row % 3 == 1 for row in range(COUNT))


def test_a_target_or_a_group_without_value_is_told_with_its_row(tmp_path):
    spoilt = ["no", "yes"] * 30
    spoilt[33] = None
    path = save(tmp_path / "a.parquet", {"z": numbers(), "x": numbers(), "y": spoilt})
    with pytest.raises(DataError, match=r"a\.parquet: row 33: the target 'y' has no value"):
        load(path)
    with pytest.raises(DataError, match=r"row 33: the group 'y' has no value"):
        load(path, target="x", split=GroupedSplit("y"))


def test_a_word_that_no_training_row_has_is_told_with_its_row(tmp_path):
    sets = load(save(tmp_path / "a.parquet", columns()), stream=False)
    row = int(sets.test.inputs[0, 1])
    words = ["p"] * COUNT
    words[row] = "odd"
    path = save(tmp_path / "b.parquet", columns(word=words))
    with pytest.raises(DataError, match=rf"b\.parquet: row {row}: 'word' is 'odd', which no training row has"):
        load(path, stream=False)
    streamed = load(path, stream=True)
    with pytest.raises(DataError, match=rf"b\.parquet: row {row}: 'word' is 'odd', which no training row has"):
        td.fit("softmax", streamed, loss="cross_entropy", optimizer=SGD, epochs=1)


def test_numbers_that_are_names(tmp_path):
    codes = [10**18 + n % 3 for n in range(COUNT)]
    path = save(tmp_path / "a.parquet", columns(code=codes))
    with pytest.raises(DataError, match=r"a\.parquet: column 'code' has whole numbers beyond 2\^53, which lose digits"):
        load(path)
    sets = both(path, categorical=["code"])
    assert sets.encoding.names == ["x", "n", *(f"code={code}" for code in sorted(set(codes)))]
    assert both(path, ignore=["code"]).train.shape == (2,)
    whole = save(tmp_path / "b.parquet", columns(z=[2**53 - n for n in range(COUNT)]))
    assert sorted(rows_of(both(whole))[:, 2].astype(np.int64)) == [2**53 - n for n in range(COUNT)][::-1]
    mixed = save(tmp_path / "c.parquet", columns(yes=[True, False] * 30, part=[0.5, None, float("nan")] * 20))
    names = both(mixed, categorical=["yes", "part"], missing="most_frequent").encoding.names
    assert names[2:] == ["yes=False", "yes=True", "part=0.5"]
    with pytest.raises(DataError, match=r"no column is called 'codes': did you mean 'code'\?"):
        load(path, categorical=["codes"])


ODD = {
    "timestamp": arrow.array([datetime.datetime(2020, 1, 1)] * COUNT),
    "list": arrow.array([[1, 2]] * COUNT),
    "struct": arrow.array([{"x": 1.0}] * COUNT),
    "binary": arrow.array([b"1"] * COUNT),
    "duration": arrow.array([datetime.timedelta(1)] * COUNT),
}


@pytest.mark.parametrize("kind", ODD)
def test_other_kinds_of_columns_are_named_unless_they_are_ignored(tmp_path, kind):
    path = save(tmp_path / "a.parquet", columns(odd=ODD[kind]))
    message = rf"a\.parquet: column 'odd' has the type {kind}.*, expected numbers or words: leave it out with ignore"
    with pytest.raises(DataError, match=message):
        load(path)
    assert both(path, ignore=["odd"]).encoding.names == ["x", "n"]


def test_names_of_columns_are_taken_as_they_are(tmp_path):
    names = ["a.b", "a", "two words", "größe 数", "x=1", "[0]"]
    values = dict(zip(names, (numbers(seed=seed) for seed in range(6)), strict=True))
    sets = both(save(tmp_path / "a.parquet", columns(**values)))
    assert sets.encoding.names == ["x", "n", *names]
    found = rows_of(sets)
    for place, name in enumerate(names):
        np.testing.assert_array_equal(found[:, 2 + place], values[name][found[:, 1].astype(int)])
    nested = save(tmp_path / "b.parquet", columns(**{"a": ODD["struct"], "a.x": values["a"]}))
    assert sorted(rows_of(both(nested, ignore=["a"]))[:, 2]) == sorted(values["a"])
    twice = arrow.table([numbers(), numbers(), numbers()], names=["x", "x", "y"])
    with pytest.raises(DataError, match=r"b\.parquet: two columns are called 'x'"):
        load(save(tmp_path / "b.parquet", twice))


def test_a_split_by_groups(tmp_path):
    patients = [f"patient {n // 4}" for n in range(COUNT)]
    sets = both(save(tmp_path / "a.parquet", columns(patient=patients)), split=GroupedSplit("patient"))
    assert sets.encoding.names == ["x", "n"]
    seen = [{patients[int(n)] for n in part.inputs[:][:, 1]} for part in sets.parts().values()]
    assert sum(map(len, seen)) == len(set(patients)) == len(set.union(*seen))


def test_row_groups_that_are_empty(tmp_path):
    schema = arrow.schema({"x": arrow.float64(), "n": arrow.int64(), "y": arrow.string()})
    whole = arrow.table(columns(), schema=schema)
    with ParquetWriter(tmp_path / "a.parquet", schema) as writer:
        for begin, end in ((0, 0), (0, 25), (25, 25), (25, 25), (25, 60), (60, 60)):
            writer.write_table(whole[begin:end])
    sets = both(tmp_path / "a.parquet")
    assert sorted(rows_of(sets)[:, 1]) == list(range(COUNT))
    assert [bool(count) for count in sets.train.blocks] == [False, True, False, False, True, False]
    assert sets.fingerprint() == load(save(tmp_path / "b.parquet", columns(), 1000)).fingerprint()


def test_files_without_rows(tmp_path):
    for table in (arrow.table({"x": numbers(), "y": numbers()})[:0], arrow.table({})):
        with pytest.raises(DataError, match=r"a\.parquet: has no rows"):
            load(save(tmp_path / "a.parquet", table))
    for content in (b"", b"PAR1", b"x,y\n1,2\n", b"PAR1" * 10):
        (tmp_path / "a.parquet").write_bytes(content)
        with pytest.raises(DataError, match=r"a\.parquet: damaged, or no Parquet file: "):
            load(tmp_path / "a.parquet")
    with pytest.raises(DataError, match="expected a file"):
        load_parquet(tmp_path)


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    path = tmp_path_factory.mktemp("valid") / "a.parquet"
    save(path, columns(word=["p", "q", None] * 20))
    return path.read_bytes()


@given(st.data())
def test_any_changed_byte_gives_rows_or_an_error_that_names_the_file(tmp_path_factory, content, data):
    spoilt = bytearray(content)
    for _ in range(data.draw(st.integers(1, 3))):
        spoilt[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("spoilt") / "spoilt.parquet"
    path.write_bytes(bytes(spoilt[: data.draw(st.integers(len(content) - 40, len(content)))]))
    for stream in (True, False):
        try:
            message = f"{path}: {len(rows_of(load(path, stream=stream, missing='mean')))} rows"
        except (DataError, MemoryLimitError) as error:
            message = str(error)
        assert "spoilt.parquet: " in message


def test_a_truncated_file(tmp_path, content):
    for length in range(0, len(content), 97):
        (tmp_path / "a.parquet").write_bytes(content[:length])
        with pytest.raises(DataError, match=r"a\.parquet: damaged, or no Parquet file"):
            load(tmp_path / "a.parquet")


def test_counts_of_rows_that_lie(tmp_path, monkeypatch):
    path = save(tmp_path / "a.parquet", columns())
    table = read_parquet(path)
    encoding = td.data.Encoding.fit(table, ["x", "n"], np.arange(COUNT))
    for edges in ([0, 11, COUNT], [0, 9, COUNT]):
        rows = parquet.ParquetRows(path, encoding, frozenset(), np.array(edges))
        with pytest.raises(DataError, match=r"a\.parquet: damaged: row group 0 should have \d+ rows"):
            rows[np.array([0])]
    table.columns.count = COUNT + 1
    with pytest.raises(DataError, match=r"damaged: column 'y' has 60 of 61 values"):
        table.column("y")


def test_a_file_that_goes_away_is_named(tmp_path):
    path = save(tmp_path / "a.parquet", columns())
    sets = load(path, stream=True)
    path.unlink()
    with pytest.raises(DataError, match=r"a\.parquet"):
        sets.train.inputs[:3]


def test_without_pyarrow_the_extra_is_named(tmp_path, monkeypatch):
    path = save(tmp_path / "a.parquet", columns())
    for name in [name for name in sys.modules if name.partition(".")[0] == "pyarrow"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(TreadleError, match=r"a\.parquet: Parquet needs pyarrow: pip install 'treadle\[tables\]'"):
        load(path)


def test_more_memory_than_there_is_names_the_file(tmp_path, monkeypatch):
    def fail(*arguments, **settings):
        raise arrow.lib.ArrowMemoryError("malloc of size 1 failed")

    path = save(tmp_path / "a.parquet", columns())
    sets = load(path, stream=True)
    monkeypatch.setattr("pyarrow.parquet.ParquetFile.iter_batches", fail)
    with pytest.raises(MemoryLimitError, match=r"a\.parquet: needs more memory than there is.*malloc of size 1 failed"):
        sets.train.inputs[:1]


def test_many_names(tmp_path):
    wide = {f"column {n}": np.arange(20.0) + n for n in range(300)}
    sets = both(save(tmp_path / "a.parquet", {**wide, "y": np.arange(20) % 2}), classes=True)
    assert sets.train.shape == (300,)
    with pytest.raises(DataError, match="no column is called 'column 301'"):
        load(tmp_path / "a.parquet", ignore=["column 301"])
