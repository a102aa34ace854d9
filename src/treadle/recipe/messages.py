"""What is wrong with a recipe, in words: where, what was expected and found, and the likely fix."""

from __future__ import annotations

import difflib
import inspect
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import tomlkit
from pydantic_core import ErrorDetails
from tomlkit.container import OutOfOrderTableProxy
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AoT, Table

from treadle.errors import suggest
from treadle.recipe.stages import CHOICES, DataStage, NetworkStage, ResourcesStage, SavingStage, Stage, TrainingStage

_SHOWN = 200  # characters of a wrong value at either end, in a message
_STAGES: dict[str, type[Stage]] = {  # those without kinds
    "data": DataStage,
    "network": NetworkStage,
    "resources": ResourcesStage,
    "training": TrainingStage,
    "saving": SavingStage,
}


@dataclass(frozen=True)
class Source:
    """Where a recipe's values came from, for messages: a name, and the text of the file if there is one."""

    name: str = field(compare=False)  # recipes with the same choices are equal, wherever they came from
    text: str = field(default="", compare=False)
    inside: tuple[str, ...] = field(default=(), compare=False)  # the tables of the text that the recipe stands in


def once(details: list[ErrorDetails], values: Mapping[str, Any]) -> list[ErrorDetails]:
    """Leave out that a stage or key is missing where its name is there misspelt, which is told as well."""
    meant = set()
    for detail in details:
        if detail["type"] == "extra_forbidden":
            *tables, name = _without_tags(detail["loc"], values)
            near = difflib.get_close_matches(str(name), _known_keys(tables, values), n=1)
            meant |= {(*tables, one) for one in near}
    return [one for one in details if one["type"] != "missing" or tuple(_without_tags(one["loc"], values)) not in meant]


def quoted(value: Any) -> str:
    """Return the end of a message about a value that is a number, or true or false, in quotes; nothing for others.

    >>> quoted("0.1"), quoted("fast"), quoted(0.1)
    (': leave out the quotes', '', '')
    """
    if not isinstance(value, str):
        return ""
    try:
        (found,) = tomllib.loads(f"value = {value}").values()
    except (ValueError, RecursionError):
        return ""
    return ": leave out the quotes" if isinstance(found, (bool, int, float)) else ""


def describe(detail: ErrorDetails, values: Mapping[str, Any], source: Source) -> str:
    """Say what is wrong with a recipe: where, what was expected and found, and the likely fix."""
    path = _without_tags(detail["loc"], values)
    if detail["type"] == "value_error" and len(path) == 1:  # of a stage as a whole: the key that its message names
        named = re.findall(r"\w+", str(detail["ctx"]["error"]))
        path += [key for key in values[str(path[0])] if key in named][:1]
    if detail["type"] == "union_tag_invalid":
        path.append("kind")
    line = line_of(source.text, [*source.inside, *path])
    place = f"{source.name}, line {line}" if line else source.name
    stage = f"[{path[0]}]"
    name = "".join(f", item {part + 1}" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")
    match detail["type"]:
        case "extra_forbidden":
            known = _known_keys(path[:-1], values)
            what = f"key {path[-1]!r} in {stage}" if len(path) > 1 else f"stage {stage}"
            return f"{place}: unknown {what}: {suggest(path[-1], known)}"
        case "missing":
            if len(path) > 1:
                return f"{place}: {stage} needs a value for {path[-1]}"
            choices = CHOICES[str(path[0])]
            keys = ["kind"] if "kind" in choices else list(choices)
            ways = (f"{key} ({', '.join(choices[key])})" for key in keys)
            return f"{place}: the stage {stage} is missing: add it with {' or '.join(ways)}"
        case "union_tag_not_found":
            return f"{place}: {stage} needs kind: one of {', '.join(CHOICES[str(path[0])]['kind'])}"
        case "literal_error" | "union_tag_invalid":
            key = path[1]
            found = detail["input"].get("kind") if detail["type"] == "union_tag_invalid" else detail["input"]
            names = CHOICES[str(path[0])].get(str(key))
            told = suggest(found, names) if names else f"expected {detail['ctx']['expected']}{quoted(found)}"
            return f"{place}: {path[0]}.{key} is {_shown(found)}: {told}"
        case "value_error":
            return f"{place}: {name}: {_cut(str(detail['ctx']['error']))}"
        case "model_type" | "model_attributes_type":
            return f"{place}: {name} should be a table, as in {stage}, found {_shown(detail['input'])}"
        case "too_short":
            least = detail["ctx"]["min_length"]
            if least == 1:
                return f"{place}: {name} is empty: give at least one"
            return f"{place}: {name} should have {least} values, found {_shown(detail['input'])}"
        case "too_long":
            most = detail["ctx"]["max_length"]
            return f"{place}: {name} should have {most} values, found {_shown(detail['input'])}"
    expected = detail["msg"].removeprefix("Input should be ")
    return f"{place}: {name} should be {expected}, found {_shown(detail['input'])}{_hint(detail)}"


def _hint(detail: ErrorDetails) -> str:
    return quoted(detail["input"]) if detail["type"] in ("int_type", "float_type", "bool_type") else ""


def _shown(value: Any) -> str:
    """A value as a recipe has it, cut where it is long."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, date) else _cut(repr(value))


def _cut(text: str) -> str:
    return text if len(text) <= 2 * _SHOWN else f"{text[:_SHOWN]} … {text[-_SHOWN:]}"


def _without_tags(loc: Sequence[int | str], values: Mapping[str, Any]) -> list[int | str]:
    """The path of keys in the file: pydantic adds the kind of a stage after its name."""
    path = list(loc)
    if len(path) > 1 and "kind" in CHOICES.get(str(path[0]), {}):
        stage = values.get(str(path[0]))
        if isinstance(stage, Mapping) and path[1] == stage.get("kind"):
            del path[1]
    return path


def _known_keys(path: Sequence[int | str], values: Mapping[str, Any]) -> list[str]:
    if not path:
        return list(CHOICES)
    stage = str(path[0])
    if "kind" in CHOICES[stage]:
        return settings_of(stage, values[stage]["kind"])
    return list(_STAGES[stage].model_fields)


def settings_of(stage: str, kind: str) -> list[str]:
    """Keys of a stage that has kinds."""
    own = inspect.signature(CHOICES[stage]["kind"][kind]).parameters
    return ["kind", *own, *(key for key in CHOICES[stage] if key != "kind")]


def line_of(text: str, path: Sequence[int | str]) -> int | None:
    """Return the line of a path in TOML text: its value is marked in a style-preserving copy, written out again."""
    mark = "@here@"
    while mark in text:
        mark += "@"
    try:
        document: Any = tomlkit.parse(text)
        parent: Any = None
        key: Any = None
        node = document
        for part in path:
            if isinstance(node, Mapping) and part not in node:
                break  # a missing key is said to be where its stage begins
            parent, key, node = node, part, node[part]
        while isinstance(node, AoT) or (isinstance(node, Table) and node.is_super_table()):
            parent, key = node, (0 if isinstance(node, AoT) else next(iter(node)))
            node = parent[key]  # the first thing inside, for this has no line of its own
        if parent is None or isinstance(node, OutOfOrderTableProxy):
            return None
        if isinstance(node, Table):
            node.comment(mark)
        else:
            parent[key] = mark
        before, found, _ = tomlkit.dumps(document).partition(mark)
        return before.count("\n") + 1 if found else None
    except (TOMLKitError, TypeError, ValueError, LookupError, AttributeError, RecursionError):
        return None  # tomlkit does not write all that it reads; the message then names the key alone
