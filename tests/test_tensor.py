"""Tensors: operators both ways, comparisons, indexing, and what is refused."""

import operator

import numpy as np
import pytest

import treadle as td
from treadle.autodiff.tape import Value
from treadle.errors import DtypeError, GradientError

A = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
B = np.array([[0.5, 2.0, 7.0], [1.0, 5.0, 2.0]])
ARITHMETIC = [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow]
COMPARISONS = [operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne]


@pytest.mark.parametrize("op", ARITHMETIC)
@pytest.mark.parametrize("tracked", [False, True])
@pytest.mark.parametrize(
    "other", [B, B[0], B.tolist(), 2, 2.0, np.float64(2), np.int64(2), True], ids=lambda x: type(x).__name__
)
def test_operators_both_ways(op, other, tracked):
    x = td.tensor(A, requires_grad=tracked)
    for found, expected in [(op(x, other), op(A, np.asarray(other))), (op(other, x), op(np.asarray(other), A))]:
        assert type(found) is td.Tensor
        assert found.requires_grad is tracked
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-15)


@pytest.mark.parametrize("op", ARITHMETIC)
def test_operators_between_tensors(op):
    np.testing.assert_allclose(op(td.tensor(A), td.tensor(B)).numpy(), op(A, B), rtol=1e-15)


def test_matmul_both_ways():
    for found in (td.tensor(A) @ B.T, A @ td.tensor(B.T), td.tensor(A) @ td.tensor(B).T, A.tolist() @ td.tensor(B.T)):
        assert type(found) is td.Tensor
        np.testing.assert_allclose(found.numpy(), A @ B.T, rtol=1e-15)


def test_operators_with_one_operand():
    np.testing.assert_array_equal((-td.tensor(A)).numpy(), -A)
    np.testing.assert_array_equal(abs(td.tensor(-A)).numpy(), A)


def test_gradients_flow_through_operators_on_the_right():
    x = td.tensor([2.0, 4.0], requires_grad=True)
    (np.array([3.0, 5.0]) - 8.0 / x + 2.0**x).sum().backward()
    np.testing.assert_allclose(x.grad, 8 / np.array([4.0, 16.0]) + np.log(2) * np.array([4.0, 16.0]), rtol=1e-14)


@pytest.mark.parametrize("op", COMPARISONS)
@pytest.mark.parametrize("other", [B, td.tensor(B), 2.0, np.float64(2)], ids=lambda x: type(x).__name__)
def test_comparisons_give_plain_arrays(op, other):
    x = td.tensor(A, requires_grad=True)
    plain = other.numpy() if isinstance(other, td.Tensor) else other
    for found, expected in [(op(x, other), op(A, plain)), (op(other, x), op(plain, A))]:
        assert type(found) is np.ndarray
        assert found.dtype == bool
        np.testing.assert_array_equal(found, expected)


def test_assigning_operators_make_new_tensors():
    x = td.tensor([1.0, 2.0], requires_grad=True)
    y = x
    y *= 3.0
    assert y is not x
    np.testing.assert_array_equal(x.numpy(), [1, 2])


@pytest.mark.parametrize(
    "index", [0, -1, (1, 2), slice(None, None, -1), ..., None, (slice(None), [0, 0, 2]), A > 2], ids=str
)
def test_indexing(index):
    x = td.tensor(A, requires_grad=True)
    y = x[index]
    np.testing.assert_array_equal(y.numpy(), A[index])
    y.sum().backward()
    expected = np.zeros_like(A)
    np.add.at(expected, index, 1)
    np.testing.assert_array_equal(x.grad, expected)


def test_assignment_to_elements_is_impossible():
    x = td.tensor(A)
    with pytest.raises(TypeError, match="does not support item assignment"):
        x[0] = 1.0


def test_iteration_gives_the_rows_and_records_them():
    x = td.tensor(A, requires_grad=True)
    first, second = x
    assert len(x) == 2
    (first * 2.0 + second * 3.0).sum().backward()
    np.testing.assert_array_equal(x.grad, [[2, 2, 2], [3, 3, 3]])
    with pytest.raises(TypeError):
        iter(td.tensor(1.0))


def test_shape_and_type():
    x = td.tensor(A.astype(np.float32))
    assert (x.shape, x.ndim, x.size, x.dtype) == ((2, 3), 2, 6, np.float32)
    assert isinstance(x, Value)
    assert td.tensor(1.0).shape == ()


