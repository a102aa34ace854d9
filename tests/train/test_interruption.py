"""Ctrl-C leaves a run after its last complete step."""

import itertools
import signal
import threading

import pytest

import treadle as td
from small_sets import digest, fit, pictures, three_classes
from treadle.kernels import cpu
from treadle.train.look import Lookout
from treadle.train.signals import Whole


@pytest.mark.parametrize(("stop", "epochs_done"), [(1, 0), (5, 0), (6, 1), (12, 2)])
def test_an_interruption_keeps_the_last_complete_step(stop, epochs_done):
    sets, seen = three_classes(), {}
    whole = fit(sets, batch_size=10, epochs=3, on_step=lambda state, _: seen.update({state.step: digest(state.params)}))

    def on_step(state, steps):
        assert steps == 5
        if state.step == stop:
            raise KeyboardInterrupt

    with pytest.raises(td.Interrupted, match=f"stopped after {stop} steps") as stopped:
        fit(sets, batch_size=10, epochs=3, on_step=on_step)
    run = stopped.value.run
    assert isinstance(stopped.value, KeyboardInterrupt)
    assert run.step == stop
    assert digest(run.progress.parameters) == seen[stop]
    assert len(run.history) == epochs_done
    assert [h["train_loss"] for h in run.history] == [h["train_loss"] for h in whole.history[:epochs_done]]
    assert run.test()["samples"] == 30


def test_an_interruption_after_an_epoch_keeps_it():
    def on_epoch(run):
        if len(run.history) == 2:
            raise KeyboardInterrupt

    with pytest.raises(td.Interrupted) as stopped:
        fit(three_classes(), batch_size=10, epochs=5, on_epoch=on_epoch)
    assert (len(stopped.value.run.history), stopped.value.run.step) == (2, 10)


def seen(sets, **settings):
    """Digests of the parameters after each step of a whole run."""
    found = {}
    fit(sets, on_step=lambda state, _: found.update({state.step: digest(state.params)}), **settings)
    return found


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(
    ("name", "call", "done"),
    [
        ("take_scaled", 1, 0),
        ("take_scaled", 5, 4),  # replayed
        ("take_scaled", 8, 7),
        ("cross_entropy_gradient", 1, 0),  # on the tape
        ("cross_entropy_gradient", 2, 1),  # while it is recorded
        ("largest", 1, 1),  # an update that has begun is carried through
        ("sgd", 1, 1),
        ("sgd", 7, 7),
        ("sgd", 10, 10),
    ],
)
def test_an_interruption_within_a_step(monkeypatch, name, call, done, after):
    settings = {"network": "mlp_relu", "batch_size": 8, "epochs": 2, "diagnose": False}  # 10 steps
    sets, calls, kernel = pictures(), itertools.count(1), getattr(cpu, name)
    whole = {0: digest(td.nn.MODELS["mlp_relu"](4).init(sets.train.shape, seed=0)), **seen(sets, **settings)}

    def interrupted(*arrays, **options):
        number = next(calls)
        if number == call and not after:
            signal.raise_signal(signal.SIGINT)
        result = kernel(*arrays, **options)
        if number == call and after:
            signal.raise_signal(signal.SIGINT)
        return result

    monkeypatch.setattr(cpu, name, interrupted)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(td.Interrupted) as stopped:
        fit(sets, **settings)
    assert stopped.value.run.step == done
    assert digest(stopped.value.run.progress.parameters) == whole[done]
    assert signal.getsignal(signal.SIGINT) is before


def test_an_interruption_within_a_look(monkeypatch):
    look = Lookout._look

    def interrupted(self, indices, seen):
        look(self, indices, seen)
        if self._looks == 2:
            signal.raise_signal(signal.SIGINT)

    settings = {"batch_size": 8, "epochs": 2}
    whole = seen(three_classes(), **settings)
    monkeypatch.setattr(Lookout, "_look", interrupted)
    with pytest.raises(td.Interrupted) as stopped:
        fit(three_classes(), **settings)
    assert stopped.value.run.step == 4
    assert digest(stopped.value.run.progress.parameters) == whole[4]


class Halves(td.optim.SGD):
    """An update in two parts, with an interruption between them at the fourth step or in the way given."""

    def interrupt(self):
        signal.raise_signal(signal.SIGINT)

    def init(self, params):  # noqa: ARG002
        return 1

    def update(self, params, grads, state):
        half = len(params) // 2
        params[:half] -= self.lr * grads[:half]
        if state == 4:
            self.interrupt()
        params[half:] -= self.lr * grads[half:]
        return state + 1


def test_an_interruption_between_the_parts_of_an_update_waits_for_its_end():
    class Whole(Halves):
        def interrupt(self):
            """Go on."""

    whole = seen(three_classes(), batch_size=10, optimizer=Whole(0.1))
    with pytest.raises(td.Interrupted) as stopped:
        fit(three_classes(), batch_size=10, optimizer=Halves(0.1))
    run = stopped.value.run
    assert (run.step, digest(run.progress.parameters)) == (4, whole[4])


def test_an_error_in_the_step_of_an_own_optimiser_leaves_the_parameters():
    class Own(td.optim.Optimizer):
        last = 3

        def init(self, params):  # noqa: ARG002
            return 0

        def step(self, params, grads, state):
            if state == self.last:
                raise KeyboardInterrupt
            return params - 0.1 * grads, state + 1

    endless = Own()
    endless.last = 1000
    whole = seen(three_classes(), batch_size=10, optimizer=endless)
    with pytest.raises(td.Interrupted) as stopped:
        fit(three_classes(), batch_size=10, optimizer=Own())
    assert (stopped.value.run.step, digest(stopped.value.run.progress.parameters)) == (3, whole[3])


@pytest.mark.parametrize("epoch", [1, 2])
def test_an_interruption_of_an_evaluation_keeps_the_steps_and_the_epochs_before(monkeypatch, epoch):
    calls, predict = itertools.count(1), td.losses.CrossEntropy.predict
    whole = seen(three_classes(), batch_size=10, epochs=2)

    def interrupted(self, outputs):
        if next(calls) == epoch:
            signal.raise_signal(signal.SIGINT)
        return predict(self, outputs)

    monkeypatch.setattr(td.losses.CrossEntropy, "predict", interrupted)
    with pytest.raises(td.Interrupted) as stopped:
        fit(three_classes(), batch_size=10, epochs=2)
    run = stopped.value.run
    assert (run.step, len(run.history), digest(run.progress.parameters)) == (5 * epoch, epoch - 1, whole[5 * epoch])


def test_a_thread_other_than_the_main_one_trains_too():
    found = []
    thread = threading.Thread(target=lambda: found.append(fit(three_classes()).step))
    thread.start()
    thread.join()
    assert found == [1]


def test_handlers_of_others_are_called_once_the_block_is_left_and_put_back():
    calls = []

    def handler(number, frame):
        calls.append(number)

    before = signal.signal(signal.SIGTERM, handler)
    try:
        whole = Whole()
        with whole.installed():
            with whole:
                signal.raise_signal(signal.SIGTERM)
                assert calls == []
            assert calls == [signal.SIGTERM]
            signal.raise_signal(signal.SIGTERM)
            assert calls == [signal.SIGTERM] * 2
        assert signal.getsignal(signal.SIGTERM) is handler
    finally:
        signal.signal(signal.SIGTERM, before)
