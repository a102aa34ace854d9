"""Schedules: closed forms, how they follow one another, and what training does with them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import treadle as td
from small_sets import digest, fit, three_classes
from treadle.errors import TreadleError
from treadle.optim import (
    SCHEDULES,
    SGD,
    Constant,
    Cosine,
    Exponential,
    OneCycle,
    OnPlateau,
    Plan,
    Polynomial,
    Step,
    Warmup,
)

ALL = [
    Constant(),
    Step(3, 0.5),
    Exponential(0.9),
    Polynomial(10, 0.1, 2),
    Cosine(10, 0.1),
    Warmup(10, 0.2),
    OneCycle(10),
]


@pytest.mark.parametrize(
    ("schedule", "points"),
    [
        (Constant(), {0: 1, 1000: 1}),
        (Step(3, 0.5), {0: 1, 2: 1, 3: 0.5, 8: 0.25, 9: 0.125}),
        (Exponential(0.5), {0: 1, 1: 0.5, 10: 2**-10}),
        (Polynomial(4, end=0.5), {0: 1, 1: 0.875, 4: 0.5, 100: 0.5}),
        (Polynomial(4, power=2), {1: 0.5625, 3: 0.0625}),
        (Cosine(4), {0: 1, 1: (1 + math.sqrt(0.5)) / 2, 2: 0.5, 4: 0, 100: 0}),
        (Warmup(4, begin=0.0), {0: 0, 1: 0.25, 4: 1, 100: 1}),
        (OneCycle(21, rise=0.5, begin=0.5, end=0.25), {0: 0.5, 20: 0.25, 100: 0.25}),
        (OneCycle(22, rise=0.5, begin=0.5, end=0.0), {5: 0.75, 10: 1}),
    ],
    ids=str,
)
def test_factors_at_points_of_the_formula(schedule, points):
    for t, factor in points.items():
        assert schedule.factor(t) == pytest.approx(factor, abs=1e-15)


@pytest.mark.parametrize("schedule", ALL, ids=str)
@given(t=st.integers(0, 10**6))
def test_factors_lie_between_0_and_1(schedule, t):
    assert 0 <= schedule.factor(t) <= 1


def test_every_schedule_is_tested():
    assert {type(schedule) for schedule in ALL} | {OnPlateau} == set(SCHEDULES.values())


def test_schedules_follow_one_another_in_epochs_and_in_steps():
    plan = Plan([Warmup(5, begin=0.0, by="step"), Constant(2), Exponential(0.5)], steps=10)
    assert [plan.factor(step) for step in (0, 4, 5, 24)] == [0, 0.8, 1, 1]
    assert [plan.factor(step) for step in (25, 34, 35, 45)] == [1, 1, 0.5, 0.25]


def test_what_goes_on_for_ever_is_not_followed():
    with pytest.raises(
        ValueError, match=r"Step\(.*\) goes on for ever, and Cosine\(.*\) is to follow it: give it a len"
    ):
        Plan([Step(2), Cosine(4)], steps=10)
    with pytest.raises(ValueError, match="stands alone"):
        Plan([Warmup(2), OnPlateau()], steps=10)


def test_a_plateau_is_counted_from_the_best_epoch():
    plateau = OnPlateau(rate=0.5, patience=2, threshold=0.1)
    losses = [1.0, 0.95, 0.91, 0.92]  # less than a tenth better is no improvement: three epochs waited
    assert [plateau.after(losses[:n]) for n in range(5)] == [1, 1, 1, 1, 0.5]
    assert plateau.after([*losses, 0.8, 0.8, 0.8]) == 0.5
    assert plateau.after([*losses, 0.8, 0.8, 0.8, 0.8]) == 0.25
    assert OnPlateau(patience=0).after([math.nan, math.nan]) == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("make", "settings", "message"),
    [
        (Step, {"every": 0}, "Step: every must be a whole number of at least 1, found 0"),
        (Step, {"every": 2, "rate": -1}, "Step: rate must be a number of at least 0, found -1"),
        (Exponential, {"rate": math.nan}, "Exponential: rate must be a number"),
        (Cosine, {"length": 2.5}, "Cosine: length must be a whole number of at least 1, found 2.5"),
        (Cosine, {"length": True}, "Cosine: length must be a whole number"),
        (Warmup, {"length": 3, "by": "week"}, "Warmup: by must be 'epoch' or 'step', found 'week'"),
        (OneCycle, {"length": 1}, "OneCycle: length must be a whole number of at least 2"),
        (OneCycle, {"length": 10, "rise": 0.05}, "OneCycle: rise must be a share between 0.1 and 1 for a length of 10"),
        (OnPlateau, {"patience": -1}, "OnPlateau: patience must be a whole number of at least 0"),
    ],
)
def test_impossible_settings_are_refused(make, settings, message):
    with pytest.raises(ValueError, match=message):
        make(**settings)


def test_each_step_of_training_takes_its_rate():
    # 50 samples in batches of 10 are 5 steps an epoch
    sets = three_classes()
    schedule = [Warmup(5, begin=0.2, by="step"), Step(1, 0.5)]
    run = fit(sets, batch_size=10, epochs=3, optimizer=SGD(0.1), schedule=schedule, dtype=np.float64)
    assert [record["learning_rate"] for record in run.history] == pytest.approx([0.02, 0.1, 0.05])

    seen = []

    class Watched(SGD):
        def update(self, params, grads, state):
            seen.append(self.lr)
            return super().update(params, grads, state)

    same = fit(sets, batch_size=10, epochs=3, optimizer=Watched(0.1), schedule=schedule, dtype=np.float64)
    np.testing.assert_allclose(seen, 0.1 * np.array([0.2, 0.36, 0.52, 0.68, 0.84, *[1] * 5, *[0.5] * 5]))
    assert digest(same.parameters) == digest(run.parameters)


def test_a_constant_schedule_changes_no_bit_and_a_factor_is_a_learning_rate():
    sets = three_classes()
    plain = fit(sets, epochs=2)
    assert digest(fit(sets, epochs=2, schedule=Constant()).parameters) == digest(plain.parameters)
    halved = fit(sets, optimizer=SGD(0.2), epochs=2, schedule=Warmup(100, begin=0.5, by="step")).parameters
    assert digest(halved) != digest(plain.parameters)


def test_training_drops_the_rate_on_a_plateau():
    # with a rate of 1e-300 nothing improves from the first epoch on
    run = fit(three_classes(), optimizer=SGD(1e-300), epochs=6, schedule=OnPlateau(rate=0.5, patience=1))
    assert [record["learning_rate"] / 1e-300 for record in run.history] == pytest.approx([1, 1, 1, 0.5, 0.5, 0.25])


def test_what_is_no_schedule_is_refused_before_training():
    with pytest.raises(
        TreadleError, match=r"a schedule should be one such as td.optim.Cosine\(length=10\), found 'cos"
    ):
        fit(three_classes(), schedule=["cosine"])
    with pytest.raises(ValueError, match="goes on for ever"):
        fit(three_classes(), schedule=[td.optim.Step(2), td.optim.Step(3)])


def test_an_optimiser_without_a_rate_has_no_schedule():
    class Fixed(td.optim.Optimizer):
        def init(self, params):  # noqa: ARG002
            return {}

        def step(self, params, grads, state):
            return params - 0.1 * grads, state

    fit(three_classes(), optimizer=Fixed())
    with pytest.raises(TreadleError, match=r"a schedule changes the setting lr of an optimiser, and .* has none"):
        fit(three_classes(), optimizer=Fixed(), schedule=Constant())
