"""Every op in every case: its gradients against central differences or the stated ones, dtypes, second derivatives."""

from collections import Counter

import numpy as np
import pytest

import treadle as td
from cases import CASES
from treadle.tensor import Tensor

pytestmark = pytest.mark.slow

SMOOTH = [case for case in CASES if case.smooth]
KINKS = [case for case in CASES if not case.smooth]


def gradients(case, arrays, cotangent):
    """Output and gradients with the arrays as they lie in memory."""
    tensors = [Tensor(array, requires_grad=True) for array in arrays]
    output = case.run(td.ops, *tensors)
    output.backward(cotangent if cotangent is not None else np.ones(output.shape))
    return output.numpy(), [x.grad for x in tensors]


def test_every_op_has_at_least_eight_cases():
    counts = Counter(case.op for case in CASES)
    assert counts.keys() == set(td.ops.__all__)
    assert min(counts.values()) >= 8, counts


def test_no_two_cases_have_one_name():
    assert [name for name, count in Counter(map(str, CASES)).items() if count > 1] == []


@pytest.mark.parametrize(
    ("layout", "kept"),
    [
        ("negative strides", lambda x: min(x.strides) < 0),
        ("transposed", lambda x: x.flags.f_contiguous and not x.flags.c_contiguous),
        ("strided slice", lambda x: not x.flags.c_contiguous and not x.flags.f_contiguous),
    ],
)
def test_layouts_are_what_they_are_called(layout, kept):
    cases = [case for case in CASES if case.name.endswith(layout) and case.op != "getitem"]
    assert len(cases) > 20
    assert all(any(kept(x) for x in case.inputs) for case in cases)


@pytest.mark.parametrize("case", SMOOTH, ids=str)
def test_gradient_agrees_with_central_differences(case):
    def function(*xs):
        output = case.run(td.ops, *xs)
        return (output * case.cotangent(output.shape)).sum()

    td.check_gradients(function, *case.inputs, rtol=1e-6)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_layout_in_memory_changes_nothing(case):
    with np.errstate(all="ignore"):
        output, found = gradients(case, case.inputs, None)
        same_output, same = gradients(case, [np.array(x, order="C") for x in case.inputs], None)
    np.testing.assert_allclose(output, same_output, rtol=1e-14)
    for g, expected in zip(found, same, strict=True):
        np.testing.assert_allclose(g, expected, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("case", KINKS, ids=str)
def test_gradient_at_a_kink_is_the_stated_one(case):
    with np.errstate(divide="ignore", invalid="ignore"):
        _, found = gradients(case, case.inputs, None)
    assert len(found) == len(case.gradients)
    for g, expected in zip(found, case.gradients, strict=True):
        np.testing.assert_allclose(g, expected, rtol=1e-14, atol=1e-16)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_nothing_is_promoted(case, dtype):
    arrays = [x.astype(dtype) for x in case.inputs]
    with np.errstate(all="ignore"):
        output = case.run(td.ops, *(Tensor(x) for x in arrays)).numpy()
        _, found = gradients(case, arrays, case.cotangent(output.shape, dtype))
    assert output.dtype == dtype
    assert [g.dtype for g in found] == [dtype] * len(arrays)
    assert [g.shape for g in found] == [x.shape for x in arrays]


@pytest.mark.parametrize("case", SMOOTH, ids=str)
def test_float32_gradients_agree_with_float64(case):
    cotangent = case.cotangent(case.run(td.ops, *(Tensor(x) for x in case.inputs)).shape)
    output, found = gradients(case, case.inputs, cotangent)
    output32, found32 = gradients(case, [x.astype(np.float32) for x in case.inputs], cotangent.astype(np.float32))
    np.testing.assert_allclose(output32, output, rtol=1e-5, atol=1e-5)
    for g32, g in zip(found32, found, strict=True):
        np.testing.assert_allclose(g32, g, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("case", SMOOTH, ids=str)
def test_gradient_of_the_gradient_agrees_with_central_differences(case):
    """The gradient is itself a function of the inputs and of what arrives, made of ops."""
    weights = [case.cotangent(x.shape) for x in case.inputs]

    def function(arriving, *xs):
        tracked = [x if x.requires_grad else Tensor(x.numpy(), requires_grad=True) for x in xs]
        found = td.grad(case.run(td.ops, *tracked), tracked, arriving)
        assert all(isinstance(g, Tensor) for g in found)
        return sum((g * w).sum() for g, w in zip(found, weights, strict=True))

    output = case.run(td.ops, *(Tensor(x) for x in case.inputs))
    td.check_gradients(function, case.cotangent(output.shape), *case.inputs, rtol=1e-6)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_inputs_stay_as_they_were(case):
    before = [x.copy() for x in case.inputs]
    with np.errstate(all="ignore"):
        gradients(case, case.inputs, None)
    for x, copy in zip(case.inputs, before, strict=True):
        np.testing.assert_array_equal(x, copy)


@pytest.mark.parametrize("base", [0.0, np.zeros(3)], ids=["number", "array"])
def test_a_power_of_0_falls_without_bound_at_negative_exponents(base):
    # 0^b is 0 for b > 0, and ∞ below 0, where PyTorch has the gradient −∞ too; at b ≥ 0 it is 0 by convention
    exponents = td.tensor([2.0, 0.0, -1.0], requires_grad=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        td.ops.power(base, exponents).sum().backward()
    assert exponents.grad.tolist() == [0.0, 0.0, -np.inf]
