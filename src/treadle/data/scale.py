"""Scalers: fitted on the training set alone, applied to a batch when it is made, saved with the model."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from treadle.errors import DataError


@dataclass(frozen=True, eq=False)
class FittedScale:
    """The affine map (x − offset)·factor; offset and factor hold one number for all features, or one per feature (F,).

    >>> scale = FittedScale("minmax", np.array([2.0]), np.array([0.5]))
    >>> scale.apply(np.array([[2, 4]], np.uint8))
    array([[0., 1.]], dtype=float32)
    """

    kind: str
    offset: NDArray[np.float64]
    factor: NDArray[np.float64]

    def apply(self, inputs: NDArray[Any], dtype: DTypeLike = np.float32) -> NDArray[Any]:
        """Scale inputs (N, ...) into a new array of a float dtype; raises DataError for another number of features."""
        target = np.dtype(dtype)
        if target.kind != "f":
            raise DataError(f"scaled inputs need a floating-point dtype, not {target}")
        self._check(inputs)
        # Integers of up to 16 bits are exact in float32; anything else is subtracted in float64, so that features
        # far from zero keep their differences.
        exact = inputs.dtype.kind in "bui" and inputs.dtype.itemsize <= 2 and target.itemsize >= 4
        work = target if exact else np.dtype(np.float64)
        scaled = inputs.astype(work)
        if self.offset.any():
            np.subtract(scaled, self.offset.astype(work), out=scaled)
        if (self.factor != 1).any():
            np.multiply(scaled, self.factor.astype(work), out=scaled)
        return scaled.astype(target, copy=False)

    def invert(self, scaled: NDArray[Any]) -> NDArray[np.float64]:
        """Undo `apply`: y/factor + offset; a constant feature (factor 0) gives back its constant.

        >>> FittedScale("minmax", np.array([2.0, 7.0]), np.array([0.5, 0.0])).invert(np.array([[1.0, 0.0]]))
        array([[4., 7.]])
        """
        self._check(scaled)
        constant = self.factor == 0
        span = np.where(constant, 0.0, 1.0 / np.where(constant, 1.0, self.factor))
        restored: NDArray[np.float64] = scaled.astype(np.float64) * span + self.offset
        return restored

    def to_dict(self) -> dict[str, Any]:
        """The scale as plain lists of numbers, for JSON.

        >>> NoScale().fit(np.zeros((1, 2))).to_dict()
        {'kind': 'none', 'offset': [0.0], 'factor': [1.0]}
        """
        return {"kind": self.kind, "offset": self.offset.tolist(), "factor": self.factor.tolist()}

    def _check(self, inputs: NDArray[Any]) -> None:
        if self.offset.size > 1 and inputs.shape[-1:] != self.offset.shape:
            raise DataError(f"scale of {self.offset.size} features cannot take inputs of shape {inputs.shape}")


class Scale(Protocol):
    """What is to be fitted: `fit` measures the inputs of the training set."""

    kind: ClassVar[str]

    def fit(self, inputs: NDArray[Any]) -> FittedScale:
        """Measure inputs (N, ...) of the training set."""
        ...


@dataclass(frozen=True)
class MinMax:
    """Scale to 0–1: (x − min)/(max − min), where min and max are those of the training set.

    Rows of features (N, F) are scaled feature by feature; the pixels of images share one minimum and maximum.
    A constant feature gets factor 0 and becomes 0.

    >>> MinMax().fit(np.array([[1.0, 5.0], [3.0, 5.0]])).apply(np.array([[2.0, 5.0]]))
    array([[0.5, 0. ]], dtype=float32)
    """

    kind: ClassVar[str] = "minmax"

    def fit(self, inputs: NDArray[Any]) -> FittedScale:
        """Take minimum and maximum of inputs (N, ...); raises DataError for empty, non-finite or unscalable inputs."""
        if inputs.ndim < 2 or not inputs.size:
            raise DataError(f"minmax: expected samples (N, ...), found shape {inputs.shape}")
        axis = 0 if inputs.ndim == 2 else None
        low = np.atleast_1d(inputs.min(axis=axis)).astype(np.float64)
        high = np.atleast_1d(inputs.max(axis=axis)).astype(np.float64)
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            span = high - low
            factor = np.where(span == 0, 0.0, 1.0 / span)
        usable = np.isfinite(span) & np.isfinite(factor)
        if not usable.all():
            feature = int(np.argmin(usable))
            where = f"feature {feature}" if inputs.ndim == 2 else "inputs"
            raise DataError(f"minmax: {where} cannot be scaled: its range is {low[feature]}..{high[feature]}")
        return FittedScale(self.kind, low, factor)


@dataclass(frozen=True)
class NoScale:
    """Leave the numbers as they are; only the dtype changes.

    >>> NoScale().fit(np.zeros((1, 2))).apply(np.array([[0, 255]], np.uint8))
    array([[  0., 255.]], dtype=float32)
    """

    kind: ClassVar[str] = "none"

    def fit(self, inputs: NDArray[Any]) -> FittedScale:  # noqa: ARG002 - every scale is fitted the same way
        """Return the identity."""
        return FittedScale(self.kind, np.zeros(1), np.ones(1))


SCALES: dict[str, type[MinMax] | type[NoScale]] = {"minmax": MinMax, "none": NoScale}


def scale_from_dict(saved: Mapping[str, Any]) -> FittedScale:
    """Rebuild a scale from what `to_dict` gave; raises DataError for missing, unequal or non-finite numbers.

    >>> scale_from_dict({"kind": "none", "offset": [0.0], "factor": [1.0]}).kind
    'none'
    """
    kind = saved.get("kind")
    if not isinstance(kind, str) or kind not in SCALES:
        raise DataError(f"saved scale: unknown kind {kind!r}; known: {', '.join(SCALES)}")
    offset, factor = _numbers(saved, "offset"), _numbers(saved, "factor")
    if offset.shape != factor.shape:
        raise DataError(f"saved scale: {offset.size} numbers in offset but {factor.size} in factor")
    return FittedScale(kind, offset, factor)


def _numbers(saved: Mapping[str, Any], field: str) -> NDArray[np.float64]:
    numbers = saved.get(field)
    if (
        not isinstance(numbers, list)
        or not numbers
        or not all(type(n) in (int, float) and math.isfinite(n) for n in numbers)
    ):
        raise DataError(f"saved scale: {field} must be a list of finite numbers")
    return np.array(numbers, np.float64)
