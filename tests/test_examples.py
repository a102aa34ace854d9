import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from treadle.cli import call
from treadle.data import load
from treadle.recipe import Recipe

pytestmark = pytest.mark.slow

TARGET = ("--set", "data.target=progression")
EXAMPLES = Path(__file__).parents[1] / "examples"


def process(cwd, *arguments):
    done = subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, encoding="utf-8", check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture
def treadle(capsys, monkeypatch):
    """The command line in this process: treadle(folder, arguments…) gives exit code and stdout."""

    def treadle(folder, *arguments):
        monkeypatch.chdir(folder)
        code, told = call([str(argument) for argument in arguments]), capsys.readouterr()
        assert told.err == ""
        return code, told.out

    return treadle


@pytest.mark.parametrize("program", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_program_runs_as_it_stands(tmp_path, program):
    process(tmp_path, "-W", "error", program)
    assert not list(tmp_path.iterdir())


def test_programs_are_there():
    assert {path.name for path in EXAMPLES.iterdir() if path.is_file()} >= {
        "engine.py", "quickstart.py", "recipe.toml", "digit.png",
    }  # fmt: skip


def test_recipe_runs_and_its_run_predicts(treadle, tmp_path):
    recipe = EXAMPLES / "recipe.toml"
    assert Recipe.read(recipe).training.epochs == 5
    code, out = treadle(tmp_path, "run", recipe, "--set", "training.epochs=1", "--json")
    assert code == 0
    folder = json.loads(out.splitlines()[-1])["folder"]
    code, out = treadle(tmp_path, "predict", folder, EXAMPLES / "digit.png", "--json")
    assert code == 0
    (result,) = json.loads(out)
    assert result["prediction"] in result["probabilities"]
    assert sum(result["probabilities"].values()) == pytest.approx(1, abs=1e-4)


def test_digit_is_a_seven_of_the_test_set():
    with Image.open(EXAMPLES / "digit.png") as image:
        assert (image.mode, image.size) == ("L", (28, 28))
        pixels = np.asarray(image)
    test = load("mnist").test
    places = np.flatnonzero((test.inputs[:, 0] == pixels).all(axis=(1, 2)))
    assert test.targets[places].tolist() == [7]


def climbed(treadle, tmp_path, name):
    """Climb the ladder of an example with fewer seeds, and write both reports; return what the climb told."""
    shutil.copytree(EXAMPLES / name, tmp_path / name)
    folder = tmp_path / name
    for program in folder.glob("*.py"):
        process(folder, program)
    code, out = treadle(folder, "climb", "ladder.toml", "--seeds", 2, "--workers", 1, "--json")
    assert code == 0
    for language, word in (("en", "Why it is believed"), ("zh", "为什么可信")):
        assert treadle(folder, "report", "climbs", "--language", language, "-o", f"{language}.html")[0] == 0
        page = (folder / f"{language}.html").read_text(encoding="utf-8")
        assert word in page
        assert len(page.encode()) < 6e6
    return [json.loads(line) for line in out.splitlines()]


def test_a_table_of_ones_own(treadle, tmp_path):
    code, out = treadle(tmp_path, "check", EXAMPLES / "own_table/patients.csv", "--json", *TARGET)
    assert code == 1
    assert "'blood_sugar' has no value in 11 of 442 rows" in out
    events = climbed(treadle, tmp_path, "own_table")
    steps = {event["name"]: event for event in events if event["event"] == "step"}
    assert steps["without scaling"]["verdict"] == "failed"
    swept = steps["a hidden layer with ReLU, at the better of two rates"]["sweep"]
    assert [trial["values"]["optimizer.lr"] for trial in swept["trials"]] == [0.0001, 0.0003]
    assert events[-1]["event"] == "end"


def test_a_folder_of_images_of_ones_own(treadle, tmp_path):
    events = climbed(treadle, tmp_path, "own_images")
    assert len(list((tmp_path / "own_images" / "images").glob("*/*.png"))) == 1_000
    values = {event["name"]: event["values"] for event in events if event["event"] == "step"}
    assert min(values["convolution"]) > max(values["baseline"]) > 0.8
    assert events[-1]["trained"] == 8
