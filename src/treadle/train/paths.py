"""Paths that optimisers take through the parameters of a network, and the losses there."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from treadle import kernels
from treadle.data import SCALES, Sets
from treadle.errors import TrainingError
from treadle.losses import Loss
from treadle.nn import Module
from treadle.optim import Optimizer
from treadle.tensor import Tensor
from treadle.train.feed import Feed
from treadle.train.fit import fit
from treadle.train.loop import EVALUATION_BATCH, Enough, State
from treadle.train.prepare import choose
from treadle.train.run import Interrupted
from treadle.train.step import Array, flat
from treadle.tree import Tree, leaves, map_with_path

FAR = 10  # times the first loss, from which on a path has diverged


@dataclass(frozen=True)
class Walk:
    """Steps of a path with the flat parameters there, those that are not trained by their paths, and the losses."""

    name: str
    steps: list[int]
    vectors: list[Array]
    others: list[dict[str, Array]]
    losses: list[float]
    diverged: bool


def walk(optimizer: Optimizer, steps: int, points: int, made: Tree, losses: Losses, **settings: Any) -> Walk:
    """Train, keep some points, and end before the first whose loss has grown tenfold or is not finite."""
    kept = {round(step) for step in np.linspace(0, steps, points)}
    numbers, vectors, others = [0], [losses.vector(made)], [losses.untrained(made)]
    diverged = False

    def on_step(state: State, _: int) -> None:
        if state.step in kept:
            numbers.append(state.step)
            vectors.append(state.vector.copy())
            others.append(losses.untrained(state.params))
        if state.step == steps:
            raise Enough

    try:
        fit(optimizer=optimizer, epochs=steps, parameters=made, on_step=on_step, diagnose=False, **settings)
    except Enough:
        pass
    except TrainingError:
        diverged = True
    except Interrupted:
        raise KeyboardInterrupt from None
    found: list[float] = []
    for vector, other in zip(vectors, others, strict=True):
        loss = losses.at(vector, other)
        if found and not loss - found[0] < (FAR - 1) * abs(found[0]):
            diverged = True
            break
        found.append(loss)
    end = len(found)
    return Walk(repr(optimizer), numbers[:end], vectors[:end], others[:end], found, diverged)


class Losses:
    """The loss at flat parameters, over some samples of the training set."""

    def __init__(
        self,
        network: Module,
        loss: Loss,
        sets: Sets,
        samples: int,
        scale: str,
        dtype: np.dtype[Any],
        made: Tree,
        threads: int,
    ) -> None:
        train = sets.train
        self.network, self.loss, self.threads = network, loss, threads
        self.samples = min(samples, len(train))
        indices = np.linspace(0, len(train), self.samples, endpoint=False).astype(np.int64)
        feed = Feed(train, choose("scaling", SCALES, scale)().fit(train.inputs), loss, dtype)
        self.targets = feed.targets[indices]
        make = kernels.batch_array if len(train.shape) == 3 else kernels.aligned_empty
        self.batches = []
        for begin in range(0, self.samples, EVALUATION_BATCH):
            part = indices[begin : begin + EVALUATION_BATCH]
            self.batches.append(make((len(part), *train.shape), dtype))
            feed.take(part, self.batches[-1], self.targets[begin : begin + EVALUATION_BATCH])
        specification = dict(leaves(network.parameters(train.shape)))
        self._trained = {path for path, parameter in specification.items() if parameter.trained}
        self._vector, self._tree = flat(made, self._trained)
        self.others = self.untrained(made)
        self.places, begin = {}, 0
        for path, leaf in leaves(made):
            if path in self._trained:
                self.places[path] = (begin, leaf.shape)
                begin += leaf.size
        self.count = 0

    def vector(self, tree: Tree) -> Array:
        """Return the trained parameters of a tree, flat."""
        return flat(tree, self._trained)[0]

    def untrained(self, tree: Tree) -> dict[str, Array]:
        """Return copies of the parameters of a tree that are not trained, by path."""
        return {path: leaf.copy() for path, leaf in leaves(tree) if path not in self._trained}

    def at(self, vector: Array, others: dict[str, Array] | None = None) -> float:
        """Return the loss at flat parameters; what is not trained is as at the center unless it is given."""
        np.copyto(self._vector, vector, casting="same_kind")
        others = self.others if others is None else others
        params = map_with_path(lambda path, leaf: others.get(path, leaf), self._tree)
        self.count += 1
        with (
            kernels.use(kernels.fastest()),
            kernels.with_threads(self.threads),
            np.errstate(all="ignore"),
        ):
            outputs = np.concatenate([self.network(params, batch).numpy() for batch in self.batches])
            value = self.loss(Tensor(outputs), self.targets).item()
        return math.inf if math.isnan(value) else value
