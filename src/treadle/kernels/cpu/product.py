"""Matrix products: those of BLAS, and products with a matrix of mostly zeros, which are left out.

Four fifths of the pixels of MNIST are 0, and so are most numbers of one-hot and counted features.
"""

from __future__ import annotations

from collections.abc import Callable

import numba
import numpy as np

from treadle.kernels.cpu.calls import Array, Calls, chosen, eager
from treadle.kernels.cpu.compile import compiled
from treadle.kernels.cpu.emit import SHAPES, VECTOR_BYTES
from treadle.kernels.cpu.tiles_sparse import LISTED, SPARSE, any_nonzero, listed, sparse_row

DENSE_FROM = 0.35  # share of numbers that are not 0, from which on the dense product is faster
SPARSE_WORK = 0.2  # of the dense work that is left, about, where zeros are left out
WORTH = 1e6  # multiply-adds, below which counting zeros is not worth it
MOST = SPARSE[1]
MOST_LISTED = SHAPES[LISTED]


@compiled(reorder=True)
def _nonzeros(a):
    count = 0
    for i in range(len(a)):
        count += 1 if a[i] != 0 else 0
    return count


@compiled
def _row_item(m, a, b, out):
    size = a.itemsize
    width = VECTOR_BYTES // size
    for begin in range(0, out.shape[1], MOST * width):
        lanes = min(MOST * width, out.shape[1] - begin)
        vectors = (lanes + width - 1) // width
        last = lanes - (vectors - 1) * width
        sparse_row(
            a, vectors, a[m].ctypes.data, a.shape[1], b.ctypes.data + begin * size, b.shape[1],
            out[m].ctypes.data + begin * size, last,
        )  # fmt: skip


@compiled
def _rows(a, b, out):
    for m in range(len(a)):
        _row_item(m, a, b, out)


@compiled(parallel=True)
def _rows_parallel(a, b, out):
    for m in numba.prange(len(a)):
        _row_item(np.int64(m), a, b, out)


@compiled
def _outer_item(item, a, g, out):
    # LISTED rows of out (K, U): a (N, K) by the samples n in which one of these numbers is not 0
    size = a.itemsize
    width = VECTOR_BYTES // size
    k = item * LISTED
    valid = min(LISTED, a.shape[1] - k)
    numbers = np.empty(len(a), np.int64)
    weights = np.empty((len(a), LISTED), a.dtype)
    count = 0
    for n in range(len(a)):
        numbers[count] = n
        count += any_nonzero(a, a[n].ctypes.data + k * size, valid, weights[count].ctypes.data)
    vectors = (out.shape[1] + width - 1) // width
    tiles = (vectors + MOST_LISTED - 1) // MOST_LISTED
    begin = 0
    for tile in range(tiles):
        end = vectors * (tile + 1) // tiles
        last = min(width, out.shape[1] - (end - 1) * width)
        listed(
            a, end - begin, count, numbers.ctypes.data, weights.ctypes.data, g.ctypes.data + begin * width * size,
            g.shape[1], out[k].ctypes.data + begin * width * size, out.shape[1], valid, last,
        )  # fmt: skip
        begin = end


@compiled
def _outer(a, g, out):
    for item in range((a.shape[1] + LISTED - 1) // LISTED):
        _outer_item(item, a, g, out)


@compiled(parallel=True)
def _outer_parallel(a, g, out):
    for item in numba.prange((a.shape[1] + LISTED - 1) // LISTED):
        _outer_item(np.int64(item), a, g, out)


def _either(sparse: Callable[..., None], rows: Array, a: Array, b: Array, out: Array) -> None:
    """Compute a @ b into out, leaving out zeros of a where most are: rows is a, or its transpose, row by row."""
    if _nonzeros(rows.reshape(-1)) < DENSE_FROM * rows.size:
        sparse(rows, b, out)
    else:
        np.matmul(a, b, out)


@eager
def matmul(a: Array, b: Array, *, out: Array | None = None) -> tuple[Array, Calls]:
    """Matrix product, as `reference.matmul`; where most of a large a is 0, what it would meet in b is not looked at."""
    if a.ndim == 2 and b.ndim == 2 and a.dtype == b.dtype and a.dtype.kind == "f" and a.shape[1] == len(b):
        out = np.empty((len(a), b.shape[1]), a.dtype) if out is None else out
        work = a.size * b.shape[1]
        if a.shape[1] == 1:  # BLAS takes ten times as long for the product of a column and a row
            return out, [(np.multiply, (a, b, out))]
        if work >= WORTH and b.flags.c_contiguous and out.flags.c_contiguous and b.shape[1] >= 16:
            if a.flags.c_contiguous:
                return out, [(_either, (chosen(_rows, _rows_parallel, SPARSE_WORK * work), a, a, b, out))]
            if a.flags.f_contiguous:
                return out, [(_either, (chosen(_outer, _outer_parallel, SPARSE_WORK * work), a.T, a, b, out))]
    if out is None:
        rows, columns = a.shape[-2:-1], b.shape[-1:] if b.ndim > 1 else ()
        out = np.empty((*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), *rows, *columns), np.result_type(a, b))
    return out, [(np.matmul, (a, b, out))]
