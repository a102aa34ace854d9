"""Fast kernels as lists of calls: arrays laid out once, then functions that fill them, again and again.

A kernel is written as a function that returns its output array and the calls which compute it, (function, arguments)
each. Called plainly, it makes the array and runs the calls. A recorded step keeps the calls and runs them on the next
batch without laying anything out anew.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numba
import numpy as np

from treadle.kernels import batch_array

Array = np.ndarray[Any, np.dtype[Any]]
Calls = list[tuple[Callable[..., Any], tuple[Any, ...]]]

PARALLEL_FROM = 5e6  # multiply-adds, or what takes as long


def eager(plan: Callable[..., tuple[Array, Calls]]) -> Callable[..., Array]:
    """Make a kernel of a function that returns an output and the calls that fill it; it stays reachable as `.plan`."""

    @wraps(plan)
    def kernel(*arrays: Any, **settings: Any) -> Array:
        out, calls = plan(*arrays, **settings)
        for function, arguments in calls:
            function(*arguments)
        return out

    kernel.plan = plan  # type: ignore[attr-defined]
    return kernel


def is_batch_last(array: Array) -> bool:
    """Whether the memory of (N, C, H, W) is (C, H, W, N) without gaps."""
    return array.transpose(1, 2, 3, 0).flags.c_contiguous


def batch_last(array: Array, calls: Calls) -> Array:
    """Return the array itself if it lies batch-last, or a copy that does, which the calls fill."""
    if is_batch_last(array):
        return array
    out = batch_array(array.shape, array.dtype)
    calls.append((np.copyto, (out, array)))
    return out


def chosen(serial: Any, parallel: Any, operations: float) -> Any:
    """Choose between two forms of a kernel that give the same bits: starting threads takes some 20 µs."""
    return parallel if numba.get_num_threads() > 1 and operations > PARALLEL_FROM else serial
