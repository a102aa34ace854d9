"""Runs that are killed, stopped or fail at calls on their files; soak/kills.py does so at every call."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from safetensors import safe_open
from safetensors.numpy import load, save

from ended_runs import RUN, finish, require_told, result, resumed, run_in, undisturbed, write_recipe
from filecalls import MOMENTS, Fault
from forked import Ended
from treadle.runs.files import locked

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="forks, and asks /proc for files")]


@pytest.fixture(scope="module")
def run(folder):
    """Runs a command of treadle in a process forked from a fresh one, which has one thread only."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-P", Path(__file__).parent.parent / "forked.py", folder / "recipe.toml"]
    with subprocess.Popen(command, stdin=-1, stdout=-1, text=True, env=environment) as server:

        def run(arguments, folder, fault=None):
            request = {"arguments": [str(word) for word in arguments], "folder": str(folder)}
            server.stdin.write(json.dumps({**request, "fault": fault and vars(fault)}) + "\n")
            server.stdin.flush()
            return Ended(**json.loads(server.stdout.readline()))

        yield run
        server.stdin.close()


@pytest.fixture(scope="module")
def folder():
    """A recipe and its data, in memory where it can be, for a sync of a disk takes milliseconds."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").exists() else None) as path:
        yield write_recipe(Path(path), 60, 2, 2)


@pytest.fixture(scope="module")
def wanted(run, folder):
    """The result of the run that nothing happens to, and its calls on files."""
    return undisturbed(folder, run)


@pytest.fixture(autouse=True)
def no_runs(folder):
    shutil.rmtree(folder / "runs", ignore_errors=True)


@pytest.fixture
def killed(run, folder, wanted):
    """A run killed in its second epoch."""
    steps = [number for number, name in enumerate(wanted[1], 1) if name == "step"]
    assert run(RUN, folder, Fault(steps[8])).code == -9
    return run_in(folder)


def newest(run):
    return max((run / "checkpoints").glob("epoch-*.safetensors"), key=lambda path: int(path.name.split("-")[3]))


@pytest.mark.parametrize(
    ("act", "when", "first"),
    [
        ("kill", "before", 2),
        ("kill", "after", 5),
        ("kill", "half", 0),
        ("SIGINT", "before", 7),
        ("SIGTERM", "after", 9),
        ("ENOSPC", "before", 3),
        ("ENOSPC", "half", 0),
        ("EIO", "before", 8),
    ],
)
def test_at_calls_on_files(run, folder, wanted, act, when, first):
    for number, name in list(enumerate(wanted[1], 1))[first::15]:
        if when == "half":  # the write that comes next
            number = wanted[1].index("write", min(number, len(wanted[1]) - 1) - 1) + 1
            name = "write"
        if act.startswith("E") and name in MOMENTS:
            continue
        fault = Fault(number, act, when)
        require_told(run(RUN, folder, fault), fault, name)
        finish(folder, run, wanted[0])


def test_a_file_is_flushed_before_it_is_renamed_and_its_name_before_older_ones_are_removed(wanted):
    calls = " ".join(wanted[1])
    whole = "open write flush fsync replace open fsync"
    lines = len(
        re.findall(f"{whole}( unlink)? open write flush fsync(?! replace)", calls)
    )  # of checkpoints, in the log
    assert calls.count(whole) + lines == calls.count("flush") > 10
    assert lines > calls.count("unlink") == calls.count(f"{whole} unlink open write flush fsync") > 2
    assert calls.count("replace") == calls.count(whole) + calls.count(f"{whole} replace open write")  # weights


def test_at_calls_of_a_resume(run, folder, wanted, killed):
    again = folder / "again"
    shutil.copytree(folder / "runs", again)
    resume = ["resume", killed]
    calls = run(resume, folder, Fault()).calls
    for act, first in (("kill", 3), ("SIGINT", 6), ("EIO", 4)):
        for number, name in list(enumerate(calls, 1))[first::20]:
            if act == "EIO" and name in MOMENTS:
                continue
            shutil.rmtree(folder / "runs", ignore_errors=True)
            shutil.copytree(again, folder / "runs")
            fault = Fault(number, act)
            require_told(run(resume, folder, fault), fault, name)
            finish(folder, run, wanted[0])
    shutil.rmtree(again)


@pytest.mark.parametrize(("act", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
@pytest.mark.parametrize("where", ["step 1", "step 4", "evaluation 1", "evaluation 3", "fsync 9", "fsync 21"])
def test_a_signal_leaves_a_checkpoint_and_tells_how_to_go_on(run, folder, wanted, act, code, where):
    name, count = where.split()
    number = [number for number, called in enumerate(wanted[1], 1) if called == name][int(count) - 1]
    ended = run(["run", "recipe.toml"], folder, Fault(number, act))
    assert ended.code == code
    found = run_in(folder)
    assert f"resume runs/{found.name}" in ended.out
    assert newest(found).exists()
    assert json.loads((found / "run.json").read_text())["status"] == "interrupted"
    finish(folder, run, wanted[0])


def test_a_second_ctrl_c_while_the_first_saves_ends_at_once(run, folder, wanted):
    number = [number for number, name in enumerate(wanted[1], 1) if name == "step"][4]
    ended = run(RUN, folder, Fault(number, "SIGINT", after=True))  # again at each write
    assert (ended.code, ended.err) == (130, "interrupted\n")
    assert finish(folder, run, wanted[0]) == 4


def test_what_failed_to_sync_is_not_kept(run, folder, wanted):
    steps = [number for number, name in enumerate(wanted[1], 1) if name == "step"]
    number = wanted[1].index("fsync", steps[3]) + 1  # of the checkpoint after step 4
    ended = run(RUN, folder, Fault(number, "EIO"))
    assert ended.code == 2
    assert "a checkpoint cannot be written: Input/output error; free space or fix it, then go on with " in ended.err
    assert [path.name.split("-")[3] for path in (run_in(folder) / "checkpoints").iterdir()] == ["2"]
    finish(folder, run, wanted[0])


def test_a_disk_that_stays_full(run, folder, wanted):
    number = len(wanted[1]) // 2
    ended = run(RUN, folder, Fault(number, "ENOSPC", after=True))
    assert (ended.code, "No space left on device" in ended.err) == (2, True)
    assert finish(folder, run, wanted[0]) > 0


def test_a_flipped_bit_in_the_newest_checkpoint(run, folder, wanted, killed):
    path = newest(killed)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    ended = run(["resume", killed], folder)
    assert ended.code == 0
    assert f"{path}: damaged: its checksum is not the one in its name" in ended.out
    assert resumed(killed) < int(path.name.split("-")[3])
    assert result(killed) == wanted[0]


def test_no_checkpoint_is_whole(run, folder, killed):
    for path in (killed / "checkpoints").iterdir():
        path.write_bytes(path.read_bytes()[:-1])
    ended = run(["resume", killed], folder)
    assert ended.code == 2
    assert ended.err.startswith("error: no checkpoint can be read, train anew: ")
    assert ended.err.count("damaged") == 2


def test_a_run_that_is_trained_is_not_trained_by_another(run, folder, wanted, killed):
    with locked(killed):
        ended = run(["resume", killed], folder)
    assert ended.code == 2
    assert "another process trains this run: wait for it, or stop it" in ended.err
    finish(folder, run, wanted[0])


def test_other_data(run, folder, killed):
    rows = folder / "rows.csv"
    content = rows.read_text()
    try:
        rows.write_text(content.replace("0.", "1.", 1))
        ended = run(["resume", killed], folder)
    finally:
        rows.write_text(content)
    assert ended.code == 2
    about = json.loads((killed / "run.json").read_text())
    assert f"with fingerprint {about['data']['fingerprint']}, and the data given has " in ended.err
    assert resumed(killed) == -1


def test_a_checkpoint_of_a_newer_format(run, folder, killed):
    path = newest(killed)
    with safe_open(path, "numpy") as file:
        progress = json.loads(file.metadata()["progress"])
    content = save(load(path.read_bytes()), {"progress": json.dumps({**progress, "format": 2, "new": 1})})
    name = "-".join([*path.name.split("-")[:4], hashlib.sha256(content).hexdigest()])
    path.unlink()
    (path.parent / f"{name}.safetensors").write_bytes(content)
    ended = run(["resume", killed], folder)
    assert ended.code == 2
    assert "has format 2, this version reads format 1: use a newer treadle" in ended.err


def test_a_run_trained_further_keeps_its_epochs_through_kills(run, folder, wanted):
    assert run([*RUN, "--set", "training.epochs=3"], folder).code == 0
    weights, history, *_ = result(run_in(folder))
    shutil.rmtree(folder / "runs")
    assert run(RUN, folder).code == 0
    finished = folder / "finished"
    shutil.move(folder / "runs", finished)
    name = next(finished.iterdir()).name
    further = ["resume", f"runs/{name}", "--epochs", "3"]
    shutil.copytree(finished, folder / "runs")
    calls = run(further, folder, Fault()).calls
    shutil.rmtree(folder / "runs")
    recipe_is_written = calls.index("replace") + 1
    for number in range(recipe_is_written + 1, len(calls) + 1, 9):
        shutil.copytree(finished, folder / "runs")
        assert run(further, folder, Fault(number)).code == -9
        ended = run(["resume", f"runs/{name}"], folder)
        assert ended.code == 0 or "is finished, with 3 epochs" in ended.err
        found = result(run_in(folder))
        assert found[:2] == (weights, history)
        assert found[3] == wanted[0][3]  # the test set is not looked at again
        shutil.rmtree(folder / "runs")
    shutil.rmtree(finished)


def test_killed_before_the_last_weights_are_renamed(run, folder, wanted):
    calls = wanted[1]
    validated = [number for number, name in enumerate(calls, 1) if name == "evaluation"][-2]
    checkpoint = calls.index("flush", validated) + 1
    assert run(RUN, folder, Fault(calls.index("flush", checkpoint) + 1)).code == -9  # so that resume saves the weights
    found = run_in(folder)
    again = folder / "again"
    shutil.copytree(folder / "runs", again)
    calls = run(["resume", found], folder, Fault()).calls
    shutil.rmtree(folder / "runs")
    again.rename(folder / "runs")
    last = len(calls) - calls[::-1].index("replace")
    assert run(["resume", found], folder, Fault(last)).code == -9
    assert json.loads((found / "run.json").read_text())["status"] == "finished"
    assert (found / "weights-new.safetensors").exists()
    finish(folder, run, wanted[0])
