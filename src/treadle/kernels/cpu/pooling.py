"""Pooling on batch-last memory, and the gradient of a ReLU before it in the same pass."""

from __future__ import annotations

import numba
import numpy as np

from treadle.kernels import batch_array
from treadle.kernels.cpu.calls import Array, Calls, batch_last, chosen, eager, memory
from treadle.kernels.cpu.compile import compiled
from treadle.kernels.cpu.elementwise import total
from treadle.kernels.cpu.tiles_pooling import pool_max, pool_max_gradient, pool_scatter

Pair = tuple[int, int]


@compiled
def spread_row(g, places, gx, totals, n, size):
    """Spread a row of windows' gradients g (PW·N) by their places over rows of gx (size, W·N), which totals sums up."""
    for column in range(0, len(g), n):
        pool_scatter(
            g, g[column:].ctypes.data, places[column:].ctypes.data, gx[0, column * size[1] :].ctypes.data,
            size[0], gx.shape[1], size[1], n, n,
        )  # fmt: skip
    for h in range(size[0]):
        totals[h] = total(gx[h])


@compiled
def _window(place, size, stride, padding, inputs):
    begin = place * stride - padding
    return max(0, begin), min(inputs, begin + size)


@compiled
def _pool_item(item, x, out, n, size, stride, padding):
    # one row of one channel: x (C, H, W, N), out (C, HO, WO, N); a thread gets the rows that it convolved
    h, c = item // out.shape[0], item % out.shape[0]
    top, bottom = _window(h, size[0], stride[0], padding[0], x.shape[1])
    for w in range(out.shape[2]):
        left, right = _window(w, size[1], stride[1], padding[1], x.shape[2])
        pool_max(
            x, x[c, top, left].ctypes.data, bottom - top, x.shape[2] * n, right - left, n, n, out[c, h, w].ctypes.data
        )


@compiled
def _pool_serial(x, out, n, size, stride, padding):
    for item in range(out.shape[0] * out.shape[1]):
        _pool_item(item, x, out, n, size, stride, padding)


@compiled(parallel=True)
def _pool_parallel(x, out, n, size, stride, padding):
    for item in numba.prange(out.shape[0] * out.shape[1]):
        _pool_item(np.int64(item), x, out, n, size, stride, padding)


@compiled
def _gradient_row(c, h, g, y, x, gx, n, size, stride, padding, mode):
    top, bottom = _window(h, size[0], stride[0], padding[0], x.shape[1])
    for w in range(y.shape[2]):
        left, right = _window(w, size[1], stride[1], padding[1], x.shape[2])
        pool_max_gradient(
            x, g[c, h, w].ctypes.data, y[c, h, w].ctypes.data, x[c, top, left].ctypes.data,
            gx[c, top, left].ctypes.data, bottom - top, x.shape[2] * n, right - left, n, n, mode,
        )  # fmt: skip


@compiled
def _tiled_serial(g, y, x, gx, n, size, stride, padding, mode):
    for item in range(y.shape[0] * y.shape[1]):
        _gradient_row(item % y.shape[0], item // y.shape[0], g, y, x, gx, n, size, stride, padding, mode)


@compiled(parallel=True)
def _tiled_parallel(g, y, x, gx, n, size, stride, padding, mode):
    for item in numba.prange(y.shape[0] * y.shape[1]):
        _gradient_row(
            np.int64(item) % y.shape[0], np.int64(item) // y.shape[0], g, y, x, gx, n, size, stride, padding, mode
        )


@compiled
def _overlapping_item(c, g, y, x, gx, n, size, stride, padding, mode):
    gx[c] = 0
    for h in range(y.shape[1]):
        _gradient_row(c, h, g, y, x, gx, n, size, stride, padding, mode)


@compiled
def _overlapping_serial(g, y, x, gx, n, size, stride, padding, mode):
    for c in range(x.shape[0]):
        _overlapping_item(c, g, y, x, gx, n, size, stride, padding, mode)


@compiled(parallel=True)
def _overlapping_parallel(g, y, x, gx, n, size, stride, padding, mode):
    for c in numba.prange(x.shape[0]):
        _overlapping_item(np.int64(c), g, y, x, gx, n, size, stride, padding, mode)


@eager
def max_pool2d(x: Array, *, size: Pair, stride: Pair, padding: Pair, out: Array | None = None) -> tuple[Array, Calls]:
    """Largest value of each window, as in `reference.max_pool2d`."""
    calls: Calls = []
    x = batch_last(x, calls)
    n, c, height, width = x.shape
    places = [
        (inputs + 2 * p - k) // s + 1 for inputs, p, k, s in zip((height, width), padding, size, stride, strict=True)
    ]
    out = batch_array((n, c, *places), x.dtype) if out is None else out
    if out.size:
        function = chosen(_pool_serial, _pool_parallel, 16 * x.size)
        calls.append((function, (memory(x), memory(out), n, size, stride, padding)))
    return out, calls


@eager
def max_pool2d_gradient(
    g: Array,
    y: Array,
    x: Array,
    *,
    size: Pair,
    stride: Pair,
    padding: Pair,
    relu: bool = False,
    out: Array | None = None,
) -> tuple[Array, Calls]:
    """Gradient of `max_pool2d`; with `relu`, that of a ReLU before it as well, whose output x is."""
    calls: Calls = []
    out = batch_array(x.shape, x.dtype) if out is None else out
    if not y.size:
        calls.append((np.copyto, (out, 0)))
        return out, calls
    g, y, x = batch_last(g, calls), batch_last(y, calls), batch_last(x, calls)
    tiled = size == stride and padding == (0, 0) and all(n % k == 0 for n, k in zip(x.shape[2:], size, strict=True))
    forms = (_tiled_serial, _tiled_parallel) if tiled else (_overlapping_serial, _overlapping_parallel)
    function = chosen(*forms, 32 * x.size)
    mode = (0 if tiled else 1) + (2 if relu else 0)
    calls.append((function, (*map(memory, (g, y, x, out)), len(x), size, stride, padding, mode)))
    return out, calls
