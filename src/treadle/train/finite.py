"""Updates that leave finite numbers or nothing: what is not finite is found before a step changes anything."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from treadle import kernels
from treadle.errors import TrainingError
from treadle.optim import Optimizer
from treadle.optim.optimizer import LARGE
from treadle.train.step import Array, Gradients
from treadle.tree import Tree, leaves

if TYPE_CHECKING:
    from treadle.train.loop import State


class Finite:
    """Updates of a state, in place where the optimiser's bounds show that nothing overflows.

    Bounds are carried from step to step, which costs a few operations on numbers, and taken anew where they have
    grown too large. Where they stay so, or the optimiser knows none, the update is computed aside and looked at.
    """

    def __init__(self, optimizer: Optimizer, gradients: Gradients) -> None:
        self.optimizer, self.gradients = optimizer, gradients
        self._bounds = math.inf, math.inf
        self._known = optimizer.bounds(0, 0, 0) != self._bounds

    def update(self, state: State) -> None:
        """Update parameters and the optimiser's state by the gradients of the last step.

        Raises:
            TrainingError: loss, gradient or updated parameter is not finite; names it, and nothing was changed.
        """
        if not math.isfinite(state.loss):
            raise _stopped(f"the loss is {state.loss}", state, self._origin())
        grads = self.gradients.vector
        bounded = self._bounded(kernels.active().largest(grads), state)
        if not bounded:
            for path, g in self.gradients.tree.items():
                if not np.isfinite(g).all():
                    raise _not_finite("gradient of", path, state, self._origin())
        if self.gradients.updates and not kernels.active().largest(self.gradients.running) < math.inf:
            for path, value in self.gradients.updates.items():
                _require_finite("updated parameter", path, value, state)
        if bounded:
            state.optimizer = self.optimizer.update(state.vector, grads, state.optimizer)
            return
        after, following = self.optimizer.step(state.vector, grads, state.optimizer)
        begin = 0
        for path, g in self.gradients.tree.items():
            _require_finite("updated parameter", path, after[begin : begin + g.size], state)
            begin += g.size
        np.copyto(state.vector, after)
        state.optimizer = following

    def _origin(self) -> str:
        """Tell where the first number came from that is not finite; the step is traced for it."""
        from treadle.train.trace import trace  # here, since only errors need it

        batch = self.gradients.batch
        if batch is None:
            return ""
        inputs, targets, indices = batch
        network, loss, key = self.gradients.network, self.gradients.loss, int(self.gradients.key)
        try:
            found = trace(network, (inputs, targets), loss, parameters=self.gradients.params, seed=key)
        except Exception:  # of a loss or network of somebody's own; the error that is told must not be lost for it
            return ""
        return found.origin(indices)

    def _bounded(self, largest: float, state: State) -> bool:
        if not largest < LARGE:  # nor NaN, which a bound may lose
            return False
        after = self.optimizer.bounds(self._bounds[0], largest, self._bounds[1])
        if self._known and not (after[0] < LARGE and after[1] < LARGE):
            after = self.optimizer.bounds(_largest(state.vector), largest, _largest(state.optimizer))
        self._bounds = after
        return after[0] < LARGE and after[1] < LARGE


def _largest(tree: Tree) -> float:
    found = (leaf for _, leaf in leaves(tree) if isinstance(leaf, np.ndarray))
    return max((kernels.active().largest(leaf) for leaf in found), default=0.0)


def _require_finite(kind: str, path: str, array: Array, state: State) -> None:
    if not np.isfinite(array).all():
        raise _not_finite(kind, path, state)


def _not_finite(kind: str, path: str, state: State, origin: str = "") -> TrainingError:
    return _stopped(f"the {kind} {path} is not finite, with a loss of {state.loss:.6g},", state, origin)


def _stopped(reason: str, state: State, origin: str = "") -> TrainingError:
    return TrainingError(
        f"{reason} in epoch {state.epoch + 1}, step {state.step + 1} of the run; training stopped before this step's "
        f"update: lower the learning rate, or look for extreme values in the data{origin and '; '}{origin}"
    )
