"""What a row of the table of `cases` is: a call of an op, its inputs, and how they lie in memory.

A case runs on any namespace with the names and signatures of `treadle.ops`. Its numbers are all different and
none is near 0, so that no finite difference steps over a kink; cases at kinks state the gradient instead.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
INF, NAN = float("inf"), float("nan")


@dataclass(frozen=True)
class Case:
    """A call of an op; `gradients` are stated for kinks only, for a cotangent of ones."""

    op: str
    name: str
    run: Callable[..., Any]  # run(ops, *tensors)
    inputs: tuple[Array, ...]
    gradients: tuple[Any, ...] | None = None

    @property
    def smooth(self) -> bool:
        return self.gradients is None

    def __str__(self) -> str:
        return f"{self.op}: {self.name}"

    def cotangent(self, shape: tuple[int, ...], dtype: Any = np.float64) -> Array:
        """An arbitrary gradient for an output of this shape, the same at every call."""
        return np.random.default_rng(zlib.crc32(str(self).encode())).uniform(-2, 2, shape).astype(dtype)


def draw(seed: str, shapes: Sequence[tuple[int, ...]], low: float, high: float) -> list[Array]:
    """Arrays whose elements are all different, evenly spread over low to high in random order."""
    sizes = [int(np.prod(shape)) for shape in shapes]
    total = max(sum(sizes), 1)
    order = np.random.default_rng(zlib.crc32(seed.encode())).permutation(total)
    values = low + (order + 0.4) * (high - low) / total
    ends = np.cumsum(sizes)
    return [values[end - size : end].reshape(shape) for end, size, shape in zip(ends, sizes, shapes, strict=True)]


def plain(x: Array) -> Array:
    return x.copy()


def reversed_strides(x: Array) -> Array:
    backward = (slice(None, None, -1),) * x.ndim
    return x[backward].copy()[backward]


def transposed(x: Array) -> Array:
    return x.T.copy().T


def every_other(x: Array) -> Array:
    wide = np.full(tuple(2 * size for size in x.shape), 1e9)
    wide[(slice(None, None, 2),) * x.ndim] = x
    return wide[(slice(None, None, 2),) * x.ndim]


LAYOUTS = {"negative strides": reversed_strides, "transposed": transposed, "strided slice": every_other}
RANGES = {
    "log": (0.2, 3.0),
    "sqrt": (0.2, 3.0),
    "divide": (0.4, 3.0),
    "power": (0.4, 2.0),
    "multiply": (-2.0, 2.5),
}


def call(op: str, **settings: Any) -> Callable[..., Any]:
    return lambda ops, *xs: getattr(ops, op)(*xs, **settings)


class Table(list[Case]):
    """Cases, with two ways to add one."""

    def add(
        self,
        op: str,
        name: str,
        shapes: Sequence[tuple[int, ...]] | tuple[int, ...],
        run: Callable[..., Any] | None = None,
        layout: Callable[[Array], Array] = plain,
        **settings: Any,
    ) -> None:
        """A smooth case; one shape may stand for the list of one."""
        several = [shapes] if isinstance(shapes, tuple) else shapes
        arrays = draw(f"{op}: {name}", several, *RANGES.get(op, (-2.0, 2.0)))
        self.append(Case(op, name, run or call(op, **settings), tuple(layout(array) for array in arrays)))

    def kink(
        self,
        op: str,
        name: str,
        inputs: Sequence[Any],
        gradients: Sequence[Any],
        run: Callable[..., Any] | None = None,
        **settings: Any,
    ) -> None:
        """A case where the op is not differentiable, with the gradients that it shall give."""
        arrays = tuple(np.array(x, dtype=np.float64) for x in inputs)
        expected = tuple(np.array(g, dtype=np.float64) for g in gradients)
        self.append(Case(op, name, run or call(op, **settings), arrays, expected))
