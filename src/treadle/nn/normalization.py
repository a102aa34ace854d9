"""Layers that normalise or regularise: BatchNorm, LayerNorm and Dropout."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass

from treadle import ops
from treadle.errors import ShapeError, TreadleError
from treadle.nn.init import ones
from treadle.nn.mode import Mode
from treadle.nn.module import Module, Parameter, Shape, axes_hint
from treadle.tensor import Tensor
from treadle.tree import Tree


def _require_positive(layer: str, epsilon: float) -> None:
    if not 0 < epsilon < math.inf:
        raise TreadleError(f"{layer}: epsilon must be a positive number, found {epsilon!r}")


def _require_features_or_images(shape: Shape) -> None:
    if len(shape) not in (1, 3):
        expected = "expected samples of shape (features,) or (channels, height, width)"
        raise ShapeError(f"{expected}, found {shape}{axes_hint(shape)}")


@dataclass(frozen=True, repr=False)
class BatchNorm(Module):
    """Each feature, or channel of images, to mean 0 and variance 1 over the batch, then y = scale · x + shift.

    In training mean and variance are those of the batch; the running ones move towards them, running ←
    (1 − momentum) · running + momentum · batch, with n − 1 in the variance. In evaluation the running ones are used.

    Args:
        momentum: how far the running mean and variance move in a step, from 0 to 1, unless the mode says otherwise.
        epsilon: what is added to the variance before the root.

    Raises:
        TreadleError: momentum or epsilon is out of range.
        ShapeError: samples are neither features nor images; in training, a batch has one value per channel alone.

    >>> sorted(BatchNorm().parameters((64,)))
    ['running_mean', 'running_var', 'scale', 'shift']

    Source: Ioffe and Szegedy, Batch normalization, ICML 2015.
    """

    momentum: float = 0.1
    epsilon: float = 1e-5

    def __post_init__(self) -> None:
        if not 0 <= self.momentum <= 1:
            raise TreadleError(f"BatchNorm: momentum must be from 0 to 1, found {self.momentum!r}")
        _require_positive("BatchNorm", self.epsilon)

    def forward(self, params: Tree, x: Tensor, mode: Mode) -> Tensor:
        """Normalise x (N, C) or (N, C, H, W) over all axes but that of C."""
        axes = (0, *range(2, x.ndim))
        along = (-1, *(1,) * (x.ndim - 2))  # shape in which (C,) meets (N, C, …)
        scale, shift = ops.reshape(params["scale"], along), ops.reshape(params["shift"], along)
        if not mode.training:
            mean, variance = (ops.reshape(_value(params[name]), along) for name in ("running_mean", "running_var"))
            return (x - mean) * (scale / ops.sqrt(variance + self.epsilon)) + shift
        count = math.prod(x.shape[axis] for axis in axes)
        if count < 2:
            raise ShapeError(
                f"training needs more than one value per channel to take a variance, and the batch is {x.shape}: "
                "choose a batch size that leaves no last batch of one sample, or evaluate"
            )
        batch = _value(x)
        share = self.momentum if mode.momentum is None else mode.momentum
        for name, found in (("running_mean", ops.mean(batch, axes)), ("running_var", ops.var(batch, axes, ddof=1))):
            running = _value(params[name])
            mode.update(running, running * (1 - share) + found * share)
        return ops.standardize(x, axes=axes, epsilon=self.epsilon) * scale + shift

    def parameters(self, shape: Shape) -> Tree:
        """Return scale and shift, which are trained, and the running mean and variance, which are not: all (C,)."""
        size = shape[:1]
        return {
            "scale": Parameter(size, ones),
            "shift": Parameter(size),
            "running_mean": Parameter(size, trained=False),
            "running_var": Parameter(size, ones, trained=False),
        }

    def output_shape(self, shape: Shape) -> Shape:
        """Return the same shape; raise ShapeError unless samples are features or images."""
        _require_features_or_images(shape)
        return shape


def _value(x: Tensor) -> Tensor:
    """The same numbers outside the tape."""
    return Tensor(x.data if isinstance(x, Tensor) else x)


@dataclass(frozen=True, repr=False)
class LayerNorm(Module):
    """Each sample to mean 0 and variance 1 over all its values, then y = scale · x + shift, value by value.

    For images the values are those of all channels, rows and columns. Training and evaluation compute the same.

    Args:
        epsilon: what is added to the variance before the root.

    Raises:
        TreadleError: epsilon is not positive.
        ShapeError: samples are neither features nor images.

    >>> LayerNorm().init((3,), seed=0)["scale"]
    array([1., 1., 1.], dtype=float32)

    Source: Ba, Kiros and Hinton, Layer normalization, arXiv 1607.06450, 2016.
    """

    epsilon: float = 1e-5

    def __post_init__(self) -> None:
        _require_positive("LayerNorm", self.epsilon)

    def forward(self, params: Tree, x: Tensor, mode: Mode) -> Tensor:
        """Normalise x (N, F) or (N, C, H, W) over all axes but the first."""
        found = ops.standardize(x, axes=tuple(range(1, x.ndim)), epsilon=self.epsilon)
        return found * params["scale"] + params["shift"]  # type: ignore[no-any-return]

    def parameters(self, shape: Shape) -> Tree:
        """Return scale and shift in the shape of a sample."""
        return {"scale": Parameter(shape, ones), "shift": Parameter(shape)}

    def output_shape(self, shape: Shape) -> Shape:
        """Return the same shape; raise ShapeError unless samples are features or images with at least one value."""
        _require_features_or_images(shape)
        if not math.prod(shape):
            raise ShapeError(f"expected samples with at least one value, found shape {shape}")
        return shape


@dataclass(frozen=True, repr=False)
class Dropout(Module):
    """In training each value becomes 0 with probability rate, else x / (1 − rate); in evaluation all stay.

    Which do follows from the step's key, the layer's place in the network and the place of the value alone.

    Args:
        rate: probability of 0, from 0 to 1.

    Raises:
        TreadleError: rate is out of range, or training has no key to draw from.

    >>> import numpy as np, treadle as td
    >>> x, mode = np.ones((1, 8)), td.nn.Mode(training=True, key=np.uint64(1))
    >>> Dropout(0.5)({}, x).numpy()
    array([[1., 1., 1., 1., 1., 1., 1., 1.]])
    >>> Dropout(0.5)({}, x, mode).numpy()
    array([[0., 2., 0., 2., 0., 2., 2., 0.]])

    Source: Srivastava et al., Dropout: a simple way to prevent neural networks from overfitting, JMLR 2014.
    """

    rate: float

    def __post_init__(self) -> None:
        if isinstance(self.rate, bool) or not 0 <= self.rate <= 1:
            raise TreadleError(f"Dropout: rate must be from 0 to 1, found {self.rate!r}")

    def forward(self, params: Tree, x: Tensor, mode: Mode) -> Tensor:
        """Multiply x (N, …) by a mask in training."""
        if not mode.training or self.rate == 0:
            return x
        if mode.key is None:
            raise TreadleError(
                "Dropout draws from the key of the mode, and this one has none: give "
                "Mode(training=True, key=numpy.uint64(…)), another number in each step"
            )
        salt = zlib.crc32(mode.path.encode())
        mask = ops.dropout_mask(mode.key, salt=salt, shape=x.shape, rate=self.rate, dtype=x.dtype)
        return ops.multiply(x, mask)
