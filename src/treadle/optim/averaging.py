"""Averages of the parameters over the course of training, with which a network often does better than with the last.

Training goes on with the parameters as they are; validation, the best weights, test and prediction use the average.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from treadle.errors import TreadleError


@dataclass(frozen=True)
class Averaging(ABC):
    """A running average a ← (1 − s) · a + s · p of the parameters p, with a share s for each time one is taken."""

    by_step: ClassVar[bool]  # taken after each step, and of running means too; else after each epoch

    @abstractmethod
    def share(self, number: int) -> float:
        """Return the share of the parameters that are taken in as number 1, 2, …; that of the first is 1."""

    @abstractmethod
    def taken(self, epochs: int, steps: int) -> int:
        """Return how many were taken in after so many epochs and steps."""

    def require_begun(self, epochs: int) -> None:  # noqa: B027 - nothing, unless overridden
        """Raise TreadleError where a training of so many epochs ends before the first is taken in."""


@dataclass(frozen=True)
class EMA(Averaging):
    """Exponential moving average after each step t: aₜ = Σ (1 − d) dᵗ⁻ⁱ pᵢ / (1 − dᵗ), over i = 1 … t.

    It is corrected for its start: weights fall by d a step and add up to 1 from the first step on, so that the initial
    parameters have no part in it. Running means, which have no gradient, are averaged in the same way.

    Args:
        decay: d, from 0 to below 1; it looks back over some 1 / (1 − d) steps.

    >>> [round(EMA(0.9).share(t), 3) for t in (1, 2, 10, 1000)]
    [1.0, 0.526, 0.154, 0.1]

    Source: Polyak and Juditsky, Acceleration of stochastic approximation by averaging, 1992 (averages); correction as
    in Kingma and Ba, Adam, ICLR 2015.
    """

    by_step: ClassVar[bool] = True
    decay: float = 0.999

    def __post_init__(self) -> None:
        if isinstance(self.decay, bool) or not isinstance(self.decay, (int, float)) or not 0 <= self.decay < 1:
            raise TreadleError(f"EMA: decay must be a number from 0 to below 1, found {self.decay!r}")

    def share(self, number: int) -> float:
        """Return (1 − d) / (1 − dᵗ) for step t."""
        return (1 - self.decay) / (1 - self.decay**number)

    def taken(self, epochs: int, steps: int) -> int:  # noqa: ARG002
        """Return the steps."""
        return steps


@dataclass(frozen=True)
class SWA(Averaging):
    """Stochastic weight averaging: the mean of the parameters at the ends of epochs, from one epoch on.

    Until then the parameters themselves are used. Running means of batch normalisation do not belong to averaged
    weights: they are computed anew by a pass over the training set, as in its epoch, where a network has any. The
    learning rate should not fall to 0 meanwhile, or there is nothing to average.

    Args:
        begin: the first epoch whose end is averaged, counted from 1.

    >>> SWA(5).taken(epochs=4, steps=400), SWA(5).taken(epochs=6, steps=600), SWA(5).share(2)
    (0, 2, 0.5)

    Source: Izmailov et al., Averaging weights leads to wider optima and better generalization, UAI 2018.
    """

    by_step: ClassVar[bool] = False
    begin: int

    def __post_init__(self) -> None:
        if isinstance(self.begin, bool) or not isinstance(self.begin, int) or self.begin < 1:
            raise TreadleError(f"SWA: begin must be an epoch, a whole number of at least 1, found {self.begin!r}")

    def share(self, number: int) -> float:
        """Return 1 / number."""
        return 1 / number

    def taken(self, epochs: int, steps: int) -> int:  # noqa: ARG002
        """Return the epochs from `begin` on."""
        return max(0, epochs - self.begin + 1)

    def require_begun(self, epochs: int) -> None:
        """Raise TreadleError where training ends before epoch `begin`."""
        if self.begin > epochs:
            raise TreadleError(f"averaging begins with epoch {self.begin}, and training ends after epoch {epochs}")


AVERAGES: dict[str, type[Averaging]] = {"ema": EMA, "swa": SWA}
