"""The layers without convolution: Flatten, Linear and the activations."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from treadle import ops
from treadle.errors import ShapeError
from treadle.nn.init import INITIALIZERS
from treadle.nn.module import Module, Parameter, Shape
from treadle.tensor import Tensor
from treadle.tree import Tree


@dataclass(frozen=True, repr=False)
class Flatten(Module):
    """All values of a sample in one row: (N, …) to (N, features).

    >>> Flatten().output_shape((1, 28, 28))
    (784,)
    """

    def forward(self, params: Tree, x: Tensor) -> Tensor:  # noqa: ARG002
        """Reshape to (N, features)."""
        return ops.reshape(x, (x.shape[0], math.prod(x.shape[1:])))

    def output_shape(self, shape: Shape) -> Shape:
        """Return (features,)."""
        return (math.prod(shape),)


@dataclass(frozen=True, repr=False)
class Linear(Module):
    """Fully connected layer: y = x W + b.

    Args:
        units: number of outputs; the number of inputs is inferred from the data.
        bias: whether to add b.
        weight_init: initialiser of W, (inputs, units); b begins at 0.

    Raises:
        ValueError: units is not a positive whole number, or no initialiser has that name.

    >>> Linear(10).output_shape((784,))
    (10,)
    """

    units: int
    bias: bool = True
    weight_init: str = "xavier_uniform"

    def __post_init__(self) -> None:
        units: Any = self.units
        if isinstance(units, bool) or not isinstance(units, (int, np.integer)) or units < 1:
            raise ValueError(f"Linear: units must be a positive whole number, found {units!r}")
        object.__setattr__(self, "units", int(units))  # NumPy's whole numbers too
        if self.weight_init not in INITIALIZERS:
            raise ValueError(f"Linear: no initialiser {self.weight_init!r}; there are {', '.join(INITIALIZERS)}")

    def forward(self, params: Tree, x: Tensor) -> Tensor:
        """Compute x W + b for x (N, inputs)."""
        y = ops.matmul(x, params["weight"])
        return ops.add(y, params["bias"]) if self.bias else y

    def parameters(self, shape: Shape) -> Tree:
        """Return weight (inputs, units) and bias (units,)."""
        (inputs,) = shape
        weight = Parameter((inputs, self.units), INITIALIZERS[self.weight_init], inputs, self.units)
        return {"weight": weight, "bias": Parameter((self.units,))} if self.bias else {"weight": weight}

    def output_shape(self, shape: Shape) -> Shape:
        """Return (units,); raise ShapeError unless a sample is one row of features."""
        if len(shape) != 1:
            raise ShapeError(f"expected samples of shape (features,), found {shape}: put a Flatten layer before it")
        return (self.units,)


@dataclass(frozen=True, repr=False)
class Sigmoid(Module):
    """1 / (1 + e^−x) of each value."""

    def forward(self, params: Tree, x: Tensor) -> Tensor:  # noqa: ARG002
        """Apply `ops.sigmoid`."""
        return ops.sigmoid(x)


@dataclass(frozen=True, repr=False)
class ReLU(Module):
    """max(x, 0) of each value."""

    def forward(self, params: Tree, x: Tensor) -> Tensor:  # noqa: ARG002
        """Apply `ops.relu`."""
        return ops.relu(x)


@dataclass(frozen=True, repr=False)
class Tanh(Module):
    """Hyperbolic tangent of each value."""

    def forward(self, params: Tree, x: Tensor) -> Tensor:  # noqa: ARG002
        """Apply `ops.tanh`."""
        return ops.tanh(x)


@dataclass(frozen=True, repr=False)
class Softmax(Module):
    """e^x / Σ e^x over the last axis: scores to probabilities.

    Cross-entropy from scores has softmax inside: a network that ends with this layer needs the loss
    CrossEntropy(from_probabilities=True).
    """

    def forward(self, params: Tree, x: Tensor) -> Tensor:  # noqa: ARG002
        """Apply `ops.softmax` over the last axis."""
        return ops.softmax(x, axis=-1)
