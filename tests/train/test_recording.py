"""Steps run from a recording against the same steps on the tape, to the bit, and what must stay on the tape."""

from __future__ import annotations

import re
import tracemalloc
from itertools import pairwise

import numpy as np
import pytest

import treadle as td
from small_sets import line, pictures, three_classes
from treadle import kernels, ops
from treadle.data import SCALES, Dataset
from treadle.errors import TreadleError
from treadle.kernels import reference
from treadle.losses import AbsoluteError, CrossEntropy, SquaredError
from treadle.nn import (
    MODELS,
    BatchNorm,
    Conv2d,
    Dropout,
    Flatten,
    Linear,
    MaxPool2d,
    Module,
    Parameter,
    ReLU,
    Sequential,
    Softmax,
)
from treadle.train.feed import Feed
from treadle.train.step import Gradients, flat
from treadle.tree import leaves

cpu = pytest.importorskip("treadle.kernels.cpu")

BOTH = pytest.mark.parametrize("k", [reference, cpu], ids=["reference", "cpu"])
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
BATCHES = [(0, 7), (7, 14), (14, 21), (21, 25), (25, 32), (32, 36), (36, 40), (0, 7), (3, 7), (5, 12), (8, 9), (9, 10)]
TOLD = "told to stay on the tape"
GENERATOR = np.random.default_rng(0)


class Net(Module):
    """A function of the parameters, which are made from standard normal numbers."""

    def __init__(self, function, untrained=(), **shapes):
        self.function, self.untrained, self.shapes, self.calls = function, untrained, shapes, 0

    def parameters(self, shape):  # noqa: ARG002
        return {name: Parameter(s, trained=name not in self.untrained) for name, s in self.shapes.items()}

    def forward(self, params, x, mode):
        self.calls += 1
        return self.function(params, x, mode)


def steps(network, data, loss, k=cpu, dtype=np.float32, batches=BATCHES, why_not=None, between=None):
    """Train for some batches; return the loss, gradients, next running values and parameters of each, and why_not."""
    params = network.init(data.shape, seed=0, dtype=dtype)
    trained = {path for path, spec in leaves(network.parameters(data.shape)) if spec.trained}
    rng = np.random.default_rng(0)
    for _, leaf in leaves(params):
        leaf += rng.normal(scale=0.3, size=leaf.shape)
    vector, params = flat(params, trained)
    feed = Feed(data, SCALES["minmax"]().fit(data.inputs), loss, np.dtype(dtype))
    gradients = Gradients(network, loss, params, trained, feed)
    gradients.why_not = why_not
    found = []
    with kernels.use(k), np.errstate(all="ignore"):
        for number, (begin, end) in enumerate(batches):
            if between:
                between(number)
            value = gradients.step(np.arange(begin, end), number)
            running = {path: value.copy() for path, value in gradients.updates.items()}
            vector -= vector.dtype.type(0.1) * gradients.vector
            gradients.accept()
            found.append((value, gradients.vector.copy(), running, [leaf.copy() for _, leaf in leaves(params)]))
    return found, gradients.why_not


def require_same(make, data, loss, recorded=True, **settings):
    """Compare steps from a recording with those of the tape; `recorded`: whether there is to be a recording."""
    once, why_not = steps(make(), data, loss, **settings)
    other, _ = steps(make(), data, loss, why_not=TOLD, **settings)
    assert (why_not is None) == recorded, why_not
    for number, (found, wanted) in enumerate(zip(once, other, strict=True)):
        np.testing.assert_equal(found, wanted, err_msg=f"batch {number}")
    return why_not


OUTPUTS = {"baseline": 1}


@BOTH
@DTYPES
@pytest.mark.parametrize("name", MODELS)
def test_presets(name, dtype, k):
    outputs = OUTPUTS.get(name, 4)
    loss = SquaredError() if outputs == 1 else CrossEntropy()
    require_same(lambda: MODELS[name](outputs), pictures().train, loss, k=k, dtype=dtype)


@BOTH
@DTYPES
@pytest.mark.parametrize(
    "loss", [SquaredError(), SquaredError(halved=True), AbsoluteError(), CrossEntropy(), CrossEntropy(True)], ids=repr
)
def test_losses(loss, dtype, k):
    values = loss.compares == "values"
    last = [Linear(1)] if values else [Linear(3), *([Softmax()] if loss.from_probabilities else [])]
    data = (line(features=4) if values else three_classes(sizes=(40, 5, 5))).train
    require_same(lambda: Sequential(Linear(6), td.nn.Tanh(), *last), data, loss, k=k, dtype=dtype)


