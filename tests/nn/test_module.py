import re
import tracemalloc

import numpy as np
import pytest

import treadle as td
from treadle.errors import DtypeError, MemoryLimitError, ShapeError
from treadle.nn import Flatten, Linear, Module, Parameter, ReLU, Sequential, Sigmoid, Softmax, Tanh
from treadle.tree import leaves


class Scale(Module):
    def parameters(self, shape):
        return {"factor": Parameter(shape)}

    def forward(self, params, x, mode):  # noqa: ARG002
        return x * params["factor"]


class Residual(Module):
    """x · scale + inner(x): a module with a module inside and a parameter of its own."""

    def __init__(self, inner):
        self.inner = inner

    def children(self, shape):
        yield "inner", self.inner, shape

    def parameters(self, shape):
        return {"inner": self.inner.parameters(shape), "scale": Parameter(shape)}

    def forward(self, params, x, mode):
        return x * params["scale"] + self.inner.forward(params["inner"], x, mode.child("inner"))


def test_layers_are_named_by_class_and_place():
    network = Sequential(Flatten(), Linear(3), ReLU(), Linear(3), ReLU(), Linear(2), Scale(), Softmax())
    names = ["flatten1", "linear1", "relu1", "linear2", "relu2", "linear3", "scale1", "softmax1"]
    assert list(network.layers) == names


def test_parameters_have_the_shapes_of_the_layers():
    params = Sequential(Flatten(), Linear(10), Sigmoid(), Linear(3, bias=False)).init((1, 28, 28), seed=0)
    shapes = {path: leaf.shape for path, leaf in leaves(params)}
    assert shapes == {"linear1.weight": (784, 10), "linear1.bias": (10,), "linear2.weight": (10, 3)}
    assert not params["linear1"]["bias"].any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_dtype_from_parameters_to_outputs(dtype):
    network = Sequential(Flatten(), Linear(4), Sigmoid(), Linear(4), ReLU(), Linear(3), Tanh(), Softmax())
    params = network.init((2, 3), seed=1, dtype=dtype)
    assert {leaf.dtype for _, leaf in leaves(params)} == {np.dtype(dtype)}
    assert network(params, np.ones((5, 2, 3), dtype)).dtype == dtype


def test_float32_parameters_are_the_float64_ones_rounded():
    network = Sequential(Linear(4))
    exact, rounded = (network.init((3,), seed=5, dtype=dtype)["linear1"]["weight"] for dtype in (float, np.float32))
    np.testing.assert_array_equal(rounded, exact.astype(np.float32))


def test_parameters_and_inputs_of_other_dtypes_are_refused():
    network = Sequential(Linear(4))
    with pytest.raises(DtypeError, match="float64 and float32"):
        network(network.init((3,), seed=0), np.ones((5, 3)))


def test_initial_parameters_follow_seed_and_name_alone():
    one = Sequential(Flatten(), Linear(4), Linear(4))
    other = Sequential(Linear(4), ReLU(), ReLU(), Linear(4), Linear(1))
    first, second = one.init((4,), seed=3), other.init((4,), seed=3)
    for name in ("linear1", "linear2"):
        np.testing.assert_array_equal(first[name]["weight"], second[name]["weight"])
    assert not np.array_equal(first["linear1"]["weight"], first["linear2"]["weight"])
    assert not np.array_equal(first["linear1"]["weight"], one.init((4,), seed=4)["linear1"]["weight"])
    np.random.PCG64(0).random_raw()
    np.testing.assert_array_equal(first["linear2"]["weight"], one.init((4,), seed=3)["linear2"]["weight"])


def test_a_network_in_a_network_has_its_own_names_and_weights():
    inner = Sequential(Linear(4), ReLU())
    network = Sequential(inner, inner, Linear(2))
    params = network.init((4,), seed=0, dtype=np.float64)
    assert list(params) == ["sequential1", "sequential2", "linear1"]
    x = np.random.default_rng(0).normal(size=(6, 4))
    hidden = x
    for name in ("sequential1", "sequential2"):
        layer = params[name]["linear1"]
        hidden = np.maximum(hidden @ layer["weight"] + layer["bias"], 0)
    expected = hidden @ params["linear1"]["weight"] + params["linear1"]["bias"]
    np.testing.assert_allclose(network(params, x).numpy(), expected, rtol=1e-14)
    assert not np.array_equal(params["sequential1"]["linear1"]["weight"], params["sequential2"]["linear1"]["weight"])
    assert network.output_shape((4,)) == (2,)


def test_a_module_leaves_parameters_and_inputs_as_they_are():
    network = Sequential(Linear(3), ReLU(), Linear(1))
    params = network.init((2,), seed=0)
    before = {path: leaf.copy() for path, leaf in leaves(params)}
    x = np.ones((4, 2), np.float32)
    td.value_and_grad(lambda p: network(p, x).sum())(params)
    for path, leaf in leaves(params):
        np.testing.assert_array_equal(leaf, before[path])
    assert (x == 1).all()


