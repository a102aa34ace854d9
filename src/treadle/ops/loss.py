"""Ops of the loss that are worth fusing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from treadle.autodiff.tape import Primitive, Value
from treadle.errors import LossError, ShapeError
from treadle.ops.reduction import softmax
from treadle.ops.shape import reshape

if TYPE_CHECKING:
    from treadle.tensor import Tensor

__all__ = ["cross_entropy", "cross_entropy_gradient"]

_cross_entropy = Primitive(
    "cross_entropy",
    lambda k, scores, *, labels: k.cross_entropy(scores, labels),
    lambda k, g, y, scores, *, labels: k.cross_entropy_gradient(g, scores, labels),
)


def _checked(name: str, scores: Any, labels: Any) -> tuple[Any, Any]:
    """Scores and labels as arrays that fit together; what a compiler traces has shapes but no numbers to check."""
    scores = scores if hasattr(scores, "shape") else np.asarray(scores)
    labels = labels.data if isinstance(labels, Value) else labels if hasattr(labels, "shape") else np.asarray(labels)
    if len(scores.shape) != 2 or labels.shape != scores.shape[:1]:
        raise ShapeError(f"{name}: scores must be (N, C) and labels (N,), found {scores.shape} and {labels.shape}")
    if isinstance(labels, np.ndarray):
        labels = labels.astype(labels.dtype.newbyteorder("="), copy=False)  # compiled kernels know no other byte order
        integers = labels.dtype.kind in "iu"
        if labels.size and not (integers and labels.min() >= 0 and labels.max() < scores.shape[1]):
            raise LossError(f"{name}: labels must be integers from 0 to {scores.shape[1] - 1}")
    return scores, labels


def cross_entropy(scores: Any, labels: Any) -> Tensor:
    """log Σ_j e^s_j − s_label of each sample. Gradient: g · (softmax(s) − one-hot(label)).

    Args:
        scores: (N, C) float, before softmax.
        labels: (N,) integers from 0 to C − 1.

    Returns:
        (N,), the cross-entropy −log softmax(s)_label of each sample.

    Raises:
        ShapeError: scores are not (N, C) or labels not (N,).
        LossError: labels are not integers from 0 to C − 1.

    >>> import treadle as td
    >>> td.ops.cross_entropy([[3.0, 1.0, -3.0]], [0]).numpy().round(4)
    array([0.1291])
    """
    scores, labels = _checked("cross_entropy", scores, labels)
    return _cross_entropy(scores, labels=labels)


def cross_entropy_gradient(gradient: Any, scores: Any, labels: Any) -> Tensor:
    """g · (softmax(s) − one-hot(label)), the gradient rule of `cross_entropy` as an op for second derivatives.

    >>> import treadle as td
    >>> td.ops.cross_entropy_gradient([1.0], [[0.0, 0.0]], [0]).numpy()
    array([[-0.5,  0.5]])
    """
    scores, labels = _checked("cross_entropy_gradient", scores, labels)
    probabilities = softmax(scores, axis=1)
    one_hot = np.zeros(probabilities.shape, probabilities.dtype)
    one_hot[np.arange(len(labels)), labels] = 1
    return (probabilities - one_hot) * reshape(gradient, (-1, 1))
