"""Layers of images (channels, height, width): convolution and pooling."""

from __future__ import annotations

import math
from dataclasses import dataclass

from treadle import ops
from treadle.errors import ShapeError
from treadle.nn.init import INITIALIZERS, require_initializer
from treadle.nn.mode import Mode
from treadle.nn.module import Module, Parameter, Shape, axes_hint, require_count
from treadle.ops._shapes import pair, window_counts
from treadle.ops.pooling import pooling_settings
from treadle.tensor import Tensor
from treadle.tree import Tree

Size = int | tuple[int, int]


def _require_image(shape: Shape) -> None:
    if len(shape) != 3:
        hint = axes_hint(shape)
        if len(shape) == 1:
            hint = ": convolution and pooling come before Flatten; rows of features go to Linear"
        raise ShapeError(f"expected samples of shape (channels, height, width), found {shape}{hint}")
    if shape[0] < 1:
        raise ShapeError(f"expected images with at least one channel, found samples of shape {shape}: look at the data")


@dataclass(frozen=True, repr=False)
class Conv2d(Module):
    """Convolution of images: y[o] = Σ_c x[c] ⋆ w[o, c] + b[o], a cross-correlation as in all frameworks.

    Args:
        filters: number of output channels; the number of input channels is inferred from the data.
        size: rows and columns of a filter; every setting but groups is a number or a pair.
        stride: rows and columns from one window to the next.
        padding: rows and columns of zeros on each side; (size − 1) / 2 keeps height and width for odd sizes.
        dilation: rows and columns from one element of a window to the next.
        groups: into how many groups channels and filters are divided; each filter sees the channels of its group.
        bias: whether to add b; not needed before BatchNorm, which takes the mean away again.
        weight_init: initialiser of w, (filters, channels / groups, *size); b begins at 0. Convolutions are mostly
            followed by ReLU, which the default is for.

    Raises:
        ShapeError: a size is not of its kind, groups do not divide filters or channels, or the image is too small.
        TreadleError: filters or groups is not a positive whole number, or no initialiser has that name.

    >>> Conv2d(20, 5, padding=2).output_shape((1, 28, 28))
    (20, 28, 28)

    Source: LeCun et al., Gradient-based learning applied to document recognition, Proceedings of the IEEE 1998.
    """

    filters: int
    size: Size
    stride: Size = 1
    padding: Size = 0
    dilation: Size = 1
    groups: int = 1
    bias: bool = True
    weight_init: str = "he_uniform"

    def __post_init__(self) -> None:
        require_count("Conv2d", "filters", self.filters)
        require_count("Conv2d", "groups", self.groups)
        pair("Conv2d", "size", self.size)
        self._settings()
        if self.filters % self.groups:
            raise ShapeError(f"Conv2d: {self.groups} groups must divide the {self.filters} filters")
        require_initializer("Conv2d", self.weight_init)

    def _settings(self) -> dict[str, tuple[int, int]]:
        return {
            "stride": pair("Conv2d", "stride", self.stride),
            "padding": pair("Conv2d", "padding", self.padding, least=0),
            "dilation": pair("Conv2d", "dilation", self.dilation),
        }

    def forward(self, params: Tree, x: Tensor, mode: Mode) -> Tensor:
        """Apply `ops.conv2d` to x (N, C, H, W)."""
        bias = params["bias"] if self.bias else None
        return ops.conv2d(x, params["weight"], bias, groups=self.groups, **self._settings())

    def parameters(self, shape: Shape) -> Tree:
        """Return weight (filters, channels / groups, *size) and bias (filters,)."""
        rows, columns = pair("Conv2d", "size", self.size)
        inputs = shape[0] // self.groups
        weight = Parameter(
            (self.filters, inputs, rows, columns),
            INITIALIZERS[self.weight_init],
            fan_in=inputs * rows * columns,
            fan_out=self.filters // self.groups * rows * columns,
        )
        return {"weight": weight, "bias": Parameter((self.filters,))} if self.bias else {"weight": weight}

    def output_shape(self, shape: Shape) -> Shape:
        """Return (filters, height, width); raise ShapeError where an image does not fit."""
        _require_image(shape)
        if shape[0] % self.groups:
            raise ShapeError(
                f"{self.groups} groups must divide the {shape[0]} channels of samples {shape}, and the "
                f"{self.filters} filters: choose a divisor of {math.gcd(shape[0], self.filters)}"
            )
        return (self.filters, *window_counts("", shape, pair("Conv2d", "size", self.size), **self._settings()))

    def multiply_adds(self, shape: Shape) -> int:
        """Return filters · output height · output width · channels / groups · rows · columns of a filter."""
        each = shape[0] // self.groups * math.prod(pair("Conv2d", "size", self.size))
        return math.prod(self.output_shape(shape)) * each


