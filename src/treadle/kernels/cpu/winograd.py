"""Convolution with fewer multiplications, for filters of 3 × 3 and 5 × 5 that move by one place.

An image is cut into tiles of 4 × 4 outputs. Each tile goes into a domain of n × n numbers, n = 7 − 1 + … taps, in which
convolution is a product number by number: 36 instead of 144 multiplications for 3 × 3, 64 instead of 400 for 5 × 5. Sums
over channels are matrix products then, one for each number of the domain. Rounding is some ten times that of direct sums
(1e-6 in float32).

Every output is summed up by one thread in one order, so results do not depend on the number of threads.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numba
import numpy as np

from treadle.kernels.cpu.calls import Array, Calls, chosen
from treadle.kernels.cpu.compile import compiled
from treadle.kernels.cpu.emit import SHAPES, TAPS, VECTOR_BYTES, rows_for
from treadle.kernels.cpu.tiles import correlate, gather
from treadle.kernels.cpu.tiles_winograd import (
    OUTPUTS,
    gradient_row3,
    gradient_row5,
    input_row3,
    input_row5,
    inputs3,
    inputs5,
    matrices,
    outputs3,
    outputs5,
)

Pair = tuple[int, int]

FEWEST = 8  # channels and filters, below which tiles cost more than they save
VECTORS = np.array([SHAPES.get(rows, 0) for rows in range(16)])
TAP_COUNT = np.array([TAPS.get(rows, 0) for rows in range(16)])
PIECE = 4  # vectors of lanes that go through the domain together, so that they stay in the second cache


def fits(n: int, channels: int, filters: int, size: Pair, stride: Pair, padding: Pair, dilation: Pair, item: int) -> bool:
    """Whether a convolution can be computed here and is worth it; n images, channels and filters of a group."""
    return (
        size in ((3, 3), (5, 5))
        and stride == dilation == (1, 1)
        and max(padding) < size[0]
        and min(channels, filters) >= FEWEST
        and n >= VECTOR_BYTES // item
    )


@lru_cache
def _filters_into(taps: int, dtype: Any) -> Array:
    """G ⊗ G (n², taps²), which takes filters into the domain."""
    g = np.array(matrices(taps)[1], np.float64)
    return np.kron(g, g).astype(dtype)


@compiled
def _places(array, top, left, first, nothing, base, step):
    # addresses of a tile of (C, H, W, N) in rows, from the lane `first` of channel 0, and what the next channel adds;
    # `nothing` outside
    side = int(np.sqrt(len(base)))
    _, height, width, n = array.shape
    plane = array.strides[0]
    for i in range(side):
        for j in range(side):
            inside = 0 <= top + i < height and 0 <= left + j < width
            offset = (top + i) * array.strides[1] + (left + j) * array.strides[2] + first * array.strides[3]
            base[i * side + j] = array.ctypes.data + offset if inside else nothing
            step[i * side + j] = plane if inside else 0


@compiled
def _apart(elements, width):
    # whole vectors, an odd number of them: a tile's numbers, so far apart, then fall into all sets of the first cache
    return ((elements + width - 1) // width // 2 * 2 + 1) * width


@compiled
def _channel(base, step, channel, table):
    for k in range(len(base)):
        table[k] = base[k] + channel * step[k]


@compiled
def room_for(u, lanes):
    """Memory for `tile_row`: an array is let go after the last line that names it, and that must come later."""
    width = VECTOR_BYTES // u.itemsize
    domain, blocks, channels, rows = u.shape
    held = (lanes + width - 1) // width * width
    vs, ms = _apart(channels * held, width), _apart(blocks * rows * held, width)
    return np.empty(domain * (vs + ms + width) + 2 * held + width, u.dtype)


@compiled
def tile_row(x, u, bias, out, row, above, padding, first, begin, lanes, clip, room):
    """Compute a row of tiles for some lanes: x (C, H, W, N), u (n², blocks, C, rows), out (O, rows, columns, lanes).

    The lanes of x from `first` go to those of out from `begin`; out has the rows below those `above`.
    """
    size = x.itemsize
    width = VECTOR_BYTES // size
    domain, blocks, channels, rows = u.shape
    side = int(np.sqrt(domain))
    vectors = (lanes + width - 1) // width
    held = vectors * width
    most = VECTORS[rows]
    tiles = (vectors + most - 1) // most
    vs, ms = _apart(channels * held, width), _apart(blocks * rows * held, width)
    v = (room.ctypes.data + 63) // 64 * 64
    m = v + domain * vs * size
    scratch = m + domain * ms * size
    nothing = scratch + domain * width * size
    trash = nothing + held * size
    room[-2 * held - width :] = 0
    base, step, table = np.empty(domain, np.int64), np.empty(domain, np.int64), np.empty(domain, np.int64)
    area = OUTPUTS * OUTPUTS
    for column in range((out.shape[2] + OUTPUTS - 1) // OUTPUTS):
        top, left = row * OUTPUTS, column * OUTPUTS
        _places(x, top - padding[0], left - padding[1], first, nothing, base, step)
        for c in range(channels):
            _channel(base, step, c, table)
            target = v + c * held * size
            if side == 6:
                inputs3(x, 0, table.ctypes.data, target, vs, width, lanes, scratch)
            else:
                inputs5(x, 0, table.ctypes.data, target, vs, width, lanes, scratch)
        for k in range(domain):
            for tile in range(tiles):
                low, high = vectors * tile // tiles, vectors * (tile + 1) // tiles
                for block in range(blocks):
                    gather(
                        x, rows, high - low, v + (k * vs + low * width) * size, channels, held, 1, 0, 1, 0,
                        u.ctypes.data + (k * blocks + block) * channels * rows * size, rows, 0, 0, nothing,
                        m + (k * ms + block * rows * held + low * width) * size, held, rows, width, 1,
                    )  # fmt: skip
        _places(out, top - above, left, begin, trash, base[:area], step[:area])
        for o in range(len(out)):
            _channel(base[:area], step[:area], o, table[:area])
            source = m + o * held * size
            places, added = table.ctypes.data, bias.ctypes.data + o * size
            if side == 6:
                outputs3(x, source, ms, places, added, np.int64(clip), lanes, scratch)
            else:
                outputs5(x, source, ms, places, added, np.int64(clip), lanes, scratch)


@compiled
def lanes_of(x, piece, pieces):
    """The first lane of one of the pieces that x (C, H, W, N) is computed in, and how many lanes it has."""
    width = VECTOR_BYTES // x.itemsize
    n = x.shape[3]
    vectors = (n + width - 1) // width
    first = vectors * piece // pieces * width
    return first, min(n, vectors * (piece + 1) // pieces * width) - first


@compiled
def _item(item, pieces, x, u, bias, out, padding, clip):
    first, lanes = lanes_of(x, item % pieces, pieces)
    room = room_for(u, lanes)
    tile_row(x, u, bias, out, item // pieces, 0, padding, first, first, lanes, clip, room)
    room[0] = 0


@compiled
def _serial(items, pieces, x, u, bias, out, padding, clip):
    for item in range(items):
        _item(item, pieces, x, u, bias, out, padding, clip)


@compiled(parallel=True)
def _parallel(items, pieces, x, u, bias, out, padding, clip):
    for item in numba.prange(items):
        _item(np.int64(item), pieces, x, u, bias, out, padding, clip)


FORMS = (_serial, _parallel)


def _pieces(n: int, item: int) -> int:
    """In how many pieces the lanes of a batch go through the domain."""
    vectors = -(-n * item // VECTOR_BYTES)
    return -(-vectors // PIECE)


def plan(x: Array, w: Array, bias: Array, out: Array, padding: Pair, clip: bool, calls: Calls) -> None:
    """Append the calls that fill out (O, OH, OW, N) from x (C, H, W, N), w (O, C, taps, taps) and bias, at least (O,)."""
    filters, channels, taps, _ = w.shape
    rows = rows_for(filters, SHAPES)
    blocks = -(-filters // rows)
    laid = np.zeros((taps, taps, blocks, channels, rows), w.dtype)
    into = _filters_into(taps, w.dtype)
    u = np.empty((len(into), blocks, channels, rows), w.dtype)
    for block in range(blocks):
        part = w[block * rows : (block + 1) * rows]
        calls.append((np.copyto, (laid[:, :, block, :, : len(part)], part.transpose(2, 3, 1, 0))))
    calls.append((np.matmul, (into, laid.reshape(taps * taps, -1), u.reshape(len(into), -1))))
    pieces = _pieces(x.shape[3], x.itemsize)
    items = -(-out.shape[1] // OUTPUTS) * pieces
    function = chosen(*FORMS, out.size * w[0].size / 4)
    calls.append((function, (items, pieces, x, u, bias, out, padding, clip)))


@compiled(reorder=True)
def _lanes(vector):
    total = vector.dtype.type(0)
    for lane in range(VECTOR_BYTES // vector.itemsize):
        total += vector[lane]
    return total


@compiled
def _gradient_item(p, x, g, du, padding, rows):
    # row p of the domain: x (C, H, W, N), g (O, OH, OW, N), du (side, side, O, C)
    size = x.itemsize
    width = VECTOR_BYTES // size
    side, _, filters, channels = du.shape
    blocks = (filters + rows - 1) // rows
    taps = TAP_COUNT[rows]
    n = x.shape[3]
    vectors = (n + width - 1) // width
    columns = (g.shape[2] + OUTPUTS - 1) // OUTPUTS
    held = columns * vectors * width
    vs, ms = _apart(channels * held, width), _apart(blocks * rows * held, width)
    memory = np.zeros(side * (vs + ms) + n + width, x.dtype)
    sums = np.zeros((side, blocks, channels, rows, width), x.dtype)
    v = (memory.ctypes.data + 63) // 64 * 64
    m = v + side * vs * size
    nothing = m + side * ms * size
    scratch = nothing  # not used for a single row
    base, step, table = np.empty(side * side, np.int64), np.empty(side * side, np.int64), np.empty(side * side, np.int64)
    area = OUTPUTS * OUTPUTS
    for row in range((g.shape[1] + OUTPUTS - 1) // OUTPUTS):
        for column in range(columns):
            top, left = row * OUTPUTS, column * OUTPUTS
            _places(x, top - padding[0], left - padding[1], 0, nothing, base, step)
            for c in range(channels):
                _channel(base, step, c, table)
                target = v + (c * held + column * vectors * width) * size
                if side == 6:
                    input_row3(x, p, table.ctypes.data, target, vs, width, n, scratch)
                else:
                    input_row5(x, p, table.ctypes.data, target, vs, width, n, scratch)
            _places(g, top, left, 0, nothing, base[:area], step[:area])
            for o in range(filters):
                _channel(base[:area], step[:area], o, table[:area])
                target = m + (o // rows * rows * held + (column * vectors * rows + o % rows) * width) * size
                if side == 6:
                    gradient_row3(x, p, table.ctypes.data, target, ms, rows * width, n, scratch)
                else:
                    gradient_row5(x, p, table.ctypes.data, target, ms, rows * width, n, scratch)
        for q in range(side):
            for block in range(blocks):
                for c in range(0, channels, taps):
                    correlate(
                        x, rows, min(taps, channels - c), m + (q * ms + block * rows * held) * size, 0,
                        v + (q * vs + c * held) * size, held, 0, 1, held, sums[q, block, c].ctypes.data,
                    )  # fmt: skip
    for q in range(side):
        for o in range(filters):
            for c in range(channels):
                du[p, q, o, c] = _lanes(sums[q, o // rows, c, o % rows])
    memory[0] = 0  # named here, so that it is kept until now


@compiled
def _gradient_serial(x, g, du, padding, rows):
    for p in range(len(du)):
        _gradient_item(p, x, g, du, padding, rows)


@compiled(parallel=True)
def _gradient_parallel(x, g, du, padding, rows):
    for p in numba.prange(len(du)):
        _gradient_item(np.int64(p), x, g, du, padding, rows)


def plan_weight_gradient(x: Array, g: Array, out: Array, padding: Pair, calls: Calls) -> None:
    """Append the calls that fill out (O, C, taps, taps) from x (C, H, W, N) and g (O, OH, OW, N)."""
    filters, channels, taps, _ = out.shape
    into = _filters_into(taps, out.dtype)
    side = taps + OUTPUTS - 1
    du = np.empty((side, side, filters, channels), out.dtype)
    sums = np.empty((taps, taps, filters, channels), out.dtype)
    function = chosen(_gradient_serial, _gradient_parallel, g.size * out[0].size / 4)
    calls.append((function, (x, g, du, padding, rows_for(filters, SHAPES))))
    calls.append((np.matmul, (into.T, du.reshape(len(into), -1), sums.reshape(taps * taps, -1))))
    calls.append((np.copyto, (out, sums.transpose(2, 3, 0, 1))))
