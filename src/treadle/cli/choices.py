"""`treadle choices`: every choice of every stage."""

from __future__ import annotations

import inspect
import json as json_module
from typing import Any

from treadle.cli.options import Json
from treadle.recipe import CHOICES


def choices(*, json: Json = False) -> None:
    """List every choice of every stage of a recipe, with what it is and the settings it takes."""
    table = {
        stage: {
            setting: {name: {"is": _line(chosen), "settings": _settings(chosen)} for name, chosen in named.items()}
            for setting, named in settings.items()
        }
        for stage, settings in CHOICES.items()
        if settings
    }
    if json:
        print(json_module.dumps(table, ensure_ascii=False))
        return
    for stage, settings in table.items():
        print(f"[{stage}]")
        for setting, named in settings.items():
            print(f"  {setting}")
            for name, about in named.items():
                print(f"    {' '.join([name, *about['settings']])}\n      {about['is']}")


def _line(chosen: Any) -> str:
    """The first line of a choice's docstring, without the text that a class inherits."""
    described = chosen if isinstance(chosen, str) else getattr(chosen, "per_sample", chosen)
    return described if isinstance(described, str) else (inspect.getdoc(described) or "").split("\n")[0]


def _settings(chosen: Any) -> list[str]:
    """The settings of a dataclass as name, or name=default."""
    if not inspect.isclass(chosen):
        return []
    return [
        parameter.name if parameter.default is parameter.empty else f"{parameter.name}={parameter.default}"
        for parameter in inspect.signature(chosen).parameters.values()
    ]
