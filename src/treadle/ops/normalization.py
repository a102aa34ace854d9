"""Standardisation to mean 0 and variance 1, the heart of batch and layer normalisation."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from treadle.autodiff.tape import Primitive
from treadle.errors import ShapeError
from treadle.ops._shapes import Axis, normalize_axis
from treadle.ops.arithmetic import add, divide, multiply, subtract
from treadle.ops.elementary import sqrt
from treadle.ops.reduction import mean, var

if TYPE_CHECKING:
    from treadle.tensor import Tensor

__all__ = ["standardize", "standardize_gradient"]

_standardize = Primitive(
    "standardize",
    lambda k, x, *, axes, epsilon: k.standardize(x, axes=axes, epsilon=epsilon),
    lambda k, g, y, x, *, axes, epsilon: k.standardize_gradient(g, y, x, axes=axes, epsilon=epsilon),
)


def standardize(x: Any, *, axes: Axis, epsilon: float) -> Tensor:
    """y = (x − mean) / √(variance + ε) over axes. Gradient: (g − mean g − y · mean(g · y)) / √(variance + ε).

    Mean and variance are computed in two passes in float64, and the variance divides by the number of elements.

    Args:
        x: float array of any shape.
        axes: of which mean and variance are taken; None for all.
        epsilon: keeps the root from 0 where all elements are equal.

    Raises:
        ShapeError: an axis is out of range, or there is nothing to take the mean of.

    >>> import treadle as td
    >>> td.ops.standardize([1.0, 2.0, 3.0], axes=0, epsilon=0.0).numpy().round(4)
    array([-1.2247,  0.    ,  1.2247])
    """
    x = x if hasattr(x, "shape") else np.asarray(x)
    axes = normalize_axis("standardize", axes, len(x.shape))
    if not math.prod(x.shape[number] for number in axes):
        raise ShapeError(f"standardize: no elements to take the mean of, shape {tuple(x.shape)}, axes {axes}")
    return _standardize(x, axes=axes, epsilon=float(epsilon))


def standardize_gradient(g: Any, y: Any, x: Any, *, axes: Axis, epsilon: float) -> Tensor:
    """Gradient of `standardize` at x with output y, made of ops for second derivatives.

    >>> import treadle as td
    >>> td.ops.standardize_gradient([1.0, 0.0], [-1.0, 1.0], [1.0, 3.0], axes=0, epsilon=0.0).numpy()
    array([0., 0.])
    """
    x = x if hasattr(x, "shape") else np.asarray(x)
    axes = normalize_axis("standardize_gradient", axes, len(x.shape))
    along = multiply(y, mean(multiply(g, y), axes, keepdims=True))
    deviation = sqrt(add(var(x, axes, keepdims=True), epsilon))
    return divide(subtract(subtract(g, mean(g, axes, keepdims=True)), along), deviation)
