"""Training ends after some epochs without a lower validation loss, wherever it was gone on from."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import treadle as td
from small_sets import digest, fit, same_history, three_classes
from treadle.errors import TreadleError
from treadle.runs.checkpoints import from_bytes, to_bytes
from treadle.train import stopped_early

STEEP = {"optimizer": td.optim.SGD(6.0), "batch_size": 10}  # the validation loss goes up and down


def counted(losses, patience):
    """The plain loop with a counter, as in every textbook."""
    best, waited = math.inf, 0
    for loss in losses:
        if loss < best:
            best, waited = loss, 0
        else:
            waited += 1
        if waited >= patience:
            return True
    return False


@given(st.lists(st.sampled_from([0.5, 1.0, 1.5, 2.0, math.inf, math.nan])), st.integers(1, 4))
def test_it_is_the_loop_with_a_counter(losses, patience):
    first = next((n for n in range(len(losses) + 1) if stopped_early(losses[:n], patience)), None)
    expected = next((n for n in range(len(losses) + 1) if counted(losses[:n], patience)), None)
    assert first == expected
    assert stopped_early(losses, None) is None


def test_it_says_why():
    assert stopped_early([2.0, 1.0, 1.0], 1) == "no validation loss lower than that of epoch 2 in the 1 epoch after it"
    assert stopped_early([math.nan] * 2, 2) == "no finite validation loss in 2 epochs"


@pytest.mark.parametrize("patience", [1, 2, 3])
def test_a_training_is_the_beginning_of_the_one_that_does_not_stop(patience):
    sets = three_classes()
    whole, short = (fit(sets, epochs=30, patience=p, **STEEP) for p in (None, patience))
    losses = [record["validation_loss"] for record in whole.history]
    end = next(n for n in range(31) if counted(losses[:n], patience))
    assert end < 30
    assert len(short.history) == end
    assert short.history[-1]["validation_loss"] == losses[end - 1]
    best = int(np.argmin(losses[:end])) + 1
    assert short.weights_epoch == best == end - patience
    assert short.stopped_early == stopped_early(losses[:end], patience)
    assert f"that of epoch {best} " in short.stopped_early
    assert whole.stopped_early is None
    assert digest(short.parameters) == digest(fit(sets, epochs=best, **STEEP).parameters)


def test_going_on_at_every_step_stops_at_the_same_epoch():
    sets, kept = three_classes(), []
    settings = {**STEEP, "epochs": 30, "patience": 2}
    whole = fit(sets, on_progress=lambda progress, run: kept.append(to_bytes(progress)), progress_every=1, **settings)
    for content in kept:
        run = fit(sets, start=from_bytes(content, "checkpoint"), **settings)
        assert same_history(run, whole)
        assert (run.stopped_early, run.step) == (whole.stopped_early, whole.step)
        assert digest(run.parameters) == digest(whole.parameters)


def test_more_epochs_change_nothing_and_more_patience_goes_on():
    sets = three_classes()
    short = fit(sets, epochs=30, patience=1, **STEEP)
    again = fit(sets, epochs=60, patience=1, start=short.progress, **STEEP)
    assert (again.step, again.stopped_early) == (short.step, short.stopped_early)
    on, whole = (fit(sets, epochs=30, patience=3, start=start, **STEEP) for start in (short.progress, None))
    assert len(on.history) > len(short.history)
    assert same_history(on, whole)


def test_patience_that_ends_with_the_last_epoch_stops_nothing_early():
    sets = three_classes()
    end = len(fit(sets, epochs=30, patience=2, **STEEP).history)
    run = fit(sets, epochs=end, patience=2, **STEEP)
    assert run.stopped_early is None
    assert fit(sets, epochs=end, patience=2, start=run.progress, **STEEP).stopped_early is None


@pytest.mark.parametrize("patience", [0, -1, 1.5, True, "3"])
def test_patience_is_a_whole_number_of_at_least_1(patience):
    with pytest.raises(TreadleError, match="patience"):
        fit(three_classes(), patience=patience)


# callbacks that end training


def test_training_ends_where_on_epoch_returns_true():
    sets, settings = three_classes(), {"batch_size": 10, "epochs": 6}
    run = fit(sets, on_epoch=lambda run: len(run.history) == 2, **settings)
    assert (len(run.history), run.stopped_early) == (2, "on_epoch returned True")
    on = fit(sets, start=run.progress, **settings)
    whole = fit(sets, **settings)
    assert same_history(on, whole)
    assert digest(on.parameters) == digest(whole.parameters)
    assert whole.stopped_early is None


@pytest.mark.parametrize("returned", [None, False, np.bool_(False), 1, "yes", [1]])
def test_anything_but_true_does_not_end_it(returned):
    assert len(fit(three_classes(), epochs=2, on_epoch=lambda run: returned).history) == 2


def test_true_of_numpy_ends_it():
    assert len(fit(three_classes(), epochs=2, on_epoch=lambda run: np.float64(2) > 1).history) == 1


def test_true_after_the_last_epoch_is_nothing_early():
    assert fit(three_classes(), epochs=1, on_epoch=lambda run: True).stopped_early is None
