"""Weights and gradients over the steps: the numbers that training has, and a training that nothing changes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import treadle as td
from small_sets import NETWORK, SGD, digest, fit, same_history, three_classes
from treadle.errors import TreadleError
from treadle.train import distributions
from treadle.train.distributions import looked_at, spread_of
from treadle.tree import leaves

SETTINGS = {"loss": "cross_entropy", "optimizer": SGD, "batch_size": 10}


@given(arrays.arrays(np.float32, st.integers(1, 40), elements=st.floats(-1e6, 1e6, width=32)))
def test_bins_hold_what_numpy_counts(values):
    found = spread_of(values, bins=64)
    edges = np.linspace(-found.reach, found.reach, 65)
    assert found.counts.tolist() == np.histogram(values.astype(np.float64), edges)[0].tolist()
    assert found.counts.sum() == len(values)
    assert found.zeros == pytest.approx(np.mean(values == 0))
    assert (found.low, found.high) == (values.min(), values.max())
    assert found.deviation == pytest.approx(values.astype(np.float64).std())


@given(arrays.arrays(np.float64, st.integers(1, 40), elements=st.floats(-100, 100)), st.integers(0, 5))
def test_wider_bins_hold_what_lies_in_both_of_theirs(values, doublings):
    found = spread_of(values, bins=32)
    wider = found.reach * 2.0**doublings
    counts = np.histogram(values, np.linspace(-wider, wider, 33))[0]
    assert found.over(wider).tolist() == counts.tolist()


def test_values_that_are_not_finite_are_counted_apart():
    found = spread_of(np.array([np.nan, np.inf, 1.0, 0.0]))
    assert (found.broken, found.counts.sum(), found.zeros) == (2, 2, 0.25)
    assert spread_of(np.array([np.nan])).counts.sum() == 0
    assert spread_of(np.zeros(3)).over(2.0**100).sum() == 3
    assert spread_of(np.array([1.7e308])).broken == 0


def test_gradients_and_weights_are_those_of_each_step():
    sets = three_classes()
    seen = {}

    def on_gradients(state, gradients):
        seen[state.step + 1] = {path: (gradients.places[path].copy(), g.copy()) for path, g in gradients.tree.items()}

    fit(sets, batch_size=10, epochs=2, on_gradients=on_gradients)
    found = distributions(NETWORK, sets, steps=10, looks=4, epochs=2, **SETTINGS)
    assert found.steps == (1, 2, 5, 10)
    assert sorted(seen) == list(range(1, 11))
    made = NETWORK.init((4,), seed=0)
    for path, leaf in leaves(made):
        np.testing.assert_array_equal(seen[1][path][0], leaf)
        assert found.weights[path][0].mean == pytest.approx(float(np.mean(leaf, dtype=np.float64)))
        for place, step in enumerate(found.steps):
            weight, gradient = seen[step][path]
            assert found.weights[path][place].high == weight.max()
            assert found.gradients[path][place].deviation == pytest.approx(gradient.astype(np.float64).std())
            if step < 10:
                after = weight - np.float32(0.1) * gradient
                np.testing.assert_allclose(seen[step + 1][path][0], after, rtol=1e-5, atol=1e-7)
    assert found.shapes["linear1.weight"] == (4, 5)


def test_looking_changes_no_bit():
    sets = three_classes()
    plain = fit(sets, batch_size=8, epochs=3, optimizer=td.optim.Adam(0.01))
    looks = []
    looked = fit(
        sets,
        batch_size=8,
        epochs=3,
        optimizer=td.optim.Adam(0.01),
        on_gradients=lambda s, g: looks.append(g.vector.sum()),
    )
    assert len(looks) == 21
    assert digest(plain.parameters) == digest(looked.parameters)
    assert same_history(plain, looked)


def test_a_training_that_ends_before_and_one_that_fails():
    sets = three_classes()
    short = distributions(NETWORK, sets, steps=50, epochs=2, **SETTINGS)
    assert short.steps[-1] <= 10
    assert short.stopped == "training has 10 steps"
    early = distributions(
        NETWORK, sets, steps=50, epochs=50, patience=1, **{**SETTINGS, "optimizer": td.optim.SGD(30.0)}
    )
    assert early.stopped
    line = td.data.Dataset(np.ones((40, 1)) * 1e20, np.ones(40), None, "line")
    huge = td.data.Sets(line, line, line, "huge", "made up")
    network = td.nn.Sequential(td.nn.Linear(1))
    failed = distributions(network, huge, steps=5, loss="squared_error", optimizer=SGD, scale="none")
    assert failed.steps == (1,)
    assert failed.losses == (np.inf,)
    assert "the loss is inf" in failed.stopped
    assert failed.gradients["linear1.weight"][0].broken == 1
    for wrong in (0, 1.5, True):
        with pytest.raises(TreadleError, match="steps should be a whole number"):
            distributions(NETWORK, sets, steps=wrong, **SETTINGS)


def test_steps_at_equal_ratios():
    assert looked_at(1) == [1]
    assert looked_at(1_000, 4) == [1, 10, 100, 1_000]
