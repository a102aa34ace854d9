"""`treadle resume`: go on with a run that was ended."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from cyclopts import Parameter

from treadle.cli.options import Json, RunFolder, find_run
from treadle.cli.run import JsonReport, Report, TextReport, described, tell_of_compiling, told
from treadle.cli.unread import dropped
from treadle.data import Sets
from treadle.recipe import Recipe
from treadle.runs import resume as go_on
from treadle.train import Progress


@dropped("run")
def resume(
    run: RunFolder,
    /,
    *,
    epochs: Annotated[int | None, Parameter(help="Epochs in all, in place of those in its recipe.")] = None,
    json: Json = False,
) -> None:
    """Go on with a run that was interrupted or killed, from its last checkpoint.

    What comes of it is, to the bit, the run that was never ended. With --epochs a run is trained further than its
    recipe says; where its test set was looked at before, it is not looked at again. Prints what treadle run prints.
    """
    run = find_run(run)
    report: Report = JsonReport() if json else TextReport()

    def start(recipe: Recipe, sets: Sets, progress: Progress | None, faults: list[str]) -> None:
        report.start(recipe, sets, described(recipe, sets))
        if progress is not None:
            report.resumed(progress, faults)
        tell_of_compiling()

    with told(report, run):
        finished = go_on(run, epochs, replace(report.hooks(), on_start=start))
    report.end(Recipe.read(run / "recipe.toml"), finished, run)
