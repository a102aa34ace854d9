"""The tape: values that remember which primitive made them, and the walk backward over them.

A primitive is a forward function and one pullback for each input. Forward is `f(k, *arrays, **settings)`, a
pullback is `p(k, g, y, *arrays, **settings)`: it gets the gradient g that arrives at the output y and returns
the gradient that leaves towards its input. `k` holds the kernels to compute with. Both are pure, so the tape
can be traced by a compiler, and a pullback that is given ops in place of kernels is itself recorded, which is
all that second derivatives need.

Source: Griewank and Walther, Evaluating Derivatives, 2nd ed., SIAM 2008, chapter 3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from treadle import kernels
from treadle.errors import DtypeError, GradientError, ShapeError, TreadleError

if TYPE_CHECKING:
    from treadle.tensor import Tensor

_place: ContextVar[str] = ContextVar("place", default="")
Array = Any  # a NumPy array, or what stands for one while a compiler traces


class Value:
    """An array, and if a gradient may flow through it, the primitive and inputs that made it."""

    __slots__ = ("data", "depth", "grad", "inputs", "place", "primitive", "requires_grad", "settings")
    # The class of op results. `tensor` sets it to Tensor, so that the tape need not know the operators.
    result_type: ClassVar[type[Any]]

    def __init__(self, data: Array, *, requires_grad: bool = False) -> None:
        self.data = data
        self.requires_grad = requires_grad
        self.grad: Array | None = None
        self.primitive: Primitive | None = None
        self.inputs: tuple[Any, ...] | None = ()
        self.settings: dict[str, Any] = {}
        self.depth = 0
        self.place = ""


Value.result_type = Value


@contextmanager
def place(path: str) -> Iterator[None]:
    """Note a path, such as that of a layer, with every value that is recorded inside the `with` block.

    >>> import treadle as td
    >>> with place("half"):
    ...     y = td.tensor([4.0], requires_grad=True) / 2
    >>> y.place
    'half'
    """
    token = _place.set(path)
    try:
        yield
    finally:
        _place.reset(token)


class Primitive:
    """A forward function with its gradient rules; calling it computes, and records where a gradient may flow.

    `pullbacks` are given one for each input; `each` replaces them where the number of inputs varies and takes
    the input's number after `k`.
    """

    __slots__ = ("each", "forward", "name", "pullbacks")

    def __init__(
        self,
        name: str,
        forward: Callable[..., Array],
        *pullbacks: Callable[..., Array],
        each: Callable[..., Array] | None = None,
    ) -> None:
        self.name = name
        self.forward = forward
        self.pullbacks = pullbacks
        self.each = each

    def __call__(self, *operands: Any, **settings: Any) -> Tensor:
        """Compute the forward function of values, arrays and numbers; raise ShapeError or DtypeError on misfits."""
        arrays = [operand.data if isinstance(operand, Value) else _constant(operand) for operand in operands]
        dtypes = list(dict.fromkeys(a.dtype for a in arrays if hasattr(a, "dtype") and a.dtype != bool))
        if len(dtypes) > 1:
            found = f"{self.name}: {dtypes[0]} and {dtypes[1]} do not mix, for nothing is promoted in silence"
            raise DtypeError(f"{found}; convert one of them, for example with .astype({str(dtypes[0])!r})")
        if not dtypes:
            arrays = [np.asarray(array) for array in arrays]
        try:
            data = self.forward(kernels.active(), *arrays, **settings)
        except (ValueError, IndexError) as error:
            if isinstance(error, TreadleError):
                raise  # it names the place already
            shapes = " and ".join(str(np.shape(array)) for array in arrays)
            raise ShapeError(f"{self.name}: shapes {shapes} do not fit: {error}") from error
        result = Value.result_type(np.asarray(data) if isinstance(data, np.generic) else data)
        depths = [operand.depth for operand in operands if isinstance(operand, Value) and operand.requires_grad]
        if depths:
            result.requires_grad, result.depth = True, max(depths) + 1
            result.primitive, result.inputs, result.settings = self, operands, settings
            result.place = _place.get()
        return result  # type: ignore[no-any-return]

    def pullback(self, number: int, k: Any, g: Any, y: Any, *inputs: Any, **settings: Any) -> Any:
        """Return the gradient that leaves towards the input of that number."""
        if self.each is not None:
            return self.each(k, number, g, y, *inputs, **settings)
        return self.pullbacks[number](k, g, y, *inputs, **settings)


def _constant(operand: Any) -> Any:
    """An operand that no gradient flows to: numbers stay weak in dtype, lists become arrays."""
    if isinstance(operand, np.generic):
        return operand.item()
    if isinstance(operand, (bool, int, float)) or hasattr(operand, "dtype"):
        return operand
    return np.asarray(operand)


def recorded(output: Value) -> list[Value]:
    """Return every value that a gradient may flow through on the way to output, inputs before outputs.

    >>> import treadle as td
    >>> x = td.tensor([1.0, 2.0], requires_grad=True)
    >>> [value.primitive.name for value in recorded((x * x).sum()) if value.primitive]
    ['multiply', 'sum']
    """
    found, stack = {id(output): output}, [output]
    while stack:
        value = stack.pop()
        if value.inputs is None:
            raise GradientError(
                "an earlier backward pass went through this graph and freed it; compute the output again, "
                "or keep the graph with retain=True"
            )
        for operand in value.inputs:
            if isinstance(operand, Value) and operand.requires_grad and id(operand) not in found:
                found[id(operand)] = operand
                stack.append(operand)
    return sorted(found.values(), key=lambda value: value.depth)


def gradients(
    output: Value,
    inputs: Sequence[Value] | None = None,
    gradient: Any = None,
    *,
    retain: bool = False,
    differentiable: Any = None,
    observe: Callable[[Value, Any, dict[int, Any]], None] | None = None,
) -> list[tuple[Value, Any]]:
    """Walk backward from output and return (input, gradient) pairs.

    Args:
        output: the value to differentiate.
        inputs: the values to differentiate by; all leaves that require a gradient where none are given.
        gradient: the gradient that arrives at output, of its shape; 1 where output has one element.
        retain: keep the graph for another pass; otherwise it is freed on the way.
        differentiable: the namespace of ops, to record the pullbacks too: gradients are then values that can
            be differentiated again, and the graph is kept.
        observe: called for every value made by a primitive, with the gradient that arrived at it and, by the number
            of an input, the gradients that leave.

    Raises:
        GradientError: output has no path to an input, has several elements and no gradient, or was freed.
    """
    if not output.requires_grad:
        raise GradientError("nothing to differentiate: no input of this value was made with requires_grad=True")
    if gradient is None:
        if output.data.size != 1:
            raise GradientError(
                f"a value of shape {output.data.shape} has no single gradient: reduce it to one number "
                "with .sum() or .mean(), or give the gradient that arrives at it"
            )
        gradient = np.ones(output.data.shape, output.data.dtype)
    elif np.shape(gradient) != output.data.shape:
        raise ShapeError(f"the gradient given has shape {np.shape(gradient)}, the output {output.data.shape}")
    k = kernels.active() if differentiable is None else differentiable
    if differentiable is not None:
        retain = True
        gradient = gradient if isinstance(gradient, Value) else Value.result_type(gradient)

    order = recorded(output)
    sources = [value for value in order if value.primitive is None] if inputs is None else list(inputs)
    wanted = {id(value) for value in sources}
    leads = set(wanted)  # the values from which a wanted one is reached; the walk goes nowhere else
    for value in order:
        if any(id(operand) in leads for operand in value.inputs or ()):
            leads.add(id(value))

    arrived: dict[int, Any] = {id(output): gradient}
    result: dict[int, Any] = {}
    while order:
        value = order.pop()
        g = arrived.pop(id(value), None)
        if g is None:
            continue
        if id(value) in wanted:
            result[id(value)] = g
        if value.primitive is not None:
            left: dict[int, Any] | None = None if observe is None else {}
            _step(value, g, k, leads, arrived, left, as_values=differentiable is not None)
            if observe is not None and left is not None:
                observe(value, g, left)
            if not retain:
                value.inputs = None
    return [(value, result.get(id(value))) for value in sources]


def _step(
    value: Value,
    g: Any,
    k: Any,
    leads: set[int],
    arrived: dict[int, Any],
    left: dict[int, Any] | None,
    *,
    as_values: bool,
) -> None:
    """Pull one gradient back through the primitive that made a value, adding to what arrived at its inputs.

    What leaves towards each input is also put into `left`, by the number of the input, if that is given.
    """
    primitive, output = value.primitive, value if as_values else value.data
    assert primitive is not None
    operands = [operand if isinstance(operand, Value) else _constant(operand) for operand in value.inputs or ()]
    arguments = operands if as_values else [o.data if isinstance(o, Value) else o for o in operands]
    for number, operand in enumerate(operands):
        if isinstance(operand, Value) and id(operand) in leads:
            leaving = primitive.pullback(number, k, g, output, *arguments, **value.settings)
            if left is not None:
                left[number] = leaving
            before = arrived.get(id(operand))
            arrived[id(operand)] = leaving if before is None else before + leaving