def test_a_misfit_names_the_layer_the_shape_and_the_remedy():
    network = Sequential(ReLU(), Linear(10))
    for attempt in (
        lambda: network.output_shape((1, 28, 28)),
        lambda: network.init((1, 28, 28), seed=0),
        lambda: td.summary(network, (1, 28, 28)),
    ):
        with pytest.raises(ShapeError) as refused:
            attempt()
        assert "layer linear1, Linear(10)" in str(refused.value)
        assert "(features,)" in str(refused.value)
        assert "(1, 28, 28)" in str(refused.value)
        assert "put a Flatten layer before it" in str(refused.value)


def test_a_misfit_in_use_names_the_layer_and_both_shapes():
    network = Sequential(Linear(3), Sequential(ReLU(), Linear(2)))
    params = network.init((4,), seed=0)
    params["sequential1"]["linear1"]["weight"] = np.ones((7, 2), np.float32)
    with pytest.raises(ShapeError) as refused:
        network(params, np.ones((5, 4), np.float32))
    for part in ("layer sequential1.linear1, Linear(2): ", "(5, 3)", "(7, 2)"):
        assert part in str(refused.value)


def test_a_layer_must_be_a_module():
    with pytest.raises(TypeError, match="Sequential takes modules, found 10"):
        Sequential(Flatten(), 10)


def test_more_memory_than_there_is_is_refused_before_allocation():
    network = Sequential(Flatten(), Linear(2**40))
    tracemalloc.start()
    try:
        with pytest.raises(MemoryLimitError) as refused:
            network.init((1, 28, 28), seed=0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2**20
    message = str(refused.value)
    count = 785 * 2**40
    assert f"{count:,} parameters" in message
    assert "linear1.weight" in message
    stated = re.search(r"need ([\d,.]+) GiB", message)
    needed = 4 * count + 8 * 784 * 2**40  # the weight once more in float64
    assert float(stated[1].replace(",", "")) == pytest.approx(needed / 2**30)


def test_memory_counts_all_layers_and_the_dtype(monkeypatch):
    network = Sequential(Linear(100), Linear(100))
    needed = 4 * (10 * 100 + 100 + 100 * 100 + 100) + 8 * 100 * 100
    for available, refused in ((needed, False), (needed - 1, True)):
        monkeypatch.setattr("psutil.virtual_memory", lambda a=available: type("Memory", (), {"available": a}))
        if refused:
            with pytest.raises(MemoryLimitError, match=r"linear2\.weight with 10,000"):
                network.init((10,), seed=0)
        else:
            network.init((10,), seed=0)
            with pytest.raises(MemoryLimitError):
                network.init((10,), seed=0, dtype=np.float64)


def test_a_module_of_ten_lines_trains_and_is_summarised():
    rng = np.random.default_rng(0)
    x = rng.uniform(0.5, 1, (64, 1))
    rows = td.data.Dataset(x, -2 * x[:, 0], None, "line")
    sets = td.data.Sets(rows, rows, rows, "line", "made up")
    run = td.fit(
        Scale(), sets, loss="squared_error", optimizer=td.optim.SGD(0.5), scale="none", epochs=60, dtype=np.float64
    )
    assert run.parameters["factor"] == pytest.approx(-2, abs=1e-6)
    summary = td.summary(Scale(), (7,))
    assert summary.parameters == 7
    assert [(row.name, row.output_shape, row.parameters) for row in summary.rows] == [("Scale", (7,), 7)]
    assert [row.name for row in td.summary(Sequential(Linear(2), Scale()), (3,)).rows] == ["linear1", "scale1"]


def test_summary_counts_layer_by_layer():
    layers = [Flatten(), Linear(10), Sigmoid(), Linear(10), Sigmoid(), Linear(10)]
    found = td.summary(Sequential(*layers), (1, 28, 28))
    assert [row.parameters for row in found.rows] == [0, 7850, 0, 110, 0, 110]
    assert [row.input_shape for row in found.rows] == [(1, 28, 28), (784,), (10,), (10,), (10,), (10,)]
    assert [row.output_shape for row in found.rows] == [(784,), (10,), (10,), (10,), (10,), (10,)]
    assert (found.parameters, found.input_shape, found.output_shape) == (8070, (1, 28, 28), (10,))
    lines = str(found).splitlines()
    assert lines[3].split() == ["linear1", *repr(layers[1]).split(), "(10,)", "7,850", "7,840", "40", "B"]
    assert lines[8].split() == ["total", "8,070", "8,040", "200", "B"]
    assert len({len(line) for line in lines[:9] if line != lines[1]}) == 1


def test_summary_takes_a_data_set_and_allocates_nothing():
    rows = td.data.Dataset(np.zeros((2, 1, 28, 28), np.uint8), np.zeros(2, int), ("a", "b"), "train")
    assert td.summary(td.nn.MODELS["baseline"](1), rows).parameters == 785
    assert td.summary(Sequential(Linear(2**40)), (784,)).parameters == 785 * 2**40


def test_summary_names_layers_of_inner_networks_and_counts_own_parameters():
    network = Sequential(Residual(Sequential(Linear(4), ReLU(), Linear(4))), Linear(1))
    found = td.summary(network, (4,))
    assert [(row.name, row.parameters) for row in found.rows] == [
        ("residual1", 4),
        ("residual1.inner.linear1", 20),
        ("residual1.inner.relu1", 0),
        ("residual1.inner.linear2", 20),
        ("linear1", 5),
    ]
    assert found.parameters == sum(leaf.size for _, leaf in leaves(network.init((4,), seed=0))) == 49
