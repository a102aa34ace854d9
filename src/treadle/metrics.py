"""Metrics: how good predictions are, with a 95 % interval for what would be seen on further data."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

Z95 = 1.959963984540054  # the 97.5 % point of the normal distribution


@dataclass(frozen=True)
class Metric:
    """A mean over samples: what each sample scores, and the interval of the mean."""

    name: str
    per_sample: Callable[[Array, Array], Array]
    interval: Callable[[Array], tuple[float, float]]
    higher_is_better: bool

    def __call__(self, outputs: Array, targets: Array) -> float:
        """Return the mean over samples of outputs (N, K) and targets (N,)."""
        return float(np.mean(self.per_sample(outputs, targets), dtype=np.float64))


def correct(outputs: Array, labels: Array) -> Array:
    """Share of samples whose class is predicted: 1 for each such sample, else 0.

    The predicted class is the output with the largest value; of a single output, the nearest whole number.

    Args:
        outputs: (N, C) scores or probabilities, or (N, 1) numbers.
        labels: (N,) integers.

    >>> correct(np.array([[0.2, 0.8], [0.9, 0.1]]), np.array([1, 1])).tolist()
    [1.0, 0.0]
    >>> correct(np.array([[2.4], [2.6]]), np.array([2, 2])).tolist()
    [1.0, 0.0]
    """
    predicted = np.rint(outputs[:, 0]) if outputs.shape[1] == 1 else np.argmax(outputs, axis=1)
    return np.asarray(predicted == labels, np.float64)


def squared(outputs: Array, targets: Array) -> Array:
    """Mean squared error: (y − z)² of each sample, for outputs (N, 1) and targets (N,).

    >>> squared(np.array([[1.0], [3.0]]), np.array([0.0, 3.0])).tolist()
    [1.0, 0.0]
    """
    return (outputs[:, 0].astype(np.float64) - targets) ** 2


def absolute(outputs: Array, targets: Array) -> Array:
    """Mean absolute error: |y − z| of each sample, for outputs (N, 1) and targets (N,).

    >>> absolute(np.array([[1.0], [3.0]]), np.array([0.0, 3.0])).tolist()
    [1.0, 0.0]
    """
    return np.abs(outputs[:, 0].astype(np.float64) - targets)


def wilson_interval(values: Array) -> tuple[float, float]:
    """95 % interval of a share of ones, (p + z²/2n ± z √(p(1−p)/n + z²/4n²)) / (1 + z²/n).

    >>> low, high = wilson_interval(np.array([1.0] * 95 + [0.0] * 5))
    >>> round(low, 4), round(high, 4)
    (0.8882, 0.9785)

    Source: Wilson, Probable inference, the law of succession, and statistical inference, JASA 22, 1927.
    """
    n, p = len(values), float(np.mean(values))
    centre, spread = p + Z95**2 / (2 * n), Z95 * math.sqrt(p * (1 - p) / n + Z95**2 / (4 * n * n))
    low, high = (centre - spread) / (1 + Z95**2 / n), (centre + spread) / (1 + Z95**2 / n)
    return max(0.0, min(low, p)), min(1.0, max(high, p))  # rounding must not put p outside


def normal_interval(values: Array) -> tuple[float, float]:
    """95 % interval of a mean of many values, mean ± z s / √n; from −∞ to ∞ for a single one.

    >>> low, high = normal_interval(np.array([1.0, 2.0, 3.0, 4.0]))
    >>> round(low, 3), round(high, 3)
    (1.235, 3.765)
    """
    if len(values) < 2:
        return -math.inf, math.inf
    mean, spread = float(np.mean(values)), Z95 * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return mean - spread, mean + spread


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("accuracy", correct, wilson_interval, higher_is_better=True),
        Metric("squared_error", squared, normal_interval, higher_is_better=False),
        Metric("absolute_error", absolute, normal_interval, higher_is_better=False),
    )
}
