"""Convolution and the pooling after it in one pass: a row of windows is pooled as soon as it is convolved.

The output of the convolution itself, the largest array of a small network, is never written. The gradient needs to
know of it only which element of each window was the largest.
"""

from __future__ import annotations

import numba
import numpy as np

from treadle.kernels.cpu import winograd
from treadle.kernels.cpu.calls import Array, Call, chosen, memory
from treadle.kernels.cpu.compile import compiled
from treadle.kernels.cpu.convolution import gather_item
from treadle.kernels.cpu.elementwise import total
from treadle.kernels.cpu.tiles_pooling import pool_places, pool_scatter
from treadle.kernels.cpu.tiles_winograd import OUTPUTS
from treadle.kernels.cpu.winograd import lanes_of, room_for, tile_row

Pair = tuple[int, int]


@compiled
def _convolve_item(item, parts, x, w, bias, rows, runs, n, tile_rows, clip, out, places, size):
    # one row of windows, in a part of the filters: out and places (O, PH, PW, N)
    part, row = item % parts, item // parts
    blocks = (w.shape[0] * part // parts, w.shape[0] * (part + 1) // parts)
    begin, end = blocks[0] * tile_rows, min(blocks[1] * tile_rows, out.shape[0])
    columns = (runs[-1, 0] + runs[-1, 1]) // n
    made = np.empty((end - begin, size[0], columns * n), x.dtype)
    above = row * size[0]
    for h in range(above, above + size[0]):
        for run in range(len(runs)):
            gather_item(h * len(runs) + run, x, w, bias, made, blocks, above, rows, runs, n, tile_rows, clip)
    for c in range(begin, end):
        for column in range(out.shape[2]):
            pool_places(
                x, made[c - begin, 0, column * size[1] * n :].ctypes.data, size[0], columns * n, size[1], n, n,
                out[c, row, column].ctypes.data, places[c, row, column].ctypes.data, clip,
            )  # fmt: skip


@compiled
def _convolve(items, parts, x, w, bias, rows, runs, n, tile_rows, clip, out, places, size):
    for item in range(items):
        _convolve_item(item, parts, x, w, bias, rows, runs, n, tile_rows, clip, out, places, size)


@compiled(parallel=True)
def _convolve_parallel(items, parts, x, w, bias, rows, runs, n, tile_rows, clip, out, places, size):
    for item in numba.prange(items):
        _convolve_item(np.int64(item), parts, x, w, bias, rows, runs, n, tile_rows, clip, out, places, size)


@compiled
def _tiles_item(item, pieces, x, u, bias, padding, clip, out, places, size):
    # one row of tiles, for some lanes: out and places (O, PH, PW, N)
    row, piece = item // pieces, item % pieces
    first, lanes = lanes_of(x, piece, pieces)
    made = np.empty((out.shape[0], OUTPUTS, out.shape[2] * size[1], lanes), x.dtype)
    above = row * OUTPUTS
    room = room_for(u, lanes)
    tile_row(x, u, bias, made, row, above, padding, first, 0, lanes, clip, room)
    room[0] = 0
    for c in range(len(out)):
        for h in range(0, min(OUTPUTS, out.shape[1] * size[0] - above), size[0]):
            for column in range(out.shape[2]):
                at = (above + h) // size[0]
                pool_places(
                    x, made[c, h, column * size[1]].ctypes.data, size[0], made.shape[2] * lanes, size[1], lanes, lanes,
                    out[c, at, column, first:].ctypes.data, places[c, at, column, first:].ctypes.data, clip,
                )  # fmt: skip


@compiled
def _tiles(items, pieces, x, u, bias, padding, clip, out, places, size):
    for item in range(items):
        _tiles_item(item, pieces, x, u, bias, padding, clip, out, places, size)


@compiled(parallel=True)
def _tiles_parallel(items, pieces, x, u, bias, padding, clip, out, places, size):
    for item in numba.prange(items):
        _tiles_item(np.int64(item), pieces, x, u, bias, padding, clip, out, places, size)


@compiled
def _scatter_item(item, g, places, gx, totals, n, size):
    row, c = item // g.shape[0], item % g.shape[0]
    columns = gx.shape[2]
    for column in range(g.shape[2]):
        pool_scatter(
            g, g[c, row, column].ctypes.data, places[c, row, column].ctypes.data,
            gx[c, row * size[0], column * size[1]].ctypes.data, size[0], columns * n, size[1], n, n,
        )  # fmt: skip
    for h in range(row * size[0], (row + 1) * size[0]):
        totals[c, h] = total(gx[c, h].reshape(-1))


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
        items, pieces, x, u, bias, _, padding, clip = arguments
        if OUTPUTS % size[0]:
            return None
        form = (_tiles, _tiles_parallel)[winograd.FORMS.index(function)]
        return form, (items, pieces, x, u, bias, padding, clip, memory(out), places, size)
    x, w, bias, made, rows, runs, n, tile_rows, clip = arguments
    height = out.shape[2]
    parts = 2 if w.shape[0] % 2 == 0 and (height < 8 or height % 2) else 1  # as many pieces of work for two threads
    form = chosen(_convolve, _convolve_parallel, made.size * w[0].size)
    return form, (height * parts, parts, x, w, bias, rows, runs, n, tile_rows, clip, memory(out), places, size)


def scatter(g: Array, places: Array, gx: Array, totals: Array, size: Pair) -> Call:
    """Return the call that spreads gradients (N, O, PH, PW) of `convolve_pool` over gx (N, O, H, W), all batch-last.

    `totals` (O, H) gets the sums of the rows, which the gradient of a bias needs, while they are in the cache.
    """
    function = chosen(_scatter, _scatter_parallel, 32 * gx.size)
    return function, (memory(g), places, memory(gx), totals, len(g), size)
