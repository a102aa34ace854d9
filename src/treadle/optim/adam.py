"""Adam, and its form with decoupled weight decay."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from treadle import kernels
from treadle.optim.optimizer import LARGE, Array, Regularized
from treadle.tree import Tree, tree_map


@dataclass(frozen=True, repr=False)
class Adam(Regularized):
    """Adam: m ← β₁ m + (1−β₁) g, v ← β₂ v + (1−β₂) g², p ← p − lr · m̂ / (√v̂ + ε), m̂ = m/(1−β₁ᵗ), v̂ = v/(1−β₂ᵗ).

    Args:
        lr: learning rate, not negative.
        beta1, beta2: shares of the running means kept, from 0 to below 1.
        epsilon: added to √v̂, outside the root; above 0, for a gradient that is always 0.

    Other settings are those of `Regularized`.

    >>> import numpy as np
    >>> optimizer = Adam(lr=0.1)
    >>> params = {"w": np.ones(3)}
    >>> params, state = optimizer.step(params, {"w": np.array([1.0, 2.0, 3.0])}, optimizer.init(params))
    >>> params["w"].round(6)
    array([0.9, 0.9, 0.9])

    Source: Kingma and Ba, Adam: a method for stochastic optimization, ICLR 2015.
    """

    slots: ClassVar[int] = 2
    lr: float = 0.001
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("beta1", 0, 1)
        self._require("beta2", 0, 1)
        self._require("epsilon", 0, math.inf, above=True)

    def init(self, params: Tree) -> Tree:
        """Return means of zero and step 0."""
        return {"mean": tree_map(np.zeros_like, params), "square": tree_map(np.zeros_like, params), "step": 0}

    def step(self, params: Tree, grads: Tree, state: Tree) -> tuple[Tree, Tree]:
        """Return parameters and running means after one step."""
        count = state["step"] + 1
        grads = self.regularized(params, grads)
        mean = tree_map(lambda m, g: self.beta1 * m + (1 - self.beta1) * g, state["mean"], grads)
        square = tree_map(lambda v, g: self.beta2 * v + (1 - self.beta2) * (g * g), state["square"], grads)
        rate, root = self.lr / (1 - self.beta1**count), math.sqrt(1 - self.beta2**count)

        def update(p: Any, m: Any, v: Any) -> Any:
            return self._kept() * p - rate * m / (np.sqrt(v) / root + self.epsilon)

        return tree_map(update, params, mean, square), {"mean": mean, "square": square, "step": count}

    def update(self, params: Array, grads: Array, state: Tree) -> Tree:
        """Take a step in place, as `Optimizer.update`."""
        count = state["step"] + 1
        rate, root = self.lr / (1 - self.beta1**count), math.sqrt(1 - self.beta2**count)
        settings = (rate, root, self.beta1, self.beta2, self.epsilon)
        grads = self.regularized(params, grads)
        if not self._coupled:
            params *= self._kept()
        kernels.active().adam(params, grads, state["mean"], state["square"], *settings)
        return {**state, "step": count}

    def bounds(self, params: float, grads: float, state: float) -> tuple[float, float]:
        """Bound the next parameters and means, as `Optimizer.bounds`.

        A square may underflow to 0, so √v̂ bounds nothing and ε alone does.
        """
        mean, rate = max(state, self.pull(params, grads)), self.lr / (1 - self.beta1)
        after = params + rate * mean / min(self.epsilon, 1.0)
        return after, mean if max(rate, 1 / self.epsilon) < LARGE else math.inf

    def _kept(self) -> float:
        """Share of a parameter that decoupled decay leaves."""
        return 1.0 if self._coupled else 1 - self.lr * self.weight_decay

    def _rule(self) -> list[str]:
        return [
            f"m ← {self.beta1:g} m + {1 - self.beta1:g} g",
            f"v ← {self.beta2:g} v + {1 - self.beta2:g} g²",
            f"p ← p − {self.lr:g} (m / (1 − {self.beta1:g}ᵗ)) / (√(v / (1 − {self.beta2:g}ᵗ)) + {self.epsilon:g})",
        ]


@dataclass(frozen=True, repr=False)
class AdamW(Adam):
    """Adam with decoupled weight decay: p ← (1 − lr · weight_decay) · p, then as `Adam` by the gradient alone.

    Args:
        weight_decay: share of a parameter that is lost in a step, divided by lr; the means do not see it.

    Other arguments are those of `Adam`.

    >>> import numpy as np
    >>> optimizer = AdamW(lr=0.1, weight_decay=0.5)
    >>> params = {"w": np.ones(1)}
    >>> optimizer.step(params, {"w": np.zeros(1)}, optimizer.init(params))[0]["w"]
    array([0.95])

    Source: Loshchilov and Hutter, Decoupled weight decay regularization, ICLR 2019; lr in the factor as in PyTorch.
    """

    weight_decay: float = field(default=0.01, kw_only=True)
    _coupled: ClassVar[bool] = False

    def bounds(self, params: float, grads: float, state: float) -> tuple[float, float]:
        """Bound the next parameters and means, as `Optimizer.bounds`."""
        after, mean = super().bounds(params, grads, state)
        return after + self.lr * self.weight_decay * params, mean

    def _rule(self) -> list[str]:
        return [f"p ← (1 − {self.lr:g} · {self.weight_decay:g}) p", *super()._rule()]
