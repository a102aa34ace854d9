"""The innermost loops of matrix products whose left side is mostly zeros."""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from treadle.kernels.cpu.emit import I64, VECTOR_BYTES, Emitter, variants

MOST = 13  # vectors of a sum in registers: 100 numbers in AVX2, with one of the 16 left for each operand and mask
SPARSE = {1: MOST}
GROUP = 8  # numbers whose zeros are found at once

_BYTE, _GROUP_BITS = ir.IntType(8), ir.IntType(GROUP)
# for each way in which the numbers of a group may be 0: the places of those that are not, a byte each
_PLACES = [
    sum(place << (8 * i) for i, place in enumerate(p for p in range(GROUP) if bits >> p & 1))
    for bits in range(1 << GROUP)
]


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
        bits = builder.fcmp_unordered("!=", builder.load(values), e.zero)
        return builder.zext(builder.bitcast(bits, _GROUP_BITS), I64)

    return types.uint64(like, types.int64, types.int64), generate


@intrinsic
def append_places(context, bits, first, out):
    """Append first + place, a byte each, for the places of the bits that are set; return how many there are.

    GROUP bytes are written at the address `out`, whatever their number.
    """

    def generate(context, builder, signature, args):
        (bits, first, out) = args
        kind = ir.ArrayType(I64, len(_PLACES))
        table = cgutils.global_constant(builder, "places_of_bits", kind([I64(places) for places in _PLACES]))
        places = builder.load(builder.gep(table, [I64(0), bits]))
        spread = builder.mul(builder.and_(first, I64(255)), I64(0x0101010101010101))
        builder.store(builder.add(places, spread), builder.inttoptr(out, I64.as_pointer()), align=1)
        return builder.ctpop(bits)

    return types.int64(types.uint64, types.int64, types.int64), generate


@intrinsic
def sparse_sum(context, like, vectors, count, places, a, step, b, stride, out, last, begins):
    """out[:] = Σ a[k] · b[k, :] over the k listed, a byte each, and what out has, unless the sum begins with 0.

    places, a, b and out are addresses in bytes; `step` between the numbers of a, and `stride` of b, count elements.
    """

    def generate(context, builder, signature, args):
        e = Emitter(builder, signature.args[0].dtype)
        (_, vectors, count, places, a, step, b, stride, out, last, begins) = args
        step, stride, mask = e.bytes(step), e.bytes(stride), e.mask(last)
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
            with cgutils.for_range(builder, count) as loop:
                place = builder.inttoptr(builder.add(places, loop.index), _BYTE.as_pointer())
                k = builder.zext(builder.load(place), I64)
                value, row = e.broadcast(e.at(a, (k, step))), e.at(b, (k, stride))
                for v, held in enumerate(sums):
                    there = e.load(builder.add(row, I64(v * VECTOR_BYTES)), masks[v])
                    builder.store(e.fma(value, there, builder.load(held)), held)
            for held, end, part in zip(sums, ends, masks, strict=True):
                e.store(builder.load(held), end, part)
        return context.get_dummy_value()

    return types.void(like, *[types.int64] * 10), generate
