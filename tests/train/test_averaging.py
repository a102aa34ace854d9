"""Averages of parameters against their definitions, from the parameters of each step; and going on with them."""

import numpy as np
import pytest

import treadle as td
from small_sets import NETWORK, digest, fit, pictures, same_history, three_classes
from treadle.data import Noise, Shift
from treadle.errors import TrainingError, TreadleError
from treadle.nn import Mode
from treadle.optim import AVERAGES, EMA, SWA
from treadle.runs.checkpoints import from_bytes, to_bytes
from treadle.tensor import Tensor
from treadle.tree import leaves, tree_map

NORMALIZED = td.nn.Sequential(
    td.nn.Conv2d(4, 3), td.nn.BatchNorm(), td.nn.ReLU(), td.nn.Flatten(), td.nn.Dropout(0.2), td.nn.Linear(4)
)
RULES = {"ema": EMA(0.8), "ema 0": EMA(0.0), "swa from the first epoch": SWA(1), "swa": SWA(2)}


def recorded(sets, network=NETWORK, **settings):
    """Train, and keep the parameters after every step as float64."""
    steps = []

    def on_step(state, count):
        steps.append({path: leaf.astype(np.float64) for path, leaf in leaves(state.params)})

    return fit(sets, network, on_step=on_step, **settings), steps


def close(params, expected, tolerance=1e-6):
    found = dict(leaves(params))
    assert found.keys() == expected.keys()
    for path in found:
        np.testing.assert_allclose(found[path], expected[path], rtol=0, atol=tolerance, err_msg=path)


def weighted(steps, weights):
    return {path: sum(w * step[path] for w, step in zip(weights, steps, strict=True)) for path in steps[0]}


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ema_is_the_weighted_mean_of_all_steps(decay, dtype):
    sets, settings = three_classes(), {"batch_size": 10, "epochs": 3, "weights": "last", "dtype": dtype}
    run, steps = recorded(sets, averaging=EMA(decay), **settings)
    weights = np.array([(1 - decay) * decay**n for n in range(len(steps))][::-1])
    close(run.parameters, weighted(steps, weights / weights.sum()), 1e-6 if dtype == np.float32 else 1e-14)
    assert digest(run.progress.parameters) == digest(fit(sets, **settings).parameters)


def test_ema_averages_running_means_too():
    run, steps = recorded(pictures(), NORMALIZED, averaging=EMA(0.7), batch_size=8, epochs=2, weights="last")
    weights = np.array([0.3 * 0.7**n for n in range(len(steps))][::-1])
    close(run.parameters, weighted(steps, weights / weights.sum()))


def test_swa_is_the_mean_of_the_ends_of_epochs():
    run, steps = recorded(three_classes(), averaging=SWA(3), batch_size=10, epochs=6, weights="last")
    close(run.parameters, weighted(steps[14::5], [1 / 4] * 4))


def test_swa_computes_running_means_anew_by_a_pass_over_the_training_set():
    sets = pictures()
    network = td.nn.Sequential(td.nn.Conv2d(3, 3), td.nn.BatchNorm(0.3), td.nn.ReLU(), td.nn.Flatten(), td.nn.Linear(4))
    settings = {"batch_size": 10, "epochs": 4, "weights": "last", "shuffle": False, "dtype": np.float64}
    run, steps = recorded(sets, network, averaging=SWA(2), **settings)
    mean = weighted(steps[7::4], [1 / 3] * 3)
    running = ("batch_norm1.running_mean", "batch_norm1.running_var")
    close(
        {path: leaf for path, leaf in leaves(run.parameters) if path not in running},
        {path: leaf for path, leaf in mean.items() if path not in running},
        1e-14,
    )
    pieces = [sets.train.inputs[i : i + 10].astype(np.float64) for i in range(0, 40, 10)]
    convolution = td.nn.Conv2d(3, 3)
    kernel = {name: mean[f"conv2d1.{name}"] for name in ("weight", "bias")}
    features = [convolution(kernel, Tensor(run.scale.apply(piece, np.float64))).numpy() for piece in pieces]
    found = run.parameters["batch_norm1"]
    np.testing.assert_allclose(found["running_mean"], np.mean([f.mean((0, 2, 3)) for f in features], 0), rtol=1e-12)
    np.testing.assert_allclose(
        found["running_var"], np.mean([f.var((0, 2, 3), ddof=1) for f in features], 0), rtol=1e-12
    )
    assert digest(run.progress.parameters) == digest(fit(sets, network, **settings).parameters)


def test_before_its_first_epoch_swa_uses_the_parameters_themselves():
    sets, settings = three_classes(), {"batch_size": 10, "epochs": 3}
    plain = fit(sets, **settings)
    seen = []
    averaged = fit(sets, averaging=SWA(3), on_epoch=lambda run: seen.append(digest(run.parameters)), **settings)
    assert [record["validation_loss"] for record in averaged.history[:2]] == [
        record["validation_loss"] for record in plain.history[:2]
    ]
    assert seen[:2] == [digest(fit(sets, batch_size=10, epochs=n).parameters) for n in (1, 2)]


