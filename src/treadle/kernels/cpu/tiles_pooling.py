"""The innermost loops of pooling: windows of lanes, a vector at a time."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from treadle.kernels.cpu.emit import I64, Emitter


@intrinsic
def pool_max(context, like, x, nh, xh, nw, xw, lanes, out):
    """out[lane] = largest x[h, w, lane] over a window, NaN if one is; addresses in bytes, strides in elements."""

    def generate(context, builder, signature, args):
        e = Emitter(builder, signature.args[0].dtype)
        (_, x, nh, xh, nw, xw, lanes, out) = args
        xh, xw = e.bytes(xh), e.bytes(xw)
        top = cgutils.alloca_once(builder, e.vector)

        def window(offset: Any, mask: Any) -> None:
            start = builder.add(x, offset)
            builder.store(e.load(start, mask), top)
            with cgutils.for_range(builder, nh) as height, cgutils.for_range(builder, nw) as width:
                value = e.load(e.at(start, (height.index, xh), (width.index, xw)), mask)
                # true for a NaN too, unless the largest so far is one already
                above = builder.fcmp_unordered(">", value, builder.load(top))
                known = builder.fcmp_unordered("uno", builder.load(top), e.zero)
                keep = builder.or_(builder.not_(above), known)
                builder.store(builder.select(keep, builder.load(top), value), top)
            e.store(builder.load(top), builder.add(out, offset), mask)

        e.over(lanes, window)
        return context.get_dummy_value()

    return types.void(like, *[types.int64] * 7), generate


@intrinsic
def pool_max_gradient(context, like, g, y, x, gx, nh, xh, nw, xw, lanes, mode):
    """gx[h, w, lane] = g[lane] at the first x[h, w, lane] of a window that is its largest, y[lane]; elsewhere 0.

    mode: bit 0, add to gx instead of writing it; bit 1, g counts only where y is above 0.
    """

    def generate(context, builder, signature, args):
        e = Emitter(builder, signature.args[0].dtype)
        (_, g, y, x, gx, nh, xh, nw, xw, lanes, mode) = args
        xh, xw = e.bytes(xh), e.bytes(xw)
        adds = builder.icmp_signed("!=", builder.and_(mode, I64(1)), I64(0))
        clips = builder.icmp_signed("!=", builder.and_(mode, I64(2)), I64(0))
        left = cgutils.alloca_once(builder, e.vector)  # the gradient, until it has gone to its place

        def window(offset: Any, mask: Any) -> None:
            top, gradient = e.load(builder.add(y, offset), mask), e.load(builder.add(g, offset), mask)
            positive = builder.fcmp_ordered(">", top, e.zero)
            clipped = builder.select(positive, gradient, e.zero)
            builder.store(builder.select(e.flag(clips), clipped, gradient), left)
            with cgutils.for_range(builder, nh) as height, cgutils.for_range(builder, nw) as width:
                place = builder.add(offset, e.at(I64(0), (height.index, xh), (width.index, xw)))
                value = e.load(builder.add(x, place), mask)
                number = builder.fcmp_ordered("==", value, top)
                here = builder.or_(number, builder.fcmp_unordered("uno", value, e.zero))
                share = builder.select(here, builder.load(left), e.zero)
                builder.store(builder.select(here, e.zero, builder.load(left)), left)
                before = e.load(builder.add(gx, place), mask)
                share = builder.select(e.flag(adds), builder.fadd(before, share), share)
                e.store(share, builder.add(gx, place), mask)

        e.over(lanes, window)
        return context.get_dummy_value()

    return types.void(like, *[types.int64] * 10), generate


@intrinsic
def pool_places(context, like, x, nh, xh, nw, xw, lanes, out, places, clips):
    """As pool_max, and places[lane] = number of the first largest value in its window.

    places is the address of bytes. If `clips`, windows whose largest value is not above 0 get 255.
    """

    def generate(context, builder, signature, args):
        e = Emitter(builder, signature.args[0].dtype)
        (_, x, nh, xh, nw, xw, lanes, out, places, clips) = args
        xh, xw = e.bytes(xh), e.bytes(xw)
        clips = builder.icmp_signed("!=", clips, I64(0))
        number = ir.VectorType(ir.IntType(8), e.width)
        top, place = cgutils.alloca_once(builder, e.vector), cgutils.alloca_once(builder, number)

        def all_lanes(value: Any) -> Any:
            return e.splat(builder.trunc(value, ir.IntType(8)))

        def window(offset: Any, mask: Any) -> None:
            start = builder.add(x, offset)
            builder.store(e.load(start, mask), top)
            builder.store(ir.Constant(number, [0] * e.width), place)
            with cgutils.for_range(builder, nh) as height, cgutils.for_range(builder, nw) as width:
                value = e.load(e.at(start, (height.index, xh), (width.index, xw)), mask)
                above = builder.fcmp_unordered(">", value, builder.load(top))
                known = builder.fcmp_unordered("uno", builder.load(top), e.zero)
                keep = builder.or_(builder.not_(above), known)
                here = all_lanes(e.at(width.index, (height.index, nw)))
                builder.store(builder.select(keep, builder.load(top), value), top)
                builder.store(builder.select(keep, builder.load(place), here), place)
            positive = builder.or_(builder.fcmp_ordered(">", builder.load(top), e.zero), e.flag(builder.not_(clips)))
            none = ir.Constant(number, [255] * e.width)
            e.store(builder.load(top), builder.add(out, offset), mask)
            e.store_bytes(
                builder.select(positive, builder.load(place), none),
                builder.add(places, builder.sdiv(offset, I64(e.size))),
                mask,
            )

        e.over(lanes, window)
        return context.get_dummy_value()

    return types.void(like, *[types.int64] * 9), generate


@intrinsic
def pool_scatter(context, like, g, places, gx, nh, xh, nw, xw, lanes):
    """gx[h, w, lane] = g[lane] at the place of a window that places[lane] numbers, elsewhere 0."""

    def generate(context, builder, signature, args):
        e = Emitter(builder, signature.args[0].dtype)
        (_, g, places, gx, nh, xh, nw, xw, lanes) = args
        xh, xw = e.bytes(xh), e.bytes(xw)

        def window(offset: Any, mask: Any) -> None:
            gradient = e.load(builder.add(g, offset), mask)
            place = e.load_bytes(builder.add(places, builder.sdiv(offset, I64(e.size))), mask)
            with cgutils.for_range(builder, nh) as height, cgutils.for_range(builder, nw) as width:
                here = e.splat(builder.trunc(e.at(width.index, (height.index, nw)), ir.IntType(8)))
                share = builder.select(builder.icmp_unsigned("==", place, here), gradient, e.zero)
                e.store(share, builder.add(gx, e.at(offset, (height.index, xh), (width.index, xw))), mask)

        e.over(lanes, window)
        return context.get_dummy_value()

    return types.void(like, *[types.int64] * 8), generate
