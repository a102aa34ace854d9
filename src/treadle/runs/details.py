"""Everything about a run, and what differs between runs."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from treadle.errors import RecipeError, RunError
from treadle.metrics import METRICS
from treadle.recipe import Recipe
from treadle.runs.about import ABOUT, parse_about
from treadle.runs.checkpoints import FOLDER
from treadle.runs.entry import Entry, look
from treadle.runs.folder import RECIPE
from treadle.runs.log import LOG
from treadle.train import Finding

_CHECKPOINT = re.compile(r"epoch-(\d+)-step-(\d+)-[0-9a-f]+\.safetensors", re.ASCII)
CAUTION = (
    "One run of each: a difference within one pair of runs is no evidence, for another seed moves scores too. Train "
    "each recipe with several seeds (training.seed) and compare those. The intervals tell of the choice of test "
    "samples alone."
)
OTHER_DATA = "The data differs, so that the scores cannot be compared."


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint by its name: epochs and steps that were done, and its size in bytes."""

    epoch: int
    step: int
    size: int


@dataclass(frozen=True)
class Details:
    """Everything about a run; what a damaged file should tell is missing.

    Args:
        folder: of the run.
        entry: what a list tells of it.
        recipe: None where it is damaged.
        history: figures of each epoch.
        findings: what a diagnosis found.
        machine: that it was trained on.
        shape: of a sample.
        checkpoints: the newest first.
        error: that ended it, where it failed.
    """

    folder: Path
    entry: Entry
    recipe: Recipe | None
    history: list[dict[str, Any]]
    findings: list[Finding]
    machine: dict[str, Any]
    shape: tuple[int, ...]
    checkpoints: list[Checkpoint]
    error: str | None

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain values."""
        return {
            **asdict(self.entry),
            "folder": str(self.folder),
            "recipe": None if self.recipe is None else self.recipe.to_dict(),
            "history": self.history,
            "findings": [finding.to_dict() for finding in self.findings],
            "machine": self.machine,
            "checkpoints": [asdict(checkpoint) for checkpoint in self.checkpoints],
            "error": self.error,
        }


def details(folder: Path) -> Details:
    """Read everything about a run.

    Raises:
        RunError: the folder is no run.
    """
    seen = look(folder)
    if seen is None:
        raise RunError(f"{folder}: not a run folder, for it has no {ABOUT}")
    entry = seen[2]
    about, recipe = None, None
    values: dict[str, Any] = {}
    with suppress(RunError):  # the entry tells the fault
        about, values, _ = parse_about(folder)
    with suppress(RecipeError):
        recipe = Recipe.read(folder / RECIPE)
    machine = values.get("machine")
    return Details(
        folder=folder,
        entry=entry,
        recipe=recipe,
        history=about.history if about else [],
        findings=about.findings if about else [],
        machine=machine if isinstance(machine, dict) else {},
        shape=tuple(about.data.shape) if about else (),
        checkpoints=_checkpoints(folder),
        error=_error(folder) if entry.status == "failed" else None,
    )


def _checkpoints(folder: Path) -> list[Checkpoint]:
    found = []
    for path in (folder / FOLDER).glob("*.safetensors"):
        match = _CHECKPOINT.fullmatch(path.name)
        with suppress(FileNotFoundError):  # training removes old ones
            if match:
                found.append(Checkpoint(int(match[1]), int(match[2]), path.stat().st_size))
    return sorted(found, key=lambda checkpoint: (checkpoint.step, checkpoint.epoch), reverse=True)


def _error(folder: Path) -> str | None:
    """The last error in the log of a run."""
    try:
        lines = (folder / LOG).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    for line in reversed(lines):
        with suppress(ValueError, RecursionError):
            found = json.loads(line)
            if isinstance(found, dict) and found.get("event") == "failed":
                return str(found.get("error"))
    return None


@dataclass(frozen=True)
class Comparison:
    """What differs between runs, a value a run under each name; None where a run has none.

    Args:
        runs: their names.
        recipe: settings by stage.key.
        scores: loss and metrics on validation and test set, also where they are the same: value, interval or None, and
            of which epoch's weights, where that is an earlier one than that of the run's weights, else None.
        other: status, data, versions and machine.
        cautions: what the scores do not tell.
    """

    runs: list[str]
    recipe: dict[str, list[Any]]
    scores: dict[str, list[dict[str, Any] | None]]
    other: dict[str, list[Any]]
    cautions: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)


def compare(runs: list[Details]) -> Comparison:
    """Return what differs between runs, and their scores.

    Raises:
        RunError: one is damaged.
    """
    for run in runs:
        if run.entry.fault or run.recipe is None:
            raise RunError(f"{run.folder}: cannot be compared, for it is damaged: {run.entry.fault}")
    settings = [run.recipe.settings() for run in runs if run.recipe]
    others = [_other(run) for run in runs]
    other = _differing(others)
    return Comparison(
        runs=[run.entry.name for run in runs],
        recipe=_differing(settings),
        scores=_scores([run.entry for run in runs]),
        other=other,
        cautions=[*([OTHER_DATA] if "data fingerprint" in other else []), *_of_earlier_weights(runs), CAUTION],
    )


def _of_earlier_weights(runs: list[Details]) -> list[str]:
    return [
        f"{run.entry.name} was trained further after its test: its test scores are those of its weights of epoch "
        f"{run.entry.tested_epoch}, and not of the weights it has now, of epoch {run.entry.weights_epoch}."
        for run in runs
        if run.entry.tested_epoch is not None
    ]


def _other(run: Details) -> dict[str, Any]:
    return {
        "status": run.entry.status,
        "data": run.entry.data,
        "data fingerprint": run.entry.fingerprint,
        **run.entry.versions,
        **run.machine,
    }


def _differing(columns: list[dict[str, Any]]) -> dict[str, list[Any]]:
    names = dict.fromkeys(name for column in columns for name in column)
    rows = {name: [column.get(name) for column in columns] for name in names}
    return {name: values for name, values in rows.items() if any(value != values[0] for value in values)}


def _scores(entries: list[Entry]) -> dict[str, list[dict[str, Any] | None]]:
    found: dict[str, list[dict[str, Any] | None]] = {}
    for part, scores, epochs in (
        ("validation", [entry.validation for entry in entries], [None] * len(entries)),
        ("test", [entry.test or {} for entry in entries], [entry.tested_epoch for entry in entries]),
    ):
        names = dict.fromkeys(name for values in scores for name in values if name in ("loss", *METRICS))
        for name in names:
            found[f"{part} {name}"] = [
                {"value": values[name], "interval": values.get(f"{name}_interval"), "of_epoch": epoch}
                if name in values
                else None
                for values, epoch in zip(scores, epochs, strict=True)
            ]
    return found
