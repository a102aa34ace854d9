"""Counts of a summary against hooks on the modules of PyTorch."""

import math

import pytest
import torch
from torch import nn as theirs

import treadle as td
from treadle import nn as ours


def translate(module, shape):
    """The same network in PyTorch; a residual block becomes a module of theirs."""
    if isinstance(module, ours.Residual):
        layers = theirs.Sequential(*(translate(layer, inputs) for _, layer, inputs in inside(module, shape)))
        return Residual(layers, translate(module.shortcut, shape) if module.shortcut else theirs.Identity())
    if isinstance(module, ours.Sequential):
        return theirs.Sequential(*(translate(layer, inputs) for _, layer, inputs in module.children(shape)))
    match module:
        case ours.Conv2d():
            settings = {name: getattr(module, name) for name in ("stride", "padding", "dilation", "groups", "bias")}
            return theirs.Conv2d(shape[0], module.filters, module.size, **settings)
        case ours.Linear():
            return theirs.Linear(shape[0], module.units, bias=module.bias)
        case ours.BatchNorm():
            return theirs.BatchNorm2d(shape[0])
        case ours.MaxPool2d():
            return theirs.MaxPool2d(module.size, module.stride, module.padding)
        case ours.GlobalAvgPool2d():
            return theirs.Sequential(theirs.AdaptiveAvgPool2d(1), theirs.Flatten())
        case ours.LayerNorm():
            return theirs.LayerNorm(shape)
        case ours.Dropout():
            return theirs.Dropout(module.rate)
    return {"Flatten": theirs.Flatten, "ReLU": theirs.ReLU, "GELU": theirs.GELU, "Sigmoid": theirs.Sigmoid}[
        type(module).__name__
    ]()


def inside(block, shape):
    return [part for part in block.children(shape) if part[0] != "shortcut"]


class Residual(theirs.Module):
    def __init__(self, layers, shortcut):
        super().__init__()
        self.layers, self.shortcut = layers, shortcut

    def forward(self, x):
        return self.shortcut(x) + self.layers(x)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32)], ids=str)
@pytest.mark.parametrize("name", ["mlp", "mlp_tabular", "lenet", "vgg_small", "resnet_small"])
def test_counts_of_a_network(name, shape):
    network = td.nn.MODELS[name](10)
    module = translate(network, shape).eval()
    found = td.summary(network, shape)
    counted = {"multiply_adds": 0, "activations": 0}

    def hook(layer, inputs, output):
        if isinstance(layer, theirs.Conv2d):  # a product for each element of a filter at each output
            counted["multiply_adds"] += output.numel() * math.prod(layer.weight.shape[1:])
        if isinstance(layer, theirs.Linear):
            counted["multiply_adds"] += layer.weight.numel()
        # AdaptiveAvgPool2d keeps two axes of 1, so that its values are those of our layer
        if not isinstance(layer, (theirs.Sequential, theirs.Flatten, theirs.Identity)):
            counted["activations"] += output.numel()

    for layer in module.modules():
        layer.register_forward_hook(hook)
    module(torch.zeros(1, *shape))
    assert found.multiply_adds == counted["multiply_adds"]
    assert found.activation_bytes == 4 * counted["activations"]
    assert found.parameters - found.untrained == sum(one.numel() for one in module.parameters())
    running = [one.numel() for key, one in module.named_buffers() if "running" in key]
    assert found.untrained == sum(running)


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize(("size", "stride", "padding", "dilation"), [(3, 1, 0, 1), ((2, 5), (3, 1), 2, (1, 2))])
def test_counts_of_a_convolution(size, stride, padding, dilation, groups):
    settings = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    with torch.profiler.profile(with_flops=True) as profile:
        theirs.Conv2d(8, 12, size, **settings)(torch.zeros(1, 8, 13, 17))
    expected = max(event.flops for event in profile.key_averages())
    assert 2 * ours.Conv2d(12, size, **settings).multiply_adds((8, 13, 17)) == expected
