"""`treadle lr`: try many learning rates side by side and propose one."""

from __future__ import annotations

import sys
from typing import Annotated

from cyclopts import Parameter

from treadle.cli.options import COMMAND, Changes, Drawing, Json, RecipeFile, read_recipe, require_folder, write_text
from treadle.runs import to_json
from treadle.train import lr_range

Steps = Annotated[int, Parameter(name="--steps", help="Steps of training with each rate.")]
Low = Annotated[float, Parameter(name="--low", help="The smallest rate.")]
High = Annotated[float, Parameter(name="--high", help="The largest rate.")]


def lr(
    recipe: RecipeFile = None,
    /,
    *,
    changes: Changes = None,
    json: Json = False,
    steps: Steps = 400,
    low: Low = 1e-5,
    high: High = 10.0,
    svg: Drawing = None,
) -> None:
    """Find a learning rate: train for some steps with each of many, from the same parameters over the same batches.

    Prints the loss that each rate comes to, which are too small, right and too large, and proposes one with its reason.
    Nothing is saved, and the rate and the schedule of the recipe are not used.
    """
    require_folder(svg)
    chosen = read_recipe(recipe, changes)
    sets = chosen.load_data()
    shown = sys.stderr.isatty() and not json

    def tell(done: int, trials: int) -> None:
        if shown:
            print(f"\rrate {done} of {trials}", end="\n" if done == trials else "", file=sys.stderr, flush=True)

    found = lr_range(
        chosen.build_network(sets.train.classes, sets.train.shape),
        sets,
        loss=chosen.build_loss(),
        optimizer=chosen.build_optimizer(),
        low=low,
        high=high,
        steps=steps,
        **chosen.fit_settings(),
        on_trial=tell,
    )
    if svg is not None:
        from treadle.figures import draw_lr_range

        write_text(svg, draw_lr_range(found).svg())
    if json:
        print(to_json({"recipe": chosen.to_dict(), **found.to_dict()}))
        return
    print(found)
    if svg is not None:
        print(f"drawn in {svg}")
    name = f" {recipe}" if recipe is not None else ""
    sets_ = "".join(f" --set {change}" for change in changes or [] if not change.startswith("optimizer.lr"))
    print(f"use it: {COMMAND} run{name}{sets_} --set optimizer.lr={found.proposal:g}")
