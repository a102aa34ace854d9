"""`treadle evaluate`: all that is told of a run on one of its sets."""

import json

import numpy as np
import pytest

from treadle.recipe import Recipe
from treadle.runs import load


@pytest.fixture
def folder(cli, recipe, tmp_path):
    assert cli("run", recipe)[0] == 0
    (folder,) = (tmp_path / "runs").iterdir()
    return folder


def test_what_was_seen_on_the_test_set_is_shown_again(cli, folder, digits):
    code, out, err = cli("evaluate", folder)
    assert (code, err) == (0, "")
    assert out.startswith("test: 10 samples\n")
    for part in ("accuracy", "precision", "recall", "calibration", "the 10 samples with the largest loss"):
        assert part in out
    (digits / "t10k-labels-idx1-ubyte.gz").rename(digits / "away")  # nothing is read again
    try:
        assert cli("evaluate", folder)[1] == out
        told = json.loads(cli("evaluate", folder, "--json")[1])
    finally:
        (digits / "away").rename(digits / "t10k-labels-idx1-ubyte.gz")
    tested = load(folder).tested
    assert told["loss"]["value"] == tested["loss"]
    assert told["metrics"]["accuracy"]["interval"] == tested["accuracy_interval"]
    assert len(told["worst"]) == 10


@pytest.mark.parametrize(("on", "samples"), [("validation", 10), ("train", 50)])
def test_other_sets(cli, folder, recipe, on, samples):
    told = json.loads(cli("evaluate", folder, "--on", on, "--json")[1])
    assert (told["set"], told["samples"]) == (on, samples)
    sets = Recipe.read(recipe).load_data()
    run = load(folder, sets)
    data = sets.parts()[on]
    right = run.predict(data.inputs).argmax(axis=1) == data.targets
    assert told["metrics"]["accuracy"]["value"] == pytest.approx(np.mean(right))
    if on == "validation":
        last = run.history[run.weights_epoch - 1]
        assert told["loss"]["value"] == pytest.approx(last["validation_loss"], rel=1e-6)


def test_a_run_that_was_interrupted_looks_at_its_test_set_once(cli, folder, recipe, tmp_path):
    about = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**about, "test": None, "status": "interrupted"}))
    (folder / "evaluation.txt").unlink()
    code, out, _ = cli("evaluate", folder)
    assert code == 0
    assert out.startswith("test: 10 samples\n")
    assert json.loads((folder / "run.json").read_text())["test"] == about["test"]


def test_a_run_of_before(cli, folder):
    (folder / "evaluation.txt").unlink()
    code, _, err = cli("evaluate", folder)
    assert code == 2
    assert "runs of older versions have none; --on validation works" in err


def test_the_loss_at_the_end_of_an_epoch_is_told_where_asked_for(cli, recipe):
    _, out, _ = cli("run", recipe, "--json", "--set", "training.evaluate_train=true")
    lines = [json.loads(line) for line in out.splitlines()]
    epochs = [line for line in lines if line["event"] == "epoch"]
    told = json.loads(cli("evaluate", lines[-1]["folder"], "--on", "train", "--json")[1])
    assert lines[-1]["weights_epoch"] == 3
    assert epochs[-1]["train_loss_after"] == pytest.approx(told["loss"]["value"], rel=1e-6)
    assert epochs[-1]["train_loss"] > epochs[-1]["train_loss_after"]
