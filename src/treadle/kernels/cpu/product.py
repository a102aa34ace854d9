"""Matrix products: those of BLAS, and products with a matrix of mostly zeros, which are left out.

Four fifths of the pixels of MNIST are 0, and so are most numbers of one-hot and counted features.
"""

from __future__ import annotations

from collections.abc import Callable

import numba
import numpy as np

from treadle.kernels.cpu.calls import Array, Calls, chosen, eager
from treadle.kernels.cpu.compile import compiled
from treadle.kernels.cpu.emit import VECTOR_BYTES
from treadle.kernels.cpu.tiles_sparse import GROUP, MOST, append_places, nonzero, sparse_sum

DENSE_FROM = 0.5  # share of numbers that are not 0, from which on the dense product is faster
SPARSE_WORK = 0.2  # of the dense work that is left, about, where zeros are left out
WORTH = 5e4  # multiply-adds, below which counting zeros is not worth it
PART = 4 * GROUP  # rows of a product in a piece of work for one thread
BLOCK_BYTES = 24 * 1024  # of the right side, which the first cache keeps


@compiled(reorder=True)
def _density(a):
    # share of numbers that are not 0, in every fifth row
    count = 0
    for i in range(0, len(a), 5):
        for j in range(a.shape[1]):
            count += 1 if a[i, j] != 0 else 0
    return count / ((len(a) + 4) // 5 * a.shape[1])


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
def _block(vectors):
    # rows of the right side that the first cache keeps while all of the left side meet them
    return max(GROUP, min(BLOCK_BYTES // (vectors * VECTOR_BYTES), 256) // GROUP * GROUP)


@compiled
def _rows(begin, end, a, b, out):
    # rows of out
    size, width = a.itemsize, VECTOR_BYTES // a.itemsize
    places = np.empty(256 + GROUP, np.uint8)
    for tile in range(_tiles(out.shape[1], width)):
        column, vectors, last = _tile(tile, out.shape[1], width)
        step = _block(vectors)
        for first in range(0, a.shape[1], step):
            stop = min(first + step, a.shape[1])
            right = b[first].ctypes.data + column * size
            for m in range(begin, end):
                row, count = a[m].ctypes.data, 0
                for k in range(first, stop, GROUP):
                    where = places.ctypes.data + count
                    count += append_places(nonzero(a, row + k * size, stop - k), k - first, where)
                if count or not first:
                    sparse_sum(
                        a, vectors, count, places.ctypes.data, row + first * size, 1, right, b.shape[1],
                        out[m].ctypes.data + column * size, last, not first,
                    )  # fmt: skip


@compiled
def _turned(word):
    # 8 × 8 bits with rows and columns exchanged
    for shift, bits in (
        (np.uint64(7), np.uint64(0x00AA00AA00AA00AA)),
        (np.uint64(14), np.uint64(0x0000CCCC0000CCCC)),
        (np.uint64(28), np.uint64(0x00000000F0F0F0F0)),
    ):
        differing = (word ^ (word >> shift)) & bits
        word ^= differing ^ (differing << shift)
    return word


@compiled
def _outer(begin, end, a, g, out):
    # rows of out (K, U), each by the samples n in which its number of a (N, K) is not 0
    size, width, byte = a.itemsize, VECTOR_BYTES // a.itemsize, np.uint64(255)
    places = np.empty((GROUP, 256 + GROUP), np.uint8)
    counts = np.empty(GROUP, np.int64)
    for tile in range(_tiles(out.shape[1], width)):
        column, vectors, last = _tile(tile, out.shape[1], width)
        step = _block(vectors)
        for first in range(0, len(a), step):
            stop = min(first + step, len(a))
            right = g[first].ctypes.data + column * size
            for k in range(begin, end, GROUP):
                valid = min(GROUP, end - k)
                counts[:] = 0
                for n in range(first, stop, GROUP):
                    word = np.uint64(0)
                    for i in range(min(GROUP, stop - n)):
                        word |= nonzero(a, a[n + i].ctypes.data + k * size, valid) << np.uint64(GROUP * i)
                    if not word:
                        continue
                    word = _turned(word)
                    for i in range(valid):
                        bits = (word >> np.uint64(GROUP * i)) & byte
                        counts[i] += append_places(bits, n - first, places[i].ctypes.data + counts[i])
                for i in range(valid):
                    if counts[i] or not first:
                        sparse_sum(
                            a, vectors, counts[i], places[i].ctypes.data, a[first].ctypes.data + (k + i) * size,
                            a.shape[1], right, g.shape[1], out[k + i].ctypes.data + column * size, last, not first,
                        )  # fmt: skip


@compiled(parallel=True)
def _rows_parallel(begin, end, a, b, out):
    for part in numba.prange((end - begin + PART - 1) // PART):
        first = begin + np.int64(part) * PART
        _rows(first, min(first + PART, end), a, b, out)


@compiled(parallel=True)
def _outer_parallel(begin, end, a, g, out):
    for part in numba.prange((end - begin + PART - 1) // PART):
        first = begin + np.int64(part) * PART
        _outer(first, min(first + PART, end), a, g, out)


@compiled
def _column_by_row(a, b, out):
    for k in range(len(a)):
        for u in range(len(b)):
            out[k, u] = a[k] * b[u]


def _either(sparse: Callable[..., None], rows: Array, a: Array, b: Array, out: Array) -> None:
    """Compute a @ b into out, leaving out zeros of a where most are: rows is a, or its transpose, row by row."""
    if _density(rows) < DENSE_FROM:
        sparse(0, len(out), rows, b, out)
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
        if work >= WORTH and b.flags.c_contiguous and out.flags.c_contiguous and b.shape[1] >= 16:
            if a.flags.c_contiguous:
                return out, [(_either, (chosen(_rows, _rows_parallel, SPARSE_WORK * work), a, a, b, out))]
            if a.flags.f_contiguous:
                return out, [(_either, (chosen(_outer, _outer_parallel, SPARSE_WORK * work), a.T, a, b, out))]
    if out is None:
        rows, columns = a.shape[-2:-1], b.shape[-1:] if b.ndim > 1 else ()
        out = np.empty((*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), *rows, *columns), np.result_type(a, b))
    return out, [(np.matmul, (a, b, out))]
