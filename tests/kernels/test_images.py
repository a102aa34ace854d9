"""Convolution and pooling against SciPy, against loops, and by the algebra of linear maps."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import correlate2d

from treadle.kernels import reference as k


@st.composite
def convolutions(draw):
    """Shapes of images and filters that fit, and the settings."""
    small = st.integers(1, 3)
    groups, inputs, outputs = draw(small), draw(small), draw(small)
    size, stride, dilation = ((draw(small), draw(small)) for _ in range(3))
    padding = draw(st.integers(0, 2)), draw(st.integers(0, 2))
    least = [max(1, d * (n - 1) + 1 - 2 * p) for n, d, p in zip(size, dilation, padding, strict=True)]
    image = [n + draw(st.integers(0, 4)) for n in least]
    x = (draw(st.integers(0, 3)), groups * inputs, *image)
    w = (groups * outputs, inputs, *size)
    return x, w, {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}


def by_scipy(x, w, stride, padding, dilation, groups):
    """Filters spread by the dilation, correlated with each padded channel, every so many rows and columns kept."""
    spread = np.zeros((*w.shape[:2], *(d * (n - 1) + 1 for n, d in zip(w.shape[2:], dilation, strict=True))))
    spread[:, :, :: dilation[0], :: dilation[1]] = w
    padded = np.pad(x, ((0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2))
    inputs, outputs = x.shape[1] // groups, w.shape[0] // groups
    return np.array(
        [
            [
                sum(correlate2d(image[o // outputs * inputs + c], spread[o, c], mode="valid") for c in range(inputs))[
                    :: stride[0], :: stride[1]
                ]
                for o in range(len(w))
            ]
            for image in padded
        ]
    )


@settings(deadline=None)
@given(convolutions(), st.integers(0, 2**32 - 1))
def test_convolution_against_scipy(convolution, seed):
    x, w, options = convolution
    rng = np.random.default_rng(seed)
    x, w, b = rng.normal(size=x), rng.normal(size=w), rng.normal(size=w[0])
    found = k.conv2d(x, w, **options)
    expected = by_scipy(x, w, **options)
    if len(x):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(k.conv2d(x, w, b, **options), found + b.reshape(1, -1, 1, 1), rtol=1e-14)


@settings(deadline=None)
@given(convolutions(), st.integers(0, 2**32 - 1))
def test_both_gradients_are_the_adjoints_of_convolution(convolution, seed):
    """⟨g, conv(x, w)⟩ = ⟨input gradient(g, w), x⟩ = ⟨weight gradient(g, x), w⟩, for it is linear in x and in w."""
    x, w, options = convolution
    rng = np.random.default_rng(seed)
    x, w = rng.normal(size=x), rng.normal(size=w)
    y = k.conv2d(x, w, **options)
    g = rng.normal(size=y.shape)
    by_x = k.conv2d_input_gradient(g, w, shape=x.shape, **options)
    by_w = k.conv2d_weight_gradient(g, x, shape=w.shape, **options)
    assert (by_x.shape, by_w.shape) == (x.shape, w.shape)
    expected = float((g * y).sum())
    assert float((by_x * x).sum()) == pytest.approx(expected, rel=1e-10, abs=1e-10)
    assert float((by_w * w).sum()) == pytest.approx(expected, rel=1e-10, abs=1e-10)


@st.composite
def poolings(draw):
    size = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    padding = tuple(draw(st.integers(0, n // 2)) for n in size)
    stride = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    image = [max(1, n - 2 * p) + draw(st.integers(0, 5)) for n, p in zip(size, padding, strict=True)]
    shape = (draw(st.integers(0, 2)), draw(st.integers(1, 2)), *image)
    return shape, {"size": size, "stride": stride, "padding": padding}


def windows(shape, size, stride, padding):
    """Each place of the output with the places of the image in its window, in the order of rows."""
    counts = [(n + 2 * p - m) // s + 1 for n, p, m, s in zip(shape[2:], padding, size, stride, strict=True)]
    for n, c, i, j in itertools.product(*map(range, (*shape[:2], *counts))):
        inside = [
            (n, c, i * stride[0] - padding[0] + p, j * stride[1] - padding[1] + q)
            for p, q in itertools.product(*map(range, size))
        ]
        yield (n, c, i, j), [at for at in inside if 0 <= at[2] < shape[2] and 0 <= at[3] < shape[3]]


@settings(deadline=None)
@given(poolings(), st.integers(0, 2**32 - 1), st.booleans())
def test_pooling_against_loops(pooling, seed, ties):
    shape, options = pooling
    rng = np.random.default_rng(seed)
    x = rng.integers(-1, 2, shape).astype(float) if ties else rng.normal(size=shape)
    largest, means = k.max_pool2d(x, **options), k.avg_pool2d(x, **options)
    g, z = rng.normal(size=largest.shape), rng.normal(size=shape)
    by_max, by_mean, selected = np.zeros(shape), np.zeros(shape), np.zeros(largest.shape)
    count = math.prod(options["size"])
    for place, inside in windows(shape, **options):
        first = max(inside, key=lambda at: x[at])  # Python's max returns the first of equals
        assert largest[place] == x[first]
        assert means[place] == pytest.approx(math.fsum(x[at] for at in inside) / count, rel=1e-13, abs=1e-14)
        by_max[first] += g[place]
        selected[place] = z[first]
        for at in inside:
            by_mean[at] += g[place] / count
    np.testing.assert_allclose(k.max_pool2d_gradient(g, largest, x, **options), by_max, rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(k.avg_pool2d_gradient(g, shape=shape, **options), by_mean, rtol=1e-13, atol=1e-14)
    np.testing.assert_array_equal(k.max_pool2d_select(z, largest, x, **options), selected)


def test_pooling_of_infinities_and_nan():
    x = np.array([[[[-np.inf, -np.inf, 1], [-np.inf, -np.inf, np.nan]]]])
    options = {"size": (2, 2), "stride": (1, 1), "padding": (1, 1)}
    y = k.max_pool2d(x, **options)
    np.testing.assert_array_equal(
        y[0, 0], [[-np.inf, -np.inf, 1, 1], [-np.inf, -np.inf, np.nan, np.nan], [-np.inf, -np.inf, np.nan, np.nan]]
    )
    g = k.max_pool2d_gradient(np.ones_like(y), y, x, **options)
    assert g.sum() == y.size  # the border, which is −∞ as well, gets nothing


def test_float32_stays_and_agrees_with_float64():
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(2, 20, 14, 14)), rng.normal(size=(20, 20, 5, 5))
    options = {"stride": (1, 1), "padding": (2, 2), "dilation": (1, 1), "groups": 1}
    found, expected = k.conv2d(x.astype("f4"), w.astype("f4"), **options), k.conv2d(x, w, **options)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
