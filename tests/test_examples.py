import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from treadle.data import load
from treadle.recipe import Recipe

EXAMPLES = Path(__file__).parents[1] / "examples"


def process(cwd, *arguments):
    done = subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, encoding="utf-8", check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("program", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_program_runs_as_it_stands(tmp_path, program):
    process(tmp_path, "-W", "error", program)
    assert not list(tmp_path.iterdir())


def test_programs_are_there():
    assert {path.name for path in EXAMPLES.iterdir() if path.is_file()} >= {
        "engine.py", "quickstart.py", "recipe.toml", "digit.png",
    }  # fmt: skip


def test_recipe_runs_and_its_run_predicts(tmp_path):
    recipe = EXAMPLES / "recipe.toml"
    assert Recipe.read(recipe).training.epochs == 5
    out = process(tmp_path, "-m", "treadle", "run", recipe, "--set", "training.epochs=1", "--json")
    folder = json.loads(out.splitlines()[-1])["folder"]
    out = process(tmp_path, "-m", "treadle", "predict", folder, EXAMPLES / "digit.png", "--json")
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
