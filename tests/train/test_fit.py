"""What training computes, and of which data."""

import itertools

import numpy as np
import pytest

import treadle as td
from small_sets import NETWORK, digest, fit, line, same_history, three_classes
from treadle.data import Dataset, Order, Sets
from treadle.nn import Linear, Sequential


def test_least_squares_is_where_full_batches_lead():
    sets = line(60, noise=0.3, features=3)
    run = fit(sets, Sequential(Linear(1)), batch_size=60, epochs=800, scale="none", dtype=np.float64)
    x = np.c_[sets.train.inputs, np.ones(60)]
    expected, residual, _, _ = np.linalg.lstsq(x, sets.train.targets)
    layer = run.parameters["linear1"]
    np.testing.assert_allclose(np.r_[layer["weight"][:, 0], layer["bias"]], expected, rtol=1e-9)
    assert run.history[-1]["train_loss"] == pytest.approx(residual[0] / 60, rel=1e-12)


def test_every_step_is_that_of_numpy():
    # softmax regression, written out: p ← p − lr ∂L/∂p over the batches of each epoch's order
    sets, seed, batch, lr = three_classes(), 3, 16, 0.5
    network = Sequential(Linear(3))
    start = network.init((4,), seed=seed, dtype=np.float64)["linear1"]
    w, b = start["weight"].copy(), start["bias"].copy()
    x, y = sets.train.inputs, sets.train.targets
    low, high = x.min(axis=0), x.max(axis=0)

    def losses(x, y):
        scores = (x - low) / (high - low) @ w + b
        p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        return p, -np.log(p[np.arange(len(y)), y])

    history = []
    for epoch in range(3):
        seen = []
        indices = Order(50, seed).indices(epoch)
        for rows in (indices[i : i + batch] for i in range(0, 50, batch)):
            p, each = losses(x[rows], y[rows])
            seen.extend(each)
            difference = (p - np.eye(3)[y[rows]]) / len(rows)
            scaled = (x[rows] - low) / (high - low)
            w, b = w - lr * scaled.T @ difference, b - lr * difference.sum(axis=0)
        p, each = losses(sets.validation.inputs, sets.validation.targets)
        history.append((np.mean(seen), np.mean(each), np.mean(p.argmax(axis=1) == sets.validation.targets)))

    run = fit(sets, network, optimizer=td.optim.SGD(lr), batch_size=batch, epochs=3, seed=seed, dtype=np.float64)
    np.testing.assert_allclose(run.parameters["linear1"]["weight"], w, rtol=1e-11, atol=1e-14)
    np.testing.assert_allclose(run.parameters["linear1"]["bias"], b, rtol=1e-11, atol=1e-14)
    # 50 samples are batches of 16, 16, 16 and 2: the mean over samples is not that over batches
    found = [(h["train_loss"], h["validation_loss"], h["validation_accuracy"]) for h in run.history]
    np.testing.assert_allclose(found, history, rtol=1e-12)
    assert run.step == 3 * 4


def test_without_shuffle_the_samples_come_in_order():
    seen = []

    class Watching(td.losses.SquaredError):
        def __call__(self, outputs, targets):
            seen.append(np.ravel(targets).tolist())
            return super().__call__(outputs, targets)

    x = np.arange(5.0)[:, None]
    rows = Dataset(x, x[:, 0], None, "rows")
    sets = Sets(rows, rows[:1], rows[:1], "rows", "made up")
    settings = {"loss": Watching(), "scale": "none", "batch_size": 2, "epochs": 2, "optimizer": td.optim.SGD(0.0)}
    settings["diagnose"] = False
    td.fit(Sequential(Linear(1)), sets, shuffle=False, **settings)
    assert [batch for batch in seen if batch != [0]] == [[0, 1], [2, 3], [4]] * 2
    seen.clear()
    td.fit(Sequential(Linear(1)), sets, shuffle=True, **settings)
    steps = list(itertools.chain(*seen[1:4], *seen[5:8]))
    assert sorted(steps[:5]) == sorted(steps[5:]) == [0, 1, 2, 3, 4]
    assert steps[:5] != steps[5:]


def test_parameters_to_begin_with():
    sets = three_classes()
    first = fit(sets, batch_size=50, epochs=2, seed=1, shuffle=False)
    kept = digest(first.parameters)
    on = fit(sets, batch_size=50, epochs=3, seed=1, shuffle=False, parameters=first.parameters)
    assert digest(first.parameters) == kept
    assert digest(on.parameters) == digest(fit(sets, batch_size=50, epochs=5, seed=1, shuffle=False).parameters)


def test_neither_parameters_nor_history_depend_on_the_test_set():
    sets = three_classes()
    strange = Dataset(1e6 * np.ones((3, 4)), np.array([2, 2, 2]), ("a", "b", "c"), "strange")
    runs = [fit(Sets(sets.train, sets.validation, test, "", ""), epochs=3) for test in (sets.test, strange)]
    assert digest(runs[0].parameters) == digest(runs[1].parameters)
    assert same_history(*runs)
    np.testing.assert_array_equal(runs[0].scale.offset, runs[1].scale.offset)
    np.testing.assert_array_equal(runs[0].scale.factor, runs[1].scale.factor)


def test_the_test_set_is_not_read_once_the_data_were_checked():
    class Guarded(Dataset):
        closed = False

        def __getattribute__(self, name):
            if name in ("inputs", "targets") and object.__getattribute__(self, "closed"):
                raise AssertionError(f"{name} of the test set were read during training")
            return object.__getattribute__(self, name)

    sets = three_classes()
    test = Guarded(sets.test.inputs, sets.test.targets, sets.test.classes, "test")
    close = lambda *_: object.__setattr__(test, "closed", True)  # noqa: E731
    run = fit(Sets(sets.train, sets.validation, test, "", ""), epochs=3, batch_size=10, on_step=close)
    assert len(run.history) == 3
    with pytest.raises(AssertionError, match="were read"):
        run.test()


def test_validation_does_not_change_the_parameters():
    sets = three_classes()
    other = Dataset(sets.validation.inputs * 50, sets.validation.targets[::-1].copy(), ("a", "b", "c"), "other")
    runs = [fit(Sets(sets.train, part, sets.test, "", ""), epochs=3) for part in (sets.validation, other)]
    assert digest(runs[0].parameters) == digest(runs[1].parameters)
    assert not same_history(*runs)


@pytest.mark.parametrize(("inputs", "labels"), [("u1", "i8"), ("u2", "i2"), ("f4", "i8")])
def test_the_byte_order_of_data_makes_no_difference(inputs, labels):
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (60, 1, 3, 3)), rng.integers(0, 2, 60)
    runs = []
    for order in "<>":
        sets = td.data.from_arrays(x.astype(order + inputs), y.astype(order + labels), classes=("a", "b"))
        runs.append(fit(sets, Sequential(td.nn.Flatten(), Linear(2)), scale="minmax", epochs=2))
    assert digest(runs[0].parameters) == digest(runs[1].parameters)
    assert same_history(*runs)


def test_fit_leaves_data_and_given_parameters_as_they_are():
    sets = three_classes()
    before, start = sets.fingerprint(), NETWORK.init((4,), seed=0)
    kept = digest(start)
    run = fit(sets, epochs=2, parameters=start)
    assert Sets(sets.train, sets.validation, sets.test, "", "").fingerprint() == before
    assert digest(start) == kept != digest(run.parameters)
