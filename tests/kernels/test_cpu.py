"""Compiled kernels against `reference`, over shapes, strides, number types and odd sizes, and over threads."""

from __future__ import annotations

import ctypes
import mmap
import sys
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from treadle import kernels
from treadle.kernels import batch_array, reference

cpu = pytest.importorskip("treadle.kernels.cpu")

TOLERANCE = {np.float32: 2e-5, np.float64: 1e-12}


def numbers(shape, dtype, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def images(shape, dtype, seed=0, *, last=True):
    array = batch_array(shape, dtype) if last else np.empty(shape, dtype)
    array[...] = numbers(shape, dtype, seed)
    return array


def close(found, wanted, dtype, terms=1):
    """Equal up to rounding: the error of a sum of `terms` products of numbers near 1 grows with their root."""
    np.testing.assert_allclose(found, wanted, rtol=0, atol=TOLERANCE[dtype] * max(1, terms) ** 0.5)


GEOMETRIES = [
    # (C, H, W), filters, kernel, stride, padding, dilation, groups
    ((1, 28, 28), 20, (5, 5), (1, 1), (2, 2), (1, 1), 1),
    ((3, 7, 9), 8, (3, 3), (1, 1), (1, 1), (1, 1), 1),
    ((4, 7, 9), 6, (3, 2), (2, 1), (1, 0), (1, 1), 1),
    ((4, 9, 9), 6, (3, 3), (2, 3), (1, 1), (1, 1), 2),
    ((2, 11, 11), 5, (3, 3), (1, 1), (0, 2), (2, 3), 1),
    ((2, 8, 8), 3, (2, 2), (3, 4), (0, 0), (1, 1), 1),  # the stride leaves places out
    ((6, 5, 5), 6, (3, 3), (1, 1), (1, 1), (1, 1), 6),
    ((5, 6, 6), 7, (1, 1), (1, 1), (0, 0), (1, 1), 1),
    ((5, 6, 6), 9, (1, 1), (2, 2), (0, 0), (1, 1), 1),
    ((3, 7, 8), 7, (3, 3), (2, 2), (1, 1), (1, 1), 1),  # an input meets one or two taps each way
    ((2, 5, 9), 5, (4, 2), (2, 1), (1, 1), (1, 1), 1),
    ((600, 3, 3), 4, (1, 1), (2, 2), (0, 0), (1, 1), 1),  # more channels than are taken at a time
    ((4, 3, 3), 600, (1, 1), (2, 2), (0, 0), (1, 1), 1),
    ((2, 4, 4), 4, (7, 7), (1, 1), (3, 3), (1, 1), 1),
    ((1, 5, 5), 1, (5, 5), (1, 1), (0, 0), (1, 1), 1),
    ((3, 6, 40), 13, (3, 3), (1, 1), (1, 1), (1, 1), 1),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [1, 3, 16, 21])
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_convolution_and_its_gradients_are_those_of_reference(geometry, n, dtype):
    sample, filters, size, stride, padding, dilation, groups = geometry
    x = images((n, *sample), dtype)
    w = numbers((filters, sample[0] // groups, *size), dtype, 1)
    b = numbers(filters, dtype, 2)
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    y = cpu.conv2d(x, w, b, **options)
    wanted = reference.conv2d(x, w, b, **options)
    close(y, wanted, dtype, w[0].size)
    close(cpu.conv2d(x, w, b, relu=True, **options), np.maximum(wanted, 0), dtype, w[0].size)
    close(cpu.conv2d(x, w, **options), reference.conv2d(x, w, **options), dtype, w[0].size)
    g = images(y.shape, dtype, 3, last=False)
    arguments = {"shape": x.shape, **options}
    close(
        cpu.conv2d_input_gradient(g, w, **arguments),
        reference.conv2d_input_gradient(g, w, **arguments),
        dtype,
        w[:, 0].size,
    )
    arguments["shape"] = w.shape
    close(
        cpu.conv2d_weight_gradient(g, x, **arguments),
        reference.conv2d_weight_gradient(g, x, **arguments),
        dtype,
        n * y[0, 0].size,
    )


@settings(max_examples=60)
@given(st.data())
def test_convolution_of_any_geometry(data):
    def pair(low, high):
        return data.draw(st.tuples(st.integers(low, high), st.integers(low, high)))

    groups = data.draw(st.integers(1, 3))
    n, channels, filters = (data.draw(st.integers(1, 9)) for _ in range(3))
    size, stride, padding, dilation = pair(1, 4), pair(1, 4), pair(0, 3), pair(1, 3)
    height, width = (
        data.draw(st.integers(max(1, d * (k - 1) + 1 - 2 * p), 9 + d * (k - 1)))
        for k, p, d in zip(size, padding, dilation, strict=True)
    )
    x = images((n, channels * groups, height, width), np.float64, last=data.draw(st.booleans()))
    w = numbers((filters * groups, channels, *size), np.float64, 1)
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    y = cpu.conv2d(x, w, **options)
    close(y, reference.conv2d(x, w, **options), np.float64, w[0].size)
    g = numbers(y.shape, np.float64, 2)
    for name, other, shape in (("input", w, x.shape), ("weight", x, w.shape)):
        function = f"conv2d_{name}_gradient"
        found, wanted = (getattr(k, function)(g, other, shape=shape, **options) for k in (cpu, reference))
        close(found, wanted, np.float64, 100)


@pytest.mark.parametrize("n", [0, 2])
def test_convolution_of_an_empty_batch_and_of_non_contiguous_inputs(n):
    options = {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 1}
    x = numbers((2 * n, 4, 6, 6), np.float64)[::2, ::2, ::-1]
    w = numbers((3, 2, 3, 3), np.float64, 1)[:, ::-1]
    y = cpu.conv2d(x, w, **options)
    close(y, reference.conv2d(x, w, **options), np.float64, 18)
    g = numbers((n, 3, 6, 12), np.float64)[..., ::2]
    for name, other, shape in (("input", w, x.shape), ("weight", x, w.shape)):
        found, wanted = (
            getattr(k, f"conv2d_{name}_gradient")(g, other, shape=shape, **options) for k in (cpu, reference)
        )
        close(found, wanted, np.float64, 100)


POOLS = [((2, 2), (2, 2), (0, 0)), ((3, 3), (2, 2), (1, 1)), ((2, 3), (1, 2), (1, 0)), ((2, 2), (3, 3), (0, 0))]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("n", "pool", "last"), list(product([1, 5, 16, 33], POOLS, [True, False])))
def test_pooling_is_that_of_reference(n, pool, last, dtype):
    options = dict(zip(("size", "stride", "padding"), pool, strict=True))
    x = np.round(images((n, 3, 8, 10), dtype, last=last), 1)  # with ties
    x[0, 0, :4, :4] = [
        [np.nan, 1, -np.inf, -np.inf],
        [2, np.nan, -np.inf, -np.inf],
        [np.inf, np.inf, 0, 0],
        [1, 2, 0, 0],
    ]
    y = cpu.max_pool2d(x, **options)
    np.testing.assert_array_equal(y, reference.max_pool2d(x, **options))
    g = images(y.shape, dtype, 1, last=not last)
    found = cpu.max_pool2d_gradient(g, y, x, **options)
    close(found, reference.max_pool2d_gradient(g, y, x, **options), dtype)


@pytest.mark.parametrize("pool", POOLS, ids=str)
def test_pooling_gradient_with_a_relu_before_it(pool):
    options = dict(zip(("size", "stride", "padding"), pool, strict=True))
    x = reference.relu(images((7, 3, 8, 10), np.float64))
    y = reference.max_pool2d(x, **options)
    g = images(y.shape, np.float64, 1)
    wanted = reference.relu_gradient(reference.max_pool2d_gradient(g, y, x, **options), x)
    close(cpu.max_pool2d_gradient(g, y, x, relu=True, **options), wanted, np.float64)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((7, 5, 4, 3), (0, 2, 3)),
        ((9, 5), (0,)),
        ((9, 5), (1,)),
        ((4, 3, 5, 2), (1, 2, 3)),
        ((3, 4), (0, 1)),
        ((1, 6), (1,)),
    ],
)
@pytest.mark.parametrize("last", [True, False])
def test_sums_and_statistics_are_those_of_reference(shape, axes, last, dtype):
    x = 1e3 + (images(shape, dtype, last=last) if len(shape) == 4 else numbers(shape, dtype))
    g = numbers(shape, dtype, 1)
    for keepdims in (True, False):
        np.testing.assert_allclose(
            cpu.sum(x, axis=axes, keepdims=keepdims), reference.sum(x, axis=axes, keepdims=keepdims), rtol=3e-7
        )
        np.testing.assert_allclose(
            cpu.var(x, axis=axes, keepdims=keepdims), reference.var(x, axis=axes, keepdims=keepdims), rtol=3e-7
        )
    y = cpu.standardize(x, axes=axes, epsilon=1e-5)
    close(y, reference.standardize(x, axes=axes, epsilon=1e-5), dtype)
    found, wanted = (k.standardize_gradient(g, y, x, axes=axes, epsilon=1e-5) for k in (cpu, reference))
    close(found, wanted, dtype)


