"""`treadle resume`: what goes on is the run that was never ended."""

import gzip
import importlib
import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from small_sets import digest, same_history
from treadle.runs import load
from treadle.runs.files import locked
from treadle.train import Terminated

commands = importlib.import_module("treadle.cli.run")  # the package's attribute of that name is the command
posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM that a program can handle")


@pytest.fixture
def stopped(cli, recipe, tmp_path, monkeypatch):
    """Let a run be ended when it takes some step for the first time: stopped(step, how) gives its folder."""

    def stopped(step, how=KeyboardInterrupt, *changes):
        def stop(self, state, steps):
            if state.step == step:
                raise how

        with monkeypatch.context() as patch:
            patch.setattr(commands.TextReport, "step", stop)
            code, out, err = cli("run", recipe, *changes)
        (folder,) = (tmp_path / "runs").iterdir()
        return folder, code, out, err

    return stopped


@pytest.fixture
def whole(cli, recipe):
    """The run that is never ended."""
    _, out, _ = cli("run", recipe, "--json", "--runs", "whole")
    return load(json.loads(out.splitlines()[-1])["folder"])


def about(folder):
    return json.loads((folder / "run.json").read_text(encoding="utf-8"))


def events(folder):
    return [json.loads(line)["event"] for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("step", [1, 4, 5, 8, 14])
def test_goes_on_to_the_bit(cli, stopped, whole, step):
    folder, code, out, _ = stopped(step)
    assert code == 130
    assert out.endswith(
        f"after {step} steps in all\nsaved in {Path('runs') / folder.name}; the test set was not looked at\n"
        f"go on: treadle resume {Path('runs') / folder.name}\n"
    )
    assert about(folder)["status"] == "interrupted"
    assert about(folder)["test"] is None
    code, out, err = cli("resume", folder)
    assert (code, err) == (0, "")
    assert f"going on in epoch {(step - 1) // 5 + 1} of 3, after {step} steps in all\n" in out
    assert "test set, 10 samples, looked at once:" in out
    run = load(folder)
    assert digest(run.parameters) == digest(whole.parameters)
    assert same_history(run, whole)
    assert run.tested == whole.tested
    assert run.findings == whole.findings
    assert about(folder)["status"] == "finished"
    assert about(folder)["started"]
    assert events(folder)[0] == "start"
    assert [event for event in events(folder) if event in ("interrupted", "resume", "end")] == [
        "interrupted",
        "resume",
        "end",
    ]


def test_terminated_is_143(cli, stopped, whole):
    folder, code, _, _ = stopped(7, Terminated)
    assert code == 143
    cli("resume", folder)
    assert digest(load(folder).parameters) == digest(whole.parameters)


def test_several_times(cli, stopped, whole, monkeypatch):
    folder, *_ = stopped(2)
    for stop_at in (3, 9):

        def stop(self, state, steps, at=stop_at):
            if state.step == at:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(commands.TextReport, "step", stop)
            assert cli("resume", folder)[0] == 130
    assert cli("resume", folder)[0] == 0
    assert digest(load(folder).parameters) == digest(whole.parameters)
    assert same_history(load(folder), whole)


def test_json(cli, stopped):
    folder, *_ = stopped(7)
    code, out, err = cli("resume", folder, "--json")
    assert (code, err) == (0, "")
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["event"] for line in lines] == ["start", "resume", "epoch", "epoch", "end"]
    assert lines[1] == {"event": "resume", "epoch": 2, "steps": 7, "faults": []}
    assert lines[-1]["weights_epoch"] == 3


def test_a_run_that_was_ended_before_its_first_step_begins_anew(cli, stopped, whole, tmp_path, recipe, monkeypatch):
    def stop(*arguments, **settings):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(commands.shutil, "rmtree", lambda *_, **__: None)  # as if killed
        patch.setattr(importlib.import_module("treadle.runs.train"), "fit", stop)
        assert cli("run", recipe)[0] == 130
    (folder,) = (tmp_path / "runs").iterdir()
    with_none = cli("predict", folder, "a.png")
    assert with_none[0] == 2
    assert (
        "has no weights, for it was ended before its first epoch was through: go on with treadle resume" in with_none[2]
    )
    assert cli("resume", folder)[0] == 0
    assert digest(load(folder).parameters) == digest(whole.parameters)


