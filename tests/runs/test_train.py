"""Early stopping, averaging and callbacks of runs in folders, and going on with these."""

import importlib
import json

import pytest

from small_sets import digest, same_history
from treadle.errors import RecipeError, RunError
from treadle.recipe import Recipe
from treadle.runs import checkpoints, load, resume, train
from treadle.runs.train import Hooks
from treadle.train import Interrupted

NONE = Hooks()


@pytest.fixture
def recipe(tmp_path):
    """A recipe on a table whose validation loss goes up and down."""
    rows = [f"{n % 7 / 7},{n % 11 / 11},{n % 5 / 5},{'abc'[(n % 7 > 3) + (n % 11 > 7)]}" for n in range(90)]
    (tmp_path / "rows.csv").write_text("\n".join(["a,b,c,class", *rows]), encoding="utf-8")
    return Recipe.baseline().change(
        {
            "data.source": str(tmp_path / "rows.csv"),
            "data.target": "class",
            "data.batch_size": 10,
            "network.layers": ["linear 6", "batch_norm", "relu", "linear 3"],
            "loss.kind": "cross_entropy",
            "optimizer.lr": 8.0,
            "training.epochs": 30,
            "training.patience": 2,
            "saving.checkpoint_every": 4,
        }
    )


def trained(recipe, folder, hooks=NONE):
    folder.mkdir()
    return train(recipe, recipe.load_data(), folder, hooks)


def written(folder):
    return json.loads((folder / "run.json").read_text(encoding="utf-8"))


def test_a_run_that_stopped_early_says_so_and_is_finished(recipe, tmp_path):
    folder = tmp_path / "run"
    run = trained(recipe, folder)
    done = len(run.history)
    assert done < 30
    about = written(folder)
    assert (about["status"], about["stopped_early"]) == ("finished", run.stopped_early)
    assert load(folder).stopped_early == run.stopped_early
    assert checkpoints.newest(folder)[0].epoch == done
    for epochs in (None, 30, 60):
        with pytest.raises(RunError, match=f"is finished: it stopped early after {done} epochs, for there was no val"):
            resume(folder, epochs)


def test_with_more_patience_it_goes_on_as_if_it_had_had_it(recipe, tmp_path):
    folder = tmp_path / "run"
    short = trained(recipe, folder)
    path = folder / "recipe.toml"
    path.write_text(path.read_text(encoding="utf-8").replace("patience = 2", "patience = 4"), encoding="utf-8")
    run = resume(folder)
    whole = trained(recipe.change({"training.patience": 4}), tmp_path / "whole")
    assert len(run.history) > len(short.history)
    assert same_history(run, whole)
    assert digest(run.parameters) == digest(whole.parameters)
    assert run.tested == load(folder).tested
    assert run.tested["loss"] == short.tested["loss"]


def test_a_run_that_ended_before_its_test_is_tested_and_not_trained(recipe, tmp_path, monkeypatch):
    def failed(run, data):
        raise MemoryError

    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr("treadle.train.Run.evaluate", failed)
        with pytest.raises(MemoryError):
            trained(recipe, folder)
    before = checkpoints.newest(folder)[0]
    run = resume(folder)
    assert run.tested is not None
    assert (len(run.history), run.step) == (before.epoch, before.step)


def test_a_run_that_a_callback_ended_can_be_gone_on_with(recipe, tmp_path):
    folder = tmp_path / "run"
    recipe = recipe.change({"training.patience": 30, "training.epochs": 3})
    run = trained(recipe, folder, Hooks(on_epoch=lambda run: len(run.history) == 1))
    assert written(folder)["stopped_early"] == "on_epoch returned True"
    assert checkpoints.newest(folder)[0].epoch == 1
    on, whole = resume(folder), trained(recipe, tmp_path / "whole")
    assert same_history(on, whole)
    assert digest(on.parameters) == digest(whole.parameters)
    assert on.tested["loss"] == run.tested["loss"]


