"""Convolution and pooling as layers; their numbers are compared with PyTorch in `parity`."""

import re

import numpy as np
import pytest

import treadle as td
from treadle.errors import ShapeError, TreadleError
from treadle.nn import (
    AvgPool2d,
    BatchNorm,
    Conv2d,
    Flatten,
    GlobalAvgPool2d,
    Linear,
    MaxPool2d,
    ReLU,
    Residual,
    Sequential,
)


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        (Conv2d(20, 5, padding=2), (1, 28, 28), (20, 28, 28)),
        (Conv2d(20, 5), (1, 28, 28), (20, 24, 24)),
        (Conv2d(6, 3, stride=2), (3, 9, 8), (6, 4, 3)),
        (Conv2d(6, (3, 1), stride=(2, 1), padding=(1, 0)), (3, 9, 8), (6, 5, 8)),
        (Conv2d(4, 3, dilation=2), (2, 7, 6), (4, 3, 2)),
        (Conv2d(4, 1, stride=3, groups=2), (2, 7, 2), (4, 3, 1)),
        (MaxPool2d(2), (3, 7, 8), (3, 3, 4)),
        (MaxPool2d(3, stride=2, padding=1), (3, 7, 8), (3, 4, 4)),
        (AvgPool2d((2, 3), stride=1), (3, 7, 8), (3, 6, 6)),
        (GlobalAvgPool2d(), (3, 7, 8), (3,)),
    ],
    ids=str,
)
def test_shapes_are_those_of_the_outputs(layer, shape, expected):
    assert layer.output_shape(shape) == expected
    for samples in (0, 1, 3):
        x = np.ones((samples, *shape), np.float32)
        assert layer(layer.init(shape, seed=0), x).shape == (samples, *expected)


@pytest.mark.parametrize(
    ("layer", "shape", "weight", "fan_in", "fan_out"),
    [
        (Conv2d(20, 5), (1, 28, 28), (20, 1, 5, 5), 25, 500),
        (Conv2d(6, (3, 2), groups=2), (4, 9, 9), (6, 2, 3, 2), 12, 18),
    ],
)
def test_weights_and_their_fans(layer, shape, weight, fan_in, fan_out):
    specification = layer.parameters(shape)
    assert specification["weight"].shape == weight
    assert (specification["weight"].fan_in, specification["weight"].fan_out) == (fan_in, fan_out)
    made = layer.init(shape, seed=0, dtype=np.float64)
    limit = np.sqrt(6 / fan_in)  # he_uniform
    assert 0.8 * limit < np.abs(made["weight"]).max() <= limit
    assert made["bias"].shape == (layer.filters,)
    assert not made["bias"].any()
    assert "bias" not in Conv2d(20, 5, bias=False).parameters((1, 28, 28))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Conv2d(0, 3), "Conv2d: filters must be a positive whole number, found 0"),
        (lambda: Conv2d((2, 2), 3), "Conv2d: filters must be a positive whole number, found (2, 2)"),
        (lambda: Conv2d(4, 0), "Conv2d: size must be a whole number of at least 1, or two, found 0"),
        (lambda: Conv2d(4, 2.5), "Conv2d: size must be a whole number of at least 1, or two, found 2.5"),
        (lambda: Conv2d(4, (1, 2, 3)), "Conv2d: size must be a whole number of at least 1, or two, found (1, 2, 3)"),
        (lambda: Conv2d(4, 3, stride=0), "Conv2d: stride must be"),
        (lambda: Conv2d(4, 3, padding=-1), "Conv2d: padding must be a whole number of at least 0"),
        (lambda: Conv2d(4, 3, dilation=True), "Conv2d: dilation must be"),
        (lambda: Conv2d(4, 3, groups=3), "Conv2d: 3 groups must divide the 4 filters"),
        (lambda: Conv2d(4, 3, weight_init="he"), "Conv2d: no initialiser 'he'"),
        (lambda: MaxPool2d(0), "MaxPool2d: size must be"),
        (lambda: MaxPool2d(2, padding=2), "MaxPool2d: padding 2 is more than half of the size 2"),
        (lambda: AvgPool2d(2, stride=0), "AvgPool2d: stride must be"),
    ],
)
def test_settings_that_mean_nothing_are_refused(make, message):
    with pytest.raises(TreadleError, match="^" + re.escape(message)):
        make()


@pytest.mark.parametrize(
    ("layers", "shape", "parts"),
    [
        ([Conv2d(4, 5)], (1, 4, 28), ["layer conv2d1", "window 5×5", "4×28", "smaller window or more padding"]),
        ([Conv2d(4, 5, padding=1)], (1, 2, 9), ["window 5×5", "2×9 with padding 4×11"]),
        ([Conv2d(4, 3, dilation=3)], (1, 6, 6), ["window 3×3, spread to 7×7 by its dilation", "6×6"]),
        ([ReLU(), MaxPool2d(3)], (1, 2, 2), ["layer max_pool2d1", "window 3×3", "2×2"]),
        ([Flatten(), Conv2d(4, 3)], (1, 4, 4), ["(16,)", "(channels, height, width)", "come before Flatten"]),
        ([AvgPool2d(2)], (28, 28), ["(channels, height, width)", "(28, 28)"]),
        ([GlobalAvgPool2d()], (10,), ["(channels, height, width)", "(10,)"]),
        ([Conv2d(4, 1, groups=2)], (3, 4, 4), ["2 groups must divide the 3 channels", "(3, 4, 4)"]),
        ([GlobalAvgPool2d(), Linear(2)], (3, 0, 4), ["at least one pixel"]),
        ([Residual(Conv2d(3, 3))], (3, 8, 8), ["layer residual1", "(3, 8, 8)", "(3, 6, 6)", "1×1 convolution"]),
        ([Residual(Conv2d(3, 1), shortcut=Conv2d(4, 1))], (3, 8, 8), ["(4, 8, 8)", "(3, 8, 8)", "the same filters"]),
    ],
)
def test_a_misfit_is_found_from_the_shape_alone(layers, shape, parts):
    network = Sequential(*layers)
    for attempt in (lambda: network.output_shape(shape), lambda: network.init(shape, seed=0)):
        with pytest.raises(ShapeError) as refused:
            attempt()
        for part in parts:
            assert part in str(refused.value)


