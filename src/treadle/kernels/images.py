"""Convolution and pooling in plain NumPy, for `reference`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np

__all__ = [
    "avg_pool2d",
    "avg_pool2d_gradient",
    "conv2d",
    "conv2d_input_gradient",
    "conv2d_weight_gradient",
    "max_pool2d",
    "max_pool2d_gradient",
    "max_pool2d_select",
]

Array = np.ndarray[Any, np.dtype[Any]]
Shape = tuple[int, ...]
Pair = tuple[int, int]


def _bordered(x: Array, padding: Pair, value: float = 0.0) -> Array:
    """Images (N, C, H, W) with a border of rows and columns."""
    (rows, columns) = padding
    return np.pad(x, ((0, 0), (0, 0), (rows, rows), (columns, columns)), constant_values=value)


def _windows(x: Array, size: Pair, stride: Pair, dilation: Pair = (1, 1)) -> Array:
    """All windows of images (N, C, H, W) as a view (N, C, rows, columns, *size)."""
    extent = tuple(d * (n - 1) + 1 for n, d in zip(size, dilation, strict=True))
    view = np.lib.stride_tricks.sliding_window_view(x, extent, axis=(2, 3))
    return view[:, :, :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]


def _taps(size: Pair, stride: Pair, count: Pair, dilation: Pair = (1, 1)) -> Iterator[tuple[Pair, Any]]:
    """Each place in a window, with the index of what all windows, count of them, have there."""
    for place in product(*map(range, size)):
        first = [n * d for n, d in zip(place, dilation, strict=True)]
        index = (slice(f, f + s * (n - 1) + 1, s) for f, s, n in zip(first, stride, count, strict=True))
        yield place, (slice(None), slice(None), *index)  # type: ignore[misc]


def _grouped(groups: int, x: Array, y: Array) -> Iterator[tuple[slice, slice]]:
    """For each group its channels of x, on axis 1, and its filters or channels of y, on axis 1."""
    ins, outs = x.shape[1] // groups, y.shape[1] // groups
    for n in range(groups):
        yield slice(n * ins, (n + 1) * ins), slice(n * outs, (n + 1) * outs)


def conv2d(
    x: Array, w: Array, b: Array | None = None, *, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Array:
    """Σ x w over the windows of images (N, C, H, W) with filters w (O, C / groups, KH, KW), plus b (O,)."""
    windows = _windows(_bordered(x, padding), w.shape[2:], stride, dilation)
    y = np.empty((len(x), len(w), *windows.shape[2:4]), x.dtype)
    for ins, outs in _grouped(groups, x, y):
        y[:, outs] = np.moveaxis(np.tensordot(windows[:, ins], w[outs], ((1, 4, 5), (1, 2, 3))), 3, 1)
    return y if b is None else y + b[:, None, None]


def conv2d_input_gradient(
    g: Array, w: Array, *, shape: Shape, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Array:
    """Gradient of `conv2d` by images of a shape: each place of a window gets g times the weight it had there."""
    out = _bordered(np.zeros(shape, g.dtype), padding)
    for (i, j), index in _taps(w.shape[2:], stride, g.shape[2:], dilation):
        place = out[index]
        for ins, outs in _grouped(groups, out, g):
            place[:, ins] += np.moveaxis(np.tensordot(g[:, outs], w[outs, :, i, j], (1, 0)), 3, 1)
    return out[:, :, padding[0] : padding[0] + shape[2], padding[1] : padding[1] + shape[3]]


def conv2d_weight_gradient(
    g: Array, x: Array, *, shape: Shape, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Array:
    """Gradient of `conv2d` by filters of a shape: Σ g x over samples and windows."""
    windows = _windows(_bordered(x, padding), shape[2:], stride, dilation)  # type: ignore[arg-type]
    out = np.empty(shape, g.dtype)
    for ins, outs in _grouped(groups, x, g):
        out[outs] = np.tensordot(g[:, outs], windows[:, ins], ((0, 2, 3), (0, 2, 3)))
    return out


def max_pool2d(x: Array, *, size: Pair, stride: Pair, padding: Pair) -> Array:
    """Largest value of each window of images (N, C, H, W), surrounded by −∞."""
    return np.max(_windows(_bordered(x, padding, -np.inf), size, stride), axis=(4, 5))  # type: ignore[no-any-return]


def _first_largest(y: Array, x: Array, size: Pair, stride: Pair, padding: Pair) -> Array:
    """Place of the first largest element of each window, counted in rows; NaN is the largest, the border never is."""
    windows = _windows(_bordered(x, padding), size, stride)
    inside = _windows(_bordered(np.ones((1, 1, *x.shape[2:]), bool), padding, False), size, stride)
    largest = ((windows == y[..., None, None]) | np.isnan(windows)) & inside
    return np.argmax(largest.reshape(*y.shape, math.prod(size)), axis=-1)  # type: ignore[no-any-return]


def max_pool2d_gradient(g: Array, y: Array, x: Array, *, size: Pair, stride: Pair, padding: Pair) -> Array:
    """Gradient of `max_pool2d` at x with output y: g of each window to its first largest element."""
    chosen = _first_largest(y, x, size, stride, padding)
    out = _bordered(np.zeros(x.shape, g.dtype), padding)
    for (i, j), index in _taps(size, stride, g.shape[2:]):
        out[index] += np.where(chosen == i * size[1] + j, g, 0)
    return out[:, :, padding[0] : padding[0] + x.shape[2], padding[1] : padding[1] + x.shape[3]]


def max_pool2d_select(z: Array, y: Array, x: Array, *, size: Pair, stride: Pair, padding: Pair) -> Array:
    """Of each window of z the element at the place of the first largest of x, the adjoint of `max_pool2d_gradient`."""
    chosen = _first_largest(y, x, size, stride, padding)
    windows = _windows(_bordered(z, padding), size, stride).reshape(*y.shape, math.prod(size))
    return np.take_along_axis(windows, chosen[..., None], axis=-1)[..., 0]


def avg_pool2d(x: Array, *, size: Pair, stride: Pair, padding: Pair) -> Array:
    """Mean of each window of images (N, C, H, W), surrounded by zeros, which count."""
    return np.mean(_windows(_bordered(x, padding), size, stride), axis=(4, 5))  # type: ignore[no-any-return]


def avg_pool2d_gradient(g: Array, *, shape: Shape, size: Pair, stride: Pair, padding: Pair) -> Array:
    """Gradient of `avg_pool2d` by images of a shape: g of each window in equal shares to its elements."""
    out = _bordered(np.zeros(shape, g.dtype), padding)
    for _, index in _taps(size, stride, g.shape[2:]):
        out[index] += g / math.prod(size)
    return out[:, :, padding[0] : padding[0] + shape[2], padding[1] : padding[1] + shape[3]]
