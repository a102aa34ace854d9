"""Batches made ahead of their use, by threads or processes, in the order and with the bits of those made in time."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from treadle.errors import DataError, MemoryLimitError

if TYPE_CHECKING:
    from treadle.data.workers import Worker

WORKER_KINDS = ("thread", "process")
LOGGED = 1_000  # batches whose times are kept one by one
LONGEST = 1_000_000.0  # seconds; systems cannot wait for much longer
_LINE = 64  # bytes of a line of the cache
_ASKED = 64  # batches asked of a worker at a time: with more, two full pipes could wait for each other
_END = 0.5  # seconds that workers have to end

Indices = NDArray[np.int64]
Array = NDArray[Any]


@dataclass(frozen=True)
class Prefetch:
    """How batches are read ahead of their use.

    Args:
        batches: most that are made, or being made, ahead, 64 for each worker; 0 makes each when it is needed.
        workers: threads or processes that make them.
        worker_kind: "thread" or "process".
        worker_timeout: seconds after which a worker that gives no batch is said to hang.

    Raises:
        DataError: a number out of its range, an unknown kind.
    """

    batches: int = 0
    workers: int = 1
    worker_kind: str = "thread"
    worker_timeout: float = 4.0

    def __post_init__(self) -> None:
        for name, least in (("batches", 0), ("workers", 1)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise DataError(f"{name} should be a whole number of at least {least}, found {value!r}")
        if self.worker_kind not in WORKER_KINDS:
            raise DataError(f"worker_kind should be one of {', '.join(WORKER_KINDS)}, found {self.worker_kind!r}")
        seconds = self.worker_timeout
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 < seconds <= LONGEST:
            raise DataError(f"worker_timeout should be seconds above 0, up to {LONGEST:,.0f}, found {seconds!r}")


class Maker(Protocol):
    """Makes batches of samples by their numbers; it can be sent to processes."""

    name: str
    inputs: Any
    dtype: np.dtype[Any]
    targets: Array

    def take(self, indices: Indices, inputs: Array, targets: Array, epoch: int) -> None:
        """Write the samples of some numbers (N,) into inputs (N, …) and targets (N, …)."""
        ...


class Times(NamedTuple):
    """When a batch was read and waited for, in seconds of `time.perf_counter`.

    Args:
        read_begin, read_end: when it was made.
        wait_begin, wait_end: when training asked for it, and had it.
        worker: that made it, from 1; 0 for training itself.
        epoch: from 0.
    """

    read_begin: float
    read_end: float
    wait_begin: float
    wait_end: float
    worker: int
    epoch: int


class Reading:
    """Reads batches for training; use it in a `with` block, which ends its workers.

    Args:
        maker: makes the batches.
        batch_size: samples of the largest.
        prefetch: how they are made ahead.
        batch_last: whether images (N, C, H, W) lie in memory as (C, H, W, N), as those that they are copied to.

    `times` has those of the first batches; `waited` is how many seconds training waited for batches.
    """

    def __init__(
        self, maker: Maker, batch_size: int, prefetch: Prefetch | None = None, *, batch_last: bool = False
    ) -> None:
        self.maker, self.prefetch = maker, prefetch or Prefetch()
        self.times: list[Times] = []
        self.waited = 0.0
        self._parts: Sequence[Indices] = ()
        self._epoch = self._next = self._sent = 0
        self._places = min(self.prefetch.batches, _ASKED * self.prefetch.workers)
        self._slots = _Slots(maker, batch_size, batch_last)
        self._workers: list[Worker] = []
        self._shared: list[_Shared] = []

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self._end()

    def begin(self, parts: Sequence[Indices], epoch: int) -> None:
        """Read the batches of an epoch, given by the numbers of their samples, beginning now."""
        if self._workers:
            for number in range(self._next, self._sent):  # read ahead, and no longer wanted
                self._worker(number).receive(f"batch {number + 1} of epoch {self._epoch + 1}")
        self._parts, self._epoch, self._next, self._sent = parts, epoch, 0, 0
        self._send()

    def next(self, inputs: Array, targets: Array) -> None:
        """Write the next batch into inputs (N, …) and targets (N, …).

        Raises:
            WorkerError: a worker was ended, or hangs.
            Exception: what reading raises, with the number of the sample as a note.
        """
        number, begun = self._next, time.perf_counter()
        self._next += 1
        if not self._workers:
            _read(self.maker, self._parts[number], inputs, targets, self._epoch)
            self._note(Times(begun, time.perf_counter(), begun, time.perf_counter(), 0, self._epoch))
            return
        worker = self._worker(number)
        for one in self._workers:
            one.require_alive()
        done = worker.receive(f"batch {number + 1} of epoch {self._epoch + 1}")
        if done.error is not None:
            done.error.add_note(f"in {worker}")
            raise done.error
        self._slots.copy(number % self._places, inputs, targets)
        ended = time.perf_counter()
        self._send()
        self._note(Times(done.begun, done.ended, begun, ended, worker.number, self._epoch))

    def _send(self) -> None:
        """Let batches be made as long as there is a place for them."""
        while self._workers and self._sent < min(self._next + self._places, len(self._parts)):
            slot, indices = self._sent % self._places, self._parts[self._sent]
            self._slots.indices(slot, len(indices))[:] = indices
            self._worker(self._sent).send((slot, len(indices), self._epoch))
            self._sent += 1

    def _worker(self, number: int) -> Worker:
        return self._workers[number % len(self._workers)]

    def _note(self, times: Times) -> None:
        self.waited += times.wait_end - times.wait_begin
        if len(self.times) < LOGGED:
            self.times.append(times)

    def _start(self) -> None:
        if not self.prefetch.batches:
            return
        from treadle.data.workers import ProcessWorker, ThreadWorker  # they import what few trainings need

        processes = self.prefetch.worker_kind == "process"
        self._slots.make(self._places, self._share if processes else _Memory)
        kind: Any = ProcessWorker if processes else ThreadWorker
        job: Any = _Job(self.maker, self._slots)
        if processes:
            job = _Packed(job, self._share)
        for number in range(1, self.prefetch.workers + 1):
            self._workers.append(kind(number, self.prefetch.worker_timeout, job))

    def _share(self, size: int) -> _Shared:
        self._shared.append(_Shared(size))
        return self._shared[-1]

    def _end(self) -> None:
        for worker in self._workers:
            worker.stop()
        until = time.monotonic() + _END
        for worker in self._workers:
            worker.join(max(0.0, until - time.monotonic()))
        self._workers = []
        for shared in self._shared:
            shared.close()
        self._shared = []


class _Slots:
    """Memory for batches on their way."""

    def __init__(self, maker: Maker, batch_size: int, batch_last: bool) -> None:
        self.batch_last = batch_last
        self.samples, self.dtype = tuple(maker.inputs.shape[1:]), maker.dtype
        self.target, self.target_dtype = maker.targets.shape[1:], maker.targets.dtype
        self.inputs_size = -(-batch_size * math.prod(self.samples) * self.dtype.itemsize // _LINE) * _LINE
        targets = batch_size * math.prod(self.target) * self.target_dtype.itemsize
        self.indices_begin = self.inputs_size + -(-targets // _LINE) * _LINE
        self.size = self.indices_begin + -(-batch_size * np.dtype(np.int64).itemsize // _LINE) * _LINE
        self.memory: Any = None

    def make(self, count: int, memory: Callable[[int], Any]) -> None:
        """Allocate so many places."""
        self.memory = memory(count * self.size)

    def views(self, slot: int, count: int) -> tuple[Array, Array]:
        """Return inputs (N, …) and targets (N, …) of so many samples in a place."""
        begin = slot * self.size
        shape = (*self.samples, count) if self.batch_last else (count, *self.samples)
        inputs = self.memory.array(shape, self.dtype, begin)
        targets = self.memory.array((count, *self.target), self.target_dtype, begin + self.inputs_size)
        return (np.moveaxis(inputs, -1, 0) if self.batch_last else inputs), targets

    def indices(self, slot: int, count: int) -> Indices:
        """Return the numbers (N,) of so many samples in a place."""
        found: Indices = self.memory.array((count,), np.dtype(np.int64), slot * self.size + self.indices_begin)
        return found

    def copy(self, slot: int, inputs: Array, targets: Array) -> None:
        """Copy what lies in a place to inputs (N, …) and targets (N, …)."""
        made = self.views(slot, len(inputs))
        try:
            np.copyto(inputs, made[0])
            np.copyto(targets, made[1])
        finally:
            del made  # the traceback of an interruption would keep shared memory from being closed


class _Job:
    """Makes one batch in its place; what a worker does."""

    def __init__(self, maker: Maker, slots: _Slots) -> None:
        self.maker, self.slots = maker, slots

    def __getstate__(self) -> dict[str, Any]:
        maker = copy(self.maker)
        if isinstance(maker.inputs, np.ndarray):
            maker.inputs = np.ascontiguousarray(maker.inputs)  # others are copied by each process
        return {"maker": maker, "slots": self.slots}

    def __call__(self, job: tuple[int, int, int]) -> None:
        slot, count, epoch = job
        _read(self.maker, self.slots.indices(slot, count).copy(), *self.slots.views(slot, count), epoch)


def _read(maker: Maker, indices: Indices, inputs: Array, targets: Array, epoch: int) -> None:
    """Make a batch; an error gets a note that tells the sample, found by reading half of what is left again."""

    def take(begin: int, end: int) -> None:
        maker.take(indices[begin:end], inputs[begin:end], targets[begin:end], epoch)

    try:
        take(0, len(indices))
    except Exception as error:
        begin, end = 0, len(indices)
        while end - begin > 1:
            middle = (begin + end) // 2
            try:
                take(begin, middle)
            except Exception:
                end = middle
            else:
                begin = middle
        try:
            take(begin, end)
        except Exception as again:
            again.add_note(f"while reading sample {indices[begin]} of {maker.name}")
            raise again from None
        some = f"{', '.join(map(str, indices[:5]))}{', …' if len(indices) > 5 else ''}"
        error.add_note(f"while reading samples {some} of {maker.name}, none of which fails alone")
        raise


class _Memory:
    """Bytes of this process."""

    def __init__(self, size: int) -> None:
        self._bytes = np.empty(size + _LINE, np.uint8)
        self._begin = -self._bytes.ctypes.data % _LINE

    def array(self, shape: tuple[int, ...], dtype: np.dtype[Any], begin: int = 0) -> Array:
        """Return an array in some of the bytes."""
        return np.ndarray(shape, dtype, self._bytes.data, self._begin + begin)


class _Shared:
    """Bytes that processes share; sent by name."""

    def __init__(self, size: int) -> None:
        from multiprocessing import shared_memory

        try:
            self._memory = shared_memory.SharedMemory(create=True, size=max(size, 1))
        except OSError as error:
            raise MemoryLimitError(f"{size:,} bytes of shared memory cannot be had: {error.strerror}") from error
        try:
            _reserve(self._memory.name, size)
        except OSError as error:
            self.close()
            raise MemoryLimitError(
                f"what is shared with processes needs {size:,} bytes of shared memory: {error.strerror}: give the "
                "container more (--shm-size), or use threads"
            ) from error

    def __getstate__(self) -> str:
        return self._memory.name

    def __setstate__(self, name: str) -> None:
        from multiprocessing import shared_memory

        self._memory = shared_memory.SharedMemory(name)

    def array(self, shape: tuple[int, ...], dtype: np.dtype[Any], begin: int = 0) -> Array:
        """Return an array in some of the bytes."""
        memory: Any = self._memory.buf
        part = np.asarray(memory[begin : begin + math.prod(shape) * dtype.itemsize])  # keeps it from being closed
        return part.view(dtype).reshape(shape)

    def close(self) -> None:
        """Give the bytes back to the system."""
        self._memory.unlink()
        with suppress(BufferError):  # an array in it is still in use: it goes with that
            self._memory.close()


def _reserve(name: str, size: int) -> None:
    """Allocate shared memory now: where there is not enough, writing to it later would end the process."""
    path = Path("/dev/shm") / name  # of Linux; elsewhere there is no such limit to run into
    if path.exists() and size and hasattr(os, "posix_fallocate"):
        descriptor = os.open(path, os.O_RDWR)
        try:
            os.posix_fallocate(descriptor, 0, size)
        finally:
            os.close(descriptor)


class _Packed:
    """A job on its way to processes, in memory that they share: in each, its arrays are those that lie there."""

    def __init__(self, job: _Job, share: Callable[[int], _Shared]) -> None:
        import pickle

        arrays: list[pickle.PickleBuffer] = []
        try:
            first = pickle.dumps(job, protocol=5, buffer_callback=arrays.append)
        except Exception as error:
            raise DataError(f"these data cannot be sent to a process: {error}: use threads") from error
        parts = [memoryview(first), *(array.raw() for array in arrays)]
        ends = np.cumsum([-(-len(part) // _LINE) * _LINE for part in parts]).tolist()
        self._places = [(begin, len(part)) for begin, part in zip([0, *ends], parts, strict=False)]
        self._memory = share(ends[-1])
        for place, part in zip(self._bytes(), parts, strict=True):
            np.copyto(place, part)

    def _bytes(self) -> list[Array]:
        return [self._memory.array((size,), np.dtype(np.uint8), begin) for begin, size in self._places]

    def __call__(self) -> _Job:
        """Return the job."""
        import pickle

        first, *arrays = self._bytes()
        job: _Job = pickle.loads(first.data, buffers=arrays)
        return job
