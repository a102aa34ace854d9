"""Losses: from outputs and targets to the one number that training lowers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import DTypeLike

from treadle import ops
from treadle.autodiff.tape import Value
from treadle.errors import LossError
from treadle.tensor import Tensor

Array = np.ndarray[Any, np.dtype[Any]]


class Loss(ABC):
    """A function of outputs (N, …) and targets, averaged over the N samples.

    `compares` tells what the targets are: "values" are numbers in the shape of the outputs, "classes" are
    labels 0 to C − 1 or one-hot rows.
    """

    compares: ClassVar[Literal["values", "classes"]]

    @abstractmethod
    def __call__(self, outputs: Tensor, targets: Array) -> Tensor:
        """Return the mean loss; raise LossError where outputs and targets cannot be compared."""

    def outputs(self, classes: int | None) -> int:
        """Number of outputs that the network needs for data of so many classes (None: numbers to predict)."""
        if self.compares == "values":
            return 1
        if classes is None:
            raise LossError(f"{type(self).__name__} compares classes, and the targets of this data are numbers")
        return classes

    def targets(self, labels: Array, dtype: DTypeLike) -> Array:
        """Bring a data set's targets (N,) into the form this loss compares: (N, 1) numbers, or labels as they are."""
        return labels.astype(dtype).reshape(len(labels), -1) if self.compares == "values" else labels

    def predict(self, outputs: Tensor) -> Tensor:
        """Turn outputs into predictions: the numbers themselves, or a probability for each class."""
        return outputs


def _same_shape(name: str, outputs: Tensor, targets: Array) -> None:
    if outputs.shape != targets.shape:
        hint = ""
        if outputs.ndim == 2 and outputs.shape[1] == 1 and targets.shape == outputs.shape[:1]:
            n = targets.shape[0]
            hint = f": broadcasting would compare every prediction with every target ({n}×{n}); write targets[:, None]"
        raise LossError(f"{name}: predictions have shape {outputs.shape}, targets {targets.shape}{hint}")


@dataclass(frozen=True)
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
    halved: bool = False

    def __call__(self, outputs: Tensor, targets: Array) -> Tensor:
        """Return the mean of (y − z)² for predictions and targets of one shape."""
        _same_shape("squared error", outputs, targets)
        difference = outputs - targets
        mean = ops.mean(difference * difference)
        return mean * 0.5 if self.halved else mean


@dataclass(frozen=True)
class AbsoluteError(Loss):
    """Mean absolute error (1/N) Σ |y − z|. Gradient by the predictions: sign(z − y) / N, 0 where equal.

    >>> import numpy as np, treadle as td
    >>> AbsoluteError()(td.tensor([[1.0], [3.0]]), np.array([[0.0], [0.0]])).item()
    2.0
    """

    compares: ClassVar[Literal["values"]] = "values"

    def __call__(self, outputs: Tensor, targets: Array) -> Tensor:
        """Return the mean of |y − z| for predictions and targets of one shape."""
        _same_shape("absolute error", outputs, targets)
        return ops.mean(ops.abs(outputs - targets))


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """Cross-entropy −(1/N) Σ log p_label, with p = softmax(scores).

    Gradient by the scores: (p − one-hot) / N; by probabilities: −1 / (N p_label) at the label, else 0.

    Args:
        from_probabilities: the network already ends with softmax, and gives probabilities.

    Raises:
        LossError: scores that come from a softmax; "probabilities" that are none; labels out of range.

    >>> import numpy as np, treadle as td
    >>> CrossEntropy()(td.tensor([[3.0, 1.0, -3.0]]), np.array([0])).item().__round__(4)
    0.1291
    >>> CrossEntropy(from_probabilities=True)(td.tensor([[0.6, 0.4]]), np.array([0])).item().__round__(2)
    0.51

    Source: Bridle, Training stochastic model recognition algorithms as networks, NIPS 1989.
    """

    compares: ClassVar[Literal["classes"]] = "classes"
    from_probabilities: bool = False

    def __call__(self, outputs: Tensor, targets: Array) -> Tensor:
        """Return the mean cross-entropy of outputs (N, C) and labels (N,) or one-hot rows (N, C)."""
        labels = _labels(outputs, targets)
        if self.from_probabilities:
            if isinstance(outputs.data, np.ndarray):
                _require_probabilities(outputs)
            with np.errstate(divide="ignore"):  # the logarithm of 0 is meant: the loss is infinite
                return -ops.mean(ops.log(outputs[np.arange(labels.shape[0]), labels]))
        if _made_by(outputs) == "softmax":
            raise LossError(_softmax_twice(outputs.shape[1]))
        return ops.mean(ops.cross_entropy(outputs, labels))

    def predict(self, outputs: Tensor) -> Tensor:
        """Return a probability for each class, (N, C)."""
        return outputs if self.from_probabilities else ops.softmax(outputs, axis=1)


