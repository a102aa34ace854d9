"""`treadle climb`: the table, and JSON."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from treadle.cli.climb import tried
from treadle.ladder import Sweep, Trial

pytestmark = pytest.mark.slow

EXAMPLE = Path(__file__).parents[2] / "examples" / "ladder.toml"


@pytest.fixture
def short(tmp_path):
    """The example with two seeds and its first two rungs."""
    text = EXAMPLE.read_text(encoding="utf-8").replace("seeds = 5", "seeds = 2").replace("epochs = 2", "epochs = 1")
    parts = text.split("[[rung]]")
    (tmp_path / "short.toml").write_text("[[rung]]".join(parts[:3]), encoding="utf-8")
    return "short.toml"


def test_the_table_and_the_record(cli, short, tmp_path):
    code, out, err = cli("climb", short, "--workers", 1, "--ablate", "--alone")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "2 changes to a baseline, 2 seeds each, judged by validation accuracy"
    assert lines[2].split()[:3] == ["rung", "mean", "change"]
    assert lines[3].startswith("baseline ")
    assert lines[4].startswith("a hidden layer with ReLU ")
    record = next((tmp_path / "climbs").glob("*[0-9a-f].json"))
    told = json.loads(record.read_text(encoding="utf-8"))
    assert [step["name"] for step in told["steps"]] == ["baseline", "a hidden layer with ReLU", "Adam"]
    for line, step in zip(lines[3:6], told["steps"], strict=True):
        mean = sum(step["values"]) / 2
        assert f" {mean:.4f} " in line
        assert step["kept"] == (step["verdict"] in ("baseline", "better"))
    if told["final"] is None:
        assert "no change was kept: the test set was not opened" in out
    else:
        assert "test set, opened once, for the baseline and the top, 2 seeds each:" in out
        assert "McNemar's test" in out
        top = next((tmp_path / "climbs").glob("*-top.toml"))
        assert f"train the top: treadle run {top.relative_to(tmp_path)}" in out
        assert cli("show", top)[0] == 0
    again = cli("climb", short, "--workers", 1, "--ablate", "--alone")
    assert "\n0 runs were trained, " in again[1]
    assert again[1].splitlines()[3:6] == lines[3:6]


SWEPT = """
[[rung]]
name = "a learning rate"
[rung.sweep]
optimizer.lr = [0.05, 0.5]
optimizer.clip_norm = [1, 3e38]
"""


def test_values_that_were_tried_are_told(cli, short, tmp_path):
    path = tmp_path / short
    path.write_text(path.read_text(encoding="utf-8").split("[[rung]]")[0] + SWEPT, encoding="utf-8")
    code, out, err = cli("climb", short, "--seeds", 2, "--workers", 1)
    assert (code, err) == (0, "")
    told = json.loads(next((tmp_path / "climbs").glob("*[0-9a-f].json")).read_text(encoding="utf-8"))
    sweep = told["steps"][1]["sweep"]
    lines = out.splitlines()
    begin = lines.index("  4 values tried, mean of 2 other seeds each:")
    assert lines[begin - 1].startswith("a learning rate ")
    for line, trial in zip(lines[begin + 1 : begin + 5], sweep["trials"], strict=True):
        values = trial["values"]
        assert line.startswith(f"    optimizer.lr = {values['optimizer.lr']}, optimizer.clip_norm = ")
        assert f": {trial['mean']:.4f}" in line
        assert line.endswith(", chosen") == (values == sweep["chosen"])
    assert sweep["seeds"] == [1000, 1001]
    code, out, _ = cli("climb", short, "--seeds", 2, "--json")
    (step,) = [one for one in map(json.loads, out.splitlines()) if one["event"] == "step" and one["sweep"]]
    assert step["sweep"] == sweep


def test_of_many_values_the_best_are_told():
    failed = Trial({"optimizer.lr": 9.0}, [], "seed 1000: the loss is nan")
    trials = [*(Trial({"optimizer.lr": float(n)}, [n / 100]) for n in range(14)), failed]
    lines = tried(Sweep([1000], trials, 13))
    assert lines == [
        "  15 values tried, mean of 1 other seed:",
        "    optimizer.lr = 13: 0.1300, chosen",
        *(f"    optimizer.lr = {n}: {n / 100:.4f}" for n in (12, 11, 10, 9)),
        "    and 10 others, which the record tells",
    ]
    lines = tried(Sweep([1000], [failed], None))
    assert lines[1] == "    optimizer.lr = 9: failed: seed 1000: the loss is nan"


def test_json(cli, short):
    code, out, err = cli("climb", short, "--json", "--seeds", 1, "--workers", 1)
    assert (code, err) == (0, "")
    told = [json.loads(line) for line in out.splitlines()]
    steps = [line for line in told if line["event"] == "step"]
    assert [step["seeds"] for step in steps] == [[0]] * 3
    assert {step["verdict"] for step in steps[1:]} == {"cannot tell"}
    assert told[-1]["event"] == "end"
    assert told[-1]["trained"] == 3
    assert told[-1]["final"] is None
    assert all(line["left"] >= 0 for line in told if line["event"] == "progress")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["none.toml"], "error: none.toml: cannot be read: No such file"),
        (["short.toml", "--seeds", "0"], "error: ladder: seeds should be greater than or equal to 1, found '0'"),
        (["short.toml", "--minutes", "0"], "error: ladder: minutes should be greater than 0, found '0"),
        (["short.toml", "--workers", "0"], "error: workers should be a whole number of at least 1, found 0"),
    ],
)
def test_what_is_wrong_is_told(cli, short, arguments, expected):
    code, _, err = cli("climb", *arguments)
    assert code == 2
    assert err.startswith(expected)


def test_a_climb_goes_on_when_nobody_reads_its_output(short, tmp_path):
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "treadle", "climb", short, "--seeds", "1", "--workers", "1"]
    with os.fdopen(write, "w") as stdout:
        done = subprocess.run(command, cwd=tmp_path, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        0,
        "nobody reads the output any more: it is dropped, and the climb goes on\n",
    )
    (record,) = (tmp_path / "climbs").glob("*[0-9a-f].json")
    assert len(json.loads(record.read_text(encoding="utf-8"))["steps"]) == 3


def test_a_recipe_and_a_ladder_are_told_apart(cli, short, recipe):
    assert cli("climb", recipe) == (2, "", f"error: {recipe}: is a recipe, not a ladder: treadle run {recipe}\n")
    assert cli("run", short) == (2, "", f"error: {short}: is a ladder, not a recipe: treadle climb {short}\n")
    assert cli("show", short)[0] == 2
    Path("neither.toml").write_text("seeds = 3\n", encoding="utf-8")
    assert "a ladder begins with [baseline]" in cli("climb", "neither.toml")[2]
