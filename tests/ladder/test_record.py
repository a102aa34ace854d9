"""Records of climbs: what is read is what the climb gave, and what is no record is told."""

import json
import math
import os
import shutil

import pytest

import digit_climb
from treadle.errors import RunError
from treadle.ladder import climb
from treadle.ladder.record import read_climb
from treadle.recipe import Recipe


@pytest.fixture(scope="module")
def climbed(climb_folder):
    """The climb itself: all of its runs are there."""
    return climb(digit_climb.ladder(), climb_folder, workers=1, views=("climb", "ablate", "alone"))


def test_what_is_read_is_what_the_climb_gave(climbed, climb_record):
    found = read_climb(climb_record)
    assert (climbed.trained, climbed.record) == (0, climb_record)
    assert found.ladder == climbed.ladder == digit_climb.ladder()
    assert found.steps == climbed.steps
    assert found.views == climbed.views
    assert found.final == climbed.final
    assert found.top == climbed.top
    assert found.top_recipe == climbed.top_recipe
    assert Recipe.read(found.top_recipe) == found.top.recipe
    assert found.to_dict() == climbed.to_dict()


def test_it_has_what_tests_of_records_are_about(climbed):
    assert [step.verdict for step in climbed.steps[:4]] == ["baseline", "better", "failed", "cannot tell"]
    assert climbed.steps[1].sweep.values == {"optimizer.lr": 0.5}
    assert climbed.steps[3].comparison.interval == (-math.inf, math.inf)
    assert climbed.final.samples.only_after > 100
    assert list(climbed.views) == ["ablate", "alone"]


def test_a_folder_is_that_of_its_newest_record(climb_record, tmp_path):
    for name, time in (("c", 300), ("a", 500), ("b", 400)):
        shutil.copy(climb_record, tmp_path / f"{name}.json")
        os.utime(tmp_path / f"{name}.json", (time, time))
    (tmp_path / "z.json").mkdir()
    assert read_climb(tmp_path).record == tmp_path / "a.json"
    os.utime(tmp_path / "b.json", (500, 500))  # as new: by name
    assert read_climb(str(tmp_path)).record == tmp_path / "b.json"
    assert read_climb(tmp_path).top_recipe is None  # which was not copied
    (tmp_path / "none").mkdir()
    with pytest.raises(RunError, match=r"none: has neither run\.json, as a run has, nor the record of a climb"):
        read_climb(tmp_path / "none")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no record of a climb: "),
        ("{", "is no record of a climb: "),
        ("[" * 100_000, "is no record of a climb: "),
        ("[]", "is no record of a climb$"),
        ('{"steps": []}', "is no record of a climb$"),
        (b"\xff\xfe", "is no record of a climb: "),
    ],
)
def test_another_file_is_no_record(text, message, tmp_path):
    path = tmp_path / "climb.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(RunError, match=f"climb.json: {message}"):
        read_climb(path)
    with pytest.raises(RunError, match=r"gone\.json: cannot be read: No such file"):
        read_climb(tmp_path / "gone.json")


@pytest.fixture
def changed(climb_record, tmp_path):
    """Read the record with one value changed: changed(value, *path)."""

    def changed(value, *path):
        told = json.loads(climb_record.read_text(encoding="utf-8"))
        place = told
        for key in path[:-1]:
            place = place[key]
        if value is KeyError:
            del place[path[-1]]
        else:
            place[path[-1]] = value
        file = tmp_path / "climb.json"
        file.write_text(json.dumps(told), encoding="utf-8")
        return read_climb(file)

    return changed


@pytest.mark.parametrize("version", [2, "1", None])
def test_a_record_of_another_version_is_refused(version, changed):
    with pytest.raises(RunError, match=f"has format {version!r}, this version reads format 1"):
        changed(version, "format")


STEP = ("steps", 1)


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ([], ("steps",)),
        (None, ("steps",)),
        (3, ("steps",)),
        ([3], ("steps",)),
        (False, ("steps", 0, "kept")),
        (KeyError, (*STEP, "name")),
        (KeyError, (*STEP, "comparison")),
        ("long", (*STEP, "seconds")),
        ("many", (*STEP, "values")),
        (["x"], (*STEP, "values")),
        ([None], (*STEP, "values")),
        (7, (*STEP, "runs")),
        ([7], (*STEP, "runs")),
        (["../../other"], (*STEP, "runs")),
        ("yes", (*STEP, "kept")),
        (7, (*STEP, "name")),
        ("nowhere", (*STEP, "stage")),
        ({"data": 3}, (*STEP, "recipe")),
        ("x", (*STEP, "comparison", "p")),
        ([1], (*STEP, "comparison", "interval")),
        ("maybe", (*STEP, "comparison", "verdict")),
        ({"optimizer.lr": 9.0}, (*STEP, "sweep", "chosen")),
        (7, (*STEP, "sweep", "trials")),
        (["x"], (*STEP, "sweep", "trials", 0, "scores")),
        ([], (*STEP, "sweep", "trials", 0, "scores")),
        ([], ("views",)),
        ({"alone": 3}, ("views",)),
        ({"other": []}, ("views",)),
        ({}, ("final",)),
        ("x", ("final", "baseline")),
        ([7], ("final", "runs")),
        (3, ("ladder",)),
        ("none", ("ladder", "metric")),
        (-1, ("ladder", "seeds")),
        ({}, ("ladder", "baseline")),
    ],
)
def test_a_damaged_record_is_told(value, path, changed):
    with pytest.raises(RunError, match=r"climb\.json: (damaged: .|is no record of a climb)"):
        changed(value, *path)
