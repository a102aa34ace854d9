"""Each rule of `suggest`, with a situation that it is for and others that it is not."""

import math

import numpy as np
import pytest

from small_sets import line, pictures, three_classes
from treadle.data import Dataset, Sets
from treadle.ladder import rules
from treadle.ladder.rules import FIRST, RULES, Situation
from treadle.recipe import Recipe
from treadle.train import Finding

pytestmark = pytest.mark.slow

ROWS, IMAGES, NUMBERS = three_classes(), pictures(shape=(1, 14, 14)), line()
BASE = {
    "network": {"layers": ["flatten", "linear 5", "relu", "linear 3"]},
    "loss": {"kind": "cross_entropy"},
    "optimizer": {"kind": "adamw", "lr": 0.01},
    "data": {"batch_size": 2},
    "training": {"epochs": 3},
}


def situation(sets=ROWS, found=(), losses=(), failed=None, whole=True, **changes):
    """A situation that no rule has anything to say of, but for what is given; losses are (training, validation)."""
    recipe = Recipe.model_validate(BASE).change({name.replace("__", "."): value for name, value in changes.items()})
    network = recipe.build_network(sets.train.classes, sets.train.shape)
    findings = {kind: Finding(kind, 10, (), f"{kind} was seen", f"{kind} means this", "") for kind in found}
    history = [{"epoch": n + 1, "train_loss": one, "validation_loss": two} for n, (one, two) in enumerate(losses)]
    return Situation(recipe, sets, network, findings, history, whole, failed)


def scaled(sets, factor):
    parts = [Dataset(p.inputs * np.asarray(factor), p.targets, p.classes, p.name) for p in sets.parts().values()]
    return Sets(*parts, "scaled", "made up")


def uneven(counts):
    """Rows with so many samples of each class."""
    labels = np.repeat(np.arange(len(counts)), counts)
    rows = Dataset(np.random.default_rng(0).normal(size=(len(labels), 4)), labels, ("a", "b", "c"), "uneven")
    return Sets(rows, rows, rows, "uneven", "made up")


SIGMOID = ["flatten", "linear 5", "sigmoid", "linear 3"]
LINEAR = ["flatten", "linear 3"]
NUMBER = {"network__layers": ["linear 5", "relu", "linear 1"], "loss__kind": "squared_error"}
FALLING, RISING, NOISY = [(1.0, 1.0), (0.5, 0.8), (0.4, 0.6)], [(1.0, 1.0), (0.5, 1.1)], [(1, 1), (1, 1.1), (1, 0.99)]
APART = [(1.0, 1.0), (0.2, 0.9), (0.1, 0.9)]