@BOTH
@pytest.mark.parametrize("outputs", [4, 1])
def test_layers(outputs, k):
    network = Sequential(
        Conv2d(4, 3, padding=1),
        BatchNorm(),
        ReLU(),
        td.nn.Residual(Conv2d(4, 3, padding=1), Dropout(0.4), shortcut=Conv2d(4, 1)),
        MaxPool2d(2),
        td.nn.AvgPool2d(2),
        Flatten(),
        Dropout(0.2),
        BatchNorm(),
        td.nn.LayerNorm(),
        td.nn.GELU(),
        Linear(outputs),
    )
    batches = [batch for batch in BATCHES if batch[1] - batch[0] > 1]
    loss = SquaredError() if outputs == 1 else CrossEntropy()
    require_same(lambda: network, pictures().train, loss, k=k, batches=batches)


def test_a_recording_takes_the_place_of_the_network():
    network = Net(lambda p, x, m: x * p["a"], a=(1,))
    found, why_not = steps(network, line().train, SquaredError(), batches=[(0, 10)] * 50)
    assert why_not is None
    assert network.calls == 1 + 2 + 2  # the first batch; the second recorded twice over; it and the third compared
    assert len({value for value, *_ in found}) == 50


def test_masks_differ_from_step_to_step_and_follow_the_key_alone():
    network = Net(lambda p, x, m: Dropout(0.5).forward({}, p["a"] + 0.0 * x, m), a=(1,))

    def masks(keys):
        loss, data = SquaredError(), line().train
        vector, params = flat(network.init((1,), seed=0), {"a"})
        feed = Feed(data, SCALES["none"]().fit(data.inputs), loss, vector.dtype)
        gradients = Gradients(network, loss, params, {"a"}, feed)
        vector[:] = 1
        with kernels.use(cpu):
            return [gradients.step(np.arange(40), key) for key in keys]

    found = masks([1, 2, 3, 4, 5, 6, 7, 8, 9])
    assert len(set(found)) > 4
    assert masks([9, 8, 7, 6, 5, 4, 3, 2, 1]) == found[::-1]


@BOTH
@DTYPES
@pytest.mark.parametrize(
    ("function", "shapes"),
    [
        (lambda p, x, m: ops.matmul(ops.tanh(ops.matmul(x, p["a"])), p["a"]), {"a": (4, 4)}),  # shared
        (lambda p, x, m: ops.matmul(x, p["a"]), {"a": (4, 4), "b": (3,)}),  # no gradient of b
        (lambda p, x, m: x * ops.tanh(p["a"] + p["b"]), {"a": (4,), "b": (4,)}),  # one gradient of both
        (lambda p, x, m: x * (p["a"] + ops.reshape(p["b"], (4,))), {"a": (4,), "b": (2, 2)}),  # views
        (lambda p, x, m: x * ops.matmul(p["a"], p["b"]), {"a": (4,), "b": (4,)}),
        (lambda p, x, m: x * ops.max(p["a"]) + ops.min(x, axis=1, keepdims=True) * p["b"], {"a": (4,), "b": (4,)}),
        (lambda p, x, m: p["a"] + 0.0 * x, {"a": (4,)}),
        (lambda p, x, m: p["a"][np.array([0, 1, 0, 2])] * x, {"a": (4,)}),
        (lambda p, x, m: ops.where(x > 0.5, x * p["a"], p["b"]), {"a": (4,), "b": (4,)}),
        (lambda p, x, m: x * ops.sum(ops.conv2d(p["a"], p["b"])), {"a": (3, 2, 5, 5), "b": (2, 2, 3, 3)}),
        (lambda p, x, m: x * ops.sum(ops.max_pool2d(p["a"], size=2)), {"a": (3, 2, 6, 6)}),
    ],
)
def test_own_modules(function, shapes, dtype, k):
    class Mean(AbsoluteError):  # noqa: N818
        def __call__(self, outputs, targets):  # noqa: ARG002
            return ops.mean(outputs * outputs)

    data = line(features=4).train
    require_same(lambda: Net(function, **shapes), data, Mean(), k=k, dtype=dtype)


