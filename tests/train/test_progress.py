"""A training that goes on from its progress is the training that never stopped."""

from dataclasses import replace

import numpy as np
import pytest

import treadle as td
from small_sets import NETWORK, digest, fit, line, pictures, same_history, three_classes
from treadle.data import Flip, Noise, Prefetch, Shift
from treadle.errors import TrainingError
from treadle.optim import OPTIMIZERS
from treadle.runs.checkpoints import from_bytes, to_bytes
from treadle.train.progress import filled, flattened

NUMBERS = {"lr": 0.05}
SCHEDULES = {
    "none": (),
    "step": td.optim.Step(1, 0.5),
    "cosine": td.optim.Cosine(3),
    "warmup, then cosine": (td.optim.Warmup(4, by="step"), td.optim.Cosine(2)),
    "plateau": td.optim.OnPlateau(0.5, patience=0),
}


def stopped_everywhere(sets, network=NETWORK, every=1, **settings):
    """Train whole, and keep what a checkpoint after every step and epoch would hold."""
    kept = []
    whole = fit(
        sets,
        network,
        on_progress=lambda progress, run: kept.append(to_bytes(progress)),
        progress_every=every,
        **settings,
    )
    return whole, [from_bytes(content, "checkpoint") for content in kept]


def same(one, other):
    assert digest(one.parameters) == digest(other.parameters)
    assert digest(one.progress.parameters) == digest(other.progress.parameters)
    assert same_history(one, other)
    assert (one.step, one.weights_epoch) == (other.step, other.weights_epoch)
    assert [finding.to_dict() for finding in one.findings] == [finding.to_dict() for finding in other.findings]


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_at_every_step_with_every_optimizer_and_schedule(optimizer, schedule):
    settings = {
        "optimizer": OPTIMIZERS[optimizer](**({} if optimizer == "adadelta" else NUMBERS)),
        "schedule": SCHEDULES[schedule],
        "batch_size": 20,
        "epochs": 3,
    }
    sets = three_classes()
    whole, kept = stopped_everywhere(sets, **settings)
    assert len(kept) == 9
    for start in kept:
        same(fit(sets, start=start, **settings), whole)


@pytest.mark.parametrize("prefetch", [Prefetch(3, 2), Prefetch(2, 1), Prefetch(2, 2, "process", 60)])
def test_with_workers_augmentation_dropout_and_running_means(prefetch):
    network = td.nn.Sequential(
        td.nn.Conv2d(4, 3), td.nn.BatchNorm(), td.nn.ReLU(), td.nn.Flatten(), td.nn.Dropout(0.2), td.nn.Linear(4)
    )
    settings = {
        "augmentations": [Shift(1), Flip(), Noise(0.05)],
        "optimizer": td.optim.Adam(0.01),
        "batch_size": 8,
        "epochs": 2,
    }
    sets = pictures(sizes=(45, 10, 10))
    whole, kept = stopped_everywhere(sets, network, every=2, **settings)
    places = range(0, len(kept), 1 if prefetch.worker_kind == "thread" else 3)
    for place in places:
        same(fit(sets, network, start=kept[place], prefetch=prefetch, **settings), whole)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_of_numbers_without_shuffling_and_the_smaller_last_batch(threads, dtype):
    settings = {"batch_size": 12, "epochs": 3, "shuffle": False, "drop_last": True, "dtype": dtype, "threads": threads}
    sets = line(noise=0.3)
    network = td.nn.Sequential(td.nn.Linear(3), td.nn.Tanh(), td.nn.Linear(1))
    whole, kept = stopped_everywhere(sets, network, **settings)
    for start in kept:
        same(fit(sets, network, start=start, **settings), whole)


def test_findings_are_those_of_the_whole_training():
    settings = {"optimizer": td.optim.SGD(30.0), "batch_size": 10, "epochs": 8}
    sets = three_classes()
    whole, kept = stopped_everywhere(sets, **settings)
    assert whole.findings
    for start in kept:
        same(fit(sets, start=start, **settings), whole)


def test_more_epochs_than_before():
    sets = three_classes()
    short = fit(sets, batch_size=10, epochs=2)
    same(fit(sets, batch_size=10, epochs=5, start=short.progress, diagnose=False), fit(sets, batch_size=10, epochs=5))


@pytest.mark.parametrize("step", [1, 5, 7, 10, 14])
def test_an_interruption_can_be_gone_on_from(step):
    def on_step(state, steps):
        if state.step == step:
            raise KeyboardInterrupt

    sets, settings = three_classes(), {"batch_size": 10, "epochs": 3, "optimizer": td.optim.Adam(0.1)}
    with pytest.raises(td.Interrupted) as stopped:
        fit(sets, on_step=on_step, **settings)
    progress = from_bytes(to_bytes(stopped.value.run.progress), "checkpoint")
    assert progress.step == step
    same(fit(sets, start=progress, **settings), fit(sets, **settings))