def told_epochs(folder):
    events = [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    return [event["epoch"] for event in events if event["event"] == "epoch"]


def stop_at(number, error, function):
    """A function that raises an error after its call of some number."""
    calls = []

    def called(*arguments, **settings):
        function(*arguments, **settings)
        calls.append(number)
        if len(calls) == number:
            raise error

    return called


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])  # the latter as a kill: nothing more is written
@pytest.mark.parametrize(
    ("where", "number"),
    [
        ("treadle.runs.train.save", 2),  # between the checkpoint of the second epoch and its line
        ("treadle.runs.log.log", 2),  # as soon as that is written
    ],
)
def test_each_epoch_has_one_line_in_the_log(recipe, tmp_path, monkeypatch, where, number, error):
    recipe = recipe.change({"training.epochs": 4, "training.patience": 4, "saving.checkpoint_every": 1})
    name, _, function = where.rpartition(".")
    module = importlib.import_module(name)  # the package's attribute of that name may be a function
    with monkeypatch.context() as patch:
        patch.setattr(module, function, stop_at(number, error, getattr(module, function)))
        with pytest.raises((Interrupted, MemoryError)):
            trained(recipe, tmp_path / "run")
    assert checkpoints.newest(tmp_path / "run")[0].epoch == 2
    before = told_epochs(tmp_path / "run")
    assert before == ([1] if (where, error) == ("treadle.runs.train.save", MemoryError) else [1, 2])
    resume(tmp_path / "run")
    assert told_epochs(tmp_path / "run") == [1, 2, 3, 4]


def test_epochs_that_are_trained_once_more_are_told_once(recipe, tmp_path):
    def killed(run):
        if len(run.history) == 3:
            raise MemoryError

    recipe = recipe.change({"training.epochs": 5, "training.patience": 5, "saving.checkpoint_every": 2})
    with pytest.raises(MemoryError):
        trained(recipe, tmp_path / "run", Hooks(on_epoch=killed))
    assert (checkpoints.newest(tmp_path / "run")[0].epoch, told_epochs(tmp_path / "run")) == (2, [1, 2, 3])
    resume(tmp_path / "run")
    assert told_epochs(tmp_path / "run") == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("averaging", ["ema 0.9", "swa 2"])
def test_averages_are_saved_and_gone_on_with(recipe, tmp_path, averaging):
    recipe = recipe.change({"training.averaging": averaging, "training.epochs": 5, "training.patience": 5})
    whole = trained(recipe, tmp_path / "whole")
    assert digest(load(tmp_path / "whole").parameters) == digest(whole.parameters)

    def on_step(state, steps):
        if state.step == 3 * steps - 2:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted):
        trained(recipe, tmp_path / "run", Hooks(on_step=on_step))
    run = resume(tmp_path / "run")
    assert same_history(run, whole)
    assert digest(run.parameters) == digest(whole.parameters)
    assert digest(run.progress.average) == digest(whole.progress.average)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"training.patience": 0}, r"training.patience should be greater than or equal to 1, found 0"),
        ({"training.averaging": "mean"}, "no averaging is called 'mean': there are ema, swa"),
        ({"training.averaging": "ema 1.5"}, "EMA: decay must be a number from 0 to below 1, found 1.5"),
        ({"training.averaging": "ema x"}, "decay should be a valid number, found 'x'; it takes decay=0.999"),
        ({"training.averaging": "swa"}, "missing a required argument: 'begin'; it takes begin"),
        ({"training.averaging": "swa 31"}, "averaging begins with epoch 31, and training ends after epoch 30"),
        ({"saving.log_to": []}, "saving.log_to is empty: give at least one"),
    ],
)
def test_recipes_that_cannot_be_are_refused(recipe, changes, told):
    with pytest.raises(RecipeError, match=told):
        recipe.change(changes)


def test_the_line_of_an_averaging_that_never_begins_is_named(recipe, tmp_path):
    path = tmp_path / "recipe.toml"
    text = recipe.to_toml().replace("epochs = 30", 'epochs = 3\naveraging = "swa 4"')
    path.write_text(text, encoding="utf-8")
    line = text.splitlines().index('averaging = "swa 4"') + 1
    with pytest.raises(
        RecipeError, match=f"recipe.toml, line {line}: training.averaging: averaging begins with epoch 4"
    ):
        Recipe.read(path)
