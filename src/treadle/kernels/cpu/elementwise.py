"""Sums and the loss in one pass over memory."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numba
import numpy as np

from treadle.kernels import reference
from treadle.kernels.cpu.calls import (
    Array,
    Calls,
    chosen,
    eager,
    fill_with,
    in_memory_order,
    is_batch_last,
    planes,
)
from treadle.kernels.cpu.compile import compiled

Axes = tuple[int, ...]


@compiled
def _relu(x, out):
    zero = x.dtype.type(0)
    for i in range(len(x)):
        out[i] = zero if x[i] < zero else x[i]


@compiled
def _relu_gradient(g, y, out):
    zero = g.dtype.type(0)
    for i in range(len(g)):
        out[i] = g[i] if y[i] > zero else zero


@compiled
def _add_row(x, row, out):
    for n in range(len(x)):
        for i in range(len(row)):
            out[n, i] = x[n, i] + row[i]


@compiled(parallel=True)
def _add_parallel(x, y, out):
    for i in numba.prange(len(x)):
        out[i] = x[i] + y[i]


def add(x: Any, y: Any) -> Array:
    """x + y."""
    return np.asarray(np.add(x, y))


def _plan_add(x: Any, y: Any, *, out: Array | None = None) -> tuple[Array, Calls]:
    """Add a bias in one loop, and in several threads where both are large, as at the end of a residual block."""
    out = add(x, y) if out is None else out
    arrays = isinstance(x, np.ndarray) and isinstance(y, np.ndarray)
    if arrays and x.dtype == y.dtype == out.dtype and x.dtype in (np.float32, np.float64) and x.shape == out.shape:
        if x.ndim == 2 and y.shape == x.shape[1:] and all(array.flags.c_contiguous for array in (x, y, out)):
            return out, [(_add_row, (x, y, out))]
        flat = in_memory_order(x, y, out) if x.shape == y.shape and x.ndim else None
        if flat and chosen(False, True, 8 * x.size):
            return out, [(_add_parallel, tuple(flat))]
    return out, [(np.add, (x, y, out))]


add.plan = _plan_add  # type: ignore[attr-defined]


@eager
def relu(x: Array, *, out: Array | None = None) -> tuple[Array, Calls]:
    """max(x, 0); NaN stays NaN."""
    out = np.empty_like(x) if out is None else out
    flat = in_memory_order(x, out)
    return out, [(_relu, tuple(flat)) if flat else (fill_with, (out, reference.relu, x))]


@eager
def relu_gradient(g: Array, y: Array, *, out: Array | None = None) -> tuple[Array, Calls]:
    """Gradient of `relu` from its output y: g where y > 0, else 0."""
    out = np.empty_like(y) if out is None else out
    if g.shape != y.shape or in_memory_order(y, out) is None:
        return out, [(fill_with, (out, reference.relu_gradient, g, y))]
    calls: Calls = []
    if in_memory_order(y, g) is None:
        calls.append((np.copyto, (copy := np.empty_like(y), g)))
        g = copy
    return out, [*calls, (_relu_gradient, tuple(in_memory_order(g, y, out) or ()))]


@compiled(reorder=True)
def total(x):
    """Sum of a flat array in float64."""
    total = 0.0
    for i in range(len(x)):
        total += np.float64(x[i])
    return total


@compiled
def _sum_all(x, out):
    out.flat[0] = total(x)


@compiled
def _sum_rows(x, out):
    for row in range(len(x)):
        out[row] = total(x[row])


@compiled
def _sum_totals(totals, out):
    for c in range(len(totals)):
        total = 0.0
        for h in range(totals.shape[1]):
            total += totals[c, h]
        out[c] = total


@compiled
def _total_rows(x, totals):
    for item in range(totals.size):
        h, c = item // x.shape[0], item % x.shape[0]
        totals[c, h] = total(x[c, h])


@compiled(parallel=True)
def _total_rows_parallel(x, totals):
    for item in numba.prange(totals.size):
        h, c = item // x.shape[0], item % x.shape[0]
        totals[c, h] = total(x[c, h])


@compiled
def _sum_columns(x, out):
    sums = np.zeros(x.shape[1], np.float64)
    for row in range(x.shape[0]):
        for column in range(x.shape[1]):
            sums[column] += np.float64(x[row, column])
    for column in range(len(out)):
        out[column] = sums[column]


@eager
def sum(x: Array, *, axis: Axes, keepdims: bool = False, out: Array | None = None) -> tuple[Array, Calls]:  # noqa: A001
    """Sum over axes, accumulated in float64, as `reference.sum`; fast for the sums that training takes."""
    shape = tuple(1 if number in axis else size for number, size in enumerate(x.shape))
    kept = tuple(size for number, size in enumerate(x.shape) if number not in axis)
    if out is None:
        out = np.empty(shape if keepdims else kept, x.dtype)
    target = out.reshape(kept)
    floating = x.dtype.kind == "f" and x.size > 0
    if floating and len(axis) == x.ndim and (x.flags.c_contiguous or x.flags.f_contiguous):
        return out, [(_sum_all, (x.ravel(order="K"), target))]
    if floating and x.ndim == 4 and axis == (0, 2, 3) and is_batch_last(x):
        totals = np.empty(x.shape[1:3], np.float64)
        function = chosen(_total_rows, _total_rows_parallel, 8 * x.size)
        return out, [(function, (planes(x), totals)), (_sum_totals, (totals, target))]
    if floating and x.ndim == 2 and axis == (0,) and x.flags.c_contiguous:
        return out, [(_sum_columns, (x, target))]
    if floating and x.ndim == 2 and axis == (0,) and x.flags.f_contiguous:
        return out, [(_sum_rows, (x.T, target))]

    return out, [(fill_with, (target, partial(reference.sum, axis=axis), x))]


@compiled
def _below_top(scores, out):
    # each score less the largest of its row, NaN if there is one
    for n in range(len(scores)):
        top = scores[n, 0]
        for c in range(scores.shape[1]):
            score = scores[n, c]
            if score > top or score != score:
                top = score
        for c in range(scores.shape[1]):
            out[n, c] = scores[n, c] - top


@compiled
def _at_labels(differences, labels, out):
    for n in range(len(labels)):
        out[n] = differences[n, labels[n]]


@compiled
def _cross_entropy(parts, out):
    # from exp(score − largest) of each class and score − largest of the label
    for n in range(len(parts)):
        total = 0.0
        for c in range(parts.shape[1]):
            total += parts[n, c]
        out[n] = math.log(total) - out[n]


@compiled
def cross_entropy_gradient_of(g, labels, parts, out):
    """Gradient of `cross_entropy` from exp(score − largest) of each class, which may lie in `out`."""
    for n in range(len(out)):
        total = 0.0
        for c in range(out.shape[1]):
            total += parts[n, c]
        for c in range(out.shape[1]):
            out[n, c] = g[n] * (parts[n, c] / total - (1.0 if c == labels[n] else 0.0))


@eager
def cross_entropy(scores: Array, labels: Array, *, out: Array | None = None) -> tuple[Array, Calls]:
    """Cross-entropy of each row of scores with its label, as `reference.cross_entropy`."""
    out, parts = np.empty(len(scores), scores.dtype) if out is None else out, np.empty_like(scores)
    return out, [
        (_below_top, (scores, parts)),
        (_at_labels, (parts, labels, out)),
        (np.exp, (parts, parts)),
        (_cross_entropy, (parts, out)),
    ]


@eager
def cross_entropy_gradient(
    gradient: Array, scores: Array, labels: Array, *, out: Array | None = None
) -> tuple[Array, Calls]:
    """Gradient of `cross_entropy` by the scores."""
    out = np.empty_like(scores) if out is None else out
    return out, [
        (_below_top, (scores, out)),
        (np.exp, (out, out)),
        (cross_entropy_gradient_of, (gradient, labels, out, out)),
    ]
