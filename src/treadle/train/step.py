"""One step of training: loss and gradients of a batch, on the tape at first and then as a recording of it.

Parameters lie one after the other in one array, and so do their gradients: an optimiser updates all of them in one
call, in place. A batch is copied into an array of its own shape, so that the tape and its recording read the same
memory and give the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from treadle import kernels
from treadle.autodiff.tape import gradients
from treadle.errors import TreadleError
from treadle.kernels.buffers import Call, Recording
from treadle.kernels.record import NotRecordable, Recorder
from treadle.losses import Loss
from treadle.nn import Mode, Module
from treadle.tensor import Tensor
from treadle.train.feed import Feed
from treadle.tree import Tree, leaves, map_with_path

Array = np.ndarray[Any, np.dtype[Any]]
CHECKED = 3  # batches of a shape, the second of which is recorded


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
    dtype = next((leaf.dtype for leaf in found.values()), np.float32)
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
    """What is kept for batches of one shape: their arrays, how often they came, a recording, its calls in memory."""

    inputs: Array
    targets: Array
    count: int = 0
    recording: Recording | None = None
    calls: list[Call] | None = None
    loss: Array | None = None
    updates: tuple[str, ...] = ()


class Gradients:
    """Loss and gradients of a network for one batch after another.

    The second batch of a shape is recorded, twice over. This batch and the next are computed on the tape and from the
    recording, which are never in memory together. Where the two recordings or their results differ, or Python looks
    at a number, network and loss are no pure functions of arrays, and training stays on the tape; `why_not` then says
    why.

    What no comparison of the first batches shows remains unseen: a module or loss that computes something else from a
    later batch on, because an attribute was set or a call counted. Changes in the place of an array take effect where
    parameters or inputs meet it in an op; what is computed from such an array alone is computed once.

    Args:
        network, loss: pure functions of parameters and batch.
        params: a tree; `step` reads the leaves where they lie, so change them in place.
        trained: paths of the leaves that get a gradient.
        feed: the samples.
    """

    def __init__(self, network: Module, loss: Loss, params: Tree, trained: set[str], feed: Feed) -> None:
        self.network, self.loss, self.params, self.trained, self.feed = network, loss, params, trained, feed
        self.places = dict(leaves(params))
        filters = any(leaf.ndim == 4 for leaf in self.places.values())
        self.batch_last = filters and feed.inputs.ndim == 4  # images lie as filters want them
        self.vector, self.tree = flat({path: leaf for path, leaf in self.places.items() if path in trained}, trained)
        others = self.places.keys() - trained
        self.running, next_values = flat({path: self.places[path] for path in self.places if path in others}, others)
        self._targets = {**self.tree, **next_values}
        self.updates: dict[str, Array] = {}
        self.key = np.zeros((), np.uint64)
        self.batch: tuple[Array, Array, Array] | None = None  # of the last step, with the numbers of its samples
        self.why_not: str | None = None
        self._shapes: dict[int, _Shape] = {}
        self._memory: Array | None = None  # of the recordings, of which one runs at a time

    def step(self, indices: Array, key: int, read: Callable[[Array, Array], None] | None = None) -> float:
        """Compute the loss of samples by their numbers; its gradients are then in `vector`, by path in `tree`.

        `read` writes inputs and targets of these samples into the arrays given; without it they are read here.
        `updates` then has the next values of what changes without a gradient, such as running means, by path; they
        lie in `running`.
        """
        shape = self._shapes.get(len(indices))
        if shape is None:
            shape = self._shapes[len(indices)] = self._make(len(indices))
        if read:
            read(shape.inputs, shape.targets)
        else:
            self.feed.take(indices, shape.inputs, shape.targets)
        self.key[...] = key
        self.batch = shape.inputs, shape.targets, indices
        shape.count += 1
        if shape.count == 2 and self.why_not is None:
            self._record(shape)
        if shape.recording is None or not self._replay(shape):
            shape.loss, shape.updates = self._compute(shape, None)
        self.updates = {path: self._targets[path] for path in shape.updates}
        assert shape.loss is not None
        return float(shape.loss.item())

    def accept(self) -> None:
        """Put what the step changed without a gradient in its place."""
        for path, value in self.updates.items():
            np.copyto(self.places[path], value)

    def load(self, indices: Array, epoch: int = 0) -> tuple[Array, Array]:
        """Return inputs and targets of samples by their numbers as in some epoch, in arrays of their own."""
        shape = self._make(len(indices))
        self.feed.take(indices, shape.inputs, shape.targets, epoch)
        return shape.inputs, shape.targets

    def _make(self, size: int) -> _Shape:
        make = kernels.batch_array if self.batch_last else kernels.aligned_empty
        targets = self.feed.targets
        inputs = make((size, *self.feed.inputs.shape[1:]), self.feed.dtype)
        return _Shape(inputs, np.empty((size, *targets.shape[1:]), targets.dtype))

    def _compute(self, shape: _Shape, recorder: Recorder | None) -> tuple[Array, tuple[str, ...]]:
        """Forward and backward on the tape; return the loss, and the paths of what changes without a gradient."""

        self._let_go()

        def traced(array: Array) -> Any:
            return array if recorder is None else recorder.recorded(array)

        def put(value: Any, place: Array) -> None:
            if recorder is None:
                np.copyto(place, 0 if value is None else value)
            else:
                recorder.result(value, place)

        tracked = map_with_path(
            lambda path, leaf: Tensor(traced(leaf), requires_grad=path in self.trained), self.params
        )
        changed: dict[int, Any] = {}
        mode = Mode(training=True, key=traced(self.key), updates=changed)
        output = self.loss(self.network(tracked, Tensor(traced(shape.inputs)), mode), traced(shape.targets))
        named = dict(leaves(tracked))
        for path, (_, g) in zip(self.tree, gradients(output, [named[path] for path in self.tree]), strict=True):
            put(g, self._targets[path])
        updates = tuple(path for path in named if id(named[path].data) in changed)
        for path in updates:
            if path in self.trained:
                raise TreadleError(f"{path} gets a gradient and cannot be given to mode.update: make it trained=False")
            put(changed[id(named[path].data)], self._targets[path])
        loss = np.empty(output.shape, output.dtype)
        put(output.data, loss)
        return loss, updates

    def _record(self, shape: _Shape) -> None:
        inputs = [shape.inputs, shape.targets, self.key, *self.places.values()]
        outlines = []
        try:
            for _ in range(2):
                recorder = Recorder(kernels.active(), inputs)
                with kernels.use(recorder):
                    shape.loss, shape.updates = self._compute(shape, recorder)
                outlines.append((recorder.outline, shape.updates))
            if outlines[0] != outlines[1]:
                self._stay_on_tape("two passes over one batch did not do the same")
            else:
                shape.recording = recorder.finish()
        except NotRecordable as error:
            self._stay_on_tape(str(error))
        except Exception as error:  # on the tape it may go well, or fail with an error that names the op
            self._stay_on_tape(f"a pass could not be recorded: {error}")

    def _replay(self, shape: _Shape) -> bool:
        """Run the calls of a recording; return whether their results hold. The first are compared with the tape's."""
        computed = None
        if shape.count <= CHECKED:
            loss, updates = self._compute(shape, None)
            computed = [loss, self.vector.copy(), self.running.copy()]
        try:
            for function, arguments in shape.calls or self._bind(shape):
                function(*arguments)
        except Exception as error:
            self._stay_on_tape(f"a recorded pass failed: {error}")
            return False
        if computed:
            self._check(shape, computed, updates)
        return True

    def _check(self, shape: _Shape, computed: list[Array], updates: tuple[str, ...]) -> None:
        """Compare the results of a recording with those of the tape, which take their place."""
        assert shape.loss is not None
        replayed = [shape.loss, self.vector, self.running]
        same = all(np.array_equal(a, b, equal_nan=True) for a, b in zip(replayed, computed, strict=True))
        if not same or updates != shape.updates:
            self._stay_on_tape("a recorded pass gave other numbers than the tape")
        shape.updates = updates
        for place, value in zip(replayed, computed, strict=True):
            np.copyto(place, value)

    def _bind(self, shape: _Shape) -> list[Call]:
        """Return the calls of a recording in the memory that all recordings share."""
        assert shape.recording is not None
        if self._memory is None or self._memory.size < shape.recording.size:
            self._let_go()
            self._memory = kernels.aligned_empty((shape.recording.size,), np.uint8)
        shape.calls = shape.recording.calls(self._memory)
        return shape.calls

    def _let_go(self) -> None:
        """Free the memory of the recordings: the tape needs as much, and more."""
        self._memory = None
        for shape in self._shapes.values():
            shape.calls = None

    def _stay_on_tape(self, reason: str) -> None:
        self.why_not = reason
        self._let_go()
        for shape in self._shapes.values():
            shape.recording = None
