"""The text of a layer in a recipe."""

import pytest

from treadle.nn import (
    GELU,
    MODELS,
    AvgPool2d,
    BatchNorm,
    Conv2d,
    Dropout,
    GlobalAvgPool2d,
    LayerNorm,
    LeakyReLU,
    MaxPool2d,
    SiLU,
    Softplus,
)
from treadle.recipe import Recipe
from treadle.recipe.texts import parse_layer


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        ("conv2d 20 5 padding=2", Conv2d(20, 5, padding=2)),
        ("conv2d 20 [3,5] stride=[1,2] bias=false", Conv2d(20, (3, 5), stride=(1, 2), bias=False)),
        ("max_pool2d 2", MaxPool2d(2)),
        ("max_pool2d 3 stride=2 padding=1", MaxPool2d(3, stride=2, padding=1)),
        ("avg_pool2d size=[2,3]", AvgPool2d((2, 3))),
        ("global_avg_pool2d", GlobalAvgPool2d()),
        ("batch_norm momentum=0.01", BatchNorm(momentum=0.01)),
        ("layer_norm", LayerNorm()),
        ("dropout 0.5", Dropout(0.5)),
        ("leaky_relu 0.2", LeakyReLU(0.2)),
        ("gelu", GELU()),
        ("silu", SiLU()),
        ("softplus", Softplus()),
    ],
)
def test_layers_of_networks_of_images(layer, expected):
    assert parse_layer(layer) == expected


def test_the_network_of_the_course_in_a_recipe(tmp_path):
    layers = [*2 * ["conv2d 20 5 padding=2", "relu", "max_pool2d 2"], "flatten", "linear 10"]
    path = tmp_path / "r.toml"
    path.write_text(
        f'network.layers = {layers}\nloss.kind = "cross_entropy"\noptimizer = {{ kind = "sgd", lr = 0.1 }}\n'
    )
    network = Recipe.read(path).build_network("0123456789", (1, 28, 28))
    assert repr(network) == repr(MODELS["lenet"](10))
