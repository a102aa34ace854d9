"""Helpers of the gradient rules for shapes and axes."""

from __future__ import annotations

from typing import Any

import numpy as np

from treadle.errors import ShapeError

Axis = int | tuple[int, ...] | None


def normalize_axis(name: str, axis: Axis, ndim: int) -> tuple[int, ...]:
    """Return axes as a tuple of distinct numbers from 0 to ndim − 1; None stands for all of them."""
    if axis is None:
        return tuple(range(ndim))
    axes = axis if isinstance(axis, tuple) else (axis,)
    for number in axes:
        if not -ndim <= number < ndim:
            raise ShapeError(f"{name}: axis {number} is out of range for {ndim} dimensions")
    positive = tuple(number % ndim for number in axes)
    if len(set(positive)) != len(positive):
        raise ShapeError(f"{name}: axes {axes} name one axis twice")
    return positive


def kept(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape with the reduced axes kept as 1."""
    return tuple(1 if number in axes else size for number, size in enumerate(shape))


def unbroadcast(k: Any, g: Any, shape: tuple[int, ...]) -> Any:
    """Sum a gradient over the axes along which an input of this shape was broadcast."""
    if g.shape == shape:
        return g
    added = len(g.shape) - len(shape)
    axes = tuple(range(added)) + tuple(
        number + added for number, size in enumerate(shape) if size == 1 and g.shape[number + added] != 1
    )
    return k.reshape(k.sum(g, axis=axes, keepdims=True), shape)


def pair(name: str, setting: str, value: int | tuple[int, int], least: int = 1) -> tuple[int, int]:
    """Return a number of rows and of columns, both the same where one number is given, or raise ShapeError.

    >>> pair("conv2d", "stride", 2)
    (2, 2)
    """
    both = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(both) != 2 or any(isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < least for n in both):
        raise ShapeError(f"{name}: {setting} must be a whole number of at least {least}, or two, found {value!r}")
    return int(both[0]), int(both[1])


def window_counts(
    name: str,
    shape: tuple[int, ...],
    size: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int] = (1, 1),
) -> tuple[int, int]:
    """Return how many windows images of a shape (…, H, W) have in rows and columns, or raise ShapeError for none.

    >>> window_counts("conv2d", (28, 28), (5, 5), (1, 1), (2, 2)), window_counts("pool", (7, 7), (2, 2), (2, 2), (0, 0))
    ((28, 28), (3, 3))
    """
    extent = tuple(d * (n - 1) + 1 for n, d in zip(size, dilation, strict=True))
    padded = tuple(n + 2 * p for n, p in zip(shape[-2:], padding, strict=True))
    if extent[0] > padded[0] or extent[1] > padded[1]:
        spread = f", spread to {_by(extent)} by its dilation" if extent != size else ""
        found = f"{_by(shape[-2:])} with padding {_by(padded)}" if any(padding) else _by(shape[-2:])
        place = f"{name}: " if name else ""
        raise ShapeError(
            f"{place}the window {_by(size)}{spread} is larger than the image, {found}: take a smaller window or more "
            "padding, or shrink the image less before it"
        )
    rows, columns = ((n - e) // s + 1 for n, e, s in zip(padded, extent, stride, strict=True))
    return rows, columns


def _by(sizes: tuple[int, ...]) -> str:
    return "×".join(map(str, sizes))
