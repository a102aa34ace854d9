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
from numba import types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import intrinsic

from treadle.kernels import batch_array

Array = np.ndarray[Any, np.dtype[Any]]
Call = tuple[Callable[..., Any], tuple[Any, ...]]
Calls = list[Call]

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


def in_memory_order(*arrays: Array) -> list[Array] | None:
    """Return flat views of arrays whose elements lie in one order without gaps, or None where they do not."""
    axes = sorted(range(arrays[0].ndim), key=lambda axis: -arrays[0].strides[axis])
    moved = [array.transpose(axes) for array in arrays]
    if all(array.flags.c_contiguous for array in moved):
        return [array.reshape(-1) for array in moved]
    return None


def memory(array: Array) -> Array:
    """View (N, C, H, W) as (C, H, W, N), the order in which batch-last memory has it."""
    return array.transpose(1, 2, 3, 0)


def planes(array: Array) -> Array:
    """View (N, C, H, W) in batch-last memory as (C, H, W·N)."""
    return memory(array).reshape(*array.shape[1:3], array.shape[3] * array.shape[0])


def is_batch_last(array: Array) -> bool:
    """Whether the memory of (N, C, H, W) is (C, H, W, N) without gaps."""
    return memory(array).flags.c_contiguous


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


def by_address(items: Any) -> Any:
    """Make an intrinsic `call(address, first, last, arguments)` that calls a compiled function by its address.

    A loop over threads that holds the function itself would have it compiled three times more.
    """

    @intrinsic
    def call(context, address, first, last, arguments):
        kinds = (types.int64, types.int64, *arguments.types)
        if kinds not in items.overloads:
            raise TypingError(f"{items.__name__} is not compiled for {kinds}")

        def generate(context, builder, signature, args):
            function = context.call_conv.get_function_type(types.none, kinds)
            pointer = builder.inttoptr(args[0], function.as_pointer())
            unpacked = [args[1], args[2], *cgutils.unpack_tuple(builder, args[3])]
            context.call_conv.call_function(builder, pointer, types.none, kinds, unpacked)
            return context.get_dummy_value()

        return types.void(types.int64, types.int64, types.int64, arguments), generate

    return call


def divided(items: Any, parallel: Any, operations: float, *arguments: Any) -> Call:
    """Return the call of `items(first, last, …)`, or of its parallel form, which gets the address of `items` first."""
    if chosen(False, True, operations):
        kinds = tuple(map(numba.typeof, arguments))
        items.compile(kinds)
        compiled = items.overloads[kinds]
        address = compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name)
        return parallel, (address, *arguments)
    return items, arguments


def by_columns(array: Array, calls: Calls) -> Array:
    """Return the array itself if it lies column by column, or a copy that does, which the calls fill."""
    if array.flags.f_contiguous:
        return array
    out = np.empty_like(array, order="F")
    calls.append((np.copyto, (out, array)))
    return out


def fill_with(out: Array, function: Callable[..., Array], *operands: Array) -> None:
    """Fill an array with what a kernel of `reference` gives."""
    np.copyto(out, function(*operands))
