"""Reading the record of a climb."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    FiniteFloat,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from treadle.errors import RunError, TreadleError
from treadle.ladder.ladder import Ladder
from treadle.ladder.result import FORMAT, Climb, Final, Step, Sweep, Trial
from treadle.ladder.statistics import Comparison
from treadle.recipe import CHOICES, Recipe


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
        ladder.require_valid(str(file))
        found = Climb(ladder, file, [_step(step, file) for step in told["steps"]])
        views = TypeAdapter(dict[Literal["ablate", "alone"], list[Any]]).validate_python(told["views"])
        found.views = {view: [_step(step, file) for step in steps] for view, steps in views.items()}
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


class _Told(BaseModel):
    """What a record tells of a step in values of its own."""

    model_config = ConfigDict(strict=True)

    name: Annotated[str, StringConstraints(min_length=1)]
    name_zh: str | None
    stage: Literal["", *CHOICES]  # type: ignore[valid-type]
    seeds: list[int]
    values: list[FiniteFloat]
    seconds: FiniteFloat
    runs: list[Annotated[str, StringConstraints(pattern=r"^[^./\\][^/\\]*$")]]  # in the folder beside the record
    kept: bool
    failed: str | None

    @model_validator(mode="after")
    def _paired(self) -> Self:
        if self.failed is None and not 0 < len(self.seeds) == len(self.values) == len(self.runs):
            raise ValueError(f"step {self.name!r} should have a value and a run for each seed")
        return self


def _step(told: dict[str, Any], file: Path) -> Step:
    compared, recipe = told["comparison"], told["recipe"]
    return Step(
        **dict(_Told.model_validate(told)),
        recipe=None if recipe is None else _recipe(recipe, file),
        comparison=None if compared is None else _comparison(compared),
        sweep=None if told.get("sweep") is None else _sweep(told["sweep"]),
    )


def _sweep(told: dict[str, Any]) -> Sweep:
    trials = TypeAdapter(list[Trial]).validate_python(
        [{name: trial[name] for name in ("values", "scores", "failed")} for trial in told["trials"]]
    )
    if any(trial.failed is None and not trial.scores for trial in trials):
        raise ValueError("a trial has neither scores nor a reason why it failed")
    chosen = None if told["chosen"] is None else [trial.values for trial in trials].index(told["chosen"])
    return Sweep(TypeAdapter(list[int]).validate_python(told["seeds"]), trials, chosen)


def _comparison(told: dict[str, Any]) -> Comparison:
    low, high = told["interval"]  # JSON has no infinity
    interval = (-math.inf if low is None else low, math.inf if high is None else high)
    return TypeAdapter(Comparison).validate_python({**told, "interval": interval})


def _final(told: dict[str, Any]) -> Final:
    return TypeAdapter(Final).validate_python({**told, "comparison": _comparison(told["comparison"])})
