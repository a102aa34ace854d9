"""The innermost loops of pooling: windows of lanes, a vector at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from treadle.kernels.cpu.emit import I64, Emitter

Body = Callable[[Any, Any], None]  # of a loop over the rows and columns of a window


def _over(e: Emitter, nh: Any, nw: Any, lanes: Any, window: Callable[[Any, Any, Callable[[Body], None]], None]) -> None:
    """Emit `window(offset, mask, each)` for all lanes; `each` emits a body for each place of the window.

    Windows of 2 × 2, the most frequent, have no loop.
    """

    def four(body: Body) -> None:
        for place in range(4):
            body(I64(place // 2), I64(place % 2))

    def many(body: Body) -> None:
        with cgutils.for_range(e.builder, nh) as height, cgutils.for_range(e.builder, nw) as width:
            body(height.index, width.index)

    two = [e.builder.icmp_signed("==", count, I64(2)) for count in (nh, nw)]
    with e.builder.if_else(e.builder.and_(*two)) as (small, other):
        with small:
            e.over(lanes, lambda offset, mask: window(offset, mask, four))
        with other:
            e.over(lanes, lambda offset, mask: window(offset, mask, many))


def _larger(e: Emitter, value: Any, top: Any) -> Any:
    """Emit whether a value is larger than the largest so far; a NaN is, unless that is one already."""
    above = e.builder.fcmp_unordered(">", value, top)
    return e.builder.and_(above, e.builder.fcmp_ordered("ord", top, top))


@intrinsic
def pool_max(context, like, x, nh, xh, nw, xw, lanes, out):
    """out[lane] = largest x[h, w, lane] over a window, NaN if one is; addresses in bytes, strides in elements."""

    def generate(context, builder, signature, args):
        e = Emitter(builder, signature.args[0].dtype)
        (_, x, nh, xh, nw, xw, lanes, out) = args
        xh, xw = e.bytes(xh), e.bytes(xw)
        top = cgutils.alloca_once(builder, e.vector)

        def window(offset: Any, mask: Any, each: Callable[[Body], None]) -> None:
            start = builder.add(x, offset)
            builder.store(e.load(start, mask), top)

            def compare(h: Any, w: Any) -> None:
                value = e.load(e.at(start, (h, xh), (w, xw)), mask)
                builder.store(builder.select(_larger(e, value, builder.load(top)), value, builder.load(top)), top)

            each(compare)
            e.store(builder.load(top), builder.add(out, offset), mask)

        _over(e, nh, nw, lanes, window)
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

        def window(offset: Any, mask: Any, each: Callable[[Body], None]) -> None:
            top, gradient = e.load(builder.add(y, offset), mask), e.load(builder.add(g, offset), mask)
            positive = builder.fcmp_ordered(">", top, e.zero)
            clipped = builder.select(positive, gradient, e.zero)
            builder.store(builder.select(e.flag(clips), clipped, gradient), left)

            def give(h: Any, w: Any) -> None:
                place = builder.add(offset, e.at(I64(0), (h, xh), (w, xw)))
                value = e.load(builder.add(x, place), mask)
                number = builder.fcmp_ordered("==", value, top)
                here = builder.or_(number, builder.fcmp_unordered("uno", value, e.zero))
                share = builder.select(here, builder.load(left), e.zero)
                builder.store(builder.select(here, e.zero, builder.load(left)), left)
                before = e.load(builder.add(gx, place), mask)
                share = builder.select(e.flag(adds), builder.fadd(before, share), share)
                e.store(share, builder.add(gx, place), mask)

            each(give)

        _over(e, nh, nw, lanes, window)
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
        top = cgutils.alloca_once(builder, e.vector)
        place = cgutils.alloca_once(builder, e.integers)  # as wide as the numbers, so that masks fit without change

        def window(offset: Any, mask: Any, each: Callable[[Body], None]) -> None:
            start = builder.add(x, offset)
            builder.store(e.load(start, mask), top)
            builder.store(e.integer(I64(0)), place)

            def compare(h: Any, w: Any) -> None:
                value = e.load(e.at(start, (h, xh), (w, xw)), mask)
                larger = _larger(e, value, builder.load(top))
                here = e.integer(builder.add(builder.mul(h, nw), w))
                builder.store(builder.select(larger, value, builder.load(top)), top)
                builder.store(builder.select(larger, here, builder.load(place)), place)

            each(compare)
            positive = builder.or_(builder.fcmp_ordered(">", builder.load(top), e.zero), e.flag(builder.not_(clips)))
            e.store(builder.load(top), builder.add(out, offset), mask)
            told = builder.select(positive, builder.load(place), e.integer(I64(255)))
            e.store_bytes(told, builder.add(places, builder.sdiv(offset, I64(e.size))), mask)

        _over(e, nh, nw, lanes, window)
        return context.get_dummy_value()

    return types.void(like, *[types.int64] * 9), generate


@intrinsic
def pool_scatter(context, like, g, places, gx, nh, xh, nw, xw, lanes):
    """gx[h, w, lane] = g[lane] at the place of a window that places[lane] numbers, elsewhere 0."""

    def generate(context, builder, signature, args):
        e = Emitter(builder, signature.args[0].dtype)
        (_, g, places, gx, nh, xh, nw, xw, lanes) = args
        xh, xw = e.bytes(xh), e.bytes(xw)

        def window(offset: Any, mask: Any, each: Callable[[Body], None]) -> None:
            gradient = e.load(builder.add(g, offset), mask)
            place = e.load_bytes(builder.add(places, builder.sdiv(offset, I64(e.size))), mask)

            def give(h: Any, w: Any) -> None:
                here = e.integer(builder.add(builder.mul(h, nw), w))
                share = builder.select(builder.icmp_unsigned("==", place, here), gradient, e.zero)
                e.store(share, builder.add(gx, e.at(offset, (h, xh), (w, xw))), mask)

            each(give)

        _over(e, nh, nw, lanes, window)
        return context.get_dummy_value()

    return types.void(like, *[types.int64] * 8), generate