# rule, situation it is for, the change it should propose, situations it is not for
CASES = [
    (
        rules.classes_are_no_numbers,
        situation(**NUMBER, optimizer__kind="sgd", optimizer__lr=0.01),
        {"loss.kind": "cross_entropy", "network.layers": ["linear 5", "relu", "linear 3"], "optimizer.lr": 0.1},
        [situation(), situation(NUMBERS, **NUMBER)],
    ),
    (
        rules.classes_are_no_numbers,
        situation(IMAGES, network__preset="baseline", loss__kind="squared_error"),
        {"loss.kind": "cross_entropy", "network.preset": "softmax"},
        [],
    ),
    (
        rules.classes_are_no_numbers,
        situation(IMAGES, network__preset="mlp", loss__kind="absolute_error"),
        {"loss.kind": "cross_entropy"},
        [],
    ),
    (rules.softmax_once, situation(found=["softmax_twice"]), {"loss.from_probabilities": True}, [situation()]),
    (
        rules.scaled_inputs,
        situation(scaled(ROWS, 50), data__scale="none"),
        {"data.scale": "standard"},
        [situation(scaled(ROWS, 50)), situation(data__scale="none")],
    ),
    (
        rules.scaled_inputs,
        situation(scaled(ROWS, [1, 1, 1, 0.01]), data__scale="none"),
        {"data.scale": "standard"},
        [],
    ),
    (rules.scaled_inputs, situation(IMAGES, data__scale="none"), {"data.scale": "minmax"}, [situation(IMAGES)]),
    (rules.shuffled, situation(data__shuffle=False), {"data.shuffle": True}, [situation()]),
    (
        rules.smaller_steps,
        situation(found=["high_learning_rate"]),
        {"optimizer.lr": 0.001},
        [situation(), situation(found=["small_updates"])],
    ),
    (rules.smaller_steps, situation(found=["large_updates"]), {"optimizer.lr": 0.001}, []),
    (rules.smaller_steps, situation(failed="the loss is nan", optimizer__lr=3.0), {"optimizer.lr": 0.3}, []),
    (
        rules.larger_steps,
        situation(found=["small_updates", "uninformed_loss"], optimizer__lr=3e-6),
        {"optimizer.lr": 3e-5},
        [
            situation(),
            situation(found=["uninformed_loss", "large_updates"]),
            situation(found=["uninformed_loss", "unrelated_targets"]),
            situation(found=["small_updates"], failed="the loss is nan"),
        ],
    ),
    (rules.larger_steps, situation(found=["uninformed_loss"]), {"optimizer.lr": 0.1}, []),
    (
        rules.clipped_gradients,
        situation(found=["exploding_gradients"]),
        {"optimizer.clip_norm": 1.0},
        [situation(), situation(found=["exploding_gradients"], optimizer__clip_norm=5.0)],
    ),
    (rules.clipped_gradients, situation(failed="the loss is nan"), {"optimizer.clip_norm": 1.0}, []),
    (
        rules.best_weights,
        situation(losses=RISING, saving__weights="last"),
        {"saving.weights": "best"},
        [situation(losses=RISING), situation(losses=FALLING, saving__weights="last")],
    ),
    (
        rules.momentum,
        situation(optimizer__kind="sgd", optimizer__lr=0.3),
        {"optimizer.kind": "momentum", "optimizer.lr": 0.1},
        [situation(), situation(optimizer__kind="momentum")],
    ),
    (
        rules.momentum,
        situation(found=["high_learning_rate"], optimizer__kind="sgd", optimizer__lr=0.3),
        {"optimizer.kind": "momentum", "optimizer.lr": 0.03},
        [],
    ),
    (
        rules.adam,
        situation(optimizer__kind="momentum"),
        {"optimizer.kind": "adam", "optimizer.lr": 0.001},
        [situation(), situation(optimizer__kind="rmsprop")],
    ),
    (
        rules.relu,
        situation(network__layers=SIGMOID, found=["vanishing_gradients"]),
        {"network.layers": ["flatten", "linear 5", "relu", "linear 3"]},
        [
            situation(),
            situation(found=["vanishing_gradients"]),
            situation(network__layers=["flatten", "linear 3", "sigmoid"]),
        ],
    ),
    (
        rules.relu,
        situation(network__layers=["linear 5", "tanh", "linear 1", "sigmoid"], loss__kind="squared_error"),
        {"network.layers": ["linear 5", "relu", "linear 1", "sigmoid"]},
        [],
    ),
    (rules.relu, situation(network__preset="mlp"), {"network.preset": "mlp_relu"}, []),
    (
        rules.leaky_relu,
        situation(found=["dead_relus"]),
        {"network.layers": ["flatten", "linear 5", "leaky_relu", "linear 3"]},
        [situation(), situation(found=["dead_relus"], network__preset="mlp_relu")],
    ),
    (rules.hidden_layer, situation(network__layers=LINEAR), {"network.preset": "mlp_tabular"}, [situation()]),
    (
        rules.hidden_layer,
        situation(IMAGES, network__preset="softmax"),
        {"network.preset": "mlp_relu"},
        [situation(IMAGES, network__preset="lenet")],
    ),
    (
        rules.convolution,
        situation(IMAGES, network__preset="mlp"),
        {"network.preset": "lenet"},
        [situation(), situation(IMAGES, network__preset="vgg_small"), situation(network__preset="mlp")],
    ),
    (
        rules.weight_decay,
        situation(losses=APART, optimizer__kind="adam"),
        {"optimizer.kind": "adamw", "optimizer.weight_decay": 0.01},
        [
            situation(losses=APART),
            situation(losses=FALLING[:1], optimizer__kind="adam"),
            situation(optimizer__kind="adam"),
        ],
    ),
    (
        rules.weight_decay,
        situation(losses=APART, optimizer__kind="momentum"),
        {"optimizer.weight_decay": 0.001},
        [],
    ),
    (
        rules.augmentation,
        situation(IMAGES, losses=APART),
        {"data.augment": ["shift 1"]},
        [
            situation(losses=APART),
            situation(IMAGES, losses=[(1.0, 1.0)]),
            situation(IMAGES, losses=APART, data__augment=["noise 0.1"]),
        ],
    ),
    (
        rules.weights_of_classes,
        situation(uneven([60, 30, 10])),
        {"loss.weights": [0.56, 1.1, 3.3]},
        [
            situation(uneven([30, 20, 12])),
            situation(uneven([60, 40, 0])),
            situation(uneven([60, 30, 10]), loss__weights=[1, 2, 3]),
            situation(NUMBERS, **NUMBER),
        ],
    ),
    (
        rules.falling_rate,
        situation(losses=NOISY),
        {"optimizer.schedule": ["cosine 3"]},
        [
            situation(losses=FALLING),
            situation(losses=NOISY, whole=False),
            situation(losses=NOISY, optimizer__schedule=["step 5"]),
            situation(losses=[(0.1, 1.0), (0.1, 1.1), (0.1, 1.2)]),
        ],
    ),
    (
        rules.smaller_batches,
        situation(data__batch_size=25),
        {"data.batch_size": 8},
        [situation(), situation(data__batch_size=8)],
    ),
    (
        rules.more_epochs,
        situation(losses=FALLING),
        {"training.epochs": 6},
        [
            situation(),
            situation(losses=RISING),
            situation(losses=FALLING, whole=False),
            situation(losses=[(1.0, 1.0), (1.0, math.nan)]),
            situation(losses=FALLING, failed="the loss is nan"),
        ],
    ),
    (rules.more_epochs, situation(losses=[(1.0, 0.9)], training__epochs=1), {"training.epochs": 2}, []),
]


@pytest.mark.parametrize(("rule", "its", "change", "others"), CASES, ids=lambda one: getattr(one, "__name__", ""))
def test_a_rule_proposes_where_it_should(rule, its, change, others):
    (proposal,) = rule(its)
    assert proposal.change == change
    assert proposal.stage == next(iter(change)).split(".")[0]
    assert len(proposal.why) > 15
    its.recipe.change(proposal.change).build_network(its.sets.train.classes, its.sets.train.shape)
    for other in others:
        assert list(rule(other)) == []


def test_every_rule_has_a_situation_that_it_is_for_and_one_that_it_is_not():
    assert {rule for rule, *_ in CASES} == {*FIRST, *RULES}
    assert {rule for rule, *_, others in CASES if others} == {*FIRST, *RULES}


def test_a_situation_without_anything_to_say():
    assert [list(rule(situation())) for rule in (*FIRST, *RULES)] == [[]] * len((*FIRST, *RULES))
