"""RMSProp."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from treadle import kernels
from treadle.optim.optimizer import LARGE, Array, Regularized
from treadle.tree import Tree, tree_map


@dataclass(frozen=True, repr=False)
class RMSProp(Regularized):
    """RMSProp: s ← beta · s + (1 − beta) · g², p ← p − lr · g / (√s + ε).

    Args:
        lr: learning rate, not negative.
        beta: share of the running mean of squares kept, from 0 to below 1.
        epsilon: added to √s, outside the root; above 0, for a gradient that is always 0.

    Other settings are those of `Regularized`.

    >>> import numpy as np
    >>> optimizer = RMSProp(lr=0.1, beta=0.75)
    >>> params, state = optimizer.step({"x": np.ones(1)}, {"x": np.array([2.0])}, optimizer.init({"x": np.ones(1)}))
    >>> params["x"].round(6)
    array([0.8])

    Source: Tieleman and Hinton, Lecture 6.5 of Neural networks for machine learning, 2012.
    """

    slots: ClassVar[int] = 1
    lr: float = 0.001
    beta: float = 0.9
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("beta", 0, 1)
        self._require("epsilon", 0, math.inf, above=True)

    def init(self, params: Tree) -> Tree:
        """Return means of zero."""
        return {"square": tree_map(np.zeros_like, params)}

    def step(self, params: Tree, grads: Tree, state: Tree) -> tuple[Tree, Tree]:
        """Return parameters and means of squares after one step."""
        grads = self.regularized(params, grads)
        square = tree_map(lambda s, g: self.beta * s + (1 - self.beta) * (g * g), state["square"], grads)

        def update(p: Any, g: Any, s: Any) -> Any:
            return p - self.lr * (g / (np.sqrt(s) + self.epsilon))

        return tree_map(update, params, grads, square), {"square": square}

    def update(self, params: Array, grads: Array, state: Tree) -> Tree:
        """Take a step in place, as `Optimizer.update`."""
        grads = self.regularized(params, grads)
        kernels.active().rmsprop(params, grads, state["square"], self.lr, self.beta, self.epsilon)
        return state

    def bounds(self, params: float, grads: float, state: float) -> tuple[float, float]:
        """Bound the next parameters and means, as `Optimizer.bounds`; where a square underflows, ε alone divides."""
        pull = self.pull(params, grads)
        after = params + self.lr * pull / min(self.epsilon, 1.0)
        fits = max(self.lr, 1 / self.epsilon, pull) < LARGE
        return after, max(state, pull * pull) if fits else math.inf

    def _rule(self) -> list[str]:
        return [
            f"s ← {self.beta:g} s + {1 - self.beta:g} g²",
            f"p ← p − {self.lr:g} g / (√s + {self.epsilon:g})",
        ]
