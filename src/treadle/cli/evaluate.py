"""`treadle evaluate`: how good a run is on one of its sets, in full."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from treadle.cli.options import Json
from treadle.errors import RunError
from treadle.recipe import Recipe
from treadle.runs import load, to_json
from treadle.runs.about import read_about
from treadle.runs.folder import EVALUATION, EVALUATION_TEXT, RECIPE
from treadle.runs.train import open_test_set


def evaluate(
    run: Annotated[Path, Parameter(help="Folder of a run.")],
    /,
    *,
    on: Annotated[Literal["test", "validation", "train"], Parameter(help="The set.")] = "test",
    json: Json = False,
) -> None:
    """Tell how good a run is: scores with 95 % intervals, each class, calibration, the worst mistakes.

    The test set is looked at once: what was seen then is shown again. A run that has not looked at it yet, because it
    was interrupted, does so now.
    """
    if on == "test":
        if read_about(run).test is None:
            open_test_set(run)
        path = run / (EVALUATION if json else EVALUATION_TEXT)
        try:
            print(path.read_text(encoding="utf-8").rstrip("\n"))
        except OSError as error:
            raise RunError(
                f"{path}: cannot be read: {error.strerror}: runs of older versions have none; --on validation works"
            ) from error
        return
    loaded = load(run, Recipe.read(run / RECIPE).load_data())
    assert loaded.sets is not None
    evaluation = loaded.evaluate(loaded.sets.parts()[on])
    print(to_json(evaluation.to_dict()) if json else evaluation)
