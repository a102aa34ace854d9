"""Vector instructions of LLVM, emitted from Python: what the innermost loops are written in.

Written in plain Numba these loops would keep their sums in memory; here they keep them in registers.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from llvmlite import binding, ir
from numba import types
from numba.core import cgutils

_FEATURES = binding.get_host_cpu_features()
_WIDEST = 64 if _FEATURES.get("avx512f") else 32 if _FEATURES.get("avx2") else 16
# TREADLE_VECTOR_BYTES makes a machine compute as a lesser one would; the tests do.
VECTOR_BYTES = min(_WIDEST, int(os.environ.get("TREADLE_VECTOR_BYTES", _WIDEST)))
REGISTERS = 16 if _FEATURES.get("sse2") and VECTOR_BYTES < 64 else 32
# Rows of a tile and the vectors in it, by the number of rows there are: the pairs that measured fastest of those
# that fit into the registers with their operands.
SHAPES = {8: 3, 5: 4, 4: 5} if REGISTERS == 32 else {6: 2, 5: 2, 4: 3}


# Taps of a tile by its rows, for `correlate`.
TAPS = {rows: min((REGISTERS - 1) // (rows + 1), 5) for rows in (*SHAPES, 1)}


def rows_for(count: int, shapes: dict[int, int]) -> int:
    """Choose the rows of a tile so that the fewest are computed in vain."""
    return min(shapes, key=lambda rows: (-(-count // rows) * rows, -rows))


I64, I32, _BYTE = ir.IntType(64), ir.IntType(32), ir.IntType(8)


class Mask(NamedTuple):
    """The first lanes of a vector: how many, and a bit for each lane."""

    lanes: Any
    bits: Any


class Emitter:
    """Vector operations on addresses, for elements of one type."""

    def __init__(self, builder: Any, dtype: Any, width: int = 0) -> None:
        self.builder = builder
        self.element = ir.FloatType() if dtype == types.float32 else ir.DoubleType()
        self.size = 4 if dtype == types.float32 else 8
        self.width = width or VECTOR_BYTES // self.size
        self.vector = ir.VectorType(self.element, self.width)
        self.integers = ir.VectorType(ir.IntType(8 * self.size), self.width)
        self.zero = ir.Constant(self.vector, [0.0] * self.width)
        bits, mask = f"v{self.width}f{self.size * 8}", ir.VectorType(ir.IntType(1), self.width)
        pointer, v = self.vector.as_pointer(), self.vector

        def function(name: str, result: Any, *arguments: Any) -> Any:
            return cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(result, arguments), f"llvm.{name}.{bits}"
            )

        self._fma = function("fma", v, v, v, v)
        load = ir.FunctionType(v, [pointer, I32, mask, v])
        store = ir.FunctionType(ir.VoidType(), [v, pointer, I32, mask])
        self._load = cgutils.get_or_insert_function(builder.module, load, f"llvm.masked.load.{bits}.p0")
        self._store = cgutils.get_or_insert_function(builder.module, store, f"llvm.masked.store.{bits}.p0")

    def bytes(self, elements: Any) -> Any:
        """Turn a number of elements into bytes."""
        return self.builder.mul(elements, I64(self.size))

    def at(self, address: Any, *steps: tuple[Any, Any]) -> Any:
        """Add numbers of strides to an address."""
        for number, stride in steps:
            address = self.builder.add(address, self.builder.mul(number, stride))
        return address

    def splat(self, scalar: Any) -> Any:
        """Put a scalar in all lanes."""
        vector = ir.VectorType(scalar.type, self.width)
        undefined = ir.Constant(vector, ir.Undefined)
        first = self.builder.insert_element(undefined, scalar, I32(0))
        return self.builder.shuffle_vector(
            first, undefined, ir.Constant(ir.VectorType(I32, self.width), [0] * self.width)
        )

    def constant(self, value: float) -> Any:
        """Put a number in all lanes."""
        return ir.Constant(self.vector, [value] * self.width)

    def mask(self, lanes: Any) -> Mask:
        """Make a mask of the first lanes."""
        # of integers as wide as the elements: AVX2 has no registers for masks, and LLVM makes them anew within loops,
        # which then is one instruction in place of nine
        numbers = ir.Constant(self.integers, list(range(self.width)))
        return Mask(lanes, self.builder.icmp_signed("<", numbers, self.integer(lanes)))

    def integer(self, number: Any) -> Any:
        """Put a whole number in all lanes, as wide as an element."""
        kind = self.integers.element
        return self.splat(number if kind == I64 else self.builder.trunc(number, kind))

    def broadcast(self, address: Any) -> Any:
        """Load one element into all lanes."""
        return self.splat(self.builder.load(self.builder.inttoptr(address, self.element.as_pointer())))

    def load(self, address: Any, mask: Mask | None = None) -> Any:
        """Load a vector, with zeros where the mask is off."""
        pointer = self.builder.inttoptr(address, self.vector.as_pointer())
        if mask is None:
            return self.builder.load(pointer, align=self.size)
        return self.builder.call(self._load, [pointer, I32(self.size), mask.bits, self.zero])

    def store(self, value: Any, address: Any, mask: Mask | None = None) -> None:
        """Store the lanes of a vector that the mask lets through."""
        pointer = self.builder.inttoptr(address, self.vector.as_pointer())
        if mask is None:
            self.builder.store(value, pointer, align=self.size)
        elif VECTOR_BYTES == 64:
            self.builder.call(self._store, [value, pointer, I32(self.size), mask.bits])
        else:
            self._store_first(value, address, mask.lanes, self.size)

    def _store_first(self, value: Any, address: Any, lanes: Any, size: int) -> None:
        # a half, a quarter, … of the vector: a store with a mask takes some 20 cycles on AMD's AVX2
        builder = self.builder
        left, place = cgutils.alloca_once(builder, value.type), cgutils.alloca_once(builder, I64)
        builder.store(value, left)
        builder.store(address, place)
        with builder.if_then(builder.icmp_signed(">=", lanes, I64(self.width))):
            builder.store(value, builder.inttoptr(address, value.type.as_pointer()), align=size)
        count = self.width // 2
        while count:
            with builder.if_then(builder.icmp_signed("!=", builder.and_(lanes, I64(count)), I64(0))):
                rest, at = builder.load(left), builder.load(place)
                turned = [(lane + count) % self.width for lane in range(self.width)]
                first, moved = (
                    builder.shuffle_vector(rest, rest, ir.Constant(ir.VectorType(I32, len(order)), order))
                    for order in (list(range(count)), turned)
                )
                builder.store(first, builder.inttoptr(at, first.type.as_pointer()), align=size)
                builder.store(moved, left)
                builder.store(builder.add(at, I64(count * size)), place)
            count //= 2

    def load_bytes(self, address: Any, mask: Mask | None) -> Any:
        """Load a byte for each lane, as whole numbers as wide as an element."""
        kind = ir.VectorType(_BYTE, self.width)
        pointer = self.builder.inttoptr(address, kind.as_pointer())
        if mask is None:
            found = self.builder.load(pointer, align=1)
        else:
            function = ir.FunctionType(kind, [pointer.type, I32, mask.bits.type, kind])
            load = cgutils.get_or_insert_function(self.builder.module, function, f"llvm.masked.load.v{self.width}i8.p0")
            zero = ir.Constant(kind, [0] * self.width)
            found = self.builder.call(load, [pointer, I32(1), mask.bits, zero])
        return self.builder.zext(found, self.integers)

    def store_bytes(self, value: Any, address: Any, mask: Mask | None) -> None:
        """Store the lowest byte of each whole number."""
        value = self.builder.trunc(value, ir.VectorType(_BYTE, self.width))
        if mask is None:
            self.builder.store(value, self.builder.inttoptr(address, value.type.as_pointer()), align=1)
        else:
            self._store_first(value, address, mask.lanes, 1)

    def fma(self, a: Any, b: Any, c: Any) -> Any:
        """Compute a · b + c."""
        return self.builder.call(self._fma, [a, b, c])

    def absolute(self, value: Any) -> Any:
        """Compute |value|."""
        bits, size = f"llvm.fabs.v{self.width}f{self.size * 8}", ir.FunctionType(self.vector, [self.vector])
        return self.builder.call(cgutils.get_or_insert_function(self.builder.module, size, bits), [value])

    def flag(self, bit: Any) -> Any:
        """Put one bit in all lanes."""
        return self.builder.icmp_signed("!=", self.splat(self.builder.zext(bit, I64)), self.splat(I64(0)))

    def over(self, lanes: Any, body: Callable[[Any, Any], None]) -> None:
        """Emit `body(offset in bytes, mask)` for all whole vectors of the lanes, and for the rest of them."""
        builder, step = self.builder, I64(VECTOR_BYTES)
        whole, rest = builder.sdiv(lanes, I64(self.width)), builder.srem(lanes, I64(self.width))
        with cgutils.for_range(builder, whole) as loop:
            body(builder.mul(loop.index, step), None)
        with builder.if_then(builder.icmp_signed(">", rest, I64(0))):
            body(builder.mul(whole, step), self.mask(rest))


def variants(builder: Any, rows: Any, count: Any, shapes: dict[int, int]) -> Iterator[tuple[int, int]]:
    """Yield each (rows, count), emitting what the caller then builds for the case that these are wanted."""
    done = builder.append_basic_block("done")
    chosen = builder.add(builder.mul(rows, I64(64)), count)
    switch = builder.switch(chosen, done)
    for r, most in shapes.items():
        for c in range(1, most + 1):
            block = builder.append_basic_block(f"tile{r}x{c}")
            switch.add_case(I64(r * 64 + c), block)
            builder.position_at_end(block)
            yield r, c
            builder.branch(done)
    builder.position_at_end(done)