def _made_by(outputs: Value) -> str | None:
    """Name of the op that computed a value, before ops that only move its elements."""
    while outputs.primitive is not None and outputs.primitive.name in ("reshape", "transpose", "getitem"):
        (outputs,) = outputs.inputs or ()
    return outputs.primitive.name if outputs.primitive is not None else None


def _softmax_twice(classes: int) -> str:
    floor = np.log(np.e + classes - 1) - 1
    return (
        "the network ends with softmax, and cross-entropy from scores applies softmax itself. Applied twice, the "
        f"loss cannot fall below ln(e + {classes - 1}) − 1 = {floor:.5f} for {classes} classes, however good the "
        "network: leave out the Softmax layer, or set from_probabilities to true"
    )


def _labels(outputs: Tensor, targets: Any) -> Any:
    """Check targets against outputs (N, C) and return them as integer labels (N,).

    What stands for an array while a training step is recorded has a shape and a dtype, but no values to check.
    """
    if outputs.ndim != 2:
        raise LossError(f"cross-entropy: expected scores of shape (N, classes), found {outputs.shape}")
    count, classes = outputs.shape
    if classes < 2:
        raise LossError(
            "cross-entropy compares a score for each class, and the network has 1 output: give the last layer as "
            "many units as there are classes"
        )
    targets = targets.data if isinstance(targets, Value) else targets
    known = isinstance(targets, np.ndarray) or not hasattr(targets, "shape")
    targets = np.asarray(targets) if known else targets
    if targets.shape == outputs.shape:
        if not known:
            raise LossError("cross-entropy: one-hot targets cannot be recorded in a training step: give labels (N,)")
        if not (((targets == 0) | (targets == 1)).all() and (targets.sum(axis=1) == 1).all()):
            row = int(np.argmax((targets.sum(axis=1) != 1) | ((targets != 0) & (targets != 1)).any(axis=1)))
            raise LossError(f"cross-entropy: row {row} of the targets is not one-hot: {targets[row].tolist()}")
        return np.asarray(np.argmax(targets, axis=1))
    if targets.shape != (count,):
        raise LossError(
            f"cross-entropy: expected labels of shape ({count},) or one-hot {outputs.shape}, found {targets.shape}"
        )
    if targets.dtype.kind not in "iu":
        raise LossError(f"cross-entropy: labels must be integers, found {targets.dtype}")
    if known and count and not (targets.min() >= 0 and targets.max() < classes):
        row = int(np.argmax((targets < 0) | (targets >= classes)))
        raise LossError(f"cross-entropy: row {row} has label {targets[row]}, expected 0 to {classes - 1}")
    return targets


def _require_probabilities(outputs: Tensor) -> None:
    array = np.asarray(outputs.data)
    bad = (array < 0).any(axis=1) | (array > 1).any(axis=1) | (np.abs(array.sum(axis=1) - 1) > 1e-3)
    if bad.any():
        row = int(np.argmax(bad))
        raise LossError(
            f"cross-entropy from probabilities: row {row} is not a distribution, it sums to {array[row].sum():.4g} "
            f"with values from {array[row].min():.4g} to {array[row].max():.4g}: end the network with a Softmax "
            "layer, or set from_probabilities to false"
        )


LOSSES: dict[str, type[Loss]] = {
    "squared_error": SquaredError,
    "absolute_error": AbsoluteError,
    "cross_entropy": CrossEntropy,
}
