import json
import sys

import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from treadle.data import (
    SCALES,
    Channel,
    FittedScale,
    MeanRange,
    MinMax,
    NoScale,
    Robust,
    Standard,
    Stored,
    scale_from_dict,
)
from treadle.errors import DataError, MemoryLimitError

numbers = st.floats(-1e6, 1e6, allow_nan=False).map(lambda x: round(x, 6))
tables = hnp.arrays(np.float64, hnp.array_shapes(min_dims=2, max_dims=2, max_side=8), elements=numbers)


@given(tables, st.sampled_from([np.float32, np.float64]))
def test_training_samples_come_to_lie_in_0_to_1(table, dtype):
    scaled = MinMax().fit(table).apply(table, dtype)
    assert scaled.dtype == dtype
    assert scaled.min() >= 0
    assert scaled.max() <= 1


@given(tables)
def test_invert_undoes_apply(table):
    scale = MinMax().fit(table)
    np.testing.assert_allclose(scale.invert(scale.apply(table, np.float64)), table, rtol=1e-9, atol=1e-9)


@given(tables)
def test_a_scale_survives_json(table):
    scale = MinMax().fit(table)
    again = scale_from_dict(json.loads(json.dumps(scale.to_dict())))
    np.testing.assert_array_equal(again.apply(table), scale.apply(table))
    assert again.kind == "minmax"


@pytest.mark.parametrize("low", [0, 1, 100])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_range_of_bytes_ends_exactly_at_0_and_at_most_1(low, dtype):
    for high in range(low + 1, 256):
        pixels = np.array([low, high], np.uint8).reshape(2, 1, 1, 1)
        first, last = MinMax().fit(pixels).apply(pixels, dtype).ravel()
        assert first == 0
        assert 1 - np.finfo(dtype).eps <= last <= 1


def test_features_are_scaled_one_by_one_and_pixels_together():
    table = np.array([[0.0, 10.0], [4.0, 30.0]])
    assert MinMax().fit(table).apply(table).tolist() == [[0, 0], [1, 1]]
    assert MinMax().fit(table.reshape(2, 1, 1, 2)).factor.tolist() == [1 / 30]


def test_statistics_come_from_training_alone():
    scale = MinMax().fit(np.array([[0.0], [2.0]]))
    assert scale.apply(np.array([[4.0], [-2.0]])).tolist() == [[2.0], [-1.0]]


def test_a_constant_feature_becomes_0_and_comes_back():
    table = np.array([[7.0, 1.0], [7.0, 3.0]])
    scale = MinMax().fit(table)
    assert scale.apply(table)[:, 0].tolist() == [0, 0]
    np.testing.assert_array_equal(scale.invert(scale.apply(table)), table)


def test_features_far_from_zero_keep_their_differences_in_float32():
    table = np.array([[1e9], [1e9 + 0.5], [1e9 + 1]])
    assert MinMax().fit(table).apply(table).ravel().tolist() == [0, 0.5, 1]


def test_bytes_stay_unchanged_and_read_only_input_is_fine():
    pixels = np.array([[0, 255]], np.uint8)
    pixels.flags.writeable = False
    assert NoScale().fit(pixels).apply(pixels).tolist() == [[0, 255]]
    assert pixels.tolist() == [[0, 255]]


def test_apply_never_returns_its_input():
    table = np.ones((2, 2), np.float32)
    assert not np.shares_memory(NoScale().fit(table).apply(table), table)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (np.zeros((0, 3)), r"found shape \(0, 3\)"),
        (np.zeros(3), r"found shape \(3,\)"),
        (np.array([[1.0, np.nan], [2.0, 3.0]]), "feature 1 cannot be scaled"),
        (np.array([[1.0], [np.inf]]), "feature 0 cannot be scaled"),
        (np.array([[-1e308], [1e308]]), "feature 0 cannot be scaled"),
        (np.array([[0.0], [5e-324]]), "feature 0 cannot be scaled"),
        (np.full((1, 1, 2, 2), np.nan), "inputs cannot be scaled"),
    ],
)
def test_unscalable_inputs_are_refused(inputs, message):
    with pytest.raises(DataError, match=message):
        MinMax().fit(inputs)


