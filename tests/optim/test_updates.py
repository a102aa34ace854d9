"""Updates in place against the pure steps whose formulas the tests of optimisers check."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from treadle import kernels
from treadle.kernels import reference
from treadle.optim import OPTIMIZERS, SGD, AdaGrad, Adam, AdamW, Momentum, Nesterov, RMSProp
from treadle.optim.optimizer import Optimizer
from treadle.tree import leaves, tree_map

cpu = pytest.importorskip("treadle.kernels.cpu")

BOTH = pytest.mark.parametrize("k", [reference, cpu], ids=["reference", "cpu"])
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
ROUNDING = {np.float32: 1e-5, np.float64: 1e-13}
SHARES = st.floats(0, 0.99)
RATES = st.sampled_from([0.0, 1e-6, 1e-3, 0.1, 1.0, 10.0])
EPSILONS = st.sampled_from([1e-8, 1e-3, 2.0])
LIMITS = st.sampled_from([None, None, 0.5, 3.0])
EXTRAS = {"weight_decay": RATES, "l1": RATES, "clip_value": LIMITS, "clip_norm": LIMITS}
ALL = st.one_of(
    st.builds(SGD, RATES, **EXTRAS),
    st.builds(Momentum, RATES, SHARES, **EXTRAS),
    st.builds(Nesterov, RATES, SHARES, **EXTRAS),
    st.builds(AdaGrad, RATES, EPSILONS, **EXTRAS),
    st.builds(RMSProp, RATES, SHARES, EPSILONS, **EXTRAS),
    st.builds(Adam, RATES, SHARES, SHARES, EPSILONS, **EXTRAS),
    st.builds(AdamW, RATES, SHARES, SHARES, EPSILONS, **EXTRAS),
)


def test_every_optimiser_is_among_those_compared():
    assert set(OPTIMIZERS.values()) == {SGD, Momentum, Nesterov, AdaGrad, RMSProp, Adam, AdamW}


def close(found, wanted, dtype):
    """Equal up to the rounding of the terms, which are as large as the largest number of the comparison."""
    scale = max(1.0, float(np.max(np.abs(wanted), initial=0)))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=ROUNDING[dtype] * scale)


@BOTH
@DTYPES
@settings(max_examples=60)
@given(st.data())
def test_updates_in_place_are_the_pure_steps(k, dtype, data):
    optimizer, size = data.draw(ALL), data.draw(st.integers(0, 40))
    numbers = arrays.arrays(dtype, size, elements=st.floats(-10, 10, width=32))
    params = data.draw(numbers)
    pure, state = params.copy(), optimizer.init(params)
    pure_state, memory = optimizer.init(params), params.ctypes.data
    for _ in range(3):
        grads = data.draw(numbers)
        kept, start = grads.copy(), tree_map(np.copy, (params, state))
        pure, pure_state = optimizer.step(start[0], grads, start[1])  # from the same place, for rounding may add up
        with kernels.use(k):
            state = optimizer.update(params, grads, state)
        np.testing.assert_array_equal(grads, kept)
        close(params, pure, dtype)
        assert params.dtype == dtype
        assert params.ctypes.data == memory
        for (path, found), (wanted_path, wanted) in zip(leaves(state), leaves(pure_state), strict=True):
            assert path == wanted_path
            close(found, wanted, dtype)


@BOTH
@pytest.mark.parametrize(
    "optimizer",
    [SGD(0.1, weight_decay=0.5), Momentum(0.1, 0.5, weight_decay=0.5), AdamW(0.1, weight_decay=0.5)],
    ids=repr,
)
def test_weight_decay_pulls_towards_zero_where_there_is_no_gradient(optimizer, k):
    # g = 0: p ← (1 − 0.05) p for all in the first step
    params = np.array([4.0, -2.0, 0.0])
    with kernels.use(k):
        optimizer.update(params, np.zeros(3), optimizer.init(params))
    np.testing.assert_allclose(params, 0.95 * np.array([4.0, -2.0, 0.0]), rtol=1e-15)


@BOTH
@DTYPES
@pytest.mark.parametrize("size", [0, 1, 7, 100_003])
def test_lengths_that_fill_no_vector(size, dtype, k):
    rng = np.random.default_rng(0)
    for optimizer in (make(lr=0.1, weight_decay=0.1) for make in OPTIMIZERS.values()):
        params, grads = (rng.normal(size=size).astype(dtype) for _ in range(2))
        wanted, _ = optimizer.step(params.copy(), grads, optimizer.init(params))
        with kernels.use(k):
            optimizer.update(params, grads, optimizer.init(params))
        close(params, wanted, dtype)


class Signs(Optimizer):
    """p ← p − rate · sign(g), counting steps: an optimiser of somebody's own, with init and step alone."""

    def __init__(self, rate):
        self.rate = rate

    def init(self, params):  # noqa: ARG002
        return {"count": 0}

    def step(self, params, grads, state):
        after = tree_map(lambda p, g: p - self.rate * np.sign(g), params, grads)
        return after, {"count": state["count"] + 1}


@DTYPES
def test_an_own_optimiser_updates_in_place_by_its_step(dtype):
    params = np.array([1.0, 2.0, 3.0], dtype)
    view, optimizer = params[1:], Signs(0.5)
    state = optimizer.init(params)
    for _ in range(2):
        state = optimizer.update(params, np.array([5.0, 0.0, -1e-30], dtype), state)
    assert params.tolist() == [0.0, 2.0, 4.0]
    assert view.tolist() == [2.0, 4.0]
    assert state == {"count": 2}
    assert optimizer.bounds(1.0, 1.0, 1.0) == (np.inf, np.inf)


@BOTH
@DTYPES
@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 5, 15, 16, 36])
def test_the_largest_number_tells_what_is_not_finite(place, number, dtype, k):
    x = np.linspace(-3, 2, 37).astype(dtype)
    assert k.largest(x) == 3
    assert k.largest(-x) == 3
    assert k.largest(x[:0]) == 0
    x[place] = number
    assert not k.largest(x) < np.inf
    x[place] = np.finfo(dtype).max
    assert k.largest(x) == np.finfo(dtype).max
