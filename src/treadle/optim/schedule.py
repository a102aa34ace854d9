"""Schedules: the learning rate as a function of time. A schedule gives a factor, and the rate is lr · factor.

Time is counted in epochs or in steps, as `by` says, from 0; it stands still within an epoch where it is counted in
epochs. Schedules in a list follow one another, each for its `length`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

Unit = Literal["epoch", "step"]


@dataclass(frozen=True)
class Schedule(ABC):
    """A factor of the learning rate over time; `length` is None where it goes on for ever."""

    @abstractmethod
    def factor(self, t: int) -> float:
        """Return the factor at the time t, an epoch or step counted from 0."""

    def _check(self, **least: float) -> None:
        """Raise ValueError unless each setting named is a number of at least so much."""
        for name, low in least.items():
            value: Any = getattr(self, name)
            whole = name in ("length", "every", "patience")
            if value is None and name == "length":
                continue
            fits = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
            if not (fits and low <= value < math.inf):
                kind = "a whole number" if whole else "a number"
                raise ValueError(f"{type(self).__name__}: {name} must be {kind} of at least {low:g}, found {value!r}")
        by = getattr(self, "by", "epoch")
        if by not in ("epoch", "step"):
            raise ValueError(f"{type(self).__name__}: by must be 'epoch' or 'step', found {by!r}")


@dataclass(frozen=True)
class Constant(Schedule):
    """factor(t) = 1.

    Args:
        length: after which the next schedule begins; None: for ever.
        by: what length counts.

    >>> Constant().factor(7)
    1.0
    """

    length: int | None = None
    by: Unit = "epoch"

    def __post_init__(self) -> None:
        self._check(length=1)

    def factor(self, t: int) -> float:  # noqa: ARG002
        """Return 1."""
        return 1.0


@dataclass(frozen=True)
class Step(Schedule):
    """factor(t) = rate^⌊t / every⌋: a drop every so often.

    >>> [Step(every=2, rate=0.5).factor(t) for t in range(5)]
    [1.0, 1.0, 0.5, 0.5, 0.25]
    """

    every: int
    rate: float = 0.1
    length: int | None = None
    by: Unit = "epoch"

    def __post_init__(self) -> None:
        self._check(every=1, rate=0, length=1)

    def factor(self, t: int) -> float:
        """Return the factor at the time t."""
        return float(self.rate ** (t // self.every))


@dataclass(frozen=True)
class Exponential(Schedule):
    """factor(t) = rate^t.

    >>> [round(Exponential(rate=0.9).factor(t), 3) for t in range(3)]
    [1.0, 0.9, 0.81]
    """

    rate: float
    length: int | None = None
    by: Unit = "epoch"

    def __post_init__(self) -> None:
        self._check(rate=0, length=1)

    def factor(self, t: int) -> float:
        """Return the factor at the time t."""
        return float(self.rate**t)


@dataclass(frozen=True)
class Polynomial(Schedule):
    """factor(t) = end + (1 − end) · (1 − t / length)^power, and end from t = length on; power 1 is a straight line.

    >>> [Polynomial(length=4).factor(t) for t in (0, 1, 4, 9)]
    [1.0, 0.75, 0.0, 0.0]
    """

    length: int
    end: float = 0.0
    power: float = 1.0
    by: Unit = "epoch"

    def __post_init__(self) -> None:
        self._check(length=1, end=0, power=0)

    def factor(self, t: int) -> float:
        """Return the factor at the time t."""
        return float(self.end + (1 - self.end) * (1 - min(t, self.length) / self.length) ** self.power)


@dataclass(frozen=True)
class Cosine(Schedule):
    """factor(t) = end + (1 − end) · (1 + cos(π t / length)) / 2, and end from t = length on.

    >>> [round(Cosine(length=4).factor(t), 3) for t in (0, 1, 2, 4, 9)]
    [1.0, 0.854, 0.5, 0.0, 0.0]

    Source: Loshchilov and Hutter, SGDR: stochastic gradient descent with warm restarts, ICLR 2017, without restarts.
    """

    length: int
    end: float = 0.0
    by: Unit = "epoch"

    def __post_init__(self) -> None:
        self._check(length=1, end=0)

    def factor(self, t: int) -> float:
        """Return the factor at the time t."""
        return self.end + (1 - self.end) * (1 + math.cos(math.pi * min(t, self.length) / self.length)) / 2


@dataclass(frozen=True)
class Warmup(Schedule):
    """factor(t) = begin + (1 − begin) · t / length, and 1 from t = length on.

    >>> [Warmup(length=4, begin=0.5).factor(t) for t in (0, 2, 4, 9)]
    [0.5, 0.75, 1.0, 1.0]

    Source: Goyal and others, Accurate, large minibatch SGD: training ImageNet in 1 hour, 2017.
    """

    length: int
    begin: float = 0.1
    by: Unit = "epoch"

    def __post_init__(self) -> None:
        self._check(length=1, begin=0)

    def factor(self, t: int) -> float:
        """Return the factor at the time t."""
        return self.begin + (1 - self.begin) * min(t, self.length) / self.length


@dataclass(frozen=True)
class OneCycle(Schedule):
    """Up from `begin` to 1 over the share `rise` of the length, then down to `end`, both along half a cosine.

    With u = rise · length − 1 and d = length − 1: begin + (1 − begin) · (1 − cos(π t / u)) / 2 for t ≤ u, then
    end + (1 − end) · (1 + cos(π (t − u) / (d − u))) / 2, and end from d on. Counted in steps unless told otherwise.

    >>> [round(OneCycle(length=11, rise=0.5, begin=0.1, end=0.0).factor(t), 2) for t in (0, 4, 5, 10, 20)]
    [0.1, 0.97, 0.98, 0.0, 0.0]

    Source: Smith and Topin, Super-convergence: very fast training of neural networks using large learning rates, 2018;
    form and defaults as in PyTorch.
    """

    length: int
    rise: float = 0.3
    begin: float = 0.04
    end: float = 4e-6
    by: Unit = "step"

    def __post_init__(self) -> None:
        self._check(length=2, rise=0, begin=0, end=0)
        if not 0 < self.rise * self.length - 1 < self.length - 1:
            raise ValueError(
                f"OneCycle: rise must be a share between {1 / self.length:g} and 1 for a length of {self.length}, "
                f"found {self.rise}"
            )

    def factor(self, t: int) -> float:
        """Return the factor at the time t."""
        top, last = self.rise * self.length - 1, self.length - 1
        if t <= top:
            return self.begin + (1 - self.begin) * (1 - math.cos(math.pi * t / top)) / 2
        return self.end + (1 - self.end) * (1 + math.cos(math.pi * min(1.0, (t - top) / (last - top)))) / 2


@dataclass(frozen=True)
class OnPlateau:
    """A drop by `rate` whenever the validation loss has not improved for more than `patience` epochs.

    An epoch improves if its loss is below (1 − threshold) times the best before it. Used alone, by epoch.

    >>> OnPlateau(rate=0.5, patience=1).after([3.0, 2.0, 2.0, 2.0, 2.0, 2.0])
    0.25
    """

    rate: float = 0.1
    patience: int = 10
    threshold: float = 1e-4

    def __post_init__(self) -> None:
        Schedule._check(self, rate=0, patience=0, threshold=0)  # type: ignore[arg-type]

    def after(self, losses: Sequence[float]) -> float:
        """Return the factor after epochs with these validation losses."""
        factor, best, waited = 1.0, math.inf, 0
        for loss in losses:
            improved = loss < best * (1 - self.threshold)
            best, waited = (loss, 0) if improved else (best, waited + 1)
            if waited > self.patience:
                factor, waited = factor * self.rate, 0
        return factor


SCHEDULES: dict[str, type[Schedule | OnPlateau]] = {
    "constant": Constant,
    "step": Step,
    "exponential": Exponential,
    "polynomial": Polynomial,
    "cosine": Cosine,
    "warmup": Warmup,
    "one_cycle": OneCycle,
    "on_plateau": OnPlateau,
}


class Plan:
    """The learning rate's factor over a training, by schedules that follow one another.

    Args:
        schedules: each but the last for its length; or one OnPlateau alone.
        steps: in an epoch.

    Raises:
        ValueError: a schedule that goes on for ever stands before another, or OnPlateau does not stand alone.

    >>> plan = Plan([Warmup(2, begin=0.5), Cosine(4)], steps=10)
    >>> [round(plan.factor(step), 3) for step in (0, 9, 10, 20, 40, 60)]
    [0.5, 0.5, 0.75, 1.0, 0.5, 0.0]
    """

    def __init__(self, schedules: Sequence[Schedule | OnPlateau], steps: int) -> None:
        self.plateau = next((s for s in schedules if isinstance(s, OnPlateau)), None)
        if self.plateau is not None and len(schedules) > 1:
            raise ValueError("OnPlateau depends on what was measured, not on time, and stands alone")
        self._parts: list[tuple[int, int, Any]] = []  # first step, steps in a unit, schedule
        first = 0
        for number, schedule in enumerate(schedules):
            if isinstance(schedule, OnPlateau):
                continue
            unit = steps if schedule.by == "epoch" else 1  # type: ignore[attr-defined]
            self._parts.append((first, unit, schedule))
            length = schedule.length  # type: ignore[attr-defined]
            if length is None and number + 1 < len(schedules):
                raise ValueError(
                    f"{schedule} goes on for ever, and {schedules[number + 1]} is to follow it: give it a length"
                )
            first += (length or 0) * unit
        self.by_step = any(unit == 1 for _, unit, _ in self._parts) and steps > 1

    def factor(self, step: int, losses: Sequence[float] = ()) -> float:
        """Return the factor for a step, counted from 0, after epochs with these validation losses."""
        if self.plateau is not None:
            return self.plateau.after(losses)
        found = [part for part in self._parts if part[0] <= step]
        if not found:
            return 1.0
        first, unit, schedule = found[-1]
        return float(schedule.factor((step - first) // unit))
