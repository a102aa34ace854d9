"""Convolution and the pooling after it in one pass: a row of windows is pooled as soon as it is convolved.

The output of the convolution itself, the largest array of a small network, is never written. The gradient needs to
know of it only which element of each window was the largest.
"""

from __future__ import annotations

import numba
import numpy as np

from treadle.kernels.cpu import winograd
from treadle.kernels.cpu.calls import Array, Call, by_address, chosen, divided, memory, planes
from treadle.kernels.cpu.compile import compiled
from treadle.kernels.cpu.convolution import CORRELATE, ROWS, gather_items
from treadle.kernels.cpu.pooling import spread_row
from treadle.kernels.cpu.tiles_pooling import pool_places
from treadle.kernels.cpu.tiles_winograd import OUTPUTS

Pair = tuple[int, int]


@compiled
def _convolve_items(begin_item, end_item, parts, x, w, bias, rows, runs, n, tile_rows, clip, few, out, places, size):
    # one row of windows, in a part of the filters: out and places (O, PH, PW, N)
    for item in range(begin_item, end_item):
        part, row = item % parts, item // parts
        blocks = (w.shape[0] * part // parts, w.shape[0] * (part + 1) // parts)
        begin, end = blocks[0] * tile_rows, min(blocks[1] * tile_rows, out.shape[0])
        columns = (runs[-1, 0] + runs[-1, 1]) // n
        made = np.empty((end - begin, size[0], columns * n), x.dtype)
        above = row * size[0]
        first, last = above * len(runs), (above + size[0]) * len(runs)
        gather_items(first, last, x, w, bias, made, blocks, above, rows, runs, n, tile_rows, clip, few)
        for c in range(begin, end):
            for column in range(out.shape[2]):
                pool_places(
                    x, made[c - begin, 0, column * size[1] * n :].ctypes.data, size[0], columns * n, size[1], n, n,
                    out[c, row, column].ctypes.data, places[c, row, column].ctypes.data, clip,
                )  # fmt: skip


_call_convolve_items = by_address(_convolve_items)


@compiled(parallel=True)
def _convolve_parallel(address, first, last, parts, x, w, bias, rows, runs, n, tile_rows, clip, few, out, places, size):
    for item in numba.prange(first, last):
        _call_convolve_items(
            address, np.int64(item), np.int64(item + 1),
            (parts, x, w, bias, rows, runs, n, tile_rows, clip, few, out, places, size),
        )  # fmt: skip


@compiled
def _scatter_item(item, g, places, gx, totals, n, size):
    row, c = item // g.shape[0], item % g.shape[0]
    h = row * size[0]
    spread_row(g[c, row], places[c, row], gx[c, h:], totals[c, h:], n, size)


@compiled
def _scatter(g, places, gx, totals, n, size):
    for item in range(g.shape[0] * g.shape[1]):
        _scatter_item(item, g, places, gx, totals, n, size)


@compiled(parallel=True)
def _scatter_parallel(g, places, gx, totals, n, size):
    for item in numba.prange(g.shape[0] * g.shape[1]):
        _scatter_item(np.int64(item), g, places, gx, totals, n, size)


def convolve_pool(convolved: Call, out: Array, places: Array, size: Pair) -> Call | None:
    """Return the call that does the work of the last call of `conv2d` and pools what it gives, or None if none does.

    Args:
        convolved: that call.
        out: pooled, (N, O, PH, PW) in batch-last memory.
        places: bytes (O, PH, PW, N), which element of a window was the largest.
        size: of a window, which is its stride too.
    """
    function, arguments = convolved
    if function in winograd.FORMS:
        if OUTPUTS % size[0]:
            return None
        *head, items, pieces, x, u, bias, _, padding, clip, _, _, domain = arguments
        return function, (*head, items, pieces, x, u, bias, memory(out), padding, clip, places, size, domain)
    *_, x, w, bias, made, _, _, rows, runs, n, tile_rows, clip, few = arguments
    height = out.shape[2]
    parts = 2 if w.shape[0] % 2 == 0 and (height < 8 or height % 2) else 1  # as many pieces of work for two threads
    wanted = (0, height * parts, parts, x, w, bias, rows, runs, n, tile_rows, clip, few, memory(out), places, size)
    return divided(_convolve_items, _convolve_parallel, made.size * w[0].size, *wanted)


def scatter(g: Array, places: Array, gx: Array, totals: Array, size: Pair) -> Call:
    """Return the call that spreads gradients (N, O, PH, PW) of `convolve_pool` over gx (N, O, H, W), all batch-last.

    `totals` (O, H) gets the sums of the rows, which the gradient of a bias needs, while they are in the cache.
    """
    function = chosen(_scatter, _scatter_parallel, 32 * gx.size)
    return function, (planes(g), _flat(places), planes(gx), totals, len(g), size)


def correlate_pooled(correlated: Call, g: Array, places: Array, totals: Array, size: Pair) -> Call | None:
    """Return the call that does the work of `scatter` and of a weight gradient after it, or None if none does.

    What `scatter` writes is as many times as large as g as a window has places, and is never written then.

    Args:
        correlated: the last call of `conv2d_weight_gradient`.
        g, places, totals, size: as for `scatter`.
    """
    function, arguments = correlated
    if function not in CORRELATE:
        return None
    *_, begin, items, x, gx, out, runs, n, stride, padding, dilation, tile, group = arguments[:-3]
    if ROWS % size[0] or out.shape[1] > group:  # the gradients would be spread for each group of channels anew
        return None
    spread = (planes(g), out, runs, n, stride, padding, dilation, tile, group, _flat(places), size, totals)
    return divided(*CORRELATE, gx.size * out[0].size, begin, items, x, *spread)


def _flat(places: Array) -> Array:
    return places.reshape(*places.shape[:2], -1)
