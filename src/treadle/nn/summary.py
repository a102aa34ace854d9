"""What a network is, before anything is allocated: shapes and parameters, layer by layer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from treadle.nn.module import Module, Shape
from treadle.tree import leaves


@dataclass(frozen=True)
class Row:
    """One layer of a summary: its name, itself, the shapes of one sample going in and out, its parameter count."""

    name: str
    layer: Module
    input_shape: Shape
    output_shape: Shape
    parameters: int


@dataclass(frozen=True)
class Summary:
    """The layers of a network for inputs of one shape; printing it gives a table."""

    rows: tuple[Row, ...]
    input_shape: Shape
    output_shape: Shape

    @property
    def parameters(self) -> int:
        """Number of parameters of the whole network."""
        return sum(row.parameters for row in self.rows)

    def __str__(self) -> str:
        table = [("layer", "is", "output", "parameters"), ("input", "", str(self.input_shape), "")]
        table += [(row.name, repr(row.layer), str(row.output_shape), f"{row.parameters:,}") for row in self.rows]
        table.append(("total", "", "", f"{self.parameters:,}"))
        widths = [max(len(line[column]) for line in table) for column in range(4)]
        return "\n".join(
            f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:<{widths[2]}}  {d:>{widths[3]}}" for a, b, c, d in table
        )

    __repr__ = __str__


def summary(network: Module, data: Any) -> Summary:
    """Summarise a network for the samples of a data set.

    Args:
        network: any module.
        data: a data set, or the shape of one sample.

    Raises:
        ShapeError: a layer cannot take what the layer before it gives; the message names it.

    >>> import treadle as td
    >>> print(summary(td.nn.Sequential(td.nn.Flatten(), td.nn.Linear(10)), (1, 28, 28)))
    layer     is          output       parameters
    input                 (1, 28, 28)
    flatten1  Flatten()   (784,)                0
    linear1   Linear(10)  (10,)             7,850
    total                                   7,850
    """
    shape: Shape = data if isinstance(data, tuple) else data.shape
    return Summary(tuple(_rows("", network, shape)), shape, network.output_shape(shape))


def _rows(prefix: str, module: Module, shape: Shape) -> Iterator[Row]:
    inside = list(module.children(shape))
    own = _size(module, shape) - sum(_size(child, inputs) for _, child, inputs in inside)
    if own > 0 or not inside:
        yield Row(prefix or type(module).__name__, module, shape, module.output_shape(shape), own)
    for name, child, inputs in inside:
        yield from _rows(f"{prefix}.{name}" if prefix else name, child, inputs)


def _size(module: Module, shape: Shape) -> int:
    return sum(parameter.size for _, parameter in leaves(module.parameters(shape)))