@dataclass(frozen=True, repr=False)
class _Pool2d(Module):
    """What both kinds of pooling share: settings and shapes."""

    size: Size
    stride: Size | None = None
    padding: Size = 0

    def __post_init__(self) -> None:
        self._settings()

    def _settings(self) -> dict[str, tuple[int, int]]:
        return pooling_settings(type(self).__name__, self.size, self.stride, self.padding)

    def output_shape(self, shape: Shape) -> Shape:
        """Return (channels, height, width); raise ShapeError where an image does not fit."""
        _require_image(shape)
        return (shape[0], *window_counts("", shape, **self._settings()))


@dataclass(frozen=True, repr=False)
class MaxPool2d(_Pool2d):
    """Largest value of each window, channel by channel; its gradient goes to the first of the largest.

    Args:
        size: rows and columns of a window; every setting is a number or a pair.
        stride: rows and columns from one window to the next; the size where none is given.
        padding: rows and columns around the image, which are never the largest; half of the size at most.

    Raises:
        ShapeError: a setting is not of its kind, or the image is too small.

    >>> MaxPool2d(2).output_shape((20, 28, 28))
    (20, 14, 14)
    """

    def forward(self, params: Tree, x: Tensor, mode: Mode) -> Tensor:
        """Apply `ops.max_pool2d` to x (N, C, H, W)."""
        return ops.max_pool2d(x, **self._settings())


@dataclass(frozen=True, repr=False)
class AvgPool2d(_Pool2d):
    """Mean of each window, channel by channel, in which the zeros around the image count.

    Args:
        size: rows and columns of a window; every setting is a number or a pair.
        stride: rows and columns from one window to the next; the size where none is given.
        padding: rows and columns of zeros on each side, half of the size at most.

    Raises:
        ShapeError: a setting is not of its kind, or the image is too small.

    >>> AvgPool2d(3, stride=2, padding=1).output_shape((20, 28, 28))
    (20, 14, 14)
    """

    def forward(self, params: Tree, x: Tensor, mode: Mode) -> Tensor:
        """Apply `ops.avg_pool2d` to x (N, C, H, W)."""
        return ops.avg_pool2d(x, **self._settings())


@dataclass(frozen=True, repr=False)
class GlobalAvgPool2d(Module):
    """Mean of each channel: (N, C, H, W) to (N, C), for images of any height and width.

    >>> GlobalAvgPool2d().output_shape((64, 7, 7))
    (64,)

    Source: Lin, Chen and Yan, Network in network, ICLR 2014.
    """

    def forward(self, params: Tree, x: Tensor, mode: Mode) -> Tensor:
        """Take the mean over height and width."""
        return ops.mean(x, (2, 3))

    def output_shape(self, shape: Shape) -> Shape:
        """Return (channels,); raise ShapeError unless samples are images with at least one pixel."""
        _require_image(shape)
        if not math.prod(shape[1:]):
            raise ShapeError(f"expected images with at least one pixel, found samples of shape {shape}")
        return (shape[0],)
