"""The two innermost loops of convolution and matrix product, as vector instructions through LLVM.

Memory is batch-last, so a run of output elements (the lanes) meets runs of inputs that lie just as close. `gather`
holds a tile of rows × vectors of outputs in registers while it walks over all taps; `correlate` holds rows × taps of
weight gradients while it walks over the lanes. Written in plain Numba both would keep their sums in memory.

Source: Goto and van de Geijn, Anatomy of high-performance matrix multiplication, ACM TOMS 34, 2008.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_FEATURES = binding.get_host_cpu_features()
WIDE = bool(_FEATURES.get("avx512f"))
VECTOR_BYTES = 64 if WIDE else 32
REGISTERS = 32 if WIDE or not _FEATURES.get("avx") else 16
# Rows of a tile and the vectors in it, by the number of rows there are: the pairs that measured fastest of those
# that fit into the registers with their operands.
SHAPES = {8: 3, 6: 4, 5: 4, 4: 5} if REGISTERS == 32 else {6: 2, 5: 2, 4: 3}


# Taps of a tile by its rows, for `correlate`.
TAPS = {rows: min((REGISTERS - 1) // (rows + 1), 5) for rows in (*SHAPES, 2, 1)}


def rows_for(count: int, shapes: dict[int, int]) -> int:
    """Choose the rows of a tile so that the fewest are computed in vain."""
    return min(shapes, key=lambda rows: (-(-count // rows) * rows, -rows))


I64, I32 = ir.IntType(64), ir.IntType(32)


class _Emitter:
    """Vector operations on addresses, for elements of one type."""

    def __init__(self, builder: Any, dtype: Any, width: int = 0) -> None:
        self.builder = builder
        self.element = ir.FloatType() if dtype == types.float32 else ir.DoubleType()
        self.size = 4 if dtype == types.float32 else 8
        self.width = width or VECTOR_BYTES // self.size
        self.vector = ir.VectorType(self.element, self.width)
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
        return self.builder.mul(elements, I64(self.size))

    def at(self, address: Any, *steps: tuple[Any, Any]) -> Any:
        for number, stride in steps:
            address = self.builder.add(address, self.builder.mul(number, stride))
        return address

    def splat(self, scalar: Any) -> Any:
        vector = ir.VectorType(scalar.type, self.width)
        undefined = ir.Constant(vector, ir.Undefined)
        first = self.builder.insert_element(undefined, scalar, I32(0))
        return self.builder.shuffle_vector(
            first, undefined, ir.Constant(ir.VectorType(I32, self.width), [0] * self.width)
        )

    def mask(self, lanes: Any) -> Any:
        numbers = ir.Constant(ir.VectorType(I64, self.width), list(range(self.width)))
        return self.builder.icmp_signed("<", numbers, self.splat(lanes))

    def broadcast(self, address: Any) -> Any:
        return self.splat(self.builder.load(self.builder.inttoptr(address, self.element.as_pointer())))

    def load(self, address: Any, mask: Any = None) -> Any:
        pointer = self.builder.inttoptr(address, self.vector.as_pointer())
        if mask is None:
            return self.builder.load(pointer, align=self.size)
        return self.builder.call(self._load, [pointer, I32(self.size), mask, self.zero])

    def store(self, value: Any, address: Any, mask: Any = None) -> None:
        pointer = self.builder.inttoptr(address, self.vector.as_pointer())
        if mask is None:
            self.builder.store(value, pointer, align=self.size)
        else:
            self.builder.call(self._store, [value, pointer, I32(self.size), mask])

    def _bytes(self, name: str, *, store: bool) -> Any:
        number = ir.VectorType(ir.IntType(8), self.width)
        mask = ir.VectorType(ir.IntType(1), self.width)
        if store:
            kind = ir.FunctionType(ir.VoidType(), [number, number.as_pointer(), I32, mask])
        else:
            kind = ir.FunctionType(number, [number.as_pointer(), I32, mask, number])
        return cgutils.get_or_insert_function(self.builder.module, kind, f"llvm.masked.{name}.v{self.width}i8.p0")

    def load_bytes(self, address: Any, mask: Any) -> Any:
        number = ir.VectorType(ir.IntType(8), self.width)
        pointer = self.builder.inttoptr(address, number.as_pointer())
        if mask is None:
            return self.builder.load(pointer, align=1)
        zero = ir.Constant(number, [0] * self.width)
        return self.builder.call(self._bytes("load", store=False), [pointer, I32(1), mask, zero])

    def store_bytes(self, value: Any, address: Any, mask: Any) -> None:
        pointer = self.builder.inttoptr(address, value.type.as_pointer())
        if mask is None:
            self.builder.store(value, pointer, align=1)
        else:
            self.builder.call(self._bytes("store", store=True), [value, pointer, I32(1), mask])

    def fma(self, a: Any, b: Any, c: Any) -> Any:
        return self.builder.call(self._fma, [a, b, c])

    def cttz(self, bits: Any) -> Any:
        kind = ir.FunctionType(bits, [bits, ir.IntType(1)])
        return cgutils.get_or_insert_function(self.builder.module, kind, f"llvm.cttz.i{bits.width}")

    def flag(self, bit: Any) -> Any:
        return self.builder.icmp_signed("!=", self.splat(self.builder.zext(bit, I64)), self.splat(I64(0)))

    def over(self, lanes: Any, body: Callable[[Any, Any], None]) -> None:
        """Emit `body(offset in bytes, mask)` for all whole vectors of the lanes, and for the rest of them."""
        builder, step = self.builder, I64(VECTOR_BYTES)
        whole, rest = builder.sdiv(lanes, I64(self.width)), builder.srem(lanes, I64(self.width))
        with cgutils.for_range(builder, whole) as loop:
            body(builder.mul(loop.index, step), None)
        with builder.if_then(builder.icmp_signed(">", rest, I64(0))):
            body(builder.mul(whole, step), self.mask(rest))


def _variants(builder: Any, rows: Any, count: Any, shapes: dict[int, int]) -> Iterator[tuple[int, int]]:
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


@intrinsic  # type: ignore[untyped-decorator]
def gather(context, like, rows, vectors, x, nc, xc, nh, xh, nw, xw, w, wc, wh, ww, bias, out, stride, valid, last, mode):  # type: ignore[no-untyped-def]
    """out[r, lane] = bias[r] (or out[r, lane]) + Σ w[c, h, w, r] · x[c, h, w, lane] over the taps c, h, w.

    x, w, bias and out are addresses in bytes, strides count elements. `valid` rows are stored and, of the last
    vector, `last` lanes. mode: bit 0, the sum begins with the bias; bit 1, negative results become 0.
    """

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        e = _Emitter(builder, signature.args[0].dtype)
        (_, rows, vectors, x, nc, xc, nh, xh, nw, xw, w, wc, wh, ww, bias, out, stride, valid, last, mode) = args
        xc, xh, xw, wc, wh, ww, stride = (e.bytes(v) for v in (xc, xh, xw, wc, wh, ww, stride))
        mask = e.mask(last)
        begins = builder.icmp_signed("!=", builder.and_(mode, I64(1)), I64(0))
        clips = builder.icmp_signed("!=", builder.and_(mode, I64(2)), I64(0))
        for r_count, v_count in _variants(builder, rows, vectors, SHAPES):
            _gather(e, r_count, v_count, begins, clips, mask, x, nc, xc, nh, xh, nw, xw, w, wc, wh, ww, bias, out, stride, valid)
        return context.get_dummy_value()

    return types.void(like, *[types.int64] * 19), generate


def _gather(e, rows, vectors, begins, clips, mask, x, nc, xc, nh, xh, nw, xw, w, wc, wh, ww, bias, out, stride, valid):  # type: ignore[no-untyped-def]
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
    with cgutils.for_range(builder, nc) as channel:
        x0, w0 = e.at(x, (channel.index, xc)), e.at(w, (channel.index, wc))
        with cgutils.for_range(builder, nh) as height:
            x1, w1 = e.at(x0, (height.index, xh)), e.at(w0, (height.index, wh))
            with cgutils.for_range(builder, nw) as width:
                x2, w2 = e.at(x1, (width.index, xw)), e.at(w1, (width.index, ww))
                values = [e.load(builder.add(x2, I64(v * VECTOR_BYTES)), masks[v]) for v in range(vectors)]
                for r in range(rows):
                    weight = e.broadcast(builder.add(w2, I64(r * e.size)))
                    for v in range(vectors):
                        builder.store(e.fma(weight, values[v], builder.load(sums[r][v])), sums[r][v])
    with builder.if_then(clips):
        for r, v in every:
            value = builder.load(sums[r][v])
            builder.store(builder.select(builder.fcmp_ordered("<", value, e.zero), e.zero, value), sums[r][v])
    for r in range(rows):
        with builder.if_then(builder.icmp_signed("<", I64(r), valid)):
            for v in range(vectors):
                e.store(builder.load(sums[r][v]), place(r, v), masks[v])


@intrinsic  # type: ignore[untyped-decorator]
def correlate(context, like, rows, taps, g, gh, x, xt, xh, nh, lanes, sums):  # type: ignore[no-untyped-def]
    """sums[t, r, :] += g[h, v, r, :] · x[t, h, v, :] over h and the vectors v of the lanes; the caller adds those up.

    g, x and sums are addresses in bytes, the strides gh, xt and xh count elements. g holds whole vectors, with zeros
    behind the last lane.
    """

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        e = _Emitter(builder, signature.args[0].dtype)
        (_, rows, taps, g, gh, x, xt, xh, nh, lanes, sums) = args
        gh, xt, xh = (e.bytes(v) for v in (gh, xt, xh))
        for r_count, t_count in _variants(builder, rows, taps, TAPS):
            _correlate(e, r_count, t_count, g, gh, x, xt, xh, nh, lanes, sums)
        return context.get_dummy_value()

    return types.void(like, *[types.int64] * 10), generate


def _correlate(e, rows, taps, g, gh, x, xt, xh, nh, lanes, sums):  # type: ignore[no-untyped-def]
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


@intrinsic  # type: ignore[untyped-decorator]
def pack(context, like, rows, g, gr, lanes, out):  # type: ignore[no-untyped-def]
    """out[v, r, :] = g[r, v, :] for the vectors v of the lanes, with zeros behind the last lane."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        e = _Emitter(builder, signature.args[0].dtype)
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


