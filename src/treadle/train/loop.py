"""The training loop: forward, loss, backward, update; and the evaluation after each epoch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np

from treadle.data import Dataset, Reading
from treadle.losses import Loss
from treadle.metrics import Metric
from treadle.nn import Module
from treadle.optim import Optimizer
from treadle.tensor import Tensor
from treadle.train.averaging import Average
from treadle.train.diagnosis import Diagnosis
from treadle.train.finite import Finite
from treadle.train.step import Array, Gradients
from treadle.tree import Tree

EVALUATION_BATCH = 200


class Enough(Exception):  # noqa: N818
    """No error, but the way out of training for a callback: `fit` lets it through to who called it."""


@dataclass
class State:
    """What a step changes: parameters, the optimiser's state, and how far training has come.

    `vector` holds the trained parameters one after the other; the leaves of `params` are views into it. `batch` batches
    of the epoch were trained on; `total` is the sum of their losses, each times its samples, of which there were
    `samples`.
    """

    params: Tree
    vector: Array
    optimizer: Tree
    epoch: int = 0
    step: int = 0
    loss: float = math.nan
    batch: int = 0
    total: float = 0.0
    samples: int = 0


def train_epoch(
    optimizer: Optimizer,
    gradients: Gradients,
    state: State,
    batches: Iterable[Array],
    reading: Reading,
    key: Callable[[int], int],
    on_step: Callable[[State], None],
    whole: AbstractContextManager[object],
    factor: Callable[[int], float] | None,
    diagnosis: Diagnosis | None,
    average: Average | None = None,
    on_gradients: Callable[[State, Gradients], None] | None = None,
) -> None:
    """Take one step for each batch, changing `state` in place.

    Args:
        optimizer: the update rule.
        gradients: of the network and loss, by the parameters of `state`.
        state: changed from step to step.
        batches: numbers of samples (N,).
        reading: of these batches, begun.
        key: from the number of a step to the number that its randomness derives from.
        on_step: called after each step.
        whole: entered where a step changes `state`, to keep Ctrl-C outside.
        factor: from the number of a step to the factor of the learning rate, if there is a schedule.
        diagnosis: looks at some of the steps, if there is one.
        average: of the parameters, if one is taken.
        on_gradients: called in each step before its update, with the gradients, to look at.

    Raises:
        TrainingError: the loss, a gradient or an updated parameter is not finite; `state` is that before the step.
    """
    finite = Finite(optimizer, gradients)
    for indices in batches:
        if factor and (lr := optimizer.lr * factor(state.step)) != finite.optimizer.lr:
            finite.optimizer = optimizer.with_lr(lr)
        state.loss = gradients.step(indices, key(state.step), reading.next)
        if on_gradients:
            on_gradients(state, gradients)
        if diagnosis:
            diagnosis.begin(state)
        with whole:
            finite.update(state)
            gradients.accept()
            state.step += 1
            state.batch += 1
            state.total += state.loss * len(indices)
            state.samples += len(indices)
            if average:
                average.after_step(state.step)
            if diagnosis:
                diagnosis.end(state, len(indices))
        on_step(state)


@np.errstate(all="ignore")  # overflow shows in the numbers themselves
def outputs_of(network: Module, params: Tree, inputs: Any, scale: Any, dtype: Any) -> Any:
    """Compute the outputs (N, …) of raw inputs, scaled as in training, in batches and outside the tape."""
    pieces = range(0, max(len(inputs), 1), EVALUATION_BATCH)  # no inputs make one empty batch, for its shape
    return np.concatenate(
        [network(params, scale.apply(inputs[i : i + EVALUATION_BATCH], dtype)).numpy() for i in pieces]
    )


@np.errstate(all="ignore")
def evaluate(
    network: Module, params: Tree, loss: Loss, metrics: Sequence[Metric], data: Dataset, scale: Any, dtype: Any
) -> tuple[float, dict[str, Any]]:
    """Return the loss on a whole data set and, for each metric, what each sample scores (N,)."""
    outputs = outputs_of(network, params, data.inputs, scale, dtype)
    value = loss(Tensor(outputs), loss.targets(data.targets, outputs.dtype)).item()
    predictions = loss.predict(Tensor(outputs.astype(np.float64))).numpy()  # float32 would make ties of small shares
    return value, {metric.name: metric.per_sample(predictions, data.targets) for metric in metrics}
