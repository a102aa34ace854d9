"""Tensor: an array with Python's operators, each of which is an op of the tape."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from treadle import ops
from treadle.autodiff.tape import Value, gradients
from treadle.errors import DtypeError, GradientError

Axis = int | tuple[int, ...] | None


class Tensor(Value):
    """An array whose computations are recorded where a gradient may flow through them.

    Comparisons return plain bool arrays, for no gradient flows through them.
    """

    __slots__ = ()
    __array_ufunc__ = None  # array * tensor is the tensor's affair

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the axes."""
        return self.data.shape  # type: ignore[no-any-return]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Number type of the elements."""
        return self.data.dtype  # type: ignore[no-any-return]

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.data.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(self.data.size)

    @property
    def T(self) -> Tensor:  # noqa: N802 - NumPy's name
        """The tensor with its axes reversed."""
        return ops.transpose(self)

    def numpy(self) -> np.ndarray[Any, np.dtype[Any]]:
        """Return the array itself, outside the tape."""
        return self.data  # type: ignore[no-any-return]

    def item(self) -> float:
        """Return the only element as a Python number."""
        return self.data.item()  # type: ignore[no-any-return]

    def backward(self, gradient: ArrayLike | None = None, *, retain: bool = False) -> None:
        """Add the gradient of this tensor to `.grad` of every tensor made with requires_grad=True that led to it.

        Args:
            gradient: the gradient that arrives here, of this shape; 1 where there is one element.
            retain: keep the graph, so that another pass is possible.

        Raises:
            GradientError: nothing here requires a gradient, there are several elements and no gradient was
                given, or the graph was freed by an earlier pass.

        >>> x = tensor([1.0, 2.0], requires_grad=True)
        >>> (x * x).sum().backward()
        >>> x.grad
        array([2., 4.])
        """
        arriving = None if gradient is None else np.asarray(gradient, self.dtype)
        for leaf, g in gradients(self, gradient=arriving, retain=retain):
            if g is not None:
                leaf.grad = np.array(g if leaf.grad is None else leaf.grad + g)

    def astype(self, dtype: DTypeLike) -> Tensor:
        """Return the same numbers in another dtype, outside the tape: gradients keep to one dtype.

        Raises:
            DtypeError: a gradient would have to flow through the conversion.
        """
        if self.requires_grad:
            raise DtypeError("a tensor that requires a gradient cannot change its dtype: convert the array before")
        return Tensor(self.data.astype(dtype))

    def sum(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """Return `ops.sum`."""
        return ops.sum(self, axis, keepdims)

    def mean(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """Return `ops.mean`."""
        return ops.mean(self, axis, keepdims)

    def max(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """Return `ops.max`."""
        return ops.max(self, axis, keepdims)

    def min(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """Return `ops.min`."""
        return ops.min(self, axis, keepdims)

    def var(self, axis: Axis = None, keepdims: bool = False, ddof: int = 0) -> Tensor:
        """Return `ops.var`."""
        return ops.var(self, axis, keepdims, ddof)

    def reshape(self, *shape: int | Sequence[int]) -> Tensor:
        """Return `ops.reshape`; the sizes may be given one by one."""
        return ops.reshape(self, shape[0] if len(shape) == 1 else shape)  # type: ignore[arg-type]

    def transpose(self, *axes: int) -> Tensor:
        """Return `ops.transpose`."""
        return ops.transpose(self, axes or None)

    def __add__(self, other: Any) -> Tensor:
        return ops.add(self, other)

    def __radd__(self, other: Any) -> Tensor:
        return ops.add(other, self)

    def __sub__(self, other: Any) -> Tensor:
        return ops.subtract(self, other)

    def __rsub__(self, other: Any) -> Tensor:
        return ops.subtract(other, self)

    def __mul__(self, other: Any) -> Tensor:
        return ops.multiply(self, other)

    def __rmul__(self, other: Any) -> Tensor:
        return ops.multiply(other, self)

    def __truediv__(self, other: Any) -> Tensor:
        return ops.divide(self, other)

    def __rtruediv__(self, other: Any) -> Tensor:
        return ops.divide(other, self)

    def __pow__(self, other: Any) -> Tensor:
        return ops.power(self, other)

    def __rpow__(self, other: Any) -> Tensor:
        return ops.power(other, self)

    def __matmul__(self, other: Any) -> Tensor:
        return ops.matmul(self, other)

    def __rmatmul__(self, other: Any) -> Tensor:
        return ops.matmul(other, self)

    def __neg__(self) -> Tensor:
        return ops.negative(self)

    def __abs__(self) -> Tensor:
        return ops.abs(self)

    def __getitem__(self, index: Any) -> Tensor:
        return ops.getitem(self, index)

    def __lt__(self, other: Any) -> Any:
        return self.data < _data(other)

    def __le__(self, other: Any) -> Any:
        return self.data <= _data(other)

    def __gt__(self, other: Any) -> Any:
        return self.data > _data(other)

    def __ge__(self, other: Any) -> Any:
        return self.data >= _data(other)

    def __eq__(self, other: object) -> Any:
        return self.data == _data(other)

    def __ne__(self, other: object) -> Any:
        return self.data != _data(other)

    __hash__ = object.__hash__

    def __bool__(self) -> bool:
        return bool(self.data)

    def __float__(self) -> float:
        return float(self.data)

    def __len__(self) -> int:
        return len(self.data)

    def __iter__(self) -> Iterator[Tensor]:
        return (self[number] for number in range(len(self)))

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> np.ndarray[Any, np.dtype[Any]]:
        if self.requires_grad:
            raise DtypeError(
                "a tensor that requires a gradient is not turned into an array in silence: "
                "write .numpy() to leave the tape, or use the functions in treadle.ops"
            )
        return np.array(self.data, dtype=dtype, copy=copy)

    def __repr__(self) -> str:
        body = np.array2string(self.data, separator=", ", prefix="tensor(") if isinstance(self.data, np.ndarray) else ""
        dtype = "" if self.dtype == np.float64 else f", dtype={self.dtype}"
        return f"tensor({body}{dtype}{', requires_grad=True' if self.requires_grad else ''})"


Value.result_type = Tensor


def _data(other: Any) -> Any:
    return other.data if isinstance(other, Value) else other


def tensor(data: ArrayLike | Tensor, *, dtype: DTypeLike | None = None, requires_grad: bool = False) -> Tensor:
    """Make a tensor from a copy of numbers; float64 arrays stay float64.

    Args:
        data: number, nested lists, array or tensor.
        dtype: number type; that of the data where none is given.
        requires_grad: record what is computed from it, so that a gradient can be had.

    Raises:
        DtypeError: a gradient is wanted of numbers that are not floats.

    >>> tensor([[1.0, 2.0]], requires_grad=True)
    tensor([[1., 2.]], requires_grad=True)
    """
    array = np.array(data.data if isinstance(data, Value) else data, dtype=dtype)
    if requires_grad and not np.issubdtype(array.dtype, np.floating):
        raise DtypeError(f"only floats have gradients, found {array.dtype}: write 1.0 for 1, or give dtype=float")
    return Tensor(array, requires_grad=requires_grad)


def grad(output: Tensor, inputs: Sequence[Tensor], gradient: Any = None) -> list[Tensor | None]:
    """Return the gradients of output by inputs as tensors that can be differentiated again.

    Args:
        output: tensor of one element, or of the shape of `gradient`.
        inputs: tensors that led to it.
        gradient: what arrives at output.

    Returns:
        A tensor for each input; None where output does not depend on it.

    >>> x = tensor(3.0, requires_grad=True)
    >>> (first,) = grad(x**3, [x])
    >>> (second,) = grad(first, [x])
    >>> first.item(), second.item()
    (27.0, 18.0)
    """
    if isinstance(inputs, Value):
        raise GradientError("give the inputs as a list: grad(y, [x])")
    return [g for _, g in gradients(output, inputs, gradient, differentiable=ops)]