@pytest.mark.parametrize(
    ("call", "parts"),
    [
        (lambda x: td.ops.conv2d(x, np.ones((4, 2, 3, 3))), ["3 channels", "for 2", "(4, 3, 3, 3)"]),
        (lambda x: td.ops.conv2d(x[0], np.ones((4, 3, 3, 3))), ["(N, C, H, W)", "(3, 6, 6)"]),
        (lambda x: td.ops.conv2d(x, np.ones((4, 3, 7, 3))), ["window 7×3", "6×6", "padding"]),
        (lambda x: td.ops.conv2d(x, np.ones((4, 3, 3, 3)), np.ones(3)), ["4 filters", "(4,)", "(3,)"]),
        (lambda x: td.ops.conv2d(x, np.ones((4, 1, 3, 3)), groups=2), ["2 groups must divide the 3 channels"]),
        (lambda x: td.ops.conv2d(x, np.ones((4, 3, 3, 3)), groups=0), ["groups must be a whole number"]),
        (lambda x: td.ops.conv2d_input_gradient(x, np.ones((3, 2, 2, 2)), shape=(2, 2, 6, 6)), ["(2, 3, 5, 5)"]),
        (lambda x: td.ops.max_pool2d(x, size=7), ["window 7×7", "6×6"]),
        (lambda x: td.ops.max_pool2d(x, size=2, padding=2), ["padding 2 is more than half of the size 2"]),
        (lambda x: td.ops.max_pool2d_gradient(x, x, x, size=2), ["the gradient must have shape (2, 3, 3, 3)"]),
        (lambda x: td.ops.avg_pool2d(x[0, 0], size=2), ["(N, C, H, W)", "(6, 6)"]),
        (lambda x: td.ops.standardize(x[:0], axes=None, epsilon=0.1), ["no elements", "(0, 3, 6, 6)"]),
    ],
)
def test_ops_say_what_does_not_fit(call, parts):
    with pytest.raises(ShapeError) as refused:
        call(np.ones((2, 3, 6, 6)))
    for part in parts:
        assert part in str(refused.value)


def test_a_residual_block_adds_its_input():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4, 3))
    block = Residual(Linear(5), ReLU(), Linear(3))
    params = block.init((3,), seed=0, dtype=np.float64)
    assert list(params) == ["linear1", "linear2"]
    first, second = params["linear1"], params["linear2"]
    inside = np.maximum(x @ first["weight"] + first["bias"], 0) @ second["weight"] + second["bias"]
    np.testing.assert_allclose(block(params, x).numpy(), x + inside, rtol=1e-14)

    widened = Residual(Linear(5), shortcut=[Linear(5), ReLU()])
    params = widened.init((3,), seed=0, dtype=np.float64)
    side = params["shortcut"]["linear1"]
    expected = x @ params["linear1"]["weight"] + np.maximum(x @ side["weight"], 0)
    np.testing.assert_allclose(widened(params, x).numpy(), expected, rtol=1e-14)
    assert not np.array_equal(side["weight"], params["linear1"]["weight"])
    assert repr(widened) == "Residual(Linear(5), shortcut=Sequential(Linear(5), ReLU()))"
    assert [row.name for row in td.summary(Sequential(widened), (3,)).rows] == [
        "residual1",
        "residual1.linear1",
        "residual1.shortcut.linear1",
        "residual1.shortcut.relu1",
    ]


def test_a_residual_block_refuses_to_broadcast():
    block = Residual(GlobalAvgPool2d())
    with pytest.raises(ShapeError, match=r"x has shape \(2, 3, 1, 3\) and f\(x\) \(2, 3\)"):
        block({}, np.ones((2, 3, 1, 3)))
    with pytest.raises(TypeError, match="found 3"):
        Residual(ReLU(), shortcut=3)


@pytest.mark.parametrize("name", ["lenet", "vgg_small", "resnet_small"])
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32)], ids=str)
def test_networks_of_images_take_grey_and_coloured_ones(name, shape):
    network = td.nn.MODELS[name](7)
    assert network.output_shape(shape) == (7,)
    x = np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32)
    assert network(network.init(shape, seed=0), x).shape == (2, 7)


def test_batch_normalisation_has_a_parameter_of_each_kind_for_each_channel():
    found = td.nn.MODELS["resnet_small"](10).parameters((3, 32, 32))
    norm = found["residual3"]["shortcut"]["batch_norm1"]
    assert {name: (one.shape, one.trained) for name, one in norm.items()} == {
        "scale": ((32,), True),
        "shift": ((32,), True),
        "running_mean": ((32,), False),
        "running_var": ((32,), False),
    }
    assert BatchNorm().output_shape((3, 4, 5)) == (3, 4, 5)
