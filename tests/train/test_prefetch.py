"""Training on batches made ahead is training on the same batches."""

import numpy as np
import pytest

import treadle as td
from slow_makers import children, nothing_left
from small_sets import digest, fit, line, pictures, same_history
from treadle.data import Flip, Noise, Prefetch, Shift

PROCESSES = Prefetch(3, 2, "process", 60)
SETTINGS = {"network": "mlp_relu", "batch_size": 8, "epochs": 2}


@pytest.fixture(autouse=True)
def _workers_end():
    with nothing_left():
        yield


def test_parameters_and_history_are_the_same():
    network = td.nn.Sequential(td.nn.Conv2d(4, 3), td.nn.ReLU(), td.nn.Flatten(), td.nn.Dropout(0.2), td.nn.Linear(4))
    sets = pictures(sizes=(45, 10, 10))
    settings = {
        "augmentations": [Shift(1), Flip(), Noise(0.05)],
        "batch_size": 8,
        "epochs": 3,
        "optimizer": td.optim.Adam(0.01),
    }
    plain = fit(sets, network, **settings)
    assert len(plain.times) == 3 * 6
    for prefetch in (Prefetch(3, 2), Prefetch(20, 3), PROCESSES):
        ahead = fit(sets, network, prefetch=prefetch, **settings)
        assert digest(ahead.parameters) == digest(plain.parameters)
        assert same_history(ahead, plain)
        assert {times.worker for times in ahead.times} == set(range(1, prefetch.workers + 1))
        assert sum(record["waited"] for record in ahead.history) == pytest.approx(
            sum(times.wait_end - times.wait_begin for times in ahead.times)
        )
    other = fit(sets, network, **(settings | {"augmentations": [Shift(1), Flip()]}))
    assert digest(other.parameters) != digest(plain.parameters)


def test_kernels_that_scale_and_take_in_one_pass_give_the_same_in_processes():
    plain = fit(pictures(), drop_last=True, **SETTINGS)  # bytes under one scale
    ahead = fit(pictures(), drop_last=True, prefetch=PROCESSES, **SETTINGS)
    assert digest(ahead.parameters) == digest(plain.parameters)
    assert same_history(ahead, plain)


def test_numbers_to_predict_in_double_precision():
    settings = {"network": td.nn.Sequential(td.nn.Linear(1)), "scale": "none", "dtype": np.float64, "epochs": 3}
    plain = fit(line(), batch_size=7, **settings)
    ahead = fit(line(), batch_size=7, prefetch=Prefetch(2, 2), **settings)
    assert digest(ahead.parameters) == digest(plain.parameters)


class StopError(Exception):
    """Raised by a callback."""


@pytest.mark.parametrize("kind", [KeyboardInterrupt, StopError])
def test_what_a_callback_raises_ends_the_workers(kind):
    seen = []

    def on_step(state, steps):
        if state.step == 6:
            seen.append((len(children()), digest(state.params)))
            raise kind

    with pytest.raises(td.Interrupted if kind is KeyboardInterrupt else kind) as raised:
        fit(pictures(), prefetch=PROCESSES, on_step=on_step, **SETTINGS)
    assert seen[0][0] == 2
    assert not children()
    if kind is KeyboardInterrupt:
        run = raised.value.run
        assert run.step == 6
        assert digest(run.progress.parameters) == seen[0][1]
        assert len(run.history) == 1
        assert len(run.times) == 6
