"""A look at one step of training: what its update did, and how activations and gradients stand on some samples."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from treadle.autodiff.tape import Value, gradients, place, recorded
from treadle.data.order import draw_some
from treadle.nn import Mode
from treadle.tensor import Tensor
from treadle.train.step import Array, Gradients
from treadle.tree import leaves, map_with_path

if TYPE_CHECKING:
    from treadle.train.loop import State

SAMPLES = 32  # looked at, others each time, in batches no larger than those of training, which memory can hold
BATCHES = 8  # most of them
FLAT = 0.01  # share of its largest slope below which a sigmoid or tanh counts as saturated
_SLOPES = {"sigmoid": lambda y: 4 * y * (1 - y), "tanh": lambda y: 1 - y * y}


@dataclass(frozen=True)
class Look:
    """What one step and the network after it looked like.

    Args:
        step: number of the step, from 1.
        loss: mean over the steps since the look before, each before its update.
        trained: how many samples these steps had.
        before, after: loss of the step's batch before and after its update.
        slope: change of that loss that the gradient foretells for the update, Σ g Δp.
        updates: ‖Δp‖ / ‖p‖ of each parameter with two axes or more, by path, or by its first norm if that was larger.
        arriving: norm of the gradient that arrives at what such a parameter is used in, by path, in order.
        idle: of each ReLU, by the path of its layer: units that gave 0 for all samples, and all its units.
        saturated: of each sigmoid and tanh but that of the network's output: share of outputs where the slope is below
            a hundredth of the largest.
        distributions: whether all outputs of the network are probabilities that sum to 1.
        samples: how many samples the last four rest on.
    """

    step: int
    loss: float
    trained: int
    before: float
    after: float
    slope: float
    updates: dict[str, float]
    arriving: dict[str, float]
    idle: dict[str, tuple[int, int]]
    saturated: dict[str, float]
    distributions: bool
    samples: int

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Look:
        """Make a look of its fields as plain values."""
        return cls(**{**values, "idle": {path: (units, all_) for path, (units, all_) in values["idle"].items()}})

    @property
    def steepness(self) -> float:
        """Curvature met along the update, times the length of the step: 1 reaches the lowest point, beyond 2 it rises.

        2 (1 − (after − before) / slope), from the parabola through both losses with that slope; NaN where the update
        does not lead downhill, or so little that rounding hides it.
        """
        if not -self.slope > 1e-4 * abs(self.before):
            return math.nan
        return 2 * (1 - (self.after - self.before) / self.slope)


class Lookout:
    """Takes looks at steps of training.

    Args:
        gradients: of the network and loss that are trained.
        samples: how many there are to train on.
        batch_size: of training.
    """

    def __init__(self, gradients: Gradients, samples: int, batch_size: int) -> None:
        self.gradients = gradients
        self.samples = samples
        self.size = min(batch_size, samples, SAMPLES)
        self.count = min(SAMPLES // self.size, BATCHES, samples // self.size)
        self._looks = 0
        self._norms = {path: float(np.linalg.norm(leaf)) for path, leaf in gradients.places.items()}
        self._before: Array | None = None

    def state(self) -> dict[str, Any]:
        """Return how many looks there were and the first norms, as plain values."""
        return {"count": self._looks, "norms": dict(self._norms)}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` returned."""
        self._looks, self._norms = state["count"], dict(state["norms"])

    def begin(self, state: State) -> None:
        """Keep the parameters before an update."""
        self._before = state.vector.copy()

    def end(self, state: State, loss: float, trained: int) -> Look:
        """Look at the step whose update was just made; `loss` is the mean over samples since the last."""
        assert self._before is not None
        change = state.vector - self._before
        self._before = None
        slope = float(np.dot(change, self.gradients.vector))
        updates, begin = {}, 0
        for path, g in self.gradients.tree.items():
            if g.ndim > 1:
                length = max(float(np.linalg.norm(self.gradients.places[path])), self._norms[path])
                moved = float(np.linalg.norm(change[begin : begin + g.size]))
                updates[path] = moved / length if length else math.inf if moved else 0.0
            begin += g.size
        seen = _Seen()
        self._looks += 1
        for indices in self._batches():
            self._look(indices, seen)
        return Look(
            step=state.step,
            loss=loss,
            trained=trained,
            before=state.loss,
            after=self._own_loss(),
            slope=slope,
            updates=updates,
            arriving={path: math.sqrt(total) for path, total in seen.arriving.items()},
            idle={path: (int(np.sum(~active)), active.size) for path, active in seen.active.items()},
            saturated={path: flat / total for path, (flat, total) in seen.flat.items()},
            distributions=seen.distributions,
            samples=self.size * self.count,
        )

    def _batches(self) -> list[Array]:
        """Numbers of samples for this look, in batches."""
        draws = np.random.default_rng(self._looks)  # of its own: not evenly spaced, for data may lie by class
        found = draw_some(draws, self.size * self.count, self.samples, self.gradients.feed.blocks)
        return [found[n :: self.count] for n in range(self.count)]

    def _own_loss(self) -> float:
        """Loss of the step's batch with the parameters as they are, and with the randomness of the step."""
        assert self.gradients.batch is not None
        inputs, targets, _ = self.gradients.batch
        mode = Mode(training=True, key=self.gradients.key, updates={})
        params = map_with_path(lambda _, leaf: Tensor(leaf), self.gradients.params)
        return self.gradients.loss(self.gradients.network(params, Tensor(inputs), mode), targets).item()

    def _look(self, indices: Array, seen: _Seen) -> None:
        """Compute samples forward and backward on the tape, adding up what is seen."""
        inputs, targets = self.gradients.load(indices)
        mode = Mode(training=True, key=self.gradients.key, updates={})
        tracked = map_with_path(lambda _, leaf: Tensor(leaf, requires_grad=True), self.gradients.params)
        outputs = self.gradients.network(tracked, Tensor(inputs), mode)
        with place("loss"):
            loss = self.gradients.loss(outputs, targets)
        scores = np.asarray(outputs.data)
        if scores.ndim == 2 and scores.shape[1] > 1:
            sums = bool((scores >= 0).all()) and bool(np.abs(scores.sum(axis=1) - 1).max() < 1e-4)
            seen.distributions = sums and seen.distributions
        else:
            seen.distributions = False
        seen.outputs(recorded(loss), outputs)
        weights = {id(leaf): path for path, leaf in leaves(tracked) if leaf.ndim > 1}
        first = [leaf for _, leaf in leaves(tracked)]
        found: list[tuple[int, str, float]] = []

        def arrives(value: Value, g: Any, _: dict[int, Any]) -> None:
            used = (weights[id(operand)] for operand in value.inputs or () if id(operand) in weights)
            found.extend((value.depth, path, _square(g)) for path in used)

        gradients(loss, first, observe=arrives)
        for _, path, square in sorted(found):
            seen.arriving[path] = seen.arriving.get(path, 0.0) + square


