"""The trained run: a network with what is needed to judge it and to use it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from treadle import kernels
from treadle.data import Dataset, Encoding, Sets, Times
from treadle.data.polarity import Polarity
from treadle.errors import ShapeError, TreadleError
from treadle.losses import Loss
from treadle.metrics import Metric
from treadle.nn import Module
from treadle.tensor import Tensor
from treadle.train.evaluation import Evaluation, evaluation_of
from treadle.train.finding import Finding
from treadle.train.loop import outputs_of
from treadle.train.progress import Progress
from treadle.train.signals import Terminated
from treadle.tree import Tree


@dataclass(repr=False)
class Run:
    """A trained network with what is needed to judge and to use it.

    `parameters` are those that predictions and scores use: of the epoch `weights_epoch`, the one with the lowest
    validation loss unless training was told to take the last; None where no epoch has ended, and they are those after
    the last step. They are averages where training averages. `stopped_early` says why training ended before all its
    epochs, or is None. `progress` is where training stands, to go on from.
    `encoding` is how the columns of a table became features.
    `input_dtype` and `input_range` tell the units of the training inputs, before scaling, and `polarity` whether images
    are light on dark; None where that is not known.
    `history` holds a dict for each epoch: epoch, train_loss (mean over the batches while they were trained on),
    validation_loss, validation_<metric>, learning_rate at its first step where there is a schedule, seconds of training
    without evaluation, and how many of them it waited for batches. `findings` are what a diagnosis found, `times` when
    the first batches were read and waited for. `tested` is the score on the test set, once that was looked at.
    """

    network: Module
    parameters: Tree
    loss: Loss
    scale: Any
    metrics: tuple[Metric, ...]
    dtype: np.dtype[Any]
    seed: int
    input_shape: tuple[int, ...]
    classes: tuple[str, ...] | None = None
    encoding: Encoding | None = None
    threads: int = 1
    kernels: Any = field(default_factory=kernels.fastest)
    input_dtype: str = "float32"
    input_range: tuple[float, float] = (0.0, 1.0)
    polarity: Polarity | None = None
    sets: Sets | None = None
    history: list[dict[str, Any]] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    times: list[Times] = field(default_factory=list)
    step: int = 0
    weights_epoch: int | None = None
    stopped_early: str | None = None
    progress: Progress | None = None
    tested: dict[str, Any] | None = None

    def __repr__(self) -> str:
        last = (
            ", ".join(f"{name} {value:.4g}" for name, value in self.history[-1].items())
            if self.history
            else "untrained"
        )
        return f"Run({self.network}, {self.loss}, {self.step} steps; {last})"

    def test(self) -> dict[str, Any]:
        """Return loss and metrics on the test set, each with its 95 % interval as loss_interval and <metric>_interval.

        The score is kept as `tested`.

        Raises:
            TreadleError: the run was loaded without its data.
        """
        if self.sets is None:
            raise TreadleError("this run has no data with it: load the sets and give them as run.sets")
        self.tested = score(self, self.sets.test)
        return self.tested

    def evaluate(self, data: Dataset) -> Evaluation:
        """Return all that can be told of the run on a data set: scores with intervals, classes, calibration, mistakes.

        Args:
            data: of the kind it was trained on, in the units of the training data.
        """
        with kernels.use(self.kernels), kernels.with_threads(self.threads):
            outputs = outputs_of(self.network, self.parameters, data.inputs, self.scale, self.dtype)
        return evaluation_of(outputs, self.loss, data, self.metrics)

    def predict(self, inputs: Any) -> np.ndarray[Any, np.dtype[Any]]:
        """Return a probability for each class (N, C), or the predicted numbers (N, 1).

        Args:
            inputs: (N, …) in the units of the training data, before scaling.

        Raises:
            ShapeError: the samples do not have the shape that the network takes.
        """
        samples = np.asarray(inputs)
        if samples.shape[1:] != self.input_shape:
            wanted = ", ".join(map(str, self.input_shape))
            raise ShapeError(f"samples to predict should have shape (N, {wanted}), found {samples.shape}")
        with kernels.use(self.kernels), kernels.with_threads(self.threads):
            outputs = outputs_of(self.network, self.parameters, samples, self.scale, self.dtype)
        return self.loss.predict(Tensor(outputs)).numpy()


class Interrupted(KeyboardInterrupt):
    """Training was interrupted; `run` is the run so far, whose `progress` is that after the last complete step.

    `code` is the exit code of a process that ends for it: 130 after Ctrl-C, 143 where it was asked to terminate.
    """

    def __init__(self, run: Run, cause: BaseException | None = None) -> None:
        super().__init__(f"training stopped after {run.step} steps; the run so far is in the attribute `run`")
        self.run = run
        self.code = 143 if isinstance(cause, Terminated) else 130


def score(run: Run, data: Dataset) -> dict[str, Any]:
    """Return loss and metrics of a run on a data set, each with its 95 % interval."""
    return run.evaluate(data).flat()
