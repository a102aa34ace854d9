"""Stochastic gradient descent."""

from __future__ import annotations

from dataclasses import dataclass

from treadle import kernels
from treadle.optim.optimizer import Array, Regularized
from treadle.tree import Tree, tree_map


@dataclass(frozen=True, repr=False)
class SGD(Regularized):
    """Stochastic gradient descent: p ← p − lr · g.

    Args:
        lr: learning rate, not negative.

    Other settings are those of `Regularized`.

    >>> SGD(lr=0.1).step({"w": 1.0}, {"w": 2.0}, {})
    ({'w': 0.8}, {})

    Source: Robbins and Monro, A stochastic approximation method, Annals of Mathematical Statistics 22, 1951.
    """

    lr: float

    def init(self, params: Tree) -> Tree:  # noqa: ARG002
        """There is no state."""
        return {}

    def step(self, params: Tree, grads: Tree, state: Tree) -> tuple[Tree, Tree]:
        """Return parameters after one step, and the state as it was."""
        grads = self.regularized(params, grads)
        return tree_map(lambda p, g: p - self.lr * g, params, grads), state

    def update(self, params: Array, grads: Array, state: Tree) -> Tree:
        """Take a step in place, as `Optimizer.update`."""
        kernels.active().sgd(params, self.regularized(params, grads), self.lr)
        return state

    def bounds(self, params: float, grads: float, state: float) -> tuple[float, float]:  # noqa: ARG002
        """Bound the next parameters, as `Optimizer.bounds`."""
        pull = self.pull(params, grads)
        return params + self.lr * pull, pull

    def _rule(self) -> list[str]:
        return [f"p ← p − {self.lr:g} g"]
