"""`treadle choices`: every choice of every stage."""

from __future__ import annotations

import inspect
from typing import Any

from treadle.cli.options import Json
from treadle.recipe import CHOICES, settings
from treadle.runs import to_json


def choices(*, json: Json = False) -> None:
    """List every choice of every stage of a recipe, with what it is and the settings it takes."""
    table = {
        stage: {
            key: {name: {"is": _line(chosen), "settings": settings(chosen)} for name, chosen in named.items()}
            for key, named in keys.items()
        }
        for stage, keys in CHOICES.items()
        if keys
    }
    if json:
        print(to_json(table))
        return
    for stage, keys in table.items():
        print(f"[{stage}]")
        for key, named in keys.items():
            print(f"  {key}")
            for name, about in named.items():
                print(f"    {' '.join([name, *about['settings']])}\n      {about['is']}")


def _line(chosen: Any) -> str:
    """The first line of a choice's docstring, without the text that a class inherits."""
    described = chosen if isinstance(chosen, str) else getattr(chosen, "per_sample", chosen)
    return described if isinstance(described, str) else (inspect.getdoc(described) or "").split("\n")[0]
