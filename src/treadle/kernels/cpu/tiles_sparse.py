"""The innermost loops of matrix products whose left side is mostly zeros."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from treadle.kernels.cpu.emit import I64, SHAPES, VECTOR_BYTES, Emitter, variants


def _nonzero(e: Any, address: Any, mask: Any, body: Callable[[Any, Any], None]) -> None:
    """Emit `body(place, value)` for each element of a vector that is not 0, the value in all lanes."""
    builder = e.builder
    bits = ir.IntType(e.width)
    values = e.load(address, mask)
    left = cgutils.alloca_once(builder, bits)
    builder.store(builder.bitcast(builder.fcmp_unordered("!=", values, e.zero), bits), left)
    head, inside, after = (builder.append_basic_block(name) for name in ("nonzero", "element", "next"))
    builder.branch(head)
    builder.position_at_end(head)
    builder.cbranch(builder.icmp_unsigned("!=", builder.load(left), bits(0)), inside, after)
    builder.position_at_end(inside)
    place = builder.zext(builder.call(e.cttz(bits), [builder.load(left), ir.IntType(1)(1)]), I64)
    body(place, e.broadcast(builder.add(address, builder.mul(place, I64(e.size)))))
    builder.store(builder.and_(builder.load(left), builder.sub(builder.load(left), bits(1))), left)
    builder.branch(head)
    builder.position_at_end(after)


SPARSE = {1: 8}
LISTED = 8 if 8 in SHAPES else 4


@intrinsic
def sparse_row(context, like, vectors, a, count, b, stride, out, last):
    """out[:] = Σ a[k] · b[k, :] over the k where a is not 0; addresses in bytes, the stride of b in elements."""

    def generate(context, builder, signature, args):
        e = Emitter(builder, signature.args[0].dtype)
        (_, vectors, a, count, b, stride, out, last) = args
        stride, mask = e.bytes(stride), e.mask(last)
        for _, most in variants(builder, I64(1), vectors, SPARSE):
            sums = [cgutils.alloca_once(builder, e.vector) for _ in range(most)]
            masks = [None] * (most - 1) + [mask]
            for held in sums:
                builder.store(e.zero, held)

            def chunk(offset, part, sums=sums, masks=masks):
                def add(place: Any, value: Any) -> None:
                    k = builder.add(builder.sdiv(offset, I64(e.size)), place)
                    row = e.at(b, (k, stride))
                    for v, held in enumerate(sums):
                        there = e.load(builder.add(row, I64(v * VECTOR_BYTES)), masks[v])
                        builder.store(e.fma(value, there, builder.load(held)), held)

                _nonzero(e, builder.add(a, offset), part, add)

            e.over(count, chunk)
            for v, held in enumerate(sums):
                e.store(builder.load(held), builder.add(out, I64(v * VECTOR_BYTES)), masks[v])
        return context.get_dummy_value()

    return types.void(like, *[types.int64] * 7), generate


@intrinsic
def listed(context, like, vectors, count, numbers, w, b, stride, out, across, valid, last):
    """out[r, :] = Σ w[i, r] · b[numbers[i], :] for LISTED rows r, `valid` of them stored; strides in elements."""

    def generate(context, builder, signature, args):
        e = Emitter(builder, signature.args[0].dtype)
        (_, vectors, count, numbers, w, b, stride, out, across, valid, last) = args
        stride, across, mask = e.bytes(stride), e.bytes(across), e.mask(last)
        for rows, most in variants(builder, I64(LISTED), vectors, {LISTED: SHAPES[LISTED]}):
            sums = [[cgutils.alloca_once(builder, e.vector) for _ in range(most)] for _ in range(rows)]
            masks = [None] * (most - 1) + [mask]
            for row in sums:
                for held in row:
                    builder.store(e.zero, held)
            with cgutils.for_range(builder, count) as loop:
                place = builder.inttoptr(e.at(numbers, (loop.index, I64(8))), I64.as_pointer())
                there = e.at(b, (builder.load(place), stride))
                values = [e.load(builder.add(there, I64(v * VECTOR_BYTES)), masks[v]) for v in range(most)]
                weights = e.at(w, (loop.index, I64(rows * e.size)))
                for r, row in enumerate(sums):
                    weight = e.broadcast(builder.add(weights, I64(r * e.size)))
                    for v, held in enumerate(row):
                        builder.store(e.fma(weight, values[v], builder.load(held)), held)
            for r, row in enumerate(sums):
                with builder.if_then(builder.icmp_signed("<", I64(r), valid)):
                    for v, held in enumerate(row):
                        place = builder.add(e.at(out, (I64(r), across)), I64(v * VECTOR_BYTES))
                        e.store(builder.load(held), place, masks[v])
        return context.get_dummy_value()

    return types.void(like, *[types.int64] * 10), generate


@intrinsic
def any_nonzero(context, like, a, valid, out):
    """Copy LISTED numbers, zeros behind the first `valid`, and return whether one is not 0; addresses in bytes."""

    def generate(context, builder, signature, args):
        (_, a, valid, out) = args
        e = Emitter(builder, signature.args[0].dtype, LISTED)
        values = e.load(a, e.mask(valid))
        e.store(values, out)
        bits = builder.bitcast(builder.fcmp_unordered("!=", values, e.zero), ir.IntType(LISTED))
        return builder.zext(builder.icmp_unsigned("!=", bits, ir.IntType(LISTED)(0)), I64)

    return types.int64(like, *[types.int64] * 3), generate
