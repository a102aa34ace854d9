"""What a loss is."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import DTypeLike

from treadle.errors import LossError
from treadle.tensor import Tensor
from treadle.text import constructor

Array = np.ndarray[Any, np.dtype[Any]]


class Loss(ABC):
    """A function of outputs (N, …) and targets, averaged over the N samples.

    `compares` tells what the targets are: "values" are numbers in the shape of the outputs, "classes" are
    labels 0 to C − 1 or one-hot rows. `nonnegative` tells that no sample's loss is below 0, so that its interval is not
    either.
    """

    compares: ClassVar[Literal["values", "classes"]]
    nonnegative: ClassVar[bool] = False

    def __repr__(self) -> str:
        return constructor(self)

    @abstractmethod
    def __call__(self, outputs: Tensor, targets: Array) -> Tensor:
        """Return the mean loss; raise LossError where outputs and targets cannot be compared."""

    def each(self, outputs: Tensor, targets: Array) -> Tensor:  # noqa: ARG002
        """Return the loss of each sample (N,), for other reductions than the mean: `.sum()`, weights of one's own."""
        raise LossError(
            f"{type(self).__name__} gives the mean alone: write its method `each` for the losses of samples"
        )

    def sample_weights(self, targets: Array) -> Array:
        """Return how much each sample counts (N,): the loss is Σ each / Σ of these; 1 for a plain mean.

        Args:
            targets: in the form that `targets` gives them.

        >>> import numpy as np, treadle as td
        >>> td.losses.CrossEntropy(weights=[1, 3]).sample_weights(np.array([0, 1, 1])).tolist()
        [1.0, 3.0, 3.0]
        """
        return np.ones(len(targets))

    def outputs(self, classes: int | None) -> int:
        """Number of outputs that the network needs for data of so many classes (None: numbers to predict)."""
        if self.compares == "values":
            return 1
        if classes is None:
            raise LossError(f"{type(self).__name__} compares classes, and the targets of this data are numbers")
        return classes

    def targets(self, labels: Array, dtype: DTypeLike) -> Array:
        """Bring a data set's targets (N,) into the form this loss compares: (N, 1) numbers, or labels (N,)."""
        if self.compares == "values":
            return labels.astype(dtype).reshape(len(labels), -1)
        return labels.astype(labels.dtype.newbyteorder("="), copy=False)  # else the op would copy each batch

    def constant(self, targets: Array, outputs: int) -> Array | None:  # noqa: ARG002
        """Return the outputs (outputs,) with the lowest mean loss if they are the same for all samples; None: unknown.

        Args:
            targets: in the form that `targets` gives them.
            outputs: how many the network has.
        """
        return None

    def uninformed(self, targets: Array, outputs: int, dtype: DTypeLike = np.float64) -> float:
        """Return the mean loss of `constant`, which a network reaches that learnt nothing of its inputs; NaN: unknown.

        >>> import numpy as np, treadle as td
        >>> td.losses.SquaredError().uninformed(np.array([[0.0], [4.0]]), 1)
        4.0
        """
        constant = self.constant(targets, outputs)
        if constant is None:
            return math.nan
        same = np.repeat(np.asarray(constant, dtype)[None], len(targets), axis=0)
        return self(Tensor(same), targets.astype(dtype) if self.compares == "values" else targets).item()

    def predict(self, outputs: Tensor) -> Tensor:
        """Turn outputs into predictions: the numbers themselves, or a probability for each class."""
        return outputs


def require(loss: str, name: str, value: Any, fits: bool, range_: str) -> None:
    """Raise ValueError unless a setting fits."""
    if not fits:
        raise ValueError(f"{loss}: {name} must be {range_}, found {value}")
