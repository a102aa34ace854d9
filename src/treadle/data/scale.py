"""Scalers: fitted on the training set alone, applied to a batch when it is made, saved with the model."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from treadle.data.stored import Stored
from treadle.errors import DataError
from treadle.memory import require_available


@dataclass(frozen=True, eq=False)
class FittedScale:
    """The affine map (x − offset)·factor, with one number for all features, one a feature (F,), or one a channel (C,).

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
        offset, factor = self._aligned()
        if offset.any():
            np.subtract(scaled, offset.astype(work), out=scaled)
        if (factor != 1).any():
            np.multiply(scaled, factor.astype(work), out=scaled)
        return scaled.astype(target, copy=False)

    def invert(self, scaled: NDArray[Any]) -> NDArray[np.float64]:
        """Undo `apply`: y/factor + offset; a constant feature (factor 0) gives back its constant.

        >>> FittedScale("minmax", np.array([2.0, 7.0]), np.array([0.5, 0.0])).invert(np.array([[1.0, 0.0]]))
        array([[4., 7.]])
        """
        self._check(scaled)
        offset, factor = self._aligned()
        constant = factor == 0
        span = np.where(constant, 0.0, 1.0 / np.where(constant, 1.0, factor))
        restored: NDArray[np.float64] = scaled.astype(np.float64) * span + offset
        return restored

    def to_dict(self) -> dict[str, Any]:
        """The scale as plain lists of numbers, for JSON.

        >>> NoScale().fit(np.zeros((1, 2))).to_dict()
        {'kind': 'none', 'offset': [0.0], 'factor': [1.0]}
        """
        return {"kind": self.kind, "offset": self.offset.tolist(), "factor": self.factor.tolist()}

    def _aligned(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Offset and factor in the shape that meets the inputs."""
        shape = (-1, 1, 1) if self.kind == "channel" else (-1,)
        return self.offset.reshape(shape), self.factor.reshape(shape)

    def _check(self, inputs: NDArray[Any]) -> None:
        if self.kind == "channel" and (inputs.ndim != 4 or inputs.shape[1] != self.offset.size):
            raise DataError(f"scale of {self.offset.size} channels cannot take inputs of shape {inputs.shape}")
        if self.kind != "channel" and self.offset.size > 1 and inputs.shape[-1:] != self.offset.shape:
            raise DataError(f"scale of {self.offset.size} features cannot take inputs of shape {inputs.shape}")


class Scale(Protocol):
    """What is to be fitted: `fit` measures the inputs of the training set."""

    kind: ClassVar[str]

    def fit(self, inputs: NDArray[Any] | Stored) -> FittedScale:
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

    @np.errstate(over="ignore", invalid="ignore")  # what is not finite is found in the end
    def fit(self, inputs: NDArray[Any] | Stored) -> FittedScale:
        """Take minimum and maximum of inputs (N, ...); raises DataError for empty, non-finite or unscalable inputs."""
        low, high = _range(self.kind, inputs)
        return _fitted(self.kind, inputs, low, high - low)


@dataclass(frozen=True)
class MeanRange:
    """Scale to a range of 1 about 0: (x − mean)/(max − min), of the training set; not to 0–1.

    Rows are scaled feature by feature; the pixels of images share one scale. A constant feature becomes 0.

    >>> MeanRange().fit(np.array([[1.0, 5.0], [3.0, 5.0]])).apply(np.array([[3.0, 5.0]]))
    array([[0.5, 0. ]], dtype=float32)
    """

    kind: ClassVar[str] = "mean_range"

    @np.errstate(over="ignore", invalid="ignore")  # what is not finite is found in the end
    def fit(self, inputs: NDArray[Any] | Stored) -> FittedScale:
        """Take mean, minimum and maximum of inputs (N, ...); raises DataError as MinMax does."""
        low, high = _range(self.kind, inputs)
        return _fitted(self.kind, inputs, _moments(inputs, _axes(inputs))[0], high - low)


@dataclass(frozen=True)
class Standard:
    """Standardise: (x − mean)/s, with mean and standard deviation s (over N, not N − 1) of the training set.

    Rows are scaled feature by feature; the pixels of images share one scale. A constant feature becomes 0.

    >>> Standard().fit(np.array([[1.0, 5.0], [3.0, 5.0]])).apply(np.array([[3.0, 5.0]]))
    array([[1., 0.]], dtype=float32)
    """

    kind: ClassVar[str] = "standard"

    @np.errstate(over="ignore", invalid="ignore")  # what is not finite is found in the end
    def fit(self, inputs: NDArray[Any] | Stored) -> FittedScale:
        """Take mean and standard deviation of inputs (N, ...); raises DataError as MinMax does."""
        low, high = _range(self.kind, inputs)
        mean, deviation = _moments(inputs, _axes(inputs))
        return _fitted(self.kind, inputs, mean, np.where(low == high, 0, deviation))


@dataclass(frozen=True)
class Channel:
    """Standardise each channel of images (N, C, H, W) by itself: (x − mean)/s, of the training set.

    A constant channel becomes 0.

    >>> images = np.array([[[[1.0]], [[10.0]]], [[[3.0]], [[30.0]]]])
    >>> Channel().fit(images).apply(images)[1].ravel()
    array([1., 1.], dtype=float32)
    """

    kind: ClassVar[str] = "channel"

    @np.errstate(over="ignore", invalid="ignore")  # what is not finite is found in the end
    def fit(self, inputs: NDArray[Any] | Stored) -> FittedScale:
        """Take mean and standard deviation of each channel; raises DataError for what are no images."""
        if inputs.ndim != 4:
            raise DataError(
                f"channel: expected images (N, C, H, W), found shape {inputs.shape}: scale rows by standard"
            )
        low, high = _range(self.kind, inputs, (0, 2, 3))
        mean, deviation = _moments(inputs, (0, 2, 3))
        return _fitted(self.kind, inputs, mean, np.where(low == high, 0, deviation))


@dataclass(frozen=True)
class Robust:
    """Scale by what outliers do not move: (x − median)/(q₃ − q₁), with the quartiles of the training set.

    Rows are scaled feature by feature; the pixels of images share one scale. A feature whose quartiles are equal is
    moved only, as in scikit-learn.

    >>> Robust().fit(np.array([[1.0], [2.0], [3.0], [4.0], [900.0]])).apply(np.array([[4.0]]))
    array([[0.5]], dtype=float32)
    """

    kind: ClassVar[str] = "robust"

    @np.errstate(over="ignore", invalid="ignore")  # what is not finite is found in the end
    def fit(self, inputs: NDArray[Any] | Stored) -> FittedScale:
        """Take the quartiles of inputs (N, ...); raises DataError as MinMax does."""
        _range(self.kind, inputs)
        first, median, third = _quartiles(inputs)
        return _fitted(self.kind, inputs, median, np.where(third == first, 1, third - first))


def _axes(inputs: NDArray[Any] | Stored) -> tuple[int, ...] | None:
    """The axes that share a scale: that of the rows of a table, and all of images."""
    return (0,) if inputs.ndim == 2 else None


def _range(
    kind: str, inputs: NDArray[Any] | Stored, axes: tuple[int, ...] | None = ()
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if inputs.ndim < 2 or not inputs.size:
        raise DataError(f"{kind}: expected samples (N, ...), found shape {inputs.shape}")
    axes = _axes(inputs) if axes == () else axes
    ends = (inputs.survey.low[None], inputs.survey.high[None]) if isinstance(inputs, Stored) else (inputs, inputs)
    return _flat(ends[0].min(axis=axes)), _flat(ends[1].max(axis=axes))


def _flat(found: Any) -> NDArray[np.float64]:
    return np.atleast_1d(found).astype(np.float64)


def _quartiles(inputs: NDArray[Any] | Stored) -> list[NDArray[np.float64]]:
    """The three quartiles; of rows that stay on disk for some features at a time."""
    marks, axes = (25, 50, 75), _axes(inputs)
    if not isinstance(inputs, Stored):
        return [_flat(quartile) for quartile in np.percentile(inputs, marks, axis=axes)]
    if axes is None:
        require_available("robust: the values of all images, to sort them,", 2 * inputs.nbytes, "choose another scale")
        return [_flat(quartile) for quartile in np.percentile(inputs[:], marks)]
    step = max(1, _SORTED // (len(inputs) * inputs.dtype.itemsize))
    found = []
    for begin in range(0, inputs.shape[1], step):
        columns = np.concatenate([piece[:, begin : begin + step] for _, piece in inputs.pieces()])
        found.append(np.percentile(columns, marks, axis=0))
    return list(np.concatenate(found, axis=1))


def _moments(
    inputs: NDArray[Any] | Stored, axes: tuple[int, ...] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation in float64, some samples at a time, for images stay bytes in memory."""
    axes = tuple(range(inputs.ndim)) if axes is None else axes
    shape = tuple(1 if axis in axes else size for axis, size in enumerate(inputs.shape))
    count, mean, squares = 0, np.zeros(shape), np.zeros(shape)
    step = max(1, _BLOCK // max(1, math.prod(inputs.shape[1:])))
    for begin in range(0, len(inputs), step):
        part = inputs[begin : begin + step].astype(np.float64)
        size = math.prod(part.shape[axis] for axis in axes)
        here = part.mean(axis=axes, keepdims=True)
        away = here - mean  # Chan, Golub and LeVeque, Updating formulae for computing sample variances, 1979
        squares += ((part - here) ** 2).sum(axis=axes, keepdims=True) + away**2 * (count * size / (count + size))
        mean += away * (size / (count + size))
        count += size
    return mean.ravel(), np.sqrt(squares / count).ravel()


_BLOCK = 1 << 20  # values
_SORTED = 1 << 27  # bytes of features that are sorted at a time


def _fitted(kind: str, inputs: NDArray[Any] | Stored, offset: NDArray[Any], span: NDArray[Any]) -> FittedScale:
    """The scale (x − offset)/span; a span of 0 gets factor 0. Raises DataError where that cannot be computed."""
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        factor = np.where(span == 0, 0.0, 1.0 / span)
    usable = np.isfinite(span) & np.isfinite(factor) & np.isfinite(offset)
    if not usable.all():
        feature = int(np.argmin(usable))
        low, high = (ends[feature if inputs.ndim == 2 else 0] for ends in _range(kind, inputs))
        where = f"feature {feature}" if inputs.ndim == 2 else "inputs"
        raise DataError(f"{kind}: {where} cannot be scaled: its range is {low}..{high}")
    return FittedScale(kind, np.asarray(offset, np.float64), factor)


@dataclass(frozen=True)
class NoScale:
    """Leave the numbers as they are; only the dtype changes.

    >>> NoScale().fit(np.zeros((1, 2))).apply(np.array([[0, 255]], np.uint8))
    array([[  0., 255.]], dtype=float32)
    """

    kind: ClassVar[str] = "none"

    def fit(self, inputs: NDArray[Any] | Stored) -> FittedScale:  # noqa: ARG002 - every scale is fitted the same way
        """Return the identity."""
        return FittedScale(self.kind, np.zeros(1), np.ones(1))


SCALES: dict[str, type[Scale]] = {
    scale.kind: scale for scale in (MinMax, Standard, MeanRange, Channel, Robust, NoScale)
}


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
