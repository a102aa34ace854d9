import dataclasses

import numpy as np
import pytest

from treadle.data import Dataset, Sets
from treadle.errors import DataError


def images(n: int, name: str = "train") -> Dataset:
    return Dataset(np.arange(n * 4, dtype=np.uint8).reshape(n, 1, 2, 2), np.arange(n) % 2, ("even", "odd"), name)


def sets(n: int = 6) -> Sets:
    return Sets(images(n), images(2, "validation"), images(2, "test"), "tiny", "made up")


def test_a_slice_shares_memory_and_an_index_array_selects():
    data = images(6)
    assert np.shares_memory(data[1:3].inputs, data.inputs)
    picked = data[np.array([4, 0])]
    assert picked.targets.tolist() == [0, 0]
    np.testing.assert_array_equal(picked.inputs, data.inputs[[4, 0]])
    assert len(picked) == 2
    assert picked.shape == (1, 2, 2)


def test_one_number_is_no_index():
    with pytest.raises(DataError, match=r"\[5:6\]"):
        images(6)[5]


def test_rows_of_features_have_no_images_and_numbers_no_labels():
    rows = Dataset(np.zeros((3, 4)), np.zeros(3), None, "train")
    with pytest.raises(DataError, match="rows of features"):
        _ = rows.images
    with pytest.raises(DataError, match="no labels"):
        _ = rows.labels
    assert images(3).images.shape == (3, 1, 2, 2)
    assert "regression" in repr(rows)
    assert "2 classes" in repr(images(3))


def test_a_dataset_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        images(2).name = "other"


def test_the_table_names_what_a_person_checks():
    table = repr(sets())
    for text in ("made up", "(1, 2, 2)", "uint8", "0..23", "int64", "even", "odd", "validation"):
        assert text in table
    set_rows = table.split("\n\n")[0].splitlines()[1:]
    assert len({len(line) for line in set_rows}) == 1  # aligned


def test_the_table_shows_empty_sets_numbers_and_many_classes():
    rows = Dataset(np.zeros((0, 2)), np.zeros(0), None, "train")
    assert "empty" in repr(Sets(rows, rows, rows, "a", "b"))
    many = Dataset(np.zeros((40, 2)), np.arange(40), tuple(f"c{i}" for i in range(40)), "train")
    assert "(20 more)" in repr(Sets(many, many, many, "a", "b"))


def test_the_fingerprint_follows_bytes_shape_and_dtype():
    first = sets().fingerprint()
    assert first == sets().fingerprint()
    assert len(bytes.fromhex(first)) == 32
    data = sets()
    other = [
        dataclasses.replace(data.train, inputs=data.train.inputs + np.uint8(1)),
        dataclasses.replace(data.train, inputs=data.train.inputs.reshape(6, 1, 4, 1)),
        dataclasses.replace(data.train, inputs=data.train.inputs.view(np.int8)),
        dataclasses.replace(data.train, targets=1 - data.train.targets),
    ]
    assert len({first, *(dataclasses.replace(data, train=train).fingerprint() for train in other)}) == 5


def test_the_fingerprint_takes_arrays_of_any_layout():
    data = sets()
    strided = dataclasses.replace(data.train, inputs=np.asfortranarray(data.train.inputs))
    assert dataclasses.replace(data, train=strided).fingerprint() == data.fingerprint()
