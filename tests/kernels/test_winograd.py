"""Winograd's convolution: its matrices exactly, its results against direct sums, and the same bits on any threads."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from treadle import kernels
from treadle.kernels import batch_array, reference

cpu = pytest.importorskip("treadle.kernels.cpu")
from treadle.kernels.cpu import winograd  # noqa: E402
from treadle.kernels.cpu.tiles_winograd import OUTPUTS, POINTS, matrices  # noqa: E402

pytestmark = pytest.mark.slow

integers = st.integers(-1000, 1000)


def numbers(shape, dtype, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def images(shape, dtype, seed=0):
    array = batch_array(shape, dtype)
    array[...] = numbers(shape, dtype, seed)
    return array


@pytest.mark.parametrize("taps", POINTS)
@given(data=st.data())
@settings(max_examples=50)
def test_the_matrices_give_the_correlation_exactly(taps, data):
    n = taps + OUTPUTS - 1
    x = [Fraction(v) for v in data.draw(st.lists(integers, min_size=n, max_size=n))]
    w = [Fraction(v) for v in data.draw(st.lists(integers, min_size=taps, max_size=taps))]
    a, g, b = (np.array(matrix, dtype=object) for matrix in matrices(taps))
    found = a @ ((g @ w) * (b @ x))
    assert found.tolist() == [sum(x[i + j] * w[j] for j in range(taps)) for i in range(OUTPUTS)]


# images (C, H, W), filters, taps, padding, groups: whole tiles and parts of them, one tile, borders of each width
GEOMETRIES = [
    ((20, 14, 14), 20, 5, (2, 2), 1),
    ((8, 9, 6), 11, 5, (0, 4), 1),
    ((9, 5, 5), 8, 5, (0, 0), 1),
    ((16, 8, 8), 16, 3, (1, 1), 1),
    ((13, 7, 10), 9, 3, (2, 0), 1),
    ((8, 3, 3), 8, 3, (0, 0), 1),
    ((16, 6, 6), 24, 3, (1, 1), 2),
    ((200, 4, 4), 200, 5, (2, 2), 1),  # so many that a vector of lanes goes through the domain alone
]
CASES = [
    pytest.param(geometry, n, dtype, id=f"{geometry}-{n}-{dtype.__name__}")
    for geometry in GEOMETRIES
    for n in (16, 21, 100)
    for dtype in (np.float32, np.float64)
    # direct sums in long double take half a minute there, and more vectors alone would be no other path
    if (geometry, n, dtype) != (GEOMETRIES[-1], 100, np.float64)
]


@pytest.mark.parametrize(("geometry", "n", "dtype"), CASES)
def test_convolution_and_its_gradients_are_those_of_direct_sums(geometry, n, dtype):
    sample, filters, taps, padding, groups = geometry
    x = images((n, *sample), dtype)
    w = numbers((filters, sample[0] // groups, taps, taps), dtype, 1)
    b = numbers(filters, dtype, 2)
    options = {"stride": (1, 1), "padding": padding, "dilation": (1, 1), "groups": groups}
    assert winograd.fits(n, w.shape[1], filters // groups, w.shape[2:], (1, 1), padding, (1, 1), x.itemsize), (
        "this test would test something else"
    )

    def close(found, wanted, most=30):
        # by direct sums, rounding is 2 to 3 ε of the root mean square; here ten times that, with tails, and growing
        # with the root of the number of channels that are summed
        scale = np.sqrt(np.mean(np.square(wanted))) * max(1, max(sample[0], filters) / 20) ** 0.5
        assert np.sqrt(np.mean(np.square(found - wanted))) < most * np.finfo(dtype).eps * scale
        assert np.abs(found - wanted).max() < 1000 * np.finfo(dtype).eps * scale

    wide = [array.astype(np.longdouble if dtype == np.float64 else np.float64) for array in (x, w, b)]
    y = cpu.conv2d(x, w, b, **options)
    close(y, reference.conv2d(*wide, **options))
    rectified = cpu.conv2d(x, w, b, relu=True, **options)
    np.testing.assert_array_equal(rectified, np.maximum(y, 0))

    g = images(y.shape, dtype, 3)
    wide_g = g.astype(wide[0].dtype)
    found = cpu.conv2d_input_gradient(g, w, shape=x.shape, **options)
    close(found, reference.conv2d_input_gradient(wide_g, wide[1], shape=x.shape, **options))
    found = cpu.conv2d_weight_gradient(g, x, shape=w.shape, **options)
    close(found, reference.conv2d_weight_gradient(wide_g, wide[0], shape=w.shape, **options), most=60)


@pytest.mark.parametrize(("sample", "taps"), [((20, 14, 14), 5), ((16, 32, 32), 3)])
def test_threads_do_not_change_a_bit(sample, taps):
    x = images((100, *sample), np.float32)
    w = numbers((16, sample[0], taps, taps), np.float32, 1)
    options = {"stride": (1, 1), "padding": (taps // 2,) * 2, "dilation": (1, 1), "groups": 1}
    g = images((100, 16, *sample[1:]), np.float32, 2)
    results = []
    for threads in (1, 2):
        with kernels.use(cpu), kernels.with_threads(threads):
            results.append(
                (
                    cpu.conv2d(x, w, **options),
                    cpu.conv2d_input_gradient(g, w, shape=x.shape, **options),
                    cpu.conv2d_weight_gradient(g, x, shape=w.shape, **options),
                )
            )
    for one, two in zip(*results, strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize(("channels", "most"), [(16, 8), (256, 2)])
def test_parts_of_a_weight_gradient_are_few_where_layers_are_wide(channels, most):
    x = images((16, channels, 8, 8), np.float32)
    shape, options = (channels, channels, 3, 3), {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 1}
    calls = cpu.conv2d_weight_gradient.plan(x, x, shape=shape, **options)[1]
    (du,) = (arguments[0] for function, arguments in calls if function == np.add.reduce)
    assert 1 < len(du) <= most
    assert len(du) == 2 or du.nbytes <= winograd.PARTS_BYTES


@pytest.mark.parametrize(
    ("change", "value"),
    [
        ("n", 1),
        ("channels", 7),
        ("filters", 7),
        ("size", (3, 5)),
        ("size", (7, 7)),
        ("stride", (2, 1)),
        ("padding", (0, 3)),
        ("dilation", (1, 2)),
    ],
)
def test_what_it_cannot_do_or_is_not_worth_it_is_left_to_direct_sums(change, value):
    fits = {"n": 100, "channels": 8, "filters": 8, "size": (3, 3), "padding": (1, 1)}
    others = {"stride": (1, 1), "dilation": (1, 1), "item": 4}
    assert winograd.fits(**fits, **others)
    assert not winograd.fits(**{**fits, **others, change: value})
