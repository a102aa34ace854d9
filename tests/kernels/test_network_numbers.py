"""Activations, standardisation and random masks at the edge of what floats hold; truth comes from mpmath."""

import math
from collections import Counter

import mpmath
import numpy as np
import pytest
from scipy import stats

import treadle as td
from treadle import splitmix
from treadle.kernels import reference as k

INF, NAN = float("inf"), float("nan")
DTYPES = [np.float32, np.float64]
POINTS = [0.0, -0.0, 1e-300, -1e-300, 5e-324, -5e-324, 1e-40, 1e-10, 0.5, -0.5, 1.0, -1.0, 5.0, -5.0, 17.0, -17.0]
FAR = [37.0, -37.0, 88.0, -88.0, 103.0, -103.0, 709.0, -709.0, 745.0, -745.0, 1e4, -1e4]

TRUTH = {
    "erf": mpmath.erf,
    "softplus": lambda x: mpmath.log1p(mpmath.exp(x)),
    "gelu": lambda x: x * mpmath.ncdf(x),
    "silu": lambda x: x / (1 + mpmath.exp(-x)),
}
SLOPES = {
    "erf": lambda x: 2 / mpmath.sqrt(mpmath.pi) * mpmath.exp(-x * x),
    "softplus": lambda x: 1 / (1 + mpmath.exp(-x)),
    "gelu": lambda x: mpmath.ncdf(x) + x * mpmath.npdf(x),
    "silu": lambda x: (1 + mpmath.exp(-x) + x * mpmath.exp(-x)) / (1 + mpmath.exp(-x)) ** 2,
}


@pytest.fixture(autouse=True)
def fifty_digits():
    with mpmath.workdps(50):
        yield


def points(dtype):
    return np.array(POINTS + FAR, dtype)


def exact(x):
    return [mpmath.mpf(float(number)) for number in np.ravel(x)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", TRUTH)
def test_activations_against_mpmath(name, dtype):
    x = points(dtype)
    expected = np.array([float(TRUTH[name](number)) for number in exact(x)])
    found = getattr(k, name)(x)
    assert found.dtype == dtype
    tiny = np.finfo(dtype).smallest_normal  # below it floats have fewer digits
    np.testing.assert_allclose(found, expected, rtol=3e-13 if dtype == np.float64 else 2e-7, atol=8e-16 * tiny + tiny)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", TRUTH)
def test_gradients_of_activations_against_mpmath(name, dtype):
    x = td.tensor(points(dtype), requires_grad=True)
    with np.errstate(over="ignore"):  # the square of 1e4 in e^(−x²) is no matter
        getattr(td.ops, name)(x).sum().backward()
    expected = [float(SLOPES[name](number)) for number in exact(x.numpy())]
    assert x.grad.dtype == dtype
    np.testing.assert_allclose(x.grad, expected, rtol=1e-12 if dtype == np.float64 else 2e-5, atol=np.finfo(dtype).eps)


@pytest.mark.parametrize(
    ("name", "at"), [("erf", [-1, 1, NAN]), ("softplus", [0, INF, NAN]), ("leaky_relu", [-INF, INF, NAN])]
)
def test_activations_at_infinity_and_nan(name, at):
    settings = {"slope": 0.1} if name == "leaky_relu" else {}
    np.testing.assert_array_equal(getattr(k, name)(np.array([-INF, INF, NAN]), **settings), at)


# Standardisation -----------------------------------------------------------------------------------------------


def standardised(x, epsilon):
    numbers = exact(x)
    mean = mpmath.fsum(numbers) / len(numbers)
    variance = mpmath.fsum((number - mean) ** 2 for number in numbers) / len(numbers)
    return np.array([float((number - mean) / mpmath.sqrt(variance + epsilon)) for number in numbers])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("epsilon", [0.0, 1e-5])
@pytest.mark.parametrize(
    ("mean", "deviation"), [(1e4, 1e-3), (-1e4, 1e-3), (0, 1), (1e6, 1), (1e-20, 1e-10), (0, 1e30)]
)
def test_standardisation_against_mpmath(mean, deviation, epsilon, dtype):
    x = np.random.default_rng(0).normal(mean, deviation, 300).astype(dtype)
    found = k.standardize(x, axes=(0,), epsilon=epsilon)
    expected = standardised(x, epsilon)
    tolerance = 1e-6 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.abs(expected).max())
    assert found.dtype == dtype


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("mean", "deviation"), [(1e4, 1e-3), (0, 1), (1e6, 1)])
def test_gradient_of_standardisation_at_a_large_mean(mean, deviation, dtype):
    """At mean 1e4 and deviation 1e-3 against the formula in extended precision."""
    rng = np.random.default_rng(0)
    x, g = rng.normal(mean, deviation, 300).astype(dtype), rng.normal(size=300).astype(dtype)
    leaf = td.tensor(x, requires_grad=True)
    td.ops.standardize(leaf, axes=0, epsilon=0.0).backward(g)
    wide, arriving = x.astype(np.longdouble), g.astype(np.longdouble)
    y = (wide - wide.mean()) / wide.std()
    expected = ((arriving - arriving.mean() - y * (arriving * y).mean()) / wide.std()).astype(float)
    tolerance = 1e-6 if dtype == np.float32 else 1e-11
    np.testing.assert_allclose(leaf.grad, expected, rtol=0, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("value", [0.1, 1e30, -1e30, 1e-30, 1e4 + 0.1, 0.0])
@pytest.mark.parametrize("count", [1, 2, 3, 7, 1000])
def test_a_constant_standardises_to_exactly_0(value, count, dtype):
    x = np.full((count, 2), value, dtype)
    assert not k.standardize(x, axes=(0,), epsilon=1e-5).any()
    assert not k.standardize(x, axes=(0, 1), epsilon=1e-5).any()


# Random masks --------------------------------------------------------------------------------------------------


def test_splitmix64_gives_the_published_numbers():
    """The first five outputs from seed 1234567, as on rosettacode.org, and from 0, as in the Java library's tests."""
    for seed, published in (
        (
            1234567,
            [
                6457827717110365317,
                3203168211198807973,
                9817491932198370423,
                4593380528125082431,
                16408922859458223821,
            ],
        ),
        (0, [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F, 0xF88BB8A8724C81EC]),
    ):
        found = splitmix.splitmix64(np.array([seed], np.uint64), np.arange(1, len(published) + 1, dtype=np.uint64))
        assert found.tolist() == published


def splitmix64(state):
    """One step after the reference code in C, in whole numbers of any length: the next state, and the output."""
    state = (state + 0x9E3779B97F4A7C15) % 2**64
    z = state
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return state, z ^ (z >> 31)


def mask_by_hand(key, salt, count, rate):
    state = key
    for _ in range(salt + 1):
        state, stream = splitmix64(state)
    state, kept = stream, []
    for _ in range(count):
        state, bits = splitmix64(state)
        kept.append(bits // 2**11 / 2**53 >= rate)
    return kept


@pytest.mark.parametrize("key", [0, 1, 12345, 2**63, 2**64 - 1])
@pytest.mark.parametrize("salt", [0, 1, 77])
@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.75, 1.0])
def test_masks_against_whole_numbers_in_python(key, salt, rate):
    shape = (2, 5, 7)
    mask = k.dropout_mask(np.array(key, np.uint64), salt=salt, shape=shape, rate=rate, dtype=np.dtype(np.float32))
    expected = np.array(mask_by_hand(key, salt, 70, rate)).reshape(shape) * (1 / (1 - rate) if rate < 1 else 0)
    np.testing.assert_array_equal(mask, expected.astype(np.float32))
    assert mask.dtype == np.float32


