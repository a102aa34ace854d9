"""Convolution with fewer multiplications, for filters of 3 × 3 and 5 × 5 that move by one place.

An image is cut into tiles of 4 × 4 outputs. Each goes into a domain of n × n numbers, n = 3 + taps, where convolution
is a product number by number: 36 instead of 144 multiplications for 3 × 3, 64 instead of 400 for 5 × 5. Sums over
channels are matrix products there, one for each number of the domain. Rounding is some ten times that of direct sums.

Every output is summed up by one thread in one order, so results do not depend on the number of threads.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numba
import numpy as np

from treadle.kernels.cpu.calls import Array, Calls, by_address, divided
from treadle.kernels.cpu.compile import compiled
from treadle.kernels.cpu.emit import SHAPES, VECTOR_BYTES, rows_for
from treadle.kernels.cpu.tiles import VECTORS, gather, prefetch_read, prefetch_write, turn
from treadle.kernels.cpu.tiles_pooling import pool_places
from treadle.kernels.cpu.tiles_winograd import MATRICES, OUTPUTS, gradients, inputs, outputs

Pair = tuple[int, int]

FEWEST = 8  # channels and filters, below which tiles cost more than they save
DOMAIN_BYTES = 3 * 2**19  # of the tiles in the domain together: shorter runs of lanes cost more than a full cache
LINE = 64  # bytes of a line of the cache
PARTS = 8  # of the tiles, whose weight gradients are added up at the end
PARTS_BYTES = 2**22  # of all of these gradients; where layers are so wide that they take more, there are two


def fits(
    n: int, channels: int, filters: int, size: tuple[int, ...], stride: Pair, padding: Pair, dilation: Pair, item: int
) -> bool:
    """Whether a convolution can be computed here and is worth it; n images, channels and filters of a group."""
    return (
        size in ((3, 3), (5, 5))
        and stride == dilation == (1, 1)
        and max(padding) < size[0]
        and min(channels, filters) >= FEWEST
        and n >= VECTOR_BYTES // item
    )


@lru_cache
def _filters(side: int, dtype: Any) -> Array:
    """G ⊗ G (n², taps²), which takes filters into the domain."""
    g = np.array(MATRICES[side][1], np.float64)
    return np.kron(g, g).astype(dtype)


@compiled
def _apart(elements, width):
    # whole vectors, an odd number of them: a tile's numbers, so far apart, then fall into all sets of the first cache
    return ((elements + width - 1) // width // 2 * 2 + 1) * width


@compiled
def _places(array, side, top, left, first, nothing, base, step):
    # addresses of a tile of (C, H, W, N) in rows, from the lane `first` of channel 0, and what the next channel adds;
    # `nothing` outside
    _, height, width, _ = array.shape
    for i in range(side):
        for j in range(side):
            inside = 0 <= top + i < height and 0 <= left + j < width
            offset = (top + i) * array.strides[1] + (left + j) * array.strides[2] + first * array.itemsize
            base[i * side + j] = array.ctypes.data + offset if inside else nothing
            step[i * side + j] = array.strides[0] if inside else 0


@compiled
def _channel(count, base, step, channel, table):
    for k in range(count):
        table[k] = base[k] + channel * step[k]


@compiled
def _ask(array, segment, rows, top, left, first, lanes, write):
    # have a row of OUTPUTS places of (C, H, W, N) brought into the caches: of a channel and row that `segment` numbers
    channel, row = segment // rows, top + segment % rows
    _, height, width, n = array.shape
    low, high = max(0, left), min(width, left + OUTPUTS)
    if 0 <= row < height and low < high:
        size, apart = lanes * array.itemsize, array.strides[2]
        address = array.ctypes.data + channel * array.strides[0] + row * array.strides[1] + first * array.itemsize
        if lanes == n:
            size, high = size * (high - low), low + 1
        for column in range(low, high):
            if write:
                prefetch_write(address + column * apart, size)
            else:
                prefetch_read(address + column * apart, size)


@compiled
def _items(begin_item, end_item, pieces, x, u, bias, out, padding, clip, places, window, domain):
    # a row of tiles for a piece of the lanes; what windows pool of it where places (O, PH, PW, N) has any
    for item in range(begin_item, end_item):
        row, piece = item // pieces, item % pieces
        size = x.itemsize
        width = VECTOR_BYTES // size
        side, area = len(domain), OUTPUTS * OUTPUTS
        numbers, blocks, channels, rows = u.shape
        n = x.shape[3]
        everything = (n + width - 1) // width
        first = everything * piece // pieces * width
        lanes = min(n, everything * (piece + 1) // pieces * width) - first
        vectors = (lanes + width - 1) // width
        held = vectors * width
        vs, ms = _apart(channels * held, width), _apart(blocks * rows * held, width)
        outside = held + rows  # numbers: of a place outside, and of a bias of 0
        room = np.empty(numbers * (vs + ms + width) + 2 * outside + LINE // size, x.dtype)
        room[-2 * outside - LINE // size :] = 0
        v = (room.ctypes.data + LINE - 1) // LINE * LINE
        m = v + numbers * vs * size
        scratch = m + numbers * ms * size
        nothing = scratch + numbers * width * size
        trash = nothing + outside * size
        above, begin, made = 0, first, out
        if places.size:
            above, begin, made = (
                row * OUTPUTS,
                0,
                np.empty((len(out), OUTPUTS, out.shape[2] * window[1], lanes), x.dtype),
            )
        parts = (vectors + VECTORS[rows] - 1) // VECTORS[rows]
        base, step, table = np.empty(numbers, np.int64), np.empty(numbers, np.int64), np.empty(numbers, np.int64)
        top = row * OUTPUTS
        for left in range(0, made.shape[2], OUTPUTS):
            _places(x, side, top - padding[0], left - padding[1], first, nothing, base, step)
            for c in range(channels):
                _channel(numbers, base, step, c, table)
                inputs(x, domain, table.ctypes.data, v + c * held * size, vs, lanes, scratch)
            following = left - padding[1] + side  # the first column that the next tile has and this one has not
            for k in range(numbers):
                for segment in range(channels * side * k // numbers, channels * side * (k + 1) // numbers):
                    _ask(x, segment, side, top - padding[0], following, first, lanes, False)
                for segment in range(len(made) * OUTPUTS * k // numbers, len(made) * OUTPUTS * (k + 1) // numbers):
                    _ask(made, segment, OUTPUTS, top - above, left, begin, lanes, True)
                for part in range(parts):
                    low, high = vectors * part // parts, vectors * (part + 1) // parts
                    for block in range(blocks):
                        gather(
                            x, rows, high - low, v + (k * vs + low * width) * size, channels, held, 1, 0, 1, 0,
                            u.ctypes.data + (k * blocks + block) * channels * rows * size, rows, 0, 0, 1, nothing,
                            m + (k * ms + block * rows * held + low * width) * size, held, rows, VECTOR_BYTES, 1, None,
                        )  # fmt: skip
            _places(made, OUTPUTS, top - above, left, begin, trash, base, step)
            for o in range(len(made)):
                _channel(area, base, step, o, table)
                bias_o = bias.ctypes.data + o * size
                outputs(x, domain, m + o * held * size, ms, table.ctypes.data, bias_o, np.int64(clip), lanes, scratch)
        room[0] = 0  # named here, so that its memory is kept until now
        if places.size:
            for c in range(len(out)):
                for h in range(0, min(OUTPUTS, out.shape[1] * window[0] - above), window[0]):
                    for column in range(out.shape[2]):
                        pooled = (above + h) // window[0]
                        pool_places(
                            x, made[c, h, column * window[1]].ctypes.data, window[0], made.shape[2] * lanes, window[1],
                            lanes, lanes, out[c, pooled, column, first:].ctypes.data,
                            places[c, pooled, column, first:].ctypes.data, clip,
                        )  # fmt: skip


_call_items = by_address(_items)


@compiled(parallel=True)
def _parallel(address, first, last, pieces, x, u, bias, out, padding, clip, places, window, domain):
    for item in numba.prange(first, last):
        _call_items(
            address, np.int64(item), np.int64(item + 1),
            (pieces, x, u, bias, out, padding, clip, places, window, domain),
        )  # fmt: skip


FORMS = (_items, _parallel)


def plan(x: Array, w: Array, bias: Array, out: Array, padding: Pair, clip: bool, calls: Calls) -> None:
    """Append the calls that fill out (O, OH, OW, N) from x (C, H, W, N), w (O, C, taps, taps) and bias (O or more,)."""
    filters, channels, taps, _ = w.shape
    side, rows = taps + OUTPUTS - 1, rows_for(filters, SHAPES)
    blocks = -(-filters // rows)
    laid = np.zeros((taps, taps, blocks, channels, rows), w.dtype)
    into = _filters(side, w.dtype)
    u = np.empty((len(into), blocks, channels, rows), w.dtype)
    for block in range(blocks):
        part = w[block * rows : (block + 1) * rows]
        calls.append((np.copyto, (laid[:, :, block, :, : len(part)], part.transpose(2, 3, 1, 0))))
    calls.append((np.matmul, (into, laid.reshape(taps * taps, -1), u.reshape(len(into), -1))))
    tiles = -(-out.shape[1] // OUTPUTS)
    pieces = _pieces(x, len(into) * (channels + blocks * rows), 2 * numba.get_num_threads() // tiles)
    nowhere = np.empty((0, 0, 0, 0), np.uint8)
    arguments = (0, tiles * pieces, pieces, x, u, bias, out, padding, clip, nowhere, (1, 1), (0,) * side)
    calls.append(divided(*FORMS, out.size * w[0].size / 4, *arguments))


def _pieces(x: Array, numbers: int, least: int = 1, most_bytes: int = DOMAIN_BYTES) -> int:
    """Pieces of the lanes of x, if a vector of them comes to some numbers in the domain."""
    vectors = -(-x.shape[3] * x.itemsize // VECTOR_BYTES)
    most = max(1, most_bytes // (numbers * VECTOR_BYTES))
    return max(-(-vectors // most), min(least, vectors))


@compiled
def _gradient_items(begin_item, end_item, pieces, x, g, du, padding, rows, domain):
    # a part of the tiles and pieces of the lanes: x (C, H, W, N), g (O, OH, OW, N), du (parts, numbers, C, O or more)
    for part in range(begin_item, end_item):
        size = x.itemsize
        width = VECTOR_BYTES // size
        side, area = len(domain), OUTPUTS * OUTPUTS
        parts, numbers, channels, filters = du.shape
        n = x.shape[3]
        everything = (n + width - 1) // width
        held = (everything + pieces - 1) // pieces * width
        columns = (g.shape[2] + OUTPUTS - 1) // OUTPUTS
        tiles = (g.shape[1] + OUTPUTS - 1) // OUTPUTS * columns
        vectors = filters // width
        divisions = (vectors + VECTORS[rows] - 1) // VECTORS[rows]
        vs, ms = _apart(channels * held, width), _apart(held * filters, width)
        room = np.empty(numbers * (vs + ms + width) + (area + 1) * held * filters + LINE // size, x.dtype)
        v = (room.ctypes.data + LINE - 1) // LINE * LINE
        m = v + numbers * vs * size
        scratch = m + numbers * ms * size
        turned = scratch + numbers * width * size
        nothing = turned + area * held * filters * size
        room[-held * filters - LINE // size :] = 0
        base, step, table = np.empty(numbers, np.int64), np.empty(numbers, np.int64), np.empty(numbers, np.int64)
        du[part] = 0
        for visit in range(tiles * pieces * part // parts, tiles * pieces * (part + 1) // parts):
            piece, tile = visit // tiles, visit % tiles
            first = everything * piece // pieces * width
            lanes = min(n, everything * (piece + 1) // pieces * width) - first
            top, left = tile // columns * OUTPUTS, tile % columns * OUTPUTS
            _places(x, side, top - padding[0], left - padding[1], first, nothing, base, step)
            for c in range(channels):
                _channel(numbers, base, step, c, table)
                inputs(x, domain, table.ctypes.data, v + c * held * size, vs, lanes, scratch)
            _places(g, OUTPUTS, top, left, first, nothing, base, step)
            for place in range(area):
                table[place] = nothing
                if base[place] != nothing:
                    table[place] = turned + place * held * filters * size
                    for o in range(0, filters, width):
                        for lane in range(0, lanes, width):
                            turn(
                                x, base[place] + o * g.strides[0] + lane * size, g.strides[0] // size, len(g) - o,
                                lanes - lane, table[place] + (lane * filters + o) * size, filters, width,
                            )  # fmt: skip
            gradients(x, domain, table.ctypes.data, m, ms, lanes * filters, scratch)
            following = left - padding[1] + side  # as in _items
            for k in range(numbers):
                for segment in range(channels * side * k // numbers, channels * side * (k + 1) // numbers):
                    _ask(x, segment, side, top - padding[0], following, first, lanes, False)
                for segment in range(len(g) * OUTPUTS * k // numbers, len(g) * OUTPUTS * (k + 1) // numbers):
                    _ask(g, segment, OUTPUTS, top, left + OUTPUTS, first, lanes, False)
                for division in range(divisions):
                    low, high = vectors * division // divisions, vectors * (division + 1) // divisions
                    for c in range(0, channels, rows):
                        gather(
                            x, rows, high - low, m + (k * ms + low * width) * size, lanes, filters, 1, 0, 1, 0,
                            v + (k * vs + c * held) * size, 1, 0, 0, held, nothing,
                            du[part, k, c].ctypes.data + low * VECTOR_BYTES, filters, channels - c, VECTOR_BYTES,
                            0, None,
                        )  # fmt: skip
        room[0] = 0  # named here, so that its memory is kept until now


_call_gradient_items = by_address(_gradient_items)


@compiled(parallel=True)
def _gradient_parallel(address, first, last, pieces, x, g, du, padding, rows, domain):
    for item in numba.prange(first, last):
        _call_gradient_items(address, np.int64(item), np.int64(item + 1), (pieces, x, g, du, padding, rows, domain))


def _gradient_rows(channels: int, vectors: int) -> int:
    """Choose the rows of tiles of channels × vectors of filters by their multiply-adds and loads."""

    def cost(rows: int) -> int:
        divisions = -(-vectors // SHAPES[rows])
        return -(-channels // rows) * (rows * vectors + rows * divisions + vectors)

    return min(SHAPES, key=cost)


def plan_weight_gradient(x: Array, g: Array, out: Array, padding: Pair, calls: Calls) -> None:
    """Append the calls that fill out (O, C, taps, taps) from x (C, H, W, N) and g (O, OH, OW, N).

    In the domain the filters are lanes, so that sums over samples are matrix products there.
    """
    filters, channels, taps, _ = out.shape
    side, width = taps + OUTPUTS - 1, VECTOR_BYTES // out.itemsize
    into = _filters(side, out.dtype)
    held = -(-filters // width) * width
    tiles = math.prod(-(-size // OUTPUTS) for size in g.shape[1:3])
    part_bytes = len(into) * channels * held * out.itemsize
    # a piece is as large as the sums that it is added to, at least, for these are read and written for each
    pieces = _pieces(x, len(into) * (channels + held), most_bytes=max(DOMAIN_BYTES, part_bytes))
    parts = min(PARTS, tiles * pieces, max(2, PARTS_BYTES // part_bytes))
    du = np.empty((parts, len(into), channels, held), out.dtype)
    total, sums = np.empty(du.shape[1:], out.dtype), np.empty((taps, taps, channels, held), out.dtype)
    arguments = (0, parts, pieces, x, g, du, padding, _gradient_rows(channels, held // width), (0,) * side)
    calls.append(divided(_gradient_items, _gradient_parallel, g.size * out[0].size / 4, *arguments))
    calls.append((np.add.reduce, (du, 0, None, total)))
    back, lost = np.ascontiguousarray(into.T), np.empty((taps * taps, channels * held), out.dtype)
    flat, result = total.reshape(len(into), -1), sums.reshape(taps * taps, -1)
    calls.append((np.matmul, (back, flat, result)))
    calls.append((np.absolute, (flat, flat)))
    calls.append((np.matmul, (2 * np.finfo(out.dtype).eps * np.abs(back), flat, lost)))
    calls.append((_without_rounding, (sums.reshape(-1), lost.reshape(-1))))
    calls.append((np.copyto, (out, sums[..., :filters].transpose(3, 2, 0, 1))))


@compiled
def _without_rounding(x, lost):
    # what is less than the rounding of the numbers that it is a sum of counts as 0: filters that met nothing but zeros
    for i in range(len(x)):
        x[i] = x.dtype.type(0) if abs(x[i]) < lost[i] else x[i]
