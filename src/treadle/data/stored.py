"""Inputs that stay on disk, for data that may be larger than memory: taking samples reads them."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from treadle.errors import DataError
from treadle.memory import available, require_available

Indices = NDArray[np.int64]
PIECE = 2**24  # bytes read at a time where all samples are looked at
SHARE = 0.5  # of the memory available that data may take before it stays on disk


@dataclass(frozen=True)
class Survey:
    """What one pass over inputs (N, …) tells.

    Args:
        low, high: smallest and largest value over the samples, of the shape of a sample.
        odd: place and value of the first that is not finite, or None.
        digest: SHA-256 over dtype, shape and values, in hex.
    """

    low: NDArray[Any]
    high: NDArray[Any]
    odd: tuple[tuple[int, ...], float] | None
    digest: str


class Stored(ABC):
    """Samples (N, …) on disk: `stored[indices]` and `stored[begin:end]` read them into an array.

    Args:
        shape: (N, …).
        dtype: of the values.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @abstractmethod
    def read(self, indices: Indices) -> NDArray[Any]:
        """Read samples by their numbers (n,) into an array (n, …); raises DataError that names the file."""

    @property
    def ndim(self) -> int:
        """Axes, with that of the samples."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Values of all samples."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes that all samples would take in memory."""
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[NDArray[Any]]:
        return (sample for _, piece in self.pieces() for sample in piece)

    def __getitem__(self, index: slice | Indices) -> NDArray[Any]:
        return self.read(_numbers(index, len(self)))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        require_available(f"{len(self):,} samples of shape {self.shape[1:]}", self.nbytes, "take some with a slice")
        return self[:].astype(dtype or self.dtype, copy=False)

    def pieces(self) -> Iterator[tuple[int, NDArray[Any]]]:
        """Yield all samples in order, some at a time, each piece with the number of its first."""
        step = max(1, PIECE // max(1, math.prod(self.shape[1:]) * self.dtype.itemsize))
        for begin in range(0, len(self), step):
            yield begin, self[begin : begin + step]

    @cached_property
    def survey(self) -> Survey:
        """What one pass over all samples tells, made when it is first asked for."""
        return self._surveyed()

    def _surveyed(self) -> Survey:
        surveyor = _Surveyor(self.shape, self.dtype)
        for _, piece in self.pieces():
            surveyor.add(piece)
        return surveyor.result()


class Subset(Stored):
    """Some samples of what is stored, by their numbers there.

    Args:
        source: all samples.
        rows: (n,), numbers.
    """

    def __init__(self, source: Stored, rows: Indices) -> None:
        self.source, self.rows = source, rows
        self.shape, self.dtype = (len(rows), *source.shape[1:]), source.dtype
        self.siblings: tuple[Subset, ...] = ()

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"siblings": ()}  # of no use to a process that makes batches

    def read(self, indices: Indices) -> NDArray[Any]:
        """Read samples by their numbers in the subset."""
        return self.source.read(self.rows[indices])

    @cached_property
    def survey(self) -> Survey:
        """The survey; those of the subsets of one split are made in one pass over the source."""
        if not self.siblings:
            return self._surveyed()
        surveyors = [_Surveyor(one.shape, one.dtype) for one in self.siblings]
        for begin, piece in self.source.pieces():
            for one, surveyor in zip(self.siblings, surveyors, strict=True):
                first, last = np.searchsorted(one.rows, (begin, begin + len(piece)))
                if last > first:
                    surveyor.add(piece[one.rows[first:last] - begin])
        for one, surveyor in zip(self.siblings, surveyors, strict=True):
            one.__dict__["survey"] = surveyor.result()
        found: Survey = self.__dict__["survey"]
        return found


def subsets(source: Stored, parts: Sequence[Indices]) -> list[Subset]:
    """Return a subset for each part of the samples, whose numbers ascend.

    >>> class Numbers(Stored):
    ...     shape, dtype = (6, 1), np.dtype(np.float64)
    ...     def read(self, indices):
    ...         return indices[:, None] * 1.0
    >>> odd, even = subsets(Numbers(), [np.array([1, 3, 5]), np.array([0, 2, 4])])
    >>> odd[np.array([2, 0])].ravel().tolist(), even.survey.high.tolist()
    ([5.0, 1.0], [4.0])
    """
    made = [Subset(source, rows) for rows in parts]
    for one in made:
        one.siblings = tuple(made)
    return made


def taken(inputs: NDArray[Any] | Stored, index: slice | Indices) -> NDArray[Any] | Stored:
    """Return some samples: of an array as NumPy does, of what is stored without reading it."""
    if not isinstance(inputs, Stored):
        found: NDArray[Any] = inputs[index]
        return found
    rows = _numbers(index, len(inputs))
    return Subset(inputs.source, inputs.rows[rows]) if isinstance(inputs, Subset) else Subset(inputs, rows)


def stays_on_disk(stream: bool | None, needed: int) -> bool:
    """Say whether data that would take so many bytes stays on disk.

    Args:
        stream: what was asked for; where nothing was, data stay that would take more than half of the memory available.
        needed: bytes.
    """
    return needed > SHARE * available() if stream is None else stream


def digest(array: NDArray[Any]) -> str:
    """Return SHA-256 over dtype, shape and values of an array, in hex.

    >>> digest(np.zeros((2, 2))) == digest(np.zeros((2, 2)).T), digest(np.zeros(4)) == digest(np.zeros((2, 2)))
    (True, False)
    """
    from hashlib import sha256

    found = sha256(f"{array.dtype.str}{array.shape}".encode())
    found.update(np.ascontiguousarray(array).data.cast("B") if array.size else b"")
    return found.hexdigest()


class _Surveyor:
    """A survey in the making."""

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        from hashlib import sha256

        self.digest = sha256(f"{dtype.str}{shape}".encode())
        self.count = 0
        self.low = self.high = np.zeros(shape[1:], dtype)
        self.odd: tuple[tuple[int, ...], float] | None = None

    def add(self, samples: NDArray[Any]) -> None:
        low, high = samples.min(axis=0), samples.max(axis=0)
        self.low = np.minimum(self.low, low) if self.count else low
        self.high = np.maximum(self.high, high) if self.count else high
        if self.odd is None and not (np.isfinite(low).all() and np.isfinite(high).all()):
            place = np.unravel_index(int(np.isfinite(samples).argmin()), samples.shape)
            self.odd = (self.count + int(place[0]), *(int(n) for n in place[1:])), float(samples[place])
        self.digest.update(np.ascontiguousarray(samples).data.cast("B") if samples.size else b"")
        self.count += len(samples)

    def result(self) -> Survey:
        return Survey(self.low, self.high, self.odd, self.digest.hexdigest())


def _numbers(index: slice | Indices, count: int) -> Indices:
    """The numbers of samples that an index means to NumPy: masks and negative numbers are understood."""
    if isinstance(index, slice):
        begin, end, step = index.indices(count)
        most = max(count, 1)  # a longer step takes the first sample alone as well, and is no number for NumPy
        return np.arange(begin, end, max(-most, min(step, most)), dtype=np.int64)
    numbers = np.asarray(index)
    if numbers.ndim != 1:
        raise DataError("index what is on disk with a slice or an array of integers; sample 5 alone is [5:6]")
    if numbers.dtype.kind in "iu" and numbers.size and numbers.min() >= 0 and numbers.max() < count:
        return numbers
    return np.arange(count)[index]
