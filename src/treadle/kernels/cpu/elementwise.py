"""Sums, the loss and updates of parameters in one pass over memory."""

from __future__ import annotations

import math

import numba
import numpy as np

from treadle.kernels import reference
from treadle.kernels.cpu.calls import Array, Calls, chosen, eager, is_batch_last
from treadle.kernels.cpu.compile import compiled

Axes = tuple[int, ...]


@compiled(reorder=True)
def _total(x):  # type: ignore[no-untyped-def]
    total = 0.0
    for i in range(len(x)):
        total += np.float64(x[i])
    return total


@compiled
def _sum_all(x, out):  # type: ignore[no-untyped-def]
    out.flat[0] = _total(x)


@compiled
def _sum_rows(x, out):  # type: ignore[no-untyped-def]
    for row in range(len(x)):
        out[row] = _total(x[row])


@compiled(parallel=True)
def _sum_rows_parallel(x, out):  # type: ignore[no-untyped-def]
    for row in numba.prange(len(x)):
        out[row] = _total(x[row])


@compiled
def _sum_columns(x, out):  # type: ignore[no-untyped-def]
    sums = np.zeros(x.shape[1], np.float64)
    for row in range(x.shape[0]):
        for column in range(x.shape[1]):
            sums[column] += np.float64(x[row, column])
    out[:] = sums


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
        function = chosen(_sum_rows, _sum_rows_parallel, 8 * x.size)
        return out, [(function, (x.transpose(1, 2, 3, 0).reshape(x.shape[1], -1), target))]
    if floating and x.ndim == 2 and axis == (0,) and x.flags.c_contiguous:
        return out, [(_sum_columns, (x, target))]
    if floating and x.ndim == 2 and axis == (0,) and x.flags.f_contiguous:
        return out, [(_sum_rows, (x.T, target))]

    def general() -> None:
        np.copyto(target, reference.sum(x, axis=axis))

    return out, [(general, ())]


@compiled
def _row_top(row):  # type: ignore[no-untyped-def]
    top = row[0]
    for score in row:
        if score > top or score != score:
            top = score
    return top


@compiled
def _cross_entropy(scores, labels, out):  # type: ignore[no-untyped-def]
    for n in range(len(scores)):
        top = _row_top(scores[n])
        total = 0.0
        for score in scores[n]:
            total += math.exp(np.float64(score - top))
        out[n] = math.log(total) - np.float64(scores[n, labels[n]] - top)


@compiled
def _cross_entropy_gradient(g, scores, labels, out):  # type: ignore[no-untyped-def]
    for n in range(len(scores)):
        top = _row_top(scores[n])
        total = 0.0
        for c in range(scores.shape[1]):
            part = math.exp(np.float64(scores[n, c] - top))
            out[n, c] = part
            total += part
        for c in range(scores.shape[1]):
            out[n, c] = g[n] * (out[n, c] / total - (1.0 if c == labels[n] else 0.0))


@eager
def cross_entropy(scores: Array, labels: Array, *, out: Array | None = None) -> tuple[Array, Calls]:
    """Cross-entropy of each row of scores with its label, as `reference.cross_entropy`."""
    out = np.empty(len(scores), scores.dtype) if out is None else out
    return out, [(_cross_entropy, (scores, labels, out))]


@eager
def cross_entropy_gradient(
    gradient: Array, scores: Array, labels: Array, *, out: Array | None = None
) -> tuple[Array, Calls]:
    """Gradient of `cross_entropy` by the scores."""
    out = np.empty_like(scores) if out is None else out
    return out, [(_cross_entropy_gradient, (gradient, scores, labels, out))]


@compiled
def _largest_bits(bits):  # type: ignore[no-untyped-def]
    top, sign = bits.dtype.type(0), bits.dtype.type(1 << (8 * bits.itemsize - 1))
    for i in range(len(bits)):
        top = max(top, bits[i] & ~sign)
    return top


def largest(x: Array) -> float:
    """Largest absolute value of a flat array; NaN or ∞ if one is not finite. Without its sign, a float sorts by its bits."""
    bits = np.dtype(f"u{x.itemsize}")
    return float(np.array(_largest_bits(x.view(bits)), bits).view(x.dtype))


@compiled
def sgd(p, g, lr, weight_decay):  # type: ignore[no-untyped-def]
    """One step of gradient descent on flat arrays, in place."""
    lr, weight_decay = p.dtype.type(lr), p.dtype.type(weight_decay)
    for i in range(len(p)):
        p[i] -= lr * (g[i] + weight_decay * p[i])


@compiled
def momentum(p, g, velocity, lr, momentum, weight_decay):  # type: ignore[no-untyped-def]
    """One step of gradient descent with momentum on flat arrays, in place."""
    lr, momentum, weight_decay = p.dtype.type(lr), p.dtype.type(momentum), p.dtype.type(weight_decay)
    for i in range(len(p)):
        velocity[i] = momentum * velocity[i] + (g[i] + weight_decay * p[i])
        p[i] -= lr * velocity[i]


@compiled
def adam(p, g, mean, square, rate, root, beta1, beta2, epsilon):  # type: ignore[no-untyped-def]
    """One step of Adam on flat arrays, in place: rate = lr / (1 − β₁ᵗ), root = √(1 − β₂ᵗ)."""
    f = p.dtype.type
    rate, inverse, epsilon, one = f(rate), f(1 / root), f(epsilon), f(1)
    keep1, keep2, take1, take2 = f(beta1), f(beta2), f(1 - beta1), f(1 - beta2)
    for i in range(len(p)):
        mean[i] = keep1 * mean[i] + take1 * g[i]
        square[i] = keep2 * square[i] + take2 * (g[i] * g[i])
        p[i] -= rate * mean[i] / (np.sqrt(square[i]) * inverse + epsilon)


@compiled
def take_scaled(images, indices, low, span, out):  # type: ignore[no-untyped-def]
    """out[n] = (images[indices[n]] − low) / span, for images (M, features) and out (N, features)."""
    for n in range(len(indices)):
        row = images[indices[n]]
        for i in range(len(row)):
            out[n, i] = (out.dtype.type(row[i]) - low) / span