def test_transpose_and_methods():
    x = td.tensor(A)
    np.testing.assert_array_equal(x.T.numpy(), A.T)
    np.testing.assert_array_equal(x.transpose(1, 0).numpy(), A.T)
    np.testing.assert_array_equal(x.transpose().numpy(), A.T)
    np.testing.assert_array_equal(x.reshape(3, 2).numpy(), A.reshape(3, 2))
    np.testing.assert_array_equal(x.reshape((3, -1)).numpy(), A.reshape(3, 2))
    np.testing.assert_array_equal(x.reshape(-1).numpy(), A.reshape(-1))
    for name in ["sum", "mean", "max", "min", "var"]:
        np.testing.assert_allclose(getattr(x, name)().numpy(), getattr(A, name)(), rtol=1e-15)
        found = getattr(x, name)(axis=0, keepdims=True).numpy()
        np.testing.assert_allclose(found, getattr(A, name)(axis=0, keepdims=True), rtol=1e-15)
    np.testing.assert_allclose(x.var(1, ddof=1).numpy(), A.var(1, ddof=1), rtol=1e-15)


def test_item_and_float():
    assert td.tensor([[2.5]]).item() == 2.5
    assert type(td.tensor(2.5).item()) is float
    assert float(td.tensor(2.5, requires_grad=True)) == 2.5
    with pytest.raises(ValueError, match="size 1"):
        td.tensor(A).item()


def test_truth_of_several_elements_is_refused():
    assert td.tensor(1.0)
    assert not td.tensor([0.0])
    with pytest.raises(ValueError, match="ambiguous"):
        bool(td.tensor([1.0, 2.0]))


def test_hash_is_by_identity():
    x, y = td.tensor(A), td.tensor(A)
    assert hash(x) == hash(x)
    assert {x: "x", y: "y"}[y] == "y"
    assert len({x, y, x}) == 2


def test_numpy_is_refused_while_a_gradient_flows():
    x = td.tensor(A, requires_grad=True)
    for function in (np.asarray, np.array, np.linalg.norm, lambda t: np.concatenate([t, t])):
        with pytest.raises(DtypeError, match=r"write \.numpy\(\) to leave the tape"):
            function(x)
    with pytest.raises(TypeError):
        np.exp(x)
    assert x.numpy() is x.data


def test_numpy_takes_tensors_without_gradients():
    x = td.tensor(A)
    np.testing.assert_array_equal(np.asarray(x), A)
    assert np.asarray(x, dtype=np.float32).dtype == np.float32
    copy = np.array(x)
    copy[0, 0] = 99
    assert x.numpy()[0, 0] == 1


def test_a_tensor_is_a_copy():
    array = A.copy()
    x = td.tensor(array)
    array[0, 0] = 99
    assert x.numpy()[0, 0] == 1
    again = td.tensor(x)
    again.numpy()[0, 0] = 5
    assert x.numpy()[0, 0] == 1


def test_astype_leaves_the_tape():
    x = td.tensor(A).astype(np.float32)
    assert x.dtype == np.float32
    with pytest.raises(DtypeError, match="convert the array before"):
        td.tensor(A, requires_grad=True).astype(np.float32)


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (td.tensor(2.5), "tensor(2.5)"),
        (td.tensor([1.0, 2.0]), "tensor([1., 2.])"),
        (td.tensor([1.0], requires_grad=True), "tensor([1.], requires_grad=True)"),
        (td.tensor(np.float32([1])), "tensor([1.], dtype=float32)"),
        (td.tensor([1, 2]), "tensor([1, 2], dtype=int64)"),
        (td.tensor([]), "tensor([])"),
        (td.tensor(A), "tensor([[1., 2., 3.],\n        [4., 5., 6.]])"),
    ],
)
def test_repr(x, text):
    assert repr(x) == text


def test_backward_with_a_gradient():
    x = td.tensor(A, requires_grad=True)
    (x * 2.0).backward(B)
    np.testing.assert_array_equal(x.grad, 2 * B)
    with pytest.raises(GradientError):
        (td.tensor(A) * 2.0).backward(B)


def test_a_float32_tensor_takes_a_list_as_gradient():
    x = td.tensor(np.float32([1, 2]), requires_grad=True)
    (x * 2.0).backward([1.0, 0.5])
    assert x.grad.dtype == np.float32
    np.testing.assert_array_equal(x.grad, [2, 1])


def test_grad_wants_a_list():
    x = td.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(GradientError, match=r"grad\(y, \[x\]\)"):
        td.grad((x * x).sum(), x)
