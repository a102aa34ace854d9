"""Gradient descent with momentum, and its form that looks ahead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from treadle import kernels
from treadle.optim.optimizer import Array, Regularized
from treadle.tree import Tree, tree_map


@dataclass(frozen=True, repr=False)
class Momentum(Regularized):
    """Gradient descent with momentum: v ← momentum · v + g, p ← p − lr · v.

    Args:
        lr: learning rate, not negative.
        momentum: share of the velocity kept, from 0 to below 1.

    Other settings are those of `Regularized`.

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

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("momentum", 0, 1)

    def init(self, params: Tree) -> Tree:
        """Return velocities of zero."""
        return {"velocity": tree_map(np.zeros_like, params)}

    def step(self, params: Tree, grads: Tree, state: Tree) -> tuple[Tree, Tree]:
        """Return parameters and velocities after one step."""
        grads = self.regularized(params, grads)
        velocity = tree_map(lambda v, g: self.momentum * v + g, state["velocity"], grads)
        return tree_map(lambda p, v: p - self.lr * v, params, velocity), {"velocity": velocity}

    def update(self, params: Array, grads: Array, state: Tree) -> Tree:
        """Take a step in place, as `Optimizer.update`."""
        grads = self.regularized(params, grads)
        kernels.active().momentum(params, grads, state["velocity"], self.lr, self.momentum)
        return state

    def bounds(self, params: float, grads: float, state: float) -> tuple[float, float]:
        """Bound the next parameters and velocities, as `Optimizer.bounds`."""
        velocity = self.momentum * state + self.pull(params, grads)
        return params + self.lr * velocity, velocity

    def _rule(self) -> list[str]:
        return [f"v ← {self.momentum:g} v + g", f"p ← p − {self.lr:g} v"]


@dataclass(frozen=True, repr=False)
class Nesterov(Momentum):
    """Nesterov's momentum: v ← momentum · v + g, p ← p − lr · (g + momentum · v).

    Arguments are those of `Momentum`.

    >>> import numpy as np
    >>> optimizer, params = Nesterov(lr=0.1, momentum=0.5), {"x": np.array([1.0])}
    >>> params, state = optimizer.step(params, {"x": np.array([2.0])}, optimizer.init(params))
    >>> params["x"]
    array([0.7])

    Source: Nesterov, A method for solving the convex programming problem with convergence rate O(1/k²), 1983; form
    as in Sutskever et al., ICML 2013, and PyTorch.
    """

    def step(self, params: Tree, grads: Tree, state: Tree) -> tuple[Tree, Tree]:
        """Return parameters and velocities after one step."""
        grads = self.regularized(params, grads)
        velocity = tree_map(lambda v, g: self.momentum * v + g, state["velocity"], grads)
        ahead = tree_map(lambda g, v: g + self.momentum * v, grads, velocity)
        return tree_map(lambda p, a: p - self.lr * a, params, ahead), {"velocity": velocity}

    def update(self, params: Array, grads: Array, state: Tree) -> Tree:
        """Take a step in place, as `Optimizer.update`."""
        grads = self.regularized(params, grads)
        kernels.active().nesterov(params, grads, state["velocity"], self.lr, self.momentum)
        return state

    def bounds(self, params: float, grads: float, state: float) -> tuple[float, float]:
        """Bound the next parameters and velocities, as `Optimizer.bounds`."""
        pull = self.pull(params, grads)
        velocity = self.momentum * state + pull
        return params + self.lr * (pull + self.momentum * velocity), velocity

    def _rule(self) -> list[str]:
        return [f"v ← {self.momentum:g} v + g", f"p ← p − {self.lr:g} (g + {self.momentum:g} v)"]
