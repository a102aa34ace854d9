"""Convolution of images, and its gradients as ops."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from treadle.autodiff.tape import Primitive
from treadle.errors import ShapeError
from treadle.ops._shapes import pair, window_counts

if TYPE_CHECKING:
    from treadle.tensor import Tensor

__all__ = ["conv2d", "conv2d_input_gradient", "conv2d_weight_gradient"]

Size = int | tuple[int, int]

# All three are linear in both operands, so each is the gradient rule of another.
_conv2d = Primitive(
    "conv2d",
    lambda k, x, w, b=None, **settings: k.conv2d(x, w, b, **settings),
    lambda k, g, y, x, w, b=None, **settings: k.conv2d_input_gradient(g, w, shape=x.shape, **settings),
    lambda k, g, y, x, w, b=None, **settings: k.conv2d_weight_gradient(g, x, shape=w.shape, **settings),
    lambda k, g, y, x, w, b, **settings: k.sum(g, axis=(0, 2, 3)),
)
_conv2d_input_gradient = Primitive(
    "conv2d_input_gradient",
    lambda k, g, w, *, shape, **settings: k.conv2d_input_gradient(g, w, shape=shape, **settings),
    lambda k, h, y, g, w, *, shape, **settings: k.conv2d(h, w, **settings),
    lambda k, h, y, g, w, *, shape, **settings: k.conv2d_weight_gradient(g, h, shape=w.shape, **settings),
)
_conv2d_weight_gradient = Primitive(
    "conv2d_weight_gradient",
    lambda k, g, x, *, shape, **settings: k.conv2d_weight_gradient(g, x, shape=shape, **settings),
    lambda k, h, y, g, x, *, shape, **settings: k.conv2d(x, h, **settings),
    lambda k, h, y, g, x, *, shape, **settings: k.conv2d_input_gradient(g, h, shape=x.shape, **settings),
)


def _array(x: Any) -> Any:
    return x if hasattr(x, "shape") else np.asarray(x)


def _settings(
    name: str,
    images: tuple[int, ...],
    filters: tuple[int, ...],
    stride: Size,
    padding: Size,
    dilation: Size,
    groups: int,
) -> tuple[dict[str, Any], tuple[int, int, int, int]]:
    """The settings as kernels take them, and the shape of the outputs; ShapeError where something does not fit."""
    if len(images) != 4 or len(filters) != 4:
        raise ShapeError(
            f"{name}: images must be (N, C, H, W) and filters (O, C / groups, KH, KW), found {images} and {filters}"
        )
    if isinstance(groups, bool) or not isinstance(groups, (int, np.integer)) or groups < 1:
        raise ShapeError(f"{name}: groups must be a whole number of at least 1, found {groups!r}")
    channels, outputs = images[1], filters[0]
    if channels % groups or outputs % groups:
        raise ShapeError(
            f"{name}: {groups} groups must divide the {channels} channels of the images and the {outputs} filters"
        )
    if filters[1] * groups != channels:
        raise ShapeError(
            f"{name}: the images have {channels} channels, and the filters are for {filters[1] * groups}: give them "
            f"shape ({outputs}, {channels // groups}, {filters[2]}, {filters[3]})"
        )
    made = {
        "stride": pair(name, "stride", stride),
        "padding": pair(name, "padding", padding, least=0),
        "dilation": pair(name, "dilation", dilation),
    }
    size = pair(name, "the filters' size", filters[2:])
    rows, columns = window_counts(name, images, size, **made)
    return {**made, "groups": int(groups)}, (images[0], outputs, rows, columns)


def _require_outputs(name: str, found: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if tuple(found) != expected:
        raise ShapeError(f"{name}: the gradient must have the shape {expected} of the outputs, found {tuple(found)}")


def conv2d(
    x: Any, w: Any, b: Any = None, *, stride: Size = 1, padding: Size = 0, dilation: Size = 1, groups: int = 1
) -> Tensor:
    """y[n, o] = Σ_c x[n, c] ⋆ w[o, c] + b[o], a cross-correlation. Gradients: ∂x, ∂w: the two ops below, ∂b = Σ g.

    y[n, o, i, j] = b[o] + Σ_{c, p, q} x[n, c, i · stride + p · dilation − padding, …] w[o, c, p, q]

    Args:
        x: images (N, C, H, W).
        w: filters (O, C / groups, KH, KW).
        b: (O,), or None.
        stride: rows and columns from one window to the next; every setting but groups is a number or a pair.
        padding: rows and columns of zeros on each side.
        dilation: rows and columns from one element of a window to the next.
        groups: into how many groups channels and filters are divided; each filter sees the channels of its group.

    Returns:
        (N, O, HO, WO) with HO = ⌊(H + 2 padding − dilation (KH − 1) − 1) / stride⌋ + 1.

    Raises:
        ShapeError: the channels do not fit, or the window is larger than the padded image.

    >>> import numpy as np, treadle as td
    >>> td.ops.conv2d(np.arange(9.0).reshape(1, 1, 3, 3), np.ones((1, 1, 2, 2))).numpy()
    array([[[[ 8., 12.],
             [20., 24.]]]])

    Source: LeCun et al., Gradient-based learning applied to document recognition, Proceedings of the IEEE 1998.
    """
    x, w = _array(x), _array(w)
    settings, _ = _settings("conv2d", x.shape, w.shape, stride, padding, dilation, groups)
    if b is None:
        return _conv2d(x, w, **settings)
    b = _array(b)
    if b.shape != w.shape[:1]:
        raise ShapeError(f"conv2d: there are {w.shape[0]} filters, so b must be ({w.shape[0]},), found {b.shape}")
    return _conv2d(x, w, b, **settings)


def conv2d_input_gradient(
    g: Any,
    w: Any,
    *,
    shape: tuple[int, ...],
    stride: Size = 1,
    padding: Size = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Tensor:
    """Gradient of `conv2d` by images of a shape, for g at its outputs. Gradients: conv2d(h, w), ∂w as of `conv2d`.

    >>> import numpy as np, treadle as td
    >>> td.ops.conv2d_input_gradient(np.ones((1, 1, 2, 2)), np.ones((1, 1, 2, 2)), shape=(1, 1, 3, 3)).numpy()
    array([[[[1., 2., 1.],
             [2., 4., 2.],
             [1., 2., 1.]]]])
    """
    g, w = _array(g), _array(w)
    settings, expected = _settings("conv2d_input_gradient", shape, w.shape, stride, padding, dilation, groups)
    _require_outputs("conv2d_input_gradient", g.shape, expected)
    return _conv2d_input_gradient(g, w, shape=tuple(shape), **settings)


def conv2d_weight_gradient(
    g: Any,
    x: Any,
    *,
    shape: tuple[int, ...],
    stride: Size = 1,
    padding: Size = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Tensor:
    """Gradient of `conv2d` by filters of a shape, for g at its outputs. Gradients: conv2d(x, h), ∂x as of `conv2d`.

    >>> import numpy as np, treadle as td
    >>> td.ops.conv2d_weight_gradient(np.ones((1, 1, 2, 2)), np.ones((1, 1, 3, 3)), shape=(1, 1, 2, 2)).numpy()
    array([[[[4., 4.],
             [4., 4.]]]])
    """
    g, x = _array(g), _array(x)
    settings, expected = _settings("conv2d_weight_gradient", x.shape, shape, stride, padding, dilation, groups)
    _require_outputs("conv2d_weight_gradient", g.shape, expected)
    return _conv2d_weight_gradient(g, x, shape=tuple(shape), **settings)
