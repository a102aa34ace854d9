"""How weights and gradients of each parameter are distributed over the steps of a training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from treadle.data import Sets
from treadle.errors import TrainingError, TreadleError
from treadle.nn import Module
from treadle.train.fit import fit
from treadle.train.loop import Enough, State
from treadle.train.run import Interrupted
from treadle.train.step import Array, Gradients

BINS = 1_024  # of a histogram about 0
LOOKS = 24  # steps that are looked at unless told


@dataclass(frozen=True, eq=False)
class Spread:
    """The values of one array.

    Args:
        counts: (B,), values in bins of equal width over −reach to reach; those that are not finite are in none.
        reach: a power of 2 that no value exceeds but those near the largest of float64, which are in the last bins.
        zeros: share of values that are 0.
        mean, deviation: of the finite values.
        low, high: smallest and largest of them.
        broken: how many values are not finite.

    >>> found = spread_of(np.array([0.0, 0.0, -1.0, 3.0]), bins=4)
    >>> found.counts.tolist(), found.reach, found.zeros, found.mean
    ([0, 1, 2, 1], 4.0, 0.5, 0.5)
    """

    counts: Array
    reach: float
    zeros: float
    mean: float
    deviation: float
    low: float
    high: float
    broken: int

    def over(self, reach: float) -> Array:
        """Return the counts in bins of the same number over −reach to reach, a power of 2 that is no smaller.

        Bins double in width, two of them becoming one, so that no value changes its place but for the width.

        >>> spread_of(np.array([-1.0, 0.5]), bins=4).over(2.0).tolist()
        [0, 1, 1, 0]
        """
        counts, own = self.counts, self.reach
        while own < reach:
            quarter = len(counts) // 4
            inner = counts.reshape(-1, 2).sum(axis=1)
            counts = np.concatenate([np.zeros(quarter, np.int64), inner, np.zeros(quarter, np.int64)])
            own *= 2
        return counts


def spread_of(values: Array, bins: int = BINS) -> Spread:
    """Count the values of an array in bins about 0, four at least and a multiple of 4."""
    flat = values.ravel(order="K").astype(np.float64)
    finite = flat[np.isfinite(flat)]
    if not finite.size:
        nan = math.nan
        return Spread(np.zeros(bins, np.int64), 2.0**-1000, 0.0, nan, nan, nan, nan, len(flat))
    low, high = float(finite.min()), float(finite.max())
    most = max(-low, high)
    reach = 2.0 ** min(max(math.frexp(most)[1], -1000), 1022) if most else 2.0**-1000
    counts = np.histogram(finite.clip(-reach, reach), bins, (-reach, reach))[0].astype(np.int64)
    zeros = float(np.count_nonzero(finite == 0) / len(flat))
    return Spread(counts, reach, zeros, float(finite.mean()), float(finite.std()), low, high, len(flat) - len(finite))


@dataclass(frozen=True, eq=False)
class Distributions:
    """Weights and gradients over the steps of a training.

    Args:
        steps: numbers of the steps that were looked at, from 1.
        losses: of their batches.
        shapes: of each trained parameter, by path.
        weights: of each trained parameter, by path, what a step began with.
        gradients: of each, by path, what the step's batch gave, before any decay, penalty or clipping.
        stopped: why training ended before the steps that were asked for; empty where it did not.
    """

    steps: tuple[int, ...]
    losses: tuple[float, ...]
    shapes: dict[str, tuple[int, ...]]
    weights: dict[str, tuple[Spread, ...]]
    gradients: dict[str, tuple[Spread, ...]]
    stopped: str = ""


def looked_at(steps: int, looks: int = LOOKS) -> list[int]:
    """Return the steps that are looked at: first and last, and between them at equal ratios as far as they are whole.

    >>> looked_at(100, 6)
    [1, 3, 6, 16, 40, 100]
    """
    return sorted({round(step) for step in np.geomspace(1, steps, max(looks, 2)).tolist()})


def distributions(
    network: Module | str, sets: Sets, *, steps: int, looks: int = LOOKS, **settings: Any
) -> Distributions:
    """Train anew, as `fit` would to the bit, and look at weights and gradients of some steps.

    Args:
        network: a module, or the name of a preset.
        sets: as for `fit`.
        steps: of training, after which it ends.
        looks: how many steps are looked at, at equal ratios.
        settings: what else `fit` takes, such as loss, optimizer, batch_size, epochs and seed.

    Raises:
        TreadleError: a subclass says what does not fit.

    >>> import treadle as td
    >>> x = np.linspace(-1, 1, 60).reshape(-1, 1)
    >>> rows = td.data.Dataset(x, 3 * x[:, 0], None, "line")
    >>> sets = td.data.Sets(rows[:40], rows[40:50], rows[50:], "line", "made up")
    >>> found = distributions(
    ...     td.nn.Sequential(td.nn.Linear(1)), sets, steps=8, looks=4, loss="squared_error",
    ...     optimizer=td.optim.SGD(0.1), batch_size=10, epochs=2,
    ... )
    >>> found.steps, list(found.gradients)
    ((1, 2, 4, 8), ['linear1.weight', 'linear1.bias'])
    """
    for name, value in (("steps", steps), ("looks", looks)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise TreadleError(f"{name} should be a whole number of at least 1, found {value!r}")
    wanted = set(looked_at(steps, looks))
    seen: list[tuple[int, float]] = []
    weights: dict[str, list[Spread]] = {}
    gradients: dict[str, list[Spread]] = {}
    shapes: dict[str, tuple[int, ...]] = {}

    def on_gradients(state: State, found: Gradients) -> None:
        if state.step + 1 not in wanted:
            return
        seen.append((state.step + 1, state.loss))
        for path, gradient in found.tree.items():
            shapes[path] = gradient.shape
            weights.setdefault(path, []).append(spread_of(found.places[path]))
            gradients.setdefault(path, []).append(spread_of(gradient))
        if state.step + 1 == steps:
            raise Enough

    stopped = ""
    try:
        run = fit(network, sets, on_gradients=on_gradients, diagnose=False, **settings)
        stopped = run.stopped_early or f"training has {run.step} steps"
    except Enough:
        pass
    except TrainingError as error:
        stopped = str(error)
    except Interrupted:
        raise KeyboardInterrupt from None
    return Distributions(
        tuple(number for number, _ in seen),
        tuple(loss for _, loss in seen),
        shapes,
        {path: tuple(spreads) for path, spreads in weights.items()},
        {path: tuple(spreads) for path, spreads in gradients.items()},
        stopped,
    )
