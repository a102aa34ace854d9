"""Gradient descent with momentum."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from treadle import kernels
from treadle.optim.optimizer import LARGE, Array, Optimizer
from treadle.tree import Tree, tree_map


@dataclass(frozen=True)
class Momentum(Optimizer):
    """Gradient descent with momentum: v ← momentum · v + g + weight_decay · p, p ← p − lr · v.

    Args:
        lr: learning rate, not negative.
        momentum: share of the velocity kept, from 0 to below 1.
        weight_decay: L2 regularisation, added to the gradient.

    >>> import numpy as np
    >>> optimizer = Momentum(lr=0.1)
    >>> params = {"x": np.array([-7.0, 2.0])}
    >>> params, state = optimizer.step(params, {"x": np.array([-0.7, 4.0])}, optimizer.init(params))
    >>> params["x"]
    array([-6.93,  1.6 ])

    Source: Polyak, Some methods of speeding up the convergence of iteration methods, 1964; form as in
    Sutskever et al., On the importance of initialization and momentum in deep learning, ICML 2013, and PyTorch.
    """

    slots: ClassVar[int] = 1
    lr: float
    momentum: float = 0.9
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        self._require("lr", 0, math.inf)
        self._require("momentum", 0, 1)
        self._require("weight_decay", 0, math.inf)

    def init(self, params: Tree) -> Tree:
        """Return velocities of zero."""
        return {"velocity": tree_map(np.zeros_like, params)}

    def step(self, params: Tree, grads: Tree, state: Tree) -> tuple[Tree, Tree]:
        """Return parameters and velocities after one step."""
        if self.weight_decay:
            grads = tree_map(lambda p, g: g + self.weight_decay * p, params, grads)
        velocity = tree_map(lambda v, g: self.momentum * v + g, state["velocity"], grads)
        return tree_map(lambda p, v: p - self.lr * v, params, velocity), {"velocity": velocity}

    def update(self, params: Array, grads: Array, state: Tree) -> Tree:
        """Take a step in place, as `Optimizer.update`."""
        kernels.active().momentum(params, grads, state["velocity"], self.lr, self.momentum, self.weight_decay)
        return state

    def bounds(self, params: float, grads: float, state: float) -> tuple[float, float]:
        """Bound the next parameters and velocities, as `Optimizer.bounds`."""
        velocity = self.momentum * state + grads + self.weight_decay * params
        return params + self.lr * velocity, velocity if max(self.lr, self.weight_decay) < LARGE else math.inf
