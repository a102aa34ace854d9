"""The matrices of Winograd's convolution, and the loops that bring tiles of images into its domain and back.

A correlation of 4 outputs with r taps needs 4 + r − 1 products instead of 4 · r once inputs and taps are taken as
polynomials and multiplied by their values at as many points: y = Aᵀ((G w) · (Bᵀ x)), and on images the same along rows
and columns, Y = Aᵀ((G w Gᵀ) · (Bᵀ x B)) A.

Source: Lavin and Gray, Fast algorithms for convolutional neural networks, CVPR 2016; points as in Blahut, Fast
algorithms for signal processing, 2010.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from treadle.kernels.cpu.emit import I64, VECTOR_BYTES, Emitter

OUTPUTS = 4  # of a tile along one axis
# Taps along one axis, and the points beside ∞; pairs ±p share half of their work.
POINTS = {
    3: tuple(map(Fraction, (0, 1, -1, 2, -2))),
    5: tuple(map(Fraction, ("0", "1", "-1", "2", "-2", "1/2", "-1/2"))),
}
Matrix = list[list[Fraction]]


def matrices(taps: int) -> tuple[Matrix, Matrix, Matrix]:
    """Return Aᵀ (4, n), G (n, taps) and Bᵀ (n, n), exact, for n = taps + 3.

    >>> a, g, b = (np.array(matrix, float) for matrix in matrices(3))
    >>> x, w = np.array([1.0, 2, 3, 4, 5, 6]), np.array([1.0, 10, 100])
    >>> (a @ ((g @ w) * (b @ x))).round(9).tolist()
    [321.0, 432.0, 543.0, 654.0]
    """
    points = POINTS[taps]
    n = len(points) + 1

    def powers(count: int) -> Matrix:
        return [[p**k for k in range(count)] for p in points] + [[Fraction(k == count - 1) for k in range(count)]]

    def product(roots: list[Fraction]) -> list[Fraction]:
        coefficients = [Fraction(1)]
        for root in roots:
            shifted, scaled = [Fraction(0), *coefficients], [*(root * c for c in coefficients), Fraction(0)]
            coefficients = [a - b for a, b in zip(shifted, scaled, strict=True)]
        return coefficients + [Fraction(0)] * (n - len(coefficients))

    g, b = powers(taps), []
    for number, point in enumerate(points):
        others = [p for p in points if p != point]
        divisor = Fraction(1)
        for other in others:
            divisor *= point - other
        g[number] = [value / divisor for value in g[number]]
        b.append(product(others))
    b.append(product(list(points)))
    return [list(row) for row in zip(*powers(OUTPUTS), strict=True)], g, b


def _combined(e: Emitter, row: list[Fraction], values: list[Any]) -> Any:
    """Emit Σ row[k] · values[k], or None where all are 0."""
    total = None
    for factor, value in zip(row, values, strict=True):
        if factor == 0 or value is None:
            continue
        if total is None:
            total = value if factor == 1 else e.builder.fmul(e.constant(float(factor)), value)
        elif abs(factor) == 1:
            total = (e.builder.fadd if factor == 1 else e.builder.fsub)(total, value)
        else:
            total = e.fma(e.constant(float(factor)), value, total)
    return total


def _transformed(e: Emitter, matrix: Matrix, values: list[Any]) -> list[Any]:
    """Emit matrix @ values. Rows of points p and −p differ in the sign of the odd columns alone, or of the even."""
    results: list[Any] = [None] * len(matrix)
    for i, row in enumerate(matrix):
        if results[i] is not None:
            continue
        even = [factor if k % 2 == 0 else Fraction(0) for k, factor in enumerate(row)]
        odd = [factor if k % 2 else Fraction(0) for k, factor in enumerate(row)]
        for j in range(i + 1, len(matrix)):
            sign = next((s for s in (1, -1) if matrix[j] == [s * (a - b) for a, b in zip(even, odd, strict=True)]), 0)
            if sign and any(even) and any(odd):
                first, second = _combined(e, even, values), _combined(e, odd, values)
                results[i] = e.builder.fadd(first, second)
                results[j] = e.builder.fsub(first, second) if sign == 1 else e.builder.fsub(second, first)
                break
        else:
            results[i] = _combined(e, row, values)
    return results


def _sandwich(
    e: Emitter,
    left: Matrix,
    right: Matrix,
    scratch: Any,
    load: Callable[[int, Any], Any],
    store: Callable[[Any, int, Any], None],
) -> None:
    """Emit left @ X @ rightᵀ for a tile X of vectors: `load(row, column)` emits one, `store(row, column, value)` takes one.

    The columns of left @ X wait at the address `scratch`, for there are more of them than registers; loops keep the
    compiler from putting them on the stack, where vectors cross lines of the cache.
    """
    n = len(right[0])
    used = [any(row[i] for row in left) for i in range(len(left[0]))]

    def column(j: Any) -> list[Any]:
        return _transformed(e, left, [load(i, j) if used[i] else None for i in range(len(used))])

    if len(left) == 1:
        for q, value in enumerate(_transformed(e, right, [column(I64(j))[0] for j in range(n)])):
            store(I64(0), q, value)
        return
    with cgutils.for_range(e.builder, I64(n)) as loop:
        for p, value in enumerate(column(loop.index)):
            e.store(value, e.at(scratch, (I64(p * n), I64(VECTOR_BYTES)), (loop.index, I64(VECTOR_BYTES))))
    with cgutils.for_range(e.builder, I64(len(left))) as loop:
        row = e.at(scratch, (loop.index, I64(n * VECTOR_BYTES)))
        values = [e.load(e.builder.add(row, I64(j * VECTOR_BYTES))) for j in range(n)]
        for q, value in enumerate(_transformed(e, right, values)):
            store(loop.index, q, value)


def _transposed(matrix: Matrix) -> Matrix:
    return [list(column) for column in zip(*matrix, strict=True)]


def _into(left: list[Matrix], right: Matrix) -> Any:
    """Make an intrinsic that takes tiles into the domain: out[p, q, lane] = (left[which] @ X[lane] @ rightᵀ)[p, q].

    places: address of a table of the addresses of X's elements in rows. In out a number p, q follows the last after
    `stride` elements, and a vector the last after `step`; lanes behind the last get 0. scratch: room for n² vectors.
    """

    @intrinsic
    def into(context, like, which, places, out, stride, step, lanes, scratch):
        def generate(context, builder, signature, args):
            e = Emitter(builder, signature.args[0].dtype)
            (_, which, places, out, stride, step, lanes, scratch) = args
            stride, step = e.bytes(stride), e.bytes(step)
            done = builder.append_basic_block("done")
            switch = builder.switch(which, done)
            for number, matrix in enumerate(left):
                block = builder.append_basic_block(f"row{number}")
                switch.add_case(I64(number), block)
                builder.position_at_end(block)

                def tile(offset: Any, mask: Any, matrix: Matrix = matrix) -> None:
                    def load(i: int, j: Any) -> Any:
                        entry = e.at(places, (j, I64(8)), (I64(i * len(right[0])), I64(8)))
                        address = builder.load(builder.inttoptr(entry, I64.as_pointer()))
                        return e.load(builder.add(address, offset), mask)

                    def store(p: Any, q: int, value: Any) -> None:
                        e.store(value, e.at(target, (p, row), (I64(q), stride)))

                    target = e.at(out, (builder.sdiv(offset, I64(VECTOR_BYTES)), step))
                    row = builder.mul(stride, I64(len(right)))
                    _sandwich(e, matrix, right, scratch, load, store)

                e.over(lanes, tile)
                builder.branch(done)
            builder.position_at_end(done)
            return context.get_dummy_value()

        return types.void(like, *[types.int64] * 7), generate

    return into


def _out_of(matrix: Matrix) -> Any:
    """Make an intrinsic that brings tiles back: Y[lane] = matrix @ x[:, :, lane] @ matrixᵀ + bias, at the places given.

    In x a number p, q follows the last after `stride` elements; bias is the address of one number, and if `clips`
    what is negative becomes 0.
    """

    @intrinsic
    def out_of(context, like, x, stride, places, bias, clips, lanes, scratch):
        def generate(context, builder, signature, args):
            e = Emitter(builder, signature.args[0].dtype)
            (_, x, stride, places, bias, clips, lanes, scratch) = args
            stride = e.bytes(stride)
            added = e.broadcast(bias)
            # the smallest number that a result may be: 0, or none
            least = builder.select(e.flag(builder.icmp_signed("!=", clips, I64(0))), e.zero, e.constant(-np.inf))
            n = len(matrix[0])

            row = builder.mul(stride, I64(n))

            def tile(offset: Any, mask: Any) -> None:
                here = builder.add(x, offset)

                def load(i: int, j: Any) -> Any:
                    return e.load(e.at(here, (I64(i), row), (j, stride)))

                def store(p: Any, q: int, value: Any) -> None:
                    entry = e.at(places, (p, I64(8 * len(matrix))), (I64(q), I64(8)))
                    address = builder.load(builder.inttoptr(entry, I64.as_pointer()))
                    summed = builder.fadd(value, added)
                    clipped = builder.select(builder.fcmp_ordered("<", summed, least), least, summed)
                    e.store(clipped, builder.add(address, offset), mask)

                _sandwich(e, matrix, matrix, scratch, load, store)

            e.over(lanes, tile)
            return context.get_dummy_value()

        return types.void(like, *[types.int64] * 7), generate

    return out_of


A3, G3, B3 = matrices(3)
A5, G5, B5 = matrices(5)
inputs3, inputs5 = _into([B3], B3), _into([B5], B5)
outputs3, outputs5 = _out_of(A3), _out_of(A5)
# one row p of the domain at a time, which the weight gradient sums apart from the others
input_row3, input_row5 = _into([[row] for row in B3], B3), _into([[row] for row in B5], B5)
gradient_row3 = _into([[row] for row in _transposed(A3)], _transposed(A3))
gradient_row5 = _into([[row] for row in _transposed(A5)], _transposed(A5))
