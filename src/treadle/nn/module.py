"""Module: what a layer or network is; Sequential: layers one after the other."""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from treadle.autodiff.tape import place
from treadle.errors import MemoryLimitError, ShapeError, TreadleError
from treadle.memory import available
from treadle.nn.init import Initializer, stream, zeros
from treadle.nn.mode import EVALUATION, Mode
from treadle.tensor import Tensor
from treadle.text import constructor
from treadle.tree import Tree, leaves, map_with_path

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Parameter:
    """What a parameter will be: its shape, its initialiser, and the fans that the initialiser scales by.

    One with trained=False gets no gradient and no step of the optimiser: training changes it by `Mode.update` alone.
    """

    shape: Shape
    initializer: Initializer = zeros
    fan_in: int = 1
    fan_out: int = 1
    trained: bool = True

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


class Module(ABC):
    """A function of parameters and inputs, with what it takes to make the parameters.

    A module holds no parameters: they are a plain nested container that `init` makes and the caller keeps.
    Shapes are of one sample, without the batch axis.

    >>> import numpy as np, treadle as td
    >>> class Scale(td.nn.Module):
    ...     def parameters(self, shape):
    ...         return {"factor": td.nn.Parameter(shape)}
    ...     def forward(self, params, x, mode):
    ...         return x * params["factor"]
    >>> params = Scale().init((3,), seed=0)
    >>> Scale()(params, np.ones((2, 3), np.float32)).shape
    (2, 3)
    """

    @abstractmethod
    def forward(self, params: Tree, x: Tensor, mode: Mode) -> Tensor:
        """Compute the outputs (N, …) of inputs (N, …) with the parameters of this module.

        Modules inside are called with mode.child(name), the name under which their parameters are kept.
        """

    def parameters(self, shape: Shape) -> Tree:
        """Return the parameters for inputs of a shape: a nested container of `Parameter`. None unless overridden."""
        return {}

    def output_shape(self, shape: Shape) -> Shape:
        """Return the shape of an output for an input of a shape, or raise ShapeError. The same unless overridden."""
        return shape

    def children(self, shape: Shape) -> Iterator[tuple[str, Module, Shape]]:
        """Yield (name, module, input shape) of the modules inside, in order. None unless overridden."""
        return iter(())

    def multiply_adds(self, shape: Shape) -> int:
        """Return how many pairs of a multiplication and an addition one sample takes in the forward pass.

        Those of matrix products and convolutions: work value by value, such as activations, normalisation and biases,
        and pooling count as 0. Those of the modules inside unless overridden.
        """
        return sum(module.multiply_adds(inputs) for _, module, inputs in self.children(shape))

    def activations(self, shape: Shape) -> int:
        """Return how many values of outputs one sample leaves in memory for the backward pass.

        Those of the modules inside, or of its own output where there are none, unless overridden.
        """
        inside = [module.activations(inputs) for _, module, inputs in self.children(shape)]
        return sum(inside) if inside else math.prod(self.output_shape(shape))

    def init(self, shape: Shape, *, seed: int, dtype: DTypeLike = np.float32) -> Tree:
        """Make the parameters for inputs of a shape.

        Args:
            shape: of one sample.
            seed: same seed, same parameters.
            dtype: float32 or float64.

        Raises:
            ShapeError: a layer cannot take what the layer before it gives.
            MemoryLimitError: the machine has too little memory; nothing was allocated.
        """
        self.output_shape(shape)
        specification = self.parameters(shape)
        require_memory(specification, dtype)

        def make(path: str, spec: Parameter) -> Any:
            made = spec.initializer(stream(seed, path), spec.shape, spec.fan_in, spec.fan_out)
            return made.astype(dtype, copy=False)

        return map_with_path(make, specification)

    def __repr__(self) -> str:
        """The constructor call, with what is not the default."""
        return constructor(self)

    def __call__(self, params: Tree, x: Any, mode: Mode = EVALUATION) -> Tensor:
        """Compute the outputs of a tensor, or of an array outside the tape: in evaluation, unless told otherwise."""
        if not isinstance(x, Tensor):
            x = Tensor(x if hasattr(x, "dtype") else np.asarray(x))
        with place(mode.path):
            return self.forward(params, x, mode)


