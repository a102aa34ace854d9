"""Sums, means, extremes and the softmax family over axes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from treadle.autodiff.tape import Primitive
from treadle.errors import ShapeError
from treadle.ops._shapes import Axis, kept, normalize_axis

if TYPE_CHECKING:
    from treadle.tensor import Tensor

__all__ = ["log_softmax", "logsumexp", "max", "mean", "min", "softmax", "sum", "var"]


def _spread(k: Any, g: Any, x: Any, axis: tuple[int, ...]) -> Any:
    """A gradient of the reduced shape, with the reduced axes put back as 1."""
    return k.reshape(g, kept(x.shape, axis))


def _extreme(k: Any, g: Any, y: Any, x: Any, *, axis: tuple[int, ...], keepdims: bool) -> Any:
    """The gradient goes to the extreme elements, in equal shares where several tie; NaN counts as extreme."""
    mask = (x == _spread(k, y, x, axis)) | (x != x)
    count = k.sum(mask.astype(x.dtype), axis=axis, keepdims=True)
    return k.where(mask, _spread(k, g, x, axis) / count, 0.0)


_sum = Primitive(
    "sum",
    lambda k, x, *, axis, keepdims: k.sum(x, axis=axis, keepdims=keepdims),
    lambda k, g, y, x, *, axis, keepdims: k.broadcast_to(_spread(k, g, x, axis), x.shape),
)
_max = Primitive("max", lambda k, x, *, axis, keepdims: k.max(x, axis=axis, keepdims=keepdims), _extreme)
_min = Primitive("min", lambda k, x, *, axis, keepdims: k.min(x, axis=axis, keepdims=keepdims), _extreme)


def _var_pullback(k: Any, g: Any, y: Any, x: Any, *, axis: tuple[int, ...], keepdims: bool, ddof: int) -> Any:
    count = math.prod(x.shape[number] for number in axis)
    centred = x - k.sum(x, axis=axis, keepdims=True) / count
    centred = centred - k.sum(centred, axis=axis, keepdims=True) / count  # for the mean above was rounded
    return _spread(k, g, x, axis) * centred * (2 / (count - ddof))


_var = Primitive(
    "var",
    lambda k, x, *, axis, keepdims, ddof: k.var(x, axis=axis, keepdims=keepdims, ddof=ddof),
    _var_pullback,
)
_logsumexp = Primitive(
    "logsumexp",
    lambda k, x, *, axis, keepdims: k.logsumexp(x, axis=axis, keepdims=keepdims),
    lambda k, g, y, x, *, axis, keepdims: _spread(k, g, x, axis) * k.softmax(x, axis=axis),
)
_softmax = Primitive(
    "softmax",
    lambda k, x, *, axis: k.softmax(x, axis=axis),
    lambda k, g, y, x, *, axis: y * (g - k.sum(g * y, axis=axis, keepdims=True)),
)
_log_softmax = Primitive(
    "log_softmax",
    lambda k, x, *, axis: k.log_softmax(x, axis=axis),
    lambda k, g, y, x, *, axis: g - k.exp(y) * k.sum(g, axis=axis, keepdims=True),
)


def _reduced(name: str, x: Any, axis: Axis) -> tuple[Any, tuple[int, ...]]:
    array = x if hasattr(x, "shape") else np.asarray(x)
    return array, normalize_axis(name, axis, len(array.shape))


def sum(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:  # noqa: A001 - NumPy's name
    """Σ x over axes. Gradient: g, repeated over them.

    float32 is accumulated in float64, so that no small term is lost.

    >>> import treadle as td
    >>> td.ops.sum([[1.0, 2.0], [3.0, 4.0]], axis=0).numpy()
    array([4., 6.])
    """
    x, axes = _reduced("sum", x, axis)
    return _sum(x, axis=axes, keepdims=keepdims)


def mean(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """(1/n) Σ x over axes. Gradient: g / n; NaN for no elements.

    >>> import treadle as td
    >>> td.ops.mean([[1.0, 2.0], [3.0, 4.0]]).numpy()
    array(2.5)
    """
    x, axes = _reduced("mean", x, axis)
    count = math.prod(x.shape[number] for number in axes)
    return sum(x, axes, keepdims) * (1 / count if count else math.nan)


def max(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:  # noqa: A001 - NumPy's name
    """Largest value over axes. Gradient: g to it, in equal shares where several tie.

    >>> import treadle as td
    >>> td.ops.max([[1.0, 2.0], [3.0, 4.0]], axis=1).numpy()
    array([2., 4.])
    """
    x, axes = _reduced("max", x, axis)
    return _max(x, axis=axes, keepdims=keepdims)


def min(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:  # noqa: A001 - NumPy's name
    """Smallest value over axes. Gradient: g to it, in equal shares where several tie.

    >>> import treadle as td
    >>> td.ops.min([[1.0, 2.0], [3.0, 4.0]], axis=1).numpy()
    array([1., 3.])
    """
    x, axes = _reduced("min", x, axis)
    return _min(x, axis=axes, keepdims=keepdims)


def var(x: Any, axis: Axis = None, keepdims: bool = False, ddof: int = 0) -> Tensor:
    """Σ (x − mean)² / (n − ddof) over axes. Gradient: g · 2 (x − mean) / (n − ddof).

    Args:
        x: float array of any shape.
        axis, keepdims: as in NumPy.
        ddof: what is taken off the count; 1 gives the unbiased estimate.

    Raises:
        ShapeError: there are not more than ddof elements to take the variance of.

    >>> import treadle as td
    >>> td.ops.var([1.0, 2.0, 3.0])
    tensor(0.66666667)
    """
    x, axes = _reduced("var", x, axis)
    count = math.prod(x.shape[number] for number in axes)
    if count <= ddof:
        raise ShapeError(f"var: {count} elements are too few for ddof={ddof}, shape {x.shape}, axis {axis}")
    return _var(x, axis=axes, keepdims=keepdims, ddof=ddof)


def logsumexp(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """log Σ e^x over axes, without overflow. Gradient: g · softmax(x).

    >>> import treadle as td
    >>> td.ops.logsumexp([10000.0, 10000.0])
    tensor(10000.69314718)
    """
    x, axes = _reduced("logsumexp", x, axis)
    return _logsumexp(x, axis=axes, keepdims=keepdims)


def softmax(x: Any, axis: Axis = -1) -> Tensor:
    """e^x / Σ e^x over axes, without overflow. Gradient: y · (g − Σ g · y).

    NaN where all scores are −inf or one is +inf, since no probabilities follow from them.

    >>> import treadle as td
    >>> td.ops.softmax([3.0, 1.0, -3.0]).numpy().round(5)
    array([0.87888, 0.11894, 0.00218])
    """
    x, axes = _reduced("softmax", x, axis)
    return _softmax(x, axis=axes)


def log_softmax(x: Any, axis: Axis = -1) -> Tensor:
    """Logarithm of softmax, x − log Σ e^x. Gradient: g − softmax(x) · Σ g.

    >>> import treadle as td
    >>> td.ops.log_softmax([10000.0, 0.0]).numpy()
    array([     0., -10000.])
    """
    x, axes = _reduced("log_softmax", x, axis)
    return _log_softmax(x, axis=axes)
