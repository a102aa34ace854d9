"""`treadle evaluate`: how good a run is on one of its sets, in full."""

from __future__ import annotations

import sys
from typing import Annotated, Literal

from cyclopts import Parameter

from treadle.cli.options import Json, RunFolder, find_run
from treadle.errors import RunError
from treadle.recipe import Recipe
from treadle.runs import load, to_json
from treadle.runs.about import read_about
from treadle.runs.folder import EVALUATION, EVALUATION_TEXT, RECIPE
from treadle.runs.train import open_test_set


def evaluate(
    run: RunFolder,
    /,
    *,
    on: Annotated[Literal["test", "validation", "train"], Parameter(help="The set.")] = "test",
    json: Json = False,
) -> None:
    """Tell how good a run is: scores with 95 % intervals, each class, calibration, the worst mistakes.

    The test set is looked at once: what was seen then is shown again. A run that has not looked at it yet, because it
    was interrupted, does so now.
    """
    run = find_run(run)
    if on == "test":
        if read_about(run).test is None:
            open_test_set(run)
        about = read_about(run)
        seen = (about.test or {}).get("weights_epoch", about.weights_epoch)
        if seen != about.weights_epoch:
            since = f"those of epoch {about.weights_epoch}, trained since, were not tested"
            print(f"note: the test set was looked at once, with the weights of epoch {seen}: {since}", file=sys.stderr)
        path = run / (EVALUATION if json else EVALUATION_TEXT)
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            raise RunError(
                f"{path}: cannot be read: {why}: runs of older versions have none; --on validation works"
            ) from error
        print(text.rstrip("\n"))
        return
    loaded = load(run, Recipe.read(run / RECIPE).load_data())
    assert loaded.sets is not None
    evaluation = loaded.evaluate(loaded.sets.parts()[on])
    print(to_json(evaluation.to_dict()) if json else evaluation)
