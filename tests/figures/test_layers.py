"""Weights as images and the outputs of each layer: the numbers of the network itself."""

import numpy as np
import pytest
from scipy.signal import correlate

from drawings import drawn, has
from small_sets import fit, line, pictures
from treadle.errors import TreadleError
from treadle.figures import figure
from treadle.figures.layers import draw_filters, filters_of, outputs_by_layer
from treadle.figures.source import Source
from treadle.language import Words
from treadle.nn import (
    BatchNorm,
    Conv2d,
    Dropout,
    Flatten,
    Linear,
    MaxPool2d,
    ReLU,
    Residual,
    Sequential,
)

CONVOLUTION = Sequential(Conv2d(3, 3, padding=1), ReLU(), MaxPool2d(2), Dropout(0.5), Flatten(), Linear(4))


def test_filters_are_the_weights_of_the_layer():
    run = fit(pictures(), CONVOLUTION)
    path, weight, names = filters_of(Source(run))
    assert (path, names) == ("conv2d1", None)
    np.testing.assert_array_equal(weight, run.parameters["conv2d1"]["weight"])
    one = figure("filters", run, language="en")
    table = one.tables[0]
    np.testing.assert_array_equal(np.float32(table.columns["unit 1"]).reshape(3, 3), weight[1, 0])
    assert has(one.svg(), "conv2d1: 3 × 1 × 3 × 3", "weight")
    assert has(figure("filters", run, language="zh").svg(), "权重")


def test_a_dense_layer_on_images_has_them_where_the_pixels_were():
    run = fit(pictures(), CONVOLUTION)
    path, weight, names = filters_of(Source(run), layer="linear1")
    flat = run.parameters["linear1"]["weight"]
    assert names == ("a", "b", "c", "d")
    assert weight[2, 1, 3, 2] == flat[1 * 16 + 3 * 4 + 2, 2]
    one = figure("filters", run, layer=path, language="en")
    assert "unit 3, channel 2" in one.tables[0].columns
    assert has(one.svg(), "a", "b", "c", "d", "channel")
    with pytest.raises(TreadleError, match="did you mean 'conv2d1'"):
        figure("filters", run, layer="conv2d2")


def test_only_the_first_dense_layer_sees_images():
    run = fit(pictures(), Sequential(Flatten(), Linear(5), ReLU(), Linear(4)))
    assert filters_of(Source(run))[0] == "linear1"
    with pytest.raises(TreadleError, match="no layer 'linear2' has weights that are images"):
        figure("filters", run, layer="linear2")
    with pytest.raises(TreadleError, match="are in the figure histograms"):
        figure("filters", fit(line(features=3), Sequential(Linear(1))))


def test_zero_is_in_the_middle_of_one_scale():
    weight = np.zeros((2, 1, 2, 2), np.float32)
    weight[1, 0, 0, 0] = -3.0
    made = drawn(draw_filters, "conv2d1", weight)._figure()
    assert made.axes[0].images[0].get_clim() == (-3.0, 3.0)
    drawn(draw_filters, "conv2d1", np.zeros((1, 1, 1, 1), np.float32))
    drawn(draw_filters, "conv2d1", np.full((1, 1, 2, 2), np.nan, np.float32))
    many = drawn(draw_filters, "conv2d9", np.ones((300, 200, 3, 3), np.float32))
    assert "first 32 of 300 units and 16 of 200 channels" in many.caption


def test_outputs_are_those_of_the_network_layer_by_layer():
    run = fit(pictures(), CONVOLUTION)
    sample = run.sets.validation[3:4]
    found = outputs_by_layer(run, sample)
    assert list(found) == ["input", "conv2d1", "relu1", "max_pool2d1", "linear1"]
    (x,) = np.pad(run.scale.apply(sample.inputs, np.float32), ((0, 0), (0, 0), (1, 1), (1, 1)))
    weights, bias = (np.asarray(run.parameters["conv2d1"][name]) for name in ("weight", "bias"))
    y = np.concatenate([correlate(x, filter_, "valid") + b for filter_, b in zip(weights, bias, strict=True)])
    np.testing.assert_allclose(found["conv2d1"], y, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found["relu1"], np.maximum(y, 0), rtol=1e-4, atol=1e-6)
    pooled = np.maximum(y, 0).reshape(3, 4, 2, 4, 2).max(axis=(2, 4))
    np.testing.assert_allclose(found["max_pool2d1"], pooled, rtol=1e-4, atol=1e-6)
    one = figure("feature_maps", run, sample=3, language="en")
    np.testing.assert_allclose(one.tables[-1].columns["output"], run.predict(sample.inputs)[0], rtol=1e-6)
    assert has(one.svg(), "conv2d1", "3×8×8", "max_pool2d1", "3×4×4", "probabilities")
    assert has(figure("feature_maps", run, language="zh").svg(), "输入", "概率")
    for sample, expected in ((10, "a number from 0 to 9"), (-1, "a number from 0 to 9"), (1.5, "a valid integer")):
        with pytest.raises(TreadleError, match=expected):
            figure("feature_maps", run, sample=sample)


def test_blocks_inside_one_another_and_rows_of_features():
    block = Residual(Conv2d(1, 3, padding=1), BatchNorm())
    run = fit(pictures(), Sequential(*(block for _ in range(12)), Flatten(), Linear(4)))
    found = outputs_by_layer(run, run.sets.validation[:1])
    assert "residual2.batch_norm1" in found
    before, inside, after = (found[name] for name in ("residual1", "residual2.batch_norm1", "residual2"))
    np.testing.assert_allclose(after, before + inside, rtol=1e-5, atol=1e-5)
    assert "layers in between are not drawn" in figure("feature_maps", run, language="en").caption
    numbers = fit(line(features=3), Sequential(Linear(2), ReLU(), Linear(1)))
    one = figure("feature_maps", numbers, language="en")
    assert [table.name for table in one.tables] == ["input", "linear1", "relu1", "linear2"]
    one.svg()
    Words("en")
