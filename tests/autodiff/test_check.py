"""The gradient check must itself find wrong rules, and say which."""

import numpy as np
import pytest

import treadle as td
from treadle.autodiff.tape import Primitive
from treadle.errors import GradientError
from treadle.ops._shapes import unbroadcast

A = np.array([[0.3, -1.2, 0.7], [1.9, 0.4, -0.8]])
B = np.array([[1.1, 0.6, -0.5], [0.2, 1.4, 0.9]])


def product(left=None, right=None):
    """a · b with one rule replaced."""
    return Primitive(
        "broken",
        lambda k, a, b: k.multiply(a, b),
        left or (lambda k, g, y, a, b: unbroadcast(k, g * b, a.shape)),
        right or (lambda k, g, y, a, b: unbroadcast(k, g * a, b.shape)),
    )


def first_element_only(k, g, y, a, b):
    out = np.zeros_like(a)
    out[0, 0] = (g * b)[0, 0]
    return out


def one_nan(k, g, y, a, b):
    out = g * b
    out[1, 2] = np.nan
    return out


WRONG = {
    "wrong sign": (lambda k, g, y, a, b: -g * b, r"at element \(1, 2\)"),
    "off by 1e-4": (lambda k, g, y, a, b: 1.0001 * g * b, r"at element \(1, 2\)"),
    "wrong dtype": (lambda k, g, y, a, b: (g * b).astype(np.float32), "in form: .*float32"),
    "zero": (lambda k, g, y, a, b: g * 0.0, r"\(6 of 6 elements"),
    "operands exchanged": (lambda k, g, y, a, b: g * a, r"at element"),
    "right at the first element only": (first_element_only, r"\(5 of 6 elements"),
    "NaN at one element": (one_nan, r"at element \(1, 2\): the tape says nan"),
    "arriving gradient left out": (lambda k, g, y, a, b: b, r"at element"),
    "transposed": (lambda k, g, y, a, b: (g * b).T, r"in form: it has shape \(3, 2\)"),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("number", [0, 1])
def test_a_wrong_rule_is_found_and_named(name, number):
    rule, message = WRONG[name]
    if number == 0:
        op, a, b = product(left=rule), A, B
    else:
        # the second input is pulled back by the same wrong rule, with the names exchanged
        op, a, b = product(right=lambda k, g, y, a, b: rule(k, g, y, b, a)), B, A
    with pytest.raises(GradientError, match=rf"^gradient of op 'broken' by its input {number} is wrong.*{message}"):
        td.check_gradients(op, a, b)


@pytest.mark.parametrize("name", [name for name in WRONG if name != "wrong dtype"])
def test_a_wrong_rule_in_the_middle_is_named(name):
    op = product(left=WRONG[name][0])
    with pytest.raises(GradientError, match=r"op 'broken' by its input 0"):
        td.check_gradients(lambda a, b: td.ops.tanh(op(td.ops.exp(a * 0.5), b)).sum(), A, B)


def test_the_worst_element_and_both_numbers_are_told():
    def rule(k, g, y, a, b):
        out = g * b
        out[0, 1] *= 1.1
        out[1, 0] += 100
        return out

    with pytest.raises(GradientError) as caught:
        td.check_gradients(product(left=rule), A, B)
    direction = np.cos(np.arange(6) + 1.0).reshape(2, 3)
    right = direction[1, 0] * B[1, 0]
    assert f"at element (1, 0): the tape says {right + 100:.10g}, central differences {right:.7g}" in str(caught.value)
    assert "(2 of 6 elements" in str(caught.value)


@pytest.mark.parametrize("shape", [(3,), (2, 1), (), (1, 1)])
def test_a_sum_over_broadcast_axes_left_out_is_found(shape):
    small = np.full(shape, 0.7)
    op = product(left=lambda k, g, y, a, b: g * b)
    with pytest.raises(GradientError, match=r"op 'broken' by its input 0 is wrong in form: it has shape \(2, 3\)"):
        td.check_gradients(op, small, B)
    with pytest.raises(GradientError, match=r"op 'broken' by its input 0 is wrong in form"):
        td.check_gradients(lambda a, b: op(td.ops.sum(td.ops.stack([a, a]), 0), b), small, B)
    td.check_gradients(product(), small, B)


def test_a_missing_term_in_the_second_input_is_found():
    op = Primitive(
        "a·b + b²",
        lambda k, a, b: a * b + b * b,
        lambda k, g, y, a, b: g * b,
        lambda k, g, y, a, b: g * a,
    )
    with pytest.raises(GradientError, match=r"op 'a·b \+ b²' by its input 1"):
        td.check_gradients(op, A, B)


def test_a_rule_that_fails_is_named():
    def rule(k, g, y, a, b):
        raise RuntimeError("out of order")

    with pytest.raises(GradientError, match=r"^gradient of op 'broken' by its input 0 failed: out of order"):
        td.check_gradients(product(left=rule), A, B)


def test_right_rules_pass():
    td.check_gradients(product(), A, B)
    td.check_gradients(lambda a, b: td.ops.tanh(product()(a, b)).sum(), A, B)


def test_constants_of_every_kind_beside_a_wrong_rule():
    op = product(left=lambda k, g, y, a, b: g * a)

    def function(a):
        return op(((a * [1.0, 2.0, 3.0]) ** 2) * np.float64(0.5) + 1, B)

    with pytest.raises(GradientError, match="op 'broken' by its input 0"):
        td.check_gradients(function, A)


def test_a_function_that_leaves_the_tape_is_told_apart_from_a_wrong_op():
    with pytest.raises(GradientError, match=r"by input 0 is wrong.*leaves the tape"):
        td.check_gradients(lambda a: a * a.numpy(), A)


def test_a_function_that_ignores_an_input_must_be_flat_in_it():
    td.check_gradients(lambda a, b: a * 2.0, A, B)
    with pytest.raises(GradientError, match="by input 1"):
        td.check_gradients(lambda a, b: a * b.numpy(), A, B)


@pytest.mark.parametrize("result", [lambda a: td.tensor([1.0]), lambda a: a.numpy(), lambda a: 3.0])
def test_a_result_without_a_gradient_is_refused(result):
    with pytest.raises(GradientError, match="does not depend on its inputs"):
        td.check_gradients(result, A)


def test_a_kink_fails_the_check():
    with pytest.raises(GradientError, match="op 'relu'"):
        td.check_gradients(td.ops.relu, [0.0, 1.0])


def test_integers_and_float32_are_checked_in_float64():
    td.check_gradients(lambda a: a**3, [1, 2, 3])
    td.check_gradients(lambda a: a**3, np.array([1, 2, 3], np.float32))


@pytest.mark.parametrize(
    ("function", "at"),
    [
        (lambda x: td.ops.log(x).sum(), [1e-3, 2.0]),
        (lambda x: td.ops.sqrt(x).sum(), [1e-3, 2.0]),
        (lambda x: (1 / x).sum(), [1e-4, 1.0]),
        (lambda x: td.ops.exp(x).sum(), [20.0, 0.0]),
        (lambda x: (x + 1e6).sum(), [1.0, 2.0, 3.0]),
        (lambda x: (x * x).sum(), [1e5, 1.0]),
    ],
    ids=["log near 0", "sqrt near 0", "1/x near 0", "exp of 20 beside 0", "a large constant", "a large element"],
)
def test_right_rules_pass_where_one_step_is_not_accurate(function, at):
    td.check_gradients(function, at)


def test_a_wrong_rule_is_found_where_one_step_is_not_accurate():
    wrong = Primitive("wrong_log", lambda k, x: k.log(x), lambda k, g, y, x: 1.001 * g / x)
    with pytest.raises(GradientError, match="op 'wrong_log' by its input 0 is wrong at element"):
        td.check_gradients(lambda x: wrong(x).sum(), [1e-3, 2.0])


def test_a_wrong_rule_is_found_where_rounding_drowns_the_function():
    wrong = Primitive("wrong_exp", lambda k, x: k.exp(x), lambda k, g, y, x: 1.001 * g * y)
    with pytest.raises(GradientError, match="op 'wrong_exp' by its input 0 is wrong at element"):
        td.check_gradients(lambda x: wrong(x).sum() + 1e9, [1.0, 2.0])
