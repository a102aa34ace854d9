"""Matrix products."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from treadle.autodiff.tape import Primitive
from treadle.ops._shapes import unbroadcast

if TYPE_CHECKING:
    from treadle.tensor import Tensor

__all__ = ["matmul"]


def _left(k: Any, g: Any, y: Any, a: Any, b: Any) -> Any:
    if len(b.shape) == 1:  # (…, m) · (m): every row of a met the one vector b
        return unbroadcast(k, g[..., None] * b, a.shape)
    if len(a.shape) == 1:  # (n) · (…, n, m)
        return unbroadcast(k, k.matmul(b, g[..., None])[..., 0], a.shape)
    return unbroadcast(k, k.matmul(g, k.swapaxes(b, -1, -2)), a.shape)


def _right(k: Any, g: Any, y: Any, a: Any, b: Any) -> Any:
    if len(a.shape) == 1:
        # with two vectors g has no axis to give b's elements
        return unbroadcast(k, g[..., None] * a if len(b.shape) == 1 else a[:, None] * g[..., None, :], b.shape)
    if len(b.shape) == 1:
        return unbroadcast(k, k.matmul(k.swapaxes(a, -1, -2), g[..., None])[..., 0], b.shape)
    return unbroadcast(k, k.matmul(k.swapaxes(a, -1, -2), g), b.shape)


_matmul = Primitive("matmul", lambda k, a, b: k.matmul(a, b), _left, _right)


def matmul(a: Any, b: Any) -> Tensor:
    """Matrix product a @ b, with batch dimensions and vectors as in NumPy. Gradients: ∂a = g bᵀ, ∂b = aᵀ g.

    Args:
        a: (n,), (m, n) or (…, m, n).
        b: (n,), (n, p) or (…, n, p).

    Raises:
        ShapeError: the inner sizes differ, or an operand has no dimension.

    >>> import treadle as td
    >>> td.ops.matmul([[1.0, 2.0]], [[3.0], [4.0]]).numpy()
    array([[11.]])
    """
    return _matmul(a, b)
