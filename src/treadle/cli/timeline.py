"""`treadle timeline`: where the time of a step goes, and whether reading ahead would save some."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from treadle.cli.options import Changes, Drawing, Json, RecipeFile, read_recipe, require_folder, write_text
from treadle.runs import to_json
from treadle.train import timeline as measure

Seconds = Annotated[float, Parameter(name="--seconds", help="Time for each way of reading.")]


def timeline(
    recipe: RecipeFile = None,
    /,
    *,
    changes: Changes = None,
    json: Json = False,
    seconds: Seconds = 2.0,
    svg: Drawing = None,
) -> None:
    """Measure how long a step reads and trains, and whether reading ahead by threads or processes saves time.

    Times steps with each batch read when it is needed, on batches from memory, and, where these are faster, with
    batches read ahead; says which settings to use, or that it is not worth it. Nothing is saved, and what the recipe
    says of reading ahead is not used.
    """
    require_folder(svg)
    chosen = read_recipe(recipe, changes)
    sets = chosen.load_data()
    network = chosen.build_network(sets.train.classes, sets.train.shape)
    found = measure(
        network,
        sets,
        loss=chosen.build_loss(),
        optimizer=chosen.build_optimizer(),
        seconds=seconds,
        **chosen.fit_settings(),
    )
    if svg is not None:
        from treadle.figures import draw_timeline

        write_text(svg, draw_timeline(found).svg())
    if json:
        print(to_json({"recipe": chosen.to_dict(), **found.to_dict()}))
        return
    print(found)
    if svg is not None:
        print(f"drawn in {svg}")
