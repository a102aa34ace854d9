"""`treadle report`: a page on a run or a climb, to read, print and send."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from treadle.cli.figure import Shown
from treadle.cli.options import COMMAND, Json, find_run, require_folder, write_text
from treadle.errors import TreadleError
from treadle.runs import to_json


def report(
    source: Annotated[
        Path, Parameter(name="SOURCE", help="A run, or the record of a climb, or a folder of climbs: its last.")
    ],
    /,
    *,
    output: Annotated[
        Path | None, Parameter(name=["--output", "-o"], help="File to write; report-NAME.html unless told.")
    ] = None,
    language: Shown = None,
    json: Json = False,
) -> None:
    """Write a report on a run or a climb: one file of HTML, in Chinese or English, that needs no network.

    It tells what was tried, what it brought and why that is believed, with figures, the recipe, and how to repeat it.
    """
    from treadle.figures import Source
    from treadle.report import report as write_report

    given = Source(find_run(source))
    if given.kind == "recipe":
        raise TreadleError(f"{source}: is neither a run nor the record of a climb")
    name = given.climb.record.stem if given.kind == "climb" else given.run_folder.name
    target = output or Path(f"report-{name}.html")
    require_folder(target)
    text = write_report(given, language=language, command=COMMAND)
    write_text(target, text)
    print(to_json({"file": str(target), "bytes": len(text.encode("utf-8"))}) if json else f"written to {target}")
