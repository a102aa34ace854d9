"""The ladder: a baseline recipe and changes to it, one after the other, read from TOML or made in Python."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import tomlkit
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from treadle.errors import RecipeError, suggest
from treadle.ladder.statistics import MOST_SEEDS
from treadle.ladder.values import Range, Searched, Swept, combinations, flat
from treadle.metrics import METRICS
from treadle.recipe import CHOICES, Recipe
from treadle.recipe.messages import line_of, quoted
from treadle.recipe.recipe import read_text

BASELINE = "baseline"
Keep = Literal["if better", "always"]
# what no score depends on, or the climb itself decides
_UNJUDGED = {
    "training.seed",
    *(f"resources.{key}" for key in ("device", "threads")),
    *(f"saving.{key}" for key in ("checkpoint_every", "checkpoint_steps", "keep", "log_to")),
}


class Rung(BaseModel):
    """One change, or several values of which the best becomes the change.

    Args:
        name: what it is, for people.
        name_zh: the same in Chinese.
        change: values by stage.key, as `Recipe.change` takes them.
        sweep: lists of values by stage.key, all combinations of which are tried with the change.
        search: ranges by stage.key, in which values are searched with Optuna, and how many trials.
        stage: that the change belongs to; the one that its keys begin with, unless told.
        keep: whether later rungs build on it: if it was better, or always; as the ladder says, unless told.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
    name_zh: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)] | None = None
    change: dict[str, Any] = Field(default_factory=dict)
    sweep: Swept | None = None
    search: Searched | None = None
    stage: Literal[tuple(CHOICES)] | None = None  # type: ignore[valid-type]
    keep: Keep | None = None

    @model_validator(mode="after")
    def _each_key_once(self) -> Self:
        if self.sweep is not None and self.search is not None:
            raise ValueError(f"rung {self.name!r}: give sweep or search, one of the two")
        for twice in self.values().keys() & set(self.tried()):
            raise ValueError(f"rung {self.name!r}: {twice} is in its change and among the values it tries")
        return self

    def values(self) -> dict[str, Any]:
        """Return the change with nested tables as stage.key.

        >>> Rung(name="a", change={"network": {"preset": "mlp"}, "loss.kind": "cross_entropy"}).values()
        {'network.preset': 'mlp', 'loss.kind': 'cross_entropy'}
        """
        return flat(self.change)

    def tried(self) -> list[str]:
        """Return the stage.keys of which several values are tried."""
        return list(self.sweep or ()) if self.search is None else self.search.settings()

    def trials(self) -> int:
        """Return how many values are tried; 0 where the rung is a change alone.

        >>> Rung(name="a", sweep={"optimizer.lr": [0.1, 0.3], "data.batch_size": [10, 20, 50]}).trials()
        6
        """
        if self.search is not None:
            return self.search.trials
        return 0 if self.sweep is None else len(list(combinations(self.sweep)))

    def settings(self) -> list[str]:
        """Return the stage.keys that may change."""
        return [*self.values(), *self.tried()]

    def changes(self) -> list[dict[str, Any]]:
        """Return the changes that may come of it; of a search some of them."""
        some = combinations(self.sweep or {}) if self.search is None else self.search.corners()
        return [{**self.values(), **values} for values in some]