def mask(key, salt=0, shape=(10**5,), rate=0.3):
    return td.ops.dropout_mask(key, salt=salt, shape=shape, rate=rate, dtype="float64").numpy()


@pytest.mark.parametrize("rate", [0.01, 0.3, 0.5, 0.95])
def test_as_many_are_dropped_as_the_rate_says(rate):
    for key in range(5):
        dropped = int((mask(key, rate=rate) == 0).sum())
        assert stats.binomtest(dropped, 10**5, rate).pvalue > 1e-4
        assert set(np.unique(mask(key, rate=rate))) == {0, 1 / (1 - rate)}


def test_masks_of_neighbouring_keys_and_salts_have_nothing_in_common():
    kept = [mask(key, salt, rate=0.5) > 0 for key in range(6) for salt in range(6)]
    kept += [np.roll(kept[0], 1), np.roll(kept[0], 7)]
    for i, one in enumerate(kept):
        for other in kept[:i]:
            assert abs(int((one == other).sum()) - 50000) < 5.5 * math.sqrt(10**5 / 4)


def test_runs_of_kept_values_are_as_long_as_those_of_coins():
    kept = mask(3, rate=0.5) > 0
    patterns = Counter(tuple(kept[i : i + 4]) for i in range(0, 10**5, 4))
    assert len(patterns) == 16
    assert stats.chisquare(list(patterns.values())).pvalue > 1e-3


def test_a_mask_is_the_same_whatever_its_shape_and_dtype():
    flat = mask(5, 2, (60,))
    np.testing.assert_array_equal(mask(5, 2, (3, 4, 5)).ravel(), flat)
    np.testing.assert_array_equal(mask(5, 2, (100,))[:60], flat)
    np.testing.assert_array_equal(
        td.ops.dropout_mask(np.uint64(5), salt=2, shape=(60,), rate=0.3, dtype=np.float32).numpy(),
        flat.astype(np.float32),
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"rate": -0.1}, "rate must be from 0 to 1"), ({"rate": NAN}, "rate"), ({"salt": 2**32}, "salt must be from 0")],
)
def test_masks_refuse_what_is_out_of_range(settings, message):
    with pytest.raises(td.errors.TreadleError, match=message):
        mask(0, **settings)
