"""Recording a computation once and running it again on other numbers in the same arrays.

While a function is recorded, its arrays travel as `Recorded`, which computes as usual and keeps a list of what was
done, but no array that was computed. The list is then planned as calls on buffers: in a further run nothing is
allocated, no shape is looked at, and a view of a buffer costs nothing. What reads a number in Python, as `if x > 0`
or `float(x)`, cannot be recorded, for it might go another way next time, and raises `NotRecordable`.
"""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from treadle.errors import TreadleError
from treadle.kernels.buffers import Call, Layout, Recording, Space, flat

Array = np.ndarray[Any, np.dtype[Any]]


class NotRecordable(TreadleError):  # noqa: N818 - says what a computation is, and stops nothing
    """A computation looked at a number in Python, so that running its calls again might not be the same."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} looks at the numbers of an array")


@dataclass
class Entry:
    """One operation of a recording: the kernel's name and function, its operands and settings, output and calls."""

    name: str
    function: Callable[..., Any]
    operands: tuple[Any, ...]
    settings: dict[str, Any]
    out: Array
    calls: list[Call]

    def into(self, out: Array) -> Entry:
        """Return the same operation with its output in another array of the same shape and type."""
        return planned(self.name, self.function, self.operands, self.settings, out)


def planned(
    name: str, function: Callable[..., Any], operands: tuple[Any, ...], settings: dict[str, Any], out: Array
) -> Entry:
    """Plan an operation whose output goes into an array; nothing is computed."""
    if hasattr(function, "plan"):
        calls = function.plan(*operands, **settings, out=out)[1]
    elif isinstance(function, np.ufunc) and not settings:
        calls = [(_apply, (function, out, *operands)) if function in _NAMED_OUT else (function, (*operands, out))]
    else:
        calls = [(_copy, (out, function, operands, settings))]
    return Entry(name, function, operands, settings, out, calls)


_NAMED_OUT = (np.maximum, np.minimum)  # a third array in their call may come to mean something else


def _apply(function: np.ufunc, out: Array, *operands: Any) -> None:
    function(*operands, out=out)


def _copy(out: Array, function: Callable[..., Any], operands: tuple[Any, ...], settings: dict[str, Any]) -> None:
    np.copyto(out, function(*operands, **settings))


class Recorded(np.lib.mixins.NDArrayOperatorsMixin):
    """An array on its way through a computation that is being recorded; `number` tells where it came from."""

    __slots__ = ("array", "number", "recorder")

    def __init__(self, array: Array, recorder: Recorder, number: int) -> None:
        self.array = array
        self.recorder = recorder
        self.number = number

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the axes."""
        shape: tuple[int, ...] = self.array.shape
        return shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Number type of the elements."""
        return self.array.dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.array.ndim

    @property
    def size(self) -> int:
        """Number of elements."""
        return self.array.size

    def __len__(self) -> int:
        return len(self.array)

    def astype(self, dtype: Any) -> Any:
        """The same numbers in another type."""
        return self.recorder.apply("astype", np.ndarray.astype, (self, np.dtype(dtype)), {})

    def __getitem__(self, index: Any) -> Any:
        return self.recorder.apply("getitem", operator.getitem, (self, index), {})

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **settings: Any) -> Any:
        if method != "__call__" or settings or ufunc.nout > 1:
            raise NotRecordable(f"np.{ufunc.__name__}.{method}")
        function = self.recorder.kernels.add if ufunc is np.add else ufunc  # gradients that meet are large
        return self.recorder.apply(ufunc.__name__, function, inputs, {})

    def __array__(self, dtype: Any = None, copy: Any = None) -> NoReturn:
        raise NotRecordable("a function of NumPy")

    def __bool__(self) -> NoReturn:
        raise NotRecordable("if, while, and, or")

    def __float__(self) -> NoReturn:
        raise NotRecordable("float()")

    def __int__(self) -> NoReturn:
        raise NotRecordable("int()")

    def __iter__(self) -> NoReturn:
        raise NotRecordable("a loop")

    def item(self) -> NoReturn:
        """A number for Python, which recording cannot give."""
        raise NotRecordable("item()")


@dataclass(frozen=True)
class _Number:
    """Stands for an array that is computed, by the number of its operation, or for an input, by a negative one."""

    number: int


@dataclass
class _Operation:
    """What was computed: operands are numbers and constants; the layout of the result is None for a view."""

    name: str
    function: Callable[..., Any]
    operands: tuple[Any, ...]
    settings: dict[str, Any]
    layout: Layout | None


