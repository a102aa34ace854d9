"""What an optimiser is: two pure functions over nested containers of arrays."""

from __future__ import annotations

from abc import ABC, abstractmethod

from treadle.tree import Tree


class Optimizer(ABC):
    """An update rule: `init` makes its state, `step` gives new parameters and new state and changes nothing."""

    lr: float

    @abstractmethod
    def init(self, params: Tree) -> Tree:
        """Return the state before the first step."""

    @abstractmethod
    def step(self, params: Tree, grads: Tree, state: Tree) -> tuple[Tree, Tree]:
        """Return the parameters and the state after one step."""

    def _require(self, name: str, value: float, low: float, high: float) -> None:
        """Raise ValueError unless low ≤ value < high."""
        if not low <= value < high:
            raise ValueError(
                f"{type(self).__name__}: {name} must be at least {low:g} and below {high:g}, found {value}"
            )
