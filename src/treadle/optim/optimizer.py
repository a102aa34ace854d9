"""What an optimiser is: two pure functions over nested containers of arrays."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np

from treadle.tree import Tree

Array = np.ndarray[Any, np.dtype[Any]]
LARGE = 1e37  # numbers below it stay far from the largest float32, 3.4e38


class Optimizer(ABC):
    """An update rule: `init` makes its state, `step` gives new parameters and new state and changes nothing."""

    slots: ClassVar[int] = 0  # arrays that the state keeps for each parameter, for the estimate of memory
    lr: float

    @abstractmethod
    def init(self, params: Tree) -> Tree:
        """Return the state before the first step."""

    @abstractmethod
    def step(self, params: Tree, grads: Tree, state: Tree) -> tuple[Tree, Tree]:
        """Return the parameters and the state after one step."""

    def update(self, params: Array, grads: Array, state: Tree) -> Tree:
        """Take a step in place: flat parameters (P,), their gradients (P,), the state that `init` made of them.

        Returns the state after it. Same numbers as `step`, up to rounding. Training lets Ctrl-C wait until
        it has returned. An error raised inside may leave parameters and state amid the step where this is overridden;
        by default the parameters change last, in one copy.
        """
        new, after = self.step(params, grads, state)
        np.copyto(params, new)
        return after

    def bounds(self, params: float, grads: float, state: float) -> tuple[float, float]:  # noqa: ARG002
        """Bound the absolute values after an `update`, from bounds of parameters, gradients and state before it.

        Returns a bound of the parameters and one of the state, the second ∞ where a setting alone is LARGE. Training
        updates in place where both are below LARGE. Unless overridden they are ∞: training then takes each `step` aside
        and looks at its parameters before it puts them in place, which costs a further pass over memory.
        """
        return math.inf, math.inf

    def _require(self, name: str, low: float, high: float, *, above: bool = False) -> None:
        """Make a setting a plain float, weak in dtype; ValueError unless low ≤ it < high, or low < it if above."""
        value: Any = getattr(self, name)
        if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
            raise ValueError(f"{type(self).__name__}: {name} must be a number, found {value!r}")
        if not low <= value < high or (above and value == low):
            least = "above" if above else "at least"
            raise ValueError(f"{type(self).__name__}: {name} must be {least} {low:g} and below {high:g}, found {value}")
        object.__setattr__(self, name, float(value))
