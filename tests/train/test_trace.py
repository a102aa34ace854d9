"""The trace of a step: closed forms by hand, the same tape as training's, and what it can be asked."""

import json
import sys

import numpy as np
import pytest

import treadle as td
from small_sets import fit, pictures, three_classes
from treadle import kernels, ops
from treadle.autodiff.tape import Primitive
from treadle.errors import TreadleError
from treadle.nn import Conv2d, Dropout, Flatten, Linear, MaxPool2d, ReLU, Residual, Sequential
from treadle.train.step import Gradients
from treadle.train.trace import _documented

NETWORK = Sequential(Linear(2), ReLU(), Linear(1))
PARAMETERS = {
    "linear1": {"weight": np.array([[1.0, -2.0], [3.0, 1.0]]), "bias": np.array([0.5, -0.5])},
    "linear2": {"weight": np.array([[2.0], [-1.0]]), "bias": np.array([1.0])},
}


def test_every_number_of_a_small_network_by_hand():
    # x = (1, 2): h = (7.5, −0.5), relu (7.5, 0), z = 16, halved loss ½ (16 − 10)² = 18, ∂L/∂z = 6
    found = td.trace(
        NETWORK,
        (np.array([[1.0, 2.0]]), np.array([[10.0]])),
        td.losses.SquaredError(halved=True),
        parameters=PARAMETERS,
    )
    assert found.loss == 18
    product, biased = found["linear1"]
    assert (product.name, product.names) == ("matmul", ("input", "linear1.weight"))
    np.testing.assert_array_equal(product.output, [[7, 0]])
    np.testing.assert_array_equal(biased.output, [[7.5, -0.5]])
    relu = found["relu1", "relu"]
    np.testing.assert_array_equal(relu.inputs[0], [[7.5, -0.5]])
    np.testing.assert_array_equal(relu.output, [[7.5, 0]])
    np.testing.assert_array_equal(relu.gradient, [[12, -6]])
    np.testing.assert_array_equal(relu.gradients[0], [[12, 0]])
    np.testing.assert_array_equal(found["linear2", "matmul"].gradient, [[6]])
    np.testing.assert_array_equal(found.gradients["linear1.weight"], [[12, 0], [24, 0]])
    np.testing.assert_array_equal(found.gradients["linear1.bias"], [12, 0])
    np.testing.assert_array_equal(found.gradients["linear2.weight"], [[45], [0]])
    np.testing.assert_array_equal(found.gradients["input"], [[12, 36]])
    assert [op.number for op in found] == list(range(len(found)))
    assert found[-1].layer == "loss"
    assert found[-1].gradient == 1


def test_what_leaves_an_op_arrives_where_its_input_was_made():
    sets = pictures(shape=(1, 8, 8))
    network = Sequential(
        Conv2d(3, 3, padding=1), ReLU(), Residual(Conv2d(3, 3, padding=1)), MaxPool2d(2), Flatten(), Linear(4)
    )
    found = td.trace(network, (sets.train.inputs[:6].astype(np.float64), sets.train.targets[:6]), "cross_entropy")
    arrived = {}
    for op in found:
        for name, g in zip(op.names, op.gradients, strict=True):
            if g is not None:
                arrived[name] = arrived.get(name, 0) + g
    for op in found.ops[:-1]:
        np.testing.assert_allclose(op.gradient, arrived[f"#{op.number}"], rtol=1e-12)
    for path, g in found.gradients.items():
        np.testing.assert_allclose(g, arrived[path], rtol=1e-12)
    # an op's output is what the ops after it take
    for op in found:
        for name, x in zip(op.names, op.inputs, strict=True):
            if name.startswith("#"):
                assert x is found[int(name[1:])].output
    layers = list(dict.fromkeys(op.layer for op in found))
    assert layers == [
        "conv2d1",
        "relu1",
        "residual1.conv2d1",
        "residual1",
        "max_pool2d1",
        "flatten1",
        "linear1",
        "loss",
    ]
    assert [op.name for op in found["residual1"]] == ["conv2d", "add"]


