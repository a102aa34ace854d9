"""`treadle show`: what a recipe would train, before anything is trained."""

from __future__ import annotations

from treadle.cli.options import Changes, Json, RecipeFile, read_recipe, warnings
from treadle.nn import summary
from treadle.runs import to_json
from treadle.train import prepare


def show(recipe: RecipeFile = None, /, *, changes: Changes = None, json: Json = False) -> None:
    """Show the network of a recipe: layers, shapes, parameters; and check that network, loss and data fit."""
    chosen = read_recipe(recipe, changes)
    sets = chosen.load_data()
    network = chosen.build_network(sets.train.classes, sets.train.shape)
    table = summary(network, sets, batch_size=chosen.data.batch_size, optimizer=chosen.build_optimizer())
    prepare(network, chosen.build_loss(), sets, chosen.training.seed, "float32")
    if json:
        layers = [
            {"name": row.name, "layer": repr(row.layer), "output": row.output_shape, "parameters": row.parameters}
            for row in table.rows
        ]
        print(to_json({"recipe": chosen.to_dict(), "layers": layers, "parameters": table.parameters}))
        return
    for line in warnings(sets):
        print(line)
    print(chosen.to_toml())
    print(table)
