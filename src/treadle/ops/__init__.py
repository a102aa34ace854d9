"""Differentiable ops with NumPy's names: each is a forward function and its gradient rules, side by side."""

from treadle.ops.arithmetic import (
    abs,  # noqa: A004 - NumPy's name
    add,
    clip,
    divide,
    maximum,
    minimum,
    multiply,
    negative,
    power,
    sign,
    subtract,
    where,
)
from treadle.ops.elementary import exp, log, relu, sigmoid, sqrt, tanh
from treadle.ops.linear import matmul
from treadle.ops.loss import cross_entropy, cross_entropy_gradient
from treadle.ops.reduction import (
    log_softmax,
    logsumexp,
    max,  # noqa: A004 - NumPy's name
    mean,
    min,  # noqa: A004 - NumPy's name
    softmax,
    sum,  # noqa: A004 - NumPy's name
    var,
)
from treadle.ops.shape import (
    broadcast_to,
    concat,
    getitem,
    pad,
    reshape,
    scatter_add,
    stack,
    swapaxes,
    transpose,
)

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
    "mean",
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
    "stack",
    "subtract",
    "sum",
    "swapaxes",
    "tanh",
    "transpose",
    "var",
    "where",
]
