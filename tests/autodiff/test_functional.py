"""Values and gradients of functions of nested containers."""

import numpy as np
import pytest

import treadle as td
from treadle.errors import DtypeError, GradientError


def test_nested_trees_keep_their_form():
    params = {"layers": [{"w": np.array([1.0, 2.0])}, (np.array(3.0), np.array([[4.0]]))], "scale": np.array(5.0)}

    def function(p):
        return (p["layers"][0]["w"] * p["layers"][1][0]).sum() * p["scale"] + p["layers"][1][1].sum()

    value, grads = td.value_and_grad(function)(params)
    assert value == 49
    assert grads.keys() == params.keys()
    assert isinstance(grads["layers"], list)
    assert isinstance(grads["layers"][1], tuple)
    np.testing.assert_array_equal(grads["layers"][0]["w"], [15, 15])
    assert grads["layers"][1][0] == 15
    np.testing.assert_array_equal(grads["layers"][1][1], [[1]])
    assert grads["scale"] == 9


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_unused_leaf_gets_zeros(dtype):
    params = {"used": np.ones(2, dtype), "not": np.ones((2, 3), dtype)}
    _, grads = td.value_and_grad(lambda p: p["used"].sum())(params)
    np.testing.assert_array_equal(grads["not"], np.zeros((2, 3)))
    assert grads["not"].dtype == grads["used"].dtype == dtype


def test_one_array_at_two_places_is_two_parameters():
    w = np.array([1.0, 2.0])
    _, grads = td.value_and_grad(lambda p: (p["a"] * 2.0 + p["b"] * 3.0).sum())({"a": w, "b": w})
    np.testing.assert_array_equal(grads["a"], [2, 2])
    np.testing.assert_array_equal(grads["b"], [3, 3])


def test_a_single_array_and_further_arguments():
    step = td.value_and_grad(lambda w, x, *, power: ((w * x) ** power).sum())
    value, g = step(np.array([1.0, 2.0]), np.array([3.0, 4.0]), power=2)
    assert value == 73
    np.testing.assert_array_equal(g, [18, 64])


def test_numbers_and_tensors_as_leaves():
    _, grads = td.value_and_grad(lambda p: p[0] * p[1])([2.0, td.tensor(3.0)])
    assert [float(g) for g in grads] == [3, 2]


def test_parameters_are_left_as_they_were():
    w = np.array([1.0, 2.0])
    td.value_and_grad(lambda p: (p * p).sum())(w)
    np.testing.assert_array_equal(w, [1, 2])


@pytest.mark.parametrize("leaf", [np.arange(3), np.array([True]), 3], ids=repr)
def test_a_parameter_that_is_not_of_floats_is_refused(leaf):
    with pytest.raises(DtypeError, match="only floats have gradients"):
        td.value_and_grad(lambda p: (p["a"] * p["b"]).sum())({"a": leaf, "b": np.array(1.0)})


def test_several_outputs_are_refused():
    with pytest.raises(GradientError, match="no single gradient"):
        td.value_and_grad(lambda w: w * 2.0)(np.ones(3))


def test_the_gradient_of_a_linear_regression_is_the_closed_form():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(50, 4)), rng.normal(size=50)
    w = rng.normal(size=4)
    value, g = td.value_and_grad(lambda w: ((x @ w - y) ** 2).mean())(w)
    error = x @ w - y
    np.testing.assert_allclose(value, (error**2).mean(), rtol=1e-14)
    np.testing.assert_allclose(g, 2 * x.T @ error / 50, rtol=1e-12)