def test_validation_and_best_weights_are_those_of_the_average():
    sets, kept = three_classes(), []
    run = fit(
        sets,
        averaging=EMA(0.5),
        optimizer=td.optim.SGD(8.0),
        batch_size=10,
        epochs=8,
        on_progress=lambda progress, run: kept.append(tree_map(np.copy, progress.average)),
    )
    losses = [record["validation_loss"] for record in run.history]
    assert digest(run.parameters) == digest(kept[int(np.argmin(losses))])
    targets = sets.validation.targets
    for loss, params in zip(losses, kept, strict=True):
        run.parameters = params
        found = run.predict(sets.validation.inputs)[np.arange(len(targets)), targets]
        assert np.mean(-np.log(found)) == pytest.approx(loss, rel=1e-4)


@pytest.mark.parametrize("weights", ["best", "last"])
@pytest.mark.parametrize("rule", RULES)
def test_going_on_at_every_step_gives_the_same_bits(rule, weights):
    settings = {
        "averaging": RULES[rule],
        "augmentations": [Shift(1), Noise(0.05)],
        "optimizer": td.optim.Momentum(0.02),
        "batch_size": 12,
        "epochs": 3,
        "weights": weights,
    }
    sets, kept = pictures(), []
    whole = fit(
        sets,
        NORMALIZED,
        on_progress=lambda progress, run: kept.append(to_bytes(progress)),
        progress_every=1,
        **settings,
    )
    assert len(kept) == 12
    for content in kept:
        run = fit(sets, NORMALIZED, start=from_bytes(content, "checkpoint"), **settings)
        assert digest(run.parameters) == digest(whole.parameters)
        assert digest(run.progress.parameters) == digest(whole.progress.parameters)
        assert digest(run.progress.average) == digest(whole.progress.average)
        assert same_history(run, whole)
        assert run.weights_epoch == whole.weights_epoch


@pytest.mark.parametrize("rule", ["ema", "swa from the first epoch"])
def test_an_interruption_of_an_evaluation_takes_nothing_in_twice(monkeypatch, rule):
    sets, settings = three_classes(), {"batch_size": 10, "epochs": 3, "averaging": RULES[rule]}
    whole = fit(sets, **settings)
    count = 0

    def interrupted(self, outputs):
        nonlocal count
        count += 1
        if count == 2:
            raise KeyboardInterrupt
        return predict(self, outputs)

    predict = td.losses.CrossEntropy.predict
    with monkeypatch.context() as patch:
        patch.setattr(td.losses.CrossEntropy, "predict", interrupted)
        with pytest.raises(td.Interrupted) as stopped:
            fit(sets, **settings)
    progress = from_bytes(to_bytes(stopped.value.run.progress), "checkpoint")
    assert (progress.epoch, progress.batch) == (1, 5)
    on = fit(sets, start=progress, **settings)
    assert digest(on.parameters) == digest(whole.parameters)
    assert digest(on.progress.average) == digest(whole.progress.average)


def test_an_interrupted_run_without_an_epoch_has_the_average():
    def on_step(state, count):
        seen.append(tree_map(np.copy, state.params))
        if state.step == 2:
            raise KeyboardInterrupt

    seen = []
    with pytest.raises(td.Interrupted) as stopped:
        fit(three_classes(), batch_size=10, averaging=EMA(0.5), on_step=on_step)
    close(stopped.value.run.parameters, weighted([dict(leaves(params)) for params in seen], [1 / 3, 2 / 3]))


def test_an_average_that_is_missing_or_too_much_is_refused():
    sets = three_classes()
    plain, averaged = fit(sets).progress, fit(sets, averaging=EMA()).progress
    with pytest.raises(TrainingError, match=r"no average, and EMA\(decay=0.999\) needs one after 1 steps"):
        fit(sets, averaging=EMA(), epochs=2, start=plain)
    with pytest.raises(TrainingError, match=r"has an average, and SWA\(begin=2\) needs none yet"):
        fit(sets, averaging=SWA(2), epochs=2, start=averaged)
    with pytest.raises(TrainingError, match="has an average, and this training takes none"):
        fit(sets, epochs=2, start=averaged)
    fit(sets, averaging=SWA(2), epochs=2, start=plain)


def test_settings_that_cannot_be_are_refused():
    for decay in (-0.1, 1, 1.0, float("nan"), "a", True):
        with pytest.raises(TreadleError, match="decay must be a number from 0 to below 1"):
            EMA(decay)
    for begin in (0, -1, 1.5, True):
        with pytest.raises(TreadleError, match="begin must be an epoch"):
            SWA(begin)
    with pytest.raises(TreadleError, match="averaging begins with epoch 3, and training ends after epoch 2"):
        fit(three_classes(), epochs=2, averaging=SWA(3))
    with pytest.raises(TreadleError, match="averaging should be one such as"):
        fit(three_classes(), averaging="ema")
    assert AVERAGES == {"ema": EMA, "swa": SWA}


def test_the_momentum_of_the_mode_takes_the_place_of_the_layers():
    layer = td.nn.BatchNorm(0.1)
    params, x = layer.init((2,), seed=0), np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)
    for momentum, share in ((None, 0.1), (0.25, 0.25), (1.0, 1.0)):
        updates = {}
        layer(params, Tensor(x), Mode(training=True, updates=updates, momentum=momentum))
        np.testing.assert_allclose(updates[id(params["running_mean"])], share * x.mean(0), rtol=1e-5)
