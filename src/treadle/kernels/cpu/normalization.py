"""Means, variances and standardisation of lines: the values over which a mean is taken, one after the other."""

from __future__ import annotations

from functools import partial

import numba
import numpy as np

from treadle.kernels import reference
from treadle.kernels.cpu.calls import Array, Calls, by_columns, chosen, eager, fill_with, is_batch_last, memory
from treadle.kernels.cpu.compile import compiled
from treadle.kernels.cpu.elementwise import total

Axes = tuple[int, ...]


@compiled(reorder=True)
def _moments(line):
    # mean, from the first value on, and mean square distance from it, in float64
    first = np.float64(line[0])
    total = 0.0
    for i in range(len(line)):
        total += np.float64(line[i]) - first
    mean = total / len(line)
    square = 0.0
    for i in range(len(line)):
        distance = (np.float64(line[i]) - first) - mean
        square += distance * distance
    return first, mean, square / len(line)


@compiled(reorder=True)
def _gradient_means(g, y):
    total, along = 0.0, 0.0
    for i in range(len(g)):
        total += np.float64(g[i])
        along += np.float64(g[i]) * np.float64(y[i])
    return total / len(g), along / len(g)


@compiled
def _standardize_line(x, epsilon, out):
    first, mean, variance = _moments(x)
    _standardize_with(x, first, mean, variance, epsilon, out)


@compiled
def _standardize_with(x, first, mean, variance, epsilon, out):
    # near the first value floats of their own width lose nothing that they had
    f = x.dtype.type
    first, mean, inverse = f(first), f(mean), f(1 / np.sqrt(variance + epsilon))
    for i in range(len(x)):
        out[i] = ((x[i] - first) - mean) * inverse


@compiled
def _standardize(x, epsilon, out):
    for line in range(len(x)):
        _standardize_line(x[line], epsilon, out[line])


@compiled(parallel=True)
def _standardize_parallel(x, epsilon, out):
    for line in numba.prange(len(x)):
        _standardize_line(x[line], epsilon, out[line])


@compiled
def _gradient_line(g, y, x, epsilon, out):
    _, _, variance = _moments(x)
    _gradient_with(g, y, variance, epsilon, out)


@compiled
def _gradient_with(g, y, variance, epsilon, out):
    mean, along = _gradient_means(g, y)
    f = g.dtype.type
    mean, along, inverse = f(mean), f(along), f(1 / np.sqrt(variance + epsilon))
    for i in range(len(g)):
        out[i] = ((g[i] - mean) - y[i] * along) * inverse


@compiled
def _gradient(g, y, x, epsilon, out):
    for line in range(len(x)):
        _gradient_line(g[line], y[line], x[line], epsilon, out[line])


@compiled(parallel=True)
def _gradient_parallel(g, y, x, epsilon, out):
    for line in numba.prange(len(x)):
        _gradient_line(g[line], y[line], x[line], epsilon, out[line])


@compiled
def _var(x, ddof, out):
    for line in range(len(x)):
        out[line] = _moments(x[line])[2] * (len(x[line]) / (len(x[line]) - ddof))


@compiled(parallel=True)
def _var_parallel(x, ddof, out):
    for line in numba.prange(len(x)):
        out[line] = _moments(x[line])[2] * (len(x[line]) / (len(x[line]) - ddof))


@compiled
def _normalize_item(c, x, scale, shift, relu, epsilon, y, variances, out):
    # a channel to mean 0 and variance 1, y, and then y · scale + shift, and its ReLU: x, y and out (C, H, W·N)
    first, mean, variance = _moments(x[c].reshape(-1))
    variances[c] = variance
    zero = x.dtype.type(0)
    for h in range(x.shape[1]):
        row, made = y[c, h], out[c, h]
        _standardize_with(x[c, h], first, mean, variance, epsilon, row)
        for i in range(len(row)):
            value = row[i] * scale[c]
            value = value + shift[c]
            made[i] = zero if relu and value < zero else value


@compiled
def normalize(x, scale, shift, relu, epsilon, y, variances, out):
    """Batch normalisation as standardize, multiply, add and, if `relu`, a ReLU would do it one after the other."""
    for c in range(len(x)):
        _normalize_item(c, x, scale, shift, relu, epsilon, y, variances, out)


@compiled(parallel=True)
def normalize_parallel(x, scale, shift, relu, epsilon, y, variances, out):
    """As `normalize`, in several threads."""
    for c in numba.prange(len(x)):
        _normalize_item(np.int64(c), x, scale, shift, relu, epsilon, y, variances, out)


