"""The layers without convolution: Flatten, Linear and the activations."""

from __future__ import annotations

import math
from dataclasses import dataclass

from treadle import ops
from treadle.errors import ShapeError
from treadle.nn.init import INITIALIZERS, require_initializer
from treadle.nn.mode import Mode
from treadle.nn.module import Module, Parameter, Shape, require_count
from treadle.tensor import Tensor
from treadle.tree import Tree


@dataclass(frozen=True, repr=False)
class Flatten(Module):
    """All values of a sample in one row: (N, …) to (N, features).

    >>> Flatten().output_shape((1, 28, 28))
    (784,)
    """

    def forward(self, params: Tree, x: Tensor, mode: Mode) -> Tensor:
        """Reshape to (N, features)."""
        return ops.reshape(x, (x.shape[0], math.prod(x.shape[1:])))

    def output_shape(self, shape: Shape) -> Shape:
        """Return (features,)."""
        return (math.prod(shape),)

    def activations(self, shape: Shape) -> int:
        """Return 0: its output is another view of its input."""
        return 0


@dataclass(frozen=True, repr=False)
class Linear(Module):
    """Fully connected layer: y = x W + b.

    Args:
        units: number of outputs; the number of inputs is inferred from the data.
        bias: whether to add b.
        weight_init: initialiser of W, (inputs, units); b begins at 0.

    Raises:
        TreadleError: units is not a positive whole number, or no initialiser has that name.

    >>> Linear(10).output_shape((784,))
    (10,)
    """

    units: int
    bias: bool = True
    weight_init: str = "xavier_uniform"

    def __post_init__(self) -> None:
        require_count("Linear", "units", self.units)
        object.__setattr__(self, "units", int(self.units))  # NumPy's whole numbers too
        require_initializer("Linear", self.weight_init)

    def forward(self, params: Tree, x: Tensor, mode: Mode) -> Tensor:
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
        if shape[0] < 1:
            raise ShapeError(f"expected samples with at least one feature, found {shape}: look at the data")
        return (self.units,)

    def multiply_adds(self, shape: Shape) -> int:
        """Return inputs · units."""
        return shape[0] * self.units


@dataclass(frozen=True, repr=False)
class Sigmoid(Module):
    """1 / (1 + e^−x) of each value."""

    def forward(self, params: Tree, x: Tensor, mode: Mode) -> Tensor:
        """Apply `ops.sigmoid`."""
        return ops.sigmoid(x)


@dataclass(frozen=True, repr=False)
class ReLU(Module):
    """max(x, 0) of each value."""

    def forward(self, params: Tree, x: Tensor, mode: Mode) -> Tensor:
        """Apply `ops.relu`."""
        return ops.relu(x)


@dataclass(frozen=True, repr=False)
class Tanh(Module):
    """Hyperbolic tangent of each value."""

    def forward(self, params: Tree, x: Tensor, mode: Mode) -> Tensor:
        """Apply `ops.tanh`."""
        return ops.tanh(x)


@dataclass(frozen=True, repr=False)
class Softmax(Module):
    """e^x / Σ e^x over the last axis: scores to probabilities.

    Cross-entropy from scores has softmax inside: a network that ends with this layer needs the loss
    CrossEntropy(from_probabilities=True).
    """

    def forward(self, params: Tree, x: Tensor, mode: Mode) -> Tensor:
        """Apply `ops.softmax` over the last axis."""
        return ops.softmax(x, axis=-1)


@dataclass(frozen=True, repr=False)
class LeakyReLU(Module):
    """x where x > 0, else slope · x, of each value.

    Args:
        slope: for negative values, so that these too pass a gradient.

    Source: Maas, Hannun and Ng, Rectifier nonlinearities improve neural network acoustic models, ICML 2013.
    """

    slope: float = 0.01

    def forward(self, params: Tree, x: Tensor, mode: Mode) -> Tensor:
        """Apply `ops.leaky_relu`."""
        return ops.leaky_relu(x, slope=self.slope)


@dataclass(frozen=True, repr=False)
class GELU(Module):
    """x Φ(x) of each value, with Φ the distribution function of the standard normal; the exact form.

    Source: Hendrycks and Gimpel, Gaussian error linear units, arXiv 1606.08415, 2016.
    """

    def forward(self, params: Tree, x: Tensor, mode: Mode) -> Tensor:
        """Apply `ops.gelu`."""
        return ops.gelu(x)


@dataclass(frozen=True, repr=False)
class SiLU(Module):
    """x · sigmoid(x) of each value, also called swish.

    Source: Elfwing, Uchibe and Doya, Sigmoid-weighted linear units, Neural Networks 2018.
    """

    def forward(self, params: Tree, x: Tensor, mode: Mode) -> Tensor:
        """Apply `ops.silu`."""
        return ops.silu(x)


@dataclass(frozen=True, repr=False)
class Softplus(Module):
    """log(1 + e^x) of each value, a smooth ReLU.

    Source: Dugas et al., Incorporating second-order functional knowledge for better option pricing, NIPS 2000.
    """

    def forward(self, params: Tree, x: Tensor, mode: Mode) -> Tensor:
        """Apply `ops.softplus`."""
        return ops.softplus(x)
