"""Helpers of the gradient rules for shapes and axes."""

from __future__ import annotations

from typing import Any

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