def require_count(layer: str, setting: str, value: Any) -> None:
    """Raise TreadleError unless a setting is a positive whole number."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise TreadleError(f"{layer}: {setting} must be a positive whole number, found {value!r}")


def axes_hint(shape: Shape) -> str:
    """Return what is likely wrong with the axes of a sample that should be an image, for the end of a message."""
    if len(shape) == 2:
        return f": the channels are an axis of their own, for grey images (1, {shape[0]}, {shape[1]})"
    return ": the shape is that of one sample, without the batch axis" if len(shape) == 4 else ""


def require_memory(specification: Tree, dtype: DTypeLike = np.float32, copies: int = 1) -> None:
    """Raise MemoryLimitError where parameters, in so many copies, need more memory than is available.

    The largest parameter is counted once more in float64, in which random numbers come.
    """
    sizes = {path: parameter.size for path, parameter in leaves(specification)}
    total, largest = sum(sizes.values()), max(sizes, key=lambda path: sizes[path], default="")
    needed = copies * total * np.dtype(dtype).itemsize + 8 * sizes.get(largest, 0)
    found = available()
    if needed > found:
        what = f"with {copies - 1} copies for training they need" if copies > 1 else "to be made they need"
        raise MemoryLimitError(
            f"the network has {total:,} parameters; {what} {gibibytes(needed)}, and {gibibytes(found)} are "
            f"available. The largest is {largest} with {sizes[largest]:,}: give that layer fewer units"
        )


def gibibytes(size: int) -> str:
    """Write a number of bytes for a person.

    >>> gibibytes(3 * 2**30)
    '3.0 GiB'
    """
    tenths = size * 10 // 2**30  # whole numbers, for a size may be beyond all floats
    return f"{tenths // 10:,}.{tenths % 10} GiB"


class Sequential(Module):
    """Layers one after the other; each gets a name from its class and its place among layers of that class.

    >>> import treadle as td
    >>> network = td.nn.Sequential(td.nn.Flatten(), td.nn.Linear(10), td.nn.ReLU(), td.nn.Linear(2))
    >>> list(network.layers)
    ['flatten1', 'linear1', 'relu1', 'linear2']
    >>> {name: list(params) for name, params in network.init((1, 28, 28), seed=0).items()}
    {'linear1': ['weight', 'bias'], 'linear2': ['weight', 'bias']}
    """

    def __init__(self, *layers: Module) -> None:
        self.layers: dict[str, Module] = {}
        counts: dict[str, int] = {}
        for layer in layers:
            if not isinstance(layer, Module):
                raise TypeError(f"Sequential takes modules, found {layer!r}")
            name = snake_case(type(layer).__name__)
            counts[name] = counts.get(name, 0) + 1
            self.layers[f"{name}{counts[name]}"] = layer

    def forward(self, params: Tree, x: Tensor, mode: Mode) -> Tensor:
        """Pass through the layers in order; a misfit names the layer."""
        for name, layer in self.layers.items():
            try:
                x = layer(params.get(name, {}), x, mode.child(name))
            except ShapeError as error:
                raise error.inside(name, described(layer)) from error
        return x

    def children(self, shape: Shape) -> Iterator[tuple[str, Module, Shape]]:
        """Yield (name, layer, input shape) in order; raise ShapeError that names the layer which does not fit."""
        for name, layer in self.layers.items():
            after = _output_shape(name, layer, shape)
            yield name, layer, shape
            shape = after

    def parameters(self, shape: Shape) -> Tree:
        """Return a dict from layer name to the layer's parameters; layers without any are left out."""
        found = {name: layer.parameters(inputs) for name, layer, inputs in self.children(shape)}
        return {name: parameters for name, parameters in found.items() if parameters}

    def output_shape(self, shape: Shape) -> Shape:
        """Return the shape that the last layer gives."""
        for name, layer in self.layers.items():
            shape = _output_shape(name, layer, shape)
        return shape

    def __repr__(self) -> str:
        return f"Sequential({', '.join(map(repr, self.layers.values()))})"


