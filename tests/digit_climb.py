"""A short climb on the digits, and short runs, that tests of figures, reports and records share."""

from treadle.ladder import Ladder
from treadle.recipe import Recipe

HOSTILE = "<img src=x onerror=alert(1)>"
LADDER = f"""seeds = 3

[baseline]
data = {{ source = "digits", batch_size = 100 }}
network = {{ layers = ["flatten", "linear 10"] }}
loss = {{ kind = "cross_entropy" }}
optimizer = {{ kind = "sgd", lr = 0.0001 }}
training = {{ epochs = 2 }}

[[rung]]
name = "a learning rate of several"
name_zh = "几个学习率中的一个"
sweep = {{ optimizer.lr = [0.5, 0.001] }}

[[rung]]
name = "{HOSTILE}"
change = {{ optimizer.lr = 3e38 }}

[[rung]]
name = "said otherwise"
name_zh = "换一种说法"
change = {{ network.layers = ["flatten", "linear 10 bias=true"] }}

[[rung]]
name = "other batches"
change = {{ data.batch_size = 99 }}
"""


def ladder():
    return Ladder.from_toml(LADDER)


def recipe(source="digits", **changes):
    """A recipe of one layer on a built-in set, classes or a regression, trained for an epoch."""
    layers, loss = (
        ('"linear 1"', "squared_error") if source == "diabetes" else ('"flatten", "linear 10"', "cross_entropy")
    )
    text = f"""
    data = {{ source = "{source}", batch_size = 50 }}
    network = {{ layers = [{layers}] }}
    loss = {{ kind = "{loss}" }}
    optimizer = {{ kind = "sgd", lr = 0.1 }}
    training = {{ epochs = 1 }}
    """
    return Recipe.from_toml(text).change(changes)