@BOTH
def test_what_changes_without_a_gradient(k):
    def function(params, x, mode):
        running = td.Tensor(params["mean"].data) * 0.9 + ops.mean(td.Tensor(x.data), 0) * 0.1
        mode.update(params["mean"], running)
        mode.update(params["count"], td.Tensor(params["count"].data) + 1.0)
        mode.update(params["last"], params["a"])
        return ops.matmul(x - td.Tensor(params["mean"].data), params["a"])

    shapes = {"a": (4, 1), "mean": (4,), "count": (1,), "last": (4, 1), "still": (2,)}

    def make():
        return Net(function, ("mean", "count", "last", "still"), **shapes)

    require_same(make, line(features=4).train, SquaredError(), k=k)
    found, _ = steps(make(), line(features=4).train, SquaredError(), k=k)
    for (*_, running, _), (*_, before) in zip(found[1:], found[:-1], strict=True):
        np.testing.assert_array_equal(running["last"], before[0])  # the parameter of the forward pass, not the updated
        np.testing.assert_array_equal(running["count"], before[2] + 1)
        assert "still" not in running


def test_a_trained_parameter_has_no_update_but_by_its_gradient():
    def function(params, x, mode):
        mode.update(params["a"], params["a"] * 0.5)
        return x * params["a"]

    with pytest.raises(TreadleError, match=r"a gets a gradient and cannot be given to mode\.update: make it trained="):
        steps(Net(function, a=(1,)), line().train, SquaredError())


# --- Memory ------------------------------------------------------------------------------------------------------


def test_tape_and_recordings_are_not_in_memory_together_and_recordings_share_it(monkeypatch):
    monkeypatch.setattr(kernels, "BLOCK", 0)  # each array has memory of its own, which is counted exactly
    rng = np.random.default_rng(0)
    data = Dataset(rng.integers(0, 256, (60, 3, 32, 32), np.uint8), rng.integers(0, 4, 60), tuple("abcd"), "random")
    layers = [part for _ in range(3) for part in (Conv2d(4, 3, padding=1), BatchNorm(), ReLU())]
    network, loss = Sequential(*layers, td.nn.Residual(*layers), td.nn.GlobalAvgPool2d(), Linear(4)), CrossEntropy()
    params = network.init(data.shape, seed=0)
    trained = {path for path, spec in leaves(network.parameters(data.shape)) if spec.trained}
    feed = Feed(data, SCALES["minmax"]().fit(data.inputs), loss, np.dtype(np.float32))

    def step(size):
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        gradients.step(np.arange(size), 0)
        current, peak = tracemalloc.get_traced_memory()
        return current - before, peak - before

    with kernels.use(cpu):
        gradients = Gradients(network, loss, params, trained, feed)
        for _ in range(2):
            gradients.step(np.arange(60), 0)  # loads the kernels, which takes memory too
        gradients = Gradients(network, loss, params, trained, feed)
        tracemalloc.start()
        try:
            (_, tape), (recording, second), (_, third), fourth, fifth = (step(60) for _ in range(5))
            another = sum(step(size)[0] for size in (50, 50, 50, 60, 50))
        finally:
            tracemalloc.stop()
    assert gradients.why_not is None
    assert recording < 0.6 * tape
    assert max(second, third + recording) < 1.1 * tape
    assert max(*fourth, *fifth) < 0.05 * tape
    assert another < 0.25 * recording


# --- What stays on the tape ----------------------------------------------------------------------------------------


def plain(function):
    return lambda p, x, m: x * p["a"] * function(x, m)


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (plain(lambda x, m: 2.0 if x.sum().item() > 0 else 1.0), r"item\(\) looks at the numbers"),
        (plain(lambda x, m: 2.0 if x.sum().data > 0 else 1.0), "if, while, and, or looks at the numbers"),
        (plain(lambda x, m: float(x[0, 0].data)), r"float\(\) looks at the numbers"),
        (plain(lambda x, m: np.asarray(x.data).mean()), "a function of NumPy looks at the numbers"),
        (plain(lambda x, m: np.sort(x.numpy(), axis=0)), "a function of NumPy looks at the numbers"),
        (plain(lambda x, m: np.random.default_rng(int(m.key)).normal()), r"int\(\) looks at the numbers"),
        (plain(lambda x, m: x.data.copy()), "could not be recorded: .* 'copy'"),
        (plain(lambda x, m: x.data.max()), "could not be recorded: .* 'max'"),
        (lambda p, x, m: ops.sum(x[x > 0.5]) * p["a"] + 0.0 * x, "recorded|looks at the numbers"),
        (plain(lambda x, m: np.modf(x.data * 3)[0]), "recorded|looks at the numbers"),
    ],
)
def test_a_look_at_numbers(function, reason):
    data = line().train
    why_not = require_same(lambda: Net(function, a=(1,)), data, SquaredError(), recorded=False, batches=BATCHES[:8])
    assert re.search(reason, why_not), why_not


