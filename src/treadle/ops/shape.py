"""Ops that move or repeat elements without computing with them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np

from treadle.autodiff.tape import Primitive, Value
from treadle.errors import ShapeError
from treadle.ops._shapes import normalize_axis, unbroadcast

if TYPE_CHECKING:
    from treadle.tensor import Tensor

__all__ = ["broadcast_to", "concat", "getitem", "pad", "reshape", "scatter_add", "stack", "swapaxes", "transpose"]


def _concat_each(k: Any, number: int, g: Any, y: Any, *inputs: Any, axis: int) -> Any:
    ends = list(accumulate(x.shape[axis] for x in inputs))
    index = (slice(None),) * axis + (slice(ends[number] - inputs[number].shape[axis], ends[number]),)
    return k.getitem(g, index)


_reshape = Primitive(
    "reshape",
    lambda k, x, *, shape: k.reshape(x, shape),
    lambda k, g, y, x, *, shape: k.reshape(g, x.shape),
)
_transpose = Primitive(
    "transpose",
    lambda k, x, *, axes: k.transpose(x, axes),
    lambda k, g, y, x, *, axes: k.transpose(g, tuple(int(i) for i in np.argsort(axes))),
)
_broadcast_to = Primitive(
    "broadcast_to",
    lambda k, x, *, shape: k.broadcast_to(x, shape),
    lambda k, g, y, x, *, shape: unbroadcast(k, g, x.shape),
)
_getitem = Primitive(
    "getitem",
    lambda k, x, *, index: k.getitem(x, index),
    lambda k, g, y, x, *, index: k.scatter_add(g, index, x.shape),
)
_scatter_add = Primitive(
    "scatter_add",
    lambda k, x, *, index, shape: k.scatter_add(x, index, shape),
    lambda k, g, y, x, *, index, shape: unbroadcast(k, k.getitem(g, index), x.shape),
)
_concat = Primitive("concat", lambda k, *xs, axis: k.concat(xs, axis=axis), each=_concat_each)
_pad = Primitive(
    "pad",
    lambda k, x, *, width, value: k.pad(x, width, value),
    lambda k, g, y, x, *, width, value: k.getitem(
        g, tuple(slice(before, before + size) for (before, _), size in zip(width, x.shape, strict=True))
    ),
)


def _array(x: Any) -> Any:
    return x if hasattr(x, "shape") else np.asarray(x)


def _plain(index: Any) -> Any:
    """An index with arrays in place of tensors."""
    if isinstance(index, tuple):
        return tuple(_plain(part) for part in index)
    return index.data if isinstance(index, Value) else index


def reshape(x: Any, shape: int | Sequence[int]) -> Tensor:
    """The same elements in another shape, one size of which may be −1. Gradient: g in the old shape.

    >>> import treadle as td
    >>> td.ops.reshape([1.0, 2.0, 3.0, 4.0], (2, -1)).shape
    (2, 2)
    """
    return _reshape(x, shape=(shape,) if isinstance(shape, int) else tuple(shape))


def transpose(x: Any, axes: Sequence[int] | None = None) -> Tensor:
    """Permute the axes; reverse them where none are given. Gradient: g permuted back.

    >>> import treadle as td
    >>> td.ops.transpose([[1.0, 2.0, 3.0]]).shape
    (3, 1)
    """
    x = _array(x)
    ndim = len(x.shape)
    order = tuple(range(ndim))[::-1] if axes is None else normalize_axis("transpose", tuple(axes), ndim)
    if len(order) != ndim:
        raise ShapeError(f"transpose: {len(order)} axes given for {ndim} dimensions")
    return _transpose(x, axes=order)


def swapaxes(x: Any, a: int, b: int) -> Tensor:
    """Exchange two axes. Gradient: g with them exchanged.

    >>> import treadle as td
    >>> td.ops.swapaxes([[[1.0, 2.0]]], 0, 2).shape
    (2, 1, 1)
    """
    x = _array(x)
    a, b = normalize_axis("swapaxes", a, len(x.shape))[0], normalize_axis("swapaxes", b, len(x.shape))[0]
    order = list(range(len(x.shape)))
    order[a], order[b] = order[b], order[a]
    return _transpose(x, axes=tuple(order))


def broadcast_to(x: Any, shape: Sequence[int]) -> Tensor:
    """Repeat along new axes and axes of size 1. Gradient: g summed over them.

    >>> import treadle as td
    >>> td.ops.broadcast_to([1.0, 2.0], (2, 2)).numpy()
    array([[1., 2.],
           [1., 2.]])
    """
    return _broadcast_to(x, shape=tuple(shape))


def getitem(x: Any, index: Any) -> Tensor:
    """x[index]: slices, None, …, integers, integer arrays and masks as in NumPy. Gradient: g added at those places.

    An element that is taken twice gets the sum of both gradients.

    >>> import treadle as td
    >>> td.ops.getitem([10.0, 20.0, 30.0], [2, 0, 2]).numpy()
    array([30., 10., 30.])
    """
    return _getitem(_array(x), index=_plain(index))


def scatter_add(x: Any, index: Any, shape: Sequence[int]) -> Tensor:
    """Zeros of a shape with x added at an index, the reverse of `getitem`. Gradient: g[index].

    >>> import treadle as td
    >>> td.ops.scatter_add([1.0, 2.0, 3.0], [0, 2, 2], (4,)).numpy()
    array([1., 0., 5., 0.])
    """
    return _scatter_add(_array(x), index=_plain(index), shape=tuple(shape))


def concat(xs: Sequence[Any], axis: int = 0) -> Tensor:
    """Join along an axis. Gradient: to each input the piece of g that it filled.

    >>> import treadle as td
    >>> td.ops.concat([[1.0, 2.0], [3.0]]).numpy()
    array([1., 2., 3.])
    """
    if not len(xs):
        raise ShapeError("concat: nothing to join")
    arrays = [_array(x) for x in xs]
    return _concat(*arrays, axis=normalize_axis("concat", axis, len(arrays[0].shape))[0])


def stack(xs: Sequence[Any], axis: int = 0) -> Tensor:
    """Join along a new axis. Gradient: to each input its piece of g.

    >>> import treadle as td
    >>> td.ops.stack([[1.0, 2.0], [3.0, 4.0]], axis=1).numpy()
    array([[1., 3.],
           [2., 4.]])
    """
    arrays = [_array(x) for x in xs]
    if len({x.shape for x in arrays}) != 1:
        raise ShapeError(f"stack: all shapes must be equal, found {sorted({x.shape for x in arrays})}")
    shape = arrays[0].shape
    place = normalize_axis("stack", axis, len(shape) + 1)[0]
    return concat([reshape(x, (*shape[:place], 1, *shape[place:])) for x in arrays], place)


def pad(x: Any, width: Sequence[tuple[int, int]], value: float = 0.0) -> Tensor:
    """Surround with a constant. Gradient: the inner part of g.

    Args:
        x: array of any shape.
        width: a pair (before, after) of counts for each axis.
        value: the constant.

    Raises:
        ShapeError: not one pair for each axis, or a negative count.

    >>> import treadle as td
    >>> td.ops.pad([1.0, 2.0], [(1, 2)]).numpy()
    array([0., 1., 2., 0., 0.])
    """
    x = _array(x)
    pairs = tuple((int(before), int(after)) for before, after in width)
    if len(pairs) != len(x.shape):
        raise ShapeError(f"pad: {len(pairs)} pairs of widths given for shape {x.shape}")
    return _pad(x, width=pairs, value=value)
