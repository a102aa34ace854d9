"""How long an epoch will take, from a few steps of real training that leave everything as it was."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from treadle import kernels
from treadle.data import Sets
from treadle.errors import TrainingError
from treadle.losses import Loss
from treadle.nn import Module
from treadle.optim import Optimizer
from treadle.train.fit import fit
from treadle.train.loop import Enough, State
from treadle.train.run import Interrupted, Run

FIRST = 3  # steps that are not timed: compilation, the recording of a step, and one after them
STEPS, SECONDS = 50, 2.0  # timed at most, but at least LEAST steps
LEAST = 3


@dataclass(frozen=True, repr=False)
class Estimate:
    """What training will take, measured; printing it gives a line.

    Args:
        seconds_per_step: median over the steps timed.
        steps_per_epoch: batches of the training set, the last of which may be smaller.
        samples: of the training set.
        batch_size: samples in a step.
        threads: of the kernels.
        kernels: what it was measured on: cpu, compiled by Numba, or reference, plain NumPy.
        dtype: of parameters and inputs.
        steps: how many were timed.
    """

    seconds_per_step: float
    steps_per_epoch: int
    samples: int
    batch_size: int
    threads: int
    kernels: str
    dtype: str
    steps: int

    @property
    def seconds_per_epoch(self) -> float:
        """Seconds of an epoch, without the evaluation after it."""
        return self.steps_per_epoch * self.seconds_per_step

    @property
    def samples_per_second(self) -> float:
        """Samples of the training set by the seconds of an epoch."""
        return self.samples / self.seconds_per_epoch

    def to_dict(self) -> dict[str, Any]:
        """Return all figures as plain values, for JSON."""
        return {
            **asdict(self),
            "seconds_per_epoch": self.seconds_per_epoch,
            "samples_per_second": self.samples_per_second,
        }

    def __repr__(self) -> str:
        step, epoch = duration(self.seconds_per_step), duration(self.seconds_per_epoch)
        threads = f"{self.threads} thread{'s' if self.threads > 1 else ''}"
        return (
            f"time: {epoch} an epoch of {self.steps_per_epoch:,} steps, {step} a step, "
            f"{self.samples_per_second:,.0f} samples a second; "
            f"measured over {self.steps} steps on kernels {self.kernels}, {threads}, {self.dtype}"
        )


def estimate(
    network: Module | str,
    sets: Sets,
    *,
    loss: Loss | str,
    optimizer: Optimizer,
    batch_size: int = 100,
    threads: int = 1,
    dtype: DTypeLike = np.float32,
    **settings: Any,
) -> Estimate:
    """Time steps of training, for two seconds or 50 steps, and return what an epoch will take.

    Training is that of `fit`, on parameters of its own: nothing that was given changes. The time before the first
    timed step is not bounded: kernels may have to be compiled, once on a machine.

    Args:
        network: a module, or the name of a preset.
        sets: the data sets; steps are taken on the training set.
        loss: a loss, or its name.
        optimizer: the update rule.
        batch_size: samples in a step.
        threads: of the kernels.
        dtype: float32 or float64.
        settings: others of `fit`, such as scale and augmentations.

    Raises:
        TreadleError: what does not fit, as `fit` says it.

    >>> import treadle as td
    >>> x = np.linspace(-1, 1, 60).reshape(-1, 1)
    >>> rows = td.data.Dataset(x, 3 * x[:, 0] + 1, None, "line")
    >>> sets = td.data.Sets(rows[:40], rows[40:50], rows[50:], "line", "made up")
    >>> network = td.nn.Sequential(td.nn.Linear(1))
    >>> estimate(network, sets, loss="squared_error", optimizer=td.optim.SGD(0.5), batch_size=16)
    time: ... an epoch of 3 steps, ... a step, ... samples a second; measured over 50 steps on kernels ...
    """
    watch = _Watch()
    try:
        fit(
            network,
            sets,
            loss=loss,
            optimizer=optimizer,
            batch_size=batch_size,
            epochs=FIRST + STEPS + 1,  # of one step each, where the batch is as large as the training set
            dtype=dtype,
            threads=threads,
            on_step=watch.step,
            on_epoch=watch.epoch,
            diagnose=False,
            **settings,
        )
    except Enough:
        pass
    except Interrupted:
        raise KeyboardInterrupt from None
    except TrainingError:
        if not watch.seconds:
            raise
    return Estimate(
        seconds_per_step=float(np.median(watch.seconds)),
        steps_per_epoch=watch.steps,
        samples=len(sets.train),
        batch_size=batch_size,
        threads=threads,
        kernels=watch.kernels,
        dtype=str(np.dtype(dtype)),
        steps=len(watch.seconds),
    )


class _Watch:
    """Times the steps of training from one call to the next, and ends it."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.steps = 0
        self.kernels = ""
        self.count = 0
        self.begun = self.last = math.nan

    def step(self, state: State, steps: int) -> None:  # noqa: ARG002
        now = time.perf_counter()
        self.count += 1
        if self.count > FIRST:
            self.seconds.append(now - self.last)
        else:
            self.begun, self.steps, self.kernels = now, steps, kernels.active().__name__.rpartition(".")[2]
        if len(self.seconds) >= STEPS or (len(self.seconds) >= LEAST and now - self.begun > SECONDS):
            raise Enough
        self.last = time.perf_counter()

    def epoch(self, run: Run) -> None:  # noqa: ARG002
        """Leave out the evaluation."""
        self.last = time.perf_counter()


def duration(seconds: float) -> str:
    """Write a time for a person, with two or three digits.

    >>> [duration(s) for s in (0.00042, 0.0512, 3.14, 75, 4000, 90000)]
    ['0.42 ms', '51 ms', '3.1 s', '75 s', '67 min', '25 h']
    """
    unit, size = "h", 3600.0
    for name, length, most in (("ms", 1e-3, 1000), ("s", 1.0, 120), ("min", 60.0, 120)):
        if seconds < most * length:
            unit, size = name, length
            break
    number = seconds / size
    return f"{number:,.0f} {unit}" if number >= 10 else f"{number:.2g} {unit}"