def test_statistics_where_the_mean_is_10_000_and_the_deviation_a_thousandth():
    x = (
        (1e4 + 1e-3 * np.random.default_rng(0).normal(size=(16, 3, 8, 8)))
        .transpose(1, 2, 3, 0)
        .copy()
        .transpose(3, 0, 1, 2)
    )
    y = cpu.standardize(x, axes=(0, 2, 3), epsilon=0.0)
    np.testing.assert_allclose(y.std(axis=(0, 2, 3)), 1, rtol=1e-9)
    np.testing.assert_allclose(y.mean(axis=(0, 2, 3)), 0, atol=1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_relu_keeps_nan_and_any_layout(dtype):
    x, g = images((3, 4, 5, 6), dtype), numbers((3, 4, 5, 6), dtype, 1)
    x[0, 0, 0, :3] = np.nan, np.inf, -np.inf
    for array in (x, x[:, ::2], x.transpose(0, 2, 1, 3)):
        np.testing.assert_array_equal(cpu.relu(array), reference.relu(array))
    y = reference.relu(x)
    for gradient, output in ((g, y), (g[:, ::2], y[:, ::2]), (g[:1], y[:1])):
        np.testing.assert_array_equal(cpu.relu_gradient(gradient, output), reference.relu_gradient(gradient, output))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("order", ["C", "F"])
def test_cross_entropy_and_its_gradient_are_those_of_reference(order, dtype):
    scores = np.array(numbers((23, 7), dtype) * 30, order=order)
    scores[0], scores[1, 3], scores[2, 2] = -np.inf, np.nan, np.inf
    scores[3, 1:] = -np.inf
    labels, g = np.arange(23) % 7, numbers(23, dtype, 1)
    labels[3] = 0
    with np.errstate(all="ignore"):
        exact = scores.astype(np.float64)
        found, wanted = cpu.cross_entropy(scores, labels), reference.cross_entropy(exact, labels)
        np.testing.assert_allclose(found, wanted, rtol=1e-7 if dtype == np.float32 else 1e-13, atol=1e-15)
        found = cpu.cross_entropy_gradient(g, scores, labels)
        wanted = reference.cross_entropy_gradient(g.astype(np.float64), exact, labels)
    close(found, wanted, dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.9])
