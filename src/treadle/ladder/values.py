"""Values that a rung tries: lists, of which all combinations are tried, or ranges, in which some are searched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from math import isfinite, prod
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from treadle.errors import RecipeError

MOST_VALUES = 1000  # combinations of a sweep


class Range(BaseModel):
    """Numbers from low to high; whole ones where both ends are.

    Args:
        low, high: its ends, which belong to it.
        log: whether factors count rather than differences, as for learning rates.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    low: int | float
    high: int | float
    log: bool = False

    @model_validator(mode="after")
    def _has_an_inside(self) -> Self:
        if not (isfinite(self.low) and isfinite(self.high) and self.low < self.high):
            raise ValueError(f"low should be a number less than high, found {self.low} and {self.high}")
        if self.log and self.low <= 0:
            raise ValueError(f"low should be greater than 0 where log is true, found {self.low}")
        return self


class Search(BaseModel):
    """Values to be searched with Optuna: each trial is proposed from what those before came to.

    Args:
        trials: how many values are tried.
        ranges: of numbers, by stage.key.
        choices: of anything, by stage.key.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    trials: int = Field(default=20, ge=1, le=10_000)
    ranges: dict[str, Range] = Field(default_factory=dict)
    choices: dict[str, list[Any]] = Field(default_factory=dict)

    def settings(self) -> list[str]:
        """Return the stage.keys that are searched."""
        return [*self.ranges, *self.choices]

    def corners(self) -> list[dict[str, Any]]:
        """Return some values that may come: all the lowest and first, the highest, and each choice once.

        >>> Search(ranges={"optimizer.lr": Range(low=0.1, high=1.0)}).corners()
        [{'optimizer.lr': 0.1}, {'optimizer.lr': 1.0}]
        """
        low = {key: one.low for key, one in self.ranges.items()} | {key: one[0] for key, one in self.choices.items()}
        high = {key: one.high for key, one in self.ranges.items()}
        return [low, {**low, **high}, *({**low, key: one} for key, some in self.choices.items() for one in some[1:])]


def flat(values: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Return nested tables as stage.key; tables with low or high are ranges and stay.

    >>> flat({"network": {"preset": "mlp"}, "optimizer.lr": {"low": 0.1, "high": 1.0}})
    {'network.preset': 'mlp', 'optimizer.lr': {'low': 0.1, 'high': 1.0}}
    """
    found: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{path}.{key}" if path else key
        nested = isinstance(value, Mapping) and not value.keys() & {"low", "high"}
        part = flat(value, name) if nested else {name: value}
        for twice in found.keys() & part.keys():
            raise RecipeError(f"a change gives {twice} twice: leave one out")
        found |= part
    return found


def combinations(sweep: Mapping[str, list[Any]]) -> Iterator[dict[str, Any]]:
    """Yield all combinations of the values of a sweep, the last key fastest.

    >>> list(combinations({"optimizer.lr": [0.1, 0.3], "data.batch_size": [10, 20]}))[:2]
    [{'optimizer.lr': 0.1, 'data.batch_size': 10}, {'optimizer.lr': 0.1, 'data.batch_size': 20}]
    """
    for values in product(*sweep.values()):
        yield dict(zip(sweep, values, strict=True))


def _sweep(given: Any) -> Any:
    if not isinstance(given, Mapping):
        return given  # which pydantic tells
    found = flat(given)
    if not found:
        raise ValueError("a sweep needs values: optimizer.lr = [0.03, 0.1, 0.3]")
    for key, values in found.items():
        if isinstance(values, Mapping):
            raise ValueError(f"{key} is a range, which [rung.search] takes: a sweep needs a list of values")
        _require_list(key, values)
    if (count := prod(len(values) for values in found.values())) > MOST_VALUES:
        raise ValueError(f"{count:,} combinations are more than {MOST_VALUES:,}: [rung.search] tries some of them")
    return found


def _search(given: Any) -> Any:
    if not isinstance(given, Mapping):
        return given
    found = flat({key: value for key, value in given.items() if key != "trials"})
    if not found:
        raise ValueError("a search needs ranges: optimizer.lr = { low = 0.001, high = 1.0, log = true }")
    ranges = {key: value for key, value in found.items() if isinstance(value, Mapping)}
    choices = {key: value for key, value in found.items() if key not in ranges}
    for key, values in choices.items():
        _require_list(key, values)
    trials = {"trials": given["trials"]} if "trials" in given else {}
    return {**trials, "ranges": ranges, "choices": choices}


def _require_list(key: str, values: Any) -> None:
    if not isinstance(values, list) or not values:
        raise ValueError(f"{key} should be a list of values to try, found {str(values)[:200]!r}")
    for number, value in enumerate(values):
        if any(value == other and type(value) is type(other) for other in values[:number]):
            raise ValueError(f"{key} has {value!r} twice")


Swept = Annotated[dict[str, list[Any]], BeforeValidator(_sweep)]
Searched = Annotated[Search, BeforeValidator(_search)]