@intrinsic  # type: ignore[untyped-decorator]
def pool_max(context, like, x, nh, xh, nw, xw, lanes, out):  # type: ignore[no-untyped-def]
    """out[lane] = largest x[h, w, lane] over a window, NaN if one is; addresses in bytes, strides in elements."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        e = _Emitter(builder, signature.args[0].dtype)
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


@intrinsic  # type: ignore[untyped-decorator]
def pool_max_gradient(context, like, g, y, x, gx, nh, xh, nw, xw, lanes, mode):  # type: ignore[no-untyped-def]
    """gx[h, w, lane] = g[lane] at the first x[h, w, lane] of a window that is its largest, y[lane]; elsewhere 0.

    mode: bit 0, add to gx instead of writing it; bit 1, g counts only where y is above 0.
    """

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        e = _Emitter(builder, signature.args[0].dtype)
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


@intrinsic  # type: ignore[untyped-decorator]
def pool_places(context, like, x, nh, xh, nw, xw, lanes, out, places, clips):  # type: ignore[no-untyped-def]
    """As pool_max, and places[lane] = number of the first largest value in its window; 255, if clips, where that is ≤ 0.

    places is the address of bytes.
    """

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        e = _Emitter(builder, signature.args[0].dtype)
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


@intrinsic  # type: ignore[untyped-decorator]
def pool_scatter(context, like, g, places, gx, nh, xh, nw, xw, lanes):  # type: ignore[no-untyped-def]
    """gx[h, w, lane] = g[lane] at the place of a window that places[lane] numbers, elsewhere 0."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        e = _Emitter(builder, signature.args[0].dtype)
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
LISTED = 8 if WIDE else 4


