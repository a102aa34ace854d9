"""What is left of a save that was ended, in the log too."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from treadle.data import Dataset, Sets
from treadle.errors import RunError
from treadle.recipe import Recipe
from treadle.runs import folder as folder_module
from treadle.runs import load, save, train
from treadle.runs.log import log

pytestmark = pytest.mark.slow


def test_new_weights_that_run_json_names_are_not_written_over(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    rows = Dataset(rng.random((60, 4)), np.arange(60) % 3, ("red", "green", "blue"), "rows")
    sets = Sets(rows[:40], rows[40:50], rows[50:], "rows", "made up")
    recipe = Recipe.baseline().change({"network.layers": ["linear 3"], "loss.kind": "cross_entropy"})
    run = train(recipe, sets, tmp_path)
    before = run.predict(rows.inputs)
    (tmp_path / "weights.safetensors").rename(tmp_path / "weights-new.safetensors")  # as a kill leaves it
    run.parameters = {"linear1": {name: leaf + 1 for name, leaf in run.parameters["linear1"].items()}}

    def fail(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folder_module, "write_about", fail)
    with pytest.raises(RunError, match="No space left on device"):
        save(tmp_path, recipe, run)
    np.testing.assert_array_equal(load(tmp_path).predict(rows.inputs), before)
    monkeypatch.undo()
    save(tmp_path, recipe, run)
    np.testing.assert_array_equal(load(tmp_path).predict(rows.inputs), run.predict(rows.inputs))


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc for files")
def test_a_durable_line_is_flushed_with_all_before_it_and_the_name_of_the_log(tmp_path, monkeypatch):
    synced = []

    def fsync(descriptor):
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        synced.append((path, path.is_file() and path.read_text(encoding="utf-8").count("\n")))

    monkeypatch.setattr("os.fsync", fsync)
    log(tmp_path, "start")
    log(tmp_path, "epoch")
    assert synced == [(tmp_path, False)]
    log(tmp_path, "checkpoint", durable=True)
    assert synced[1:] == [(tmp_path / "log.jsonl", 3)]


def test_a_line_that_was_cut_off_does_not_spoil_the_next(tmp_path):
    log(tmp_path, "start", é=1)
    path = tmp_path / "log.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:20])
    log(tmp_path, "end")
    log(tmp_path, "end")
    lines = path.read_text(encoding="utf-8").split("\n")
    assert [json.loads(line)["event"] for line in (lines[0], *lines[2:4])] == ["start", "end", "end"]
    assert (lines[1], lines[4:]) == (lines[0][:20], [""])
