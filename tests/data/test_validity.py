from dataclasses import replace

import numpy as np
import pytest

from treadle.data import Dataset, Sets, check, require_valid
from treadle.errors import DataError

TRAIN = Dataset(np.zeros((4, 3), np.float32), np.array([0, 1, 0, 1]), ("no", "yes"), "train")
GOOD = Sets(TRAIN, replace(TRAIN, name="validation"), replace(TRAIN, name="test"), "tiny", "made up")


def test_good_data_has_no_findings():
    assert check(GOOD) == []
    require_valid(GOOD)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inputs": np.zeros((0, 3), np.float32), "targets": np.zeros(0, np.int64)}, "the set is empty"),
        ({"targets": np.array([0, 1])}, "4 samples but 2 targets"),
        ({"targets": np.zeros((4, 1), np.int64)}, r"expected (N,)"),
        ({"inputs": np.zeros((4, 2), np.float32)}, "samples have shape (2,), those of train (3,)"),
        ({"inputs": np.zeros((4, 3), np.float64)}, "inputs are float64, those of train float32"),
        ({"inputs": np.float32([[0, 0, 0], [0, np.nan, 0], [0] * 3, [0] * 3])}, "row 1 has the input nan"),
        ({"inputs": np.float32([[0, 0, 0], [0] * 3, [0] * 3, [np.inf, 0, 0]])}, "row 3 has the input inf"),
        ({"inputs": np.zeros((4, 3), "U1")}, "expected real numbers"),
        ({"targets": np.array([0, 1, 0.5, 1])}, "expected integers; row 2 has 0.5"),
        ({"targets": np.array([0.0, 1, 0, 1])}, "labels are float64, expected integers"),
        ({"targets": np.array([0, 1, 0, 2])}, "row 3 has label 2, expected 0..1 (2 classes)"),
        ({"targets": np.array([0, -1, 0, 1])}, "row 1 has label -1"),
        ({"classes": ("no", "maybe")}, "classes differ"),
    ],
)
def test_each_error_is_named(change, message):
    sets = replace(GOOD, validation=replace(GOOD.validation, **change))
    errors = [finding for finding in check(sets) if finding.severity == "error"]
    assert [finding.where for finding in errors] == ["validation"] * len(errors)
    assert any(message in finding.message for finding in errors)
    with pytest.raises(DataError) as refused:
        require_valid(sets)
    assert f"validation: {errors[0].message}" in str(refused.value)


def test_a_missing_class_is_a_warning():
    sets = replace(GOOD, test=replace(GOOD.test, targets=np.zeros(4, np.int64)))
    (finding,) = check(sets)
    assert (finding.severity, finding.where, finding.message) == ("warning", "test", "no sample of class yes")
    require_valid(sets)


def test_all_errors_are_listed_at_once():
    bad = replace(TRAIN, targets=np.array([9, 9, 9, 9]))
    with pytest.raises(DataError, match="3 errors"):
        require_valid(Sets(bad, bad, bad, "tiny", ""))


def test_targets_of_a_regression_must_be_finite():
    rows = Dataset(np.zeros((2, 1), np.float32), np.array([0.0, np.nan]), None, "train")
    with pytest.raises(DataError, match="row 1 has the target nan"):
        require_valid(Sets(rows, rows, rows, "tiny", ""))
