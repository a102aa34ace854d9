"""Memory for a list of calls on arrays: those that are never needed at the same time get the same place.

The calls are planned on arrays in address space that is only reserved: the system gives memory where something is
written, and nothing is. Once all calls are known, so are the first and the last that need each array, and the calls
are bound to memory in which arrays share a place where their lives do not overlap. Nothing is copied for it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from mmap import mmap
from typing import Any

import numpy as np

from treadle.kernels import ALIGNMENT, Array, aligned_empty

Call = tuple[Callable[..., Any], tuple[Any, ...]]


@dataclass(frozen=True)
class Layout:
    """How the numbers of an array lie in memory: shape, type, and bytes from one to the next along each axis."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    strides: tuple[int, ...]

    @classmethod
    def of(cls, array: Array) -> Layout:
        """Return the layout of an array."""
        return cls(array.shape, array.dtype, array.strides)

    @property
    def size(self) -> int:
        """Bytes from the first that belongs to the array to the last."""
        steps = [(n - 1) * abs(stride) for n, stride in zip(self.shape, self.strides, strict=True)]
        return sum(steps) + self.dtype.itemsize if 0 not in self.shape else 0

    def put(self, memory: Array, begin: int) -> Array:
        """Make an array of this layout in the bytes of `memory` from `begin` on."""
        before = [(n - 1) * -stride for n, stride in zip(self.shape, self.strides, strict=True) if n and stride < 0]
        return np.ndarray(self.shape, self.dtype, memory, begin + sum(before), self.strides)


class Space:
    """Reserved address space, with an array of each layout given.

    >>> Space([Layout((2, 3), np.dtype(np.float32), (12, 4))]).arrays[0].shape
    (2, 3)
    """

    def __init__(self, layouts: Sequence[Layout]) -> None:
        self.sizes = [layout.size for layout in layouts]
        *self._begins, size = np.cumsum([0, *(_lines(max(size, 1)) for size in self.sizes)]).tolist()
        self.memory = np.frombuffer(mmap(-1, max(size, 1)), np.uint8)
        self._address = self.memory.ctypes.data
        self.arrays = [layout.put(self.memory, begin) for layout, begin in zip(layouts, self._begins, strict=True)]

    def find(self, array: Array) -> tuple[int, int] | None:
        """Return the number of the array that a view belongs to and the bytes from its begin, or None for others."""
        offset = array.ctypes.data - self._address
        if not array.size or not 0 <= offset < self.memory.size:
            return None
        number = bisect_right(self._begins, offset) - 1
        return number, offset - self._begins[number]


@dataclass(frozen=True)
class Life:
    """How many bytes an array takes, and the numbers of the first and the last call that need it."""

    size: int
    first: int
    last: int


def assign(lives: Sequence[Life]) -> tuple[list[int], int]:
    """Give each array a place: the largest first, each at the lowest that is free as long as it lives.

    Source: Pisarchyk and Lee, Efficient memory management for deep neural net inference, MLSys 2020, "greedy by size".

    Returns:
        The offsets of the arrays in bytes, and the size of the memory that holds all of them.

    >>> assign([Life(128, 0, 1), Life(64, 1, 2), Life(128, 2, 3), Life(40, 3, 4)])
    ([0, 128, 0, 128], 192)
    """
    sizes = np.array([_lines(life.size) for life in lives], np.int64)
    first = np.array([life.first for life in lives], np.int64)
    last = np.array([life.last for life in lives], np.int64)
    offsets, placed = np.zeros(len(lives), np.int64), np.zeros(len(lives), bool)
    for number in np.argsort(-sizes, kind="stable"):
        beside = np.flatnonzero(placed & (first <= last[number]) & (last >= first[number]))
        beside = beside[np.argsort(offsets[beside])]
        taken = np.maximum.accumulate(np.concatenate([[0], (offsets + sizes)[beside]]))
        gaps = np.flatnonzero(offsets[beside] - taken[:-1] >= sizes[number])
        offsets[number] = taken[gaps[0] if len(gaps) else -1]
        placed[number] = True
    return offsets.tolist(), int(np.max(offsets + sizes, initial=0))


class Recording:
    """Calls that were planned in reserved space, and the size of the memory they need.

    A run writes each array before it reads it, so that the memory may serve for something else between two runs.

    Args:
        calls: functions and their arguments; arrays outside the space stay where they are. An array that is part of
            an argument is found in tuples alone.
        space: where the calls were planned.

    >>> x, space = np.ones(2), Space([Layout.of(np.empty(2))] * 3)
    >>> a, b, c = space.arrays
    >>> recording = Recording([(np.add, (x, x, a)), (np.add, (a, x, b)), (np.add, (b, x, c))], space)
    >>> memory = np.zeros(recording.size, np.uint8)
    >>> for function, arguments in recording.calls(memory):
    ...     function(*arguments)
    array([2., 2.])
    array([3., 3.])
    array([4., 4.])
    >>> recording.size // ALIGNMENT, a.tolist()  # c lies where a was, and nothing was written in the space
    (2, [0.0, 0.0])
    """

    def __init__(self, calls: Sequence[Call], space: Space) -> None:
        self._calls, self.space = calls, space
        needed: dict[int, list[int]] = {}
        for place, (_, arguments) in enumerate(calls):
            for argument in flat(arguments):
                found = space.find(argument) if isinstance(argument, np.ndarray) else None
                if found:
                    needed.setdefault(found[0], []).append(place)
        lives = [Life(space.sizes[number], places[0], places[-1]) for number, places in needed.items()]
        offsets, self.size = assign(lives)
        self._offsets = dict(zip(needed, offsets, strict=True))

    def calls(self, memory: Array | None = None) -> list[Call]:
        """Return the calls with their arrays in `memory`, of at least `size` bytes, or in memory of their own."""
        memory = aligned_empty((self.size,), np.uint8) if memory is None else memory
        return [(function, self._moved(arguments, memory)) for function, arguments in self._calls]

    def _moved(self, argument: Any, memory: Array) -> Any:
        if isinstance(argument, tuple):
            return tuple(self._moved(part, memory) for part in argument)
        found = self.space.find(argument) if isinstance(argument, np.ndarray) else None
        if not found:
            return argument
        number, begin = found
        array: Array = np.ndarray(
            argument.shape, argument.dtype, memory, self._offsets[number] + begin, argument.strides
        )
        array.flags.writeable = argument.flags.writeable  # kernels are compiled for one or the other
        return array


def flat(operands: tuple[Any, ...]) -> Iterator[Any]:
    """Yield the operands, and in place of tuples what is in them.

    >>> list(flat((1, (2, (3,)))))
    [1, 2, 3]
    """
    for operand in operands:
        if isinstance(operand, tuple):
            yield from flat(operand)
        else:
            yield operand


def _lines(size: int) -> int:
    """Bytes of the whole lines of the cache that hold so many."""
    return -(-size // ALIGNMENT) * ALIGNMENT
