"""Metrics that a recipe names: means over samples of what each sample scores, with their intervals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from treadle.errors import LossError
from treadle.metrics.intervals import Array, positive_interval, wilson_interval

NO_CLASS = -1  # what is predicted where a prediction is none of the classes


@dataclass(frozen=True)
class Metric:
    """A mean over samples: what each sample scores, and the interval of the mean.

    Args:
        name: in recipes.
        per_sample: from predictions (N, K) and targets (N,) to what each sample scores (N,).
        interval: from what each sample scores to the 95 % interval of the mean.
        higher_is_better: whether a large mean is a good one.
        compares: what the targets must be, labels of classes or numbers.
        scores: whether it takes a score for each class, (N, C).
        best: how many of the classes that score highest count as predicted.
    """

    name: str
    per_sample: Callable[[Array, Array], Array]
    interval: Callable[[Array], tuple[float, float]]
    higher_is_better: bool
    compares: Literal["classes", "values"]
    scores: bool = False
    best: int = 1

    def __call__(self, outputs: Array, targets: Array) -> float:
        """Return the mean over samples of outputs (N, K) and targets (N,)."""
        return float(np.mean(self.per_sample(outputs, targets), dtype=np.float64))


def require_fit(
    metric: Metric, compares: Literal["classes", "values"], classes: int | None, loss: str = "the loss"
) -> None:
    """Raise LossError unless a metric fits what the loss compares and the data has.

    Args:
        metric: the metric.
        compares: what the loss compares; of "values" the network predicts one number a sample.
        classes: how many the data has; None where targets are numbers.
        loss: what the message calls the loss.

    >>> require_fit(METRICS["accuracy"], "values", 10)
    >>> require_fit(METRICS["top_3"], "values", 10, "SquaredError")
    Traceback (most recent call last):
    treadle.errors.LossError: the metric top_3 needs a score for each class, and SquaredError predicts one number: ...
    """
    if metric.compares == "values" and compares == "classes":
        raise LossError(f"the metric {metric.name} compares numbers, and {loss} predicts classes")
    if metric.compares == "classes" and classes is None:
        raise LossError(f"the metric {metric.name} counts right classes, and the targets of this data are numbers")
    if metric.scores and compares == "values":
        raise LossError(
            f"the metric {metric.name} needs a score for each class, and {loss} predicts one number: choose another "
            "loss, such as cross_entropy, or the metric accuracy"
        )
    if metric.scores and classes is not None and classes <= metric.best:
        raise LossError(
            f"the metric {metric.name} would be 1 whatever the network predicts, for this data has {classes} classes: "
            "leave it out"
        )


def predicted_class(outputs: Array) -> Array:
    """Return the class that each sample is predicted to have (N,): the first of the largest outputs.

    Of a single output it is the nearest whole number; −1 where that is negative, or an output is NaN.

    >>> predicted_class(np.array([[0.2, 0.8], [0.5, 0.5], [np.nan, 1.0]])).tolist()
    [1, 0, -1]
    >>> predicted_class(np.array([[2.4], [2.6], [-3.0]])).tolist()
    [2, 3, -1]
    """
    if outputs.shape[1] == 1:
        nearest = np.rint(outputs[:, 0].astype(np.float64))
        return np.where((nearest >= 0) & (nearest < 2**31), nearest, NO_CLASS).astype(np.int64)
    best = np.argmax(outputs, axis=1)  # that of a NaN, where there is one
    return np.where(np.isnan(outputs[np.arange(len(outputs)), best]), NO_CLASS, best)


def correct(outputs: Array, labels: Array) -> Array:
    """Share of samples whose class is predicted: 1 for each such sample, else 0.

    The predicted class is the output with the largest value, of equal ones the first; of a single output, the nearest
    whole number. Where an output is NaN no class is predicted.

    Args:
        outputs: (N, C) scores or probabilities, or (N, 1) numbers.
        labels: (N,) integers.

    >>> correct(np.array([[0.2, 0.8], [0.9, 0.1]]), np.array([1, 1])).tolist()
    [1.0, 0.0]
    >>> correct(np.array([[2.4], [2.6]]), np.array([2, 2])).tolist()
    [1.0, 0.0]
    """
    predicted = predicted_class(outputs)
    return np.asarray((predicted == labels) & (predicted != NO_CLASS), np.float64)


def top_k(outputs: Array, labels: Array, k: int) -> Array:
    """Share of samples whose class is among the k that score highest: 1 for each such sample, else 0.

    A class comes before another if it scores higher, or the same and has the lower number. So top 1 is accuracy, also
    among ties, and of k classes or fewer each sample counts. Where an output is NaN it does not.

    Args:
        outputs: (N, C) scores or probabilities.
        labels: (N,) integers 0 to C − 1.
        k: 1 or more.

    Raises:
        LossError: there is one output alone.

    >>> top_k(np.array([[0.5, 0.3, 0.2], [0.4, 0.2, 0.4], [0.4, 0.2, 0.4]]), np.array([2, 2, 1]), k=2).tolist()
    [0.0, 1.0, 0.0]
    """
    if outputs.shape[1] < 2:
        raise LossError(f"top {k} needs a score for each class, found outputs of shape {outputs.shape}")
    own = outputs[np.arange(len(outputs)), labels][:, None]
    tied_before = (outputs == own) & (np.arange(outputs.shape[1]) < np.asarray(labels)[:, None])
    before = np.count_nonzero((outputs > own) | tied_before, axis=1)
    return np.asarray((before < k) & ~np.isnan(outputs).any(axis=1), np.float64)


def top_3(outputs: Array, labels: Array) -> Array:
    """Share of samples whose class is among the 3 that score highest, of equal ones the first.

    >>> top_3(np.array([[0.1, 0.2, 0.3, 0.4]] * 2), np.array([1, 0])).tolist()
    [1.0, 0.0]
    """
    return top_k(outputs, labels, 3)


def top_5(outputs: Array, labels: Array) -> Array:
    """Share of samples whose class is among the 5 that score highest, of equal ones the first.

    >>> top_5(np.array([[1, 2, 3, 4, 5, 6]] * 2), np.array([1, 0])).tolist()
    [1.0, 0.0]
    """
    return top_k(outputs, labels, 5)


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


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("accuracy", correct, wilson_interval, higher_is_better=True, compares="classes"),
        Metric("top_3", top_3, wilson_interval, higher_is_better=True, compares="classes", scores=True, best=3),
        Metric("top_5", top_5, wilson_interval, higher_is_better=True, compares="classes", scores=True, best=5),
        Metric("squared_error", squared, positive_interval, higher_is_better=False, compares="values"),
        Metric("absolute_error", absolute, positive_interval, higher_is_better=False, compares="values"),
    )
}
