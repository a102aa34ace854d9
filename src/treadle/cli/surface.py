"""`treadle surface`: the loss over a plane of a network's parameters, with the paths of optimisers."""

from __future__ import annotations

import re
import sys
from typing import Annotated

from cyclopts import Parameter

from treadle.cli.options import Changes, Drawing, Json, RecipeFile, read_recipe, require_folder, write_text
from treadle.errors import RecipeError
from treadle.recipe import parse_optimizer
from treadle.runs import to_json
from treadle.train import Surface, loss_surface

Directions = Annotated[
    str,
    Parameter(
        name="--directions",
        help='"pca" of the paths, "random", or two weights: "linear1.weight[5,0] linear1.weight[9,0]".',
    ),
]
Compare = Annotated[
    list[str] | None,
    Parameter(
        name="--compare", help='Another optimiser whose path to show: "adam 0.001". May be repeated.', negative=()
    ),
]
Steps = Annotated[int, Parameter(name="--steps", help="Steps of each path.")]
Samples = Annotated[int, Parameter(name="--samples", help="Training samples to compute losses on.")]
Seconds = Annotated[float, Parameter(name="--seconds", help="Time for the grid, which becomes finer until it is up.")]
Finest = Annotated[int, Parameter(name="--finest", help="Points of the finest grid along an axis: 5, 9, 17, 33, 65.")]


def surface(
    recipe: RecipeFile = None,
    /,
    *,
    changes: Changes = None,
    json: Json = False,
    directions: Directions = "pca",
    compare: Compare = None,
    steps: Steps = 500,
    samples: Samples = 1_000,
    seconds: Seconds = 20.0,
    finest: Finest = 33,
    svg: Drawing = None,
) -> None:
    """Compute the loss over a plane of parameters, coarse to fine, with the paths that optimisers take on it.

    Trains with the recipe's optimiser and those to compare, from the same parameters over the same batches. A path
    lies in the plane only as far as its variance explained says; its true losses stand beside those of the plane.
    Nothing is saved, and the schedule of the recipe is not used.
    """
    require_folder(svg)
    chosen = read_recipe(recipe, changes)
    optimizers = [chosen.build_optimizer()]
    for text in compare or []:
        try:
            optimizers.append(parse_optimizer(text))
        except ValueError as error:
            raise RecipeError(f"--compare: {error}") from error
    sets = chosen.load_data()
    shown = sys.stderr.isatty() and not json

    def tell(found: Surface) -> None:
        if shown:
            print(f"\r{len(found.x)} × {len(found.y)}, {found.seconds:.1f} s", end="", file=sys.stderr, flush=True)

    found = loss_surface(
        chosen.build_network(sets.train.classes, sets.train.shape),
        sets,
        loss=chosen.build_loss(),
        optimizers=optimizers,
        directions=_weights(directions) or directions,
        steps=steps,
        samples=samples,
        seconds=seconds,
        finest=finest,
        **chosen.fit_settings(),
        on_level=tell,
    )
    if shown:
        print(file=sys.stderr)
    if svg is not None:
        from treadle.figures import draw_surface

        write_text(svg, draw_surface(found).svg())
    if json:
        print(to_json({"recipe": chosen.to_dict(), **found.to_dict()}))
        return
    print(found)
    if svg is not None:
        print(f"drawn in {svg}")


def _weights(directions: str) -> list[str]:
    """Names of weights such as linear1.weight[5,0], apart; none where the text is anything else."""
    weight = r"[\w.]+\s*\[[\d,\s]*\]"
    return re.findall(weight, directions) if re.fullmatch(rf"(\s*{weight}\s*)+", directions) else []