@pytest.mark.parametrize(
    ("m", "k", "u"),
    [
        (100, 784, 100),
        (33, 999, 37),
        (257, 130, 300),
        (64, 64, 10),
        (8, 3, 5),
        (7, 128, 64),
        (1, 1000, 99),
        (1000, 5, 37),
    ],
)
def test_matrix_products_with_zeros_and_without(m, k, u, share, dtype):
    rng = np.random.default_rng(0)
    a = numbers((m, k), dtype) * (rng.random((m, k)) < share)
    b, g = numbers((k, u), dtype, 1), numbers((m, u), dtype, 2)
    with np.errstate(all="ignore"):  # BLAS may compute with what lies behind a small matrix and throw it away
        close(cpu.matmul(a, b), a.astype(np.float64) @ b, dtype, k)
        close(cpu.matmul(a.T, g), a.T.astype(np.float64) @ g, dtype, m)
        close(cpu.matmul(b.T, a.T), b.T.astype(np.float64) @ a.T, dtype, k)
        np.testing.assert_array_equal(cpu.matmul(b[0], b.T), b[0] @ b.T)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows protects pages in another way")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rows", [7, 100])
@pytest.mark.parametrize("columns", [16, 17, 99])
def test_matrix_products_read_nothing_behind_their_right_side(columns, rows, dtype):
    a = numbers((rows, 700), dtype) * (numbers((rows, 700), dtype, 1) > 1)
    pages = mmap.mmap(-1, (1 + -(-700 * columns * a.itemsize // mmap.PAGESIZE)) * mmap.PAGESIZE)
    end = len(pages) - mmap.PAGESIZE
    behind = ctypes.c_char.from_buffer(pages, end)
    assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(ctypes.addressof(behind)), mmap.PAGESIZE, 0) == 0
    for count, left in ((700, a), (rows, a.T)):
        size = count * columns
        b = np.frombuffer(pages, dtype, size, end - size * a.itemsize).reshape(count, columns)
        b[...] = numbers((count, columns), dtype, 2)
        wanted = left.astype(np.float64) @ b.astype(np.float64)  # of a copy: BLAS may read on
        close(cpu.matmul(left, b), wanted, dtype, count)


def test_matrix_product_of_a_matrix_of_zeros_with_nan_among_its_numbers():
    a = np.zeros((100, 200), np.float32)
    a[3, 5], a[7, 8] = np.nan, np.inf
    b = numbers((200, 64), np.float32)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(cpu.matmul(a, b), a @ b)
        np.testing.assert_array_equal(cpu.matmul(a.T, b[:100]), a.T @ b[:100])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_updates_are_those_of_reference(dtype):
    p, g = numbers(1003, dtype), numbers(1003, dtype, 1)
    for name, slots, options in (
        ("sgd", 0, (0.1,)),
        ("momentum", 1, (0.1, 0.9)),
        ("nesterov", 1, (0.1, 0.9)),
        ("adagrad", 1, (0.1, 1e-8)),
        ("rmsprop", 1, (0.1, 0.9, 1e-8)),
        ("adam", 2, (0.01, 0.3, 0.9, 0.999, 1e-8)),
        ("average", 0, (0.3,)),
    ):
        results = []
        for k in (cpu, reference):
            state = [np.abs(numbers(1003, dtype, 2 + i)) for i in range(slots)]
            new = p.copy()
            getattr(k, name)(new, g, *state, *options)
            results.append([new, *state])
        for found, wanted in zip(*results, strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-5 if dtype == np.float32 else 1e-13)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_has_faded_counts_as_nothing_and_moves_no_parameter(dtype):
    tiny = np.finfo(dtype).tiny
    faded = np.array([tiny, -tiny, tiny / 4, 1e5 * tiny, 0.0], dtype)
    for g in (np.zeros(5, dtype), faded):
        p, mean, square = np.ones(5, dtype), faded.copy(), np.abs(faded)
        cpu.adam(p, g, mean, square, 0.01, 0.3, 0.9, 0.999, 1e-8)
        np.testing.assert_array_equal(p, 1)
        np.testing.assert_array_equal(mean, 0)
        np.testing.assert_array_less(square, 1e6 * tiny)
        for update in (cpu.momentum, cpu.nesterov):
            velocity = faded.copy()
            update(p, np.zeros(5, dtype), velocity, 0.1, 0.9)
            np.testing.assert_array_equal(velocity, 0)
    mean, square = np.full(1, np.nan, dtype), np.full(1, np.nan, dtype)
    cpu.adam(p[:1], g[:1], mean, square, 0.01, 0.3, 0.9, 0.999, 1e-8)
    assert np.isnan(p[0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_largest_finds_the_largest_and_what_is_not_finite(dtype):
    x = numbers(1001, dtype)
    assert cpu.largest(x) == np.abs(x).max()
    x[500] = -np.inf
    assert cpu.largest(x) == np.inf
    x[1000] = np.nan
    assert np.isnan(cpu.largest(x))
    assert cpu.largest(x[:0]) == 0
    for length in range(1, 40):
        for place in {0, length // 2, length - 1}:
            short = np.full(length, -0.5, dtype)
            short[place] = -3
            assert cpu.largest(short) == 3


def test_largest_of_integers_and_of_every_other_number():
    assert cpu.largest(np.array([1, -5, 900], np.int32)[:2]) == 5
    assert cpu.largest(np.array([1, 900, -5, 900], np.float32)[::2]) == 5
    assert cpu.largest(np.array([1, -5], ">f4")) == 5
    assert cpu.largest(np.array([[1, 2], [3, -5]], np.float32)) == 5


@pytest.mark.parametrize("dtype", [np.float16, np.longdouble, np.int32, ">f4"])
def test_matrix_products_of_other_types_are_numpys(dtype):
    a, b = np.arange(6).reshape(6, 1).astype(dtype), np.arange(3).reshape(1, 3).astype(dtype)
    for x, y in ((a, b), (np.tile(a, 60), np.tile(b, (60, 60)))):
        np.testing.assert_array_equal(cpu.matmul(x, y), x @ y)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sample", [(2, 5, 7), (1, 1, 1), (3, 1, 1), (1, 2, 8)])
@pytest.mark.parametrize("last", [True, False])
def test_samples_are_taken_and_scaled_to_the_same_bits(last, sample, dtype):
    samples = np.random.default_rng(0).integers(0, 256, (50, *sample)).astype(np.uint8)
    for indices in (np.array([3, 49, 3, *range(19)]), np.array([7]), np.array([], np.int64)):
        shape = (len(indices), *sample)
        out, wanted = images(shape, dtype, last=last), np.empty(shape, dtype)
        for k, target in ((cpu, out), (reference, wanted)):
            k.take_scaled(samples, indices, dtype(3), dtype(1 / 255), target)
        np.testing.assert_array_equal(out, wanted)
    cpu.take_scaled(samples[:0], np.array([], np.int64), dtype(3), dtype(1 / 255), images((0, *sample), dtype))


def test_results_are_the_same_bits_for_any_number_of_threads():
    x, w, b = images((40, 8, 20, 20), np.float32), numbers((16, 8, 3, 3), np.float32, 1), numbers(16, np.float32, 2)
    options = {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 1}
    pool = {"size": (2, 2), "stride": (2, 2), "padding": (0, 0)}
    a, c = (
        numbers((400, 800), np.float32) * (numbers((400, 800), np.float32, 5) > 1),
        numbers((800, 200), np.float32, 6),
    )
    few = numbers((2, 60000), np.float32, 7) * (numbers((2, 60000), np.float32, 8) > 1)  # fewer rows than threads
    many = numbers((60000, 128), np.float32, 9)

    def everything():
        y = cpu.conv2d(x, w, b, **options)
        p = cpu.max_pool2d(y, **pool)
        s = cpu.standardize(y, axes=(0, 2, 3), epsilon=1e-5)
        return [
            y,
            cpu.conv2d_input_gradient(y, w, shape=x.shape, **options),
            cpu.conv2d_weight_gradient(y, x, shape=w.shape, **options),
            p,
            cpu.max_pool2d_gradient(p, p, y, **pool),
            cpu.sum(y, axis=(0, 2, 3)),
            cpu.var(y, axis=(0, 2, 3)),
            s,
            cpu.standardize_gradient(y, s, y, axes=(0, 2, 3), epsilon=1e-5),
            cpu.matmul(a, c),
            cpu.matmul(a.T, c[:400]),
            cpu.matmul(few, many),
        ]

    results = []
    for threads in (1, 2, 4):
        with kernels.use(cpu), kernels.with_threads(threads):
            results.append([array.tobytes() for array in everything()])
    assert results[0] == results[1] == results[2]
