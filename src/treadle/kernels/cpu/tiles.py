"""The innermost loops of convolution.

Memory is batch-last, so a run of output elements (the lanes) meets runs of inputs that lie just as close. `gather`
holds a tile of rows × vectors of outputs in registers while it walks over all taps; `correlate` holds rows × taps of
weight gradients while it walks over the lanes.

Source: Goto and van de Geijn, Anatomy of high-performance matrix multiplication, ACM TOMS 34, 2008.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from treadle.kernels.cpu.compile import compiled
from treadle.kernels.cpu.emit import I32, I64, SHAPES, TAPS, VECTOR_BYTES, Emitter, variants

FEW = 2  # taps in a row and in a column of the windows that `gather` can have without a loop
UNROLLED = (3, 5)  # taps of a row, for which `gather` has no loop
# by the rows of a tile, for compiled code: the most vectors of `gather` and the most taps of `correlate`
VECTORS = np.array([SHAPES.get(rows, 0) for rows in range(16)])
TAP_COUNT = np.array([TAPS.get(rows, 0) for rows in range(16)])


@compiled(reorder=True)
def lane_sum(vector):
    """Sum of the lanes of a vector."""
    total = vector.dtype.type(0)
    for lane in range(VECTOR_BYTES // vector.itemsize):
        total += vector[lane]
    return total


@intrinsic
def gather(
    context, like, rows, vectors, x, nc, xc, nh, xh, nw, xw, w, wc, wh, ww, wr,
    bias, out, stride, valid, last, mode, few,
):  # fmt: skip
    """out[r, lane] = bias[r] (or out[r, lane]) + Σ w[c, h, w, r] · x[c, h, w, lane] over the taps c, h, w.

    x, w, bias and out are addresses in bytes, strides count elements. `valid` rows are stored and, of the last
    vector, `last` lanes; all of them where that is no less than there are. mode: bit 0, the sum begins with the bias;
    bit 1, negative results become 0. `few` is None, or a number that says by its type that nh and nw are at most FEW.
    """

    def generate(context, builder, signature, args):
        e = Emitter(builder, signature.args[0].dtype)
        (_, rows, vectors, *taps, bias, out, stride, valid, last, mode, _) = args
        (x, nc, xc, nh, xh, nw, xw, w, wc, wh, ww, wr) = taps
        taps = (x, nc, e.bytes(xc), nh, e.bytes(xh), nw, e.bytes(xw), w, *(e.bytes(v) for v in (wc, wh, ww, wr)))
        begins = builder.icmp_signed("!=", builder.and_(mode, I64(1)), I64(0))
        clips = builder.icmp_signed("!=", builder.and_(mode, I64(2)), I64(0))
        settings = few != types.none, begins, clips, e.mask(last), bias, out, e.bytes(stride), valid
        for r_count, v_count in variants(builder, rows, vectors, SHAPES):
            _gather(e, r_count, v_count, *taps, *settings)
        return context.get_dummy_value()

    return types.void(like, *[types.int64] * 20, few), generate


def _gather(
    e, rows, vectors, x, nc, xc, nh, xh, nw, xw, w, wc, wh, ww, wr, few, begins, clips, mask, bias, out, stride, valid
):
    builder = e.builder
    sums = [[cgutils.alloca_once(builder, e.vector) for _ in range(vectors)] for _ in range(rows)]
    every = [(r, v) for r in range(rows) for v in range(vectors)]
    masks = [None] * (vectors - 1) + [mask]

    def place(r: int, v: int) -> Any:
        return builder.add(e.at(out, (I64(r), stride)), I64(v * VECTOR_BYTES))

    with builder.if_else(begins) as (then, otherwise):
        with then:
            for r in range(rows):
                value = e.broadcast(builder.add(bias, I64(r * e.size)))
                for v in range(vectors):
                    builder.store(value, sums[r][v])
        with otherwise:
            for r in range(rows):
                for v in range(vectors):
                    builder.store(e.zero, sums[r][v])
                with builder.if_then(builder.icmp_signed("<", I64(r), valid)):
                    for v in range(vectors):
                        builder.store(e.load(place(r, v), masks[v]), sums[r][v])

    def tap(x0: Any, w0: Any, height: Any, width: Any) -> None:
        x1, w1 = e.at(x0, (height, xh), (width, xw)), e.at(w0, (height, wh), (width, ww))
        values = [e.load(builder.add(x1, I64(v * VECTOR_BYTES)), masks[v]) for v in range(vectors)]
        for r in range(rows):
            weight = e.broadcast(e.at(w1, (I64(r), wr)))
            for v in range(vectors):
                builder.store(e.fma(weight, values[v], builder.load(sums[r][v])), sums[r][v])

    if few:  # loops within that over channels would have the sums leave their registers each time
        for high, wide in product(range(1, FEW + 1), repeat=2):
            found = builder.and_(builder.icmp_signed("==", nh, I64(high)), builder.icmp_signed("==", nw, I64(wide)))
            with builder.if_then(found), cgutils.for_range(builder, nc) as channel:
                x0, w0 = e.at(x, (channel.index, xc)), e.at(w, (channel.index, wc))
                for height, width in product(range(high), range(wide)):
                    tap(x0, w0, I64(height), I64(width))
    else:
        with cgutils.for_range(builder, nc) as channel:
            x0, w0 = e.at(x, (channel.index, xc)), e.at(w, (channel.index, wc))
            with cgutils.for_range(builder, nh) as height:
                done, others = builder.append_basic_block("tapped"), builder.append_basic_block("taps")
                switch = builder.switch(nw, others)
                for count in UNROLLED:
                    block = builder.append_basic_block(f"taps{count}")
                    switch.add_case(I64(count), block)
                    builder.position_at_end(block)
                    for number in range(count):
                        tap(x0, w0, height.index, I64(number))
                    builder.branch(done)
                builder.position_at_end(others)
                with cgutils.for_range(builder, nw) as width:
                    tap(x0, w0, height.index, width.index)
                builder.branch(done)
                builder.position_at_end(done)
    with builder.if_then(clips):
        for r, v in every:
            value = builder.load(sums[r][v])
            builder.store(builder.select(builder.fcmp_ordered("<", value, e.zero), e.zero, value), sums[r][v])
    for r in range(rows):
        with builder.if_then(builder.icmp_signed("<", I64(r), valid)):
            for v in range(vectors):
                e.store(builder.load(sums[r][v]), place(r, v), masks[v])


@intrinsic
def correlate(context, like, rows, taps, g, gh, x, xt, xh, nh, lanes, sums):
    """sums[t, r, :] += g[h, v, r, :] · x[t, h, v, :] over h and the vectors v of the lanes; the caller adds those up.

    g, x and sums are addresses in bytes, the strides gh, xt and xh count elements. g holds whole vectors, with zeros
    behind the last lane.
    """

    def generate(context, builder, signature, args):
        e = Emitter(builder, signature.args[0].dtype)
        (_, rows, taps, g, gh, x, xt, xh, nh, lanes, sums) = args
        gh, xt, xh = (e.bytes(v) for v in (gh, xt, xh))
        for r_count, t_count in variants(builder, rows, taps, TAPS):
            _correlate(e, r_count, t_count, g, gh, x, xt, xh, nh, lanes, sums)
        return context.get_dummy_value()

    return types.void(like, *[types.int64] * 10), generate


def _correlate(e, rows, taps, g, gh, x, xt, xh, nh, lanes, sums):
    builder = e.builder
    held = [[cgutils.alloca_once(builder, e.vector) for _ in range(rows)] for _ in range(taps)]
    every = [(t, r) for t in range(taps) for r in range(rows)]
    places = {(t, r): builder.add(sums, I64((t * rows + r) * VECTOR_BYTES)) for t, r in every}
    for t, r in every:
        builder.store(e.load(places[t, r]), held[t][r])
    with cgutils.for_range(builder, nh) as height:
        x0, g0 = e.at(x, (height.index, xh)), e.at(g, (height.index, gh))

        def add(offset: Any, mask: Any) -> None:
            values = [e.load(e.at(builder.add(x0, offset), (I64(t), xt)), mask) for t in range(taps)]
            here = builder.add(g0, builder.mul(offset, I64(rows)))
            for r in range(rows):
                gradient = e.load(builder.add(here, I64(r * VECTOR_BYTES)))
                for t in range(taps):
                    builder.store(e.fma(gradient, values[t], builder.load(held[t][r])), held[t][r])

        e.over(lanes, add)
    for t, r in every:
        e.store(builder.load(held[t][r]), places[t, r])


@intrinsic
def pack(context, like, rows, g, gr, lanes, out):
    """out[v, r, :] = g[r, v, :] for the vectors v of the lanes, with zeros behind the last lane."""

    def generate(context, builder, signature, args):
        e = Emitter(builder, signature.args[0].dtype)
        (_, rows, g, gr, lanes, out) = args
        gr = e.bytes(gr)

        def move(offset: Any, mask: Any) -> None:
            here = builder.add(out, builder.mul(offset, rows))
            with cgutils.for_range(builder, rows) as row:
                value = e.load(e.at(builder.add(g, offset), (row.index, gr)), mask)
                e.store(value, e.at(here, (row.index, I64(VECTOR_BYTES))))

        e.over(lanes, move)
        return context.get_dummy_value()

    return types.void(like, *[types.int64] * 5), generate


@intrinsic
def turn(context, like, x, stride, valid, lanes, out, apart, stored):
    """out[lane, r] = x[r, lane] for at most a vector's lanes and as many rows r, `valid` of them of x, others 0.

    `stored` rows r are stored. x and out are addresses in bytes; a row of x follows the last after `stride` elements,
    one of out after `apart`.
    """

    def generate(context, builder, signature, args):
        e = Emitter(builder, signature.args[0].dtype)
        (_, x, stride, valid, lanes, out, apart, stored) = args
        stride, apart, mask, kept = e.bytes(stride), e.bytes(apart), e.mask(lanes), e.mask(stored)
        held = [cgutils.alloca_once(builder, e.vector) for _ in range(e.width)]
        for r, place in enumerate(held):
            builder.store(e.zero, place)
            with builder.if_then(builder.icmp_signed("<", I64(r), valid)):
                builder.store(e.load(e.at(x, (I64(r), stride)), mask), place)
        rows = [builder.load(place) for place in held]
        distance = e.width // 2
        while distance:  # exchange the blocks beside the diagonal, within blocks half as large each time
            low = [lane if not lane & distance else e.width + lane - distance for lane in range(e.width)]
            high = [lane + distance if not lane & distance else e.width + lane for lane in range(e.width)]
            for r in range(e.width):
                if not r & distance:
                    pair = rows[r], rows[r + distance]
                    for place, order in ((r, low), (r + distance, high)):
                        rows[place] = builder.shuffle_vector(*pair, ir.Constant(ir.VectorType(I32, e.width), order))
            distance //= 2
        for lane, row in enumerate(rows):
            with builder.if_then(builder.icmp_signed("<", I64(lane), lanes)):
                e.store(row, e.at(out, (I64(lane), apart)), kept)
        return context.get_dummy_value()

    return types.void(like, *[types.int64] * 7), generate


def _prefetch(write: int) -> Any:
    @intrinsic
    def prefetch(context, address, size):
        """Ask for the lines of the cache from an address on, `size` bytes, while something else is computed."""

        def generate(context, builder, signature, args):
            (address, size) = args
            pointer = ir.IntType(8).as_pointer()
            kind = ir.FunctionType(ir.VoidType(), [pointer, I32, I32, I32])
            function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
            with cgutils.for_range(builder, builder.sdiv(builder.add(size, I64(63)), I64(64))) as loop:
                line = builder.add(address, builder.mul(loop.index, I64(64)))
                builder.call(function, [builder.inttoptr(line, pointer), I32(write), I32(2), I32(1)])
            return context.get_dummy_value()

        return types.void(types.int64, types.int64), generate

    return prefetch


prefetch_read, prefetch_write = _prefetch(0), _prefetch(1)


@intrinsic
def largest_bits(context, like, x, count):
    """Largest of `count` numbers without their signs, as bits; a float sorts as its bits do, ∞ and NaN above all."""

    def generate(context, builder, signature, args):
        e = Emitter(builder, signature.args[0].dtype)
        kind, bits = e.integers.element, 8 * e.size
        largest = cgutils.alloca_once(builder, e.integers)
        builder.store(ir.Constant(e.integers, [0] * e.width), largest)
        unsigned = ir.Constant(e.integers, [(1 << (bits - 1)) - 1] * e.width)

        def take(offset: Any, mask: Any) -> None:
            value = builder.and_(builder.bitcast(e.load(builder.add(args[1], offset), mask), e.integers), unsigned)
            before = builder.load(largest)
            builder.store(builder.select(builder.icmp_unsigned(">", value, before), value, before), largest)

        e.over(args[2], take)
        name = f"llvm.vector.reduce.umax.v{e.width}i{bits}"
        reduce = cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind, [e.integers]), name)
        top = builder.call(reduce, [builder.load(largest)])
        return top if kind == I64 else builder.zext(top, I64)

    return types.uint64(like, types.int64, types.int64), generate
