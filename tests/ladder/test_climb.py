"""Climbs on a small set: what is trained, compared, kept and taken from before."""

import importlib
import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import treadle as td
from small_sets import three_classes
from treadle.cli import call
from treadle.errors import RunError
from treadle.ladder import Ladder, Rung, climb, compare
from treadle.ladder.workers import Job, Workers
from treadle.recipe import Recipe
from treadle.runs.about import read_about
from treadle.runs.files import climbing

module = importlib.import_module("treadle.ladder.runs")
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("kept_workers")]
posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A file of three classes that a hidden layer does not help with."""
    path = tmp_path_factory.mktemp("data") / "three.npz"
    rows = three_classes(sizes=(500, 1, 1)).train
    np.savez(path, x=rows.inputs, y=rows.targets)
    return path


def baseline(data):
    text = f"""
    [data]
    source = {json.dumps(str(data))}
    split = "random validation=0.2 test=0.2"
    batch_size = 20
    [network]
    layers = ["linear 3"]
    [loss]
    kind = "cross_entropy"
    [optimizer]
    kind = "sgd"
    lr = 0.01
    [training]
    epochs = 2
    """
    return Recipe.from_toml(text)


def ladder(data, **settings):
    rungs = [
        Rung(name="a higher learning rate", change={"optimizer.lr": 1.0}),
        Rung(name="said otherwise", change={"network.layers": ["linear 3 bias=true"]}),
        Rung(name="nothing is learnt", change={"optimizer.lr": 0.0}),
        Rung(name="far too high", change={"optimizer.lr": 1e30, "optimizer.clip_norm": 1e30}),
        Rung(name="of Momentum alone", change={"optimizer.momentum": 0.9, "optimizer.kind": "momentum"}),
    ]
    return Ladder(baseline=baseline(data), rung=rungs, **{"seeds": 4, **settings})


@pytest.fixture(scope="module")
def climbed(data, kept_workers, tmp_path_factory):
    folder = tmp_path_factory.mktemp("climbs")
    return climb(ladder(data), folder, workers=2, views=("climb", "ablate", "alone")), folder


def timeless(found):
    """What a climb says, without seconds."""

    def without(value):
        if isinstance(value, dict):
            return {key: without(part) for key, part in value.items() if key != "seconds"}
        return [without(part) for part in value] if isinstance(value, (list, tuple)) else value

    return without(json.loads(json.dumps(found.to_dict())))


def test_verdicts(climbed):
    found, _ = climbed
    assert [(step.name, step.verdict, step.kept) for step in found.steps[:4]] == [
        ("baseline", "baseline", True),
        ("a higher learning rate", "better", True),
        ("said otherwise", "cannot tell", False),
        ("nothing is learnt", "worse", False),
    ]
    assert found.steps[2].comparison.differences == (0.0,) * 4
    assert found.steps[1].comparison.comparisons == 5
    assert found.trained == 4 * 5 + sum(not step.failed for step in found.steps[4:5]) * 4


def test_values_are_those_of_training_with_fit(climbed, data):
    found, _ = climbed
    for step in found.steps[:2]:
        for seed, value in zip(step.seeds, step.values, strict=True):
            recipe, sets = step.recipe, step.recipe.load_data()
            run = td.fit(
                recipe.build_network(sets.train.classes, sets.train.shape),
                sets,
                loss="cross_entropy",
                optimizer=recipe.build_optimizer(),
                epochs=2,
                **{**recipe.fit_settings(), "seed": seed},
            )
            assert value == run.history[run.weights_epoch - 1]["validation_accuracy"]


def test_comparisons_are_those_of_the_statistics(climbed):
    found, _ = climbed
    base, step = found.steps[:2]
    assert step.comparison == compare(base.values, step.values, higher_is_better=True, comparisons=5)


def test_the_test_set_is_opened_for_the_baseline_and_the_top_alone(climbed):
    found, folder = climbed
    tested = [path.name for path in (folder / "runs").iterdir() if read_about(path).test is not None]
    assert len(tested) == 8
    assert found.final.metric == "accuracy"
    assert found.final.comparison.mean == pytest.approx(np.mean(found.final.top) - np.mean(found.final.baseline))
    samples = found.final.samples
    assert (samples.only_after - samples.only_before) / 100 == pytest.approx(
        found.final.top[0] - found.final.baseline[0]
    )
    assert Recipe.read(found.top_recipe) == found.top.recipe


def test_other_views(climbed):
    found, _ = climbed
    (left_out,), (alone,) = found.views["ablate"], found.views["alone"]
    assert left_out.values == found.steps[0].values  # the only change that was kept, left out
    assert left_out.comparison.mean == found.steps[1].comparison.mean
    assert alone.values == found.steps[1].values


def test_a_second_climb_takes_all_from_the_first(climbed, data):
    found, folder = climbed
    again = climb(ladder(data), folder, workers=2, views=("climb", "ablate", "alone"))
    assert again.trained == 0
    assert timeless(again) == timeless(found)
    assert json.loads(found.record.read_text(encoding="utf-8"))["final"]["metric"] == "accuracy"


def test_other_data_code_seeds_or_recipes_are_trained_anew(climbed, data, tmp_path, monkeypatch):
    _, folder = climbed
    short = ladder(data).changed({"rung": [], "seeds": 2})
    assert climb(short, folder, workers=1).trained == 0
    assert climb(short.changed({"seeds": 5}), folder, workers=1).trained == 1
    monkeypatch.setattr(module, "code", lambda: "other")
    assert climb(short, folder, workers=1).trained == 2


def test_any_number_of_workers_gives_the_same(data, tmp_path):
    short = ladder(data, seeds=2).changed({"rung": ladder(data).rung[:1]})
    one, three = (climb(short, tmp_path / str(number), workers=number) for number in (1, 3))
    assert timeless(one)["steps"] == timeless(three)["steps"]


def test_time_that_is_short_takes_seeds_from_later_rungs(data, tmp_path):
    found = climb(ladder(data, seeds=8, minutes=1e-6), tmp_path, workers=2)
    assert [len(step.seeds) for step in found.steps if not step.failed] == [2] * sum(
        not step.failed for step in found.steps
    )
    again = climb(ladder(data, seeds=8, minutes=1e-6), tmp_path, workers=2)
    assert (again.trained, timeless(again)) == (0, timeless(found))
    more = climb(ladder(data, seeds=8), tmp_path, workers=2)  # time that is not short gives them back
    assert {len(step.seeds) for step in more.steps if not step.failed} == {8}


def test_time_counts_what_was_taken_from_before(data, tmp_path):
    short = ladder(data, seeds=2).changed({"rung": []})
    climb(short, tmp_path, workers=2)
    found = climb(short.changed({"seeds": 9, "minutes": 1e-6}), tmp_path, workers=2)
    assert (found.steps[0].seeds, found.trained) == ([0, 1], 0)


def test_a_change_that_cannot_be_made_to_what_was_kept_is_told(data, tmp_path):
    rungs = [
        Rung(name="momentum", change={"optimizer.kind": "momentum", "optimizer.lr": 0.0}),
        Rung(name="more of it", change={"optimizer.momentum": 0.95}),
    ]
    found = climb(Ladder(baseline=baseline(data), rung=rungs, seeds=2), tmp_path, workers=2)
    assert (found.steps[1].kept, found.steps[2].verdict) == (False, "failed")
    assert "rung 'more of it': unknown key 'momentum' in [optimizer]" in found.steps[2].failed
    assert found.final is None


def test_a_metric_that_does_not_fit_is_told(data, tmp_path):
    with pytest.raises(RunError, match=r"the baseline cannot be trained: seed 0: .*top_5"):
        climb(Ladder(baseline=baseline(data), seeds=1, metric="validation_top_5"), tmp_path, workers=1)


def test_other_samples_are_refused(data, tmp_path):
    rungs = [Rung(name="another split", change={"data.split": "random validation=0.2 test=0.2 seed=3"})]
    found = climb(Ladder(baseline=baseline(data), rung=rungs, seeds=1), tmp_path, workers=1)
    assert found.steps[1].verdict == "failed"
    assert "its validation set has other samples than that of the baseline" in found.steps[1].failed


def test_a_failure_that_may_pass_is_no_verdict(data, tmp_path, monkeypatch):
    short = ladder(data, seeds=1).changed({"rung": []})
    climb(short, tmp_path, workers=1)
    (folder,) = (tmp_path / "runs").iterdir()
    about = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    (folder / "run.json").write_text(json.dumps({**about, "status": "failed"}), encoding="utf-8")
    with (folder / "log.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"event": "failed", "kind": "RunError", "error": "no space"}) + "\n")
    assert climb(short, tmp_path, workers=1).trained == 1


def test_two_climbs_at_once_are_refused(data, tmp_path):
    with climbing(tmp_path), pytest.raises(RunError, match="another process climbs here"):
        climb(ladder(data, seeds=1), tmp_path, workers=1)


def test_a_record_that_is_damaged_is_told(data, tmp_path):
    short = ladder(data, seeds=1).changed({"rung": []})
    record = climb(short, tmp_path, workers=1).record
    record.write_text("{}", encoding="utf-8")
    with pytest.raises(RunError, match="damaged, or written by another version: move it away"):
        climb(short, tmp_path, workers=1)


@posix
def test_a_worker_that_is_killed_is_told(data, tmp_path):
    job = Job(tmp_path / "run", baseline(data).to_toml())
    with Workers(1) as workers:
        list(workers.carry_out(iter([job])))
        (process,) = workers._processes.values()
        process.kill()
        process.join()
        with pytest.raises(RunError, match=r"was ended \(signal SIGKILL\), and the next climb goes on there"):
            list(workers.carry_out(iter([job])))


def test_a_baseline_that_fails_ends_the_climb(data, tmp_path):
    worst = baseline(data).change({"optimizer.lr": 3e38, "network.layers": ["linear 4", "relu", "linear 3"]})
    with pytest.raises(RunError, match="the baseline cannot be trained: seed"):
        climb(Ladder(baseline=worst.change({"training.epochs": 20}), seeds=2), tmp_path, workers=1)


@posix
def test_killed_anywhere_and_climbed_again_it_is_the_same_climb(data, tmp_path, climbed, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = baseline(data).to_toml().replace("\n[", "\n[baseline.").replace("[data]", "[baseline.data]", 1)
    rungs = "".join(
        f"\n[[rung]]\nname = {json.dumps(rung.name)}\nchange = {{ "
        + ", ".join(f"{json.dumps(key)} = {json.dumps(value)}" for key, value in rung.values().items())
        + " }\n"
        for rung in ladder(data).rung
    )
    Path("ladder.toml").write_text(f"seeds = 4\n{recipe}{rungs}", encoding="utf-8")
    command = [sys.executable, "-m", "treadle", "climb", "ladder.toml", "--json", "--workers", "2"]
    for lines in (3, 9):
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as running:
            for _ in range(lines):
                if not running.stdout.readline():
                    break
            running.send_signal(signal.SIGKILL)
    assert call(["climb", "ladder.toml", "--json", "--workers", "2"]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    steps = [line for line in told if line["event"] == "step"]
    found, _ = climbed
    assert [step["values"] for step in steps[: len(found.steps)]] == [step.values for step in found.steps]
    assert [step["verdict"] for step in steps[: len(found.steps)]] == [step.verdict for step in found.steps]