class Noisy(Module):
    """x · a + noise from a generator of its own, the last of which it keeps."""

    def __init__(self, draw):
        self.draw, self.noise, self.calls = draw, None, 0

    def parameters(self, shape):  # noqa: ARG002
        return {"a": Parameter((1,))}

    def forward(self, params, x, mode):  # noqa: ARG002
        self.noise = self.draw(self.calls, x.shape)
        self.calls += 1
        return x * params["a"] + self.noise


@pytest.mark.parametrize(
    ("draw", "reason"),
    [
        (lambda _, shape: GENERATOR.normal(size=shape), "two passes over one batch did not do"),
        (lambda calls, _: float(calls), "two passes over one batch did not do"),
        (lambda calls, _: float(calls // 4), "gave other numbers than the tape"),  # the same while it is recorded
    ],
)
def test_noise_and_counts_of_a_module_are_those_of_the_step(draw, reason):
    network, loss, data = Noisy(draw), SquaredError(), line().train
    vector, params = flat(network.init((1,), seed=0, dtype=np.float64), {"a"})
    vector[:] = 2
    feed = Feed(data, SCALES["none"]().fit(data.inputs), loss, vector.dtype)
    gradients = Gradients(network, loss, params, {"a"}, feed)
    with kernels.use(cpu):
        for number in range(6):
            rows = np.arange(5 * number, 5 * number + 5)
            value = gradients.step(rows, number)
            x, y = data.inputs[rows], data.targets[rows, None]
            residual = 2 * x + network.noise - y
            assert value == pytest.approx(np.mean(residual**2), rel=1e-12)
            assert gradients.vector[0] == pytest.approx(np.mean(2 * residual * x), rel=1e-12)
    assert reason in gradients.why_not


def test_a_count_that_goes_into_a_running_value():
    counts = iter(range(1000))

    def function(params, x, mode):
        mode.update(params["count"], np.array([float(next(counts))]))
        return x * params["a"]

    found, why_not = steps(
        Net(function, ("count",), a=(1,), count=(1,)), line().train, SquaredError(), dtype=np.float64
    )
    assert "gave other numbers than the tape" in why_not
    values = [running["count"][0] for _, _, running, _ in found]
    assert all(before < after for before, after in pairwise(values))


def test_what_changes_in_place_takes_effect_and_a_new_attribute_does_not():
    # the limit that the docstring of Gradients tells
    class Scaled(Module):
        def __init__(self):
            self.array, self.number = np.ones(1, np.float32), 1.0

        def parameters(self, shape):  # noqa: ARG002
            return {"a": Parameter((1,))}

        def forward(self, params, x, mode):  # noqa: ARG002
            return x * params["a"] * self.array * self.number

    for change, factor in (
        (lambda net: net.array.__setitem__(0, 3.0), 3.0),
        (lambda net: setattr(net, "number", 3.0), 1.0),
    ):
        network, loss = Scaled(), SquaredError()
        rows = Dataset(np.ones((4, 1)), np.zeros(4), None, "rows")
        vector, params = flat({"a": np.ones(1, np.float32)}, {"a"})
        feed = Feed(rows, SCALES["none"]().fit(rows.inputs), loss, vector.dtype)
        gradients = Gradients(network, loss, params, {"a"}, feed)
        values = [gradients.step(np.arange(4), number) for number in range(5)]
        change(network)
        assert values == [1.0] * 5
        assert gradients.step(np.arange(4), 5) == factor**2


def test_an_error_of_the_network_comes_from_the_tape():
    calls = iter(range(100))

    def function(params, x, mode):
        if next(calls) > 3:
            raise ZeroDivisionError("the fourth")
        return x * params["a"]

    with pytest.raises(ZeroDivisionError, match="the fourth"):
        steps(Net(function, a=(1,)), line().train, SquaredError())
