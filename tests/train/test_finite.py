"""What is not finite stops training with the state before the step."""

import numpy as np
import pytest

import treadle as td
from small_sets import digest, fit, line, three_classes
from treadle.data import Dataset, Sets
from treadle.errors import TrainingError
from treadle.nn import BatchNorm, Linear, Module, Parameter, Sequential
from treadle.tree import leaves, tree_map


@pytest.mark.parametrize("batch", [10, 40])
def test_a_loss_that_is_not_finite_stops_before_the_update(batch):
    sets, kept = line(), []
    network = Sequential(Linear(1))

    def on_step(state, steps):
        kept.append((state, digest(state.params), state.step))

    with pytest.raises(TrainingError) as stopped:
        fit(sets, network, optimizer=td.optim.SGD(1e30), batch_size=batch, epochs=5, on_step=on_step)
    # the first step throws the parameters far out, the loss of the second is no float32
    epoch = 1 if batch == 10 else 2
    assert f"the loss is inf in epoch {epoch}, step 2 of the run" in str(stopped.value)
    assert "before this step's update" in str(stopped.value)
    state, last, step = kept[-1]
    assert len(kept) == step == state.step == 1
    assert digest(state.params) == last
    assert all(np.isfinite(leaf).all() for _, leaf in leaves(state.params))


def test_the_op_the_layer_and_the_sample_are_named():
    # a pixel of 1e30 in sample 7 of the training set: its square is no float32
    x = np.ones((20, 2))
    x[7, 1] = 1e30
    rows = Dataset(x, np.zeros(20), None, "far")
    sets = Sets(rows, rows[:5], rows[:5], "far", "made up")
    with pytest.raises(TrainingError) as stopped:
        fit(sets, Sequential(Linear(1)), scale="none", batch_size=20)
    assert "the loss is inf in epoch 1, step 1 of the run" in str(stopped.value)
    assert "the output of multiply in loss is inf for sample 7, with inputs from " in str(stopped.value)


def test_the_gradient_that_is_first_not_finite_is_named():
    with pytest.raises(TrainingError) as stopped:
        fit(line(), Sequential(Root()))
    message = str(stopped.value)
    assert "; the gradient that leaves sqrt in root1 to root1.root is -inf, with inputs from 0 to 0" in message


class Root(Module):
    """x · w + √w₀, whose gradient by w₀ is infinite at 0, where the value is not."""

    def parameters(self, shape):
        return {"weight": Parameter((shape[0], 1)), "root": Parameter((1,))}

    def output_shape(self, shape):
        return (1,)[: len(shape)]

    def forward(self, params, x, mode):  # noqa: ARG002
        return x @ params["weight"] + td.ops.sqrt(params["root"])


def test_a_gradient_that_is_not_finite_stops_before_the_update_and_is_named():
    sets, steps = line(), []
    with pytest.raises(TrainingError, match=r"gradient of root1\.root is not finite, .* in epoch 1, step 1 of the run"):
        fit(sets, Sequential(Root()), on_step=lambda state, count: steps.append(count))
    assert not steps


def test_what_overflows_in_the_last_update_is_seen_in_the_scores():
    sets = line()
    run = fit(sets, Sequential(Linear(1)), optimizer=td.optim.SGD(1e30), batch_size=40, epochs=1)
    assert run.history[0]["validation_loss"] == np.inf
    assert run.test()["loss"] == np.inf


def test_an_update_that_overflows_is_refused_and_the_parameters_before_it_are_kept():
    seen = []
    with pytest.raises(TrainingError, match=r"the updated parameter linear1\.weight is not finite.*step 1 of"):
        fit(three_classes(), optimizer=td.optim.SGD(1e300), on_step=lambda state, steps: seen.append(state))
    assert not seen


# --- The guard -----------------------------------------------------------------------------------------------------


class Product(Module):
    """x · a · factor + b: where the loss is the mean of the outputs, the gradient of a is the factor."""

    def __init__(self, factor):
        self.factor = factor

    def parameters(self, shape):  # noqa: ARG002
        return {"a": Parameter((1,)), "b": Parameter((1,))}

    def forward(self, params, x, mode):  # noqa: ARG002
        return x * (params["a"] * self.factor) + params["b"]


class Gate(Product):
    """√(0 · a + x) + b, whose gradient by a is 0 · ∞ where x is 0."""

    def forward(self, params, x, mode):  # noqa: ARG002
        return td.ops.sqrt(params["a"] * 0.0 + x) + params["b"]


class Mean(td.losses.SquaredError):
    """The mean of the outputs."""

    def __call__(self, outputs, targets):  # noqa: ARG002
        return td.ops.mean(outputs)


class Descent(td.optim.Optimizer):
    """Gradient descent of somebody's own, with neither a setting `lr` nor `update`."""

    def __init__(self, rate):
        self.rate = rate

    def __repr__(self):
        return f"Descent({self.rate})"

    def init(self, params):  # noqa: ARG002
        return {"count": 0}

    def step(self, params, grads, state):
        return tree_map(lambda p, g: p - self.rate * g, params, grads), {"count": state["count"] + 1}


