"""Matrix products: those of BLAS, and products with a matrix of mostly zeros, which are left out.

Four fifths of the pixels of MNIST are 0, and so are most numbers of one-hot and counted features.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from treadle.kernels.cpu.calls import Array, Calls, by_address, chosen, divided, eager
from treadle.kernels.cpu.compile import compiled
from treadle.kernels.cpu.emit import VECTOR_BYTES
from treadle.kernels.cpu.tiles_sparse import GROUP, MOST, copy_rows, nonzero, sparse_sum

DENSE_FROM = 0.5  # share of numbers that are not 0, from which on the dense product is faster
SPARSE_WORK = 0.4  # of the dense work that is left, about, where zeros are left out
LOOKED_AT = 50  # rows, from which the share is told
WORTH = 5e4  # multiply-adds, below which counting zeros is not worth it
NARROWEST = 16  # columns of the right side: a vector may read on into the next row, but not past the end of that
COPIED_FROM = 8  # uses of a tile of the right side, from which on it is copied to where whole vectors begin


@compiled(reorder=True)
def _density(a):
    # share of numbers that are not 0, in every fifth row, or in so many that lie as far from each other
    step = max(5, len(a) // LOOKED_AT)
    count = 0
    for i in range(0, len(a), step):
        for j in range(a.shape[1]):
            count += 1 if a[i, j] != 0 else 0
    return count / ((len(a) + step - 1) // step * a.shape[1])


@compiled
def _tile(number, columns, width):
    # one of the tiles of columns, each of at most MOST vectors: its first column, vectors, and lanes of the last one
    vectors = (columns + width - 1) // width
    tiles = (vectors + MOST - 1) // MOST
    begin, end = vectors * number // tiles, vectors * (number + 1) // tiles
    return begin * width, end - begin, min(width, columns - (end - 1) * width)


@compiled
def _tiles(columns, width):
    return (columns + MOST * width - 1) // (MOST * width)


@compiled
def _room(b):
    # memory for a tile of rows of b, where whole vectors begin at addresses that are multiples of their size
    size = GROUP * MOST * VECTOR_BYTES
    room = np.empty(size + VECTOR_BYTES, np.uint8)
    skipped = -room.ctypes.data % VECTOR_BYTES
    return room[skipped : skipped + size]


@compiled
def _tile_of(b, first, column, vectors, last, uses, room):
    # address of a tile of rows of b, and numbers from row to row: where many use it, or vectors would read past the end
    # of b, it is copied
    address, rows = b[first].ctypes.data + column * b.itemsize, min(GROUP, len(b) - first)
    if uses < COPIED_FROM and first + rows < len(b):
        return address, b.shape[1]
    copy_rows(b, rows, vectors, address, b.shape[1], room.ctypes.data, last)
    return np.int64(room.ctypes.data), vectors * VECTOR_BYTES // b.itemsize


@compiled
def _rows(first_piece, last_piece, pieces, a, b, out):
    # some pieces of the rows of out
    begin, end = len(out) * first_piece // pieces, len(out) * last_piece // pieces
    size, width, room = a.itemsize, VECTOR_BYTES // a.itemsize, _room(b)
    for tile in range(_tiles(out.shape[1], width)):
        column, vectors, last = _tile(tile, out.shape[1], width)
        for first in range(0, a.shape[1], GROUP):
            right, stride = _tile_of(b, first, column, vectors, last, end - begin, room)
            for m in range(begin, end):
                left = a[m].ctypes.data + first * size
                bits: Any = nonzero(a, left, a.shape[1] - first)
                if bits or not first:
                    there = out[m].ctypes.data + column * size
                    sparse_sum(a, vectors, bits, left, 1, right, stride, there, last, not first)


@compiled
def _turn(words):
    # 64 × 64 bits with rows and columns exchanged: of halves, then of halves of each, …
    size, mask = 32, np.uint64(0x00000000FFFFFFFF)
    while size:
        shift = np.uint64(size)
        for first in range(0, GROUP, 2 * size):
            for k in range(first, first + size):
                differing = ((words[k] >> shift) ^ words[k + size]) & mask
                words[k] ^= differing << shift
                words[k + size] ^= differing
        size //= 2
        mask ^= mask << np.uint64(size)


@compiled
def _outer(first_piece, last_piece, pieces, a, g, out):
    # some pieces of the rows of out (K, U), each by the samples n in which its number of a (N, K) is not 0
    begin, end = len(out) * first_piece // pieces, len(out) * last_piece // pieces
    size, width, room = a.itemsize, VECTOR_BYTES // a.itemsize, _room(g)
    words = np.empty(GROUP, np.uint64)
    for tile in range(_tiles(out.shape[1], width)):
        column, vectors, last = _tile(tile, out.shape[1], width)
        for first in range(0, len(a), GROUP):
            right, stride = _tile_of(g, first, column, vectors, last, end - begin, room)
            for k in range(begin, end, GROUP):
                left, there = a[first].ctypes.data + k * size, out[k].ctypes.data + column * size
                rows, any_bit = min(GROUP, end - k), np.uint64(0)
                words[:] = 0
                for i in range(min(GROUP, len(a) - first)):
                    words[i] = nonzero(a, left + i * a.shape[1] * size, rows)
                    any_bit |= words[i]
                if any_bit:
                    _turn(words)
                for i in range(rows):
                    if words[i] or not first:
                        sparse_sum(
                            a, vectors, words[i], left + i * size, a.shape[1], right, stride,
                            there + i * out.shape[1] * size, last, not first,
                        )  # fmt: skip


_call_rows, _call_outer = by_address(_rows), by_address(_outer)


@compiled(parallel=True)
def _rows_parallel(address, first, last, pieces, a, b, out):
    for piece in numba.prange(first, last):
        _call_rows(address, np.int64(piece), np.int64(piece + 1), (pieces, a, b, out))


@compiled(parallel=True)
def _outer_parallel(address, first, last, pieces, a, g, out):
    for piece in numba.prange(first, last):
        _call_outer(address, np.int64(piece), np.int64(piece + 1), (pieces, a, g, out))


@compiled
def _column_by_row(a, b, out):
    for k in range(len(a)):
        for u in range(len(b)):
            out[k, u] = a[k] * b[u]


def _in_threads(items: Any, parallel: Any, *arguments: Any) -> None:
    """Call a function in several threads; it is compiled by its first call, which a dense matrix never makes."""
    function, given = divided(items, parallel, math.inf, *arguments)
    function(*given)


def _either(a: Array, b: Array, out: Array, rows: Array, sparse: Callable[..., None], arguments: Any) -> None:
    """Compute a @ b into out, by a function that leaves out zeros of a if most are: rows is a, or its transpose."""
    if _density(rows) < DENSE_FROM:
        sparse(*arguments)
    else:
        np.matmul(a, b, out)


@eager
def matmul(a: Array, b: Array, *, out: Array | None = None) -> tuple[Array, Calls]:
    """Matrix product, as `reference.matmul`; where most of a large a is 0, what it would meet in b is not looked at."""
    if (
        a.ndim == 2
        and b.ndim == 2
        and a.dtype == b.dtype
        and a.dtype in (np.float32, np.float64)
        and a.shape[1] == len(b)
    ):
        out = np.empty((len(a), b.shape[1]), a.dtype) if out is None else out
        work = a.size * b.shape[1]
        if a.shape[1] == 1:  # BLAS takes ten times as long for the product of a column and a row, and NumPy four times
            return out, [(_column_by_row, (a[:, 0], b[0], out))]
        by_rows, by_columns = a.flags.c_contiguous, a.flags.f_contiguous
        whole = (by_rows or by_columns) and b.flags.c_contiguous and out.flags.c_contiguous
        if work >= WORTH and whole and b.shape[1] >= NARROWEST:
            rows, forms = (a, (_rows, _rows_parallel)) if by_rows else (a.T, (_outer, _outer_parallel))
            pieces = numba.get_num_threads()
            arguments = 0, pieces, pieces, rows, b, out
            if chosen(False, True, SPARSE_WORK * work):
                return out, [(_either, (a, b, out, rows, _in_threads, (*forms, *arguments)))]
            return out, [(_either, (a, b, out, rows, forms[0], arguments))]
    if out is None:
        rows, columns = a.shape[-2:-1], b.shape[-1:] if b.ndim > 1 else ()
        out = np.empty((*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), *rows, *columns), np.result_type(a, b))
    return out, [(np.matmul, (a, b, out))]
