"""Stochastic gradient descent."""

from __future__ import annotations

import math
from dataclasses import dataclass

from treadle import kernels
from treadle.optim.optimizer import LARGE, Array, Optimizer
from treadle.tree import Tree, tree_map


@dataclass(frozen=True)
class SGD(Optimizer):
    """Stochastic gradient descent: p ← p − lr · (g + weight_decay · p).

    Args:
        lr: learning rate, not negative.
        weight_decay: L2 regularisation, added to the gradient.

    >>> SGD(lr=0.1).step({"w": 1.0}, {"w": 2.0}, {})
    ({'w': 0.8}, {})

    Source: Robbins and Monro, A stochastic approximation method, Annals of Mathematical Statistics 22, 1951.
    """

    lr: float
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        self._require("lr", 0, math.inf)
        self._require("weight_decay", 0, math.inf)

    def init(self, params: Tree) -> Tree:  # noqa: ARG002
        """There is no state."""
        return {}

    def step(self, params: Tree, grads: Tree, state: Tree) -> tuple[Tree, Tree]:
        """Return parameters after one step, and the state as it was."""
        if self.weight_decay:
            grads = tree_map(lambda p, g: g + self.weight_decay * p, params, grads)
        return tree_map(lambda p, g: p - self.lr * g, params, grads), state

    def update(self, params: Array, grads: Array, state: Tree) -> Tree:
        """Take a step in place, as `Optimizer.update`."""
        kernels.active().sgd(params, grads, self.lr, self.weight_decay)
        return state

    def bounds(self, params: float, grads: float, state: float) -> tuple[float, float]:  # noqa: ARG002
        """Bound the next parameters, as `Optimizer.bounds`."""
        pull = grads + self.weight_decay * params
        return params + self.lr * pull, pull if max(self.lr, self.weight_decay) < LARGE else math.inf
