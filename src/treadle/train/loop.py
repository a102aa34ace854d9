"""The training loop: forward, loss, backward, update; and the evaluation after each epoch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from treadle.autodiff.functional import value_and_grad
from treadle.data import Batch, Dataset
from treadle.errors import TrainingError
from treadle.losses import Loss
from treadle.metrics import Metric
from treadle.nn import Module
from treadle.optim import Optimizer
from treadle.tensor import Tensor
from treadle.tree import Tree, leaves

EVALUATION_BATCH = 1000


@dataclass
class State:
    """What a step changes: parameters, the optimiser's state, and how far training has come."""

    params: Tree
    optimizer: Tree
    epoch: int = 0
    step: int = 0
    loss: float = math.nan


def train_epoch(
    network: Module,
    loss: Loss,
    optimizer: Optimizer,
    state: State,
    batches: Iterable[Batch],
    on_step: Callable[[State], None],
) -> float:
    """Take one step for each batch, changing `state`, and return the mean loss over the samples seen.

    Raises:
        TrainingError: the loss, a gradient or an updated parameter is not finite; `state` is that before the step.
    """
    objective = value_and_grad(lambda params, x, y: loss(network(params, Tensor(x)), y))
    total, samples = 0.0, 0
    for batch in batches:
        targets = loss.targets(batch.targets, batch.inputs.dtype)
        value, grads = objective(state.params, batch.inputs, targets)
        state.loss = float(value)
        if not math.isfinite(state.loss):
            raise _stopped(f"the loss is {state.loss}", state)
        params, optimizer_state = optimizer.step(state.params, grads, state.optimizer)
        if not all(np.isfinite(leaf).all() for _, leaf in leaves(params)):
            raise _stopped(_not_finite(grads, params, state.loss), state)
        state.params, state.optimizer = params, optimizer_state
        state.step += 1
        total += state.loss * len(batch.targets)
        samples += len(batch.targets)
        on_step(state)
    return total / samples


def _not_finite(grads: Tree, params: Tree, loss: float) -> str:
    """Name the first gradient that is not finite, or where all are, the first parameter after the update."""
    for kind, tree in (("gradient of", grads), ("updated parameter", params)):
        for path, leaf in leaves(tree):
            if not np.isfinite(leaf).all():
                return f"the {kind} {path} is not finite, with a loss of {loss:.6g},"
    raise AssertionError("all are finite")


def _stopped(reason: str, state: State) -> TrainingError:
    return TrainingError(
        f"{reason} in epoch {state.epoch + 1}, step {state.step + 1} of the run; training stopped before this step's "
        "update: lower the learning rate, or look for extreme values in the data"
    )


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
    predictions = loss.predict(Tensor(outputs)).numpy()
    return value, {metric.name: metric.per_sample(predictions, data.targets) for metric in metrics}
