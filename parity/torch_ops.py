"""The names and signatures of `treadle.ops` on PyTorch, so that one case runs on both."""

import builtins

import numpy as np
import torch
from torch.nn import functional


def _tensor(x, like=None):
    if isinstance(x, torch.Tensor):
        return x
    return torch.as_tensor(np.asarray(x), dtype=None if like is None else like.dtype)


def _axes(axis, x):
    return tuple(range(x.ndim)) if axis is None else axis


def _merged(function, x, axis):
    """PyTorch's softmax takes one axis: flatten several into the last one, and put them back."""
    axes = _axes(axis, x)
    if isinstance(axes, int):
        return function(x, axes)
    last = tuple(range(x.ndim))[-len(axes) :] if axes else ()
    moved = torch.movedim(x, axes, last)
    flat = moved.reshape(*moved.shape[: x.ndim - len(axes)], -1)
    return torch.movedim(function(flat, -1).reshape(moved.shape), last, axes)


def _both(function):
    def call(a, b):
        like = a if isinstance(a, torch.Tensor) else b
        return function(_tensor(a, like), _tensor(b, like))

    return call


add, subtract, multiply, divide = _both(torch.add), _both(torch.sub), _both(torch.mul), _both(torch.div)
maximum, minimum, matmul = _both(torch.maximum), _both(torch.minimum), _both(torch.matmul)
negative, abs, sign, exp, log, sqrt = torch.neg, torch.abs, torch.sign, torch.exp, torch.log, torch.sqrt  # noqa: A001
tanh, sigmoid, relu, erf = torch.tanh, torch.sigmoid, torch.relu, torch.erf
gelu, silu, softplus = functional.gelu, functional.silu, functional.softplus


def leaky_relu(x, slope=0.01):
    return functional.leaky_relu(x, slope)


def _by_autograd(function, g, *operands):
    """The gradient of a function by its operands, which can be differentiated again."""
    operands = [x if x.requires_grad else x.clone().requires_grad_() for x in operands]
    return torch.autograd.grad(function(*operands), operands, g, create_graph=True)


def relu_gradient(g, y):
    return g * (y > 0) + 0 * y


def gelu_gradient(g, x):
    return _by_autograd(gelu, g, x)[0]


def silu_gradient(g, x):
    return _by_autograd(silu, g, x)[0]


def conv2d(x, w, b=None, **settings):
    return functional.conv2d(x, w, b, **settings)


def conv2d_input_gradient(g, w, shape, **settings):
    if not g.numel():
        return torch.zeros(shape, dtype=g.dtype) + 0 * w.sum() + 0 * g.sum()
    return _by_autograd(lambda x, w: functional.conv2d(x, w, **settings), g, torch.zeros(shape, dtype=g.dtype), w)[0]


def conv2d_weight_gradient(g, x, shape, **settings):
    return _by_autograd(lambda x, w: functional.conv2d(x, w, **settings), g, x, torch.zeros(shape, dtype=g.dtype))[1]


def max_pool2d(x, size, stride=None, padding=0):
    return functional.max_pool2d(x, size, stride, padding)


def max_pool2d_gradient(g, y, x, size, stride=None, padding=0):
    return _by_autograd(lambda x: max_pool2d(x, size, stride, padding), g, x)[0] + 0 * x


def max_pool2d_select(z, y, x, size, stride=None, padding=0):
    _, places = functional.max_pool2d(x, size, stride, padding, return_indices=True)
    return torch.gather(z.flatten(2), 2, places.flatten(2)).reshape(places.shape) + 0 * y


def avg_pool2d(x, size, stride=None, padding=0):
    return functional.avg_pool2d(x, size, stride, padding)


def avg_pool2d_gradient(g, shape, **settings):
    return _by_autograd(lambda x: avg_pool2d(x, **settings), g, torch.zeros(shape, dtype=g.dtype))[0]


def standardize(x, axes, epsilon):
    """Written out, for any axes; `test_torch_layers` compares with PyTorch's own normalisations."""
    if not x.numel():  # torch warns here, as in var
        return x.clone()
    variance, mean = torch.var_mean(x, dim=_axes(axes, x), correction=0, keepdim=True)
    return (x - mean) * torch.rsqrt(variance + epsilon)