def test_another_number_of_features_or_an_integer_dtype_is_refused():
    scale = MinMax().fit(np.array([[0.0, 1.0], [2.0, 3.0]]))
    with pytest.raises(DataError, match="2 features"):
        scale.apply(np.zeros((1, 3)))
    with pytest.raises(DataError, match="2 features"):
        scale.invert(np.zeros((1, 3)))
    with pytest.raises(DataError, match="floating-point"):
        scale.apply(np.zeros((1, 2)), np.int64)


@pytest.mark.parametrize(
    ("saved", "message"),
    [
        ({}, "unknown kind None"),
        ({"kind": []}, "unknown kind"),
        ({"kind": "minmax", "offset": [0.0]}, "factor must be"),
        ({"kind": "minmax", "offset": [], "factor": []}, "offset must be"),
        ({"kind": "minmax", "offset": [float("nan")], "factor": [1.0]}, "offset must be"),
        ({"kind": "minmax", "offset": ["0"], "factor": [1.0]}, "offset must be"),
        ({"kind": "minmax", "offset": [0, 1], "factor": [1]}, "2 numbers in offset but 1"),
    ],
)
def test_a_damaged_saved_scale_is_refused(saved, message):
    with pytest.raises(DataError, match=message):
        scale_from_dict(saved)


def test_the_registry_holds_what_can_be_fitted():
    for kind, scale in SCALES.items():
        fitted = scale().fit(np.array([[[[0.0]]], [[[1.0]]]]))
        assert isinstance(fitted, FittedScale)
        assert fitted.kind == kind


@given(tables, st.sampled_from(sorted(SCALES.keys() - {"channel"})))
def test_every_scale_is_undone_by_its_inverse_and_survives_json(table, kind):
    scale = SCALES[kind]().fit(table)
    again = scale_from_dict(json.loads(json.dumps(scale.to_dict())))
    scaled = again.apply(table, np.float64)
    np.testing.assert_array_equal(scaled, scale.apply(table, np.float64))
    assert np.isfinite(scaled).all()
    np.testing.assert_allclose(again.invert(scaled), table, rtol=1e-9, atol=1e-8)


def features(size=200, seed=0):
    draws = np.random.default_rng(seed)
    return draws.normal(size=(size, 3)) * [1, 100, 1e-3] + [0, 1e4, -5]


def test_standardised_features_have_mean_0_and_deviation_1():
    scaled = Standard().fit(features()).apply(features(), np.float64)
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(scaled.std(axis=0), 1, rtol=1e-9)


def test_mean_range_has_mean_0_and_a_range_of_1():
    scaled = MeanRange().fit(features()).apply(features(), np.float64)
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(np.ptp(scaled, axis=0), 1, rtol=1e-9)
    assert (scaled < 0).any()


