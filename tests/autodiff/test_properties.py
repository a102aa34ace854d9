"""Algebra that holds for all gradients, on arrays that Hypothesis chooses."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import treadle as td
from cases import CASES
from treadle import kernels
from treadle.autodiff.tape import gradients
from treadle.ops._shapes import unbroadcast
from treadle.tensor import Tensor

NUMBERS = st.floats(-3, 3, allow_subnormal=False)
SHAPES = arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
SMOOTH = {"exp": td.ops.exp, "tanh": td.ops.tanh, "sigmoid": td.ops.sigmoid, "square": lambda x: x * x}


def grad(function, x, g=None):
    leaf = Tensor(x, requires_grad=True)
    ((_, found),) = gradients(function(leaf), [leaf], g)
    return np.zeros_like(x) if found is None else found


def array(shape):
    return arrays.arrays(np.float64, shape, elements=NUMBERS)


@pytest.mark.parametrize("case", [case for case in CASES if case.smooth], ids=str)
def test_pullbacks_are_linear(case):
    def pull(g):
        leaves = [Tensor(x, requires_grad=True) for x in case.inputs]
        return [found for _, found in gradients(case.run(td.ops, *leaves), leaves, g)]

    shape = case.run(td.ops, *(Tensor(x) for x in case.inputs)).shape
    rng = np.random.default_rng(0)
    g, h = rng.standard_normal(shape), rng.standard_normal(shape)
    for both, a, b in zip(pull(2.5 * g - 0.75 * h), pull(g), pull(h), strict=True):
        np.testing.assert_allclose(both, 2.5 * a - 0.75 * b, rtol=1e-10, atol=1e-12)


@given(x=SHAPES.flatmap(array), names=st.tuples(st.sampled_from(sorted(SMOOTH)), st.sampled_from(sorted(SMOOTH))))
def test_sum_rule(x, names):
    f, h = (SMOOTH[name] for name in names)
    both = grad(lambda t: (f(t) + h(t)).sum(), x)
    np.testing.assert_allclose(
        both, grad(lambda t: f(t).sum(), x) + grad(lambda t: h(t).sum(), x), rtol=1e-12, atol=1e-12
    )


@given(x=SHAPES.flatmap(array), names=st.tuples(st.sampled_from(sorted(SMOOTH)), st.sampled_from(sorted(SMOOTH))))
def test_product_rule(x, names):
    f, h = (SMOOTH[name] for name in names)
    parts = grad(lambda t: f(t).sum(), x) * h(Tensor(x)).numpy() + f(Tensor(x)).numpy() * grad(lambda t: h(t).sum(), x)
    np.testing.assert_allclose(grad(lambda t: (f(t) * h(t)).sum(), x), parts, rtol=1e-11, atol=1e-11)


@given(x=SHAPES.flatmap(array), names=st.tuples(st.sampled_from(sorted(SMOOTH)), st.sampled_from(["tanh", "sigmoid"])))
def test_chain_rule(x, names):
    f, h = (SMOOTH[name] for name in names)
    inner = h(Tensor(x)).numpy()
    parts = grad(lambda t: f(t).sum(), inner) * grad(lambda t: h(t).sum(), x)
    np.testing.assert_allclose(grad(lambda t: f(h(t)).sum(), x), parts, rtol=1e-12, atol=1e-12)


@st.composite
def broadcastable(draw):
    large = draw(arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3))
    kept = large[draw(st.integers(0, len(large))) :]
    return tuple(1 if draw(st.booleans()) else size for size in kept), large


@given(shapes=broadcastable(), data=st.data())
def test_unbroadcast_sums_what_was_repeated(shapes, data):
    small, large = shapes
    g = data.draw(array(large))
    found = unbroadcast(kernels.reference, g, small)
    expected = np.zeros(small)
    # every place of the large array was read from one place of the small one: add its gradient there
    places = np.broadcast_to(np.arange(expected.size).reshape(small), large)
    np.add.at(expected.reshape(-1), places.reshape(-1), g.reshape(-1))
    assert found.shape == small
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@given(data=st.data(), n=st.integers(0, 4), m=st.integers(0, 4), p=st.integers(0, 4))
def test_transposed_product_has_the_same_gradients(data, n, m, p):
    a, b, g = data.draw(array((n, m))), data.draw(array((m, p))), data.draw(array((p, n)))

    def both(function):
        leaves = [Tensor(a, requires_grad=True), Tensor(b, requires_grad=True)]
        return [found for _, found in gradients(function(*leaves), leaves, g)]

    for one, other, closed in zip(
        both(lambda a, b: (a @ b).T), both(lambda a, b: b.T @ a.T), (g.T @ b.T, a.T @ g.T), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(one, closed, rtol=1e-12, atol=1e-12)


@given(x=array((3, 4)), shift=st.floats(-1e4, 1e4))
def test_softmax_gradients_sum_to_zero_and_ignore_a_shift(x, shift):
    weights = np.cos(np.arange(12.0)).reshape(3, 4)
    g = grad(lambda t: (td.ops.softmax(t) * weights).sum(), x)
    np.testing.assert_allclose(g.sum(axis=1), 0, atol=1e-14)
    shifted = grad(lambda t: (td.ops.softmax(t + shift) * weights).sum(), x)
    np.testing.assert_allclose(shifted, g, atol=1e-11)


@settings(max_examples=50)
@given(
    x=arrays.arrays(np.float64, (5,), elements=NUMBERS),
    index=arrays.arrays(np.int64, (7,), elements=st.integers(-5, 4)),
)
def test_scatter_add_is_the_adjoint_of_getitem(x, index):
    g = np.sin(np.arange(7.0))
    taken = td.ops.getitem(x, index).numpy()
    np.testing.assert_allclose(taken @ g, x @ td.ops.scatter_add(g, index, (5,)).numpy(), rtol=1e-12, atol=1e-12)
