"""Array kernels: arrays in, arrays out, no gradients. A backend is a namespace with the names of `reference`."""

from __future__ import annotations

import math
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

from treadle.kernels import reference

__all__ = ["active", "aligned_empty", "batch_array", "compiles", "fastest", "reference", "use", "with_threads"]

Array = np.ndarray[Any, np.dtype[Any]]
ALIGNMENT = 64  # bytes: a line of the cache, and the widest vector
LARGE, BLOCK = 2**18, 2**25  # bytes

_block = [(np.empty(0, np.uint8), 0)]
_block_lock = threading.Lock()
_active: ContextVar[Any] = ContextVar("kernels", default=reference)


def active() -> Any:
    """Return the kernels that ops run on now: `reference`, unless `use` chose others."""
    return _active.get()


@contextmanager
def use(kernels: Any) -> Iterator[None]:
    """Run the ops inside the `with` block on other kernels, for example on jax.numpy while tracing.

    >>> with use(reference):
    ...     active() is reference
    True
    """
    token = _active.set(kernels)
    try:
        yield
    finally:
        _active.reset(token)


@cache
def fastest() -> Any:
    """Return the fastest kernels that this machine can run: those compiled by Numba, or else `reference`.

    Warns once where Numba is missing or does not work.
    """
    try:
        from treadle.kernels import cpu
    except ImportError as error:
        warnings.warn(
            f"training runs on plain NumPy, several times slower: the compiled kernels need Numba ({error})",
            stacklevel=2,
        )
        return reference
    return cpu


def compiles() -> bool:
    """Whether a first training on this machine begins with compiling kernels."""
    return bool(getattr(fastest(), "compiles", bool)())


@contextmanager
def with_threads(threads: int) -> Iterator[None]:
    """Let the active kernels run on so many threads inside the `with` block, and everything else of NumPy's on one.

    BLAS would keep threads of its own busy beside those of the kernels, and give other bits for other numbers.
    """
    with _blas().limit(limits=1), getattr(active(), "with_threads", _none)(threads):
        yield


@cache
def _blas() -> ThreadpoolController:
    """Find the thread pools of NumPy, once: that takes longer than a small network."""
    return ThreadpoolController()


@contextmanager
def _none(threads: int) -> Iterator[None]:  # noqa: ARG001 - reference kernels have one thread
    yield


def aligned_empty(shape: tuple[int, ...], dtype: Any) -> Array:
    """Make an array whose memory begins at a line of the cache; vectors that cross two lines take twice as long.

    Large arrays lie side by side in blocks of memory, for which the system takes large pages: that saves a twentieth
    of the time of a convolutional network. A block is given back with the last of its arrays; what would fill one has
    memory of its own.

    >>> aligned_empty((3, 5), np.float32).ctypes.data % ALIGNMENT
    0
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if not LARGE <= size < BLOCK:  # an array of a block's size would keep it whole
        memory, begin = np.empty(size + ALIGNMENT, np.uint8), 0
    else:
        with _block_lock:
            memory, begin = _block[0]
            if memory.size - begin < size + ALIGNMENT:
                memory, begin = np.empty(BLOCK + ALIGNMENT, np.uint8), 0
            begin += -(memory.ctypes.data + begin) % ALIGNMENT
            _block[0] = (memory, begin + size)
    begin += -(memory.ctypes.data + begin) % ALIGNMENT
    array: Array = memory[begin : begin + size].view(dtype)
    return array.reshape(shape)


def batch_array(shape: tuple[int, ...], dtype: Any) -> Array:
    """Make an array for a batch: images (N, C, H, W) with memory (C, H, W, N), as convolution wants it.

    >>> batch_array((10, 1, 4, 4), np.float32).strides
    (4, 640, 160, 40)
    """
    if len(shape) != 4:
        return aligned_empty(shape, dtype)
    return aligned_empty((*shape[1:], shape[0]), dtype).transpose(3, 0, 1, 2)
