"""Counts of a summary against those done by hand; `parity` compares them with PyTorch's."""

import json
import re

import numpy as np
import pytest

import treadle as td
from treadle.errors import ShapeError, TreadleError
from treadle.language import Words
from treadle.nn import (
    MODELS,
    BatchNorm,
    Conv2d,
    Flatten,
    GlobalAvgPool2d,
    Linear,
    MaxPool2d,
    Module,
    Parameter,
    ReLU,
    Residual,
    Sequential,
)


class Bilinear(Module):
    """A user's module: x W x for each unit, which takes two matrix products."""

    def __init__(self, units):
        self.units = units

    def parameters(self, shape):
        return {"weight": Parameter((shape[0], shape[0], self.units))}

    def output_shape(self, shape):  # noqa: ARG002
        return (self.units,)

    def multiply_adds(self, shape):
        return shape[0] * shape[0] * self.units + shape[0] * self.units

    def forward(self, params, x, mode):
        raise NotImplementedError


class Around(Module):
    """A user's module with a module inside, which says nothing about work and memory."""

    def __init__(self, inner):
        self.inner = inner

    def children(self, shape):
        yield "inner", self.inner, shape

    def parameters(self, shape):
        return {"inner": self.inner.parameters(shape)}

    def output_shape(self, shape):
        return self.inner.output_shape(shape)

    def forward(self, params, x, mode):
        return self.inner.forward(params["inner"], x, mode.child("inner"))


def test_lenet_counted_by_hand():
    found = td.summary(MODELS["lenet"](10), (1, 28, 28))
    rows = {row.name: row for row in found.rows}
    assert rows["conv2d1"].multiply_adds == 28 * 28 * 20 * 25 == 392_000
    assert rows["conv2d2"].multiply_adds == 14 * 14 * 20 * 500 == 1_960_000
    assert rows["linear1"].multiply_adds == 980 * 10 == 9_800
    assert found.multiply_adds == 2_361_800
    assert found.parameters == (25 * 20 + 20) + (500 * 20 + 20) + (980 * 10 + 10)
    assert found.activation_bytes == 4 * (2 * 15_680 + 3_920 + 2 * 3_920 + 980 + 10)
    assert rows["flatten1"].activation_bytes == 0


def test_published_counts_of_vgg_16():
    """The table of torchvision for vgg16: 138,357,544 parameters and 15.47 · 10⁹ multiply-adds at 224 × 224."""
    layers = []
    for filters, times in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        layers += [layer for _ in range(times) for layer in (Conv2d(filters, 3, padding=1), ReLU())]
        layers += [MaxPool2d(2)]
    found = td.summary(Sequential(*layers, Flatten(), Linear(4096), Linear(4096), Linear(1000)), (3, 224, 224))
    assert found.parameters == 138_357_544
    assert found.multiply_adds / 1e9 == pytest.approx(15.47, abs=0.005)


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        (Conv2d(6, 3, stride=2), (4, 9, 9), 6 * 4 * 4 * 4 * 9),
        (Conv2d(6, 3, stride=2, groups=2), (4, 9, 9), 6 * 4 * 4 * 2 * 9),
        (Conv2d(4, (1, 5), dilation=(1, 2), bias=False), (2, 3, 10), 4 * 3 * 2 * 2 * 5),
        (Linear(7, bias=False), (5,), 35),
        (BatchNorm(), (4, 9, 9), 0),
        (MaxPool2d(3), (4, 9, 9), 0),
        (GlobalAvgPool2d(), (4, 9, 9), 0),
        (Bilinear(3), (5,), 90),
        (Around(Bilinear(3)), (5,), 90),
        (Residual(Conv2d(4, 1), shortcut=Conv2d(4, 1)), (4, 9, 9), 2 * 4 * 81 * 4),
    ],
    ids=repr,
)
def test_multiply_adds_of_a_layer(layer, shape, expected):
    assert layer.multiply_adds(shape) == expected
    assert td.summary(Sequential(layer), shape).multiply_adds == expected


def test_a_residual_block_keeps_its_sum_and_batch_norm_has_untrained_parameters():
    found = td.summary(Sequential(Residual(Conv2d(4, 3, padding=1, bias=False), BatchNorm())), (4, 6, 6))
    assert [(row.name, row.activation_bytes, row.parameters, row.untrained) for row in found.rows] == [
        ("residual1", 4 * 144, 0, 0),
        ("residual1.conv2d1", 4 * 144, 144, 0),
        ("residual1.batch_norm1", 4 * 144, 16, 8),
    ]
    assert (found.parameters, found.untrained) == (160, 8)
    assert found.memory.gradients == 4 * 152


