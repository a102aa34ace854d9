"""`treadle check`: what is odd about data, before anything is trained on it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from treadle.cli.options import Changes, Json, read_recipe, require_folder, write_text
from treadle.data import Finding, Sets, by_severity, examine, sheet
from treadle.runs import to_json

Drawing = Annotated[
    Path | None,
    Parameter(name="--svg", help="Also draw samples, and the distribution of each feature, into this file."),
]
Source = Annotated[str | None, Parameter(help="Name or path of data, or a recipe in TOML; mnist without it.")]


def check(source: Source = None, /, *, changes: Changes = None, json: Json = False, svg: Drawing = None) -> int:
    """Look for what is wrong or odd about data: samples, features, labels, and the sets as a whole.

    Prints the sets, how the values of each feature lie, some samples to look at, and a table of findings with what to
    do about each. Settings of the data are given as in a recipe, such as --set data.target=price. Exits with 0 where
    nothing but notes was found, 1 where something was, and 2 where the data cannot be read. Missing values are findings
    too: errors, which end a training, unless a policy for them is stated, such as --set data.missing=median.
    """
    require_folder(svg)
    if source is None or source.endswith(".toml"):
        recipe = read_recipe(None if source is None else Path(source), changes)
    else:
        recipe = read_recipe(None, [f"data.source={to_json(source)}", *(changes or [])])
    missing: list[Finding] = []
    sets = recipe.load_data(missing)
    found = examine(sets)
    sound = all(one.severity != "error" for one in found)  # what has errors may be anything, and cannot be drawn
    found = by_severity([*missing, *found])
    if svg is not None and sound:
        from treadle.figures import draw_sheet

        write_text(svg, draw_sheet(sets).svg())
    if json:
        print(to_json({"name": sets.name, "samples": _samples(sets), "findings": [asdict(one) for one in found]}))
    else:
        print(sets, sheet(sets) if sound else "no sheet is shown of data with errors", sep="\n\n", end="\n\n")
        _print(found)
        if svg is not None and sound:
            print(f"drawn in {svg}")
    return int(any(one.severity != "note" for one in found))


def _samples(sets: Sets) -> dict[str, int]:
    return {name: len(part) for name, part in sets.parts().items()}


def _print(found: list[Finding]) -> None:
    if not found:
        print("nothing found")
        return
    table = Table(box=None, pad_edge=False)
    for name in ("severity", "set", "found", "rows", "what to do"):
        table.add_column(name, overflow="fold")
    for one in found:
        rows = [f"{row} ({place})" for row, place in zip(one.rows, one.places, strict=True)] if one.places else one.rows
        table.add_row(one.severity, one.where, one.message, ", ".join(map(str, rows)), one.advice)
    console = Console(highlight=False, markup=False, emoji=False)
    with console.capture() as written:  # for it ends the process by itself where nobody reads its output
        console.print(table)
    print(written.get(), end="")
