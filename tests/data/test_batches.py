import tracemalloc

import numpy as np
import pytest

from treadle.data import Dataset, MinMax, batches
from treadle.errors import DataError


def digits(n: int = 10) -> Dataset:
    inputs = (np.arange(n, dtype=np.uint8)[:, None, None, None] * np.ones((1, 1, 2, 2), np.uint8)).astype(np.uint8)
    return Dataset(inputs, np.arange(n) % 3, ("a", "b", "c"), "train")


def test_batches_hold_scaled_inputs_labels_and_sample_numbers():
    data = digits()
    order = np.array([9, 0, 4, 2, 7])
    first, second, last = batches(data, order, 2, MinMax().fit(data.inputs))
    assert first.inputs.shape == (2, 1, 2, 2)
    assert first.inputs.dtype == np.float32
    assert first.inputs[:, 0, 0, 0].tolist() == [1, 0]
    assert second.targets.tolist() == [1, 2]
    assert second.targets.dtype == np.int64
    assert last.indices.tolist() == [7]


def test_drop_last_and_dtype():
    got = list(batches(digits(), np.arange(5), 2, drop_last=True, dtype=np.float64))
    assert [batch.indices.tolist() for batch in got] == [[0, 1], [2, 3]]
    assert got[0].inputs.dtype == np.float64


def test_targets_of_a_regression_take_the_dtype():
    rows = Dataset(np.zeros((3, 2)), np.arange(3.0), None, "train")
    assert next(batches(rows, np.arange(3), 3)).targets.dtype == np.float32


def test_memory_holds_one_batch():
    data = Dataset(np.zeros((20_000, 784), np.uint8), np.zeros(20_000, np.int64), ("a",), "train")
    indices = np.arange(20_000)
    tracemalloc.start()
    try:
        for _ in batches(data, indices, 64):
            pass
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * 64 * 784 * 4 + 200_000


@pytest.mark.parametrize(
    ("indices", "batch_size", "message"),
    [
        ([0, 10], 2, "index 10 is outside its 10 samples"),
        ([-1], 2, "index -1 is outside"),
        ([0], 0, "1 or more"),
        ([0.0], 1, "integers of shape"),
        ([[0]], 1, "integers of shape"),
    ],
)
def test_bad_arguments_are_refused_before_the_first_batch(indices, batch_size, message):
    with pytest.raises(DataError, match=message):
        batches(digits(), np.array(indices), batch_size)


def test_an_empty_set_and_a_batch_size_that_drops_everything_are_refused():
    with pytest.raises(DataError, match="empty set"):
        batches(digits(0), np.arange(0), 1)
    with pytest.raises(DataError, match="leaves none"):
        batches(digits(), np.arange(3), 4, drop_last=True)
