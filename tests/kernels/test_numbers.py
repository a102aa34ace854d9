"""Numbers at the edge: large, tiny, infinite, equal, very many. Truth comes from mpmath or from exact arithmetic."""

import math

import mpmath
import numpy as np
import pytest

import treadle as td
from treadle import kernels
from treadle.kernels import reference as k

INF, NAN = float("inf"), float("nan")
DTYPES = [np.float32, np.float64]


@pytest.fixture(autouse=True)
def fifty_digits():
    with mpmath.workdps(50):
        yield


def exact(x):
    return [mpmath.mpf(float(number)) for number in np.ravel(x)]


def assert_within_ulps(found, expected, ulps):
    """Compare with mpmath numbers: the error in units of the spacing of floats there."""
    found = np.ravel(found)
    for number, truth in zip(found, expected, strict=True):
        rounded = found.dtype.type(float(truth))
        error = abs(mpmath.mpf(float(number)) - truth) / mpmath.mpf(float(np.spacing(np.abs(rounded))))
        assert error <= ulps, f"{number!r} is {float(error):.3g} ulps from {float(truth)!r}"


# Sums ----------------------------------------------------------------------------------------------------------


def test_a_hundred_million_ones_in_float32_are_summed_exactly():
    ones = np.ones(10**8, np.float32)
    assert k.sum(ones, axis=(0,)) == 1e8
    assert k.sum(ones.reshape(-1, 1), axis=(0,)).tolist() == [1e8]
    assert k.sum(ones.reshape(-1, 2), axis=(0,)).tolist() == [5e7, 5e7]
    assert k.sum(ones.reshape(2, -1), axis=(1,)).tolist() == [5e7, 5e7]
    assert k.sum(ones.reshape(10**4, 10**4), axis=(0, 1)) == 1e8
    assert td.ops.mean(ones.reshape(-1, 1), 0).numpy().tolist() == [1.0]


def test_cancellation_in_float32_loses_nothing():
    assert k.sum(np.array([1e8, 1, -1e8], np.float32), axis=(0,)) == 1
    strided = np.array([[1e8, 0], [1, 0], [-1e8, 0]], np.float32)
    assert k.sum(strided, axis=(0,)).tolist() == [1, 0]


def test_sums_agree_with_exact_ones():
    x = np.random.default_rng(0).standard_normal((1000, 3)) * 10.0 ** np.arange(-3, 6, 3.5)
    for column, total in zip(x.T, k.sum(x, axis=(0,)), strict=True):
        assert abs(total - math.fsum(column)) <= 1e-15 * np.abs(column).sum()


# The softmax family --------------------------------------------------------------------------------------------


def softmax_truth(row):
    parts = [mpmath.exp(number) for number in exact(row)]
    return [part / mpmath.fsum(parts) for part in parts]


