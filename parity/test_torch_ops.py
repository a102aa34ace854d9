"""Values and gradients of every op in every case against PyTorch in float64."""

import numpy as np
import pytest
import torch
import torch_ops

import treadle as td
from cases import CASES
from treadle.tensor import Tensor

# The cases where the convention for the gradient differs, and why.
DIFFERENT = {
    "max: NaN": "PyTorch gives NaN to every element, we give the gradient to the NaN that was returned",
    "min: NaN": "as max",
}


@pytest.mark.parametrize("case", [case for case in CASES if str(case) not in DIFFERENT], ids=str)
def test_value_and_gradients_agree(case):
    ours = [Tensor(x, requires_grad=True) for x in case.inputs]
    with np.errstate(all="ignore"):
        output = case.run(td.ops, *ours)
        cotangent = case.cotangent(output.shape)
        output.backward(cotangent)
    theirs = [torch.tensor(np.ascontiguousarray(x).reshape(x.shape), requires_grad=True) for x in case.inputs]
    expected = case.run(torch_ops, *theirs)
    assert tuple(expected.shape) == output.shape
    found = torch.autograd.grad(expected, theirs, torch.as_tensor(cotangent), materialize_grads=True)
    np.testing.assert_allclose(output.numpy(), expected.detach().numpy(), rtol=1e-12, atol=1e-15)
    for x, g in zip(ours, found, strict=True):
        np.testing.assert_allclose(x.grad, g.numpy(), rtol=1e-12, atol=1e-14)


def test_the_cases_that_differ_are_cases():
    assert DIFFERENT.keys() <= {str(case) for case in CASES}
