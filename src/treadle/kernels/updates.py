"""The updates of optimisers in plain NumPy, in place on flat arrays: one pass over memory for each operation.

Each is the formula of its optimiser's `step`. `treadle.kernels.cpu` has them in one pass.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


def take_scaled(samples: Array, indices: Array, offset: Any, factor: Any, out: Array) -> None:
    """out[n] = (samples[indices[n]] − offset) · factor, for samples (M, …) and out (N, …)."""
    np.subtract(samples[indices], offset, out=out, dtype=out.dtype)
    out *= factor


def largest(x: Array) -> float:
    """Largest absolute value of a flat array; NaN or ∞ if one is not finite."""
    return float(np.max(np.abs(x), initial=0))


def average(mean: Array, p: Array, share: float) -> None:
    """a ← (1 − share) · a + share · p."""
    mean *= 1 - share
    mean += share * p


def sgd(p: Array, g: Array, lr: float) -> None:
    """p ← p − lr · g."""
    p -= lr * g


def momentum(p: Array, g: Array, velocity: Array, lr: float, momentum: float) -> None:
    """v ← momentum · v + g, p ← p − lr · v."""
    velocity *= momentum
    velocity += g
    p -= lr * velocity


def nesterov(p: Array, g: Array, velocity: Array, lr: float, momentum: float) -> None:
    """v ← momentum · v + g, p ← p − lr · (g + momentum · v)."""
    velocity *= momentum
    velocity += g
    p -= lr * (g + momentum * velocity)


def adagrad(p: Array, g: Array, total: Array, lr: float, epsilon: float) -> None:
    """s ← s + g², p ← p − lr · g / (√s + ε)."""
    total += g * g
    p -= lr * (g / (np.sqrt(total) + epsilon))


def rmsprop(p: Array, g: Array, square: Array, lr: float, beta: float, epsilon: float) -> None:
    """s ← beta · s + (1 − beta) · g², p ← p − lr · g / (√s + ε)."""
    square *= beta
    square += (1 - beta) * (g * g)
    p -= lr * (g / (np.sqrt(square) + epsilon))


def adam(
    p: Array, g: Array, mean: Array, square: Array, rate: float, root: float, beta1: float, beta2: float, epsilon: float
) -> None:
    """Adam, with rate = lr / (1 − β₁ᵗ) and root = √(1 − β₂ᵗ)."""
    mean *= beta1
    mean += (1 - beta1) * g
    square *= beta2
    square += (1 - beta2) * (g * g)
    p -= rate * mean / (np.sqrt(square) / root + epsilon)
