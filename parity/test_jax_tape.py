"""The tape traced by a compiler: its gradients inside `jax.jit` against `jax.grad` and against the tape on NumPy."""

from collections import defaultdict

import jax
import jax.numpy as jnp
import jax_kernels
import numpy as np
import pytest

import treadle as td
from cases import CASES
from treadle import kernels, ops
from treadle.tensor import Tensor

# JAX gives the gradient of a window with NaN to the largest number, and of one of −inf alone to the border.
DIFFERENT = {"max_pool2d: NaN", "max_pool2d: -inf beside the border"}
BY_OP = defaultdict(list)
for one in CASES:
    if str(one) not in DIFFERENT:
        BY_OP[one.op].append(one)


def compiled(function):
    """Trace with the tape on JAX's kernels, and compile."""

    def traced(*args):
        with kernels.use(jax_kernels):
            return function(*args)

    return jax.jit(traced)


def cotangent(case):
    with np.errstate(all="ignore"):
        return case.cotangent(case.run(ops, *(Tensor(x) for x in case.inputs)).shape)


@pytest.mark.parametrize("op", BY_OP)
def test_gradients_inside_jit_equal_those_on_numpy(op):
    cases = BY_OP[op]
    cotangents = [cotangent(case) for case in cases]

    def gradients(inputs):
        found = []
        for case, xs, g in zip(cases, inputs, cotangents, strict=True):
            step = td.value_and_grad(lambda xs, case=case, g=g: (case.run(ops, *xs) * g).sum())
            found.append(step(list(xs))[1])
        return found

    with np.errstate(all="ignore"):
        expected = gradients([case.inputs for case in cases])
    found = compiled(gradients)([[np.ascontiguousarray(x).reshape(x.shape) for x in case.inputs] for case in cases])
    for case, ours, theirs in zip(cases, found, expected, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            assert a.dtype == np.float64
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14, err_msg=str(case))


@pytest.mark.parametrize("op", BY_OP)
def test_gradients_inside_jit_equal_those_of_jax(op):
    """JAX differentiates the forward kernels itself, and so knows nothing of our rules."""
    cases = [case for case in BY_OP[op] if case.smooth]
    cotangents = [cotangent(case) for case in cases]
    inputs = [[np.ascontiguousarray(x).reshape(x.shape) for x in case.inputs] for case in cases]

    def ours(inputs):
        found = []
        for case, xs, g in zip(cases, inputs, cotangents, strict=True):
            step = td.value_and_grad(lambda xs, case=case, g=g: (case.run(ops, *xs) * g).sum())
            found.append(step(list(xs))[1])
        return found

    def total(inputs):
        parts = [
            jnp.sum(case.run(ops, *(Tensor(x) for x in xs)).data * g)
            for case, xs, g in zip(cases, inputs, cotangents, strict=True)
        ]
        return sum(parts)

    for case, a, b in zip(cases, compiled(ours)(inputs), compiled(jax.grad(total))(inputs), strict=True):
        for mine, theirs in zip(a, b, strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-12, atol=1e-13, err_msg=str(case))


def parameters():
    rng = np.random.default_rng(0)
    layer = lambda n, m: {"weight": rng.normal(0, 1 / np.sqrt(n), (n, m)), "bias": rng.normal(0, 0.1, m)}  # noqa: E731
    return {"linear1": layer(784, 16), "linear2": layer(16, 10)}


def loss(params, x, labels):
    hidden = ops.relu(x @ params["linear1"]["weight"] + params["linear1"]["bias"])
    scores = hidden @ params["linear2"]["weight"] + params["linear2"]["bias"]
    return ops.mean(ops.cross_entropy(scores, labels))


def loss_in_jax(params, x, labels):
    hidden = jax.nn.relu(x @ params["linear1"]["weight"] + params["linear1"]["bias"])
    scores = hidden @ params["linear2"]["weight"] + params["linear2"]["bias"]
    return -jnp.mean(jax.nn.log_softmax(scores)[jnp.arange(len(labels)), labels])


def batch():
    rng = np.random.default_rng(1)
    return rng.random((32, 784)), rng.integers(0, 10, 32)


def test_loss_and_gradients_of_a_network_inside_jit_equal_those_of_jax():
    params, (x, labels) = parameters(), batch()
    value, grads = compiled(td.value_and_grad(loss))(params, x, labels)
    expected_value, expected = jax.jit(jax.value_and_grad(loss_in_jax))(params, x, labels)
    np.testing.assert_allclose(value, expected_value, rtol=1e-12)
    assert jax.tree.structure(grads) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(grads), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-15)


def test_a_training_step_compiled_once_follows_the_one_in_jax():
    traces = []

    def step(params, x, labels):
        traces.append(1)
        value, grads = td.value_and_grad(loss)(params, x, labels)
        return value, jax.tree.map(lambda p, g: p - 0.5 * g, params, grads)

    def step_in_jax(params, x, labels):
        value, grads = jax.value_and_grad(loss_in_jax)(params, x, labels)
        return value, jax.tree.map(lambda p, g: p - 0.5 * g, params, grads)

    mine, theirs = compiled(step), jax.jit(step_in_jax)
    ours = expected = parameters()
    x, labels = batch()
    values = []
    for _ in range(20):
        value, ours = mine(ours, x, labels)
        expected_value, expected = theirs(expected, x, labels)
        np.testing.assert_allclose(value, expected_value, rtol=1e-10)
        values.append(float(value))
    assert len(traces) == 1
    assert values[-1] < values[0]
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def test_an_unused_parameter_gets_zeros_inside_jit():
    grads = compiled(td.value_and_grad(lambda p: (p["a"] * p["a"]).sum()))({"a": np.ones(3), "b": np.ones((2, 2))})[1]
    np.testing.assert_array_equal(grads["a"], [2, 2, 2])
    np.testing.assert_array_equal(grads["b"], np.zeros((2, 2)))
