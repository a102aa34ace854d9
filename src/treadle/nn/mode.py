"""Mode: whether a forward pass trains, what its randomness derives from, and what it changes without a gradient."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from treadle.autodiff.tape import Value


@dataclass(frozen=True)
class Mode:
    """What a forward pass needs to know beside parameters and inputs.

    Args:
        training: whether this is a step of training; otherwise evaluation.
        key: whole number, 0-d uint64, from which all randomness of one step derives.
        path: of the module that is computed, from the names of the modules around it.
        updates: collects what training changes without a gradient, by the id of the parameter's array.
        momentum: share of this batch in running means, in place of the layers' own; None leaves it to them.

    >>> Mode(training=True).child("residual1").child("dropout1").path
    'residual1.dropout1'
    """

    training: bool = False
    key: Any = None
    path: str = ""
    updates: dict[int, Any] | None = None
    momentum: float | None = None

    def child(self, name: str) -> Mode:
        """Return the mode for a module inside, by its name there."""
        return replace(self, path=f"{self.path}.{name}" if self.path else name)

    def update(self, parameter: Any, value: Any) -> None:
        """Note the next value of a parameter that training changes without a gradient, such as a running mean.

        It takes effect only where whoever called the network gave `updates` and puts it in the parameter's place.

        >>> import numpy as np
        >>> mode, mean = Mode(training=True, updates={}), np.zeros(2)
        >>> mode.update(mean, np.ones(2))
        >>> mode.updates[id(mean)]
        array([1., 1.])
        """
        if self.updates is not None:
            self.updates[id(_plain(parameter))] = _plain(value)


def _plain(x: Any) -> Any:
    return x.data if isinstance(x, Value) else x


EVALUATION = Mode()
