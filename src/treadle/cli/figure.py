"""`treadle figure`: a figure of the course, or of one's own run, as SVG, PNG or an interactive page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table as Grid

from treadle.cli.options import Changes, Json, find_run, read_changes, require_folder, write_bytes
from treadle.errors import TreadleError
from treadle.language import Language, Words, system_language
from treadle.recipe import parse_value
from treadle.runs import to_json

if TYPE_CHECKING:
    from treadle.figures import Drawing

SHOWN = 12  # rows of a table on the terminal
NEEDS = {"nothing": "", "recipe": "[RECIPE]", "run": "RUN", "climb": "CLIMB"}

Shown = Annotated[Language | None, Parameter(name="--language", help="Of the texts; that of the system unless told.")]


def figure(
    name: Annotated[str | None, Parameter(help="Of the figure; without it, all are listed.")] = None,
    source: Annotated[
        Path | None,
        Parameter(help="A recipe in TOML, a run, or the record of a climb; without it, the baseline on MNIST."),
    ] = None,
    /,
    *,
    output: Annotated[
        Path | None,
        Parameter(
            name=["--output", "-o"],
            help="File to write: .svg, .png, or .html, which answers to the pointer. NAME.svg unless told.",
        ),
    ] = None,
    language: Shown = None,
    settings: Annotated[
        list[str] | None,
        Parameter(name="--with", help="A setting of the figure: key=value. May be repeated.", negative=()),
    ] = None,
    changes: Changes = None,
    json: Json = False,
) -> None:
    """Draw a figure, and print the values that it shows.

    Figures are drawn from what is given: nothing, a recipe with its data, a run, or a climb. None is smoothed.
    """
    if name is None:
        _list(Words(language or system_language()), json)
        return
    from treadle.figures import Source
    from treadle.figures import figure as draw_figure
    from treadle.figures.drawing import FORMATS

    target = output or Path(f"{name}.svg")
    kind = target.suffix.removeprefix(".").lower()
    if kind not in FORMATS:
        raise TreadleError(f"{target}: a figure is written as .svg, .png or .html")
    require_folder(target)
    chosen: dict[str, Any] = {}
    for setting in settings or []:
        key, equals, value = setting.partition("=")
        if not equals:
            raise TreadleError(f"--with {setting}: expected key=value")
        if key.strip() == "language":
            raise TreadleError(f"--with {setting}: the language is no setting: use --language {value.strip()}")
        chosen[key.strip().replace("-", "_")] = parse_value(value.strip())
    given = Source(None if source is None else find_run(source), read_changes(changes))
    drawing = draw_figure(name, given, language=language, **chosen)
    content = drawing.png() if kind == "png" else (drawing.html() if kind == "html" else drawing.svg()).encode("utf-8")
    write_bytes(target, content)
    if json:
        tables = {table.name: {key: list(values) for key, values in table.columns.items()} for table in drawing.tables}
        told = {"name": name, "title": drawing.title, "caption": drawing.caption, "file": str(target), "values": tables}
        print(to_json(told))
        return
    _print(drawing, target)


def _list(words: Words, json: bool) -> None:
    from treadle.figures import FIGURES

    if json:
        rows = [
            {"name": name, "number": one.number, "needs": one.needs, "shows": words(*one.shows)}
            for name, one in FIGURES.items()
        ]
        print(to_json(rows))
        return
    grid = Grid(box=None, pad_edge=False)
    grid.add_column(words("figure", "图"), no_wrap=True)
    grid.add_column(words("no.", "图号"), justify="right", no_wrap=True)
    grid.add_column(words("from", "来自"), no_wrap=True)
    grid.add_column(words("shows", "内容"))
    for name, one in FIGURES.items():
        grid.add_row(name, "" if one.number is None else str(one.number), NEEDS[one.needs], words(*one.shows))
    Console(highlight=False, markup=False).print(grid)


def _print(drawing: Drawing, target: Path) -> None:
    console = Console(highlight=False, markup=False)
    console.print(f"{drawing.title}\n{drawing.caption}\n")
    for table in drawing.tables:
        grid = Grid(title=table.name, title_justify="left", box=None, pad_edge=False)
        for column in table.columns:
            grid.add_column(column, justify="right", overflow="fold")
        rows = table.rows()
        for row in rows[:SHOWN]:
            grid.add_row(*(f"{cell:.6g}" if isinstance(cell, float) else str(cell) for cell in row))
        console.print(grid)
        if len(rows) > SHOWN:
            console.print(f"… {len(rows)} rows in all; --json and .html have each")
        console.print()
    print(f"drawn in {target}")
