"""The average of a training's parameters, and the running means that belong to averaged weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from treadle import kernels
from treadle.errors import TrainingError
from treadle.nn import Mode, Module
from treadle.optim import Averaging
from treadle.tensor import Tensor
from treadle.train.progress import filled, flattened
from treadle.train.step import Array, flat
from treadle.tree import Tree, leaves


class Average:
    """The average of a training's parameters, updated in place.

    Args:
        rule: how it is taken.
        params: of training; its trained leaves are views into `vector`, and all change in place.
        vector: the trained parameters one after the other.
        trained: paths of these.
        epochs, steps: how many are done.
        start: the average after these, by path; None where there is none yet.

    Raises:
        TrainingError: there should be one and is not, or it does not fit the parameters.
    """

    def __init__(
        self,
        rule: Averaging,
        params: Tree,
        vector: Array,
        trained: set[str],
        epochs: int = 0,
        steps: int = 0,
        start: Tree | None = None,
    ) -> None:
        self.rule = rule
        begun = rule.taken(epochs, steps) > 0
        if begun != (start is not None):
            found, wanted = ("no average", "one") if start is None else ("an average", "none yet")
            raise TrainingError(
                f"the progress to go on from has {found}, and {rule} needs {wanted} after {steps} steps"
            )
        self._params, self._trained = params, trained
        self._running = [path for path, _ in leaves(params) if path not in trained]
        self._put(*flat(params if start is None else filled(params, flattened(start), "average"), trained), vector)
        self._begun, self._vector = begun, vector
        self._next: tuple[Array, Tree] | None = None

    @property
    def params(self) -> Tree | None:
        """The average as a tree of the form of the parameters, or None where nothing was taken in yet."""
        return self._tree if self._begun else None

    def after_step(self, steps: int) -> None:
        """Be told of a step after its update, with the number of all steps."""
        if self.rule.by_step:
            share, average = self.rule.share(self.rule.taken(0, steps)), kernels.active().average
            for mean, current in self._pairs:
                average(mean, current, share)
            self._begun = True

    def at_end(self, epochs: int, settle: Callable[[Tree], None]) -> Tree | None:
        """Return what the average is at the end of an epoch; `accept` puts it in the place of that before.

        Args:
            epochs: that are done then.
            settle: computes the running means of a tree, in place.
        """
        number = self.rule.taken(epochs, 0)
        if self.rule.by_step or not number:
            return self.params
        vector, tree = flat(self._tree, self._trained)
        kernels.active().average(vector, self._vector, self.rule.share(number))
        if self._running:
            current, own = dict(leaves(self._params)), dict(leaves(tree))
            for path in self._running:
                np.copyto(own[path], current[path])
            settle(tree)
        self._next = vector, tree
        return tree

    def accept(self) -> None:
        """Put in place what `at_end` returned."""
        if self._next is not None:
            self._put(*self._next, self._vector)
            self._begun, self._next = True, None

    def _put(self, mean: Array, tree: Tree, vector: Array) -> None:
        self._tree, self._pairs = tree, [(mean, vector)]
        own, current = dict(leaves(tree)), dict(leaves(self._params))
        self._pairs += [(own[path].reshape(-1), current[path].reshape(-1)) for path in self._running]


def settle_running(network: Module, params: Tree, batches: Iterable[tuple[Array, int]]) -> None:
    """Compute running means anew, in place: each the mean over batches of what it is in one batch.

    Args:
        network: the module.
        params: its parameters, plain arrays.
        batches: scaled inputs (N, …), and for each a key for the randomness of its pass.
    """
    places = [leaf for _, leaf in leaves(params)]
    for number, (inputs, key) in enumerate(batches, 1):
        changed: dict[int, Any] = {}
        network(params, Tensor(inputs), Mode(training=True, key=np.uint64(key), updates=changed, momentum=1 / number))
        for leaf in places:
            if id(leaf) in changed:
                np.copyto(leaf, changed[id(leaf)])
