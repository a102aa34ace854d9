"""Runs that were ended: a small recipe, what was acknowledged of a run, and whether it is all still there."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from filecalls import Fault
from forked import Ended
from treadle.runs import load

HARMLESS = {"unlink", "mkdir"}  # of one checkpoint too many, and of a folder that is there
RUN = ("run", "recipe.toml", "--json")
Result = tuple[bytes, list[dict[str, Any]], Any, Any]
RECIPE = """\
[data]
source = "rows.csv"
target = "kind"
split = "stratified"
batch_size = 10

[network]
layers = ["linear 16", "tanh", "dropout 0.2", "linear 3"]

[loss]
kind = "cross_entropy"

[optimizer]
kind = "adam"
lr = 0.01
schedule = ["cosine length={epochs}"]

[training]
epochs = {epochs}

[saving]
checkpoint_steps = {steps}
"""


class Lost(Exception):  # noqa: N818
    """What should not have happened."""


def require(holds: bool, what: str) -> None:
    if not holds:
        raise Lost(what)


def write_recipe(folder: Path, samples: int = 240, epochs: int = 4, steps: int = 3) -> Path:
    """Write a recipe and its data, rows of four numbers in three classes."""
    rows = np.random.default_rng(0).normal(size=(samples, 4))
    kinds = (rows[:, 0] + rows[:, 1] > 0).astype(int) + (rows[:, 2] > 1)
    lines = [
        ",".join(f"{value:.4f}" for value in row) + f",{'xyz'[kind]}" for row, kind in zip(rows, kinds, strict=True)
    ]
    (folder / "rows.csv").write_text("\n".join(["a,b,c,d,kind", *lines, ""]))
    (folder / "recipe.toml").write_text(RECIPE.format(epochs=epochs, steps=steps))
    return folder


def run_in(folder: Path) -> Path | None:
    """Return the run in `folder`/runs that has its run.json; None where there is none."""
    found = list((folder / "runs").glob("*/run.json"))
    require(len(found) < 2, f"{len(found)} runs")
    return found[0].parent if found else None


def events(run: Path) -> list[dict[str, Any]]:
    """Return the lines of the log that are whole."""
    found = []
    path = run / "log.jsonl"
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def acknowledged(run: Path) -> int:
    """Return the last step whose checkpoint was acknowledged in the log; it, or a later one, must be there and whole.

    Raises:
        Lost: it is not, or weights that run.json names are not.
    """
    kept = [event for event in events(run) if event["event"] == "checkpoint"]
    steps = kept[-1]["step"] if kept else 0
    whole = [path for path in (run / "checkpoints").glob("epoch-*.safetensors") if is_whole(path)]
    newest = max((int(path.name.split("-")[3]) for path in whole), default=0)
    require(newest >= steps, f"step {steps} was acknowledged, and the newest checkpoint is of step {newest}")
    # a later one may be there whose line a kill forestalled, and this one be removed for it
    require(newest > steps or not kept or kept[-1]["file"] in {path.name for path in whole}, "another checkpoint")
    if json.loads((run / "run.json").read_text())["weights_sha256"] is not None:
        load(run)
    return steps


def is_whole(checkpoint: Path) -> bool:
    """Whether the content of a checkpoint has the checksum in its name."""
    return hashlib.sha256(checkpoint.read_bytes()).hexdigest() in checkpoint.name


def result(run: Path) -> Result:
    """Return what does not depend on the time: weights, history, findings and the test score."""
    about = json.loads((run / "run.json").read_text())
    require(about["status"] == "finished", f"its status is {about['status']}")
    history = [{k: v for k, v in epoch.items() if k not in {"seconds", "waited"}} for epoch in about["history"]]
    return (run / "weights.safetensors").read_bytes(), history, about["findings"], about["test"]


def require_same(run: Path, wanted: Result) -> None:
    """Raise Lost where the result of a run is not this one, or files of killed writes are left."""
    for name, one, other in zip(("weights", "history", "findings", "test"), result(run), wanted, strict=True):
        require(one == other, f"other {name}")
    told = [event["epoch"] for event in events(run) if event["event"] == "epoch"]
    require(told == [*range(1, len(wanted[1]) + 1)], f"epochs {told} in the log")
    left = [path.name for path in run.rglob("*.part")]
    require(not left, f"left {left}")


def undisturbed(folder: Path, run: Callable[..., Ended]) -> tuple[Result, list[str]]:
    """Return the result of a run that is let be, and its calls on files."""
    ended = run(RUN, folder, Fault())
    require(ended.code == 0, f"exit code {ended.code}: {ended.err}")
    found = run_in(folder)
    assert found is not None
    wanted = result(found)
    shutil.rmtree(folder / "runs")
    return wanted, ended.calls


def finish(folder: Path, run: Callable[..., Ended], wanted: Result) -> int:
    """Go on with the run in `folder`/runs, or begin it where none was begun, and remove it when its result is right.

    Returns:
        The last step that was acknowledged.

    Raises:
        Lost: something acknowledged is lost, the run does not go on, or comes to something else.
    """
    steps, found = 0, run_in(folder)
    for path in (folder / "runs").glob("*"):
        if path != found:
            ended = run(["resume", path], folder)
            require(ended.code == 2 and "not a run folder" in ended.err, f"resume: {ended.code}: {ended.err}")
            shutil.rmtree(path)
    if found is None:
        ended = run(RUN, folder)
        found = run_in(folder)
    else:
        steps = acknowledged(found)
        ended = run(["resume", found, "--json"], folder)
        if "is finished" in ended.err:
            ended = Ended(0, ended.out, ended.err, [])
        else:
            require(resumed(found) >= steps, f"step {steps} was acknowledged, and it went on from {resumed(found)}")
    require(ended.code == 0 and found is not None, f"exit code {ended.code}: {ended.err}")
    assert found is not None
    require_same(found, wanted)
    shutil.rmtree(folder / "runs")
    return steps


def resumed(run: Path) -> int:
    """Return the step that a run went on from last."""
    return next((event["step"] for event in reversed(events(run)) if event["event"] == "resume"), -1)


def require_told(ended: Ended, fault: Fault, name: str) -> None:
    """Raise Lost unless a command ended as it should after a fault at a call of this name."""
    codes = {"kill": -9, "SIGINT": 130, "SIGTERM": 143}
    if fault.act in codes:
        require(ended.code == codes[fault.act], f"exit code {ended.code}: {ended.err}")
    elif name not in HARMLESS or ended.code or fault.after:
        require(ended.code == 2 and ended.err.startswith("error: "), f"exit code {ended.code}: {ended.err}")
    require("Traceback" not in ended.err, ended.err)
