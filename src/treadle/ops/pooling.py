"""Pooling of images: the largest value or the mean of each window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from treadle.autodiff.tape import Primitive
from treadle.errors import ShapeError
from treadle.ops._shapes import pair, window_counts

if TYPE_CHECKING:
    from treadle.tensor import Tensor

__all__ = ["avg_pool2d", "avg_pool2d_gradient", "max_pool2d", "max_pool2d_gradient", "max_pool2d_select"]

Size = int | tuple[int, int]

_max_pool2d = Primitive(
    "max_pool2d",
    lambda k, x, **settings: k.max_pool2d(x, **settings),
    lambda k, g, y, x, **settings: k.max_pool2d_gradient(g, y, x, **settings),
)
# Which element is the largest does not change with a small change of x, so the gradients by y and x are 0.
_max_pool2d_gradient = Primitive(
    "max_pool2d_gradient",
    lambda k, g, y, x, **settings: k.max_pool2d_gradient(g, y, x, **settings),
    lambda k, h, out, g, y, x, **settings: k.max_pool2d_select(h, y, x, **settings),
    lambda k, h, out, g, y, x, **settings: g * 0.0,
    lambda k, h, out, g, y, x, **settings: h * 0.0,
)
_max_pool2d_select = Primitive(
    "max_pool2d_select",
    lambda k, z, y, x, **settings: k.max_pool2d_select(z, y, x, **settings),
    lambda k, g, out, z, y, x, **settings: k.max_pool2d_gradient(g, y, x, **settings),
    lambda k, g, out, z, y, x, **settings: g * 0.0,
    lambda k, g, out, z, y, x, **settings: z * 0.0,
)
_avg_pool2d = Primitive(
    "avg_pool2d",
    lambda k, x, **settings: k.avg_pool2d(x, **settings),
    lambda k, g, y, x, **settings: k.avg_pool2d_gradient(g, shape=x.shape, **settings),
)
_avg_pool2d_gradient = Primitive(
    "avg_pool2d_gradient",
    lambda k, g, *, shape, **settings: k.avg_pool2d_gradient(g, shape=shape, **settings),
    lambda k, h, y, g, *, shape, **settings: k.avg_pool2d(h, **settings),
)


def _array(x: Any) -> Any:
    return x if hasattr(x, "shape") else np.asarray(x)


def pooling_settings(
    name: str, size: Size, stride: Size | None = None, padding: Size = 0
) -> dict[str, tuple[int, int]]:
    """Return the settings as pairs, with the size as stride where none is given, or raise ShapeError."""
    sizes = pair(name, "size", size)
    borders = pair(name, "padding", padding, least=0)
    if any(2 * border > extent for border, extent in zip(borders, sizes, strict=True)):
        raise ShapeError(
            f"{name}: padding {padding!r} is more than half of the size {size!r}, so that a window could lie in it "
            "alone: take less padding or a larger size"
        )
    return {"size": sizes, "stride": sizes if stride is None else pair(name, "stride", stride), "padding": borders}


def _settings(
    name: str, images: tuple[int, ...], size: Size, stride: Size | None, padding: Size
) -> tuple[dict[str, tuple[int, int]], tuple[int, ...]]:
    """The settings as kernels take them, and the shape of the outputs; ShapeError where something does not fit."""
    if len(images) != 4:
        raise ShapeError(f"{name}: images must be (N, C, H, W), found {tuple(images)}")
    made = pooling_settings(name, size, stride, padding)
    return made, (*images[:2], *window_counts(name, images, **made))


def _require(name: str, what: str, found: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if tuple(found) != tuple(expected):
        raise ShapeError(f"{name}: {what} must have shape {tuple(expected)}, found {tuple(found)}")


def max_pool2d(x: Any, *, size: Size, stride: Size | None = None, padding: Size = 0) -> Tensor:
    """Largest value of each window. Gradient: g to it, to the first in the order of rows where several tie.

    Args:
        x: images (N, C, H, W).
        size: rows and columns of a window; every setting is a number or a pair.
        stride: rows and columns from one window to the next; the size where none is given.
        padding: rows and columns around the image, which are never the largest; half of the size at most.

    Returns:
        (N, C, HO, WO) with HO = ⌊(H + 2 padding − size) / stride⌋ + 1: what fills no window is left out. NaN
        where a window has a NaN.

    Raises:
        ShapeError: x is not (N, C, H, W), or smaller than a window.

    >>> import numpy as np, treadle as td
    >>> td.ops.max_pool2d(np.arange(16.0).reshape(1, 1, 4, 4), size=2).numpy()
    array([[[[ 5.,  7.],
             [13., 15.]]]])

    Source: Ranzato et al., Unsupervised learning of invariant feature hierarchies, CVPR 2007.
    """
    x = _array(x)
    settings, _ = _settings("max_pool2d", x.shape, size, stride, padding)
    return _max_pool2d(x, **settings)


def max_pool2d_gradient(g: Any, y: Any, x: Any, *, size: Size, stride: Size | None = None, padding: Size = 0) -> Tensor:
    """Gradient of `max_pool2d` at x with output y, for g at its outputs. Gradient by g: `max_pool2d_select`.

    >>> import numpy as np, treadle as td
    >>> x = np.array([[[[1.0, 3.0], [3.0, 2.0]]]])
    >>> td.ops.max_pool2d_gradient([[[[1.0]]]], [[[[3.0]]]], x, size=2).numpy()
    array([[[[0., 1.],
             [0., 0.]]]])
    """
    g, y, x = _array(g), _array(y), _array(x)
    settings, outputs = _settings("max_pool2d_gradient", x.shape, size, stride, padding)
    _require("max_pool2d_gradient", "the gradient", g.shape, outputs)
    _require("max_pool2d_gradient", "the output", y.shape, outputs)
    return _max_pool2d_gradient(g, y, x, **settings)


def max_pool2d_select(z: Any, y: Any, x: Any, *, size: Size, stride: Size | None = None, padding: Size = 0) -> Tensor:
    """Of each window of z the element where x, with `max_pool2d` y, is largest. Gradient by z: `max_pool2d_gradient`.

    >>> import numpy as np, treadle as td
    >>> x, z = np.array([[[[1.0, 3.0], [3.0, 2.0]]]]), np.array([[[[5.0, 6.0], [7.0, 8.0]]]])
    >>> td.ops.max_pool2d_select(z, [[[[3.0]]]], x, size=2).numpy()
    array([[[[6.]]]])
    """
    z, y, x = _array(z), _array(y), _array(x)
    settings, outputs = _settings("max_pool2d_select", x.shape, size, stride, padding)
    _require("max_pool2d_select", "what is selected from", z.shape, x.shape)
    _require("max_pool2d_select", "the output", y.shape, outputs)
    return _max_pool2d_select(z, y, x, **settings)


def avg_pool2d(x: Any, *, size: Size, stride: Size | None = None, padding: Size = 0) -> Tensor:
    """Mean of each window, in which the zeros around the image count. Gradient: g in equal shares to its elements.

    Args:
        x: images (N, C, H, W).
        size: rows and columns of a window; every setting is a number or a pair.
        stride: rows and columns from one window to the next; the size where none is given.
        padding: rows and columns of zeros on each side, half of the size at most.

    Raises:
        ShapeError: x is not (N, C, H, W), or smaller than a window.

    >>> import numpy as np, treadle as td
    >>> td.ops.avg_pool2d(np.arange(16.0).reshape(1, 1, 4, 4), size=2).numpy()
    array([[[[ 2.5,  4.5],
             [10.5, 12.5]]]])
    """
    x = _array(x)
    settings, _ = _settings("avg_pool2d", x.shape, size, stride, padding)
    return _avg_pool2d(x, **settings)


def avg_pool2d_gradient(
    g: Any, *, shape: tuple[int, ...], size: Size, stride: Size | None = None, padding: Size = 0
) -> Tensor:
    """Gradient of `avg_pool2d` by images of a shape, for g at its outputs. Gradient: avg_pool2d(h).

    >>> import treadle as td
    >>> td.ops.avg_pool2d_gradient([[[[1.0]]]], shape=(1, 1, 2, 2), size=2).numpy()
    array([[[[0.25, 0.25],
             [0.25, 0.25]]]])
    """
    g = _array(g)
    settings, outputs = _settings("avg_pool2d_gradient", shape, size, stride, padding)
    _require("avg_pool2d_gradient", "the gradient", g.shape, outputs)
    return _avg_pool2d_gradient(g, shape=tuple(shape), **settings)
