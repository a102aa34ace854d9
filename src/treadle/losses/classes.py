"""Losses that compare classes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import DTypeLike

from treadle import ops
from treadle.autodiff.tape import Value
from treadle.errors import LossError
from treadle.losses.loss import Array, Loss, require
from treadle.tensor import Tensor


@dataclass(frozen=True, repr=False)
class CrossEntropy(Loss):
    """Cross-entropy −(1/N) Σ log p_label, with p = softmax(scores).

    Gradient by the scores: (p − one-hot) / N; by probabilities: −1 / (N p_label) at the label, else 0.

    With smoothing and class weights w: −Σ_k w_k t_k log p_k of each sample, where t = (1 − smoothing) · one-hot +
    smoothing / C; the mean is then Σ over the samples / Σ of the weights of their labels, 0 where that is 0. Gradient
    by the scores: (p Σ_k w_k t_k − w t) over the same divisor. Targets may be distributions t themselves, in rows;
    their mean is over N.

    Args:
        from_probabilities: the network already ends with softmax, and gives probabilities.
        smoothing: share of a label that is spread over all classes, from 0 to 1.
        weights: of the classes, not negative, (C,).

    Raises:
        LossError: scores that come from a softmax; "probabilities" that are none; labels out of range; another number
            of weights than of classes.

    >>> import numpy as np, treadle as td
    >>> CrossEntropy()(td.tensor([[3.0, 1.0, -3.0]]), np.array([0])).item().__round__(4)
    0.1291
    >>> CrossEntropy(from_probabilities=True)(td.tensor([[0.6, 0.4]]), np.array([0])).item().__round__(2)
    0.51
    >>> CrossEntropy(smoothing=0.1)(td.tensor([[3.0, 1.0, -3.0]]), np.array([0])).item().__round__(4)
    0.3958

    Source: Bridle, Training stochastic model recognition algorithms as networks, NIPS 1989; smoothing: Szegedy and
    others, Rethinking the inception architecture for computer vision, CVPR 2016; weights and means as in PyTorch.
    """

    compares: ClassVar[Literal["classes"]] = "classes"
    nonnegative: ClassVar[bool] = True
    from_probabilities: bool = False
    smoothing: float = 0.0
    weights: Sequence[float] | None = None

    def __post_init__(self) -> None:
        require("CrossEntropy", "smoothing", self.smoothing, 0 <= self.smoothing <= 1, "from 0 to 1")
        if self.weights is not None:
            weights = tuple(float(weight) for weight in self.weights)
            fit = weights and all(0 <= weight < math.inf for weight in weights) and any(weights)
            require("CrossEntropy", "weights", list(weights), bool(fit), "not negative, and not all 0")
            object.__setattr__(self, "weights", weights)

    def __call__(self, outputs: Tensor, targets: Array) -> Tensor:
        """Return the mean cross-entropy of outputs (N, C) and labels (N,), one-hot rows or distributions (N, C)."""
        labels, rows = _labels(outputs, targets)
        each = self._each(outputs, labels, rows)
        if self.weights is None or labels is None:
            return ops.mean(each)
        total = ops.sum(ops.getitem(np.asarray(self.weights, outputs.dtype), labels))
        return ops.sum(each) / ops.maximum(total, float(np.finfo(outputs.dtype).tiny))

    def each(self, outputs: Tensor, targets: Array) -> Tensor:
        """Return the cross-entropy of each sample (N,), weighted but not divided by the weights."""
        return self._each(outputs, *_labels(outputs, targets))

    def sample_weights(self, targets: Array) -> Array:
        """Return the weights of the labels (N,); 1 where there are none, or targets are distributions."""
        if self.weights is None:
            return np.ones(len(targets))
        labels, _ = _labels(Tensor(np.zeros((len(targets), len(self.weights)))), targets)
        return np.ones(len(targets)) if labels is None else np.asarray(self.weights)[labels]

    def _each(self, outputs: Tensor, labels: Any, rows: Any) -> Tensor:
        if self.from_probabilities and isinstance(outputs.data, np.ndarray):
            _require_probabilities(outputs)
        if not self.from_probabilities and _made_by(outputs) == "softmax":
            raise LossError(_softmax_twice(outputs.shape[1]))
        plain = rows is None and self.weights is None and not self.smoothing
        if plain and not self.from_probabilities:
            return ops.cross_entropy(outputs, labels)
        with np.errstate(divide="ignore"):  # the logarithm of 0 is meant: the loss is infinite
            if plain:
                return -ops.log(outputs[np.arange(labels.shape[0]), labels])
            logarithms = ops.log(outputs) if self.from_probabilities else ops.log_softmax(outputs, axis=1)
        table = self._weighted(np.eye(outputs.shape[1]), outputs.dtype)
        given = ops.getitem(table, labels) if rows is None else Tensor(self._weighted(rows, outputs.dtype))
        counted = ops.where(given.data == 0, 0.0, logarithms)  # that of a class that does not count may be −∞
        return -ops.sum(given * counted, axis=1)

    def _weighted(self, rows: Array, dtype: DTypeLike) -> Array:
        """Smooth distributions (…, C) and weigh their classes."""
        classes = rows.shape[1]
        if self.weights is not None and len(self.weights) != classes:
            raise LossError(f"cross-entropy: {len(self.weights)} weights are given for {classes} classes")
        smooth = (1 - self.smoothing) * rows + self.smoothing / classes
        weighted: Array = smooth if self.weights is None else smooth * np.asarray(self.weights)
        return weighted.astype(dtype)

    def constant(self, targets: Array, outputs: int) -> Array:
        """Return the frequencies of the classes, weighted and smoothed, or their logarithms."""
        rows = targets if targets.ndim == 2 else np.bincount(targets, minlength=outputs)[None]
        mean = rows.sum(axis=0, keepdims=True, dtype=np.float64) / rows.sum()
        counts = self._weighted(mean, np.float64)[0]
        with np.errstate(divide="ignore", invalid="ignore"):  # no sample has a class of score −∞
            shares = counts / counts.sum()
            return np.asarray(shares if self.from_probabilities else np.log(shares))

    def predict(self, outputs: Tensor) -> Tensor:
        """Return a probability for each class, (N, C)."""
        return outputs if self.from_probabilities else ops.softmax(outputs, axis=1)


@dataclass(frozen=True, repr=False)
class BinaryCrossEntropy(Loss):
    """Cross-entropy of two classes from one score s for the second: mean of log(1 + e^s) − y s for labels y 0 and 1.

    Computed as softplus((1 − 2 y) s), which is exact far out. Gradient by the scores: (sigmoid(s) − y) / N.

    Args:
        from_probabilities: the network already ends with sigmoid, and gives the probability of the second class.

    Raises:
        LossError: scores that come from a sigmoid; "probabilities" that are none; labels other than 0 and 1.

    >>> import numpy as np, treadle as td
    >>> BinaryCrossEntropy()(td.tensor([[0.0], [1e4]]), np.array([1, 1])).item().__round__(4)
    0.3466

    Source: Cox, The regression analysis of binary sequences, Journal of the Royal Statistical Society B 20, 1958.
    """

    compares: ClassVar[Literal["classes"]] = "classes"
    nonnegative: ClassVar[bool] = True
    from_probabilities: bool = False

    def outputs(self, classes: int | None) -> int:
        """Return 1, for data of two classes; raise LossError for others."""
        if super().outputs(classes) != 2:
            raise LossError(f"BinaryCrossEntropy compares two classes, and this data has {classes}: use CrossEntropy")
        return 1

    def __call__(self, outputs: Tensor, targets: Array) -> Tensor:
        """Return the mean loss of outputs (N, 1) and labels (N,)."""
        return ops.mean(self.each(outputs, targets))

    def each(self, outputs: Tensor, targets: Array) -> Tensor:
        """Return the loss of each sample (N,)."""
        if outputs.ndim != 2 or outputs.shape[1] != 1:
            raise LossError(f"binary cross-entropy: expected outputs of shape (N, 1), found {outputs.shape}")
        labels = _whole_numbers("binary cross-entropy", targets, outputs.shape[0], 2)
        labels = labels.astype(outputs.dtype)
        flat = ops.reshape(outputs, (outputs.shape[0],))
        if not self.from_probabilities:
            if _made_by(outputs) == "sigmoid":
                raise LossError(
                    "the network ends with sigmoid, and binary cross-entropy from scores applies sigmoid itself: leave "
                    "out the Sigmoid layer, or set from_probabilities to true"
                )
            return ops.softplus(flat * (1 - 2 * labels))
        if isinstance(outputs.data, np.ndarray) and not ((outputs.data >= 0) & (outputs.data <= 1)).all():
            row = int(np.argmin(((outputs.data >= 0) & (outputs.data <= 1))[:, 0]))
            raise LossError(
                f"binary cross-entropy from probabilities: row {row} is {outputs.data[row, 0]:.4g}: end the network "
                "with a Sigmoid layer, or set from_probabilities to false"
            )
        with np.errstate(divide="ignore"):  # the logarithm of 0 is meant: the loss is infinite
            return -ops.log(flat * (2 * labels - 1) + (1 - labels))

    def constant(self, targets: Array, outputs: int) -> Array:  # noqa: ARG002
        """Return the frequency of the second class, or its score."""
        share = np.mean(targets, dtype=np.float64, keepdims=True)
        with np.errstate(divide="ignore"):
            return np.asarray(share if self.from_probabilities else np.log(share) - np.log1p(-share))

    def predict(self, outputs: Tensor) -> Tensor:
        """Return the probabilities of both classes, (N, 2)."""
        if self.from_probabilities:
            return Tensor(np.concatenate([1 - outputs.numpy(), outputs.numpy()], axis=1))
        return Tensor(np.concatenate([ops.sigmoid(-outputs).numpy(), ops.sigmoid(outputs).numpy()], axis=1))


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


def _labels(outputs: Tensor, targets: Any) -> tuple[Any, Any]:
    """Check targets against outputs (N, C); return integer labels (N,) and None, or None and distributions (N, C).

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
    targets, known = _array(targets)
    if targets.shape == outputs.shape:
        if not known:
            raise LossError("cross-entropy: rows of targets cannot be recorded in a training step: give labels (N,)")
        if ((targets == 0) | (targets == 1)).all() and (targets.sum(axis=1) == 1).all():
            return np.asarray(np.argmax(targets, axis=1)), None
        bad = (targets < 0).any(axis=1) | ~(np.abs(targets.sum(axis=1) - 1) <= 1e-3)
        if bad.any():
            row = int(np.argmax(bad))
            raise LossError(f"cross-entropy: row {row} of the targets is no distribution: {targets[row].tolist()}")
        return None, targets
    if targets.shape != (count,):
        raise LossError(
            f"cross-entropy: expected labels of shape ({count},), or rows {outputs.shape} that are one-hot or "
            f"distributions, found {targets.shape}"
        )
    return _whole_numbers("cross-entropy", targets, count, classes), None


def _array(targets: Any) -> tuple[Any, bool]:
    """Targets as an array, or what stands for one while a step is recorded, and whether their values are known."""
    targets = targets.data if isinstance(targets, Value) else targets
    known = isinstance(targets, np.ndarray) or not hasattr(targets, "shape")
    return (np.asarray(targets) if known else targets), known


def _whole_numbers(name: str, targets: Any, count: int, classes: int) -> Any:
    """Check labels (N,) of so many classes and return them as an array, or as what stands for one."""
    targets, known = _array(targets)
    if targets.shape != (count,):
        raise LossError(f"{name}: expected labels of shape ({count},), found {targets.shape}")
    if targets.dtype.kind not in "iu":
        raise LossError(f"{name}: labels must be integers, found {targets.dtype}")
    if known and count and not (targets.min() >= 0 and targets.max() < classes):
        row = int(np.argmax((targets < 0) | (targets >= classes)))
        raise LossError(f"{name}: row {row} has label {targets[row]}, expected 0 to {classes - 1}")
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
