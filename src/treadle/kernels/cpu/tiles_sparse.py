"""The innermost loops of matrix products whose left side is mostly zeros."""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from treadle.kernels.cpu.emit import I64, VECTOR_BYTES, Emitter, variants

MOST = 13 if VECTOR_BYTES < 64 else 7  # vectors of a sum in registers: 100 numbers in AVX2, with one for an operand
SPARSE = {1: MOST}
GROUP = 64  # numbers whose zeros are found at once: MOST vectors of as many rows are what the first cache keeps


@intrinsic
def nonzero(context, like, a, valid):
    """Bits that tell which of the first `valid` numbers of a group, at an address, are not 0."""

    def generate(context, builder, signature, args):
        e = Emitter(builder, signature.args[0].dtype, GROUP)
        (_, a, valid) = args
        values = cgutils.alloca_once(builder, e.vector)
        with builder.if_else(builder.icmp_signed(">=", valid, I64(GROUP))) as (whole, part):
            with whole:
                builder.store(e.load(a), values)
            with part:
                builder.store(e.load(a, e.mask(valid)), values)
        return builder.bitcast(builder.fcmp_unordered("!=", builder.load(values), e.zero), I64)

    return types.uint64(like, types.int64, types.int64), generate


@intrinsic
def copy_rows(context, like, rows, vectors, a, stride, out, last):
    """Copy rows of so many vectors, of which the last has so many lanes, one after the other; other lanes become 0."""

    def generate(context, builder, signature, args):
        e = Emitter(builder, signature.args[0].dtype)
        (_, rows, vectors, a, stride, out, last) = args
        stride, mask = e.bytes(stride), e.mask(last)
        for _, most in variants(builder, I64(1), vectors, SPARSE):
            with cgutils.for_range(builder, rows) as loop:
                here, there = e.at(a, (loop.index, stride)), e.at(out, (loop.index, I64(most * VECTOR_BYTES)))
                for v in range(most):
                    part, offset = mask if v == most - 1 else None, I64(v * VECTOR_BYTES)
                    e.store(e.load(builder.add(here, offset), part), builder.add(there, offset))
        return context.get_dummy_value()

    return types.void(like, *[types.int64] * 6), generate


@intrinsic
def sparse_sum(context, like, vectors, bits, a, step, b, stride, out, last, begins):
    """out[:] = Σ a[k] · b[k, :] over the bits k that are set, and what out has, unless the sum begins with 0.

    a, b and out are addresses in bytes; `step` between the numbers of a, and `stride` of b, count elements. Of b whole
    vectors are read.
    """

    def generate(context, builder, signature, args):
        e = Emitter(builder, signature.args[0].dtype)
        (_, vectors, bits, a, step, b, stride, out, last, begins) = args
        step, stride, mask = e.bytes(step), e.bytes(stride), e.mask(last)
        left = cgutils.alloca_once(builder, I64)
        fresh = builder.icmp_signed("!=", begins, I64(0))
        for _, most in variants(builder, I64(1), vectors, SPARSE):
            sums = [cgutils.alloca_once(builder, e.vector) for _ in range(most)]
            masks = [None] * (most - 1) + [mask]
            ends = [builder.add(out, I64(v * VECTOR_BYTES)) for v in range(most)]
            with builder.if_else(fresh) as (then, otherwise):
                with then:
                    for held in sums:
                        builder.store(e.zero, held)
                with otherwise:
                    for held, end, part in zip(sums, ends, masks, strict=True):
                        builder.store(e.load(end, part), held)
            builder.store(bits, left)
            with cgutils.for_range(builder, builder.ctpop(bits)):
                rest = builder.load(left)
                k = builder.cttz(rest, ir.IntType(1)(1))
                builder.store(builder.and_(rest, builder.sub(rest, I64(1))), left)
                value, row = e.broadcast(e.at(a, (k, step))), e.at(b, (k, stride))
                for v, held in enumerate(sums):
                    there = e.load(builder.add(row, I64(v * VECTOR_BYTES)))
                    builder.store(e.fma(value, there, builder.load(held)), held)
            for held, end, part in zip(sums, ends, masks, strict=True):
                e.store(builder.load(held), end, part)
        return context.get_dummy_value()

    return types.void(like, types.int64, types.uint64, *[types.int64] * 7), generate
