"""What is logged to TensorBoard and MLflow, read back by their own libraries."""

import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest

from treadle.errors import RecipeError, RunError, TreadleError
from treadle.recipe import CHOICES, Recipe
from treadle.runs import load, resume, train
from treadle.runs.trackers import MLFLOW, TENSORBOARD, TRACKERS
from treadle.runs.train import Hooks
from treadle.train import Interrupted

pytestmark = pytest.mark.slow

FIGURES = ("train_loss", "validation_loss", "validation_accuracy")


def installed(name):
    for module in TRACKERS[name].modules:
        if importlib.util.find_spec(module.partition(".")[0]) is None:  # treadle imports it, with its settings
            pytest.skip(f"{module} is not installed")


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """A recipe on a table of three classes, in a folder of its own; MLflow keeps its store there."""
    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (90, 3))
    rows = [f"{a:.4f},{b:.4f},{c:.4f},{'abc'[np.argmax((a, b, c))]}" for a, b, c in x]
    (tmp_path / "rows.csv").write_text("\n".join(["a,b,c,class", *rows]), encoding="utf-8")
    return Recipe.baseline().change(
        {
            "data.source": str(tmp_path / "rows.csv"),
            "data.target": "class",
            "data.batch_size": 10,
            "network.layers": ["linear 3"],
            "loss.kind": "cross_entropy",
            "optimizer.lr": 0.5,
            "training.epochs": 4,
            "saving.checkpoint_every": 2,
        }
    )


def logging(recipe, *names, **changes):
    changes = {name.replace("_", ".", 1): value for name, value in changes.items()}
    return recipe.change({"saving.log_to": list(names), **changes})


NONE = Hooks()


def trained(recipe, folder, hooks=NONE):
    folder.mkdir()
    return train(recipe, recipe.load_data(), folder, hooks)


def figures(run):
    return {name: [(record["epoch"], record[name]) for record in run.history] for name in FIGURES}


def stop(after, error):
    def on_epoch(run):
        if len(run.history) == after:
            raise error

    return Hooks(on_epoch=on_epoch)


class Killed(BaseException):
    """Ends a training at once, with nothing saved of it but checkpoints."""


# TensorBoard


def board(folder):
    """What TensorBoard itself reads: scalars by tag as (step, value), and texts by tag as (step, text)."""
    from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    found = EventAccumulator(str(folder / TENSORBOARD))
    found.Reload()
    scalars, texts = (
        {tag: [(one.step, make_ndarray(one.tensor_proto).item()) for one in found.Tensors(tag)] for tag in tags}
        for tags in (found.PluginTagToContent(plugin) for plugin in ("scalars", "text"))
    )
    texts = {tag: [(step, text.decode()) for step, text in values] for tag, values in texts.items()}
    return found, scalars, texts


def close(found, expected):
    assert found.keys() >= expected.keys()
    for name, points in expected.items():
        assert [step for step, _ in found[name]] == [step for step, _ in points], name
        np.testing.assert_allclose([v for _, v in found[name]], [v for _, v in points], rtol=1e-6)


def test_tensorboard_reads_figures_recipe_and_test_score(recipe, tmp_path):
    installed("tensorboard")
    from tensorboard.plugins.hparams.metadata import (
        parse_session_end_info_plugin_data,
        parse_session_start_info_plugin_data,
    )

    chosen = logging(recipe, "tensorboard", optimizer_schedule=["exponential 0.5"])
    run = trained(chosen, tmp_path / "run")
    found, scalars, texts = board(tmp_path / "run")
    close(scalars, figures(run))
    close(scalars, {"learning_rate": [(1, 0.5), (2, 0.25), (3, 0.125), (4, 0.0625)]})
    low, high = run.tested["accuracy_interval"]
    at = run.weights_epoch
    test = {"test_loss": run.tested["loss"], "test_accuracy_interval_low": low, "test_accuracy_interval_high": high}
    close(scalars, {name: [(at, value)] for name, value in test.items()})
    assert chosen.to_toml() in texts["recipe"][0][1]
    about = found.PluginTagToContent("hparams")
    start = parse_session_start_info_plugin_data(about["_hparams_/session_start_info"])
    assert start.hparams["optimizer.lr"].number_value == 0.5
    assert start.hparams["data.shuffle"].bool_value is True
    assert start.hparams["network.layers"].string_value == "['linear 3']"
    assert parse_session_end_info_plugin_data(about["_hparams_/session_end_info"]).status == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt, Killed])
def test_tensorboard_reads_a_run_that_was_gone_on_with_as_the_whole_one(recipe, tmp_path, error):
    installed("tensorboard")
    chosen = logging(recipe, "tensorboard", optimizer_lr=60.0, training_epochs=6)
    whole = trained(chosen, tmp_path / "whole")
    assert whole.findings
    with pytest.raises((Interrupted, Killed)):
        trained(chosen, tmp_path / "run", stop(3, error))
    run = resume(tmp_path / "run")
    _, scalars, texts = board(tmp_path / "run")
    close(scalars, figures(run))
    _, others, other_texts = board(tmp_path / "whole")
    timeless = [{k: v for k, v in one.items() if k not in ("seconds", "waited")} for one in (scalars, others)]
    assert timeless[0] == timeless[1]
    assert texts == other_texts
    kind = whole.findings[0].kind
    assert texts[f"finding/{kind}"] == [(whole.findings[0].step, str(whole.findings[0]))]


# MLflow


def client():
    from mlflow import MlflowClient

    return MlflowClient()