class Recorder:
    """Kernels that record: a namespace with the names of the kernels given.

    Args:
        kernels: what computes.
        inputs: the arrays that change from run to run; all others are constants.
    """

    def __init__(self, kernels: Any, inputs: Sequence[Array]) -> None:
        self.kernels = kernels
        self.inputs = {-number: array for number, array in enumerate(inputs, 1)}
        self.outline: list[Any] = []
        self._operations: list[_Operation] = []
        self._targets: list[tuple[Any, Array]] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        function = getattr(self.kernels, name)
        return lambda *operands, **settings: self.apply(name, function, operands, settings)

    def recorded(self, array: Array) -> Recorded:
        """Let one of the inputs travel through what is recorded."""
        return Recorded(array, self, next(number for number, found in self.inputs.items() if found is array))

    def apply(
        self, name: str, function: Callable[..., Any], operands: tuple[Any, ...], settings: dict[str, Any]
    ) -> Any:
        """Compute, and keep what was done."""
        if any(isinstance(value, Recorded) for value in settings.values()):
            raise NotRecordable(f"an array given to {name} as a setting")
        if name in ("getitem", "scatter_add") and any(map(_is_mask, flat((operands[1],)))):
            raise NotRecordable("a mask as index")
        if not any(isinstance(part, Recorded) for part in flat(operands)):
            return function(*operands, **settings)  # of constants: itself one
        arrays = _each(operands, Recorded, lambda value: value.array)
        result = np.asarray(function(*arrays, **settings))
        made = hasattr(function, "plan") or isinstance(function, np.ufunc)
        view = not made and any(isinstance(a, np.ndarray) and np.may_share_memory(a, result) for a in flat(arrays))
        numbers = _each(operands, Recorded, lambda value: _Number(value.number))
        self.outline.append((name, [_mark(o) for o in operands], repr(settings)))
        self._operations.append(_Operation(name, function, numbers, settings, None if view else Layout.of(result)))
        return Recorded(result, self, len(self._operations) - 1)

    def result(self, value: Any, place: Array) -> None:
        """Say that a value, recorded or constant, is wanted in an array; None stands for zeros."""
        self._targets.append((_Number(value.number) if isinstance(value, Recorded) else value, place))

    def finish(self) -> Recording:
        """Return all calls in order, fused where the kernels can, with the results going to their places."""
        space, arrays, entries = self._plan()
        moved: dict[int, Array] = {}
        for value, place in self._targets:
            if value is None:
                entries.append(Entry("result", np.copyto, (), {}, place, [(np.copyto, (place, 0))]))
                continue
            plain = arrays[value.number] if isinstance(value, _Number) else value
            makers = [number for number, entry in enumerate(entries) if entry.out is plain and entry.calls]
            used = any(plain is other for entry in entries for other in flat(entry.operands))
            if makers and not used and plain.strides == place.strides:  # kernels rely on the order in memory
                entries[makers[0]] = entries[makers[0]].into(place)
                moved[id(plain)] = place
            else:
                plain = moved.get(id(plain), plain)  # an entry, so that what is wanted has one more user
                entries.append(Entry("result", np.copyto, (plain,), {}, place, [(np.copyto, (place, plain))]))
        fused = getattr(self.kernels, "fuse", list)(entries)
        return Recording([call for entry in fused for call in entry.calls], space)

    def entries(self) -> list[Entry]:
        """Return the operations, planned in reserved space."""
        return self._plan()[2]

    def _plan(self) -> tuple[Space, dict[int, Array], list[Entry]]:
        """Return all operations planned, the arrays by their numbers, and the space in which those lie."""
        space = Space([operation.layout for operation in self._operations if operation.layout])
        outs = iter(space.arrays)
        arrays, entries = dict(self.inputs), []
        for number, operation in enumerate(self._operations):
            name, function, settings = operation.name, operation.function, operation.settings
            operands = _each(operation.operands, _Number, lambda value: arrays[value.number])
            if operation.layout is None:  # a view: it is there already
                entry = Entry(name, function, operands, settings, np.asarray(function(*operands, **settings)), [])
            else:
                entry = planned(name, function, operands, settings, next(outs))
            entries.append(entry)
            arrays[number] = entry.out
        return space, arrays, entries


def _is_mask(index: Any) -> bool:
    return isinstance(index, Recorded) and index.dtype == bool


def _each(operand: Any, kind: type, function: Callable[[Any], Any]) -> Any:
    """Return an operand with something else in place of each part of a kind; parts may lie in tuples."""
    if isinstance(operand, tuple):
        return tuple(_each(part, kind, function) for part in operand)
    return function(operand) if isinstance(operand, kind) else operand


def _mark(operand: Any) -> Any:
    """What tells whether an operand is the same in another recording."""
    if isinstance(operand, Recorded):
        return operand.number
    if isinstance(operand, tuple):
        return tuple(map(_mark, operand))
    if isinstance(operand, np.ndarray):
        return operand.shape, operand.dtype.str, hashlib.sha256(operand.tobytes()).digest()
    return repr(operand)
