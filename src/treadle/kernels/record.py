"""Recording a computation once and running it again on other numbers in the same arrays.

While a function is recorded, its arrays travel as `Recorded`, which computes as usual and keeps a list of what was
done. The arrays that came out are then the buffers of every further run: nothing is allocated, no shape is looked
at, and a view of a buffer costs nothing. What reads a number in Python, as `if x > 0` or `float(x)`, cannot be
recorded, for it might go another way next time, and raises `NotRecordable`.
"""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from treadle.errors import TreadleError

Array = np.ndarray[Any, np.dtype[Any]]
Call = tuple[Callable[..., Any], tuple[Any, ...]]


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
    name: str,
    function: Callable[..., Any],
    operands: tuple[Any, ...],
    settings: dict[str, Any],
    out: Array | None = None,
) -> Entry:
    """Plan an operation and run it, into a new array unless one is given."""
    if hasattr(function, "plan"):
        out, calls = function.plan(*operands, **settings, **({} if out is None else {"out": out}))
        for call, arguments in calls:
            call(*arguments)
        return Entry(name, function, operands, settings, out, calls)
    if isinstance(function, np.ufunc) and not settings:
        result = np.asarray(function(*operands, out=out))
        call = (_apply, (function, result, *operands)) if function in _NAMED_OUT else (function, (*operands, result))
        return Entry(name, function, operands, settings, result, [call])
    result = np.asarray(function(*operands, **settings))
    if any(isinstance(operand, np.ndarray) and np.may_share_memory(operand, result) for operand in operands):
        return Entry(name, function, operands, settings, result, [])  # a view: it is there already
    if out is None:
        out = result
    else:
        np.copyto(out, result)
    return Entry(name, function, operands, settings, out, [(_copy, (out, function, operands, settings))])


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


class Recorder:
    """Kernels that record: a namespace with the names of the kernels given.

    Args:
        kernels: what computes.
        inputs: the arrays that change from run to run; all others are constants.
    """

    def __init__(self, kernels: Any, inputs: Sequence[Array]) -> None:
        self.kernels = kernels
        self.inputs = {id(array): -number for number, array in enumerate(inputs, 1)}
        self.entries: list[Entry] = []
        self.outline: list[Any] = []
        self._targets: list[tuple[Any, Array]] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        function = getattr(self.kernels, name)
        return lambda *operands, **settings: self.apply(name, function, operands, settings)

    def recorded(self, array: Array) -> Recorded:
        """Let one of the inputs travel through what is recorded."""
        return Recorded(array, self, self.inputs[id(array)])

    def apply(
        self, name: str, function: Callable[..., Any], operands: tuple[Any, ...], settings: dict[str, Any]
    ) -> Any:
        """Compute, and keep what was done."""
        if any(isinstance(value, Recorded) for value in settings.values()):
            raise NotRecordable(f"an array given to {name} as a setting")
        if name in ("getitem", "scatter_add") and any(map(_is_mask, flat((operands[1],)))):
            raise NotRecordable("a mask as index")
        if not any(isinstance(part, Recorded) for o in operands for part in (o if isinstance(o, tuple) else (o,))):
            return function(*operands, **settings)  # of constants: itself one
        self.outline.append((name, [_mark(o) for o in operands], repr(settings)))
        self.entries.append(planned(name, function, tuple(map(_plain, operands)), settings))
        return Recorded(self.entries[-1].out, self, len(self.entries) - 1)

    def result(self, value: Any, place: Array) -> None:
        """Say that a value, recorded or constant, is wanted in an array; None stands for zeros."""
        self._targets.append((value, place))

    def close(self) -> None:
        """Let go of all arrays now: they and the recorder hold each other."""
        self.entries, self._targets = [], []

    def finish(self) -> list[Call]:
        """Return all calls in order, fused where the kernels can, with the results going to their places."""
        entries = list(self.entries)
        moved: dict[int, Array] = {}
        for value, place in self._targets:
            if value is None:
                entries.append(Entry("result", place.fill, (), {}, place, [(place.fill, (0,))]))
                continue
            plain = _plain(value)
            makers = [number for number, entry in enumerate(entries) if entry.out is plain and entry.calls]
            used = any(plain is other for entry in entries for other in flat(entry.operands))
            if makers and not used and plain.strides == place.strides:  # kernels rely on the order in memory
                entries[makers[0]] = entries[makers[0]].into(place)
                moved[id(plain)] = place
            else:
                plain = moved.get(id(plain), plain)  # an entry, so that what is wanted has one more user
                entries.append(Entry("result", np.copyto, (plain,), {}, place, [(np.copyto, (place, plain))]))
        fused = getattr(self.kernels, "fuse", list)(entries)
        return [call for entry in fused for call in entry.calls]


def flat(operands: tuple[Any, ...]) -> Iterator[Any]:
    """Yield the operands, and in place of tuples what is in them."""
    for operand in operands:
        if isinstance(operand, tuple):
            yield from flat(operand)
        else:
            yield operand


def _is_mask(index: Any) -> bool:
    return isinstance(index, Recorded) and index.dtype == bool


def _plain(operand: Any) -> Any:
    if isinstance(operand, Recorded):
        return operand.array
    return tuple(map(_plain, operand)) if isinstance(operand, tuple) else operand


def _mark(operand: Any) -> Any:
    """What tells whether an operand is the same in another recording."""
    if isinstance(operand, Recorded):
        return operand.number
    if isinstance(operand, tuple):
        return tuple(map(_mark, operand))
    if isinstance(operand, np.ndarray):
        return operand.shape, operand.dtype.str, hashlib.sha256(operand.tobytes()).digest()
    return repr(operand)
