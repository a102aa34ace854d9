"""What a list of runs tells of one, read from its folder alone."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from treadle.errors import RecipeError, RunError
from treadle.metrics import METRICS
from treadle.recipe import Recipe
from treadle.runs.about import ABOUT, parse_about
from treadle.runs.files import is_locked
from treadle.runs.folder import RECIPE
from treadle.runs.tags import TAGS, read_tags

STATUSES = ("running", "interrupted", "failed", "finished", "killed", "damaged")
_STAMPED = (ABOUT, RECIPE, TAGS)
_ABSENT = "-"
STAMP_OF_NAME = re.compile(r"\d{4}-\d\d-\d\d-\d{6}", re.ASCII)


@dataclass(frozen=True)
class Entry:
    """A run in a list.

    Args:
        name: of its folder.
        status: running, interrupted, failed, finished, damaged, or killed: it was running and no process trains it.
        fault: what is wrong with its files; what they should tell is then missing here.
        started: when, in ISO 8601.
        data, fingerprint: name and fingerprint of the data.
        network: preset or layers.
        loss, optimizer, lr: their kinds and the learning rate.
        epochs_done, epochs: that ended, and that its recipe says.
        weights_epoch: epoch of its weights.
        validation: loss and metrics of that epoch.
        test: loss, samples, and metrics, each with its 95 % interval as <metric>_interval; None where not looked at.
        seconds: of training.
        versions: of treadle, numpy and python.
        tags, note: that people gave it.
    """

    name: str
    status: str
    fault: str | None = None
    started: str | None = None
    data: str | None = None
    fingerprint: str | None = None
    network: str | None = None
    loss: str | None = None
    optimizer: str | None = None
    lr: float | None = None
    epochs_done: int = 0
    epochs: int | None = None
    seed: int | None = None
    weights_epoch: int | None = None
    validation: dict[str, float | None] = field(default_factory=dict)
    test: dict[str, Any] | None = None
    seconds: float = 0.0
    versions: dict[str, str] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    note: str = ""

    @property
    def metric(self) -> str:
        """The first metric of the run, or loss where it has none."""
        return next((name for name in [*(self.test or ()), *self.validation] if name in METRICS), "loss")

    @property
    def tested_epoch(self) -> int | None:
        """The epoch of the weights that the test score is of, where the run was trained further and has others."""
        epoch = (self.test or {}).get("weights_epoch")
        return None if epoch == self.weights_epoch else epoch

    @property
    def age(self) -> tuple[float, list[int | str]]:
        """What runs are sorted by: when it started, then the parts of its name with numbers as numbers."""
        parts = re.split(r"(\d+)", self.name)
        natural = [int(part) if number % 2 else part for number, part in enumerate(parts)]
        with suppress(ValueError, OverflowError, OSError):
            if self.started:
                return datetime.fromisoformat(self.started).timestamp(), natural
            if found := STAMP_OF_NAME.match(self.name):  # a run of format 1, or one whose run.json is damaged
                return datetime.strptime(found[0], "%Y-%m-%d-%H%M%S").astimezone().timestamp(), natural
        return 0.0, natural


def stamp(folder: Path) -> str | None:
    """Return what changes with the files that an entry is made of; None where the folder is no run."""
    parts = [_stamp(f"{folder}{os.sep}{name}") for name in _STAMPED]
    return None if parts[0] == parts[1] == _ABSENT else " ".join(parts)


def _stamp(path: str) -> str:
    try:
        found = os.stat(path)  # noqa: PTH116 - a third of the time of Path.stat, and there may be thousands
    except OSError:
        return _ABSENT
    return f"{found.st_mtime_ns}:{found.st_size}:{found.st_ino}"  # each replaced file has a number of its own


def look(folder: Path, known: tuple[str, Entry] | None = None) -> tuple[str, Entry, Entry] | None:
    """Return stamp, entry as the files tell it, and entry as the run stands at this moment; None for no run.

    Args:
        folder: of the run.
        known: stamp and entry as the files told it before; the files are read where the stamp has changed.
    """
    before, entry = known or (None, None)
    while True:
        now = stamp(folder)
        if now is None:
            return None
        if entry is None or now != before:
            before, entry = now, read_entry(folder)
        if is_locked(folder):
            starting = now.startswith(_ABSENT)  # run.json is the last that a run writes before training
            return now, entry, replace(entry, status="running", fault=None if starting else entry.fault)
        if entry.status not in ("running", "damaged"):
            return now, entry, entry
        if stamp(folder) == now:  # else it ended, or moved, after its files were read
            return now, entry, replace(entry, status="killed") if entry.status == "running" else entry


def read_entry(folder: Path) -> Entry:
    """Read an entry from the files of a run, with the status that they tell."""
    values: dict[str, Any] = {"name": folder.name or folder.resolve().name}
    faults = []
    for read in (_of_about, _of_recipe, _of_tags):
        try:
            values |= read(folder)
        except (RunError, RecipeError) as error:
            faults.append(str(error).replace(f"{folder}{os.sep}", "").removeprefix(f"{folder}: "))
    if faults:
        values |= {"status": "damaged", "fault": "; ".join(faults)}
    return Entry(**values)


def _of_about(folder: Path) -> dict[str, Any]:
    if not (folder / ABOUT).is_file():
        raise RunError(f"{ABOUT} is missing: the run was ended before training began, or this copy is not complete")
    about, values, _ = parse_about(folder)
    history = about.history
    epochs = [record for record in history if record.get("epoch") == about.weights_epoch] or history[-1:]
    seconds = [record.get("seconds", 0.0) for record in history]
    numbers = [*seconds, *(value for key, value in (epochs[0] if epochs else {}).items() if _validation(key))]
    for value in (about.test or {}).values():  # intervals are pairs
        numbers += value if isinstance(value, list) and len(value) == 2 else [value]
    if not all(value is None or isinstance(value, (int, float)) for value in numbers):
        raise RunError(f"{folder / ABOUT}: damaged: history and test should hold numbers")
    made_with = values.get("made_with")
    return {
        "status": about.status,
        "started": about.started,
        "data": about.data.name,
        "fingerprint": about.data.fingerprint,
        "epochs_done": len(history),
        "weights_epoch": about.weights_epoch,
        "validation": {
            _validation(key): value for record in epochs for key, value in record.items() if _validation(key)
        },
        "test": about.test,
        "seconds": float(sum(value or 0.0 for value in seconds)),
        "versions": {str(k): str(v) for k, v in made_with.items()} if isinstance(made_with, dict) else {},
    }


def _validation(key: str) -> str:
    """The name of a figure on the validation set, or "" for others."""
    return key.removeprefix("validation_") if key.startswith("validation_") else ""


def _of_recipe(folder: Path) -> dict[str, Any]:
    recipe = Recipe.read(folder / RECIPE)
    return {
        "network": recipe.network.preset or ", ".join(recipe.network.layers or ()),
        "loss": recipe.loss.kind,
        "optimizer": recipe.optimizer.kind,
        "lr": getattr(recipe.optimizer, "lr", None),
        "epochs": recipe.training.epochs,
        "seed": recipe.training.seed,
    }


def _of_tags(folder: Path) -> dict[str, Any]:
    tags = read_tags(folder)
    return {"tags": tags.tags, "note": tags.note}