class _Seen:
    """Sums over the batches of a look."""

    def __init__(self) -> None:
        self.arriving: dict[str, float] = {}
        self.active: dict[str, Array] = {}
        self.flat: dict[str, tuple[int, int]] = {}
        self.distributions = True

    def outputs(self, values: Iterable[Value], last: Value) -> None:
        """Count units of ReLUs that were active, and outputs of sigmoids and tanhs where these are flat.

        What computes the outputs of the network is left out, for these should come to their ends.
        """
        while last.primitive is not None and last.primitive.name == "reshape":
            (last,) = last.inputs or ()
        active: dict[str, list[Array]] = {}
        for value in values:
            if value is last or value.place == "loss":
                continue
            name, y = value.primitive.name if value.primitive is not None else "", value.data
            if name == "relu" and y.ndim > 1:
                units = y.max(axis=(0, *range(2, y.ndim))) > 0  # a unit of an image is a channel
                active.setdefault(value.place, []).append(units)
            elif name in _SLOPES and y.size:
                flat, total = self.flat.get(value.place, (0, 0))
                few = int(np.count_nonzero(_SLOPES[name](y) < FLAT))
                self.flat[value.place] = flat + few, total + y.size
        for path, parts in active.items():
            together = np.concatenate(parts)
            self.active[path] = together | self.active.get(path, False)


def _square(g: Any) -> float:
    """Square of the norm, without the underflow of float32."""
    flat = g.ravel(order="K")
    found = float(np.dot(flat, flat))
    return found if found > 1e-30 else float(np.sum(np.square(flat, dtype=np.float64)))