class Residual(Sequential):
    """x + f(x), with f the layers one after the other; or shortcut(x) + f(x).

    Args:
        layers: of f, named as in `Sequential`.
        shortcut: layers that bring x into the shape of f(x) where that is another one, mostly a 1×1 convolution
            with the stride of f; a module, or a list of them.

    Raises:
        ShapeError: f(x) and x, or what the shortcut makes of it, differ in shape.

    >>> import treadle as td
    >>> halved = Residual(td.nn.Conv2d(8, 3, stride=2, padding=1), shortcut=td.nn.Conv2d(8, 1, stride=2))
    >>> halved.output_shape((4, 6, 6)), list(halved.parameters((4, 6, 6)))
    ((8, 3, 3), ['conv2d1', 'shortcut'])

    Source: He et al., Deep residual learning for image recognition, CVPR 2016.
    """

    def __init__(self, *layers: Module, shortcut: Module | Sequence[Module] | None = None) -> None:
        super().__init__(*layers)
        if isinstance(shortcut, (list, tuple)):
            shortcut = Sequential(*shortcut)
        if shortcut is not None and not isinstance(shortcut, Module):
            raise TypeError(f"Residual takes a module or a list of modules as shortcut, found {shortcut!r}")
        self.shortcut = shortcut

    def forward(self, params: Tree, x: Tensor, mode: Mode) -> Tensor:
        """Add what the layers make of x to x, or to what the shortcut makes of it."""
        y = super().forward(params, x, mode)
        if self.shortcut is not None:
            try:
                x = self.shortcut(params.get("shortcut", {}), x, mode.child("shortcut"))
            except ShapeError as error:
                raise error.inside("shortcut", described(self.shortcut)) from error
        if x.shape != y.shape:  # adding would broadcast
            raise ShapeError(self._misfit(x.shape, y.shape))
        return x + y

    def children(self, shape: Shape) -> Iterator[tuple[str, Module, Shape]]:
        """Yield (name, layer, input shape) of the layers in order, then the shortcut."""
        self.output_shape(shape)
        yield from super().children(shape)
        if self.shortcut is not None:
            yield "shortcut", self.shortcut, shape

    def activations(self, shape: Shape) -> int:
        """Return those of the layers and the shortcut, and those of the sum."""
        return super().activations(shape) + math.prod(self.output_shape(shape))

    def output_shape(self, shape: Shape) -> Shape:
        """Return the shape that the layers give; raise ShapeError where the shortcut gives another."""
        out = super().output_shape(shape)
        side = shape if self.shortcut is None else _output_shape("shortcut", self.shortcut, shape)
        if out != side:
            raise ShapeError(self._misfit(side, out))
        return out

    def _misfit(self, side: Shape, out: Shape) -> str:
        if self.shortcut is None:
            return (
                f"x has shape {side} and f(x) {out}, so they cannot be added: give a shortcut of that shape, such as "
                "shortcut=Conv2d(filters, 1, stride=…), a 1×1 convolution with the filters and the stride of f"
            )
        return (
            f"the shortcut gives {side} and f(x) {out}, so they cannot be added: give both the same filters and stride"
        )

    def __repr__(self) -> str:
        shown = [repr(layer) for layer in self.layers.values()]
        return f"Residual({', '.join(shown + ([f'shortcut={self.shortcut!r}'] if self.shortcut else []))})"


def described(module: Module) -> str:
    """Write what a module is; one that has layers inside without them.

    >>> described(Sequential(Residual())), described(Residual())
    ('Sequential(…)', 'Residual(…)')
    """
    return f"{type(module).__name__}(…)" if isinstance(module, Sequential) else repr(module)


def _output_shape(name: str, module: Module, shape: Shape) -> Shape:
    """The output shape of a module inside another; an error names it."""
    try:
        return module.output_shape(shape)
    except ShapeError as error:
        raise error.inside(name, described(module)) from error


def snake_case(name: str) -> str:
    """Write a class name in snake case, as recipes and layer names do.

    >>> snake_case("Linear"), snake_case("ReLU"), snake_case("MaxPool2d")
    ('linear', 'relu', 'max_pool2d')
    """
    return re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", "_", name).lower()
