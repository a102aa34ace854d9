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
ROUNDING = 16  # in ε of the largest number of the domain: what a result that should be 0 may come to
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


def _transposed(matrix: Matrix) -> Matrix:
    return [list(column) for column in zip(*matrix, strict=True)]


def _at(e: Emitter, places: Any, number: Any, offset: Any) -> Any:
    """Emit the address that a table at `places` has, plus an offset."""
    entry = e.at(places, (number, I64(8)))
    return e.builder.add(e.builder.load(e.builder.inttoptr(entry, I64.as_pointer())), offset)


def _both_ways(
    e: Emitter, matrix: Matrix, scratch: Any, load: Callable[[int, Any], Any], store: Callable[[Any, int, Any], None]
) -> None:
    """Emit matrix @ X @ matrixᵀ for a tile X: `load(row, column)` emits one, `store(row, column, y)` keeps one.

    The columns of matrix @ X wait at the address `scratch`, for there are more of them than registers; loops keep the
    compiler from putting them on the stack, where vectors cross lines of the cache.
    """
    n = len(matrix[0])
    with cgutils.for_range(e.builder, I64(n)) as loop:
        for p, value in enumerate(_transformed(e, matrix, [load(i, loop.index) for i in range(n)])):
            e.store(value, e.at(scratch, (I64(p * n), I64(VECTOR_BYTES)), (loop.index, I64(VECTOR_BYTES))))
    with cgutils.for_range(e.builder, I64(len(matrix))) as loop:
        row = e.at(scratch, (loop.index, I64(n * VECTOR_BYTES)))
        values = [e.load(e.builder.add(row, I64(j * VECTOR_BYTES))) for j in range(n)]
        for q, value in enumerate(_transformed(e, matrix, values)):
            store(loop.index, q, value)


@intrinsic
def outputs(context, like, domain, x, stride, places, bias, clips, lanes, scratch):
    """Y[lane] = Aᵀ @ x[:, :, lane] @ A + bias, at the places given; if `clips` what is negative becomes 0.

    Before the bias is added, what is less than the rounding of the largest x counts as 0. Where filters meet only
    zeros, as at the border of an image of a digit, the output is the bias then, as by direct sums, and a ReLU after it
    does the same. Other arguments as those of `inputs`; bias is the address of one number.
    """

    def generate(context, builder, signature, args):
        e = Emitter(builder, signature.args[0].dtype)
        (_, _, x, stride, places, bias, clips, lanes, scratch) = args
        stride = e.bytes(stride)
        matrix = MATRICES[signature.args[1].count][0]
        added = e.broadcast(bias)
        # the smallest number that a result may be: 0, or none
        least = builder.select(e.flag(builder.icmp_signed("!=", clips, I64(0))), e.zero, e.constant(-np.inf))
        row = builder.mul(stride, I64(len(matrix[0])))
        rounding = e.constant(ROUNDING * np.finfo(signature.args[0].dtype.name).eps)
        largest = cgutils.alloca_once(builder, e.vector)

        def tile(offset: Any, mask: Any) -> None:
            here = builder.add(x, offset)
            builder.store(e.zero, largest)

            def load(i: int, j: Any) -> Any:
                value = e.load(e.at(here, (I64(i), row), (j, stride)))
                size = e.absolute(value)
                larger = builder.fcmp_ordered(">", size, builder.load(largest))
                builder.store(builder.select(larger, size, builder.load(largest)), largest)
                return value

            def store(p: Any, q: int, value: Any) -> None:
                address = _at(e, places, builder.add(builder.mul(p, I64(len(matrix))), I64(q)), offset)
                lost = builder.fcmp_ordered("<", e.absolute(value), builder.fmul(builder.load(largest), rounding))
                summed = builder.fadd(builder.select(lost, e.zero, value), added)
                clipped = builder.select(builder.fcmp_ordered("<", summed, least), least, summed)
                e.store(clipped, address, mask)

            _both_ways(e, matrix, scratch, load, store)

        e.over(lanes, tile)
        return context.get_dummy_value()

    return types.void(like, domain, *[types.int64] * 7), generate


def _into(matrix_of: Callable[[int], Matrix]) -> Any:
    @intrinsic
    def into(context, like, domain, places, out, stride, lanes, scratch):
        """out[p, q, lane] = (B @ X[lane] @ Bᵀ)[p, q] for a matrix B, lanes behind the last 0.

        domain: a tuple as long as a side of the domain. places: address of a table of the addresses of X's elements,
        in rows. In out a number p, q follows the last after `stride` elements. scratch: address of room for n²
        vectors.
        """

        def generate(context, builder, signature, args):
            e = Emitter(builder, signature.args[0].dtype)
            (_, _, places, out, stride, lanes, scratch) = args
            stride = e.bytes(stride)
            matrix = matrix_of(signature.args[1].count)
            row = builder.mul(stride, I64(len(matrix)))

            def tile(offset: Any, mask: Any) -> None:
                target = builder.add(out, offset)

                def load(i: int, j: Any) -> Any:
                    return e.load(_at(e, places, builder.add(I64(i * len(matrix[0])), j), offset), mask)

                def store(p: Any, q: int, value: Any) -> None:
                    e.store(value, e.at(target, (p, row), (I64(q), stride)))

                _both_ways(e, matrix, scratch, load, store)

            e.over(lanes, tile)
            return context.get_dummy_value()

        return types.void(like, domain, *[types.int64] * 5), generate

    return into


MATRICES = {taps + OUTPUTS - 1: matrices(taps) for taps in POINTS}
# inputs by Bᵀ, and gradients of outputs by A
inputs = _into(lambda side: MATRICES[side][2])
gradients = _into(lambda side: _transposed(MATRICES[side][0]))