def test_finished_and_trained_further(cli, recipe, tmp_path):
    cli("run", recipe)
    (folder,) = (tmp_path / "runs").iterdir()
    before = load(folder).tested
    code, _, err = cli("resume", folder)
    assert code == 2
    assert (
        err == f"error: {folder}: is finished, with 3 epochs: to train further, give the number of all with --epochs\n"
    )
    code, _, err = cli("resume", folder, "--epochs", 2)
    assert err == f"error: {folder}: 3 epochs are done, which --epochs 2 cannot undo\n"
    code, out, _ = cli("resume", folder, "--epochs", 5)
    assert code == 0
    assert "test set, 10 samples, looked at once, with the weights of epoch 3, and not again:" in out
    run = load(folder)
    assert len(run.history) == 5
    assert run.tested == before
    assert re.search(r"^epochs = 5$", (folder / "recipe.toml").read_text(encoding="utf-8"), re.MULTILINE)
    cli("run", recipe, "--set", "training.epochs=5", "--runs", "other")
    (other,) = (tmp_path / "other").iterdir()
    assert digest(run.parameters) == digest(load(other).parameters)


def test_no_epochs(cli, recipe, tmp_path):
    cli("run", recipe)
    (folder,) = (tmp_path / "runs").iterdir()
    code, _, err = cli("resume", folder, "--epochs", 0)
    assert code == 2
    assert "--epochs: training.epochs should be greater than or equal to 1, found 0" in err


def test_a_damaged_checkpoint_is_told_and_the_one_before_taken(cli, stopped, whole):
    folder, *_ = stopped(12)
    newest = max((folder / "checkpoints").iterdir(), key=lambda path: int(path.name.split("-")[3]))
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 16
    newest.write_bytes(content)
    code, out, _ = cli("resume", folder)
    assert code == 0
    assert f"warning: {newest}: damaged: its checksum is not the one in its name\n" in out
    assert "going on in epoch 3 of 3, after 10 steps in all" in out
    assert digest(load(folder).parameters) == digest(whole.parameters)


def test_no_whole_checkpoint(cli, stopped):
    folder, *_ = stopped(12)
    for path in (folder / "checkpoints").iterdir():
        path.write_bytes(path.read_bytes()[:-1])
    code, _, err = cli("resume", folder)
    assert code == 2
    assert err.startswith("error: no checkpoint can be read, train anew: ")


def test_data_that_has_changed(cli, stopped, digits, tmp_path):
    folder, *_ = stopped(7)
    text = (folder / "recipe.toml").read_text(encoding="utf-8")
    other = tmp_path / "other"
    other.mkdir()
    for path in digits.iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    labels = other / "t10k-labels-idx1-ubyte.gz"
    content = bytearray(gzip.decompress(labels.read_bytes()))
    content[-1] ^= 1
    labels.write_bytes(gzip.compress(bytes(content)))
    (folder / "recipe.toml").write_text(text.replace(str(digits), str(other)), encoding="utf-8")
    code, _, err = cli("resume", folder)
    assert code == 2
    found = re.findall(r"[0-9a-f]{64}", err)
    assert len(set(found)) == 2
    assert about(folder)["data"]["fingerprint"] == found[0]


def test_a_second_trainer_is_refused(cli, stopped):
    folder, *_ = stopped(7)
    with locked(folder):
        code, _, err = cli("resume", folder)
    assert code == 2
    assert err == f"error: {folder}: another process trains this run: wait for it, or stop it\n"
    assert cli("resume", folder)[0] == 0


def test_no_run(cli, tmp_path):
    code, _, err = cli("resume", tmp_path)
    assert (code, err) == (2, f"error: {tmp_path}: not a run folder, for it has no run.json\n")


@posix
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_end_a_process_with_its_state_saved(recipe, tmp_path, number, code):
    command = [
        *(sys.executable, "-c"),
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from treadle.cli import main; main()",
    ]
    arguments = ["run", str(recipe), "--set", "training.epochs=1000000", "--json"]
    with subprocess.Popen(
        [*command, *arguments],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    ) as running:
        for line in running.stdout:
            if '"epoch": 3' in line:
                break
        running.send_signal(number)
        out, err = running.communicate(timeout=60)
    assert running.returncode == code
    assert err == ""
    told = json.loads(out.splitlines()[-1])
    assert told["event"] == "interrupted"
    (folder,) = (tmp_path / "runs").iterdir()
    assert any(f"-step-{told['steps']}-" in path.name for path in (folder / "checkpoints").iterdir())
    assert about(folder)["status"] == "interrupted"
    assert np.isfinite(load(folder).history[-1]["validation_loss"])


def test_an_older_run_is_brought_to_this_format_and_kept(cli, recipe, tmp_path):
    cli("run", recipe)
    (folder,) = (tmp_path / "runs").iterdir()
    found = about(folder)
    old = {key: value for key, value in found.items() if key not in ("status", "started", "weights_epoch")}
    text = json.dumps({**old, "format": 1})
    (folder / "run.json").write_text(text, encoding="utf-8")
    run = load(folder)
    assert (run.weights_epoch, run.tested) == (3, found["test"])
    assert about(folder) == {**found, "started": None}
    assert (folder / "run-format-1.json").read_text(encoding="utf-8") == text
