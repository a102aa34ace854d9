"""`treadle summary`: what the network of a recipe takes, in parameters, work, memory and time, before training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from treadle.cli.options import Changes, Json, RecipeFile, read_recipe, require_folder, write_text
from treadle.nn import draw
from treadle.nn import summary as summarize
from treadle.runs import to_json
from treadle.train import estimate, prepare

NoTime = Annotated[bool, Parameter(name="--no-time", help="Do not take steps of training to time them.", negative=())]
Drawing = Annotated[Path | None, Parameter(name="--svg", help="Also draw the network into this SVG file.")]


def summary(
    recipe: RecipeFile = None,
    /,
    *,
    changes: Changes = None,
    json: Json = False,
    no_time: NoTime = False,
    svg: Drawing = None,
) -> None:
    """Summarise the network of a recipe before training: parameters, multiply-adds, memory, time of an epoch.

    Multiply-adds are those of one sample forward, activations what one sample leaves in memory for the backward pass.
    The time is measured over a few steps of training that are then forgotten.
    """
    require_folder(svg)
    chosen = read_recipe(recipe, changes)
    sets = chosen.load_data()
    network = chosen.build_network(sets.train.classes, sets.train.shape)
    loss, optimizer, batch_size = chosen.build_loss(), chosen.build_optimizer(), chosen.data.batch_size
    table = summarize(network, sets, batch_size=batch_size, optimizer=optimizer)
    prepare(network, loss, sets, chosen.training.seed, "float32", copies=3 + 2 * optimizer.slots)
    if svg is not None:
        write_text(svg, draw(network, sets.train.shape))
    if not json:
        print(table)
    ahead = chosen.build_prefetch()
    time = None
    if not no_time:
        time = estimate(network, sets, loss=loss, optimizer=optimizer, prefetch=ahead, **chosen.fit_settings())
    if json:
        measured = {} if time is None else {"time": time.to_dict()}
        print(to_json({"recipe": chosen.to_dict(), **table.to_dict(), **measured}))
        return
    if time is not None:
        print(time)
    if svg is not None:
        print(f"drawn in {svg}")
