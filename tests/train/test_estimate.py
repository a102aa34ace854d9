import sys
from types import SimpleNamespace

import numpy as np
import pytest

import treadle as td
from treadle.errors import TrainingError, TreadleError
from treadle.nn import Flatten, Linear, Module, Parameter, Sequential


def sets_of(samples, classes=("a", "b", "c")):
    rng = np.random.default_rng(0)
    rows = td.data.Dataset(rng.integers(0, 256, (samples, 1, 6, 6), np.uint8), np.arange(samples) % 3, classes, "rows")
    return td.data.Sets(rows, rows[:5], rows[:5], "rows", "made up")


MODULE = sys.modules["treadle.train.estimate"]  # whose name in the package is that of the function
NETWORK = Sequential(Flatten(), Linear(3))
TRAINING = {"loss": "cross_entropy", "optimizer": td.optim.SGD(0.1)}


@pytest.mark.parametrize(("samples", "batch_size", "steps"), [(64, 10, 7), (640, 10, 64), (30, 100, 1), (9, 3, 3)])
def test_figures_agree_with_each_other(samples, batch_size, steps):
    found = td.estimate(NETWORK, sets_of(samples), batch_size=batch_size, threads=1, dtype=np.float64, **TRAINING)
    assert found.steps_per_epoch == steps
    assert found.seconds_per_step > 0
    assert found.seconds_per_epoch == steps * found.seconds_per_step
    assert found.samples_per_second == samples / found.seconds_per_epoch
    assert (found.samples, found.batch_size, found.threads, found.dtype) == (samples, batch_size, 1, "float64")
    assert found.kernels == td.kernels.fastest().__name__.rpartition(".")[2]
    assert 3 <= found.steps <= 50
    assert found.to_dict()["seconds_per_epoch"] == found.seconds_per_epoch


def test_slow_steps_are_cut_off_after_the_limit(monkeypatch):
    clock = iter(range(10**6))
    monkeypatch.setattr(MODULE, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    found = td.estimate(NETWORK, sets_of(1000), batch_size=10, **TRAINING)
    assert (found.steps, found.seconds_per_step) == (3, 1)
    assert str(found) == (
        "time: 100 s an epoch of 100 steps, 1 s a step, 10 samples a second; measured over 3 steps on "
        f"kernels {found.kernels}, 1 thread, float32"
    )


def test_nothing_that_was_given_changes(monkeypatch):
    made = []
    init = Sequential.init
    monkeypatch.setattr(Sequential, "init", lambda *a, **b: made.append(init(*a, **b)) or made[-1])
    sets = sets_of(50)
    before = sets.fingerprint(), sets.train.inputs.copy()
    optimizer = td.optim.Adam(0.1)
    td.estimate(NETWORK, sets, loss="cross_entropy", optimizer=optimizer, batch_size=10)
    np.testing.assert_array_equal(sets.train.inputs, before[1])
    assert optimizer == td.optim.Adam(0.1)
    expected = init(NETWORK, (1, 6, 6), seed=0)
    np.testing.assert_array_equal(made[0]["linear1"]["weight"], expected["linear1"]["weight"])


def test_a_run_is_the_same_with_and_without_an_estimate_before():
    def weights():
        return td.fit(NETWORK, sets_of(50), batch_size=10, **TRAINING).parameters["linear1"]["weight"]

    first = weights()
    td.estimate(NETWORK, sets_of(50), batch_size=10, **TRAINING)
    np.testing.assert_array_equal(weights(), first)


def test_presets_and_modules_of_users_can_be_timed():
    class Scale(Module):
        def parameters(self, shape):
            return {"factor": Parameter(shape)}

        def forward(self, params, x, mode):  # noqa: ARG002
            return x * params["factor"]

    assert td.estimate("softmax", sets_of(20), **TRAINING).seconds_per_step > 0
    assert td.estimate(Sequential(Flatten(), Scale(), Linear(3)), sets_of(20), **TRAINING).seconds_per_step > 0


@pytest.mark.parametrize(
    ("network", "sets", "changes"),
    [
        (NETWORK, sets_of(20), {"batch_size": 0}),
        (NETWORK, sets_of(20), {"threads": 0}),
        (NETWORK, sets_of(20), {"loss": "cross_entropie"}),
        (NETWORK, sets_of(20), {"optimizer": "sgd"}),
        (NETWORK, sets_of(20), {"scale": "minmaxx"}),
        (NETWORK, sets_of(20), {"loss": td.losses.SquaredError()}),
        (NETWORK, sets_of(20).train, {}),
        (NETWORK, sets_of(20, ("a", "b")), {}),
        (NETWORK, sets_of(20, None), {}),
        (Sequential(Linear(3)), sets_of(20), {}),
        (Sequential(Flatten(), Linear(4)), sets_of(20), {}),
        (Sequential(Flatten(), Linear(2**45), Linear(3)), sets_of(20), {}),
        ("softmaxx", sets_of(20), {}),
        (NETWORK, sets_of(20), {"optimizer": td.optim.SGD(1e39)}),
    ],
)
def test_what_fit_refuses_is_refused_in_the_same_words(network, sets, changes):
    with pytest.raises(TreadleError) as expected:
        td.fit(network, sets, **{**TRAINING, **changes})
    with pytest.raises(type(expected.value)) as refused:
        td.estimate(network, sets, **{**TRAINING, **changes})
    assert strip(str(refused.value)) == strip(str(expected.value))


def strip(message):
    """Without the memory that happens to be available."""
    return message.split(" GiB are available")[0].rpartition(" and ")[0] if "GiB" in message else message


def test_training_that_diverges_later_was_measured():
    """Each step multiplies the error, so that float32 overflows after some twenty steps."""
    network, training = Sequential(Flatten(), Linear(1)), {"loss": "squared_error", "optimizer": td.optim.SGD(5.0)}
    with pytest.raises(TrainingError):
        td.fit(network, sets_of(600, None), batch_size=10, **training)
    found = td.estimate(network, sets_of(600, None), batch_size=10, **training)
    assert 1 <= found.steps < 50
    assert found.steps_per_epoch == 60


def test_ctrl_c_stops_it(monkeypatch):
    def stop():
        raise KeyboardInterrupt

    monkeypatch.setattr(MODULE, "time", SimpleNamespace(perf_counter=stop))
    with pytest.raises(KeyboardInterrupt) as stopped:
        td.estimate(NETWORK, sets_of(20), **TRAINING)
    assert not isinstance(stopped.value, td.Interrupted)
