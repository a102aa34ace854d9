"""Parquet files that stay on disk: what memory they take, and how often a row group is decoded."""

import pickle
import threading

import numpy as np
import psutil
import pyarrow as arrow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow.parquet import ParquetWriter, write_table

import treadle as td
from treadle.data import Encoding, Feature, Prefetch, load
from treadle.data.order import WINDOW, order_of
from treadle.data.sources import parquet
from treadle.data.stored import Subset
from treadle.errors import MemoryLimitError

COUNT = 60


def numbers(count=COUNT):
    return np.random.default_rng(0).normal(size=count)


def columns():
    return {"x": numbers(), "n": np.arange(COUNT), "y": ["no", "yes"] * (COUNT // 2)}


def save(path, found, group=10):
    write_table(arrow.table(found), path, row_group_size=group)
    return path


def memory_of(monkeypatch, amount):
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": amount})())


def test_memory_decides_what_stays_on_disk(tmp_path, monkeypatch):
    path = save(tmp_path / "a.parquet", columns())
    assert type(load(path).train.inputs) is np.ndarray
    memory_of(monkeypatch, 3 * COUNT * 16)  # twice the rows are more than half of it
    assert isinstance(load(path).train.inputs, Subset)
    assert type(load(path, stream=False).train.inputs) is np.ndarray
    memory_of(monkeypatch, COUNT * 16)
    with pytest.raises(MemoryLimitError, match=r"60 rows of 2 features need .* let it stream"):
        load(path, stream=False)
    sets = load(path, stream=True)
    memory_of(monkeypatch, 300)
    with pytest.raises(MemoryLimitError, match=r"row group 0 need .* write the file with smaller row groups"):
        sets.train.inputs[:1]
    memory_of(monkeypatch, 100)
    with pytest.raises(MemoryLimitError, match="the numbers of 60 rows need"):
        load(path)


def counted(monkeypatch):
    """Row groups in the order in which they are decoded from now on."""
    decoded, decode = [], parquet.ParquetRows._decoded

    def count(self, group, size):
        decoded.append(group)
        return decode(self, group, size)

    monkeypatch.setattr(parquet.ParquetRows, "_decoded", count)
    return decoded


@pytest.mark.parametrize("prefetch", [None, Prefetch(batches=6, workers=2)])
@pytest.mark.parametrize("share", [0.1, 0.3, 0.45])
def test_an_epoch_decodes_each_row_group_once(tmp_path, monkeypatch, share, prefetch):
    rows, group = 4000, 100
    found = {"x": numbers(rows), "z": numbers(rows), "y": numbers(rows)}
    window = 4 * group * 16  # bytes of 4 row groups
    monkeypatch.setattr("treadle.data.assemble.WINDOW", window)
    monkeypatch.setattr(parquet, "CACHED", parquet.CACHED * window // WINDOW)
    split = td.data.RandomSplit(validation=share, test=share)
    sets = load(save(tmp_path / "a.parquet", found, group), stream=True, split=split)
    order = order_of(sets.train, 0).indices(0)
    decoded = counted(monkeypatch)
    source = sets.train.inputs.source
    size = 50 if prefetch is None else 5  # what is ahead lies within the next window, however workers are scheduled
    for batch in td.data.batches(sets.train, order, size, prefetch=prefetch):
        np.testing.assert_array_equal(batch.inputs[:, 0], np.float32(sets.train.targets[batch.indices]))
        with source._lock:
            assert sum(held.nbytes for held in source._cache.values()) <= parquet.CACHED
    assert sorted(set(decoded)) == list(range(40))
    assert len(decoded) <= 44
    # a few row groups are shuffled together, and no more
    numbers_of_groups = sets.train.inputs.rows[order] // group
    within = [len(set(numbers_of_groups[begin : begin + 50])) for begin in range(0, len(order) - 50, 50)]
    assert 3 <= np.mean(within) <= 8


def test_a_row_group_larger_than_the_cache_is_decoded_once(tmp_path, monkeypatch):
    monkeypatch.setattr("treadle.data.assemble.WINDOW", 100)
    monkeypatch.setattr(parquet, "CACHED", 200)
    found = {"x": numbers(1050), "z": numbers(1050), "y": numbers(1050)}
    sets = load(save(tmp_path / "a.parquet", found, 100), stream=True)  # the last one has 50
    decoded = counted(monkeypatch)
    for _ in td.data.batches(sets.train, order_of(sets.train, 0).indices(0), 10):
        assert len(sets.train.inputs.source._cache) == 1
    assert sorted(decoded) == list(range(11))


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_a_process_decodes_each_row_group_once_though_it_keeps_fewer(tmp_path, monkeypatch, workers):
    rows, group = 4000, 100
    found = {"x": numbers(rows), "z": numbers(rows), "y": numbers(rows)}
    monkeypatch.setattr("treadle.data.assemble.WINDOW", 4 * group * 16)
    monkeypatch.setattr(parquet, "_CACHED_ALONE", 5 * group * 16)
    sets = load(save(tmp_path / "a.parquet", found, group), stream=True)
    order, expected = order_of(sets.train, 0).indices(0), sets.train.inputs[:]
    decoded = counted(monkeypatch)
    for worker in range(workers):
        stored = pickle.loads(pickle.dumps(sets.train.inputs))
        decoded.clear()
        for begin in range(30 * worker, len(order), 30 * workers):
            chosen = order[begin : begin + 30]
            np.testing.assert_array_equal(stored[chosen], expected[chosen])
        assert sorted(decoded) == list(range(rows // group))


def test_what_is_sent_to_a_process_leaves_no_rows_behind(tmp_path):
    stored = load(save(tmp_path / "a.parquet", columns()), stream=True).train.inputs
    expected = stored[:]
    assert stored.source._cache
    sent = pickle.dumps(stored)
    assert not stored.source._cache
    assert pickle.loads(sent).siblings == ()
    np.testing.assert_array_equal(stored[:], expected)
    np.testing.assert_array_equal(pickle.loads(sent).survey.low, stored.survey.low)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=6).filter(any), st.data())
def test_any_rows_in_any_order_are_those_of_the_file(tmp_path_factory, counts, draw):
    path, rows = tmp_path_factory.mktemp("rows") / "a.parquet", sum(counts)
    words = ["no", "yes", "maybe"]
    found = arrow.table({"x": numbers(rows), "word": [words[row % 3] for row in range(rows)]})
    with ParquetWriter(path, found.schema) as file:
        for end, count in zip(np.cumsum(counts), counts, strict=True):
            file.write_table(found.slice(end - count, count))
    table = parquet.read_parquet(path, stream=True)
    stored = table.rows(Encoding((Feature("x"), Feature("word", tuple(words)))))
    chosen = np.array(draw.draw(st.lists(st.integers(0, rows - 1), max_size=12)), np.int64)
    expected = np.column_stack([numbers(rows), np.eye(3)[np.arange(rows) % 3]])
    np.testing.assert_array_equal(stored[chosen], expected[chosen])


def test_the_sets_of_a_split_are_surveyed_in_one_pass(tmp_path, monkeypatch):
    sets = load(save(tmp_path / "a.parquet", columns()), stream=True)
    decoded = counted(monkeypatch)
    assert sets.train.inputs.survey.low.shape == (2,)
    sets.fingerprint()
    assert decoded == list(range(6))


def test_rows_can_be_sent_to_a_process_and_read_by_threads(tmp_path):
    rows = 3000
    found = {"n": np.arange(rows), "z": numbers(rows), "y": numbers(rows)}
    stored = load(save(tmp_path / "a.parquet", found, 100), stream=True).train.inputs
    expected = stored[:]
    again = pickle.loads(pickle.dumps(stored))
    np.testing.assert_array_equal(again[:], expected)
    order = np.random.default_rng(0).permutation(len(stored))
    read = {}

    def work(begin):
        read[begin] = [stored[order[place : place + 20]] for place in range(begin, len(order), 40)]

    threads = [threading.Thread(target=work, args=(begin,)) for begin in (0, 20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for begin in (0, 20):
        for place, part in zip(range(begin, len(order), 40), read[begin], strict=True):
            np.testing.assert_array_equal(part, expected[order[place : place + 20]])
