"""What does not fit is told before training: which layer, what it got, what it needs, and the likely fix."""

import numpy as np
import pytest

import treadle as td
from treadle.errors import LossError, ShapeError, TreadleError
from treadle.nn import (
    AvgPool2d,
    BatchNorm,
    Conv2d,
    Dropout,
    Flatten,
    GlobalAvgPool2d,
    LayerNorm,
    Linear,
    MaxPool2d,
    ReLU,
    Residual,
    Sequential,
)

IMAGE = (1, 28, 28)


def sets_of(shape, classes=None):
    inputs = np.random.default_rng(0).normal(size=(6, *shape)).astype(np.float32)
    targets = np.zeros(6) if classes is None else np.arange(6) % classes
    names = None if classes is None else tuple(map(str, range(classes)))
    rows = td.data.Dataset(inputs, targets, names, "rows")
    return td.data.Sets(rows, rows, rows, "rows", "made up")


MISFITS = {
    "convolution of features": (
        [Flatten(), Conv2d(8, 3), Linear(1)], IMAGE,
        ["layer conv2d1, Conv2d(8, 3): ", "(channels, height, width)", "found (784,)", "come before Flatten"],
    ),
    "convolution of rows": (
        [Conv2d(8, 3), Linear(1)], (12,),
        ["layer conv2d1, ", "found (12,)", "rows of features go to Linear"],
    ),
    "images without channels": (
        [Conv2d(8, 3), Flatten(), Linear(1)], (28, 28),
        ["layer conv2d1, ", "found (28, 28)", "for grey images (1, 28, 28)"],
    ),
    "linear on images": (
        [Conv2d(20, 5), Linear(1)], IMAGE,
        ["layer linear1, Linear(1): ", "(features,)", "found (20, 24, 24)", "put a Flatten layer before it"],
    ),
    "convolution larger than its image": (
        [MaxPool2d(7), Conv2d(8, 5), Flatten(), Linear(1)], IMAGE,
        ["layer conv2d1, Conv2d(8, 5): ", "window 5×5", "4×4", "a smaller window or more padding"],
    ),
    "pooling larger than its image": (
        [Conv2d(4, 5), MaxPool2d(12), ReLU(), AvgPool2d(3), Flatten(), Linear(1)], IMAGE,
        ["layer avg_pool2d1, AvgPool2d(3): ", "window 3×3", "2×2", "shrink the image less before it"],
    ),
    "groups that do not divide": (
        [Conv2d(6, 3), Conv2d(8, 3, groups=4), Flatten(), Linear(1)], IMAGE,
        ["layer conv2d2, Conv2d(8, 3, groups=4): ", "4 groups", "6 channels", "8 filters", "a divisor of 2"],
    ),
    "pooling of features": (
        [Flatten(), GlobalAvgPool2d(), Linear(1)], IMAGE,
        ["layer global_avg_pool2d1, ", "(channels, height, width)", "found (784,)", "come before Flatten"],
    ),
    "batch normalisation of a series": (
        [BatchNorm(), Flatten(), Linear(1)], (5, 7),
        ["layer batch_norm1, BatchNorm(): ", "(features,) or (channels, height, width)", "found (5, 7)", "(1, 5, 7)"],
    ),
    "layer normalisation of a film": (
        [LayerNorm(), Flatten(), Linear(1)], (3, 5, 7, 9),
        ["layer layer_norm1, LayerNorm(): ", "found (3, 5, 7, 9)", "without the batch axis"],
    ),
    "x and f(x)": (
        [Residual(Conv2d(4, 3), ReLU()), Flatten(), Linear(1)], IMAGE,
        ["layer residual1, Residual(…): ", "(1, 28, 28)", "(4, 26, 26)", "shortcut=Conv2d(filters, 1, stride=…)"],
    ),
    "shortcut and f(x)": (
        [Residual(Conv2d(4, 3, 2, padding=1), shortcut=Conv2d(4, 1)), Flatten(), Linear(1)], IMAGE,
        ["layer residual1, Residual(…): ", "(4, 28, 28)", "(4, 14, 14)", "the same filters and stride"],
    ),
    "inside a residual block": (
        [ReLU(), Residual(Conv2d(1, 3, padding=1)), Residual(Conv2d(1, 3, padding=1), Linear(3)), Linear(1)], IMAGE,
        ["layer residual2.linear1, Linear(3): ", "found (1, 28, 28)", "put a Flatten layer before it"],
    ),
    "inside a shortcut": (
        [Residual(Conv2d(4, 3, padding=1), shortcut=[ReLU(), Linear(4)]), Flatten(), Linear(1)], IMAGE,
        ["layer residual1.shortcut.linear1, Linear(4): ", "found (1, 28, 28)", "put a Flatten layer before it"],
    ),
    "a shortcut of one layer": (
        [Residual(Conv2d(4, 3, padding=1), shortcut=Linear(4)), Flatten(), Linear(1)], IMAGE,
        ["layer residual1.shortcut, Linear(4): ", "found (1, 28, 28)"],
    ),
    "a network in a network": (
        [Sequential(Dropout(0.1), Sequential(Flatten(), MaxPool2d(2))), Linear(1)], IMAGE,
        ["layer sequential1.sequential1.max_pool2d1, MaxPool2d(2): ", "found (784,)"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("layers", "shape", "parts"), MISFITS.values(), ids=MISFITS)
@pytest.mark.parametrize("attempt", ["output_shape", "parameters", "init", "summary", "draw", "fit", "estimate"])
def test_a_misfit_names_the_layer_both_shapes_and_the_fix(layers, shape, parts, attempt):
    network = Sequential(*layers)
    training = {"loss": "squared_error", "optimizer": td.optim.SGD(0.1)}
    attempts = {
        "output_shape": lambda: network.output_shape(shape),
        "parameters": lambda: network.parameters(shape),
        "init": lambda: network.init(shape, seed=0),
        "summary": lambda: td.summary(network, shape),
        "draw": lambda: td.draw(network, shape),
        "fit": lambda: td.fit(network, sets_of(shape), **training),
        "estimate": lambda: td.estimate(network, sets_of(shape), **training),
    }
    with pytest.raises(ShapeError) as refused:
        attempts[attempt]()
    message = str(refused.value)
    for part in parts:
        assert part in message
    assert message.startswith("layer ")
    assert message.count("layer ") == 1 + message.count("a Flatten layer ")
    assert "\n" not in message
    assert len(message) < 300


@pytest.mark.parametrize(
    ("layers", "shape", "part"),
    [
        ([Linear(3, weight_init="he_uniform")], (0,), "at least one feature, found (0,)"),
        ([Conv2d(3, 1)], (0, 4, 4), "at least one channel, found samples of shape (0, 4, 4)"),
        ([Conv2d(3, 1)], (1, 0, 4), "the window 1×1 is larger than the image, 0×4"),
        ([LayerNorm()], (0,), "at least one value"),
    ],
)
def test_samples_without_values_are_refused(layers, shape, part):
    with pytest.raises(ShapeError) as refused:
        Sequential(*layers).init(shape, seed=0)
    assert part in str(refused.value)


@pytest.mark.parametrize(
    ("layers", "loss", "classes", "error", "parts"),
    [
        ([Flatten(), Linear(7)], "cross_entropy", 3, ShapeError, ["(7,)", "(3,)", "give the last layer 3 units"]),
        ([Flatten(), Linear(2)], "squared_error", None, ShapeError, ["(2,)", "(1,)", "give the last layer 1 unit,"]),
        ([Conv2d(3, 3)], "cross_entropy", 3, ShapeError, ["(3, 26, 26)", "(3,)"]),
        ([Flatten(), Linear(3)], "cross_entropy", None, LossError, ["compares classes", "numbers"]),
    ],
)
def test_a_network_that_does_not_fit_the_loss_is_refused_before_training(layers, loss, classes, error, parts):
    for train in (td.fit, td.estimate):
        with pytest.raises(TreadleError) as refused:
            train(Sequential(*layers), sets_of(IMAGE, classes), loss=loss, optimizer=td.optim.SGD(0.1))
        assert type(refused.value) is error
        for part in parts:
            assert part in str(refused.value)


def test_a_misfit_in_use_has_the_same_path():
    network = Sequential(Residual(Linear(3), shortcut=[Linear(3)]))
    params = network.init((4,), seed=0)
    params["residual1"]["shortcut"]["linear1"]["weight"] = np.ones((5, 3), np.float32)
    with pytest.raises(ShapeError, match=r"^layer residual1\.shortcut\.linear1, Linear\(3\): "):
        network(params, np.ones((2, 4), np.float32))