ROWS = [
    [3.0, 1.0, -3.0],
    [1e4, 1e4 - 1, 1e4 - 2],
    [-1e4, -1e4 + 1, -1e4 + 0.5],
    [88.0, 87.5, 0.0],
    [-88.0, -87.5, -88.5],
    [0.0, 0.0, 0.0],
    [1e-30, -1e-30, 0.0],
    [700.0, 710.0, 709.0],
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("row", ROWS, ids=str)
def test_softmax_family_against_mpmath(row, dtype):
    x = np.array(row, dtype)
    truth = softmax_truth(x)
    assert_within_ulps(k.softmax(x, axis=(0,)), truth, 4)
    assert_within_ulps(
        k.logsumexp(x, axis=(0,)), [mpmath.log(mpmath.fsum(mpmath.exp(number) for number in exact(x)))], 2
    )
    for label in range(3):
        expected = -mpmath.log(truth[label])
        assert_within_ulps(k.cross_entropy(x[None], np.array([label])), [expected], 4)
        assert_within_ulps(k.log_softmax(x, axis=(0,))[label], [-expected], 4)


@pytest.mark.parametrize("dtype", DTYPES)
def test_cross_entropy_of_a_certain_label_is_0_to_one_rounding(dtype):
    for top in (8, 16, 20, 88):
        x = np.array([[top, -top, 0]], dtype)
        (found,) = k.cross_entropy(x, np.array([0]))
        assert found >= 0
        assert abs(mpmath.mpf(float(found)) + mpmath.log(softmax_truth(x)[0])) <= float(np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", DTYPES)
def test_softmax_of_scores_far_apart(dtype):
    x = np.array([[1e4, 0, -1e4], [-1e4, -1e4, -1e4], [1e4, 1e4, -1e4]], dtype)
    np.testing.assert_array_equal(k.softmax(x, axis=(1,)), [[1, 0, 0], [dtype(1) / 3] * 3, [0.5, 0.5, 0]])
    np.testing.assert_array_equal(k.log_softmax(x, axis=(1,))[0], [0, -1e4, -2e4])
    np.testing.assert_array_equal(k.logsumexp(x[:1], axis=(1,)), [1e4])
    np.testing.assert_array_equal(k.cross_entropy(x[[0, 0, 0]], np.array([0, 1, 2])), [0, 1e4, 2e4])


@pytest.mark.parametrize("dtype", DTYPES)
def test_differences_beyond_the_largest_float_do_not_warn(dtype):
    x = np.array([np.finfo(dtype).max, np.finfo(dtype).min], dtype)
    np.testing.assert_array_equal(k.softmax(x, axis=(0,)), [1, 0])
    np.testing.assert_array_equal(k.log_softmax(x, axis=(0,)), [0, -INF])
    assert k.logsumexp(x, axis=(0,)) == np.finfo(dtype).max


@pytest.mark.parametrize("dtype", DTYPES)
def test_scores_of_minus_infinity_have_probability_0(dtype):
    x = np.array([[-INF, 0.0, 0.0]], dtype)
    np.testing.assert_array_equal(k.softmax(x, axis=(1,)), [[0, 0.5, 0.5]])
    np.testing.assert_allclose(k.log_softmax(x, axis=(1,)), [[-INF, -math.log(2), -math.log(2)]], rtol=1e-7)
    np.testing.assert_allclose(k.logsumexp(x, axis=(1,)), [math.log(2)], rtol=1e-7)
    np.testing.assert_allclose(k.cross_entropy(x, np.array([1])), [math.log(2)], rtol=1e-7)
    np.testing.assert_array_equal(k.cross_entropy(x, np.array([0])), [INF])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("row", "total"),
    [
        ([-INF, -INF], -INF),
        ([INF, 0.0], INF),
        ([INF, INF], INF),
        ([INF, -INF], INF),
        ([NAN, 0.0], NAN),
        ([NAN, INF], NAN),
        ([NAN, 1e4], NAN),
    ],
    ids=str,
)
def test_rows_without_probabilities_are_nan(row, total, dtype):
    x = np.array([row], dtype)
    assert np.isnan(k.softmax(x, axis=(1,))).all()
    assert np.isnan(k.log_softmax(x, axis=(1,))).all()
    assert np.isnan(k.cross_entropy(x, np.array([1]))).all()
    np.testing.assert_array_equal(k.logsumexp(x, axis=(1,)), [total])


def test_a_row_without_probabilities_spoils_no_other():
    x = np.array([[-INF, -INF], [0.0, 0.0], [INF, 0.0], [NAN, 1.0]])
    np.testing.assert_array_equal(k.softmax(x, axis=(1,))[1], [0.5, 0.5])
    np.testing.assert_array_equal(np.isnan(k.softmax(x, axis=(1,))), [[True] * 2, [False] * 2, [True] * 2, [True] * 2])


def test_an_empty_axis():
    x = np.empty((2, 0))
    np.testing.assert_array_equal(k.logsumexp(x, axis=(1,)), [-INF, -INF])
    np.testing.assert_array_equal(k.logsumexp(x, axis=(0, 1)), -INF)
    assert k.softmax(x, axis=(1,)).shape == k.log_softmax(x, axis=(1,)).shape == (2, 0)
    assert k.logsumexp(x, axis=(0,)).shape == (0,)
    np.testing.assert_array_equal(k.sum(x, axis=(1,)), [0, 0])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shift", [-8192.0, -64.0, 1024.0, 8192.0])
def test_a_shift_changes_nothing(shift, dtype):
    """The scores are multiples of 2⁻⁸ so that adding the shift rounds none of them."""
    x = (np.random.default_rng(0).integers(-1000, 1000, (5, 7)) / 256).astype(dtype)
    labels = np.arange(5)
    moved = x + dtype(shift)
    np.testing.assert_array_equal(k.softmax(moved, axis=(1,)), k.softmax(x, axis=(1,)))
    np.testing.assert_array_equal(k.log_softmax(moved, axis=(1,)), k.log_softmax(x, axis=(1,)))
    np.testing.assert_array_equal(k.cross_entropy(moved, labels), k.cross_entropy(x, labels))
    g = np.linspace(-1, 1, 5).astype(dtype)
    np.testing.assert_array_equal(k.cross_entropy_gradient(g, moved, labels), k.cross_entropy_gradient(g, x, labels))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("op", ["softmax", "log_softmax", "logsumexp"])
def test_gradients_are_finite_far_out(op, dtype):
    x = td.tensor(np.array([[1e4, -1e4, 0], [-1e4, -1e4, -1e4]], dtype), requires_grad=True)
    output = getattr(td.ops, op)(x, axis=1)
    output.backward(np.ones(output.shape))
    assert np.isfinite(x.grad).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_cross_entropy_gradients_far_out(dtype):
    x = td.tensor(np.array([[1e4, -1e4], [1e4, -1e4]], dtype), requires_grad=True)
    td.ops.cross_entropy(x, [0, 1]).sum().backward()
    np.testing.assert_array_equal(x.grad, [[0, 0], [1, -1]])


def test_cross_entropy_of_a_label_with_score_minus_infinity():
    x = td.tensor([[-INF, 0.0]], requires_grad=True)
    loss = td.ops.cross_entropy(x, [0])
    assert loss.item() == INF
    loss.backward()
    np.testing.assert_array_equal(x.grad, [[-1, 1]])


# Elementary functions ------------------------------------------------------------------------------------------

POINTS = [0.0, -0.0, 1e-300, -1e-300, 5e-324, -5e-324, 1e-40, 1e-10, 0.5, -0.5, 1.0, -1.0, 17.0, -17.0, 37.0, -37.0]
FAR = [88.0, -88.0, 89.0, -89.0, 103.0, -103.0, 709.0, -709.0, 745.0, -745.0, 746.0, -746.0, 1e4, -1e4]


def sigmoid(x):
    return 1 / (1 + mpmath.exp(-x))


@pytest.mark.parametrize("dtype", DTYPES)
def test_sigmoid_against_mpmath(dtype):
    x = np.array(POINTS + FAR, dtype)
    assert_within_ulps(k.sigmoid(x), [sigmoid(number) for number in exact(x)], 3)


@pytest.mark.parametrize("dtype", DTYPES)
def test_sigmoid_at_infinity_and_nan(dtype):
    np.testing.assert_array_equal(k.sigmoid(np.array([-INF, INF, NAN], dtype)), np.array([0, 1, NAN], dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_tanh_against_mpmath(dtype):
    x = np.array(POINTS + FAR, dtype)
    assert_within_ulps(k.tanh(x), [mpmath.tanh(number) for number in exact(x)], 3)


@pytest.mark.parametrize("dtype", DTYPES)
def test_exp_against_mpmath(dtype):
    x = np.array(
        POINTS + [number for number in FAR if number < 709 and not (dtype == np.float32 and number > 88)], dtype
    )
    assert_within_ulps(k.exp(x), [mpmath.exp(number) for number in exact(x)], 2)


@pytest.mark.parametrize("dtype", DTYPES)
def test_log_and_sqrt_against_mpmath(dtype):
    tiny, huge = np.finfo(dtype).smallest_subnormal, np.finfo(dtype).max
    x = np.array([tiny, np.finfo(dtype).tiny, 1e-30, 0.5, 1 - 1e-6, 1, 1 + 1e-6, 2, 1e4, 1e30, huge], dtype)
    assert_within_ulps(k.log(x), [mpmath.log(number) for number in exact(x)], 2)
    assert_within_ulps(k.sqrt(x), [mpmath.sqrt(number) for number in exact(x)], 0.5001)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("op", ["sigmoid", "tanh", "relu", "abs"])
def test_activation_gradients_are_finite_everywhere(op, dtype):
    x = td.tensor(np.array([*POINTS, *FAR, INF, -INF], dtype), requires_grad=True)
    getattr(td.ops, op)(x).sum().backward()
    assert np.isfinite(x.grad).all()
    assert (np.abs(x.grad) <= 1).all()


def test_sigmoid_gradient_against_mpmath():
    x = td.tensor([-745.0, -88.0, -1.0, 0.0, 1.0, 5.0], requires_grad=True)
    td.ops.sigmoid(x).sum().backward()
    truth = [sigmoid(number) * (1 - sigmoid(number)) for number in exact(x.numpy())]
    assert_within_ulps(x.grad[:4], truth[:4], 4)
    np.testing.assert_allclose(x.grad[4:], [float(number) for number in truth[4:]], rtol=1e-13)


def test_gradient_of_the_root_at_0_is_infinite():
    x = td.tensor([0.0], requires_grad=True)
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        td.ops.sqrt(x).backward()
    assert x.grad == INF


def test_powers_of_0_do_not_warn():
    a = td.tensor([0.0, 0.0, 0.0], requires_grad=True)
    b = td.tensor([0.0, 1.0, 2.0], requires_grad=True)
    (a**b).sum().backward()  # the logarithm of 0 must not even be taken
    assert (a.grad.tolist(), b.grad.tolist()) == ([0, 1, 0], [0, 0, 0])


def test_relu_keeps_nan_and_infinity():
    np.testing.assert_array_equal(k.relu(np.array([NAN, INF, -INF])), [NAN, INF, 0])


def test_the_branch_not_taken_may_spoil_the_gradient():
    """As documented: the 0 that flows into an overflow becomes NaN, and a second `where` before it helps."""
    x = td.tensor([1.0, 1e4], requires_grad=True)
    with np.errstate(over="ignore", invalid="ignore"):
        y = td.ops.where([True, False], td.ops.exp(x), 0.0)
        y.sum().backward()
    np.testing.assert_array_equal(y.numpy(), [math.exp(1), 0])
    np.testing.assert_array_equal(x.grad, [math.exp(1), NAN])

    x.grad = None
    safe = td.ops.where([True, False], x, 0.0)
    td.ops.where([True, False], td.ops.exp(safe), 0.0).sum().backward()
    np.testing.assert_array_equal(x.grad, [math.exp(1), 0])


# Variance ------------------------------------------------------------------------------------------------------


def var_truth(x, ddof=0):
    numbers = exact(x)
    mean = mpmath.fsum(numbers) / len(numbers)
    return mpmath.fsum((number - mean) ** 2 for number in numbers) / (len(numbers) - ddof)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("ddof", [0, 1])
@pytest.mark.parametrize(("mean", "deviation"), [(1e4, 1e-3), (-1e4, 1e-3), (0, 1), (1e6, 1), (1e-20, 1e-10)])
def test_variance_against_mpmath(mean, deviation, ddof, dtype):
    x = np.random.default_rng(0).normal(mean, deviation, 1000).astype(dtype)
    truth = float(var_truth(x, ddof))
    assert truth > 0
    np.testing.assert_allclose(k.var(x, axis=(0,), ddof=ddof), truth, rtol=2e-7 if dtype == np.float32 else 1e-13)


@pytest.mark.parametrize("dtype", DTYPES)
def test_variance_gradient_at_a_large_mean(dtype):
    """In float32 the mean 1e4 is rounded to a step as wide as the deviation: it must not be subtracted as it is."""
    array = np.random.default_rng(0).normal(1e4, 1e-3, 1000).astype(dtype)
    x = td.tensor(array, requires_grad=True)
    td.ops.var(x).backward()
    wide = array.astype(np.longdouble)
    expected = 2 * (wide - wide.mean()) / 1000
    tolerance = 1e-6 if dtype == np.float32 else 1e-11
    np.testing.assert_allclose(
        x.grad, expected.astype(np.float64), rtol=0, atol=tolerance * float(np.abs(expected).max())
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("value", [0.1, 1e30, -1e30, 1e-30, 1e4 + 0.1, 0.0, 1 / 3])
@pytest.mark.parametrize("count", [1, 2, 3, 7, 10, 1000])
def test_variance_of_a_constant_is_exactly_0(value, count, dtype):
    x = np.full((count, 2), value, dtype)
    assert k.var(x, axis=(0,)).tolist() == [0, 0]
    assert k.var(x, axis=(0, 1)) == 0
    assert k.var(x.T, axis=(1,), keepdims=True).tolist() == [[0], [0]]


def test_variance_of_large_numbers():
    x = np.array([1e30, -1e30, 2e30])
    np.testing.assert_allclose(k.var(x, axis=(0,)), float(var_truth(x)), rtol=1e-14)
    with pytest.warns(RuntimeWarning, match="overflow"):
        assert k.var(x.astype(np.float32), axis=(0,)) == INF  # 1e60 is beyond float32
    np.testing.assert_allclose(k.var(np.array([1e18, -1e18], np.float32), axis=(0,)), 1e36, rtol=1e-6)


def test_variance_with_an_outlier_in_front():
    x = np.array([1e8, *np.random.default_rng(0).standard_normal(999)])
    np.testing.assert_allclose(k.var(x, axis=(0,)), float(var_truth(x)), rtol=1e-13)
    np.testing.assert_allclose(k.var(x[::-1], axis=(0,)), float(var_truth(x)), rtol=1e-13)


def test_variance_of_one_element_has_gradient_0():
    x = td.tensor([[1e4 + 0.1]], requires_grad=True)
    td.ops.var(x).backward()
    assert x.grad.tolist() == [[0]]


# The choice of kernels -----------------------------------------------------------------------------------------


def test_ops_run_on_the_kernels_in_use_and_on_the_old_ones_afterwards():
    class Doubled:
        exp = staticmethod(lambda x: 2 * np.exp(x))

    with kernels.use(Doubled):
        assert td.ops.exp(0.0).item() == 2
        with pytest.raises(ZeroDivisionError), kernels.use(kernels.reference):
            raise ZeroDivisionError
        assert kernels.active() is Doubled
    assert kernels.active() is kernels.reference
    assert td.ops.exp(0.0).item() == 1
