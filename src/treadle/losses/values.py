"""Losses that compare numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from treadle import ops
from treadle.errors import LossError
from treadle.losses.loss import Array, Loss, require
from treadle.tensor import Tensor


def _same_shape(name: str, outputs: Tensor, targets: Array) -> None:
    if outputs.shape != targets.shape:
        hint = ""
        if outputs.ndim == 2 and outputs.shape[1] == 1 and targets.shape == outputs.shape[:1]:
            n = targets.shape[0]
            hint = f": broadcasting would compare every prediction with every target ({n}×{n}); write targets[:, None]"
        raise LossError(f"{name}: predictions have shape {outputs.shape}, targets {targets.shape}{hint}")


def _mean_of_rows(x: Tensor) -> Tensor:
    return ops.mean(ops.reshape(x, (x.shape[0], -1)), axis=1) if x.ndim > 1 else x


@dataclass(frozen=True, repr=False)
class SquaredError(Loss):
    """Mean squared error (1/N) Σ (y − z)². Gradient by the predictions: 2 (z − y) / N.

    Args:
        halved: ½ (1/N) Σ (y − z)², as in the course's derivation, with gradient (z − y) / N.

    N counts all elements of the predictions.

    >>> import numpy as np, treadle as td
    >>> SquaredError()(td.tensor([[1.0], [3.0]]), np.array([[0.0], [0.0]])).item()
    5.0
    """

    compares: ClassVar[Literal["values"]] = "values"
    nonnegative: ClassVar[bool] = True
    halved: bool = False

    def __call__(self, outputs: Tensor, targets: Array) -> Tensor:
        """Return the mean of (y − z)² for predictions and targets of one shape."""
        _same_shape("squared error", outputs, targets)
        difference = outputs - targets
        mean = ops.mean(difference * difference)
        return mean * 0.5 if self.halved else mean

    def each(self, outputs: Tensor, targets: Array) -> Tensor:
        """Return the mean of (y − z)² of each sample, halved if asked for."""
        _same_shape("squared error", outputs, targets)
        difference = outputs - targets
        mean = _mean_of_rows(difference * difference)
        return mean * 0.5 if self.halved else mean

    def constant(self, targets: Array, outputs: int) -> Array:  # noqa: ARG002
        """Return the mean, whose loss is the variance of the targets, or half of it."""
        return np.asarray(np.mean(targets, axis=0, dtype=np.float64))


@dataclass(frozen=True, repr=False)
class AbsoluteError(Loss):
    """Mean absolute error (1/N) Σ |y − z|. Gradient by the predictions: sign(z − y) / N, 0 where equal.

    >>> import numpy as np, treadle as td
    >>> AbsoluteError()(td.tensor([[1.0], [3.0]]), np.array([[0.0], [0.0]])).item()
    2.0
    """

    compares: ClassVar[Literal["values"]] = "values"
    nonnegative: ClassVar[bool] = True

    def __call__(self, outputs: Tensor, targets: Array) -> Tensor:
        """Return the mean of |y − z| for predictions and targets of one shape."""
        _same_shape("absolute error", outputs, targets)
        return ops.mean(ops.abs(outputs - targets))

    def each(self, outputs: Tensor, targets: Array) -> Tensor:
        """Return the mean of |y − z| of each sample."""
        _same_shape("absolute error", outputs, targets)
        return _mean_of_rows(ops.abs(outputs - targets))

    def constant(self, targets: Array, outputs: int) -> Array:  # noqa: ARG002
        """Return the median."""
        return np.asarray(np.median(targets, axis=0))


@dataclass(frozen=True, repr=False)
class Huber(Loss):
    """Huber's loss, the mean of ½ d² where |d| ≤ delta and delta (|d| − ½ delta) elsewhere, for d = z − y.

    Gradient by the predictions: max(−delta, min(d, delta)) / N.

    Args:
        delta: above 0, where the parabola becomes a straight line, so that outliers pull with no more than this.

    >>> import numpy as np, treadle as td
    >>> Huber()(td.tensor([[1.0], [3.0]]), np.array([[0.0], [0.0]])).item()
    1.5

    Source: Huber, Robust estimation of a location parameter, Annals of Mathematical Statistics 35, 1964.
    """

    compares: ClassVar[Literal["values"]] = "values"
    nonnegative: ClassVar[bool] = True
    delta: float = 1.0

    def __post_init__(self) -> None:
        require("Huber", "delta", self.delta, 0 < self.delta < math.inf, "above 0")

    def __call__(self, outputs: Tensor, targets: Array) -> Tensor:
        """Return the mean over all elements for predictions and targets of one shape."""
        return ops.mean(self._elements(outputs, targets))

    def each(self, outputs: Tensor, targets: Array) -> Tensor:
        """Return the mean of each sample."""
        return _mean_of_rows(self._elements(outputs, targets))

    def constant(self, targets: Array, outputs: int) -> Array:  # noqa: ARG002
        """Return where the mean of max(−delta, min(d, delta)) is 0, by bisection."""
        low, high = np.min(targets, axis=0).astype(np.float64), np.max(targets, axis=0).astype(np.float64)
        for _ in range(60):
            middle = (low + high) / 2
            above = np.mean(np.clip(middle - targets, -self.delta, self.delta), axis=0) > 0
            low, high = np.where(above, low, middle), np.where(above, middle, high)
        return np.asarray((low + high) / 2)

    def _elements(self, outputs: Tensor, targets: Array) -> Tensor:
        _same_shape("Huber's loss", outputs, targets)
        size = ops.abs(outputs - targets)
        inside = ops.minimum(size, self.delta)
        return inside * (size - inside * 0.5)
