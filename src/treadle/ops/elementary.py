"""Elementary functions of one value, and the activations built on them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from treadle.autodiff.tape import Primitive
from treadle.ops.arithmetic import add, multiply

if TYPE_CHECKING:
    from treadle.tensor import Tensor

__all__ = [
    "erf",
    "exp",
    "gelu",
    "gelu_gradient",
    "leaky_relu",
    "log",
    "relu",
    "relu_gradient",
    "sigmoid",
    "silu",
    "silu_gradient",
    "softplus",
    "sqrt",
    "tanh",
]

_exp = Primitive("exp", lambda k, x: k.exp(x), lambda k, g, y, x: g * y)
_log = Primitive("log", lambda k, x: k.log(x), lambda k, g, y, x: g / x)
_sqrt = Primitive("sqrt", lambda k, x: k.sqrt(x), lambda k, g, y, x: g * 0.5 / y)
_tanh = Primitive("tanh", lambda k, x: k.tanh(x), lambda k, g, y, x: g * (1 - y * y))
_sigmoid = Primitive("sigmoid", lambda k, x: k.sigmoid(x), lambda k, g, y, x: g * (y * (1 - y)))
_relu = Primitive("relu", lambda k, x: k.relu(x), lambda k, g, y, x: k.relu_gradient(g, y))
_relu_gradient = Primitive(
    "relu_gradient",
    lambda k, g, y: k.relu_gradient(g, y),
    lambda k, h, out, g, y: k.relu_gradient(h, y),
    lambda k, h, out, g, y: h * 0.0,
)
_leaky_relu = Primitive(
    "leaky_relu",
    lambda k, x, *, slope: k.leaky_relu(x, slope=slope),
    lambda k, g, y, x, *, slope: k.where(x > 0, g, g * slope),
)
_softplus = Primitive("softplus", lambda k, x: k.softplus(x), lambda k, g, y, x: g * k.sigmoid(x))
_erf = Primitive(
    "erf", lambda k, x: k.erf(x), lambda k, g, y, x: g * k.exp(k.negative(x * x)) * (2 / math.sqrt(math.pi))
)
_gelu = Primitive("gelu", lambda k, x: k.gelu(x), lambda k, g, y, x: k.gelu_gradient(g, x))
_silu = Primitive("silu", lambda k, x: k.silu(x), lambda k, g, y, x: k.silu_gradient(g, x))


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


def relu_gradient(g: Any, y: Any) -> Tensor:
    """Gradient of `relu` from its output y: g where y > 0, else 0. Gradient by g: h where y > 0, else 0.

    >>> import treadle as td
    >>> td.ops.relu_gradient([5.0, 5.0], [0.0, 2.0]).numpy()
    array([0., 5.])
    """
    return _relu_gradient(g, y)


def leaky_relu(x: Any, *, slope: float = 0.01) -> Tensor:
    """X where x > 0, else slope · x. Gradient: g where x > 0, else slope · g, so slope · g at the kink.

    >>> import treadle as td
    >>> td.ops.leaky_relu([-1.0, 2.0], slope=0.1).numpy()
    array([-0.1,  2. ])

    Source: Maas, Hannun and Ng, Rectifier nonlinearities improve neural network acoustic models, ICML 2013.
    """
    return _leaky_relu(x, slope=float(slope))


def softplus(x: Any) -> Tensor:
    """log(1 + e^x), without overflow. Gradient: g · sigmoid(x).

    >>> import treadle as td
    >>> td.ops.softplus([-800.0, 0.0, 8.0]).numpy().round(4)
    array([0.    , 0.6931, 8.0003])

    Source: Dugas et al., Incorporating second-order functional knowledge for better option pricing, NIPS 2000.
    """
    return _softplus(x)


def erf(x: Any) -> Tensor:
    """Error function 2/√π ∫₀ˣ e^(−t²) dt. Gradient: g · 2/√π e^(−x²).

    >>> import treadle as td
    >>> td.ops.erf([0.0, 1.0]).numpy().round(4)
    array([0.    , 0.8427])
    """
    return _erf(x)


def gelu(x: Any) -> Tensor:
    """X Φ(x), with Φ the distribution function of the standard normal. Gradient: g · (Φ(x) + x φ(x)), φ its density.

    It is the exact form, with the error function, not the approximation by tanh.

    >>> import treadle as td
    >>> td.ops.gelu([-1.0, 0.0, 1.0]).numpy().round(4)
    array([-0.1587,  0.    ,  0.8413])

    Source: Hendrycks and Gimpel, Gaussian error linear units, arXiv 1606.08415, 2016.
    """
    return _gelu(x)


def gelu_gradient(g: Any, x: Any) -> Tensor:
    """Gradient of `gelu` at x, g · (Φ(x) + x φ(x)), made of ops for second derivatives.

    >>> import treadle as td
    >>> td.ops.gelu_gradient([1.0, 1.0], [0.0, 1.0]).numpy().round(4)
    array([0.5   , 1.0833])
    """
    distribution = add(multiply(erf(multiply(x, math.sqrt(0.5))), 0.5), 0.5)
    density = multiply(exp(multiply(multiply(x, x), -0.5)), 1 / math.sqrt(2 * math.pi))
    return multiply(g, add(distribution, multiply(x, density)))


def silu(x: Any) -> Tensor:
    """X · sigmoid(x), also called swish. Gradient: g · s · (1 + x · (1 − s)) with s = sigmoid(x).

    >>> import treadle as td
    >>> td.ops.silu([-1.0, 0.0, 1.0]).numpy().round(4)
    array([-0.2689,  0.    ,  0.7311])

    Source: Elfwing, Uchibe and Doya, Sigmoid-weighted linear units, Neural Networks 2018.
    """
    return _silu(x)


def silu_gradient(g: Any, x: Any) -> Tensor:
    """Gradient of `silu` at x, made of ops for second derivatives.

    >>> import treadle as td
    >>> td.ops.silu_gradient([1.0, 1.0], [0.0, 1.0]).numpy().round(4)
    array([0.5   , 0.9277])
    """
    s = sigmoid(x)
    return multiply(multiply(g, s), add(multiply(x, 1 - s), 1))
