"""Elementary functions of one value, and the activations built on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from treadle.autodiff.tape import Primitive

if TYPE_CHECKING:
    from treadle.tensor import Tensor

__all__ = ["exp", "log", "relu", "sigmoid", "sqrt", "tanh"]

_exp = Primitive("exp", lambda k, x: k.exp(x), lambda k, g, y, x: g * y)
_log = Primitive("log", lambda k, x: k.log(x), lambda k, g, y, x: g / x)
_sqrt = Primitive("sqrt", lambda k, x: k.sqrt(x), lambda k, g, y, x: g * 0.5 / y)
_tanh = Primitive("tanh", lambda k, x: k.tanh(x), lambda k, g, y, x: g * (1 - y * y))
_sigmoid = Primitive("sigmoid", lambda k, x: k.sigmoid(x), lambda k, g, y, x: g * (y * (1 - y)))
_relu = Primitive("relu", lambda k, x: k.relu(x), lambda k, g, y, x: k.where(y > 0, g, 0.0))


def exp(x: Any) -> Tensor:
    """e^x. Gradient: g · e^x.

    >>> import treadle as td
    >>> td.ops.exp([0.0, 1.0]).numpy().round(4)
    array([1.    , 2.7183])
    """
    return _exp(x)


def log(x: Any) -> Tensor:
    """Natural logarithm. Gradient: g / x.

    >>> import treadle as td
    >>> -td.ops.log([0.6, 0.1]).numpy().round(2)
    array([0.51, 2.3 ])
    """
    return _log(x)


def sqrt(x: Any) -> Tensor:
    """√x. Gradient: g / (2 √x), infinite at 0.

    >>> import treadle as td
    >>> td.ops.sqrt([4.0, 9.0]).numpy()
    array([2., 3.])
    """
    return _sqrt(x)


def tanh(x: Any) -> Tensor:
    """Hyperbolic tangent. Gradient: g · (1 − y²).

    >>> import treadle as td
    >>> td.ops.tanh([0.0, 100.0]).numpy()
    array([0., 1.])
    """
    return _tanh(x)


def sigmoid(x: Any) -> Tensor:
    """1 / (1 + e^−x), without overflow for any x. Gradient: g · y · (1 − y).

    >>> import treadle as td
    >>> td.ops.sigmoid([-745.0, 0.0, 745.0]).numpy()
    array([5.e-324, 5.e-001, 1.e+000])
    """
    return _sigmoid(x)


def relu(x: Any) -> Tensor:
    """max(x, 0). Gradient: g where x > 0, else 0, so 0 at the kink.

    >>> import treadle as td
    >>> td.ops.relu([-1.0, 2.0]).numpy()
    array([0., 2.])

    Source: Nair and Hinton, Rectified linear units improve restricted Boltzmann machines, ICML 2010.
    """
    return _relu(x)
