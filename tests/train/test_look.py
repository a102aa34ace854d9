"""Looks at a step: on functions where each number is known, and against a trace."""

from types import MappingProxyType

import numpy as np
import pytest

import treadle as td
from small_sets import fit, line, pictures, three_classes
from treadle.nn import (
    BatchNorm,
    Conv2d,
    Dropout,
    Flatten,
    GlobalAvgPool2d,
    Linear,
    MaxPool2d,
    ReLU,
    Sequential,
    Sigmoid,
)
from treadle.train.findings import Judge
from treadle.train.look import Lookout


@pytest.fixture
def looks(monkeypatch):
    """All looks that trainings take in this test."""
    taken = []
    plain = Lookout.end
    monkeypatch.setattr(Lookout, "end", lambda *arguments: taken.append(plain(*arguments)) or taken[-1])
    return taken


def test_steepness_is_the_rate_times_the_curvature(looks):
    # one weight, full batches, loss (w x − y)²: a parabola of curvature 2 mean(x²), whatever the direction
    sets = line(50)
    x = np.c_[sets.train.inputs, np.ones(50)]
    curvature = np.linalg.eigvalsh(2 * x.T @ x / 50)
    for lr in (0.01, 0.3):
        looks.clear()
        fit(
            sets, Sequential(Linear(1)), optimizer=td.optim.SGD(lr), batch_size=50, epochs=5, scale="none",
            dtype=np.float64,
        )  # fmt: skip
        for look in looks:
            assert lr * curvature[0] <= look.steepness <= lr * curvature[-1]
            assert look.before > look.after


def test_losses_and_updates_are_those_of_training(looks):
    seen, sets = [], three_classes()
    fit(
        sets, Sequential(Linear(3)), optimizer=td.optim.Adam(0.01), batch_size=10, epochs=4, dtype=np.float64,
        on_step=lambda state, _: seen.append((state.loss, state.params["linear1"]["weight"].copy())),
    )  # fmt: skip
    assert [look.step for look in looks] == [1, 4, 16, 20]
    losses = [loss for loss, _ in seen]
    assert [look.loss for look in looks] == pytest.approx(
        [losses[0], np.mean(losses[1:4]), np.mean(losses[4:16]), np.mean(losses[16:])], rel=1e-12
    )
    first = Sequential(Linear(3)).init((4,), seed=0, dtype=np.float64)["linear1"]["weight"]
    for look in looks[1:]:
        before, after = seen[look.step - 2][1], seen[look.step - 1][1]
        assert look.before == losses[look.step - 1]
        largest = max(np.linalg.norm(after), np.linalg.norm(first))
        expected = np.linalg.norm(after - before) / largest
        assert look.updates == {"linear1.weight": pytest.approx(expected, rel=1e-9)}


NETWORKS = {
    "dense": (three_classes, Sequential(Linear(6), ReLU(), Linear(5), Sigmoid(), Linear(3))),
    "images": (
        pictures,
        Sequential(
            Conv2d(4, 3, padding=1), BatchNorm(), ReLU(), MaxPool2d(2), Conv2d(6, 3), ReLU(), GlobalAvgPool2d(),
            Dropout(0.2), Flatten(), Linear(4),
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("batch_size", [4, 20])
def test_a_look_sees_what_a_trace_shows(looks, monkeypatch, name, batch_size):
    make, network = NETWORKS[name]
    sets, traced = make(), []
    plain = Lookout._look

    def traced_too(self, indices, seen):
        g = self.gradients
        inputs, targets = g.load(indices)
        traced.append(td.trace(network, (inputs, targets), g.loss, parameters=g.params, seed=int(g.key)))
        plain(self, indices, seen)

    monkeypatch.setattr(Lookout, "_look", traced_too)
    run = fit(sets, network, batch_size=batch_size, epochs=1, dtype=np.float64)
    steps = -(-len(sets.train) // batch_size)
    assert looks[-1].step == run.step == steps
    count = min(32 // batch_size, 8)
    for number, look in enumerate(looks):
        mine = traced[number * count : (number + 1) * count]
        assert look.samples == sum(trace.samples for trace in mine) == count * batch_size
        squares, active, slopes = {}, {}, []
        for trace in mine:
            for op in trace:
                for source in op.names:
                    if source.endswith("weight") and trace.gradients[source].ndim > 1:
                        squares[source] = squares.get(source, 0) + np.sum(op.gradient**2)
                if op.name == "relu":
                    units = np.moveaxis(op.output, 1, 0).reshape(op.output.shape[1], -1).any(axis=1)
                    active[op.layer] = active.get(op.layer, False) | units
                if op.name == "sigmoid":
                    slopes.append(4 * op.output * (1 - op.output))
        assert look.arriving == pytest.approx({path: np.sqrt(total) for path, total in squares.items()}, rel=1e-9)
        assert list(look.arriving)[-1] == "linear3.weight" if name == "dense" else "linear1.weight"
        assert look.idle == {layer: (np.sum(~units), len(units)) for layer, units in active.items()}
        if slopes:
            assert look.saturated == {"sigmoid1": np.mean(np.concatenate(slopes) < 0.01)}


def test_looking_changes_nothing_of_a_training():
    from small_sets import digest, same_history

    sets = pictures()
    network = NETWORKS["images"][1]
    runs = [fit(sets, network, batch_size=8, epochs=3, diagnose=diagnose) for diagnose in (True, False)]
    assert same_history(*runs)
    assert digest(runs[0].parameters) == digest(runs[1].parameters)


class Stand:
    """What a lookout and a judge ask of gradients."""

    loss = td.losses.CrossEntropy()
    places = MappingProxyType({})
    feed = type("Feed", (), {"targets": np.repeat(np.arange(4), 3), "dtype": np.dtype(np.float64), "blocks": None})


def test_samples_of_looks_differ_and_none_comes_twice():
    lookout = Lookout(Stand, 1000, 100)
    first = lookout._batches()
    lookout._looks += 1
    second = lookout._batches()
    assert [len(batch) for batch in first] == [32]
    assert len(set(first[0])) == 32
    assert len(set(first[0]) & set(second[0])) < 5
    lookout = Lookout(Stand, 10, 4)
    assert [len(batch) for batch in lookout._batches()] == [4, 4]
    assert len(set(np.concatenate(lookout._batches()))) == 8


def test_level_of_who_knows_nothing_of_the_inputs():
    assert Judge(Stand, 4, 100)._level == pytest.approx(np.log(4), rel=1e-12)
