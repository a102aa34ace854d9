"""AdaGrad."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from treadle import kernels
from treadle.optim.optimizer import LARGE, Array, Regularized
from treadle.tree import Tree, tree_map


@dataclass(frozen=True, repr=False)
class AdaGrad(Regularized):
    """AdaGrad: s ← s + g², p ← p − lr · g / (√s + ε). Steps shrink where gradients were large.

    Args:
        lr: learning rate, not negative.
        epsilon: added to √s, outside the root; above 0, for a gradient that is always 0.

    Other settings are those of `Regularized`.

    >>> import numpy as np
    >>> optimizer = AdaGrad(lr=1.5)
    >>> params = {"x": np.array([-7.0, 2.0])}
    >>> params, state = optimizer.step(params, {"x": np.array([-0.7, 4.0])}, optimizer.init(params))
    >>> params["x"].round(6)
    array([-5.5,  0.5])

    Source: Duchi, Hazan and Singer, Adaptive subgradient methods for online learning and stochastic optimization,
    JMLR 12, 2011.
    """

    slots: ClassVar[int] = 1
    lr: float = 0.01
    epsilon: float = 1e-10

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("epsilon", 0, math.inf, above=True)

    def init(self, params: Tree) -> Tree:
        """Return sums of zero."""
        return {"sum": tree_map(np.zeros_like, params)}

    def step(self, params: Tree, grads: Tree, state: Tree) -> tuple[Tree, Tree]:
        """Return parameters and sums of squares after one step."""
        grads = self.regularized(params, grads)
        total = tree_map(lambda s, g: s + g * g, state["sum"], grads)

        def update(p: Any, g: Any, s: Any) -> Any:
            return p - self.lr * (g / (np.sqrt(s) + self.epsilon))

        return tree_map(update, params, grads, total), {"sum": total}

    def update(self, params: Array, grads: Array, state: Tree) -> Tree:
        """Take a step in place, as `Optimizer.update`."""
        kernels.active().adagrad(params, self.regularized(params, grads), state["sum"], self.lr, self.epsilon)
        return state

    def bounds(self, params: float, grads: float, state: float) -> tuple[float, float]:
        """Bound the next parameters and sums, as `Optimizer.bounds`: |g| ≤ √s, so that a step is at most lr."""
        pull = self.pull(params, grads)
        least = min(pull, 1e-15) / self.epsilon  # of a gradient whose square underflows, so that ε alone divides
        return params + self.lr * max(1.0, least), state + pull * pull if max(self.lr, pull) < LARGE else math.inf

    def _rule(self) -> list[str]:
        return ["s ← s + g²", f"p ← p − {self.lr:g} g / (√s + {self.epsilon:g})"]
