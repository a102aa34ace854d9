"""One step of training: loss and gradients of a batch, on the tape at first and then as a recording of it.

Parameters lie one after the other in one array, and so do their gradients: an optimiser updates all of them in one
call, in place. A batch is copied into an array of its own shape, so that the tape and its recording read the same
memory and give the same bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from treadle import kernels
from treadle.autodiff.tape import gradients
from treadle.kernels.record import NotRecordable, Recorded, Recorder
from treadle.losses import Loss
from treadle.nn import Mode, Module
from treadle.tensor import Tensor
from treadle.train.feed import Feed
from treadle.tree import Tree, leaves, map_with_path

Array = np.ndarray[Any, np.dtype[Any]]


def flat(tree: Tree, paths: set[str]) -> tuple[Array, Tree]:
    """Copy the leaves at some paths into one array, and the others into arrays of their own.

    Returns:
        The flat array, and a tree of the form given whose leaves at `paths` are views into it.

    >>> vector, views = flat({"w": np.ones((2, 2)), "mean": np.zeros(2)}, {"w"})
    >>> vector[0] = 7
    >>> views["w"].tolist()
    [[7.0, 1.0], [1.0, 1.0]]
    """
    found = dict(leaves(tree))
    dtype = next(iter(found.values())).dtype
    vector = kernels.aligned_empty((sum(found[path].size for path in paths),), dtype)
    views, begin = {}, 0
    for path, leaf in found.items():
        if path in paths:
            views[path] = vector[begin : begin + leaf.size].reshape(leaf.shape)
            begin += leaf.size
            views[path][...] = leaf
        else:
            views[path] = np.array(leaf)
    return vector, map_with_path(lambda path, _: views[path], tree)


@dataclass
class _Shape:
    """What is kept for batches of one shape: their arrays, how often they came, and the calls of a recording."""

    inputs: Array
    targets: Array
    count: int = 0
    calls: list[Any] | None = None
    results: tuple[Array, list[tuple[Array, Array]]] | None = None


class Gradients:
    """Loss and gradients of a network for one batch after another.

    The second batch of a shape is recorded, twice over. What differs between the two recordings or looks at numbers
    is no pure function, and stays on the tape; `why_not` then says why.

    Args:
        network, loss: pure functions of parameters and batch.
        params: a tree; `step` reads the leaves where they lie, so change them in place.
        trained: paths of the leaves that get a gradient.
        feed: the samples.
    """

    def __init__(self, network: Module, loss: Loss, params: Tree, trained: set[str], feed: Feed) -> None:
        self.network, self.loss, self.params, self.trained, self.feed = network, loss, params, trained, feed
        self._images = any(leaf.ndim == 4 for _, leaf in leaves(params))  # of filters: inputs lie as they want them
        self.vector, self.tree = flat({path: leaf for path, leaf in leaves(params) if path in trained}, trained)
        self.key = np.zeros((), np.uint64)
        self.why_not: str | None = None
        self._shapes: dict[int, _Shape] = {}
        self._updates: list[tuple[Array, Array]] = []

    def step(self, indices: Array, key: int) -> float:
        """Compute the loss of samples by their numbers; its gradients are then in `vector`, by path in `tree`."""
        shape = self._shapes.get(len(indices))
        if shape is None:
            shape = self._shapes[len(indices)] = self._make(len(indices))
        self.feed.take(indices, shape.inputs, shape.targets)
        self.key[...] = key
        shape.count += 1
        if shape.count == 2 and self.why_not is None:
            self._record(shape)
        if shape.calls is not None and shape.results is not None:
            for function, arguments in shape.calls:
                function(*arguments)
            loss, self._updates = shape.results
        else:
            loss, self._updates = self._compute(shape, None)
        return float(loss)

    def _make(self, size: int) -> _Shape:
        make = kernels.batch_array if self._images and self.feed.inputs.ndim == 4 else kernels.aligned_empty
        targets = self.feed.targets
        inputs = make((size, *self.feed.inputs.shape[1:]), self.feed.dtype)
        return _Shape(inputs, np.empty((size, *targets.shape[1:]), targets.dtype))

    def accept(self) -> None:
        """Put what the step changed without a gradient, such as running means, in its place."""
        for leaf, value in self._updates:
            np.copyto(leaf, value)

    def _compute(self, shape: _Shape, recorder: Recorder | None) -> tuple[Array, list[tuple[Array, Array]]]:
        """Forward and backward on the tape; return the loss, and untrained leaves with their next values."""

        def traced(array: Array) -> Any:
            return array if recorder is None else recorder.recorded(array)

        tracked = map_with_path(
            lambda path, leaf: Tensor(traced(leaf), requires_grad=path in self.trained), self.params
        )
        changed: dict[int, Any] = {}
        mode = Mode(training=True, key=traced(self.key), updates=changed)
        output = self.loss(self.network(tracked, Tensor(traced(shape.inputs)), mode), traced(shape.targets))
        wanted = [(path, leaf) for path, leaf in leaves(tracked) if path in self.trained]
        found = gradients(output, [leaf for _, leaf in wanted])
        for (path, _), (_, g) in zip(wanted, found, strict=True):
            if recorder is not None:
                recorder.result(g, self.tree[path])
            else:
                np.copyto(self.tree[path], 0 if g is None else g)
        pairs = zip(leaves(tracked), leaves(self.params), strict=True)
        values = [(leaf, changed[id(t.data)]) for (_, t), (_, leaf) in pairs if id(t.data) in changed]
        return _array(output.data), [(leaf, _array(value)) for leaf, value in values]

    def _record(self, shape: _Shape) -> None:
        inputs = [shape.inputs, shape.targets, self.key, *(leaf for _, leaf in leaves(self.params))]
        outline = None
        try:
            for _ in range(2):
                recorder = Recorder(kernels.active(), inputs)
                with kernels.use(recorder):
                    shape.results = self._compute(shape, recorder)
                if outline is not None and outline != recorder.outline:
                    self.why_not = "two passes over one batch did not do the same"
                    return
                outline = recorder.outline
        except NotRecordable as error:
            self.why_not = str(error)
            return
        shape.calls = recorder.finish()


def _array(value: Any) -> Array:
    return value.array if isinstance(value, Recorded) else np.asarray(value)
