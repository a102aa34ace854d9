"""Reading the record of a climb."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from treadle.errors import RunError, TreadleError
from treadle.ladder.ladder import Ladder
from treadle.ladder.result import FORMAT, Climb, Final, Step, Sweep, Trial
from treadle.ladder.statistics import Comparison
from treadle.recipe import Recipe


def read_climb(path: str | Path) -> Climb:
    """Read what a climb has come to from its record, or that of the last climb in a folder of climbs.

    Raises:
        RunError: there is none, it is damaged, or of another version.
    """
    file = _newest(Path(path)) if Path(path).is_dir() else Path(path)
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise RunError(f"{file}: cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise RunError(f"{file}: is no record of a climb: {error}") from error
    if not isinstance(told, dict) or not {"ladder", "steps", "views", "final"} <= told.keys():
        raise RunError(f"{file}: is no record of a climb")
    if told.get("format") != FORMAT:
        raise RunError(f"{file}: has format {told.get('format')!r}, this version reads format {FORMAT}")
    try:
        baseline = _recipe(told["ladder"]["baseline"], file)
        ladder = Ladder.model_validate({**told["ladder"], "baseline": baseline})
        found = Climb(ladder, file, [_step(step, file) for step in told["steps"]])
        found.views = {str(view): [_step(step, file) for step in steps] for view, steps in told["views"].items()}
        found.final = None if told["final"] is None else _final(told["final"])
        if not found.steps or not found.steps[0].kept:
            raise ValueError("it has no baseline")
    except (ValidationError, TreadleError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise RunError(f"{file}: damaged: {error}") from error
    top = file.with_name(f"{file.stem}-top.toml")
    found.top_recipe = top if found.final is not None and top.exists() else None
    return found


def _newest(folder: Path) -> Path:
    records = [path for path in folder.glob("*.json") if path.is_file()]
    if not records:
        raise RunError(f"{folder}: has neither run.json, as a run has, nor the record of a climb")
    return max(records, key=lambda path: (path.stat().st_mtime_ns, path.name))


def _recipe(values: Any, file: Path) -> Recipe:
    return Recipe.inside(values, str(file), "")


def _step(told: dict[str, Any], file: Path) -> Step:
    compared, recipe = told["comparison"], told["recipe"]
    kept = {
        name: told[name]
        for name in ("name", "name_zh", "stage", "seeds", "values", "seconds", "runs", "kept", "failed")
    }
    return Step(
        **kept,
        recipe=None if recipe is None else _recipe(recipe, file),
        comparison=None if compared is None else _comparison(compared),
        sweep=None if told.get("sweep") is None else _sweep(told["sweep"]),
    )


def _sweep(told: dict[str, Any]) -> Sweep:
    trials = [Trial(trial["values"], trial["scores"], trial["failed"]) for trial in told["trials"]]
    chosen = None if told["chosen"] is None else [trial.values for trial in trials].index(told["chosen"])
    return Sweep(told["seeds"], trials, chosen)


def _comparison(told: dict[str, Any]) -> Comparison:
    low, high = told["interval"]  # JSON has no infinity
    interval = (-math.inf if low is None else low, math.inf if high is None else high)
    return TypeAdapter(Comparison).validate_python({**told, "interval": interval})


def _final(told: dict[str, Any]) -> Final:
    return TypeAdapter(Final).validate_python({**told, "comparison": _comparison(told["comparison"])})
