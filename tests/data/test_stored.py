"""What stays on disk is indexed, surveyed and cut as an array is."""

import hashlib

import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from treadle.data import Dataset, RandomSplit, Sets, Stored, check, from_arrays
from treadle.data.stored import Subset, digest, stays_on_disk, subsets, taken
from treadle.errors import DataError, MemoryLimitError


class Held(Stored):
    """An array that pretends to be on disk, and counts what is read."""

    def __init__(self, array):
        self.array, self.shape, self.dtype = array, array.shape, array.dtype
        self.read_rows = 0

    def read(self, indices):
        assert isinstance(indices, np.ndarray)
        assert indices.ndim == 1
        self.read_rows += len(indices)
        return self.array[indices]


def table(rows=10, features=3):
    return np.random.default_rng(0).normal(size=(rows, features))


indices = st.one_of(
    st.slices(10),
    st.lists(st.integers(-10, 9), max_size=20).map(lambda found: np.array(found, np.int64)),
    st.lists(st.integers(0, 9), max_size=20).map(lambda found: np.array(found, np.uint8)),
    hnp.arrays(bool, 10),
)


@given(indices)
def test_indexing_is_that_of_numpy(index):
    array = table()
    np.testing.assert_array_equal(Held(array)[index], array[index])
    cut = taken(Held(array), index)
    assert isinstance(cut, Subset)
    assert cut.shape == array[index].shape
    np.testing.assert_array_equal(cut[:], array[index])


@given(indices, st.data())
def test_a_part_of_a_part_is_that_of_the_array(index, data):
    array = table()
    first = taken(Held(array), index)
    expected = array[index]
    second = data.draw(st.one_of(st.slices(len(expected)), hnp.arrays(bool, len(expected))))
    cut = taken(first, second)
    np.testing.assert_array_equal(cut, expected[second])
    assert cut.source is first.source  # parts do not pile up
    assert cut.survey.digest == digest(expected[second])


@pytest.mark.parametrize("step", [2**63, -(2**63) - 1, 10, -10, 11, -11, 3, -3])
@pytest.mark.parametrize("count", [0, 1, 10])
def test_steps_of_any_length(step, count):
    array = table()[:count]
    part = taken(taken(Held(table()), slice(count)), slice(None, None, step))
    np.testing.assert_array_equal(part[:], array[::step])


def test_indices_outside_and_of_another_shape():
    for wrong in ([10], [-11]):
        with pytest.raises(IndexError):
            Held(table())[np.array(wrong)]
    for wrong in (5, np.array([[1]])):
        with pytest.raises(DataError, match=r"sample 5 alone is \[5:6\]"):
            Held(table())[wrong]


@pytest.mark.parametrize("dtype", ["<f8", ">f4", "<f2", "|u1", "<i8", "|b1"])
@pytest.mark.parametrize("shape", [(7, 3), (7, 2, 4, 5), (1, 1), (5, 0), (0, 3)])
def test_a_survey_is_what_numpy_finds(monkeypatch, dtype, shape):
    array = (np.random.default_rng(0).normal(size=shape) * 50).astype(dtype)
    monkeypatch.setattr("treadle.data.stored.PIECE", 50)
    stored = Held(array)
    found = stored.survey
    if len(array):
        np.testing.assert_array_equal(found.low, array.min(axis=0))
        np.testing.assert_array_equal(found.high, array.max(axis=0))
    assert found.odd is None
    header = f"{array.dtype.str}{array.shape}".encode()
    assert found.digest == digest(array) == hashlib.sha256(header + array.tobytes()).hexdigest()
    assert stored.survey is found
    assert stored.read_rows == len(array)
    assert (stored.ndim, stored.size, stored.nbytes) == (array.ndim, array.size, array.nbytes)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("row", [0, 4, 9])
def test_the_first_value_that_is_not_finite_has_its_place(monkeypatch, value, row):
    monkeypatch.setattr("treadle.data.stored.PIECE", 60)
    array = table()
    array[row, 1] = array[9, 2] = value
    place, found = Held(array).survey.odd
    assert place == (row, 1)
    assert str(found) == str(value)
    sets = Sets(
        *(Dataset(Held(array), np.arange(10.0), None, name) for name in ("train", "validation", "test")), "", ""
    )
    assert f"row {row} has the input {value}, expected finite values" in [one.message for one in check(sets)]


def test_the_parts_of_a_split_are_surveyed_in_one_pass(monkeypatch):
    monkeypatch.setattr("treadle.data.stored.PIECE", 100)
    array = table(100)
    stored = Held(array)
    sets = from_arrays(stored, np.arange(100.0), split=RandomSplit(seed=1))
    memory = from_arrays(array, np.arange(100.0), split=RandomSplit(seed=1))
    assert sets.fingerprint() == memory.fingerprint()
    assert str(sets) == str(memory)
    assert stored.read_rows == 100
    for one, other in zip(sets.parts().values(), memory.parts().values(), strict=True):
        np.testing.assert_array_equal(one.inputs.survey.low, other.inputs.min(axis=0))
    nothing, everything = subsets(stored, [np.array([], np.int64), np.arange(100)])
    assert nothing.survey.digest == digest(array[:0])
    assert everything.survey.digest == digest(array)


def test_a_few_samples_are_surveyed_without_reading_the_others():
    stored = Held(table(1000))
    some = Dataset(stored, np.arange(1000.0), None, "train")[np.array([7, 3, 3])]
    np.testing.assert_array_equal(some.inputs.survey.low, stored.array[[3, 7]].min(axis=0))
    assert some.inputs.survey.digest == digest(stored.array[[7, 3, 3]])
    assert stored.read_rows == 3


def test_slices_of_a_set_stay_on_disk():
    array = table(50)
    stored = Held(array)
    rows = Dataset(stored, np.arange(50.0), None, "train", (20, 30))
    cut = rows[10:40][np.arange(30)[::-1]][:5]
    assert isinstance(cut.inputs, Subset)
    assert stored.read_rows == 0
    np.testing.assert_array_equal(cut.inputs, array[[39, 38, 37, 36, 35]])
    assert cut.targets.tolist() == [39, 38, 37, 36, 35]
    assert cut.blocks is None


def test_all_samples_as_an_array_where_memory_holds_them(monkeypatch):
    array = table()
    np.testing.assert_array_equal(np.asarray(Held(array)), array)
    assert np.asarray(Held(array), np.float32).dtype == np.float32
    np.testing.assert_array_equal(np.concatenate([Held(array), array]), np.concatenate([array, array]))
    assert [sample.tolist() for sample in Held(array)] == array.tolist()
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": array.nbytes - 1})())
    with pytest.raises(MemoryLimitError, match=r"10 samples of shape \(3,\) need .* take some with a slice"):
        np.asarray(Held(array))
    assert not stays_on_disk(None, array.nbytes // 2 - 1)
    assert stays_on_disk(None, array.nbytes // 2)
    assert (stays_on_disk(True, 0), stays_on_disk(False, 2**60)) == (True, False)
