"""How far predicted numbers are from the true ones."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from treadle.metrics.intervals import (
    Array,
    Score,
    drawn,
    median_interval,
    normal_interval,
    percentile_interval,
    positive_interval,
    ratio_interval,
)
from treadle.text import aligned

MANY = 20_000  # samples, above which nothing is resampled
_NAMES = {
    "squared": "mean squared error",
    "root": "root of it",
    "absolute": "mean absolute error",
    "median": "median absolute error",
    "largest": "largest error",
    "r2": "R²",
    "bias": "mean error",
}


@dataclass(frozen=True, repr=False)
class ValueReport:
    """Errors e = prediction − target in numbers; printing it gives a table.

    Args:
        squared: mean squared error (1/N) Σ e².
        root: its square root, in the unit of the targets; the interval is the root of that of the mean.
        absolute: mean absolute error (1/N) Σ |e|.
        median: median of |e|; the interval needs no distribution (`median_interval`).
        largest: the largest |e|, which has no interval, for it grows with the number of samples.
        r2: share of the variance of the targets that is explained, 1 − Σ e² / Σ (y − ȳ)², not defined where all targets
            are equal. Its interval is that of the percentile bootstrap over samples, and of more than 20,000, which
            make no difference, that of the ratio (`ratio_interval`).
        bias: mean error (1/N) Σ e, above 0 where predictions are too large.

    Source: R²: Wright, Correlation and causation, Journal of Agricultural Research 20, 1921; bootstrap: Efron and
    Tibshirani, An Introduction to the Bootstrap, Chapman & Hall 1993, chapter 13.
    """

    squared: Score
    root: Score
    absolute: Score
    median: Score
    largest: Score
    r2: Score
    bias: Score

    def to_dict(self) -> dict[str, Any]:
        """Return all scores as plain values."""
        return {name: score.to_dict() for name, score in self._scores().items()}

    def __repr__(self) -> str:
        return "\n".join(aligned([(_NAMES[name], str(score)) for name, score in self._scores().items()], "<"))

    def _scores(self) -> dict[str, Score]:
        return {field.name: getattr(self, field.name) for field in fields(self)}


def value_report(predictions: Array, targets: Array) -> ValueReport:
    """Compare predictions (N,) with targets (N,).

    >>> report = value_report(np.array([1.0, 2.0, 3.0, 5.0]), np.array([1.0, 2.0, 3.0, 4.0]))
    >>> report.squared.value, report.root.value, report.median.value, report.largest.value, report.r2.value
    (0.25, 0.5, 0.0, 1.0, 0.8)
    """
    targets = np.asarray(targets, np.float64)
    errors = np.asarray(predictions, np.float64) - targets
    squares, sizes = errors**2, np.abs(errors)
    low, high = positive_interval(squares)
    squared = Score(float(np.mean(squares)), (low, high))
    return ValueReport(
        squared=squared,
        root=Score(math.sqrt(squared.value), (math.sqrt(low), math.sqrt(high))),
        absolute=Score(float(np.mean(sizes)), positive_interval(sizes)),
        median=Score(float(np.median(sizes)), median_interval(sizes)),
        largest=Score(float(np.max(sizes)), note="no interval: it grows with the number of samples"),
        r2=_r2(squares, targets),
        bias=Score(float(np.mean(errors)), normal_interval(errors)),
    )


def _r2(squares: Array, targets: Array) -> Score:
    centred = targets - np.mean(targets)
    if (targets == targets[0]).all():
        return Score(math.nan, note="all targets are equal")
    value = 1 - float(np.sum(squares)) / float(np.sum(centred**2))
    if not math.isfinite(value):
        return Score(value, (-math.inf, math.inf))
    if len(targets) > MANY:
        low, high = ratio_interval(squares, centred**2)
        return Score(value, (1 - high, min(1 - low, 1.0)))

    def resampled(rows: Array) -> Array:
        y = centred[rows]
        around = (y * y).sum(axis=1) - y.sum(axis=1) ** 2 / y.shape[1]
        same = (y == y[:, :1]).all(axis=1)  # then `around` is 0 but for rounding
        return np.where(same, np.nan, 1 - squares[rows].sum(axis=1) / np.where(same, 1.0, around))

    found = np.concatenate([resampled(rows) for rows in drawn(len(targets))])
    return Score(value, percentile_interval(found, value, most=1.0))
