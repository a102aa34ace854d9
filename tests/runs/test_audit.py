"""Nothing that a file says is executed, evaluated, unpickled or imported: heard by Python's audit hook."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import contextlib, json, sys
from pathlib import Path
import numpy as np
from treadle.errors import TreadleError
from treadle.ladder import Ladder
from treadle.recipe import Recipe
from treadle.runs import load, resume, train
from treadle.runs.about import read_about
from treadle.runs.checkpoints import newest

folder, ladder = Path(sys.argv[1]), Path(sys.argv[2])
changes = {"data.source": "wine", "network.layers": ["linear 4", "relu", "dropout 0.1", "linear 3"]}
changes |= {"loss.kind": "cross_entropy", "optimizer.kind": "adam", "optimizer.lr": 0.01}
changes |= {"optimizer.schedule": ["warmup 1"], "training.averaging": "ema 0.9"}
changes |= {"training.metrics": ["accuracy"], "data.split": "stratified", "data.batch_size": 20}
recipe = Recipe.baseline().change(changes)
folder.mkdir()
sets = recipe.load_data()
train(recipe, sets, folder)

def read():
    read_about(folder)
    Recipe.read(folder / "recipe.toml")
    run = load(folder, sets)
    run.predict(sets.test.inputs)
    newest(folder)
    Ladder.read(ladder)
    for name in ("recipe.toml", "run.json", "weights.safetensors"):
        content = (folder / name).read_bytes()
        for bad in (content[:50], content.replace(b"linear", b"os.system"), content.replace(b"minmax", b"__import__")):
            (folder / name).write_bytes(bad)
            with contextlib.suppress(TreadleError):
                load(folder)
            (folder / name).write_bytes(content)

read()  # imports what is imported late
heard = []
FORBIDDEN = ("exec", "import", "compile", "pickle.", "marshal.", "code.", "subprocess.", "os.system", "socket.")

def hear(event, arguments):
    if event.startswith(FORBIDDEN):
        heard.append((event, repr(arguments)[:200]))

sys.addaudithook(hear)
read()
print(json.dumps(heard))
"""


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="audit events are those of CPython")
def test_reading_runs_checkpoints_recipes_and_ladders(tmp_path):
    ladder = Path(__file__).parents[2] / "examples" / "ladder.toml"
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, tmp_path / "run", ladder],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout == "[]\n"
