"""The learning rate range test: on a parabola whose best rate is known, and what it refuses."""

import numpy as np
import pytest

import treadle as td
from small_sets import fit, line, three_classes
from treadle.errors import TreadleError
from treadle.nn import Linear, Sequential

NETWORK = Sequential(Linear(1))


def test_on_a_parabola_rates_beyond_two_over_the_curvature_are_too_large():
    # full batches on a linear model: the loss is a parabola; gradient descent diverges above 2 / λ_max
    sets = line(60, features=2)
    x = np.c_[sets.train.inputs, np.ones(60)]
    curvature = np.linalg.eigvalsh(2 * x.T @ x / 60)
    found = td.lr_range(
        NETWORK, sets, loss="squared_error", optimizer=td.optim.SGD(9.0), batch_size=60, scale="none", dtype=np.float64,
        low=1e-4, high=100.0, per_decade=5, steps=40,
    )  # fmt: skip
    edge = 2 / curvature[-1]
    for trial in found.trials:
        assert (trial.verdict == "too large") == (trial.lr > edge), trial
    assert found.proposal <= edge < 10 ** (1 / 5) * max(t.lr for t in found.trials if t.verdict == "right")
    # the fastest rate of all is 2 / (λ_min + λ_max)
    assert found.proposal == pytest.approx(2 / (curvature[0] + curvature[-1]), rel=0.6)
    assert f"{found.proposal:.2g} is proposed" in found.reason


def test_a_trial_is_the_training_that_it_stands_for():
    sets, losses = three_classes(), []
    found = td.lr_range(
        Sequential(Linear(3)), sets, loss="cross_entropy", optimizer=td.optim.Adam(), batch_size=16, steps=12,
        low=0.01, high=0.1, per_decade=1, seed=5,
    )  # fmt: skip
    assert [trial.lr for trial in found.trials] == [0.01, 0.1]
    fit(
        sets, Sequential(Linear(3)), optimizer=td.optim.Adam(0.1), batch_size=16, epochs=3, seed=5,
        on_step=lambda state, _: losses.append(state.loss),
    )  # fmt: skip
    assert list(found.trials[1].losses) == losses
    assert len({trial.losses[0] for trial in found.trials}) == 1
    assert found.trials[1].final == pytest.approx(np.mean(losses[-3:]))


def test_a_training_that_stops_is_too_large_and_the_edge_is_told():
    found = td.lr_range(
        NETWORK, line(), loss="squared_error", optimizer=td.optim.SGD(1.0), low=1e-3, high=1e30, per_decade=1, steps=60
    )
    stopped = [trial for trial in found.trials if len(trial.losses) < 60]
    assert stopped
    assert {trial.verdict for trial in stopped} == {"too large"}
    small = td.lr_range(
        NETWORK, line(), loss="squared_error", optimizer=td.optim.SGD(1.0), low=1e-6, high=1e-4, steps=8
    )
    assert small.proposal == 1e-4
    assert "the largest rate that was tried" in small.reason
    assert found.to_dict()["trials"][-1]["verdict"] == "too large"
    lines = repr(found).splitlines()
    assert lines[0].split() == ["learning", "rate", "loss", "steps", "verdict"]
    assert sum("←" in row for row in lines) == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"low": 1.0, "high": 0.1}, "low and high should be rates, 0 < low < high, found 1.0 and 0.1"),
        ({"low": 0.0}, "0 < low < high"),
        ({"steps": 7}, "steps should be at least 8"),
        ({"low": 1e4, "high": 1e5}, r"no rate from 1e\+04 to 1e\+05 lowers the loss"),
    ],
)
def test_what_it_refuses(settings, message):
    with pytest.raises(TreadleError, match=message):
        td.lr_range(NETWORK, line(), loss="squared_error", optimizer=td.optim.SGD(1.0), **{"steps": 20} | settings)
