"""Convolution on batch-last memory: the logical shape stays (N, C, H, W), only the strides differ.

A channel's row then holds W · N numbers, and what one tap adds to a run of outputs is a weight times a run of inputs
just as long. Where the window leaves the image the taps outside are left out, so nothing is padded. All three
functions walk over rows and columns by tables: for each place the first tap inside, how many, and where they lie.

Every output is summed up by one thread in one order, so results do not depend on the number of threads.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import Any

import numba
import numpy as np

from treadle.kernels import batch_array
from treadle.kernels.cpu import winograd
from treadle.kernels.cpu.calls import Array, Call, Calls, batch_last, by_address, divided, eager, memory, planes
from treadle.kernels.cpu.compile import compiled
from treadle.kernels.cpu.emit import SHAPES, TAPS, VECTOR_BYTES, rows_for
from treadle.kernels.cpu.pooling import spread_row
from treadle.kernels.cpu.tiles import FEW, TAP_COUNT, VECTORS, correlate, gather, lane_sum, pack

Pair = tuple[int, int]

TILE_BYTES = 24 * 1024  # of the inputs that all filters meet before the next are read: half a first cache
GRADIENT_BYTES = 22 * 1024  # of a block of gradients that stays in the first cache
SUM_BYTES = 96 * 1024  # of the sums that a block of gradients is added to before the next is read
CHUNK = 512  # lanes in a piece of work
ROWS = 4  # of gradients that are added up at a time, a multiple of the height of the windows that are pooled
_NOT_POOLED = (np.empty((0, 0, 0), np.uint8), (1, 1), np.empty((0, 0), np.float64))


@compiled
def gather_items(first, last, x, w, bias, out, blocks, above, rows, runs, n, tile_rows, clip, few):
    """Compute some runs of rows of outputs: x (C, H, W·N), w (blocks, C, KH, KW, tile rows), out (O, HO, WO·N).

    out has the filters of blocks[0] to blocks[1], and the rows below those `above`.
    """
    for item in range(first, last):
        size = x.itemsize
        width, most = VECTOR_BYTES // size, VECTORS[tile_rows]
        channels, kh, kw = w.shape[1], w.shape[2], w.shape[3]
        xc, xh = x.strides[0] // size, x.strides[1] // size
        oc, oh = out.strides[0] // size, out.strides[1] // size
        h = item // len(runs)
        k, nk, dk, source, down = rows[h, 0], rows[h, 1], rows[h, 2], rows[h, 3], rows[h, 4]
        place, lanes, q, nq, dq, column, across = runs[item - h * len(runs)]
        count = (lanes + width - 1) // width
        # channels in pieces that stay in the first cache while all filters meet them
        span = most * width + max(0, nq - 1) * min(abs(across) * n, most * width)
        piece = max(1, TILE_BYTES // (size * max(1, nk) * span))
        begin, left = 0, (count + most - 1) // most
        while left:
            end = begin + (count - begin) // left
            left -= 1
            valid = min(width, lanes - (end - 1) * width)
            for c in range(0, channels, piece):
                inputs = min(piece, channels - c)
                mode = (1 if c == 0 else 0) + (2 if clip and c + inputs == channels else 0)
                x0 = x.ctypes.data + (c * xc + source * xh + column + begin * width) * size
                for block in range(blocks[0], blocks[1]):
                    begun = (block - blocks[0]) * tile_rows
                    w0 = w.ctypes.data + (((block * channels + c) * kh + k) * kw + q) * tile_rows * size
                    o0 = out.ctypes.data + (begun * oc + (h - above) * oh + place + begin * width) * size
                    gather(
                        x, tile_rows, end - begin, x0, inputs, xc, nk, down * xh, nq, across * n,
                        w0, kh * kw * tile_rows, dk * kw * tile_rows, dq * tile_rows, 1,
                        bias.ctypes.data + block * tile_rows * size, o0, oc, min(tile_rows, len(out) - begun),
                        valid, mode, few,
                    )  # fmt: skip
            begin = end


_call_gather_items = by_address(gather_items)


@compiled(parallel=True)
def _gather_parallel(address, first, last, x, w, bias, out, blocks, above, rows, runs, n, tile_rows, clip, few):
    for item in numba.prange(first, last):
        _call_gather_items(
            address, np.int64(item), np.int64(item + 1),
            (x, w, bias, out, blocks, above, rows, runs, n, tile_rows, clip, few),
        )  # fmt: skip


@compiled
def _correlate_rows(
    top, bottom, source, gc, gr, x, runs, n, stride, padding, dilation, tile_rows, c0, channels, kh, kw, packed, sums
):
    # add what the rows top to bottom of gradients give, the first of which lies at the address `source`
    size = x.itemsize
    width, most = VECTOR_BYTES // size, TAP_COUNT[tile_rows]
    xc, xh = x.strides[0] // size, x.strides[1] // size
    for number in range(len(runs)):
        place, lanes, q, nq, _, column, across = runs[number]
        vectors = (lanes + width - 1) // width
        gh = vectors * tile_rows * width
        piece = max(1, GRADIENT_BYTES // (gh * size))  # rows of gradients that stay in the first cache
        for begin in range(top, bottom, piece):
            end = min(begin + piece, bottom)
            for h in range(begin, end):
                g0 = source + ((h - top) * gr + place) * size
                pack(x, tile_rows, g0, gc, lanes, packed.ctypes.data + (h - begin) * gh * size)
            for c in range(channels):
                for k in range(kh):
                    # rows h of the outputs meet rows h · stride + shift of the inputs
                    shift = k * dilation - padding
                    low = max(begin, -(shift // stride))
                    high = min(end, (x.shape[1] - 1 - shift) // stride + 1)
                    if low >= high:
                        continue
                    g0 = packed.ctypes.data + (low - begin) * gh * size
                    x0 = x.ctypes.data + ((c0 + c) * xc + (low * stride + shift) * xh + column) * size
                    for t in range(0, nq, most):
                        s0 = sums.ctypes.data + ((c * kh + k) * kw + q + t) * tile_rows * width * size
                        correlate(
                            x, tile_rows, min(most, nq - t), g0, gh, x0 + t * across * n * size, across * n,
                            stride * xh, high - low, lanes, s0,
                        )  # fmt: skip


@compiled
def _correlate_items(
    begin_item, end_item, x, g, out, runs, n, stride, padding, dilation, tile_rows, group, places, window, totals
):
    # gradients of a block of filters by a group of channels: x (C, H, W·N), g (O, HO, WO·N), out (O, C, KH, KW); where
    # places (O, PH, PW·N) has any, g is that of pooled windows, spread here, and totals (O, HO) gets sums of its rows
    for item in range(begin_item, end_item):
        size = x.itemsize
        width = VECTOR_BYTES // size
        kh, kw = out.shape[2], out.shape[3]
        groups = (out.shape[1] + group - 1) // group
        block = item // groups
        c0 = (item - block * groups) * group
        channels = min(group, out.shape[1] - c0)
        first = min(block * tile_rows, out.shape[0] - tile_rows)  # the last block may compute some filters again
        sums = np.zeros((channels, kh * kw, tile_rows, width), x.dtype)
        packed = np.empty(GRADIENT_BYTES // size + tile_rows * (CHUNK + width), x.dtype)
        height, across = g.shape[1] * window[0], g.shape[2] * window[1]
        spread = np.empty((tile_rows, ROWS if places.size else 0, across), x.dtype)
        for top in range(0, height, ROWS):
            bottom = min(top + ROWS, height)
            source, gc, gr = g[first, top:].ctypes.data, g.strides[0] // size, g.strides[1] // size
            if places.size:
                source, gc, gr = spread.ctypes.data, ROWS * across, across
                for r in range(tile_rows):
                    for h in range(top, bottom, window[0]):
                        c, row = first + r, h // window[0]
                        spread_row(g[c, row], places[c, row], spread[r, h - top :], totals[c, h:], n, window)
            _correlate_rows(
                top, bottom, source, gc, gr, x, runs, n, stride, padding, dilation, tile_rows, c0, channels, kh, kw,
                packed, sums,
            )  # fmt: skip
        for c in range(channels):
            for tap in range(kh * kw):
                for r in range(tile_rows):
                    out[first + r, c0 + c, tap // kw, tap % kw] = lane_sum(sums[c, tap, r])


_call_correlate_items = by_address(_correlate_items)


@compiled(parallel=True)
def _correlate_parallel(
    address, first, last, x, g, out, runs, n, stride, padding, dilation, tile_rows, group, places, window, totals
):
    for item in numba.prange(first, last):
        _call_correlate_items(
            address, np.int64(item), np.int64(item + 1),
            (x, g, out, runs, n, stride, padding, dilation, tile_rows, group, places, window, totals),
        )  # fmt: skip


CORRELATE = (_correlate_items, _correlate_parallel)


@compiled
def _pack(w, out):
    # w (O, C, KH, KW) to (blocks, C, KH, KW, rows), the rest of the last block 0
    rows = out.shape[4]
    for block in range(out.shape[0]):
        for c in range(out.shape[1]):
            for h in range(out.shape[2]):
                for v in range(out.shape[3]):
                    for r in range(rows):
                        o = block * rows + r
                        out[block, c, h, v, r] = w[o, c, h, v] if o < w.shape[0] else 0


@lru_cache(maxsize=256)
def _outputs(outputs: int, inputs: int, size: int, stride: int, padding: int, dilation: int) -> Array:
    """For each output place: first tap inside, number, step, and where it lies: first input and step."""
    table = np.zeros((outputs, 5), np.int64)
    for place in range(outputs):
        begin = place * stride - padding
        inside = [tap for tap in range(size) if 0 <= begin + tap * dilation < inputs]
        if inside:
            table[place] = inside[0], len(inside), 1, begin + inside[0] * dilation, dilation
    return table


@lru_cache(maxsize=256)
def _inputs(outputs: int, inputs: int, size: int, stride: int, padding: int, dilation: int) -> Array:
    """For each input place, the taps through which outputs met it, in the form of `_outputs`."""
    table = np.zeros((inputs, 5), np.int64)
    for place in range(inputs):
        begins = ((tap, place + padding - tap * dilation) for tap in range(size))
        met = [(tap, b // stride) for tap, b in begins if b % stride == 0 and 0 <= b // stride < outputs]
        if met:
            step, across = (met[1][0] - met[0][0], met[1][1] - met[0][1]) if len(met) > 1 else (1, 0)
            table[place] = met[0][0], len(met), step, met[0][1], across
    return table


@lru_cache(maxsize=256)
def _runs(outputs: int, inputs: int, n: int, size: int, stride: int, padding: int, dilation: int, back: bool) -> Array:
    """Columns that meet the same taps as one run, in pieces: place, lanes, first tap, number, step, column, step."""
    table = (_inputs if back else _outputs)(outputs, inputs, size, stride, padding, dilation)
    found: list[list[int]] = []
    for place, (tap, count, step, source, across) in enumerate(table.tolist()):
        if stride == 1 and found and found[-1][2:5] == [tap, count, step] and found[-1][6] == across:
            found[-1][1] += n
        else:
            found.append([place * n, n, tap, count, step, source * n, across])
    pieces = []
    for place, lanes, tap, count, step, column, across in found:
        parts = -(-lanes // CHUNK)
        edges = [-(-lanes * part // parts // 16) * 16 for part in range(parts)] + [lanes]
        pieces += [(place + a, b - a, tap, count, step, column + a, across) for a, b in pairwise(edges)]
    return np.array(pieces, np.int64).reshape(-1, 7)


def _packed(w: Array, calls: Calls) -> Array:
    """Weights (O, C, KH, KW) so that those of a tile lie side by side."""
    rows = rows_for(w.shape[0], SHAPES)
    out = np.empty((-(-w.shape[0] // rows), *w.shape[1:], rows), w.dtype)
    calls.append((_pack, (w, out)))
    return out


def _padded(b: Array | None, filters: int, dtype: Any, calls: Calls) -> Array:
    """Return the bias with room for the rest of the last block."""
    out = np.zeros(filters + 16, dtype)
    if b is not None:
        calls.append((np.copyto, (out[:filters], b)))
    return out


def _gathered(x: Array, w: Array, bias: Array, out: Array, rows: Array, runs: Array, n: int, clip: bool) -> Call:
    """Return the call that gathers all of out (O, HO, WO·N) from x (C, H, W·N) and w, packed."""
    taps = w[0, ..., 0].size
    few = 0 if max(rows[:, 1].max(), runs[:, 3].max()) <= FEW else None
    arguments = (0, len(rows) * len(runs), x, w, bias, out, (0, len(w)), 0, rows, runs, n, w.shape[4], clip, few)
    return divided(gather_items, _gather_parallel, out.size * taps, *arguments)


def _groups(array: Array, groups: int) -> list[Array]:
    size = len(array) // groups
    return [array[i * size : (i + 1) * size] for i in range(groups)]


@eager
def conv2d(
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    relu: bool = False,
    out: Array | None = None,
) -> tuple[Array, Calls]:
    """Cross-correlation of images with filters, as in `reference.conv2d`; with `relu` what is negative becomes 0."""
    calls: Calls = []
    x = batch_last(x, calls)
    n, _, height, width = x.shape
    kh, kw = w.shape[2:]
    oh, ow = (
        (inputs + 2 * p - d * (size - 1) - 1) // s + 1
        for inputs, p, d, size, s in zip((height, width), padding, dilation, (kh, kw), stride, strict=True)
    )
    out = batch_array((n, w.shape[0], oh, ow), x.dtype) if out is None else out
    if not out.size:
        return out, calls
    bias = _padded(b, w.shape[0], x.dtype, calls)
    per_group = w.shape[0] // groups
    if winograd.fits(n, w.shape[1], per_group, (kh, kw), stride, padding, dilation, x.itemsize):
        parts = zip(_groups(memory(x), groups), _groups(w, groups), _groups(memory(out), groups), strict=True)
        for number, (xs, ws, os) in enumerate(parts):
            winograd.plan(xs, ws, bias[number * per_group :], os, padding, relu, calls)
        return out, calls
    rows = _outputs(oh, height, kh, stride[0], padding[0], dilation[0])
    runs = _runs(ow, width, n, kw, stride[1], padding[1], dilation[1], False)
    parts = zip(_groups(planes(x), groups), _groups(w, groups), _groups(planes(out), groups), strict=True)
    for number, (xs, ws, os) in enumerate(parts):
        calls.append(_gathered(xs, _packed(ws, calls), bias[number * per_group :], os, rows, runs, n, relu))
    return out, calls


@eager
def conv2d_input_gradient(
    g: Array,
    w: Array,
    *,
    shape: tuple[int, ...],
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    out: Array | None = None,
) -> tuple[Array, Calls]:
    """Gradient of `conv2d` by x: outputs are gathered as inputs were, each through the tap by which it met them."""
    calls: Calls = []
    out = batch_array(shape, g.dtype) if out is None else out
    if not out.size or not g.size:
        calls.append((np.copyto, (out, 0)))
        return out, calls
    g = batch_last(g, calls)
    n, _, height, width = shape
    _, _, oh, ow = g.shape
    zero = np.zeros(shape[1] + 16, g.dtype)
    size = w.shape[2:]
    if winograd.fits(n, w.shape[1], len(w) // groups, size, stride, padding, dilation, g.itemsize):
        around = (size[0] - 1 - padding[0], size[1] - 1 - padding[1])
        parts = zip(_groups(memory(g), groups), _groups(w, groups), _groups(memory(out), groups), strict=True)
        for gs, ws, os in parts:
            winograd.plan(gs, ws.transpose(1, 0, 2, 3)[:, :, ::-1, ::-1], zero, os, around, False, calls)
        return out, calls
    rows = _inputs(oh, height, size[0], stride[0], padding[0], dilation[0])
    runs = _runs(ow, width, n, size[1], stride[1], padding[1], dilation[1], True)
    parts = zip(_groups(planes(g), groups), _groups(w, groups), _groups(planes(out), groups), strict=True)
    for gs, ws, os in parts:
        calls.append(_gathered(gs, _packed(ws.transpose(1, 0, 2, 3), calls), zero, os, rows, runs, n, False))
    return out, calls


@eager
def conv2d_weight_gradient(
    g: Array,
    x: Array,
    *,
    shape: tuple[int, ...],
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    out: Array | None = None,
) -> tuple[Array, Calls]:
    """Gradient of `conv2d` by w: for each tap the product of gradients and inputs, summed over places and samples."""
    calls: Calls = []
    out = np.empty(shape, g.dtype) if out is None else out
    if not out.size or not g.size:
        calls.append((np.copyto, (out, 0)))
        return out, calls
    g, x = batch_last(g, calls), batch_last(x, calls)
    if winograd.fits(len(x), shape[1], shape[0] // groups, shape[2:], stride, padding, dilation, g.itemsize):
        parts = zip(_groups(memory(x), groups), _groups(memory(g), groups), _groups(out, groups), strict=True)
        for xs, gs, os in parts:
            winograd.plan_weight_gradient(xs, gs, os, padding, calls)
        return out, calls
    runs = _runs(g.shape[3], x.shape[3], len(x), shape[3], stride[1], padding[1], dilation[1], False)
    parts = zip(_groups(planes(g), groups), _groups(planes(x), groups), _groups(out, groups), strict=True)
    for gs, xs, os in parts:
        tile = rows_for(len(os), {r: t for r, t in TAPS.items() if r <= len(os)})
        group = max(1, SUM_BYTES // (shape[2] * shape[3] * tile * VECTOR_BYTES))
        items = -(-len(os) // tile) * -(-shape[1] // group)
        arguments = (0, items, xs, gs, os, runs, len(x), stride[0], padding[0], dilation[0], tile, group)
        calls.append(divided(*CORRELATE, gs.size * os[0].size, *arguments, *_NOT_POOLED))
    return out, calls
