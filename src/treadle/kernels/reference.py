"""Every kernel in plain NumPy: short, obviously right, the truth that faster kernels are tested against.

What NumPy has under the same name is used as it is; the rest is written out below.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import (
    abs,  # noqa: A004 - kernels carry NumPy's names
    add,
    broadcast_to,
    clip,
    divide,
    exp,
    log,
    matmul,
    maximum,
    minimum,
    multiply,
    negative,
    reshape,
    sign,
    sqrt,
    subtract,
    swapaxes,
    tanh,
    transpose,
    where,
)
from numpy import concatenate as concat

__all__ = [
    "abs",
    "add",
    "broadcast_to",
    "clip",
    "concat",
    "cross_entropy",
    "cross_entropy_gradient",
    "divide",
    "exp",
    "getitem",
    "log",
    "log_softmax",
    "logsumexp",
    "matmul",
    "max",
    "maximum",
    "min",
    "minimum",
    "multiply",
    "negative",
    "pad",
    "power",
    "relu",
    "reshape",
    "scatter_add",
    "sigmoid",
    "sign",
    "softmax",
    "sqrt",
    "subtract",
    "sum",
    "swapaxes",
    "tanh",
    "transpose",
    "var",
    "where",
]

Array = np.ndarray[Any, np.dtype[Any]]
Axes = tuple[int, ...]


def power(x: Array, exponent: Any) -> Array:
    """x ** exponent, with NumPy's short cuts for the scalar exponents 2, 0.5 and -1."""
    return x**exponent  # type: ignore[no-any-return]


def relu(x: Array) -> Array:
    """max(x, 0); NaN stays NaN."""
    return np.maximum(x, 0)


def sigmoid(x: Array) -> Array:
    """1 / (1 + e^-x) without overflow: e^x is only taken of numbers that are not positive."""
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, small) / (1 + small)  # type: ignore[no-any-return]


def sum(x: Array, *, axis: Axes, keepdims: bool = False) -> Array:  # noqa: A001
    """Sum over axes; float32 is accumulated in float64, for along a strided axis 1e8 ones would stop at 2**24."""
    if x.dtype == np.float32:
        return np.sum(x, axis=axis, keepdims=keepdims, dtype=np.float64).astype(np.float32)  # type: ignore[return-value]
    return np.sum(x, axis=axis, keepdims=keepdims)  # type: ignore[no-any-return]


def max(x: Array, *, axis: Axes, keepdims: bool = False) -> Array:  # noqa: A001
    """Largest value over axes."""
    return np.max(x, axis=axis, keepdims=keepdims)  # type: ignore[no-any-return]


def min(x: Array, *, axis: Axes, keepdims: bool = False) -> Array:  # noqa: A001
    """Smallest value over axes."""
    return np.min(x, axis=axis, keepdims=keepdims)  # type: ignore[no-any-return]


def var(x: Array, *, axis: Axes, keepdims: bool = False, ddof: int = 0) -> Array:
    """Variance over axes in two passes, in float64: E[x²] − E[x]² fails for a mean of 1e4 and a deviation of 1e-3.

    It is taken of x minus the first element, which leaves it as it is and makes it exactly 0 where all are equal.
    """
    x = _floating(x)
    first = x[tuple(slice(1) if number in axis else slice(None) for number in range(x.ndim))]
    out = np.var(np.subtract(x, first, dtype=np.float64), axis=axis, keepdims=keepdims, ddof=ddof)
    return out.astype(x.dtype)  # type: ignore[no-any-return]


def _floating(x: Array) -> Array:
    """Floats as they are, anything else in float64."""
    return x if np.issubdtype(x.dtype, np.floating) else x.astype(np.float64)


def _below_top(x: Array, axis: Axes) -> Array:
    """X minus the largest value over axes, which keeps exp in range; NaN where that is −inf − −inf or ∞ − ∞."""
    x = _floating(x)
    with np.errstate(over="ignore", invalid="ignore"):
        return x - np.max(x, axis=axis, keepdims=True, initial=-np.inf)  # type: ignore[no-any-return]


def logsumexp(x: Array, *, axis: Axes, keepdims: bool = False) -> Array:
    """log Σ e^x over axes, shifted by the largest value; −inf where all are −inf or there are none."""
    x = _floating(x)
    top = np.max(x, axis=axis, keepdims=True, initial=-np.inf)
    shift = np.where(np.isfinite(top), top, 0)
    with np.errstate(over="ignore", divide="ignore"):
        out = np.log(sum(np.exp(x - shift), axis=axis, keepdims=True)) + shift
    return out if keepdims else np.squeeze(out, axis=axis)


def softmax(x: Array, *, axis: Axes) -> Array:
    """e^x / Σ e^x over axes; NaN where all are −inf or one is +inf."""
    parts = np.exp(_below_top(x, axis))
    return parts / sum(parts, axis=axis, keepdims=True)


def log_softmax(x: Array, *, axis: Axes) -> Array:
    """Logarithm of softmax over axes, d − log Σ e^d with d = x − max x: a large x would cost x − log Σ e^x digits."""
    below = _below_top(x, axis)
    with np.errstate(divide="ignore"):
        return below - np.log(sum(np.exp(below), axis=axis, keepdims=True))


def cross_entropy(scores: Array, labels: Array) -> Array:
    """log Σ_j e^s_j − s_label for each row of scores (N, C) and labels (N,), shifted as in `log_softmax`."""
    below = _below_top(scores, (1,))
    return np.log(sum(np.exp(below), axis=(1,))) - below[np.arange(len(labels)), labels]


def cross_entropy_gradient(gradient: Array, scores: Array, labels: Array) -> Array:
    """Gradient of `cross_entropy` with respect to the scores: g_n (softmax(s_n) − one-hot(label_n))."""
    out = softmax(scores, axis=(1,))
    out[np.arange(len(labels)), labels] -= 1
    out *= gradient[:, None]
    return out


def getitem(x: Array, index: Any) -> Array:
    """x[index], for basic and integer-array indexing."""
    return x[index]  # type: ignore[no-any-return]


def scatter_add(x: Array, index: Any, shape: tuple[int, ...]) -> Array:
    """Zeros of a shape with x added at an index; what falls on the same place is summed."""
    out = np.zeros(shape, x.dtype)
    np.add.at(out, index, x)
    return out


def pad(x: Array, width: tuple[tuple[int, int], ...], value: float = 0.0) -> Array:
    """Surround with a constant: width[i] values (before, after) along axis i."""
    return np.pad(x, width, constant_values=value) if width else x  # NumPy refuses to pad what has no axis
