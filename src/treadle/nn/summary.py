"""What a network is, before anything is allocated: shapes, parameters, work and memory, layer by layer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from treadle.errors import ShapeError
from treadle.language import ENGLISH, Words
from treadle.nn.module import Module, Shape, described, require_count
from treadle.text import aligned
from treadle.tree import leaves

if TYPE_CHECKING:
    from treadle.optim import Optimizer

FLOAT = 4  # bytes of a float32
SHOWN = 40  # characters of a layer in the table
UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


@dataclass(frozen=True)
class Row:
    """One layer of a summary, or what a module around layers has besides them.

    Args:
        name: path of the layer, from the names of the modules around it.
        layer: itself.
        input_shape, output_shape: of one sample.
        parameters: their number, with those that are not trained.
        untrained: number of parameters that training changes without a gradient, such as running means.
        multiply_adds: of one sample in the forward pass, as `Module.multiply_adds` counts them.
        activation_bytes: of the outputs of one sample that the backward pass needs, in float32.
    """

    name: str
    layer: Module
    input_shape: Shape
    output_shape: Shape
    parameters: int
    untrained: int
    multiply_adds: int
    activation_bytes: int


@dataclass(frozen=True)
class Memory:
    """Bytes that training needs at least, in float32, by what they are for; `summary` says what is counted."""

    parameters: int
    gradients: int
    optimizer: int
    inputs: int
    activations: int

    @property
    def total(self) -> int:
        """Sum of all."""
        return self.parameters + self.gradients + self.optimizer + self.inputs + self.activations


@dataclass(frozen=True)
class Summary:
    """The layers of a network for inputs of one shape; printing it gives a table.

    `slots` is the number of values that the state of the optimiser has for each trained parameter, None where no
    optimiser was given.
    """

    rows: tuple[Row, ...]
    input_shape: Shape
    output_shape: Shape
    batch_size: int = 100
    slots: int | None = None

    @property
    def parameters(self) -> int:
        """Number of parameters of the whole network."""
        return sum(row.parameters for row in self.rows)

    @property
    def untrained(self) -> int:
        """Number of parameters that get no gradient."""
        return sum(row.untrained for row in self.rows)

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of one sample in the forward pass; the backward pass takes about twice as many."""
        return sum(row.multiply_adds for row in self.rows)

    @property
    def activation_bytes(self) -> int:
        """Bytes of the outputs of one sample that the backward pass needs."""
        return sum(row.activation_bytes for row in self.rows)

    @property
    def memory(self) -> Memory:
        """Bytes that training with batches of `batch_size` needs at least."""
        trained = FLOAT * (self.parameters - self.untrained)
        return Memory(
            parameters=FLOAT * self.parameters,
            gradients=trained,
            optimizer=trained * (self.slots or 0),
            inputs=self.batch_size * FLOAT * _size(self.input_shape),
            activations=self.batch_size * self.activation_bytes,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return rows, totals and memory as plain values, for JSON."""
        memory = self.memory
        return {
            "input": list(self.input_shape),
            "output": list(self.output_shape),
            "layers": [
                {
                    "name": row.name,
                    "layer": repr(row.layer),
                    "input": list(row.input_shape),
                    "output": list(row.output_shape),
                    **{name: getattr(row, name) for name in COUNTS},
                }
                for row in self.rows
            ],
            **{name: getattr(self, name) for name in COUNTS},
            "batch_size": self.batch_size,
            "memory_bytes": {**vars(memory), "total": memory.total},
        }

    def __str__(self) -> str:
        return self.text(ENGLISH)

    __repr__ = __str__

    def text(self, words: Words) -> str:
        """Return the summary as a table, with headings in a language."""
        head = (
            words("layer", "层"),
            words("is", "类型"),
            words("output", "输出"),
            words("parameters", "参数"),
            words("untrained", "不训练"),
            words("multiply-adds", "乘加次数"),
            words("activations", "激活"),
        )
        table: list[tuple[str, ...]] = [head, (words("input", "输入"), "", str(self.input_shape), "", "", "", "")]
        table += [(row.name, _cut(described(row.layer)), str(row.output_shape), *_figures(row)) for row in self.rows]
        table += [(words("total", "合计"), "", "", *_figures(self))]
        if not self.untrained:
            table = [(*line[:4], *line[5:]) for line in table]
        return "\n".join([*aligned(table, "<<<>"), "", self._memory_line(words)])

    def _memory_line(self, words: Words) -> str:
        memory = self.memory
        parts = {words("parameters", "参数"): memory.parameters, words("gradients", "梯度"): memory.gradients}
        parts |= {words("optimizer", "优化器"): memory.optimizer} if self.slots is not None else {}
        parts |= {words("inputs", "输入"): memory.inputs, words("activations", "激活"): memory.activations}
        listed = words(", ", "，").join(f"{name} {bytes_text(size)}" for name, size in parts.items())
        listed += "" if self.slots is not None else words("; without the state of an optimizer", "；不含优化器的状态")
        return words(
            "memory for batches of {:,}, at least: {} ({})", "批大小为 {:,} 时至少需要的内存：{}（{}）"
        ).format(self.batch_size, bytes_text(memory.total), listed)


COUNTS = ("parameters", "untrained", "multiply_adds", "activation_bytes")


def summary(network: Module, data: Any, *, batch_size: int = 100, optimizer: Optimizer | None = None) -> Summary:
    """Summarise a network for the samples of a data set, without allocating any of its parameters.

    Multiply-adds are those of matrix products and convolutions for one sample in the forward pass; a module of your
    own has 0 unless it overrides `Module.multiply_adds`. Activations are the outputs of the layers, float32, where
    they are not just another view as of Flatten. Memory is, in float32:

        parameters + gradients of the trained ones + state of the optimiser + batch_size · (inputs + activations)

    This is the least that training can do with: the first batches need all of it, those that follow mostly less. Not
    counted are the data set, Python and the libraries, and what a step needs beside: what a layer computes on the way
    to its output, gradients of outputs, work space of convolutions.

    Args:
        network: any module.
        data: a data set, the three sets, or the shape of one sample.
        batch_size: samples in a step, for the memory.
        optimizer: whose state is counted in the memory; without it that is left out.

    Raises:
        ShapeError: a layer cannot take what the layer before it gives; the message names it.
        TreadleError: batch_size is not a positive whole number.

    >>> import treadle as td
    >>> lenet = td.nn.Sequential(td.nn.Conv2d(20, 5, padding=2), td.nn.MaxPool2d(2), td.nn.Flatten(), td.nn.Linear(10))
    >>> print(summary(lenet, (1, 28, 28)))
    layer        is                        output        parameters  multiply-adds  activations
    input                                 (1, 28, 28)
    conv2d1      Conv2d(20, 5, padding=2)  (20, 28, 28)         520        392,000     61.2 KiB
    max_pool2d1  MaxPool2d(2)              (20, 14, 14)           0              0     15.3 KiB
    flatten1     Flatten()                 (3920,)                0              0          0 B
    linear1      Linear(10)                (10,)             39,210         39,200         40 B
    total                                                    39,730        431,200     76.6 KiB
    <BLANKLINE>
    memory for batches of 100, at least: 8.0 MiB (parameters 155.1 KiB, gradients 155.1 KiB, inputs 306.2 KiB,
    activations 7.4 MiB; without the state of an optimizer)
    """
    require_count("summary", "batch_size", batch_size)
    shape = sample_shape(data)
    output = network.output_shape(shape)
    slots = None if optimizer is None else optimizer.slots
    return Summary(tuple(_rows("", network, shape)), shape, output, int(batch_size), slots)


def sample_shape(data: Any) -> Shape:
    """Return the shape of one sample of a data set, of the training set of three sets, or the shape itself.

    Raises:
        ShapeError: it is neither, or has an axis that is no whole number of at least 0.

    >>> sample_shape((1, 28, 28))
    (1, 28, 28)
    """
    if isinstance(data, np.ndarray):
        raise ShapeError(
            f"expected the shape of one sample, found an array: give {data.shape[1:]}, without its first axis"
        )
    shape = data if isinstance(data, (tuple, list)) else getattr(getattr(data, "train", data), "shape", None)
    if not isinstance(shape, (tuple, list)) or not all(_is_size(n) for n in shape):
        raise ShapeError(f"expected a data set, or the shape of one sample such as (1, 28, 28), found {data!r}")
    return tuple(int(n) for n in shape)


def bytes_text(size: int) -> str:
    """Write a number of bytes for a person.

    >>> bytes_text(40), bytes_text(62720), bytes_text(3 * 2**30)
    ('40 B', '61.2 KiB', '3.0 GiB')
    """
    unit = min((max(size, 1).bit_length() - 1) // 10, len(UNITS) - 1)
    tenths = size * 10 >> 10 * unit  # whole numbers, for a size may be beyond all floats
    return f"{tenths // 10:,}.{tenths % 10} {UNITS[unit]}" if unit else f"{size} B"


def _is_size(n: Any) -> bool:
    return isinstance(n, (int, np.integer)) and not isinstance(n, bool) and int(n) >= 0


def _size(shape: Shape) -> int:
    return int(np.prod(shape, dtype=object))


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"


def _figures(counted: Row | Summary) -> tuple[str, str, str, str]:
    counts = (counted.parameters, counted.untrained, counted.multiply_adds)
    return (*(f"{count:,}" for count in counts), bytes_text(counted.activation_bytes))  # type: ignore[return-value]


def _rows(prefix: str, module: Module, shape: Shape) -> Iterator[Row]:
    inside = list(module.children(shape))
    whole, parts = _counts(module, shape), [_counts(child, inputs) for _, child, inputs in inside]
    own = tuple(count - sum(part[n] for part in parts) for n, count in enumerate(whole))
    if any(own) or not inside:
        yield Row(prefix or type(module).__name__, module, shape, module.output_shape(shape), *own)
    for name, child, inputs in inside:
        yield from _rows(f"{prefix}.{name}" if prefix else name, child, inputs)


def _counts(module: Module, shape: Shape) -> tuple[int, int, int, int]:
    parameters = [parameter for _, parameter in leaves(module.parameters(shape))]
    return (
        sum(parameter.size for parameter in parameters),
        sum(parameter.size for parameter in parameters if not parameter.trained),
        module.multiply_adds(shape),
        FLOAT * module.activations(shape),
    )
