"""Rungs that try several values: what is trained, chosen, judged and taken from before."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from small_sets import three_classes
from treadle.cli import call
from treadle.errors import TreadleError
from treadle.ladder import Ladder, climb
from treadle.ladder.statistics import compare
from treadle.ladder.sweep import best
from treadle.recipe import Recipe
from treadle.runs.about import read_about

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("kept_workers")]
posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
RATES = [0.0, 1.0, 3e38, 0.003]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "three.npz"
    rows = three_classes(sizes=(300, 1, 1)).train
    np.savez(path, x=rows.inputs, y=rows.targets)
    return path


TEXT = """seeds = 4

[baseline]
data = { source = SOURCE, split = "random validation=0.2 test=0.2", batch_size = 20 }
network = { layers = ["linear 3"] }
loss = { kind = "cross_entropy" }
optimizer = { kind = "sgd", lr = 0.001 }
training = { epochs = 2 }

[[rung]]
name = "a learning rate"
change = { optimizer.clip_norm = 1e30 }
[rung.sweep]
optimizer.lr = [0.0, 1.0, 3e38, 0.003]
"""
SEARCH = """
[[rung]]
name = "searched"
[rung.search]
trials = 6
optimizer.lr = { low = 0.001, high = 1.0, log = true }
data.batch_size = [10, 20]
"""


@pytest.fixture(scope="module")
def ladder(data):
    """A ladder of the text, with more after it: ladder(more, **settings)."""

    def ladder(more="", **settings):
        return Ladder.from_toml(text_of(data, more)).changed(settings)

    return ladder


def text_of(data, more=""):
    return TEXT.replace("SOURCE", json.dumps(str(data))) + more


@pytest.fixture(scope="module")
def swept(ladder, kept_workers, tmp_path_factory):
    """A climb of the text, its folder, and the progress it told."""
    folder, told = tmp_path_factory.mktemp("swept"), []
    return climb(ladder(), folder, workers=2, views=("climb", "ablate", "alone"), on_progress=told.append), folder, told


@pytest.fixture(scope="module")
def searched(ladder, kept_workers, tmp_path_factory):
    """A climb of the text and a search, and its folder."""
    folder = tmp_path_factory.mktemp("searched")
    return climb(ladder(SEARCH, seeds=2), folder, workers=2), folder


def timeless(found):
    def without(value):
        if isinstance(value, dict):
            return {key: without(part) for key, part in value.items() if key != "seconds"}
        return [without(part) for part in value] if isinstance(value, (list, tuple)) else value

    return without(json.loads(json.dumps(found.to_dict())))


def test_the_best_mean_is_chosen_and_then_judged(ladder, swept):
    found, folder, told = swept
    step = found.steps[1]
    assert step.sweep.seeds == [1000, 1001]
    assert [trial.values for trial in step.sweep.trials] == [{"optimizer.lr": rate} for rate in RATES]
    assert step.sweep.trials[2].mean is None
    assert "seed 1000: " in step.sweep.trials[2].failed
    assert step.sweep.values == {"optimizer.lr": 1.0}
    assert step.recipe.optimizer.lr == 1.0
    assert step.recipe.optimizer.clip_norm == 1e30
    assert (step.seeds, step.verdict, step.kept, step.stage) == ([0, 1, 2, 3], "better", True, "optimizer")
    assert step.comparison == compare(found.steps[0].values, step.values, higher_is_better=True, comparisons=1)
    assert found.trained == 4 + 6 + 4  # the rate that fails once is not tried with another seed
    assert told[-1].left == 0
    (left_out,), (alone,) = found.views["ablate"], found.views["alone"]
    assert left_out.values == found.steps[0].values
    assert (alone.values, alone.sweep) == (step.values, None)
    assert json.loads(found.record.read_text(encoding="utf-8"))["steps"][1]["sweep"]["chosen"] == {"optimizer.lr": 1.0}
    again = climb(ladder(), folder, workers=1, views=("climb", "ablate", "alone"))
    assert (again.trained, timeless(again)) == (0, timeless(found))


def test_scores_are_those_of_runs_in_the_folder(swept):
    found, climbs, _ = swept
    scores = {}
    for folder in (climbs / "runs").iterdir():
        recipe, about = Recipe.read(folder / "recipe.toml"), read_about(folder)
        if about.status == "finished":
            score = about.history[about.weights_epoch - 1]["validation_accuracy"]
            scores[recipe.optimizer.lr, recipe.training.seed] = score
            assert (about.test is None) or recipe.training.seed < 1000  # what was only tried is never tested
    for trial in found.steps[1].sweep.trials:
        rate = trial.values["optimizer.lr"]
        assert trial.scores == [scores[rate, seed] for seed in (1000, 1001) if (rate, seed) in scores]


def test_values_that_all_fail_are_a_rung_that_failed(ladder, tmp_path):
    text = '[[rung]]\nname = "none"\nsweep = { optimizer.momentum = [0.8, 0.9] }\nchange = { optimizer.lr = 0.1 }\n'
    first = '\n[[rung]]\nname = "momentum"\nchange = { optimizer.kind = "momentum", optimizer.lr = 0.0 }\n'
    rungs = ladder(first + text).rung[1:]
    found = climb(ladder(seeds=1, rung=rungs), tmp_path, workers=1)
    step = found.steps[-1]
    assert (step.verdict, step.kept, step.sweep.chosen) == ("failed", False, None)
    assert step.failed.startswith("none of the 2 values can be used: rung 'none': unknown key 'momentum'")
    assert [trial.mean for trial in step.sweep.trials] == [None, None]


def test_a_sweep_of_other_samples_fails_value_by_value(ladder, tmp_path):
    splits = ["random validation=0.2 test=0.2 seed=3", "random validation=0.2 test=0.2"]
    more = f'\n[[rung]]\nname = "splits"\n[rung.sweep]\ndata.split = {json.dumps(splits)}\n'
    found = climb(ladder(seeds=1, rung=ladder(more).rung[1:]), tmp_path, workers=1)
    first, second = found.steps[1].sweep.trials
    assert "has other samples than that of the baseline" in first.failed
    assert second.mean is not None
    assert found.steps[1].sweep.chosen == 1


def test_any_number_of_workers_gives_the_same(ladder, searched, tmp_path):
    two, folder = searched
    one = climb(ladder(SEARCH, seeds=2), tmp_path, workers=1)
    assert timeless(one)["steps"] == timeless(two)["steps"]
    sweep = one.steps[2].sweep
    assert len(sweep.trials) == 6
    assert all(len(trial.scores) == 2 for trial in sweep.trials)
    assert sweep.trials[sweep.chosen].mean == max(trial.mean for trial in sweep.trials)
    again = climb(ladder(SEARCH, seeds=2), folder, workers=2)
    assert (again.trained, timeless(again)) == (0, timeless(two))


def test_time_that_is_short_takes_seeds_and_trials(ladder, tmp_path):
    short = ladder(SEARCH, seeds=3, minutes=1e-6)
    found = climb(short, tmp_path, workers=1)
    _, swept, searched = found.steps
    assert (swept.sweep.seeds, len(swept.sweep.trials), len(swept.seeds)) == ([1000], 4, 2)
    assert (len(searched.sweep.trials), searched.sweep.seeds, len(searched.seeds)) == (4, [1000, 1001], 2)
    again = climb(short, tmp_path, workers=1)
    assert (again.trained, timeless(again)) == (0, timeless(found))
    more = climb(short.changed({"minutes": None}), tmp_path, workers=1)
    assert (more.steps[1].sweep.seeds, len(more.steps[2].sweep.trials)) == ([1000, 1001], 6)


def test_a_search_without_optuna_is_told_before_anything_is_trained(ladder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(TreadleError, match="needs Optuna"):
        climb(ladder(SEARCH), tmp_path / "climbs")
    assert not (tmp_path / "climbs").exists()


@posix
def test_killed_anywhere_and_climbed_again_it_is_the_same_climb(data, searched, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    expected, _ = searched
    Path("ladder.toml").write_text(text_of(data, SEARCH), encoding="utf-8")
    arguments = ["climb", "ladder.toml", "--json", "--workers", "2", "--seeds", "2"]
    command = [sys.executable, "-m", "treadle", *arguments]
    for lines, how in ((5, signal.SIGKILL), (8, signal.SIGINT)):
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as running:
            for _ in range(lines):
                if not running.stdout.readline():
                    break
            running.send_signal(how)
    assert call(arguments) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    steps = [line for line in told if line["event"] == "step"]
    assert [step["values"] for step in steps] == [step.values for step in expected.steps]
    assert [step["sweep"] for step in steps] == [step["sweep"] for step in timeless(expected)["steps"]]
    assert [step["verdict"] for step in steps] == [step.verdict for step in expected.steps]


def test_best():
    assert best([0.2, None, 0.1, 0.1], higher_is_better=False) == 2
    assert best([None, None], higher_is_better=True) is None
    assert best([], higher_is_better=True) is None


def climbs(own_seeds, *, effects=(0.0,) * 8, rungs=6, seeds=5, count=1_000):
    """The share of simulated climbs of sweeps that have a "better" somewhere, where no value is better than none.

    A score is what the seed does to all recipes, the effect of the value, and noise of the run. Values are compared by
    seeds of their own, or by the first of those that judge.
    """
    draws = np.random.default_rng(5)
    effect = np.asarray(effects)[:, None]
    false = 0
    for _ in range(count):
        common = draws.normal(0, 0.02, seeds)
        before, wrong = common + draws.normal(0, 0.01, seeds), False
        for _rung in range(rungs):
            judged = common + effect + draws.normal(0, 0.01, (len(effect), seeds))
            tried = draws.normal(0, 0.02, 2) + effect + draws.normal(0, 0.01, (len(effect), 2))
            means = (tried if own_seeds else judged[:, :2]).mean(axis=1)
            after = judged[best(means.tolist(), higher_is_better=True)]
            if compare(before, after, higher_is_better=True, comparisons=rungs).verdict == "better":
                before, wrong = after, True
        false += wrong
    return false / count


def test_false_verdicts_of_a_thousand_climbs_of_sweeps_without_an_effect():
    assert climbs(own_seeds=True) <= 0.05
    assert climbs(own_seeds=True, effects=(0.0, -0.003, -0.01, -0.05)) <= 0.05
    assert climbs(own_seeds=False, effects=(0.0,) * 20) > 0.05  # which is why values have seeds of their own