def test_it_is_what_training_computes(monkeypatch):
    # the gradients of the first step of a run, and those of a trace at the parameters it began with
    sets = three_classes()
    network, taken = Sequential(Linear(5), ReLU(), Dropout(0.3), Linear(3)), []
    step = Gradients.step

    def watched(self, indices, key, read):
        loss = step(self, indices, key, read)
        taken.append((loss, {path: g.copy() for path, g in self.tree.items()}, key))
        return loss

    monkeypatch.setattr(Gradients, "step", watched)
    run = fit(sets, network, batch_size=50, epochs=1, shuffle=False, optimizer=td.optim.SGD(0.0))
    loss, gradients, key = taken[0]
    found = td.trace(run, (sets.train.inputs, sets.train.targets), seed=key)
    assert found.loss == loss
    for path, g in gradients.items():
        np.testing.assert_array_equal(found.gradients[path], g)


def test_one_sample_and_evaluation():
    sets, network = three_classes(), Sequential(Linear(5), Dropout(0.5), Linear(3))
    one = td.trace(network, (sets.train.inputs[:1], sets.train.targets[:1]), "cross_entropy")
    assert one["linear1", "matmul"].output.shape == (1, 5)
    assert "dropout1" in {op.layer for op in one}
    calm = td.trace(network, (sets.train.inputs[:1], sets.train.targets[:1]), "cross_entropy", training=False)
    assert "dropout1" not in {op.layer for op in calm}
    assert one.gradients["linear1.weight"].dtype == np.float64


def test_it_prints_and_becomes_json():
    found = td.trace(NETWORK, (np.array([[1.0, 2.0]]), np.array([[10.0]])), "squared_error", parameters=PARAMETERS)
    lines = repr(found).splitlines()
    assert lines[0].split() == ["#", "layer", "op", "from", "output", "|output|", "|gradient|"]
    assert lines[3].split() == ["2", "relu1", "relu", "#1", "1×2", "5.3", "19"]
    assert repr(found["relu1", "relu"]).splitlines() == [
        "#2 relu in relu1: max(x, 0)",
        "  #1 = [[ 7.5, -0.5]]",
        "  output = [[7.5, 0. ]]",
        "  gradient that arrives, g = [[ 24., -12.]]",
        "  rule: g where x > 0, else 0, so 0 at the kink",
        "  gradient that leaves to #1 = [[24.,  0.]]",
    ]
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert plain["ops"][2]["output"] == {"shape": [1, 2], "dtype": "float64", "values": [[7.5, 0.0]]}
    assert plain["ops"][2]["inputs"][0]["from"] == "#1"
    assert plain["loss"] == 36
    far = td.trace(NETWORK, (np.array([[np.inf, 2.0]]), np.array([[10.0]])), "squared_error", parameters=PARAMETERS)
    json.dumps(far.to_dict(), allow_nan=False)


def test_what_it_refuses():
    batch = (np.ones((1, 2)), np.ones((1, 1)))
    with pytest.raises(TreadleError, match="a trace of a network needs a loss"):
        td.trace(NETWORK, batch)
    with pytest.raises(TreadleError, match="a batch should be inputs and targets, found 1 part"):
        td.trace(NETWORK, batch[:1], "squared_error")
    found = td.trace(NETWORK, batch, "squared_error", parameters=PARAMETERS)
    with pytest.raises(TreadleError, match="no op was computed in layer 'linear3': did you mean 'linear"):
        found["linear3"]
    with pytest.raises(TreadleError, match="layer linear1 has 0 ops conv2d: #0 matmul, #1 add"):
        found["linear1", "conv2d"]


def test_every_op_tells_its_formula_and_its_rule():
    modules = [module for name, module in sys.modules.items() if name.startswith("treadle.ops.")]
    names = {value.name for module in modules for value in vars(module).values() if isinstance(value, Primitive)}
    assert len(names) > 45
    assert all(hasattr(ops, name) for name in names)
    for name in names - {"dropout_mask"}:  # through which no gradient flows
        formula, rule = _documented(name)
        assert formula, name
        assert rule, name


def test_the_compiled_kernels_give_the_same():
    sets = pictures()
    network = Sequential(Conv2d(4, 3), ReLU(), MaxPool2d(2), Flatten(), Linear(4))
    batch = (sets.train.inputs[:9].astype(np.float64), sets.train.targets[:9])
    plain = td.trace(network, batch, "cross_entropy")
    with kernels.use(kernels.fastest()):
        fast = td.trace(network, batch, "cross_entropy")
    for one, other in zip(plain, fast, strict=True):
        assert one.name == other.name
        np.testing.assert_allclose(one.output, other.output, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(one.gradient, other.gradient, rtol=1e-9, atol=1e-9)
