"""What several commands share: the recipe on the command line."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from treadle.data import Sets, check
from treadle.errors import RecipeError, TreadleError
from treadle.recipe import Recipe, parse_value

COMMAND = os.environ.get("TREADLE_COMMAND", "treadle")  # what the user typed, where a script started us

RecipeFile = Annotated[Path | None, Parameter(help="A recipe in TOML; without it, the baseline on MNIST.")]
RunFolder = Annotated[
    Path, Parameter(name="RUN", help="A run: its folder, its name in the folder runs, the beginning of it, or last.")
]
Changes = Annotated[
    list[str] | None,
    Parameter(
        name="--set",
        help="Change one value: stage.key=value, such as optimizer.lr=0.05. May be repeated.",
        negative=(),
    ),
]
Drawing = Annotated[Path | None, Parameter(name="--svg", help="Also draw what was found into this SVG file.")]
Json = Annotated[bool, Parameter(name="--json", help="Print JSON and nothing else to stdout.", negative=())]


def warnings(sets: Sets) -> list[str]:
    """Return what is odd about the data, a line each, though training goes on."""
    return [f"warning: {finding.where}: {finding.message}" for finding in check(sets) if finding.severity == "warning"]


def read_recipe(path: Path | None, changes: list[str] | None) -> Recipe:
    """Read the recipe, or take the baseline, and apply what --set changes."""
    recipe = Recipe.baseline() if path is None else Recipe.read(path)
    values = read_changes(changes)
    return recipe.change(values, "--set " + " --set ".join(changes or [])) if values else recipe


def read_changes(changes: list[str] | None) -> dict[str, Any]:
    """Return what --set changes, by stage.key."""
    values: dict[str, Any] = {}
    for change in changes or []:
        name, equals, value = change.partition("=")
        if not equals:
            raise RecipeError(f"--set {change}: expected stage.key=value, such as optimizer.lr=0.05")
        if name.strip() in values:
            raise RecipeError(f"--set {change}: {name.strip()} is set twice: leave one out")
        values[name.strip()] = parse_value(value.strip())
    return values


def find_run(run: Path) -> Path:
    """Return the folder of a run that is named by it, or by its name in the folder `runs`, as `treadle runs` does."""
    root = Path("runs")
    if run.exists() or len(run.parts) != 1 or not root.is_dir():
        return run
    from treadle.runs.index import resolve

    return resolve(root, str(run))


def require_folder(path: Path | None) -> None:
    """Raise TreadleError where a file could not be written, before what it is to hold is computed."""
    if path is not None and not path.resolve().parent.is_dir():
        raise TreadleError(f"{path}: cannot be written: there is no folder {path.parent}")


def write_text(path: Path, text: str) -> None:
    """Write a file, or raise TreadleError."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file, or raise TreadleError."""
    try:
        path.write_bytes(content)
    except OSError as error:
        raise TreadleError(f"{path}: cannot be written: {error.strerror or error}") from error