class Ladder(BaseModel):
    """A baseline, its rungs, and how they are judged.

    Args:
        baseline: the recipe that the climb begins with.
        rung: the changes, in their order.
        seeds: how often each recipe is trained, from seeds that all recipes share.
        metric: of the validation set, by which changes are judged, declared before the climb.
        keep: whether rungs build on a change: if it was better, or always.
        minutes: that training may take in all; where they would not do, later rungs get fewer seeds, two at least, and
            a search fewer trials.
        search_seeds: how often each value of a sweep or search is trained, from seeds that judge nothing else.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    baseline: Recipe
    rung: list[Rung] = Field(default_factory=list)
    seeds: int = Field(default=5, ge=1, le=MOST_SEEDS)
    metric: str = "validation_accuracy"
    keep: Keep = "if better"
    minutes: float | None = Field(default=None, gt=0, le=1_000_000)
    search_seeds: int = Field(default=2, ge=1, le=MOST_SEEDS)

    @classmethod
    def course(cls) -> Self:
        """Return the course's ladder on MNIST, from one layer to a convolutional network with Adam."""
        text = (files("treadle.ladder") / "course.toml").read_text(encoding="utf-8")
        return cls.from_toml(text, "course.toml")

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read a ladder from a TOML file.

        Raises:
            RecipeError: names the file, the line, what was expected and found, and the likely fix.
        """
        return cls.from_toml(read_text(path, "ladder"), str(path))

    @classmethod
    def from_toml(cls, text: str, name: str = "ladder") -> Self:
        """Make the ladder that stands in a TOML text, which is called `name` in messages.

        Raises:
            RecipeError: names the line, what was expected and found, and the likely fix.
        """
        try:
            values = tomllib.loads(text)
        except (ValueError, RecursionError) as error:
            raise RecipeError(f"{name}: not valid TOML: {error}") from error
        if "baseline" not in values and "rung" not in values and values.keys() & CHOICES.keys():
            raise RecipeError(f"{name}: is a recipe, not a ladder: treadle run {name}")
        if not isinstance(values.get("baseline"), Mapping):
            raise RecipeError(f"{name}: a ladder begins with [baseline], the stages of a recipe: [baseline.network] …")
        baseline = Recipe.inside(values["baseline"], name, text, "baseline")
        try:
            ladder = cls.model_validate({**values, "baseline": baseline})
        except ValidationError as error:
            raise RecipeError("\n".join(_told(one, name, text) for one in error.errors(include_url=False))) from error
        ladder.require_valid(name, text)
        return ladder

    def changed(self, values: Mapping[str, Any]) -> Self:
        """Return the ladder with other settings, such as seeds.

        Raises:
            RecipeError: a value is not possible.
        """
        try:
            return type(self).model_validate({**dict(self), **values})
        except ValidationError as error:
            told = (_told(one, "ladder", "") for one in error.errors(include_url=False))
            raise RecipeError("\n".join(told)) from error

    def require_valid(self, name: str = "ladder", text: str = "") -> None:
        """Raise RecipeError where the metric is unknown, two rungs share a name, or a change cannot be made.

        Changes are tried on all those before them; in a climb they may meet a recipe without some of these.
        """
        self.higher_is_better(name, text)
        names = {BASELINE}
        recipe = self.baseline
        for number, rung in enumerate(self.rung):
            place = _place(name, text, ["rung", number])
            if rung.name in names:
                raise RecipeError(f"{place}: two rungs are called {rung.name!r}, or one as the baseline is")
            names.add(rung.name)
            if not rung.settings():
                raise RecipeError(f"{place}: rung {rung.name!r} changes nothing: give change, sweep or search")
            for key in rung.settings():
                if key in _UNJUDGED:
                    raise RecipeError(f"{place}: rung {rung.name!r} changes {key}, which no score depends on")
            stages = sorted({key.partition(".")[0] for key in rung.settings()})
            if rung.stage is not None and rung.stage not in stages:
                raise RecipeError(f"{place}: the stage is {rung.stage}, and the change is one of {', '.join(stages)}")
            recipe, *_ = [recipe.change(change, f"{place}: rung {rung.name!r}") for change in rung.changes()]

    def judging(self) -> list[int]:
        """Return the seeds that all recipes are judged by."""
        return [self.baseline.training.seed + number for number in range(self.seeds)]

    def searching(self) -> list[int]:
        """Return the seeds by which values of a sweep are compared: none of those that judge, however many these are.

        >>> ladder = Ladder.course()
        >>> ladder.judging(), ladder.searching()
        ([0, 1, 2, 3, 4], [1000, 1001])
        """
        return [self.baseline.training.seed + MOST_SEEDS + number for number in range(self.search_seeds)]

    def higher_is_better(self, name: str = "ladder", text: str = "") -> bool:
        """Return whether a larger value of the metric is better; RecipeError where there is no such metric."""
        known = {f"validation_{metric}": one.higher_is_better for metric, one in METRICS.items()}
        known["validation_loss"] = False
        if self.metric not in known:
            raise RecipeError(
                f"{_place(name, text, ['metric'])}: no metric is called {self.metric!r}: {suggest(self.metric, known)}"
            )
        return known[self.metric]

    def measured(self, recipe: Recipe) -> Recipe:
        """Return a recipe whose training measures the metric of the ladder."""
        metric = self.metric.removeprefix("validation_")
        metrics = recipe.training.metrics
        if metric == "loss" or (metrics is not None and metric in metrics):
            return recipe
        return recipe.change({"training.metrics": [*(metrics or ()), metric]})

    def to_dict(self) -> dict[str, Any]:
        """Return the ladder as plain values, defaults included."""
        return {**self.model_dump(exclude_none=True), "baseline": self.baseline.to_dict()}

    def to_toml(self) -> str:
        """Write the ladder as TOML.

        >>> Ladder.course().to_toml().startswith("seeds = 5")
        True
        """
        values = self.to_dict()
        tables = {key: values.pop(key) for key in ("baseline", "rung")}
        return tomlkit.dumps({**values, **tables})

    def digest(self) -> str:
        """Return what tells this ladder from others: SHA-256 in hex of all that it says but the time it may take.

        >>> len(Ladder.course().digest())
        64
        """
        from hashlib import sha256

        said = {key: value for key, value in self.to_dict().items() if key != "minutes"}
        return sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _place(name: str, text: str, path: list[int | str]) -> str:
    line = line_of(text, path) if text else None
    return f"{name}, line {line}" if line else name


def _told(detail: Any, name: str, text: str) -> str:
    """Say what is wrong with a ladder: where, what was expected and found."""
    path = [part for part in detail["loc"] if part not in ("ranges", "choices")]  # which no file has
    place = _place(name, text, path)
    key = ".".join(str(part + 1) if isinstance(part, int) else part for part in path)
    if detail["type"] == "extra_forbidden":
        model = Range if len(path) == 5 else Rung if path[0] == "rung" else Ladder
        return f"{place}: unknown key {path[-1]!r}: {suggest(path[-1], model.model_fields)}"
    if detail["type"] == "missing":
        return f"{place}: rung {path[1] + 1} needs a value for {'.'.join(map(str, path[2:]))}"
    if detail["type"] == "value_error":
        return f"{place}: {'' if len(path) < 3 else f'{key}: '}{detail['ctx']['error']}"
    expected = detail["msg"].removeprefix("Input should be ")
    hint = quoted(detail["input"]) if detail["type"] in ("int_type", "float_type") else ""
    return f"{place}: {key} should be {expected}, found {str(detail['input'])[:200]!r}{hint}"