def standardize_gradient(g, y, x, axes, epsilon):
    axes = _axes(axes, x)
    along = torch.mean(g * y, dim=axes, keepdim=True)
    centred = x - torch.mean(x, dim=axes, keepdim=True)
    deviation = torch.sqrt(torch.mean(centred**2, dim=axes, keepdim=True) + epsilon)
    return (g - torch.mean(g, dim=axes, keepdim=True) - y * along) / deviation


def splitmix64(state):
    """The next state and output, after the C code at https://prng.di.unimi.it/splitmix64.c."""
    state = (state + 0x9E3779B97F4A7C15) % 2**64
    z = state
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return state, z ^ (z >> 31)


def dropout_mask(key, salt, shape, rate, dtype):
    """One number after the other, in whole numbers of any length."""
    state = (int(key) + salt * 0x9E3779B97F4A7C15) % 2**64
    _, state = splitmix64(state)
    kept = []
    for _ in range(int(np.prod(shape))):
        state, bits = splitmix64(state)
        kept.append((bits >> 11) / 2**53 >= rate)
    scale = 1 / (1 - rate) if rate < 1 else 0
    return torch.tensor(kept, dtype=dtype).reshape(shape) * scale


def power(a, b):
    return torch.pow(a, b)


def where(condition, a, b):
    return torch.where(_tensor(condition), a, b)


def clip(x, low, high):
    return torch.clamp(x, low, high)


def sum(x, axis=None, keepdims=False):  # noqa: A001
    return torch.sum(x, dim=_axes(axis, x), keepdim=keepdims)


def mean(x, axis=None, keepdims=False):
    return torch.mean(x, dim=_axes(axis, x), keepdim=keepdims)


def max(x, axis=None, keepdims=False):  # noqa: A001
    return torch.amax(x, dim=_axes(axis, x), keepdim=keepdims)


def min(x, axis=None, keepdims=False):  # noqa: A001
    return torch.amin(x, dim=_axes(axis, x), keepdim=keepdims)


def var(x, axis=None, keepdims=False, ddof=0):
    if not x.numel():  # torch warns here, though every result has enough elements
        return torch.mean(x, dim=_axes(axis, x), keepdim=keepdims)
    return torch.var(x, dim=_axes(axis, x), keepdim=keepdims, correction=ddof)


def logsumexp(x, axis=None, keepdims=False):
    return torch.logsumexp(x, dim=_axes(axis, x), keepdim=keepdims)


def softmax(x, axis=-1):
    return _merged(torch.softmax, x, axis)


def log_softmax(x, axis=-1):
    return _merged(torch.log_softmax, x, axis)


def reshape(x, shape):
    return torch.reshape(x, (shape,) if isinstance(shape, int) else shape)


def transpose(x, axes=None):
    return torch.permute(x, tuple(range(x.ndim))[::-1] if axes is None else axes)


def swapaxes(x, a, b):
    return torch.swapaxes(x, a, b)


def broadcast_to(x, shape):
    return torch.broadcast_to(x, shape)


def getitem(x, index):
    parts = index if isinstance(index, tuple) else (index,)
    if any(isinstance(part, slice) and (part.step or 1) < 0 for part in parts):
        # PyTorch has no negative steps: flip the axis first (these cases name one slice for each axis from the first)
        flipped = [n for n, part in enumerate(parts) if isinstance(part, slice) and (part.step or 1) < 0]
        x = torch.flip(x, flipped)
        parts = tuple(slice(None, None, -part.step) if n in flipped else part for n, part in enumerate(parts))
    return x[tuple(_tensor(part) if isinstance(part, (list, np.ndarray)) else part for part in parts)]


def scatter_add(x, index, shape):
    places = torch.arange(int(np.prod(shape))).reshape(shape)
    places = torch.as_tensor(places.numpy()[index])
    out = torch.zeros(int(np.prod(shape)), dtype=x.dtype)
    return out.index_add(0, places.reshape(-1), torch.broadcast_to(x, places.shape).reshape(-1)).reshape(shape)


def concat(xs, axis=0):
    return torch.cat(tuple(xs), dim=axis)


def stack(xs, axis=0):
    return torch.stack(tuple(xs), dim=axis)


def pad(x, width, value=0.0):
    return functional.pad(x, [n for pair in builtins.reversed(width) for n in pair], value=value)


def cross_entropy(scores, labels):
    return functional.cross_entropy(scores, _tensor(labels).long(), reduction="none")


def cross_entropy_gradient(gradient, scores, labels):
    one_hot = functional.one_hot(_tensor(labels).long(), scores.shape[1])
    return (torch.softmax(scores, 1) - one_hot) * gradient[:, None]
