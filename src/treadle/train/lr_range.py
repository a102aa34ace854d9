"""The learning rate range test: many rates from the same parameters over the same batches, and a proposal."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from treadle.data import Augmentation, Sets
from treadle.errors import TrainingError, TreadleError
from treadle.losses import Loss
from treadle.nn import Module
from treadle.optim import Optimizer
from treadle.text import aligned
from treadle.train.fit import fit
from treadle.train.loop import Enough, State
from treadle.train.run import Interrupted
from treadle.tree import Tree

TOO_SMALL, RIGHT, TOO_LARGE = "too small", "right", "too large"
FAR = 10  # times the first loss, from which on a trial has diverged


@dataclass(frozen=True)
class Trial:
    """A rate, the loss of each step, and how it did.

    Args:
        lr: learning rate.
        losses: of the steps, each before its update; fewer where the trial stopped early.
        final: mean over the last quarter of the steps; ∞ where the trial stopped early.
        verdict: "too small", "right" or "too large".
    """

    lr: float
    losses: tuple[float, ...]
    final: float
    verdict: str


@dataclass(frozen=True, repr=False)
class LrRange:
    """What a range test found.

    Args:
        trials: by rate, the smallest first.
        proposal: the rate proposed.
        reason: why, in a sentence.
        steps: of each trial.
        seconds: that the test took.
    """

    trials: tuple[Trial, ...]
    proposal: float
    reason: str
    steps: int
    seconds: float

    def __repr__(self) -> str:
        rows = [("learning rate", "loss", "steps", "verdict")]
        for trial in self.trials:
            final = f"{trial.final:.4g}" if math.isfinite(trial.final) else "–"
            mark = " ←" if trial.lr == self.proposal else ""
            rows.append((f"{trial.lr:.2g}", final, str(len(trial.losses)), trial.verdict + mark))
        return "\n".join([*aligned(rows, ">>><"), "", self.reason, f"{len(self.trials)} rates, {self.seconds:.1f} s"])

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return {
            "proposal": self.proposal,
            "reason": self.reason,
            "steps": self.steps,
            "seconds": self.seconds,
            "trials": [trial.__dict__ | {"losses": list(trial.losses)} for trial in self.trials],
        }


def lr_range(
    network: Module | str,
    sets: Sets,
    *,
    loss: Loss | str,
    optimizer: Optimizer,
    batch_size: int = 100,
    low: float = 1e-5,
    high: float = 10.0,
    per_decade: int = 3,
    steps: int = 400,
    seed: int = 0,
    scale: str = "minmax",
    shuffle: bool = True,
    drop_last: bool = False,
    augmentations: Sequence[Augmentation] = (),
    dtype: DTypeLike = np.float32,
    threads: int = 1,
    parameters: Tree | None = None,
    on_trial: Callable[[int, int], None] | None = None,
) -> LrRange:
    """Train for some steps with each of many learning rates, and propose one.

    Every trial begins with the same parameters and takes the same batches. The proposal is the rate with the lowest
    mean loss over the last quarter of the steps. Rates below it are too small, and rates above it too large, where less
    than half of its descent was reached. A trial stops early where something is not finite any more or the loss is ten
    times the first. The more steps, the nearer the proposal comes to the best rate of a long training, which is lower.

    Args:
        network, sets, loss, batch_size, seed, scale, shuffle, drop_last, augmentations, dtype, threads, parameters: as
            in `fit`.
        optimizer: the update rule, whose own rate is not used.
        low, high: the smallest and the largest rate.
        per_decade: rates for a factor of ten.
        steps: of each trial, at least 8.
        on_trial: called after each trial with how many are through, and how many there are.

    Raises:
        TreadleError: a subclass says what does not fit; no rate lowers the loss.

    >>> import treadle as td
    >>> x = np.linspace(-1, 1, 60).reshape(-1, 1)
    >>> rows = td.data.Dataset(x, 3 * x[:, 0] + 1, None, "line")
    >>> sets = td.data.Sets(rows[:40], rows[40:50], rows[50:], "line", "made up")
    >>> network = td.nn.Sequential(td.nn.Linear(1))
    >>> found = lr_range(network, sets, loss="squared_error", optimizer=td.optim.SGD(1.0), scale="none", steps=20)
    >>> found.trials[0].verdict, found.trials[-1].verdict
    ('too small', 'too large')

    Source: Smith, Cyclical learning rates for training neural networks, WACV 2017, with a training for each rate in
    place of one whose rate grows.
    """
    if not 0 < low < high < math.inf:
        raise TreadleError(f"low and high should be rates, 0 < low < high, found {low} and {high}")
    if steps < 8 or per_decade < 1:
        raise TreadleError(f"steps should be at least 8 and per_decade at least 1, found {steps} and {per_decade}")
    begun = time.perf_counter()
    count = round(math.log10(high / low) * per_decade) + 1
    rates = [float(f"{rate:.2g}") for rate in np.geomspace(low, high, max(2, count))]
    curves = []
    for number, rate in enumerate(rates, 1):
        watch = _Watch(steps)
        try:
            fit(
                network,
                sets,
                loss=loss,
                optimizer=optimizer.with_lr(rate),
                batch_size=batch_size,
                epochs=steps,  # at least as many steps
                seed=seed,
                scale=scale,
                shuffle=shuffle,
                drop_last=drop_last,
                augmentations=augmentations,
                dtype=dtype,
                threads=threads,
                parameters=parameters,
                on_step=watch.step,
                diagnose=False,
            )
        except (Enough, TrainingError):
            pass
        except Interrupted:
            raise KeyboardInterrupt from None
        curves.append((rate, tuple(watch.losses)))
        if on_trial:
            on_trial(number, len(rates))
    return _judged(curves, steps, time.perf_counter() - begun)


class _Watch:
    def __init__(self, steps: int) -> None:
        self.steps, self.losses = steps, list[float]()

    def step(self, state: State, _: int) -> None:
        self.losses.append(float(state.loss))
        if len(self.losses) == self.steps or state.loss > FAR * self.losses[0]:
            raise Enough


def _judged(curves: list[tuple[float, tuple[float, ...]]], steps: int, seconds: float) -> LrRange:
    finals = [float(np.mean(losses[-(steps // 4) :])) if len(losses) == steps else math.inf for _, losses in curves]
    first = max((losses[0] for _, losses in curves if losses), default=math.inf)
    best = int(np.argmin(finals))
    if not finals[best] < first:
        raise TreadleError(
            f"no rate from {curves[0][0]:.2g} to {curves[-1][0]:.2g} lowers the loss of {first:.4g} within {steps} "
            "steps: look at the data, the network and the loss, or give other rates"
        )
    half = finals[best] + (first - finals[best]) / 2
    trials = []
    for number, (rate, losses) in enumerate(curves):
        slow = not finals[number] <= half
        verdict = RIGHT if not slow else TOO_SMALL if number < best else TOO_LARGE
        trials.append(Trial(rate, losses, finals[number], verdict))
    right = [trial.lr for trial in trials if trial.verdict == RIGHT]
    reason = (
        f"{curves[best][0]:.2g} is proposed: after {steps} steps its loss is the lowest, {finals[best]:.4g} from "
        f"{first:.4g}; at least half of that descent is reached from {right[0]:.2g} to {right[-1]:.2g}."
    )
    if best in (0, len(curves) - 1):
        end = "smallest" if best == 0 else "largest"
        reason += f" It is the {end} rate that was tried: try others beyond it."
    return LrRange(tuple(trials), curves[best][0], reason, steps, seconds)