def kept(folder):
    return client().get_run((folder / MLFLOW).read_text())


def points(run, name):
    return sorted((one.step, one.value) for one in client().get_metric_history(run.info.run_id, name))


def test_mlflow_reads_figures_recipe_and_test_score(recipe, tmp_path):
    installed("mlflow")
    chosen = logging(recipe, "mlflow", training_epochs=3)
    run = trained(chosen, tmp_path / "run")
    found = kept(tmp_path / "run")
    assert (tmp_path / "mlflow.db").exists()
    assert client().get_experiment(found.info.experiment_id).name == "treadle"
    assert (found.info.run_name, found.info.status) == ("run", "FINISHED")
    assert found.data.params["optimizer.lr"] == "0.5"
    assert found.data.params["network.layers"] == "['linear 3']"
    for name, expected in figures(run).items():
        assert points(found, name) == expected
    assert points(found, "learning_rate") == [(1, 0.5), (2, 0.5), (3, 0.5)]
    assert points(found, "test_accuracy") == [(run.weights_epoch, run.tested["accuracy"])]
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"


@pytest.mark.parametrize("error", [KeyboardInterrupt, Killed])
def test_mlflow_goes_on_with_the_same_run(recipe, tmp_path, error):
    installed("mlflow")
    chosen = logging(recipe, "mlflow", optimizer_lr=60.0, training_epochs=3)
    with pytest.raises((Interrupted, Killed)):
        trained(chosen, tmp_path / "run", stop(3, error))
    before = kept(tmp_path / "run")
    assert before.info.status == ("KILLED" if error is KeyboardInterrupt else "FAILED")
    run = resume(tmp_path / "run", 6)
    after = kept(tmp_path / "run")
    assert (after.info.run_id, after.info.status) == (before.info.run_id, "FINISHED")
    assert after.data.params["training.epochs"] == "3"
    assert after.data.tags["resumed.training.epochs"] == "6"
    for name, expected in figures(run).items():
        assert points(after, name) == expected
    assert after.data.tags[f"finding/{run.findings[0].kind}"] == str(run.findings[0])
    tested = points(after, "test_loss")
    resume(tmp_path / "run", 7)
    assert points(after, "test_loss") == tested  # for the test set was not looked at again
    assert [step for step, _ in points(after, "train_loss")] == [1, 2, 3, 4, 5, 6, 7]


def test_mlflow_has_its_own_settings(recipe, tmp_path, monkeypatch):
    installed("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/elsewhere.db")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "digits")
    trained(logging(recipe, "mlflow", training_epochs=1), tmp_path / "run")
    assert not (tmp_path / "mlflow.db").exists()
    assert client().get_experiment(kept(tmp_path / "run").info.experiment_id).name == "digits"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/empty.db")
    with pytest.raises(RunError, match=r"MLflow cannot log: .*not found; set MLFLOW_TRACKING_URI to the store where"):
        resume(tmp_path / "run", 2)
    assert load(tmp_path / "run").history[-1]["epoch"] == 1


# both


def test_a_run_that_stops_early_says_why_in_both(recipe, tmp_path):
    installed("tensorboard")
    installed("mlflow")
    chosen = logging(recipe, "tensorboard", "mlflow", training_patience=1, training_epochs=30, optimizer_lr=60.0)
    run = trained(chosen, tmp_path / "run")
    assert run.stopped_early
    assert board(tmp_path / "run")[2]["stopped_early"] == [(len(run.history), run.stopped_early)]
    assert kept(tmp_path / "run").data.tags["stopped_early"] == run.stopped_early


@pytest.mark.parametrize("name", TRACKERS)
def test_what_is_not_installed_is_told_before_training(recipe, tmp_path, monkeypatch, name):
    missing = TRACKERS[name].modules[0]
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(RunError, match=rf'saving.log_to: {name} needs {name}.*pip install "treadle\[{name}\]"'):
        trained(logging(recipe, name), tmp_path / "run")
    assert list((tmp_path / "run").iterdir()) == []


def test_what_cannot_be_written_is_told(recipe, tmp_path):
    installed("tensorboard")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / TENSORBOARD).touch()
    with pytest.raises(TreadleError, match="tensorboard: cannot be written: File exists"):
        train(logging(recipe, "tensorboard"), recipe.load_data(), tmp_path / "run")


def test_the_choices_of_recipes_are_those_that_there_are(recipe):
    assert CHOICES["saving"]["log_to"].keys() == TRACKERS.keys()
    with pytest.raises(RecipeError, match=r"saving.log_to: a log is named twice: mlflow, mlflow"):
        logging(recipe, "mlflow", "mlflow")
    with pytest.raises(RecipeError, match="wandb"):
        logging(recipe, "wandb")


def test_writing_loads_no_tensorflow(recipe, tmp_path):
    installed("tensorboard")
    program = (
        "import sys; from pathlib import Path; from treadle.recipe import Recipe; from treadle.runs import train\n"
        "assert not any(name in sys.modules for name in ('tensorboard', 'mlflow'))\n"
        "recipe = Recipe.read('chosen.toml'); Path('run').mkdir(); train(recipe, recipe.load_data(), Path('run'))\n"
        "assert 'tensorboard' in sys.modules and not {'tensorflow', 'mlflow'} & set(sys.modules)\n"
    )
    (tmp_path / "chosen.toml").write_text(logging(recipe, "tensorboard").to_toml(), encoding="utf-8")
    subprocess.run([sys.executable, "-P", "-c", program], check=True)
