"""`treadle choices`: every choice of every stage."""

from __future__ import annotations

import inspect
from typing import Any

from treadle.cli.options import Json
from treadle.nn import INITIALIZERS
from treadle.recipe import CHOICES, Recipe, settings
from treadle.runs import to_json


def choices(*, json: Json = False) -> None:
    """List every choice of every stage of a recipe, with what it is, and the settings it takes with their defaults."""
    named = {stage: dict(keys) for stage, keys in CHOICES.items()}
    named["network"]["weight_init"] = INITIALIZERS
    table: dict[str, dict[str, Any]] = {
        stage: {
            "choices": {
                key: {name: {"is": _line(chosen), "settings": settings(chosen)} for name, chosen in found.items()}
                for key, found in keys.items()
            },
            "settings": _settings(stage),
        }
        for stage, keys in named.items()
    }
    if json:
        print(to_json(table))
        return
    for stage, about in table.items():
        print(f"[{stage}]")
        if about["settings"]:
            print(f"  settings: {' '.join(about['settings'])}")
        for key, found in about["choices"].items():
            print(f"  {key}")
            for name, one in found.items():
                print(f"    {' '.join([name, *one['settings']])}\n      {one['is']}")


def _settings(stage: str) -> list[str]:
    """Settings of a stage besides its choices, with their defaults."""
    fields = getattr(Recipe.model_fields[stage].annotation, "model_fields", {})
    return [f"{name}={str(field.default).lower()}" for name, field in fields.items() if name not in CHOICES[stage]]


def _line(chosen: Any) -> str:
    """The first line of a choice's docstring, without the text that a class inherits."""
    described = chosen if isinstance(chosen, str) else getattr(chosen, "per_sample", chosen)
    return described if isinstance(described, str) else (inspect.getdoc(described) or "").split("\n")[0]
