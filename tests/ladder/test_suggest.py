"""Suggestions: of a recipe that is trained for a moment, of a run, and as a ladder that is climbed."""

import json

import numpy as np
import pytest

from small_sets import line, pictures, three_classes
from treadle.errors import RunError
from treadle.ladder import Ladder, climb
from treadle.ladder.rules import FIRST, RULES, Situation
from treadle.ladder.suggest import Suggestion, ladder_of, ladder_text, look, look_at_run, proposals, suggest
from treadle.recipe import Recipe
from treadle.runs import train
from treadle.train import Finding

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("kept_workers")]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Files of rows with classes, of images, and of numbers to predict."""
    folder = tmp_path_factory.mktemp("data")
    made = {
        "rows": three_classes(sizes=(300, 1, 1)).train,
        "images": pictures(sizes=(200, 1, 1), shape=(1, 14, 14)).train,
        "numbers": line(size=200, noise=0.1).train,
    }
    rows = made["rows"]
    order = np.argsort(rows.targets, kind="stable")[: 300 - 75]  # few of the last class, which lie together
    np.savez(folder / "rows.npz", x=20 * rows.inputs[order], y=rows.targets[order])
    for name in ("images", "numbers"):
        np.savez(folder / f"{name}.npz", x=made[name].inputs, y=made[name].targets)
    return folder


def recipe(source, **changes):
    text = f"""
    data = {{ source = {json.dumps(str(source))}, split = "random validation=0.2 test=0.2", batch_size = 20 }}
    network.preset = "softmax"
    loss.kind = "cross_entropy"
    optimizer = {{ kind = "sgd", lr = 0.05 }}
    training.epochs = 2
    """
    return Recipe.from_toml(text).change({name.replace("__", "."): value for name, value in changes.items()})


def seen(recipe, *kinds, losses=(), failed=None):
    """What a look at a recipe might have seen."""
    sets = recipe.load_data()
    network = recipe.build_network(sets.train.classes, sets.train.shape)
    findings = {kind: Finding(kind, 10, (), f"{kind} was seen", f"{kind} means\nthis", "") for kind in kinds}
    history = [{"train_loss": one, "validation_loss": two} for one, two in losses]
    return Situation(recipe, sets, network, findings, history, True, failed)


APART, UP_AND_DOWN = [(1.0, 1.0), (0.2, 0.9), (0.1, 1.9)], [(1.0, 1.0), (1.0, 1.1), (1.0, 0.9)]


def situations(files):
    """Situations that together bring every rule."""
    rows, images = files / "rows.npz", files / "images.npz"
    layers = ["linear 8", "sigmoid", "linear 3"]
    dead = ["linear 8", "relu", "linear 3", "softmax", "relu"]
    return [
        seen(
            recipe(rows, network__layers=["linear 8", "sigmoid", "linear 1"], loss__kind="squared_error"),
            "vanishing_gradients",
        ),
        seen(recipe(rows, network__layers=dead), "softmax_twice", "dead_relus"),
        seen(
            recipe(rows, network__layers=layers, data__scale="none", data__shuffle=False, saving__weights="last"),
            "high_learning_rate",
            "exploding_gradients",
            losses=APART,
        ),
        seen(recipe(rows, data__batch_size=100), "uninformed_loss", losses=UP_AND_DOWN),
        seen(recipe(images, optimizer__kind="adam", training__epochs=1), losses=[(1.0, 0.9)]),
        seen(recipe(images, network__preset="mlp"), losses=APART),
        seen(
            recipe(files / "numbers.npz", network__layers=["linear 1"], loss__kind="squared_error"),
            losses=[(1.0, 1.0), (0.5, 0.5)],
        ),
    ]


@pytest.mark.parametrize("number", range(7))
def test_what_is_suggested_is_a_ladder_that_is_climbed_as_it_stands(files, tmp_path, number):
    situation = situations(files)[number]
    found = suggest(situation)
    assert found
    path = tmp_path / "ladder.toml"
    path.write_text(ladder_text(ladder_of(situation, found), found), encoding="utf-8")
    ladder = Ladder.read(path)
    assert [rung.name for rung in ladder.rung] == [one.proposal.name for one in found]
    climbed = climb(ladder.changed({"seeds": 1, "keep": "always"}), tmp_path, workers=1)
    assert [(step.name, step.failed) for step in climbed.steps[1:]] == [(one.proposal.name, None) for one in found]


def test_the_situations_bring_every_rule(files):
    names = {one.name for situation in situations(files) for one in proposals(situation)}
    all_ = {
        rule: {one.name for situation in situations(files) for one in rule(situation)} & names
        for rule in (*FIRST, *RULES)
    }
    assert [rule.__name__ for rule, found in all_.items() if not found] == []


def test_no_proposal_is_what_the_recipe_has(files):
    for situation in situations(files):
        recipe = situation.recipe
        for one in proposals(situation):
            changed = recipe.change(one.change)
            assert changed != recipe
            recipe = changed if one.stage == "loss" else recipe


def test_what_comes_after_the_right_loss_takes_it_for_granted(files):
    first, *rest = proposals(situations(files)[0])
    assert first.change["network.layers"] == ["linear 8", "sigmoid", "linear 3"]
    assert first.change["loss.kind"] == "cross_entropy"
    (relu,) = [one for one in rest if "network.layers" in one.change]
    assert relu.change == {"network.layers": ["linear 8", "relu", "linear 3"]}


def test_one_list_of_layers_does_not_undo_another(files):
    situation = seen(
        recipe(files / "rows.npz", network__layers=["linear 8", "sigmoid", "linear 8", "relu", "linear 3"]),
        "vanishing_gradients",
        "dead_relus",
    )
    assert [one.name for one in proposals(situation) if "network.layers" in one.change] == ["ReLU in place of sigmoid"]


def test_what_does_not_fit_the_data_is_not_proposed(files, tmp_path):
    small = pictures(sizes=(40, 1, 1), shape=(1, 3, 3)).train
    np.savez(tmp_path / "small.npz", x=small.inputs, y=small.targets)
    names = [one.name for one in proposals(seen(recipe(tmp_path / "small.npz")))]
    assert "a hidden layer with ReLU" in names
    assert "convolution" not in names  # its second pooling finds images of 1 × 1


def test_costs(files):
    found = suggest(seen(recipe(files / "images.npz", training__epochs=1), losses=[(1.0, 0.9)]))
    costs = {one.proposal.name: one.cost for one in found}
    assert list(costs) == ["Momentum", "Adam", "batches of 8", "2 epochs", "a hidden layer with ReLU", "convolution"]
    assert costs["2 epochs"] == 2
    assert costs["convolution"] > costs["Adam"] > 0


def test_the_cost_of_a_training_that_fails_is_that_of_its_multiply_adds(files, tmp_path):
    x = np.full((100, 4), 3e38)
    x[:, 0] = np.linspace(0, 1, 100)
    np.savez(tmp_path / "huge.npz", x=x, y=np.arange(100) % 3)
    start = recipe(tmp_path / "huge.npz", data__scale="none", training__epochs=1, network__layers=["linear 3"])
    situation = look(start, start.load_data())
    assert situation.failed is not None
    costs = {one.proposal.name: one.cost for one in suggest(situation)}
    assert costs["Adam"] == 1
    assert costs["hidden layers"] == (4 * 128 + 128 * 128 + 128 * 3) / (4 * 3)


def test_a_look_at_a_recipe_finds_what_is_wrong(files):
    deep = ["linear 10", "sigmoid"] * 8 + ["linear 3"]
    start = recipe(files / "rows.npz", network__layers=deep, training__epochs=30)
    situation = look(start, start.load_data())
    assert "vanishing_gradients" in situation.findings
    assert len(situation.history) == 30
    assert situation.whole
    (relu,) = [one for one in suggest(situation) if one.proposal.name == "ReLU in place of sigmoid"]
    assert "the gradient that arrives is down to" in relu.proposal.why


def test_a_look_ends_when_its_time_is_over(files):
    start = recipe(files / "rows.npz", training__epochs=100_000)
    situation = look(start, start.load_data(), 0.3)
    assert 0 < len(situation.history) < 100_000
    assert not situation.whole


def test_a_training_that_fails_is_a_situation_too(files):
    start = recipe(files / "numbers.npz", network__layers=["linear 1"], loss__kind="squared_error", optimizer__lr=1e20)
    situation = look(start, start.load_data())
    assert "the loss is inf in epoch 1, step 2" in situation.failed
    names = [one.proposal.name for one in suggest(situation)]
    assert {"a tenth of the learning rate", "gradients clipped to a norm of 1"} <= set(names)


def test_a_run_tells_what_a_look_would(files, tmp_path):
    start = recipe(files / "rows.npz", training__epochs=3)
    folder = tmp_path / "run"
    folder.mkdir()
    train(start, start.load_data(), folder)
    situation, looked = look_at_run(folder), look(start, start.load_data())
    assert [one.proposal.change for one in suggest(situation)] == [one.proposal.change for one in suggest(looked)]
    assert [record["validation_loss"] for record in situation.history] == looked.losses("validation_loss")
    with pytest.raises(RunError):
        look_at_run(tmp_path / "none")


def test_the_ladder_says_why(files):
    situation = seen(recipe(files / "rows.npz"), "small_updates")
    found = suggest(situation)
    text = ladder_text(ladder_of(situation, found), found)
    assert "# found: small_updates was seen; costs 1 times the training as it is\n" in text
    numbers = seen(recipe(files / "numbers.npz", network__layers=["linear 1"], loss__kind="squared_error"))
    assert ladder_of(numbers, [Suggestion(one, 1.0) for one in proposals(numbers)]).metric == "validation_loss"
