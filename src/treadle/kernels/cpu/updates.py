"""The updates of optimisers on flat arrays, in place and in one pass over memory; and batches on their way in."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from treadle.kernels import reference
from treadle.kernels.cpu.calls import Array, is_batch_last, memory
from treadle.kernels.cpu.compile import compiled
from treadle.kernels.cpu.emit import VECTOR_BYTES
from treadle.kernels.cpu.tiles import largest_bits, prefetch_read, turn

AHEAD = 4  # samples


@compiled
def _largest(x):
    return largest_bits(x, x.ctypes.data, x.size)


def largest(x: Array) -> float:
    """Largest absolute value of a flat array; NaN or ∞ if one is not finite."""
    if x.dtype not in (np.float32, np.float64) or not x.flags.c_contiguous:
        return reference.largest(x)
    return float(np.array(_largest(x), f"u{x.itemsize}").view(x.dtype))


@compiled
def average(mean, p, share):
    """Take a share of the parameters into their average, flat arrays, in place."""
    keep, take = p.dtype.type(1 - share), p.dtype.type(share)
    for i in range(len(p)):
        mean[i] = keep * mean[i] + take * p[i]


@compiled
def sgd(p, g, lr):
    """One step of gradient descent on flat arrays, in place."""
    lr = p.dtype.type(lr)
    for i in range(len(p)):
        p[i] -= lr * g[i]


@compiled
def _unless_faded(x, faded):
    # a velocity that has faded counts as 0: the processor takes a hundred times as long for such numbers
    return x * 0 if abs(x) < faded else x


@compiled
def momentum(p, g, velocity, lr, momentum):
    """One step of gradient descent with momentum on flat arrays, in place."""
    lr, momentum = p.dtype.type(lr), p.dtype.type(momentum)
    faded = np.finfo(p.dtype).tiny * p.dtype.type(2**27)
    for i in range(len(p)):
        velocity[i] = momentum * _unless_faded(velocity[i], faded) + g[i]
        p[i] -= lr * velocity[i]


@compiled
def nesterov(p, g, velocity, lr, momentum):
    """One step with Nesterov's momentum on flat arrays, in place."""
    lr, momentum = p.dtype.type(lr), p.dtype.type(momentum)
    faded = np.finfo(p.dtype).tiny * p.dtype.type(2**27)
    for i in range(len(p)):
        velocity[i] = momentum * _unless_faded(velocity[i], faded) + g[i]
        p[i] -= lr * (g[i] + momentum * velocity[i])


@compiled
def adagrad(p, g, total, lr, epsilon):
    """One step of AdaGrad on flat arrays, in place."""
    lr, epsilon = p.dtype.type(lr), p.dtype.type(epsilon)
    for i in range(len(p)):
        total[i] += g[i] * g[i]
        p[i] -= lr * (g[i] / (np.sqrt(total[i]) + epsilon))


@compiled
def rmsprop(p, g, square, lr, beta, epsilon):
    """One step of RMSProp on flat arrays, in place; squares below the smallest normal float count as 0."""
    f = p.dtype.type
    lr, epsilon, keep, take = f(lr), f(epsilon), f(beta), f(1 - beta)
    tiny, zero = np.finfo(p.dtype).tiny, f(0)
    least = np.sqrt(tiny) * f(2)
    for i in range(len(p)):
        large = zero if abs(g[i]) < least else g[i]
        spread = zero if square[i] < f(2) * tiny else square[i]
        square[i] = keep * spread + take * (large * large)
        p[i] -= lr * (g[i] / (np.sqrt(square[i]) + epsilon))


@compiled
def adam(p, g, mean, square, rate, root, beta1, beta2, epsilon):
    """One step of Adam on flat arrays, in place: rate = lr / (1 − β₁ᵗ), root = √(1 − β₂ᵗ).

    Means below 2²⁷ times the smallest normal float, and squares that would be below it, count as 0: the processor
    takes a hundred times as long for such numbers, and means of inputs that are mostly 0 fade to them.
    """
    f = p.dtype.type
    rate, inverse, epsilon, zero = f(rate), f(1 / root), f(epsilon), f(0)
    keep1, keep2, take1, take2 = f(beta1), f(beta2), f(1 - beta1), f(1 - beta2)
    tiny = np.finfo(p.dtype).tiny
    faded, least = tiny * f(2**27), np.sqrt(tiny) * f(2)
    for i in range(len(p)):
        gradient = zero if abs(g[i]) < faded else g[i]
        large = zero if abs(g[i]) < least else g[i]
        before = zero if abs(mean[i]) < faded else mean[i]
        spread = zero if square[i] < f(2) * tiny else square[i]
        mean[i] = keep1 * before + take1 * gradient
        square[i] = keep2 * spread + take2 * (large * large)
        p[i] -= rate * (mean[i] / (np.sqrt(square[i]) * inverse + epsilon))


@compiled
def _take_scaled(begin, end, samples, indices, offset, factor, out):
    for n in range(begin, end):
        row = samples[indices[n]]
        # samples lie anywhere in memory, so that one is fetched while those before it are scaled
        prefetch_read(samples[indices[min(n + AHEAD, len(indices) - 1)]].ctypes.data, row.nbytes)
        for i in range(len(row)):
            out[n - begin, i] = (out.dtype.type(row[i]) - offset) * factor


@compiled
def _take_scaled_batch_last(samples, indices, offset, factor, out):
    # a vector of samples at a time, which are then turned
    size, columns = out.itemsize, samples.shape[1]
    width = VECTOR_BYTES // size
    rows = np.empty((width, columns), out.dtype)
    for begin in range(0, len(indices), width):
        count = min(width, len(indices) - begin)
        _take_scaled(begin, begin + count, samples, indices, offset, factor, rows)
        for i in range(0, columns, width):
            turn(
                out, rows.ctypes.data + i * size, columns, count, columns - i,
                out.ctypes.data + (i * len(indices) + begin) * size, len(indices), count,
            )  # fmt: skip


def take_scaled(samples: Array, indices: Array, offset: Any, factor: Any, out: Array) -> None:
    """out[n] = (samples[indices[n]] − offset) · factor, for samples (M, …) and out (N, …)."""
    columns = math.prod(samples.shape[1:])
    flat = samples.reshape(len(samples), columns)
    if out.flags.c_contiguous and samples.flags.c_contiguous:
        _take_scaled(0, len(indices), flat, indices, offset, factor, out.reshape(len(out), columns))
    elif out.ndim == 4 and is_batch_last(out) and samples.flags.c_contiguous:
        _take_scaled_batch_last(flat, indices, offset, factor, memory(out).reshape(columns, len(out)))
    else:
        reference.take_scaled(samples, indices, offset, factor, out)
