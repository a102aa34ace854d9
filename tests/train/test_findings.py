"""Findings: each told for a training built to have that fault, none for trainings that go well."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest

import treadle as td
from small_sets import fit, line
from treadle.data import Dataset, Sets
from treadle.language import Words
from treadle.nn import Flatten, Linear, ReLU, Sequential, Sigmoid, Tanh
from treadle.train import Finding
from treadle.train.finding import NAMES
from treadle.tree import map_with_path

pytestmark = pytest.mark.slow

O = td.optim
IMAGES = (1, 28, 28)
CHINESE, NUMBER = re.compile("[\u4e00-\u9fff]"), re.compile(r"\d[\d.]*(?:e[-+]\d+)?")


@pytest.fixture(scope="module")
def digits():
    mnist = td.data.load("mnist")
    return Sets(mnist.train[:5000], mnist.validation[:1000], mnist.test[:100], "mnist", mnist.origin)


def shuffled(sets):
    """The same targets in another order, in all three sets."""
    draws = np.random.default_rng(1)
    parts = [Dataset(p.inputs, draws.permutation(p.targets), p.classes, p.name) for p in sets.parts().values()]
    return Sets(*parts, "shuffled", "made up")


def noise(size=900, seed=0):
    """Targets that have nothing to do with the features."""
    draws = np.random.default_rng(seed)
    rows = Dataset(draws.normal(size=(size, 5)), draws.normal(size=size), None, "noise")
    third = size // 3
    return Sets(rows[:third], rows[third : 2 * third], rows[2 * third :], "noise", "made up")


def deep(activation, layers=10):
    hidden = [layer for _ in range(layers) for layer in (Linear(30), activation())]
    return Sequential(Flatten(), *hidden, Linear(10))


def scaled(network, shape, factor=1.0, **added):
    """Initial parameters, weights times a factor, and something added to those of a path."""
    made = network.init(shape, seed=0)
    return map_with_path(
        lambda path, leaf: (leaf * factor if path.endswith("weight") else leaf) + np.float32(added.get(path, 0)), made
    )


class HiddenSoftmax(td.nn.Module):
    """Softmax by hand, which the loss cannot tell by the op."""

    def parameters(self, shape):
        return Linear(10).parameters((math.prod(shape),))

    def output_shape(self, shape):  # noqa: ARG002
        return (10,)

    def forward(self, params, x, mode):
        powers = td.ops.exp(Linear(10)(params, td.ops.reshape(x, (x.shape[0], -1)), mode))
        return powers / td.ops.sum(powers, axis=1, keepdims=True)


def kinds(run):
    return [finding.kind for finding in run.findings]


DEEP, SHALLOW = deep(ReLU), Sequential(Flatten(), Linear(50), ReLU(), Linear(10))
FAULTS = {
    "vanishing_gradients": {"network": deep(Sigmoid), "optimizer": O.Adam()},
    "exploding_gradients": {"network": DEEP, "optimizer": O.SGD(1e-9), "parameters": scaled(DEEP, IMAGES, 5.0)},
    "dead_relus": {"network": SHALLOW, "parameters": scaled(SHALLOW, IMAGES, **{"linear1.bias": -20})},
    "saturated_units": {"network": "mlp", "scale": "none"},
    "high_learning_rate": {"network": "mlp_relu", "optimizer": O.SGD(10.0)},
    "large_updates": {"network": "mlp_relu", "optimizer": O.Adam(0.3, l1=0.1)},
    "small_updates": {"network": "mlp_relu", "optimizer": O.SGD(1e-5)},
    "uninformed_loss": {"network": "mlp", "optimizer": O.SGD(0.003), "epochs": 8},
    "softmax_twice": {"network": HiddenSoftmax(), "optimizer": O.SGD(0.5)},
}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_is_found(digits, kind):
    told = []
    settings = {"optimizer": O.SGD(0.1), "epochs": 3, "batch_size": 100} | FAULTS[kind]
    run = fit(digits, **settings, on_finding=told.append)
    assert kind in kinds(run)
    assert told == run.findings
    assert len(set(kinds(run))) == len(told)  # each once
    finding = next(one for one in told if one.kind == kind)
    for one in told:
        assert one.name(Words("zh")) != one.name(Words("en")) == one.kind.replace("_", " ").replace("relus", "ReLUs")
        assert one.told(Words("en")) == (one.seen, one.means, one.advice)
        for english, other in zip(one.told(Words("en")), one.told(Words("zh")), strict=True):
            assert CHINESE.search(other)
            assert not CHINESE.search(english)
            assert sorted(NUMBER.findall(english)) == sorted(NUMBER.findall(other))
    assert 1 <= finding.step <= run.step
    assert kinds(fit(digits, **settings, diagnose=False)) == []


def test_each_kind_is_found_by_a_test_here_and_has_a_name_in_both_languages():
    assert set(NAMES) == {*FAULTS, "unrelated_targets"}
    assert all(CHINESE.search(other) and not CHINESE.search(english) for english, other in NAMES.values())


def test_a_finding_recorded_in_english_alone_is_told_as_it_was_written():
    values = {"kind": "dead_relus", "step": 3, "layers": ["relu1"], "seen": "a", "means": "b", "advice": "c"}
    finding = Finding.from_dict(values)
    assert finding.told(Words("zh")) == ("a", "b", "c")
    assert finding == Finding.from_dict(finding.to_dict())
    assert replace(finding, kind="of a newer version").name(Words("zh")) == "of a newer version"


def test_what_was_seen_is_told_with_its_place(digits):
    dead = fit(digits, **FAULTS["dead_relus"], optimizer=O.SGD(0.1), epochs=1).findings[0]
    assert (dead.kind, dead.layers, dead.step) == ("dead_relus", ("relu1",), 16)
    assert dead.seen.startswith("units 50 of 50 gave 0 for all 32 samples")
    assert repr(dead).startswith("step 16: dead ReLUs in relu1: units 50 of 50 gave 0")
    assert dead.to_dict()["layers"] == ["relu1"]
    twice = fit(digits, **FAULTS["softmax_twice"], epochs=1).findings[0]
    assert "1.46115" in twice.means
    vanishing = fit(digits, **FAULTS["vanishing_gradients"], epochs=1).findings[0]
    assert vanishing.layers[:2] == ("linear1.weight", "linear2.weight")
    assert "linear11.weight" not in vanishing.layers


def test_a_rate_too_high_is_seen_by_the_curvature_before_the_loss_grows(digits):
    found = fit(digits, "mlp_relu", optimizer=O.Adam(0.5), epochs=1, batch_size=100).findings[0]
    assert (found.kind, found.step) == ("high_learning_rate", 16)
    assert found.seen.startswith("the loss of a batch rose with the update for that batch, at the steps 1, 4, 16")


@pytest.mark.parametrize(
    "settings",
    [
        {"network": "mlp_relu", "optimizer": O.SGD(0.1), "epochs": 8},
        {"network": "mlp_relu", "optimizer": O.Adam(), "epochs": 8},
        {"network": "lenet", "optimizer": O.Adam(), "epochs": 4, "batch_size": 50},
    ],
)
def test_shuffled_targets_are_told_from_a_training_that_is_slow(digits, settings):
    found = fit(shuffled(digits), **settings).findings
    assert [one.kind for one in found] == ["unrelated_targets"]
    english, other = (found[0].told(Words(language))[0] for language in ("en", "zh"))
    assert sorted(NUMBER.findall(english)) == sorted(NUMBER.findall(other))
    assert CHINESE.search(other)
    assert "up to 0." in found[0].seen
    assert found[0].seen.endswith("when shuffled")


def test_targets_that_are_noise():
    run = fit(noise(), "mlp_tabular", optimizer=O.Adam(), batch_size=20, epochs=25, scale="none")
    assert "unrelated_targets" in kinds(run)


def test_a_rate_beyond_two_over_the_curvature_is_found_by_the_curvature():
    sets = line(60, features=2)
    x = np.c_[sets.train.inputs, np.ones(60)]
    edge = 2 / np.linalg.eigvalsh(2 * x.T @ x / 60)[-1]
    for factor, expected in ((0.9, []), (1.1, ["high_learning_rate"])):
        network = Sequential(Linear(1))
        run = fit(
            sets, network, optimizer=O.SGD(factor * edge), batch_size=60, epochs=20, scale="none", dtype=np.float64
        )
        assert kinds(run)[:1] == expected
    assert "by the curvature met, a step was 2.2 times" in run.findings[0].seen


HEALTHY = {
    "baseline": {"loss": "squared_error", "optimizer": O.SGD(0.01), "metrics": ["squared_error"]},
    "softmax": {"optimizer": O.SGD(0.1)},
    "sigmoids": {"network": "mlp", "optimizer": O.SGD(1.0)},
    "sigmoids with Adam": {"network": "mlp", "optimizer": O.Adam(0.003)},
    "mlp_relu": {"optimizer": O.SGD(0.5)},
    "momentum": {"network": "mlp_relu", "optimizer": O.Momentum(0.05)},
    "Adam": {"network": "mlp_relu", "optimizer": O.Adam()},
    "Adam, ten times faster": {"network": "mlp_relu", "optimizer": O.Adam(0.01)},
    "RMSProp": {"network": "mlp_relu", "optimizer": O.RMSProp(), "batch_size": 500},
    "one sample a step": {"network": "mlp_relu", "optimizer": O.SGD(0.01), "batch_size": 1, "epochs": 1},
    "lenet": {"optimizer": O.Adam(), "epochs": 3},
    "vgg_small": {"optimizer": O.Adam(), "epochs": 1},
    "resnet_small": {"optimizer": O.Momentum(0.05), "epochs": 1},
    "tanh": {"network": deep(Tanh, 4), "optimizer": O.Momentum(0.05)},
    "smoothed": {"network": "mlp_relu", "loss": td.losses.CrossEntropy(smoothing=0.1), "optimizer": O.Adam()},
}


@pytest.mark.parametrize("name", HEALTHY)
def test_a_training_that_goes_well_is_left_alone(digits, name):
    settings = {"network": name, "batch_size": 50, "epochs": 6} | HEALTHY[name]
    assert fit(digits, **settings).findings == []


@pytest.mark.parametrize("network", [Sequential(Linear(1)), "mlp_tabular"])
def test_a_regression_that_goes_well_is_left_alone(network):
    sets = line(400, noise=0.1, features=10)
    for optimizer in (O.SGD(0.02), O.Adam(0.01), O.Adam(0.01, weight_decay=1e-4)):
        assert fit(sets, network, optimizer=optimizer, batch_size=20, epochs=30, scale="none").findings == []


def made_up(x, y, classes=None, part=5):
    """Sets of rows: of five parts three to train, one to validate, one to test."""
    rows = Dataset(np.asarray(x, np.float64), np.asarray(y), classes, "rows")
    cut = len(x) // part
    return Sets(rows[: -2 * cut], rows[-2 * cut : -cut], rows[-cut:], "made", "made up")


def draws(size, features=4, seed=0):
    return np.random.default_rng(seed).normal(size=(size, features))


@pytest.mark.parametrize("period", [2, 3, 5])
def test_targets_in_order_are_no_single_class(period):
    labels = np.arange(24_000) % period
    sets = made_up(draws(24_000) + labels[:, None], labels, tuple("abcde"[:period]))
    run = fit(sets, Sequential(Linear(period)), optimizer=O.SGD(0.1), batch_size=100, epochs=3, scale="none")
    assert run.findings == []


@pytest.mark.parametrize(
    ("targets", "settings"),
    [
        (np.zeros(200, np.int64), {"network": Sequential(Linear(2)), "loss": "cross_entropy"}),
        (np.zeros(200, np.int64), {"network": Sequential(Linear(1)), "loss": "binary_cross_entropy"}),
        (np.full(200, 3.0), {"network": Sequential(Linear(1)), "loss": "squared_error"}),
        (
            np.arange(200) % 2,
            {"network": Sequential(Linear(2)), "loss": td.losses.CrossEntropy(weights=(0.0, 1.0))},
        ),
    ],
)
def test_what_takes_no_inputs_to_know_stops_no_training(targets, settings):
    classes = ("a", "b") if targets.dtype.kind == "i" else None
    run = fit(made_up(draws(200), targets, classes), optimizer=O.SGD(0.1), batch_size=20, epochs=60, **settings)
    assert run.step == 360
    assert "unrelated_targets" not in kinds(run)


class Float32(td.losses.SquaredError):
    """A loss with constants of one dtype."""

    def __call__(self, outputs, targets):
        difference = outputs - targets
        return td.ops.mean(difference * difference * np.ones((1, 1), np.float32))


class Below0(td.losses.Loss):
    """A loss that is negative when it is good, and has no `constant`."""

    compares = "values"

    def __call__(self, outputs, targets):
        difference = outputs - targets
        return td.ops.mean(difference * difference) - 1.0


class Hinge(td.losses.Loss):
    """max(0, 1 − o t), with a ReLU of its own."""

    compares = "values"

    def __call__(self, outputs, targets):
        return td.ops.mean(td.ops.relu(1.0 - outputs * targets))


@pytest.mark.parametrize(
    ("targets", "network", "loss"),
    [
        (lambda x: x[:, 0], Sequential(Linear(1)), Float32()),
        (lambda x: 0.7 * x[:, 0], Sequential(Linear(1)), Below0()),
        (lambda x: np.sign(x[:, 0] + 0.1), Sequential(Linear(1)), Hinge()),
        (lambda x: np.sign(x[:, 0]), Sequential(Linear(8), ReLU(), Linear(1), Tanh()), td.losses.SquaredError()),
        (lambda x: x[:, 0] ** 2 + 0.2 * x[:, 1], Sequential(Linear(16), Tanh(), Linear(1)), "squared_error"),
    ],
)
def test_losses_and_outputs_of_ones_own_that_go_well_are_left_alone(targets, network, loss):
    x = draws(1500)
    run = fit(made_up(x, targets(x)), network, loss=loss, optimizer=O.SGD(0.1), batch_size=30, epochs=30, scale="none")
    assert run.findings == []


def test_a_sigmoid_that_gives_the_probability_may_be_sure():
    x = draws(600)
    run = fit(
        made_up(x, (x[:, 0] > 0).astype(np.int64), ("no", "yes")), Sequential(Linear(8), ReLU(), Linear(1), Sigmoid()),
        loss=td.losses.BinaryCrossEntropy(from_probabilities=True), optimizer=O.Adam(0.05), batch_size=30, epochs=30,
        scale="none",
    )  # fmt: skip
    assert run.history[-1]["validation_accuracy"] > 0.95
    assert run.findings == []


@pytest.mark.parametrize("seed", range(5))
def test_single_samples_that_vary_are_no_growth(seed):
    x = draws(600, 10, seed)
    y = x @ draws(10, 1, 7)[:, 0] * 3
    network = Sequential(Linear(32), ReLU(), Linear(32), ReLU(), Linear(1))
    for settings in ({"optimizer": O.SGD(2e-3)}, {"optimizer": O.Adam(1e-3)}):
        assert fit(made_up(x, y), network, batch_size=1, epochs=2, scale="none", seed=seed, **settings).findings == []


@pytest.mark.parametrize("size", [10, 20, 60])
def test_few_samples_may_be_learnt_by_heart(size):
    x = draws(size, 20)
    sets = made_up(x, (x @ draws(20, 1, 3)[:, 0] > 0).astype(np.int64), ("no", "yes"))
    assert fit(sets, Sequential(Linear(2)), optimizer=O.Adam(0.01), batch_size=5, epochs=200).findings == []


def test_going_on_at_the_lowest_point_is_no_slow_training():
    sets = line(200, noise=0.3, features=3)
    settings = {"network": Sequential(Linear(1)), "batch_size": 200, "scale": "none", "optimizer": O.SGD(0.3)}
    run = fit(sets, epochs=300, **settings)
    assert fit(sets, epochs=200, parameters=run.parameters, **settings).findings == []


def test_gradients_too_small_for_float32_are_seen(digits):
    (found, *_) = fit(digits, deep(Sigmoid, 40), optimizer=O.SGD(0.1), epochs=1, batch_size=100).findings
    assert found.kind == "vanishing_gradients"
    assert found.layers[0] == "linear1.weight"
    assert len(found.layers) > 30


def test_the_level_is_called_what_it_is():
    labels = np.arange(600) % 2
    for loss, name in (
        (td.losses.CrossEntropy(), "the entropy of the classes"),
        (td.losses.CrossEntropy(smoothing=0.2), "with the best constant"),
    ):
        sets = made_up(draws(600), labels, ("a", "b"))
        run = fit(sets, Sequential(Linear(2)), loss=loss, optimizer=O.SGD(1e-3), batch_size=60, epochs=60)
        assert f"({name})" in run.findings[-1].seen