@intrinsic  # type: ignore[untyped-decorator]
def sparse_row(context, like, vectors, a, count, b, stride, out, last):  # type: ignore[no-untyped-def]
    """out[:] = Σ a[k] · b[k, :] over the k where a is not 0; addresses in bytes, the stride of b in elements."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        e = _Emitter(builder, signature.args[0].dtype)
        (_, vectors, a, count, b, stride, out, last) = args
        stride, mask = e.bytes(stride), e.mask(last)
        for _, most in _variants(builder, I64(1), vectors, SPARSE):
            sums = [cgutils.alloca_once(builder, e.vector) for _ in range(most)]
            masks = [None] * (most - 1) + [mask]
            for held in sums:
                builder.store(e.zero, held)

            def chunk(offset, part, sums=sums, masks=masks):  # type: ignore[no-untyped-def]
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


@intrinsic  # type: ignore[untyped-decorator]
def listed(context, like, vectors, count, numbers, w, b, stride, out, across, valid, last):  # type: ignore[no-untyped-def]
    """out[r, :] = Σ w[i, r] · b[numbers[i], :] for LISTED rows r, `valid` of them stored; strides in elements."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        e = _Emitter(builder, signature.args[0].dtype)
        (_, vectors, count, numbers, w, b, stride, out, across, valid, last) = args
        stride, across, mask = e.bytes(stride), e.bytes(across), e.mask(last)
        for rows, most in _variants(builder, I64(LISTED), vectors, {LISTED: SHAPES[LISTED]}):
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


@intrinsic  # type: ignore[untyped-decorator]
def any_nonzero(context, like, a, valid, out):  # type: ignore[no-untyped-def]
    """Copy LISTED numbers, zeros behind the first `valid`, and return whether one is not 0; addresses in bytes."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        (_, a, valid, out) = args
        e = _Emitter(builder, signature.args[0].dtype, LISTED)
        values = e.load(a, e.mask(valid))
        e.store(values, out)
        bits = builder.bitcast(builder.fcmp_unordered("!=", values, e.zero), ir.IntType(LISTED))
        return builder.zext(builder.icmp_unsigned("!=", bits, ir.IntType(LISTED)(0)), I64)

    return types.int64(like, *[types.int64] * 3), generate
