"""What figures are drawn from: a recipe, data, a run or a climb, as an object or as a place on the disk."""

import json
import os
import shutil

import numpy as np
import pytest

import digit_climb
from small_sets import fit, three_classes
from treadle.data import load as load_data
from treadle.errors import RecipeError, RunError, TreadleError
from treadle.figures import Source, figure
from treadle.ladder.record import read_climb
from treadle.recipe import Recipe
from treadle.runs import load
from treadle.runs.about import read_about


def test_nothing_is_the_baseline():
    source = Source()
    assert source.kind == "recipe"
    assert source.recipe == Recipe.baseline()
    assert Source(None, {"optimizer.lr": 0.25}).recipe == Recipe.baseline().change({"optimizer.lr": 0.25})


def test_a_recipe_and_its_file_are_the_same(tmp_path):
    recipe, path = digit_climb.recipe(), tmp_path / "recipe.toml"
    path.write_text(recipe.to_toml(), encoding="utf-8")
    for given in (recipe, path, str(path)):
        source = Source(given)
        assert (source.kind, source.recipe) == ("recipe", recipe)
        assert Source(given, {"training.epochs": 7}).recipe == recipe.change({"training.epochs": 7})
    assert source.sets.fingerprint() == load_data("digits").fingerprint()
    assert source.validation is source.sets.validation
    for wanted in ("run", "about", "evaluation", "histories"):
        with pytest.raises(TreadleError, match="this figure needs a run: give its folder, its name, or last"):
            getattr(source, wanted)
    with pytest.raises(TreadleError, match="this figure needs a climb: give the record"):
        _ = source.climb


def test_sets_have_neither_recipe_nor_run():
    sets = load_data("wine")
    source = Source(sets)
    assert (source.kind, source.sets) == ("recipe", sets)
    assert figure("sheet", sets, language="en").tables[0].rows()
    with pytest.raises(TreadleError, match="needs a recipe: give one, or the folder of a run, in place of Sets"):
        _ = source.recipe
    with pytest.raises(TreadleError, match="needs a recipe"):
        figure("histograms", sets)


def test_a_run_in_memory():
    sets = three_classes()
    run = fit(sets, epochs=2)
    source = Source(run)
    assert (source.kind, source.run, source.sets) == ("run", run, sets)
    assert source.histories == {"": [run.history]}
    assert source.evaluation.loss == run.evaluate(sets.validation).loss
    with pytest.raises(TreadleError, match="needs a recipe: give one, or the folder of a run, in place of Run"):
        _ = source.recipe
    assert figure("confusion", run, language="en").tables


def test_the_folder_of_a_run(digits_run):
    source = Source(str(digits_run))
    assert (source.kind, source.folder, source.run_folder) == ("run", digits_run, digits_run)
    assert source.recipe == digit_climb.recipe()
    assert source.about == read_about(digits_run)
    assert source.histories == {"": [source.about.history]}
    assert source.evaluation.loss.value == pytest.approx(source.about.history[-1]["validation_loss"])
    assert source.evaluation is source.evaluation
    with pytest.raises(TreadleError, match="this figure needs a climb"):
        figure("staircase", digits_run)


def test_a_climb(climb_record, climb_folder):
    climb = read_climb(climb_record)
    for given in (climb, climb_record, str(climb_record), climb_folder):
        source = Source(given)
        assert source.kind == "climb"
        assert source.climb.to_dict() == climb.to_dict()
    assert source.recipe == climb.top.recipe
    assert source.run_folder == climb_folder / "runs" / climb.top.runs[0]
    assert [len(histories) for histories in source.histories.values()] == [3, 3, 3, 3]
    for step in climb.steps:
        for history, value in zip(source.histories.get(step.name, []), step.values, strict=True):
            assert value in [epoch["validation_accuracy"] for epoch in history]
    run = load(source.run_folder, source.sets)
    x = source.validation.inputs[:3]
    assert np.array_equal(source.run.predict(x), run.predict(x))


def test_only_a_recipe_can_be_changed(digits_run, climb_record):
    for given in (digits_run, climb_record, read_climb(climb_record), load_data("wine")):
        with pytest.raises(TreadleError, match="only a recipe can be changed: a run and a climb are what they are"):
            Source(given, {"optimizer.lr": 1.0})


def test_what_is_not_there_or_is_something_else_is_told(tmp_path, digits_run):
    with pytest.raises(RecipeError, match=r"none\.toml: "):
        _ = Source(tmp_path / "none.toml").recipe
    with pytest.raises(RunError, match=r"none\.json: cannot be read: "):
        Source(tmp_path / "none.json")
    with pytest.raises(RunError, match=r"has neither run\.json, as a run has, nor the record of a climb"):
        Source(tmp_path)
    with pytest.raises(TreadleError, match=r"run\.json: is no record of a climb"):
        Source(digits_run / "run.json")
    with pytest.raises(RecipeError, match=r"'optimiser\.lr' is not stage\.key"):
        _ = Source(None, {"optimiser.lr": 1.0}).recipe


def test_a_run_of_a_climb_that_is_gone_is_told(climb_folder, climb_record, tmp_path):
    record = tmp_path / "climb.json"
    shutil.copy(climb_record, record)
    assert figure("staircase", record, language="en").tables[0].rows()  # which needs no run
    with pytest.raises(RunError, match="run"):
        figure("learning_curves", record)


def test_of_climbs_in_a_folder_the_newest_is_taken(climb_record, tmp_path):
    told = json.loads(climb_record.read_text(encoding="utf-8"))
    for number, name in enumerate(("b", "a")):
        told["ladder"]["seeds"] = 10 + number
        (tmp_path / f"{name}.json").write_text(json.dumps(told), encoding="utf-8")
        os.utime(tmp_path / f"{name}.json", (100 + number, 100 + number))
    assert Source(tmp_path).climb.record == tmp_path / "a.json"
    assert Source(tmp_path).climb.ladder.seeds == 11