def stopped(optimizer, network, dtype=np.float32, zero=None):
    """Train 8 steps on ones, with a zero in a row, until an error; return it and the parameters after each step."""
    x = np.ones((8, 1))
    x[[] if zero is None else zero] = 0
    rows = Dataset(x, np.zeros(8), None, "ones")
    found, kept = [], []

    def on_step(state, _):
        found.append({path: leaf.copy() for path, leaf in state.params.items()})
        kept[:] = [state]

    settings = {"loss": Mean(), "batch_size": 1, "scale": "none", "shuffle": False, "on_step": on_step, "dtype": dtype}
    given = {"a": np.ones(1, dtype), "b": np.full(1, 0.5, dtype)}
    try:
        fit(Sets(rows, rows, rows, "", ""), network, optimizer=optimizer, parameters=given, **settings)
    except TrainingError as error:
        if kept:  # the state is still that after the last complete step
            assert kept[0].step == len(found)
            np.testing.assert_equal(kept[0].params, found[-1])
        return error, found
    return None, found


def finite(states):
    return all(np.isfinite(leaf).all() for state in states for leaf in state.values())


OPTIMIZERS = [
    td.optim.SGD(0.1),
    td.optim.Momentum(0.1),
    td.optim.Adam(0.1),
    td.optim.SGD(1e-3, weight_decay=0.1),
    Descent(0.1),
]
EACH = pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@DTYPES
@EACH
@pytest.mark.parametrize("size", [1e14, 1e16, 1e18])
def test_large_gradients_are_taken(size, optimizer, dtype):
    error, states = stopped(optimizer, Product(size), dtype)
    assert error is None
    assert len(states) == 8
    assert finite(states)


@DTYPES
@EACH
def test_gradients_near_the_end_of_float32(optimizer, dtype):
    error, states = stopped(optimizer, Product(1e30), dtype)
    assert finite(states)
    assert error is None or "the loss is -inf" in str(error)  # 1e30 squared is no float32


@DTYPES
@EACH
@pytest.mark.parametrize("step", [0, 1, 2, 5])
def test_a_gradient_that_is_not_finite_at_any_step(step, optimizer, dtype):
    error, states = stopped(optimizer, Gate(1.0), dtype, zero=step)
    assert "the gradient of a is not finite, with a loss of" in str(error)
    assert f"step {step + 1} of the run" in str(error)
    assert len(states) == step
    assert finite(states)


@EACH
@pytest.mark.parametrize(("factor", "loss"), [(np.nan, "nan"), (np.inf, "inf"), (-np.inf, "-inf")])
def test_a_loss_that_is_not_finite(factor, loss, optimizer):
    error, states = stopped(optimizer, Product(factor))
    assert f"the loss is {loss} in epoch 1, step 1" in str(error)
    assert not states


@pytest.mark.parametrize(
    ("optimizer", "factor"),
    [
        (td.optim.SGD(1e300), 1.0),
        (td.optim.SGD(1e39), 1e-30),
        (td.optim.SGD(1e30), 1e10),
        (td.optim.SGD(1e30, weight_decay=1e10), 1e-30),  # small gradients, and a weight decay that is not
        (td.optim.SGD(0.1, weight_decay=1e9), 1e-20),
        (td.optim.SGD(1e-30, weight_decay=1e39), 1e-20),  # what is computed on the way overflows
        (td.optim.Momentum(1e30), 1e9),
        (td.optim.Momentum(9.9e36, momentum=0.9999), 0.0),  # of b: the sum of velocities, in the eighth step
        (td.optim.Momentum(1.0, weight_decay=1e8), 1e-20),
        (td.optim.Adam(1e38), 1e-30),
        (td.optim.Adam(1e37, epsilon=1e-30), 1e-24),
        (td.optim.Adam(0.1, epsilon=1e-50), 0.0),  # 0 / 0 in float32
        (Descent(1e38), 10.0),
        (Descent(np.inf), 1.0),
    ],
    ids=repr,
)
def test_an_overflow_through_the_settings_names_the_parameter_and_undoes_the_step(optimizer, factor):
    error, states = stopped(optimizer, Product(factor))
    assert finite(states)
    assert "the updated parameter " in str(error)


def test_small_steps_are_taken_in_place(monkeypatch):
    for kind in (td.optim.SGD, td.optim.Momentum, td.optim.Adam):
        monkeypatch.setattr(kind, "step", lambda *_: pytest.fail("a step aside where one in place is safe"))
        assert stopped(kind(0.1), Product(1.0))[0] is None


def test_a_running_value_that_is_not_finite_is_named():
    rng = np.random.default_rng(0)
    far = Dataset((rng.normal(size=(40, 2)) * 1e25).astype(np.float32), rng.normal(size=40), None, "far")
    with pytest.raises(TrainingError, match=r"parameter batch_norm1\.running_var is not finite.* step 1 of the run"):
        fit(Sets(far, far, far, "", ""), Sequential(BatchNorm(), Linear(1)), batch_size=20, scale="none")


@pytest.mark.parametrize("optimizer", OPTIMIZERS[:4], ids=repr)
@DTYPES
def test_bounds_hold(optimizer, dtype):
    rng = np.random.default_rng(0)
    params = rng.normal(size=20).astype(dtype)
    state, bounds = optimizer.init(params), (float(np.abs(params).max()), 0.0)
    for _ in range(30):
        grads = (rng.normal(size=20) * 10.0 ** rng.integers(-6, 6)).astype(dtype)
        bounds = optimizer.bounds(bounds[0], float(np.abs(grads).max()), bounds[1])
        state = optimizer.update(params, grads, state)
        for bound, found in zip(bounds, (params, state.get("velocity", state.get("mean", 0.0))), strict=True):
            assert np.max(np.abs(found)) <= bound * (1 + 1e-5)