def test_outliers_do_not_move_a_robust_scale():
    table = features()
    spoilt = table.copy()
    spoilt[:10] *= 1e6
    plain, robust = (Robust().fit(t) for t in (table, spoilt))
    np.testing.assert_allclose(robust.factor, plain.factor, rtol=0.2)
    scaled = plain.apply(table, np.float64)
    np.testing.assert_allclose(np.median(scaled, axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(np.subtract(*np.percentile(scaled, (75, 25), axis=0)), 1, rtol=1e-9)
    often = np.array([[0.0], [0.0], [0.0], [0.0], [9.0]])  # quartiles that are equal: moved only
    assert Robust().fit(often + 1).apply(often + 1).ravel().tolist() == [0, 0, 0, 0, 9]


def test_channels_are_scaled_apart_and_pixels_together():
    draws = np.random.default_rng(0)
    images = draws.integers(0, [[[100]], [[200]], [[10]]], (50, 3, 5, 4)).astype(np.uint8)
    scaled = Channel().fit(images).apply(images, np.float64)
    np.testing.assert_allclose(scaled.mean(axis=(0, 2, 3)), 0, atol=1e-12)
    np.testing.assert_allclose(scaled.std(axis=(0, 2, 3)), 1, rtol=1e-12)
    whole = Standard().fit(images)
    assert whole.offset == pytest.approx([images.mean()], rel=1e-12)
    assert whole.factor == pytest.approx([1 / images.std()], rel=1e-12)
    again = Channel().fit(images)
    np.testing.assert_allclose(again.invert(scaled), images, atol=1e-9)
    with pytest.raises(DataError, match=r"expected images \(N, C, H, W\), found shape \(2, 3\)"):
        Channel().fit(np.ones((2, 3)))
    with pytest.raises(DataError, match="3 channels cannot take inputs of shape"):
        again.apply(images[:, :2])


def test_moments_in_pieces_are_those_of_all(monkeypatch):
    monkeypatch.setattr(sys.modules[Standard.__module__], "_BLOCK", 7)
    table = 1e4 + features(53)
    scale = Standard().fit(table)
    np.testing.assert_allclose(scale.offset, table.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(1 / scale.factor, table.std(axis=0), rtol=1e-9)


@pytest.mark.parametrize("kind", ["standard", "mean_range", "robust", "channel"])
def test_what_cannot_be_scaled_is_refused_by_all(kind):
    for value in (np.nan, np.inf):
        with pytest.raises(DataError, match=f"{kind}: .* cannot be scaled"):
            SCALES[kind]().fit(np.array([[[[value]]], [[[1.0]]]]))
    with pytest.raises(DataError, match=f"{kind}: expected samples"):
        SCALES[kind]().fit(np.zeros((0, 1, 2, 2)))


@pytest.mark.parametrize("kind", ["standard", "mean_range", "robust"])
def test_constant_features_become_0(kind):
    table = np.array([[0.1, 1.0], [0.1, 2.0], [0.1, 4.0]])
    assert SCALES[kind]().fit(table).apply(table)[:, 0].tolist() == [0, 0, 0]


class Held(Stored):
    """An array that pretends to be on disk."""

    def __init__(self, array):
        self.array, self.shape, self.dtype = array, array.shape, array.dtype

    def read(self, indices):
        return self.array[indices]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8, np.int64])
@pytest.mark.parametrize("shape", [(500, 7), (40, 3, 5, 4)])
@pytest.mark.parametrize("scale", [MinMax, MeanRange, Standard, Channel, Robust, NoScale])
def test_a_scale_of_what_is_on_disk_is_that_of_the_array(monkeypatch, scale, shape, dtype):
    if scale is Channel and len(shape) == 2:
        shape = (60, 2, 3, 4)
    array = np.random.default_rng(0).gamma(2, 20, shape).astype(dtype)
    array[:, 1] = 7
    monkeypatch.setattr("treadle.data.stored.PIECE", 1000)
    monkeypatch.setattr("treadle.data.scale._BLOCK", 100)
    for sorted_at_once in (1, 3 * len(array) * array.itemsize, 2**27):
        monkeypatch.setattr("treadle.data.scale._SORTED", sorted_at_once)
        one, other = scale().fit(Held(array)), scale().fit(array)
        assert (one.offset.dtype, one.factor.dtype) == (other.offset.dtype, other.factor.dtype) == (np.float64,) * 2
        assert (one.kind, one.offset.tobytes(), one.factor.tobytes()) == (
            other.kind,
            other.offset.tobytes(),
            other.factor.tobytes(),
        )


def test_quartiles_on_disk_are_those_of_numpy(monkeypatch):
    array = np.random.default_rng(0).normal(size=(101, 5))
    monkeypatch.setattr("treadle.data.scale._SORTED", 2 * array[:, 0].nbytes)
    first, median, third = np.percentile(array, (25, 50, 75), axis=0)
    scale = Robust().fit(Held(array))
    np.testing.assert_array_equal(scale.offset, median)
    np.testing.assert_array_equal(scale.factor, 1 / (third - first))


@pytest.mark.parametrize("scale", [MinMax, MeanRange, Standard])
def test_what_cannot_be_scaled_on_disk_is_refused_as_in_memory(scale):
    array = np.random.default_rng(0).normal(size=(20, 3))
    array[3, 1] = np.inf
    messages = []
    for inputs in (array, Held(array)):
        with pytest.raises(DataError, match="feature 1 cannot be scaled") as refused:
            scale().fit(inputs)
        messages.append(str(refused.value))
    assert messages[0] == messages[1]
    with pytest.raises(DataError, match=r"found shape \(0, 3\)"):
        scale().fit(Held(array[:0]))


def test_quartiles_of_images_that_memory_does_not_hold(monkeypatch):
    images = Held(np.zeros((4, 1, 8, 8), np.uint8))
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": 100})())
    with pytest.raises(MemoryLimitError, match="robust: the values of all images, to sort them, need"):
        Robust().fit(images)
