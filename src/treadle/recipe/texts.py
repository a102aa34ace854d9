"""Choices written as texts, such as "linear 10 weight_init=he_normal": only registered names are looked up."""

from __future__ import annotations

import inspect
import shlex
import tomllib
from collections.abc import Mapping
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from treadle.data import AUGMENTATIONS, SPLITS, Augmentation, RandomSplit
from treadle.errors import suggest
from treadle.nn import LAYERS, Module
from treadle.optim import AVERAGES, OPTIMIZERS, SCHEDULES, Averaging, OnPlateau, Optimizer, Schedule


def parse_layer(text: str) -> Module:
    """Make a layer from its text in a recipe; only registered names are looked up.

    Raises:
        ValueError: no layer has that name, or its arguments are wrong.

    >>> parse_layer("linear 10 weight_init=he_normal")
    Linear(10, weight_init='he_normal')
    """
    return _parse("layer", LAYERS, text)  # type: ignore[no-any-return]


def parse_schedule(text: str) -> Schedule | OnPlateau:
    """Make a schedule from its text in a recipe, as `parse_layer` does a layer.

    >>> parse_schedule("warmup 5 begin=0.0")
    Warmup(length=5, begin=0.0, by='epoch')
    """
    return _parse("schedule", SCHEDULES, text)  # type: ignore[no-any-return]


def parse_averaging(text: str) -> Averaging:
    """Make an averaging of parameters from its text in a recipe, as `parse_layer` does a layer.

    >>> parse_averaging("ema 0.99")
    EMA(decay=0.99)
    """
    return _parse("averaging", AVERAGES, text)  # type: ignore[no-any-return]


def parse_split(text: str) -> RandomSplit:
    """Make a split from its text in a recipe, as `parse_layer` does a layer.

    >>> parse_split("stratified test=0.2 seed=1")
    StratifiedSplit(validation=0.15, test=0.2, seed=1)
    """
    return _parse("split", SPLITS, text)  # type: ignore[no-any-return]


def parse_augmentation(text: str) -> Augmentation:
    """Make an augmentation from its text in a recipe, as `parse_layer` does a layer.

    >>> parse_augmentation("shift 2")
    Shift(pixels=2)
    """
    return _parse("augmentation", AUGMENTATIONS, text)  # type: ignore[no-any-return]


def parse_optimizer(text: str) -> Optimizer:
    """Make an optimiser from a text such as that of a layer in a recipe.

    >>> parse_optimizer("momentum 0.1 momentum=0.8")
    Momentum(0.1, momentum=0.8)
    """
    return _parse("optimizer", OPTIMIZERS, text)  # type: ignore[no-any-return]


# made here, for making types of annotations evaluates them, which no reading of a file should
_HINTS = {
    chosen: get_type_hints(chosen)
    for choices in (LAYERS, SCHEDULES, SPLITS, AUGMENTATIONS, OPTIMIZERS, AVERAGES)
    for chosen in choices.values()
}


def _parse(what: str, choices: Mapping[str, Any], text: str) -> Any:
    try:
        name, *parts = shlex.split(text) or [""]
    except ValueError as error:
        raise ValueError(f"{what} {text!r}: {error}") from error
    if name not in choices:
        raise ValueError(f"no {what} is called {name!r}: {suggest(name, choices)}")
    takes = f"it takes {' '.join(settings(choices[name])) or 'no arguments'}"
    named: dict[str, Any] = {}
    for key, _, value in (part.partition("=") for part in parts if "=" in part):
        if key in named:
            raise ValueError(f"{what} {text!r}: {key} is given twice; {takes}")
        named[key] = _argument(value)
    try:
        positional = [_argument(part) for part in parts if "=" not in part]
        bound = inspect.signature(choices[name]).bind(*positional, **named)
    except TypeError as error:
        raise ValueError(f"{what} {text!r}: {error}; {takes}") from error
    hints = _HINTS[choices[name]]
    for key, value in bound.arguments.items():
        try:
            TypeAdapter(hints[key]).validate_python(value, strict=True)
        except ValidationError as error:
            expected = error.errors()[0]["msg"].removeprefix("Input should be ")
            expected += " or a pair such as [3,5]" if len(error.errors()) > 1 else ""
            raise ValueError(f"{what} {text!r}: {key} should be {expected}, found {value!r}; {takes}") from error
    return choices[name](*bound.args, **bound.kwargs)


def _argument(text: str) -> Any:
    """A value in the text of a layer, where a list of two is a pair: `size=[3,5]`."""
    value = parse_value(text)
    return tuple(value) if isinstance(value, list) and len(value) == 2 else value


def settings(chosen: Any) -> list[str]:
    """Return what a choice can be given, as in a recipe: `name`, `name=default`, or `[name]` without a default.

    >>> settings(LAYERS["linear"])
    ['units', 'bias=true', 'weight_init=xavier_uniform']
    """
    if not inspect.isclass(chosen):
        return []
    return [_setting(name, parameter) for name, parameter in inspect.signature(chosen).parameters.items()]


def _setting(name: str, parameter: inspect.Parameter) -> str:
    if parameter.default is parameter.empty:
        return name
    return f"[{name}]" if parameter.default is None else f"{name}={_as_toml(parameter.default)}"


def _as_toml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def parse_value(text: str) -> Any:
    """Read a value as TOML does, or as a string where it is none: `0.1`, `true`, `[1, 2]`, `adam`.

    >>> parse_value("0.1"), parse_value("true"), parse_value("adam")
    (0.1, True, 'adam')
    """
    try:
        parsed = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):  # plain ValueError for a number of thousands of digits
        return text
    return parsed["value"] if len(parsed) == 1 else text