def test_an_interruption_of_an_evaluation_can_be_gone_on_from(monkeypatch):
    sets, settings = three_classes(), {"batch_size": 10, "epochs": 3}
    whole = fit(sets, **settings)

    def interrupted(self, outputs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(td.losses.CrossEntropy, "predict", interrupted)
        with pytest.raises(td.Interrupted) as stopped:
            fit(sets, **settings)
    progress = stopped.value.run.progress
    assert (progress.epoch, progress.batch, progress.step) == (0, 5, 5)
    same(fit(sets, start=progress, **settings), whole)


def test_going_on_changes_neither_the_progress_nor_the_run_it_is_of():
    sets = three_classes()
    short = fit(sets, batch_size=10)
    before = digest(short.progress.parameters), digest(short.parameters), len(short.history)
    fit(sets, batch_size=10, epochs=3, start=short.progress)
    assert (digest(short.progress.parameters), digest(short.parameters), len(short.history)) == before


# the best weights


def learnt_by_heart():
    """Sets whose targets belong to nothing: the longer the training, the worse on the validation set."""
    sets = three_classes()
    targets = np.random.default_rng(0).permutation(sets.train.targets)
    return replace(sets, train=replace(sets.train, targets=targets))


def test_the_weights_are_those_of_the_lowest_validation_loss():
    kept, sets = [], learnt_by_heart()
    run = fit(
        sets,
        optimizer=td.optim.SGD(1.0),
        batch_size=10,
        epochs=12,
        on_progress=lambda progress, run: kept.append(digest(progress.parameters)),
    )
    losses = [record["validation_loss"] for record in run.history]
    best = int(np.argmin(losses))
    assert best + 1 < len(losses)  # else this shows nothing
    assert run.weights_epoch == best + 1
    assert digest(run.parameters) == kept[best]
    assert digest(run.progress.parameters) == kept[-1] != kept[best]
    found = run.predict(sets.validation.inputs)
    assert np.mean(-np.log(found[np.arange(20), sets.validation.targets])) == pytest.approx(losses[best], rel=1e-5)


def test_the_last_weights_where_they_are_asked_for():
    sets, settings = learnt_by_heart(), {"optimizer": td.optim.SGD(1.0), "batch_size": 10, "epochs": 12}
    run = fit(sets, weights="last", **settings)
    assert run.weights_epoch == 12
    assert (
        digest(run.parameters) == digest(run.progress.parameters) == digest(fit(sets, **settings).progress.parameters)
    )
    assert run.progress.best is None


def test_no_epoch_no_choice():
    def on_step(state, steps):
        raise KeyboardInterrupt

    with pytest.raises(td.Interrupted) as stopped:
        fit(three_classes(), batch_size=10, on_step=on_step)
    run = stopped.value.run
    assert run.weights_epoch is None
    assert digest(run.parameters) == digest(run.progress.parameters)


# when it is told


def test_told_after_steps_and_epochs_and_not_twice():
    told = []
    fit(
        three_classes(),
        batch_size=10,
        epochs=2,
        progress_every=2,
        on_progress=lambda progress, run: told.append((progress.epoch, progress.batch, progress.step)),
    )
    assert told == [(0, 2, 2), (0, 4, 4), (1, 0, 5), (1, 1, 6), (1, 3, 8), (2, 0, 10)]


def test_told_before_the_epoch_is():
    told = []
    fit(
        three_classes(),
        epochs=2,
        on_progress=lambda progress, run: told.append(("progress", len(run.history))),
        on_epoch=lambda run: told.append(("epoch", len(run.history))),
    )
    assert told == [("progress", 1), ("epoch", 1), ("progress", 2), ("epoch", 2)]


# trees


def test_what_does_not_fit_is_listed():
    form = {"w": np.zeros((2, 3), np.float32), "count": 0, "b": [np.zeros(2)]}
    arrays = flattened(form)
    del arrays["count"]
    arrays |= {"w": np.zeros((3, 2), np.float32), "b.0": np.zeros(2, np.float32), "c": np.zeros(1)}
    with pytest.raises(TrainingError) as caught:
        filled(form, arrays, "state")
    assert str(caught.value) == (
        "the state to go on from does not fit this training: count is missing; c is unknown; w should be float32 "
        "(2, 3), found float32 (3, 2); b.0 should be float64 (2,), found float32 (2,)"
    )


def test_progress_of_another_network_or_optimizer_is_refused():
    sets = three_classes()
    progress = fit(sets).progress
    with pytest.raises(TrainingError, match=r"the parameters to go on from does not fit.*linear1\.weight should be"):
        fit(sets, td.nn.Sequential(td.nn.Linear(6), td.nn.ReLU(), td.nn.Linear(3)), start=progress)
    with pytest.raises(TrainingError, match=r"the state of the optimizer to go on from does not fit"):
        fit(sets, start=progress, optimizer=td.optim.Adam(0.1))
