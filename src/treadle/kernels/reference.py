"""Every kernel in plain NumPy: short, obviously right, the truth that faster kernels are tested against.

What NumPy has under the same name is used as it is; the rest is written out below.
"""

from __future__ import annotations

import math
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

from treadle.kernels.images import (
    avg_pool2d,
    avg_pool2d_gradient,
    conv2d,
    conv2d_input_gradient,
    conv2d_weight_gradient,
    max_pool2d,
    max_pool2d_gradient,
    max_pool2d_select,
)
from treadle.kernels.updates import adagrad, adam, average, largest, momentum, nesterov, rmsprop, sgd, take_scaled
from treadle.splitmix import splitmix64

__all__ = [
    "abs",
    "adagrad",
    "adam",
    "add",
    "average",
    "avg_pool2d",
    "avg_pool2d_gradient",
    "broadcast_to",
    "clip",
    "concat",
    "conv2d",
    "conv2d_input_gradient",
    "conv2d_weight_gradient",
    "cross_entropy",
    "cross_entropy_gradient",
    "divide",
    "dropout_mask",
    "erf",
    "exp",
    "gelu",
    "gelu_gradient",
    "getitem",
    "largest",
    "leaky_relu",
    "log",
    "log_softmax",
    "logsumexp",
    "matmul",
    "max",
    "max_pool2d",
    "max_pool2d_gradient",
    "max_pool2d_select",
    "maximum",
    "min",
    "minimum",
    "momentum",
    "multiply",
    "negative",
    "nesterov",
    "pad",
    "power",
    "relu",
    "relu_gradient",
    "reshape",
    "rmsprop",
    "scatter_add",
    "sgd",
    "sigmoid",
    "sign",
    "silu",
    "silu_gradient",
    "softmax",
    "softplus",
    "sqrt",
    "standardize",
    "standardize_gradient",
    "subtract",
    "sum",
    "swapaxes",
    "take_scaled",
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


def relu_gradient(g: Array, y: Array) -> Array:
    """Gradient of `relu` from its output y: g where y > 0, else 0."""
    return np.where(y > 0, g, 0)


def leaky_relu(x: Array, *, slope: float) -> Array:
    """X where x > 0, else slope · x."""
    return np.where(x > 0, x, x * slope)


def softplus(x: Array) -> Array:
    """log(1 + e^x) without overflow: e^x is only taken of numbers that are not positive."""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def _each(function: Any, x: Array) -> Array:
    """A function of one Python float, applied to each element."""
    found = np.fromiter(map(function, np.ravel(x).tolist()), np.float64, count=x.size)
    return found.reshape(x.shape).astype(x.dtype)


def erf(x: Array) -> Array:
    """Error function 2/√π ∫₀ˣ e^−t² dt, which NumPy does not have, with the C library's."""
    return _each(math.erf, x)


def _normal_cdf(x: float) -> float:
    """Distribution function Φ of the standard normal; 1 + erf would lose all digits for x below −8."""
    return math.erfc(-x * math.sqrt(0.5)) / 2


def gelu(x: Array) -> Array:
    """X Φ(x), where Φ is the distribution function of the standard normal."""
    return _each(lambda number: number * _normal_cdf(number), x)


def gelu_gradient(g: Array, x: Array) -> Array:
    """Gradient of `gelu`: g (Φ(x) + x φ(x)), where φ is the density of the standard normal."""
    density = 1 / math.sqrt(2 * math.pi)
    return g * _each(lambda x: _normal_cdf(x) + x * math.exp(x * x * -0.5) * density, x)


def silu(x: Array) -> Array:
    """X σ(x), where σ is `sigmoid`."""
    return x * sigmoid(x)


def silu_gradient(g: Array, x: Array) -> Array:
    """Gradient of `silu`: g σ(x) (1 + x (1 − σ(x)))."""
    s = sigmoid(x)
    return g * s * (1 + x * (1 - s))  # type: ignore[no-any-return]


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


def _centred(x: Array, axes: Axes) -> tuple[Array, Array]:
    """X minus its mean over axes and the variance, both in float64, shifted as in `var`."""
    first = x[tuple(slice(1) if number in axes else slice(None) for number in range(x.ndim))]
    d = np.subtract(x, first, dtype=np.float64)
    d -= np.mean(d, axis=axes, keepdims=True)
    return d, np.mean(d * d, axis=axes, keepdims=True)


def standardize(x: Array, *, axes: Axes, epsilon: float) -> Array:
    """(x − mean) / √(variance + ε) with mean and variance over axes."""
    d, variance = _centred(x, axes)
    return (d / np.sqrt(variance + epsilon)).astype(x.dtype)


def standardize_gradient(g: Array, y: Array, x: Array, *, axes: Axes, epsilon: float) -> Array:
    """Gradient of `standardize` at x with output y: (g − mean g − y mean(g y)) / √(variance + ε)."""
    _, variance = _centred(x, axes)
    g = g.astype(np.float64)
    mean, along = (np.mean(part, axis=axes, keepdims=True) for part in (g, g * y))
    return ((g - mean - y * along) / np.sqrt(variance + epsilon)).astype(x.dtype)  # type: ignore[no-any-return]


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


def dropout_mask(key: Array, *, salt: int, shape: tuple[int, ...], rate: float, dtype: Any) -> Array:
    """1 / (1 − rate) with probability 1 − rate, else 0, from a key, a salt and the element's place in C order alone.

    Output salt + 1 of SplitMix64 begun with the key begins a stream, whose output i + 1 is for element i. The
    element is kept where the upper 53 bits, as a fraction, are not below the rate.
    """
    begin = splitmix64(np.atleast_1d(np.asarray(key, np.uint64)), np.array([salt + 1], np.uint64))
    bits = splitmix64(begin, np.arange(1, math.prod(shape) + 1, dtype=np.uint64))
    kept = (bits >> np.uint64(11)) >= np.uint64(math.ceil(rate * 2**53))
    return (kept * (1 / (1 - rate) if rate < 1 else 0.0)).astype(dtype).reshape(shape)  # type: ignore[no-any-return]