@pytest.mark.parametrize(("optimizer", "slots"), [(None, 0), (td.optim.SGD(0.1), 0), (td.optim.Adam(), 2)])
def test_memory_is_the_sum_of_its_parts(optimizer, slots):
    found = td.summary(Sequential(Flatten(), Linear(10), ReLU()), (2, 3), batch_size=7, optimizer=optimizer).memory
    assert (found.parameters, found.gradients, found.optimizer) == (280, 280, 280 * slots)
    assert (found.inputs, found.activations) == (7 * 4 * 6, 7 * 4 * 20)
    assert found.total == 280 * (2 + slots) + 7 * 4 * 26


def test_modules_of_users():
    found = td.summary(Sequential(Around(Sequential(Linear(4), ReLU())), Bilinear(2)), (3,))
    assert [(row.name, row.parameters, row.multiply_adds, row.activation_bytes) for row in found.rows] == [
        ("around1.inner.linear1", 16, 12, 16),
        ("around1.inner.relu1", 0, 0, 16),
        ("bilinear1", 32, 40, 8),
    ]
    assert "around1.inner.linear1" in str(found)


def test_the_table_is_aligned_and_cuts_long_settings():
    found = td.summary(MODELS["resnet_small"](10), (1, 28, 28), optimizer=td.optim.Adam())
    head, first, *lines = str(found).splitlines()
    assert re.split("  +", head) == [
        "layer", "is", "output", "parameters", "untrained", "multiply-adds", "activations",
    ]  # fmt: skip
    assert first.split("  ")[0] == "input"
    table = lines[: lines.index("")]
    assert {len(line) for line in table} == {len(head)}
    assert table[-1].split() == ["total", "176,090", "1,120", "20,183,936", "1.3", "MiB"]
    assert "Conv2d(16, 3, padding=1, bias=False, we…" in table[0]
    assert re.match(r"memory for batches of 100, at least: 141.7 MiB \(parameters .*, optimizer 1.3 MiB", lines[-1])
    assert "optimizer" not in str(td.summary(Linear(1), (3,))).replace("without the state of an optimizer", "")


def test_all_of_it_goes_into_json():
    found = td.summary(MODELS["lenet"](10), [np.int64(1), 28, 28], batch_size=np.int64(50))
    there = json.loads(json.dumps(found.to_dict()))
    assert there["layers"][0] == {
        "name": "conv2d1",
        "layer": "Conv2d(20, 5, padding=2)",
        "input": [1, 28, 28],
        "output": [20, 28, 28],
        "parameters": 520,
        "untrained": 0,
        "multiply_adds": 392_000,
        "activation_bytes": 62_720,
    }
    assert (there["input"], there["output"], there["batch_size"]) == ([1, 28, 28], [10], 50)
    assert there["parameters"] == sum(layer["parameters"] for layer in there["layers"])
    assert there["memory_bytes"]["total"] == found.memory.total


def test_the_three_sets_or_one_of_them_give_the_shape():
    rows = td.data.Dataset(np.zeros((4, 3)), np.zeros(4), None, "rows")
    for data in (rows, td.data.Sets(rows, rows, rows, "rows", "made up"), (3,)):
        assert td.summary(Linear(2), data).parameters == 8


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.zeros((5, 3)), r"found an array: give \(3,\), without its first axis"),
        (28, "expected a data set, or the shape of one sample such as .*, found 28"),
        ((1, 2.5), r"found \(1, 2.5\)"),
        ((-1,), r"found \(-1,\)"),
        (None, "found None"),
    ],
)
def test_what_is_no_shape_is_refused(data, message):
    for function in (td.summary, td.draw):
        with pytest.raises(ShapeError, match=message):
            function(Linear(2), data)


def test_a_batch_size_must_be_a_count():
    with pytest.raises(TreadleError, match="batch_size must be a positive whole number, found 0"):
        td.summary(Linear(2), (3,), batch_size=0)


def test_columns_of_a_table_in_chinese_stand_one_below_the_other():
    network = Sequential(Flatten(), Linear(10), BatchNorm())
    english, other = (td.summary(network, (1, 2, 2)).text(Words(language)).splitlines() for language in ("en", "zh"))
    for lines in (english, other):
        edges = {len(line.encode("gb18030")) for line in (lines[0], *lines[2:-2])}  # two bytes a Chinese character
        assert len(edges) == 1
    numbers = [re.findall(r"\d[\d.]*", " ".join(lines).replace(",", "")) for lines in (english, other)]
    assert numbers[0] == numbers[1]
