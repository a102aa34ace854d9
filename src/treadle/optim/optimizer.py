"""What an optimiser is: two pure functions over nested containers; and what changes a gradient before them."""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from treadle.text import constructor
from treadle.tree import Tree, leaves, tree_map

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

    def with_lr(self, lr: float) -> Self:
        """Return the same rule with another learning rate, as a schedule asks for."""
        made = copy.copy(self)
        object.__setattr__(made, "lr", lr)  # settings are frozen, and this object is nobody's yet
        return made

    def _require(self, name: str, low: float, high: float, *, above: bool = False) -> None:
        """Make a setting a plain float, weak in dtype; ValueError unless low ≤ it < high, or low < it if above."""
        value: Any = getattr(self, name)
        if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
            raise ValueError(f"{type(self).__name__}: {name} must be a number, found {value!r}")
        if not low <= value < high or (above and value == low):
            least = "above" if above else "at least"
            raise ValueError(f"{type(self).__name__}: {name} must be {least} {low:g} and below {high:g}, found {value}")
        object.__setattr__(self, name, float(value))


@dataclass(frozen=True, kw_only=True, repr=False)
class Regularized(Optimizer):
    """An optimiser that may clip its gradient and add the gradients of penalties on the parameters.

    In this order: g ← clip(g, −clip_value, clip_value), g ← g · min(1, clip_norm / ‖g‖), g ← g + weight_decay · p +
    l1 · sign(p). The norm is that of all parameters together.

    Args:
        weight_decay: of L2 regularisation, the gradient of ½ weight_decay ‖p‖²; "coupled", for what the rule does
            with a gradient it does with this too. AdamW has the decoupled form.
        l1: of L1 regularisation, the gradient of l1 ‖p‖₁, 0 where p is 0.
        clip_value: most that an element of the gradient may be, or None.
        clip_norm: most that the norm of the gradient may be, or None.

    Source: Pascanu, Mikolov and Bengio, On the difficulty of training recurrent neural networks, ICML 2013 (norm).
    """

    weight_decay: float = 0.0
    l1: float = 0.0
    clip_value: float | None = None
    clip_norm: float | None = None

    def __post_init__(self) -> None:
        self._require("lr", 0, math.inf)
        self._require("weight_decay", 0, math.inf)
        self._require("l1", 0, math.inf)
        for name in ("clip_value", "clip_norm"):
            if getattr(self, name) is not None:
                self._require(name, 0, math.inf, above=True)

    def __repr__(self) -> str:
        return constructor(self)

    def rule(self) -> str:
        """Return the update of a parameter p by its gradient g, with the numbers of this optimiser.

        >>> from treadle.optim import Momentum
        >>> print(Momentum(0.1, weight_decay=0.01).rule())
        g ← g + 0.01 p
        v ← 0.9 v + g
        p ← p − 0.1 v
        """
        lines = []
        if self.clip_value is not None:
            lines.append(f"g ← min(max(g, −{self.clip_value:g}), {self.clip_value:g})")
        if self.clip_norm is not None:
            lines.append(f"g ← g · min(1, {self.clip_norm:g} / ‖g‖)")
        decay = self.weight_decay if self._coupled else 0
        penalties = [f"{decay:g} p"] * bool(decay) + [f"{self.l1:g} sign(p)"] * bool(self.l1)
        if penalties:
            lines.append(f"g ← g + {' + '.join(penalties)}")
        return "\n".join([*lines, *self._rule()])

    _coupled: ClassVar[bool] = True

    @abstractmethod
    def _rule(self) -> list[str]:
        """Lines of `rule` after those of the gradient."""

    def regularized(self, params: Tree, grads: Tree) -> Tree:
        """Return the gradients clipped and with those of the penalties; the same object where nothing is asked for."""
        if (most := self.clip_value) is not None:
            grads = tree_map(lambda g: np.clip(g, -most, most), grads)
        if self.clip_norm is not None:
            factor = min(1.0, self.clip_norm / norm) if (norm := global_norm(grads)) else 1.0
            grads = tree_map(lambda g: g * factor, grads)
        if self.weight_decay and self._coupled:
            grads = tree_map(lambda p, g: g + self.weight_decay * p, params, grads)
        if self.l1:
            grads = tree_map(lambda p, g: g + self.l1 * np.sign(p), params, grads)
        return grads

    def pull(self, params: float, grads: float) -> float:
        """Bound what `regularized` returns, from bounds of parameters and gradients; ∞ where a setting is LARGE."""
        if max(self.lr, self.weight_decay, self.l1) >= LARGE:
            return math.inf
        limits = [limit for limit in (grads, self.clip_value, self.clip_norm) if limit is not None]
        return min(limits) + (self.weight_decay * params if self._coupled else 0) + self.l1


def global_norm(grads: Tree) -> float:
    """Norm of all gradients together, √Σ g², in float64 and without overflow.

    >>> global_norm({"w": np.array([3.0, 0.0]), "b": np.array(4e200)})
    4e+200
    """
    found = [np.asarray(leaf) for _, leaf in leaves(grads)]
    largest = max((float(np.max(np.abs(g), initial=0)) for g in found), default=0.0)
    if not 0 < largest < math.inf:
        return largest  # all zeros, or ∞ or NaN, which the caller has to look for
    return largest * math.sqrt(sum(float(np.sum(np.square(g / largest, dtype=np.float64))) for g in found))
