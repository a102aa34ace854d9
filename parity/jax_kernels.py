"""The kernels on jax.numpy, to trace the tape inside `jax.jit`."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.numpy import (  # noqa: F401
    abs,  # noqa: A004
    add,
    broadcast_to,
    clip,
    divide,
    exp,
    log,
    matmul,
    max,  # noqa: A004
    maximum,
    min,  # noqa: A004
    minimum,
    multiply,
    negative,
    power,
    reshape,
    sign,
    sqrt,
    subtract,
    sum,  # noqa: A004
    swapaxes,
    tanh,
    transpose,
    var,
    where,
)
from jax.numpy import concatenate as concat  # noqa: F401
from jax.scipy.special import logsumexp  # noqa: F401

relu, sigmoid, softmax, log_softmax = jax.nn.relu, jax.nn.sigmoid, jax.nn.softmax, jax.nn.log_softmax
softplus, silu, erf = jax.nn.softplus, jax.nn.silu, jax.scipy.special.erf


def gelu(x):
    return jax.nn.gelu(x, approximate=False)


def leaky_relu(x, *, slope):
    return jax.nn.leaky_relu(x, slope)


def relu_gradient(g, y):
    return jnp.where(y > 0, g, 0)


def _pulled(function, x, g):
    return jax.vjp(function, x)[1](g)[0]


def gelu_gradient(g, x):
    return _pulled(gelu, x, g)


def silu_gradient(g, x):
    return _pulled(silu, x, g)


def conv2d(x, w, b=None, *, stride, padding, dilation, groups):
    y = jax.lax.conv_general_dilated(
        x, w, stride, [(n, n) for n in padding], rhs_dilation=dilation, feature_group_count=groups
    )
    return y if b is None else y + b[:, None, None]


def conv2d_input_gradient(g, w, *, shape, **settings):
    return _pulled(lambda x: conv2d(x, w, **settings), jnp.zeros(shape, g.dtype), g)


def conv2d_weight_gradient(g, x, *, shape, **settings):
    return _pulled(lambda w: conv2d(x, w, **settings), jnp.zeros(shape, g.dtype), g)


def _reduced(x, start, function, size, stride, padding):
    borders = [(0, 0), (0, 0), *((n, n) for n in padding)]
    return jax.lax.reduce_window(x, start, function, (1, 1, *size), (1, 1, *stride), borders)


def max_pool2d(x, *, size, stride, padding):
    return _reduced(x, -jnp.inf, jax.lax.max, size, stride, padding)


def max_pool2d_gradient(g, y, x, **settings):
    return _pulled(lambda x: max_pool2d(x, **settings), x, g)


def max_pool2d_select(z, y, x, **settings):
    """The adjoint of the line above, which JAX makes by transposing it."""
    gradient = lambda g: max_pool2d_gradient(g, y, x, **settings)  # noqa: E731
    return jax.linear_transpose(gradient, y)(z)[0]


def avg_pool2d(x, *, size, stride, padding):
    return _reduced(x, 0.0, jax.lax.add, size, stride, padding) / (size[0] * size[1])


def avg_pool2d_gradient(g, *, shape, **settings):
    return _pulled(lambda x: avg_pool2d(x, **settings), jnp.zeros(shape, g.dtype), g)


def standardize(x, *, axes, epsilon):
    return jax.nn.standardize(x, axis=axes, epsilon=epsilon)


def standardize_gradient(g, y, x, *, axes, epsilon):
    return _pulled(lambda x: standardize(x, axes=axes, epsilon=epsilon), x, g)


def dropout_mask(key, *, salt, shape, rate, dtype):
    """Of the masks that NumPy made before: the key is no tracer in these tests."""
    from treadle.kernels import reference

    return jnp.asarray(reference.dropout_mask(np.asarray(key), salt=salt, shape=shape, rate=rate, dtype=dtype))


def cross_entropy(scores, labels):
    return -jnp.take_along_axis(jax.nn.log_softmax(scores, axis=1), labels[:, None].astype(int), axis=1)[:, 0]


def cross_entropy_gradient(gradient, scores, labels):
    return gradient[:, None] * (jax.nn.softmax(scores, axis=1) - jax.nn.one_hot(labels, scores.shape[1]))


def getitem(x, index):
    return x[_arrays(index)]


def scatter_add(x, index, shape):
    return jnp.zeros(shape, x.dtype).at[_arrays(index)].add(x)


def pad(x, width, value=0.0):
    return jnp.pad(x, width, constant_values=value) if width else x


def _arrays(index):
    """JAX takes no lists as indices."""
    if isinstance(index, tuple):
        return tuple(_arrays(part) for part in index)
    return jnp.asarray(index) if isinstance(index, list) else index
