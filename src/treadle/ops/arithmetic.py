"""Arithmetic, comparison and choice, element by element with broadcasting."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from treadle.autodiff.tape import Primitive, Value
from treadle.ops._shapes import unbroadcast

if TYPE_CHECKING:
    from treadle.tensor import Tensor

__all__ = [
    "abs",
    "add",
    "clip",
    "divide",
    "maximum",
    "minimum",
    "multiply",
    "negative",
    "power",
    "sign",
    "subtract",
    "where",
]

_add = Primitive(
    "add",
    lambda k, a, b: k.add(a, b),
    lambda k, g, y, a, b: unbroadcast(k, g, a.shape),
    lambda k, g, y, a, b: unbroadcast(k, g, b.shape),
)
_subtract = Primitive(
    "subtract",
    lambda k, a, b: k.subtract(a, b),
    lambda k, g, y, a, b: unbroadcast(k, g, a.shape),
    lambda k, g, y, a, b: unbroadcast(k, -g, b.shape),
)
_multiply = Primitive(
    "multiply",
    lambda k, a, b: k.multiply(a, b),
    lambda k, g, y, a, b: unbroadcast(k, g * b, a.shape),
    lambda k, g, y, a, b: unbroadcast(k, g * a, b.shape),
)
_divide = Primitive(
    "divide",
    lambda k, a, b: k.divide(a, b),
    lambda k, g, y, a, b: unbroadcast(k, g / b, a.shape),
    lambda k, g, y, a, b: unbroadcast(k, -g * y / b, b.shape),
)
_negative = Primitive("negative", lambda k, x: k.negative(x), lambda k, g, y, x: -g)


def _power_base(k: Any, g: Any, y: Any, a: Any, b: Any) -> Any:
    if isinstance(b, (int, float)):
        return g * 0.0 if b == 0 else g * b * k.power(a, b - 1)
    flat = b == 0  # a⁰ is 1 everywhere, also at 0, where the formula would give 0 · ∞
    return unbroadcast(k, k.where(flat, 0.0, g * b * k.power(a, k.where(flat, 0.0, b - 1))), a.shape)


def _power_exponent(k: Any, g: Any, y: Any, a: Any, b: Any) -> Any:
    if isinstance(a, (int, float)):  # a number stays weak in dtype
        if a == 0:
            return k.where(b >= 0, 0.0, -g * y)
        return g * y * (math.log(a) if a > 0 else math.nan)
    zero = (a == 0) & (b >= 0)  # 0^b is flat in b where it is finite
    return unbroadcast(k, k.where(zero, 0.0, g * y * k.log(k.where(zero, 1.0, a))), b.shape)


_power = Primitive("power", lambda k, a, b: k.power(a, b), _power_base, _power_exponent)


def _larger_share(k: Any, g: Any, chosen: Any, other: Any) -> Any:
    """The whole gradient where chosen wins, half of it at a tie."""
    return unbroadcast(k, k.where(chosen > other, g, k.where(chosen == other, g * 0.5, 0.0)), chosen.shape)


def _smaller_share(k: Any, g: Any, chosen: Any, other: Any) -> Any:
    return unbroadcast(k, k.where(chosen < other, g, k.where(chosen == other, g * 0.5, 0.0)), chosen.shape)


_maximum = Primitive(
    "maximum",
    lambda k, a, b: k.maximum(a, b),
    lambda k, g, y, a, b: _larger_share(k, g, a, b),
    lambda k, g, y, a, b: _larger_share(k, g, b, a),
)
_minimum = Primitive(
    "minimum",
    lambda k, a, b: k.minimum(a, b),
    lambda k, g, y, a, b: _smaller_share(k, g, a, b),
    lambda k, g, y, a, b: _smaller_share(k, g, b, a),
)
_where = Primitive(
    "where",
    lambda k, a, b, *, condition: k.where(condition, a, b),
    lambda k, g, y, a, b, *, condition: unbroadcast(k, k.where(condition, g, 0.0), a.shape),
    lambda k, g, y, a, b, *, condition: unbroadcast(k, k.where(condition, 0.0, g), b.shape),
)
_clip = Primitive(
    "clip",
    lambda k, x, *, low, high: k.clip(x, low, high),
    lambda k, g, y, x, *, low, high: k.where(
        (True if low is None else x >= low) & (True if high is None else x <= high), g, 0.0
    ),
)
_abs = Primitive("abs", lambda k, x: k.abs(x), lambda k, g, y, x: g * k.sign(x))
_sign = Primitive("sign", lambda k, x: k.sign(x), lambda k, g, y, x: g * 0.0)


def add(a: Any, b: Any) -> Tensor:
    """a + b. Gradients: ∂a = g, ∂b = g, summed over broadcast axes.

    >>> import treadle as td
    >>> td.ops.add([1.0, 2.0], 10.0).numpy()
    array([11., 12.])
    """
    return _add(a, b)


def subtract(a: Any, b: Any) -> Tensor:
    """a − b. Gradients: ∂a = g, ∂b = −g.

    >>> import treadle as td
    >>> td.ops.subtract([1.0, 2.0], 10.0).numpy()
    array([-9., -8.])
    """
    return _subtract(a, b)


def multiply(a: Any, b: Any) -> Tensor:
    """a · b. Gradients: ∂a = g · b, ∂b = g · a.

    >>> import treadle as td
    >>> td.ops.multiply([1.0, 2.0], 10.0).numpy()
    array([10., 20.])
    """
    return _multiply(a, b)


def divide(a: Any, b: Any) -> Tensor:
    """a / b. Gradients: ∂a = g / b, ∂b = −g · a / b².

    >>> import treadle as td
    >>> td.ops.divide([1.0, 2.0], 10.0).numpy()
    array([0.1, 0.2])
    """
    return _divide(a, b)


def negative(x: Any) -> Tensor:
    """−x. Gradient: −g.

    >>> import treadle as td
    >>> td.ops.negative([1.0, -2.0]).numpy()
    array([-1.,  2.])
    """
    return _negative(x)


def power(a: Any, b: Any) -> Tensor:
    """a to the power b. Gradients: ∂a = g · b · a^(b−1), ∂b = g · a^b · log a; 0 for ∂a at b = 0, ∂b at a = 0 ≤ b.

    >>> import treadle as td
    >>> td.ops.power([1.0, 2.0, 3.0], 2).numpy()
    array([1., 4., 9.])
    """
    return _power(a, b)


def abs(x: Any) -> Tensor:  # noqa: A001 - NumPy's name
    """|x|. Gradient: g · sign(x), so 0 at the kink x = 0.

    >>> import treadle as td
    >>> td.ops.abs([1.0, -2.0]).numpy()
    array([1., 2.])
    """
    return _abs(x)


def sign(x: Any) -> Tensor:
    """−1, 0 or 1 by the sign of x. Gradient: 0.

    >>> import treadle as td
    >>> td.ops.sign([3.0, 0.0, -2.0]).numpy()
    array([ 1.,  0., -1.])
    """
    return _sign(x)


def maximum(a: Any, b: Any) -> Tensor:
    """The larger of a and b. Gradient: g to the larger, g / 2 to each at a tie.

    >>> import treadle as td
    >>> td.ops.maximum([1.0, 5.0], 3.0).numpy()
    array([3., 5.])
    """
    return _maximum(a, b)


def minimum(a: Any, b: Any) -> Tensor:
    """The smaller of a and b. Gradient: g to the smaller, g / 2 to each at a tie.

    >>> import treadle as td
    >>> td.ops.minimum([1.0, 5.0], 3.0).numpy()
    array([1., 3.])
    """
    return _minimum(a, b)


def where(condition: Any, a: Any, b: Any) -> Tensor:
    """A where condition holds, else b. Gradients: g where it was taken, else 0.

    The branch not taken is computed all the same: if it overflows, its own gradient rule may turn the 0 into
    NaN. Choose its input with a second `where` to keep it in range.

    Args:
        condition: bool array; no gradient flows to it.
        a, b: values of shapes that broadcast with it.

    >>> import treadle as td
    >>> td.ops.where([True, False], [1.0, 2.0], 0.0).numpy()
    array([1., 0.])
    """
    chosen = condition.data if isinstance(condition, Value) else condition
    return _where(a, b, condition=chosen if hasattr(chosen, "dtype") else np.asarray(chosen, dtype=bool))


def clip(x: Any, low: float | None, high: float | None) -> Tensor:
    """X limited to low ≤ x ≤ high. Gradient: g inside and on the limits, 0 outside.

    >>> import treadle as td
    >>> td.ops.clip([-2.0, 0.5, 2.0], -1.0, 1.0).numpy()
    array([-1. ,  0.5,  1. ])
    """
    low, high = (limit.item() if isinstance(limit, np.generic) else limit for limit in (low, high))
    return _clip(x, low=low, high=high)