@compiled
def _normalize_gradient_item(c, g, z, relu, scale, y, variances, epsilon, gx, along, totals):
    zero = g.dtype.type(0)
    scaled = np.empty(g.shape[1:], g.dtype)
    masked, product = np.empty(g.shape[2], g.dtype), np.empty(g.shape[2], g.dtype)
    for h in range(g.shape[1]):
        for i in range(g.shape[2]):
            masked[i] = zero if relu and not z[c, h, i] > zero else g[c, h, i]
        for i in range(g.shape[2]):
            product[i] = masked[i] * y[c, h, i]
            scaled[h, i] = masked[i] * scale[c]
        along[c, h], totals[c, h] = total(product), total(masked)
    _gradient_with(scaled.reshape(-1), y[c].reshape(-1), variances[c], epsilon, gx[c].reshape(-1))


@compiled
def normalize_gradient(g, z, relu, scale, y, variances, epsilon, gx, along, totals):
    """Gradient of `normalize` by x, and the sums of g · y and g over the rows, for those by scale and shift.

    z is the output of the ReLU that g arrives at, if there is one.
    """
    for c in range(len(g)):
        _normalize_gradient_item(c, g, z, relu, scale, y, variances, epsilon, gx, along, totals)


@compiled(parallel=True)
def normalize_gradient_parallel(g, z, relu, scale, y, variances, epsilon, gx, along, totals):
    """As `normalize_gradient`, in several threads."""
    for c in numba.prange(len(g)):
        _normalize_gradient_item(np.int64(c), g, z, relu, scale, y, variances, epsilon, gx, along, totals)


def _lines(x: Array, axes: Axes) -> Array | None:
    """View x as (lines, length) with the lines without gaps; None where it does not lie that way."""
    if x.dtype.kind != "f" or not x.size:
        return None
    if x.ndim == 4 and axes == (0, 2, 3) and is_batch_last(x):
        return memory(x).reshape(x.shape[1], -1)
    if x.ndim and axes == tuple(range(1, x.ndim)) and x.flags.c_contiguous:
        return x.reshape(len(x), -1)
    if x.ndim == 2 and axes == (0,) and x.flags.f_contiguous:
        return x.T
    return None


@eager
def standardize(x: Array, *, axes: Axes, epsilon: float, out: Array | None = None) -> tuple[Array, Calls]:
    """(x − mean) / √(variance + ε) with mean and variance over axes."""
    calls: Calls = []
    out = np.empty_like(x) if out is None else out
    if x.ndim == 2 and axes == (0,):  # few numbers: features are copied to lines and back
        x = by_columns(x, calls)
    made = np.empty_like(x) if x.strides != out.strides else out
    lines, results = _lines(x, axes), _lines(made, axes)
    if lines is None or results is None:
        return out, [(fill_with, (out, partial(reference.standardize, axes=axes, epsilon=epsilon), x))]
    calls.append((chosen(_standardize, _standardize_parallel, 32 * x.size), (lines, epsilon, results)))
    if made is not out:
        calls.append((np.copyto, (out, made)))
    return out, calls


@eager
def standardize_gradient(
    g: Array, y: Array, x: Array, *, axes: Axes, epsilon: float, out: Array | None = None
) -> tuple[Array, Calls]:
    """Gradient of `standardize` at x with output y: (g − mean g − y mean(g y)) / √(variance + ε)."""
    calls: Calls = []
    out = np.empty_like(x) if out is None else out
    if x.ndim == 2 and axes == (0,):
        x = by_columns(x, calls)
    if _lines(x, axes) is None:
        return out, [(fill_with, (out, partial(reference.standardize_gradient, axes=axes, epsilon=epsilon), g, y, x))]
    like = [array if array.strides == x.strides else np.empty_like(x) for array in (g, y, out)]
    calls += [(np.copyto, (copy, given)) for copy, given in zip(like[:2], (g, y), strict=True) if copy is not given]
    lines = [_lines(array, axes) for array in (like[0], like[1], x)]
    function = chosen(_gradient, _gradient_parallel, 64 * x.size)
    calls.append((function, (*lines, epsilon, _lines(like[2], axes))))
    if like[2] is not out:
        calls.append((np.copyto, (out, like[2])))
    return out, calls


@eager
def var(
    x: Array, *, axis: Axes, keepdims: bool = False, ddof: int = 0, out: Array | None = None
) -> tuple[Array, Calls]:
    """Variance over axes in two passes, in float64."""
    lines = _lines(x, axis)
    kept = tuple(size for number, size in enumerate(x.shape) if number not in axis)
    if out is None:
        shape = tuple(1 if number in axis else size for number, size in enumerate(x.shape))
        out = np.empty(shape if keepdims else kept, x.dtype if x.dtype.kind == "f" else np.float64)
    if lines is None or lines.shape[1] <= ddof:
        return out, [(fill_with, (out.reshape(kept), partial(reference.var, axis=axis, ddof=ddof), x))]
    return out, [(chosen(_var, _var_parallel, 32 * x.size), (lines, ddof, out.reshape(-1)))]
